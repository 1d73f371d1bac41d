//! Writes the database that a later version's tests open: `cargo run -p folkmoot-store
//! --example stored_file -- FILE`. Each released form of the file has one below `tests/stored/`.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use folkmoot_store::{Draft, Maintenance, SqliteOptions, SqliteStore, TopicLog};
use folkmoot_wire::{Topic, TopicKind};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name the file to write")?;
    let store = SqliteStore::open(&path, SqliteOptions::default(), Arc::new(|_| ()))?;
    let picnic = Topic::new(TopicKind::GroupMessages, b"picnic")?;
    let says =
        |text: &'static str| Draft::new(picnic.clone(), 100, Bytes::from_static(text.as_bytes()));
    let commit = Draft {
        originator: 0,
        is_commit: true,
        ..says("new epoch")
    };
    store
        .append(vec![says("at noon"), commit, says("at the lake")])
        .await?;
    store.close().await?;
    Ok(())
}

//! How long the embedded store's write-ahead log becomes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use folkmoot_store::{Durability, Maintenance, SqliteOptions, SqliteStore, TopicLog};
use tempfile::TempDir;

use crate::backend::{group, says};

const DEADLINE: Duration = Duration::from_secs(60);

fn open(folder: &TempDir) -> (SqliteStore, PathBuf) {
    let options = SqliteOptions {
        durability: Durability::Off,
        ..SqliteOptions::default()
    };
    let path = folder.path().join("store.sqlite");
    let store = SqliteStore::open(&path, options, Arc::new(|_| ())).unwrap();
    (store, folder.path().join("store.sqlite-wal"))
}

fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |log| log.len())
}

#[tokio::test]
async fn the_log_stays_short_under_a_writer_that_never_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let (store, log) = open(&folder);
    // Each of these commits writes several whole pages.
    for number in 0..6000 {
        let text = format!("{number:01024}");
        store
            .append(vec![says(&group("picnic"), &text)])
            .await
            .unwrap();
    }
    assert!(length(&log) < 160 << 20, "{} bytes", length(&log));
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_at_rest_gives_the_log_s_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, log) = open(&folder);
    for _ in 0..2 {
        store
            .append(vec![says(&group("picnic"), "hello")])
            .await
            .unwrap();
        assert!(length(&log) > 0);
        let began = Instant::now();
        while length(&log) > 0 {
            assert!(began.elapsed() < DEADLINE, "{} bytes", length(&log));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    store.close().await.unwrap();
}

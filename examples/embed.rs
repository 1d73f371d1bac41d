//! A whole network and two people on it, in one process: for tests, demos, or an app that carries
//! its own server.
//!
//! ```sh
//! cargo run --example embed
//! ```

use folkmoot::dev::{DevOptions, Door, Network};
use folkmoot_client::{Client, MessageQuery, WalletSecret, content::Content};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    for text in talk().await? {
        eprintln!("bob reads: {text}");
    }
    Ok(())
}

/// Starts everything, has Alice write to Bob, stops everything, and tells what Bob read.
pub(crate) async fn talk() -> anyhow::Result<Vec<String>> {
    let network = Network::start(&DevOptions {
        ports: Some("auto".to_owned()),
        ..DevOptions::default()
    })
    .await?;
    let url = network.url(Door::V3);

    let (alice, bob) = (person(&url).await?, person(&url).await?);
    let dm = alice.conversations().new_dm(bob.inbox_id()).await?;
    dm.send_text("hello").await?;
    dm.send_text("are you there?").await?;

    bob.conversations().sync_all(&[]).await?;
    let there = bob.conversations().get(dm.id()).await?;
    let read = there.messages(&MessageQuery::default()).await?;
    let texts = read.iter().filter_map(|message| match &message.content {
        Content::Text(text) => Some(text.0.clone()),
        _ => None,
    });
    let texts = texts.collect();

    alice.close().await;
    bob.close().await;
    network.stop().await?;
    Ok(texts)
}

/// Somebody new, whose database is gone with the process.
async fn person(url: &str) -> anyhow::Result<Client> {
    let wallet = WalletSecret::from_bytes(&rand::random())?;
    Ok(Client::builder().node(url).create(&wallet).await?)
}

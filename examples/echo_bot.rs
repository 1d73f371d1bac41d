//! Answers every text with itself, in DMs and groups, until it is stopped.
//!
//! ```sh
//! cargo run --example echo_bot -- http://127.0.0.1:5556
//! ```
//!
//! The stream survives cuts of the network and misses nothing while it lives. A bot that also
//! remembers across restarts keeps `stream.position()` and begins with `StreamOptions::after`.

use std::{convert::Infallible, env};

use anyhow::Context as _;
use folkmoot_client::{
    Client, StreamOptions, WalletSecret,
    content::{Content, Reply},
};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let node = env::args().nth(1).context("the URL of a node")?;
    let wallet = WalletSecret::from_bytes(&rand::random())?;
    let bot = Client::builder().node(node).create(&wallet).await?;
    eprintln!("write to {}; Ctrl-C ends it", wallet.address());
    let (listening, _) = oneshot::channel();
    tokio::select! {
        failed = echo(&bot, listening) => failed.map(|never| match never {}),
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}

/// Answers from when it says that it is `listening`.
pub(crate) async fn echo(
    bot: &Client,
    listening: oneshot::Sender<()>,
) -> anyhow::Result<Infallible> {
    let conversations = bot.conversations();
    conversations.sync_all(&[]).await?;
    let mut messages = conversations
        .stream_all_messages(StreamOptions {
            without_own: true,
            without_changes: true,
            ..StreamOptions::default()
        })
        .await?;
    // Nobody need wait for this.
    let _ = listening.send(());
    loop {
        let message = messages.next().await?;
        let Content::Text(text) = &message.content else {
            continue;
        };
        let answer = Reply::new(message.id, &Content::text(text.0.as_str()))?;
        let conversation = conversations.get(&message.conversation_id).await?;
        conversation.send(&Content::Reply(answer)).await?;
    }
}

//! Streams on the command line: one line for each item, until a count, a time or Ctrl-C.

use std::time::Duration;

use clap::Args;
use folkmoot_client::{Client, EnrichedMessage, Message, MessageQuery};
use folkmoot_conversation::content::Content;
use folkmoot_wire::MessageId;

use super::{output::Output, value::Value};

/// When a stream ends.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Until {
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Stop after so many items
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Do not fetch first what came before
    #[arg(long)]
    pub(crate) disable_sync: bool,
}

impl Until {
    /// Writes what `next` gives until it is enough. `None` of `next` is passed over.
    ///
    /// # Errors
    ///
    /// What `next` says, or whoever reads the output.
    pub(crate) async fn follow(
        &self,
        out: &mut Output<'_>,
        mut next: impl AsyncFnMut() -> anyhow::Result<Option<Value>>,
    ) -> anyhow::Result<()> {
        let mut left = self.count.filter(|count| *count > 0);
        let deadline = self.timeout.filter(|seconds| *seconds > 0);
        let end = async {
            match deadline {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        let mut end = std::pin::pin!(end);
        loop {
            let item = tokio::select! {
                item = next() => item?,
                () = &mut end => return Ok(()),
                _ = tokio::signal::ctrl_c() => return Ok(()),
            };
            let Some(item) = item else { continue };
            out.item(item)?;
            if let Some(left) = &mut left {
                *left -= 1;
                if *left == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// What comes next, unless this installation loses its rights before.
///
/// # Errors
///
/// [`IdentityError::Revoked`](folkmoot_client::identity::IdentityError::Revoked).
pub(crate) async fn unless_revoked<T>(
    client: &Client,
    next: impl Future<Output = T>,
) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        next = next => Ok(next),
        cause = client.revoked() => Err(folkmoot_client::Error::from(cause).into()),
    }
}

/// A message of a stream, with what it replies to.
///
/// # Errors
///
/// What the database says.
pub(crate) async fn enriched(client: &Client, message: Message) -> anyhow::Result<EnrichedMessage> {
    let in_reply_to = match (&message.content, message.reference) {
        (Content::Reply(_), Some(reference)) => {
            let found = client.conversations().message(&reference).await;
            found.ok().map(Box::new)
        }
        _ => None,
    };
    Ok(EnrichedMessage {
        message,
        reactions: Vec::new(),
        replies: 0,
        in_reply_to,
        deleted: None,
        edited: None,
    })
}

/// A message with everything that was said about it.
///
/// # Errors
///
/// When there is none; what the database says.
pub(crate) async fn with_all(client: &Client, id: &MessageId) -> anyhow::Result<EnrichedMessage> {
    let message = client.conversations().message(id).await?;
    let conversation = client.conversations().get(&message.conversation_id).await?;
    let query = MessageQuery {
        sent_after_ns: Some(message.sent_ns.saturating_sub(1)),
        sent_before_ns: Some(message.sent_ns.saturating_add(1)),
        ..MessageQuery::default()
    };
    let around = conversation.enriched_messages(&query).await?;
    match around.into_iter().find(|found| found.message.id == *id) {
        Some(found) => Ok(found),
        // Reactions and the like are no rows of their own.
        None => enriched(client, message).await,
    }
}

//! `folkmoot xmtp conversations stream`, `stream-all-messages` and `stream-deletions`.

use clap::Args;
use folkmoot_client::{Change, StreamOptions};

use super::{
    super::{
        follow::{self, Until},
        output::Output,
        run::{AsClient, Me},
        shapes::{self, Shape},
        value::object,
    },
    ConsentFilter, Kind,
};

/// The arguments of `stream`.
#[derive(Args, Debug)]
pub(crate) struct Stream {
    /// Only of this kind
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<Kind>,
    #[command(flatten)]
    until: Until,
}

impl AsClient for Stream {
    const STAYS: bool = true;

    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversations = me.client.conversations();
        if !self.until.disable_sync {
            conversations.sync().await?;
        }
        let mut stream = conversations.stream(self.kind.map(Into::into)).await?;
        let next = async || {
            let conversation = stream.next().await?;
            Ok(Some(shapes::streamed_conversation(&conversation)))
        };
        self.until.follow(out, next).await
    }
}

/// The arguments of `stream-all-messages`.
#[derive(Args, Debug)]
pub(crate) struct StreamAllMessages {
    /// Only of conversations of this kind
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<Kind>,
    #[command(flatten)]
    consent: ConsentFilter,
    #[command(flatten)]
    until: Until,
}

impl AsClient for StreamAllMessages {
    const STAYS: bool = true;

    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversations = me.client.conversations();
        let consent = self.consent.states();
        if !self.until.disable_sync {
            conversations.sync_all(&consent).await?;
        }
        let options = StreamOptions {
            kind: self.kind.map(Into::into),
            consent,
            ..StreamOptions::default()
        };
        let mut stream = conversations.stream_all_messages(options).await?;
        let next = async || {
            let message = follow::enriched(&me.client, stream.next().await?).await?;
            Ok(Some(shapes::message(&message, Shape::StreamedOfAll)))
        };
        self.until.follow(out, next).await
    }
}

/// The arguments of `stream-deletions`.
#[derive(Args, Debug)]
pub(crate) struct StreamDeletions {
    #[command(flatten)]
    until: Until,
}

impl AsClient for StreamDeletions {
    const STAYS: bool = true;

    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversations = me.client.conversations();
        if !self.until.disable_sync {
            conversations.sync_all(&[]).await?;
        }
        let mut stream = conversations.stream_changes().await?;
        let mut waiting = Vec::new();
        let next = async || {
            if waiting.is_empty()
                && let Some(Change::MessagesDeleted(ids)) =
                    follow::unless_revoked(&me.client, stream.next()).await?
            {
                waiting = ids;
                waiting.reverse();
            }
            let id = waiting.pop();
            Ok(id.map(|id| object! { "type" => "deleted", "id" => id.to_string() }))
        };
        self.until.follow(out, next).await
    }
}

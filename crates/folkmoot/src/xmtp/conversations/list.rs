//! `folkmoot xmtp conversations list`.

use clap::{Args, ValueEnum};
use folkmoot_client::{ListOptions, ListOrder};
use folkmoot_conversation::context::ConversationKind;

use super::{
    super::{
        output::Output,
        run::{AsClient, Me},
        shapes,
        value::{Value, object},
    },
    ConsentFilter, Kind,
};

/// The arguments of `list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Join first what we were invited to
    #[arg(long)]
    sync: bool,
    /// Only of this kind
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<Kind>,
    /// At most so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    #[command(flatten)]
    consent: ConsentFilter,
    /// How they are sorted, the newest first
    #[arg(long, value_name = "ORDER")]
    order_by: Option<OrderBy>,
    /// Only those made after this time, in nanoseconds of Unix time
    #[arg(long, value_name = "NS")]
    created_after: Option<u64>,
    /// Only those made before this time, in nanoseconds of Unix time
    #[arg(long, value_name = "NS")]
    created_before: Option<u64>,
}

/// By what conversations are sorted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum OrderBy {
    /// When they were made
    #[default]
    CreatedAt,
    /// When somebody last wrote
    LastActivity,
}

impl AsClient for List {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversations = me.client.conversations();
        if self.sync {
            conversations.sync().await?;
        }
        let options = ListOptions {
            kind: self.kind.map(Into::into),
            consent: self.consent.states(),
            created_after_ns: self.created_after,
            created_before_ns: self.created_before,
            limit: self.limit,
            order: match self.order_by.unwrap_or_default() {
                OrderBy::CreatedAt => ListOrder::CreatedAt,
                OrderBy::LastActivity => ListOrder::LastActivity,
            },
            ..ListOptions::default()
        };
        let mut rows = Vec::new();
        for conversation in conversations.list(&options).await? {
            let row = object! {
                "id" => conversation.id().to_string(),
                "type" => shapes::kind(conversation.kind()),
                "createdAt" => shapes::iso(conversation.created_ns()),
                "consentState" => shapes::consent(conversation.consent().await?),
                "isActive" => conversation.is_active(),
            };
            rows.push(match conversation.kind() {
                ConversationKind::Dm => row.with("peerInboxId", shapes::peer(&conversation)),
                _ => row
                    .with("name", conversation.name())
                    .with("description", conversation.description())
                    .with("imageUrl", conversation.image_url()),
            });
        }
        out.result(Value::List(rows))?;
        Ok(())
    }
}

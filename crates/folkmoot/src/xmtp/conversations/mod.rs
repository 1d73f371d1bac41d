//! `folkmoot xmtp conversations`: all our conversations.

mod create;
mod get;
mod list;
mod stream;

use clap::{Args, ValueEnum};
use folkmoot_conversation::{ConsentState, context::ConversationKind};

use super::{
    output::Output,
    run::{As, AsClient, Me, commands},
    value::{Value, object},
};

commands! {
    /// The commands about all conversations.
    pub(crate) enum ConversationsCommand {
        /// List conversations
        List(As<list::List>),
        /// Show a conversation
        Get(As<get::Get>),
        /// Show the DM with somebody
        GetDm(As<get::GetDm>),
        /// Show a message
        GetMessage(As<get::GetMessage>),
        /// Write to somebody: find or make the DM
        CreateDm(As<create::CreateDm>),
        /// Make a group
        CreateGroup(As<create::CreateGroup>),
        /// Show the keys by which push servers know our own messages
        HmacKeys(As<HmacKeys>),
        /// Join what we were invited to
        Sync(As<Sync>),
        /// Join what we were invited to, and fetch all messages
        SyncAll(As<SyncAll>),
        /// Print new conversations as they come
        Stream(As<stream::Stream>),
        /// Print messages of all conversations as they come
        StreamAllMessages(As<stream::StreamAllMessages>),
        /// Print what is deleted as it is deleted
        StreamDeletions(As<stream::StreamDeletions>),
    }
}

/// Group or DM.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    /// Two people
    Dm,
    /// Any number of people
    Group,
}

impl From<Kind> for ConversationKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Dm => Self::Dm,
            Kind::Group => Self::Group,
        }
    }
}

/// What we think of a conversation or a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Consent {
    /// Wanted
    Allowed,
    /// Not wanted
    Denied,
    /// Not answered yet
    Unknown,
}

impl From<Consent> for ConsentState {
    fn from(consent: Consent) -> Self {
        match consent {
            Consent::Allowed => Self::Allowed,
            Consent::Denied => Self::Denied,
            Consent::Unknown => Self::Unknown,
        }
    }
}

/// The flag that chooses conversations by consent.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConsentFilter {
    /// Only conversations with this consent; can be repeated
    #[arg(long, value_name = "STATE")]
    consent_state: Vec<Consent>,
}

impl ConsentFilter {
    /// The consents that were chosen.
    pub(crate) fn states(&self) -> Vec<ConsentState> {
        self.consent_state.iter().copied().map(Into::into).collect()
    }
}

/// The arguments of `hmac-keys`.
#[derive(Args, Debug)]
pub(crate) struct HmacKeys {}

impl AsClient for HmacKeys {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let keys = me.client.hmac_keys().await?;
        let conversations = keys.into_iter().map(|(id, keys)| {
            let keys = keys.into_iter().map(|(epoch, key)| {
                object! { "key" => hex::encode(key.as_bytes()), "epoch" => Value::wide(epoch) }
            });
            (id.to_string().into(), Value::list(keys))
        });
        out.result(Value::Object(conversations.collect()))?;
        Ok(())
    }
}

/// The arguments of `sync`.
#[derive(Args, Debug)]
pub(crate) struct Sync {}

impl AsClient for Sync {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        me.client.conversations().sync().await?;
        out.result(object! {
            "success" => true,
            "message" => "Conversations synced successfully",
        })?;
        Ok(())
    }
}

/// The arguments of `sync-all`.
#[derive(Args, Debug)]
pub(crate) struct SyncAll {
    #[command(flatten)]
    consent: ConsentFilter,
}

impl AsClient for SyncAll {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let states = self.consent.states();
        let summary = me.client.conversations().sync_all(&states).await?;
        out.result(object! {
            "success" => true,
            "message" => "All conversations and messages synced successfully",
            "numGroupsSynced" => object! {
                "numEligible" => summary.eligible,
                "numSynced" => summary.synced,
            },
        })?;
        Ok(())
    }
}

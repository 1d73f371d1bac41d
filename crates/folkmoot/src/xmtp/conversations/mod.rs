//! `folkmoot xmtp conversations`: all our conversations.

mod create;
mod get;
mod list;
mod stream;

use clap::{Args, ValueEnum};
use folkmoot_conversation::{ConsentState, context::ConversationKind};

use super::{
    follow::Following,
    output::Output,
    run::{As, AsClient, Me, commands},
    value::{Value, object},
};

commands! {
    /// The commands about all conversations.
    pub(crate) enum ConversationsCommand {
        /// List conversations
        #[command(after_help = "Example: folkmoot xmtp conversations list --sync --type group")]
        List(As<list::List>),
        /// Show a conversation
        #[command(after_help = "Example: folkmoot xmtp conversations get picnic --json")]
        Get(As<get::Get>),
        /// Show the DM with somebody
        #[command(after_help = "Example: folkmoot xmtp conversations get-dm 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
        GetDm(As<get::GetDm>),
        /// Show a message
        #[command(after_help = "Example: folkmoot xmtp conversations get-message MESSAGE_ID")]
        GetMessage(As<get::GetMessage>),
        /// Write to somebody: find or make the DM
        #[command(after_help = "Example: folkmoot xmtp conversations create-dm 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
        CreateDm(As<create::CreateDm>),
        /// Make a group
        #[command(after_help = "Example: folkmoot xmtp conversations create-group 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --name picnic")]
        CreateGroup(As<create::CreateGroup>),
        /// Show the keys by which push servers know our own messages
        #[command(after_help = "Example: folkmoot xmtp conversations hmac-keys --json")]
        HmacKeys(As<HmacKeys>),
        /// Join what we were invited to
        #[command(after_help = "Example: folkmoot xmtp conversations sync")]
        Sync(As<Sync>),
        /// Join what we were invited to, and fetch all messages
        #[command(after_help = "Example: folkmoot xmtp conversations sync-all --consent-state allowed")]
        SyncAll(As<SyncAll>),
        /// Print new conversations as they come
        #[command(after_help = "Example: folkmoot xmtp conversations stream --count 1")]
        Stream(Following<stream::Stream>),
        /// Print messages of all conversations as they come
        #[command(after_help = "Example: folkmoot xmtp conversations stream-all-messages --json --timeout 60")]
        StreamAllMessages(Following<stream::StreamAllMessages>),
        /// Print what is deleted as it is deleted
        #[command(after_help = "Example: folkmoot xmtp conversations stream-deletions --json")]
        StreamDeletions(Following<stream::StreamDeletions>),
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
    /// Only conversations with one of these consents
    #[arg(long, value_name = "STATE", num_args = 1..)]
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

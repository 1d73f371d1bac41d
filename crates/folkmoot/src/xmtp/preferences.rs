//! `folkmoot xmtp preferences`: consent, and who belongs to which inbox.

use std::collections::{BTreeMap, VecDeque};

use clap::{Args, ValueEnum};
use folkmoot_client::{Change, ChangeStream, Clock as _, Lookup, SystemClock};
use folkmoot_conversation::{ConsentEntity, ConsentRecord, ConsentState};
use folkmoot_wire::{GroupId, InboxId};

use super::{
    ask,
    conversations::Consent,
    follow::{Following, Follows, Next},
    output::Output,
    run::{As, AsClient, Me, commands},
    shapes,
    value::{Value, object},
    who,
};
use crate::failure::{Exit, Failure};

commands! {
    /// The commands about preferences.
    pub(crate) enum PreferencesCommand {
        /// Show what we think of somebody or of a conversation
        #[command(after_help = "Example: folkmoot xmtp preferences get-consent --entity-type inbox_id --entity INBOX_ID")]
        GetConsent(As<GetConsent>),
        /// Say what we think of somebody or of a conversation
        #[command(after_help = "Example: folkmoot xmtp preferences set-consent --entity-type inbox_id --entity INBOX_ID --state denied")]
        SetConsent(As<SetConsent>),
        /// Show who belongs to our inbox
        #[command(after_help = "Example: folkmoot xmtp preferences inbox-state --sync")]
        InboxState(As<InboxState>),
        /// Show who belongs to inboxes
        #[command(after_help = "Example: folkmoot xmtp preferences inbox-states INBOX_ID")]
        InboxStates(As<InboxStates>),
        /// Fetch what our other installations said
        #[command(after_help = "Example: folkmoot xmtp preferences sync")]
        Sync(As<Sync>),
        /// Print preferences as they change
        #[command(after_help = "Example: folkmoot xmtp preferences stream --json")]
        Stream(Following<Stream>),
    }
}

/// About what there is consent.
#[derive(Args, Clone, Debug)]
struct Entity {
    /// What the entity is
    #[arg(long, value_name = "TYPE")]
    entity_type: EntityType,
    /// Its id
    #[arg(long, value_name = "ID")]
    entity: String,
}

/// What an entity is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum EntityType {
    /// A person
    #[value(name = "inbox_id")]
    InboxId,
    /// A conversation
    #[value(name = "conversation_id")]
    ConversationId,
}

impl EntityType {
    const fn name(self) -> &'static str {
        match self {
            Self::InboxId => "inbox_id",
            Self::ConversationId => "conversation_id",
        }
    }
}

impl Entity {
    fn parse(&self) -> Result<ConsentEntity, Failure> {
        let text = self.entity.to_ascii_lowercase();
        let (parsed, form) = match self.entity_type {
            EntityType::InboxId => (
                text.parse::<InboxId>().ok().map(ConsentEntity::Inbox),
                "64 hex digits",
            ),
            EntityType::ConversationId => (
                text.parse::<GroupId>()
                    .ok()
                    .map(ConsentEntity::Conversation),
                "hex digits, as `folkmoot xmtp conversations list` shows them",
            ),
        };
        parsed.ok_or_else(|| {
            let what = self.entity_type.name();
            Failure::new(Exit::Usage, format!("--entity is no {what}"), form)
        })
    }
}

/// The arguments of `get-consent`.
#[derive(Args, Debug)]
pub(crate) struct GetConsent {
    #[command(flatten)]
    entity: Entity,
}

impl AsClient for GetConsent {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let entity = self.entity.parse()?;
        let state = me.client.conversations().consent(entity).await?;
        out.result(object! {
            "entityType" => self.entity.entity_type.name(),
            "entity" => self.entity.entity,
            "state" => shapes::consent_name(state),
        })?;
        Ok(())
    }
}

/// The arguments of `set-consent`.
#[derive(Args, Debug)]
pub(crate) struct SetConsent {
    #[command(flatten)]
    entity: Entity,
    /// What we think of it
    #[arg(long, value_name = "STATE")]
    state: Consent,
}

impl AsClient for SetConsent {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let entity = self.entity.parse()?;
        let state = self.state.into();
        me.client
            .conversations()
            .set_consent([(entity, state)])
            .await?;
        out.result(object! {
            "success" => true,
            "entityType" => self.entity.entity_type.name(),
            "entity" => self.entity.entity,
            "state" => shapes::consent_name(state),
        })?;
        Ok(())
    }
}

/// The arguments of `inbox-state`.
#[derive(Args, Debug)]
pub(crate) struct InboxState {
    /// Ask the network
    #[arg(long)]
    sync: bool,
}

impl AsClient for InboxState {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let lookup = if self.sync {
            Lookup::Network
        } else {
            Lookup::Cached
        };
        let state = me.client.inbox_state(lookup).await?;
        out.result(shapes::inbox_state(&state))?;
        Ok(())
    }
}

/// The arguments of `inbox-states`.
#[derive(Args, Debug)]
pub(crate) struct InboxStates {
    /// The inboxes
    #[arg(required = true, value_name = "INBOX_ID", value_parser = who::inbox_id)]
    inbox_ids: Vec<InboxId>,
}

impl AsClient for InboxStates {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let mut found = me
            .client
            .inbox_states(&self.inbox_ids, Lookup::Cached)
            .await?;
        if found.iter().any(Option::is_none) {
            found = me
                .client
                .inbox_states(&self.inbox_ids, Lookup::Network)
                .await?;
        }
        let states = ask::known(&self.inbox_ids, found)?;
        out.result(Value::list(states.iter().map(shapes::inbox_state)))?;
        Ok(())
    }
}

/// The arguments of `sync`.
#[derive(Args, Debug)]
pub(crate) struct Sync {}

impl AsClient for Sync {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        me.client.preferences().sync().await?;
        out.result(object! {
            "success" => true,
            "message" => "Preferences synced from network",
        })?;
        Ok(())
    }
}

/// The arguments of `stream`.
#[derive(Args, Debug)]
pub(crate) struct Stream {}

/// Preferences as they change.
pub(crate) struct Changes {
    stream: ChangeStream,
    /// What was changed while others were let in.
    waiting: VecDeque<ConsentRecord>,
    /// What is known to whoever reads.
    known: BTreeMap<ConsentEntity, ConsentState>,
}

impl Follows for Stream {
    type Source = Changes;
    type Place = BTreeMap<ConsentEntity, ConsentState>;

    async fn begin(
        &self,
        me: &Me,
        place: Option<BTreeMap<ConsentEntity, ConsentState>>,
        sync: bool,
    ) -> anyhow::Result<Changes> {
        let preferences = me.client.preferences();
        if sync {
            preferences.sync().await?;
        }
        let stream = preferences.stream().await?;
        let now = preferences.consents().await?;
        let (known, waiting) = match place {
            Some(known) => {
                let is_new = |one: &ConsentRecord| known.get(&one.entity) != Some(&one.state);
                let waiting = now.into_iter().filter(is_new).collect();
                (known, waiting)
            }
            None => {
                let known = now.into_iter().map(|one| (one.entity, one.state));
                (known.collect(), VecDeque::new())
            }
        };
        Ok(Changes {
            stream,
            waiting,
            known,
        })
    }

    async fn next(&self, _: &Me, source: &mut Changes) -> anyhow::Result<Next> {
        let change = match source.waiting.pop_front() {
            Some(record) => Some(Change::Consent(record)),
            None => source.stream.next().await,
        };
        let update = match change {
            Some(Change::Consent(record)) => {
                let update = consent_update(&record);
                source.known.insert(record.entity, record.state);
                update
            }
            Some(Change::PushKeys(key)) => object! {
                "type" => "HmacKeyUpdate",
                "key" => hex::encode(key.as_bytes()),
            },
            _ => return Ok(Next::Nothing),
        };
        Ok(Next::Item(object! {
            "timestamp" => shapes::iso(SystemClock.now_ns()),
            "updates" => Value::List(vec![update]),
        }))
    }

    fn leave(source: Changes) -> BTreeMap<ConsentEntity, ConsentState> {
        source.known
    }
}

fn consent_update(record: &ConsentRecord) -> Value {
    let (kind, entity) = match &record.entity {
        ConsentEntity::Conversation(id) => (EntityType::ConversationId, id.to_string()),
        ConsentEntity::Inbox(id) => (EntityType::InboxId, id.to_string()),
    };
    object! {
        "type" => "ConsentUpdate",
        "entityType" => kind.name(),
        "entity" => entity,
        "state" => shapes::consent_name(record.state),
    }
}

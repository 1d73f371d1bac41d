//! A conversation in memory, as its slot guards it.
//!
//! The database is what counts: a change is made in memory first, written together with
//! everything that belongs to it, and forgotten when that fails, so that the next who comes loads
//! what is really there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use folkmoot_conversation::{Group, Leaf, context::Context, judge::CommitSummary};
use folkmoot_wire::{GroupId, InboxId, MessageId, VectorClock};

use super::{
    ConversationError,
    changes::Change,
    core::Core,
    early,
    intent::{Intent, IntentState},
    pushed,
    receive::Parted,
    rows::{self, Batch, ConversationRow, CursorKind, IntentChange, Written},
};
use crate::{
    Error,
    db::{DbError, Durability},
};

/// What a slot guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) id: GroupId,
    pub(crate) loaded: Option<Loaded>,
    /// Something was missed: the node must be asked before an envelope of a stream counts.
    pub(crate) behind: bool,
    /// Nobody has looked yet in this run of the program whether the node has something where we
    /// stand.
    pub(crate) doubted: bool,
    /// Whether the log leaves us behind.
    pub(crate) parted: Parted,
    /// Why intents failed, for those who wait for them.
    pub(crate) failures: HashMap<i64, Error>,
    /// Intents whose messages or commits the node has acknowledged in this run of the program.
    pub(crate) acknowledged: HashSet<i64>,
    /// Since when messages were sent without reading the log: Unix time in nanoseconds.
    pub(crate) unsettled_ns: Option<u64>,
    /// Somebody will read the log because of it.
    pub(crate) settling: bool,
    /// Somebody will read the log because what a stream brought could not be taken.
    pub(crate) asking: bool,
    /// What was kept for this epoch may be unread: the program may have ended between a commit and
    /// what it opens.
    pub(crate) unread_early: bool,
    /// Somebody is at work. Still set when they were torn away.
    pub(crate) busy: bool,
}

/// A conversation with its keys.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) row: ConversationRow,
    /// `None` when only an archive told of it.
    pub(crate) group: Option<Group>,
    pub(crate) cursor: VectorClock,
    pub(crate) intents: BTreeMap<i64, Intent>,
    /// Hash of what was sent to the intent that sent it.
    pub(crate) sent: HashMap<[u8; 32], i64>,
    /// Numbers that come again and were read, after a step back.
    pub(crate) read_before: BTreeSet<u64>,
    /// Members who asked to leave.
    pub(crate) leaving: BTreeSet<InboxId>,
    /// Messages may be kept that came before the commit that leads to their epoch.
    pub(crate) early: bool,
    /// What was opened before the log showed it: hashes of envelopes, and what was in them.
    pub(crate) pushed: HashMap<[u8; 32], MessageId>,
    /// The hash of our commit that is under way, and what it does: it was judged before it went
    /// out, and the verdict follows from the commit, its epoch and places in identity logs, of
    /// which none changes until it is merged.
    pub(crate) judged: Option<([u8; 32], Box<CommitSummary>)>,
}

impl State {
    pub(crate) fn new(id: GroupId) -> Self {
        Self {
            id,
            loaded: None,
            behind: false,
            doubted: true,
            parted: Parted::Unknown,
            failures: HashMap::new(),
            acknowledged: HashSet::new(),
            unsettled_ns: None,
            settling: false,
            asking: false,
            unread_early: true,
            busy: false,
        }
    }

    /// The conversation, from the database unless it is here.
    pub(crate) async fn load(&mut self, core: &Core) -> Result<&mut Loaded, Error> {
        core.require_in_office()?;
        if self.loaded.is_none() {
            let id = self.id.clone();
            let stored = core
                .db
                .read(move |db| {
                    let Some(row) = rows::conversation(db, &id)? else {
                        return Ok(None);
                    };
                    let mls = rows::mls_state(db, &id)?;
                    let cursor = rows::cursor(db, id.as_bytes(), CursorKind::Group)?;
                    Ok(Some((
                        row,
                        mls,
                        cursor,
                        rows::intents(db, &id)?,
                        rows::leaving(db, &id)?,
                        early::are_kept(db, &id)?,
                        pushed::opened(db, &id)?,
                    )))
                })
                .await?;
            let (mut row, mls, cursor, intents, leaving, early, pushed) =
                stored.ok_or_else(|| ConversationError::NotFound(self.id.clone()))?;
            row.outgrow(&core.version);
            let group = if mls.is_empty() {
                None
            } else {
                let group = Group::load(&self.id, mls)
                    .map_err(|cause| DbError::corrupt("mls_state of a conversation", cause))?;
                Some(group)
            };
            let sent = intents
                .iter()
                .filter_map(|intent| Some((intent.payload_hash?, intent.id)));
            self.loaded = Some(Loaded {
                sent: sent.collect(),
                row,
                group,
                cursor,
                read_before: BTreeSet::new(),
                leaving: leaving.into_iter().collect(),
                early,
                pushed: pushed.into_iter().collect(),
                judged: None,
                intents: intents
                    .into_iter()
                    .map(|intent| (intent.id, intent))
                    .collect(),
            });
            // Whatever was sent before this program started may or may not have arrived.
            self.acknowledged.clear();
        }
        Ok(self.loaded.as_mut().expect("it was just loaded"))
    }

    /// Forgets what is in memory.
    pub(crate) fn unload(&mut self) {
        self.loaded = None;
        self.behind = true;
    }

    /// Writes `batch`, which memory already shows, and tells of it. When that fails memory is
    /// forgotten.
    pub(crate) async fn write(&mut self, core: &Core, batch: Batch) -> Result<Written, Error> {
        self.write_with(core, batch, Durability::Now).await
    }

    /// The same for what the network would tell us again.
    pub(crate) async fn write_soon(&mut self, core: &Core, batch: Batch) -> Result<Written, Error> {
        self.write_with(core, batch, Durability::Soon).await
    }

    async fn write_with(
        &mut self,
        core: &Core,
        batch: Batch,
        durability: Durability,
    ) -> Result<Written, Error> {
        if batch.is_empty() {
            return Ok(Written::default());
        }
        let id = self.id.clone();
        let updated = batch.row.is_some();
        let result = core
            .db
            .write_with(durability, move |db| Ok((batch.write(db, &id)?, batch)))
            .await;
        match result {
            Ok((written, batch)) => {
                if let Some(loaded) = &mut self.loaded {
                    loaded.settle(&batch, &written);
                    let intents = &loaded.intents;
                    self.acknowledged.retain(|id| intents.contains_key(id));
                }
                core.changes.tell_written(&written);
                if written.consent {
                    core.tell_consent(&self.id).await?;
                }
                if updated {
                    core.changes
                        .tell(Change::ConversationUpdated(self.id.clone()));
                }
                Ok(written)
            }
            Err(cause) => {
                self.unload();
                Err(cause.into())
            }
        }
    }
}

impl Loaded {
    /// The typed group context.
    pub(crate) fn context(&self) -> Result<Context, Error> {
        Ok(Context::read(&self.row.context).map_err(ConversationError::Context)?)
    }

    /// Takes over what the database made of a batch.
    pub(crate) fn settle(&mut self, batch: &Batch, written: &Written) {
        let mut new = written.intents.iter();
        for change in &batch.intents {
            match change {
                IntentChange::Insert(intent) => {
                    let mut intent = intent.clone();
                    intent.id = *new.next().expect("each new intent has an id");
                    self.remember(*intent);
                }
                IntentChange::Update(intent) => self.remember(intent.as_ref().clone()),
                IntentChange::Delete(id) => self.forget(*id),
            }
        }
        if let Some(sent_ns) = written.last_message_ns {
            self.row.last_message_ns = self.row.last_message_ns.max(Some(sent_ns));
        }
    }

    /// Keeps an intent in place of what was known under its id.
    pub(crate) fn remember(&mut self, intent: Intent) {
        if let Some(old) = self.intents.get(&intent.id)
            && let Some(hash) = old.payload_hash
            && intent.payload_hash != Some(hash)
        {
            self.sent.remove(&hash);
        }
        if intent.state == IntentState::Failed {
            self.forget(intent.id);
            return;
        }
        if let Some(hash) = intent.payload_hash {
            self.sent.insert(hash, intent.id);
        }
        self.intents.insert(intent.id, intent);
    }

    fn forget(&mut self, id: i64) {
        if let Some(intent) = self.intents.remove(&id)
            && let Some(hash) = intent.payload_hash
        {
            self.sent.remove(&hash);
        }
    }

    /// Who sits in the tree.
    pub(crate) fn members(&self) -> Vec<Leaf> {
        self.group.as_ref().map(Group::members).unwrap_or_default()
    }

    /// Whether the log of the group still says something to us.
    pub(crate) fn follows(&self) -> bool {
        self.group.is_some() && self.row.active && !self.row.is_locked_out()
    }
}

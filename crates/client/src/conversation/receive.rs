//! Reading a conversation's log, strictly in its order, each envelope once.
//!
//! A page of envelopes is worked through in memory and then written in one transaction: keys,
//! cursor, messages, and what became of our own intents. Commits are judged before they are
//! merged; the identity updates they refer to are fetched first.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use folkmoot_conversation::{
    CommitFacts, ContentType, Group, GroupMessageHeader, Incoming, ProcessError, StagedCommit,
    judge::{CommitSummary, Verdict},
    version::Version,
};
use folkmoot_wire::{GroupId, InboxId, InstallationKey};
use sha2::{Digest, Sha256};

use super::{
    ConversationError,
    content::{self, Arrival},
    core::Core,
    early,
    intent::{IntentState, Wish},
    rows::{Batch, CommitLogRow, Delivered, IntentChange, MembershipState, Trouble},
    state::{Loaded, State},
};
use crate::{Error, network::GroupEnvelope};

/// Envelopes in a page of a v3 node.
const PAGE: usize = 100;
/// Past epochs whose messages can be read. What is no older has its place in the log: others read
/// it there.
const PAST_EPOCHS: u64 = 3;

/// From where envelopes come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    /// The node answered a question: nothing is missing before them.
    Query,
    /// A stream brought them.
    Stream,
}

/// How to go on after an envelope.
enum Step {
    Next,
    /// Something before it was missed: the node must be asked.
    Missing,
    /// What follows cannot be read (yet).
    Stop,
}

impl State {
    /// Reads the log to its end. Returns how many envelopes were new.
    pub(crate) async fn receive(&mut self, core: &Arc<Core>) -> Result<usize, Error> {
        let mut count = 0;
        let mut fetched = None;
        loop {
            let loaded = self.load(core).await?;
            if !loaded.follows() {
                break;
            }
            let mut after = loaded.cursor.clone();
            let id = self.id.clone();
            let page = match fetched.take() {
                Some(page) => page,
                None => core.network.group_messages(&id, &after, PAGE).await?,
            };
            count += page.envelopes.len();
            if page.envelopes.is_empty() {
                break;
            }
            for envelope in &page.envelopes {
                after.advance(envelope.originator, envelope.sequence);
            }
            let taking = self.take(core, page.envelopes, Source::Query);
            if !page.more {
                taking.await?;
                break;
            }
            // The next page comes while this one is worked through.
            let next = core.network.group_messages(&id, &after, PAGE);
            let (goes_on, next) = tokio::join!(taking, next);
            if !goes_on? {
                break;
            }
            fetched = Some(next?);
        }
        self.behind = false;
        self.unsettled_ns = None;
        Ok(count)
    }

    /// Works through what a stream brought.
    pub(crate) async fn take_streamed(
        &mut self,
        core: &Arc<Core>,
        envelopes: Vec<GroupEnvelope>,
    ) -> Result<(), Error> {
        let paused = self.load(core).await?.row.paused_for.is_some();
        if self.behind || paused {
            self.receive(core).await?;
        }
        if paused {
            // What a stream brings comes after the commit at which the conversation stands still,
            // and would lead past it.
            return Ok(());
        }
        self.take(core, envelopes, Source::Stream).await?;
        if self.behind {
            self.receive(core).await?;
        }
        Ok(())
    }

    /// Works through envelopes in order. `false`: the log cannot be followed further now.
    async fn take(
        &mut self,
        core: &Arc<Core>,
        envelopes: Vec<GroupEnvelope>,
        source: Source,
    ) -> Result<bool, Error> {
        let mut batch = Batch {
            now_ns: core.now_ns(),
            ..Batch::default()
        };
        let mut outcome = Ok(true);
        let epoch = self.load(core).await?.row.epoch;
        for envelope in &envelopes {
            let loaded = self.loaded.as_mut().expect("it was just loaded");
            if !loaded.follows() {
                break;
            }
            match loaded.step(core, &mut batch, envelope, source).await {
                Ok(Step::Next) => {}
                Ok(Step::Missing) => {
                    self.behind = true;
                    break;
                }
                Ok(Step::Stop) => {
                    outcome = Ok(false);
                    break;
                }
                Err(cause) => {
                    self.behind = true;
                    outcome = Err(cause);
                    break;
                }
            }
        }
        let lost = batch.wants_readd.is_some();
        self.write(core, batch).await?;
        if lost {
            core.work_off_readds_soon();
        }
        if self.load(core).await?.row.epoch != epoch {
            self.take_early(core).await?;
        }
        outcome
    }
}

impl Loaded {
    /// One envelope. An error leaves no trace of it.
    async fn step(
        &mut self,
        core: &Arc<Core>,
        batch: &mut Batch,
        envelope: &GroupEnvelope,
        source: Source,
    ) -> Result<Step, Error> {
        if envelope.sequence <= self.cursor.last_seen(envelope.originator) {
            return Ok(Step::Next);
        }
        let Some(header) = private_header(&self.row.id, &envelope.data) else {
            self.pass(batch, envelope);
            return Ok(Step::Next);
        };
        let hash: [u8; 32] = Sha256::digest(&envelope.data).into();
        let step = match self.sent.get(&hash) {
            Some(intent) => self.own(core, batch, envelope, &header, *intent).await?,
            None => self.foreign(core, batch, envelope, &header, source).await?,
        };
        if matches!(step, Step::Next) {
            self.pass(batch, envelope);
        }
        Ok(step)
    }

    /// Moves the cursor past an envelope.
    fn pass(&mut self, batch: &mut Batch, envelope: &GroupEnvelope) {
        self.cursor.advance(envelope.originator, envelope.sequence);
        batch.cursor.advance(envelope.originator, envelope.sequence);
    }

    /// Something that we sent has its place in the log now.
    async fn own(
        &mut self,
        core: &Core,
        batch: &mut Batch,
        envelope: &GroupEnvelope,
        header: &GroupMessageHeader,
        intent: i64,
    ) -> Result<Step, Error> {
        let mut intent = self.intents[&intent].clone();
        let epoch = self.row.epoch;
        if let Wish::Send(_) = intent.wish {
            if header.epoch + PAST_EPOCHS < epoch || header.epoch > epoch {
                // Nobody can read it: it is sealed anew, and stays the same message.
                intent.rebuild();
                self.change(batch, intent);
                return Ok(Step::Next);
            }
            if let Some(id) = intent.message_id {
                let expire_ns = self.expiry(batch.now_ns);
                batch.delivered.push(Delivered {
                    id,
                    created_ns: Some(envelope.created_ns),
                    place: Some((envelope.originator, envelope.sequence)),
                    expire_ns,
                });
            }
            self.done(batch, intent.id);
            return Ok(Step::Next);
        }
        if header.epoch != epoch {
            self.log_failure(batch, envelope, None, "another commit came first", 2);
            intent.rebuild();
            self.change(batch, intent);
            return Ok(Step::Next);
        }
        let group = self.group.as_ref().expect("only what has keys is followed");
        let staged = match group.staged(intent.staged.as_deref().unwrap_or_default()) {
            Ok(staged) => staged,
            Err(cause) => {
                self.log_failure(batch, envelope, None, &cause.to_string(), 3);
                intent.state = IntentState::Failed;
                self.change(batch, intent);
                return Ok(Step::Next);
            }
        };
        let facts = staged.facts().clone();
        match core.judge(&facts).await? {
            Verdict::Accept(summary) => {
                self.merge(core, batch, envelope, staged, &facts, &summary)?;
                if intent.welcome.is_some() {
                    intent.state = IntentState::Committed;
                    intent.sequence = Some(envelope.sequence);
                    intent.staged = None;
                    intent.payload = None;
                    self.change(batch, intent);
                } else {
                    self.done(batch, intent.id);
                }
                Ok(Step::Next)
            }
            Verdict::Pause(version) => {
                self.pause(core, batch, &version);
                Ok(Step::Stop)
            }
            Verdict::Refuse(refusal) => {
                self.log_failure(batch, envelope, None, &refusal.to_string(), 4);
                intent.state = IntentState::Failed;
                self.change(batch, intent);
                Ok(Step::Next)
            }
            Verdict::Ask(_) => Err(ConversationError::IdentitiesUnknown.into()),
        }
    }

    /// Something that somebody else sent.
    async fn foreign(
        &mut self,
        core: &Arc<Core>,
        batch: &mut Batch,
        envelope: &GroupEnvelope,
        header: &GroupMessageHeader,
        source: Source,
    ) -> Result<Step, Error> {
        let group = self.group.as_mut().expect("only what has keys is followed");
        let incoming = match group.process(&envelope.data) {
            Ok(incoming) => incoming,
            Err(ProcessError::ExpiredKeyPackage { .. }) => {
                self.row.trouble = Some((Trouble::LockedOut, envelope.sequence));
                batch.row = Some(self.row.clone());
                tracing::warn!(
                    group = %self.row.id, sequence = envelope.sequence,
                    "a commit adds a key package that has expired; this installation cannot follow"
                );
                batch.wants_readd = Some(core.me.key());
                return Ok(Step::Stop);
            }
            Err(ProcessError::FutureEpoch { .. }) if source == Source::Stream => {
                return Ok(Step::Missing);
            }
            Err(ProcessError::FutureEpoch { .. })
                if header.content == ContentType::Application
                    && envelope.data.len() <= early::MOST_BYTES =>
            {
                batch.early.push(envelope.clone());
                return Ok(Step::Next);
            }
            Err(cause) => {
                tracing::debug!(
                    group = %self.row.id, sequence = envelope.sequence, %cause,
                    "a message cannot be read"
                );
                if header.content == ContentType::Commit {
                    let result = if header.epoch == self.row.epoch { 3 } else { 2 };
                    self.log_failure(batch, envelope, None, &cause.to_string(), result);
                }
                return Ok(Step::Next);
            }
        };
        match incoming {
            Incoming::Application {
                sender, plaintext, ..
            } => {
                let by_super_admin = self.is_super_admin(&sender.inbox_id);
                let expire_ns = self.expiry(batch.now_ns);
                match content::read(Arrival {
                    group: &self.row.id,
                    sender,
                    plaintext,
                    envelope,
                    now_ns: batch.now_ns,
                    by_super_admin,
                    expire_ns,
                }) {
                    Some(arrived) => {
                        if arrived.leaves {
                            batch.leaving.push(sender.inbox_id);
                            self.leaving.insert(sender.inbox_id);
                            if sender.inbox_id == core.me.inbox_id() {
                                self.row.membership = MembershipState::PendingRemove;
                                batch.row = Some(self.row.clone());
                            }
                        }
                        batch.messages.push(arrived.message);
                    }
                    None => tracing::debug!(
                        group = %self.row.id, sequence = envelope.sequence,
                        "a message has no content"
                    ),
                }
                self.keep_keys(batch);
                Ok(Step::Next)
            }
            Incoming::Commit(staged) => self.merge_foreign(core, batch, envelope, *staged).await,
            // Groups of the present form have neither; what they change has no effect here.
            Incoming::Own { .. } | Incoming::Proposal(_) | Incoming::AppDataCommit(_) => {
                self.group_mut().rollback();
                Ok(Step::Next)
            }
        }
    }

    /// A message that came before its epoch, now that this has begun.
    pub(super) async fn read_early(
        &mut self,
        core: &Arc<Core>,
        batch: &mut Batch,
        envelope: &GroupEnvelope,
        header: &GroupMessageHeader,
    ) -> Result<(), Error> {
        self.foreign(core, batch, envelope, header, Source::Query)
            .await?;
        Ok(())
    }

    /// Judges somebody else's commit and merges it, or not.
    async fn merge_foreign(
        &mut self,
        core: &Core,
        batch: &mut Batch,
        envelope: &GroupEnvelope,
        staged: StagedCommit,
    ) -> Result<Step, Error> {
        let facts = staged.facts().clone();
        let verdict = match core.judge(&facts).await {
            Ok(verdict) => verdict,
            Err(cause) => {
                self.group_mut().rollback();
                return Err(cause);
            }
        };
        match verdict {
            Verdict::Accept(summary) => {
                self.merge(core, batch, envelope, staged, &facts, &summary)?;
                self.drop_readds(batch, &summary.readded_installations);
                Ok(Step::Next)
            }
            Verdict::Pause(version) => {
                self.group_mut().rollback();
                self.pause(core, batch, &version);
                Ok(Step::Stop)
            }
            Verdict::Refuse(refusal) => {
                self.group_mut().rollback();
                tracing::warn!(
                    group = %self.row.id, sequence = envelope.sequence, %refusal,
                    "a commit breaks the rules and is passed over"
                );
                let sender = facts.committer.map(|leaf| leaf.inbox_id);
                self.log_failure(batch, envelope, sender, &refusal.to_string(), 4);
                Ok(Step::Next)
            }
            Verdict::Ask(_) => {
                self.group_mut().rollback();
                Err(ConversationError::IdentitiesUnknown.into())
            }
        }
    }

    /// Takes an accepted commit over: the next epoch begins.
    fn merge(
        &mut self,
        core: &Core,
        batch: &mut Batch,
        envelope: &GroupEnvelope,
        staged: StagedCommit,
        facts: &CommitFacts,
        summary: &CommitSummary,
    ) -> Result<(), Error> {
        let group = self.group.as_mut().expect("only what has keys is followed");
        let last_authenticator = group.epoch_authenticator();
        if let Err(cause) = group.merge(staged) {
            group.rollback();
            return Err(ConversationError::Engine(cause.to_string()).into());
        }
        batch.commits.push(CommitLogRow {
            sequence: envelope.sequence,
            last_authenticator,
            result: 1,
            epoch: group.epoch(),
            authenticator: group.epoch_authenticator(),
            sender: facts.committer.map(|leaf| leaf.inbox_id),
            cause: format!("{:?}", summary.kind()),
        });
        self.row.epoch = group.epoch();
        self.row.context = group.context();
        self.row.active = group.is_active();
        self.row.paused_for = None;

        batch.row = Some(self.row.clone());
        let entry = content::transcript(summary, &self.leaving, envelope, batch.now_ns);
        batch.messages.extend(entry);
        self.leaving
            .retain(|inbox| !summary.removed_inboxes.contains(inbox));
        batch.left.extend(&summary.removed_inboxes);
        let readded = summary.readded_installations.iter();
        batch
            .readded
            .extend(readded.map(|one| (*one, envelope.sequence)));
        self.keep_keys(batch);
        if !self.row.active {
            self.give_up(batch);
            core.live.remove(&self.row.id);
        }
        Ok(())
    }

    /// Somebody else added these installations again: once is enough.
    fn drop_readds(&mut self, batch: &mut Batch, done: &BTreeSet<InstallationKey>) {
        let intents = self.intents.values();
        let over = intents.filter(|intent| match &intent.wish {
            Wish::Readd(wanted) => {
                intent.state != IntentState::Committed
                    && wanted.iter().all(|one| done.contains(one))
            }
            _ => false,
        });
        for intent in over.map(|intent| intent.id).collect::<Vec<_>>() {
            self.done(batch, intent);
        }
    }

    /// Collects the rows that the engine changed since the last time.
    pub(crate) fn keep_keys(&mut self, batch: &mut Batch) {
        let changes = self.group_mut().take_changes().into_iter();
        batch
            .mls
            .extend(changes.map(|change| (change.key, change.value)));
    }

    pub(crate) fn group_mut(&mut self) -> &mut Group {
        self.group.as_mut().expect("only what has keys is followed")
    }

    /// Stands still until this program is newer.
    fn pause(&mut self, core: &Core, batch: &mut Batch, version: &Version) {
        core.live.remove(&self.row.id);
        let wanted = Some(version.to_string());
        if self.row.paused_for != wanted {
            self.row.paused_for = wanted;
            batch.row = Some(self.row.clone());
        }
    }

    /// A removed member has nothing left to do, but to send the welcomes of commits that came
    /// through.
    fn give_up(&mut self, batch: &mut Batch) {
        let over = self.intents.values();
        let over = over.filter(|intent| intent.state != IntentState::Committed);
        for (intent, message) in over
            .map(|intent| (intent.id, intent.message_id))
            .collect::<Vec<_>>()
        {
            batch.failed.extend(message);
            self.done(batch, intent);
        }
    }

    /// Writes an intent anew. One that is given up goes, with what it holds.
    pub(crate) fn change(&mut self, batch: &mut Batch, intent: super::intent::Intent) {
        if intent.state == IntentState::Failed {
            self.done(batch, intent.id);
            return;
        }
        self.remember(intent.clone());
        batch.intents.push(IntentChange::Update(Box::new(intent)));
    }

    pub(crate) fn done(&mut self, batch: &mut Batch, intent: i64) {
        if let Some(hash) = self
            .intents
            .remove(&intent)
            .and_then(|one| one.payload_hash)
        {
            self.sent.remove(&hash);
        }
        batch.intents.push(IntentChange::Delete(intent));
    }

    fn log_failure(
        &self,
        batch: &mut Batch,
        envelope: &GroupEnvelope,
        sender: Option<InboxId>,
        cause: &str,
        result: i64,
    ) {
        let Some(group) = &self.group else { return };
        let authenticator = group.epoch_authenticator();
        batch.commits.push(CommitLogRow {
            sequence: envelope.sequence,
            last_authenticator: authenticator.clone(),
            result,
            epoch: group.epoch(),
            authenticator,
            sender,
            cause: cause.to_owned(),
        });
    }

    pub(super) fn is_super_admin(&self, inbox_id: &InboxId) -> bool {
        let mutable = self.row.context.mutable_metadata();
        mutable.is_ok_and(|mutable| mutable.is_super_admin(*inbox_id))
    }

    /// When a message that arrives now disappears.
    pub(crate) fn expiry(&self, now_ns: u64) -> Option<u64> {
        let settings = self.row.context.mutable_metadata().ok()?.disappearing()?;
        let expiry = settings.expiry_ns(i64::try_from(now_ns).ok()?)?;
        u64::try_from(expiry).ok()
    }
}

/// The frame of a message that is encrypted and belongs to this group.
pub(super) fn private_header(id: &GroupId, data: &Bytes) -> Option<GroupMessageHeader> {
    const PRIVATE_MESSAGE: [u8; 4] = [0, 1, 0, 2];
    let header = GroupMessageHeader::parse(data).ok()?;
    let ours = header.group_id == id.as_bytes() && data.starts_with(&PRIVATE_MESSAGE);
    ours.then_some(header)
}

//! Reading a conversation's log, strictly in its order, each envelope once.
//!
//! A page of envelopes is worked through in memory and then written in one transaction: keys,
//! cursor, messages, and what became of our own intents. Commits are judged before they are
//! merged; the identity updates they refer to are fetched first.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use folkmoot_conversation::{
    CommitFacts, ContentType, Group, GroupMessageHeader, Incoming, ProcessError, StagedCommit,
    UnresolvedCommit,
    app_data::outcome,
    judge::{CommitSummary, Verdict},
    version::Version,
};
use folkmoot_wire::{COMMIT_ORIGINATOR, GroupId, InboxId, InstallationKey, VectorClock};
use sha2::{Digest, Sha256};

use super::{
    ConversationError,
    content::{self, Arrival},
    core::Core,
    early,
    intent::{IntentState, Wish},
    rows::{Batch, CommitLogRow, Delivered, IntentChange, MembershipState, Trouble, is_restored},
    state::{Loaded, State},
};
use crate::{
    Error,
    network::{GroupEnvelope, Page, V3_MESSAGES},
};

/// Envelopes in a page of a v3 node.
const PAGE: usize = 100;
/// Pages that are read once more when a commit is missing.
const LOOK_BACK_PAGES: usize = 20;
/// How far ahead of our clock a key package may begin for us to wait: a day.
const LONGEST_WAIT_SECONDS: u64 = 24 * 3600;
/// Past epochs whose messages can be read. What is no older has its place in the log: others read
/// it there.
const PAST_EPOCHS: u64 = 3;

/// From where envelopes come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Source {
    /// The node answered a question: nothing is missing before them.
    Query,
    /// A stream brought them.
    Stream,
    /// They came by another way: nothing is known about what was before them, nor whether they are
    /// of this group at all.
    Push,
}

/// Whether the log of a group leaves us behind, as far as the present look at it shows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Parted {
    #[default]
    Unknown,
    /// A commit is missing.
    Suspected,
    /// And the node does not have it, or we refused it.
    Certain,
}

/// How to go on after an envelope.
pub(super) enum Step {
    Next,
    /// Something before it was missed: the node must be asked.
    Missing,
    /// What follows cannot be read (yet).
    Stop,
    /// It is of an epoch that we have not reached although nothing before it is missing.
    Parted,
}

impl State {
    /// Reads the log to its end. Returns how many envelopes were new.
    pub(crate) async fn receive(&mut self, core: &Arc<Core>) -> Result<usize, Error> {
        let mut count = 0;
        let mut fetched = None;
        self.parted = Parted::Unknown;
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
            let envelopes = page.envelopes.into_iter();
            // What was not asked for says nothing about this group.
            let envelopes = envelopes.filter(|one| one.group_id == id);
            let page = Page {
                envelopes: envelopes.collect(),
                more: page.more,
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
                if taking.await? {
                    break;
                }
                if self.parted == Parted::Suspected {
                    count += self.look_back(core).await?;
                    continue;
                }
                break;
            }
            // The next page comes while this one is worked through.
            let next = core.network.group_messages(&id, &after, PAGE);
            let (goes_on, next) = tokio::join!(taking, next);
            if !goes_on? {
                if self.parted == Parted::Suspected {
                    count += self.look_back(core).await?;
                    continue;
                }
                break;
            }
            fetched = Some(next?);
        }
        self.behind = false;
        self.unsettled_ns = None;
        Ok(count)
    }

    /// Something is of an epoch that we have not reached, so a commit is missing. A v3 node that
    /// held it back when it was its turn may give it now: everything since the last commit is asked
    /// for once more. What is found is taken; if nothing is, we have parted from the group.
    async fn look_back(&mut self, core: &Arc<Core>) -> Result<usize, Error> {
        self.parted = Parted::Certain;
        let loaded = self.load(core).await?;
        let epoch = loaded.row.epoch;
        let newest = loaded.cursor.last_seen(COMMIT_ORIGINATOR);
        let kept = loaded.cursor.iter().filter(|(one, _)| *one != V3_MESSAGES);
        let mut after: VectorClock = kept.collect();
        let id = self.id.clone();
        let mut count = 0;
        for _ in 0..LOOK_BACK_PAGES {
            let page = core.network.group_messages(&id, &after, PAGE).await?;
            for envelope in &page.envelopes {
                after.advance(envelope.originator, envelope.sequence);
            }
            let missed: Vec<_> = page
                .envelopes
                .into_iter()
                .filter(|one| one.group_id == id)
                .filter(|one| one.originator == COMMIT_ORIGINATOR && one.sequence > newest)
                .collect();
            count += missed.len();
            if !missed.is_empty() && !self.take(core, missed, Source::Query).await? {
                break;
            }
            if !page.more {
                break;
            }
        }
        if self.load(core).await?.row.epoch > epoch {
            self.parted = Parted::Unknown;
        }
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
                Ok(Step::Parted) if self.parted == Parted::Unknown => {
                    self.parted = Parted::Suspected;
                    outcome = Ok(false);
                    break;
                }
                Ok(Step::Parted) => loaded.part(&mut batch, envelope),
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
        // Once for all: each message changes the same rows.
        if let Some(loaded) = &mut self.loaded
            && loaded.group.is_some()
        {
            loaded.keep_keys(&mut batch);
        }
        self.write_soon(core, batch).await?;
        if lost {
            core.work_off_readds_soon();
        }
        if self.load(core).await?.row.epoch != epoch || self.unread_early {
            self.unread_early = true;
            self.take_early(core).await?;
            self.unread_early = false;
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
        if self.read_before.remove(&envelope.sequence) {
            self.pass(batch, envelope);
            return Ok(Step::Next);
        }
        let Some(header) = private_header(&self.row.id, &envelope.data) else {
            self.pass(batch, envelope);
            return Ok(Step::Next);
        };
        let hash: [u8; 32] = Sha256::digest(&envelope.data).into();
        if let Some(id) = self.pushed.remove(&hash) {
            batch.delivered.push(Delivered {
                id,
                created_ns: Some(envelope.created_ns),
                place: Some((envelope.originator, envelope.sequence)),
                expire_ns: None,
            });
            batch.shown.push(hash);
            self.pass(batch, envelope);
            return Ok(Step::Next);
        }
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
        let verdict = match self.judged.take() {
            Some((hash, summary)) if intent.payload_hash == Some(hash) => Verdict::Accept(summary),
            _ => core.judge(&facts).await?,
        };
        match verdict {
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
    pub(super) async fn foreign(
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
            Err(cause) => return self.unusable(core, batch, envelope, header, source, cause),
        };
        match incoming {
            Incoming::Application {
                sender,
                epoch,
                plaintext,
            } => {
                batch.hear(sender.installation, epoch, envelope.created_ns);
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
                self.group_mut().hold();
                Ok(Step::Next)
            }
            Incoming::Commit(staged) => self.merge_foreign(core, batch, envelope, *staged).await,
            Incoming::AppDataCommit(commit) if core.version >= Version::APP_DATA => {
                self.resolve(core, batch, envelope, header, source, commit)
                    .await
            }
            Incoming::AppDataCommit(commit) => {
                let by_super_admin = self
                    .members()
                    .iter()
                    .find(|leaf| Some(leaf.index) == commit.committer())
                    .is_some_and(|leaf| self.is_super_admin(&leaf.inbox_id));
                self.group_mut().rollback();
                if by_super_admin {
                    // The group begins to live in a dictionary, which this version cannot follow.
                    self.pause(core, batch, &Version::APP_DATA);
                    return Ok(Step::Stop);
                }
                // Nobody else may do so, and everybody passes over it.
                self.log_failure(
                    batch,
                    envelope,
                    None,
                    "only a super admin converts a group",
                    4,
                );
                Ok(Step::Next)
            }
            // A commit of our own leaf that we know nothing of, for the epoch in which we are:
            // we made it after the copy was made that this database is.
            Incoming::Own { .. }
                if header.content == ContentType::Commit && header.epoch == self.row.epoch =>
            {
                self.group_mut().rollback();
                match core.db.read(|db| Ok(is_restored(db)?)).await? {
                    true => Ok(self.lock_out(core, batch, envelope)),
                    false => Ok(Step::Next),
                }
            }
            // A commit may take it in.
            Incoming::Proposal(proposal) if self.row.context.is_migrated() => {
                if let Err(cause) = self.group_mut().keep(proposal) {
                    self.group_mut().rollback();
                    tracing::warn!(
                        group = %self.row.id, sequence = envelope.sequence, %cause,
                        "a proposal is not kept"
                    );
                } else {
                    self.group_mut().hold();
                }
                Ok(Step::Next)
            }
            // Groups of the older form have no proposals that stand alone: without effect.
            Incoming::Own { .. } | Incoming::Proposal(_) => {
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

    /// A commit that others take and that MLS does not let us take: we are out until somebody adds
    /// us again.
    fn lock_out(&mut self, core: &Core, batch: &mut Batch, envelope: &GroupEnvelope) -> Step {
        self.row.trouble = Some((Trouble::LockedOut, envelope.sequence));
        batch.row = Some(self.row.clone());
        tracing::warn!(
            group = %self.row.id, sequence = envelope.sequence,
            "a commit that others take cannot be taken here; this installation cannot follow"
        );
        batch.wants_readd = Some(core.me.key());
        Step::Stop
    }

    /// Passes over something that cannot be read here because a commit is missing, or was taken by
    /// others and not by us, and says so. A message is kept, for the case that the commit comes.
    fn part(&mut self, batch: &mut Batch, envelope: &GroupEnvelope) {
        self.suspect(batch, envelope);
        let header = private_header(&self.row.id, &envelope.data);
        let is_message = header.is_some_and(|header| header.content != ContentType::Commit);
        if is_message && envelope.data.len() <= early::MOST_BYTES {
            self.early = true;
            batch.early.push(envelope.clone());
        }
        self.pass(batch, envelope);
    }

    /// Notes that something fits no commit that was met here.
    fn suspect(&mut self, batch: &mut Batch, envelope: &GroupEnvelope) {
        if self.row.trouble.is_none() {
            tracing::warn!(
                group = %self.row.id, sequence = envelope.sequence, epoch = self.row.epoch,
                "something fits no commit that was met here: this installation may have parted"
            );
            self.row.trouble = Some((Trouble::Parted, envelope.sequence));
            batch.row = Some(self.row.clone());
        }
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
                if matches!(self.row.trouble, Some((Trouble::Parted, _))) {
                    // Others go on from where we are.
                    self.row.trouble = None;
                }
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

    /// Works out what a commit makes of the group's dictionary, then judges it as any other.
    async fn resolve(
        &mut self,
        core: &Core,
        batch: &mut Batch,
        envelope: &GroupEnvelope,
        header: &GroupMessageHeader,
        source: Source,
        commit: UnresolvedCommit,
    ) -> Result<Step, Error> {
        let values = match outcome(&self.row.context, commit.changes()) {
            Ok(values) => values,
            Err(cause) => {
                let members = self.members();
                let mut leaves = members.iter();
                let sender = leaves.find(|leaf| Some(leaf.index) == commit.committer());
                self.group_mut().rollback();
                tracing::warn!(
                    group = %self.row.id, sequence = envelope.sequence, %cause,
                    "a commit to the group's dictionary is passed over"
                );
                let sender = sender.map(|leaf| leaf.inbox_id);
                self.log_failure(batch, envelope, sender, &cause.to_string(), 4);
                return Ok(Step::Next);
            }
        };
        match self.group_mut().resolve(commit, values) {
            Ok(staged) => self.merge_foreign(core, batch, envelope, staged).await,
            Err(cause) => {
                self.group_mut().rollback();
                self.unusable(core, batch, envelope, header, source, cause)
            }
        }
    }

    /// What becomes of something that MLS does not let us take.
    fn unusable(
        &mut self,
        core: &Core,
        batch: &mut Batch,
        envelope: &GroupEnvelope,
        header: &GroupMessageHeader,
        source: Source,
        cause: ProcessError,
    ) -> Result<Step, Error> {
        match cause {
            ProcessError::ExpiredKeyPackage { .. } => Ok(self.lock_out(core, batch, envelope)),
            // No clock is that wrong: others take the commit today, and we never could.
            ProcessError::EarlyKeyPackage { not_before, now }
                if not_before.saturating_sub(now) > LONGEST_WAIT_SECONDS =>
            {
                Ok(self.lock_out(core, batch, envelope))
            }
            ProcessError::EarlyKeyPackage { not_before, now } => {
                let sequence = envelope.sequence;
                Err(ConversationError::ClockBehind {
                    sequence,
                    not_before,
                    now,
                }
                .into())
            }
            ProcessError::FutureEpoch { .. } if source == Source::Query => Ok(Step::Parted),
            // A stream may also bring a commit before a proposal that it takes in.
            ProcessError::FutureEpoch { .. } | ProcessError::MissingProposal
                if source != Source::Query =>
            {
                Ok(Step::Missing)
            }
            cause => {
                tracing::debug!(
                    group = %self.row.id, sequence = envelope.sequence, %cause,
                    "a message cannot be read"
                );
                if cause == ProcessError::Undecryptable && source != Source::Push {
                    self.suspect(batch, envelope);
                }
                if header.content == ContentType::Commit {
                    let result = if header.epoch == self.row.epoch { 3 } else { 2 };
                    self.log_failure(batch, envelope, None, &cause.to_string(), result);
                }
                Ok(Step::Next)
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
        if let Some(committer) = facts.committer {
            batch.hear(committer.installation, group.epoch(), envelope.created_ns);
        }
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
        let mutable = self.row.context.parts().mutable_metadata();
        mutable.is_ok_and(|mutable| mutable.is_super_admin(*inbox_id))
    }

    /// When a message that arrives now disappears.
    pub(crate) fn expiry(&self, now_ns: u64) -> Option<u64> {
        let mutable = self.row.context.parts().mutable_metadata().ok()?;
        let settings = mutable.disappearing()?;
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

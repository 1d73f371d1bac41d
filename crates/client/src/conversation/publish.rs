//! Sending: messages and commits, from what is wanted to what the node has.
//!
//! What is sent is stored first, in one transaction with the keys it used up, and only then
//! handed to the node; the same bytes again are no second message. Messages go many at a time. A
//! commit waits until the node shows it in its place in the log: only then is it merged. One that
//! came too late is made anew.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use folkmoot_conversation::{
    ConsentState,
    app_data::BootstrapError,
    context::Attribute,
    judge::CommitSummary,
    leave,
    version::{InvalidVersion, Version},
};
use folkmoot_wire::{COMMIT_ORIGINATOR, MessageId, VectorClock};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::{
    ConversationError,
    core::Core,
    intent::{Intent, IntentState, Wish},
    rows::{
        Batch, Delivered, IntentChange, MembershipState, MessageRow, Overwrite, Trouble, Written,
    },
    slot::Slot,
    state::{Loaded, State},
};
use crate::{
    Error,
    network::{NetworkError, OutgoingMessage},
};

/// A message on its way to the front of the queue.
pub(crate) struct QueuedSend {
    /// The `PlaintextEnvelope`.
    pub(crate) envelope: Vec<u8>,
    pub(crate) message: MessageRow,
    pub(crate) should_push: bool,
    /// Also when those who share the group's history cannot read it.
    pub(crate) despite_fork: bool,
    pub(crate) reply: oneshot::Sender<Result<MessageId, Error>>,
}

/// How often a commit is made anew because others came first.
const RACES: u32 = 12;
/// How often something that cannot be made is tried.
const ATTEMPTS: u32 = 3;
/// The first pause after a lost race; it grows threefold, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How old our knowledge of the members' installations may be when we send: 5 s.
const FRESH_NS: u64 = 5_000_000_000;
/// How long after sending the log is read.
const SETTLE: Duration = Duration::from_millis(300);
const LONGEST_SETTLE: Duration = Duration::from_secs(30);
/// How long we go on sending without reading the log: 0.5 s. Others could not read what is sealed
/// for an epoch that is four commits old.
const UNREAD_NS: u64 = 500_000_000;
/// How old our leaf may be when we send: 30 days.
const ROTATION_NS: u64 = 30 * 24 * 3600 * 1_000_000_000;

impl Core {
    /// Sends everything that is queued at `slot`, as one batch.
    pub(crate) async fn send_queued(self: &Arc<Self>, slot: &Arc<Slot>) {
        let mut state = slot.lock().await;
        let mut queued = std::mem::take(&mut *slot.sends.lock());
        if queued.iter().any(|one| !one.despite_fork)
            && let Ok(loaded) = state.load(self).await
            && let Err(cause) = loaded.shares_history()
        {
            let (refused, sent): (Vec<_>, Vec<_>) =
                queued.into_iter().partition(|one| !one.despite_fork);
            queued = sent;
            for one in refused {
                // Whoever asked may be gone.
                let _ = one.reply.send(Err(cause.clone().into()));
            }
        }
        if queued.is_empty() {
            state.finish();
            return;
        }
        let (replies, sends): (Vec<_>, Vec<_>) = queued
            .into_iter()
            .map(|one| {
                let id = one.message.id;
                (
                    (one.reply, id),
                    (one.envelope, one.message, one.should_push),
                )
            })
            .unzip();
        match state.send_all(self, sends).await {
            Ok(refused) => {
                for (reply, id) in replies {
                    let refused = refused.iter().find(|one| one.message == id);
                    let result = refused.map_or(Ok(id), |one| Err(one.cause.clone().into()));
                    // Whoever asked may be gone.
                    let _ = reply.send(result);
                }
            }
            Err(cause) => {
                let cause = match self.explain::<()>(Err(cause)).await {
                    Err(cause) => Arc::new(cause),
                    Ok(()) => unreachable!("an error is explained by one"),
                };
                for (reply, _) in replies {
                    let _ = reply.send(Err(Error::Shared(Arc::clone(&cause))));
                }
            }
        }
        let unsettled = state.unsettled_ns.is_some() && !self.live.follows(&slot.id);
        if unsettled && !std::mem::replace(&mut state.settling, true) {
            self.settle_later(slot);
        }
        state.finish();
    }
}

impl Core {
    /// Reads a conversation's log in a moment, to see that what was sent there could still be read
    /// when it arrived. Whoever listens hears of it anyhow.
    fn settle_later(self: &Arc<Self>, slot: &Arc<Slot>) {
        let core = Arc::downgrade(self);
        let slot = Arc::clone(slot);
        tokio::spawn(async move {
            let mut pause = SETTLE;
            loop {
                tokio::time::sleep(pause).await;
                let Some(core) = core.upgrade() else { return };
                let settled = core.run(&slot.id, |state, core| {
                    Box::pin(async move {
                        let result = state.sync(core).await;
                        // One such loop at a time.
                        state.settling = result.as_ref().is_err_and(Error::is_retryable);
                        result
                    })
                });
                match settled.await {
                    Err(cause) if cause.is_retryable() => pause = (pause * 2).min(LONGEST_SETTLE),
                    _ => return,
                }
            }
        });
    }

    /// Sees to it that everything that was sent could be read: to be awaited before the program
    /// ends.
    pub(crate) async fn settle(self: &Arc<Self>) -> Result<(), Error> {
        for slot in self.slots.recent() {
            let unsettled = self
                .run(&slot.id, |state, _| {
                    let unsettled = state.unsettled_ns.is_some();
                    Box::pin(async move { Ok(unsettled) })
                })
                .await?;
            if unsettled {
                self.run(&slot.id, |state, core| Box::pin(state.sync(core)))
                    .await?;
            }
        }
        Ok(())
    }
}

impl State {
    /// Stores messages, seals them and hands them to the node, after those that still wait. They
    /// are stored before the network is asked anything, so that they survive its errors.
    async fn send_all(
        &mut self,
        core: &Arc<Core>,
        sends: Vec<(Vec<u8>, MessageRow, bool)>,
    ) -> Result<Vec<Refused>, Error> {
        core.require_not_revoked()?;
        self.load(core).await?.can_send()?;
        let at_once = self.is_ready(core) && !self.has_waiting_messages();
        let loaded = self.load(core).await?;
        let mut batch = loaded.batch(core);
        batch.consent = Some((ConsentState::Allowed, Overwrite::Replace));
        let mut outgoing = Vec::with_capacity(sends.len());
        let mut ids = Vec::with_capacity(sends.len());
        let by_super_admin = loaded.is_super_admin(&core.me.inbox_id());
        for (envelope, mut message, should_push) in sends {
            message.by_super_admin = by_super_admin;
            let mut intent = Intent::new(Wish::Send(envelope));
            intent.message_id = Some(message.id);
            intent.should_push = should_push;
            if at_once {
                match loaded.seal(core, &mut intent) {
                    Ok(sealed) => outgoing.push(sealed),
                    Err(cause) => {
                        loaded.group_mut().rollback();
                        return Err(cause);
                    }
                }
            }
            ids.push(message.id);
            batch.messages.push(message);
            batch.intents.push(IntentChange::Insert(Box::new(intent)));
        }
        if at_once {
            loaded.keep_keys(&mut batch);
        }
        let written = self.write(core, batch).await?;
        if at_once {
            let intents = written.intents.into_iter().zip(ids).zip(outgoing);
            let sealed = intents.map(|((intent, message), outgoing)| Sealed {
                intent,
                message,
                outgoing,
            });
            return self.hand_over(core, sealed.collect()).await;
        }
        match self.ready_to_send(core).await {
            Ok(()) => self.publish_messages(core).await,
            Err(cause) => {
                if !cause.is_retryable() {
                    self.give_up_messages(core, &ids).await?;
                }
                Err(cause)
            }
        }
    }

    /// Hands sealed messages to the node. Those that it refuses are given up: nothing would ever
    /// make it take them, and they must not stand in the way of others.
    async fn hand_over(
        &mut self,
        core: &Arc<Core>,
        sealed: Vec<Sealed>,
    ) -> Result<Vec<Refused>, Error> {
        let all = sealed.iter().map(|one| one.outgoing.clone()).collect();
        let refusal = match core.network.publish_group_messages(all).await {
            Ok(()) => {
                self.published(core, &sealed).await?;
                return Ok(Vec::new());
            }
            Err(cause) if cause.is_final() => cause,
            Err(cause) => return Err(cause.into()),
        };
        let mut refused = Vec::new();
        let alone = sealed.len() == 1;
        for one in sealed {
            let result = match alone {
                true => Err(refusal.clone()),
                false => {
                    let message = vec![one.outgoing.clone()];
                    core.network.publish_group_messages(message).await
                }
            };
            match result {
                Ok(()) => self.published(core, &[one]).await?,
                Err(cause) if cause.is_final() => {
                    tracing::warn!(
                        group = %self.id, message = %one.message, %cause,
                        "the network refuses a message"
                    );
                    self.give_up_messages(core, &[one.message]).await?;
                    refused.push(Refused {
                        message: one.message,
                        cause,
                    });
                }
                Err(cause) => return Err(cause.into()),
            }
        }
        Ok(refused)
    }

    /// Notes that messages will not be sent.
    async fn give_up_messages(&mut self, core: &Core, ids: &[MessageId]) -> Result<(), Error> {
        let loaded = self.load(core).await?;
        let mut batch = loaded.batch(core);
        let intents = loaded.intents.values();
        let over = intents.filter(|intent| intent.message_id.is_some_and(|id| ids.contains(&id)));
        for intent in over.map(|intent| intent.id).collect::<Vec<_>>() {
            loaded.done(&mut batch, intent);
        }
        batch.failed.extend(ids);
        self.write(core, batch).await?;
        Ok(())
    }

    /// Stores a message that a later [`State::publish`] sends.
    pub(crate) async fn store_unsent(
        &mut self,
        core: &Arc<Core>,
        envelope: Vec<u8>,
        mut message: MessageRow,
        should_push: bool,
    ) -> Result<(), Error> {
        core.require_not_revoked()?;
        let loaded = self.load(core).await?;
        loaded.can_send()?;
        loaded.shares_history()?;
        message.by_super_admin = loaded.is_super_admin(&core.me.inbox_id());
        let mut intent = Intent::new(Wish::Send(envelope));
        intent.message_id = Some(message.id);
        intent.should_push = should_push;
        let mut batch = loaded.batch(core);
        batch.consent = Some((ConsentState::Allowed, Overwrite::Replace));
        batch.messages.push(message);
        batch.intents.push(IntentChange::Insert(Box::new(intent)));
        self.write(core, batch).await?;
        Ok(())
    }

    /// Marks messages that the node has taken.
    async fn published(&mut self, core: &Core, sealed: &[Sealed]) -> Result<(), Error> {
        let now_ns = core.now_ns();
        self.unsettled_ns.get_or_insert(now_ns);
        self.acknowledged
            .extend(sealed.iter().map(|one| one.intent));
        let loaded = self.load(core).await?;
        let mut batch = loaded.batch(core);
        let expire_ns = loaded.expiry(now_ns);
        batch.delivered = sealed
            .iter()
            .map(|one| Delivered {
                id: one.message,
                created_ns: None,
                place: None,
                expire_ns,
            })
            .collect();
        self.write_soon(core, batch).await?;
        Ok(())
    }

    /// Brings the conversation into a state in which others can read what we say: every
    /// installation of every member is in the group, our leaf is not old, and we are not far
    /// behind.
    pub(crate) async fn ready_to_send(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        let now_ns = core.now_ns();
        let loaded = self.load(core).await?;
        loaded.can_send()?;
        let check = now_ns.saturating_sub(loaded.row.checked_ns) > FRESH_NS;
        let reads = (check || self.is_unread(core)) && self.must_ask(core);
        // What may have arrived is looked for in the log before it is sent again.
        if reads || self.has_doubtful_messages() {
            self.receive(core).await?;
            self.load(core).await?.can_send()?;
        }
        if check {
            self.refresh_members(core).await?;
        }
        let loaded = self.load(core).await?;
        if now_ns.saturating_sub(loaded.row.rotated_ns) > ROTATION_NS {
            self.commit(core, Wish::KeyUpdate).await?;
        }
        Ok(())
    }

    /// Whether [`State::ready_to_send`] has nothing to do. To be asked of a loaded conversation.
    fn is_ready(&self, core: &Core) -> bool {
        let now_ns = core.now_ns();
        let Some(loaded) = &self.loaded else {
            return false;
        };
        let since = |then| now_ns.saturating_sub(then);
        since(loaded.row.checked_ns) <= FRESH_NS
            && since(loaded.row.rotated_ns) <= ROTATION_NS
            && !(self.is_unread(core) && self.must_ask(core))
    }

    /// Whether we have been sending for long without reading the log.
    fn is_unread(&self, core: &Core) -> bool {
        let now_ns = core.now_ns();
        self.unsettled_ns
            .is_some_and(|since| now_ns.saturating_sub(since) > UNREAD_NS)
    }

    /// Whether news do not come by themselves.
    fn must_ask(&self, core: &Core) -> bool {
        !core.live.follows(&self.id) || self.behind
    }

    /// Whether messages were sent of which nobody knows if they arrived.
    fn has_doubtful_messages(&self) -> bool {
        self.some_message(|intent| {
            intent.state == IntentState::Published && !self.acknowledged.contains(&intent.id)
        })
    }

    /// Whether messages are to be sent, perhaps again.
    pub(crate) fn has_waiting_messages(&self) -> bool {
        self.has_doubtful_messages() || self.is_something_to_seal()
    }

    fn is_something_to_seal(&self) -> bool {
        self.some_message(|intent| intent.state == IntentState::ToPublish)
    }

    fn some_message(&self, like: impl Fn(&Intent) -> bool) -> bool {
        let intents = self.loaded.iter().flat_map(|one| one.intents.values());
        intents.into_iter().any(|one| !one.is_commit() && like(one))
    }

    /// Adds installations that members have got, and removes those they have lost.
    pub(crate) async fn refresh_members(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        let now_ns = core.now_ns();
        let loaded = self.load(core).await?;
        let membership = loaded.context()?.membership;
        let inboxes: Vec<_> = membership.inbox_ids().collect();
        let newest = core.refresh(&inboxes).await?;
        let stale = membership
            .members
            .iter()
            .any(|(inbox, sequence)| newest.get(inbox).is_some_and(|newest| newest > sequence));
        if stale {
            let nobody = Wish::Membership {
                add: Vec::new(),
                remove: Vec::new(),
            };
            self.commit(core, nobody).await?;
        }
        let loaded = self.load(core).await?;
        let context = loaded.context()?;
        if context.mutable.is_super_admin(core.me.inbox_id()) {
            let mut stale = loaded.stale_leaves(core, &context.membership).await?;
            stale.remove(&core.me.key());
            if !stale.is_empty() {
                let gone = Wish::Readd(stale.into_iter().collect());
                self.commit(core, gone).await?;
            }
        }
        let loaded = self.load(core).await?;
        loaded.row.checked_ns = now_ns;
        let mut batch = loaded.batch(core);
        batch.row = Some(loaded.row.clone());
        self.write_quietly(core, batch).await?;
        Ok(())
    }

    /// Publishes what waits, reads the log, sends welcomes.
    pub(crate) async fn sync(&mut self, core: &Arc<Core>) -> Result<usize, Error> {
        let loaded = self.load(core).await?;
        if !loaded.follows() {
            self.send_welcomes(core).await?;
            return Ok(0);
        }
        let mut count = self.receive(core).await?;
        if count == 0 && self.doubted && self.step_back(core).await? {
            count = self.receive(core).await?;
        }
        if self.has_work() {
            self.publish(core).await?;
            self.receive(core).await?;
        }
        self.send_welcomes(core).await?;
        self.finish_own_work(core).await?;
        Ok(count)
    }

    /// Whether something was asked for and is not done.
    fn has_work(&self) -> bool {
        self.loaded
            .as_ref()
            .is_some_and(|loaded| loaded.follows() && !loaded.intents.is_empty())
    }

    /// Publishes what waits, after the log was read: messages, and one commit at most. That the
    /// one fails does not hold up the other.
    pub(crate) async fn publish(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        let messages = self.publish_messages(core).await;
        let commit = self.publish_commit(core).await;
        messages?;
        commit
    }

    /// Seals and sends the messages that wait, and sends again those of which nobody knows if they
    /// arrived: the log was read, and they were not in it. Says which the network refuses.
    pub(crate) async fn publish_messages(
        &mut self,
        core: &Arc<Core>,
    ) -> Result<Vec<Refused>, Error> {
        let loaded = self.load(core).await?;
        let is_leaf_old = loaded.row.rotated_ns == 0;
        if !loaded.publishes() || !self.has_waiting_messages() {
            return Ok(Vec::new());
        }
        if is_leaf_old && self.is_something_to_seal() {
            // Keys that somebody else chose, or that this installation used before it was put back
            // from a copy.
            self.commit(core, Wish::KeyUpdate).await?;
        }
        let acknowledged = self.acknowledged.clone();
        let loaded = self.load(core).await?;
        let mut batch = loaded.batch(core);
        let mut sealed = Vec::new();
        for mut intent in loaded.intents.values().cloned().collect::<Vec<_>>() {
            let Some(message) = intent.message_id.filter(|_| !intent.is_commit()) else {
                continue;
            };
            let id = intent.id;
            let outgoing = match (intent.state, intent.payload.clone()) {
                (IntentState::ToPublish, _) => match loaded.seal(core, &mut intent) {
                    Ok(sealed) => {
                        batch.intents.push(IntentChange::Update(Box::new(intent)));
                        sealed
                    }
                    Err(cause) => {
                        loaded.group_mut().rollback();
                        return Err(cause);
                    }
                },
                // The node knows these bytes if it has them.
                (IntentState::Published, Some(payload)) if !acknowledged.contains(&id) => {
                    loaded.outgoing(core, payload.into(), intent.should_push)
                }
                _ => continue,
            };
            sealed.push(Sealed {
                intent: id,
                message,
                outgoing,
            });
        }
        loaded.keep_keys(&mut batch);
        self.write(core, batch).await?;
        self.hand_over(core, sealed).await
    }

    /// Makes and sends the first commit that waits, unless one is under way.
    async fn publish_commit(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        let loaded = self.load(core).await?;
        if !loaded.publishes() {
            return Ok(());
        }
        let commits = loaded.intents.values().filter(|one| one.is_commit());
        let waiting: Vec<_> = commits
            .filter(|one| one.state != IntentState::Committed)
            .cloned()
            .collect();
        let under_way = waiting
            .iter()
            .find(|one| one.state == IntentState::Published);
        if let Some(intent) = under_way {
            if intent.epoch != Some(loaded.row.epoch) {
                // The epoch for which it was made is over, and it was not in the log.
                let mut intent = intent.clone();
                intent.rebuild();
                let mut batch = loaded.batch(core);
                loaded.change(&mut batch, intent);
                self.write(core, batch).await?;
            } else if let Some(payload) = intent.payload.clone() {
                let id = intent.id;
                let message = loaded.outgoing(core, payload.into(), false);
                if self.acknowledged.contains(&id) {
                    return Ok(());
                }
                return self.hand_over_commit(core, id, message).await;
            } else {
                return Ok(());
            }
        }
        let loaded = self.load(core).await?;
        let next = loaded
            .intents
            .values()
            .find(|one| one.is_commit() && one.state == IntentState::ToPublish);
        let Some(mut intent) = next.cloned() else {
            return Ok(());
        };
        match loaded.build(core, &intent.wish).await {
            Ok(None) => {
                let mut batch = loaded.batch(core);
                loaded.done(&mut batch, intent.id);
                self.write(core, batch).await?;
                Ok(())
            }
            Ok(Some(built)) => {
                let id = intent.id;
                let message = loaded.note_commit(core, &mut intent, built);
                let change = IntentChange::Update(Box::new(intent));
                self.write_commit(core, change).await?;
                self.hand_over_commit(core, id, message).await
            }
            Err(cause) => {
                loaded.group_mut().rollback();
                // A network that is away says nothing about the wish.
                if !matches!(cause, Error::Network(_)) {
                    intent.attempts += 1;
                }
                if cause.is_retryable() && intent.attempts < ATTEMPTS {
                    let mut batch = loaded.batch(core);
                    loaded.change(&mut batch, intent);
                    self.write(core, batch).await?;
                    return Err(cause);
                }
                intent.state = IntentState::Failed;
                let id = intent.id;
                let mut batch = loaded.batch(core);
                loaded.change(&mut batch, intent);
                self.write(core, batch).await?;
                self.failures.insert(id, cause);
                Ok(())
            }
        }
    }

    /// Hands a commit to the node. One that it refuses is given up, unless it turns out to be in
    /// the log, from an earlier attempt.
    async fn hand_over_commit(
        &mut self,
        core: &Arc<Core>,
        id: i64,
        message: OutgoingMessage,
    ) -> Result<(), Error> {
        match core.network.publish_group_messages(vec![message]).await {
            Ok(()) => {
                self.acknowledged.insert(id);
                Ok(())
            }
            Err(cause) if cause.is_final() => {
                self.receive(core).await?;
                let loaded = self.load(core).await?;
                let intent = loaded.intents.get(&id);
                if intent.is_some_and(|one| one.state != IntentState::Committed) {
                    let mut batch = loaded.batch(core);
                    loaded.done(&mut batch, id);
                    self.write(core, batch).await?;
                    self.failures.insert(id, cause.into());
                }
                Ok(())
            }
            Err(cause) => Err(cause.into()),
        }
    }

    /// Makes a commit of `wish` and sees it through: until the node shows it, and its welcomes
    /// are sent. On a network error it stays wished for, and the next sync goes on with it.
    pub(crate) async fn commit(&mut self, core: &Arc<Core>, wish: Wish) -> Result<(), Error> {
        self.commit_each(core, vec![wish]).await
    }

    /// The same with several wishes, one commit after the other, until one of them fails.
    pub(crate) async fn commit_each(
        &mut self,
        core: &Arc<Core>,
        wishes: Vec<Wish>,
    ) -> Result<(), Error> {
        let mut begun = Vec::with_capacity(wishes.len());
        match <[Wish; 1]>::try_from(wishes) {
            Ok([wish]) => begun.extend(self.begin_commit(core, wish).await?),
            // All of them are stored before the first can fail for want of a network.
            Err(wishes) => {
                self.load(core).await?.can_send()?;
                for wish in wishes {
                    begun.push(self.insert(core, Intent::new(wish)).await?);
                }
            }
        }
        for id in begun {
            self.see_through(core, id).await?;
        }
        Ok(())
    }

    async fn see_through(&mut self, core: &Arc<Core>, id: i64) -> Result<(), Error> {
        let mut pause = PAUSE;
        for round in 0..RACES {
            if round > 0 {
                tokio::time::sleep(pause.mul_f64(0.5 + core.random_share())).await;
                pause = (pause * 3).min(LONGEST_PAUSE);
            }
            self.publish_commit(core).await?;
            if let Some(failure) = self.failures.remove(&id) {
                return Err(failure);
            }
            if self.is_done(id) {
                return Ok(());
            }
            self.receive(core).await?;
            self.send_welcomes(core).await?;
            if self.is_done(id) {
                return match self.failures.remove(&id) {
                    Some(failure) => Err(failure),
                    None => self.load(core).await?.can_send(),
                };
            }
            self.load(core).await?.can_send()?;
        }
        // It stays wished for.
        Err(ConversationError::Crowded.into())
    }

    /// Notes a wish, and makes its commit in the same step if no other waits: one write less, and
    /// nothing is lost, since nobody was told yet that it is wished for. Returns its intent; `None`
    /// when it is fulfilled already.
    async fn begin_commit(&mut self, core: &Arc<Core>, wish: Wish) -> Result<Option<i64>, Error> {
        let loaded = self.load(core).await?;
        loaded.can_send()?;
        let mut intent = Intent::new(wish);
        let mut others = loaded.intents.values();
        let others_wait = others.any(|one| one.is_commit() && one.state != IntentState::Committed);
        let built = match others_wait {
            true => None,
            false => match loaded.build(core, &intent.wish).await {
                Ok(None) => return Ok(None),
                Ok(Some(built)) => Some(built),
                Err(cause) => {
                    loaded.group_mut().rollback();
                    if cause.is_retryable() {
                        intent.attempts = 1;
                        self.insert(core, intent).await?;
                    }
                    return Err(cause);
                }
            },
        };
        let Some(built) = built else {
            return Ok(Some(self.insert(core, intent).await?));
        };
        let message = loaded.note_commit(core, &mut intent, built);
        let change = IntentChange::Insert(Box::new(intent));
        let written = self.write_commit(core, change).await?;
        let id = *written.intents.first().expect("one intent was inserted");
        self.hand_over_commit(core, id, message).await?;
        Ok(Some(id))
    }

    /// Stores a wish of which nothing was made yet.
    async fn insert(&mut self, core: &Core, intent: Intent) -> Result<i64, Error> {
        let loaded = self.load(core).await?;
        let mut batch = loaded.batch(core);
        batch.intents.push(IntentChange::Insert(Box::new(intent)));
        // What is made of it is on the disk before anybody hears of it.
        let written = self.write_soon(core, batch).await?;
        Ok(*written.intents.first().expect("one intent was inserted"))
    }

    /// Stores a commit that was made, with the keys it used up, before anybody hears of it.
    async fn write_commit(&mut self, core: &Core, change: IntentChange) -> Result<Written, Error> {
        let loaded = self.load(core).await?;
        let mut batch = loaded.batch(core);
        batch.intents.push(change);
        batch.row = Some(loaded.row.clone());
        loaded.keep_keys(&mut batch);
        self.write_quietly(core, batch).await
    }

    /// Lets the group live in an AppData dictionary, if everybody in it can follow.
    pub(crate) async fn convert(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        let loaded = self.load(core).await?;
        loaded.can_send()?;
        if loaded.row.context.is_migrated() {
            return Ok(());
        }
        core.require_app_data()?;
        let context = loaded.context()?;
        if !context.mutable.is_super_admin(core.me.inbox_id()) {
            return Err(ConversationError::Conversion(BootstrapError::NotSuperAdmin).into());
        }
        // Nobody is to stand still for a conversion that fails.
        loaded.conversion(core, &context).await?;
        let floor: Version = Version::APP_DATA_FLOOR
            .parse()
            .map_err(|cause: InvalidVersion| ConversationError::Engine(cause.to_string()))?;
        if context
            .mutable
            .minimum_version()
            .is_none_or(|one| one < floor)
        {
            let key = Attribute::MinimumVersion.key().to_owned();
            let raise = Wish::Metadata([(key, Some(floor.to_string()))].into());
            self.commit(core, raise).await?;
        }
        self.commit(core, Wish::Convert).await
    }

    /// Removes those who asked to leave, if that is for us to do, and goes on with what waits.
    pub(crate) async fn finish_own_work(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        let me = core.me.inbox_id();
        let loaded = self.load(core).await?;
        if !loaded.publishes() {
            return Ok(());
        }
        if !loaded.leaving.is_empty() {
            let context = loaded.context()?;
            let due = leave::due_removals(&context, &loaded.leaving, me);
            if !due.is_empty() {
                let wish = Wish::Membership {
                    add: Vec::new(),
                    remove: due.into_iter().collect(),
                };
                self.commit(core, wish).await?;
            }
        }
        if self.has_work() {
            if self.has_doubtful_messages() {
                self.receive(core).await?;
            }
            // What came too late for its epoch is sealed anew.
            self.publish_messages(core).await?;
            self.send_welcomes(core).await?;
        }
        Ok(())
    }

    /// Notes that we asked to leave.
    pub(crate) async fn note_leaving(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        let loaded = self.load(core).await?;
        loaded.row.membership = MembershipState::PendingRemove;
        let mut batch = loaded.batch(core);
        batch.row = Some(loaded.row.clone());
        batch.leaving.push(core.me.inbox_id());
        loaded.leaving.insert(core.me.inbox_id());
        self.write(core, batch).await?;
        Ok(())
    }

    fn is_done(&self, intent: i64) -> bool {
        let intents = self.loaded.as_ref().map(|loaded| &loaded.intents);
        intents.is_some_and(|intents| !intents.contains_key(&intent))
    }

    /// Writes without telling that the conversation changed.
    pub(crate) async fn write_quietly(
        &mut self,
        core: &Core,
        batch: Batch,
    ) -> Result<Written, Error> {
        let id = self.id.clone();
        let result = core
            .db
            .write(move |db| Ok((batch.write(db, &id)?, batch)))
            .await;
        match result {
            Ok((written, batch)) => {
                if let Some(loaded) = &mut self.loaded {
                    loaded.settle(&batch, &written);
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
    pub(crate) fn batch(&self, core: &Core) -> Batch {
        Batch {
            now_ns: core.now_ns(),
            ..Batch::default()
        }
    }

    /// Whether something may be sent here now, or why not.
    pub(crate) fn can_send(&self) -> Result<(), Error> {
        match self.row.trouble {
            Some((Trouble::LockedOut, at)) => {
                return Err(ConversationError::LockedOut(at).into());
            }
            Some((Trouble::Relinked, _)) => return Err(ConversationError::NotAdded.into()),
            _ => {}
        }
        if self.group.is_none() || !self.row.active {
            return Err(ConversationError::Inactive.into());
        }
        match &self.row.paused_for {
            Some(version) => Err(ConversationError::Paused(version.clone()).into()),
            None => Ok(()),
        }
    }

    /// Whether others can read what we say, or from where on they cannot. Only what members wrote
    /// to the commit log counts: something that merely fits nothing here may come from anybody, who
    /// could silence us with it.
    pub(crate) fn shares_history(&self) -> Result<(), ConversationError> {
        match self.row.trouble {
            Some((Trouble::Forked, at)) => Err(ConversationError::Forked(at)),
            _ => Ok(()),
        }
    }

    /// Whether what waits may be published now.
    fn publishes(&self) -> bool {
        self.follows() && self.row.paused_for.is_none()
    }

    /// Notes on an intent what was made of it. Returns what goes to the node.
    fn note_commit(&mut self, core: &Core, intent: &mut Intent, built: Built) -> OutgoingMessage {
        let now_ns = core.now_ns();
        if let Wish::Membership { .. } = intent.wish {
            // Making it took all news of the members into account.
            self.row.checked_ns = now_ns;
        }
        self.row.rotated_ns = now_ns;
        let payload = built.message;
        let hash = Sha256::digest(&payload).into();
        self.judged = Some((hash, built.summary));
        intent.state = IntentState::Published;
        intent.payload_hash = Some(hash);
        intent.payload = Some(payload.clone());
        intent.epoch = Some(self.row.epoch);
        intent.staged = Some(built.staged);
        intent.welcome = built.welcome;
        self.outgoing(core, payload.into(), false)
    }

    /// Seals the message of an intent and notes on it what was sent.
    fn seal(&mut self, core: &Core, intent: &mut Intent) -> Result<OutgoingMessage, Error> {
        let Wish::Send(envelope) = &intent.wish else {
            unreachable!("only messages are sealed");
        };
        let epoch = self.row.epoch;
        let group = self.group_mut();
        let data = group
            .seal(&core.me, envelope, &mut rand::rng())
            .map_err(|cause| ConversationError::Engine(cause.to_string()))?;
        intent.state = IntentState::Published;
        intent.payload_hash = Some(Sha256::digest(&data).into());
        intent.payload = Some(data.clone());
        intent.epoch = Some(epoch);
        Ok(self.outgoing(core, data.into(), intent.should_push))
    }

    /// A sealed message as the node wants it.
    fn outgoing(&self, core: &Core, data: Bytes, should_push: bool) -> OutgoingMessage {
        let mut depends_on = VectorClock::new();
        let commit = self.cursor.last_seen(COMMIT_ORIGINATOR);
        if commit > 0 {
            depends_on.advance(COMMIT_ORIGINATOR, commit);
        }
        OutgoingMessage {
            group_id: self.row.id.clone(),
            sender_hmac: core.sender_hmac(&self.row.id, &data),
            data,
            should_push,
            depends_on,
        }
    }
}

/// A message that is stored and on its way to the node.
struct Sealed {
    intent: i64,
    message: MessageId,
    outgoing: OutgoingMessage,
}

/// A message that the network does not take. It is marked as failed.
pub(crate) struct Refused {
    pub(crate) message: MessageId,
    pub(crate) cause: NetworkError,
}

/// A commit that is ready to be stored and sent.
pub(crate) struct Built {
    pub(crate) message: Vec<u8>,
    pub(crate) staged: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
    /// What the judge found that it does.
    pub(crate) summary: Box<CommitSummary>,
}

//! What all conversations of a client share.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use folkmoot_conversation::{
    CommitFacts, ConsentEntity, Generation, Installation, KeyPackageSecrets,
    judge::{Refusal, Verdict, judge, needed_states},
    membership::{InboxStates, NeededState},
    version::Version,
};
use folkmoot_wire::{GroupId, InboxId};
use futures::future::BoxFuture;
use tokio::sync::{OwnedMutexGuard, watch};

use super::{
    ConversationError,
    changes::{Change, Changes},
    fork::Compared,
    live::Live,
    slot::{Slot, Slots},
    state::State,
};
use crate::{
    Error,
    clock::SharedClock,
    consent,
    db::Database,
    identity::{Directory, IdentityError, InboxState},
    key_packages::KeyPackages,
    network::Network,
    push::PushKeys,
};

/// When identity updates that a commit refers to are looked for again before it is refused.
const LOOK_AGAIN: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(800),
];

/// What all conversations of a client share.
pub(crate) struct Core {
    pub(crate) db: Database,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) me: Installation,
    pub(crate) clock: SharedClock,
    pub(crate) directory: Directory,
    pub(crate) push_keys: PushKeys,
    /// Up to which version groups are understood.
    pub(crate) version: Version,
    pub(crate) slots: Slots,
    pub(crate) changes: Changes,
    pub(crate) live: Live,
    /// Joining takes turns.
    pub(crate) joining: tokio::sync::Mutex<()>,
    /// Adding installations again takes turns.
    pub(crate) readding: tokio::sync::Mutex<()>,
    /// Making DMs takes turns.
    pub(crate) making: tokio::sync::Mutex<()>,
    /// Writing archives takes turns.
    pub(crate) exporting: tokio::sync::Mutex<()>,
    /// What others were seen to say of our groups' commits.
    pub(crate) compared: parking_lot::Mutex<BTreeMap<GroupId, Compared>>,
    /// Whether the place in the log of welcomes was compared with what the node has.
    pub(crate) welcomes_checked: AtomicBool,
    /// Whether this installation has lost its rights.
    pub(crate) revoked: watch::Sender<bool>,
    /// Whether another installation has this database now.
    retired: AtomicBool,
    last_ns: AtomicU64,
}

impl fmt::Debug for Core {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Core")
            .field("me", &self.me)
            .field("network", &self.network.address())
            .finish_non_exhaustive()
    }
}

/// A conversation that nobody else touches meanwhile. Whoever is torn away without
/// [`Held::finish`] may leave memory and database apart: the next one then loads it anew.
pub(crate) struct Held {
    state: OwnedMutexGuard<State>,
}

impl Held {
    /// Hands the conversation on, in order.
    pub(crate) fn finish(mut self) {
        self.state.busy = false;
    }
}

impl std::ops::Deref for Held {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl std::ops::DerefMut for Held {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Slot {
    /// Waits for our turn.
    pub(crate) async fn lock(&self) -> Held {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        if state.busy {
            state.unload();
        }
        state.busy = true;
        Held { state }
    }
}

impl Core {
    /// What the conversations of one client share.
    pub(crate) fn new(
        db: Database,
        network: Arc<dyn Network>,
        me: Installation,
        clock: SharedClock,
        directory: Directory,
        push_keys: PushKeys,
        version: Version,
    ) -> Self {
        Self {
            db,
            network,
            me,
            clock,
            directory,
            push_keys,
            version,
            slots: Slots::default(),
            changes: Changes::default(),
            live: Live::default(),
            joining: tokio::sync::Mutex::default(),
            readding: tokio::sync::Mutex::default(),
            making: tokio::sync::Mutex::default(),
            exporting: tokio::sync::Mutex::default(),
            compared: parking_lot::Mutex::default(),
            welcomes_checked: AtomicBool::new(false),
            revoked: watch::Sender::new(false),
            retired: AtomicBool::new(false),
            last_ns: AtomicU64::new(0),
        }
    }

    /// Whether we can be in groups that live in an AppData dictionary.
    pub(crate) fn require_app_data(&self) -> Result<(), Error> {
        match self.me.generation() {
            Generation::AppData => Ok(()),
            Generation::Extensions => Err(ConversationError::AppDataOff.into()),
        }
    }

    /// Unix time in nanoseconds.
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// The newest sequence ids of inboxes, asked of the network. Those whose logs cannot be read
    /// are left out, and so are those that do not exist: they must not hold the others up.
    pub(crate) async fn refresh(
        &self,
        inboxes: &[InboxId],
    ) -> Result<BTreeMap<InboxId, u64>, Error> {
        let states = self.directory.refresh_each(inboxes).await?;
        if inboxes.contains(&self.me.inbox_id()) {
            self.require_rights().await?;
        }
        let states = inboxes.iter().zip(states).filter_map(|(inbox, state)| {
            let state = state.inspect_err(|cause| {
                tracing::warn!(%inbox, %cause, "news of an inbox are not taken into account");
            });
            let state = state.ok().flatten()?;
            Some((state.inbox_id, state.sequence))
        });
        Ok(states.collect())
    }

    /// The states that rules look at.
    pub(crate) async fn states(
        &self,
        needed: impl IntoIterator<Item = NeededState>,
    ) -> Result<InboxStates, Error> {
        self.directory.states(needed).await
    }

    /// What is known about people; the network is asked about those who are not known at all.
    pub(crate) async fn people(
        &self,
        inboxes: &[InboxId],
    ) -> Result<BTreeMap<InboxId, Result<InboxState, IdentityError>>, Error> {
        let known = self.directory.cached_each(inboxes).await?;
        let known = inboxes.iter().copied().zip(known);
        let mut all: BTreeMap<_, _> = known
            .filter_map(|(inbox, state)| Some((inbox, state.transpose()?)))
            .collect();
        let strangers = inboxes.iter().filter(|inbox| !all.contains_key(inbox));
        let strangers: Vec<_> = strangers.copied().collect();
        if !strangers.is_empty() {
            let found = self.directory.refresh_each(&strangers).await?;
            let known = strangers.into_iter().zip(found);
            all.extend(known.filter_map(|(inbox, state)| Some((inbox, state.transpose()?))));
        }
        Ok(all)
    }

    /// The secrets of our key package that a welcome names.
    pub(crate) async fn key_package_secrets(
        &self,
        key: &[u8],
    ) -> Result<Option<KeyPackageSecrets>, Error> {
        let key = key.to_vec();
        let secrets = self
            .db
            .read(move |db| KeyPackages::secrets(db, &key))
            .await?;
        Ok(secrets)
    }

    /// What is put beside a message for push servers.
    pub(crate) fn sender_hmac(&self, group: &GroupId, data: &[u8]) -> Bytes {
        let hmac = self.push_keys.sender_hmac(group, data, self.now_ns());
        Bytes::copy_from_slice(&hmac)
    }

    /// Runs `work` on a conversation when it is its turn, to the end even if nobody waits for it.
    pub(crate) async fn run<T, F>(self: &Arc<Self>, id: &GroupId, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut State, &'a Arc<Self>) -> BoxFuture<'a, Result<T, Error>>
            + Send
            + 'static,
    {
        let core = Arc::clone(self);
        let slot = self.slots.get(id);
        let task = tokio::spawn(async move {
            let mut state = slot.lock().await;
            let result = work(&mut state, &core).await;
            state.finish();
            core.explain(result).await
        });
        task.await.map_err(|_| ConversationError::Interrupted)?
    }

    /// The verdict on a commit, after looking up what it depends on.
    pub(crate) async fn judge(&self, commit: &CommitFacts) -> Result<Verdict, Error> {
        let mut needed = needed_states(commit);
        let mut pauses = LOOK_AGAIN.iter();
        for _ in 0..2 + LOOK_AGAIN.len() {
            let states = self.states(needed.iter().copied()).await?;
            match judge(commit, &states, &self.version) {
                Verdict::Ask(more) => needed.extend(more),
                // Refusing is for good, and what the node does not show it may only not show yet.
                Verdict::Refuse(
                    Refusal::MissingIdentityUpdate(_) | Refusal::InvalidIdentityLog(_),
                ) if pauses.len() > 0 => {
                    let pause = pauses.next().copied().unwrap_or_default();
                    tokio::time::sleep(pause).await;
                }
                verdict => return Ok(verdict),
            }
        }
        Err(ConversationError::IdentitiesUnknown.into())
    }

    /// Another installation gets this database: nothing is changed from here any more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.revoked.send_replace(true);
    }

    /// Whether this database is still ours to change.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Revoked`] when it is not.
    pub(crate) fn require_in_office(&self) -> Result<(), IdentityError> {
        match self.retired.load(Ordering::Acquire) {
            true => Err(IdentityError::Revoked(self.me.key())),
            false => Ok(()),
        }
    }

    /// Whether this installation is known to have lost its rights.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Revoked`] when it is.
    pub(crate) fn require_not_revoked(&self) -> Result<(), IdentityError> {
        match *self.revoked.borrow() {
            true => Err(IdentityError::Revoked(self.me.key())),
            false => Ok(()),
        }
    }

    /// Whether this installation may still speak for its inbox, as far as the inbox's log is known
    /// here.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Revoked`] when it may not; what the database says.
    pub(crate) async fn require_rights(&self) -> Result<(), Error> {
        let (me, inbox) = (self.me.key(), self.me.inbox_id());
        if !*self.revoked.borrow() {
            let state = self.directory.cached_each(&[inbox]).await?.pop();
            let is_gone = match state {
                Some(Ok(Some(state))) => !state.association.is_member(&me.into()),
                // What cannot be read says nothing.
                _ => false,
            };
            if !is_gone {
                return Ok(());
            }
            tracing::warn!(installation = %me, "this installation was revoked");
            self.revoked.send_replace(true);
        }
        Err(IdentityError::Revoked(me).into())
    }

    /// Waits until this installation is known to have lost its rights. Cancel safe.
    pub(crate) async fn lost_rights(&self) {
        // The sender lives here.
        let _ = self.revoked.subscribe().wait_for(|revoked| *revoked).await;
    }

    /// The same as [`Core::require_rights`] after asking the network, unless that was done within `age_ns`.
    pub(crate) async fn check_rights(&self, age_ns: u64) -> Result<(), Error> {
        let inbox = self.me.inbox_id();
        let asked_ns = self.directory.checked_ns(&inbox);
        if self.now_ns().saturating_sub(asked_ns) > age_ns {
            self.directory.refresh_each(&[inbox]).await?;
        }
        self.require_rights().await
    }

    /// An error that may come of lost rights says so, if they are lost.
    pub(crate) async fn explain<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        match result {
            Err(cause) if cause.may_come_of_lost_rights() => {
                self.require_rights().await?;
                Err(cause)
            }
            result => result,
        }
    }

    /// Tells the consent that is recorded for a conversation.
    pub(crate) async fn tell_consent(&self, id: &GroupId) -> Result<(), Error> {
        let entity = ConsentEntity::Conversation(id.clone());
        let consent = self
            .db
            .read(move |db| Ok(consent::load(db, &entity)?))
            .await?;
        if let Some(consent) = consent {
            self.changes.tell(Change::Consent(consent));
        }
        Ok(())
    }

    /// A time that no other call gets: Unix time in nanoseconds.
    pub(crate) fn unique_ns(&self) -> u64 {
        let now = self.now_ns();
        let last = self
            .last_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(now.max(last + 1))
            })
            .unwrap_or_else(|last| last);
        now.max(last + 1)
    }

    /// A number in [0, 1).
    pub(crate) fn random_share(&self) -> f64 {
        rand::random()
    }
}

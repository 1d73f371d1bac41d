//! The live connection: what the network brings by itself, handed to whom it concerns.
//!
//! One subscription carries the welcomes and the messages of all conversations, from the stored
//! cursors on. It runs as long as somebody holds a [`LiveGuard`]. New conversations are added to it
//! while it runs.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use folkmoot_wire::{GroupId, VectorClock};
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    core::Core,
    rows::{self, CursorKind},
    slot::Slot,
    state::State,
};
use crate::{
    Error,
    network::{ConnectionState, Event, GroupEnvelope, SubscriptionControl, Topics},
};

/// Whether and how the client listens.
#[derive(Debug)]
pub(crate) struct Live {
    inner: Mutex<Inner>,
    state: watch::Sender<LiveState>,
    /// Somebody will ask for welcomes that could not be taken.
    asking_for_welcomes: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    guard: Weak<LiveGuard>,
    control: Option<SubscriptionControl>,
    groups: BTreeSet<GroupId>,
}

/// How a client listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LiveState {
    /// Nobody wants to hear anything.
    Off,
    /// The connection is in this state. `caught_up`: what was stored has been delivered.
    On {
        /// How the subscription is connected.
        connection: ConnectionState,
        /// Whether everything from before has been seen.
        caught_up: bool,
    },
}

/// As long as this lives, the client listens.
#[derive(Debug)]
pub(crate) struct LiveGuard {
    core: Weak<Core>,
    task: JoinHandle<()>,
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(core) = self.core.upgrade() {
            let mut inner = core.live.inner.lock();
            // Another may have begun already.
            if inner.guard.strong_count() == 0 {
                inner.control = None;
                inner.groups.clear();
                core.live.state.send_replace(LiveState::Off);
            }
        }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            state: watch::Sender::new(LiveState::Off),
            asking_for_welcomes: AtomicBool::new(false),
        }
    }
}

impl Live {
    /// Whether messages of a conversation come by themselves at the moment.
    pub(crate) fn follows(&self, group: &GroupId) -> bool {
        let connected = matches!(
            &*self.state.borrow(),
            LiveState::On {
                connection: ConnectionState::Live,
                caught_up: true,
            }
        );
        connected && self.inner.lock().groups.contains(group)
    }

    /// Follows how the client listens.
    pub(crate) fn watch(&self) -> watch::Receiver<LiveState> {
        self.state.subscribe()
    }

    /// Adds a conversation to what is delivered.
    pub(crate) fn add(&self, group: &GroupId, cursor: VectorClock) {
        let mut inner = self.inner.lock();
        let Some(control) = inner.control.clone() else {
            return;
        };
        if inner.groups.insert(group.clone()) {
            control.add(Topics {
                groups: vec![(group.clone(), cursor)],
                welcomes: Vec::new(),
            });
        }
    }

    /// Takes a conversation out.
    pub(crate) fn remove(&self, group: &GroupId) {
        let mut inner = self.inner.lock();
        let Some(control) = inner.control.clone() else {
            return;
        };
        if inner.groups.remove(group) {
            control.remove(Topics {
                groups: vec![(group.clone(), VectorClock::new())],
                welcomes: Vec::new(),
            });
        }
    }
}

impl Core {
    /// Listens, or goes on listening, as long as the guard is kept.
    pub(crate) async fn listen(self: &Arc<Self>) -> Result<Arc<LiveGuard>, Error> {
        if let Some(guard) = self.live.inner.lock().guard.upgrade() {
            return Ok(guard);
        }
        let me = self.me.key();
        let (welcomes, active, cursors) = self
            .db
            .read(move |db| {
                let welcomes = rows::cursor(db, me.as_bytes(), CursorKind::Welcomes)?;
                Ok((
                    welcomes,
                    rows::active_conversations(db)?,
                    rows::group_cursors(db)?,
                ))
            })
            .await?;
        let groups = active.into_iter().map(|id| {
            let cursor = cursors.get(&id).cloned().unwrap_or_default();
            (id, cursor)
        });
        let guard = self.begin_listening(Topics {
            groups: groups.collect(),
            welcomes: vec![(me, welcomes)],
        });
        // What was joined between reading the list and subscribing.
        self.add_missing().await?;
        Ok(guard)
    }

    /// Subscribes, unless somebody else just did.
    fn begin_listening(self: &Arc<Self>, topics: Topics) -> Arc<LiveGuard> {
        let mut inner = self.live.inner.lock();
        if let Some(guard) = inner.guard.upgrade() {
            return guard;
        }
        inner.groups = topics.groups.iter().map(|(id, _)| id.clone()).collect();
        let mut subscription = self.network.subscribe(topics);
        inner.control = Some(subscription.control());
        self.live.state.send_replace(LiveState::On {
            connection: ConnectionState::Connecting,
            caught_up: false,
        });
        let weak = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            while let Some(event) = subscription.next().await {
                let Some(core) = weak.upgrade() else { break };
                core.take_event(event).await;
            }
        });
        let guard = Arc::new(LiveGuard {
            core: Arc::downgrade(self),
            task,
        });
        inner.guard = Arc::downgrade(&guard);
        guard
    }

    async fn add_missing(&self) -> Result<(), Error> {
        let (active, cursors) = self
            .db
            .read(|db| Ok((rows::active_conversations(db)?, rows::group_cursors(db)?)))
            .await?;
        for id in active {
            let cursor = cursors.get(&id).cloned().unwrap_or_default();
            self.live.add(&id, cursor);
        }
        Ok(())
    }

    async fn take_event(self: &Arc<Self>, event: Event) {
        match event {
            Event::Groups(envelopes) => self.distribute(envelopes),
            Event::Welcomes(envelopes) => {
                if let Err(cause) = self.take_welcomes(envelopes).await {
                    tracing::warn!(%cause, "welcomes could not be taken; they are asked for later");
                    self.ask_for_welcomes_later();
                }
            }
            Event::CaughtUp => {
                self.live.state.send_if_modified(|state| match state {
                    LiveState::On { caught_up, .. } => !std::mem::replace(caught_up, true),
                    LiveState::Off => false,
                });
            }
            Event::State(connection) => {
                self.live.state.send_if_modified(|state| match state {
                    LiveState::On {
                        connection: old,
                        caught_up,
                    } => {
                        *caught_up &= connection == ConnectionState::Live;
                        *old = connection;
                        true
                    }
                    LiveState::Off => false,
                });
            }
        }
    }

    /// Hands each conversation its envelopes, in their order.
    fn distribute(self: &Arc<Self>, envelopes: Vec<GroupEnvelope>) {
        let mut touched: Vec<Arc<Slot>> = Vec::new();
        for envelope in envelopes {
            let slot = match touched.iter().find(|slot| slot.id == envelope.group_id) {
                Some(slot) => Arc::clone(slot),
                None => {
                    let slot = self.slots.get(&envelope.group_id);
                    touched.push(Arc::clone(&slot));
                    slot
                }
            };
            slot.offer(envelope);
        }
        for slot in touched {
            let core = Arc::clone(self);
            tokio::spawn(async move { core.work_off(&slot).await });
        }
    }

    /// Works off what streams brought for a conversation.
    async fn work_off(self: &Arc<Self>, slot: &Arc<Slot>) {
        let mut state = slot.lock().await;
        let inbox = slot.take_inbox();
        if inbox.overflowed {
            state.behind = true;
        }
        if inbox.envelopes.is_empty() && !inbox.overflowed {
            state.finish();
            return;
        }
        if let Err(cause) = state.take_streamed(self, inbox.envelopes).await {
            tracing::warn!(group = %slot.id, %cause, "messages could not be taken in yet");
            // What was taken out of the inbox is nowhere now but at the node.
            state.behind = true;
            self.ask_later(slot, &mut state);
        } else if let Err(cause) = state.finish_own_work(self).await {
            tracing::debug!(group = %slot.id, %cause, "own work goes on later");
            if cause.is_retryable() {
                self.ask_later(slot, &mut state);
            }
        }
        state.finish();
    }

    /// Asks the node for a conversation's messages in a moment, unless somebody will already.
    fn ask_later(self: &Arc<Self>, slot: &Arc<Slot>, state: &mut State) {
        if std::mem::replace(&mut state.asking, true) {
            return;
        }
        let core = Arc::downgrade(self);
        // Kept, so that nobody forgets meanwhile that something is missing.
        let slot = Arc::clone(slot);
        tokio::spawn(async move {
            let mut pause = FIRST_RETRY;
            loop {
                tokio::time::sleep(pause).await;
                let Some(core) = core.upgrade() else { return };
                let again = core.run(&slot.id, |state, core| {
                    Box::pin(async move {
                        let result = state.sync(core).await;
                        state.asking = result.as_ref().is_err_and(Error::is_retryable);
                        result
                    })
                });
                match again.await {
                    Err(cause) if cause.is_retryable() => pause = (pause * 2).min(LAST_RETRY),
                    _ => return,
                }
            }
        });
    }

    fn ask_for_welcomes_later(self: &Arc<Self>) {
        if self.live.asking_for_welcomes.swap(true, Ordering::AcqRel) {
            return;
        }
        let core = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut pause = FIRST_RETRY;
            loop {
                tokio::time::sleep(pause).await;
                let Some(core) = core.upgrade() else { return };
                match core.sync_welcomes().await {
                    Err(cause) if cause.is_retryable() => pause = (pause * 2).min(LAST_RETRY),
                    _ => {
                        core.live
                            .asking_for_welcomes
                            .store(false, Ordering::Release);
                        return;
                    }
                }
            }
        });
    }
}

/// Pauses before the node is asked again.
const FIRST_RETRY: std::time::Duration = std::time::Duration::from_millis(200);
const LAST_RETRY: std::time::Duration = std::time::Duration::from_secs(30);

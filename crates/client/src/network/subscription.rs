//! What a subscription delivers, and how it is steered.

use std::time::Duration;

use folkmoot_wire::{GroupId, InstallationKey};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{Cursor, GroupEnvelope, WelcomeEnvelope};

/// Events that wait to be taken before reading from the network pauses.
const BACKLOG: usize = 64;

/// What to deliver, each from a cursor on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Topics {
    /// Groups.
    pub groups: Vec<(GroupId, Cursor)>,
    /// Welcomes to installations.
    pub welcomes: Vec<(InstallationKey, Cursor)>,
}

/// Something that a subscription brings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Messages, in the order in which the network has them for each group; of several groups when
    /// it sends them together.
    Groups(Vec<GroupEnvelope>),
    /// Welcomes, in the network's order.
    Welcomes(Vec<WelcomeEnvelope>),
    /// All that was stored when the subscription last connected has been delivered. Where a node
    /// does not tell, this comes as soon as its streams are open.
    CaughtUp,
    /// The connection changed.
    State(ConnectionState),
}

/// How a subscription is connected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConnectionState {
    /// On the way.
    Connecting,
    /// Streams are open.
    Live,
    /// Cut; the next attempt follows by itself, and goes on from where the last one ended.
    Interrupted {
        /// What happened, in words.
        reason: String,
        /// How long until the next attempt.
        retry_in: Duration,
    },
}

/// Delivers events until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    events: mpsc::Receiver<Event>,
    control: SubscriptionControl,
    task: JoinHandle<()>,
}

/// Steers a subscription. Cheap to clone; does nothing once the subscription is gone.
#[derive(Clone, Debug)]
pub struct SubscriptionControl {
    changes: mpsc::UnboundedSender<Change>,
    state: watch::Receiver<ConnectionState>,
}

/// A change of what is delivered.
#[derive(Debug)]
pub(crate) enum Change {
    Add(Topics),
    Remove(Topics),
}

/// The ends that the task behind a subscription holds.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) changes: mpsc::UnboundedReceiver<Change>,
    pub(crate) state: watch::Sender<ConnectionState>,
}

impl Subscription {
    /// A subscription that `task` feeds.
    pub(crate) fn start<F>(task: impl FnOnce(Feed) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (events_in, events) = mpsc::channel(BACKLOG);
        let (changes, changes_out) = mpsc::unbounded_channel();
        let (state_in, state) = watch::channel(ConnectionState::Connecting);
        let feed = Feed {
            events: events_in,
            changes: changes_out,
            state: state_in,
        };
        Self {
            events,
            control: SubscriptionControl { changes, state },
            task: tokio::spawn(task(feed)),
        }
    }

    /// The next event. `None` only when the process is about to end. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The same subscription, where `change` says what becomes of each event; `None` leaves it out.
    /// For networks that stand before another.
    #[must_use]
    pub fn changed(
        mut self,
        mut change: impl FnMut(Event) -> Option<Event> + Send + 'static,
    ) -> Self {
        let (events_in, events) = mpsc::channel(BACKLOG);
        let control = self.control.clone();
        let task = tokio::spawn(async move {
            while let Some(event) = self.next().await {
                if let Some(event) = change(event)
                    && events_in.send(event).await.is_err()
                {
                    return;
                }
            }
        });
        Self {
            events,
            control,
            task,
        }
    }

    /// A handle to steer the subscription from elsewhere.
    #[must_use]
    pub fn control(&self) -> SubscriptionControl {
        self.control.clone()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SubscriptionControl {
    /// Delivers these too. A topic that is delivered already keeps its place.
    pub fn add(&self, topics: Topics) {
        // Whoever closed the subscription wants no more topics.
        let _ = self.changes.send(Change::Add(topics));
    }

    /// Delivers these no more. Some of their messages may still be on the way.
    pub fn remove(&self, topics: Topics) {
        let _ = self.changes.send(Change::Remove(topics));
    }

    /// How it is connected now.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.state.borrow().clone()
    }

    /// Follows how it is connected.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<ConnectionState> {
        self.state.clone()
    }
}

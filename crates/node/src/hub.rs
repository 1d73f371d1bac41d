//! Live delivery: hands every committed envelope to the streams that asked for its topic.
//!
//! The store calls [`Hub::on_commit`] from its writer, in id order. A [`Subscription`] is told
//! at which id it began: what has a smaller or equal id is in the store, what has a greater one
//! comes through the queue. So history and live delivery meet without gap or overlap.
//!
//! Queues are bounded. A reader that falls behind is told so and reads the store again; it
//! never holds up the writer or another reader.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use folkmoot_store::{Envelope, OnCommit};
use folkmoot_wire::{Topic, TopicKind};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Notify};

/// Readers that the store's writer wakes itself.
const FEW: usize = 2;

/// The meeting point of the store's writer and all streams.
#[derive(Debug)]
pub struct Hub {
    registry: Mutex<Registry>,
    backlog: Backlog,
    /// Subscriptions ever made, for their ids.
    made: AtomicU64,
    /// Where the readers run.
    runtime: OnceLock<Handle>,
}

/// How far a reader may fall behind before it is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backlog {
    /// Most envelopes that wait for one reader.
    pub envelopes: usize,
    /// Most payload bytes that wait for one reader.
    pub bytes: usize,
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            envelopes: 4096,
            bytes: 32 << 20,
        }
    }
}

#[derive(Debug, Default)]
struct Registry {
    /// The newest id that was handed out.
    newest: u64,
    /// Every reader by its id, also those of no topic.
    queues: HashMap<u64, Weak<Queue>>,
    by_topic: HashMap<Topic, Vec<Reader>>,
    /// Readers of every topic of some kinds.
    everything: Vec<(Reader, Vec<TopicKind>)>,
    /// Counts the times that everybody was cut.
    generation: u64,
    closed: bool,
}

#[derive(Clone, Debug)]
struct Reader {
    id: u64,
    queue: Weak<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    envelopes: VecDeque<Arc<Envelope>>,
    bytes: usize,
    end: Option<End>,
}

/// Why a subscription has nothing more to give.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum End {
    /// The reader was too slow; [`Subscription::begin_again`] goes on from the store.
    #[error("too far behind")]
    Lagged,
    /// The node shuts down, or its contents were replaced.
    #[error("the node shuts down")]
    Closed,
}

impl Hub {
    /// A hub whose readers may fall behind by `backlog`.
    #[must_use]
    pub fn new(backlog: Backlog) -> Arc<Self> {
        Arc::new(Self {
            registry: Mutex::default(),
            backlog,
            made: AtomicU64::new(0),
            runtime: OnceLock::new(),
        })
    }

    /// What the store calls after each group of writes.
    #[must_use]
    pub fn on_commit(self: &Arc<Self>) -> OnCommit {
        let hub = Arc::clone(self);
        Arc::new(move |envelopes| hub.deliver(&envelopes))
    }

    /// Tells the hub the newest id of a store that it did not see grow. Called once, before
    /// the first subscription.
    pub fn begin_at(&self, newest: u64) {
        let mut registry = self.registry.lock();
        registry.newest = registry.newest.max(newest);
    }

    /// A subscription to `topics`, which may be none at first.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, topics: impl IntoIterator<Item = Topic>) -> Subscription {
        let mut subscription = self.nothing_yet();
        subscription.began = subscription.add(topics);
        subscription
    }

    /// A subscription to every topic of these kinds.
    #[must_use]
    pub fn subscribe_all(self: &Arc<Self>, kinds: &[TopicKind]) -> Subscription {
        let mut subscription = self.nothing_yet();
        let reader = subscription.reader();
        let mut registry = self.registry.lock();
        registry.everything.push((reader, kinds.to_vec()));
        subscription.began = registry.newest;
        subscription.kinds = kinds.to_vec();
        drop(registry);
        subscription
    }

    /// How many streams are open.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.registry.lock().queues.len()
    }

    /// Ends every open subscription with [`End::Closed`]; new ones may follow.
    pub fn cut_all(&self) {
        self.end_all(false);
    }

    /// Ends every open subscription, and every later one at once.
    pub fn close(&self) {
        self.end_all(true);
    }

    fn end_all(&self, for_ever: bool) {
        let mut registry = self.registry.lock();
        registry.closed |= for_ever;
        registry.generation += 1;
        registry.by_topic = HashMap::new();
        registry.everything = Vec::new();
        let queues = std::mem::take(&mut registry.queues);
        drop(registry);
        for queue in queues.into_values().filter_map(|queue| queue.upgrade()) {
            queue.end(End::Closed);
        }
    }

    fn nothing_yet(self: &Arc<Self>) -> Subscription {
        if let Ok(runtime) = Handle::try_current() {
            self.runtime.get_or_init(|| runtime);
        }
        let queue = Arc::new(Queue::default());
        let id = self.made.fetch_add(1, Ordering::Relaxed);
        let mut registry = self.registry.lock();
        let (generation, began) = (registry.generation, registry.newest);
        if registry.closed {
            queue.end(End::Closed);
        } else {
            registry.queues.insert(id, Arc::downgrade(&queue));
        }
        drop(registry);
        Subscription {
            hub: Arc::clone(self),
            id,
            queue,
            topics: HashSet::new(),
            kinds: Vec::new(),
            began,
            generation,
        }
    }

    fn deliver(&self, envelopes: &[Arc<Envelope>]) {
        let mut woken = Woken(Vec::new());
        let mut registry = self.registry.lock();
        for envelope in envelopes {
            registry.newest = envelope.id;
            let readers = registry.by_topic.get(&envelope.topic).into_iter().flatten();
            let everything = registry
                .everything
                .iter()
                .filter(|(_, kinds)| kinds.contains(&envelope.topic.kind()))
                .map(|(reader, _)| reader);
            for queue in readers.chain(everything).filter_map(|r| r.queue.upgrade()) {
                if queue.push(envelope, self.backlog) {
                    woken.0.push(queue);
                }
            }
        }
        drop(registry);
        // Waking a task from outside of its runtime costs a system call. For many, one task is
        // woken that wakes the others from the inside.
        if let Some(runtime) = self.runtime.get().filter(|_| woken.0.len() > FEW) {
            runtime.spawn(async move { drop(woken) });
        }
    }
}

/// Queues whose readers are woken when this is dropped, be it by a runtime that ends.
struct Woken(Vec<Arc<Queue>>);

impl Drop for Woken {
    fn drop(&mut self) {
        for queue in &self.0 {
            queue.wake.notify_one();
        }
    }
}

impl Queue {
    /// Adds an envelope; says whether the reader must be woken.
    fn push(&self, envelope: &Arc<Envelope>, backlog: Backlog) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.end.is_some() {
            return false;
        }
        if waiting.envelopes.len() >= backlog.envelopes || waiting.bytes >= backlog.bytes {
            waiting.envelopes = VecDeque::new();
            waiting.bytes = 0;
            waiting.end = Some(End::Lagged);
            return true;
        }
        waiting.bytes += envelope.payload.len();
        waiting.envelopes.push_back(Arc::clone(envelope));
        waiting.envelopes.len() == 1
    }

    fn end(&self, end: End) {
        self.waiting.lock().end = Some(end);
        self.wake.notify_one();
    }
}

/// One stream's share of what is committed. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    id: u64,
    queue: Arc<Queue>,
    topics: HashSet<Topic>,
    kinds: Vec<TopicKind>,
    began: u64,
    generation: u64,
}

impl Subscription {
    /// The boundary: envelopes up to this id are in the store and do not come through here.
    #[must_use]
    pub const fn began(&self) -> u64 {
        self.began
    }

    /// Adds topics and returns their boundary: what has a greater id comes through here.
    pub fn add(&mut self, topics: impl IntoIterator<Item = Topic>) -> u64 {
        let reader = self.reader();
        let mut registry = self.hub.registry.lock();
        if registry.generation == self.generation {
            for topic in topics {
                if self.topics.insert(topic.clone()) {
                    registry
                        .by_topic
                        .entry(topic)
                        .or_default()
                        .push(reader.clone());
                }
            }
        }
        registry.newest
    }

    /// Removes topics. What already waits for them still comes.
    pub fn remove<'a>(&mut self, topics: impl IntoIterator<Item = &'a Topic>) {
        let mut registry = self.hub.registry.lock();
        for topic in topics {
            if self.topics.remove(topic) {
                registry.forget(topic, self.id);
            }
        }
    }

    /// Waits for what was committed to the topics, and takes all of it, by ascending id; never
    /// empty. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`End`] once nothing more comes. What was committed before [`End::Closed`] is still given.
    pub async fn next(&mut self) -> Result<Vec<Arc<Envelope>>, End> {
        loop {
            {
                let mut waiting = self.queue.waiting.lock();
                if !waiting.envelopes.is_empty() {
                    waiting.bytes = 0;
                    return Ok(waiting.envelopes.drain(..).collect());
                }
                if let Some(end) = waiting.end {
                    return Err(end);
                }
            }
            self.queue.wake.notified().await;
        }
    }

    /// Drops what waits, forgives having lagged, and returns the new boundary.
    ///
    /// # Errors
    ///
    /// [`End::Closed`] when the subscription was ended from the other side.
    pub fn begin_again(&mut self) -> Result<u64, End> {
        let registry = self.hub.registry.lock();
        let mut waiting = self.queue.waiting.lock();
        if registry.generation != self.generation || waiting.end == Some(End::Closed) {
            return Err(End::Closed);
        }
        *waiting = Waiting::default();
        self.began = registry.newest;
        Ok(self.began)
    }

    fn reader(&self) -> Reader {
        Reader {
            id: self.id,
            queue: Arc::downgrade(&self.queue),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut registry = self.hub.registry.lock();
        registry.queues.remove(&self.id);
        for topic in &self.topics {
            registry.forget(topic, self.id);
        }
        if !self.kinds.is_empty() {
            registry
                .everything
                .retain(|(reader, _)| reader.id != self.id);
        }
    }
}

impl Registry {
    fn forget(&mut self, topic: &Topic, id: u64) {
        let Some(readers) = self.by_topic.get_mut(topic) else {
            return;
        };
        readers.retain(|reader| reader.id != id);
        if readers.is_empty() {
            self.by_topic.remove(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use folkmoot_store::Form;

    use super::*;

    fn topic(name: &[u8]) -> Topic {
        Topic::new(TopicKind::GroupMessages, name).unwrap()
    }

    fn envelope(id: u64, name: &[u8]) -> Arc<Envelope> {
        Arc::new(Envelope {
            id,
            originator: 100,
            sequence: id,
            topic: topic(name),
            time_ns: id,
            form: Form::V3,
            payload: Bytes::from_static(b"twelve bytes"),
            sender_hmac: Bytes::new(),
            should_push: false,
            is_commit: false,
            previous_commit: 0,
        })
    }

    fn ids(envelopes: &[Arc<Envelope>]) -> Vec<u64> {
        envelopes.iter().map(|envelope| envelope.id).collect()
    }

    #[tokio::test]
    async fn a_reader_hears_its_topics_from_its_boundary_on() {
        let hub = Hub::new(Backlog::default());
        hub.deliver(&[envelope(1, b"a")]);
        let mut reader = hub.subscribe([topic(b"a")]);
        assert_eq!(reader.began(), 1);
        hub.deliver(&[envelope(2, b"a"), envelope(3, b"b"), envelope(4, b"a")]);
        assert_eq!(ids(&reader.next().await.unwrap()), [2, 4]);
    }

    #[tokio::test]
    async fn a_topic_added_later_begins_later() {
        let hub = Hub::new(Backlog::default());
        let mut reader = hub.subscribe([topic(b"a")]);
        hub.deliver(&[envelope(5, b"b")]);
        assert_eq!(reader.add([topic(b"b")]), 5);
        hub.deliver(&[envelope(6, b"b")]);
        assert_eq!(ids(&reader.next().await.unwrap()), [6]);
        reader.remove([&topic(b"b")]);
        hub.deliver(&[envelope(7, b"b"), envelope(8, b"a")]);
        assert_eq!(ids(&reader.next().await.unwrap()), [8]);
    }

    #[tokio::test]
    async fn a_slow_reader_is_cut_and_may_begin_again() {
        let backlog = Backlog {
            envelopes: 2,
            bytes: 1 << 20,
        };
        let hub = Hub::new(backlog);
        let mut slow = hub.subscribe([topic(b"a")]);
        let mut quick = hub.subscribe([topic(b"a")]);
        for id in 1..=3 {
            hub.deliver(&[envelope(id, b"a")]);
            if id < 3 {
                assert_eq!(ids(&quick.next().await.unwrap()), [id]);
            }
        }
        assert_eq!(slow.next().await, Err(End::Lagged));
        assert_eq!(ids(&quick.next().await.unwrap()), [3]);
        assert_eq!(slow.begin_again(), Ok(3));
        hub.deliver(&[envelope(4, b"a")]);
        assert_eq!(ids(&slow.next().await.unwrap()), [4]);
    }

    #[tokio::test]
    async fn a_closed_hub_ends_old_and_new_subscriptions() {
        let hub = Hub::new(Backlog::default());
        let mut old = hub.subscribe([topic(b"a")]);
        hub.deliver(&[envelope(1, b"a")]);
        hub.close();
        assert_eq!(ids(&old.next().await.unwrap()), [1]);
        assert_eq!(old.next().await, Err(End::Closed));
        assert_eq!(hub.subscribe([topic(b"a")]).next().await, Err(End::Closed));
    }

    #[tokio::test]
    async fn a_reader_of_no_topic_is_ended_too() {
        let hub = Hub::new(Backlog::default());
        let mut reader = hub.subscribe([]);
        assert_eq!(hub.readers(), 1);
        hub.cut_all();
        assert_eq!(reader.next().await, Err(End::Closed));
    }

    #[tokio::test]
    async fn a_reader_of_everything_hears_its_kinds() {
        let hub = Hub::new(Backlog::default());
        let mut groups = hub.subscribe_all(&[TopicKind::GroupMessages]);
        let mut welcomes = hub.subscribe_all(&[TopicKind::WelcomeMessages]);
        hub.deliver(&[envelope(1, b"a"), envelope(2, b"b")]);
        assert_eq!(ids(&groups.next().await.unwrap()), [1, 2]);
        hub.close();
        assert_eq!(welcomes.next().await, Err(End::Closed));
    }

    #[test]
    fn a_dropped_reader_leaves_nothing_behind() {
        let hub = Hub::new(Backlog::default());
        drop(hub.subscribe([topic(b"a")]));
        drop(hub.subscribe_all(&[TopicKind::GroupMessages]));
        assert_eq!(hub.readers(), 0);
        assert!(hub.registry.lock().by_topic.is_empty());
    }
}

//! What keeps a subscription alive: opens streams, goes on where they broke, follows changes.
//!
//! Two kinds of stream exist in both generations. The bidirectional one (XIP-83) carries all topics
//! and can be changed while it runs; where a node lacks it, plain streams carry fixed lists of
//! topics, and a change opens one more.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use folkmoot_wire::{InstallationKey, Topic, TopicKind};
use futures::{
    StreamExt,
    stream::{BoxStream, SelectAll},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tonic::{Code, Status};

use super::{
    ConnectionState, Cursor, Event, GroupEnvelope, Topics, WelcomeEnvelope,
    connection::jittered,
    subscription::{Change, Feed},
};

/// The pause after the first failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a connection must hold for the pauses to begin anew.
const STEADY: Duration = Duration::from_secs(10);
/// How long opening a stream may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// The keep-alive interval that is assumed until the node names its own.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The shortest and longest keep-alive interval that a node is believed.
const KEEPALIVE_RANGE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(600));
/// Intervals of silence after which a connection counts as dead.
const SILENT_INTERVALS: u32 = 3;
/// Topics that one request adds.
const TOPICS_AT_ONCE: usize = 1000;
/// Plain streams beside each other before all are replaced by one.
const PLAIN_STREAMS: usize = 24;

/// The streams of one generation.
#[async_trait]
pub(super) trait Wire: Send + Sync + 'static {
    /// Opens a bidirectional stream with its first request.
    async fn open(
        &self,
        first: Mutation,
    ) -> Result<(mpsc::UnboundedSender<Upward>, Frames), Status>;

    /// Opens plain streams for these topics. Exactly one [`Frame::CaughtUp`] is among the frames.
    async fn open_plain(&self, topics: Vec<(Topic, Cursor)>) -> Result<Frames, Status>;

    /// Whether the node is known to have no bidirectional streams.
    fn is_plain(&self) -> bool;

    /// Notes that the node has no bidirectional streams.
    fn set_plain(&self);

    /// A status in words for people.
    fn words(&self, status: &Status) -> String;
}

/// What comes down a stream.
pub(super) type Frames = BoxStream<'static, Result<Frame, Status>>;

/// One message of a stream.
#[derive(Debug)]
pub(super) enum Frame {
    Groups(Vec<GroupEnvelope>),
    Welcomes(Vec<WelcomeEnvelope>),
    /// The first one of a bidirectional stream.
    Started {
        keepalive: Duration,
    },
    Ping(u64),
    /// The history that a request asked for is through. Plain streams give 0.
    CaughtUp(u64),
    /// A sign of life.
    Alive,
}

/// What goes up a bidirectional stream.
#[derive(Debug)]
pub(super) enum Upward {
    Mutate(Mutation),
    Pong(u64),
}

/// A change of a bidirectional stream's topics.
#[derive(Debug, Default)]
pub(super) struct Mutation {
    pub(super) adds: Vec<(Topic, Cursor)>,
    pub(super) removes: Vec<Topic>,
    /// Names the request in the answers; not 0.
    pub(super) id: u64,
}

/// Why a connection is over.
enum End {
    /// Nobody listens to the subscription any more.
    Dropped,
    /// In words.
    Cut(String),
    /// There are too many plain streams.
    Reopen,
    /// The node has no bidirectional streams.
    Unsupported,
}

/// The topics that are delivered, each with what was delivered last.
struct Wanted(BTreeMap<Topic, Cursor>);

/// Feeds a subscription for as long as it lives.
pub(super) async fn run(wire: Arc<dyn Wire>, topics: Topics, mut feed: Feed) {
    let mut wanted = Wanted(BTreeMap::new());
    wanted.add(topics);
    let mut pause = FIRST_PAUSE;
    loop {
        if tell(&feed, ConnectionState::Connecting).await.is_err() {
            return;
        }
        let began = Instant::now();
        let end = if wire.is_plain() {
            plain(&*wire, &mut wanted, &mut feed).await
        } else {
            bidirectional(&*wire, &mut wanted, &mut feed).await
        };
        let reason = match end {
            End::Dropped => return,
            End::Cut(reason) => reason,
            End::Reopen => continue,
            End::Unsupported => {
                wire.set_plain();
                continue;
            }
        };
        if began.elapsed() >= STEADY {
            pause = FIRST_PAUSE;
        }
        let retry_in = jittered(pause);
        tracing::debug!(reason, ?retry_in, "a subscription was cut");
        let state = ConnectionState::Interrupted { reason, retry_in };
        if tell(&feed, state).await.is_err() {
            return;
        }
        let until = Instant::now() + retry_in;
        loop {
            tokio::select! {
                () = sleep_until(until) => break,
                change = feed.changes.recv() => match change {
                    Some(change) => drop(wanted.change(change)),
                    None => sleep_until(until).await,
                },
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Runs one bidirectional stream to its end.
async fn bidirectional(wire: &dyn Wire, wanted: &mut Wanted, feed: &mut Feed) -> End {
    let mut ids = 1..;
    let mut mutations = mutations(wanted.all(), Vec::new(), &mut ids).into_iter();
    let first = mutations.next().unwrap_or_default();
    let mut waiting = HashSet::from([first.id]);
    let (requests, mut frames) = match timeout(OPEN_TIMEOUT, wire.open(first)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(status)) if status.code() == Code::Unimplemented => return End::Unsupported,
        Ok(Err(status)) => return End::Cut(wire.words(&status)),
        Err(_) => return End::Cut("the node does not open the stream".into()),
    };
    for mutation in mutations {
        waiting.insert(mutation.id);
        // A stream that is gone says so when it is read.
        let _ = requests.send(Upward::Mutate(mutation));
    }
    let mut silence = KEEPALIVE * SILENT_INTERVALS;
    let mut live = false;
    loop {
        tokio::select! {
            frame = timeout(silence, frames.next()) => {
                let frame = match frame {
                    Err(_) => return End::Cut("the node is silent".into()),
                    Ok(None) => return End::Cut("the node ended the stream".into()),
                    Ok(Some(Err(status))) if !live && status.code() == Code::Unimplemented => {
                        return End::Unsupported;
                    }
                    Ok(Some(Err(status))) => return End::Cut(wire.words(&status)),
                    Ok(Some(Ok(frame))) => frame,
                };
                if !live {
                    live = true;
                    if tell(feed, ConnectionState::Live).await.is_err() {
                        return End::Dropped;
                    }
                }
                let event = match frame {
                    Frame::Started { keepalive } => {
                        let (shortest, longest) = KEEPALIVE_RANGE;
                        silence = keepalive.clamp(shortest, longest) * SILENT_INTERVALS;
                        None
                    }
                    Frame::Ping(nonce) => {
                        let _ = requests.send(Upward::Pong(nonce));
                        None
                    }
                    Frame::CaughtUp(id) => {
                        let last = waiting.remove(&id) && waiting.is_empty();
                        last.then_some(Event::CaughtUp)
                    }
                    frame => wanted.take(frame),
                };
                if let Some(event) = event
                    && feed.events.send(event).await.is_err()
                {
                    return End::Dropped;
                }
            }
            Some(change) = feed.changes.recv() => {
                let mut adds = Vec::new();
                let mut removes = Vec::new();
                let mut change = Some(change);
                while let Some(one) = change {
                    let (added, removed) = wanted.change(one);
                    // Within a request, removals come first: what is removed after it was added
                    // in the same breath must not be added at all.
                    adds.retain(|(topic, _)| !removed.contains(topic));
                    adds.extend(added);
                    removes.extend(removed);
                    change = feed.changes.try_recv().ok();
                }
                for mutation in self::mutations(adds, removes, &mut ids) {
                    waiting.insert(mutation.id);
                    let _ = requests.send(Upward::Mutate(mutation));
                }
            }
        }
    }
}

/// Runs plain streams until one of them ends.
async fn plain(wire: &dyn Wire, wanted: &mut Wanted, feed: &mut Feed) -> End {
    let mut streams = SelectAll::new();
    if let Err(end) = open_plain(wire, wanted.all(), &mut streams).await {
        return end;
    }
    if tell(feed, ConnectionState::Live).await.is_err() {
        return End::Dropped;
    }
    loop {
        tokio::select! {
            Some(frame) = streams.next() => {
                let event = match frame {
                    Err(status) => return End::Cut(wire.words(&status)),
                    Ok(Frame::CaughtUp(_)) => Some(Event::CaughtUp),
                    Ok(frame) => wanted.take(frame),
                };
                if let Some(event) = event
                    && feed.events.send(event).await.is_err()
                {
                    return End::Dropped;
                }
            }
            change = feed.changes.recv() => {
                let Some(change) = change else {
                    return End::Dropped;
                };
                let (adds, _) = wanted.change(change);
                if streams.len() >= PLAIN_STREAMS {
                    return End::Reopen;
                }
                if let Err(end) = open_plain(wire, adds, &mut streams).await {
                    return end;
                }
            }
        }
    }
}

async fn open_plain(
    wire: &dyn Wire,
    topics: Vec<(Topic, Cursor)>,
    streams: &mut SelectAll<Frames>,
) -> Result<(), End> {
    if topics.is_empty() {
        return Ok(());
    }
    let opened = timeout(OPEN_TIMEOUT, wire.open_plain(topics)).await;
    let frames = match opened {
        Ok(Ok(frames)) => frames,
        Ok(Err(status)) => return Err(End::Cut(wire.words(&status))),
        Err(_) => return Err(End::Cut("the node does not open the stream".into())),
    };
    // Ended streams leave the set silently, which must not happen silently.
    let end = futures::stream::iter([Err(Status::unavailable("the node ended the stream"))]);
    streams.push(frames.chain(end).boxed());
    Ok(())
}

/// Tells whoever watches and whoever reads. Fails when nobody reads any more.
async fn tell(feed: &Feed, state: ConnectionState) -> Result<(), ()> {
    feed.state.send_replace(state.clone());
    feed.events.send(Event::State(state)).await.map_err(drop)
}

/// Requests for these changes, none larger than nodes take.
fn mutations(
    adds: Vec<(Topic, Cursor)>,
    mut removes: Vec<Topic>,
    ids: &mut impl Iterator<Item = u64>,
) -> Vec<Mutation> {
    let mut adds = adds.into_iter().peekable();
    let mut made = Vec::new();
    while made.is_empty() || adds.peek().is_some() {
        made.push(Mutation {
            adds: adds.by_ref().take(TOPICS_AT_ONCE).collect(),
            removes: std::mem::take(&mut removes),
            id: ids.next().expect("numbers do not run out"),
        });
    }
    made
}

impl Wanted {
    fn all(&self) -> Vec<(Topic, Cursor)> {
        let all = self.0.iter();
        all.map(|(topic, cursor)| (topic.clone(), cursor.clone()))
            .collect()
    }

    fn change(&mut self, change: Change) -> (Vec<(Topic, Cursor)>, Vec<Topic>) {
        match change {
            Change::Add(topics) => (self.add(topics), Vec::new()),
            Change::Remove(topics) => {
                let names = names(topics).map(|(topic, _)| topic);
                let removed = names.filter(|topic| self.0.remove(topic).is_some());
                (Vec::new(), removed.collect())
            }
        }
    }

    /// Adds what is not there yet, and says what that was.
    fn add(&mut self, topics: Topics) -> Vec<(Topic, Cursor)> {
        let mut added = Vec::new();
        for (topic, cursor) in names(topics) {
            if !self.0.contains_key(&topic) {
                self.0.insert(topic.clone(), cursor.clone());
                added.push((topic, cursor));
            }
        }
        added
    }

    /// What of a frame is wanted and new.
    fn take(&mut self, frame: Frame) -> Option<Event> {
        match frame {
            Frame::Groups(mut envelopes) => {
                envelopes.retain(|one| {
                    let topic = Topic::new(TopicKind::GroupMessages, one.group_id.as_bytes());
                    topic.is_ok_and(|topic| self.is_new(&topic, one.originator, one.sequence))
                });
                (!envelopes.is_empty()).then_some(Event::Groups(envelopes))
            }
            Frame::Welcomes(mut envelopes) => {
                envelopes.retain(|one| {
                    let topic = welcome_topic(&one.welcome.destination);
                    self.is_new(&topic, one.originator, one.sequence)
                });
                (!envelopes.is_empty()).then_some(Event::Welcomes(envelopes))
            }
            _ => None,
        }
    }

    /// Whether an envelope was not delivered yet; from now on it was.
    fn is_new(&mut self, topic: &Topic, originator: u32, sequence: u64) -> bool {
        let Some(cursor) = self.0.get_mut(topic) else {
            return false;
        };
        let is_new = sequence > cursor.last_seen(originator);
        cursor.advance(originator, sequence);
        is_new
    }
}

/// The topics' names. A group whose id is too long for a topic cannot be on this network.
fn names(topics: Topics) -> impl Iterator<Item = (Topic, Cursor)> {
    let groups = topics.groups.into_iter().filter_map(|(group, cursor)| {
        let topic = Topic::new(TopicKind::GroupMessages, group.as_bytes()).ok()?;
        Some((topic, cursor))
    });
    let welcomes = topics.welcomes.into_iter();
    groups.chain(welcomes.map(|(key, cursor)| (welcome_topic(&key), cursor)))
}

/// The log of welcomes to `destination`.
pub(super) fn welcome_topic(destination: &InstallationKey) -> Topic {
    Topic::new(TopicKind::WelcomeMessages, destination.as_bytes()).expect("32 bytes are in range")
}

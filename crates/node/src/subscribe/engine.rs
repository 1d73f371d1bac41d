//! The rules of the bidirectional `Subscribe` (XIP-83), for both generations.
//!
//! [`Engine`] owns no socket, no clock and no store: the outcome depends on its inputs alone.
//! After every input the caller drains [`Engine::poll_output`] until it gives nothing, and does
//! what each [`Output`] says before it asks for the next one.
//!
//! A topic is registered in one of three ways: it is **live**, or it **catches up** as part of
//! a wave and goes live when the wave ends, or a history-only wave **replays** it. A wave is
//! what one `Mutate` added: the store is read up to the id at which its topics began to be
//! heard, then what was heard of them meanwhile follows, then the markers.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use folkmoot_store::{After, Envelope};
use folkmoot_wire::Topic;

use crate::NodeError;

/// How much one stream may ask for. The defaults are what clients expect of every server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Caps {
    /// Most adds, and most removes, of one `Mutate`.
    pub(super) adds: usize,
    /// Most entries of all vector clocks of one `Mutate`.
    pub(super) clock_entries: usize,
    /// Most topics registered at a time.
    pub(super) topics: usize,
    /// Most waves in flight.
    pub(super) waves: usize,
    /// Most payload bytes that wait for waves to end.
    pub(super) withheld_bytes: usize,
    /// Payload bytes from which on a frame is closed. A single larger envelope goes alone.
    pub(super) frame_bytes: usize,
    /// Payload bytes that wait to be sent from which on no more live envelopes are taken in.
    pub(super) queued_bytes: usize,
    /// Answers that wait to be sent from which on no more requests are taken in.
    pub(super) queued_frames: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            adds: 100_000,
            clock_entries: 1_000_000,
            topics: 1_000_000,
            waves: 256,
            withheld_bytes: 64 << 20,
            frame_bytes: 2 << 20,
            queued_bytes: 8 << 20,
            queued_frames: 256,
        }
    }
}

/// What a client says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Request {
    Mutate(Mutate),
    /// To be answered with a pong of the same number.
    Ping(u64),
    /// The answer to our ping of this number.
    Pong(u64),
    /// The client says nothing more.
    HalfClose,
}

/// A change of what a stream carries. It takes effect as a whole or not at all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Mutate {
    pub(super) adds: Vec<(Topic, After)>,
    pub(super) removes: Vec<Topic>,
    pub(super) history_only: bool,
    pub(super) mutate_id: u64,
}

/// What goes to the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Frame {
    /// The first frame.
    Started {
        keepalive: Duration,
    },
    /// Envelopes of one wave, or live ones (0), by ascending id.
    Envelopes {
        mutate_id: u64,
        envelopes: Vec<Arc<Envelope>>,
    },
    /// The replay of these topics is complete.
    TopicsLive(Vec<Topic>),
    /// Everything that this `Mutate` asked for has been sent.
    CatchupComplete(u64),
    Ping(u64),
    Pong(u64),
}

/// What the caller has to do.
#[derive(Clone, Debug)]
pub(super) enum Output {
    /// Subscribe to the topics, which may be none, and report the boundary with
    /// [`Engine::handle_begun`].
    Begin { wave: u64, topics: Vec<Topic> },
    /// Unsubscribe from the topics.
    Leave(Vec<Topic>),
    /// Read what the cursors have not seen with an id in `(after, up_to]` and report it with
    /// [`Engine::handle_history`].
    Read {
        cursors: Arc<[(Topic, After)]>,
        after: u64,
        up_to: u64,
    },
    /// Send the frame.
    Send(Frame),
    /// End the stream: all is done.
    Close,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Engine {
    caps: Caps,
    keepalive: Duration,
    topics: HashMap<Topic, Registration>,
    waves: BTreeMap<u64, Wave>,
    /// The waves that wait for their turn to read the store.
    turns: VecDeque<u64>,
    /// The wave whose read is under way.
    reading: Option<u64>,
    /// Payload bytes in all `Wave::withheld`.
    withheld_bytes: usize,
    commands: VecDeque<Output>,
    /// Frames that overtake those of `data`.
    signals: VecDeque<Frame>,
    data: VecDeque<Frame>,
    /// Payload bytes in `data`.
    queued_bytes: usize,
    silent_since: Instant,
    /// The ping that was not answered yet, and when it was sent.
    ping: Option<(u64, Instant)>,
    pings: u64,
    half_closed: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Registration {
    /// Heard live from this id on, not included.
    Live { from: u64 },
    /// Heard from this id on, and withheld until the wave ends.
    CatchingUp { wave: u64, from: u64 },
    /// Read by a history-only wave.
    Replaying { wave: u64 },
}

impl Registration {
    /// The wave that has the topic, if one has.
    const fn wave(self) -> Option<u64> {
        match self {
            Self::Live { .. } => None,
            Self::CatchingUp { wave, .. } | Self::Replaying { wave } => Some(wave),
        }
    }
}

#[derive(Debug)]
struct Wave {
    cursors: Arc<[(Topic, After)]>,
    /// How many of the topics were not removed since.
    left: usize,
    /// Where the store has been read up to.
    after: u64,
    /// Where the store's part ends and what was heard begins.
    up_to: u64,
    withheld: Vec<Arc<Envelope>>,
}

impl Engine {
    /// A stream that begins `now` and has its first frame ready.
    pub(super) fn new(caps: Caps, keepalive: Duration, now: Instant) -> Self {
        Self {
            caps,
            keepalive,
            topics: HashMap::new(),
            waves: BTreeMap::new(),
            turns: VecDeque::new(),
            reading: None,
            withheld_bytes: 0,
            commands: VecDeque::new(),
            signals: VecDeque::from([Frame::Started { keepalive }]),
            data: VecDeque::new(),
            queued_bytes: 0,
            silent_since: now,
            ping: None,
            pings: 0,
            half_closed: false,
        }
    }

    /// Takes in what the client said. An error ends the stream.
    pub(super) fn handle(&mut self, request: Request, now: Instant) -> Result<(), NodeError> {
        match request {
            Request::Mutate(mutate) => self.mutate(mutate, now)?,
            Request::Ping(nonce) => {
                self.silent_since = now;
                self.signals.push_back(Frame::Pong(nonce));
            }
            Request::Pong(nonce) => self.ping = self.ping.filter(|(sent, _)| *sent != nonce),
            Request::HalfClose => {
                self.half_closed = true;
                self.ping = None;
            }
        }
        Ok(())
    }

    /// Takes in the boundary of a wave: what has a greater id is heard live.
    pub(super) fn handle_begun(&mut self, wave: u64, boundary: u64) {
        let Some(begun) = self.waves.get_mut(&wave) else {
            return;
        };
        begun.up_to = boundary;
        for (topic, _) in begun.cursors.iter() {
            if let Some(Registration::CatchingUp { wave: of, from }) = self.topics.get_mut(topic)
                && *of == wave
            {
                *from = boundary;
            }
        }
        self.turns.push_back(wave);
    }

    /// Takes in what was committed to the topics, by ascending id. An error ends the stream.
    pub(super) fn handle_live(
        &mut self,
        envelopes: Vec<Arc<Envelope>>,
        now: Instant,
    ) -> Result<(), NodeError> {
        let mut live = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            match self.topics.get(&envelope.topic) {
                Some(Registration::Live { from }) if envelope.id > *from => live.push(envelope),
                Some(Registration::CatchingUp { wave, from }) if envelope.id > *from => {
                    if let Some(wave) = self.waves.get_mut(wave) {
                        self.withheld_bytes += envelope.payload.len();
                        wave.withheld.push(envelope);
                    }
                }
                // Removed, or in the store's part of a topic that was added again.
                _ => {}
            }
        }
        if self.withheld_bytes > self.caps.withheld_bytes {
            return Err(NodeError::TooMuch(format!(
                "more than {} bytes were published while topics caught up; add fewer at a time",
                self.caps.withheld_bytes
            )));
        }
        self.push_envelopes(0, live, now);
        Ok(())
    }

    /// Takes in what the last [`Output::Read`] found; nothing means that there is no more.
    pub(super) fn handle_history(&mut self, page: Vec<Arc<Envelope>>, now: Instant) {
        let Some(id) = self.reading.take() else {
            return;
        };
        let Some(wave) = self.waves.get_mut(&id) else {
            return;
        };
        match page.last() {
            Some(last) if wave.left > 0 => {
                wave.after = last.id;
                let wanted = page.into_iter().filter(|one| self.is_in(&one.topic, id));
                let wanted = wanted.collect();
                self.push_envelopes(id, wanted, now);
                self.turns.push_back(id);
            }
            _ => self.end_wave(id, now),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if at all.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.half_closed {
            return None;
        }
        let since = self.ping.map_or(self.silent_since, |(_, sent)| sent);
        Some(since + self.keepalive)
    }

    /// Pings a client that nothing was sent to for a while. An error ends the stream.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), NodeError> {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return Ok(());
        }
        if self.ping.is_some() {
            return Err(NodeError::NoPong(self.keepalive.as_millis()));
        }
        self.pings += 1;
        self.ping = Some((self.pings, now));
        self.silent_since = now;
        self.signals.push_back(Frame::Ping(self.pings));
        Ok(())
    }

    /// What is to be done next, if anything.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        if let Some(command) = self.commands.pop_front() {
            return Some(command);
        }
        if let Some(signal) = self.signals.pop_front() {
            return Some(Output::Send(signal));
        }
        if let Some(frame) = self.data.pop_front() {
            if let Frame::Envelopes { envelopes, .. } = &frame {
                self.queued_bytes -= bytes(envelopes);
            }
            return Some(Output::Send(frame));
        }
        if self.reading.is_none()
            && let Some(id) = self.turns.pop_front()
            && let Some(wave) = self.waves.get(&id)
        {
            self.reading = Some(id);
            return Some(Output::Read {
                cursors: Arc::clone(&wave.cursors),
                after: wave.after,
                up_to: wave.up_to,
            });
        }
        (self.half_closed && self.waves.is_empty()).then_some(Output::Close)
    }

    /// Whether the next request may be taken in.
    pub(super) fn wants_requests(&self) -> bool {
        !self.half_closed && self.signals.len() + self.data.len() < self.caps.queued_frames
    }

    /// Whether more live envelopes may be taken in.
    pub(super) const fn wants_live(&self) -> bool {
        self.queued_bytes < self.caps.queued_bytes
    }

    fn mutate(&mut self, mutate: Mutate, now: Instant) -> Result<(), NodeError> {
        let fresh = self.check(&mutate)?;
        self.remove(&mutate.removes);
        let id = mutate.mutate_id;
        if fresh.is_empty() {
            self.push(Frame::CatchupComplete(id), now);
            return Ok(());
        }
        let topics: Vec<Topic> = fresh.iter().map(|(topic, _)| topic.clone()).collect();
        let registration = if mutate.history_only {
            Registration::Replaying { wave: id }
        } else {
            Registration::CatchingUp {
                wave: id,
                from: u64::MAX,
            }
        };
        for topic in &topics {
            self.topics.insert(topic.clone(), registration);
        }
        let wave = Wave {
            left: fresh.len(),
            cursors: fresh.into(),
            after: 0,
            up_to: 0,
            withheld: Vec::new(),
        };
        self.waves.insert(id, wave);
        self.commands.push_back(Output::Begin {
            wave: id,
            topics: if mutate.history_only {
                Vec::new()
            } else {
                topics
            },
        });
        Ok(())
    }

    /// Checks a `Mutate` as a whole, and returns what it adds that is not there yet.
    fn check(&self, mutate: &Mutate) -> Result<Vec<(Topic, After)>, NodeError> {
        let caps = &self.caps;
        let too_many = |what, most| {
            Err(NodeError::TooMuch(format!(
                "too many {what}; the most is {most}"
            )))
        };
        if mutate.adds.len() > caps.adds || mutate.removes.len() > caps.adds {
            return too_many("adds or removes in one mutate", caps.adds);
        }
        let clock_entries: usize = mutate.adds.iter().map(|(_, after)| entries(after)).sum();
        if clock_entries > caps.clock_entries {
            return too_many("cursor entries in one mutate", caps.clock_entries);
        }
        if !mutate.adds.is_empty() && mutate.mutate_id == 0 {
            return Err(NodeError::field(
                "v1.mutate.mutate_id",
                "is 0, which stands for live messages; number each mutate that adds topics",
            ));
        }
        if self.waves.contains_key(&mutate.mutate_id) {
            return Err(NodeError::field(
                "v1.mutate.mutate_id",
                format!("{} is still in flight", mutate.mutate_id),
            ));
        }

        let removed: HashSet<&Topic> = mutate.removes.iter().collect();
        let mut named = HashSet::with_capacity(mutate.adds.len());
        let mut fresh = Vec::with_capacity(mutate.adds.len());
        for (at, (topic, after)) in mutate.adds.iter().enumerate() {
            if !named.insert(topic) {
                continue;
            }
            let refused = |problem| {
                let field = format!("v1.mutate.adds[{at}].topic");
                Err(NodeError::field(field, problem))
            };
            let registered = self.topics.get(topic).filter(|_| !removed.contains(topic));
            match registered {
                None => fresh.push((topic.clone(), after.clone())),
                Some(Registration::Replaying { .. }) => {
                    return refused("is in a history-only wave that is still in flight");
                }
                Some(_) if mutate.history_only => {
                    return refused("is live on this stream, so it cannot be history only");
                }
                Some(_) => {}
            }
        }
        let leaving = removed
            .iter()
            .filter(|topic| self.topics.contains_key(**topic));
        if self.topics.len() - leaving.count() + fresh.len() > caps.topics {
            return too_many("topics on one stream", caps.topics);
        }
        if !fresh.is_empty() && self.waves.len() >= caps.waves {
            return too_many("mutates in flight", caps.waves);
        }
        Ok(fresh)
    }

    fn remove(&mut self, topics: &[Topic]) {
        let mut heard = Vec::new();
        let mut thinned = HashSet::new();
        for topic in topics {
            let Some(registration) = self.topics.remove(topic) else {
                continue;
            };
            if !matches!(registration, Registration::Replaying { .. }) {
                heard.push(topic.clone());
            }
            if let Some(id) = registration.wave()
                && let Some(wave) = self.waves.get_mut(&id)
            {
                wave.left -= 1;
                thinned.insert(id);
            }
        }
        for id in thinned {
            let Some(wave) = self.waves.get_mut(&id) else {
                continue;
            };
            let before = bytes(&wave.withheld);
            wave.withheld.retain(|one| {
                self.topics.get(&one.topic).and_then(|found| found.wave()) == Some(id)
            });
            self.withheld_bytes -= before - bytes(&wave.withheld);
        }
        if !heard.is_empty() {
            self.commands.push_back(Output::Leave(heard));
        }
    }

    /// Sends what was heard while the wave ran, and its markers; its topics are live then.
    fn end_wave(&mut self, id: u64, now: Instant) {
        let Some(wave) = self.waves.remove(&id) else {
            return;
        };
        self.withheld_bytes -= bytes(&wave.withheld);
        self.push_envelopes(id, wave.withheld, now);
        let mut complete = Vec::with_capacity(wave.left);
        for (topic, _) in wave.cursors.iter() {
            match self.topics.get(topic).copied() {
                Some(Registration::CatchingUp { wave, from }) if wave == id => {
                    self.topics
                        .insert(topic.clone(), Registration::Live { from });
                    complete.push(topic.clone());
                }
                Some(Registration::Replaying { wave }) if wave == id => {
                    self.topics.remove(topic);
                    complete.push(topic.clone());
                }
                _ => {}
            }
        }
        if !complete.is_empty() {
            self.push(Frame::TopicsLive(complete), now);
        }
        self.push(Frame::CatchupComplete(id), now);
    }

    fn is_in(&self, topic: &Topic, wave: u64) -> bool {
        self.topics.get(topic).and_then(|found| found.wave()) == Some(wave)
    }

    /// Queues envelopes of one wave or live ones, in frames of about the usual size.
    fn push_envelopes(&mut self, mutate_id: u64, envelopes: Vec<Arc<Envelope>>, now: Instant) {
        let mut frame = Vec::new();
        let mut size = 0;
        for envelope in envelopes {
            let more = envelope.payload.len();
            if !frame.is_empty() && size + more > self.caps.frame_bytes {
                let envelopes = std::mem::take(&mut frame);
                self.push(
                    Frame::Envelopes {
                        mutate_id,
                        envelopes,
                    },
                    now,
                );
                size = 0;
            }
            size += more;
            self.queued_bytes += more;
            frame.push(envelope);
        }
        if !frame.is_empty() {
            let envelopes = frame;
            self.push(
                Frame::Envelopes {
                    mutate_id,
                    envelopes,
                },
                now,
            );
        }
    }

    fn push(&mut self, frame: Frame, now: Instant) {
        self.silent_since = now;
        self.data.push_back(frame);
    }
}

fn bytes(envelopes: &[Arc<Envelope>]) -> usize {
    envelopes.iter().map(|one| one.payload.len()).sum()
}

fn entries(after: &After) -> usize {
    match after {
        After::Id(_) => 0,
        After::Clock(clock) => clock.len(),
    }
}

#[cfg(test)]
mod tests;

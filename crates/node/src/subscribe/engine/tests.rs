//! The rules of XIP-83, one test each, and a property over all of them.

use bytes::Bytes;
use folkmoot_store::Form;
use folkmoot_wire::{TopicKind, VectorClock};
use tonic::{Code, Status};

use super::*;

const KEEPALIVE: Duration = Duration::from_secs(30);

/// A stream with a log and a hub around it, all in this thread.
struct World {
    engine: Engine,
    log: Vec<Arc<Envelope>>,
    /// What the stream is subscribed to.
    heard: HashSet<Topic>,
    /// What the hub has for the stream.
    waiting: Vec<Arc<Envelope>>,
    read: Option<Read>,
    /// The frames that were sent and not looked at yet.
    sent: Vec<Frame>,
    closed: bool,
    now: Instant,
}

/// A read that the engine asked for.
struct Read {
    cursors: Arc<[(Topic, After)]>,
    after: u64,
    up_to: u64,
}

impl World {
    fn new() -> Self {
        Self::with(Caps::default())
    }

    /// A world whose stream has said that it is open.
    fn with(caps: Caps) -> Self {
        let now = Instant::now();
        let mut world = Self {
            engine: Engine::new(caps, KEEPALIVE, now),
            log: Vec::new(),
            heard: HashSet::new(),
            waiting: Vec::new(),
            read: None,
            sent: Vec::new(),
            closed: false,
            now,
        };
        world.drain();
        assert_eq!(world.takes(), ["started"]);
        world
    }

    fn publish(&mut self, topic: &Topic) -> u64 {
        let id = self.log.len() as u64 + 1;
        let envelope = Arc::new(Envelope {
            id,
            originator: 100,
            sequence: id,
            topic: topic.clone(),
            time_ns: id,
            form: Form::V3,
            payload: Bytes::from_static(b"ten bytes."),
            sender_hmac: Bytes::new(),
            should_push: false,
            is_commit: false,
            previous_commit: 0,
        });
        if self.heard.contains(topic) {
            self.waiting.push(Arc::clone(&envelope));
        }
        self.log.push(envelope);
        id
    }

    fn says(&mut self, request: Request) -> Result<(), NodeError> {
        let result = self.engine.handle(request, self.now);
        self.drain();
        result
    }

    fn mutates(&mut self, mutate: Mutate) -> Result<(), NodeError> {
        self.says(Request::Mutate(mutate))
    }

    /// Hands over what the hub has.
    fn hears(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.engine.handle_live(waiting, self.now).unwrap();
        self.drain();
    }

    /// Answers the read that is under way with at most `rows` envelopes.
    fn reads(&mut self, rows: usize) {
        let Some(Read {
            cursors,
            after,
            up_to,
        }) = self.read.take()
        else {
            return;
        };
        let is_new = |one: &&Arc<Envelope>| {
            let cursor = cursors.iter().find(|(topic, _)| *topic == one.topic);
            let is_new = match cursor {
                Some((_, After::Id(id))) => one.id > *id,
                Some((_, After::Clock(clock))) => one.sequence > clock.last_seen(one.originator),
                None => false,
            };
            is_new && one.id > after && one.id <= up_to
        };
        let page = self.log.iter().filter(is_new).take(rows).cloned().collect();
        self.engine.handle_history(page, self.now);
        self.drain();
    }

    /// Runs until nothing is left to do.
    fn settle(&mut self) {
        while self.read.is_some() || !self.waiting.is_empty() {
            self.hears();
            self.reads(3);
        }
    }

    fn waits(&mut self, time: Duration) -> Result<(), NodeError> {
        self.now += time;
        let result = self.engine.handle_timeout(self.now);
        self.drain();
        result
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Begin { wave, topics } => {
                    self.heard.extend(topics);
                    self.engine.handle_begun(wave, self.log.len() as u64);
                }
                Output::Leave(topics) => self.heard.retain(|topic| !topics.contains(topic)),
                Output::Read {
                    cursors,
                    after,
                    up_to,
                } => {
                    assert!(self.read.is_none(), "one read at a time");
                    self.read = Some(Read {
                        cursors,
                        after,
                        up_to,
                    });
                }
                Output::Send(frame) => self.sent.push(frame),
                Output::Close => {
                    self.closed = true;
                    break;
                }
            }
        }
    }

    /// The frames since the last call, in short words.
    fn takes(&mut self) -> Vec<String> {
        let frames = std::mem::take(&mut self.sent).into_iter();
        frames
            .map(|frame| match frame {
                Frame::Started { .. } => "started".to_owned(),
                Frame::Envelopes {
                    mutate_id,
                    envelopes,
                } => {
                    let ids: Vec<_> = envelopes.iter().map(|one| one.id).collect();
                    format!("{mutate_id}: {ids:?}")
                }
                Frame::TopicsLive(topics) => format!("live {}", topics.len()),
                Frame::CatchupComplete(id) => format!("complete {id}"),
                Frame::Ping(nonce) => format!("ping {nonce}"),
                Frame::Pong(nonce) => format!("pong {nonce}"),
            })
            .collect()
    }
}

fn topic(name: u8) -> Topic {
    Topic::new(TopicKind::GroupMessages, &[name; 16]).unwrap()
}

fn adds(mutate_id: u64, topics: &[(u8, u64)]) -> Mutate {
    let adds = topics.iter();
    Mutate {
        adds: adds
            .map(|(name, after)| (topic(*name), After::Id(*after)))
            .collect(),
        mutate_id,
        ..Mutate::default()
    }
}

fn removes(names: &[u8]) -> Mutate {
    Mutate {
        removes: names.iter().map(|name| topic(*name)).collect(),
        ..Mutate::default()
    }
}

fn code(result: Result<(), NodeError>) -> Code {
    Status::from(result.unwrap_err()).code()
}

#[test]
fn rule_1_the_first_frame_is_started_and_comes_before_anything_is_read() {
    let now = Instant::now();
    let mut engine = Engine::new(Caps::default(), KEEPALIVE, now);
    let first = engine.poll_output();
    assert!(matches!(
        first,
        Some(Output::Send(Frame::Started {
            keepalive: KEEPALIVE
        }))
    ));
    assert!(engine.poll_output().is_none());
}

#[test]
fn rule_2_a_mutate_takes_effect_as_a_whole_or_not_at_all() {
    let mut world = World::new();
    world.mutates(adds(1, &[(1, 0)])).unwrap();
    world.settle();
    world.takes();
    let broken = Mutate {
        removes: vec![topic(1)],
        ..adds(0, &[(2, 0)])
    };
    assert_eq!(code(world.mutates(broken)), Code::InvalidArgument);
    world.publish(&topic(1));
    world.publish(&topic(2));
    world.settle();
    assert_eq!(world.takes(), ["0: [1]"], "the remove did not happen");
}

#[test]
fn rule_2_a_topic_that_is_removed_and_added_at_once_replays() {
    let mut world = World::new();
    world.publish(&topic(1));
    world.mutates(adds(1, &[(1, 1)])).unwrap();
    world.settle();
    world.publish(&topic(1));
    world.hears();
    assert_eq!(world.takes(), ["live 1", "complete 1", "0: [2]"]);
    let reset = Mutate {
        removes: vec![topic(1)],
        ..adds(2, &[(1, 0)])
    };
    world.mutates(reset).unwrap();
    world.settle();
    assert_eq!(world.takes(), ["2: [1, 2]", "live 1", "complete 2"]);
}

#[test]
fn rule_2_a_reset_does_not_repeat_what_the_hub_still_had() {
    let mut world = World::new();
    world.mutates(adds(1, &[(1, 0)])).unwrap();
    world.settle();
    world.takes();
    world.publish(&topic(1));
    let reset = Mutate {
        removes: vec![topic(1)],
        ..adds(2, &[(1, 0)])
    };
    world.mutates(reset).unwrap();
    world.settle();
    assert_eq!(world.takes(), ["2: [1]", "live 1", "complete 2"]);
}

#[test]
fn rule_3_adds_have_a_number_that_no_wave_in_flight_has() {
    let mut world = World::new();
    assert_eq!(
        code(world.mutates(adds(0, &[(1, 0)]))),
        Code::InvalidArgument
    );
    world.mutates(adds(7, &[(1, 0)])).unwrap();
    assert_eq!(
        code(world.mutates(adds(7, &[(2, 0)]))),
        Code::InvalidArgument
    );
    world.settle();
    world.mutates(adds(7, &[(2, 0)])).unwrap();
    world.settle();
    let twice = ["live 1", "complete 7", "live 1", "complete 7"];
    assert_eq!(
        world.takes(),
        twice,
        "a number is free again after its wave"
    );
}

#[test]
fn rule_4_a_wave_replays_folds_in_what_came_meanwhile_and_goes_live() {
    let mut world = World::new();
    for name in [1, 2, 1, 3, 2] {
        world.publish(&topic(name));
    }
    world.mutates(adds(9, &[(3, 4)])).unwrap();
    world.settle();
    world.takes();
    world.mutates(adds(1, &[(1, 1), (2, 0)])).unwrap();
    world.reads(2);
    world.publish(&topic(1));
    world.publish(&topic(3));
    world.hears();
    assert_eq!(
        world.takes(),
        ["1: [2, 3]", "0: [7]"],
        "other topics keep flowing"
    );
    world.settle();
    assert_eq!(
        world.takes(),
        ["1: [5]", "1: [6]", "live 2", "complete 1"],
        "what came during the wave has its stamp"
    );
    world.publish(&topic(2));
    world.hears();
    assert_eq!(world.takes(), ["0: [8]"]);
}

#[test]
fn rule_4_two_waves_take_turns() {
    let mut world = World::new();
    for name in [1, 1, 1, 2] {
        world.publish(&topic(name));
    }
    world.mutates(adds(1, &[(1, 0)])).unwrap();
    world.mutates(adds(2, &[(2, 0)])).unwrap();
    for _ in 0..3 {
        world.reads(1);
    }
    assert_eq!(world.takes(), ["1: [1]", "2: [4]", "1: [2]"]);
}

#[test]
fn rule_5_a_mutate_that_adds_nothing_new_is_complete_at_once() {
    let mut world = World::new();
    world.mutates(Mutate::default()).unwrap();
    assert_eq!(world.takes(), ["complete 0"]);
    world.mutates(adds(1, &[(1, 0)])).unwrap();
    world.settle();
    world.takes();
    world.mutates(adds(2, &[(1, 0)])).unwrap();
    assert_eq!(world.takes(), ["complete 2"]);
    let leaves = Mutate {
        mutate_id: 3,
        ..removes(&[1, 5])
    };
    world.mutates(leaves).unwrap();
    assert_eq!(world.takes(), ["complete 3"]);
    world.publish(&topic(1));
    world.settle();
    assert!(world.takes().is_empty());
}

#[test]
fn rule_6_the_first_cursor_of_a_doubled_add_wins() {
    let mut world = World::new();
    for _ in 0..3 {
        world.publish(&topic(1));
    }
    world.mutates(adds(1, &[(1, 2), (1, 0)])).unwrap();
    world.settle();
    assert_eq!(world.takes(), ["1: [3]", "live 1", "complete 1"]);
    world.mutates(adds(2, &[(1, 0)])).unwrap();
    world.settle();
    assert_eq!(world.takes(), ["complete 2"], "it is live already");
}

#[test]
fn rule_7_a_history_only_wave_replays_and_registers_nothing() {
    let mut world = World::new();
    world.publish(&topic(1));
    let once = |mutate_id| Mutate {
        history_only: true,
        ..adds(mutate_id, &[(1, 0)])
    };
    world.mutates(once(1)).unwrap();
    assert_eq!(
        code(world.mutates(adds(2, &[(1, 0)]))),
        Code::InvalidArgument,
        "the topic is being replayed"
    );
    world.publish(&topic(1));
    world.settle();
    assert_eq!(world.takes(), ["1: [1]", "live 1", "complete 1"]);
    world.publish(&topic(1));
    world.settle();
    assert!(world.takes().is_empty(), "nothing is heard live");
    world.mutates(adds(2, &[(1, 3)])).unwrap();
    world.settle();
    assert_eq!(code(world.mutates(once(3))), Code::InvalidArgument);
}

#[test]
fn rule_8_frames_end_at_their_size_and_live_ones_ascend() {
    let mut world = World::with(Caps {
        frame_bytes: 20,
        ..Caps::default()
    });
    world.mutates(adds(1, &[(1, 0), (2, 0)])).unwrap();
    world.settle();
    world.takes();
    for name in [1, 2, 1, 2, 2] {
        world.publish(&topic(name));
    }
    world.hears();
    assert_eq!(world.takes(), ["0: [1, 2]", "0: [3, 4]", "0: [5]"]);
}

#[test]
fn rule_9_after_a_half_close_running_waves_end_first() {
    let mut world = World::new();
    world.publish(&topic(1));
    world.mutates(adds(1, &[(1, 0)])).unwrap();
    world.says(Request::HalfClose).unwrap();
    assert!(!world.closed);
    world.settle();
    assert_eq!(world.takes(), ["1: [1]", "live 1", "complete 1"]);
    assert!(world.closed);
}

#[test]
fn rule_10_pings_are_answered_and_silence_is_broken() {
    let mut world = World::new();
    world.says(Request::Ping(42)).unwrap();
    assert_eq!(world.takes(), ["pong 42"]);
    world.waits(KEEPALIVE / 2).unwrap();
    assert!(world.takes().is_empty());
    world.waits(KEEPALIVE / 2).unwrap();
    assert_eq!(world.takes(), ["ping 1"]);
    world.says(Request::Pong(1)).unwrap();
    world.waits(KEEPALIVE).unwrap();
    assert_eq!(world.takes(), ["ping 2"]);
    world.says(Request::Pong(1)).unwrap();
    assert_eq!(code(world.waits(KEEPALIVE)), Code::DeadlineExceeded);
}

#[test]
fn rule_10_nothing_is_pinged_while_envelopes_flow() {
    let mut world = World::new();
    world.mutates(adds(1, &[(1, 0)])).unwrap();
    world.settle();
    world.takes();
    for _ in 0..3 {
        world.waits(KEEPALIVE / 2).unwrap();
        world.publish(&topic(1));
        world.hears();
    }
    assert_eq!(world.takes(), ["0: [1]", "0: [2]", "0: [3]"]);
}

#[test]
fn rule_11_each_cap_is_an_exhausted_resource() {
    let caps = Caps {
        adds: 3,
        clock_entries: 2,
        topics: 4,
        waves: 2,
        withheld_bytes: 15,
        ..Caps::default()
    };
    let mut world = World::with(caps);
    let many = adds(1, &[(1, 0), (2, 0), (3, 0), (4, 0)]);
    assert_eq!(code(world.mutates(many)), Code::ResourceExhausted);
    let clock = VectorClock::from_iter([(0, 1), (1, 1), (100, 1)]);
    let clocks = Mutate {
        adds: vec![(topic(1), After::Clock(clock))],
        mutate_id: 1,
        ..Mutate::default()
    };
    assert_eq!(code(world.mutates(clocks)), Code::ResourceExhausted);

    world.mutates(adds(1, &[(1, 0), (2, 0)])).unwrap();
    let third = adds(2, &[(3, 0), (4, 0), (5, 0)]);
    assert_eq!(code(world.mutates(third)), Code::ResourceExhausted);
    world.mutates(adds(2, &[(3, 0)])).unwrap();
    assert_eq!(
        code(world.mutates(adds(3, &[(4, 0)]))),
        Code::ResourceExhausted
    );

    world.publish(&topic(1));
    world.hears();
    world.publish(&topic(2));
    let waiting = std::mem::take(&mut world.waiting);
    let overflow = world.engine.handle_live(waiting, world.now);
    assert_eq!(code(overflow), Code::ResourceExhausted);
}

#[test]
fn a_topic_removed_in_the_middle_of_its_wave_is_not_marked() {
    let mut world = World::new();
    for name in [1, 2, 1, 2] {
        world.publish(&topic(name));
    }
    world.mutates(adds(1, &[(1, 0), (2, 0)])).unwrap();
    world.reads(2);
    world.publish(&topic(2));
    world.hears();
    world.mutates(removes(&[2])).unwrap();
    world.settle();
    assert_eq!(
        world.takes(),
        ["1: [1, 2]", "complete 0", "1: [3]", "live 1", "complete 1"]
    );
}

#[test]
fn a_wave_without_topics_left_ends_with_its_marker() {
    let mut world = World::new();
    world.publish(&topic(1));
    world.mutates(adds(1, &[(1, 0)])).unwrap();
    world.mutates(removes(&[1])).unwrap();
    world.settle();
    assert_eq!(world.takes(), ["complete 0", "complete 1"]);
    assert_eq!(world.engine.withheld_bytes, 0);
}

mod any_interleaving {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Publish(u8),
        Add(Vec<u8>, u64),
        Reset(u8),
        Remove(u8),
        Hear,
        Read(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u8..4).prop_map(Step::Publish),
            2 => (proptest::collection::vec(0u8..4, 1..4), 0u64..6)
                .prop_map(|(topics, after)| Step::Add(topics, after)),
            1 => (0u8..4).prop_map(Step::Reset),
            1 => (0u8..4).prop_map(Step::Remove),
            3 => Just(Step::Hear),
            3 => (1usize..4).prop_map(Step::Read),
        ]
    }

    /// What a client of one topic knows.
    struct Reader {
        wave: u64,
        live: bool,
        last: u64,
    }

    /// Checks every frame against what each topic's reader must see next.
    fn check(world: &mut World, readers: &mut HashMap<Topic, Reader>) -> Result<(), TestCaseError> {
        for frame in std::mem::take(&mut world.sent) {
            match frame {
                Frame::Envelopes {
                    mutate_id,
                    envelopes,
                } => {
                    for envelope in envelopes {
                        let reader = readers.get_mut(&envelope.topic);
                        prop_assert!(reader.is_some(), "nobody asked for {envelope:?}");
                        let reader = reader.unwrap();
                        prop_assert_eq!(mutate_id, if reader.live { 0 } else { reader.wave });
                        let mut log = world.log.iter();
                        let next = log
                            .find(|one| one.topic == envelope.topic && one.id > reader.last)
                            .map(|one| one.id);
                        prop_assert_eq!(Some(envelope.id), next, "no gap, no repetition");
                        reader.last = envelope.id;
                    }
                }
                Frame::TopicsLive(topics) => {
                    for topic in topics {
                        let reader = readers.get_mut(&topic);
                        prop_assert!(reader.is_some(), "nobody asked for {topic:?}");
                        let reader = reader.unwrap();
                        prop_assert!(!reader.live, "marked once");
                        reader.live = true;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    proptest! {
        /// Whatever is published, added and removed, and however reads and live envelopes race:
        /// each topic's reader sees every id after its cursor once, in order, first stamped
        /// with the wave, then live.
        #[test]
        fn gives_each_topic_each_envelope_once(steps in proptest::collection::vec(step(), 0..80)) {
            let mut world = World::new();
            let mut readers: HashMap<Topic, Reader> = HashMap::new();
            let mut number = 0;
            for step in steps {
                match step {
                    Step::Publish(name) => {
                        world.publish(&topic(name));
                    }
                    Step::Add(names, after) => {
                        number += 1;
                        for name in &names {
                            readers.entry(topic(*name)).or_insert(Reader {
                                wave: number,
                                live: false,
                                last: after,
                            });
                        }
                        let topics: Vec<_> = names.iter().map(|name| (*name, after)).collect();
                        // A cursor ahead of the log would skip what is published next.
                        if after > world.log.len() as u64 {
                            readers.retain(|_, reader| reader.wave != number);
                        } else {
                            world.mutates(adds(number, &topics)).unwrap();
                        }
                    }
                    Step::Reset(name) => {
                        number += 1;
                        let reset = Mutate {
                            removes: vec![topic(name)],
                            ..adds(number, &[(name, 0)])
                        };
                        readers.insert(topic(name), Reader {
                            wave: number,
                            live: false,
                            last: 0,
                        });
                        world.mutates(reset).unwrap();
                    }
                    Step::Remove(name) => {
                        readers.remove(&topic(name));
                        world.mutates(removes(&[name])).unwrap();
                    }
                    Step::Hear => world.hears(),
                    Step::Read(rows) => world.reads(rows),
                }
                check(&mut world, &mut readers)?;
            }
            world.settle();
            check(&mut world, &mut readers)?;
            for (topic, reader) in readers {
                prop_assert!(reader.live);
                let last = world.log.iter().rev().find(|one| one.topic == topic);
                let last = last.map_or(0, |last| last.id);
                prop_assert!(reader.last >= last, "nothing is missing at the end");
            }
            prop_assert_eq!(world.engine.withheld_bytes, 0);
            prop_assert_eq!(world.engine.queued_bytes, 0);
        }
    }
}

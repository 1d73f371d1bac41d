//! Stream management: who has what, and how a stream goes on after a cut (XEP-0198).
//!
//! [`Outgoing`] remembers what the peer has not acknowledged, [`Incoming`] counts what it sent.
//! Both counters start when the feature is enabled, count stanzas alone, and wrap at 2^32.

use std::collections::VecDeque;

use crate::{
    stanza::{Condition, Kind, Stanza, Type},
    stream::{StreamCondition, StreamError},
    xml::{Element, Limits, Markup},
};

/// The feature's namespace.
pub const NS: &str = "urn:xmpp:sm:3";

/// What a peer says about stream management.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// `<a/>`: so many of yours were handled.
    Acknowledge {
        /// The count, wrapped.
        handled: u32,
    },
    /// `<enable/>`.
    Enable {
        /// Whether the stream shall survive a cut.
        resume: bool,
        /// The longest time it shall be kept, in seconds, if the client says.
        max_seconds: Option<u32>,
    },
    /// `<r/>`: how many of mine were handled?
    Ask,
    /// `<resume/>`.
    Resume {
        /// The id that `<enabled/>` gave.
        previous: String,
        /// How many of the server's stanzas the client handled.
        handled: u32,
    },
}

impl Request {
    /// Reads an element of a stream; `None` when it is not about stream management.
    ///
    /// # Errors
    ///
    /// [`Condition::BadRequest`] when a count or an id is missing or no number.
    pub fn read(element: &Element) -> Option<Result<Self, Condition>> {
        if element.name.namespace.as_str() != NS {
            return None;
        }
        let handled = || {
            let count = element.attribute("h").and_then(|count| count.parse().ok());
            count.ok_or(Condition::BadRequest)
        };
        Some(match element.name.local.as_str() {
            "a" => handled().map(|handled| Self::Acknowledge { handled }),
            "enable" => Ok(Self::Enable {
                resume: matches!(element.attribute("resume"), Some("true" | "1")),
                max_seconds: element.attribute("max").and_then(|max| max.parse().ok()),
            }),
            "r" => Ok(Self::Ask),
            "resume" => handled().and_then(|handled| {
                let previous = element.attribute("previd").ok_or(Condition::BadRequest)?;
                Ok(Self::Resume {
                    previous: previous.to_owned(),
                    handled,
                })
            }),
            _ => return None,
        })
    }
}

/// `<a h='…'/>`.
#[must_use]
pub fn acknowledgement(handled: u32) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("a").attribute("xmlns", NS);
    out.attribute("h", &handled.to_string()).end();
    out.into_bytes()
}

/// `<r/>`.
#[must_use]
pub fn question() -> Vec<u8> {
    let mut out = Markup::default();
    out.open("r").attribute("xmlns", NS).end();
    out.into_bytes()
}

/// `<enabled/>`; with an id and the seconds that the stream is kept, it may be resumed.
#[must_use]
pub fn enabled(resumable: Option<(&str, u32)>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("enabled").attribute("xmlns", NS);
    if let Some((id, seconds)) = resumable {
        out.attribute("id", id).attribute("resume", "true");
        out.attribute("max", &seconds.to_string());
    }
    out.end();
    out.into_bytes()
}

/// `<resumed/>`: the old stream goes on; so many of the client's stanzas were handled.
#[must_use]
pub fn resumed(previous: &str, handled: u32) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("resumed").attribute("xmlns", NS);
    out.attribute("previd", previous);
    out.attribute("h", &handled.to_string()).end();
    out.into_bytes()
}

/// `<failed/>`; with a count when the old stream is known but over.
#[must_use]
pub fn failed(condition: Condition, handled: Option<u32>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("failed").attribute("xmlns", NS);
    out.maybe("h", handled.map(|count| count.to_string()).as_deref());
    out.open(condition.name())
        .attribute("xmlns", crate::ns::STANZA_ERRORS)
        .end();
    out.close("failed");
    out.into_bytes()
}

/// How many stanzas the peer sent since it enabled the feature.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Incoming {
    handled: u32,
}

impl Incoming {
    /// Counts a stanza for which responsibility was taken.
    pub fn count(&mut self) {
        self.handled = self.handled.wrapping_add(1);
    }

    /// The count, wrapped.
    #[must_use]
    pub fn handled(self) -> u32 {
        self.handled
    }
}

/// What may wait for an acknowledgement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueLimits {
    /// Stanzas.
    pub stanzas: usize,
    /// Bytes of their contents.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            stanzas: 2000,
            bytes: 4 << 20,
        }
    }
}

/// What was sent and is not acknowledged. `T` is kept beside each stanza, such as the time.
#[derive(Clone, Debug)]
pub struct Outgoing<T> {
    limits: QueueLimits,
    /// How many were acknowledged, wrapped.
    acknowledged: u32,
    waiting: VecDeque<(Stanza, T)>,
    bytes: usize,
}

/// Whether another stanza may be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// There is room.
    Enough,
    /// Half is used: it is time to ask.
    AskNow,
    /// The peer does not acknowledge: the stream has to end.
    None,
}

impl<T> Outgoing<T> {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            acknowledged: 0,
            waiting: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Remembers a stanza that is sent now, and tells how much room is left after it.
    pub fn push(&mut self, stanza: Stanza, beside: T) -> Room {
        self.bytes += stanza.content().len();
        self.waiting.push_back((stanza, beside));
        let (stanzas, bytes) = (self.waiting.len(), self.bytes);
        if stanzas > self.limits.stanzas || bytes > self.limits.bytes {
            Room::None
        } else if stanzas > self.limits.stanzas / 2 || bytes > self.limits.bytes / 2 {
            Room::AskNow
        } else {
            Room::Enough
        }
    }

    /// Forgets what the peer has, and gives it back.
    ///
    /// # Errors
    ///
    /// A stream error when it claims more than was sent, or less than it claimed before.
    pub fn acknowledge(
        &mut self,
        handled: u32,
    ) -> Result<impl Iterator<Item = (Stanza, T)> + '_, StreamError> {
        let count = handled.wrapping_sub(self.acknowledged);
        if count as usize > self.waiting.len() {
            return Err(self.too_high(handled));
        }
        self.acknowledged = handled;
        let freed = self.waiting.drain(..count as usize);
        let bytes = &mut self.bytes;
        Ok(freed.inspect(|(stanza, _)| *bytes -= stanza.content().len()))
    }

    /// What is not acknowledged, oldest first: to be sent again when the stream is resumed.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &(Stanza, T)> {
        self.waiting.iter()
    }

    /// What is not acknowledged, at the end of the stream.
    pub fn into_waiting(self) -> impl ExactSizeIterator<Item = (Stanza, T)> {
        self.waiting.into_iter()
    }

    /// How many stanzas were sent, wrapped.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.acknowledged.wrapping_add(self.waiting.len() as u32)
    }

    fn too_high(&self, handled: u32) -> StreamError {
        let mut out = Markup::default();
        out.open("handled-count-too-high").attribute("xmlns", NS);
        out.attribute("h", &handled.to_string());
        out.attribute("send-count", &self.sent().to_string()).end();
        let detail = Element::parse(&out.into_bytes(), Limits::CLIENT)
            .expect("what Markup wrote is one element");
        StreamError::from(StreamCondition::UndefinedCondition)
            .text("more stanzas are acknowledged than were sent")
            .detail(detail)
    }
}

/// What becomes of a stanza that nobody acknowledged before its session ended (XEP-0198 §5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Undelivered {
    /// A message: routed again as if the resource had not been there.
    RouteAgain,
    /// A request: its sender is told that nobody is there.
    Refuse,
    /// Nobody misses it.
    Drop,
}

impl Undelivered {
    /// What becomes of this one.
    #[must_use]
    pub fn of(stanza: &Stanza) -> Self {
        match stanza.kind {
            Type::Iq(kind) if kind.is_request() => Self::Refuse,
            _ if stanza.kind() == Kind::Message => Self::RouteAgain,
            _ => Self::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Incoming, NS, Outgoing, QueueLimits, Request, Room, Undelivered};
    use crate::{
        stanza::{Condition, IqType, MessageType, PresenceType, Stanza},
        xml::{Element, Limits},
    };

    fn message(id: u32) -> Stanza {
        Stanza::new(MessageType::Chat).id(id.to_string())
    }

    fn queue(acknowledged: u32) -> Outgoing<()> {
        Outgoing {
            acknowledged,
            ..Outgoing::new(QueueLimits {
                stanzas: 10,
                bytes: 1000,
            })
        }
    }

    fn ids(queue: &Outgoing<()>) -> Vec<String> {
        queue
            .waiting()
            .filter_map(|(stanza, ())| stanza.id.clone())
            .collect()
    }

    #[test]
    fn what_is_acknowledged_is_forgotten() {
        let mut queue = queue(0);
        for id in 1..=4 {
            assert_eq!(queue.push(message(id), ()), Room::Enough);
        }
        let freed: Vec<_> = queue.acknowledge(2).unwrap().collect();
        assert_eq!(freed.len(), 2);
        assert_eq!(ids(&queue), ["3", "4"]);
        assert_eq!(
            queue.acknowledge(2).unwrap().count(),
            0,
            "saying it again changes nothing"
        );
        assert_eq!(queue.sent(), 4);
    }

    #[test]
    fn counters_wrap() {
        let mut queue = queue(u32::MAX - 1);
        for id in 1..=3 {
            queue.push(message(id), ());
        }
        assert_eq!(queue.sent(), 1);
        assert_eq!(queue.acknowledge(0).unwrap().count(), 2);
        assert_eq!(ids(&queue), ["3"]);
        let mut incoming = Incoming { handled: u32::MAX };
        incoming.count();
        assert_eq!(incoming.handled(), 0);
    }

    #[test]
    fn a_count_that_cannot_be_ends_the_stream() {
        let mut queue = queue(5);
        queue.push(message(1), ());
        for wrong in [7, 4, 0] {
            let Err(error) = queue.acknowledge(wrong) else {
                panic!("{wrong} is not possible");
            };
            let detail = error.detail.unwrap();
            assert_eq!(detail.attribute("h"), Some(wrong.to_string().as_str()));
            assert_eq!(detail.attribute("send-count"), Some("6"));
        }
        assert_eq!(ids(&queue), ["1"], "nothing is lost by it");
    }

    #[test]
    fn room_runs_out() {
        let mut stanzas = queue(0);
        let rooms: Vec<_> = (0..11).map(|id| stanzas.push(message(id), ())).collect();
        assert_eq!(rooms[4..6], [Room::Enough, Room::AskNow]);
        assert_eq!(rooms[9..], [Room::AskNow, Room::None]);
        let mut bytes = queue(0);
        let long = message(1)
            .with_xml(format!("<body>{}</body>", "x".repeat(700)).as_bytes())
            .unwrap();
        assert_eq!(bytes.push(long.clone(), ()), Room::AskNow);
        assert_eq!(bytes.acknowledge(1).unwrap().count(), 1);
        assert_eq!(
            bytes.push(long.clone(), ()),
            Room::AskNow,
            "bytes are given back"
        );
        assert_eq!(bytes.push(long, ()), Room::None);
    }

    #[test]
    fn what_a_client_says_is_read() {
        let read = |xml: &str| {
            let xml = xml.replacen(' ', &format!(" xmlns='{NS}' "), 1);
            Request::read(&Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap())
        };
        assert_eq!(read("<r />"), Some(Ok(Request::Ask)));
        assert_eq!(
            read("<a h='7'/>"),
            Some(Ok(Request::Acknowledge { handled: 7 }))
        );
        for wrong in [
            "<a />",
            "<a h='-1'/>",
            "<a h='4294967296'/>",
            "<resume h='1'/>",
            "<resume previd='x'/>",
        ] {
            assert_eq!(read(wrong), Some(Err(Condition::BadRequest)), "{wrong}");
        }
        let enable = Request::Enable {
            resume: true,
            max_seconds: Some(60),
        };
        assert_eq!(read("<enable resume='1' max='60'/>"), Some(Ok(enable)));
        let resume = Request::Resume {
            previous: "x".into(),
            handled: 3,
        };
        assert_eq!(read("<resume previd='x' h='3'/>"), Some(Ok(resume)));
        assert_eq!(read("<other />"), None);
    }

    #[test]
    fn what_nobody_got_is_not_lost() {
        assert_eq!(Undelivered::of(&message(1)), Undelivered::RouteAgain);
        assert_eq!(
            Undelivered::of(&Stanza::new(IqType::Set)),
            Undelivered::Refuse
        );
        assert_eq!(
            Undelivered::of(&Stanza::new(IqType::Result)),
            Undelivered::Drop
        );
        assert_eq!(
            Undelivered::of(&Stanza::new(PresenceType::Available)),
            Undelivered::Drop
        );
    }

    proptest! {
        /// Whatever is sent, cut and acknowledged: the peer gets each stanza once, in order.
        #[test]
        fn nothing_is_lost_or_doubled(start: u32, steps in proptest::collection::vec((1_usize..4, 0_usize..4), 1..40)) {
            let mut queue: Outgoing<()> = Outgoing { acknowledged: start, ..Outgoing::new(QueueLimits::default()) };
            let (mut next, mut got, mut handled) = (0, Vec::new(), start);
            for (pushes, cut) in steps {
                for _ in 0..pushes {
                    queue.push(message(next), ());
                    next += 1;
                }
                // The peer reads all but the last few, then the connection is cut and resumed.
                let seen = handled.wrapping_sub(queue.acknowledged) as usize;
                for id in ids(&queue).into_iter().skip(seen).rev().skip(cut).collect::<Vec<_>>().into_iter().rev() {
                    got.push(id);
                    handled = handled.wrapping_add(1);
                }
                prop_assert!(queue.acknowledge(handled).is_ok());
            }
            got.extend(ids(&queue));
            let all: Vec<String> = (0..next).map(|id| id.to_string()).collect();
            prop_assert_eq!(got, all);
        }
    }
}

//! What a stanza is and what its `type` says (RFC 6121 §4.7.1, §5.2.2; RFC 6120 §8.2.3).

use std::fmt;

use crate::{ns, xml::Element};

/// The three kinds of stanzas.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Pushed to somebody.
    Message,
    /// Broadcast to whoever subscribed.
    Presence,
    /// Asked and answered.
    Iq,
}

impl Kind {
    /// What an element of a stream is.
    pub(super) fn of(element: &Element) -> Option<Self> {
        if !matches!(
            element.name.namespace.as_str(),
            ns::CLIENT | ns::SERVER | ns::COMPONENT
        ) {
            return None;
        }
        [Self::Message, Self::Presence, Self::Iq]
            .into_iter()
            .find(|kind| element.name.local == *kind.name())
    }

    /// The element's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A stanza's kind with its type.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Type {
    /// A message.
    Message(MessageType),
    /// A presence.
    Presence(PresenceType),
    /// An IQ.
    Iq(IqType),
}

impl Type {
    pub(super) fn parse(kind: Kind, written: Option<&str>) -> Option<Self> {
        match kind {
            Kind::Message => Some(Self::Message(MessageType::parse(written))),
            Kind::Presence => PresenceType::parse(written).map(Self::Presence),
            Kind::Iq => IqType::parse(written).map(Self::Iq),
        }
    }

    /// Message, presence or IQ.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Message(_) => Kind::Message,
            Self::Presence(_) => Kind::Presence,
            Self::Iq(_) => Kind::Iq,
        }
    }

    /// The attribute's value, `None` where the default stands for it.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Message(kind) => kind.name(),
            Self::Presence(kind) => kind.name(),
            Self::Iq(kind) => Some(kind.name()),
        }
    }
}

impl From<MessageType> for Type {
    fn from(kind: MessageType) -> Self {
        Self::Message(kind)
    }
}

impl From<PresenceType> for Type {
    fn from(kind: PresenceType) -> Self {
        Self::Presence(kind)
    }
}

impl From<IqType> for Type {
    fn from(kind: IqType) -> Self {
        Self::Iq(kind)
    }
}

/// The types of messages.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum MessageType {
    /// Of a conversation between two.
    Chat,
    /// A delivery that failed.
    Error,
    /// Of a room.
    Groupchat,
    /// News that needs no answer.
    Headline,
    /// Outside of a conversation; also what an unknown type counts as (RFC 6121 §5.2.2).
    #[default]
    Normal,
}

impl MessageType {
    fn parse(written: Option<&str>) -> Self {
        match written {
            Some("chat") => Self::Chat,
            Some("error") => Self::Error,
            Some("groupchat") => Self::Groupchat,
            Some("headline") => Self::Headline,
            _ => Self::Normal,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Chat => Some("chat"),
            Self::Error => Some("error"),
            Self::Groupchat => Some("groupchat"),
            Self::Headline => Some("headline"),
            Self::Normal => None,
        }
    }
}

/// The types of presence.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum PresenceType {
    /// Here: no type is written.
    #[default]
    Available,
    /// A presence that failed.
    Error,
    /// A server asks for somebody's presence.
    Probe,
    /// May I see your presence?
    Subscribe,
    /// You may see mine.
    Subscribed,
    /// Gone.
    Unavailable,
    /// I want no more of it.
    Unsubscribe,
    /// You may not, or no longer.
    Unsubscribed,
}

impl PresenceType {
    fn parse(written: Option<&str>) -> Option<Self> {
        Some(match written {
            None => Self::Available,
            Some("error") => Self::Error,
            Some("probe") => Self::Probe,
            Some("subscribe") => Self::Subscribe,
            Some("subscribed") => Self::Subscribed,
            Some("unavailable") => Self::Unavailable,
            Some("unsubscribe") => Self::Unsubscribe,
            Some("unsubscribed") => Self::Unsubscribed,
            Some(_) => return None,
        })
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Self::Available => None,
            Self::Error => Some("error"),
            Self::Probe => Some("probe"),
            Self::Subscribe => Some("subscribe"),
            Self::Subscribed => Some("subscribed"),
            Self::Unavailable => Some("unavailable"),
            Self::Unsubscribe => Some("unsubscribe"),
            Self::Unsubscribed => Some("unsubscribed"),
        }
    }

    /// Whether it goes through the rosters of both sides (RFC 6121 §3).
    #[must_use]
    pub fn is_about_subscription(self) -> bool {
        matches!(
            self,
            Self::Subscribe | Self::Subscribed | Self::Unsubscribe | Self::Unsubscribed
        )
    }
}

/// The types of IQs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum IqType {
    /// The request failed.
    Error,
    /// What is there?
    Get,
    /// The request was carried out.
    Result,
    /// Change this.
    Set,
}

impl IqType {
    fn parse(written: Option<&str>) -> Option<Self> {
        Some(match written {
            Some("error") => Self::Error,
            Some("get") => Self::Get,
            Some("result") => Self::Result,
            Some("set") => Self::Set,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Get => "get",
            Self::Result => "result",
            Self::Set => "set",
        }
    }

    /// Whether an answer is owed.
    #[must_use]
    pub fn is_request(self) -> bool {
        matches!(self, Self::Get | Self::Set)
    }
}

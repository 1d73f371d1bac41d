//! Copies of messages for an account's other resources (XEP-0280).
//!
//! [`crate::hints::Traits::is_copied`] says which messages are copied; here is to whom, and how a copy is written.
//! Copies are never archived, kept, copied again or pushed.

use jid::{FullJid, Jid};

use crate::{
    hints::{Traits, message_type},
    mam::write_forwarded,
    stanza::{IqType, MessageType, Stanza},
    xml::{Element, Markup},
};

/// The protocol.
pub const NS: &str = "urn:xmpp:carbons:2";
/// The feature: messages are picked by the rules of section 6.1 and no others.
pub const RULES: &str = "urn:xmpp:carbons:rules:0";

/// On which side of a message the account is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Somebody wrote to it.
    Received,
    /// One of its resources wrote.
    Sent,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Request {
    /// No more copies.
    Disable,
    /// Copies from now on.
    Enable,
}

impl Request {
    /// Reads the payload of an IQ; `None` for anything else. Both may be asked for again and again.
    #[must_use]
    pub fn read(kind: IqType, payload: &Element) -> Option<Self> {
        if kind != IqType::Set {
            return None;
        }
        if payload.name.is(NS, "enable") {
            return Some(Self::Enable);
        }
        payload.name.is(NS, "disable").then_some(Self::Disable)
    }
}

/// Whether the account's other resources get a copy. `from_room` says that the other side is an occupant of a room
/// in which the account is: the room itself sends to each of its resources (§6.1).
#[must_use]
pub fn is_copied(message: &Stanza, side: Side, from_room: bool) -> bool {
    let traits = Traits::of(message);
    let kind = message_type(message);
    let through_room = from_room || traits.muc_user && !traits.invitation;
    if through_room && side == Side::Received && kind != MessageType::Error {
        return false;
    }
    traits.is_copied(kind)
}

/// The places in `resources` that get a copy: who wants copies and has not got the message itself.
///
/// ```
/// # use folkmoot_xmpp::carbons::receivers;
/// let wants = [true, true, false, true];
/// assert_eq!(receivers(&wants, |place| place == 0), [1, 3]);
/// ```
#[must_use]
pub fn receivers(wants: &[bool], has_it: impl Fn(usize) -> bool) -> Vec<usize> {
    let places = wants.iter().enumerate();
    let places = places.filter(|(place, wants)| **wants && !has_it(*place));
    places.map(|(place, _)| place).collect()
}

/// The copy of `message` for the resource `to`. The message carries the stanza id that the account's archive gave
/// it, if it is archived.
#[must_use]
pub fn copy(message: &Stanza, side: Side, to: &FullJid) -> Stanza {
    let name = match side {
        Side::Received => "received",
        Side::Sent => "sent",
    };
    let mut out = Markup::default();
    out.open(name).attribute("xmlns", NS);
    write_forwarded(&mut out, None, message);
    out.close(name);
    Stanza::new(message.kind)
        .from(to.to_bare())
        .to(to.clone())
        .with_all(&out.into_bytes())
}

/// The message in a copy that a server sent to a client of `account`; `None` for anything else, also for what
/// somebody else pretends to be a copy.
#[must_use]
pub fn message_in(copy: &Stanza, account: &jid::BareJid) -> Option<(Side, Stanza)> {
    const FORWARD: &str = crate::mam::FORWARD;
    if copy.from.as_ref() != Some(&Jid::from(account.clone())) {
        return None;
    }
    let sides = [("received", Side::Received), ("sent", Side::Sent)];
    let (side, around) = sides
        .into_iter()
        .find_map(|(name, side)| Some((side, copy.open(copy.child(NS, name)?).ok()?)))?;
    let forwarded = around.open_child(FORWARD, "forwarded")?;
    let message = forwarded.open_child(crate::ns::CLIENT, "message")?;
    Some((side, Stanza::read(message).ok()?))
}

#[cfg(test)]
mod tests {
    use jid::{BareJid, FullJid, Jid};

    use super::{NS, Request, Side, copy, is_copied, message_in};
    use crate::{
        stanza::{IqType, MessageType, Stanza},
        xml::{Element, Limits},
    };

    fn message(xml: &str) -> Stanza {
        Stanza::new(MessageType::Chat)
            .from(Jid::new("a@a/x").unwrap())
            .to(Jid::new("b@b").unwrap())
            .with_all(xml.as_bytes())
    }

    #[test]
    fn a_copy_is_from_the_account_and_holds_the_message() {
        let to = FullJid::new("b@b/phone").unwrap();
        let copy = copy(&message("<body>hi</body>"), Side::Received, &to);
        let mut out = Vec::new();
        copy.write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<message from='b@b' to='b@b/phone' type='chat'><received xmlns='urn:xmpp:carbons:2'>\
             <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='a@a/x' to='b@b' type='chat'>\
             <body>hi</body></message></forwarded></received></message>"
        );
        let (side, inner) = message_in(&copy, &BareJid::new("b@b").unwrap()).unwrap();
        assert_eq!(side, Side::Received);
        assert_eq!(
            inner.text_of("jabber:client", "body").as_deref(),
            Some("hi")
        );
        // Whoever else sends one is lying.
        assert!(message_in(&copy, &BareJid::new("c@c").unwrap()).is_none());
        let spoofed = copy.from(Jid::new("b@b/phone").unwrap());
        assert!(message_in(&spoofed, &BareJid::new("b@b").unwrap()).is_none());
    }

    #[test]
    fn private_messages_of_rooms_are_copied_to_who_sent_them() {
        let marked = message("<body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/>");
        assert!(!is_copied(&marked, Side::Received, false));
        assert!(is_copied(&marked, Side::Sent, false));
        let unmarked = message("<body>psst</body>");
        assert!(!is_copied(&unmarked, Side::Received, true));
        assert!(is_copied(&unmarked, Side::Received, false));
        let invitation =
            message("<x xmlns='http://jabber.org/protocol/muc#user'><invite to='b@b'/></x>");
        assert!(is_copied(&invitation, Side::Received, false));
    }

    #[test]
    fn a_copy_is_not_copied() {
        let to = FullJid::new("b@b/phone").unwrap();
        let copy = copy(&message("<body>hi</body>"), Side::Sent, &to);
        assert!(!is_copied(&copy, Side::Received, false));
    }

    #[test]
    fn copies_are_asked_for() {
        let read = |kind, name: &str| {
            let xml = format!("<{name} xmlns='{NS}'/>");
            let payload = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
            Request::read(kind, &payload)
        };
        assert_eq!(read(IqType::Set, "enable"), Some(Request::Enable));
        assert_eq!(read(IqType::Set, "disable"), Some(Request::Disable));
        assert_eq!(read(IqType::Get, "enable"), None);
        assert_eq!(read(IqType::Set, "other"), None);
    }
}

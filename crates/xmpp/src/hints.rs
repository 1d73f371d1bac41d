//! What a sender wishes for a message's copies (XEP-0334), and what kind of payloads it has.
//!
//! Archive, carbons, offline storage, push and client states each ask [`Traits`] instead of looking
//! at the payloads anew: one pass over the children's names.

use crate::{
    ns,
    stanza::{MessageType, Stanza, Type},
    xml::Child,
};

const HINTS: &str = "urn:xmpp:hints";
const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
const RECEIPTS: &str = "urn:xmpp:receipts";
const MARKERS: &str = "urn:xmpp:chat-markers:0";
const CARBONS: &str = "urn:xmpp:carbons:2";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
const CONFERENCE: &str = "jabber:x:conference";
const JINGLE_MESSAGE: &str = "urn:xmpp:jingle-message:0";
const MAM: &str = "urn:xmpp:mam:2";

/// Which payloads a message has, as far as rules ask.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traits {
    /// Text for people.
    pub body: bool,
    /// A subject.
    pub subject: bool,
    /// End-to-end encrypted content (OMEMO of both kinds, OpenPGP).
    pub encrypted: bool,
    /// A reaction, correction, retraction, marker, invitation or call: kept although it may have no body.
    pub worth_keeping: bool,
    /// A delivery receipt or a request for one.
    pub receipt: bool,
    /// "Composing" and its like.
    pub chat_state: bool,
    /// A marker of XEP-0333.
    pub marker: bool,
    /// A call that begins (XEP-0353 `propose`).
    pub call: bool,
    /// An invitation to a room, mediated or direct.
    pub invitation: bool,
    /// The `x` of a room: a private message through it, when to or from an occupant.
    pub muc_user: bool,
    /// XEP-0280 `private`.
    pub private: bool,
    /// A copy that a server made (XEP-0280), or a result of an archive.
    pub copy: bool,
    /// `no-copy`.
    pub no_copy: bool,
    /// `no-store` or `no-permanent-store`.
    pub no_store: bool,
    /// `store`.
    pub store: bool,
    /// A payload that none of these names.
    pub other: bool,
}

impl Traits {
    /// Looks at the names of a message's payloads.
    #[must_use]
    pub fn of(message: &Stanza) -> Self {
        let mut traits = Self::default();
        for child in message.children() {
            traits.add(message, child);
        }
        traits
    }

    fn add(&mut self, message: &Stanza, child: &Child) {
        let local = child.name.local.as_str();
        match (child.name.namespace.as_str(), local) {
            (ns::CLIENT, "body") => self.body = true,
            (ns::CLIENT, "subject") => self.subject = true,
            (ns::CLIENT, "thread" | "error") => {}
            (HINTS, "no-copy") => self.no_copy = true,
            (HINTS, "no-store" | "no-permanent-store") => self.no_store = true,
            (HINTS, "store") => self.store = true,
            (CARBONS, "private") => self.private = true,
            (CARBONS, "received" | "sent") | (MAM, "result") => self.copy = true,
            (CHAT_STATES, _) => self.chat_state = true,
            (RECEIPTS, _) => self.receipt = true,
            (MARKERS, "markable") => {}
            (MARKERS, _) => {
                self.marker = true;
                self.worth_keeping = true;
            }
            (
                "urn:xmpp:omemo:2" | "urn:xmpp:omemo:1" | "eu.siacs.conversations.axolotl",
                "encrypted",
            )
            | ("urn:xmpp:openpgp:0", "openpgp")
            | ("jabber:x:encrypted", "x") => self.encrypted = true,
            ("urn:xmpp:reactions:0", "reactions")
            | ("urn:xmpp:message-correct:0", "replace")
            | ("urn:xmpp:message-retract:0" | "urn:xmpp:message-retract:1", _)
            | ("urn:xmpp:message-attaching:1", _) => self.worth_keeping = true,
            (JINGLE_MESSAGE, name) => {
                self.worth_keeping = true;
                self.call |= name == "propose";
            }
            ("urn:xmpp:call-invites:0", _) => self.worth_keeping = true,
            (CONFERENCE, "x") => {
                self.invitation = true;
                self.worth_keeping = true;
            }
            (MUC_USER, "x") => {
                self.muc_user = true;
                let invites = message.open(child).is_ok_and(|x| {
                    x.child(MUC_USER, "invite").is_some() || x.child(MUC_USER, "decline").is_some()
                });
                if invites {
                    self.invitation = true;
                    self.worth_keeping = true;
                }
            }
            ("urn:xmpp:sid:0" | "urn:xmpp:delay" | "urn:xmpp:fallback:0" | "urn:xmpp:eme:0", _) => {
            }
            _ => self.other = true,
        }
    }

    /// Whether nothing is said but "composing" and its like (XEP-0085): not worth waking
    /// anybody, nor keeping.
    #[must_use]
    pub fn only_chat_state(self) -> bool {
        self.chat_state
            && !(self.body
                || self.subject
                || self.encrypted
                || self.worth_keeping
                || self.receipt
                || self.other)
    }

    /// Whether an archive keeps the message (XEP-0313 §5.1.1).
    #[must_use]
    pub fn is_archived(self, kind: MessageType) -> bool {
        match kind {
            MessageType::Error | MessageType::Headline => return false,
            MessageType::Chat | MessageType::Groupchat | MessageType::Normal => {}
        }
        if self.no_store || self.copy {
            return false;
        }
        self.store
            || self.body
            || self.encrypted
            || self.worth_keeping
            || (kind == MessageType::Groupchat && self.subject)
    }

    /// Whether it waits for somebody who is away (XEP-0160 §3).
    #[must_use]
    pub fn is_kept_offline(self, kind: MessageType) -> bool {
        match kind {
            MessageType::Chat | MessageType::Normal => {
                !(self.no_store || self.copy || self.only_chat_state())
            }
            MessageType::Error | MessageType::Groupchat | MessageType::Headline => false,
        }
    }

    /// Whether other resources get a copy (XEP-0280 §6.1, `urn:xmpp:carbons:rules:0`). An error is
    /// copied as what it answers would be, which the caller asks about.
    #[must_use]
    pub fn is_copied(self, kind: MessageType) -> bool {
        if self.private || self.no_copy || self.copy {
            return false;
        }
        match kind {
            MessageType::Chat => true,
            MessageType::Normal => {
                self.body || self.receipt || self.chat_state || self.marker || self.invitation
            }
            MessageType::Error => self.body || self.receipt || self.marker,
            MessageType::Groupchat | MessageType::Headline => false,
        }
    }

    /// Whether a device that sleeps is woken for it (XEP-0357).
    #[must_use]
    pub fn wakes(self, kind: MessageType) -> bool {
        (self.body || self.encrypted || self.call || self.invitation) && self.is_archived(kind)
    }
}

/// The type of a message; normal for anything else.
#[must_use]
pub fn message_type(stanza: &Stanza) -> MessageType {
    match stanza.kind {
        Type::Message(kind) => kind,
        Type::Presence(_) | Type::Iq(_) => MessageType::Normal,
    }
}

#[cfg(test)]
mod tests {
    use super::{Traits, message_type};
    use crate::{
        ns,
        stanza::{MessageType, Stanza},
        xml::{Element, Limits},
    };

    fn message(kind: &str, payloads: &str) -> (Traits, MessageType) {
        let xml = format!("<message type='{kind}'>{payloads}</message>");
        let element = Element::parse_below(ns::CLIENT, xml.as_bytes(), Limits::CLIENT).unwrap();
        let stanza = Stanza::read(element).unwrap();
        (Traits::of(&stanza), message_type(&stanza))
    }

    const BODY: &str = "<body>hi</body>";
    const STATE: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    const OMEMO: &str = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header/></encrypted>";
    const MARKER: &str = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>";
    const NO_STORE: &str = "<no-store xmlns='urn:xmpp:hints'/>";
    const RECEIPT: &str = "<received xmlns='urn:xmpp:receipts' id='1'/>";
    const SENT: &str = "<sent xmlns='urn:xmpp:carbons:2'/>";
    const INVITE: &str = "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='b@b'/></x>";
    const PM: &str = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
    const PROPOSE: &str = "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>";

    #[test]
    fn archives_keep_what_people_would_miss() {
        for (kind, payloads, kept) in [
            ("chat", BODY.to_owned(), true),
            ("normal", BODY.to_owned(), true),
            ("chat", OMEMO.to_owned(), true),
            ("chat", MARKER.to_owned(), true),
            ("chat", PROPOSE.to_owned(), true),
            ("normal", INVITE.to_owned(), true),
            ("groupchat", "<subject/>".to_owned(), true),
            ("chat", STATE.to_owned(), false),
            ("chat", RECEIPT.to_owned(), false),
            (
                "chat",
                format!("{RECEIPT}<store xmlns='urn:xmpp:hints'/>"),
                true,
            ),
            ("chat", format!("{BODY}{NO_STORE}"), false),
            ("chat", format!("{BODY}{SENT}"), false),
            ("headline", BODY.to_owned(), false),
            ("error", BODY.to_owned(), false),
        ] {
            let (traits, of) = message(kind, &payloads);
            assert_eq!(traits.is_archived(of), kept, "{kind} {payloads}");
        }
    }

    #[test]
    fn copies_follow_the_rules() {
        for (kind, payloads, copied) in [
            ("chat", STATE.to_owned(), true),
            ("normal", BODY.to_owned(), true),
            ("normal", String::new(), false),
            ("normal", INVITE.to_owned(), true),
            ("normal", RECEIPT.to_owned(), true),
            (
                "chat",
                format!("{BODY}<private xmlns='urn:xmpp:carbons:2'/>"),
                false,
            ),
            (
                "chat",
                format!("{BODY}<no-copy xmlns='urn:xmpp:hints'/>"),
                false,
            ),
            ("groupchat", BODY.to_owned(), false),
            ("headline", BODY.to_owned(), false),
            ("error", BODY.to_owned(), true),
        ] {
            let (traits, of) = message(kind, &payloads);
            assert_eq!(traits.is_copied(of), copied, "{kind} {payloads}");
        }
    }

    #[test]
    fn chat_states_wait_for_nobody() {
        for (payloads, only) in [
            (STATE.to_owned(), true),
            (format!("<thread>1</thread>{STATE}{NO_STORE}"), true),
            (format!("{BODY}{STATE}"), false),
            (format!("{STATE}{MARKER}"), false),
        ] {
            let (traits, of) = message("chat", &payloads);
            assert_eq!(traits.only_chat_state(), only, "{payloads}");
            assert!(!only || !traits.is_kept_offline(of));
        }
    }

    #[test]
    fn only_what_matters_wakes_a_device() {
        for (payloads, wakes) in [
            (BODY, true),
            (OMEMO, true),
            (PROPOSE, true),
            (INVITE, true),
            (MARKER, false),
            (PM, false),
            (RECEIPT, false),
        ] {
            let (traits, of) = message("chat", payloads);
            assert_eq!(traits.wakes(of), wakes, "{payloads}");
        }
    }
}

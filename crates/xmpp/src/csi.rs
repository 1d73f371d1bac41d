//! What a client that nobody looks at is spared (XEP-0352).
//!
//! While a client is inactive, presence is held back, the newest of each sender alone, and chat states are
//! dropped; anything that somebody waits for lets all of it out first, so that the order between a sender's
//! stanzas stays as it was.

use crate::{
    hints::{Traits, message_type},
    stanza::{Kind, PresenceType, Stanza, Type},
};

/// What stanzas a client gets now.
#[derive(Clone, Debug)]
pub struct ClientState {
    inactive: bool,
    held: Vec<Stanza>,
    limit: usize,
}

/// Stanzas held back before all are sent.
const HELD: usize = 500;

impl Default for ClientState {
    fn default() -> Self {
        Self {
            inactive: false,
            held: Vec::new(),
            limit: HELD,
        }
    }
}

impl ClientState {
    /// Whether somebody looks at the client.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.inactive
    }

    /// The client said `<inactive/>`.
    pub fn set_inactive(&mut self) {
        self.inactive = true;
    }

    /// The client said `<active/>`, or its stream was resumed: what was held back.
    #[must_use]
    pub fn set_active(&mut self) -> Vec<Stanza> {
        self.inactive = false;
        std::mem::take(&mut self.held)
    }

    /// Takes a stanza for the client in; what to send now, in order.
    pub fn pass(&mut self, stanza: Stanza) -> Vec<Stanza> {
        if !self.inactive {
            return vec![stanza];
        }
        match Urgency::of(&stanza) {
            Urgency::Never => Vec::new(),
            Urgency::Later => {
                if let Some(older) = self.held.iter().position(|held| held.from == stanza.from) {
                    self.held.remove(older);
                }
                self.held.push(stanza);
                if self.held.len() < self.limit {
                    Vec::new()
                } else {
                    std::mem::take(&mut self.held)
                }
            }
            Urgency::Now => {
                let mut all = std::mem::take(&mut self.held);
                all.push(stanza);
                all
            }
        }
    }
}

/// Whether somebody waits for a stanza.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Urgency {
    Now,
    Later,
    Never,
}

impl Urgency {
    fn of(stanza: &Stanza) -> Self {
        match stanza.kind {
            // A room's presence of oneself tells whether one is in it.
            Type::Presence(PresenceType::Available | PresenceType::Unavailable)
                if !is_self_presence(stanza) =>
            {
                Self::Later
            }
            _ if stanza.kind() != Kind::Message => Self::Now,
            _ if message_type(stanza) == crate::stanza::MessageType::Error => Self::Now,
            _ if Traits::of(stanza).only_chat_state() => Self::Never,
            _ => Self::Now,
        }
    }
}

/// Whether a room says with status 110 that this is the receiver's own presence (XEP-0045 §7.2.2).
fn is_self_presence(stanza: &Stanza) -> bool {
    const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
    let Some(x) = stanza.child(MUC_USER, "x") else {
        return false;
    };
    let Ok(x) = stanza.open(x) else {
        return false;
    };
    x.children()
        .iter()
        .filter(|child| child.name.is(MUC_USER, "status"))
        .any(|status| {
            x.open(status)
                .is_ok_and(|status| status.attribute("code") == Some("110"))
        })
}

#[cfg(test)]
mod tests {
    use jid::Jid;

    use super::ClientState;
    use crate::stanza::{IqType, MessageType, PresenceType, Stanza};

    fn presence(from: &str, id: &str) -> Stanza {
        Stanza::new(PresenceType::Available)
            .from(Jid::new(from).unwrap())
            .id(id)
    }

    fn message(xml: &str, id: &str) -> Stanza {
        Stanza::new(MessageType::Chat)
            .id(id)
            .with_xml(xml.as_bytes())
            .unwrap()
    }

    fn ids(stanzas: Vec<Stanza>) -> Vec<String> {
        stanzas.into_iter().filter_map(|stanza| stanza.id).collect()
    }

    const STATE: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";

    #[test]
    fn an_active_client_gets_everything() {
        let mut state = ClientState::default();
        assert_eq!(ids(state.pass(presence("a@a/x", "1"))), ["1"]);
        assert_eq!(ids(state.pass(message(STATE, "2"))), ["2"]);
    }

    #[test]
    fn an_inactive_client_gets_presence_with_the_next_message() {
        let mut state = ClientState::default();
        state.set_inactive();
        assert!(state.pass(presence("a@a/x", "1")).is_empty());
        assert!(state.pass(presence("b@b/x", "2")).is_empty());
        assert!(
            state.pass(presence("a@a/x", "3")).is_empty(),
            "newer than the first"
        );
        assert!(state.pass(message(STATE, "4")).is_empty());
        assert_eq!(
            ids(state.pass(message("<body>hi</body>", "5"))),
            ["2", "3", "5"]
        );
        assert!(state.set_active().is_empty());
    }

    #[test]
    fn what_was_held_comes_when_somebody_looks() {
        let mut state = ClientState::default();
        state.set_inactive();
        assert!(state.pass(presence("a@a/x", "1")).is_empty());
        assert_eq!(ids(state.set_active()), ["1"]);
        assert!(state.is_active());
    }

    #[test]
    fn nobody_waits_for_an_answer_in_vain() {
        let mut state = ClientState::default();
        state.set_inactive();
        assert_eq!(ids(state.pass(Stanza::new(IqType::Result).id("1"))), ["1"]);
        assert_eq!(
            ids(state.pass(Stanza::new(PresenceType::Subscribe).id("2"))),
            ["2"]
        );
        let joined = presence("room@c/me", "3")
            .with_xml(b"<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x>")
            .unwrap();
        assert_eq!(ids(state.pass(joined)), ["3"]);
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let mut state = ClientState {
            limit: 3,
            ..ClientState::default()
        };
        state.set_inactive();
        assert!(state.pass(presence("a@a/1", "1")).is_empty());
        assert!(state.pass(presence("a@a/2", "2")).is_empty());
        assert_eq!(ids(state.pass(presence("a@a/3", "3"))), ["1", "2", "3"]);
    }
}

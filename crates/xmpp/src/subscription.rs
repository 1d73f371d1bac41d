//! Who may see whose presence: the states of a roster item and what moves them (RFC 6121
//! appendix A).
//!
//! Both servers run the table, each from its own user's side, even where both users are on one
//! server. [`Subscription`] is the state; [`Subscription::sends`] is what the user does,
//! [`Subscription::hears`] what the contact does.

use crate::stanza::PresenceType;

/// The relation between a user and a contact, as the user's roster holds it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Subscription {
    /// The user sees the contact's presence.
    pub to: bool,
    /// The contact sees the user's presence.
    pub from: bool,
    /// The user asked and has no answer.
    pub pending_out: bool,
    /// The contact asked and has no answer. Never shown in a roster.
    pub pending_in: bool,
    /// The user agreed before the contact asked (RFC 6121 §3.4).
    pub approved: bool,
}

/// What follows from what the user sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sent {
    /// The state now.
    pub state: Subscription,
    /// Whether the stanza goes to the contact.
    pub route: bool,
    /// The contact sees the user from now on: send it the user's presence.
    pub now_visible: bool,
    /// The contact no longer sees the user: tell it that the user is gone.
    pub now_hidden: bool,
}

/// What follows from what the contact sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heard {
    /// The state now.
    pub state: Subscription,
    /// Whether the user's resources are shown the stanza.
    pub deliver: bool,
    /// The server answers `subscribed` in the user's name: it was agreed to before.
    pub auto_reply: bool,
    /// The contact sees the user from now on.
    pub now_visible: bool,
    /// The contact no longer sees the user.
    pub now_hidden: bool,
}

impl Subscription {
    /// The attribute `subscription` of a roster item.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.to, self.from) {
            (false, false) => "none",
            (true, false) => "to",
            (false, true) => "from",
            (true, true) => "both",
        }
    }

    /// The state of that name, without what is pending.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (to, from) = match name {
            "none" => (false, false),
            "to" => (true, false),
            "from" => (false, true),
            "both" => (true, true),
            _ => return None,
        };
        Some(Self {
            to,
            from,
            ..Self::default()
        })
    }

    /// Applies a presence stanza of the four subscription types that the user sends. Other types
    /// change nothing and go on.
    #[must_use]
    pub fn sends(self, kind: PresenceType) -> Sent {
        let mut state = self;
        let mut route = true;
        match kind {
            PresenceType::Subscribe => state.pending_out |= !self.to,
            PresenceType::Unsubscribe => {
                state.to = false;
                state.pending_out = false;
            }
            PresenceType::Subscribed if self.pending_in => {
                state.pending_in = false;
                state.from = true;
            }
            PresenceType::Subscribed => {
                route = false;
                // Agreed before being asked.
                state.approved |= !self.from;
            }
            PresenceType::Unsubscribed => {
                route = self.from || self.pending_in;
                state.from = false;
                state.pending_in = false;
                state.approved = false;
            }
            _ => {}
        }
        Sent {
            state,
            route,
            now_visible: state.from && !self.from,
            now_hidden: !state.from && self.from,
        }
    }

    /// Applies a presence stanza of the four subscription types that the contact sent.
    #[must_use]
    pub fn hears(self, kind: PresenceType) -> Heard {
        let mut state = self;
        let mut auto_reply = false;
        let deliver = match kind {
            PresenceType::Subscribe if self.from => {
                auto_reply = true;
                false
            }
            PresenceType::Subscribe if self.approved => {
                auto_reply = true;
                state.from = true;
                state.approved = false;
                false
            }
            PresenceType::Subscribe => {
                state.pending_in = true;
                !self.pending_in
            }
            PresenceType::Unsubscribe => {
                state.from = false;
                state.pending_in = false;
                self.from || self.pending_in
            }
            PresenceType::Subscribed => {
                state.to |= self.pending_out;
                state.pending_out = false;
                self.pending_out
            }
            PresenceType::Unsubscribed => {
                state.to = false;
                state.pending_out = false;
                self.to || self.pending_out
            }
            _ => true,
        };
        Heard {
            state,
            deliver,
            auto_reply,
            now_visible: state.from && !self.from,
            now_hidden: !state.from && self.from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Subscription;
    use crate::stanza::PresenceType::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};

    /// A state by its name in RFC 6121 appendix A: `None+PO`, `To+PI`, …
    fn state(name: &str) -> Subscription {
        let mut parts = name.split('+');
        let plain = parts.next().unwrap().to_lowercase();
        let mut state = Subscription::from_name(&plain).unwrap();
        for part in parts {
            match part {
                "PO" => state.pending_out = true,
                "PI" => state.pending_in = true,
                other => panic!("no state has {other}"),
            }
        }
        state
    }

    const STATES: [&str; 9] = [
        "None",
        "None+PO",
        "None+PI",
        "None+PO+PI",
        "To",
        "To+PI",
        "From",
        "From+PO",
        "Both",
    ];

    /// Routed or not, and the next state; `=` for the same.
    const OUTBOUND: [[&str; 4]; 9] = [
        ["r None+PO", "r =", "- approved", "- ="],
        ["r =", "r None", "- approved", "- ="],
        ["r None+PO+PI", "r =", "r From", "r None"],
        ["r =", "r None+PI", "r From+PO", "r None+PO"],
        ["r =", "r None", "- approved", "- ="],
        ["r =", "r None+PI", "r Both", "r To"],
        ["r From+PO", "r =", "- =", "r None"],
        ["r =", "r From", "- =", "r None+PO"],
        ["r =", "r From", "- =", "r To"],
    ];

    /// Delivered or not, and the next state.
    const INBOUND: [[&str; 4]; 9] = [
        ["d None+PI", "- =", "- =", "- ="],
        ["d None+PO+PI", "- =", "d To", "d None"],
        ["- =", "d None", "- =", "- ="],
        ["- =", "d None+PO", "d To+PI", "d None+PI"],
        ["d To+PI", "- =", "- =", "d None"],
        ["- =", "d To", "- =", "d None+PI"],
        ["auto =", "d None", "- =", "- ="],
        ["auto =", "d None+PO", "d Both", "d From"],
        ["auto =", "d To", "- =", "d From"],
    ];

    const KINDS: [crate::stanza::PresenceType; 4] =
        [Subscribe, Unsubscribe, Subscribed, Unsubscribed];

    fn next(name: &str, cell: &str) -> Subscription {
        match cell.split_once(' ').unwrap().1 {
            "=" => state(name),
            "approved" => Subscription {
                approved: true,
                ..state(name)
            },
            other => state(other),
        }
    }

    #[test]
    fn what_a_user_sends_moves_the_state() {
        for (name, row) in STATES.iter().zip(OUTBOUND) {
            for (kind, cell) in KINDS.into_iter().zip(row) {
                let sent = state(name).sends(kind);
                assert_eq!(sent.state, next(name, cell), "{name} {kind:?}");
                assert_eq!(sent.route, cell.starts_with('r'), "{name} {kind:?}");
            }
        }
    }

    #[test]
    fn what_a_contact_sends_moves_the_state() {
        for (name, row) in STATES.iter().zip(INBOUND) {
            for (kind, cell) in KINDS.into_iter().zip(row) {
                let heard = state(name).hears(kind);
                assert_eq!(heard.state, next(name, cell), "{name} {kind:?}");
                assert_eq!(heard.deliver, cell.starts_with('d'), "{name} {kind:?}");
                assert_eq!(
                    heard.auto_reply,
                    cell.starts_with("auto"),
                    "{name} {kind:?}"
                );
            }
        }
    }

    #[test]
    fn what_was_agreed_to_before_is_answered_at_once() {
        let approved = state("To").sends(Subscribed).state;
        assert!(approved.approved);
        let heard = approved.hears(Subscribe);
        assert_eq!(heard.state, state("Both"));
        assert!(heard.auto_reply && heard.now_visible && !heard.deliver);
        assert_eq!(approved.sends(Unsubscribed).state, state("To"));
    }

    #[test]
    fn presence_follows_the_state() {
        assert!(state("None+PI").sends(Subscribed).now_visible);
        assert!(state("Both").sends(Unsubscribed).now_hidden);
        assert!(state("From").hears(Unsubscribe).now_hidden);
        assert!(!state("To").hears(Unsubscribed).now_hidden);
    }

    /// Two rosters that run the table against each other agree.
    #[test]
    fn both_sides_agree() {
        let (mut alice, mut bob) = (Subscription::default(), Subscription::default());
        let exchange = |from: &mut Subscription, to: &mut Subscription, kind| {
            let sent = from.sends(kind);
            *from = sent.state;
            if sent.route {
                *to = to.hears(kind).state;
            }
        };
        exchange(&mut alice, &mut bob, Subscribe);
        exchange(&mut bob, &mut alice, Subscribed);
        exchange(&mut bob, &mut alice, Subscribe);
        exchange(&mut alice, &mut bob, Subscribed);
        assert_eq!((alice.name(), bob.name()), ("both", "both"));
        exchange(&mut alice, &mut bob, Unsubscribe);
        assert_eq!((alice.name(), bob.name()), ("from", "to"));
    }
}

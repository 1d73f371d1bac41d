//! Which resources of an account get a stanza (RFC 6121 §8.5).
//!
//! Nothing here rewrites `to`: what was sent to the account stays addressed to the account.

use crate::stanza::{IqType, MessageType, PresenceType, Type};

/// A resource as far as deliveries care.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target<'a> {
    /// Its name.
    pub resource: &'a str,
    /// The priority of its available presence, from -128 to 127; `None` before the first presence
    /// and after an unavailable one.
    pub priority: Option<i8>,
}

impl Target<'_> {
    /// Whether messages to the account are for it, too.
    #[must_use]
    pub fn takes_account_messages(&self) -> bool {
        self.priority.is_some_and(|priority| priority >= 0)
    }
}

/// What to do with a stanza for an account or one of its resources.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// Hand it to these, by place in the list.
    To(Vec<usize>),
    /// Keep it until somebody comes; where nothing is kept, refuse it.
    Store,
    /// The server answers for the account.
    Account,
    /// It is about subscriptions: the roster decides.
    Roster,
    /// Answer `service-unavailable`.
    Refuse,
    /// Say nothing.
    Drop,
}

/// Decides where a stanza for an existing account goes. `resource` is that of its `to`.
#[must_use]
pub fn decide(kind: Type, resource: Option<&str>, targets: &[Target<'_>]) -> Delivery {
    let exact =
        resource.and_then(|wanted| targets.iter().position(|target| target.resource == wanted));
    match (kind, resource, exact) {
        (Type::Presence(kind), ..) if kind.is_about_subscription() => Delivery::Roster,
        (Type::Presence(PresenceType::Probe), ..) => Delivery::Account,
        (Type::Iq(_), None, _) => Delivery::Account,
        (_, Some(_), Some(exact)) => Delivery::To(vec![exact]),
        (Type::Message(kind), Some(_), None) => to_missing(kind, targets),
        (Type::Message(kind), None, _) => to_account(kind, targets),
        (Type::Presence(_), Some(_), None) => Delivery::Drop,
        (Type::Presence(_), None, _) => {
            to_those(targets, |target| target.priority.is_some(), Delivery::Drop)
        }
        (Type::Iq(IqType::Get | IqType::Set), Some(_), None) => Delivery::Refuse,
        (Type::Iq(IqType::Result | IqType::Error), Some(_), None) => Delivery::Drop,
    }
}

fn to_account(kind: MessageType, targets: &[Target<'_>]) -> Delivery {
    let takers = |otherwise| to_those(targets, |target| target.takes_account_messages(), otherwise);
    match kind {
        MessageType::Chat | MessageType::Normal => takers(Delivery::Store),
        MessageType::Headline => takers(Delivery::Drop),
        MessageType::Groupchat => Delivery::Refuse,
        MessageType::Error => Delivery::Drop,
    }
}

/// To a resource that is not there.
fn to_missing(kind: MessageType, targets: &[Target<'_>]) -> Delivery {
    match kind {
        MessageType::Chat => to_account(kind, targets),
        MessageType::Normal | MessageType::Groupchat => Delivery::Refuse,
        MessageType::Headline | MessageType::Error => Delivery::Drop,
    }
}

fn to_those(
    targets: &[Target<'_>],
    wanted: impl Fn(&Target<'_>) -> bool,
    otherwise: Delivery,
) -> Delivery {
    let places: Vec<usize> = targets
        .iter()
        .enumerate()
        .filter(|(_, target)| wanted(target))
        .map(|(place, _)| place)
        .collect();
    if places.is_empty() {
        otherwise
    } else {
        Delivery::To(places)
    }
}

#[cfg(test)]
mod tests {
    use super::{Delivery, Target, decide};
    use crate::stanza::{IqType, MessageType, PresenceType};

    const HOME: Target<'_> = Target {
        resource: "home",
        priority: Some(5),
    };
    const WORK: Target<'_> = Target {
        resource: "work",
        priority: Some(0),
    };
    const QUIET: Target<'_> = Target {
        resource: "quiet",
        priority: Some(-1),
    };
    const CONNECTED: Target<'_> = Target {
        resource: "connected",
        priority: None,
    };

    const ALL: [MessageType; 5] = [
        MessageType::Normal,
        MessageType::Chat,
        MessageType::Groupchat,
        MessageType::Headline,
        MessageType::Error,
    ];

    fn row(resource: Option<&str>, targets: &[Target<'_>]) -> [Delivery; 5] {
        ALL.map(|kind| decide(kind.into(), resource, targets))
    }

    #[test]
    fn messages_to_an_account_reach_who_wants_them() {
        let both = || Delivery::To(vec![0, 2]);
        assert_eq!(
            row(None, &[HOME, QUIET, WORK, CONNECTED]),
            [both(), both(), Delivery::Refuse, both(), Delivery::Drop]
        );
        for nobody in [&[QUIET, CONNECTED][..], &[]] {
            assert_eq!(
                row(None, nobody),
                [
                    Delivery::Store,
                    Delivery::Store,
                    Delivery::Refuse,
                    Delivery::Drop,
                    Delivery::Drop
                ]
            );
        }
    }

    #[test]
    fn messages_to_a_resource_reach_that_one() {
        for (place, resource) in ["home", "quiet", "connected"].into_iter().enumerate() {
            let found = row(Some(resource), &[HOME, QUIET, CONNECTED]);
            assert!(
                found
                    .iter()
                    .all(|delivery| *delivery == Delivery::To(vec![place]))
            );
        }
    }

    #[test]
    fn a_chat_to_a_resource_that_left_goes_to_the_others() {
        assert_eq!(
            row(Some("gone"), &[HOME, QUIET]),
            [
                Delivery::Refuse,
                Delivery::To(vec![0]),
                Delivery::Refuse,
                Delivery::Drop,
                Delivery::Drop
            ]
        );
        assert_eq!(row(Some("gone"), &[QUIET])[1], Delivery::Store);
    }

    #[test]
    fn presence_reaches_all_that_are_available() {
        let to =
            |kind: PresenceType, resource| decide(kind.into(), resource, &[HOME, QUIET, CONNECTED]);
        assert_eq!(to(PresenceType::Available, None), Delivery::To(vec![0, 1]));
        assert_eq!(
            to(PresenceType::Unavailable, Some("quiet")),
            Delivery::To(vec![1])
        );
        assert_eq!(to(PresenceType::Available, Some("gone")), Delivery::Drop);
        assert_eq!(to(PresenceType::Subscribe, Some("home")), Delivery::Roster);
        assert_eq!(to(PresenceType::Probe, Some("home")), Delivery::Account);
    }

    #[test]
    fn the_server_answers_iqs_to_an_account() {
        for kind in [IqType::Get, IqType::Set, IqType::Result, IqType::Error] {
            assert_eq!(decide(kind.into(), None, &[HOME]), Delivery::Account);
            assert_eq!(
                decide(kind.into(), Some("home"), &[HOME]),
                Delivery::To(vec![0])
            );
        }
        assert_eq!(
            decide(IqType::Get.into(), Some("gone"), &[HOME]),
            Delivery::Refuse
        );
        assert_eq!(
            decide(IqType::Result.into(), Some("gone"), &[HOME]),
            Delivery::Drop
        );
    }
}

//! Messages that wait until somebody comes (XEP-0160, XEP-0203).
//!
//! [`crate::hints::Traits::is_kept_offline`] says which; here is what they look like when they are handed over.

use jid::Jid;

use crate::{
    moment::{DELAY, Moment},
    ns,
    stanza::{Condition, Stanza, StanzaError},
    xml::{Element, Limits, XmlError},
};

/// The feature of a server that keeps messages.
pub const FEATURE: &str = "msgoffline";

/// A message as it is kept.
#[must_use]
pub fn kept(message: &Stanza) -> Vec<u8> {
    let mut out = Vec::new();
    message.write_in(ns::CLIENT, &mut out);
    out
}

/// A message that was kept since `at` by the server `domain`, to be handed over now. What the server itself said of its
/// time before is replaced; what others said stays.
///
/// # Errors
///
/// When `kept` is not what [`kept`] wrote.
pub fn delayed(kept: &[u8], at: Moment, domain: &Jid) -> Result<Stanza, XmlError> {
    let element = Element::parse_below(ns::CLIENT, kept, Limits::SERVER)?;
    let message =
        Stanza::read(element).map_err(|error| XmlError::NotWellFormed(error.to_string()))?;
    Ok(with_delay(message, at, domain))
}

/// The message with word that `by` has it since `at`.
#[must_use]
pub fn with_delay(message: Stanza, at: Moment, by: &Jid) -> Stanza {
    let told: Vec<_> = message
        .children()
        .iter()
        .filter(|child| child.name.is(DELAY, "delay"))
        .filter(|child| {
            message
                .open(child)
                .is_ok_and(|delay| delay.attribute("from") == Some(by.as_str()))
        })
        .cloned()
        .collect();
    message
        .without(|child| told.contains(child))
        .with(&at.delay(by))
}

/// What the sender is told when no more is kept.
#[must_use]
pub fn full() -> StanzaError {
    StanzaError::new(Condition::ServiceUnavailable).text("too many messages wait for that account")
}

#[cfg(test)]
mod tests {
    use jid::Jid;

    use super::{delayed, kept};
    use crate::{
        moment::{DELAY, Moment},
        stanza::{MessageType, Stanza},
    };

    #[test]
    fn a_message_that_waited_says_since_when() {
        let domain = Jid::new("a.example").unwrap();
        let message = Stanza::new(MessageType::Chat)
            .from(Jid::new("b@b/x").unwrap())
            .to(Jid::new("me@a.example").unwrap())
            .id("7")
            .with_all(b"<body>hi</body>")
            .with(&Moment(1).delay(&domain))
            .with(&Moment(2).delay(&Jid::new("b").unwrap()));
        let handed = delayed(&kept(&message), Moment(3), &domain).unwrap();
        assert_eq!(
            (&handed.from, &handed.to, &handed.id),
            (&message.from, &message.to, &message.id)
        );
        let delays: Vec<_> = handed
            .children()
            .iter()
            .filter(|child| child.name.is(DELAY, "delay"))
            .map(|child| {
                let delay = handed.open(child).unwrap();
                (
                    delay.attribute("from").unwrap().to_owned(),
                    delay
                        .attribute("stamp")
                        .unwrap()
                        .parse::<Moment>()
                        .unwrap()
                        .0,
                )
            })
            .collect();
        assert_eq!(delays, [("b".to_owned(), 2), ("a.example".to_owned(), 3)]);
        assert!(delayed(b"<other/>", Moment(0), &domain).is_err());
    }
}

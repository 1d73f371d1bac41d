//! Up to where a user has read, told with a marker (XEP-0490 §4.3).
//!
//! A message to somebody may say so for the user's own devices. The server takes that out before anything else
//! happens to the message, and publishes it.

use crate::{ns, pubsub::Config, stanza::Stanza, xml::Element};

/// The node, and the namespace of its items.
pub const NS: &str = "urn:xmpp:mds:displayed:0";
/// The feature of accounts.
pub const ASSIST: &str = "urn:xmpp:mds:server-assist:0";

/// What was taken out of a message.
#[derive(Clone, Debug)]
pub struct Assisted {
    /// What is left; `None` when that is nothing, and nothing goes to anybody.
    pub message: Option<Stanza>,
    /// What to publish: the item's id and payload, if they can be items.
    pub publish: Option<(String, Vec<u8>)>,
}

/// How the node is configured.
#[must_use]
pub fn config() -> Config {
    Config::private()
}

/// Takes the mark out of a message that a client sends; `None` when there is none.
#[must_use]
pub fn take(message: &Stanza) -> Option<Assisted> {
    let displayed = message.open(message.child(NS, "displayed")?).ok()?;
    let id = message.to.as_ref().map(ToString::to_string);
    let left = message
        .clone()
        .without(|child| child.name.is(NS, "displayed"));
    let is_empty = left.children().iter().all(|child| {
        child.name.is(ns::CLIENT, "thread") || child.name.namespace.as_str() == "urn:xmpp:hints"
    });
    Some(Assisted {
        message: (!is_empty).then_some(left),
        publish: id.filter(|_| names_a_message(&displayed)).map(|id| {
            let mut payload = Vec::new();
            displayed.write("", &mut payload);
            (id, payload)
        }),
    })
}

fn names_a_message(displayed: &Element) -> bool {
    displayed
        .open_child("urn:xmpp:sid:0", "stanza-id")
        .is_some_and(|id| id.attribute("id").is_some() && id.attribute("by").is_some())
}

#[cfg(test)]
mod tests {
    use jid::Jid;

    use super::take;
    use crate::stanza::{MessageType, Stanza};

    fn message(xml: &str) -> Stanza {
        Stanza::new(MessageType::Chat)
            .to(Jid::new("b@b").unwrap())
            .with_all(xml.as_bytes())
    }

    const MARK: &str = "<displayed xmlns='urn:xmpp:mds:displayed:0'>\
        <stanza-id xmlns='urn:xmpp:sid:0' by='me@a' id='7'/></displayed>";
    const MARKER: &str = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>";

    #[test]
    fn a_mark_is_published_and_reaches_nobody() {
        let taken = take(&message(&format!("{MARKER}{MARK}"))).unwrap();
        let left = taken.message.unwrap();
        assert_eq!(left.children().len(), 1);
        assert!(left.has("urn:xmpp:chat-markers:0", "displayed"));
        let (id, payload) = taken.publish.unwrap();
        assert_eq!(id, "b@b");
        assert_eq!(String::from_utf8(payload).unwrap(), MARK);
        assert!(take(&message(MARKER)).is_none());
    }

    #[test]
    fn nothing_is_left_of_a_mark_alone() {
        let taken = take(&message(&format!(
            "{MARK}<no-store xmlns='urn:xmpp:hints'/>"
        )))
        .unwrap();
        assert!(taken.message.is_none() && taken.publish.is_some());
        let broken = "<displayed xmlns='urn:xmpp:mds:displayed:0'/><body>hi</body>";
        let taken = take(&message(broken)).unwrap();
        assert!(taken.message.is_some() && taken.publish.is_none());
    }
}

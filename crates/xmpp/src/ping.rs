//! Are you there? (XEP-0199) The answer is an empty result.

use crate::{
    stanza::{IqType, Stanza},
    xml::Element,
};

/// The protocol.
pub const NS: &str = "urn:xmpp:ping";

/// Whether an IQ is one.
#[must_use]
pub fn is_ping(kind: IqType, payload: &Element) -> bool {
    kind == IqType::Get && payload.name.is(NS, "ping")
}

/// One, without addresses.
#[must_use]
pub fn ping(id: &str) -> Stanza {
    Stanza::new(IqType::Get)
        .id(id)
        .with_all(b"<ping xmlns='urn:xmpp:ping'/>")
}

#[cfg(test)]
mod tests {
    use super::{is_ping, ping};
    use crate::stanza::IqType;

    #[test]
    fn a_ping_is_one() {
        let stanza = ping("1");
        let payload = stanza.open(stanza.payload().unwrap()).unwrap();
        assert!(is_ping(IqType::Get, &payload));
        assert!(!is_ping(IqType::Set, &payload));
    }
}

//! Programs that speak for a domain of their own (XEP-0114).

use jid::Jid;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

use crate::{
    ns,
    stanza::Stanza,
    stream::{StreamCondition, StreamError},
    xml::Element,
};

/// What a component that knows the secret writes on the stream of that id: SHA-1 of both in lower-case hex.
///
/// ```
/// # use folkmoot_xmpp::component::handshake;
/// assert_eq!(handshake("3BF96D32", "test"), "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e");
/// ```
#[must_use]
pub fn handshake(stream: &str, secret: &str) -> String {
    use std::fmt::Write as _;
    let hash = Sha1::new()
        .chain_update(stream)
        .chain_update(secret)
        .finalize();
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A component's stream, from its header on.
#[derive(Debug)]
pub struct Component {
    /// Its domain.
    domain: Jid,
    stream: String,
    is_proven: bool,
}

/// What a component's element means.
#[derive(Clone, Debug)]
pub enum Heard {
    /// It knows the secret: write `<handshake/>`, and route its domain to it.
    Proven,
    /// Route this.
    Stanza(Stanza),
}

impl Component {
    /// A component that opened a stream to `domain`, which this side named `stream`.
    #[must_use]
    pub fn new(domain: Jid, stream: impl Into<String>) -> Self {
        Self {
            domain,
            stream: stream.into(),
            is_proven: false,
        }
    }

    /// Its domain.
    #[must_use]
    pub fn domain(&self) -> &Jid {
        &self.domain
    }

    /// Whether it has shown that it knows the secret.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Takes in an element of its stream.
    ///
    /// # Errors
    ///
    /// `not-authorized` for a wrong handshake and for anything before it; `invalid-from` for a stanza from outside its domain;
    /// `improper-addressing` for one to nobody; `unsupported-stanza-type` for anything else.
    pub fn handle(&mut self, element: Element, secret: &str) -> Result<Heard, StreamError> {
        if !self.is_proven {
            let wanted = handshake(&self.stream, secret);
            let shown = element
                .name
                .is(ns::COMPONENT, "handshake")
                .then(|| element.text());
            let shown = shown
                .and_then(Result::ok)
                .unwrap_or_default()
                .trim()
                .to_lowercase();
            let is_right: bool = wanted.as_bytes().ct_eq(shown.as_bytes()).into();
            if !is_right {
                return Err(StreamError::from(StreamCondition::NotAuthorized)
                    .text("the handshake is wrong"));
            }
            self.is_proven = true;
            return Ok(Heard::Proven);
        }
        if !Stanza::is_one(&element) {
            return Err(StreamCondition::UnsupportedStanzaType.into());
        }
        let stanza = Stanza::read(element).map_err(|error| {
            StreamError::from(StreamCondition::InvalidXml).text(error.to_string())
        })?;
        let is_own = stanza
            .from
            .as_ref()
            .is_some_and(|from| from.domain() == self.domain.domain());
        if !is_own {
            let text = format!(
                "stanzas of this component come from {}",
                self.domain.domain()
            );
            return Err(StreamError::from(StreamCondition::InvalidFrom).text(text));
        }
        if stanza.to.is_none() {
            return Err(StreamError::from(StreamCondition::ImproperAddressing)
                .text("the stanza is for nobody"));
        }
        Ok(Heard::Stanza(stanza))
    }
}

#[cfg(test)]
mod tests {
    use jid::Jid;

    use super::{Component, Heard, handshake};
    use crate::xml::{Element, Limits};

    fn component() -> Component {
        Component::new(Jid::new("irc.a").unwrap(), "3BF96D32")
    }

    fn says(component: &mut Component, xml: &str) -> Result<Heard, String> {
        let element =
            Element::parse_below(crate::ns::COMPONENT, xml.as_bytes(), Limits::SERVER).unwrap();
        component
            .handle(element, "secret")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_component_shows_that_it_knows_the_secret() {
        let mut component = component();
        assert!(
            says(&mut component, "<handshake>00</handshake>")
                .unwrap_err()
                .starts_with("not-authorized")
        );
        assert!(says(&mut component, "<presence from='irc.a' to='b@b'/>").is_err());
        let shown = format!("<handshake>{}</handshake>", handshake("3BF96D32", "secret"));
        assert!(matches!(says(&mut component, &shown), Ok(Heard::Proven)));
        assert!(component.is_proven());
    }

    #[test]
    fn a_component_speaks_for_its_domain_alone() {
        let mut component = component();
        let shown = format!("<handshake>{}</handshake>", handshake("3BF96D32", "secret"));
        says(&mut component, &shown).unwrap();
        for (xml, outcome) in [
            ("<message from='x@irc.a/y' to='b@b'/>", ""),
            ("<message from='irc.a' to='b@b'/>", ""),
            ("<message from='a' to='b@b'/>", "invalid-from"),
            ("<message from='x@sub.irc.a' to='b@b'/>", "invalid-from"),
            ("<message to='b@b'/>", "invalid-from"),
            ("<message from='irc.a'/>", "improper-addressing"),
            ("<other/>", "unsupported-stanza-type"),
        ] {
            match says(&mut component, xml) {
                Ok(Heard::Stanza(_)) => assert_eq!(outcome, "", "{xml}"),
                Ok(Heard::Proven) => panic!("{xml}"),
                Err(error) => assert!(
                    !outcome.is_empty() && error.starts_with(outcome),
                    "{xml}: {error}"
                ),
            }
        }
    }
}

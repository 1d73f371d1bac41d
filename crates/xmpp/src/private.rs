//! XML that a client keeps on its server for itself (XEP-0049).

use crate::{
    ns,
    stanza::{Condition, IqType, StanzaError},
    xml::{Element, Markup, Name},
};

/// The protocol.
pub const NS: &str = "jabber:iq:private";

/// Bytes of one element.
const BYTES: usize = 128 << 10;

/// What a client asks of its own account.
#[derive(Clone, Debug)]
pub enum Request {
    /// The element of that name.
    Get(Name),
    /// Keep these, each in place of the one of the same name.
    Set(Vec<Element>),
}

impl Request {
    /// Reads the payload of an IQ.
    ///
    /// # Errors
    ///
    /// `bad-request` when no element is named, or several in a question; `not-acceptable` for namespaces that belong
    /// to the protocol itself and for elements that are too long.
    pub fn read(kind: IqType, query: &Element) -> Result<Self, StanzaError> {
        let refused = |condition: Condition, text: &str| StanzaError::new(condition).text(text);
        let children = query.children();
        if children.is_empty() {
            return Err(refused(Condition::BadRequest, "no element is named"));
        }
        for child in children {
            let reserved = matches!(
                child.name.namespace.as_str(),
                "" | NS | ns::CLIENT | ns::SERVER | ns::COMPONENT | ns::STREAM
            );
            if reserved {
                let text = "elements of that namespace cannot be kept";
                return Err(refused(Condition::NotAcceptable, text));
            }
        }
        if kind == IqType::Get {
            let [child] = children else {
                return Err(refused(
                    Condition::BadRequest,
                    "one element is asked for at a time",
                ));
            };
            return Ok(Self::Get(child.name.clone()));
        }
        if query.content().len() > BYTES {
            let text = format!("at most {BYTES} bytes are kept at a time");
            return Err(StanzaError::new(Condition::NotAcceptable).text(text));
        }
        let elements = children.iter().map(|child| query.open(child));
        let elements = elements.collect::<Result<_, _>>();
        Ok(Self::Set(elements.map_err(|_| Condition::BadRequest)?))
    }
}

/// The payload of the answer to a question for `name`: what was kept, written to stand alone, or an empty element.
#[must_use]
pub fn payload(name: &Name, kept: Option<&[u8]>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("query").attribute("xmlns", NS);
    match kept {
        Some(kept) => out.raw(kept),
        None => out
            .open(name.local.as_str())
            .attribute("xmlns", name.namespace.as_str())
            .end(),
    };
    out.close("query");
    out.into_bytes()
}

/// An element as it is kept: it stands alone.
#[must_use]
pub fn kept(element: &Element) -> Vec<u8> {
    let mut out = Vec::new();
    element.write("", &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::{NS, Request, kept, payload};
    use crate::{
        stanza::IqType,
        xml::{Element, Limits},
    };

    fn read(kind: IqType, children: &str) -> Result<Request, String> {
        let xml = format!("<query xmlns='{NS}'>{children}</query>");
        let query = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
        Request::read(kind, &query).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_kept_is_answered() {
        let Ok(Request::Set(all)) = read(IqType::Set, "<x xmlns='urn:x' a='1'><y>z</y></x>") else {
            panic!("it is a request");
        };
        let kept = kept(&all[0]);
        assert_eq!(kept, b"<x xmlns='urn:x' a='1'><y>z</y></x>");
        let Ok(Request::Get(name)) = read(IqType::Get, "<x xmlns='urn:x'/>") else {
            panic!("it is a request");
        };
        assert_eq!(
            String::from_utf8(payload(&name, Some(&kept))).unwrap(),
            format!("<query xmlns='{NS}'><x xmlns='urn:x' a='1'><y>z</y></x></query>")
        );
        assert_eq!(
            String::from_utf8(payload(&name, None)).unwrap(),
            format!("<query xmlns='{NS}'><x xmlns='urn:x'/></query>")
        );
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for (kind, children, condition) in [
            (IqType::Get, "", "bad-request"),
            (IqType::Set, "", "bad-request"),
            (
                IqType::Get,
                "<x xmlns='urn:x'/><y xmlns='urn:x'/>",
                "bad-request",
            ),
            (IqType::Set, "<x/>", "not-acceptable"),
            (
                IqType::Get,
                "<message xmlns='jabber:client'/>",
                "not-acceptable",
            ),
        ] {
            assert!(
                read(kind, children).unwrap_err().starts_with(condition),
                "{children}"
            );
        }
    }
}

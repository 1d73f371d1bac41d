//! Streams in messages of a WebSocket (RFC 7395): every message is one element that stands alone.

use crate::{
    ns,
    stream::{Header, Profile, StreamCondition, StreamError},
    xml::{Element, Limits, Markup, XmlError},
};

/// The subprotocol that both sides name.
pub const SUBPROTOCOL: &str = "xmpp";
/// The namespace of `open` and `close`.
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";

/// What a message is.
#[derive(Clone, Debug)]
pub enum Frame {
    /// The end of the stream.
    Close,
    /// An element of the stream.
    Element(Element),
    /// The beginning of a stream, also after authentication.
    Open(Header),
}

impl Frame {
    /// Reads a message. White space alone keeps a connection open and is nothing (`None`).
    ///
    /// # Errors
    ///
    /// What the stream ends with: the XML is wrong, or it is a stream of TCP, or of another version.
    pub fn read(message: &[u8], limits: Limits) -> Result<Option<Self>, StreamError> {
        if message.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        if message.len() > limits.element_bytes {
            let limit = limits.element_bytes;
            return Err(XmlError::TooLong { limit }.into());
        }
        if message.trim_ascii_start().starts_with(b"<stream:stream") {
            return Err(StreamError::from(StreamCondition::InvalidNamespace)
                .text("a stream in a WebSocket begins with open, not with stream:stream"));
        }
        let element = Element::parse(message, limits)?;
        if element.name.is(FRAMING, "open") {
            return Header::of_attributes(element.attributes())
                .map(Self::Open)
                .map(Some);
        }
        if element.name.is(FRAMING, "close") {
            return Ok(Some(Self::Close));
        }
        if element.name.namespace.as_str() == FRAMING {
            return Err(StreamCondition::BadFormat.into());
        }
        Ok(Some(Self::Element(element)))
    }
}

/// The message that begins a stream.
#[must_use]
pub fn open(header: &Header) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("open").attribute("xmlns", FRAMING);
    header.write_attributes(&mut out);
    out.end();
    out.into_bytes()
}

/// The message that ends a stream; who connects next is sent to `instead`, which has to be as safe as this address.
#[must_use]
pub fn close(instead: Option<&str>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("close").attribute("xmlns", FRAMING);
    out.maybe("see-other-uri", instead).end();
    out.into_bytes()
}

/// An element as a message of its own. `written` is what a stream of TCP would carry between the tags of the stream: one
/// element that inherits `jabber:client` and the prefix `stream`.
///
/// # Errors
///
/// When it is not exactly one element.
pub fn message(written: &[u8]) -> Result<Vec<u8>, XmlError> {
    let mut around = Vec::new();
    Header::default().write(Profile::Client, &mut around);
    let mut reader = crate::xml::Reader::new(Limits::OWN);
    reader.push(&around);
    reader.push(written);
    let _ = reader.next()?;
    let Some(crate::xml::Event::Element(element)) = reader.next()? else {
        return Err(XmlError::LooseText);
    };
    let mut out = Vec::with_capacity(written.len() + 64);
    if element.name.namespace.as_str() == ns::STREAM {
        // Clients look for the prefix.
        let name = format!("stream:{}", element.name.local.as_str());
        let mut markup = Markup::default();
        markup.open(&name).attribute("xmlns:stream", ns::STREAM);
        markup.attribute("xmlns", ns::CLIENT);
        for child in element.children() {
            let child = element.open(child)?;
            let mut bytes = Vec::new();
            child.write(ns::CLIENT, &mut bytes);
            markup.raw(&bytes);
        }
        markup.close(&name);
        return Ok(markup.into_bytes());
    }
    element.write("", &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{FRAMING, Frame, close, message, open};
    use crate::{stream::Header, xml::Limits};

    fn read(text: &str) -> Result<Option<Frame>, String> {
        Frame::read(text.as_bytes(), Limits::CLIENT).map_err(|error| error.to_string())
    }

    #[test]
    fn a_stream_is_opened_and_closed_in_messages() {
        let header = Header {
            to: Some("a.example".into()),
            has_version: true,
            ..Header::default()
        };
        let text = String::from_utf8(open(&header)).unwrap();
        assert_eq!(
            text,
            format!("<open xmlns='{FRAMING}' to='a.example' version='1.0'/>")
        );
        let Ok(Some(Frame::Open(read_header))) = read(&text) else {
            panic!("it opens a stream");
        };
        assert_eq!(read_header, header);
        let end = String::from_utf8(close(Some("wss://b/"))).unwrap();
        assert!(matches!(read(&end), Ok(Some(Frame::Close))));
        assert!(matches!(read(" \n"), Ok(None)));
        assert!(matches!(
            read("<message xmlns='jabber:client'/>"),
            Ok(Some(Frame::Element(_)))
        ));
    }

    #[test]
    fn what_is_no_message_of_a_stream_is_refused() {
        for (text, condition) in [
            ("<stream:stream xmlns='jabber:client'>", "invalid-namespace"),
            (
                "<message xmlns='jabber:client'/><message xmlns='jabber:client'/>",
                "",
            ),
            ("<message xmlns='jabber:client'>", "not-well-formed"),
            ("<!-- x -->", ""),
            ("hello", ""),
            (
                "<other xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
                "bad-format",
            ),
        ] {
            assert!(read(text).unwrap_err().starts_with(condition), "{text}");
        }
    }

    #[test]
    fn elements_stand_alone() {
        let text = |written: &[u8]| String::from_utf8(message(written).unwrap()).unwrap();
        assert_eq!(
            text(b"<message><body>hi</body></message>"),
            "<message xmlns='jabber:client'><body>hi</body></message>"
        );
        let features = text(
            b"<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>",
        );
        assert_eq!(
            features,
            "<stream:features xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'>\
             <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>"
        );
        assert_eq!(
            text(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
        );
        assert!(message(b"").is_err());
    }
}

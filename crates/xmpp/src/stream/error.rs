//! Stream errors, after which a stream is over (RFC 6120 §4.9).

use std::fmt;

use crate::{
    ns,
    stanza::InvalidStanza,
    xml::{Element, Markup, XmlError},
};

macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        /// The defined conditions (RFC 6120 §4.9.3).
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum StreamCondition { $($(#[$doc])* $name,)+ }

        impl StreamCondition {
            /// The element's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The condition of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Some(match name { $($text => Self::$name,)+ _ => return None })
            }
        }
    };
}

conditions! {
    /// XML that cannot be processed here.
    BadFormat = "bad-format";
    /// A namespace prefix that this protocol does not take.
    BadNamespacePrefix = "bad-namespace-prefix";
    /// Another stream took this one's place.
    Conflict = "conflict";
    /// Nothing was heard for too long.
    ConnectionTimeout = "connection-timeout";
    /// The domain is no longer served here.
    HostGone = "host-gone";
    /// The domain is not served here.
    HostUnknown = "host-unknown";
    /// A stanza between servers without both addresses.
    ImproperAddressing = "improper-addressing";
    /// A fault of this server.
    InternalServerError = "internal-server-error";
    /// `from` is not who the stream's peer is.
    InvalidFrom = "invalid-from";
    /// A namespace of the stream that is not taken here.
    InvalidNamespace = "invalid-namespace";
    /// XML that is no part of a stream.
    InvalidXml = "invalid-xml";
    /// Something before the peer proved who it is.
    NotAuthorized = "not-authorized";
    /// Broken XML.
    NotWellFormed = "not-well-formed";
    /// Against a policy of this service, such as a limit.
    PolicyViolation = "policy-violation";
    /// A server behind this one cannot be reached.
    RemoteConnectionFailed = "remote-connection-failed";
    /// The stream must begin anew.
    Reset = "reset";
    /// Not enough of something.
    ResourceConstraint = "resource-constraint";
    /// XML that RFC 6120 forbids.
    RestrictedXml = "restricted-xml";
    /// The service is at another host.
    SeeOtherHost = "see-other-host";
    /// The service ends.
    SystemShutdown = "system-shutdown";
    /// Said by an element of the application.
    UndefinedCondition = "undefined-condition";
    /// Not UTF-8.
    UnsupportedEncoding = "unsupported-encoding";
    /// A feature that the peer required and nobody has.
    UnsupportedFeature = "unsupported-feature";
    /// An element that is no stanza and nothing else known.
    UnsupportedStanzaType = "unsupported-stanza-type";
    /// A version of XMPP that is not spoken here.
    UnsupportedVersion = "unsupported-version";
}

/// Why a stream ends.
#[derive(Clone, Debug, thiserror::Error)]
pub struct StreamError {
    /// What is wrong.
    pub condition: StreamCondition,
    /// A sentence for people.
    pub text: Option<String>,
    /// An element of the application that says more.
    pub detail: Option<Box<Element>>,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.condition.name())?;
        match &self.text {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> Self {
        Self {
            condition,
            text: None,
            detail: None,
        }
    }
}

impl From<XmlError> for StreamError {
    fn from(error: XmlError) -> Self {
        let condition = match error {
            XmlError::NotWellFormed(_) => StreamCondition::NotWellFormed,
            XmlError::Restricted(_) => StreamCondition::RestrictedXml,
            XmlError::TooLong { .. } | XmlError::TooDeep { .. } | XmlError::TooMany { .. } => {
                StreamCondition::PolicyViolation
            }
            XmlError::LooseText => StreamCondition::BadFormat,
        };
        Self::from(condition).text(error.to_string())
    }
}

impl StreamError {
    /// The same error with a sentence for people.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The same error with an element of the application.
    #[must_use]
    pub fn detail(mut self, detail: Element) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }

    /// What a stanza's fault means for its stream, or `None` when a stanza error tells it.
    #[must_use]
    pub fn of_stanza(error: &InvalidStanza) -> Option<Self> {
        let condition = match error {
            InvalidStanza::NotAStanza(_) => StreamCondition::UnsupportedStanzaType,
            InvalidStanza::From(_) => StreamCondition::InvalidFrom,
            InvalidStanza::To { .. }
            | InvalidStanza::Type { .. }
            | InvalidStanza::NoId
            | InvalidStanza::Payloads { .. } => return None,
        };
        Some(Self::from(condition).text(error.to_string()))
    }

    /// Writes the error with the prefix that a header of ours declares.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_named("stream:error", None, out);
    }

    /// Writes the error to stand alone, as in a WebSocket (RFC 7395 §3.6.2).
    pub fn write_alone(&self, out: &mut Vec<u8>) {
        self.write_named("error", Some(ns::STREAM), out);
    }

    fn write_named(&self, name: &str, namespace: Option<&str>, out: &mut Vec<u8>) {
        let mut markup = Markup::default();
        markup.open(name).maybe("xmlns", namespace);
        markup
            .open(self.condition.name())
            .attribute("xmlns", ns::STREAM_ERRORS)
            .end();
        if let Some(text) = &self.text {
            markup.open("text").attribute("xmlns", ns::STREAM_ERRORS);
            markup.text(text).close("text");
        }
        if let Some(detail) = &self.detail {
            let mut bytes = Vec::new();
            detail.write(namespace.unwrap_or_default(), &mut bytes);
            markup.raw(&bytes);
        }
        markup.close(name);
        out.extend_from_slice(&markup.into_bytes());
    }

    /// Reads the error that a peer sent.
    #[must_use]
    pub fn read(element: &Element) -> Self {
        let condition = element
            .children()
            .iter()
            .filter(|child| child.name.namespace.as_str() == ns::STREAM_ERRORS)
            .find_map(|child| StreamCondition::from_name(&child.name.local))
            .unwrap_or(StreamCondition::UndefinedCondition);
        let text = element
            .child(ns::STREAM_ERRORS, "text")
            .and_then(|text| element.open(text).ok()?.text().ok());
        let detail = element
            .children()
            .iter()
            .find(|child| child.name.namespace.as_str() != ns::STREAM_ERRORS)
            .and_then(|child| element.open(child).ok())
            .map(Box::new);
        Self {
            condition,
            text,
            detail,
        }
    }
}

//! Stream headers (RFC 6120 §4.7).

use jid::Jid;
use rxml::AttrMap;

use super::{StreamCondition, StreamError};
use crate::{
    ns,
    xml::{Event, Markup, Name},
};

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// Who speaks to whom on a stream, which is its default namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// A client with its server.
    Client,
    /// A component with its server (XEP-0114).
    Component,
    /// Two servers.
    Server,
}

impl Profile {
    /// The namespace of its stanzas.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Client => ns::CLIENT,
            Self::Component => ns::COMPONENT,
            Self::Server => ns::SERVER,
        }
    }
}

/// The start tag of a stream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Header {
    /// The entity that the stream is for, as written.
    pub to: Option<String>,
    /// Who opens it, as written.
    pub from: Option<String>,
    /// The stream's name, which who answers chooses.
    pub id: Option<String>,
    /// Whether `version` is 1.0 or later: features follow.
    pub has_version: bool,
    /// The language of texts, as a BCP 47 tag.
    pub lang: Option<String>,
}

impl Header {
    /// Reads the start tag of a stream of that profile.
    ///
    /// # Errors
    ///
    /// `invalid-namespace` for another element or another default namespace,
    /// `unsupported-version` for a version that is no number. An answer's header precedes it.
    pub fn read(
        name: &Name,
        attributes: &AttrMap,
        default_namespace: Option<&str>,
        profile: Profile,
    ) -> Result<Self, StreamError> {
        if !name.is(ns::STREAM, "stream") {
            let text = format!("a stream begins with {{{}}}stream", ns::STREAM);
            return Err(StreamError::from(StreamCondition::InvalidNamespace).text(text));
        }
        if default_namespace != Some(profile.namespace()) {
            let text = format!("the default namespace here is {}", profile.namespace());
            return Err(StreamError::from(StreamCondition::InvalidNamespace).text(text));
        }
        Self::of_attributes(attributes)
    }

    /// Reads the attributes of a start tag, or of the `open` of a WebSocket (RFC 7395 §3.4).
    ///
    /// # Errors
    ///
    /// `unsupported-version` for a version that is no number.
    pub fn of_attributes(attributes: &AttrMap) -> Result<Self, StreamError> {
        let get = |name: &str| attributes.get(rxml::Namespace::none(), name).cloned();
        Ok(Self {
            to: get("to"),
            from: get("from"),
            id: get("id"),
            has_version: has_version(get("version").as_deref())?,
            lang: attributes.get(XML_NAMESPACE, "lang").cloned(),
        })
    }

    /// The address in `from`, if it is one.
    #[must_use]
    pub fn sender(&self) -> Option<Jid> {
        Jid::new(self.from.as_deref()?).ok()
    }

    /// Writes the start tag.
    pub fn write(&self, profile: Profile, out: &mut Vec<u8>) {
        let mut markup = Markup::default();
        markup.raw(b"<?xml version='1.0'?>").open("stream:stream");
        markup
            .attribute("xmlns", profile.namespace())
            .attribute("xmlns:stream", ns::STREAM);
        if profile == Profile::Server {
            markup.attribute("xmlns:db", "jabber:server:dialback");
        }
        self.write_attributes(&mut markup);
        out.extend_from_slice(&markup.into_bytes());
    }

    /// Writes `from`, `to`, `id`, `version` and `xml:lang` into a start tag.
    pub fn write_attributes(&self, markup: &mut Markup) {
        markup
            .maybe("from", self.from.as_deref())
            .maybe("to", self.to.as_deref())
            .maybe("id", self.id.as_deref())
            .maybe("version", self.has_version.then_some("1.0"))
            .maybe("xml:lang", self.lang.as_deref());
    }
}

/// Whether features follow: the version is 1.0 or later (RFC 6120 §4.7.5).
fn has_version(written: Option<&str>) -> Result<bool, StreamError> {
    let Some(written) = written else {
        return Ok(false);
    };
    let major = written.split_once('.').and_then(|(major, minor)| {
        minor.parse::<u32>().ok()?;
        major.parse::<u32>().ok()
    });
    match major {
        Some(major) => Ok(major >= 1),
        None => {
            Err(StreamError::from(StreamCondition::UnsupportedVersion)
                .text("the version is no number"))
        }
    }
}

impl Event {
    /// The header that this event is, of a stream of that profile.
    ///
    /// # Errors
    ///
    /// What [`Header::read`] says; `bad-format` when something else came before the header.
    pub fn header(&self, profile: Profile) -> Result<Header, StreamError> {
        match self {
            Self::Open {
                name,
                attributes,
                default_namespace,
            } => Header::read(name, attributes, default_namespace.as_deref(), profile),
            Self::Element(_) | Self::Close => Err(StreamCondition::BadFormat.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Header, Profile};
    use crate::xml::{Limits, Reader};

    fn read(text: &str, profile: Profile) -> Result<Header, String> {
        let mut reader = Reader::new(Limits::STRANGER);
        reader.push(text.as_bytes());
        let event = reader.next().unwrap().unwrap();
        event.header(profile).map_err(|error| error.to_string())
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for profile in [Profile::Client, Profile::Component, Profile::Server] {
            let header = Header {
                to: Some("b.example".into()),
                from: Some("a'b@a.example".into()),
                id: Some("++TR84Sm6A3hnt3Q065SnAbbk3Y=".into()),
                has_version: true,
                lang: Some("en".into()),
            };
            let mut out = Vec::new();
            header.write(profile, &mut out);
            assert_eq!(read(&String::from_utf8(out).unwrap(), profile), Ok(header));
        }
    }

    #[test]
    fn another_namespace_is_no_stream_of_ours() {
        let stream = "xmlns:stream='http://etherx.jabber.org/streams'";
        for (text, condition) in [
            (
                format!("<stream:stream {stream} xmlns='jabber:server'>"),
                "invalid-namespace",
            ),
            (format!("<stream:stream {stream}>"), "invalid-namespace"),
            (
                format!("<stream:flow {stream} xmlns='jabber:client'>"),
                "invalid-namespace",
            ),
            (
                "<stream xmlns='jabber:client'>".to_owned(),
                "invalid-namespace",
            ),
            (
                format!("<stream:stream {stream} xmlns='jabber:client' version='x'>"),
                "unsupported-version",
            ),
        ] {
            let error = read(&text, Profile::Client).unwrap_err();
            assert!(error.starts_with(condition), "{text}: {error}");
        }
    }

    #[test]
    fn only_version_one_and_later_have_features() {
        for (version, features) in [
            ("", false),
            ("version='0.9'", false),
            ("version='1.0'", true),
            ("version='2.1'", true),
        ] {
            let text = format!(
                "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client' {version}>"
            );
            assert_eq!(
                read(&text, Profile::Client).unwrap().has_version,
                features,
                "{text}"
            );
        }
    }
}

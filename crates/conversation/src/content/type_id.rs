//! The names of content types.

use std::{borrow::Cow, fmt, str::FromStr};

use folkmoot_wire::proto::xmtp::mls::message_contents as proto;

/// Names a content type: `{authority}/{type}:{major}.{minor}` as text.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ContentTypeId {
    /// Who defines the type, by a domain name. Not looked at when a codec is picked.
    pub authority_id: Cow<'static, str>,
    /// The name of the type.
    pub type_id: Cow<'static, str>,
    /// Another major version is another type.
    pub version_major: u32,
    /// Changes nothing about how the content is read.
    pub version_minor: u32,
}

impl ContentTypeId {
    /// The type with this name, and version `major.minor`.
    #[must_use]
    pub const fn new(
        authority_id: &'static str,
        type_id: &'static str,
        major: u32,
        minor: u32,
    ) -> Self {
        Self {
            authority_id: Cow::Borrowed(authority_id),
            type_id: Cow::Borrowed(type_id),
            version_major: major,
            version_minor: minor,
        }
    }

    /// A type of `xmtp.org`, version `major.0`.
    pub(crate) const fn xmtp(type_id: &'static str, major: u32) -> Self {
        Self::new("xmtp.org", type_id, major, 0)
    }

    /// Whether the same codec reads both: name and major version are equal.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.type_id == other.type_id && self.version_major == other.version_major
    }

    pub(crate) fn from_proto(id: proto::ContentTypeId) -> Self {
        Self {
            authority_id: id.authority_id.into(),
            type_id: id.type_id.into(),
            version_major: id.version_major,
            version_minor: id.version_minor,
        }
    }

    pub(crate) fn to_proto(&self) -> proto::ContentTypeId {
        proto::ContentTypeId {
            authority_id: self.authority_id.clone().into_owned(),
            type_id: self.type_id.clone().into_owned(),
            version_major: self.version_major,
            version_minor: self.version_minor,
        }
    }
}

impl fmt::Display for ContentTypeId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/{}:{}.{}",
            self.authority_id, self.type_id, self.version_major, self.version_minor
        )
    }
}

impl FromStr for ContentTypeId {
    type Err = InvalidContentTypeId;

    fn from_str(text: &str) -> Result<Self, InvalidContentTypeId> {
        let (name, version) = text.rsplit_once(':').ok_or(InvalidContentTypeId)?;
        let (authority, type_id) = name.split_once('/').ok_or(InvalidContentTypeId)?;
        let (major, minor) = version.split_once('.').ok_or(InvalidContentTypeId)?;
        if authority.is_empty() || type_id.is_empty() {
            return Err(InvalidContentTypeId);
        }
        Ok(Self {
            authority_id: authority.to_owned().into(),
            type_id: type_id.to_owned().into(),
            version_major: major.parse().map_err(|_| InvalidContentTypeId)?,
            version_minor: minor.parse().map_err(|_| InvalidContentTypeId)?,
        })
    }
}

/// The text does not name a content type.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a content type reads authority/type:major.minor, as in xmtp.org/text:1.0")]
pub struct InvalidContentTypeId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_reads_as_it_is_written() {
        for text in ["xmtp.org/text:1.0", "xmtp.org/application/x-protobuf:1.0"] {
            let id: ContentTypeId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
        }
        for text in [
            "", "text", "a/b", "a/b:1", "/b:1.0", "a/:1.0", "a/b:1.x", "a/b:-1.0",
        ] {
            assert_eq!(
                text.parse::<ContentTypeId>(),
                Err(InvalidContentTypeId),
                "{text}"
            );
        }
    }

    #[test]
    fn authority_and_minor_version_do_not_matter() {
        let text = ContentTypeId::xmtp("text", 1);
        assert!(text.matches(&ContentTypeId::new("evil.example", "text", 1, 9)));
        assert!(!text.matches(&ContentTypeId::xmtp("text", 2)));
        assert!(!text.matches(&ContentTypeId::xmtp("markdown", 1)));
    }
}

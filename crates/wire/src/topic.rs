//! Topics: the names of logs.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{InboxId, InstallationKey};

/// What a topic's envelopes are. The number is the topic's first byte.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum TopicKind {
    /// Messages of a group; the identifier is the MLS group id.
    GroupMessages = 0,
    /// Welcomes; the identifier is an installation key, or a welcome pointer's destination.
    WelcomeMessages = 1,
    /// Identity updates; the identifier is the inbox id's 32 bytes.
    IdentityUpdates = 2,
    /// Key packages; the identifier is an installation key.
    KeyPackages = 3,
    /// Reports of what payers owe; reserved to nodes.
    PayerReports = 4,
    /// Countersignatures of payer reports; reserved to nodes.
    PayerReportAttestations = 5,
}

impl TopicKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::GroupMessages,
        Self::WelcomeMessages,
        Self::IdentityUpdates,
        Self::KeyPackages,
        Self::PayerReports,
        Self::PayerReportAttestations,
    ];

    /// The kind with this number, if there is one.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }

    /// A word for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GroupMessages => "group",
            Self::WelcomeMessages => "welcome",
            Self::IdentityUpdates => "identity",
            Self::KeyPackages => "key_package",
            Self::PayerReports => "payer_report",
            Self::PayerReportAttestations => "payer_report_attestation",
        }
    }
}

/// The name of a log: a kind byte and an identifier of 1 to 127 bytes. Cheap to clone.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic(Bytes);

impl Topic {
    /// The most bytes that a topic has, the kind byte included.
    pub const MAX_BYTES: usize = 128;

    /// The topic of `kind` and `identifier`.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] when the identifier is empty or longer than 127 bytes.
    pub fn new(kind: TopicKind, identifier: &[u8]) -> Result<Self, InvalidTopic> {
        let mut bytes = BytesMut::with_capacity(1 + identifier.len());
        bytes.put_u8(kind as u8);
        bytes.put_slice(identifier);
        Self::parse(bytes.freeze())
    }

    /// Reads a topic from its bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] when the bytes are fewer than 2 or more than 128, or the kind is unknown.
    pub fn parse(bytes: Bytes) -> Result<Self, InvalidTopic> {
        if !(2..=Self::MAX_BYTES).contains(&bytes.len()) {
            return Err(InvalidTopic::Length(bytes.len()));
        }
        if TopicKind::from_byte(bytes[0]).is_none() {
            return Err(InvalidTopic::Kind(bytes[0]));
        }
        Ok(Self(bytes))
    }

    /// The log of an inbox.
    #[must_use]
    pub fn identity(inbox: &InboxId) -> Self {
        Self::new(TopicKind::IdentityUpdates, inbox.as_bytes()).expect("32 bytes are in range")
    }

    /// The key packages of an installation.
    #[must_use]
    pub fn key_package(installation: &InstallationKey) -> Self {
        Self::new(TopicKind::KeyPackages, installation.as_bytes()).expect("32 bytes are in range")
    }

    /// What the topic's envelopes are.
    #[must_use]
    pub fn kind(&self) -> TopicKind {
        TopicKind::from_byte(self.0[0]).expect("checked when made")
    }

    /// The bytes after the kind byte.
    #[must_use]
    pub fn identifier(&self) -> &[u8] {
        &self.0[1..]
    }

    /// Kind byte and identifier.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Topic({}:{})",
            self.kind().name(),
            hex::encode(self.identifier())
        )
    }
}

/// Why bytes are not a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidTopic {
    /// The first byte is no known kind.
    #[error("topic kind {0} is unknown; kinds are 0 to 5")]
    Kind(u8),
    /// Too short or too long.
    #[error("a topic has 2 to 128 bytes, not {0}")]
    Length(usize),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_topic_is_its_kind_and_identifier() {
        let topic = Topic::new(TopicKind::WelcomeMessages, b"abc").unwrap();
        assert_eq!(topic.as_bytes().as_ref(), b"\x01abc");
        assert_eq!(topic.kind(), TopicKind::WelcomeMessages);
        assert_eq!(topic.identifier(), b"abc");
    }

    #[test]
    fn a_topic_without_identifier_is_refused() {
        assert_eq!(
            Topic::new(TopicKind::GroupMessages, b""),
            Err(InvalidTopic::Length(1))
        );
        assert_eq!(
            Topic::new(TopicKind::GroupMessages, &[1; 128]),
            Err(InvalidTopic::Length(129))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_topic_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let valid = (2..=128).contains(&bytes.len()) && bytes[0] < 6;
            prop_assert_eq!(Topic::parse(bytes.into()).is_ok(), valid);
        }
    }
}

//! `folkmoot.org/typing:0.1`, a draft of our own: XMTP has no such type (XIP-65 is a draft without
//! a content type).

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// The sender writes, or stopped. Official clients would show the fallback as a message, so it is
/// sent only where the people asked for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Typing {
    /// The sender began to write, or still does.
    Started,
    /// The sender stopped.
    Stopped,
}

impl Codec for Typing {
    const TYPE: ContentTypeId = ContentTypeId::new("folkmoot.org", "typing", 0, 1);
    const SHOULD_PUSH: bool = false;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let state = match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
        };
        Ok(Parts::of(Self::TYPE).parameter("state", state))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        match parts.get("state") {
            Some("started") => Ok(Self::Started),
            Some("stopped") => Ok(Self::Stopped),
            Some(_) => Err(DecodeError::Field {
                field: "parameter state",
                expected: "started or stopped",
            }),
            None => Err(DecodeError::Missing("parameter state")),
        }
    }

    fn fallback(&self) -> Option<String> {
        Some("(typing)".to_owned())
    }
}

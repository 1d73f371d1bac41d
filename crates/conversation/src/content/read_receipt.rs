//! `xmtp.org/readReceipt:1.0`

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// The sender has read everything up to the time of this message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReadReceipt;

impl Codec for ReadReceipt {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("readReceipt", 1);
    const SHOULD_PUSH: bool = false;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        Ok(Parts::of(Self::TYPE))
    }

    fn from_parts(_: &Parts) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

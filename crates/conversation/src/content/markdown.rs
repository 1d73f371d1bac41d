//! `xmtp.org/markdown:1.0`

use super::{
    Codec, ContentTypeId, DecodeError, EncodeError, Parts,
    text::{read_utf8, utf8_parts},
};

/// Text with CommonMark mark-up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Markdown(pub String);

impl Codec for Markdown {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("markdown", 1);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        Ok(utf8_parts(Self::TYPE, &self.0))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        read_utf8(parts).map(Self)
    }
}

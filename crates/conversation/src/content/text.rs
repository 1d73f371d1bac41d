//! `xmtp.org/text:1.0`

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// Plain text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Text(pub String);

impl Codec for Text {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("text", 1);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        Ok(utf8_parts(Self::TYPE, &self.0))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        read_utf8(parts).map(Self)
    }
}

pub(super) fn utf8_parts(id: ContentTypeId, text: &str) -> Parts {
    Parts::of(id)
        .parameter(ENCODING, "UTF-8")
        .content(text.as_bytes().to_vec())
}

/// Reads a text that says UTF-8, or says nothing.
pub(super) fn read_utf8(parts: &Parts) -> Result<String, DecodeError> {
    match parts.get(ENCODING) {
        None | Some("UTF-8") => parts.utf8().map(str::to_owned),
        Some(_) => Err(DecodeError::Encoding),
    }
}

const ENCODING: &str = "encoding";

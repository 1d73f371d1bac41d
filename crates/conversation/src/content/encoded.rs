//! A content as it travels.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use bytes::Bytes;
use folkmoot_wire::{MessageId, proto::xmtp::mls::message_contents as proto};
use prost::Message as _;

use super::{
    Codec, ContentKind, ContentTypeId, DecodeError, DeleteMessage, EncodeError, Reaction, Reply,
    compression,
};

/// A content as it travels: the protobuf message `EncodedContent`, with its exact bytes.
///
/// Message ids are made from the bytes, and senders may write one content in many ways, so what was
/// received is never encoded again.
#[derive(Clone, Eq, PartialEq)]
pub struct EncodedContent {
    bytes: Bytes,
    parts: Parts,
}

impl EncodedContent {
    /// Reads an encoded content and keeps `bytes` as they are.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TooLarge`] beyond [`MAX_ENCODED_BYTES`], [`DecodeError::Protobuf`] when the
    /// bytes are no `EncodedContent`.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_ENCODED_BYTES {
            return Err(DecodeError::TooLarge(bytes.len()));
        }
        let message = proto::EncodedContent::decode(bytes.clone())
            .map_err(|_| DecodeError::Protobuf("EncodedContent"))?;
        let parts = Parts::from_proto(message);
        Ok(Self { bytes, parts })
    }

    /// The bytes as received, or as they will be sent.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The fields.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The type, if the content names one.
    #[must_use]
    pub const fn content_type(&self) -> Option<&ContentTypeId> {
        self.parts.content_type.as_ref()
    }

    /// The kind under which the message is filed.
    #[must_use]
    pub fn kind(&self) -> ContentKind {
        self.content_type()
            .map_or(ContentKind::Unknown, |id| ContentKind::of(&id.type_id))
    }

    /// The text for apps that do not know the type. It comes from the sender.
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        self.parts.fallback.as_deref()
    }

    /// The message that this one belongs to: what a reply answers, a reaction is put to, a deletion
    /// takes back. `None` for all other types, and when the reference is no message id.
    #[must_use]
    pub fn reference(&self) -> Option<MessageId> {
        match self.kind() {
            ContentKind::Reply => Reply::decode(self).ok()?.reference_id(),
            ContentKind::Reaction => Reaction::decode(self).ok()?.reference_id(),
            ContentKind::DeleteMessage => Some(DeleteMessage::decode(self).ok()?.message_id),
            _ => None,
        }
    }
}

impl fmt::Debug for EncodedContent {
    /// Writes type and size, and not what was said.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.content_type().map(ToString::to_string);
        formatter
            .debug_struct("EncodedContent")
            .field("content_type", &kind.unwrap_or_default())
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// The fields of an encoded content.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Parts {
    /// Names the codec.
    pub content_type: Option<ContentTypeId>,
    /// What the codec wants to know beside the content.
    pub parameters: BTreeMap<String, String>,
    /// A text for apps that do not know the type.
    pub fallback: Option<String>,
    /// The content proper, in the form of its type.
    pub content: Bytes,
    /// How `content` is packed. Official clients of today neither write nor undo it.
    pub compression: Option<Compression>,
}

impl Parts {
    /// An empty content of the type `id`.
    #[must_use]
    pub fn of(id: ContentTypeId) -> Self {
        Self {
            content_type: Some(id),
            ..Self::default()
        }
    }

    /// The same with a parameter more.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    /// The same with this content.
    #[must_use]
    pub fn content(mut self, content: impl Into<Bytes>) -> Self {
        self.content = content.into();
        self
    }

    /// Writes the content as it will travel. Equal parts have equal bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`] beyond [`MAX_ENCODED_BYTES`].
    pub fn seal(self) -> Result<EncodedContent, EncodeError> {
        let message = self.to_proto();
        let length = message.encoded_len();
        if length > MAX_ENCODED_BYTES {
            return Err(EncodeError::TooLarge(length));
        }
        Ok(EncodedContent {
            bytes: message.encode_to_vec().into(),
            parts: self,
        })
    }

    /// The same with its compression undone.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the packing is unknown or broken, or when the content would become far
    /// larger than it is.
    pub fn unpack(&self) -> Result<Cow<'_, Self>, DecodeError> {
        let Some(compression) = self.compression else {
            return Ok(Cow::Borrowed(self));
        };
        Ok(Cow::Owned(Self {
            content: compression::unpack(compression, &self.content)?,
            compression: None,
            ..self.clone()
        }))
    }

    /// The content as text.
    pub(crate) fn utf8(&self) -> Result<&str, DecodeError> {
        str::from_utf8(&self.content).map_err(|_| DecodeError::Utf8("content"))
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    pub(crate) fn from_proto(message: proto::EncodedContent) -> Self {
        Self {
            content_type: message.r#type.map(ContentTypeId::from_proto),
            parameters: message.parameters,
            fallback: message.fallback,
            content: message.content,
            compression: message.compression.map(Compression::from_number),
        }
    }

    pub(crate) fn to_proto(&self) -> proto::EncodedContent {
        proto::EncodedContent {
            r#type: self.content_type.as_ref().map(ContentTypeId::to_proto),
            parameters: self.parameters.clone(),
            fallback: self.fallback.clone(),
            content: self.content.clone(),
            compression: self.compression.map(Compression::number),
        }
    }
}

impl fmt::Debug for Parts {
    /// Writes type and sizes, and not what was said.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.content_type.as_ref().map(ToString::to_string);
        formatter
            .debug_struct("Parts")
            .field("content_type", &kind.unwrap_or_default())
            .field("parameters", &self.parameters.len())
            .field("content", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// How a content is packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// A zlib stream (RFC 1950), which browsers call `deflate`.
    Deflate,
    /// A gzip file (RFC 1952).
    Gzip,
    /// Nobody knows: the number that the sender gave.
    Unknown(i32),
}

impl Compression {
    const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Deflate,
            1 => Self::Gzip,
            other => Self::Unknown(other),
        }
    }

    const fn number(self) -> i32 {
        match self {
            Self::Deflate => 0,
            Self::Gzip => 1,
            Self::Unknown(other) => other,
        }
    }
}

/// The most bytes that an encoded content may have. Nodes take no larger messages.
pub const MAX_ENCODED_BYTES: usize = 25 << 20;

//! Why a content is not understood, or may not be sent. No error repeats what was said.

use super::{ContentTypeId, encoded::MAX_ENCODED_BYTES};

/// Why bytes are not the content that they should be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than any message can have.
    #[error("the content has {0} bytes; at most {MAX_ENCODED_BYTES} are read")]
    TooLarge(usize),
    /// The bytes are not a protobuf message.
    #[error("the bytes are not the protobuf message {0}")]
    Protobuf(&'static str),
    /// Nothing says of what type the content is.
    #[error("the content has no type")]
    NoType,
    /// The type is not known here.
    #[error("the content type {0} is not known")]
    UnknownType(ContentTypeId),
    /// Another type was asked for.
    #[error("the content type is {found}, not {wanted}")]
    OtherType {
        /// The type of the content.
        found: ContentTypeId,
        /// The type that was asked for.
        wanted: ContentTypeId,
    },
    /// A text in an encoding that nobody uses.
    #[error("the parameter encoding is not UTF-8")]
    Encoding,
    /// Bytes that should be a text.
    #[error("{0} is not UTF-8")]
    Utf8(&'static str),
    /// A field without which the content says nothing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has a form that its type does not allow.
    #[error("{field} is not {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The JSON does not parse, lacks a key, or has a value of another type.
    #[error("the content is not the JSON of its type (line {line}, column {column})")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// The content is packed in a way that nobody knows.
    #[error("compression {0} is not known; 0 is DEFLATE, 1 is GZIP")]
    UnknownCompression(i32),
    /// The content is packed, and the packing is broken.
    #[error("the compressed content does not unpack")]
    Compressed,
    /// The content is packed, and would become far larger than people's contents do.
    #[error("the compressed content unpacks to more than {0} bytes")]
    CompressionBomb(usize),
}

impl From<serde_json::Error> for DecodeError {
    fn from(cause: serde_json::Error) -> Self {
        // The text of the cause may quote the content.
        Self::Json {
            line: cause.line(),
            column: cause.column(),
        }
    }
}

/// Why a content may not be sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// More bytes than any message can have.
    #[error("the content has {0} bytes; a message carries at most {MAX_ENCODED_BYTES}")]
    TooLarge(usize),
    /// There is nothing to choose from.
    #[error("actions must contain at least one action")]
    NoActions,
    /// There is too much to choose from.
    #[error("there are {0} actions; at most 10 can be chosen from")]
    TooManyActions(usize),
    /// Two actions have one id, so that nobody could tell which was chosen.
    #[error("the id of action {0} is the id of an earlier one")]
    DuplicateAction(usize),
    /// The metadata of an intent is too large.
    #[error("the metadata of the intent has {0} bytes; at most 10240 are sent")]
    MetadataTooLarge(usize),
    /// A number that JSON has no form for.
    #[error("{0} is not a finite number")]
    NotFinite(&'static str),
    /// A time outside the years 0 to 9999.
    #[error("{0} is not in the years 0 to 9999")]
    Time(&'static str),
    /// Bytes that are no content cannot be sent again.
    #[error("the content is not readable and cannot be sent")]
    Unreadable,
    /// A codec of an app refuses.
    #[error("{0}")]
    Refused(String),
}

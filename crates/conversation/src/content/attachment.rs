//! `xmtp.org/attachment:1.0`

use std::fmt;

use bytes::Bytes;

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// A file inside a message.
#[derive(Clone, Eq, PartialEq)]
pub struct Attachment {
    /// Its name. It comes from the sender: never a path to write to.
    pub filename: Option<String>,
    /// Its media type, as far as the sender says; may be empty.
    pub mime_type: String,
    /// Its bytes.
    pub data: Bytes,
}

impl Codec for Attachment {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("attachment", 1);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let mut parts = Parts::of(Self::TYPE)
            .parameter("mimeType", &self.mime_type)
            .content(self.data.clone());
        if let Some(filename) = &self.filename {
            parts = parts.parameter("filename", filename);
        }
        Ok(parts)
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        Ok(Self {
            filename: parts.get("filename").map(str::to_owned),
            mime_type: parts.get("mimeType").unwrap_or_default().to_owned(),
            data: parts.content.clone(),
        })
    }

    fn fallback(&self) -> Option<String> {
        let what = self.filename.as_deref().unwrap_or("this content");
        Some(format!(
            "Can't display {what}. This app doesn't support attachments."
        ))
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attachment")
            .field("filename", &self.filename)
            .field("mime_type", &self.mime_type)
            .field("bytes", &self.data.len())
            .finish()
    }
}

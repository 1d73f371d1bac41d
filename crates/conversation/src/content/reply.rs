//! `xmtp.org/reply:1.0`

use folkmoot_wire::MessageId;

use super::{Codec, Content, ContentTypeId, DecodeError, EncodeError, EncodedContent, Parts, Text};

/// A content that answers an earlier message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The id of the earlier message, as the sender wrote it.
    pub reference: String,
    /// Who sent the earlier message, as far as the sender says.
    pub reference_inbox_id: Option<String>,
    /// The answer, still encoded: a reply in a reply in a reply costs nothing until it is asked for.
    pub content: EncodedContent,
}

impl Reply {
    /// Answers the message `to` with `content`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when `content` may not be sent.
    pub fn new(to: MessageId, content: &Content) -> Result<Self, EncodeError> {
        Ok(Self {
            reference: to.to_string(),
            reference_inbox_id: None,
            content: content.encode()?,
        })
    }

    /// The earlier message, if the reference is a message id.
    #[must_use]
    pub fn reference_id(&self) -> Option<MessageId> {
        self.reference.parse().ok()
    }

    /// The answer. What would hold one more content, a reply or an edit, is no answer: it is left
    /// as [`Content::Custom`], so that nobody who looks into contents goes down without end.
    #[must_use]
    pub fn content(&self) -> Content {
        match Content::decode(&self.content) {
            Content::Reply(_) | Content::EditMessage(_) => Content::Custom(self.content.clone()),
            answer => answer,
        }
    }
}

impl Codec for Reply {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("reply", 1);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let mut parts = Parts::of(Self::TYPE)
            .parameter("reference", &self.reference)
            .content(self.content.as_bytes().clone());
        if let Some(id) = self.content.content_type() {
            parts = parts.parameter("contentType", id.to_string());
        }
        if let Some(inbox_id) = &self.reference_inbox_id {
            parts = parts.parameter("referenceInboxId", inbox_id);
        }
        Ok(parts)
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        let reference = parts.get("reference");
        Ok(Self {
            reference: reference
                .ok_or(DecodeError::Missing("parameter reference"))?
                .to_owned(),
            reference_inbox_id: parts.get("referenceInboxId").map(str::to_owned),
            content: EncodedContent::decode(parts.content.clone())?,
        })
    }

    fn fallback(&self) -> Option<String> {
        Some(match Text::decode(&self.content) {
            Ok(Text(text)) => format!("Replied with \"{text}\" to an earlier message"),
            Err(_) => "Replied to an earlier message".to_owned(),
        })
    }
}

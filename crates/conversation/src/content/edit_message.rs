//! `xmtp.org/editMessage:1.0`, a draft (XIP-77) that official clients do not know yet.

use folkmoot_wire::{MessageId, proto::xmtp::mls::message_contents::content_types as proto};
use prost::Message as _;

use super::{
    Codec, Content, ContentTypeId, DecodeError, EncodeError, EncodedContent, Parts, Text,
    delete_message::message_id,
};

/// The sender rewrites an earlier message of their own. Apps that do not know the type show the
/// fallback, which says the new text. Whether the edit counts is for the client: the same sender, the
/// same conversation, the same content type, and not deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EditMessage {
    /// The earlier message.
    pub message_id: MessageId,
    /// What it says now.
    pub edited: EncodedContent,
}

impl EditMessage {
    /// What the message says now. An edit in an edit says nothing: it is left as
    /// [`Content::Custom`], so that nobody who looks into contents goes down without end.
    #[must_use]
    pub fn content(&self) -> Content {
        match Content::decode(&self.edited) {
            Content::EditMessage(_) => Content::Custom(self.edited.clone()),
            said => said,
        }
    }
}

impl Codec for EditMessage {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("editMessage", 1);
    const SHOULD_PUSH: bool = false;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let message = proto::EditMessage {
            message_id: self.message_id.to_string(),
            edited_content: Some(self.edited.parts().to_proto()),
        };
        Ok(Parts::of(Self::TYPE).content(message.encode_to_vec()))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        let message = proto::EditMessage::decode(parts.content.clone())
            .map_err(|_| DecodeError::Protobuf("EditMessage"))?;
        let edited = message
            .edited_content
            .ok_or(DecodeError::Missing("edited_content"))?;
        let edited = Parts::from_proto(edited).seal();
        Ok(Self {
            message_id: message_id(&message.message_id)?,
            edited: edited.map_err(|_| DecodeError::TooLarge(parts.content.len()))?,
        })
    }

    fn fallback(&self) -> Option<String> {
        Some(match Text::decode(&self.edited) {
            Ok(Text(text)) => format!("Edited an earlier message: \"{text}\""),
            Err(_) => "Edited an earlier message".to_owned(),
        })
    }
}

//! `xmtp.org/deleteMessage:1.0` (XIP-76)

use folkmoot_wire::{MessageId, proto::xmtp::mls::message_contents::content_types as proto};
use prost::Message as _;

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// The sender takes an earlier message back. Whether that is allowed is for the group's rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeleteMessage {
    /// The earlier message.
    pub message_id: MessageId,
}

impl Codec for DeleteMessage {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("deleteMessage", 1);
    const SHOULD_PUSH: bool = false;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let message = proto::DeleteMessage {
            message_id: self.message_id.to_string(),
        };
        Ok(Parts::of(Self::TYPE).content(message.encode_to_vec()))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        let message = proto::DeleteMessage::decode(parts.content.clone())
            .map_err(|_| DecodeError::Protobuf("DeleteMessage"))?;
        Ok(Self {
            message_id: message_id(&message.message_id)?,
        })
    }
}

pub(super) fn message_id(text: &str) -> Result<MessageId, DecodeError> {
    text.parse().map_err(|_| DecodeError::Field {
        field: "message_id",
        expected: "a message id",
    })
}

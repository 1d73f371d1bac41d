//! `xmtp.org/leave_request:1.0` (XIP-75)

use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::message_contents::content_types as proto;
use prost::Message as _;

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// The sender wants to leave the group; a super admin's client removes them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LeaveRequest {
    /// Official clients write none.
    pub authenticated_note: Option<Bytes>,
}

impl Codec for LeaveRequest {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("leave_request", 1);
    const SHOULD_PUSH: bool = false;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let message = proto::LeaveRequest {
            authenticated_note: self.authenticated_note.clone(),
        };
        Ok(Parts::of(Self::TYPE).content(message.encode_to_vec()))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        let message = proto::LeaveRequest::decode(parts.content.clone())
            .map_err(|_| DecodeError::Protobuf("LeaveRequest"))?;
        Ok(Self {
            authenticated_note: message.authenticated_note,
        })
    }
}

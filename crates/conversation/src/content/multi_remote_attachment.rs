//! `xmtp.org/multiRemoteStaticAttachment:1.0` (XIP-50, which spells the name differently).

use folkmoot_wire::proto::xmtp::mls::message_contents::content_types as proto;
use prost::Message as _;

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts, RemoteAttachment};

/// Several files that lie encrypted on web servers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MultiRemoteAttachment {
    /// The files, in the order in which apps show them.
    pub attachments: Vec<RemoteAttachment>,
}

impl Codec for MultiRemoteAttachment {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("multiRemoteStaticAttachment", 1);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let attachments = self.attachments.iter().map(info).collect();
        let message = proto::MultiRemoteAttachment { attachments };
        Ok(Parts::of(Self::TYPE).content(message.encode_to_vec()))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        let message = proto::MultiRemoteAttachment::decode(parts.content.clone())
            .map_err(|_| DecodeError::Protobuf("MultiRemoteAttachment"))?;
        Ok(Self {
            attachments: message.attachments.into_iter().map(attachment).collect(),
        })
    }

    fn fallback(&self) -> Option<String> {
        let text =
            "Can't display this content. This app doesn't support multiple remote attachments.";
        Some(text.to_owned())
    }
}

fn info(attachment: &RemoteAttachment) -> proto::RemoteAttachmentInfo {
    proto::RemoteAttachmentInfo {
        content_digest: attachment.content_digest.clone(),
        secret: attachment.secret.as_bytes().to_vec().into(),
        nonce: attachment.nonce.clone().into(),
        salt: attachment.salt.clone().into(),
        scheme: attachment.scheme.clone(),
        url: attachment.url.clone(),
        content_length: attachment.content_length,
        filename: attachment.filename.clone(),
    }
}

fn attachment(info: proto::RemoteAttachmentInfo) -> RemoteAttachment {
    RemoteAttachment {
        url: info.url,
        content_digest: info.content_digest,
        secret: info.secret.to_vec().into(),
        salt: info.salt.into(),
        nonce: info.nonce.into(),
        scheme: info.scheme,
        content_length: info.content_length,
        filename: info.filename,
    }
}

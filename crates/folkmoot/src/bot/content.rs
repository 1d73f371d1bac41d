//! What messages say, as bots read it: as `folkmoot xmtp` prints it, but with bytes in base64.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use folkmoot_conversation::content::{Attachment, Content, GroupUpdated, RemoteAttachment};

use crate::xmtp::{
    shapes,
    value::{Value, object},
};

/// The text of a content: of texts, marked-up texts, and replies with one of them. Not of edits:
/// what a bot did for the first wording it should not do again.
pub(super) fn text(said: &Content) -> Option<String> {
    match said {
        Content::Text(text) => Some(text.0.clone()),
        Content::Markdown(markdown) => Some(markdown.0.clone()),
        Content::Reply(reply) => text(&reply.content()),
        _ => None,
    }
}

/// A content that is more than its text.
pub(super) fn content(said: &Content) -> Value {
    match said {
        Content::Text(_) | Content::Markdown(_) => Value::Absent,
        Content::Reply(reply) => content(&reply.content()),
        Content::Attachment(attachment) => file(attachment),
        Content::RemoteAttachment(remote) => remote_file(remote),
        Content::MultiRemoteAttachment(multi) => object! {
            "attachments" => Value::list(multi.attachments.iter().map(remote_file)),
        },
        Content::Custom(encoded) => {
            let parts = encoded.parts();
            let parameters = parts.parameters.iter();
            object! {
                "parameters" => Value::Object(
                    parameters.map(|(name, text)| (name.clone().into(), text.into())).collect(),
                ),
                "data" => BASE64_STANDARD.encode(&parts.content),
            }
        }
        other => shapes::content(other, None),
    }
}

/// What a change of the group is, in words for a log.
pub(super) fn summary(updated: &GroupUpdated) -> String {
    let said = Content::GroupUpdated(updated.clone());
    shapes::plain_words(&said, None)
}

fn file(attachment: &Attachment) -> Value {
    object! {
        "filename" => attachment.filename.clone(),
        "mimeType" => attachment.mime_type.as_str(),
        "bytes" => attachment.data.len(),
        "data" => BASE64_STANDARD.encode(&attachment.data),
    }
}

fn remote_file(remote: &RemoteAttachment) -> Value {
    object! {
        "filename" => remote.filename.clone(),
        "url" => remote.url.as_str(),
        "contentDigest" => remote.content_digest.as_str(),
        "secret" => BASE64_STANDARD.encode(remote.secret.as_bytes()),
        "salt" => BASE64_STANDARD.encode(&remote.salt),
        "nonce" => BASE64_STANDARD.encode(&remote.nonce),
        "scheme" => remote.scheme.as_str(),
        "contentLength" => remote.content_length,
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_conversation::content::EditMessage;
    use folkmoot_wire::MessageId;

    use super::*;

    #[test]
    fn replies_in_replies_without_end_are_read_like_any_other_message() {
        let reply = shapes::nested(100_000);
        let edit = EditMessage {
            message_id: MessageId::from_bytes([1; 32]),
            edited: reply.clone(),
        };
        for said in [Content::decode(&reply), Content::from(edit)] {
            assert_eq!(text(&said), None);
            assert_ne!(content(&said), Value::Absent);
        }
    }
}

//! Contents as the scripts write them: JSON with a `type`, byte strings as `0x` and hex digits.

use std::borrow::Cow;

use folkmoot_client::{Deletion, DeliveryStatus, EnrichedMessage, Message};
use folkmoot_conversation::content::{
    Actions, Attachment, Content, ContentTypeId, Intent, Markdown, MultiRemoteAttachment, Parts,
    ReadReceipt, RemoteAttachment, TransactionReference, WalletSendCalls,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Failure;

/// A content in a script.
#[derive(Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Plain {
    Text {
        text: String,
    },
    Markdown {
        text: String,
    },
    ReadReceipt,
    Attachment(PlainAttachment),
    RemoteStaticAttachment(PlainRemote),
    MultiRemoteStaticAttachment {
        attachments: Vec<PlainRemote>,
    },
    TransactionReference(TransactionReference),
    WalletSendCalls(WalletSendCalls),
    Actions(Actions),
    #[serde(rename_all = "camelCase")]
    Intent {
        id: String,
        action_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<Value>,
    },
    /// A type that nobody knows.
    Custom {
        authority: String,
        name: String,
        fallback: Option<String>,
        data: String,
    },
}

/// A file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlainAttachment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    mime_type: String,
    data: String,
}

/// A file on a web server.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlainRemote {
    url: String,
    content_digest: String,
    secret: String,
    salt: String,
    nonce: String,
    scheme: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_length: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
}

/// The content that a script describes.
pub(crate) fn parse(value: Value) -> Result<Content, Failure> {
    Ok(match serde_json::from_value(value)? {
        Plain::Text { text } => Content::text(text),
        Plain::Markdown { text } => Markdown(text).into(),
        Plain::ReadReceipt => ReadReceipt.into(),
        Plain::Attachment(file) => Attachment::try_from(file)?.into(),
        Plain::RemoteStaticAttachment(remote) => RemoteAttachment::try_from(remote)?.into(),
        Plain::MultiRemoteStaticAttachment { attachments } => {
            let attachments = attachments.into_iter().map(TryInto::try_into);
            let attachments = attachments.collect::<Result<_, _>>()?;
            MultiRemoteAttachment { attachments }.into()
        }
        Plain::TransactionReference(transaction) => transaction.into(),
        Plain::WalletSendCalls(calls) => calls.into(),
        Plain::Actions(actions) => actions.into(),
        Plain::Intent {
            id,
            action_id,
            metadata,
        } => {
            let metadata = metadata.map(|metadata| metadata.to_string().parse());
            Content::Intent(Intent {
                id,
                action_id,
                metadata: metadata.transpose()?,
            })
        }
        Plain::Custom {
            authority,
            name,
            fallback,
            data,
        } => {
            let mut parts = Parts::of(ContentTypeId {
                authority_id: Cow::Owned(authority),
                type_id: Cow::Owned(name),
                version_major: 1,
                version_minor: 0,
            })
            .content(bytes_of(&data)?);
            parts.fallback = fallback;
            Content::Custom(parts.seal()?)
        }
    })
}

/// A message with what was said about it.
pub(crate) fn show_enriched(enriched: &EnrichedMessage) -> Value {
    let mut shown = show(&enriched.message);
    let reactions = enriched.reactions.iter().filter_map(|one| {
        let Content::Reaction(reaction) = &one.content else {
            return None;
        };
        Some(json!({ "from": one.sender.to_string(), "emoji": reaction.content }))
    });
    shown["reactions"] = reactions.collect();
    if let Some(deletion) = enriched.deleted {
        let by = match deletion {
            Deletion::BySender => "sender",
            Deletion::ByAdmin(_) => "admin",
        };
        return json!({
            "id": shown["id"], "from": shown["from"], "conversation": shown["conversation"],
            "published": shown["published"],
            "type": "deletedMessage", "reactions": shown["reactions"], "by": by,
        });
    }
    shown
}

/// A message by itself.
pub(crate) fn show(message: &Message) -> Value {
    let mut shown = json!({
        "id": message.id.to_string(),
        "from": message.sender.to_string(),
        "conversation": message.conversation_id.to_string(),
        "published": message.delivery == DeliveryStatus::Published,
        "type": message.content_type.type_id,
        "reactions": [],
    });
    let more = match &message.content {
        Content::Text(text) => json!({ "text": text.0 }),
        Content::Reply(reply) => json!({
            "text": match reply.content() {
                Content::Text(text) => Value::String(text.0),
                _ => Value::Null,
            },
            "to": reply.reference,
        }),
        Content::GroupUpdated(update) => {
            let all = |inboxes: &[folkmoot_wire::InboxId]| -> Value {
                inboxes.iter().map(ToString::to_string).collect()
            };
            json!({
                "added": all(&update.added_inboxes),
                "removed": all(&update.removed_inboxes),
                "left": all(&update.left_inboxes),
                "changed": update
                    .metadata_field_changes
                    .iter()
                    .map(|change| change.field_name.clone())
                    .collect::<Value>(),
            })
        }
        other => match plain(other) {
            Some(plain) => {
                let content = serde_json::to_value(plain).unwrap_or_default();
                json!({ "content": content })
            }
            None => json!({ "fallback": message.fallback }),
        },
    };
    if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
        shown.extend(more);
    }
    shown
}

fn plain(content: &Content) -> Option<Plain> {
    Some(match content {
        Content::Markdown(Markdown(text)) => Plain::Markdown { text: text.clone() },
        Content::ReadReceipt(_) => Plain::ReadReceipt,
        Content::Attachment(file) => Plain::Attachment(file.into()),
        Content::RemoteAttachment(remote) => Plain::RemoteStaticAttachment(remote.into()),
        Content::MultiRemoteAttachment(several) => Plain::MultiRemoteStaticAttachment {
            attachments: several.attachments.iter().map(Into::into).collect(),
        },
        Content::TransactionReference(transaction) => {
            Plain::TransactionReference(transaction.clone())
        }
        Content::WalletSendCalls(calls) => Plain::WalletSendCalls(calls.clone()),
        Content::Actions(actions) => Plain::Actions(actions.clone()),
        Content::Intent(intent) => Plain::Intent {
            id: intent.id.clone(),
            action_id: intent.action_id.clone(),
            metadata: intent
                .metadata
                .as_ref()
                .and_then(|metadata| serde_json::from_str(metadata.as_str()).ok()),
        },
        _ => return None,
    })
}

impl TryFrom<PlainAttachment> for Attachment {
    type Error = Failure;

    fn try_from(plain: PlainAttachment) -> Result<Self, Failure> {
        Ok(Self {
            filename: plain.filename,
            mime_type: plain.mime_type,
            data: bytes_of(&plain.data)?.into(),
        })
    }
}

impl From<&Attachment> for PlainAttachment {
    fn from(file: &Attachment) -> Self {
        Self {
            filename: file.filename.clone(),
            mime_type: file.mime_type.clone(),
            data: hex_of(&file.data),
        }
    }
}

impl TryFrom<PlainRemote> for RemoteAttachment {
    type Error = Failure;

    fn try_from(plain: PlainRemote) -> Result<Self, Failure> {
        Ok(Self {
            url: plain.url,
            content_digest: plain.content_digest,
            secret: bytes_of(&plain.secret)?.into(),
            salt: bytes_of(&plain.salt)?,
            nonce: bytes_of(&plain.nonce)?,
            scheme: plain.scheme,
            content_length: plain.content_length,
            filename: plain.filename,
        })
    }
}

impl From<&RemoteAttachment> for PlainRemote {
    fn from(remote: &RemoteAttachment) -> Self {
        Self {
            url: remote.url.clone(),
            content_digest: remote.content_digest.clone(),
            secret: hex_of(&remote.secret),
            salt: hex_of(&remote.salt),
            nonce: hex_of(&remote.nonce),
            scheme: remote.scheme.clone(),
            content_length: remote.content_length,
            filename: remote.filename.clone(),
        }
    }
}

/// Bytes from hex digits, with or without `0x`.
pub(crate) fn bytes_of(text: &str) -> Result<Vec<u8>, Failure> {
    Ok(hex::decode(text.strip_prefix("0x").unwrap_or(text))?)
}

/// `0x` and hex digits.
pub(crate) fn hex_of(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

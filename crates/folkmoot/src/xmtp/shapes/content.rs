//! Contents of messages as JSON, in the fields that the official SDK gives them, and in words.

use folkmoot_client::Message;
use folkmoot_conversation::content::{
    Actions, Content, ContentTypeId, EncodedContent, GroupUpdated, Intent, MembershipChange,
    Reaction, RemoteAttachment, Reply, TransactionReference, Typing, WalletSendCalls,
};
use folkmoot_wire::InboxId;

use super::super::value::{Value, object};

/// A content; `in_reply_to` is the message that a reply answers, if that is known.
pub(crate) fn content(said: &Content, in_reply_to: Option<&Message>) -> Value {
    match said {
        Content::Text(text) => text.0.as_str().into(),
        Content::Markdown(markdown) => markdown.0.as_str().into(),
        Content::Reaction(reaction) => reaction_fields(reaction),
        Content::Reply(reply) => reply_fields(reply, in_reply_to),
        Content::ReadReceipt(_) => object! {},
        Content::Attachment(attachment) => object! {
            "filename" => attachment.filename.clone(),
            "mimeType" => attachment.mime_type.as_str(),
            "content" => Value::bytes(&attachment.data),
        },
        Content::RemoteAttachment(remote) => remote_fields(remote),
        Content::MultiRemoteAttachment(multi) => object! {
            "attachments" => Value::list(multi.attachments.iter().map(remote_fields)),
        },
        Content::TransactionReference(reference) => transaction_fields(reference),
        Content::WalletSendCalls(calls) => calls_fields(calls),
        Content::Actions(actions) => actions_fields(actions),
        Content::Intent(intent) => intent_fields(intent),
        Content::GroupUpdated(updated) => updated_fields(updated),
        Content::GroupMembershipChange(change) => object! {
            "membersAdded" => Value::list(change.members_added.iter().map(change_fields)),
            "membersRemoved" => Value::list(change.members_removed.iter().map(change_fields)),
            "installationsAdded" =>
                Value::list(change.installations_added.iter().map(change_fields)),
            "installationsRemoved" =>
                Value::list(change.installations_removed.iter().map(change_fields)),
        },
        Content::LeaveRequest(request) => object! {
            "authenticatedNote" => request.authenticated_note.as_deref().map(Value::bytes),
        },
        Content::DeleteMessage(delete) => object! { "messageId" => delete.message_id.to_string() },
        Content::EditMessage(edit) => object! {
            "messageId" => edit.message_id.to_string(),
            "content" => content(&edit.content(), None),
        },
        Content::Typing(typing) => object! { "typing" => *typing == Typing::Started },
        Content::Custom(encoded) => custom_fields(encoded),
        Content::DeviceSync(_) | Content::Unreadable(_) => Value::Absent,
    }
}

/// A content type.
pub(crate) fn content_type(id: &ContentTypeId) -> Value {
    object! {
        "authorityId" => &*id.authority_id,
        "typeId" => &*id.type_id,
        "versionMajor" => id.version_major,
        "versionMinor" => id.version_minor,
    }
}

fn reaction_fields(reaction: &Reaction) -> Value {
    object! {
        "reference" => reaction.reference.as_str(),
        "referenceInboxId" => reaction.reference_inbox_id.clone().unwrap_or_default(),
        "action" => reaction.action as u32,
        "content" => reaction.content.as_str(),
        "schema" => reaction.schema as u32,
    }
}

fn reply_fields(reply: &Reply, in_reply_to: Option<&Message>) -> Value {
    object! {
        "referenceId" => reply.reference.as_str(),
        "content" => content(&reply.content(), None),
        "contentType" => reply.content.content_type().map(content_type),
        "inReplyTo" => in_reply_to.map_or(Value::Null, super::messages::answered),
    }
}

fn remote_fields(remote: &RemoteAttachment) -> Value {
    object! {
        "url" => remote.url.as_str(),
        "contentDigest" => remote.content_digest.as_str(),
        "secret" => Value::bytes(remote.secret.as_bytes()),
        "salt" => Value::bytes(&remote.salt),
        "nonce" => Value::bytes(&remote.nonce),
        "scheme" => remote.scheme.as_str(),
        "contentLength" => remote.content_length,
        "filename" => remote.filename.clone(),
    }
}

fn transaction_fields(reference: &TransactionReference) -> Value {
    object! {
        "namespace" => reference.namespace.clone(),
        "networkId" => reference.network_id.as_str(),
        "reference" => reference.reference.as_str(),
        "metadata" => reference.metadata.as_ref().map(|metadata| object! {
            "transactionType" => metadata.transaction_type.as_str(),
            "currency" => metadata.currency.as_str(),
            "amount" => metadata.amount,
            "decimals" => metadata.decimals,
            "fromAddress" => metadata.from_address.as_str(),
            "toAddress" => metadata.to_address.as_str(),
        }),
    }
}

fn calls_fields(calls: &WalletSendCalls) -> Value {
    let texts = |texts: &std::collections::BTreeMap<String, String>| {
        Value::Object(
            texts
                .iter()
                .map(|(name, text)| (name.clone().into(), text.into()))
                .collect(),
        )
    };
    let call = |call: &folkmoot_conversation::content::Call| {
        let metadata = call.metadata.as_ref().map(|metadata| {
            let mut fields = object! {
                "description" => metadata.description.as_str(),
                "transactionType" => metadata.transaction_type.as_str(),
            };
            if let (Value::Object(fields), Value::Object(others)) =
                (&mut fields, texts(&metadata.other))
            {
                fields.extend(others);
            }
            fields
        });
        object! {
            "to" => call.to.clone(),
            "data" => call.data.clone(),
            "value" => call.value.clone(),
            "gas" => call.gas.clone(),
            "metadata" => metadata,
        }
    };
    object! {
        "version" => calls.version.as_str(),
        "chainId" => calls.chain_id.as_str(),
        "from" => calls.from.as_str(),
        "calls" => Value::list(calls.calls.iter().map(call)),
        "capabilities" => calls.capabilities.as_ref().map(texts),
    }
}

fn actions_fields(actions: &Actions) -> Value {
    let ns = |ms: Option<i64>| ms.map(|ms| Value::wide(i128::from(ms) * 1_000_000));
    let list = actions.actions.iter().map(|action| {
        object! {
            "id" => action.id.as_str(),
            "label" => action.label.as_str(),
            "imageUrl" => action.image_url.clone(),
            "style" => action.style.map(|style| style as u32),
            "expiresAtNs" => ns(action.expires_at_ms),
        }
    });
    object! {
        "id" => actions.id.as_str(),
        "description" => actions.description.as_str(),
        "actions" => Value::list(list),
        "expiresAtNs" => ns(actions.expires_at_ms),
    }
}

fn intent_fields(intent: &Intent) -> Value {
    let metadata = intent.metadata.as_ref();
    let metadata = metadata.and_then(|json| serde_json::from_str(json.as_str()).ok());
    object! {
        "id" => intent.id.as_str(),
        "actionId" => intent.action_id.as_str(),
        "metadata" => metadata.map(|json: serde_json::Value| Value::from(json)),
    }
}

fn updated_fields(updated: &GroupUpdated) -> Value {
    let inboxes = |inboxes: &[InboxId]| {
        let inboxes = inboxes.iter();
        Value::list(inboxes.map(|inbox| object! { "inboxId" => inbox.to_string() }))
    };
    let changes = updated.metadata_field_changes.iter().map(|change| {
        object! {
            "fieldName" => change.field_name.as_str(),
            "oldValue" => change.old_value.clone(),
            "newValue" => change.new_value.clone(),
        }
    });
    object! {
        "initiatedByInboxId" => updated.initiated_by.to_string(),
        "addedInboxes" => inboxes(&updated.added_inboxes),
        "removedInboxes" => inboxes(&updated.removed_inboxes),
        "leftInboxes" => inboxes(&updated.left_inboxes),
        "metadataFieldChanges" => Value::list(changes),
        "addedAdminInboxes" => inboxes(&updated.added_admins),
        "removedAdminInboxes" => inboxes(&updated.removed_admins),
        "addedSuperAdminInboxes" => inboxes(&updated.added_super_admins),
        "removedSuperAdminInboxes" => inboxes(&updated.removed_super_admins),
    }
}

fn change_fields(change: &MembershipChange) -> Value {
    object! {
        "installationIds" =>
            Value::list(change.installation_ids.iter().map(hex::encode::<&bytes::Bytes>)),
        "accountAddress" => change.account_address.as_str(),
        "initiatedByAccountAddress" => change.initiated_by_account_address.as_str(),
    }
}

/// Ours: the official program shows nothing of types that it does not know.
fn custom_fields(encoded: &EncodedContent) -> Value {
    let parts = encoded.parts();
    let parameters = parts.parameters.iter();
    object! {
        "type" => parts.content_type.as_ref().map(content_type),
        "parameters" => Value::Object(
            parameters.map(|(name, text)| (name.clone().into(), text.into())).collect(),
        ),
        "fallback" => parts.fallback.clone(),
        "content" => Value::bytes(&parts.content),
    }
}

/// A content in words; `fallback` is what the sender says to show instead. Not yet fit for a
/// terminal: see [`super::messages::plain_words`].
pub(crate) fn for_people(said: &Content, fallback: Option<&str>) -> String {
    match said {
        Content::Text(text) => text.0.clone(),
        Content::Markdown(markdown) => markdown.0.clone(),
        Content::Reaction(reaction) => format!("reacted {}", reaction.content),
        Content::Reply(reply) => for_people(&reply.content(), None),
        Content::ReadReceipt(_) => "(read)".to_owned(),
        Content::Attachment(attachment) => format!(
            "[file {}, {} bytes]",
            attachment
                .filename
                .as_deref()
                .unwrap_or(&attachment.mime_type),
            attachment.data.len()
        ),
        Content::RemoteAttachment(remote) => {
            format!(
                "[file {}]",
                remote.filename.as_deref().unwrap_or(&remote.url)
            )
        }
        Content::MultiRemoteAttachment(multi) => format!("[{} files]", multi.attachments.len()),
        Content::Actions(actions) => {
            let labels: Vec<_> = actions.actions.iter().map(|one| &*one.label).collect();
            format!("{} [{}]", actions.description, labels.join("] ["))
        }
        Content::Intent(intent) => format!("(chose {})", intent.action_id),
        Content::GroupUpdated(updated) => updated_words(updated, &short),
        Content::LeaveRequest(_) => "(wants to leave)".to_owned(),
        Content::EditMessage(edit) => format!("{} (edited)", for_people(&edit.content(), None)),
        Content::DeleteMessage(_) => "(took a message back)".to_owned(),
        other => match fallback.map(str::to_owned).or_else(|| other.fallback()) {
            Some(fallback) => fallback,
            None => "(something that this program does not show)".to_owned(),
        },
    }
}

/// What changed in a group; people are called what `name` calls them.
pub(super) fn updated_words(updated: &GroupUpdated, name: &dyn Fn(&InboxId) -> String) -> String {
    let mut parts = Vec::new();
    for (verb, inboxes) in [
        ("added", &updated.added_inboxes),
        ("removed", &updated.removed_inboxes),
        ("left:", &updated.left_inboxes),
        ("made admin", &updated.added_admins),
        ("no longer admin:", &updated.removed_admins),
        ("made super admin", &updated.added_super_admins),
        ("no longer super admin:", &updated.removed_super_admins),
    ] {
        if !inboxes.is_empty() {
            let names: Vec<_> = inboxes.iter().map(name).collect();
            parts.push(format!("{verb} {}", names.join(", ")));
        }
    }
    for change in &updated.metadata_field_changes {
        let value = change.new_value.as_deref().unwrap_or_default();
        parts.push(format!("{} is now {value:?}", change.field_name));
    }
    format!("({})", parts.join("; "))
}

/// The beginning of an id.
fn short(inbox: &InboxId) -> String {
    let mut text = inbox.to_string();
    text.truncate(8);
    text
}

#[cfg(test)]
pub(super) mod tests {
    use folkmoot_conversation::content::{Codec as _, EditMessage, Parts};
    use folkmoot_wire::MessageId;

    use super::*;

    /// A text in so many replies, each the answer of the one around it. Contents lie in each other
    /// as bytes, so no decoder has a limit for them.
    pub(crate) fn nested(levels: usize) -> EncodedContent {
        let text = Content::text("hi").encode().unwrap();
        let head = Parts::of(Reply::TYPE).parameter("reference", "a");
        let head = head.seal().unwrap();
        // From the inside out, so back to front.
        let mut reversed: Vec<u8> = text.as_bytes().iter().rev().copied().collect();
        for _ in 0..levels {
            let mut begun = head.as_bytes().to_vec();
            begun.push(4 << 3 | 2);
            let mut length = reversed.len();
            while length > 0x7f {
                begun.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            begun.push(u8::try_from(length).unwrap());
            reversed.extend(begun.iter().rev());
        }
        reversed.reverse();
        EncodedContent::decode(reversed.into()).unwrap()
    }

    #[test]
    fn replies_in_replies_without_end_are_shown_like_any_other_message() {
        let reply = nested(100_000);
        let edit = EditMessage {
            message_id: MessageId::from_bytes([1; 32]),
            edited: reply.clone(),
        };
        for said in [Content::decode(&reply), Content::from(edit)] {
            let shown = content(&said, None);
            assert!(shown.field("content").is_some());
            let words = for_people(&said, None);
            assert!(words.len() < 100, "{words}");
        }
    }
}

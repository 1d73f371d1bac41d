//! Between what is said and what is stored: envelopes, ids, entries made from commits.

use std::collections::BTreeSet;

use bytes::Bytes;
use folkmoot_conversation::{
    Leaf, PlaintextEnvelope,
    content::{Content, ContentKind, ContentTypeId, EncodedContent},
    judge::CommitSummary,
    message_id, transcript,
};
use folkmoot_wire::{
    GroupId, InboxId, InstallationKey, MessageId, proto::xmtp::mls::message_contents::GroupUpdated,
};

use super::{
    SendOptions,
    core::Core,
    rows::{DeliveryStatus, MessageKind, MessageRow},
};
use crate::{Error, clock::to_sql, message::Message, network::GroupEnvelope};

/// Types that are attached to other messages in enriched lists.
pub(crate) const ATTACHED: &[&str] = &["reaction", "deleteMessage", "editMessage"];

/// Puts a content into the form in which it travels.
pub(crate) fn encode(content: &Content) -> Result<EncodedContent, Error> {
    content.encode().map_err(Error::Content)
}

/// Whether a message may be taken back at all.
pub(crate) fn is_deletable(message: &Message) -> bool {
    message.kind == MessageKind::Application
        && ContentKind::of(&message.content_type.type_id).is_deletable()
}

/// A stored content, read.
pub(crate) struct Decoded {
    pub(crate) content_type: ContentTypeId,
    pub(crate) content: Content,
    pub(crate) fallback: Option<String>,
}

/// Reads a stored content.
pub(crate) fn decode(encoded: &Bytes) -> Decoded {
    match EncodedContent::decode(encoded.clone()) {
        Ok(encoded) => Decoded {
            content_type: encoded.content_type().cloned().unwrap_or_else(unknown),
            fallback: encoded.fallback().map(str::to_owned),
            content: Content::decode(&encoded),
        },
        Err(_) => Decoded {
            content_type: unknown(),
            content: Content::Unreadable(encoded.clone()),
            fallback: None,
        },
    }
}

/// The content of what somebody sent. What a commit did is written down here, by each client for
/// itself; in a message it is only a claim, and not shown as the truth.
pub(crate) fn without_claims(content: Content, encoded: &Bytes) -> Content {
    match content {
        Content::GroupUpdated(_) | Content::GroupMembershipChange(_) => {
            match EncodedContent::decode(encoded.clone()) {
                Ok(encoded) => Content::Custom(encoded),
                Err(_) => Content::Unreadable(encoded.clone()),
            }
        }
        content => content,
    }
}

fn unknown() -> ContentTypeId {
    ContentTypeId::new("", "unknown", 0, 0)
}

/// A message that is ready to be stored and sealed.
pub(crate) struct Prepared {
    pub(crate) envelope: Vec<u8>,
    pub(crate) message: MessageRow,
    pub(crate) should_push: bool,
}

impl Prepared {
    pub(crate) fn new(
        core: &Core,
        group: &GroupId,
        content: &EncodedContent,
        options: SendOptions,
    ) -> Self {
        let sent_ns = core.unique_ns();
        let key = options
            .idempotency_key
            .unwrap_or_else(|| sent_ns.to_string());
        let bytes = content.as_bytes();
        let id = message_id(group, &key, bytes);
        let should_push = options
            .should_push
            .unwrap_or_else(|| Content::decode(content).should_push());
        Self {
            envelope: PlaintextEnvelope::encode(bytes, &key),
            message: MessageRow {
                sent_ns,
                inserted_ns: sent_ns,
                kind: MessageKind::Application,
                sender: core.me.inbox_id(),
                installation: core.me.key(),
                delivery: DeliveryStatus::Unpublished,
                place: None,
                expire_ns: None,
                by_super_admin: false,
                ..filed(id, bytes.clone())
            },
            should_push,
        }
    }
}

/// A decrypted message and its circumstances.
pub(crate) struct Arrival<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) sender: Leaf,
    pub(crate) plaintext: Vec<u8>,
    pub(crate) envelope: &'a GroupEnvelope,
    pub(crate) now_ns: u64,
    pub(crate) by_super_admin: bool,
    pub(crate) expire_ns: Option<u64>,
}

/// What a message brought.
pub(crate) struct Arrived {
    pub(crate) message: MessageRow,
    /// Its sender wants to leave.
    pub(crate) leaves: bool,
}

/// Reads a decrypted message. `None` for what is no content: an old form of device sync, or
/// nothing at all.
pub(crate) fn read(arrival: Arrival<'_>) -> Option<Arrived> {
    let envelope = PlaintextEnvelope::decode(arrival.plaintext.into()).ok()?;
    let PlaintextEnvelope::Message {
        content,
        idempotency_key,
    } = envelope
    else {
        return None;
    };
    let id = message_id(arrival.group, &idempotency_key, &content);
    let message = MessageRow {
        sent_ns: arrival.envelope.created_ns,
        inserted_ns: arrival.now_ns,
        kind: MessageKind::Application,
        sender: arrival.sender.inbox_id,
        installation: arrival.sender.installation,
        delivery: DeliveryStatus::Published,
        place: Some((arrival.envelope.originator, arrival.envelope.sequence)),
        expire_ns: arrival.expire_ns,
        by_super_admin: arrival.by_super_admin,
        ..filed(id, content)
    };
    let leaves = ContentKind::of(&message.type_id) == ContentKind::LeaveRequest;
    Some(Arrived { message, leaves })
}

/// An entry about a commit, when it changes something that people see.
pub(crate) fn transcript(
    summary: &CommitSummary,
    leaving: &BTreeSet<InboxId>,
    envelope: &GroupEnvelope,
    now_ns: u64,
) -> Option<MessageRow> {
    let updated = transcript::of_commit(summary, leaving)?;
    let key = transcript::commit_key(to_sql(envelope.created_ns));
    Some(MessageRow {
        sent_ns: envelope.created_ns,
        inserted_ns: now_ns,
        sender: summary.actor.inbox_id,
        installation: summary.actor.installation,
        place: Some((envelope.originator, envelope.sequence)),
        ..entry(&summary.group_id, &key, &updated)
    })
}

/// The entry that tells that we were added.
pub(crate) fn joined(
    group: &GroupId,
    added_by: Leaf,
    me: InboxId,
    created_ns: u64,
    now_ns: u64,
) -> MessageRow {
    let updated = transcript::of_welcome(added_by.inbox_id, me);
    let key = transcript::welcome_key(to_sql(created_ns));
    MessageRow {
        sent_ns: created_ns,
        inserted_ns: now_ns,
        sender: added_by.inbox_id,
        installation: added_by.installation,
        ..entry(group, &key, &updated)
    }
}

fn entry(group: &GroupId, key: &str, updated: &GroupUpdated) -> MessageRow {
    let content = transcript::encode(updated);
    let id = message_id(group, key, &content);
    MessageRow {
        kind: MessageKind::MembershipChange,
        delivery: DeliveryStatus::Published,
        ..filed(id, content)
    }
}

/// A row with everything that follows from the content.
fn filed(id: MessageId, content: Bytes) -> MessageRow {
    let encoded = EncodedContent::decode(content.clone()).ok();
    let kind = encoded
        .as_ref()
        .and_then(EncodedContent::content_type)
        .cloned();
    let kind = kind.unwrap_or_else(unknown);
    MessageRow {
        id,
        sent_ns: 0,
        inserted_ns: 0,
        kind: MessageKind::Application,
        sender: InboxId::from_bytes([0; 32]),
        installation: InstallationKey::from_bytes([0; 32]),
        delivery: DeliveryStatus::Unpublished,
        authority: kind.authority_id.into_owned(),
        type_id: kind.type_id.into_owned(),
        major: kind.version_major,
        minor: kind.version_minor,
        reference: encoded.as_ref().and_then(reference),
        content,
        place: None,
        expire_ns: None,
        by_super_admin: false,
    }
}

/// The message that a content is about.
pub(crate) fn reference(encoded: &EncodedContent) -> Option<MessageId> {
    match Content::decode(encoded) {
        Content::EditMessage(edit) => Some(edit.message_id),
        _ => encoded.reference(),
    }
}

//! Conversations in streams, and messages.

use folkmoot_client::{
    Conversation, Deletion, DeliveryStatus, EnrichedMessage, Message, MessageKind,
};
use folkmoot_conversation::{
    content::{Content, GroupUpdated},
    context::ConversationKind,
};
use folkmoot_wire::InboxId;

use super::{
    super::value::{Value, object},
    content::{content, content_type, for_people, updated_words},
    iso,
};

/// `group` or `dm`.
pub(crate) const fn kind(kind: ConversationKind) -> &'static str {
    match kind {
        ConversationKind::Group => "group",
        ConversationKind::Dm => "dm",
        ConversationKind::Sync => "sync",
        ConversationKind::Oneshot => "oneshot",
    }
}

/// What a stream shows of a new conversation.
pub(crate) fn streamed_conversation(conversation: &Conversation) -> Value {
    let base = object! {
        "type" => kind(conversation.kind()),
        "id" => conversation.id().to_string(),
        "createdAt" => iso(conversation.created_ns()),
        "isActive" => conversation.is_active(),
    };
    match conversation.kind() {
        ConversationKind::Dm => base.with("peerInboxId", peer(conversation)),
        _ => base
            .with("name", conversation.name())
            .with("description", conversation.description()),
    }
}

/// The other person of a DM.
pub(crate) fn peer(conversation: &Conversation) -> Option<String> {
    conversation.peer().map(|peer| peer.to_string())
}

const fn delivery(status: DeliveryStatus) -> u32 {
    match status {
        DeliveryStatus::Unpublished => 0,
        DeliveryStatus::Published => 1,
        DeliveryStatus::Failed => 2,
    }
}

const fn message_kind(kind: MessageKind) -> u32 {
    match kind {
        MessageKind::Application => 0,
        MessageKind::MembershipChange => 1,
    }
}

/// Which fields of a message are shown: each command has its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// In a list of one conversation.
    Listed,
    /// In a stream of one conversation.
    Streamed,
    /// In a stream of all conversations.
    StreamedOfAll,
    /// Alone, with everything about it.
    Alone,
}

/// A message in the shape that a command shows.
pub(crate) fn message(message: &EnrichedMessage, shape: Shape) -> Value {
    let EnrichedMessage {
        message,
        reactions,
        replies,
        in_reply_to,
        deleted,
        edited,
    } = message;
    let said = edited.as_ref().unwrap_or(&message.content);
    let (content_type, said) = match deleted {
        Some(deletion) => (deleted_type(), deleted_content(*deletion)),
        None => (
            content_type(&message.content_type),
            content(said, in_reply_to.as_deref()),
        ),
    };
    let mut fields = object! { "id" => message.id.to_string() };
    if matches!(shape, Shape::StreamedOfAll | Shape::Alone) {
        fields = fields.with("conversationId", message.conversation_id.to_string());
    }
    fields = fields
        .with("senderInboxId", message.sender.to_string())
        .with("contentType", content_type)
        .with("content", said)
        .with("sentAt", iso(message.sent_ns));
    if shape == Shape::Streamed {
        fields = fields.with("sentAtNs", Value::wide(message.sent_ns));
    }
    fields = fields.with("deliveryStatus", delivery(message.delivery));
    if matches!(shape, Shape::StreamedOfAll | Shape::Alone) {
        fields = fields.with("kind", message_kind(message.kind));
    }
    if shape == Shape::Alone {
        let gone = deleted.is_some();
        let reactions = if gone { &[][..] } else { reactions };
        fields = fields
            .with("fallback", message.fallback.clone())
            .with("numReplies", if gone { 0.0 } else { count(*replies) })
            .with("reactions", Value::list(reactions.iter().map(reaction)));
    }
    // Ours: the official program does not know edits.
    if edited.is_some() && deleted.is_none() {
        fields = fields.with("edited", true);
    }
    fields
}

fn count(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn reaction(message: &Message) -> Value {
    object! {
        "id" => message.id.to_string(),
        "senderInboxId" => message.sender.to_string(),
        "content" => content(&message.content, None),
        "sentAt" => iso(message.sent_ns),
    }
}

/// A message inside a reply: all that the official SDK has about it.
pub(super) fn answered(message: &Message) -> Value {
    object! {
        "content" => content(&message.content, None),
        "contentType" => content_type(&message.content_type),
        "conversationId" => message.conversation_id.to_string(),
        "deliveryStatus" => delivery(message.delivery),
        "expiresAtNs" => message.expire_ns.map(Value::wide),
        "expiresAt" => message.expire_ns.map(iso),
        "fallback" => message.fallback.clone(),
        "id" => message.id.to_string(),
        "kind" => message_kind(message.kind),
        "numReplies" => 0_u32,
        "reactions" => Vec::<Value>::new(),
        "senderInboxId" => message.sender.to_string(),
        "sentAt" => iso(message.sent_ns),
        "sentAtNs" => Value::wide(message.sent_ns),
    }
}

fn deleted_type() -> Value {
    object! {
        "authorityId" => "xmtp.org",
        "typeId" => "deletedMessage",
        "versionMajor" => 1_u32,
        "versionMinor" => 0_u32,
    }
}

fn deleted_content(deletion: Deletion) -> Value {
    match deletion {
        Deletion::BySender => object! { "deletedBy" => "Sender" },
        Deletion::ByAdmin(inbox) => object! {
            "deletedBy" => "Admin",
            "adminInboxId" => inbox.to_string(),
        },
    }
}

/// What a person reads of a message, on one line.
pub(crate) fn words(message: &EnrichedMessage) -> String {
    let said = match (&message.deleted, &message.edited) {
        (Some(_), _) => return "(deleted)".to_owned(),
        (None, Some(edited)) => edited,
        (None, None) => &message.message.content,
    };
    let words = plain_words(said, message.message.fallback.as_deref());
    match message.edited {
        Some(_) => format!("{words} (edited)"),
        None => words,
    }
}

/// What a person reads of a change in a group; `name` says what people are called.
pub(crate) fn change_words(updated: &GroupUpdated, name: &dyn Fn(&InboxId) -> String) -> String {
    super::super::value::visible(&updated_words(updated, name))
}

/// What a person reads of a content; `fallback` is what the sender says to show instead.
pub(crate) fn plain_words(said: &Content, fallback: Option<&str>) -> String {
    super::super::value::visible(&for_people(said, fallback))
}

//! Ids of messages, which every client works out for itself.

use folkmoot_wire::{GroupId, MessageId};
use sha2::{Digest, Sha256};

/// The id of a message with this content, which is the bytes of its encoded content as they came.
///
/// It is the SHA-256 of group id, tab, idempotency key, tab, content. A message that is stored under
/// the id of an earlier one is the same message.
///
/// ```
/// use folkmoot_conversation::message_id;
///
/// let group = "4fbbaa46de9b6afcc13a9caa35c1b156".parse()?;
/// let id = message_id(&group, "1795254093794035176", b"");
/// assert_eq!(id.to_string().len(), 64);
/// # Ok::<(), folkmoot_wire::InvalidGroupId>(())
/// ```
#[must_use]
pub fn message_id(group: &GroupId, idempotency_key: &str, content: &[u8]) -> MessageId {
    let hash = Sha256::new()
        .chain_update(group.as_bytes())
        .chain_update(b"\t")
        .chain_update(idempotency_key)
        .chain_update(b"\t")
        .chain_update(content);
    MessageId::from_bytes(hash.finalize().into())
}

/// The id of what a client writes down about a commit that the node took in at `created_ns`,
/// nanoseconds since the Unix epoch. All clients get the same, because all write the same content.
#[must_use]
pub fn transcript_message_id(group: &GroupId, created_ns: i64, content: &[u8]) -> MessageId {
    message_id(group, &created_ns.to_string(), content)
}

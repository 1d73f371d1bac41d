//! What the log holds.

use bytes::Bytes;
use folkmoot_wire::{InboxId, Topic};

use crate::{AddressChange, StoreError};

/// In which encoding an envelope's payload was published. Payloads are kept as they came.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Form {
    /// As the v3 network has it. What that is depends on the topic's kind: an MLSMessage; an
    /// encoded `WelcomeMessageInput`; an encoded `IdentityUpdate`; a TLS-encoded KeyPackage.
    V3 = 0,
    /// An encoded `ClientEnvelope`.
    Client = 1,
    /// An encoded `PayerEnvelope`, signed by its payer.
    Payer = 2,
}

/// The first 16 bytes of a SHA-256 over what makes two envelopes of one topic the same.
pub type Fingerprint = [u8; 16];

/// An envelope that is about to be appended.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The log it goes to.
    pub topic: Topic,
    /// Which originator's counter numbers it: 0, 1, or a node's id.
    pub originator: u32,
    /// How `payload` is encoded.
    pub form: Form,
    /// The published bytes.
    pub payload: Bytes,
    /// What the sender's devices recognise their own messages by; opaque.
    pub sender_hmac: Bytes,
    /// Whether notification servers should tell the recipients.
    pub should_push: bool,
    /// Whether this is an MLS commit or proposal.
    pub is_commit: bool,
    /// If set, and the topic already holds an envelope with it, the append succeeds without
    /// storing anything and answers with that envelope's place.
    pub fingerprint: Option<Fingerprint>,
    /// If set, the append fails with [`StoreError::Conflict`](crate::StoreError::Conflict)
    /// unless the topic's newest id is this one (0: the topic is empty).
    pub expected_newest: Option<u64>,
    /// Changes of the address index that become visible together with this envelope.
    pub addresses: Vec<AddressChange>,
    /// The inbox that `addresses` are about.
    pub inbox: Option<InboxId>,
}

impl Draft {
    /// A draft with `payload` in v3 form and nothing else set.
    #[must_use]
    pub const fn new(topic: Topic, originator: u32, payload: Bytes) -> Self {
        Self {
            topic,
            originator,
            form: Form::V3,
            payload,
            sender_hmac: Bytes::new(),
            should_push: false,
            is_commit: false,
            fingerprint: None,
            expected_newest: None,
            addresses: Vec::new(),
            inbox: None,
        }
    }
}

/// Refuses drafts that would fail in the database, before they join a group of others.
pub(crate) fn check(drafts: &[Draft]) -> Result<(), StoreError> {
    let nameless = |draft: &Draft| !draft.addresses.is_empty() && draft.inbox.is_none();
    if drafts.iter().any(nameless) {
        return Err(StoreError::Database {
            doing: "change an address",
            cause: "the draft names no inbox".into(),
        });
    }
    Ok(())
}

/// Where an append ended up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placed {
    /// The id, new or (for a duplicate) the one it has had.
    pub id: u64,
    /// Unix time in nanoseconds at which it was stored.
    pub time_ns: u64,
    /// Whether the topic held it already.
    pub duplicate: bool,
}

/// An envelope with its place in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// The place. Over the whole store, ids ascend in the order in which envelopes became
    /// visible; there are gaps. On a single node this is also the v3 id.
    pub id: u64,
    /// Which originator numbered it.
    pub originator: u32,
    /// Its number with that originator; on one node the same as `id`.
    pub sequence: u64,
    /// The log it belongs to.
    pub topic: Topic,
    /// Unix time in nanoseconds; never lower than that of an earlier id.
    pub time_ns: u64,
    /// How `payload` is encoded.
    pub form: Form,
    /// The published bytes; empty where only metadata was asked for.
    pub payload: Bytes,
    /// See [`Draft::sender_hmac`].
    pub sender_hmac: Bytes,
    /// See [`Draft::should_push`].
    pub should_push: bool,
    /// See [`Draft::is_commit`].
    pub is_commit: bool,
    /// The id of the topic's newest commit when this envelope was appended (not itself); 0 if
    /// there was none.
    pub previous_commit: u64,
}

//! What a client asks of a network, whichever generation it is.
//!
//! [`Network`] is the seam between the client and the services: the rest of the client knows
//! neither gRPC nor which of the two generations answers. Envelopes are numbered by originator and
//! sequence in both: what v3 calls an id becomes the sequence of the originators
//! [`COMMIT_ORIGINATOR`] (commits), [`V3_MESSAGES`] (other group messages), [`V3_WELCOMES`] and
//! [`IDENTITY_ORIGINATOR`](folkmoot_wire::IDENTITY_ORIGINATOR).

mod batch;
mod connection;
mod counts;
mod d14n;
mod environment;
mod error;
mod link;
pub mod pushed;
mod subscription;
mod v3;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_identity::{ContractCheck, Identifier};
use folkmoot_wire::{COMMIT_ORIGINATOR, GroupId, InboxId, InstallationKey, VectorClock};

pub use counts::CallCount;
pub use environment::{Environment, NetworkAddress, NetworkOptions, OnWaiting};
pub use error::{CertificateTrouble, NetworkError};
pub use subscription::{ConnectionState, Event, Subscription, SubscriptionControl, Topics};

/// How far somebody has read a topic: the last sequence of each originator.
pub type Cursor = VectorClock;

/// The originator of group messages that are no commits, where the network is v3.
pub const V3_MESSAGES: u32 = 10;
/// The originator of welcomes, where the network is v3.
pub const V3_WELCOMES: u32 = 11;

/// The services of a network. All methods may be called at any time and concurrently; each
/// connects when it must. What was published is readable when the call returns.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// Where the network is, for people: the URL of the node or gateway.
    fn address(&self) -> &str;

    /// The most bytes that a commit may have, with its envelope, if there is such a limit.
    fn max_commit_bytes(&self) -> Option<usize> {
        None
    }

    /// How often each method of the services was called since the beginning, or since
    /// [`Network::clear_calls`]; subscriptions count when they are opened. Empty where nobody counts.
    fn calls(&self) -> BTreeMap<&'static str, CallCount> {
        BTreeMap::new()
    }

    /// Begins to count anew.
    fn clear_calls(&self) {}

    /// The inbox to which each identifier belongs now, in the order of `identifiers`.
    async fn inbox_ids(
        &self,
        identifiers: &[Identifier],
    ) -> Result<Vec<Option<InboxId>>, NetworkError>;

    /// For each inbox the updates after a sequence id, ascending, in the order of `wanted`. What
    /// is wrong with one log alone, such as one that no answer has room for, is told in its place.
    async fn identity_updates(
        &self,
        wanted: &[(InboxId, u64)],
    ) -> Result<Vec<IdentityLog>, NetworkError>;

    /// Appends an encoded `IdentityUpdate` to the log of `inbox`. Not to be repeated without
    /// looking: a second copy is refused as a replay.
    async fn publish_identity_update(
        &self,
        inbox: &InboxId,
        update: Bytes,
    ) -> Result<(), NetworkError>;

    /// Has contract wallets asked whether they made these signatures, in the order of `checks`.
    async fn verify_contract_signatures(
        &self,
        checks: &[ContractCheck],
    ) -> Result<Vec<ContractAnswer>, NetworkError>;

    /// Replaces the key package of `installation`, whose leaf must be that installation's.
    async fn upload_key_package(
        &self,
        installation: &InstallationKey,
        key_package: Bytes,
    ) -> Result<(), NetworkError>;

    /// The current key package of each installation, unverified, in the order of `installations`;
    /// `None` for those that have none.
    async fn key_packages(
        &self,
        installations: &[InstallationKey],
    ) -> Result<Vec<Option<Bytes>>, NetworkError>;

    /// Publishes messages in order, in as few requests as their sizes allow. On an error some of
    /// the first may be stored; on v3 storing the same bytes again changes nothing.
    async fn publish_group_messages(
        &self,
        messages: Vec<OutgoingMessage>,
    ) -> Result<(), NetworkError>;

    /// Messages of `group` that `after` has not seen, in an order in which they can be processed:
    /// each originator's ascending, and on d14n after what they depend on. `limit` is what one
    /// answer of a v3 node holds at most (1 to 100); d14n may give more.
    async fn group_messages(
        &self,
        group: &GroupId,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<GroupEnvelope>, NetworkError>;

    /// The number of the newest message of each group, in the order of `groups`: `None` for groups
    /// without messages. One request for up to a thousand groups.
    async fn newest_group_messages(
        &self,
        groups: &[GroupId],
    ) -> Result<Vec<Option<Newest>>, NetworkError>;

    /// Publishes welcomes, in as few requests as their sizes allow (at most 50 in one).
    async fn publish_welcomes(&self, welcomes: Vec<Welcome>) -> Result<(), NetworkError>;

    /// Welcomes to `destination` (an installation, or what a welcome pointer names) that `after`
    /// has not seen, ascending.
    async fn welcomes(
        &self,
        destination: &InstallationKey,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<WelcomeEnvelope>, NetworkError>;

    /// Delivers what `topics` name from their cursors on, for as long as the subscription lives. A
    /// network cut does not end it. Returns at once: whether the network can be reached shows in
    /// the subscription's state.
    fn subscribe(&self, topics: Topics) -> Subscription;

    /// Appends entries to the commit logs of groups. Unsupported on d14n.
    async fn publish_commit_log(
        &self,
        entries: Vec<OutgoingCommitLogEntry>,
    ) -> Result<(), NetworkError>;

    /// The commit log entries of each group after a sequence id, ascending, in the order of
    /// `wanted`; at most `limit` each. Empty on d14n.
    async fn commit_log(
        &self,
        wanted: &[(GroupId, u64)],
        limit: usize,
    ) -> Result<Vec<Vec<CommitLogEntry>>, NetworkError>;
}

/// Some of what was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// In order.
    pub envelopes: Vec<T>,
    /// Whether there may be more behind these.
    pub more: bool,
}

/// An entry of an inbox's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityEntry {
    /// Ascends within the log.
    pub sequence: u64,
    /// When the network took it: Unix time in nanoseconds.
    pub created_ns: u64,
    /// The encoded `IdentityUpdate`, as it was published.
    pub update: Bytes,
}

/// What the network says of one inbox's log, or why it cannot say it.
pub type IdentityLog = Result<Vec<IdentityEntry>, NetworkError>;

/// What is known about a contract wallet's signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContractAnswer {
    /// Whether the contract accepts the signature, or why nobody could find out.
    pub verdict: Result<bool, String>,
    /// The block at which it was asked.
    pub block: Option<u64>,
}

/// A message of a group, to be published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutgoingMessage {
    /// The group, which is also named inside `data`.
    pub group_id: GroupId,
    /// The `MLSMessage`.
    pub data: Bytes,
    /// The sender's mark for push servers: 32 bytes, or none.
    pub sender_hmac: Bytes,
    /// Whether push servers shall wake receivers.
    pub should_push: bool,
    /// What a reader must have seen first: the group's newest commit that the sender has. Only
    /// d14n carries it.
    pub depends_on: Cursor,
}

/// A message of a group, as the network has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupEnvelope {
    /// The group.
    pub group_id: GroupId,
    /// Who numbered it.
    pub originator: u32,
    /// Its number; ascends for each originator in a group.
    pub sequence: u64,
    /// When the network took it: Unix time in nanoseconds.
    pub created_ns: u64,
    /// The `MLSMessage`, unverified.
    pub data: Bytes,
    /// The sender's mark for push servers.
    pub sender_hmac: Bytes,
    /// Whether push servers shall wake receivers.
    pub should_push: bool,
    /// Whether `data` is framed as a commit.
    pub is_commit: bool,
    /// What must be seen first. Empty on v3, where the order of the numbers says it.
    pub depends_on: Cursor,
}

/// The number of a group's newest message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Newest {
    /// Who numbered it.
    pub originator: u32,
    /// Its number.
    pub sequence: u64,
    /// When the network took it: Unix time in nanoseconds.
    pub created_ns: u64,
}

impl Newest {
    /// Whether `cursor` has not seen this message yet.
    #[must_use]
    pub fn is_after(&self, cursor: &Cursor) -> bool {
        match self.originator {
            // One id space: the newest id is new unless either kind has reached it.
            COMMIT_ORIGINATOR | V3_MESSAGES => self.sequence > v3_group_id(cursor),
            other => self.sequence > cursor.last_seen(other),
        }
    }
}

/// A welcome and to whom it goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Welcome {
    /// The installation, or the random destination that welcome pointers name.
    pub destination: InstallationKey,
    /// Itself.
    pub content: WelcomeContent,
}

/// The two forms of a welcome (`WelcomeMessage` in `mls.proto`). Algorithms are numbers of the
/// enums there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WelcomeContent {
    /// A welcome in its wrapper.
    Welcome {
        /// The sealed welcome.
        data: Bytes,
        /// The key it is sealed to; empty for the target of a pointer.
        hpke_public_key: Bytes,
        /// `WelcomeWrapperAlgorithm`.
        wrapper_algorithm: i32,
        /// The sealed `WelcomeMetadata`; empty when there is none.
        metadata: Bytes,
    },
    /// Where to find the welcome, and how to open it.
    Pointer {
        /// The sealed `WelcomePointer`.
        data: Bytes,
        /// The key it is sealed to.
        hpke_public_key: Bytes,
        /// `WelcomePointerWrapperAlgorithm`.
        wrapper_algorithm: i32,
    },
}

/// A welcome, as the network has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WelcomeEnvelope {
    /// Who numbered it.
    pub originator: u32,
    /// Its number; ascends for each originator and destination.
    pub sequence: u64,
    /// When the network took it: Unix time in nanoseconds.
    pub created_ns: u64,
    /// To whom, and what.
    pub welcome: Welcome,
}

/// An entry of a group's commit log, to be published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutgoingCommitLogEntry {
    /// The group.
    pub group_id: GroupId,
    /// The encoded `PlaintextCommitLogEntry`.
    pub entry: Bytes,
    /// Ed25519, 64 bytes.
    pub signature: Bytes,
    /// The signer's public key, 32 bytes.
    pub public_key: Bytes,
}

/// An entry of a group's commit log, unverified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitLogEntry {
    /// Ascends within the log.
    pub sequence: u64,
    /// The encoded `PlaintextCommitLogEntry`.
    pub entry: Bytes,
    /// Ed25519 over `entry`.
    pub signature: Bytes,
    /// Who signed.
    pub public_key: Bytes,
}

/// The id after which a v3 node is asked for messages of a group: its commits and its other
/// messages share one series.
pub(crate) fn v3_group_id(cursor: &Cursor) -> u64 {
    let commits = cursor.last_seen(COMMIT_ORIGINATOR);
    commits.max(cursor.last_seen(V3_MESSAGES))
}

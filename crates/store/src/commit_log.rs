//! The commit log: what members say they saw of a group's commits. Not part of the topic log.

use async_trait::async_trait;
use bytes::Bytes;

use crate::StoreError;

/// An entry as it is published. The store does not look into it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewCommitLogEntry {
    /// The MLS group id.
    pub group_id: Bytes,
    /// An encoded `PlaintextCommitLogEntry`.
    pub entry: Bytes,
    /// The signature's bytes.
    pub signature: Bytes,
    /// The key that signed.
    pub signer: Bytes,
}

/// An entry with its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitLogEntry {
    /// Ascends in visibility order.
    pub sequence: u64,
    /// What was published.
    pub published: NewCommitLogEntry,
}

/// The commit logs of all groups.
#[async_trait]
pub trait CommitLog: Send + Sync {
    /// Appends all entries in order, or none. Durable and visible when it returns.
    async fn append_commit_log(&self, entries: Vec<NewCommitLogEntry>) -> Result<(), StoreError>;

    /// The entries of a group after sequence `after`, oldest first, at most `limit`.
    async fn commit_log(
        &self,
        group_id: &[u8],
        after: u64,
        limit: usize,
    ) -> Result<Vec<CommitLogEntry>, StoreError>;
}

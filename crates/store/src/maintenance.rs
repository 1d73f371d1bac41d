//! Keeping a store in order: retention, counts, copies.

use std::{path::Path, time::Duration};

use async_trait::async_trait;

use crate::StoreError;

/// For how long envelopes are kept; `None` is for ever. Commits, identity updates and the newest
/// key package of an installation are always kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retention {
    /// Group messages that are not commits or proposals.
    pub messages: Option<Duration>,
    /// Welcomes and welcome pointers.
    pub welcomes: Option<Duration>,
    /// Key packages that have been replaced.
    pub key_packages: Option<Duration>,
}

/// What a round of pruning removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pruned {
    /// Group messages.
    pub messages: u64,
    /// Welcomes and welcome pointers.
    pub welcomes: u64,
    /// Key packages.
    pub key_packages: u64,
}

/// What a store holds. Counting is cheap: a snapshot of counters, not a scan.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Envelopes stored since the database was made (pruned ones included).
    pub envelopes: u64,
    /// The newest id; 0 when empty.
    pub newest_id: u64,
    /// Topics.
    pub topics: u64,
    /// Bytes that the database takes on disk, write-ahead log included; 0 if unknown.
    pub bytes_on_disk: u64,
}

/// Housekeeping.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Removes what is older than `retention` allows at Unix time `now_ns`, in small steps that
    /// do not hold up publishing.
    async fn prune(&self, retention: Retention, now_ns: u64) -> Result<Pruned, StoreError>;

    /// What the store holds.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Whether the database answers and takes writes.
    async fn check(&self) -> Result<(), StoreError>;

    /// Empties the store. Ids go on from where they were, so no id is ever given twice.
    async fn reset(&self) -> Result<(), StoreError>;

    /// Writes a consistent copy of everything to the new file `to`, while the store is in use.
    async fn copy_to(&self, to: &Path) -> Result<(), StoreError>;

    /// Replaces everything by the copy in `from`, which [`copy_to`](Self::copy_to) wrote. Ids
    /// go on from the greater of both.
    async fn replace_with(&self, from: &Path) -> Result<(), StoreError>;

    /// Finishes the writes under way, writes back what is cached, and releases the database.
    /// Later calls fail with [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}

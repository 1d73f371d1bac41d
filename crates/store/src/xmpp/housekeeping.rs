//! Keeping the store in order.

use std::path::Path;

use async_trait::async_trait;

use crate::StoreError;

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct XmppStats {
    /// Accounts of all domains.
    pub accounts: u64,
    /// Rooms of all services.
    pub rooms: u64,
    /// Messages archived since the database was made, expired ones included.
    pub archived: u64,
    /// Bytes on disk, write-ahead log included; 0 if unknown.
    pub bytes_on_disk: u64,
}

/// Housekeeping.
#[async_trait]
pub trait Housekeeping: Send + Sync {
    /// What the store holds.
    async fn xmpp_stats(&self) -> Result<XmppStats, StoreError>;

    /// Whether the database answers and takes writes.
    async fn check_xmpp(&self) -> Result<(), StoreError>;

    /// Writes a consistent copy of everything to the new file `to`, while the store is in use: an SQLite file of the
    /// form that the embedded store opens.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsupported`] on PostgreSQL, whose own tools copy a database.
    async fn copy_xmpp_to(&self, to: &Path) -> Result<(), StoreError>;

    /// Finishes the writes under way, writes back what is cached, and releases the database. Later calls fail with
    /// [`StoreError::Closed`].
    async fn close_xmpp(&self) -> Result<(), StoreError>;
}

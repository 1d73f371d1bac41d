//! Why storage failed.

use std::error::Error;

/// Why a storage call failed. Nothing of a failed append is stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another append came first: the topic's newest id is not the expected one.
    #[error("the topic has moved on to id {newest}; read it again")]
    Conflict {
        /// The topic's newest id now.
        newest: u64,
    },
    /// The disk is full; writes fail until space returns, reads go on.
    #[error("the disk is full; free space and publish again")]
    DiskFull,
    /// The database was written by a newer version of the program.
    #[error(
        "the database has schema {found}, this program knows up to {known}; run a newer program"
    )]
    FromTheFuture {
        /// The schema number found in the database.
        found: u32,
        /// The newest schema number that this program knows.
        known: u32,
    },
    /// Another process uses the database.
    #[error("the database is in use by another process: {0}")]
    InUse(String),
    /// The call asks for what this backend does not offer.
    #[error("{0} is not offered by this database")]
    Unsupported(&'static str),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// The database failed for another reason.
    #[error("the database failed while it should {doing}: {cause}")]
    Database {
        /// What was attempted.
        doing: &'static str,
        /// The database's own words.
        cause: Box<dyn Error + Send + Sync>,
    },
}

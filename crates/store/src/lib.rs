#![doc = include_str!("../README.md")]

mod address;
mod commit_log;
mod envelope;
mod error;
mod maintenance;
#[cfg(feature = "postgres")]
mod postgres;
mod signatures;
mod sqlite;
mod topic_log;
pub mod xmpp;

pub use address::{Address, AddressChange, AddressIndex, AddressKind};
pub use commit_log::{CommitLog, CommitLogEntry, NewCommitLogEntry};
pub use envelope::{Draft, Envelope, Fingerprint, Form, Placed};
pub use error::StoreError;
pub use maintenance::{Maintenance, Pruned, Retention, Stats};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
pub use signatures::Signatures;
pub use sqlite::{Durability, SqliteOptions, SqliteStore};
pub use topic_log::{After, Content, Order, Page, TopicLog};

use std::sync::Arc;

/// Everything a node keeps, behind one pointer: `Arc<dyn Store>`.
pub trait Store: TopicLog + AddressIndex + CommitLog + Signatures + Maintenance {}

impl<T: TopicLog + AddressIndex + CommitLog + Signatures + Maintenance> Store for T {}

/// Hears of every group of writes, right after it became durable and visible.
///
/// The store calls this from its writer, in the order of ids and before the appends return, so
/// a listener sees each envelope once and never out of order. It must not block.
pub type OnCommit = Arc<dyn Fn(Vec<Arc<Envelope>>) + Send + Sync>;

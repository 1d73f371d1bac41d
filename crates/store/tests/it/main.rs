//! What every store promises, run against each of them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod backend;
mod crowd;
mod durability;
mod in_use;
mod log_length;
#[cfg(feature = "postgres")]
mod postgres;
mod properties;
#[cfg(feature = "postgres")]
mod tls;
mod topic_log;

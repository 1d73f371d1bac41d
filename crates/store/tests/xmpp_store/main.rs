//! What every XMPP store promises, run against each of them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod accounts;
mod archive;
mod archive_model;
mod backend;
mod durability;
mod lists;
mod messages;
#[cfg(feature = "postgres")]
#[path = "../it/postgres.rs"]
mod postgres;
mod pubsub;
mod rooms;
mod roster;
mod sessions;

//! The foundation of the client against a real node over loopback gRPC, in both generations.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod answers;
mod database;
mod identity;
mod key_packages;
mod network;
mod subscriptions;
mod support;
mod tls;

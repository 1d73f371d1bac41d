//! A server on a port of its own, and clients that say what they send and what they expect.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod archive;
mod blocking;
mod client;
mod login;
mod messages;
mod presence;
mod resumption;
mod rooms;
mod roster;
mod services;
mod streams;
mod world;

//! Conversations between clients of ours over a real node, in both generations.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod burst;
mod crash;
mod dms;
mod groups;
mod installations;
mod lies;
mod people;
mod races;
mod recovery;
mod restart;
mod streams;

//! Conversations between clients of ours over a real node, in both generations.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod app_data;
mod burst;
mod crash;
mod dms;
mod faults;
mod groups;
mod helpers;
mod installations;
mod joining;
mod lies;
mod overrun;
mod pausing;
mod people;
mod pushed;
mod races;
mod recovery;
mod relay;
mod relink;
mod restart;
mod streams;

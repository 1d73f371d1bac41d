//! The program as people run it: a process of its own, on ports and in folders of its own.

#![expect(
    clippy::unwrap_used,
    reason = "support functions of tests are tests too"
)]

mod bench;
mod bot;
mod cli;
mod dev;
mod examples;
mod serve;
mod support;
mod xmtp;

//! The bidirectional `Subscribe` of both generations (XIP-83): one stream whose topics change
//! while it runs.
//!
//! [`engine`] holds the rules. [`session`] moves requests, live envelopes, history and time
//! into it, and frames out. [`v3()`] and [`d14n()`] differ in their messages only.

mod d14n;
mod engine;
mod session;
mod v3;

pub(crate) use d14n::d14n;
pub(crate) use session::Answers;
pub(crate) use v3::v3;

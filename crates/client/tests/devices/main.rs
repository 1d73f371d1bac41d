//! What a person's installations share, and what they keep: consent, push keys, history, archives,
//! search, messages that disappear.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod archive;
mod disappearing;
mod home;
mod push;
mod search;
mod sync;

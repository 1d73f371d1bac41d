//! Streams: how they are opened and how they end (RFC 6120 §4).

mod error;
mod header;

pub use error::{StreamCondition, StreamError};
pub use header::{Header, Profile};

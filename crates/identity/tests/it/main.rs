//! The identity rules as a caller sees them.

#![expect(
    clippy::unwrap_used,
    reason = "support functions of tests are tests too"
)]

mod cast;
mod decoding;
mod properties;
mod rules;
mod vectors;

//! The node as clients see it: real gRPC over loopback, a store in memory or in SQLite.

#![expect(
    clippy::unwrap_used,
    reason = "support functions of tests are tests too"
)]

mod bad_input;
mod d14n;
mod headers;
mod subscribe;
mod v3;

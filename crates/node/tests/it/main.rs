//! The node as clients see it: real gRPC over loopback, a store in memory or in SQLite.

mod bad_input;
mod d14n;
mod headers;
mod subscribe;
mod v3;

//! The node as clients see it: real gRPC over loopback, a store in memory.

mod bad_input;
mod v3;

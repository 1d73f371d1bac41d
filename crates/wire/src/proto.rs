//! Messages, clients and servers generated from `proto/`, one module per package.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::allow_attributes,
    clippy::redundant_clone,
    clippy::str_to_string,
    clippy::uninlined_format_args,
    clippy::unwrap_used,
    clippy::use_self,
    reason = "generated code follows its generator's style"
)]

include!(concat!(env!("OUT_DIR"), "/all.rs"));

#![doc = include_str!("../README.md")]

mod front;
mod history;
mod parsers;
mod program;

pub use front::{METHODS, grpc_body, grpc_request, json_request};
pub use history::history;
pub use parsers::{group_message, identity_update, key_package, topic};
pub use program::{config, contract_account};

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// Every target: its name in `fuzz/fuzz_targets/` and `fuzz/corpus/`, and its function.
pub const TARGETS: &[(&str, Target)] = &[
    ("config", config),
    ("contract_account", contract_account),
    ("group_message", group_message),
    ("grpc_body", grpc_body),
    ("grpc_request", grpc_request),
    ("history", history),
    ("identity_update", identity_update),
    ("json_request", json_request),
    ("key_package", key_package),
    ("topic", topic),
];

/// The first byte and the rest; nothing if there is none.
fn first(data: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(*first), rest))
}

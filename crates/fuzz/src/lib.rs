#![doc = include_str!("../README.md")]

mod content;
mod front;
mod groups;
mod history;
mod parsers;
mod program;
mod reader;
mod rules;
mod sequence;
mod xmpp;

pub use content::{archive, content, device_sync};
pub use front::{METHODS, grpc_body, grpc_request, json_request};
pub use groups::{group, welcome};
pub use history::history;
pub use parsers::{group_message, identity_update, key_package, topic};
pub use program::{bot_line, config, contacts, contract_account, env_file};
pub use reader::{app_data, attachment, commit_log, envelope};
pub use rules::group_context;
pub use sequence::engine;
pub use xmpp::{xmpp_sasl, xmpp_stanza, xmpp_xml};

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// Every target: its name in `fuzz/fuzz_targets/` and `fuzz/corpus/`, and its function.
pub const TARGETS: &[(&str, Target)] = &[
    ("app_data", app_data),
    ("archive", archive),
    ("attachment", attachment),
    ("bot_line", bot_line),
    ("commit_log", commit_log),
    ("config", config),
    ("contacts", contacts),
    ("content", content),
    ("contract_account", contract_account),
    ("device_sync", device_sync),
    ("engine", engine),
    ("env_file", env_file),
    ("envelope", envelope),
    ("group", group),
    ("group_context", group_context),
    ("group_message", group_message),
    ("grpc_body", grpc_body),
    ("grpc_request", grpc_request),
    ("history", history),
    ("identity_update", identity_update),
    ("json_request", json_request),
    ("key_package", key_package),
    ("topic", topic),
    ("welcome", welcome),
    ("xmpp_sasl", xmpp_sasl),
    ("xmpp_stanza", xmpp_stanza),
    ("xmpp_xml", xmpp_xml),
];

/// The first byte and the rest; nothing if there is none.
fn first(data: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(*first), rest))
}

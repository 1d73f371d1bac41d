//! What a node is told at start.

use std::{collections::BTreeMap, time::Duration};

/// How a node behaves towards its clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeConfig {
    /// The originator id of this node: 100, 200 and so on.
    pub node_id: u32,
    /// Largest gRPC message, in bytes, either way. Default: 25 MiB, as clients have it.
    pub max_message_bytes: usize,
    /// Largest envelope taken, in bytes. Default: 25 MiB less 64 KiB, since answers add fields.
    pub max_envelope_bytes: usize,
    /// Largest client envelope with a commit, a proposal or an identity update that the gateway
    /// takes, in bytes. Elsewhere a chain has to hold it, and clients should notice here first.
    /// Default: 200 000, as gateways have it (node API section 5.1).
    pub max_chain_payload_bytes: usize,
    /// Most payload bytes in one answer page. Default: 24 MiB.
    pub max_page_bytes: usize,
    /// Silence after which a d14n stream or a bidirectional one gets a sign of life. Default: 30 s.
    pub keepalive: Duration,
    /// What `GetNodes` answers: node id to URL, as clients must dial it.
    pub nodes: BTreeMap<u32, String>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            node_id: 100,
            max_message_bytes: 25 << 20,
            max_envelope_bytes: (25 << 20) - (64 << 10),
            max_chain_payload_bytes: 200_000,
            max_page_bytes: 24 << 20,
            keepalive: Duration::from_secs(30),
            nodes: BTreeMap::new(),
        }
    }
}

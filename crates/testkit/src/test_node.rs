//! A node that listens on a free loopback port, in this process.

use std::sync::Arc;

use folkmoot_node::{Backlog, ContractVerifier, Hub, NoContracts, Node, NodeConfig, NodeKey};
use folkmoot_store::{OnCommit, Store};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::transport::{Channel, Endpoint};

use crate::MemoryStore;

/// A running node over a store in memory. It stops when dropped.
pub struct TestNode {
    /// The node itself.
    pub node: Node,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    server: JoinHandle<()>,
}

impl TestNode {
    /// Starts a node with the usual settings.
    pub async fn start() -> Self {
        Self::with(NodeConfig::default(), Backlog::default()).await
    }

    /// Starts a node with these settings.
    pub async fn with(config: NodeConfig, backlog: Backlog) -> Self {
        Self::over(config, backlog, |on_commit| {
            Arc::new(MemoryStore::new(1, on_commit))
        })
        .await
    }

    /// Starts a node that asks `contracts` about contract wallets.
    pub async fn asking(contracts: Arc<dyn ContractVerifier>) -> Self {
        let open = |on_commit| -> Arc<dyn Store> { Arc::new(MemoryStore::new(1, on_commit)) };
        Self::made_of(NodeConfig::default(), Backlog::default(), open, contracts).await
    }

    /// Starts a node over the store that `open` makes.
    pub async fn over(
        config: NodeConfig,
        backlog: Backlog,
        open: impl FnOnce(OnCommit) -> Arc<dyn Store>,
    ) -> Self {
        Self::made_of(config, backlog, open, Arc::new(NoContracts)).await
    }

    async fn made_of(
        mut config: NodeConfig,
        backlog: Backlog,
        open: impl FnOnce(OnCommit) -> Arc<dyn Store>,
        contracts: Arc<dyn ContractVerifier>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let url = format!("http://{address}");
        config.nodes.insert(config.node_id, url.clone());

        let hub = Hub::new(backlog);
        let store = open(hub.on_commit());
        hub.begin_at(store.newest_id().await.expect("the store answers"));
        let key = NodeKey::from_bytes(&[7; 32]).expect("a scalar of the curve");
        let node = Node::new(config, store, hub, key, contracts);
        let router = node.grpc().into_axum_router();
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, router).await;
            served.expect("the listener works");
        });
        Self { node, url, server }
    }

    /// A new connection to the node.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(self.url.clone()).expect("a URL");
        endpoint.connect().await.expect("the node listens")
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#![doc = include_str!("../README.md")]

mod client_addr;
mod config;
mod contracts;
mod cors;
mod d14n;
mod edge;
mod envelope;
mod error;
pub mod files;
mod follow;
mod framing;
mod hub;
mod identity;
mod json;
mod limits;
mod methods;
mod observe;
mod page;
mod publish;
mod sign;
mod subscribe;
mod v3;

pub use client_addr::{AddressRange, ClientAddr, InvalidAddressRange};
pub use config::NodeConfig;
pub use contracts::{ContractVerifier, NoContracts, Verdict, VerifierError};
pub use edge::{Edge, EdgeConfig};
pub use error::NodeError;
pub use hub::{Backlog, End, Hub, Subscription};
pub use limits::{Carries, Cost, Held, Limits, LimitsConfig, OpenStream, Rate, Rates};
pub use observe::{Counters, Door, Observer, OpenConnection, RecentCall};
pub use page::{PageAddress, PageConfig};
pub use sign::NodeKey;

use std::{path::Path, sync::Arc};

use folkmoot_store::{Store, StoreError};
use tonic::service::Routes;

use crate::{identity::IdentityService, sign::Signer};

/// The XMTP services over one store. Cheap to clone; all clones are the same node.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    config: NodeConfig,
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    identity: IdentityService,
    contracts: Arc<dyn ContractVerifier>,
    signer: Signer,
}

impl Node {
    /// A node over `store`, whose `OnCommit` was [`Hub::on_commit`] of this same `hub` and
    /// whose newest id the hub was told by [`Hub::begin_at`].
    #[must_use]
    pub fn new(
        config: NodeConfig,
        store: Arc<dyn Store>,
        hub: Arc<Hub>,
        key: NodeKey,
        contracts: Arc<dyn ContractVerifier>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                identity: IdentityService::new(Arc::clone(&store), Arc::clone(&contracts)),
                signer: Signer::new(key, config.node_id, Arc::clone(&store)),
                config,
                store,
                hub,
                contracts,
            }),
        }
    }

    /// All gRPC services, without transport layers (gRPC-Web, CORS, limits).
    #[must_use]
    pub fn grpc(&self) -> Routes {
        let mut routes = Routes::builder();
        v3::add(self, &mut routes);
        d14n::add(self, &mut routes);
        routes.routes()
    }

    /// The store that the node answers from.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Empties the store. Open streams end; clients' cursors stay valid, since ids go on.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn reset(&self) -> Result<(), StoreError> {
        self.inner.store.reset().await?;
        self.begin_anew().await
    }

    /// Replaces everything by a copy that the store wrote. Open streams end.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn replace_with(&self, copy: &Path) -> Result<(), StoreError> {
        self.inner.store.replace_with(copy).await?;
        self.begin_anew().await
    }

    /// Forgets what is remembered of the store's contents, after they changed as a whole.
    async fn begin_anew(&self) -> Result<(), StoreError> {
        self.inner.identity.forget();
        self.inner.signer.forget();
        self.inner.hub.begin_at(self.inner.store.newest_id().await?);
        self.inner.hub.cut_all();
        Ok(())
    }

    /// Ends every open stream with `UNAVAILABLE`, and later ones at once. Calls still work, so
    /// that clients' last writes land while the program drains.
    pub fn close_streams(&self) {
        self.inner.hub.close();
    }
}

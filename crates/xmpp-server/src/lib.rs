#![doc = include_str!("../README.md")]

mod account;
mod accounts;
mod archive;
mod blocking;
mod connection;
mod credentials;
mod disco;
mod handle;
mod info;
mod iq;
mod listener;
mod login;
mod message;
mod offline;
mod options;
mod presence;
mod private;
mod resumption;
mod rooms;
mod roster;
mod router;
mod session;
mod tls;
mod vcard;

pub use credentials::{InvalidPassword, verifiers};
pub use options::{Door, Options};
pub use router::StartError;
pub use tls::Tls;

use std::sync::Arc;

use folkmoot_store::xmpp::XmppStore;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::router::Router;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    router: Arc<Router>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Starts a server behind sockets that listen already.
    ///
    /// # Errors
    ///
    /// When the server's secret cannot be read from the store.
    pub async fn start(
        options: Options,
        doors: Vec<(Door, TcpListener)>,
        store: Arc<dyn XmppStore>,
    ) -> Result<Self, StartError> {
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let router = Router::new(options, store, closing.clone(), tasks.clone()).await?;
        for (door, socket) in doors {
            let router = Arc::clone(&router);
            tasks.spawn(listener::accept(router, door, socket));
        }
        Ok(Self {
            router,
            closing,
            tasks,
        })
    }

    /// How many sessions there are, those that wait to be resumed included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.router.sessions()
    }

    /// Ends every stream with `system-shutdown` and waits until all are gone.
    pub async fn shutdown(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

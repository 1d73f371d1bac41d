//! A node, ways to reach it, and things that go wrong on the way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use folkmoot_client::{
    Client, ClientBuilder,
    network::{Network, NetworkAddress, NetworkOptions},
};
use folkmoot_identity::WalletSecret;
use folkmoot_testkit::TestNode;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How long an event may take to come.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// By which generation of services a client reaches a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Generation {
    V3,
    D14n,
}

impl Generation {
    pub(crate) fn address(self, url: &str) -> NetworkAddress {
        match self {
            Self::V3 => NetworkAddress::Node(url.to_owned()),
            Self::D14n => NetworkAddress::Gateway(url.to_owned()),
        }
    }

    pub(crate) fn network(self, url: &str) -> Arc<dyn Network> {
        NetworkOptions::new(self.address(url)).network().unwrap()
    }
}

/// Runs a scenario by both generations.
macro_rules! both_generations {
    ($($scenario:ident),+ $(,)?) => { $(mod $scenario {
        #[tokio::test]
        async fn v3() {
            super::$scenario(crate::support::Generation::V3).await;
        }

        #[tokio::test]
        async fn d14n() {
            super::$scenario(crate::support::Generation::D14n).await;
        }
    })+ };
}
pub(crate) use both_generations;

/// The wallet of this number.
pub(crate) fn wallet(number: u8) -> WalletSecret {
    WalletSecret::from_bytes(&[number; 32]).unwrap()
}

/// A client to be, in memory.
pub(crate) fn client(generation: Generation, node: &TestNode) -> ClientBuilder {
    Client::builder().address(generation.address(&node.url))
}

/// A way to a node that can be cut.
pub(crate) struct Wire {
    pub(crate) url: String,
    cut: watch::Sender<u64>,
    open: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) async fn to(url: &str) -> Self {
        let target = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (cut, cuts) = watch::channel(0);
        let open = Arc::new(AtomicBool::new(true));
        let is_open = Arc::clone(&open);
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                if !is_open.load(Ordering::SeqCst) {
                    continue;
                }
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                let target = target.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { url, cut, open }
    }

    /// Cuts what is connected now.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|number| *number += 1);
    }

    /// Cuts what is connected, and lets nobody through until it is opened.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.cut();
    }

    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

/// Waits for something that must come soon.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what)
        .await
        .expect("it comes soon")
}

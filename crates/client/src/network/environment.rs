//! Which network, and how to reach it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use super::{Network, NetworkError, d14n::D14n, v3::V3};

/// A network that has a name of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Environment {
    /// A node on this machine, on the port that official clients expect.
    Local,
    /// The public network for trying things out.
    Dev,
    /// The public network.
    Production,
}

/// Where a network is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NetworkAddress {
    /// A node of the v3 generation, by its URL.
    Node(String),
    /// A network of the d14n generation, by the URL of its gateway, which knows the nodes.
    Gateway(String),
}

/// Which network a client is on, and what it says there.
#[derive(Clone, Eq, PartialEq)]
pub struct NetworkOptions {
    /// Where.
    pub address: NetworkAddress,
    /// What the app calls its version; servers log it. Default: `folkmoot/` and the version.
    pub app_version: String,
    /// How long a TCP connection may take to be made. Default: 450 ms.
    pub connect_timeout: Duration,
    /// How long an answer may take. Default (`None`): 20 s for the first one, so that a node that
    /// takes connections and says nothing is not waited for long; 60 s once one came.
    pub answer_timeout: Option<Duration>,
    /// Who is told when half a second passes without the first answer. Default: nobody.
    pub on_waiting: Option<OnWaiting>,
    /// A certificate authority to trust beside the system's, in PEM.
    pub ca_certificate: Option<Vec<u8>>,
    /// The credential for a gateway that wants one, as the value of the header `authorization`.
    pub authorization: Option<String>,
    /// Whether subscriptions use plain streams from the start, not only where a node lacks the
    /// bidirectional ones (XIP-83): some proxies let no others through. Default: `false`.
    pub plain_streams: bool,
}

/// Hears that a node lets us wait: its address, and when it is given up.
///
/// A node of which nothing was heard for half a second may be down behind something that takes
/// connections for it, or may be far away. Nobody can tell, so it is waited for; whoever sits in
/// front of a screen learns why nothing happens. It is told once for each address, and never of one
/// that has answered before.
#[derive(Clone)]
pub struct OnWaiting(Arc<Notice>);

/// Takes an address and how long an answer may take.
type Notice = dyn Fn(&str, Duration) + Send + Sync;

impl OnWaiting {
    /// Calls `notice` with the address that does not answer and how long an answer may take in all.
    /// It must not block.
    pub fn new(notice: impl Fn(&str, Duration) + Send + Sync + 'static) -> Self {
        Self(Arc::new(notice))
    }

    pub(super) fn tell(&self, address: &str, limit: Duration) {
        (self.0)(address, limit);
    }
}

impl PartialEq for OnWaiting {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OnWaiting {}

impl fmt::Debug for OnWaiting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OnWaiting").finish_non_exhaustive()
    }
}

impl fmt::Debug for NetworkOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NetworkOptions")
            .field("address", &self.address)
            .field("app_version", &self.app_version)
            .field("connect_timeout", &self.connect_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .field("on_waiting", &self.on_waiting.is_some())
            .field("ca_certificate", &self.ca_certificate.is_some())
            .field("authorization", &self.authorization.is_some())
            .finish()
    }
}

impl Environment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Local, Self::Dev, Self::Production];

    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Dev => "dev",
            Self::Production => "production",
        }
    }

    /// The URL of its node.
    #[must_use]
    pub const fn node_url(self) -> &'static str {
        match self {
            Self::Local => "http://127.0.0.1:5556",
            Self::Dev => "https://grpc.dev.xmtp.network:443",
            Self::Production => "https://grpc.production.xmtp.network:443",
        }
    }

    /// The URL of the server through which a person's devices hand each other their history.
    #[must_use]
    pub const fn history_url(self) -> &'static str {
        match self {
            Self::Local => "http://127.0.0.1:5558",
            Self::Dev => "https://message-history.dev.ephemera.network",
            Self::Production => "https://message-history.production.ephemera.network",
        }
    }
}

impl FromStr for Environment {
    type Err = NetworkError;

    fn from_str(name: &str) -> Result<Self, NetworkError> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| NetworkError::Address {
            url: name.to_owned(),
            cause: "the named networks are local, dev and production".into(),
        })
    }
}

impl From<Environment> for NetworkAddress {
    fn from(environment: Environment) -> Self {
        Self::Node(environment.node_url().to_owned())
    }
}

impl NetworkOptions {
    /// The usual settings for a network.
    #[must_use]
    pub fn new(address: impl Into<NetworkAddress>) -> Self {
        Self {
            address: address.into(),
            app_version: concat!("folkmoot/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_millis(450),
            answer_timeout: None,
            on_waiting: None,
            ca_certificate: None,
            authorization: None,
            plain_streams: false,
        }
    }

    /// The network. Nothing is sent before the first call, so this succeeds without one. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Address`] when the URL cannot be used.
    pub fn network(&self) -> Result<Arc<dyn Network>, NetworkError> {
        Ok(match &self.address {
            NetworkAddress::Node(url) => Arc::new(V3::new(url, self)?),
            NetworkAddress::Gateway(url) => Arc::new(D14n::new(url, self)?),
        })
    }
}

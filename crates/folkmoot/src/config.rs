//! `folkmoot.toml`, and the environment variables that override it.
//!
//! A variable is named after section and key: `FOLKMOOT_LISTEN__DRAIN_SECONDS=5` sets
//! `drain_seconds` in `[listen]`. Lists are separated by commas. Every section has all of its
//! defaults; the example file spells them out, and a test compares the two.

mod overrides;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use folkmoot_node::{
    AddressRange, InvalidAddressRange, LimitsConfig, NodeConfig, Rate, Rates, files::HistoryConfig,
};
use folkmoot_store::Retention;
use serde::{Deserialize, Serialize};

use crate::{
    evm::EndpointUrl,
    listen::{ListenConfig, Proxies},
    log::LogFormat,
};

pub use overrides::InvalidOverride;

/// The example file: every key with its meaning and its default.
pub const EXAMPLE: &str = include_str!("../../../folkmoot.example.toml");

const MIB: u64 = 1 << 20;
const DAY: u64 = 24 * 60 * 60;

/// What `folkmoot serve` is told.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where and how clients connect.
    pub listen: ListenSection,
    /// The XMTP node.
    pub node: NodeSection,
    /// Where the data is.
    pub store: StoreSection,
    /// What one client may use.
    pub limits: LimitsSection,
    /// For how long data is kept.
    pub retention: RetentionSection,
    /// When the disk is too full.
    pub disk: DiskSection,
    /// History files, for device sync.
    pub history: HistorySection,
    /// Chains that are asked about contract wallets.
    pub evm: EvmSection,
    /// The log.
    pub log: LogSection,
    /// What the operator looks at.
    pub admin: AdminSection,
}

/// `[listen]`: where and how clients connect.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenSection {
    /// Addresses and ports. Default: 127.0.0.1:5556.
    pub addresses: Vec<SocketAddr>,
    /// A file with the certificate chain (PEM); empty for none. Default: empty.
    pub tls_certificate: PathBuf,
    /// A file with the certificate's private key (PEM); empty for none. Default: empty.
    pub tls_key: PathBuf,
    /// Whose `Forwarded` and `X-Forwarded-For` headers, and whose PROXY lines, are believed:
    /// addresses or ranges. Default: nobody's.
    pub trusted_proxies: Vec<String>,
    /// Most connections at a time. Default: 20000.
    pub max_connections: usize,
    /// Most connections at a time from one address (IPv6: one /64 network). Default: 200.
    pub max_connections_per_address: usize,
    /// Most HTTP/2 streams at a time on one connection. Default: 10000.
    pub max_streams_per_connection: u32,
    /// How long a client may take for the head of a request, in seconds. Default: 30.
    pub header_timeout_seconds: u64,
    /// How often an idle HTTP/2 client is pinged, in seconds. Default: 300.
    pub ping_interval_seconds: u64,
    /// How long open calls may go on when the program is told to end, in seconds. Default: 20.
    pub drain_seconds: u64,
}

impl Default for ListenSection {
    fn default() -> Self {
        Self {
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 5556))],
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            trusted_proxies: Vec::new(),
            max_connections: 20_000,
            max_connections_per_address: 200,
            max_streams_per_connection: 10_000,
            header_timeout_seconds: 30,
            ping_interval_seconds: 300,
            drain_seconds: 20,
        }
    }
}

/// `[node]`: the XMTP node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeSection {
    /// The node's id: 100, 200 and so on. It is in every message's id and never changes.
    /// Default: 100.
    pub id: u32,
    /// The URL under which clients dial this node. Default: http://localhost:5556.
    pub public_url: String,
    /// Silence after which a stream gets a sign of life, in seconds. Default: 30.
    pub keepalive_seconds: u64,
    /// Largest commit or identity update that the d14n gateway takes, in bytes, with its
    /// envelope; 0 is no limit of its own. Default: 200000, as on the public network.
    pub chain_payload_bytes: usize,
}

impl Default for NodeSection {
    fn default() -> Self {
        Self {
            id: 100,
            public_url: "http://localhost:5556".to_owned(),
            keepalive_seconds: 30,
            chain_payload_bytes: 200_000,
        }
    }
}

/// `[store]`: where the data is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSection {
    /// The data directory: database, node key, history files. Default: folkmoot-data.
    pub data_directory: PathBuf,
    /// A PostgreSQL database in place of the embedded one, such as
    /// `postgres://folkmoot@db.example/folkmoot?sslmode=verify-full`; empty for the embedded one.
    /// `sslmode` and `sslrootcert` mean what they mean to libpq. Default: empty.
    pub postgres_url: Secret,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            data_directory: "folkmoot-data".into(),
            postgres_url: Secret::default(),
        }
    }
}

/// `[limits]`: what one client address may use.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Whether calls and publishes are limited. Default: true.
    pub enabled: bool,
    /// Calls that publish nothing, in a minute. Default: 4000.
    pub calls_per_minute: u32,
    /// Calls at once after a rest. Default: 20000.
    pub calls_burst: u32,
    /// Published messages, in a minute. Default: 600.
    pub publishes_per_minute: u32,
    /// Published messages at once after a rest. Default: 3000.
    pub publishes_burst: u32,
    /// Open streams. Default: 2000.
    pub streams: usize,
    /// Those of the open streams that carry everything (`SubscribeAllEnvelopes`), which only
    /// notification servers need; 0 is as many as others. Default: 2.
    pub feeds: usize,
    /// Mebibytes of requests and answers in memory for one address; at least 26. Default: 128.
    pub in_flight_mib: usize,
    /// Mebibytes of requests and answers in memory for all; at least 26. Default: 512.
    pub in_flight_total_mib: usize,
    /// Addresses or ranges that are refused. Default: none.
    pub denied: Vec<String>,
    /// Whether programs on this machine are free of limits. Not behind a proxy that is missing
    /// in `trusted_proxies`: then everybody seems to come from there. Default: false.
    pub exempt_loopback: bool,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            enabled: true,
            calls_per_minute: 4000,
            calls_burst: 20_000,
            publishes_per_minute: 600,
            publishes_burst: 3000,
            streams: 2000,
            feeds: 2,
            in_flight_mib: 128,
            in_flight_total_mib: 512,
            denied: Vec::new(),
            exempt_loopback: false,
        }
    }
}

/// `[retention]`: for how long data is kept. 0 is for ever. Commits, identity updates and the
/// newest key package of each installation are always kept.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSection {
    /// Group messages, in days. Default: 0.
    pub messages_days: u64,
    /// Welcomes, in days. Default: 0.
    pub welcomes_days: u64,
    /// Key packages that were replaced, in days. Default: 30.
    pub key_packages_days: u64,
    /// How often what is too old is removed, in minutes. Default: 60.
    pub every_minutes: u64,
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self {
            messages_days: 0,
            welcomes_days: 0,
            key_packages_days: 30,
            every_minutes: 60,
        }
    }
}

/// `[disk]`: when the disk is too full.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskSection {
    /// Publishes are refused while less than this is free in the data directory, in mebibytes;
    /// 0 is never. Default: 256.
    pub alarm_free_mib: u64,
    /// A warning is logged while less than this is free, in mebibytes. Default: 1024.
    pub warn_free_mib: u64,
    /// How often it is looked at, in seconds. Default: 10.
    pub every_seconds: u64,
}

impl Default for DiskSection {
    fn default() -> Self {
        Self {
            alarm_free_mib: 256,
            warn_free_mib: 1024,
            every_seconds: 10,
        }
    }
}

/// `[history]`: history files, for device sync.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySection {
    /// Whether there are any. Default: true.
    pub enabled: bool,
    /// Largest file, in mebibytes. Default: 512.
    pub max_file_mib: u64,
    /// All files together, in mebibytes. Default: 16384.
    pub max_total_mib: u64,
    /// For how long a file is kept, in days. Default: 14.
    pub keep_days: u64,
    /// Uploads at a time from one address. Default: 4.
    pub uploads_per_address: usize,
}

impl Default for HistorySection {
    fn default() -> Self {
        Self {
            enabled: true,
            max_file_mib: 512,
            max_total_mib: 16_384,
            keep_days: 14,
            uploads_per_address: 4,
        }
    }
}

/// `[evm]`: chains that are asked about contract wallets' signatures (ERC-1271, ERC-6492).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvmSection {
    /// How long an endpoint may take for one answer, in seconds. Default: 10.
    pub timeout_seconds: u64,
    /// JSON-RPC endpoints, keyed by the chain's EIP-155 number. Default: none.
    pub endpoints: BTreeMap<String, Secret>,
}

impl Default for EvmSection {
    fn default() -> Self {
        Self {
            timeout_seconds: 10,
            endpoints: BTreeMap::new(),
        }
    }
}

/// `[log]`: the log, on standard error.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// `pretty` for people, `json` for programs. Default: pretty.
    pub format: LogFormat,
    /// What is logged: `error`, `warn`, `info`, `debug`, or parts such as
    /// `info,folkmoot_node=debug`. Default: info.
    pub filter: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            format: LogFormat::Pretty,
            filter: "info".to_owned(),
        }
    }
}

/// `[admin]`: what the operator looks at. Nobody else should reach it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSection {
    /// Where `/metrics` (Prometheus) and the status page are; empty for nowhere.
    /// Default: 127.0.0.1:5555.
    pub address: String,
    /// Whether the HTTP/JSON mirror of the v3 services is served beside gRPC. Default: false.
    pub json_mirror: bool,
}

impl Default for AdminSection {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:5555".to_owned(),
            json_mirror: false,
        }
    }
}

/// A text that may hold a password or an access key; it does not print.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({} bytes)", self.0.len())
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no file.
    #[error("there is no {0}")]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is not what it should be; the text shows where.
    #[error("{path}, {place}: {text}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line and column.
        place: String,
        /// What is wrong.
        text: String,
    },
    /// An environment variable is not what it should be.
    #[error(transparent)]
    Override(#[from] InvalidOverride),
    /// A value makes no sense.
    #[error("{key} in [{section}]: {text}")]
    Value {
        /// The section.
        section: &'static str,
        /// The key.
        key: &'static str,
        /// What is wrong, and what would be right.
        text: String,
    },
}

impl ConfigError {
    fn value(section: &'static str, key: &'static str, text: impl Into<String>) -> Self {
        Self::Value {
            section,
            key,
            text: text.into(),
        }
    }
}

impl Config {
    /// Reads `path`, then lets `variables` override it, then checks what is there.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the file and the place, or the variable, or the key.
    pub fn load(
        path: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => ConfigError::Missing(path.to_owned()),
            _ => ConfigError::Unreadable {
                path: path.to_owned(),
                cause,
            },
        })?;
        Self::parse(&text, path, variables)
    }

    /// Like [`load`](Self::load), of a text that came from `path`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn parse(
        text: &str,
        path: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Invalid {
            path: path.to_owned(),
            place: place(text, error.span().map_or(0, |span| span.start)),
            text: error.message().to_owned(),
        })?;
        let config = overrides::apply(config, variables)?;
        config.check()?;
        Ok(config)
    }

    /// Checks what no type says.
    fn check(&self) -> Result<(), ConfigError> {
        if self.listen.addresses.is_empty() {
            return Err(ConfigError::value(
                "listen",
                "addresses",
                "name at least one address",
            ));
        }
        if self.listen.tls_certificate.as_os_str().is_empty()
            != self.listen.tls_key.as_os_str().is_empty()
        {
            let text = "set both tls_certificate and tls_key, or none of them";
            return Err(ConfigError::value("listen", "tls_key", text));
        }
        if self.node.id == 0 || !self.node.id.is_multiple_of(100) || self.node.id > 409_500 {
            let text = format!("{} is none of 100, 200, ... 409500", self.node.id);
            return Err(ConfigError::value("node", "id", text));
        }
        let url = self.node.public_url.parse::<http::Uri>();
        if !url.is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https"))) {
            let text = "write http://HOST:PORT or https://HOST";
            return Err(ConfigError::value("node", "public_url", text));
        }
        for (key, seconds) in [
            ("header_timeout_seconds", self.listen.header_timeout_seconds),
            ("ping_interval_seconds", self.listen.ping_interval_seconds),
        ] {
            if seconds == 0 {
                return Err(ConfigError::value("listen", key, "must be at least 1"));
            }
        }
        if self.node.keepalive_seconds == 0 {
            return Err(ConfigError::value(
                "node",
                "keepalive_seconds",
                "must be at least 1",
            ));
        }
        if self.retention.every_minutes == 0 {
            return Err(ConfigError::value(
                "retention",
                "every_minutes",
                "must be at least 1",
            ));
        }
        if self.disk.every_seconds == 0 {
            return Err(ConfigError::value(
                "disk",
                "every_seconds",
                "must be at least 1",
            ));
        }
        let limits = &self.limits;
        for (key, value) in [
            ("calls_per_minute", limits.calls_per_minute),
            ("calls_burst", limits.calls_burst),
            ("publishes_per_minute", limits.publishes_per_minute),
            ("publishes_burst", limits.publishes_burst),
        ] {
            if value == 0 {
                let text = "must be at least 1; `enabled = false` lifts all of them";
                return Err(ConfigError::value("limits", key, text));
            }
        }
        for (key, value) in [
            ("in_flight_mib", limits.in_flight_mib),
            ("in_flight_total_mib", limits.in_flight_total_mib),
        ] {
            if value < 26 {
                let text = "must be at least 26, for the largest message";
                return Err(ConfigError::value("limits", key, text));
            }
        }
        self.proxies()?;
        self.limits()?;
        self.evm_endpoints()?;
        self.admin_address()?;
        Ok(())
    }

    /// How connections are treated.
    ///
    /// # Errors
    ///
    /// When `trusted_proxies` has something that is no address.
    pub fn listen(&self) -> Result<ListenConfig, ConfigError> {
        let section = &self.listen;
        Ok(ListenConfig {
            max_connections: section.max_connections,
            max_connections_per_address: section.max_connections_per_address,
            max_streams_per_connection: section.max_streams_per_connection,
            header_timeout: Duration::from_secs(section.header_timeout_seconds),
            ping_interval: Duration::from_secs(section.ping_interval_seconds),
            proxies: self.proxies()?,
            ..ListenConfig::default()
        })
    }

    fn proxies(&self) -> Result<Proxies, ConfigError> {
        ranges(&self.listen.trusted_proxies)
            .map(Proxies::new)
            .map_err(|error| ConfigError::value("listen", "trusted_proxies", error.to_string()))
    }

    /// How the node behaves.
    #[must_use]
    pub fn node(&self) -> NodeConfig {
        let section = &self.node;
        let url = section.public_url.trim_end_matches('/').to_owned();
        NodeConfig {
            node_id: section.id,
            keepalive: Duration::from_secs(section.keepalive_seconds),
            max_chain_payload_bytes: match section.chain_payload_bytes {
                0 => usize::MAX,
                bytes => bytes,
            },
            nodes: BTreeMap::from([(section.id, url)]),
            ..NodeConfig::default()
        }
    }

    /// What one client may use.
    ///
    /// # Errors
    ///
    /// When `denied` has something that is no address.
    pub fn limits(&self) -> Result<LimitsConfig, ConfigError> {
        let section = &self.limits;
        let rates = Rates {
            calls: Rate {
                per_minute: section.calls_per_minute,
                burst: section.calls_burst,
            },
            publishes: Rate {
                per_minute: section.publishes_per_minute,
                burst: section.publishes_burst,
            },
        };
        Ok(LimitsConfig {
            rates: section.enabled.then_some(rates),
            denied: ranges(&section.denied)
                .map_err(|error| ConfigError::value("limits", "denied", error.to_string()))?,
            exempt_loopback: section.exempt_loopback,
            address_bytes: section.in_flight_mib << 20,
            total_bytes: section.in_flight_total_mib << 20,
            address_streams: section.streams,
            address_feeds: (section.feeds > 0).then_some(section.feeds),
            ..LimitsConfig::default()
        })
    }

    /// For how long data is kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        let days = |days: u64| (days > 0).then(|| Duration::from_secs(days.saturating_mul(DAY)));
        Retention {
            messages: days(self.retention.messages_days),
            welcomes: days(self.retention.welcomes_days),
            key_packages: days(self.retention.key_packages_days),
        }
    }

    /// History files' limits.
    #[must_use]
    pub fn history(&self) -> HistoryConfig {
        let section = &self.history;
        HistoryConfig {
            max_file_bytes: section.max_file_mib.saturating_mul(MIB),
            max_total_bytes: section.max_total_mib.saturating_mul(MIB),
            keep: Duration::from_secs(section.keep_days.saturating_mul(DAY)),
            uploads_per_address: section.uploads_per_address,
            ..HistoryConfig::default()
        }
    }

    /// Endpoints by chain number.
    ///
    /// # Errors
    ///
    /// When a key is no number or a value no URL. The URL is not repeated: it may hold a key.
    pub fn evm_endpoints(&self) -> Result<BTreeMap<u64, EndpointUrl>, ConfigError> {
        let invalid = |text: String| ConfigError::value("evm", "endpoints", text);
        self.evm
            .endpoints
            .iter()
            .map(|(chain, url)| {
                let number = chain
                    .parse()
                    .map_err(|_| invalid(format!("{chain:?} is no chain number; write 1 = URL")))?;
                let url = url
                    .as_str()
                    .parse()
                    .map_err(|_| invalid(format!("what chain {number} has is no http(s) URL")))?;
                Ok((number, url))
            })
            .collect()
    }

    /// Where the operator looks, if anywhere.
    ///
    /// # Errors
    ///
    /// When it is no address.
    pub fn admin_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        let text = &self.admin.address;
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |_| {
            let text = format!("{text:?} is no address; write 127.0.0.1:5555, or \"\" for none");
            ConfigError::value("admin", "address", text)
        };
        text.parse().map(Some).map_err(wrong)
    }

    /// The certificate's files, if there is TLS.
    #[must_use]
    pub fn tls_files(&self) -> Option<(&Path, &Path)> {
        let listen = &self.listen;
        (!listen.tls_certificate.as_os_str().is_empty())
            .then_some((listen.tls_certificate.as_path(), listen.tls_key.as_path()))
    }
}

fn ranges(texts: &[String]) -> Result<Vec<AddressRange>, InvalidAddressRange> {
    texts.iter().map(|text| text.parse()).collect()
}

/// Where in `text` a byte is, for people.
fn place(text: &str, byte: usize) -> String {
    let before = &text.as_bytes()[..byte.min(text.len())];
    let line = before.split(|byte| *byte == b'\n').count();
    format!("line {line}")
}

#[cfg(test)]
mod tests;

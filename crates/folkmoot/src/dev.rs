//! `folkmoot dev`: a whole XMTP network and an XMPP server on this machine.
//!
//! Every door serves all XMTP services and history files; there are several because official
//! SDKs dial several ports by default. One door more has what people and scripts look at, and
//! the controls that test suites use.

mod accounts;
mod banner;
mod child;
mod control;
mod doors;
mod faults;
mod ready;
mod xmpp;

pub use accounts::AccountsCommand;
pub use doors::{Door, Ports};
pub use faults::{Faults, InvalidFaults};
pub(crate) use xmpp::CROWD_PASSWORD;

use std::{
    fmt,
    io::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::{Router, middleware};
use clap::{Args, Subcommand};
use folkmoot_node::{
    Edge, EdgeConfig, Node, NodeConfig, PageAddress, PageConfig,
    files::{History, HistoryConfig},
};
use folkmoot_store::{Durability, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    data_dir::DataDir,
    evm::{DEFAULT_TIMEOUT, EvmOption, EvmVerifier},
    listen::{Certificate, ListenConfig, Listeners, TlsSetup},
    metrics, net, open_files,
    signals::Signals,
    storage::Database,
    upkeep,
};

use self::{child::Child, control::Control, doors::Address};

/// What the directories of networks begin with whose data is gone at the end.
const TEMPORARY: &str = "folkmoot-dev-";
/// The age from which such a directory that nobody has locked is a killed network's.
const LEFT_BEHIND: Duration = Duration::from_secs(60);
/// The id of the one node of a development network.
const NODE_ID: u32 = 100;
/// Seconds between two looks for history files that are too old.
const SWEEP_SECONDS: u64 = 60 * 60;
/// How long open calls may go on after the program was told to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Run an XMTP network and an XMPP server on this machine, for development and tests
///
/// Official SDKs find it with their environment "local", unchanged. Everything is gone at the
/// end, unless you say `--data DIR --keep`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct DevCommand {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    options: DevOptions,
    /// Run this program with the network's addresses in its environment, and end with its exit code
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

const AFTER_HELP: &str = "\
Examples:
  folkmoot dev                                  a network until Ctrl-C
  folkmoot dev --data ./network --keep          the same one again tomorrow
  folkmoot dev --ports auto -- npm test         a network for one test run
  folkmoot dev --listen 0.0.0.0                 for phones and emulators, HTTPS included
  folkmoot dev --faults latency=50ms..200ms,drop=1%,cut=0.1%
  folkmoot dev accounts 3                       people to write as, on the network that runs

CMD sees FOLKMOOT_V3_URL, FOLKMOOT_WEB_URL, FOLKMOOT_HTTP_URL, FOLKMOOT_HISTORY_URL,
FOLKMOOT_D14N_URL, FOLKMOOT_GATEWAY_URL, FOLKMOOT_XMPP_URL, FOLKMOOT_XMPPS_URL and XMTP_NODE_URL.

On the page's port, for test suites: `POST /dev/reset` empties the network, `POST /dev/snapshot`
answers {\"id\"}, `POST /dev/restore/ID` goes back to it. Open streams end; history files stay.";

#[derive(Debug, Subcommand)]
enum Other {
    Accounts(AccountsCommand),
}

/// How a development network is set up.
#[derive(Clone, Debug, Args)]
pub struct DevOptions {
    /// Keep the data in this directory; it is emptied at the start, unless you say --keep too
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Go on with what the data directory holds
    #[arg(long, requires = "data")]
    pub keep: bool,
    /// Add N to every port
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "ports")]
    pub port_offset: u16,
    /// `auto` takes whatever ports are free; see --ready-file
    #[arg(long, value_name = "auto", value_parser = ["auto"], hide_possible_values = true)]
    pub ports: Option<String>,
    /// Listen on this address in place of 127.0.0.1 and ::1; 0.0.0.0 is for phones and emulators
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<IpAddr>,
    /// The name under which clients on other devices dial this machine
    #[arg(long, value_name = "NAME")]
    pub public_host: Option<String>,
    /// Write the addresses to this file as JSON once everything listens
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Ask this JSON-RPC endpoint about smart-contract wallets; can be given for several chains
    #[arg(long, value_name = "CHAIN=URL|off", default_value = "off")]
    pub evm: Vec<EvmOption>,
    /// Delay, refuse and cut calls: latency=50ms..200ms,drop=1%,cut=0.1%,seed=7
    #[arg(long, value_name = "FAULTS")]
    pub faults: Option<Faults>,
    /// Make so many XMPP accounts, `user0` and so on, and let them log in without TLS: for `bench xmpp`
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    pub xmpp_crowd: u16,
}

impl Default for DevOptions {
    fn default() -> Self {
        Self {
            data: None,
            keep: false,
            port_offset: 0,
            ports: None,
            listen: Vec::new(),
            public_host: None,
            ready_file: None,
            evm: vec![EvmOption::Off],
            faults: None,
            xmpp_crowd: 0,
        }
    }
}

impl DevCommand {
    /// Runs until a signal comes, or until the program after `--` ends.
    ///
    /// # Errors
    ///
    /// A [`Failure`](crate::failure::Failure) where there is a way out that can be named.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(Other::Accounts(command)) = self.other {
            command.run(&mut std::io::stdout()).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut signals = Signals::new().context("listen to signals")?;
        open_files::raise_limit();
        let network = Network::start(&self.options).await?;
        // The banner is for people; what runs after `--` has standard output for itself.
        let banner = banner::banner(&network, &self.options, self.command.is_empty());
        drop(std::io::stderr().write_all(banner.as_bytes()));
        let code = match Child::start(&self.command, &network)? {
            Some(child) => child.run(&mut signals).await?,
            None => {
                signals.next().await;
                ExitCode::SUCCESS
            }
        };
        tokio::select! {
            ended = network.stop() => ended?,
            _ = signals.next() => tracing::warn!("a second signal; open calls were cut"),
        }
        Ok(code)
    }
}

/// A development network that runs.
#[derive(Debug)]
pub struct Network {
    addresses: Vec<Address>,
    node: NodeHandle,
    edge: EdgeHandle,
    listeners: Listeners,
    xmpp: xmpp::Xmpp,
    ready_file: Option<PathBuf>,
    /// Cancelled when the work in the background shall end.
    ending: CancellationToken,
    data: DataDir,
    /// Goes last: what lies in it is in use until then.
    _temporary: Option<TempDir>,
}

impl Network {
    /// Starts a network. When this returns, every door listens, and the ready file is written.
    ///
    /// # Errors
    ///
    /// When a port is taken, when the data directory is in use or cannot be used, or when the
    /// database cannot be opened.
    pub async fn start(options: &DevOptions) -> anyhow::Result<Self> {
        let ports = match options.ports {
            Some(_) => Ports::Auto,
            None => Ports::Offset(options.port_offset),
        };
        let doors = doors::open(ports, &options.listen)?;
        let (temporary, data) = open_data(options)?;
        let durability = match options.data {
            Some(_) => Durability::Full,
            None => Durability::Off,
        };
        let database = Database::Sqlite {
            path: data.database(),
            durability,
        };
        let (store, hub) = database.open(NODE_ID).await?;
        let public_host = public_host(options);
        let addresses: Vec<Address> = doors.iter().map(|(door, _)| door.clone()).collect();
        let config = NodeConfig {
            node_id: NODE_ID,
            nodes: addresses
                .iter()
                .filter(|address| address.door == Door::D14n)
                .map(|address| (NODE_ID, address.url(&public_host)))
                .collect(),
            ..NodeConfig::default()
        };
        let endpoints = EvmOption::endpoints(options.evm.iter().cloned());
        let contracts = Arc::new(EvmVerifier::new(endpoints, DEFAULT_TIMEOUT)?);
        let node = Node::new(config, store, hub, data.node_key()?, contracts);
        let history = History::open(data.history(), HistoryConfig::default())
            .context("open the history files")?;
        let ending = CancellationToken::new();
        upkeep::sweep(SWEEP_SECONDS, &ending, &history);

        let certificate = Certificate::self_signed(&certificate_names(options))?;
        let xmpp_tls = certificate.xmpp()?;
        let edge = node.edge(EdgeConfig::default());
        let setup = TlsSetup::new(certificate)?;
        let listeners = Listeners::new(ListenConfig::default(), Some(setup), edge.observer());
        let calls = calls(&edge, &history, options.faults.as_ref());
        let page = calls
            .clone()
            .merge(edge.json())
            .merge(edge.page(page(&addresses, options)))
            .merge(metrics::router())
            .merge(Control::new(node.clone(), data.snapshots())?.router());
        let mut xmpp_doors = Vec::new();
        for (address, sockets) in doors {
            if let Some(door) = xmpp::door(address.door) {
                xmpp_doors.extend(sockets.into_iter().map(|socket| (door, socket)));
                continue;
            }
            let router = match address.door {
                Door::Http => page.clone(),
                _ => calls.clone(),
            };
            for socket in sockets {
                listeners.serve(socket, router.clone());
            }
        }
        let xmpp = xmpp::start(
            data.xmpp_database(),
            durability,
            xmpp_tls,
            xmpp_doors,
            options.xmpp_crowd,
        )
        .await?;
        let network = Self {
            addresses,
            xmpp,
            node: NodeHandle(node),
            edge: EdgeHandle(edge),
            listeners,
            ready_file: options.ready_file.clone(),
            ending,
            data,
            _temporary: temporary,
        };
        if let Some(file) = &network.ready_file {
            ready::write(file, &network.addresses)?;
        }
        Ok(network)
    }

    /// The door's address for programs on this machine, such as `http://127.0.0.1:5556`.
    #[must_use]
    pub fn url(&self, door: Door) -> String {
        self.addresses
            .iter()
            .find(|address| address.door == door)
            .map_or_else(String::new, |address| address.url("127.0.0.1"))
    }

    /// The node behind the doors.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node.0
    }

    /// Stops accepting, ends open streams, waits a little for open calls, closes the database.
    ///
    /// # Errors
    ///
    /// When the database cannot be closed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.listeners.close();
        self.edge.0.drain().await;
        self.node().close_streams();
        let cut = self.listeners.drain(PATIENCE).await;
        if cut > 0 {
            tracing::warn!(connections = cut, "connections were cut at the end");
        }
        self.ending.cancel();
        self.xmpp.stop().await?;
        let store: &Arc<dyn Store> = self.node().store();
        store.close().await.context("close the database")?;
        // The next start would remove what stays.
        drop(std::fs::remove_dir_all(self.data.snapshots()));
        if let Some(file) = &self.ready_file {
            drop(std::fs::remove_file(file));
        }
        tracing::info!(data = %self.data.path().display(), "stopped");
        Ok(())
    }
}

/// A node, which has no contents that a log may show.
struct NodeHandle(Node);

impl fmt::Debug for NodeHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Node")
    }
}

/// An edge, likewise.
struct EdgeHandle(Edge);

impl fmt::Debug for EdgeHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Edge")
    }
}

/// What every door serves.
fn calls(edge: &Edge, history: &History, faults: Option<&Faults>) -> Router {
    let calls = edge.router().merge(history.router());
    match faults {
        Some(faults) => {
            let faults = Arc::new(faults.clone().begin());
            calls.layer(middleware::from_fn_with_state(faults, faults::disturb))
        }
        None => calls,
    }
}

/// What the page says of the addresses and the data.
fn page(addresses: &[Address], options: &DevOptions) -> PageConfig {
    let addresses = addresses
        .iter()
        .map(|address| PageAddress {
            name: address.door.what().to_owned(),
            url: address.url(&banner::shown_host(address)),
            setting: address.door.setting().to_owned(),
        })
        .collect();
    PageConfig {
        note: banner::data_note(options),
        addresses,
    }
}

fn open_data(options: &DevOptions) -> anyhow::Result<(Option<TempDir>, DataDir)> {
    let Some(path) = &options.data else {
        remove_left_behind(&std::env::temp_dir(), LEFT_BEHIND);
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempdir()
            .context("make a temporary directory")?;
        let data = DataDir::open(temporary.path())?;
        return Ok((Some(temporary), data));
    };
    let data = DataDir::open(path)?;
    if !options.keep {
        data.empty()
            .with_context(|| format!("empty {}", path.display()))?;
    }
    Ok((None, data))
}

/// Removes the data of networks that were killed some time ago, as far as this user may.
fn remove_left_behind(place: &Path, untouched_for: Duration) {
    let Ok(entries) = place.read_dir() else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        // One that has just been made has no lock yet, or is about to take it.
        let is_old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age >= untouched_for));
        if is_ours
            && is_old
            && let Ok(Some(data)) = DataDir::open_existing(&entry.path())
        {
            drop(std::fs::remove_dir_all(data.path()));
        }
    }
}

/// Whether somebody on another device can reach the network.
fn is_public(options: &DevOptions) -> bool {
    options.listen.iter().any(|address| !address.is_loopback())
}

/// The name that d14n clients are told to dial.
fn public_host(options: &DevOptions) -> String {
    if let Some(name) = &options.public_host {
        return name.clone();
    }
    if !is_public(options) {
        return "localhost".to_owned();
    }
    options
        .listen
        .iter()
        .copied()
        .find(|address| !address.is_loopback() && !address.is_unspecified())
        .or_else(|| net::machine_addresses().into_iter().next())
        .map_or_else(|| "localhost".to_owned(), in_url)
}

/// The names that the network's own certificate is for.
fn certificate_names(options: &DevOptions) -> Vec<String> {
    let mut names = net::loopback_names();
    if is_public(options) {
        names.extend(net::machine_names());
    }
    names.extend(options.public_host.clone());
    names
}

/// An address as the host in a URL.
fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// A door's listening sockets.
type Sockets = Vec<TcpListener>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_network_left_is_removed_and_nothing_else() {
        let place = TempDir::new().unwrap();
        let directory = |name: &str| place.path().join(name);
        drop(DataDir::open(&directory("folkmoot-dev-killed")).unwrap());
        let _running = DataDir::open(&directory("folkmoot-dev-running")).unwrap();
        std::fs::create_dir(directory("folkmoot-dev-starting")).unwrap();
        drop(DataDir::open(&directory("mine")).unwrap());
        remove_left_behind(place.path(), Duration::ZERO);
        assert!(!directory("folkmoot-dev-killed").exists());
        for kept in ["folkmoot-dev-running", "folkmoot-dev-starting", "mine"] {
            assert!(directory(kept).exists(), "{kept}");
        }
    }
}

//! `folkmoot serve`: a node for other people, as `folkmoot.toml` says.

mod disk;
mod first_run;
mod guard;
mod notify;
mod upkeep;

use std::{
    fmt, fs,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use clap::Args;
use folkmoot_node::{Edge, EdgeConfig, Node, PageAddress, PageConfig, files::History};
use folkmoot_store::Durability;
use rustix::process::Signal;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, ConfigError},
    data_dir::DataDir,
    evm::EvmVerifier,
    failure::{Exit, Failure},
    listen::{self, Certificate, Listeners, TlsSetup},
    log::LogArgs,
    metrics, open_files, ports,
    signals::Signals,
    storage::Database,
};

pub(crate) use self::disk::free_bytes;
use self::{disk::Alarm, guard::Guarded};

/// Run a node for other people, as `folkmoot.toml` says
///
/// Without the file, on a terminal, it asks the few questions that have no good default and
/// writes it. The log goes to standard error. SIGTERM and Ctrl-C end it, after open calls have
/// ended; SIGHUP reads the certificate again.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ServeCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// Write a configuration file with all defaults, explained, and end
    #[arg(long)]
    init: bool,
    /// Write the addresses to this file as JSON once everything listens
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Every key can be overridden: FOLKMOOT_LISTEN__DRAIN_SECONDS=5 sets drain_seconds in [listen].
`folkmoot doctor` checks a configuration and the machine without starting anything.";

/// Where the configuration is.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file
    #[arg(
        long = "config",
        value_name = "FILE",
        default_value = "folkmoot.toml",
        env = "FOLKMOOT_CONFIG"
    )]
    pub(crate) path: PathBuf,
}

impl ConfigArgs {
    /// Reads the file, and the variables that override it.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        Config::load(&self.path, std::env::vars()).map_err(|error| match error {
            ConfigError::Missing(_) => Failure::new(
                Exit::NotFound,
                error.to_string(),
                "`folkmoot serve --init` writes one with all defaults; --config names another file",
            ),
            _ => Failure::new(
                Exit::Usage,
                error.to_string(),
                "folkmoot.example.toml and `folkmoot serve --init` explain every key",
            ),
        })
    }
}

impl ServeCommand {
    /// Serves until a signal comes.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where there is a way out that can be named.
    pub(crate) async fn run(self, log: &LogArgs) -> anyhow::Result<ExitCode> {
        let path = &self.config.path;
        if self.init {
            first_run::write(path, crate::config::EXAMPLE)?;
            eprint(&format!("wrote {}\n", path.display()));
            return Ok(ExitCode::SUCCESS);
        }
        if !path.exists() && io::stdin().is_terminal() && io::stderr().is_terminal() {
            let text = first_run::ask(&mut io::stdin().lock(), &mut io::stderr())?;
            first_run::write(path, &text)?;
            eprint(&format!("wrote {}\n", path.display()));
        }
        let config = self.config.load()?;
        log.start_with(&config.log.filter, config.log.format)?;
        let mut signals = Signals::new().context("listen to signals")?;
        open_files::raise_limit();
        let server = Server::start(config).await?;
        if let Some(file) = &self.ready_file {
            server.write_ready(file)?;
        }
        notify::tell("READY=1");
        while signals.next().await == Signal::HUP {
            server.reload_certificate();
        }
        notify::tell("STOPPING=1");
        tokio::select! {
            ended = server.stop() => ended?,
            _ = signals.next() => tracing::warn!("a second signal; open calls were cut"),
        }
        if let Some(file) = &self.ready_file {
            drop(fs::remove_file(file));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Tells a person something that is not the command's output.
fn eprint(text: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(io::Write::write_all(&mut io::stderr(), text.as_bytes()));
}

/// A server that runs.
pub struct Server {
    config: Config,
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    node: Node,
    edge: Edge,
    listeners: Listeners,
    tls: Option<TlsSetup>,
    /// Cancelled when the work in the background shall end.
    ending: CancellationToken,
    data: DataDir,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server. When this returns, it listens.
    ///
    /// # Errors
    ///
    /// When the data directory or a port is in use, a certificate cannot be read, or the
    /// database cannot be opened.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let data = DataDir::open(&config.store.data_directory)?;
        let tls = match config.tls_files() {
            Some((chain, key)) => Some(TlsSetup::new(Certificate::from_files(chain, key)?)?),
            None => None,
        };
        let sockets = config
            .listen
            .addresses
            .iter()
            .map(|address| bind(*address, "listen.addresses"))
            .collect::<Result<Vec<_>, _>>()?;
        let admin_socket = config
            .admin_address()?
            .map(|address| bind(address, "admin.address"))
            .transpose()?;

        let database = database(&config, &data);
        let (store, hub) = database.open(config.node.id).await?;
        let alarm = Alarm::new(data.path(), &config.disk);
        let store = Arc::new(Guarded::new(store, alarm.clone()));
        let timeout = Duration::from_secs(config.evm.timeout_seconds);
        let contracts = Arc::new(EvmVerifier::new(config.evm_endpoints()?, timeout)?);
        let node = Node::new(config.node(), store, hub, data.node_key()?, contracts);
        let edge = node.edge(EdgeConfig {
            limits: config.limits()?,
        });
        let history = config
            .history
            .enabled
            .then(|| History::open(data.history(), config.history()))
            .transpose()
            .context("open the history files")?;

        let ending = CancellationToken::new();
        upkeep::begin(&config, node.store(), history.as_ref(), &alarm, &ending);
        let listeners = Listeners::new(config.listen()?, tls.clone(), edge.observer());
        let calls = calls(&config, &edge, history.as_ref(), &alarm);
        let mut server = Self {
            addresses: Vec::new(),
            admin: None,
            node,
            edge,
            listeners,
            tls,
            ending,
            data,
            config,
        };
        for socket in sockets {
            let address = socket.local_addr().context("find the port")?;
            server.addresses.push(address);
            server.listeners.serve(socket, calls.clone());
        }
        if let Some(socket) = admin_socket {
            server.admin = Some(socket.local_addr().context("find the port")?);
            let admin = server.admin_router();
            server.listeners.serve(socket, admin);
        }
        tracing::info!(
            addresses = ?server.addresses,
            admin = ?server.admin,
            data = %server.data.path().display(),
            tls = server.tls.is_some(),
            "ready"
        );
        Ok(server)
    }

    /// Where clients are served; the real ports, where the configuration said 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the operator looks.
    #[must_use]
    pub const fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The node behind the addresses.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// What the operator looks at.
    fn admin_router(&self) -> Router {
        let addresses = self
            .addresses
            .iter()
            .map(|address| PageAddress {
                name: "XMTP".to_owned(),
                url: format!("{}://{address}", self.scheme()),
                setting: "apiUrl".to_owned(),
            })
            .collect();
        let page = PageConfig {
            note: format!("Data: {}.", self.data.path().display()),
            addresses,
        };
        self.edge
            .router()
            .merge(self.edge.page(page))
            .merge(metrics::router())
    }

    const fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Reads the certificate's files again. When they are no good, the one before stays in use.
    fn reload_certificate(&self) {
        let (Some(tls), Some((chain, key))) = (&self.tls, self.config.tls_files()) else {
            tracing::info!("there is no certificate to read again");
            return;
        };
        let read = Certificate::from_files(chain, key).and_then(|new| tls.replace(new));
        match read {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(cause) => tracing::error!(%cause, "the certificate stays as it was"),
        }
    }

    fn write_ready(&self, file: &Path) -> anyhow::Result<()> {
        let url = |address: &SocketAddr| format!("{}://{address}", self.scheme());
        let ready = json!({
            "pid": std::process::id(),
            "addresses": self.addresses.iter().map(url).collect::<Vec<_>>(),
            "admin": self.admin.as_ref().map(|address| format!("http://{address}")),
        });
        crate::ready::write(file, &ready)
    }

    /// Stops accepting, ends open streams, lets open calls end, closes the database.
    ///
    /// # Errors
    ///
    /// When the database cannot be closed.
    pub async fn stop(self) -> anyhow::Result<()> {
        tracing::info!(connections = self.listeners.connections(), "stopping");
        self.listeners.close();
        self.edge.drain().await;
        self.node.close_streams();
        let patience = Duration::from_secs(self.config.listen.drain_seconds);
        let cut = self.listeners.drain(patience).await;
        if cut > 0 {
            tracing::warn!(connections = cut, "connections were cut at the end");
        }
        self.ending.cancel();
        self.node
            .store()
            .close()
            .await
            .context("close the database")?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The database that the configuration names.
pub(crate) fn database(config: &Config, data: &DataDir) -> Database {
    let url = &config.store.postgres_url;
    if url.as_str().is_empty() {
        return Database::Sqlite {
            path: data.database(),
            durability: Durability::Full,
        };
    }
    Database::Postgres { url: url.clone() }
}

/// What clients are served.
fn calls(config: &Config, edge: &Edge, history: Option<&History>, alarm: &Alarm) -> Router {
    let mut calls = edge.router();
    if config.admin.json_mirror {
        calls = calls.merge(edge.json());
    }
    if let Some(history) = history {
        calls = calls.merge(disk::spare(history.router(), alarm));
    }
    calls
}

fn bind(address: SocketAddr, key: &'static str) -> Result<tokio::net::TcpListener, Failure> {
    listen::bind(address).map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => Failure::new(
            Exit::Refused,
            ports::taken(address),
            format!("end that process, or set another {key} in folkmoot.toml"),
        ),
        io::ErrorKind::PermissionDenied => Failure::new(
            Exit::Refused,
            format!("this user may not listen on {address}"),
            format!(
                "a port from 1024 on in {key}, or the capability that the systemd unit in deploy/ has"
            ),
        ),
        _ => Failure::new(
            Exit::Failed,
            format!("cannot listen on {address}"),
            format!("set {key} in folkmoot.toml to an address of this machine"),
        )
        .because(cause),
    })
}

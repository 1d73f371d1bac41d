//! `folkmoot doctor`: checks a configuration and the machine, without starting anything.

use std::{
    fmt,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use folkmoot_node::NodeKey;
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    config::Config,
    data_dir::{Absent, DataDir},
    failure::{Exit, Failure},
    listen::{self, Certificate, TlsSetup},
    open_files, ports,
    serve::{self, ConfigArgs},
    xmtp::{self, settings::ClientArgs},
};

/// Check the configuration, the disk, the ports, the clock and the database
///
/// A server may run meanwhile; nothing is changed. Exits with 1 if something must be mended. With
/// --json it prints an array of objects with `check`, `state` (ok, warning, failed), `text` and
/// `remedy`.
#[derive(Debug, Args)]
pub(crate) struct DoctorCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// Check what the commands of `folkmoot xmtp` need instead: keys, network, database, identity.
    /// It takes their common flags, which mean nothing without it
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    common: ClientArgs,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    Warning,
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        })
    }
}

/// What was found about one thing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    pub(crate) state: State,
    text: String,
    remedy: Option<String>,
}

impl Finding {
    /// All is well.
    pub(crate) fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            text: text.into(),
            remedy: None,
        }
    }

    /// Something should be mended.
    pub(crate) fn bad(
        check: &'static str,
        state: State,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check,
            state,
            text: text.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// Something does not work; the error's own remedy counts before `otherwise`.
    pub(crate) fn failed(check: &'static str, error: &anyhow::Error, otherwise: &str) -> Self {
        let remedy = error
            .downcast_ref::<Failure>()
            .map_or(otherwise, Failure::remedy);
        Self::bad(check, State::Failed, format!("{error:#}"), remedy)
    }
}

impl DoctorCommand {
    /// Writes what it finds to `out`.
    ///
    /// # Errors
    ///
    /// When `out` takes nothing.
    pub(crate) async fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let findings = match self.client {
            true => xmtp::examine(&self.common).await,
            false => examine(&self.config).await,
        };
        if self.common.is_json() {
            writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?;
        } else {
            print(&findings, out)?;
        }
        let worst = findings.iter().map(|finding| finding.state).max();
        Ok(match worst {
            Some(State::Failed) => Exit::Failed.into(),
            _ => ExitCode::SUCCESS,
        })
    }
}

fn print(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    for finding in findings {
        writeln!(
            out,
            "{:<8} {:<14} {}",
            finding.state, finding.check, finding.text
        )?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "{:<23} try: {remedy}", "")?;
        }
    }
    Ok(())
}

async fn examine(args: &ConfigArgs) -> Vec<Finding> {
    let mut findings = vec![clock(SystemTime::now())];
    let config = match args.load() {
        Ok(config) => {
            findings.push(Finding::ok(
                "configuration",
                args.path.display().to_string(),
            ));
            config
        }
        Err(failure) => {
            findings.push(Finding::failed("configuration", &failure.into(), ""));
            return findings;
        }
    };
    findings.push(files(&config));
    findings.extend(certificate(&config));
    findings.push(disk(&config));
    let data = DataDir::open_existing(&config.store.data_directory);
    let is_running = matches!(&data, Ok(None));
    findings.extend(addresses(&config, is_running).await);
    findings.push(match data {
        Ok(Some(data)) => database(&config, &data).await,
        Ok(None) => Finding::ok("database", "in use by a server that runs; ask its /readyz"),
        Err(error) if error.is::<Absent>() => {
            Finding::ok("database", "none yet; the first start makes it")
        }
        Err(error) => Finding::failed("database", &error, "look at the data directory"),
    });
    findings
}

fn clock(now: SystemTime) -> Finding {
    /// The beginning of 2026, in Unix time: before it, there was no such program.
    const EARLIEST: u64 = 1_767_225_600;
    /// A century later.
    const LATEST: u64 = EARLIEST + 100 * 365 * 24 * 60 * 60;
    let seconds = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    if (EARLIEST..LATEST).contains(&seconds) {
        return Finding::ok("clock", format!("{seconds} s since 1970"));
    }
    let text = format!("{seconds} s since 1970 is not now");
    Finding::bad(
        "clock",
        State::Failed,
        text,
        "set the clock; messages bear its time",
    )
}

/// Open files that the connections need.
fn files(config: &Config) -> Finding {
    /// Files beside connections: the database, logs, listeners.
    const OTHERS: u64 = 200;
    let limit = open_files::limit();
    let needed = u64::try_from(config.listen.max_connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHERS);
    if limit >= needed {
        return Finding::ok("open files", format!("{limit} allowed"));
    }
    Finding::bad(
        "open files",
        State::Warning,
        format!("{limit} allowed, {needed} needed for max_connections in [listen]"),
        format!("`ulimit -n {needed}`, LimitNOFILE={needed} in the unit, or fewer connections"),
    )
}

fn certificate(config: &Config) -> Option<Finding> {
    const CHECK: &str = "certificate";
    let (chain, key) = config.tls_files()?;
    let read = Certificate::from_files(chain, key).and_then(TlsSetup::new);
    Some(match read {
        Ok(_) => Finding::ok(CHECK, format!("{} and its key", chain.display())),
        Err(cause) => Finding::bad(
            CHECK,
            State::Failed,
            cause.to_string(),
            "tls_certificate and tls_key in [listen], readable for this user",
        ),
    })
}

fn disk(config: &Config) -> Finding {
    const CHECK: &str = "disk";
    let directory = nearest(&config.store.data_directory);
    let free_mib = match serve::free_bytes(directory) {
        Ok(bytes) => bytes >> 20,
        Err(cause) => {
            let text = format!("{}: {cause}", directory.display());
            return Finding::bad(CHECK, State::Failed, text, "data_directory in [store]");
        }
    };
    let text = format!(
        "{free_mib} MiB free for {}",
        config.store.data_directory.display()
    );
    let remedy = "free some, or set alarm_free_mib and warn_free_mib in [disk]";
    if free_mib < config.disk.alarm_free_mib {
        return Finding::bad(
            CHECK,
            State::Failed,
            text + "; publishes would be refused",
            remedy,
        );
    }
    if free_mib < config.disk.warn_free_mib {
        return Finding::bad(CHECK, State::Warning, text, remedy);
    }
    Finding::ok(CHECK, text)
}

/// The nearest directory above `path`, or itself, that exists.
fn nearest(path: &Path) -> &Path {
    path.ancestors()
        .find(|path| path.exists())
        .unwrap_or_else(|| Path::new("."))
}

async fn addresses(config: &Config, is_running: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let admin = config.admin_address().ok().flatten();
    for address in config.listen.addresses.iter().copied().chain(admin) {
        let finding = match listen::bind(address) {
            Ok(_) if is_running => Finding::bad(
                "port",
                State::Warning,
                format!("a server runs, but nothing listens on {address}"),
                "restart it, so that it reads its configuration again",
            ),
            Ok(_) => Finding::ok("port", format!("{address} is free")),
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => in_use(config, address).await,
            Err(cause) => Finding::bad(
                "port",
                State::Failed,
                format!("cannot listen on {address}: {cause}"),
                "addresses in [listen] and address in [admin]",
            ),
        };
        findings.push(finding);
    }
    findings
}

/// What is on a port that somebody has.
async fn in_use(config: &Config, address: SocketAddr) -> Finding {
    let is_plain =
        config.tls_files().is_none() || config.admin_address().ok().flatten() == Some(address);
    let answer = match is_plain {
        true => timeout(Duration::from_secs(5), ready(address)).await.ok(),
        false => None,
    };
    match answer {
        Some(Ok(text)) if text.starts_with("HTTP/1.1 200") => Finding::ok(
            "port",
            format!("a server on {address} says that it is ready"),
        ),
        Some(Ok(text)) if text.starts_with("HTTP/1.1 503") => Finding::bad(
            "port",
            State::Failed,
            format!("a server on {address} says that it is not ready"),
            "its log says why",
        ),
        _ => Finding::bad(
            "port",
            State::Warning,
            ports::taken(address),
            "if that is not this server, end it, or set another address",
        ),
    }
}

/// The head of what a server answers when asked whether it is ready.
async fn ready(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 64];
    let count = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
}

async fn database(config: &Config, data: &DataDir) -> Finding {
    const CHECK: &str = "database";
    let key: anyhow::Result<Option<NodeKey>> = data.existing_node_key();
    if let Err(error) = key {
        return Finding::failed(CHECK, &error, "put back the node's key");
    }
    if config.store.postgres_url.as_str().is_empty() && !data.database().exists() {
        return Finding::ok(CHECK, "none yet; the first start makes it");
    }
    let opened = async {
        let (store, _) = serve::database(config, data).open(config.node.id).await?;
        store.check().await?;
        let stats = store.stats().await?;
        store.close().await?;
        anyhow::Ok(stats)
    };
    match opened.await {
        Ok(stats) => Finding::ok(
            CHECK,
            format!("{} envelopes in {} topics", stats.envelopes, stats.topics),
        ),
        Err(error) => Finding::failed(CHECK, &error, "restore a backup, or look at its log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_starts_in_1970_is_noticed() {
        assert_eq!(clock(UNIX_EPOCH).state, State::Failed);
        assert_eq!(clock(SystemTime::now()).state, State::Ok);
    }

    #[test]
    fn findings_are_a_table_for_people() {
        let findings = [
            Finding::ok("clock", "now"),
            Finding::bad("disk", State::Warning, "12 MiB free", "free some"),
            Finding::bad("port", State::Failed, "taken", "take another"),
        ];
        let mut out = Vec::new();
        print(&findings, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}

//! The servers that are measured: our own, and those of others that the system has installed.
//! Each is started alone, on loopback, with its data in a folder of the bench, and set up alike:
//! anyone may register, nothing is throttled, messages are archived unless they ask not to be.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::link::{Door, Over};
use crate::bench::node::memory_of;

/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);
const DOMAIN: &str = "localhost";
/// Accounts that our own server begins with.
const CROWD: usize = 200;
/// Where each of them has its rooms.
pub(super) const ROOMS: &str = "conference.localhost";

/// Whose server it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Whose {
    /// Folkmoot
    Ours,
    /// Prosody, as the system has it
    Prosody,
    /// ejabberd, as the system has it
    Ejabberd,
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) door: Door,
    /// From the process's start to the first stream.
    pub(super) started_in: Duration,
    process: Option<Child>,
    id: Option<u32>,
}

/// What our own server says of itself: `xmpp://127.0.0.1:5222` and the like.
#[derive(Deserialize)]
struct Ready {
    xmpp: String,
    xmpps: String,
}

impl Whose {
    pub(super) const ALL: [Self; 3] = [Self::Ours, Self::Prosody, Self::Ejabberd];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Prosody => "Prosody",
            Self::Ejabberd => "ejabberd",
        }
    }

    /// Whether this machine has it.
    pub(super) fn is_here(self) -> bool {
        match self {
            Self::Ours => true,
            Self::Prosody => in_path("prosody").is_some(),
            Self::Ejabberd => in_path("erl").is_some() && ejabberd_home().is_some(),
        }
    }

    /// Starts it on nothing, with its files in `home`, and waits for its first stream.
    pub(super) async fn start(self, home: &Path) -> anyhow::Result<Server> {
        fs::create_dir_all(home)?;
        let (version, command, mut door) = match self {
            Self::Ours => {
                let version = env!("CARGO_PKG_VERSION").to_owned();
                (version, ours(home)?, None)
            }
            Self::Prosody => {
                let (plain, tls) = (free_port()?, free_port()?);
                let version = package_version("prosody").await;
                let door = Door::new(DOMAIN, plain, tls)?;
                (version, prosody(home, plain, tls)?, Some(door))
            }
            Self::Ejabberd => {
                let (plain, tls) = (free_port()?, free_port()?);
                let version = package_version("ejabberd").await;
                let door = Door::new(DOMAIN, plain, tls)?;
                (version, ejabberd(home, plain, tls)?, Some(door))
            }
        };
        let began = Instant::now();
        let mut process = spawn(command, home)?;
        let door = loop {
            if door.is_none() {
                door = ready(home)?;
            }
            if let Some(door) = &door
                && let Ok(link) = door.connect(Over::Plain).await
            {
                link.close().await?;
                break door.clone();
            }
            if let Some(status) = process.try_wait()? {
                let log = fs::read_to_string(home.join("log")).unwrap_or_default();
                bail!("{} ended with {status}: {}", self.name(), log.trim());
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "{} does not get ready",
                self.name()
            );
            sleep(Duration::from_millis(5)).await;
        };
        Ok(Server {
            version,
            door,
            started_in: began.elapsed(),
            id: process.id(),
            process: Some(process),
        })
    }
}

impl Server {
    /// One that runs already, with everything on it open to us. Its processor time is not known.
    pub(super) fn at(address: SocketAddr, tls: SocketAddr, domain: &str) -> anyhow::Result<Self> {
        Ok(Self {
            version: address.to_string(),
            door: Door::new(domain, address, tls)?,
            started_in: Duration::ZERO,
            process: None,
            id: None,
        })
    }

    /// Processor time of the server until now, in seconds.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id?)).ok()?;
        // After the name, which may hold anything, the 12th and 13th field count ticks of 10 ms.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some((user + system) / 100.0)
    }

    /// Memory that it has in use, in bytes.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        memory_of(self.id?, "VmRSS:")
    }

    /// Ends it, if it is one of ours to end.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Some(mut process) = self.process else {
            return Ok(());
        };
        let id = process
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            kill_process(id, Signal::TERM).context("stop the server")?;
        }
        if timeout(PATIENCE, process.wait()).await.is_err() {
            process.kill().await.context("kill the server")?;
        }
        Ok(())
    }
}

fn spawn(mut command: Command, home: &Path) -> anyhow::Result<Child> {
    let log = File::create(home.join("log"))?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", command.as_std().get_program().display()))
}

fn ours(home: &Path) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("find this program's file")?;
    let mut command = Command::new(program);
    command
        .args([
            "dev",
            "--keep",
            "--ports",
            "auto",
            "--xmpp-crowd",
            &CROWD.to_string(),
            "--data",
        ])
        .arg(home.join("data"))
        .arg("--ready-file")
        .arg(home.join("ready.json"));
    Ok(command)
}

fn ready(home: &Path) -> anyhow::Result<Option<Door>> {
    let Ok(text) = fs::read(home.join("ready.json")) else {
        return Ok(None);
    };
    let ready: Ready = serde_json::from_slice(&text).context("read the ready file")?;
    let address = |url: &str| -> anyhow::Result<SocketAddr> {
        let (_, address) = url
            .split_once("://")
            .context("an address without a scheme")?;
        address
            .parse()
            .with_context(|| format!("{url} is no address"))
    };
    let door = Door::new(DOMAIN, address(&ready.xmpp)?, address(&ready.xmpps)?)?;
    // Its accounts are there from the start.
    Ok(Some(door.with_accounts()))
}

fn prosody(home: &Path, plain: SocketAddr, tls: SocketAddr) -> anyhow::Result<Command> {
    fs::create_dir_all(home.join("data"))?;
    let (certificate, key) = certificate(home)?;
    let settings = format!(
        r#"run_as_root = true
pidfile = "{home}/pid"
data_path = "{home}/data"
network_backend = "epoll"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {plain} }}
c2s_direct_tls_ports = {{ {tls} }}
s2s_ports = {{}}
http_ports = {{}}
https_ports = {{}}
modules_enabled = {{ "disco", "roster", "saslauth", "tls", "blocklist", "carbons", "pep", "private",
    "smacks", "ping", "register_ibr", "csi_simple", "mam" }}
modules_disabled = {{ "s2s" }}
allow_registration = true
c2s_require_encryption = false
authentication = "internal_hashed"
password_hash = "SHA-256"
storage = "internal"
log = {{ error = "{home}/server.log" }}
ssl = {{ key = "{key}", certificate = "{certificate}" }}
VirtualHost "{DOMAIN}"
Component "{ROOMS}" "muc"
    modules_enabled = {{ "muc_mam" }}
    muc_room_locking = false
"#,
        home = home.display(),
        plain = plain.port(),
        tls = tls.port(),
        key = key.display(),
        certificate = certificate.display(),
    );
    let file = home.join("prosody.cfg.lua");
    fs::write(&file, settings)?;
    let mut command = Command::new("prosody");
    command.arg("-F").arg("--config").arg(file);
    Ok(command)
}

fn ejabberd(home: &Path, plain: SocketAddr, tls: SocketAddr) -> anyhow::Result<Command> {
    fs::create_dir_all(home.join("db"))?;
    let (certificate, key) = certificate(home)?;
    let both = home.join("both.pem");
    let pem = [fs::read(&certificate)?, fs::read(&key)?].concat();
    fs::write(&both, pem)?;
    let settings = format!(
        r#"hosts: [{DOMAIN}]
loglevel: warning
certfiles: ["{both}"]
listen:
  - {{port: {plain}, ip: "127.0.0.1", module: ejabberd_c2s, starttls: false, shaper: none, max_stanza_size: 262144}}
  - {{port: {tls}, ip: "127.0.0.1", module: ejabberd_c2s, tls: true, shaper: none, max_stanza_size: 262144}}
registration_timeout: infinity
auth_method: [internal]
auth_password_format: scram
auth_scram_hash: sha256
shaper: {{}}
modules:
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_client_state: {{}}
  mod_disco: {{}}
  mod_mam: {{default: always}}
  mod_muc: {{host: {ROOMS}, access_create: all, access_persistent: all, default_room_options: {{mam: true, max_users: 500}}, max_users: 500, min_message_interval: 0, min_presence_interval: 0}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_register: {{ip_access: all}}
  mod_roster: {{}}
  mod_stream_mgmt: {{}}
  mod_vcard: {{}}
"#,
        both = both.display(),
        plain = plain.port(),
        tls = tls.port(),
    );
    let file = home.join("ejabberd.yml");
    fs::write(&file, settings)?;
    let libraries = ejabberd_home().context("ejabberd is not installed")?;
    let mut command = Command::new("erl");
    command
        .current_dir(home)
        .env("EJABBERD_CONFIG_PATH", &file)
        .env("EJABBERD_LOG_PATH", home.join("server.log"))
        .env("ERL_LIBS", libraries)
        .env("HOME", home)
        .args([
            "+K", "true", "+P", "250000", "+sbwt", "none", "-noinput", "-mnesia", "dir",
        ])
        .args(["\"./db\"", "-s", "ejabberd"]);
    Ok(command)
}

/// The folder that has ejabberd's code, beside what it uses.
fn ejabberd_home() -> Option<PathBuf> {
    let is_one = |folder: &Path| {
        let mut names = fs::read_dir(folder).into_iter().flatten().flatten();
        names.any(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().starts_with("ejabberd-") && entry.path().join("ebin").is_dir()
        })
    };
    let mut folders: Vec<_> = fs::read_dir("/usr/lib").ok()?.flatten().collect();
    folders.sort_by_key(fs::DirEntry::file_name);
    let mut folders = folders.into_iter().map(|entry| entry.path());
    folders.find(|folder| is_one(folder))
}

/// Writes a certificate that signs itself: its file, and that of its key.
fn certificate(home: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let mut params = CertificateParams::new([DOMAIN.to_owned(), ROOMS.to_owned()])?;
    // ejabberd fails on years that need another form in the certificate.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 1, 1);
    let signing_key = KeyPair::generate()?;
    let signed = params.self_signed(&signing_key)?;
    let (certificate, key) = (home.join("certificate.pem"), home.join("key.pem"));
    fs::write(&certificate, signed.pem())?;
    fs::write(&key, signing_key.serialize_pem())?;
    Ok((certificate, key))
}

/// A port that nobody has just now.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

async fn package_version(package: &str) -> String {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Version}", package])
        .output()
        .await;
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "of an unknown version".to_owned(),
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

//! The node under test: somebody's, or one that the bench starts from this same program.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use folkmoot_wire::proto::xmtp::{
    identity::api::v1::{
        GetInboxIdsRequest, get_inbox_ids_request, identity_api_client::IdentityApiClient,
    },
    mls::api::v1::mls_api_client::MlsApiClient,
};
use http::Uri;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::load::Link;

/// An answer may be a full envelope: 25 MiB, as clients take it.
const MESSAGE_LIMIT: usize = 25 << 20;
/// For how long a node may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of the MLS service on `link`.
pub(crate) fn mls(link: &Link, origin: &Uri) -> MlsApiClient<Link> {
    MlsApiClient::with_origin(link.clone(), origin.clone()).max_decoding_message_size(MESSAGE_LIMIT)
}

/// A client of the identity service on `link`.
pub(crate) fn identity(link: &Link, origin: &Uri) -> IdentityApiClient<Link> {
    IdentityApiClient::with_origin(link.clone(), origin.clone())
        .max_decoding_message_size(MESSAGE_LIMIT)
}

/// A node that the bench runs: `folkmoot dev` in a process and a directory of its own.
#[derive(Debug)]
pub(crate) struct OwnNode {
    home: PathBuf,
    child: Child,
    /// Where the node answers.
    pub(crate) origin: Uri,
    /// From the process's start to its first answer.
    pub(crate) started_in: Duration,
}

#[derive(Deserialize)]
struct Ready {
    v3: String,
}

impl OwnNode {
    /// Starts a node on what `home` holds, or on nothing, and waits for its first answer.
    pub(crate) async fn start(home: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(home)?;
        let ready_file = home.join("ready.json");
        if ready_file.exists() {
            fs::remove_file(&ready_file)?;
        }
        let program = std::env::current_exe().context("find this program's file")?;
        let log = File::create(home.join("node.log"))?;
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(["dev", "--keep", "--ports", "auto", "--data"])
            .arg(data(home))
            .arg("--ready-file")
            .arg(&ready_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("start a node")?;
        let origin = loop {
            if let Ok(text) = fs::read(&ready_file) {
                let ready: Ready = serde_json::from_slice(&text).context("read the ready file")?;
                break ready.v3.parse().context("the node's address")?;
            }
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(home.join("node.log")).unwrap_or_default();
                bail!(
                    "the node ended with {status} before it was ready: {}",
                    log.trim()
                );
            }
            ensure!(began.elapsed() < PATIENCE, "the node does not get ready");
            sleep(Duration::from_millis(1)).await;
        };
        first_answer(&origin).await?;
        Ok(Self {
            home: home.to_owned(),
            child,
            origin,
            started_in: began.elapsed(),
        })
    }

    /// Memory that the process has in use, in bytes; `None` where the system does not tell.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        memory_of(self.child.id()?, "VmRSS:")
    }

    /// Asks the node to stop, and waits until it has. Returns what its data takes on disk.
    pub(crate) async fn stop(mut self) -> anyhow::Result<u64> {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.context("the node has ended already")?;
        kill_process(pid, Signal::TERM).context("stop the node")?;
        let status = self.ended().await?;
        ensure!(status.success(), "the node stopped with {status}");
        disk_bytes(&data(&self.home))
    }

    /// Ends the process without warning, as a power cut would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.start_kill().context("kill the node")?;
        self.ended().await?;
        Ok(())
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        Ok(ended.context("the node does not end")??)
    }
}

/// What the system says in line `what` about a process's memory, in bytes.
pub(crate) fn memory_of(pid: u32, what: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// Waits for one answer from `origin`.
async fn first_answer(origin: &Uri) -> anyhow::Result<()> {
    let link = Link::connect(origin).await?;
    let request = GetInboxIdsRequest {
        requests: vec![get_inbox_ids_request::Request {
            identifier: "0x0000000000000000000000000000000000000000".to_owned(),
            identifier_kind: 1,
        }],
    };
    let answer = identity(&link, origin).get_inbox_ids(request).await?;
    ensure!(
        answer.get_ref().responses.len() == 1,
        "the node gave no answer"
    );
    Ok(())
}

fn data(home: &Path) -> PathBuf {
    home.join("data")
}

/// The sizes of all files below `dir`.
fn disk_bytes(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}

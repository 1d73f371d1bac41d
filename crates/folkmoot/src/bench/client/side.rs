//! Whom the bench compares, and how it talks to them: one process for each workload and side, a
//! JSON line for each request and each answer.
//!
//! Both sides measure themselves in the same way: the time from a request's first instruction to
//! its last, and the processor time of the whole process over the same span and a moment longer,
//! so that what is put off is counted too.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::bench::node::memory_of;

/// Longer than any request takes, of either side.
const PATIENCE: Duration = Duration::from_mins(10);

/// Who performs a workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// This program's client.
    Ours,
    /// The official SDK for Node.js.
    Official,
}

/// How processes of both sides are started.
#[derive(Clone, Debug)]
pub(crate) struct Sides {
    /// The program and the arguments of the official side, if it takes part.
    official: Option<Prepared>,
    logs: PathBuf,
}

/// What `interop/bench/prepare.mjs` says.
#[derive(Clone, Debug, Deserialize)]
struct Prepared {
    program: PathBuf,
    arguments: Vec<String>,
}

/// What an answer says that was missing on this machine.
#[derive(Deserialize)]
struct Missing {
    missing: String,
}

impl Sides {
    /// Our side alone, with its logs below `logs`.
    pub(crate) fn ours(logs: &Path) -> Self {
        Self {
            official: None,
            logs: logs.to_owned(),
        }
    }

    /// Both sides: installs the official one below `target/interop`, as `interop` does.
    pub(crate) async fn both(logs: &Path, interop: &Path) -> anyhow::Result<Self> {
        let script = interop.join("bench/prepare.mjs");
        ensure!(
            script.is_file(),
            "there is no {}: start the bench in the repository's folder",
            script.display()
        );
        let done = Command::new("node")
            .arg(&script)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .await
            .context("start node: Node.js 20 or newer, with npm, is needed")?;
        ensure!(done.status.success(), "{} failed", script.display());
        if let Ok(Missing { missing }) = serde_json::from_slice(&done.stdout) {
            bail!("the official side cannot run here: {missing}");
        }
        let official = serde_json::from_slice(&done.stdout).context("what prepare.mjs said")?;
        Ok(Self {
            official: Some(official),
            logs: logs.to_owned(),
        })
    }

    /// Who takes part in a block, and in which order: each side is first once, so that what
    /// changes slowly on the machine is shared fairly.
    pub(crate) fn block(&self) -> Vec<Side> {
        match self.official {
            Some(_) => vec![Side::Ours, Side::Official, Side::Official, Side::Ours],
            None => vec![Side::Ours, Side::Ours],
        }
    }

    /// Starts a process of `side` whose clients use the node at `node`.
    pub(crate) async fn start(&self, side: Side, node: &str) -> anyhow::Result<Actor> {
        let mut command = match (side, &self.official) {
            (Side::Ours, _) => {
                let program = std::env::current_exe().context("find this program's file")?;
                let mut command = Command::new(program);
                command.args(["bench", "client-worker", node]);
                command
            }
            (Side::Official, Some(prepared)) => {
                let mut command = Command::new(&prepared.program);
                command.args(&prepared.arguments).arg(node);
                command
            }
            (Side::Official, None) => bail!("the official side does not take part"),
        };
        let log = File::create(self.logs.join(format!("{side:?}.log").to_lowercase()))?;
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start a client of side {side:?}"))?;
        let requests = child.stdin.take().context("the client's input")?;
        let answers = child.stdout.take().context("the client's output")?;
        let mut actor = Actor {
            side,
            child,
            requests,
            answers: BufReader::new(answers).lines(),
            loaded: Loaded::default(),
        };
        let ready: Ready = actor.line("start").await?;
        actor.loaded = Loaded {
            wall_ms: began.elapsed().as_secs_f64() * 1e3,
            cpu_ms: ready.ready,
            resident_bytes: actor.resident_bytes()?,
        };
        Ok(actor)
    }
}

/// A process of one side.
#[derive(Debug)]
pub(crate) struct Actor {
    side: Side,
    child: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// What the process took before it was asked anything: its library loaded, no client made.
    pub(crate) loaded: Loaded,
}

/// What a process has taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loaded {
    /// Since its start.
    pub(crate) wall_ms: f64,
    /// Since its start, of all its threads.
    pub(crate) cpu_ms: f64,
    /// In use now.
    pub(crate) resident_bytes: u64,
}

/// The first line: the processor time until now, in milliseconds.
#[derive(Deserialize)]
struct Ready {
    ready: f64,
}

/// Any other line.
#[derive(Deserialize)]
struct Line<T> {
    /// What came out; absent when it went wrong.
    result: Option<T>,
    error: Option<String>,
    #[serde(default)]
    wall_ms: f64,
    #[serde(default)]
    cpu_ms: f64,
}

/// What a request gave and took.
#[derive(Clone, Debug)]
pub(crate) struct Answer<T> {
    pub(crate) result: T,
    /// From the request to its end, in milliseconds.
    pub(crate) wall_ms: f64,
    /// Processor time of the whole process, in milliseconds.
    pub(crate) cpu_ms: f64,
}

impl Actor {
    /// Asks for `op`.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &mut self,
        op: &str,
        args: Value,
    ) -> anyhow::Result<Answer<T>> {
        let mut line = json!({ "op": op, "args": args }).to_string();
        line.push('\n');
        self.requests.write_all(line.as_bytes()).await?;
        self.requests.flush().await?;
        let Line::<T> {
            result,
            error,
            wall_ms,
            cpu_ms,
        } = self.line(op).await?;
        if let Some(error) = error {
            bail!("{:?} {op}: {error}", self.side);
        }
        Ok(Answer {
            result: result.with_context(|| format!("{:?} {op}: no result", self.side))?,
            wall_ms,
            cpu_ms,
        })
    }

    /// Memory that the process has in use, in bytes.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let pid = self.child.id().context("the client has ended")?;
        memory_of(pid, "VmRSS:").context("read what memory the client uses")
    }

    /// Ends the process, after it has closed what is open.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        drop(self.requests);
        let ended = timeout(Duration::from_mins(1), self.child.wait()).await;
        let status = ended.with_context(|| format!("{:?} does not end", self.side))??;
        ensure!(status.success(), "{:?} ended with {status}", self.side);
        Ok(())
    }

    async fn line<T: DeserializeOwned>(&mut self, op: &str) -> anyhow::Result<T> {
        loop {
            let line = timeout(PATIENCE, self.answers.next_line())
                .await
                .with_context(|| format!("{:?} {op}: no answer", self.side))??;
            let line = line.with_context(|| format!("{:?} {op}: it ended", self.side))?;
            // A library may print things of its own.
            if line.starts_with('{') {
                return serde_json::from_str(&line)
                    .with_context(|| format!("{:?} {op}: the answer", self.side));
            }
        }
    }
}

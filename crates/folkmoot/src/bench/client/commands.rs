//! What commands take that only read: from the start of the process to its end, and at most in
//! memory.

use std::{
    io::{Read as _, Write as _, pipe},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{
    Plan,
    duel::Report,
    side::Side,
    stage::{ME, Stage},
    workloads::words,
};
use crate::bench::{load::median, n7_start::mib, node::memory_of};

/// How often each command is run.
const TIMES: usize = 21;
/// What fails the run, on any machine: what a command may take beyond an empty program (`true`) that
/// is started in turn with it, and what memory. The goals are a good deal lower.
const MOST_STARTS: f64 = 100.0;
const MOST_BYTES: u64 = 48 << 20;
/// Conversations in the database, and messages in each.
const CONVERSATIONS: usize = 20;
const MESSAGES: usize = 20;
/// What a pipe holds.
const PIPE_BYTES: usize = 64 << 10;
/// For how long a command whose pipe is full may take to get to its output.
const REST: Duration = Duration::from_millis(300);

/// Measures them all on one database.
pub(crate) async fn measure(
    stage: &mut Stage,
    plan: &Plan,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut actor = stage.actor(Side::Ours).await?;
    let me = stage.open(&mut actor, ME).await?.result;
    let database = stage.newest_database();
    let texts = words("read", MESSAGES);
    let count = CONVERSATIONS.min(plan.conversations);
    let ids = stage.groups(count, &[&me.inbox], &texts).await?;
    actor.ask::<bool>("sync", json!({ "who": ME })).await?;
    actor.end().await?;
    let id = ids.into_iter().next().context("a conversation")?;
    let commands: [(&str, Vec<&str>, usize); 4] = [
        ("client info", vec!["client", "info"], 0),
        ("conversations list", vec!["conversations", "list"], count),
        (
            "conversation messages",
            vec!["conversation", "messages", &id],
            0,
        ),
        ("conversations get", vec!["conversations", "get", &id], 0),
    ];
    for (name, arguments, entries) in commands {
        let command = Reading {
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            database: database.clone(),
            node: stage.node(),
        };
        let measured = tokio::task::spawn_blocking(move || command.measure(entries));
        let (ms, resident) = measured.await?.with_context(|| name.to_owned())?;
        let metric = format!("folkmoot xmtp {name}");
        report.at_most("start", &metric, ms, "ms", 15.0);
        if let Some(resident) = resident {
            report.at_most("start", "… memory", mib(resident), "MiB", 15.0);
        }
    }
    Ok(())
}

/// A command that reads.
struct Reading {
    arguments: Vec<String>,
    database: PathBuf,
    node: String,
}

impl Reading {
    /// Its time in milliseconds, and its memory where the system tells it. `entries` is how many
    /// entries it prints, if that is known.
    fn measure(&self, entries: usize) -> anyhow::Result<(f64, Option<u64>)> {
        let mut took = Vec::with_capacity(TIMES);
        let mut empty = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let began = Instant::now();
            if Command::new("true").status().is_ok() {
                empty.push(began.elapsed().as_secs_f64() * 1e3);
            }
            let mut command = self.command()?;
            let began = Instant::now();
            let done = command.stderr(Stdio::piped()).output()?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            ensure!(
                done.status.success(),
                "it ended with {}: {}",
                done.status,
                String::from_utf8_lossy(&done.stderr).trim()
            );
            let printed: Value = serde_json::from_slice(&done.stdout).context("its output")?;
            let found = printed.as_array().map_or(0, Vec::len);
            ensure!(
                entries == 0 || found == entries,
                "it printed {found} entries"
            );
        }
        // What else the machine does makes both longer; the quickest of each had it least.
        let quickest = |all: &[f64]| all.iter().copied().min_by(f64::total_cmp);
        if let (Some(ours), Some(empty)) = (quickest(&took), quickest(&empty)) {
            ensure!(
                ours <= MOST_STARTS * empty,
                "it takes {ours:.1} ms, where an empty program takes {empty:.2} ms"
            );
        }
        let resident = self.resident_bytes()?;
        if let Some(bytes) = resident.filter(|bytes| *bytes > MOST_BYTES) {
            bail!("it needs {:.1} MiB of memory", mib(bytes));
        }
        Ok((median(took), resident))
    }

    /// The most memory that it had in use until it printed: its output goes into a full pipe, so
    /// that it waits while we look.
    fn resident_bytes(&self) -> anyhow::Result<Option<u64>> {
        let (mut reader, mut writer) = pipe()?;
        writer.write_all(&vec![b' '; PIPE_BYTES])?;
        let mut child = self.command()?.stdout(writer).spawn()?;
        thread::sleep(REST);
        let resident = memory_of(child.id(), "VmHWM:");
        let mut all = Vec::new();
        reader.read_to_end(&mut all)?;
        ensure!(all.len() > PIPE_BYTES, "it printed nothing");
        child.wait()?;
        Ok(resident)
    }

    fn command(&self) -> anyhow::Result<Command> {
        let program = std::env::current_exe().context("find this program's file")?;
        let home = self.database.parent().context("the database's folder")?;
        let mut command = Command::new(program);
        command
            .arg("xmtp")
            .args(&self.arguments)
            .arg("--json")
            .current_dir(home)
            .env_clear()
            .env("HOME", home)
            .env("XMTP_NODE_URL", &self.node)
            .env("XMTP_DB_PATH", &self.database)
            .env("XMTP_DB_ENCRYPTION_KEY", hex::encode([7; 32]))
            .stdin(Stdio::null());
        Ok(command)
    }
}

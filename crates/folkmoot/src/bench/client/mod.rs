//! `folkmoot bench client`: what our client takes for what people do all day, beside the official
//! SDK if asked to.
//!
//! Both sides use the same node, which the bench starts itself. Each workload runs in a process
//! of its own, in blocks of four: ours, official, official, ours. A number is the median of all
//! runs, a ratio the median over the blocks. Every answer is checked: what is received, text by
//! text. What the cryptography takes by itself is measured in the same run.

mod commands;
mod crypto;
mod duel;
mod side;
mod stage;
mod worker;
mod workloads;

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use self::{
    crypto::Crypto,
    duel::{Duel, Report},
    side::Sides,
    stage::Stage,
};
use super::{
    Progress,
    floor::{EchoProcess, Floors, load_average},
    traffic::Traffic,
};

pub(crate) use self::worker::run as work;

#[derive(Debug, Args)]
pub(crate) struct ClientBench {
    /// Also measure this, and the ratios; it is installed below target/interop of the repository
    #[arg(long, value_name = "WHOM")]
    against: Option<Whom>,
    /// End within two minutes: fewer messages, people and rounds
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Only these workloads, such as c1,c5
    #[arg(long, value_name = "IDS", value_delimiter = ',', ignore_case = true)]
    only: Vec<Id>,
    /// Blocks of each workload: two runs of each side
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..1000))]
    rounds: Option<u16>,
    /// Repeats the same wallets
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Also fail when a goal is missed
    #[arg(long)]
    strict: bool,
    /// Where node and clients keep their data [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where the scripts for the official side are
    #[arg(long, value_name = "DIR", default_value = "interop", hide = true)]
    interop: PathBuf,
}

/// Whom to measure beside our client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Whom {
    /// The official SDK for Node.js, 6.0.0
    Official,
}

/// The workloads, in the order of the table in `docs/performance.md`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Id {
    /// Create a client
    C1,
    /// A new DM
    C2,
    /// New groups
    C3,
    /// Send
    C4,
    /// Catch up
    C5,
    /// Send to callback
    C6,
    /// Add and remove
    C7,
    /// Nothing new
    C9,
    /// Memory and disk
    C10,
    /// Commands that only read
    Start,
}

impl Id {
    const ALL: [Self; 10] = [
        Self::C1,
        Self::C2,
        Self::C3,
        Self::C4,
        Self::C5,
        Self::C6,
        Self::C7,
        Self::C9,
        Self::C10,
        Self::Start,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::C1 => "C1",
            Self::C2 => "C2",
            Self::C3 => "C3",
            Self::C4 => "C4",
            Self::C5 => "C5",
            Self::C6 => "C6",
            Self::C7 => "C7",
            Self::C9 => "C9",
            Self::C10 => "C10",
            Self::Start => "start",
        }
    }
}

/// How much a run does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Blocks of each workload.
    rounds: u16,
    /// Processes in each run of C1.
    newcomers: usize,
    /// DMs in each run of C2.
    meetings: usize,
    /// Sizes of the groups of C3.
    groups: &'static [usize],
    /// Messages of C4 and C5.
    messages: usize,
    /// Groups of C5's second part.
    many_groups: usize,
    /// Messages of C6.
    pings: usize,
    /// Sizes of the groups of C7.
    changed: &'static [usize],
    /// Conversations of C9.
    conversations: usize,
    /// How often C9 looks.
    looks: usize,
    /// For how long each floor of the machine is measured.
    floor: Duration,
}

const FULL: Plan = Plan {
    rounds: 3,
    newcomers: 5,
    meetings: 10,
    groups: &[10, 50, 100, 250],
    messages: 1000,
    many_groups: 100,
    pings: 200,
    changed: &[10, 100, 250],
    conversations: 1000,
    looks: 10,
    floor: Duration::from_secs(1),
};

const QUICK: Plan = Plan {
    rounds: 1,
    newcomers: 1,
    meetings: 3,
    groups: &[10, 50],
    messages: 100,
    many_groups: 10,
    pings: 30,
    changed: &[10, 50],
    conversations: 50,
    looks: 3,
    floor: Duration::from_millis(300),
};

impl ClientBench {
    pub(crate) async fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let load_before = load_average();
        let plan = if self.quick { QUICK } else { FULL };
        let plan = Plan {
            rounds: self.rounds.unwrap_or(plan.rounds),
            ..plan
        };
        let home = match &self.dir {
            Some(dir) => TempDir::with_prefix_in("folkmoot-bench-", dir),
            None => TempDir::with_prefix("folkmoot-bench-"),
        };
        let home = home.context("make a folder for the bench")?;
        let progress = Progress::new();
        let sides = match self.against {
            Some(Whom::Official) => {
                progress.show("installing the official side");
                Sides::both(home.path(), &self.interop).await?
            }
            None => Sides::ours(home.path()),
        };
        let mut stage = Stage::set(home.path(), sides, self.seed).await?;
        let echo = EchoProcess::start().await?;
        let traffic = Traffic::new(self.seed);
        let floors = Floors::measure(home.path(), &echo, &traffic, plan.floor).await?;
        drop(echo);
        let mut report = Report {
            floor: Floors::summary(&[floors], load_before),
            ..Report::default()
        };
        for id in Id::ALL {
            if self.only.is_empty() || self.only.contains(&id) {
                let measured = match id {
                    Id::Start => commands::measure(&mut stage, &plan, &mut report).await,
                    _ => self
                        .measure(id, &mut stage, &plan, &progress)
                        .await
                        .map(|duel| duel.report(id.name(), &mut report)),
                };
                if let Err(cause) = measured {
                    report.failed(id.name(), &cause);
                }
            }
        }
        stage.clear().await?;
        progress.show("the floor: cryptography alone");
        let crypto = tokio::task::spawn_blocking(move || Crypto::measure(&plan)).await??;
        crypto.report(&plan, &mut report);
        progress.clear();
        if self.json {
            report.write_json(out)?;
        } else {
            report.write_table(out)?;
        }
        let failed = report.wrong() || (self.strict && !report.good());
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    /// All blocks of a workload.
    async fn measure(
        &self,
        id: Id,
        stage: &mut Stage,
        plan: &Plan,
        progress: &Progress,
    ) -> anyhow::Result<Duel> {
        let mut duel = Duel::default();
        for block in 0..plan.rounds {
            for side in stage.block() {
                progress.show(&format!(
                    "{}: block {} of {}, {side:?}",
                    id.name(),
                    block + 1,
                    plan.rounds
                ));
                let taken = workloads::run(id, stage, plan, side).await?;
                duel.add(block.into(), side, taken);
            }
        }
        Ok(duel)
    }
}

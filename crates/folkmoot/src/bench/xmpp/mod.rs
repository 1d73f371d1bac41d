//! `folkmoot bench xmpp`: the same load on our XMPP server, on Prosody and on ejabberd.
//!
//! In each round every server is started alone on an empty folder, gets its accounts as any client
//! would make them, and goes through all workloads; a number is the median of the rounds. Load and
//! server share the machine. Every answer is checked: what was said arrives whole, once and in order.

mod link;
mod report;
mod scram;
mod servers;
mod workloads;

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use self::{
    link::Over,
    report::{Goal, Report},
    servers::{Server, Whose},
    workloads::{Found, People},
};
use super::{Progress, floor::load_average};
use crate::failure::{Exit, Failure};

#[derive(Debug, Args)]
pub(crate) struct XmppBench {
    /// A running server instead, such as 127.0.0.1:5222; anyone must be able to register there
    ///
    /// Its processor time and its memory are not known, so only rates and times are measured.
    #[arg(long, value_name = "ADDR", conflicts_with = "on")]
    target: Option<SocketAddr>,
    /// Where that server takes direct TLS
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5223")]
    target_tls: SocketAddr,
    /// The domain of that server
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    domain: String,
    /// Which servers [default: all that this machine has]
    #[arg(long, value_name = "WHOSE", value_delimiter = ',')]
    on: Vec<Whose>,
    /// End within two minutes: fewer sessions, shorter loads, one round
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Only these workloads, such as x1,x4
    #[arg(long, value_name = "IDS", value_delimiter = ',', ignore_case = true)]
    only: Vec<Id>,
    /// How often each workload is measured; its number is the median
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..100))]
    rounds: Option<u16>,
    /// Also fail when a goal is missed
    #[arg(long)]
    strict: bool,
    /// Where the servers keep their data [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The workloads, in the order of the table in `docs/performance.md`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Id {
    /// Messages
    X1,
    /// The same over TLS, and with an archive
    X2,
    /// Logins
    X3,
    /// Rooms
    X4,
    /// Idle sessions
    X5,
    /// Latency
    X6,
    /// Start
    X7,
}

impl Id {
    const ALL: [Self; 7] = [
        Self::X1,
        Self::X2,
        Self::X3,
        Self::X4,
        Self::X5,
        Self::X6,
        Self::X7,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::X1 => "X1",
            Self::X2 => "X2",
            Self::X3 => "X3",
            Self::X4 => "X4",
            Self::X5 => "X5",
            Self::X6 => "X6",
            Self::X7 => "X7",
        }
    }
}

/// How much a run does.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rounds: u16,
    /// Pairs of X1 and X2, and for how long they talk.
    pairs: usize,
    talk: Duration,
    /// Logins of X3.
    logins: usize,
    /// Sizes of the rooms of X4, and messages in each.
    rooms: &'static [usize],
    room_messages: u64,
    /// Sessions of X5.
    idle: usize,
    /// Messages of X6, ten milliseconds apart.
    timed: u64,
}

const FULL: Plan = Plan {
    rounds: 3,
    pairs: 100,
    talk: Duration::from_secs(5),
    logins: 1000,
    rooms: &[50, 200],
    room_messages: 200,
    idle: 5000,
    timed: 1000,
};

const QUICK: Plan = Plan {
    rounds: 1,
    pairs: 20,
    talk: Duration::from_millis(1500),
    logins: 100,
    rooms: &[50],
    room_messages: 40,
    idle: 300,
    timed: 200,
};

impl XmppBench {
    /// Measures, and writes the outcome to `out`.
    pub(super) async fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let plan = if self.quick { QUICK } else { FULL };
        let plan = Plan {
            rounds: self.rounds.unwrap_or(plan.rounds),
            ..plan
        };
        for whose in &self.on {
            if !whose.is_here() {
                let what = format!("{} is not installed", whose.name());
                let remedy = format!("apt-get install {}", whose.name().to_lowercase());
                return Err(Failure::new(Exit::Usage, what, remedy).into());
            }
        }
        let home = match &self.dir {
            Some(dir) => TempDir::with_prefix_in("folkmoot-bench-", dir),
            None => TempDir::with_prefix("folkmoot-bench-"),
        };
        let home = home.context("make a folder for the bench")?;
        let progress = Progress::new();
        let mut report = Report::new(load_average());
        let everybody = Whose::ALL.into_iter().filter(|whose| whose.is_here());
        let on = match (self.target.is_some(), self.on.is_empty()) {
            (true, _) => vec![Whose::Ours],
            (false, true) => everybody.collect(),
            (false, false) => self.on.clone(),
        };
        for round in 0..plan.rounds {
            for whose in &on {
                let folder = home.path().join(format!("{}-{round}", whose.name()));
                let (now, all) = (round + 1, plan.rounds);
                let name = format!("round {now} of {all}, {}", whose.name());
                progress.show(&name);
                let server = match self.target {
                    Some(target) => Server::at(target, self.target_tls, &self.domain)?,
                    None => whose
                        .start(&folder)
                        .await
                        .with_context(|| format!("start {}", whose.name()))?,
                };
                report.server(*whose, &server.version);
                for id in Id::ALL.into_iter().filter(|id| self.wants(*id)) {
                    progress.show(&format!("{name}: {}", id.name()));
                    match measure(id, &server, &plan).await {
                        Ok(found) => report.add(id.name(), *whose, found),
                        Err(cause) => report.failed(id.name(), *whose, &cause),
                    }
                }
                server.stop().await?;
            }
        }
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

    fn wants(&self, id: Id) -> bool {
        self.only.is_empty() || self.only.contains(&id)
    }
}

/// One workload on one server.
async fn measure(id: Id, server: &Server, plan: &Plan) -> anyhow::Result<Found> {
    let door = &server.door;
    let people = async |count| People::register(door, count).await;
    Ok(match id {
        Id::X1 => {
            let people = people(2 * plan.pairs).await?;
            workloads::talk(server, &people, plan, Over::Plain, false).await?
        }
        Id::X2 => {
            let people = people(2 * plan.pairs).await?;
            let mut found = workloads::talk(server, &people, plan, Over::Tls, false).await?;
            found.extend(workloads::talk(server, &people, plan, Over::Plain, true).await?);
            found
        }
        Id::X3 => {
            let people = people(2 * plan.pairs).await?;
            let mut found = workloads::logins(server, &people, plan, Over::Plain).await?;
            found.extend(workloads::logins(server, &people, plan, Over::Tls).await?);
            found
        }
        Id::X4 => {
            let people = people(2 * plan.pairs).await?;
            let mut found = Vec::new();
            for size in plan.rooms {
                found.extend(workloads::room(server, &people, plan, *size).await?);
            }
            found
        }
        Id::X5 => {
            let people = people(2 * plan.pairs).await?;
            let mut found = workloads::idle(server, &people, plan, Over::Plain).await?;
            found.extend(workloads::idle(server, &people, plan, Over::Tls).await?);
            found
        }
        Id::X6 => {
            let people = people(2).await?;
            workloads::latency(server, &people, plan).await?
        }
        Id::X7 => {
            let start = server.started_in.as_secs_f64() * 1e3;
            let memory = server.resident_bytes().unwrap_or_default() as f64 / 1e6;
            vec![
                ("start to first stream", start, "ms"),
                ("memory after all of it", memory, "MB"),
            ]
        }
    })
}

/// What our number of `metric` should keep.
fn goal(metric: &str) -> Option<Goal> {
    Some(match metric {
        "messages" => Goal::Times(Whose::Ejabberd, 3.0),
        "messages archived" => Goal::Times(Whose::Ejabberd, 5.0),
        "messages, CPU of each" => Goal::AtMost(15.0),
        "messages over TLS, CPU of each" => Goal::AtMost(25.0),
        "logins, CPU of each" => Goal::AtMost(0.3),
        "logins over TLS, CPU of each" => Goal::AtMost(1.5),
        "room of 50, CPU of a delivery" | "room of 200, CPU of a delivery" => Goal::AtMost(4.0),
        "room of 200, all join" | "latency, p50" => Goal::AtMost(0.3),
        "latency, p99" => Goal::AtMost(1.0),
        "memory of an idle session" => Goal::AtMost(12.0),
        "memory of an idle session, TLS" => Goal::AtMost(25.0),
        _ => return None,
    })
}

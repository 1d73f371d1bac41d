//! `folkmoot bench`: how fast a node is, and whether it answers rightly while it is fast.
//!
//! The load comes from this process; the node under test is another one, either somebody's at
//! an address or one that the bench starts from this same program. Beside the workloads, one
//! file each, the floors of the machine are measured in the same rounds, so that a number can be
//! judged on any machine. Every workload checks all answers that it gets.

mod client;
mod floor;
mod load;
mod n10_crash;
mod n1_publish;
mod n2_query;
mod n3_delivery;
mod n4_catch_up;
mod n5_directory;
mod n7_start;
mod n8_mixed;
mod node;
mod report;
mod stock;
mod streams;
mod traffic;
mod xmpp;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use http::Uri;
use tempfile::TempDir;

use self::{
    client::ClientBench,
    floor::{EchoProcess, Floors, load_average},
    n1_publish::Publish,
    n2_query::Query,
    n3_delivery::Delivery,
    n4_catch_up::CatchUp,
    n5_directory::{Directory, Lookups},
    n7_start::{Starts, report_disk},
    n8_mixed::Mixed,
    node::OwnNode,
    report::Report,
    stock::Stock,
    traffic::{Traffic, Use},
    xmpp::XmppBench,
};
use crate::failure::{Exit, Failure};

/// Measures a server under load.
#[derive(Debug, Args)]
pub(crate) struct BenchCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measures an XMTP node: one that it starts itself, or any at an address
    Node(NodeBench),
    /// Measures our client, beside an official one if asked to
    Client(ClientBench),
    /// Measures our XMPP server, and Prosody and ejabberd where they are installed
    Xmpp(XmppBench),
    /// One of the clients that are measured; the bench starts this
    #[command(hide = true)]
    ClientWorker {
        /// The node's address.
        node: String,
    },
    /// Answers gRPC calls with what they sent; the bench starts this for comparison
    #[command(hide = true)]
    Echo,
}

#[derive(Debug, Args)]
struct NodeBench {
    /// Address of a running node, such as http://127.0.0.1:5556; without it the bench starts one
    ///
    /// Without a node of its own the bench leaves out what needs to stop it or to see its
    /// files: N6, N7 and N10.
    #[arg(long, value_name = "URL")]
    against: Option<Uri>,
    /// End within three minutes: fewer messages, shorter rounds
    #[arg(long)]
    quick: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Only these workloads, such as n1,n4
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    only: Vec<Id>,
    /// How often each workload is measured; its number is the median
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..1000))]
    rounds: Option<u16>,
    /// Repeats the same random choices
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Also fail when a goal is missed
    #[arg(long)]
    strict: bool,
    /// Where the bench's own node keeps its data; measured disk and node share it [default: the
    /// system's folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The workloads, in the order of the table in `docs/performance.md`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Id {
    /// Publish
    N1,
    /// Query a page
    N2,
    /// Publish to receive
    N3,
    /// Catch up
    N4,
    /// Look up inboxes and key packages
    N5,
    /// Bytes on disk
    N6,
    /// Start and idle memory
    N7,
    /// Mixed load
    N8,
    /// Kill and restart
    N10,
    /// Many open streams
    Streams,
}

impl Id {
    /// Whether it stops the node or looks at its files.
    const fn needs_own_node(self) -> bool {
        matches!(self, Self::N6 | Self::N7 | Self::N10)
    }
}

impl BenchCommand {
    /// Measures, and writes the outcome to `out`. The exit code is a failure when an answer was
    /// wrong, and with `--strict` when a goal was missed.
    pub(crate) async fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Echo => {
                floor::echo_server(out).await?;
                Ok(ExitCode::SUCCESS)
            }
            What::Node(bench) => bench.run(out).await,
            What::Client(bench) => bench.run(out).await,
            What::Xmpp(bench) => bench.run(out).await,
            What::ClientWorker { node } => {
                client::work(node, out).await?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl NodeBench {
    async fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        if self.against.is_some() && self.only.iter().any(|id| id.needs_own_node()) {
            let what = "N6, N7 and N10 need a node that the bench starts itself";
            return Err(Failure::new(Exit::Usage, what, "leave out --against").into());
        }
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
        let mut run = Run {
            plan,
            traffic: Traffic::new(self.seed),
            home: home.context("make a folder for the bench")?,
            report: Report::default(),
            progress: Progress::new(),
            asked: self,
        };
        let floors = run.measure().await?;
        run.progress.clear();
        let mut report = run.report;
        report.floor = Floors::summary(&floors, load_before);
        report.results.sort_by_key(|result| place(result.id));
        if run.asked.json {
            report.write_json(out)?;
        } else {
            report.write_table(out)?;
        }
        let failed = report.wrong() || (run.asked.strict && !report.good());
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// How much a run does.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Groups of the stock, and messages in each.
    groups: u32,
    each: u64,
    /// Messages of the one log for catching up.
    catch_up: u64,
    rounds: u16,
    /// For how long a rate is measured in one round.
    length: Duration,
    /// The same for floors.
    floor: Duration,
    /// The same for delivery, whose rate is given.
    delivery: Duration,
    /// How long the mixed load lasts.
    mixed: Duration,
    kills: u16,
    starts: usize,
}

const FULL: Plan = Plan {
    groups: 1000,
    each: 1000,
    catch_up: 100_000,
    rounds: 5,
    length: Duration::from_secs(4),
    floor: Duration::from_secs(2),
    delivery: Duration::from_secs(10),
    mixed: Duration::from_mins(10),
    kills: 20,
    starts: 9,
};

const QUICK: Plan = Plan {
    groups: 100,
    rounds: 3,
    length: Duration::from_millis(1200),
    floor: Duration::from_millis(600),
    delivery: Duration::from_secs(3),
    mixed: Duration::from_secs(30),
    kills: 3,
    starts: 5,
    ..FULL
};

/// A workload that is measured in several rounds, in turn with the others.
trait Workload {
    /// Its name in the report.
    const ID: &'static str;

    /// Measures once. `floors` are those of this round.
    async fn round(&mut self, round: u16, floors: &Floors) -> anyhow::Result<()>;

    /// Adds the medians of all rounds.
    fn report(self, report: &mut Report);
}

struct Run {
    asked: NodeBench,
    plan: Plan,
    traffic: Traffic,
    home: TempDir,
    report: Report,
    progress: Progress,
}

impl Run {
    /// Runs everything that was asked for; returns the floors of each round.
    async fn measure(&mut self) -> anyhow::Result<Vec<Floors>> {
        let node_home = self.home.path().join("node");
        let mut node = None;
        let origin = match self.asked.against.clone() {
            Some(origin) => origin,
            None => {
                self.empty_starts().await;
                let started = OwnNode::start(&node_home).await?;
                node.insert(started).origin.clone()
            }
        };

        self.progress.show("loading messages");
        let (groups, each) = (self.plan.groups, self.plan.each);
        let stock = if self.wants_any(&[Id::N2, Id::N4, Id::N6, Id::N7, Id::N8]) {
            Stock::load(&origin, &self.traffic, Use::Stock, groups, each)
                .await
                .context("load messages")?
        } else {
            Stock::default()
        };
        let stock = Arc::new(stock);
        let mut origin = origin;
        if let Some(loaded) = node.take() {
            let restarted = self.restarts(loaded, &stock).await?;
            origin = restarted.origin.clone();
            node = Some(restarted);
        }

        let directory = if self.wants_any(&[Id::N5, Id::N8]) {
            self.progress.show("registering people");
            Directory::register(&origin)
                .await
                .context("register people")?
        } else {
            Directory::default()
        };
        let directory = Arc::new(directory);
        let floors = self.rounds(&origin, &stock, &directory).await?;

        if self.wants(Id::Streams) {
            self.progress.show("streams");
            let outcome = self.streams(&origin).await;
            self.attempt("streams", outcome);
        }
        if self.wants(Id::N8) {
            self.progress.show("N8: mixed load");
            let mixed = Mixed {
                origin: origin.clone(),
                traffic: self.traffic.clone(),
                stock: Arc::clone(&stock),
                directory: Arc::clone(&directory),
                length: self.plan.mixed,
            };
            let outcome = mixed.run(node.as_ref(), &mut self.report).await;
            self.attempt("N8", outcome);
        }
        if let Some(node) = node {
            node.stop().await?;
            self.crashes().await;
        }
        Ok(floors)
    }

    /// N7 without messages.
    async fn empty_starts(&mut self) {
        if self.wants(Id::N7) {
            self.progress.show("N7: starts, empty");
            match Starts::empty(self.home.path(), self.plan.starts).await {
                Ok(starts) => starts.report(&mut self.report, "empty", 50.0),
                Err(cause) => self.report.failed("N7", &cause),
            }
        }
    }

    /// Stops a node that holds only `stock`, for N6, and starts it again, for N7.
    async fn restarts(&mut self, node: OwnNode, stock: &Stock) -> anyhow::Result<OwnNode> {
        let node_home = self.home.path().join("node");
        let bytes = node.stop().await?;
        if self.wants(Id::N6) {
            report_disk(&mut self.report, bytes, stock.messages());
        }
        if self.wants(Id::N7) {
            let with = format!("{} messages", stock.messages());
            self.progress.show("N7: starts, loaded");
            match Starts::loaded(&node_home, self.plan.starts).await {
                Ok(starts) => starts.report(&mut self.report, &with, 200.0),
                Err(cause) => self.report.failed("N7", &cause),
            }
        }
        OwnNode::start(&node_home).await
    }

    /// The floors and the workloads that are measured in rounds, in turn.
    async fn rounds(
        &mut self,
        origin: &Uri,
        stock: &Arc<Stock>,
        directory: &Arc<Directory>,
    ) -> anyhow::Result<Vec<Floors>> {
        let (plan, traffic, seed) = (self.plan, self.traffic.clone(), self.asked.seed);
        let catch_up = if self.wants(Id::N4) {
            self.progress.show("loading a long log");
            Stock::load(origin, &traffic, Use::CatchUp, 1, plan.catch_up)
                .await
                .context("load a long log")?
        } else {
            Stock::default()
        };
        let catch_up = Arc::new(catch_up);
        let mut publish = self
            .wants(Id::N1)
            .then(|| Publish::new(origin, &traffic, plan.length));
        let mut query = self
            .wants(Id::N2)
            .then(|| Query::new(origin, &traffic, stock, seed, plan.length));
        let mut delivery = self
            .wants(Id::N3)
            .then(|| Delivery::new(origin, &traffic, plan.delivery));
        let mut catching_up = self
            .wants(Id::N4)
            .then(|| CatchUp::new(origin, &traffic, &catch_up, stock));
        let mut lookups = self
            .wants(Id::N5)
            .then(|| Lookups::new(origin, directory, plan.length));

        let echo = EchoProcess::start().await?;
        let mut rounds = Vec::new();
        for round in 0..plan.rounds {
            self.progress
                .show(&format!("round {} of {}: floors", round + 1, plan.rounds));
            let floors = Floors::measure(self.home.path(), &echo, &traffic, plan.floor).await?;
            self.turn(&mut publish, round, &floors).await;
            self.turn(&mut query, round, &floors).await;
            self.turn(&mut delivery, round, &floors).await;
            self.turn(&mut catching_up, round, &floors).await;
            self.turn(&mut lookups, round, &floors).await;
            rounds.push(floors);
        }
        self.finish(publish);
        self.finish(query);
        self.finish(delivery);
        self.finish(catching_up);
        self.finish(lookups);
        Ok(rounds)
    }

    /// One round of a workload. If it fails, that is reported and the workload left out from
    /// then on.
    async fn turn<W: Workload>(&mut self, workload: &mut Option<W>, round: u16, floors: &Floors) {
        if let Some(running) = workload {
            let (now, all) = (round + 1, self.plan.rounds);
            self.progress
                .show(&format!("round {now} of {all}: {}", W::ID));
            if let Err(cause) = running.round(round, floors).await {
                self.report.failed(W::ID, &cause);
                *workload = None;
            }
        }
    }

    fn finish<W: Workload>(&mut self, workload: Option<W>) {
        if let Some(workload) = workload {
            workload.report(&mut self.report);
        }
    }

    /// Many streams, on a fresh node where there can be one: memory that other workloads have
    /// left free would hide what streams take.
    async fn streams(&mut self, origin: &Uri) -> anyhow::Result<()> {
        if self.asked.against.is_some() {
            return streams::run(origin, &self.traffic, None, &mut self.report).await;
        }
        let node = OwnNode::start(&self.home.path().join("streams")).await?;
        let report = &mut self.report;
        streams::run(&node.origin, &self.traffic, Some(&node), report).await?;
        node.stop().await?;
        Ok(())
    }

    /// N10, on a node of its own.
    async fn crashes(&mut self) {
        if self.wants(Id::N10) {
            self.progress.show("N10: kill and restart");
            let home = self.home.path().join("crash");
            let (kills, seed) = (self.plan.kills, self.asked.seed);
            let outcome = n10_crash::run(&home, &self.traffic, kills, seed, &mut self.report).await;
            self.attempt("N10", outcome);
        }
    }

    fn attempt(&mut self, id: &'static str, outcome: anyhow::Result<()>) {
        if let Err(cause) = outcome {
            self.report.failed(id, &cause);
        }
    }

    fn wants(&self, id: Id) -> bool {
        let asked = self.asked.only.is_empty() || self.asked.only.contains(&id);
        asked && !(id.needs_own_node() && self.asked.against.is_some())
    }

    fn wants_any(&self, ids: &[Id]) -> bool {
        ids.iter().any(|id| self.wants(*id))
    }
}

/// Where a workload stands in the report.
fn place(id: &str) -> usize {
    ["N1", "N2", "N3", "N4", "N5", "N6", "N7", "N8", "N10"]
        .iter()
        .position(|known| *known == id)
        .unwrap_or(usize::MAX)
}

/// One line on the terminal that says what is going on; nothing elsewhere.
struct Progress {
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
        }
    }

    fn show(&self, text: &str) {
        if self.terminal {
            eprint!("\r\x1b[K{text} …");
        }
    }

    fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}

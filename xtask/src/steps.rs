//! The steps of `cargo xtask test`, in the order in which they run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::{
    fuzz::{self, FuzzArguments},
    postgres::Cluster,
    report::{self, Outcome, Report},
};

const NO_POSTGRES: &str = "no initdb found; get it with `apt-get install postgresql`";

/// SQLite is compiled for each selection of features that nothing else has; nobody runs that one, so
/// it need not be fast, which takes most of a minute.
const PLAIN_SQLITE: &str = "profile.dev.package.libsqlite3-sys.opt-level=0";

/// One check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Step {
    /// `cargo fmt --check`.
    Fmt,
    /// Clippy, warnings as errors.
    Lint,
    /// Each Cargo feature alone.
    Features,
    /// Advisories, where `cargo-deny` is installed: it takes minutes to build, and it needs the
    /// network. The rest of `deny.toml` is checked by a test, `tests/supply.rs`.
    Deny,
    /// All Rust tests.
    Rust,
    /// API documentation, warnings as errors.
    Docs,
    /// Official XMTP SDKs.
    Interop,
    /// The terminal chat in a real terminal.
    Chat,
    /// The benchmarks of node and client.
    Bench,
    /// The fuzz targets.
    Fuzz,
}

/// How a step runs.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Long forms.
    pub(crate) full: bool,
    /// What is missing is a failure, also inside the tests.
    pub(crate) no_skip: bool,
    /// Arguments for the step's own program, in place of the usual ones.
    pub(crate) pass_on: Option<Vec<String>>,
}

impl Options {
    /// Short forms, with `arguments` for the step's program.
    pub(crate) fn passing_on(arguments: Vec<String>) -> Self {
        Self {
            pass_on: Some(arguments),
            ..Self::default()
        }
    }
}

impl Step {
    /// What `cargo xtask test` runs.
    pub(crate) fn usual(full: bool) -> Vec<Self> {
        let mut steps = vec![Self::Fmt, Self::Lint, Self::Features];
        if cargo()
            .args(["deny", "--version"])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
        {
            steps.push(Self::Deny);
        }
        steps.extend([
            Self::Rust,
            Self::Docs,
            Self::Interop,
            Self::Chat,
            Self::Bench,
        ]);
        if full {
            steps.push(Self::Fuzz);
        }
        steps
    }

    /// Runs the step and puts the outcome into `report`.
    pub(crate) fn run(self, options: &Options, report: &mut Report) {
        match self {
            Self::Fmt => report.step("fmt", || call(cargo().args(["fmt", "--all", "--check"]))),
            Self::Lint => report.step("lint", || {
                call(cargo().args([
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                ]))
            }),
            Self::Features => report.step("features", each_feature),
            Self::Deny => report.step("deny", || {
                call(cargo().args(["deny", "--workspace", "check"]))
            }),
            Self::Rust => report.step("rust", || rust_tests(options)),
            Self::Docs => report.step("docs", || {
                call(
                    cargo()
                        .args(["doc", "--workspace", "--no-deps"])
                        .env("RUSTDOCFLAGS", "-D warnings"),
                )
            }),
            Self::Interop => report.step("interop", || interop(options)),
            Self::Chat => report.step("chat", chat),
            Self::Bench => report.step("bench", || bench(options)),
            Self::Fuzz => report.step("fuzz", || fuzz::run(&FuzzArguments::every_target(600))),
        }
    }
}

/// Makes the workspace's root the working directory.
pub(crate) fn enter_workspace() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent folder")?;
    env::set_current_dir(root).with_context(|| format!("enter {}", root.display()))
}

/// The `cargo` that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs `command` to its end; an error unless it exits with 0.
pub(crate) fn call(command: &mut Command) -> anyhow::Result<Outcome> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    ensure!(status.success(), "{}: {status}", spelled(command));
    Ok(Outcome::Passed)
}

/// Standard output of `command`; an error unless it exits with 0.
pub(crate) fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{}: {}",
        spelled(command),
        output.status
    );
    String::from_utf8(output.stdout).with_context(|| format!("{}: output", spelled(command)))
}

/// Where `program` is in `PATH`, if it is.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn spelled(command: &Command) -> String {
    let mut text = Path::new(command.get_program())
        .file_name()
        .map_or_else(String::new, |name| name.display().to_string());
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.display().to_string());
    }
    text
}

/// Checks each package that has features without any, and with each one alone.
fn each_feature() -> anyhow::Result<Outcome> {
    let metadata = output_of(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("read cargo metadata")?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let Some(features) = package["features"]
            .as_object()
            .filter(|all| !all.is_empty())
        else {
            continue;
        };
        let name = package["name"]
            .as_str()
            .context("a package without a name")?;
        let check = |extra: &[&str]| {
            call(
                cargo()
                    .args([
                        "check",
                        "--quiet",
                        "--package",
                        name,
                        "--no-default-features",
                    ])
                    .args(["--config", PLAIN_SQLITE])
                    .args(extra),
            )
        };
        check(&[])?;
        for feature in features.keys().filter(|feature| *feature != "default") {
            check(&["--features", feature])?;
        }
    }
    Ok(Outcome::Passed)
}

/// All Rust tests; those of the PostgreSQL store on a cluster of our own, if there is one.
fn rust_tests(options: &Options) -> anyhow::Result<Outcome> {
    let mut tests = cargo();
    tests.args(["test", "--workspace"]);
    if let Some(given) = env::var_os("FOLKMOOT_TEST_POSTGRES").filter(|given| !given.is_empty()) {
        report::line("using the PostgreSQL server of FOLKMOOT_TEST_POSTGRES");
        return call(
            tests
                .env("FOLKMOOT_TEST_POSTGRES", given)
                .env("FOLKMOOT_TEST_REQUIRE_POSTGRES", "1"),
        );
    }
    let Some(cluster) = Cluster::start()? else {
        if options.no_skip {
            tests.env("FOLKMOOT_TEST_REQUIRE_POSTGRES", "1");
        }
        call(&mut tests)?;
        return Ok(Outcome::PassedExcept(vec![format!(
            "the PostgreSQL store: {NO_POSTGRES}"
        )]));
    };
    call(cluster.tell(&mut tests))
}

/// Runs `command` with the address of a new cluster in its environment.
pub(crate) fn with_postgres(command: &[String]) -> anyhow::Result<Outcome> {
    let [program, arguments @ ..] = command else {
        bail!("no command given");
    };
    let cluster = Cluster::start()?.context(NO_POSTGRES)?;
    call(cluster.tell(Command::new(program).args(arguments)))
}

/// What is built for release.
struct Programs {
    /// The program itself.
    folkmoot: PathBuf,
    /// The program around our client that `interop/` drives.
    client_actor: PathBuf,
}

impl Programs {
    /// Builds them and finds where they are. Together, because apart from each other they would
    /// want their dependencies with different features, and each would build its own.
    fn build() -> anyhow::Result<Self> {
        call(cargo().args([
            "build",
            "--release",
            "--package",
            "folkmoot",
            "--package",
            "folkmoot-testkit",
            "--features",
            "folkmoot-testkit/client-actor",
            "--bin",
            "folkmoot",
            "--bin",
            "client-actor",
        ]))?;
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let find = |name: &str| {
            let program = target.join("release").join(name);
            fs::canonicalize(&program).with_context(|| format!("find {}", program.display()))
        };
        Ok(Self {
            folkmoot: find("folkmoot")?,
            client_actor: find("client-actor")?,
        })
    }
}

/// Runs the scripts of `interop/`: the scenarios, a random life, bots, and the command line; only
/// the scenarios when the arguments choose some. What is skipped they leave in files, because their
/// output is for people.
fn interop(options: &Options) -> anyhow::Result<Outcome> {
    let Some(node) = in_path("node") else {
        return Ok(Outcome::Skipped(
            "no node found; get Node.js 20 or newer, with npm".to_owned(),
        ));
    };
    // What is foreign is fetched meanwhile. Whoever misses something afterwards tries again, and says
    // so.
    let mut fetching = Command::new(&node)
        .arg("interop/prepare.mjs")
        .stdin(Stdio::null())
        .spawn()
        .context("start node")?;
    let programs = Programs::build();
    let _ = fetching.wait().context("wait for node")?;
    let programs = programs?;
    let given = options.pass_on.as_deref().unwrap_or_default();
    let asked = |what: &str| given.iter().any(|one| one.split('=').next() == Some(what));
    let full = options.full || asked("--full");
    let script = |name: &str| {
        let mut script = Command::new(&node);
        script.arg(format!("interop/{name}.mjs"));
        script.arg("--program").arg(&programs.folkmoot);
        script
    };

    let mut scenarios = script("run");
    scenarios.arg("--client").arg(&programs.client_actor);
    scenarios.args(options.full.then_some("--full")).args(given);
    let mut missing = reported(&mut scenarios, "results.json")?;
    if !asked("--only") && !asked("--pair") {
        let mut life = script("soak");
        life.arg("--client").arg(&programs.client_actor);
        // The same seed each time: what may fail without being our fault is tried at other times.
        life.args(["--seed", "folkmoot"]);
        call(life.args(full.then_some("--full")))?;
        call(&mut script("bot"))?;
        missing.extend(reported(&mut script("cli"), "cli-results.json")?);
        missing.extend(reported(&mut script("xmpp"), "xmpp-results.json")?);
    }
    Ok(if missing.is_empty() {
        Outcome::Passed
    } else {
        Outcome::PassedExcept(missing)
    })
}

/// Runs `interop/chat.mjs`: a person at a terminal that is tmux, and another one elsewhere.
fn chat() -> anyhow::Result<Outcome> {
    let Some(node) = in_path("node") else {
        return Ok(Outcome::Skipped(
            "no node found; get Node.js 20 or newer".to_owned(),
        ));
    };
    if in_path("tmux").is_none() {
        return Ok(Outcome::Skipped(
            "no tmux found; get it with `apt-get install tmux`".to_owned(),
        ));
    }
    let mut chat = Command::new(node);
    chat.args(["interop/chat.mjs", "--program"])
        .arg(Programs::build()?.folkmoot);
    call(&mut chat)
}

/// Runs a script that leaves its results in a file called `name`; gives what it says is missing.
fn reported(script: &mut Command, name: &str) -> anyhow::Result<Vec<String>> {
    let results = env::current_dir()?.join("target/interop").join(name);
    if results.exists() {
        fs::remove_file(&results).context("remove the results of the last run")?;
    }
    call(script.arg("--results").arg(&results))?;
    let results = fs::read_to_string(&results).context("read the results")?;
    let results: Value = serde_json::from_str(&results).context("read the results")?;
    let missing = results["missing"].as_array().into_iter().flatten();
    Ok(missing
        .filter_map(|what| what.as_str().map(str::to_owned))
        .collect())
}

fn bench(options: &Options) -> anyhow::Result<Outcome> {
    let program = Programs::build()?.folkmoot;
    let mut bench = Command::new(&program);
    bench.args(["bench", "node"]);
    match &options.pass_on {
        Some(arguments) => bench.args(arguments),
        None if options.full => &mut bench,
        None => bench.arg("--quick"),
    };
    call(&mut bench)?;
    if options.pass_on.is_some() {
        return Ok(Outcome::Passed);
    }
    let mut bench = Command::new(&program);
    bench.args(["bench", "client"]);
    if !options.full {
        bench.arg("--quick");
    }
    if in_path("node").is_none() {
        let what = "the comparison with the official client: no node found";
        call(&mut bench)?;
        return Ok(Outcome::PassedExcept(vec![what.to_owned()]));
    }
    call(bench.args(["--against", "official"]))
}

/// Fails with the reason when `folder` is missing.
pub(crate) fn need_folder(folder: &str) -> anyhow::Result<()> {
    if !Path::new(folder).is_dir() {
        bail!("there is no folder {folder}/");
    }
    Ok(())
}

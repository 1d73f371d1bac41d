//! Coverage-guided fuzzing on stable Rust: the compiler's own sanitizer-coverage pass,
//! switched on by flags, feeds libFuzzer, so that no nightly toolchain is needed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    report::{self, Outcome},
    steps::{call, cargo, need_folder, output_of},
};

/// What makes the compiler count edges and compared values in the way libFuzzer reads them.
const COVERAGE: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
];

#[derive(Debug, clap::Args)]
pub(crate) struct FuzzArguments {
    /// The targets to run; all of them when none is named.
    targets: Vec<String>,
    /// Time for each target, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

impl FuzzArguments {
    /// Every target, `seconds` each.
    pub(crate) const fn every_target(seconds: u64) -> Self {
        Self {
            targets: Vec::new(),
            seconds,
        }
    }
}

/// Builds the targets and runs them one after another. New inputs that reach new code go to
/// `target/fuzz-corpus/`, inputs that crash to `target/fuzz-crashes/`.
pub(crate) fn run(arguments: &FuzzArguments) -> anyhow::Result<Outcome> {
    need_folder("fuzz")?;
    let host = host()?;
    let known = targets()?;
    for wanted in &arguments.targets {
        ensure!(
            known.contains(wanted),
            "no fuzz target {wanted}; there are {}",
            known.join(", ")
        );
    }
    // With --target the flags reach only the fuzzed code, not build scripts.
    call(
        cargo()
            .args([
                "build",
                "--release",
                "--manifest-path",
                "fuzz/Cargo.toml",
                "--target-dir",
                "target/fuzz",
            ])
            .args(["--target", &host])
            .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}")),
    )?;
    let binaries: PathBuf = ["target/fuzz", &host, "release"].iter().collect();
    let chosen = if arguments.targets.is_empty() {
        &known
    } else {
        &arguments.targets
    };
    for target in chosen {
        report::line(&format!("{target}: {} s", arguments.seconds));
        let found = Path::new("target/fuzz-corpus").join(target);
        let crashes = Path::new("target/fuzz-crashes").join(target);
        fs::create_dir_all(&found).with_context(|| format!("create {}", found.display()))?;
        fs::create_dir_all(&crashes).with_context(|| format!("create {}", crashes.display()))?;
        let mut fuzzer = Command::new(env::current_dir()?.join(&binaries).join(target));
        fuzzer
            .arg(format!("-max_total_time={}", arguments.seconds))
            .args(["-rss_limit_mb=2048", "-timeout=10", "-print_final_stats=1"])
            .arg(format!("-artifact_prefix={}/", crashes.display()))
            .arg(&found);
        let seeds = Path::new("fuzz/corpus").join(target);
        if seeds.is_dir() {
            fuzzer.arg(seeds);
        }
        call(&mut fuzzer)?;
    }
    Ok(Outcome::Passed)
}

/// The target triple that we build on.
fn host() -> anyhow::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    output_of(Command::new(rustc).arg("-vV"))?
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .context("rustc -vV names no host")
}

/// The names of the programs in `fuzz/`.
fn targets() -> anyhow::Result<Vec<String>> {
    let metadata = output_of(cargo().args([
        "metadata",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("read cargo metadata")?;
    Ok(metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .filter(|target| target["kind"] == serde_json::json!(["bin"]))
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect())
}

#![doc = include_str!("../README.md")]

mod fuzz;
mod postgres;
mod report;
mod steps;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{report::Report, steps::Step};

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every check, or those named with --only.
    Test(TestArguments),
    /// Check formatting, Clippy's lints and each Cargo feature alone.
    Lint,
    /// Run all Rust tests.
    Rust,
    /// Run official XMTP SDKs against the program.
    Interop(PassedOn),
    /// Measure the node and the client: `folkmoot bench`, built for release. What is passed on
    /// goes to `folkmoot bench node`, alone.
    Bench(PassedOn),
    /// Feed generated input to the decoders.
    Fuzz(fuzz::FuzzArguments),
    /// Build the API documentation.
    Docs,
    /// Run a command with a throw-away PostgreSQL cluster in its environment.
    WithPostgres(Wrapped),
}

#[derive(Debug, clap::Args)]
struct TestArguments {
    /// Fail where a step would be skipped because something is not installed.
    #[arg(long)]
    no_skip: bool,
    /// Run the long forms: more rounds, the whole benchmark, ten minutes of fuzzing per target.
    #[arg(long)]
    full: bool,
    /// Run only this step; may be given more than once.
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
}

#[derive(Debug, clap::Args)]
struct PassedOn {
    /// Handed on as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Wrapped {
    /// For example `cargo test -p folkmoot-store`.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            report::line(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs one chore; `false` when one of its steps failed.
fn run(command: Command) -> anyhow::Result<bool> {
    steps::enter_workspace()?;
    let mut report = Report::default();
    match command {
        Command::Test(test) => {
            let options = steps::Options {
                full: test.full,
                no_skip: test.no_skip,
                ..steps::Options::default()
            };
            let chosen = if test.only.is_empty() {
                Step::usual(test.full)
            } else {
                test.only
            };
            for step in chosen {
                step.run(&options, &mut report);
            }
            return Ok(report.close(test.no_skip));
        }
        Command::Lint => {
            for step in [Step::Fmt, Step::Lint, Step::Features] {
                step.run(&steps::Options::default(), &mut report);
            }
        }
        Command::Rust => Step::Rust.run(&steps::Options::default(), &mut report),
        Command::Interop(passed_on) => {
            let options = steps::Options::passing_on(passed_on.arguments);
            Step::Interop.run(&options, &mut report);
        }
        Command::Bench(passed_on) => {
            let options = steps::Options::passing_on(passed_on.arguments);
            Step::Bench.run(&options, &mut report);
        }
        Command::Fuzz(arguments) => {
            report.step("fuzz", || fuzz::run(&arguments));
        }
        Command::WithPostgres(wrapped) => {
            report.step("with-postgres", || steps::with_postgres(&wrapped.command));
        }
        Command::Docs => Step::Docs.run(&steps::Options::default(), &mut report),
    }
    Ok(report.close(false))
}

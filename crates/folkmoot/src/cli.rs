//! The command line.

use std::{io, process::ExitCode};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::{
    backup::{BackupCommand, RestoreCommand},
    bench::BenchCommand,
    dev::DevCommand,
    doctor::DoctorCommand,
    log::LogArgs,
    serve::ServeCommand,
    xmtp::ClientSide,
};

/// Open messaging in one program: an XMTP network that you run yourself.
#[derive(Debug, Parser)]
#[command(
    name = "folkmoot",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = AFTER_HELP
)]
pub struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start here: `folkmoot dev` is a whole XMTP network on this machine; official SDKs find it with
their environment \"local\", unchanged. `folkmoot dev accounts 3` gives you people to write as.
Talk there yourself: `folkmoot xmtp init --env local`, and then `folkmoot chat`.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 network, 4 not found, 5 refused.";

#[derive(Debug, Subcommand)]
enum Command {
    Dev(DevCommand),
    Serve(ServeCommand),
    Doctor(DoctorCommand),
    Backup(BackupCommand),
    Restore(RestoreCommand),
    /// Measure a server under load
    Bench(BenchCommand),
    #[command(flatten)]
    Client(Box<ClientSide>),
}

impl Command {
    /// What it runs in: commands that look or say something are over before a second thread were of
    /// use.
    fn runtime(&self) -> io::Result<Runtime> {
        let mut builder = match self {
            Self::Client(command) if !command.is_busy() => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        builder.enable_all().build()
    }
}

impl Cli {
    /// Does what the command line says, and returns the program's exit code.
    ///
    /// # Errors
    ///
    /// A [`Failure`](crate::failure::Failure) where there is a way out that can be named.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = self.command.runtime().context("start the runtime")?;
        runtime.block_on(async {
            match self.command {
                Command::Dev(command) => {
                    self.log.start("warn")?;
                    command.run().await
                }
                Command::Serve(command) => command.run(&self.log).await,
                Command::Doctor(command) => {
                    self.log.start("error")?;
                    command.run(&mut io::stdout()).await
                }
                Command::Backup(command) => {
                    self.log.start("warn")?;
                    command.run(&mut io::stdout()).await?;
                    Ok(ExitCode::SUCCESS)
                }
                Command::Restore(command) => {
                    self.log.start("warn")?;
                    command.run(&mut io::stdout()).await?;
                    Ok(ExitCode::SUCCESS)
                }
                Command::Bench(command) => {
                    self.log.start("warn")?;
                    command.run(&mut io::stdout()).await
                }
                Command::Client(command) => {
                    self.log.start_if_asked()?;
                    command.run(Self::command, &mut io::stdout()).await?;
                    Ok(ExitCode::SUCCESS)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_client_has_an_example_that_is_understood() {
        let program = Cli::command();
        let mut examples = Vec::new();
        for name in ["xmtp", "send", "tail", "whoami", "contacts", "group"] {
            let command = program.find_subcommand(name).unwrap();
            collect(command, name, &mut examples);
        }
        for (path, example) in examples {
            let example = example.unwrap_or_else(|| panic!("{path} has no example"));
            let named = example.strip_prefix("folkmoot ").unwrap();
            assert!(named.starts_with(&path), "{path}: {example}");
            let understood = program.clone().try_get_matches_from(words(&example));
            understood.unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }

    /// The example of each command below `command` that is not only a topic.
    fn collect(command: &clap::Command, path: &str, found: &mut Vec<(String, Option<String>)>) {
        for sub in command.get_subcommands() {
            if sub.get_name() != "help" {
                collect(sub, &format!("{path} {}", sub.get_name()), found);
            }
        }
        if command.get_subcommands().next().is_none() {
            let help = command.get_after_help().map(ToString::to_string);
            let example = help.and_then(|help| Some(help.strip_prefix("Example: ")?.to_owned()));
            found.push((path.to_owned(), example));
        }
    }

    /// An example as a shell takes it apart, with something in place of what it leaves open.
    fn words(example: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for character in example.chars() {
            match character {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                other => words.last_mut().unwrap().push(other),
            }
        }
        let filled = words.into_iter().map(|word| match &*word {
            "INBOX_ID" | "INSTALLATION_ID" | "MESSAGE_ID" | "KEY" | "HEX" => "ab".repeat(32),
            "BASE64" => "AA==".to_owned(),
            _ => word,
        });
        filled.collect()
    }
}

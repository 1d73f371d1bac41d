//! The command line.

use std::{io, process::ExitCode};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

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
    Client(ClientSide),
}

impl Cli {
    /// Does what the command line says, and returns the program's exit code.
    ///
    /// # Errors
    ///
    /// A [`Failure`](crate::failure::Failure) where there is a way out that can be named.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
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
                    command.run(Self::command(), &mut io::stdout()).await?;
                    Ok(ExitCode::SUCCESS)
                }
            }
        })
    }
}

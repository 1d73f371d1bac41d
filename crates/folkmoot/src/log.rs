//! Logs: to standard error, for people or as JSON.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::failure::{Exit, Failure};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object in each line.
    Json,
}

/// What every command takes about its log.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct LogArgs {
    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, or parts such as `info,folkmoot_node=debug`
    #[arg(
        long = "log",
        value_name = "FILTER",
        env = "FOLKMOOT_LOG",
        global = true,
        help_heading = "Log"
    )]
    filter: Option<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", global = true, help_heading = "Log")]
    log_format: Option<LogFormat>,
}

/// Whether somebody looks at standard error who has not said that they want no colours.
pub(crate) fn in_colour() -> bool {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && io::stderr().is_terminal()
}

impl LogArgs {
    /// Starts logging, with `filter` unless the command line names another.
    pub(crate) fn start(&self, filter: &str) -> anyhow::Result<()> {
        self.start_with(filter, LogFormat::default())
    }

    /// Starts logging if the command line or a variable says what to log.
    pub(crate) fn start_if_asked(&self) -> anyhow::Result<()> {
        match &self.filter {
            Some(filter) => self.start(filter),
            None => Ok(()),
        }
    }

    /// Starts logging, with `filter` and `format` unless the command line names others.
    pub(crate) fn start_with(&self, filter: &str, format: LogFormat) -> anyhow::Result<()> {
        let filter = self.filter.as_deref().unwrap_or(filter);
        let filter = EnvFilter::try_new(filter).map_err(|cause| {
            Failure::new(
                Exit::Usage,
                format!("{filter:?} is not a log filter"),
                "--log info, or --log info,folkmoot_node=debug",
            )
            .because(cause)
        })?;
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(in_colour())
            .with_writer(io::stderr);
        // A second start in one process (a test) keeps the first one's settings.
        drop(match self.log_format.unwrap_or(format) {
            LogFormat::Pretty => log.try_init(),
            LogFormat::Json => log.json().try_init(),
        });
        Ok(())
    }
}

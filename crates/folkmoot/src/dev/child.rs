//! The program that runs for as long as the network does.

use std::{
    io::{ErrorKind, IsTerminal as _},
    os::unix::process::ExitStatusExt as _,
    process::{ExitCode, ExitStatus},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use super::{Network, ready::local_host};
use crate::{
    failure::{Exit, Failure},
    signals::Signals,
};

/// Added to a signal's number for the exit code of a program that it killed, as shells do.
const KILLED: u8 = 128;

/// A program with the network's addresses in its environment.
#[derive(Debug)]
pub(super) struct Child(tokio::process::Child);

impl Child {
    /// Starts the program that `command` names, if it names one.
    pub(super) fn start(command: &[String], network: &Network) -> anyhow::Result<Option<Self>> {
        let Some((program, arguments)) = command.split_first() else {
            return Ok(None);
        };
        let mut command = Command::new(program);
        command.args(arguments).kill_on_drop(true);
        for address in &network.addresses {
            let url = address.url(&local_host(address));
            let name = address.door.name().to_uppercase();
            command.env(format!("FOLKMOOT_{name}_URL"), &url);
            if name == "V3" {
                command.env("XMTP_NODE_URL", url);
            }
        }
        match command.spawn() {
            Ok(child) => Ok(Some(Self(child))),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Err(Failure::new(
                Exit::NotFound,
                format!("there is no program {program:?}"),
                "the full path of the program after `--`",
            )
            .into()),
            Err(cause) => Err(cause).with_context(|| format!("start {program:?}")),
        }
    }

    /// Waits until the program ends, and passes signals on to it until then.
    pub(super) async fn run(mut self, signals: &mut Signals) -> anyhow::Result<ExitCode> {
        loop {
            tokio::select! {
                status = self.0.wait() => return Ok(code(status.context("wait for the program")?)),
                signal = signals.next() => self.pass_on(signal),
            }
        }
    }

    fn pass_on(&self, signal: Signal) {
        // A terminal has sent its Ctrl-C to the program as well.
        if signal == Signal::INT && std::io::stdin().is_terminal() {
            return;
        }
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw)
            && let Err(cause) = kill_process(pid, signal)
        {
            tracing::debug!(%cause, "the program ended before the signal came");
        }
    }
}

fn code(status: ExitStatus) -> ExitCode {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, Some(signal)) => u8::try_from(signal).map_or(u8::MAX, |signal| KILLED | signal),
        (None, None) => Exit::Failed as u8,
    };
    ExitCode::from(code)
}

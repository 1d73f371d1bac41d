//! `folkmoot bot`: a program or a web server answers messages; lines of JSON go to and fro.
//!
//! The pure parts first: [`event`] and [`command`] are the lines, [`window`] what was handed over
//! and not acknowledged, [`guard`] and [`backoff`] the brakes. [`feed`] makes events of messages,
//! [`execute`] does what commands say, [`memory`] remembers both across runs. [`child`] and
//! [`webhook`] are the two kinds of bots, [`run`] ties everything together.

mod backoff;
mod child;
mod command;
mod content;
mod event;
mod execute;
mod feed;
mod guard;
mod lines;
mod memory;
mod new;
mod run;
mod signature;
mod webhook;
mod window;

use std::io::{self, Write};

use clap::{Args, Subcommand};

use crate::inputs::BotForm;

/// [`crate::inputs::bot_line`].
pub(crate) fn understand(line: &[u8], form: BotForm) -> Result<Option<&'static str>, String> {
    let form = match form {
        BotForm::Json => event::Form::Json,
        BotForm::Text => event::Form::Text,
    };
    match command::parse(line, form) {
        Ok(line) => Ok(line.map(|line| line.word())),
        Err(cause) => Err(cause.to_string()),
    }
}

/// Let a program or a web server answer messages
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BotCommand {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
A bot in four commands, on a network of your own:
  folkmoot dev                                     (in a terminal of its own)
  folkmoot xmtp init --env local
  folkmoot bot new --lang python echo.py
  folkmoot bot run ./echo.py";

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    New(new::New),
}

impl BotCommand {
    /// Does what was asked, and writes to `out`.
    ///
    /// # Errors
    ///
    /// A [`Failure`](crate::failure::Failure) with its exit code, or whatever went wrong.
    pub(crate) async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        match self.command {
            Command::Run(command) => command.run().await,
            Command::New(command) => command.run(out),
        }
    }
}

/// Tells the operator something, on standard error.
fn say(text: &str) {
    // Nobody is left to tell when standard error is gone.
    let text = crate::failure::visible_lines(text);
    drop(writeln!(io::stderr(), "folkmoot: {text}"));
}

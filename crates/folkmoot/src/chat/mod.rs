//! `folkmoot chat`: conversations on the whole screen of a terminal.
//!
//! The core is pure: [`update`] takes a [`model`] and an [`event`] and says what is to be done;
//! [`view`] draws a model. Terminal, client and files are in [`shell`] alone.

mod dialog;
mod editor;
mod event;
mod keys;
mod layout;
mod model;
mod shell;
mod text;
mod update;
mod view;
mod when;
mod words;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _};

use clap::Args;

use crate::{
    failure::{Exit, Failure},
    xmtp::{
        output::Output,
        people::completions,
        run::{AsClient, Me},
        settings::SecretText,
    },
};

/// The arguments of `chat`.
#[derive(Args, Debug)]
pub(crate) struct Chat {
    /// Open this conversation: a contact, a group's name, an address or an id
    #[arg(add = completions::conversations())]
    name: Option<String>,
    /// Use no colours [NO_COLOR]
    #[arg(long)]
    no_color: bool,
    /// Take clicks and the wheel of the mouse; the terminal then no longer selects text by itself
    #[arg(long)]
    mouse: bool,
    /// Ring the terminal's bell when somebody writes
    #[arg(long)]
    bell: bool,
    /// Tell others what you have read
    #[arg(long)]
    read_receipts: bool,
    /// Tell others that you are writing; apps that do not know how to show it say "(typing)"
    #[arg(long)]
    typing: bool,
    /// Where files too large for a message are uploaded, encrypted: posted to URL, whose answer is
    /// their address or their name below URL/files
    #[arg(long, value_name = "URL")]
    upload_provider: Option<String>,
    /// What the server at --upload-provider wants to hear (Authorization: Bearer)
    #[arg(long, value_name = "TOKEN", requires = "upload_provider")]
    upload_provider_token: Option<SecretText>,
}

impl AsClient for Chat {
    const STAYS: bool = true;
    const FILLS_SCREEN: bool = true;

    async fn run(self, me: &Me, _out: &mut Output<'_>) -> anyhow::Result<()> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(Failure::new(
                Exit::Usage,
                "chat needs a terminal",
                "`folkmoot tail` prints messages, `folkmoot send` sends one",
            )
            .into());
        }
        if me.settings.log_level.is_some() && io::stderr().is_terminal() {
            return Err(Failure::new(
                Exit::Usage,
                "the log would be written over the screen",
                "2>chat.log at the end of the command",
            )
            .into());
        }
        shell::run(self, me).await
    }
}

impl Chat {
    /// Whether the terminal is to show colours.
    fn colours(&self) -> bool {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        !self.no_color && set("NO_COLOR").is_none() && !dumb
    }
}

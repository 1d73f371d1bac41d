//! The client on the command line: `folkmoot xmtp`, which is the official `xmtp` program with the
//! same names, flags, variables and JSON, and the commands for people beside it.
//!
//! Each file has one family of commands: arguments, then what is done with them. Names and numbers
//! in JSON are made in [`shapes`]; [`run`] turns flags into a client and errors into exit codes.

mod archive;
mod ask;
mod client;
mod confirm;
pub(crate) mod conversation;
mod conversations;
mod database;
mod device_sync;
mod explain;
pub(crate) mod follow;
mod health;
pub(crate) mod init;
pub(crate) mod output;
pub(crate) mod people;
mod preferences;
pub(crate) mod run;
mod search;
pub(crate) mod settings;
pub(crate) mod shapes;
mod turns;
pub(crate) mod value;
mod variables;
mod wallet;
pub(crate) mod which;
pub(crate) mod who;

use std::io::{self, Write};

use clap::{Args, Subcommand};

use self::{
    archive::ArchiveCommand,
    client::ClientCommand,
    conversation::ConversationCommand,
    conversations::ConversationsCommand,
    database::DatabaseCommand,
    device_sync::DeviceSyncCommand,
    explain::GroupCommand,
    follow::Following,
    people::{completions::CompletionsCommand, contacts::ContactsCommand, man::ManCommand},
    preferences::PreferencesCommand,
    run::{As, On},
};
use crate::bot::BotCommand;

pub(crate) use conversation::{Opening, mime_type};
pub(crate) use health::examine;
pub(crate) use people::contacts::rewritten as contacts_rewritten;
pub(crate) use variables::parse as assignments;

/// Everything that the official `xmtp` program does, with the same names, flags and JSON
///
/// Settings come from flags, then variables, then one file: --env-file, else ./.env, else
/// ~/.xmtp/.env. `folkmoot xmtp init` makes that file. XMTP_HOME stands in for ~/.xmtp, so that one
/// user can be several people.
#[derive(Args, Debug)]
// Of a flag that comes twice the last counts, as with the official program.
#[command(after_help = AFTER_HELP, args_override_self = true)]
pub(crate) struct XmtpCommand {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 network, 4 not found, 5 refused.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make keys and write them to a file that only you read
    #[command(after_help = "Example: folkmoot xmtp init --env dev")]
    Init(init::Init),
    /// Show which accounts can be written to
    #[command(
        after_help = "Example: folkmoot xmtp can-message 0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    )]
    CanMessage(On<ask::CanMessage>),
    /// Show whether an address belongs to an inbox
    #[command(
        after_help = "Example: folkmoot xmtp address-authorized INBOX_ID 0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    )]
    AddressAuthorized(On<ask::AddressAuthorized>),
    /// Show whether an installation belongs to an inbox
    #[command(
        after_help = "Example: folkmoot xmtp installation-authorized INBOX_ID INSTALLATION_ID"
    )]
    InstallationAuthorized(On<ask::InstallationAuthorized>),
    /// Show who belongs to inboxes
    #[command(after_help = "Example: folkmoot xmtp inbox-states INBOX_ID --json")]
    InboxStates(On<ask::InboxStates>),
    /// Take the rights of installations away, without a database
    #[command(
        after_help = "Example: folkmoot xmtp revoke-installations INBOX_ID -i INSTALLATION_ID --force"
    )]
    RevokeInstallations(On<ask::RevokeInstallations>),
    /// Ourselves: identity and installations
    #[command(subcommand)]
    Client(ClientCommand),
    /// All conversations
    #[command(subcommand)]
    Conversations(ConversationsCommand),
    /// One conversation
    #[command(subcommand)]
    Conversation(ConversationCommand),
    /// Consent and who belongs to whom
    #[command(subcommand)]
    Preferences(PreferencesCommand),
    /// Archives of conversations and consent
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// What our own installations tell each other
    #[command(subcommand)]
    DeviceSync(DeviceSyncCommand),
    /// Copies of the database
    #[command(subcommand)]
    Database(DatabaseCommand),
    /// Find messages by their words
    #[command(after_help = "Example: folkmoot xmtp search lake picnic")]
    Search(As<search::Search>),
    /// Print what makes a shell complete commands
    #[command(after_help = "Example: folkmoot xmtp autocomplete bash")]
    Autocomplete(CompletionsCommand),
}

impl XmtpCommand {
    async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        match self.command {
            Command::Init(command) => command.run(out),
            Command::CanMessage(command) => command.run(out).await,
            Command::AddressAuthorized(command) => command.run(out).await,
            Command::InstallationAuthorized(command) => command.run(out).await,
            Command::InboxStates(command) => command.run(out).await,
            Command::RevokeInstallations(command) => command.run(out).await,
            Command::Client(command) => command.run(out).await,
            Command::Conversations(command) => command.run(out).await,
            Command::Conversation(command) => command.run(out).await,
            Command::Preferences(command) => command.run(out).await,
            Command::Archive(command) => command.run(out).await,
            Command::DeviceSync(command) => command.run(out).await,
            Command::Database(command) => command.run(out).await,
            Command::Search(command) => command.run(out).await,
            Command::Autocomplete(command) => command.run(out),
        }
    }
}

/// The commands of the client, which stand beside those of the server.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientSide {
    Xmtp(XmtpCommand),
    /// Say something to somebody
    #[command(after_help = "Example: folkmoot send bob See you at noon")]
    Send(As<people::Send>),
    /// Print what is said, as it is said
    #[command(after_help = "Example: folkmoot tail picnic -n 20")]
    Tail(Following<people::Tail>),
    /// Talk, on the whole screen of the terminal
    ///
    /// Conversations on the left, messages on the right, what you write below. `?` shows all keys.
    #[command(after_help = "Example: folkmoot chat alice")]
    Chat(As<crate::chat::Chat>),
    /// Show who we are
    #[command(after_help = "Example: folkmoot whoami --json")]
    #[command(name = "whoami")]
    WhoAmI(As<people::WhoAmI>),
    Bot(BotCommand),
    Contacts(ContactsCommand),
    Group(GroupCommand),
    Completions(CompletionsCommand),
    Man(ManCommand),
}

impl ClientSide {
    /// Whether it does several things at a time, so that more than one thread is of use.
    pub(crate) const fn is_busy(&self) -> bool {
        matches!(self, Self::Bot(_) | Self::Chat(_))
    }

    /// Does what was asked, and writes to `out`. `program` makes the whole command line.
    ///
    /// # Errors
    ///
    /// A [`Failure`](crate::failure::Failure) with its exit code, or whatever went wrong.
    pub(crate) async fn run(
        self,
        program: fn() -> clap::Command,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        settled(match self {
            Self::Xmtp(command) => command.run(out).await,
            Self::Send(command) => command.run(out).await,
            Self::Tail(command) => command.run(out).await,
            Self::Chat(command) => command.run(out).await,
            Self::WhoAmI(command) => command.run(out).await,
            Self::Bot(command) => command.run(out).await,
            Self::Contacts(command) => command.run(out),
            Self::Group(command) => command.run(out).await,
            Self::Completions(command) => command.run(out),
            Self::Man(command) => command.run(program(), out),
        })
    }
}

/// What a command's end means: errors of the client library get their exit code, and a reader that
/// went away (`| head`) is none.
fn settled(done: anyhow::Result<()>) -> anyhow::Result<()> {
    match done {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        Err(error) => Err(run::explained(error)),
        Ok(()) => Ok(()),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        let json = cause.downcast_ref::<serde_json::Error>();
        let kind = io.map(io::Error::kind).or_else(|| json?.io_error_kind());
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}

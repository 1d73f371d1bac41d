//! Completions: the shell asks this program, which knows commands, contacts and conversations.

use std::{ffi::OsStr, io::Write};

use clap::Args;
use clap_complete::{
    Shell,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::Shells,
};
use folkmoot_client::ListOptions;

use super::{
    super::{settings::ClientArgs, value::visible},
    contacts::Contacts,
};
use crate::failure::{Exit, Failure};

/// The variable by which a shell asks for completions instead of running a command.
const VARIABLE: &str = "COMPLETE";

/// Print what makes a shell complete this program's commands, contacts and conversations
///
/// bash: add `source <(folkmoot completions bash)` to ~/.bashrc. zsh: the same in ~/.zshrc. fish:
/// `folkmoot completions fish > ~/.config/fish/completions/folkmoot.fish`.
#[derive(Args, Debug)]
pub(crate) struct CompletionsCommand {
    /// The shell [default: the one that SHELL names]
    shell: Option<Shell>,
}

impl CompletionsCommand {
    /// Writes the script to `out`.
    pub(crate) fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let shell = self.shell.or_else(Shell::from_env).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "nobody says which shell",
                "`folkmoot completions bash`, or zsh, fish, elvish, powershell",
            )
        })?;
        let name = shell.to_string();
        let shells = Shells::builtins();
        let Some(completer) = shells.completer(&name) else {
            return Err(Failure::new(
                Exit::Usage,
                format!("{name} cannot ask for completions"),
                "bash, zsh, fish, elvish or powershell",
            )
            .into());
        };
        let mut script = Vec::new();
        completer.write_registration(VARIABLE, "folkmoot", "folkmoot", "folkmoot", &mut script)?;
        out.write_all(&script)?;
        Ok(())
    }
}

/// Completes names of contacts and groups, and ids of conversations.
pub(crate) fn conversations() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let mut candidates = contact_candidates(typed);
        // Another command may have the database just now; then contacts have to do.
        candidates.extend(stored(typed).unwrap_or_default());
        candidates
    })
}

/// Completes names of contacts.
pub(crate) fn contacts() -> ArgValueCompleter {
    ArgValueCompleter::new(contact_candidates)
}

fn contact_candidates(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let contacts = Contacts::load().unwrap_or_default();
    let fitting = contacts
        .iter()
        .filter(|(name, _)| name.starts_with(&*typed));
    fitting
        .map(|(name, contact)| {
            CompletionCandidate::new(name).help(Some(contact.target().to_owned().into()))
        })
        .collect()
}

/// The conversations in the database that the variables name, if it is there.
fn stored(typed: &OsStr) -> Option<Vec<CompletionCandidate>> {
    let typed = typed.to_string_lossy().into_owned();
    let mut settings = ClientArgs::default().settle().ok()?;
    // Without a signer nothing is ever made or registered.
    settings.wallet = None;
    // Nobody waits for a word.
    settings.db_wait = std::time::Duration::ZERO;
    if !settings.database.exists() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(async {
        let client = settings.open(false).await.ok()?;
        let conversations = client.conversations();
        let mut candidates = Vec::new();
        for one in conversations.list(&ListOptions::default()).await.ok()? {
            let id = one.id().to_string();
            let name = one.name();
            let title = match one.peer() {
                Some(peer) => format!("DM with {peer}"),
                None => visible(&name),
            };
            if !name.is_empty() && name.starts_with(&typed) && name == visible(&name) {
                candidates.push(CompletionCandidate::new(&name).help(Some(id.clone().into())));
            } else if id.starts_with(&typed) {
                candidates.push(CompletionCandidate::new(id).help(Some(title.into())));
            }
        }
        Some(candidates)
    })
}

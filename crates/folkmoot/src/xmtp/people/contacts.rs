//! Contacts: names for people and conversations, in `~/.xmtp/contacts.toml`.

use std::{collections::BTreeMap, fs, io, io::Write, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use folkmoot_identity::Identifier;
use folkmoot_wire::{GroupId, InboxId};
use serde::{Deserialize, Serialize};

use super::super::{
    init,
    output::{Form, Output},
    value::{Value, object},
    variables,
};
use crate::failure::{Exit, Failure};

/// Names for people and conversations.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Contacts(BTreeMap<String, Contact>);

/// What a name stands for: one of these.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contact {
    /// An account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// An inbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inbox: Option<String>,
    /// A conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conversation: Option<String>,
}

impl Contacts {
    /// Those that were stored.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or understood.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let path = path()?;
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|cause| {
                Failure::new(
                    Exit::Usage,
                    format!("{} is not understood", path.display()),
                    "entries such as [alice] and below address = \"0x…\"",
                )
                .because(cause)
                .into()
            }),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(cause) => Err(cause).with_context(|| format!("read {}", path.display())),
        }
    }

    /// Addresses are written in the one form in which they are compared: people copy them with
    /// capital letters.
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let mut contacts: Self = toml::from_str(text)?;
        let addresses = contacts.0.values_mut();
        for address in addresses.filter_map(|contact| contact.address.as_mut()) {
            if let Ok(identifier) = Identifier::ethereum(&*address) {
                *address = identifier.to_string();
            }
        }
        Ok(contacts)
    }

    fn store(&self) -> anyhow::Result<()> {
        let path = path()?;
        if let Some(directory) = path.parent() {
            init::make_private_directory(directory)?;
        }
        init::write_private(&path, &toml::to_string(self)?, true)
    }

    /// Gives a name that stands for nothing else yet.
    ///
    /// # Errors
    ///
    /// When it is no name, or taken; when the file cannot be read or written.
    pub(crate) fn add(name: &str, whom: &str) -> anyhow::Result<()> {
        let mut contacts = Self::load()?;
        let contact = checked(name, whom)?;
        contacts.refuse_taken(name, &contact, "another name")?;
        contacts.0.insert(name.to_owned(), contact);
        contacts.store()
    }

    fn refuse_taken(&self, name: &str, contact: &Contact, remedy: &str) -> Result<(), Failure> {
        match self.get(name) {
            Some(known) if known != contact => {
                let what = format!("{name} is {} already", known.target());
                Err(Failure::new(Exit::Refused, what, remedy))
            }
            _ => Ok(()),
        }
    }

    /// What a name stands for.
    pub(crate) fn get(&self, name: &str) -> Option<&Contact> {
        self.0.get(name)
    }

    /// All names with what they stand for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Contact)> {
        self.0.iter().map(|(name, contact)| (&**name, contact))
    }
}

impl Contact {
    /// What the text names: an address, an inbox or a conversation.
    fn parse(text: &str) -> Option<Self> {
        let nobody = Self::default();
        if let Ok(identifier) = Identifier::ethereum(text) {
            return Some(Self {
                address: Some(identifier.to_string()),
                ..nobody
            });
        }
        let text = text.to_ascii_lowercase();
        if let Ok(inbox) = text.parse::<InboxId>() {
            return Some(Self {
                inbox: Some(inbox.to_string()),
                ..nobody
            });
        }
        let conversation = text.parse::<GroupId>().ok()?;
        Some(Self {
            conversation: Some(conversation.to_string()),
            ..nobody
        })
    }

    /// What it stands for, as text.
    pub(crate) fn target(&self) -> &str {
        let targets = [&self.address, &self.inbox, &self.conversation];
        targets
            .into_iter()
            .find_map(|target| target.as_deref())
            .unwrap_or_default()
    }
}

fn path() -> anyhow::Result<PathBuf> {
    Ok(variables::home()?.join("contacts.toml"))
}

/// [`crate::inputs::contacts`].
pub(crate) fn rewritten(text: &str) -> Result<String, String> {
    let contacts = Contacts::parse(text).map_err(|cause| cause.to_string())?;
    toml::to_string(&contacts).map_err(|cause| cause.to_string())
}

/// Names for people and conversations
///
/// They are kept in ~/.xmtp/contacts.toml, and every command takes them in place of addresses and
/// ids.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ContactsCommand {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give a name to somebody or to a conversation
    #[command(
        after_help = "Example: folkmoot contacts add bob 0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    )]
    Add {
        /// The name
        name: String,
        /// An address, an inbox id or a conversation's id
        whom: String,
        /// Replace what the name stood for
        #[arg(long)]
        force: bool,
    },
    /// List all
    #[command(after_help = "Example: folkmoot contacts list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a name
    #[command(after_help = "Example: folkmoot contacts remove bob")]
    Remove {
        /// The name
        #[arg(add = super::completions::contacts())]
        name: String,
    },
}

impl ContactsCommand {
    /// Does what was asked, and writes to `out`.
    pub(crate) fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let mut contacts = Contacts::load()?;
        match self.action {
            None => list(&contacts, self.json, out),
            Some(Action::List { json }) => list(&contacts, json, out),
            Some(Action::Add { name, whom, force }) => {
                let contact = checked(&name, &whom)?;
                if !force {
                    contacts.refuse_taken(&name, &contact, "another name, or --force")?;
                }
                writeln!(out, "{name} is {}", contact.target())?;
                contacts.0.insert(name, contact);
                contacts.store()
            }
            Some(Action::Remove { name }) => {
                if contacts.0.remove(&name).is_none() {
                    return Err(Failure::new(
                        Exit::NotFound,
                        format!("no contact is called {name:?}"),
                        "`folkmoot contacts` lists them",
                    )
                    .into());
                }
                contacts.store()
            }
        }
    }
}

fn checked(name: &str, whom: &str) -> Result<Contact, Failure> {
    if name.is_empty()
        || name.len() > MOST_NAME_BYTES
        || name.chars().any(char::is_control)
        || Contact::parse(name).is_some()
    {
        return Err(Failure::new(
            Exit::Usage,
            format!("{name:?} is no name"),
            "up to 100 bytes that are no id themselves",
        ));
    }
    Contact::parse(whom).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("{whom:?} names nobody"),
            "an address (0x…), an inbox id or a conversation's id",
        )
    })
}

fn list(contacts: &Contacts, json: bool, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    if contacts.0.is_empty() && !json {
        let words = "no contacts yet; `folkmoot contacts add NAME ADDRESS` gives somebody a name";
        writeln!(out, "{words}")?;
        return Ok(());
    }
    let fields = Vec::new();
    let rows = contacts.iter().map(|(name, contact)| {
        object! {
            "name" => name,
            "address" => contact.address.clone(),
            "inboxId" => contact.inbox.clone(),
            "conversationId" => contact.conversation.clone(),
        }
    });
    Output::new(out, Form { json, fields }).result(Value::list(rows))?;
    Ok(())
}

/// The longest name, in bytes.
const MOST_NAME_BYTES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_written_with_capital_letters() {
        let text = "[bob]\naddress = \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"\n";
        let contacts = Contacts::parse(text).unwrap();
        let address = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
        assert_eq!(contacts.get("bob").unwrap().target(), address);
    }

    #[test]
    fn a_name_stands_for_one_thing() {
        let address = Contact::parse("0x00000000000000000000000000000000000000aA").unwrap();
        assert_eq!(
            address.target(),
            "0x00000000000000000000000000000000000000aa"
        );
        assert!(Contact::parse(&"ab".repeat(32)).unwrap().inbox.is_some());
        assert!(
            Contact::parse(&"ab".repeat(16))
                .unwrap()
                .conversation
                .is_some()
        );
        assert_eq!(Contact::parse("alice"), None);
    }

    #[test]
    fn a_name_is_no_id_and_has_nothing_strange() {
        let whom = "0x00000000000000000000000000000000000000aa";
        assert!(checked("alice", whom).is_ok());
        for name in ["", "a\u{1b}b", &"ab".repeat(16), &"x".repeat(101)] {
            assert!(checked(name, whom).is_err(), "{name:?}");
        }
        assert!(checked("alice", "bob").is_err());
    }

    #[test]
    fn contacts_are_toml() {
        let text = "[alice]\naddress = \"0x00000000000000000000000000000000000000aa\"\n";
        let contacts: Contacts = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&contacts).unwrap(), text);
        assert!(toml::from_str::<Contacts>("[alice]\nadress = \"\"").is_err());
    }
}

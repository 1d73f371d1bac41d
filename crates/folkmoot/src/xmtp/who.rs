//! People as they are named on the command line.

use anyhow::Context as _;
use clap::ValueEnum;
use folkmoot_client::Client;
use folkmoot_identity::Identifier;
use folkmoot_wire::{InboxId, InstallationKey, MessageId};

use super::people::contacts::Contacts;
use crate::failure::{Exit, Failure};

/// What kind of account an identifier names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum IdentifierKind {
    /// An address: 0x and 40 hex digits
    #[default]
    Ethereum,
    /// The public key of a passkey, in hex digits
    Passkey,
}

impl std::fmt::Display for IdentifierKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Ethereum => "ethereum",
            Self::Passkey => "passkey",
        })
    }
}

impl IdentifierKind {
    /// The identifier that `text` names: as it is, or by the name of a contact.
    ///
    /// # Errors
    ///
    /// [`Failure`] when it names nobody.
    pub(crate) fn identifier(self, text: &str) -> anyhow::Result<Identifier> {
        match self {
            Self::Ethereum => account(text),
            Self::Passkey => {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                Ok(Identifier::passkey(digits, None).map_err(|_| {
                    Failure::new(
                        Exit::Usage,
                        format!("{text:?} is no passkey"),
                        "its public key in hex digits",
                    )
                })?)
            }
        }
    }
}

/// The account with an address, or of a contact.
///
/// # Errors
///
/// [`Failure`] when `text` is neither.
pub(crate) fn account(text: &str) -> anyhow::Result<Identifier> {
    if let Ok(identifier) = Identifier::ethereum(text) {
        return Ok(identifier);
    }
    if let Some(contact) = Contacts::load()?.get(text)
        && let Some(address) = &contact.address
    {
        return Identifier::ethereum(address)
            .with_context(|| format!("the address of the contact {text:?}"));
    }
    Err(Failure::new(
        Exit::Usage,
        format!("{text:?} is no address, and no contact with one"),
        "0x and 40 hex digits, or a name from `folkmoot contacts`",
    )
    .into())
}

/// The accounts with these addresses, or of these contacts.
pub(crate) fn accounts(texts: &[String]) -> anyhow::Result<Vec<Identifier>> {
    texts.iter().map(|text| account(text)).collect()
}

/// The inboxes of accounts.
///
/// # Errors
///
/// [`Failure`] for the first account that has none; what the network says.
pub(crate) async fn inboxes(
    client: &Client,
    identifiers: &[Identifier],
) -> anyhow::Result<Vec<InboxId>> {
    let found = client.directory().inbox_ids(identifiers).await?;
    let pairs = found.into_iter().zip(identifiers);
    pairs
        .map(|(inbox, identifier)| {
            Ok(inbox.ok_or_else(|| {
                Failure::new(
                    Exit::NotFound,
                    format!("{identifier} is not on this network"),
                    "somebody who is; `folkmoot xmtp can-message` tells",
                )
            })?)
        })
        .collect()
}

/// An inbox id, an address or a contact, as the inbox.
///
/// # Errors
///
/// [`Failure`] when it names nobody; what the network says.
pub(crate) async fn inbox(client: &Client, text: &str) -> anyhow::Result<InboxId> {
    if let Ok(inbox) = text.parse() {
        return Ok(inbox);
    }
    if let Some(contact) = Contacts::load()?.get(text)
        && let Some(inbox) = &contact.inbox
    {
        return inbox.parse().context("the inbox of the contact");
    }
    let identifier = account(text)?;
    Ok(inboxes(client, &[identifier]).await?[0])
}

/// Reads an inbox id, for clap.
pub(crate) fn inbox_id(text: &str) -> Result<InboxId, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
    digits
        .parse()
        .map_err(|_| "an inbox id has 64 hex digits".to_owned())
}

/// Reads an installation's id, for clap.
pub(crate) fn installation(text: &str) -> Result<InstallationKey, String> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bytes = hex::decode(digits).ok();
    bytes
        .and_then(|bytes| InstallationKey::try_from(&bytes[..]).ok())
        .ok_or_else(|| "an installation's id has 64 hex digits".to_owned())
}

/// Reads a message's id, for clap.
pub(crate) fn message_id(text: &str) -> Result<MessageId, String> {
    let digits = text.to_ascii_lowercase();
    digits
        .parse()
        .map_err(|_| "a message id has 64 hex digits".to_owned())
}

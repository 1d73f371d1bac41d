//! `folkmoot send NAME TEXT`.

use std::io::{IsTerminal as _, Read as _};

use clap::Args;
use folkmoot_client::{Client, Conversation, ConversationKind, Error, ListOptions, SendOptions};
use folkmoot_conversation::content::{Content, MAX_ENCODED_BYTES};
use folkmoot_wire::GroupId;

use super::{
    super::{
        conversation::send::require_sent,
        output::Output,
        run::{AsClient, Me},
        value::{object, visible},
        which, who,
    },
    contacts::Contacts,
};
use crate::failure::{Exit, Failure};

/// The arguments of `send`.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// To whom: a contact, a group's name, an address, an inbox id or a conversation's id
    #[arg(add = super::completions::conversations())]
    name: String,
    /// What to say; - reads it from standard input, and so does nothing where that is no terminal
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
    /// More words
    #[arg(value_name = "TEXT", allow_negative_numbers = true)]
    more: Vec<String>,
}

impl AsClient for Send {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let text = match self.text {
            Some(one) if one == "-" && self.more.is_empty() => standard_input()?,
            Some(first) => [vec![first], self.more].concat().join(" "),
            None if std::io::stdin().is_terminal() => String::new(),
            None => standard_input()?,
        };
        if text.is_empty() {
            return Err(Failure::new(Exit::Usage, "there is nothing to send", "some words").into());
        }
        let conversation = conversation(&me.client, &self.name).await?;
        let content = Content::text(text);
        let sent = conversation.send_or_queue(&content, SendOptions::default());
        let id = require_sent(sent.await?, &conversation, out)?;
        if out.is_json() {
            out.result(object! {
                "success" => true,
                "messageId" => id.to_string(),
                "conversationId" => conversation.id().to_string(),
            })?;
        } else {
            out.text(&format!("sent to {}", visible(&self.name)))?;
        }
        Ok(())
    }
}

fn standard_input() -> anyhow::Result<String> {
    let limit = u64::try_from(MAX_ENCODED_BYTES).unwrap_or(u64::MAX);
    let mut text = String::new();
    std::io::stdin().take(limit).read_to_string(&mut text)?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// The conversation that a person means: an existing one, or a new DM.
pub(super) async fn conversation(client: &Client, name: &str) -> anyhow::Result<Conversation> {
    let is_contact_of_people = match Contacts::load()?.get(name) {
        Some(contact) => contact.conversation.is_none(),
        None => false,
    };
    let is_group = name.parse::<GroupId>().is_ok() && name.len() == 32;
    let is_person = name.starts_with("0x") || name.parse::<folkmoot_wire::InboxId>().is_ok();
    if !is_group && (is_contact_of_people || is_person) {
        let peer = match who::inbox(client, name).await {
            Ok(peer) => peer,
            // Whom we know we can write to: it is sent when there is a network again.
            Err(cause) if is_of_network(&cause) => match known_dm(client, name).await? {
                Some(dm) => return Ok(dm),
                None => return Err(cause),
            },
            Err(cause) => return Err(cause),
        };
        return Ok(client.conversations().new_dm(peer).await?);
    }
    match which::find(client, name).await {
        Ok(found) => Ok(found),
        Err(error) => {
            // Perhaps we were invited to it since.
            if client.conversations().sync().await?.is_empty() {
                return Err(error);
            }
            which::find(client, name).await
        }
    }
}

/// Whether the network is what is missing.
pub(super) fn is_of_network(cause: &anyhow::Error) -> bool {
    matches!(cause.downcast_ref(), Some(Error::Network(cause)) if cause.is_retryable())
}

/// The DM with the person who has an account, as far as is known here.
async fn known_dm(client: &Client, name: &str) -> anyhow::Result<Option<Conversation>> {
    let account = who::account(name)?;
    let dms = ListOptions {
        kind: Some(ConversationKind::Dm),
        ..ListOptions::default()
    };
    for dm in client.conversations().list(&dms).await? {
        let Some(peer) = dm.peer() else { continue };
        let states = client.directory().cached_each(&[peer]).await?;
        let mut states = states.into_iter().filter_map(|state| state.ok().flatten());
        if states.any(|state| state.identifiers().contains(&account)) {
            return Ok(Some(dm));
        }
    }
    Ok(None)
}

//! Conversations as they are named on the command line.

use anyhow::Context as _;
use clap::Args;
use folkmoot_client::{Client, Conversation, ListOptions};
use folkmoot_conversation::{ConsentState, context::ConversationKind};
use folkmoot_wire::GroupId;

use super::{
    people::{completions, contacts::Contacts},
    who,
};
use crate::failure::{Exit, Failure};

/// The conversation that a command is about.
#[derive(Args, Clone, Debug)]
pub(crate) struct Which {
    /// The conversation: its id, or the name of a group or contact
    #[arg(value_name = "ID", add = completions::conversations())]
    pub(crate) id: String,
}

impl Which {
    /// Finds it.
    ///
    /// # Errors
    ///
    /// [`Failure`] when there is none, or when a name means several.
    pub(crate) async fn find(&self, client: &Client) -> anyhow::Result<Conversation> {
        find(client, &self.id).await
    }
}

/// The conversation with this id, or with this contact, or the group of this name: of those that
/// were allowed, if there is one, else of the others.
///
/// # Errors
///
/// [`Failure`] when there is none, or when a name means several.
pub(crate) async fn find(client: &Client, text: &str) -> anyhow::Result<Conversation> {
    let conversations = client.conversations();
    let id = text.to_ascii_lowercase().parse::<GroupId>();
    if let Ok(id) = id
        && text.len() == GROUP_ID_DIGITS
    {
        return Ok(conversations.get(&id).await?);
    }
    if let Some(contact) = Contacts::load()?.get(text) {
        if let Some(id) = &contact.conversation {
            let id: GroupId = id.parse().context("the conversation of the contact")?;
            return Ok(conversations.get(&id).await?);
        }
        let peer = who::inbox(client, text).await?;
        // Not a group of that name: anybody can make one, and what is for the contact is for
        // nobody else.
        return conversations.dm(peer).await?.ok_or_else(|| {
            Failure::new(
                Exit::NotFound,
                format!("there is no conversation with {text:?} yet"),
                "`folkmoot send`, or `folkmoot xmtp conversations create-dm`, begins one",
            )
            .into()
        });
    }
    let (mut named, mut of_strangers) = (Vec::new(), Vec::new());
    for conversation in conversations.list(&ListOptions::default()).await? {
        if conversation.name() == text {
            match conversation.consent().await? {
                ConsentState::Allowed => named.push(conversation),
                _ => of_strangers.push(conversation),
            }
        }
    }
    // Whoever invites us names their group as they like: it does not take the place of one of ours.
    if named.is_empty() {
        named = of_strangers;
    }
    match (named.pop(), named.len()) {
        (Some(found), 0) => Ok(found),
        (Some(_), others) => Err(Failure::new(
            Exit::Usage,
            format!("{} groups are called {text:?}", others + 1),
            "the id; `folkmoot xmtp conversations list` shows it",
        )
        .into()),
        (None, _) => Err(Failure::new(
            Exit::NotFound,
            format!("no conversation {text:?} here"),
            "`folkmoot xmtp conversations list --sync` shows those that there are",
        )
        .into()),
    }
}

/// The conversation, which must be a group.
///
/// # Errors
///
/// [`Failure`] for a DM.
pub(crate) fn group(conversation: Conversation) -> Result<Conversation, Failure> {
    match conversation.kind() {
        ConversationKind::Group => Ok(conversation),
        _ => Err(Failure::new(
            Exit::Refused,
            "this works for groups, and the conversation is a DM",
            "the id of a group",
        )),
    }
}

/// Groups have ids of 16 bytes.
const GROUP_ID_DIGITS: usize = 32;

//! What people are called on the screen.

use std::collections::BTreeMap;

use folkmoot_client::{Client, Conversation, EnrichedMessage};
use folkmoot_conversation::content::{Content, GroupUpdated};
use folkmoot_identity::Identifier;
use folkmoot_wire::InboxId;

use super::{
    super::{shapes, value::visible},
    contacts::Contacts,
};

/// Names by inbox, learned as they are needed.
pub(crate) struct Names {
    contacts: Contacts,
    known: BTreeMap<InboxId, String>,
}

impl Names {
    /// The names that contacts give; ourselves are "me".
    pub(crate) fn new(client: &Client) -> anyhow::Result<Self> {
        let contacts = Contacts::load()?;
        let by_inbox = contacts.iter().filter_map(|(name, contact)| {
            let inbox = contact.inbox.as_deref()?.parse().ok()?;
            Some((inbox, visible(name)))
        });
        let mut known: BTreeMap<_, _> = by_inbox.collect();
        known.insert(client.inbox_id(), "me".to_owned());
        Ok(Self { contacts, known })
    }

    /// The name of a member: a contact's, else the beginning of the address, else of the inbox.
    pub(crate) async fn of(&mut self, inbox: InboxId, conversation: &Conversation) -> String {
        if let Some(name) = self.known.get(&inbox) {
            return name.clone();
        }
        self.learn(conversation).await;
        let own = || shortened(&inbox.to_string());
        self.known.entry(inbox).or_insert_with(own).clone()
    }

    /// What a content says, in which a change of the group names people as they are called here.
    pub(crate) async fn words(
        &mut self,
        message: &EnrichedMessage,
        conversation: &Conversation,
    ) -> String {
        match &message.message.content {
            Content::GroupUpdated(updated) => self.change(updated, conversation).await,
            _ => shapes::words(message),
        }
    }

    /// What a change of a group says.
    pub(crate) async fn change(
        &mut self,
        updated: &GroupUpdated,
        conversation: &Conversation,
    ) -> String {
        self.learn(conversation).await;
        shapes::change_words(updated, &|inbox| match self.known.get(inbox) {
            Some(name) => name.clone(),
            None => shortened(&inbox.to_string()),
        })
    }

    /// Learns the names of the members.
    async fn learn(&mut self, conversation: &Conversation) {
        let inboxes = conversation.member_inboxes();
        if inboxes.iter().all(|inbox| self.known.contains_key(inbox)) {
            return;
        }
        // Without the network members may be unknown; then the inbox's id has to do.
        for member in conversation.members().await.unwrap_or_default() {
            let name = self.name(&member.identifiers, member.inbox_id);
            self.known.entry(member.inbox_id).or_insert(name);
        }
    }

    /// What a conversation is called: its name, or the other person's.
    pub(crate) async fn title(&mut self, conversation: &Conversation) -> String {
        let id = conversation.id().to_string();
        let named = self
            .contacts
            .iter()
            .find(|(_, contact)| contact.conversation.as_deref() == Some(&id));
        if let Some((name, _)) = named {
            return visible(name);
        }
        if let Some(peer) = conversation.peer() {
            return self.of(peer, conversation).await;
        }
        match conversation.name() {
            name if name.is_empty() => shortened(&id),
            name => visible(&name),
        }
    }

    fn name(&self, identifiers: &[Identifier], inbox: InboxId) -> String {
        for identifier in identifiers {
            let text = identifier.to_string();
            let contact = self
                .contacts
                .iter()
                .find(|(_, contact)| contact.address.as_deref() == Some(&text));
            if let Some((name, _)) = contact {
                return visible(name);
            }
        }
        match identifiers.first() {
            Some(identifier) => shortened(&identifier.to_string()),
            None => shortened(&inbox.to_string()),
        }
    }
}

/// The beginning and the end of an id.
fn shortened(id: &str) -> String {
    match (id.get(..6), id.get(id.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) if id.len() > 12 => format!("{start}…{end}"),
        _ => id.to_owned(),
    }
}

//! What people are called: names of contacts, else addresses, learned without waiting.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_client::{Client, Lookup, identity::InboxState};
use folkmoot_wire::{GroupId, InboxId};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::super::{
    event::Event,
    text::{Lines, clean},
};
use crate::xmtp::people::contacts::Contacts;

/// Who is called what.
pub(super) struct People {
    client: Client,
    contacts: Contacts,
    events: UnboundedSender<Event>,
    /// Those whose names were told, or are being looked for.
    asked: Mutex<BTreeSet<InboxId>>,
}

impl People {
    /// Those whom contacts name are told at once.
    pub(super) fn new(client: Client, events: UnboundedSender<Event>) -> anyhow::Result<Self> {
        let contacts = Contacts::load()?;
        let mut names = BTreeMap::new();
        for (name, contact) in contacts.iter() {
            let inbox = contact.inbox.as_deref();
            if let Some(inbox) = inbox.and_then(|inbox| inbox.parse().ok()) {
                names.insert(inbox, clean(name, Lines::One));
            }
        }
        let mut asked: BTreeSet<_> = names.keys().copied().collect();
        asked.insert(client.inbox_id());
        // Nobody listens when the program ends.
        drop(events.send(Event::Names(names.into_iter().collect())));
        Ok(Self {
            client,
            contacts,
            events,
            asked: Mutex::new(asked),
        })
    }

    /// What a contact calls a conversation.
    pub(super) fn of_conversation(&self, id: &GroupId) -> Option<String> {
        let id = id.to_string();
        let mut contacts = self.contacts.iter();
        let found = contacts.find(|(_, contact)| contact.conversation.as_ref() == Some(&id));
        found.map(|(name, _)| clean(name, Lines::One))
    }

    /// Finds out what these are called, and tells it. Those who are not known here are looked up
    /// on the network, and nobody waits for that.
    pub(super) async fn learn(&self, inboxes: impl IntoIterator<Item = InboxId>) {
        let new: Vec<_> = {
            let mut asked = self.asked.lock();
            let inboxes = inboxes.into_iter();
            inboxes.filter(|inbox| asked.insert(*inbox)).collect()
        };
        if new.is_empty() {
            return;
        }
        let known = self.client.inbox_states(&new, Lookup::Cached).await;
        let known = known.unwrap_or_else(|_| new.iter().map(|_| None).collect());
        let mut names = Vec::new();
        let mut strangers = Vec::new();
        for (inbox, state) in new.into_iter().zip(known) {
            match state {
                Some(state) => names.push((inbox, name(&self.contacts, inbox, &state))),
                None => strangers.push(inbox),
            }
        }
        drop(self.events.send(Event::Names(names)));
        if !strangers.is_empty() {
            self.look_up(strangers);
        }
    }

    fn look_up(&self, strangers: Vec<InboxId>) {
        let client = self.client.clone();
        let events = self.events.clone();
        let contacts = self.contacts.clone();
        tokio::spawn(async move {
            let Ok(states) = client.inbox_states(&strangers, Lookup::Network).await else {
                return;
            };
            let names = strangers.into_iter().zip(states);
            let names =
                names.filter_map(|(inbox, state)| Some((inbox, name(&contacts, inbox, &state?))));
            drop(events.send(Event::Names(names.collect())));
        });
    }
}

fn name(contacts: &Contacts, inbox: InboxId, state: &InboxState) -> String {
    let accounts = state.identifiers();
    let accounts: Vec<_> = accounts.iter().map(ToString::to_string).collect();
    for account in &accounts {
        let mut contacts = contacts.iter();
        let found = contacts.find(|(_, contact)| contact.address.as_ref() == Some(account));
        if let Some((name, _)) = found {
            return clean(name, Lines::One);
        }
    }
    let first = accounts.into_iter().next();
    let id = first.unwrap_or_else(|| inbox.to_string());
    match (id.get(..6), id.get(id.len().saturating_sub(4)..)) {
        (Some(start), Some(end)) if id.len() > 12 => format!("{start}…{end}"),
        _ => id,
    }
}

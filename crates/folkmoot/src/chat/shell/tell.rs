//! Telling the core what is there: conversations, messages, what a search finds.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use folkmoot_client::{Conversation, Error, ListOptions, SearchOptions};
use folkmoot_wire::{GroupId, InboxId, MessageId};

use super::{
    super::{
        event::{Event, Hit},
        model::{Chat, ChatKey, Edge},
    },
    act::Hands,
    load,
};
use crate::xmtp::follow;

/// Conversations that are told before the rest was read: a screen full.
const AT_ONCE: usize = 40;
/// Messages that a search shows.
const MOST_HITS: usize = 50;

impl Hands {
    /// Tells the core of all conversations.
    pub(super) async fn tell_all(&self) {
        let listed = self
            .client
            .conversations()
            .list(&ListOptions::default())
            .await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(cause) => return self.tell_failure(cause.into()),
        };
        let mut chats = Vec::with_capacity(listed.len());
        let mut people = BTreeSet::new();
        let first = !self.listed.swap(true, Ordering::Relaxed);
        for (at, conversation) in listed.iter().enumerate() {
            if first && at == AT_ONCE {
                // Nobody waits for what is far below.
                self.people.learn(people.clone()).await;
                self.tell(Event::Chats(chats.clone()));
            }
            match self.chat(conversation).await {
                Ok((chat, named)) => {
                    chats.push(chat);
                    people.extend(named);
                }
                Err(cause) => self.tell_failure(cause.into()),
            }
        }
        self.people.learn(people).await;
        self.tell(Event::Chats(chats));
    }

    /// Tells the core of a conversation, unless it is among those that were told.
    pub(super) async fn tell_chat(&self, id: &GroupId, told: &mut BTreeSet<ChatKey>) {
        // One that is not visible, or gone, is nothing to tell.
        let Ok(conversation) = self.get(id).await else {
            return;
        };
        if !told.insert(load::key(&conversation)) {
            return;
        }
        match self.chat(&conversation).await {
            Ok((chat, people)) => {
                self.people.learn(people).await;
                self.tell(Event::Chat(Box::new(chat)));
            }
            Err(cause) => self.tell_failure(cause.into()),
        }
    }

    pub(super) async fn chat(
        &self,
        conversation: &Conversation,
    ) -> Result<(Chat, BTreeSet<InboxId>), Error> {
        let read_ns = self.marks.lock().get(&load::key(conversation));
        let (mut chat, people) = load::chat(&self.client, conversation, read_ns).await?;
        if let Some(name) = self.people.of_conversation(conversation.id()) {
            chat.name = Some(name);
        }
        Ok((chat, people))
    }

    /// Loads the messages that are wanted, one window after the other, until the program ends.
    pub(super) async fn load_wanted(self: Arc<Self>) {
        let mut wishes = self.wanted.subscribe();
        while wishes.changed().await.is_ok() {
            let Some(wanted) = wishes.borrow_and_update().clone() else {
                continue;
            };
            let read_ns = self.marks.lock().get(&wanted.key);
            let loaded = async {
                let conversation = self.get(&wanted.id).await?;
                load::history(&self.client, &conversation, wanted.window, read_ns).await
            };
            match loaded.await {
                Ok((history, people)) => {
                    self.people.learn(people).await;
                    self.tell(Event::History(Box::new(history)));
                }
                Err(cause) => self.tell_failure(cause.into()),
            }
        }
    }

    /// Tells the core which messages to load towards an end of a conversation.
    pub(super) async fn turn(
        &self,
        key: ChatKey,
        id: &GroupId,
        to: Edge,
        newest_ns: u64,
        limit: usize,
    ) -> anyhow::Result<()> {
        let conversation = self.get(id).await?;
        let window = match to {
            Edge::First => load::first(&conversation, limit).await?,
            Edge::Last => load::next(&conversation, newest_ns, limit).await?,
        };
        self.tell(Event::Window(key, window));
        Ok(())
    }

    pub(super) async fn jump(&self, id: &GroupId, message: MessageId) -> anyhow::Result<()> {
        let conversation = self.get(id).await?;
        let target = self.client.conversations().message(&message).await?;
        let window = load::around(&conversation, &target).await?;
        let (chat, people) = self.chat(&conversation).await?;
        self.people.learn(people).await;
        self.tell(Event::Show {
            chat: Box::new(chat),
            target: Some((message, window)),
        });
        Ok(())
    }

    pub(super) async fn search(&self, query: String) -> anyhow::Result<()> {
        let options = SearchOptions {
            limit: Some(MOST_HITS),
            ..SearchOptions::default()
        };
        let mut hits = Vec::new();
        let mut people = BTreeSet::new();
        for message in self.client.search(&query, options).await? {
            let message = follow::with_all(&self.client, &message.id).await?;
            if message.deleted.is_some() {
                continue;
            }
            let Ok(conversation) = self.get(&message.message.conversation_id).await else {
                continue;
            };
            people.insert(message.message.sender);
            people.extend(conversation.peer());
            hits.push((conversation, message));
        }
        self.people.learn(people).await;
        let hits = hits.into_iter().map(|(conversation, message)| Hit {
            id: conversation.id().clone(),
            key: load::key(&conversation),
            message: message.message.id,
            sender: message.message.sender,
            sent_ns: message.message.sent_ns,
            body: load::said(&message),
        });
        let hits = hits.collect();
        self.tell(Event::Found { query, hits });
        Ok(())
    }
}

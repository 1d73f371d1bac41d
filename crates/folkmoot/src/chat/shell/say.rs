//! Saying something: stored at once and in order, then sent, and sent again when that failed.

use std::{collections::BTreeSet, sync::Arc};

use folkmoot_client::{Conversation, DeliveryStatus, Error, SendOptions};
use folkmoot_conversation::content::{
    Content, Markdown, Reaction, ReactionAction, ReactionSchema, Reply, Typing,
};
use folkmoot_wire::{GroupId, MessageId};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    super::event::{Effect, Event},
    act::Hands,
    watch::Touched,
};

impl Hands {
    /// Stores what is said in its order, and lets each be sent, until the program ends.
    pub(super) async fn say(self: Arc<Self>, mut said: UnboundedReceiver<Effect>) {
        while let Some(effect) = said.recv().await {
            self.tell(Event::Begun);
            match self.store(effect).await {
                Ok((conversation, message)) => {
                    self.tell(Event::Done(None));
                    self.touch(Touched::One(conversation.id().clone()));
                    let hands = Arc::clone(&self);
                    tokio::spawn(async move { hands.publish(&conversation, message).await });
                }
                Err(error) => self.tell_failure(error),
            }
        }
    }

    /// Stores what is said, to be sent.
    pub(super) async fn store(&self, effect: Effect) -> anyhow::Result<(Conversation, MessageId)> {
        let options = SendOptions::default();
        let (id, content) = match effect {
            Effect::Say { id, text, reply } => {
                let content = match reply {
                    None => Content::text(text),
                    Some((message, sender)) => {
                        let mut reply = Reply::new(message, &Content::text(text))?;
                        reply.reference_inbox_id = Some(sender.to_string());
                        Content::Reply(reply)
                    }
                };
                (id, content)
            }
            Effect::React {
                id,
                message,
                sender,
                emoji,
                remove,
            } => {
                let reaction = Reaction {
                    reference: message.to_string(),
                    reference_inbox_id: Some(sender.to_string()),
                    action: match remove {
                        true => ReactionAction::Removed,
                        false => ReactionAction::Added,
                    },
                    content: emoji,
                    schema: ReactionSchema::Unicode,
                };
                (id, Content::Reaction(reaction))
            }
            other => anyhow::bail!("{other:?} says nothing"),
        };
        let conversation = self.get(&id).await?;
        let message = conversation.send_optimistic(&content, options).await?;
        Ok((conversation, message))
    }

    /// Tells the others that something is being written.
    pub(super) async fn tell_typing(&self, id: &GroupId) -> Result<MessageId, Error> {
        let content = Content::Typing(Typing::Started);
        self.get(id).await?.send(&content).await
    }

    /// Sends what waits in a conversation, and tells when it could not be sent.
    pub(super) async fn publish(&self, conversation: &Conversation, message: MessageId) {
        match conversation.publish().await {
            Ok(()) => self.tell(Event::Flushed(vec![message])),
            Err(cause) => self.tell(Event::Unsent(message, cause.to_string())),
        }
        self.touch(Touched::One(conversation.id().clone()));
    }

    pub(super) async fn edit(
        &self,
        id: &GroupId,
        message: MessageId,
        text: String,
    ) -> anyhow::Result<()> {
        let edited = self.client.conversations().message(&message).await?;
        let content = match edited.content {
            Content::Markdown(_) => Content::Markdown(Markdown(text)),
            // What replaces a reply is one too, to the same message.
            Content::Reply(reply) => {
                let encoded = Content::text(text).encode()?;
                Content::Reply(Reply {
                    content: encoded,
                    ..reply
                })
            }
            _ => Content::text(text),
        };
        self.get(id).await?.edit_message(&message, &content).await?;
        self.touch(Touched::One(id.clone()));
        Ok(())
    }

    pub(super) async fn retry(&self, id: &GroupId, message: MessageId) -> anyhow::Result<()> {
        let conversation = self.get(id).await?;
        let stored = self.client.conversations().message(&message).await?;
        match stored.delivery {
            DeliveryStatus::Published => {}
            DeliveryStatus::Unpublished => self.publish(&conversation, message).await,
            // It is not queued any more: it is said anew, and the old one goes.
            DeliveryStatus::Failed => {
                let options = SendOptions::default();
                let new = conversation
                    .send_optimistic(&stored.content, options)
                    .await?;
                self.client
                    .conversations()
                    .delete_message_locally(&message)
                    .await?;
                self.publish(&conversation, new).await;
            }
        }
        Ok(())
    }

    /// Sends what waits, conversation by conversation.
    pub(super) async fn flush(&self, waiting: Vec<MessageId>) {
        let mut groups = BTreeSet::new();
        for message in waiting {
            let Ok(stored) = self.client.conversations().message(&message).await else {
                self.tell(Event::Flushed(vec![message]));
                continue;
            };
            let id = stored.conversation_id;
            let Ok(conversation) = self.get(&id).await else {
                continue;
            };
            if groups.insert(id) {
                self.publish(&conversation, message).await;
            } else {
                self.tell(Event::Flushed(vec![message]));
            }
        }
        // What the streams do not do: members' installations, what was left unsent before.
        if let Err(cause) = self.client.conversations().sync_all(&[]).await {
            tracing::debug!(%cause, "not everything could be fetched");
        }
    }
}

//! What happens, as events for the bot: messages in the order in which they became known here.
//!
//! Nothing is kept in memory for a slow bot but one page of the stream: the rest waits in the
//! database, and the place in it is remembered.

use std::{
    num::NonZeroUsize,
    time::{Duration, SystemTime},
};

use folkmoot_client::{
    Client, ConversationError, Error, LiveState, Message, MessageStream, StreamOptions,
    network::ConnectionState,
};
use folkmoot_conversation::{
    ConsentEntity, ConsentState,
    content::{Content, GroupUpdated, Reaction, ReactionAction, ReactionSchema},
};
use folkmoot_wire::InboxId;
use lru::LruCache;
use tokio::sync::watch;

use super::{
    backoff::Backoff,
    content::{content, summary, text},
    event::Event,
    say,
};
use crate::xmtp::{
    shapes,
    value::{Value, object},
};

/// Addresses that are remembered.
const ADDRESSES: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not 0");
/// Pauses before everything is synced again when that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// To whom the bot listens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Audience {
    /// To everybody who was not denied.
    Everybody,
    /// To people and conversations that were allowed.
    Allowed,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A message: its place in the stream, and what it is for the bot. Without events it is passed
    /// over.
    Message(u64, Box<Message>),
    /// Everything from before was handed over.
    CaughtUp,
}

/// The events for one bot, from one place on.
#[derive(Debug)]
pub(super) struct Feed {
    client: Client,
    audience: Audience,
    stream: MessageStream,
    synced: watch::Receiver<u64>,
    /// Which sync the bot was told of.
    told: u64,
    addresses: LruCache<InboxId, Option<String>>,
}

impl Feed {
    /// Events after `position`. `synced` counts how often everything was synced.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn after(
        position: u64,
        client: Client,
        audience: Audience,
        synced: watch::Receiver<u64>,
    ) -> Result<Self, Error> {
        let options = StreamOptions {
            without_own: true,
            after: Some(position),
            ..StreamOptions::default()
        };
        let stream = client.conversations().stream_all_messages(options).await?;
        Ok(Self {
            client,
            audience,
            stream,
            synced,
            told: 0,
            addresses: LruCache::new(ADDRESSES),
        })
    }

    /// What comes next; waits for it. Cancel safe.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn next(&mut self) -> Result<Next, Error> {
        loop {
            let synced = *self.synced.borrow_and_update();
            if synced != self.told {
                if let Some(message) = self.stream.try_next().await? {
                    return Ok(self.found(message));
                }
                self.told = synced;
                return Ok(Next::CaughtUp);
            }
            tokio::select! {
                message = self.stream.next() => {
                    let message = message?;
                    return Ok(self.found(message));
                }
                changed = self.synced.changed() => {
                    if changed.is_err() {
                        // Nobody syncs any more: the program ends.
                        std::future::pending::<()>().await;
                    }
                }
            }
        }
    }

    /// The next message if there is one already.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn next_now(&mut self) -> Result<Option<Next>, Error> {
        let message = self.stream.try_next().await?;
        Ok(message.map(|message| self.found(message)))
    }

    fn found(&self, message: Message) -> Next {
        let position = message.position.unwrap_or_else(|| self.stream.position());
        Next::Message(position, Box::new(message))
    }

    /// The events that a message is, with their ids; none when it is not for the bot.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(super) async fn events(
        &mut self,
        position: u64,
        message: &Message,
    ) -> Result<Vec<(String, Event)>, Error> {
        if !self.listens_to(message).await? || is_noise(&message.content) || has_expired(message) {
            return Ok(Vec::new());
        }
        let bodies = match &message.content {
            Content::GroupUpdated(updated) => self.changes(updated),
            Content::Reaction(reaction) => vec![reacted(message, reaction)],
            _ => vec![said(message)],
        };
        let common = match self.circumstances(message).await {
            Ok(common) => common,
            // It was deleted meanwhile.
            Err(Error::Conversation(ConversationError::NotFound(_))) => return Ok(Vec::new()),
            Err(cause @ Error::Database(_)) => return Err(cause),
            // One message must not end the bot, which would meet it again at each start.
            Err(cause) => {
                say(&format!("event {position} is passed over: {cause}"));
                return Ok(Vec::new());
            }
        };
        let several = bodies.len() > 1;
        let numbered = bodies.into_iter().enumerate().map(|(index, body)| {
            let id = match several {
                true => format!("{position}.{}", index + 1),
                false => position.to_string(),
            };
            let event = joined(&id, body, &common);
            (id, event)
        });
        Ok(numbered.collect())
    }

    async fn listens_to(&self, message: &Message) -> Result<bool, Error> {
        let conversations = self.client.conversations();
        let conversation = ConsentEntity::Conversation(message.conversation_id.clone());
        let conversation = conversations.consent(conversation).await?;
        let sender = ConsentEntity::Inbox(message.sender);
        let sender = conversations.consent(sender).await?;
        let either = |state| conversation == state || sender == state;
        Ok(match self.audience {
            _ if either(ConsentState::Denied) => false,
            Audience::Everybody => true,
            Audience::Allowed => either(ConsentState::Allowed),
        })
    }

    /// What a change of a group is: an event for each who joined, and one for everything else.
    fn changes(&self, updated: &GroupUpdated) -> Vec<Value> {
        let me = self.client.inbox_id();
        let mut bodies: Vec<_> = updated
            .added_inboxes
            .iter()
            .map(|inbox| {
                object! {
                    "type" => "member_joined",
                    "joinedInboxId" => inbox.to_string(),
                    "isSelf" => *inbox == me,
                }
            })
            .collect();
        let rest = GroupUpdated {
            added_inboxes: Vec::new(),
            ..updated.clone()
        };
        let nothing = GroupUpdated {
            initiated_by: updated.initiated_by,
            added_inboxes: Vec::new(),
            removed_inboxes: Vec::new(),
            metadata_field_changes: Vec::new(),
            left_inboxes: Vec::new(),
            added_admins: Vec::new(),
            removed_admins: Vec::new(),
            added_super_admins: Vec::new(),
            removed_super_admins: Vec::new(),
        };
        if rest != nothing {
            bodies.push(object! {
                "type" => "group_updated",
                "summary" => summary(&rest),
                "changes" => content(&Content::GroupUpdated(rest)),
            });
        }
        bodies
    }

    /// Where, by whom and when.
    async fn circumstances(&mut self, message: &Message) -> Result<Value, Error> {
        let conversations = self.client.conversations();
        let conversation = conversations.get(&message.conversation_id).await?;
        let name = conversation.name();
        let name = (!name.is_empty()).then_some(name);
        Ok(object! {
            "conversationId" => message.conversation_id.to_string(),
            "conversationKind" => shapes::kind(conversation.kind()),
            "conversationName" => name,
            "senderInboxId" => message.sender.to_string(),
            "senderAddress" => self.address(message.sender).await?,
            "sentAt" => shapes::iso(message.sent_ns),
            "sentAtNs" => Value::wide(message.sent_ns),
        })
    }

    /// The first account of an inbox, as far as it is known here.
    async fn address(&mut self, inbox: InboxId) -> Result<Option<String>, Error> {
        if let Some(known) = self.addresses.get(&inbox) {
            return Ok(known.clone());
        }
        let states = self.client.directory().cached_each(&[inbox]).await?;
        // A log that cannot be read costs the address, and not the event.
        let state = states.into_iter().find_map(Result::ok).flatten();
        let address = state.and_then(|state| Some(state.identifiers().first()?.to_string()));
        self.addresses.put(inbox, address.clone());
        Ok(address)
    }
}

/// What nobody wants to be woken for.
const fn is_noise(said: &Content) -> bool {
    matches!(
        said,
        Content::ReadReceipt(_) | Content::Typing(_) | Content::DeviceSync(_)
    )
}

/// Whether a message was to disappear while the bot was away.
fn has_expired(message: &Message) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_ns = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
    message.expire_ns.is_some_and(|at| at <= now_ns)
}

fn said(message: &Message) -> Value {
    let edits = match &message.content {
        Content::EditMessage(edit) => Some(edit.message_id.to_string()),
        _ => None,
    };
    let reply_to = match &message.content {
        Content::Reply(reply) => Some(reply.reference.clone()),
        _ => None,
    };
    object! {
        "type" => "message",
        "messageId" => message.id.to_string(),
        "replyTo" => reply_to,
        "edits" => edits,
        "contentType" => message.content_type.to_string(),
        "text" => text(&message.content),
        "content" => content(&message.content),
        "fallback" => message.fallback.clone(),
    }
}

fn reacted(message: &Message, reaction: &Reaction) -> Value {
    object! {
        "type" => "reaction",
        "messageId" => reaction.reference.as_str(),
        "reactionId" => message.id.to_string(),
        "emoji" => reaction.content.as_str(),
        "schema" => match reaction.schema {
            ReactionSchema::Unspecified => "unknown",
            ReactionSchema::Unicode => "unicode",
            ReactionSchema::Shortcode => "shortcode",
            ReactionSchema::Custom => "custom",
        },
        "action" => match reaction.action {
            ReactionAction::Unspecified => "unknown",
            ReactionAction::Added => "added",
            ReactionAction::Removed => "removed",
        },
    }
}

/// One object: the type, the id, the rest of the body, then the circumstances.
fn joined(id: &str, body: Value, common: &Value) -> Event {
    let mut fields = match body {
        Value::Object(fields) => fields,
        _ => Vec::new(),
    };
    fields.insert(1, ("id".into(), id.into()));
    if let Value::Object(common) = common {
        fields.extend(common.iter().cloned());
    }
    Event::new(Value::Object(fields))
}

/// Syncs everything whenever the connection is new, and counts that in `synced`. It does not end.
pub(super) async fn keep_synced(client: Client, stream: MessageStream, synced: watch::Sender<u64>) {
    let mut state = stream.watch_state();
    loop {
        let mut told = false;
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                LiveState::On {
                    connection: ConnectionState::Live,
                    caught_up: true,
                } => break,
                LiveState::On {
                    connection: ConnectionState::Interrupted { reason, .. },
                    ..
                } if !told => {
                    told = true;
                    say(&format!(
                        "the network does not answer, trying again: {reason}"
                    ));
                }
                _ => {}
            }
            // The sender lives as long as the stream.
            let _ = state.changed().await;
        }
        if told {
            say("the network answers again");
        }
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Err(cause) = client.conversations().sync_all(&[]).await {
            tracing::debug!(%cause, "not everything could be synced");
            if !cause.is_retryable() {
                // A conversation that is broken does not hold up the others.
                break;
            }
            tokio::time::sleep(backoff.pause()).await;
        }
        synced.send_modify(|count| *count += 1);
        let live = |state: &LiveState| {
            matches!(
                state,
                LiveState::On {
                    connection: ConnectionState::Live,
                    caught_up: true,
                }
            )
        };
        let _ = state.wait_for(|state| !live(state)).await;
    }
}

//! `folkmoot tail [NAME]`: what is said, as it is said.

use std::collections::{BTreeSet, VecDeque};

use clap::Args;
use folkmoot_client::{Conversation, EnrichedMessage, MessageQuery, Order, StreamOptions};
use folkmoot_conversation::content::Content;
use folkmoot_wire::{GroupId, MessageId};

use super::{
    super::{
        follow::{self, Follows, Next},
        run::Me,
        shapes::{self, Shape},
        value::Value,
        which,
    },
    names::Names,
    send::is_of_network,
};

/// The arguments of `tail`.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// Of which conversation: a contact, a group's name or an id [default: of all]
    #[arg(add = super::completions::conversations())]
    name: Option<String>,
    /// Begin with so many messages of before
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 10)]
    lines: usize,
    /// End after those
    #[arg(long)]
    no_follow: bool,
}

/// What is said, and how it is shown.
pub(crate) struct Source {
    screen: Screen,
    messages: follow::Messages,
    shown: Shown,
}

/// What was shown, and what is to be shown next.
pub(crate) struct Shown {
    /// Of which conversation, unless of all.
    only: Option<GroupId>,
    /// What was said before, and is not shown yet.
    before: VecDeque<EnrichedMessage>,
    /// What was shown of that: the stream may have it too.
    twice: BTreeSet<MessageId>,
    place: u64,
}

impl Follows for Tail {
    type Source = Source;
    type Place = Shown;

    async fn begin(&self, me: &Me, place: Option<Shown>, sync: bool) -> anyhow::Result<Source> {
        let conversations = me.client.conversations();
        if sync && let Err(cause) = conversations.sync_all(&[]).await {
            let cause = anyhow::Error::from(cause);
            if !(self.no_follow && is_of_network(&cause)) {
                return Err(cause);
            }
            eprintln!("{cause}: this is what is stored here");
        }
        let only = match (&place, &self.name) {
            // It may have another name by now.
            (Some(Shown { only, .. }), _) => match only {
                Some(id) => Some(conversations.get(id).await?),
                None => None,
            },
            (None, Some(name)) => Some(which::find(&me.client, name).await?),
            (None, None) => None,
        };
        let mut screen = Screen {
            names: Names::new(&me.client)?,
            all: only.is_none(),
            json: me.settings.network.form.json,
            known: Vec::new(),
        };
        let id = only.as_ref().map(|one| one.id().clone());
        let stream = conversations
            .stream_all_messages(StreamOptions {
                conversation: id.clone(),
                after: place.as_ref().map(|shown| shown.place),
                ..StreamOptions::default()
            })
            .await?;
        screen.known = match only {
            Some(one) => vec![one],
            None => conversations.list(&Default::default()).await?,
        };
        let shown = match place {
            Some(shown) => shown,
            None => Shown {
                only: id,
                // The stream has begun: what came since then is in both.
                before: self.before(&screen.known).await?,
                twice: BTreeSet::new(),
                place: stream.position(),
            },
        };
        Ok(Source {
            screen,
            messages: stream.into(),
            shown,
        })
    }

    async fn next(&self, me: &Me, source: &mut Source) -> anyhow::Result<Next> {
        if let Some(message) = source.shown.before.front() {
            let line = source.screen.line(me, message).await?;
            if let Some(message) = source.shown.before.pop_front() {
                source.shown.twice.insert(message.message.id);
            }
            return Ok(line.map_or(Next::Nothing, Next::Before));
        }
        if self.no_follow {
            return Ok(Next::End);
        }
        let message = source.messages.next(me).await?;
        let line = match source.shown.twice.contains(&message.message.id) {
            true => None,
            false => source.screen.line(me, &message).await?,
        };
        source.shown.twice.remove(&message.message.id);
        source.shown.place = source.messages.place();
        Ok(line.map_or(Next::Nothing, Next::Item))
    }

    fn leave(source: Source) -> Shown {
        source.shown
    }
}

impl Tail {
    /// The last messages of conversations, oldest first.
    async fn before(&self, chosen: &[Conversation]) -> anyhow::Result<VecDeque<EnrichedMessage>> {
        let mut before = Vec::new();
        for conversation in chosen {
            let query = MessageQuery {
                limit: Some(self.lines),
                order: Order::Descending,
                ..MessageQuery::default()
            };
            before.extend(conversation.enriched_messages(&query).await?);
        }
        before.sort_by_key(|message| message.message.sent_ns);
        let first = before.len().saturating_sub(self.lines);
        Ok(before.split_off(first).into())
    }
}

/// How lines are made.
pub(crate) struct Screen {
    names: Names,
    /// Lines name the conversation.
    all: bool,
    json: bool,
    known: Vec<Conversation>,
}

impl Screen {
    /// The line for a message; none for what is not to be shown.
    async fn line(&mut self, me: &Me, message: &EnrichedMessage) -> anyhow::Result<Option<Value>> {
        if self.json {
            return Ok(Some(shapes::message(message, Shape::StreamedOfAll)));
        }
        if matches!(message.message.content, Content::ReadReceipt(_)) {
            return Ok(None);
        }
        if message.is_change() {
            // It may have another name, and other members.
            let id = &message.message.conversation_id;
            self.known.retain(|one| one.id() != id);
        }
        let conversation = self
            .conversation(me, &message.message.conversation_id)
            .await?;
        let sender = self.names.of(message.message.sender, &conversation).await;
        let time = shapes::iso(message.message.sent_ns);
        // Day and minute are enough: 2026-01-31 12:34.
        let time = time.get(..16).unwrap_or(&time).replace('T', " ");
        let words = self.names.words(message, &conversation).await;
        Ok(Some(Value::Text(if self.all {
            let title = self.names.title(&conversation).await;
            format!("{time} [{title}] {sender}: {words}")
        } else {
            format!("{time} {sender}: {words}")
        })))
    }

    async fn conversation(&mut self, me: &Me, id: &GroupId) -> anyhow::Result<Conversation> {
        if let Some(known) = self.known.iter().find(|one| one.id() == id) {
            return Ok(known.clone());
        }
        let found = me.client.conversations().get(id).await?;
        self.known.push(found.clone());
        Ok(found)
    }
}

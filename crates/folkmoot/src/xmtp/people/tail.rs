//! `folkmoot tail [NAME]`: what is said, as it is said.

use std::collections::BTreeSet;

use clap::Args;
use folkmoot_client::{Conversation, EnrichedMessage, MessageQuery, Order, StreamOptions};
use folkmoot_conversation::content::Content;
use folkmoot_wire::GroupId;

use super::{
    super::{
        follow::{self, Until},
        output::Output,
        run::{AsClient, Me},
        shapes::{self, Shape},
        value::Value,
        which,
    },
    names::Names,
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
    #[command(flatten)]
    until: Until,
}

impl AsClient for Tail {
    const STAYS: bool = true;

    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversations = me.client.conversations();
        if !self.until.disable_sync {
            conversations.sync_all(&[]).await?;
        }
        let only = match &self.name {
            Some(name) => Some(which::find(&me.client, name).await?),
            None => None,
        };
        let mut screen = Screen {
            names: Names::new(&me.client)?,
            all: only.is_none(),
            json: out.is_json(),
            known: Vec::new(),
        };
        let mut stream = conversations
            .stream_all_messages(StreamOptions {
                conversation: only.as_ref().map(|one| one.id().clone()),
                ..StreamOptions::default()
            })
            .await?;
        let chosen = match only {
            Some(one) => vec![one],
            None => conversations.list(&Default::default()).await?,
        };
        let mut before = Vec::new();
        for conversation in &chosen {
            let query = MessageQuery {
                limit: Some(self.lines),
                order: Order::Descending,
                ..MessageQuery::default()
            };
            before.extend(conversation.enriched_messages(&query).await?);
        }
        screen.known = chosen;
        before.sort_by_key(|message| message.message.sent_ns);
        let first = before.len().saturating_sub(self.lines);
        // The stream has begun: what came since then is in both.
        let mut printed = BTreeSet::new();
        for message in &before[first..] {
            printed.insert(message.message.id);
            if let Some(line) = screen.line(me, message).await? {
                out.item(line)?;
            }
        }
        if self.no_follow {
            return Ok(());
        }
        let next = async || {
            let message = stream.next().await?;
            if printed.remove(&message.id) {
                return Ok(None);
            }
            let message = follow::enriched(&me.client, message).await?;
            screen.line(me, &message).await
        };
        self.until.follow(out, next).await
    }
}

/// How lines are made.
struct Screen {
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

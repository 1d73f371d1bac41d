//! `folkmoot xmtp conversations stream`, `stream-all-messages` and `stream-deletions`.

use std::collections::{BTreeSet, VecDeque};

use clap::Args;
use folkmoot_client::{
    ConversationStream, DeletionStream, KnownConversations, MessageStream, StreamOptions,
};
use folkmoot_conversation::content::Content;
use folkmoot_wire::MessageId;

use super::{
    super::{
        follow::{self, Follows, Next},
        run::Me,
        shapes::{self, Shape},
        value::object,
    },
    ConsentFilter, Kind,
};

/// The arguments of `stream`.
#[derive(Args, Debug)]
pub(crate) struct Stream {
    /// Only of this kind
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<Kind>,
}

impl Follows for Stream {
    type Source = ConversationStream;
    type Place = KnownConversations;

    async fn begin(
        &self,
        me: &Me,
        place: Option<KnownConversations>,
        sync: bool,
    ) -> anyhow::Result<ConversationStream> {
        let conversations = me.client.conversations();
        if sync {
            conversations.sync().await?;
        }
        let kind = self.kind.map(Into::into);
        Ok(match place {
            Some(known) => conversations.stream_after(kind, known).await?,
            None => conversations.stream(kind).await?,
        })
    }

    async fn next(&self, _: &Me, source: &mut ConversationStream) -> anyhow::Result<Next> {
        let conversation = source.next().await?;
        Ok(Next::Item(shapes::streamed_conversation(&conversation)))
    }

    fn leave(source: ConversationStream) -> KnownConversations {
        source.known()
    }
}

/// The arguments of `stream-all-messages`.
#[derive(Args, Debug)]
pub(crate) struct StreamAllMessages {
    /// Only of conversations of this kind
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<Kind>,
    #[command(flatten)]
    consent: ConsentFilter,
}

impl Follows for StreamAllMessages {
    type Source = follow::Messages;
    type Place = u64;

    async fn begin(
        &self,
        me: &Me,
        place: Option<u64>,
        sync: bool,
    ) -> anyhow::Result<follow::Messages> {
        let conversations = me.client.conversations();
        let consent = self.consent.states();
        if sync {
            conversations.sync_all(&consent).await?;
        }
        let options = StreamOptions {
            kind: self.kind.map(Into::into),
            consent,
            after: place,
            ..StreamOptions::default()
        };
        Ok(conversations.stream_all_messages(options).await?.into())
    }

    async fn next(&self, me: &Me, source: &mut follow::Messages) -> anyhow::Result<Next> {
        let message = source.next(me).await?;
        let shown = shapes::message(&message, Shape::StreamedOfAll);
        Ok(Next::Item(shown))
    }

    fn leave(source: follow::Messages) -> u64 {
        source.place()
    }
}

/// The arguments of `stream-deletions`.
#[derive(Args, Debug)]
pub(crate) struct StreamDeletions {}

/// Deletions: those that are told, and those that came while others were let in.
pub(crate) struct Deletions {
    told: DeletionStream,
    /// Tells the place, and what came meanwhile.
    messages: MessageStream,
    waiting: VecDeque<MessageId>,
    /// Those that were found by their messages, and may be told as well.
    found: BTreeSet<MessageId>,
}

impl Deletions {
    /// What is told next. Cancel safe.
    async fn told(&mut self) -> anyhow::Result<()> {
        let deleted = self.told.next().await?;
        self.take(deleted);
        Ok(())
    }

    fn take(&mut self, deleted: MessageId) {
        if !self.found.remove(&deleted) {
            self.waiting.push_back(deleted);
        }
    }
}

impl Follows for StreamDeletions {
    type Source = Deletions;
    type Place = (u64, VecDeque<MessageId>);

    async fn begin(
        &self,
        me: &Me,
        place: Option<(u64, VecDeque<MessageId>)>,
        sync: bool,
    ) -> anyhow::Result<Deletions> {
        let conversations = me.client.conversations();
        // First, so that nothing that the sync brings is missed.
        let told = conversations.stream_deletions().await?;
        if sync {
            conversations.sync_all(&[]).await?;
        }
        let (after, mut waiting) =
            place.map_or_else(Default::default, |(after, waiting)| (Some(after), waiting));
        let mut found = BTreeSet::new();
        let mut messages = conversations
            .stream_all_messages(StreamOptions {
                after,
                ..StreamOptions::default()
            })
            .await?;
        while let Some(message) = messages.try_next().await? {
            let Content::DeleteMessage(deletion) = &message.content else {
                continue;
            };
            let target = conversations.enriched_message(&deletion.message_id).await;
            let id = deletion.message_id;
            let is_deleted = target.is_ok_and(|target| target.deleted.is_some());
            if is_deleted && !waiting.contains(&id) {
                found.insert(id);
                waiting.push_back(id);
            }
        }
        Ok(Deletions {
            told,
            messages,
            waiting,
            found,
        })
    }

    async fn next(&self, _: &Me, source: &mut Deletions) -> anyhow::Result<Next> {
        if source.waiting.is_empty() {
            source.told().await?;
        }
        // What was told need not be looked for later.
        while source.messages.try_next().await?.is_some() {}
        Ok(match source.waiting.pop_front() {
            Some(id) => Next::Item(object! { "type" => "deleted", "id" => id.to_string() }),
            None => Next::Nothing,
        })
    }

    fn leave(mut source: Deletions) -> (u64, VecDeque<MessageId>) {
        while let Some(deleted) = source.told.try_next() {
            source.take(deleted);
        }
        (source.messages.position(), source.waiting)
    }
}

//! Reading: messages, members, streams.

use clap::{Args, ValueEnum};
use folkmoot_client::{MessageQuery, Order, SortBy, StreamOptions};
use folkmoot_wire::GroupId;

use super::{
    super::{
        follow::{self, Follows, Next},
        output::Output,
        run::{AsClient, Me},
        shapes::{self, MemberShape, Shape},
        value::{Value, object},
        which::Which,
    },
    filter::Filter,
};

/// The arguments of `messages`.
#[derive(Args, Debug)]
pub(crate) struct Messages {
    #[command(flatten)]
    which: Which,
    /// Fetch first what is new
    #[arg(long)]
    sync: bool,
    /// At most so many
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Oldest or newest first
    #[arg(long, value_name = "DIRECTION", default_value = "descending")]
    direction: Direction,
    /// By what they are sorted
    #[arg(long, value_name = "FIELD")]
    sort_by: Option<Field>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Direction {
    /// Oldest first
    Ascending,
    /// Newest first
    Descending,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Field {
    /// When they were sent
    SentAt,
    /// When they were stored here
    InsertedAt,
}

impl AsClient for Messages {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        if self.sync {
            conversation.sync().await?;
        }
        let query = MessageQuery {
            limit: self.limit,
            order: match self.direction {
                Direction::Ascending => Order::Ascending,
                Direction::Descending => Order::Descending,
            },
            sort_by: match self.sort_by {
                None | Some(Field::SentAt) => SortBy::SentAt,
                Some(Field::InsertedAt) => SortBy::InsertedAt,
            },
            ..self.filter.query()
        };
        let messages = conversation.enriched_messages(&query).await?;
        let rows = messages.iter();
        out.result(Value::list(
            rows.map(|message| shapes::message(message, Shape::Listed)),
        ))?;
        Ok(())
    }
}

/// The arguments of `count-messages`.
#[derive(Args, Debug)]
pub(crate) struct CountMessages {
    #[command(flatten)]
    which: Which,
    /// Fetch first what is new
    #[arg(long)]
    sync: bool,
    #[command(flatten)]
    filter: Filter,
}

impl AsClient for CountMessages {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        if self.sync {
            conversation.sync().await?;
        }
        let count = conversation.count_messages(&self.filter.query()).await?;
        out.result(object! {
            "conversationId" => conversation.id().to_string(),
            "messageCount" => usize::try_from(count).unwrap_or(usize::MAX),
        })?;
        Ok(())
    }
}

/// The arguments of `members`.
#[derive(Args, Debug)]
pub(crate) struct Members {
    #[command(flatten)]
    which: Which,
    /// Fetch first what is new
    #[arg(long)]
    sync: bool,
}

impl AsClient for Members {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        if self.sync {
            conversation.sync().await?;
        }
        let members = conversation.members().await?;
        out.result(shapes::members(&members, MemberShape::Full))?;
        Ok(())
    }
}

/// The arguments of `stream`.
#[derive(Args, Debug)]
pub(crate) struct Stream {
    #[command(flatten)]
    which: Which,
}

impl Follows for Stream {
    type Source = (GroupId, follow::Messages);
    type Place = (GroupId, u64);

    async fn begin(
        &self,
        me: &Me,
        place: Option<(GroupId, u64)>,
        sync: bool,
    ) -> anyhow::Result<(GroupId, follow::Messages)> {
        let (conversation, after) = match place {
            // It may have another name by now.
            Some((id, after)) => (me.client.conversations().get(&id).await?, Some(after)),
            None => (self.which.find(&me.client).await?, None),
        };
        if sync {
            conversation.sync().await?;
        }
        let options = StreamOptions {
            after,
            ..StreamOptions::default()
        };
        let stream = conversation.stream(options).await?;
        Ok((conversation.id().clone(), stream.into()))
    }

    async fn next(
        &self,
        me: &Me,
        (_, source): &mut (GroupId, follow::Messages),
    ) -> anyhow::Result<Next> {
        let message = source.next(me).await?;
        Ok(Next::Item(shapes::message(&message, Shape::Streamed)))
    }

    fn leave((id, source): (GroupId, follow::Messages)) -> (GroupId, u64) {
        (id, source.place())
    }
}

/// The arguments of `sync`.
#[derive(Args, Debug)]
pub(crate) struct Sync {
    #[command(flatten)]
    which: Which,
}

impl AsClient for Sync {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        conversation.sync().await?;
        out.result(object! {
            "success" => true,
            "conversationId" => conversation.id().to_string(),
            "message" => "Conversation synced successfully",
        })?;
        Ok(())
    }
}

/// The arguments of `last-read-times`.
#[derive(Args, Debug)]
pub(crate) struct LastReadTimes {
    #[command(flatten)]
    which: Which,
}

impl AsClient for LastReadTimes {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let times = conversation.last_read_times().await?.into_iter();
        let times = times.map(|(inbox, ns)| {
            object! { "inboxId" => inbox.to_string(), "lastReadAt" => shapes::iso(ns) }
        });
        out.result(Value::list(times))?;
        Ok(())
    }
}

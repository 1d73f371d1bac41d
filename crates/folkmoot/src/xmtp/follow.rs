//! Streams on the command line: one line for each item, until a count, a time or Ctrl-C.
//!
//! A stream keeps the database to itself only as long as nobody else wants it (see [`turns`]): when
//! somebody knocks it remembers its place, closes the client, and goes on there when they have gone.
//! Lines are written beside that, since the reader of a full pipe may be who knocks.
//!
//! [`turns`]: super::turns

use std::{
    io::{self, Write},
    pin::pin,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use folkmoot_client::{Client, EnrichedMessage, Error, Message, MessageQuery, MessageStream};
use folkmoot_conversation::content::Content;
use folkmoot_wire::MessageId;

use super::{run::Me, settings::ClientArgs, turns::Door, value::Value};

/// When a stream ends.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Until {
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Stop after so many items
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Do not fetch first what came before
    #[arg(long)]
    pub(crate) disable_sync: bool,
}

/// A command that streams.
pub(crate) trait Follows: Args {
    /// What it listens to.
    type Source;
    /// Where another source goes on.
    type Place;

    /// Begins. `place` is where an earlier source was left; what came before is fetched only if
    /// there was none and `sync` is set.
    async fn begin(
        &self,
        me: &Me,
        place: Option<Self::Place>,
        sync: bool,
    ) -> anyhow::Result<Self::Source>;

    /// What comes next; waits for it. Nothing may be lost when it is dropped.
    async fn next(&self, me: &Me, source: &mut Self::Source) -> anyhow::Result<Next>;

    /// The place after what [`Follows::next`] gave.
    fn leave(source: Self::Source) -> Self::Place;
}

/// What a stream says.
pub(crate) enum Next {
    /// A line that counts.
    Item(Value),
    /// A line about what was before.
    Before(Value),
    /// Nothing that is to be shown.
    Nothing,
    /// There is no more.
    End,
}

/// A command that streams, with its flags.
#[derive(Args, Debug)]
pub(crate) struct Following<T: Args> {
    #[command(flatten)]
    own: T,
    #[command(flatten)]
    until: Until,
    #[command(flatten)]
    common: ClientArgs,
}

impl<T: Follows> Following<T> {
    /// Opens the client, writes to standard output until it is enough, and closes the client.
    pub(crate) async fn run(self, _: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let settings = self.common.settle()?;
        let mut me = Some(Me {
            client: settings.open(true).await?,
            settings,
        });
        let done = self.follow(&mut me).await;
        if let Some(me) = me {
            me.client.close().await;
        }
        done
    }

    async fn follow(&self, me: &mut Option<Me>) -> anyhow::Result<()> {
        let Some(open) = me else { return Ok(()) };
        let form = open.settings.network.form.clone();
        let door = Door::open(&open.settings.database).await;
        let mut session = Session {
            own: &self.own,
            door: door.map_err(Error::from)?,
            source: Some(self.own.begin(open, None, !self.until.disable_sync).await?),
            me,
        };
        let mut left = self.until.count.filter(|count| *count > 0);
        let mut end = pin!(self.until.end());
        loop {
            let next = tokio::select! {
                biased;
                () = &mut end => return Ok(()),
                next = session.next() => next?,
            };
            let (line, counts) = match next {
                Next::Item(value) => (form.item(value), true),
                Next::Before(value) => (form.item(value), false),
                Next::Nothing => continue,
                Next::End => return Ok(()),
            };
            tokio::select! {
                biased;
                () = &mut end => return Ok(()),
                written = session.write(line) => written?,
            }
            if let Some(left) = left.as_mut().filter(|_| counts) {
                *left -= 1;
                if *left == 0 {
                    return Ok(());
                }
            }
        }
    }
}

impl Until {
    /// The time is over, or somebody presses Ctrl-C.
    async fn end(&self) {
        let time = async {
            match self.timeout.filter(|seconds| *seconds > 0) {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

/// A stream at work. Client and source are there except while others are let in.
struct Session<'a, T: Follows> {
    own: &'a T,
    door: Option<Door>,
    me: &'a mut Option<Me>,
    source: Option<T::Source>,
}

impl<T: Follows> Session<'_, T> {
    /// What comes next. Meanwhile others are let in.
    async fn next(&mut self) -> anyhow::Result<Next> {
        loop {
            let (Some(me), Some(source)) = (&*self.me, &mut self.source) else {
                return Ok(Next::End);
            };
            tokio::select! {
                biased;
                () = knocked(&mut self.door) => {}
                next = self.own.next(me, source) => return next,
                cause = me.client.revoked() => {
                    return Err(Error::from(cause).into());
                }
            }
            self.let_in().await?;
        }
    }

    /// Writes a line. Meanwhile others are let in: the one who reads may be the one who knocks.
    async fn write(&mut self, line: String) -> anyhow::Result<()> {
        let mut written = tokio::task::spawn_blocking(move || {
            let mut out = io::stdout().lock();
            out.write_all(line.as_bytes())?;
            out.flush()
        });
        loop {
            tokio::select! {
                biased;
                written = &mut written => return Ok(written.context("write a line")??),
                () = knocked(&mut self.door) => {}
            }
            self.let_in().await?;
        }
    }

    /// Closes the database, waits until those who knocked are done with it, and goes on.
    async fn let_in(&mut self) -> anyhow::Result<()> {
        let (Some(me), Some(source)) = (self.me.take(), self.source.take()) else {
            return Ok(());
        };
        let place = T::leave(source);
        let Me { client, settings } = me;
        client.close().await;
        if let Some(door) = &mut self.door {
            door.silence().await;
        }
        let me = self.me.insert(Me {
            client: settings.open_again().await?,
            settings,
        });
        self.source = Some(self.own.begin(me, Some(place), false).await?);
        Ok(())
    }
}

async fn knocked(door: &mut Option<Door>) {
    match door {
        Some(door) => door.knocked().await,
        None => std::future::pending().await,
    }
}

/// A stream of messages that remembers which one was shown last.
pub(crate) struct Messages {
    stream: MessageStream,
    place: u64,
}

impl From<MessageStream> for Messages {
    fn from(stream: MessageStream) -> Self {
        Self {
            place: stream.position(),
            stream,
        }
    }
}

impl Messages {
    /// The next message, with what it replies to; waits for it. Cancel safe, unless it is used on
    /// after that: a source that begins at the place gives the same message again.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub(crate) async fn next(&mut self, me: &Me) -> anyhow::Result<EnrichedMessage> {
        let message = self.stream.next().await?;
        let message = enriched(&me.client, message).await?;
        self.place = self.stream.position();
        Ok(message)
    }

    /// The place of the last message that [`Messages::next`] gave.
    pub(crate) const fn place(&self) -> u64 {
        self.place
    }
}

/// A message of a stream, with what it replies to.
///
/// # Errors
///
/// What the database says.
pub(crate) async fn enriched(client: &Client, message: Message) -> anyhow::Result<EnrichedMessage> {
    let in_reply_to = match (&message.content, message.reference) {
        (Content::Reply(_), Some(reference)) => {
            answered(client, &message, &reference).await.map(Box::new)
        }
        _ => None,
    };
    Ok(EnrichedMessage {
        message,
        reactions: Vec::new(),
        replies: 0,
        in_reply_to,
        deleted: None,
        edited: None,
    })
}

/// What a reply answers, as it stands now: of the same conversation, and not taken back.
async fn answered(client: &Client, reply: &Message, id: &MessageId) -> Option<Message> {
    let found = client.conversations().message(id).await.ok()?;
    let found = listed(client, &found).await.ok()??;
    if found.message.conversation_id != reply.conversation_id {
        let conversations = client.conversations();
        let here = conversations.get(&reply.conversation_id).await.ok()?;
        let there = conversations
            .get(&found.message.conversation_id)
            .await
            .ok()?;
        if here.dm_id().is_none() || here.dm_id() != there.dm_id() {
            return None;
        }
    }
    let mut message = found.message;
    if let Some(edited) = found.edited {
        message.content = edited;
    }
    found.deleted.is_none().then_some(message)
}

/// A message with everything that was said about it.
///
/// # Errors
///
/// When there is none; what the database says.
pub(crate) async fn with_all(client: &Client, id: &MessageId) -> anyhow::Result<EnrichedMessage> {
    let message = client.conversations().message(id).await?;
    match listed(client, &message).await? {
        Some(found) => Ok(found),
        // Reactions and the like are no rows of their own.
        None => enriched(client, message).await,
    }
}

/// The same message as its conversation lists it.
async fn listed(client: &Client, message: &Message) -> anyhow::Result<Option<EnrichedMessage>> {
    let conversation = client.conversations().get(&message.conversation_id).await?;
    let query = MessageQuery {
        sent_after_ns: Some(message.sent_ns.saturating_sub(1)),
        sent_before_ns: Some(message.sent_ns.saturating_add(1)),
        ..MessageQuery::default()
    };
    let around = conversation.enriched_messages(&query).await?;
    let mut around = around.into_iter();
    Ok(around.find(|found| found.message.id == message.id))
}

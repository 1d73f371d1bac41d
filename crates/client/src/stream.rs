//! Streams: what happens, as it happens.
//!
//! A stream reads the database in the order in which messages became known here and is woken when
//! there is more, so it misses nothing, however slow its reader and however often the connection
//! is cut, and it can go on where an earlier one ended ([`MessageStream::position`]). As long as
//! one lives the client listens to the network.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use folkmoot_conversation::{ConsentRecord, ConsentState, context::ConversationKind};
use folkmoot_wire::{GroupId, MessageId};
use futures::stream::{self, Stream};
use tokio::sync::{broadcast, mpsc, watch};

use crate::{
    Error, consent,
    conversation::{
        Conversation,
        changes::Change,
        core::Core,
        live::{LiveGuard, LiveState},
        rows,
    },
    message::{self, Message, MessageKind},
};

/// Which messages a stream shows. The default is all of groups and DMs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StreamOptions {
    /// Only of this conversation, with the copies of a DM.
    pub conversation: Option<GroupId>,
    /// Only of conversations of this kind.
    pub kind: Option<ConversationKind>,
    /// Only of conversations with one of these consents. Empty: whatever the consent.
    pub consent: Vec<ConsentState>,
    /// Leave out what this inbox sent.
    pub without_own: bool,
    /// Leave out entries made from commits.
    pub without_changes: bool,
    /// Begin after this place (see [`Message::position`]); otherwise with what comes next.
    pub after: Option<u64>,
}

/// Messages, one after the other, without end.
#[derive(Debug)]
pub struct MessageStream {
    core: Arc<Core>,
    _guard: Arc<LiveGuard>,
    options: StreamOptions,
    waiting: VecDeque<Message>,
    news: watch::Receiver<()>,
    /// Everything was read of which there were news.
    drained: bool,
    read_to: u64,
    position: u64,
    filter: Filter,
}

/// Messages read at once.
const PAGE: usize = 256;

/// What is known about conversations, for filters.
#[derive(Debug, Default)]
struct Filter {
    kinds: BTreeMap<GroupId, ConversationKind>,
    only: Option<BTreeSet<GroupId>>,
}

impl MessageStream {
    pub(crate) async fn start(core: Arc<Core>, options: StreamOptions) -> Result<Self, Error> {
        let news = core.changes.messages();
        let position = match options.after {
            Some(position) => position,
            None => core.db.read(|db| Ok(message::position(db)?)).await?,
        };
        let guard = core.listen().await?;
        Ok(Self {
            core,
            _guard: guard,
            options,
            waiting: VecDeque::new(),
            news,
            drained: false,
            read_to: position,
            position,
            filter: Filter::default(),
        })
    }

    /// The next message; waits for it. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Revoked`](crate::identity::IdentityError::Revoked) when nothing more can
    /// come to this installation, each time. What the database says: the stream can be used on.
    pub async fn next(&mut self) -> Result<Message, Error> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                self.position = message.position.unwrap_or(self.position);
                return Ok(message);
            }
            if self.drained {
                // The sender lives in `core`, which we hold.
                tokio::select! {
                    _ = self.news.changed() => {}
                    () = self.core.lost_rights() => self.core.require_rights().await?,
                }
            }
            self.drained = false;
            self.news.mark_unchanged();
            self.drained = self.read().await? < PAGE;
        }
    }

    /// The next message, if it is known already. Cancel safe.
    ///
    /// # Errors
    ///
    /// What the database says. The stream can be used on.
    pub async fn try_next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                self.position = message.position.unwrap_or(self.position);
                return Ok(Some(message));
            }
            if self.read().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The place of the last message that [`MessageStream::next`] gave out, to begin another
    /// stream after it.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// How the client listens.
    #[must_use]
    pub fn state(&self) -> LiveState {
        self.core.live.watch().borrow().clone()
    }

    /// Follows how the client listens.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<LiveState> {
        self.core.live.watch()
    }

    /// Reads on in the database. Returns how many messages there were before filtering.
    async fn read(&mut self) -> Result<usize, Error> {
        let after = self.read_to;
        let consents = !self.options.consent.is_empty();
        let (messages, consents) = self
            .core
            .db
            .read(move |db| {
                let messages = message::after_position(db, after, PAGE)?;
                let consents = if consents && !messages.is_empty() {
                    consent::of_conversations(db)?
                } else {
                    BTreeMap::new()
                };
                Ok((messages, consents))
            })
            .await?;
        let count = messages.len();
        let unknown = messages
            .iter()
            .any(|message| !self.filter.kinds.contains_key(&message.conversation_id));
        if unknown {
            self.look_up_conversations().await?;
        }
        let me = self.core.me.inbox_id();
        for message in messages {
            self.read_to = message.position.unwrap_or(self.read_to);
            let id = &message.conversation_id;
            let kind = self.filter.kinds.get(id).copied();
            let consent = consents.get(id).copied().unwrap_or_default();
            let wanted = kind.is_some_and(ConversationKind::is_visible)
                && (self.options.kind.is_none() || self.options.kind == kind)
                && (self.options.consent.is_empty() || self.options.consent.contains(&consent))
                && self
                    .filter
                    .only
                    .as_ref()
                    .is_none_or(|only| only.contains(id))
                && !(self.options.without_own && message.sender == me)
                && !(self.options.without_changes && message.kind == MessageKind::MembershipChange);
            if wanted {
                self.waiting.push_back(message);
            }
        }
        Ok(count)
    }

    async fn look_up_conversations(&mut self) -> Result<(), Error> {
        let rows = self.core.db.read(|db| Ok(rows::conversations(db)?)).await?;
        self.filter.kinds = rows.iter().map(|row| (row.id.clone(), row.kind)).collect();
        if let Some(id) = &self.options.conversation {
            let dm_id = rows
                .iter()
                .find(|row| row.id == *id)
                .and_then(|row| row.dm_id.clone());
            let only = rows
                .iter()
                .filter(|row| row.id == *id || (dm_id.is_some() && row.dm_id == dm_id));
            self.filter.only = Some(only.map(|row| row.id.clone()).collect());
        }
        Ok(())
    }

    /// The same as a [`Stream`], for what `futures` and its like do with streams: it has no end, and
    /// goes on after an error.
    #[must_use = "a stream does nothing unless it is polled"]
    pub fn into_stream(self) -> impl Stream<Item = Result<Message, Error>> + Send + Unpin {
        let next = |mut this: Self| async move {
            let next = this.next().await;
            Some((next, this))
        };
        Box::pin(stream::unfold(self, next))
    }
}

/// Conversations that are new to this client, without end.
#[derive(Debug)]
pub struct ConversationStream {
    core: Arc<Core>,
    _guard: Arc<LiveGuard>,
    kind: Option<ConversationKind>,
    changes: broadcast::Receiver<Change>,
    waiting: VecDeque<GroupId>,
    known: KnownConversations,
    /// News were missed, and nobody has looked yet what they were.
    behind: bool,
}

/// Which conversations a stream has shown, or found when it began.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KnownConversations {
    ids: BTreeSet<GroupId>,
    dms: BTreeSet<String>,
}

impl ConversationStream {
    /// Without `known`, what is there is known.
    pub(crate) async fn start(
        core: Arc<Core>,
        kind: Option<ConversationKind>,
        known: Option<KnownConversations>,
    ) -> Result<Self, Error> {
        let changes = core.changes.listen();
        let goes_on = known.is_some();
        let known = match known {
            Some(known) => known,
            None => {
                let rows = core.db.read(|db| Ok(rows::conversations(db)?)).await?;
                KnownConversations {
                    ids: rows.iter().map(|row| row.id.clone()).collect(),
                    dms: rows.into_iter().filter_map(|row| row.dm_id).collect(),
                }
            }
        };
        let guard = core.listen().await?;
        let mut stream = Self {
            core,
            _guard: guard,
            kind,
            changes,
            waiting: VecDeque::new(),
            known,
            behind: false,
        };
        if goes_on {
            stream.catch_up().await?;
        }
        Ok(stream)
    }

    /// What needs no showing any more, for another stream that goes on where this one is.
    #[must_use]
    pub fn known(&self) -> KnownConversations {
        self.known.clone()
    }

    /// The next conversation; waits for it. Another copy of a known DM is none. Cancel safe.
    ///
    /// # Errors
    ///
    /// As of [`MessageStream::next`].
    pub async fn next(&mut self) -> Result<Conversation, Error> {
        loop {
            if self.behind {
                self.catch_up().await?;
            }
            while let Some(id) = self.waiting.front().cloned() {
                let wanted = id.clone();
                let row = self
                    .core
                    .db
                    .read(move |db| Ok(rows::conversation(db, &wanted)?))
                    .await?;
                self.waiting.pop_front();
                let Some(row) = row else { continue };
                let new = self.known.ids.insert(id);
                let new_dm = match &row.dm_id {
                    Some(dm_id) => self.known.dms.insert(dm_id.clone()),
                    None => true,
                };
                let wanted = self.kind.is_none() || self.kind == Some(row.kind);
                if new && new_dm && wanted && row.kind.is_visible() {
                    return Ok(Conversation::new(Arc::clone(&self.core), row));
                }
            }
            let change = tokio::select! {
                change = self.changes.recv() => change,
                () = self.core.lost_rights() => {
                    self.core.require_rights().await?;
                    continue;
                }
            };
            match change {
                Ok(Change::ConversationAdded(id)) => self.waiting.push_back(id),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                // The sender lives in `core`, which we hold.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// News were missed: whatever is not known is new.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let mut rows = self.core.db.read(|db| Ok(rows::conversations(db)?)).await?;
        rows.retain(|row| !self.known.ids.contains(&row.id));
        rows.sort_by_key(|row| row.created_ns);
        self.waiting.extend(rows.into_iter().map(|row| row.id));
        self.behind = false;
        Ok(())
    }

    /// The same as a [`Stream`], for what `futures` and its like do with streams: it has no
    /// end, and goes on after an error.
    #[must_use = "a stream does nothing unless it is polled"]
    pub fn into_stream(self) -> impl Stream<Item = Result<Conversation, Error>> + Send + Unpin {
        let next = |mut this: Self| async move {
            let next = this.next().await;
            Some((next, this))
        };
        Box::pin(stream::unfold(self, next))
    }
}

/// Changes of consent, without end.
#[derive(Debug)]
pub struct ConsentStream {
    _core: Arc<Core>,
    _guard: Arc<LiveGuard>,
    changes: broadcast::Receiver<Change>,
}

impl ConsentStream {
    pub(crate) async fn start(core: Arc<Core>) -> Result<Self, Error> {
        Ok(Self {
            changes: core.changes.listen(),
            _guard: core.listen().await?,
            _core: core,
        })
    }

    /// The next change of consent; waits for it. `None`: some were missed, look at all of them.
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<ConsentRecord> {
        loop {
            match self.changes.recv().await {
                Ok(Change::Consent(consent)) => return Some(consent),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return None,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// The same as a [`Stream`], for what `futures` and its like do with streams: it has no
    /// end; `None` among its items says that some were missed.
    #[must_use = "a stream does nothing unless it is polled"]
    pub fn into_stream(self) -> impl Stream<Item = Option<ConsentRecord>> + Send + Unpin {
        let next = |mut this: Self| async move {
            let next = this.next().await;
            Some((next, this))
        };
        Box::pin(stream::unfold(self, next))
    }
}

/// Messages that are no more, without end: deleted here, disappeared, or deleted for everybody.
#[derive(Debug)]
pub struct DeletionStream {
    core: Arc<Core>,
    _guard: Arc<LiveGuard>,
    deletions: mpsc::UnboundedReceiver<MessageId>,
}

impl DeletionStream {
    pub(crate) async fn start(core: Arc<Core>) -> Result<Self, Error> {
        Ok(Self {
            deletions: core.changes.deletions(),
            _guard: core.listen().await?,
            core,
        })
    }

    /// The next message that was deleted; waits for it, and misses none, however slow the reader is.
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// As of [`MessageStream::next`].
    pub async fn next(&mut self) -> Result<MessageId, Error> {
        loop {
            tokio::select! {
                biased;
                Some(id) = self.deletions.recv() => return Ok(id),
                () = self.core.lost_rights() => self.core.require_rights().await?,
            }
        }
    }

    /// The next message that was deleted, if it is known already.
    pub fn try_next(&mut self) -> Option<MessageId> {
        self.deletions.try_recv().ok()
    }

    /// The same as a [`Stream`], for what `futures` and its like do with streams: it has no end, and
    /// goes on after an error.
    #[must_use = "a stream does nothing unless it is polled"]
    pub fn into_stream(self) -> impl Stream<Item = Result<MessageId, Error>> + Send + Unpin {
        let next = |mut this: Self| async move {
            let next = this.next().await;
            Some((next, this))
        };
        Box::pin(stream::unfold(self, next))
    }
}

/// All changes, without end: for user interfaces.
#[derive(Debug)]
pub struct ChangeStream {
    _core: Arc<Core>,
    _guard: Arc<LiveGuard>,
    changes: broadcast::Receiver<Change>,
}

impl ChangeStream {
    pub(crate) async fn start(core: Arc<Core>) -> Result<Self, Error> {
        Ok(Self {
            changes: core.changes.listen(),
            _guard: core.listen().await?,
            _core: core,
        })
    }

    /// The next change; waits for it. `None`: some were missed, look at everything again.
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Change> {
        match self.changes.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }

    /// The same as a [`Stream`], for what `futures` and its like do with streams: it has no
    /// end; `None` among its items says that some were missed.
    #[must_use = "a stream does nothing unless it is polled"]
    pub fn into_stream(self) -> impl Stream<Item = Option<Change>> + Send + Unpin {
        let next = |mut this: Self| async move {
            let next = this.next().await;
            Some((next, this))
        };
        Box::pin(stream::unfold(self, next))
    }
}

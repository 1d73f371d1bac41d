//! All conversations of a client: finding, making, syncing, streaming.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use folkmoot_conversation::{
    ConsentEntity, ConsentRecord, ConsentState, ContextExtensions, Generation, Group,
    context::{Attribute, ConversationKind, DisappearingSettings, NewConversation},
    dm::DmId,
    permissions::PolicySet,
};
use folkmoot_wire::{GroupId, InboxId, MessageId, VectorClock};
use futures::{StreamExt, stream};

use crate::{
    Error,
    clock::{system_time, to_sql},
    consent,
    conversation::{
        Conversation, ConversationError, MembershipState,
        changes::Change,
        core::Core,
        intent::Wish,
        live::LiveState,
        overrun::is_overrun,
        pushed,
        rows::{self, Batch, ConversationRow, Overwrite},
    },
    db::Durability,
    identity::Directory,
    message::{self, EnrichedMessage, Message},
    rights,
    stream::{
        ChangeStream, ConsentStream, ConversationStream, DeletionStream, KnownConversations,
        MessageStream, StreamOptions,
    },
};

/// All conversations of a client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Conversations {
    core: Arc<Core>,
}

/// Particulars of a new group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupOptions {
    /// Its name.
    pub name: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Where its picture is.
    pub image_url: Option<String>,
    /// What an app keeps with it.
    pub app_data: Option<String>,
    /// Who may do what; by default everybody may add people and change the name.
    pub permissions: Option<PolicySet>,
    /// Whether messages disappear.
    pub disappearing: Option<DisappearingSettings>,
    /// Where the group keeps what is known about it. By default where all official clients
    /// understand it; [`Generation::AppData`] is for members with libxmtp 1.11 or newer only.
    pub generation: Generation,
}

/// By what conversations are sorted; the newest come first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ListOrder {
    /// When they were made or joined here.
    CreatedAt,
    /// Their newest message, or when they were made.
    #[default]
    LastActivity,
}

/// Which conversations to list. The default is all groups and DMs, the most active first, each DM
/// once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListOptions {
    /// Only of this kind.
    pub kind: Option<ConversationKind>,
    /// Only with one of these consents. Empty: whatever the consent.
    pub consent: Vec<ConsentState>,
    /// Made after this: Unix time in nanoseconds.
    pub created_after_ns: Option<u64>,
    /// Made before this.
    pub created_before_ns: Option<u64>,
    /// Last active after this.
    pub active_after_ns: Option<u64>,
    /// Last active before this.
    pub active_before_ns: Option<u64>,
    /// Show every copy of a DM.
    pub include_duplicate_dms: bool,
    /// At most so many.
    pub limit: Option<usize>,
    /// How they are sorted.
    pub order: ListOrder,
}

/// What a sync of everything did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SyncSummary {
    /// Conversations that have something new on the network, or something to send.
    pub synced: usize,
    /// Conversations that were looked at.
    pub eligible: usize,
    /// Conversations that were joined.
    pub joined: usize,
}

/// Conversations that are synced at the same time.
const AT_ONCE: usize = 16;
/// Groups in one question about newest messages.
const NEWEST_AT_ONCE: usize = 1000;
/// How old our knowledge of members' installations may be when everything is synced: 30 min.
const STALE_NS: u64 = 30 * 60 * 1_000_000_000;

impl Conversations {
    pub(crate) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.core.directory
    }

    // Making.

    /// Makes a group with these members and brings it to the network.
    ///
    /// # Errors
    ///
    /// [`ConversationError::AttributeTooLong`], [`ConversationError::Plan`] when nobody of the
    /// members can be added or they are too many; in a group of the newer form,
    /// [`ConversationError::Conversion`] for permissions that it cannot express and
    /// [`ConversationError::NoAppData`] naming those who cannot be in it; what the network says. The group then exists
    /// here, and the next sync goes on with it, unless the members were the fault and nothing had
    /// been sent yet.
    pub async fn new_group(
        &self,
        members: impl IntoIterator<Item = InboxId>,
        options: GroupOptions,
    ) -> Result<Conversation, Error> {
        let add = members.into_iter().collect();
        let id = self.create(&self.describe(options)?, None).await?;
        self.fill(&id, add).await
    }

    /// Makes a group here without the network; its members come with [`Conversation::add_members`]
    /// or nobody but our own installations with the next sync.
    ///
    /// # Errors
    ///
    /// [`ConversationError::AttributeTooLong`]; what the database says.
    pub async fn new_group_optimistic(&self, options: GroupOptions) -> Result<Conversation, Error> {
        let nobody = Some(Wish::Membership {
            add: Vec::new(),
            remove: Vec::new(),
        });
        let id = self.create(&self.describe(options)?, nobody).await?;
        self.get(&id).await
    }

    /// The DM with `peer`: the one that we have, or a new one.
    ///
    /// # Errors
    ///
    /// [`ConversationError::DmWithSelf`], [`ConversationError::Plan`] when the peer cannot be
    /// added; what the network says.
    pub async fn new_dm(&self, peer: InboxId) -> Result<Conversation, Error> {
        self.new_dm_with(peer, None).await
    }

    /// The same; a new DM gets these settings.
    ///
    /// # Errors
    ///
    /// As of [`Conversations::new_dm`].
    pub async fn new_dm_with(
        &self,
        peer: InboxId,
        disappearing: Option<DisappearingSettings>,
    ) -> Result<Conversation, Error> {
        let me = self.core.me.inbox_id();
        if peer == me {
            return Err(ConversationError::DmWithSelf.into());
        }
        // Two calls at the same time must not make two DMs.
        let _turn = self.core.making.lock().await;
        let dm_id = DmId::of(me, peer);
        if let Some(row) = self.active_dm(&dm_id).await? {
            if row.epoch == 0 && row.creator == me {
                // It was made here, and the network could not be reached then.
                return self.fill(&row.id, vec![peer]).await;
            }
            return Ok(Conversation::new(Arc::clone(&self.core), row));
        }
        let mut new = NewConversation::dm(me, peer, rand::random());
        if let Some(settings) = disappearing {
            new = new.disappearing(settings);
        }
        let id = self.create(&new.extensions(), None).await?;
        self.fill(&id, vec![peer]).await
    }

    /// The context of a new group.
    fn describe(&self, options: GroupOptions) -> Result<ContextExtensions, Error> {
        let permissions = options.permissions.unwrap_or_else(PolicySet::all_members);
        let me = self.core.me.inbox_id();
        let mut new = NewConversation::group(me, permissions, rand::random());
        let attributes = [
            (Attribute::GroupName, options.name),
            (Attribute::Description, options.description),
            (Attribute::ImageUrl, options.image_url),
            (Attribute::AppData, options.app_data),
        ];
        for (attribute, value) in attributes {
            if let Some(value) = value {
                new = new
                    .set(attribute, value)
                    .map_err(ConversationError::AttributeTooLong)?;
            }
        }
        if let Some(settings) = options.disappearing {
            new = new.disappearing(settings);
        }
        if options.generation == Generation::AppData {
            self.core.require_app_data()?;
        }
        Ok(match options.generation {
            Generation::Extensions => new.extensions(),
            Generation::AppData => new
                .dictionary_extensions()
                .map_err(ConversationError::Conversion)?,
        })
    }

    /// Makes a group here: epoch 0, ourselves alone.
    pub(crate) async fn create(
        &self,
        context: &ContextExtensions,
        wish: Option<Wish>,
    ) -> Result<GroupId, Error> {
        self.core.create(context, wish).await
    }

    /// Brings a new group to the network, with its first members.
    async fn fill(&self, id: &GroupId, add: Vec<InboxId>) -> Result<Conversation, Error> {
        let filled = self
            .core
            .run(id, move |state, core| {
                Box::pin(state.add_members(core, add))
            })
            .await;
        if let Err(cause) = filled {
            if !cause.is_retryable() {
                self.core.forget_if_new(id).await?;
            }
            return Err(cause);
        }
        self.get(id).await
    }

    // Finding.

    /// A conversation by the id of its group.
    ///
    /// # Errors
    ///
    /// [`ConversationError::NotFound`]; what the database says.
    pub async fn get(&self, id: &GroupId) -> Result<Conversation, Error> {
        let wanted = id.clone();
        let row = self
            .core
            .db
            .read(move |db| Ok(rows::conversation(db, &wanted)?))
            .await?;
        let row = row.filter(|row| row.kind.is_visible());
        let row = row.ok_or_else(|| ConversationError::NotFound(id.clone()))?;
        Ok(Conversation::new(Arc::clone(&self.core), row))
    }

    /// The DM with `peer`, if there is one.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn dm(&self, peer: InboxId) -> Result<Option<Conversation>, Error> {
        let dm_id = DmId::of(self.core.me.inbox_id(), peer);
        let text = dm_id.as_str().to_owned();
        let copies = self
            .core
            .db
            .read(move |db| Ok(rows::dm_copies(db, &text)?))
            .await?;
        let first = copies.into_iter().next();
        Ok(first.map(|row| Conversation::new(Arc::clone(&self.core), row)))
    }

    async fn active_dm(&self, dm_id: &DmId) -> Result<Option<ConversationRow>, Error> {
        let text = dm_id.as_str().to_owned();
        let copies = self
            .core
            .db
            .read(move |db| Ok(rows::dm_copies(db, &text)?))
            .await?;
        let usable = |row: &ConversationRow| row.is_usable();
        Ok(copies.into_iter().find(usable))
    }

    /// The conversations that `options` ask for, the newest first.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn list(&self, options: &ListOptions) -> Result<Vec<Conversation>, Error> {
        let filter = !options.consent.is_empty();
        let (mut rows, consents) = self
            .core
            .db
            .read(move |db| {
                let consents = if filter {
                    consent::of_conversations(db)?
                } else {
                    BTreeMap::new()
                };
                Ok((rows::conversations(db)?, consents))
            })
            .await?;
        let active = |row: &ConversationRow| row.last_message_ns.unwrap_or(row.created_ns);
        // Of each DM the copy that messages go to: the same for both people.
        rows.sort_by(|one, two| {
            let key = |row: &ConversationRow| (row.last_message_ns.unwrap_or(0), row.id.clone());
            key(two).cmp(&key(one))
        });
        let mut dms = BTreeSet::new();
        rows.retain(|row| {
            row.kind.is_visible()
                && (options.include_duplicate_dms
                    || row
                        .dm_id
                        .as_ref()
                        .is_none_or(|dm_id| dms.insert(dm_id.clone())))
        });
        let after = |limit: Option<u64>, time: u64| limit.is_none_or(|limit| time > limit);
        let before = |limit: Option<u64>, time: u64| limit.is_none_or(|limit| time < limit);
        rows.retain(|row| {
            let consent = consents.get(&row.id).copied().unwrap_or_default();
            (options.kind.is_none() || options.kind == Some(row.kind))
                && (options.consent.is_empty() || options.consent.contains(&consent))
                && after(options.created_after_ns, row.created_ns)
                && before(options.created_before_ns, row.created_ns)
                && after(options.active_after_ns, active(row))
                && before(options.active_before_ns, active(row))
        });
        match options.order {
            ListOrder::CreatedAt => rows.sort_by_key(|row| std::cmp::Reverse(row.created_ns)),
            ListOrder::LastActivity => rows.sort_by_key(|row| std::cmp::Reverse(active(row))),
        }
        rows.truncate(options.limit.unwrap_or(usize::MAX));
        let rows = rows.into_iter();
        Ok(rows
            .map(|row| Conversation::new(Arc::clone(&self.core), row))
            .collect())
    }

    /// A message by its id.
    ///
    /// # Errors
    ///
    /// [`ConversationError::MessageNotFound`]; what the database says.
    pub async fn message(&self, id: &MessageId) -> Result<Message, Error> {
        let wanted = *id;
        let found = self
            .core
            .db
            .read(move |db| Ok(message::message(db, &wanted)?))
            .await?;
        Ok(found.ok_or(ConversationError::MessageNotFound(*id))?)
    }

    /// A message by its id, with reactions, replies, an edit or a deletion attached.
    ///
    /// # Errors
    ///
    /// As of [`Conversations::message`].
    pub async fn enriched_message(&self, id: &MessageId) -> Result<EnrichedMessage, Error> {
        let wanted = *id;
        let found = self
            .core
            .db
            .read(move |db| {
                let message = message::message(db, &wanted)?;
                Ok(message::enrich(db, message.into_iter().collect())?)
            })
            .await?;
        let found = found.into_iter().next();
        Ok(found.ok_or(ConversationError::MessageNotFound(*id))?)
    }

    /// The newest messages of conversations, by their ids. Faster than asking each one.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn last_messages(
        &self,
        conversations: &[Conversation],
    ) -> Result<BTreeMap<GroupId, Message>, Error> {
        let ids: Vec<_> = conversations.iter().map(|one| one.id().clone()).collect();
        let newest = self
            .core
            .db
            .read(move |db| Ok(message::last_messages(db, &ids)?))
            .await?;
        Ok(newest)
    }

    /// Deletes a message here, and only here.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn delete_message_locally(&self, id: &MessageId) -> Result<bool, Error> {
        let wanted = *id;
        let deleted = self
            .core
            .db
            .write(move |db| Ok(message::delete(db, &wanted)?))
            .await?;
        if deleted {
            self.core.changes.tell(Change::MessagesDeleted(vec![*id]));
        }
        Ok(deleted)
    }

    // Syncing.

    /// Joins what we were invited to. Returns the conversations that are new.
    ///
    /// # Errors
    ///
    /// What the network or the database says.
    pub async fn sync(&self) -> Result<Vec<Conversation>, Error> {
        let mut joined = Vec::new();
        for id in self.core.sync_welcomes().await? {
            match self.get(&id).await {
                Ok(conversation) => joined.push(conversation),
                Err(Error::Conversation(ConversationError::NotFound(_))) => {}
                Err(cause) => return Err(cause),
            }
        }
        Ok(joined)
    }

    /// Reads an envelope of any conversation that came by another way than a sync or a stream, as
    /// [`Conversation::process_streamed_message`] does.
    ///
    /// # Errors
    ///
    /// [`ConversationError::NotFound`] when we are not in it yet, or as there.
    pub async fn process_streamed_message(&self, envelope: &[u8]) -> Result<Vec<Message>, Error> {
        let envelope = pushed::read(envelope)?;
        self.get(&envelope.group_id).await?;
        self.core.take_pushed(envelope).await
    }

    /// Joins the conversation that a welcome leads to, which came by another way than a sync or a
    /// stream: an encoded `WelcomeMessage` or, on d14n, `OriginatorEnvelope`. Asks the network, as
    /// joining always does, and takes what else waits there, in its order. Gives the conversation,
    /// also when it was joined before, and those that were joined with it; none, if the welcome leads
    /// nowhere.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Envelope`] for bytes that are no welcome,
    /// [`ConversationError::OtherInstallation`]; what the network or the database says.
    pub async fn process_welcome_message(
        &self,
        envelope: &[u8],
    ) -> Result<Vec<Conversation>, Error> {
        let welcome = pushed::read_welcome(envelope)?;
        if welcome.welcome.destination != self.core.me.key() {
            let other = welcome.welcome.destination;
            return Err(ConversationError::OtherInstallation(other).into());
        }
        let mut joined = self.sync().await?;
        let known = |rows: Vec<ConversationRow>| {
            rows.into_iter()
                .find(|row| row.kind.is_visible() && row.welcome_id == Some(welcome.sequence))
        };
        let rows = self.core.db.read(|db| Ok(rows::conversations(db)?)).await?;
        if let Some(row) = known(rows)
            && !joined.iter().any(|one| *one.id() == row.id)
        {
            joined.push(Conversation::new(Arc::clone(&self.core), row));
        }
        Ok(joined)
    }

    /// Joins what we were invited to and brings all conversations with one of these consents up to
    /// date (none given: all). Costs two questions when nothing is new, and a third every five minutes.
    ///
    /// # Errors
    ///
    /// What the network or the database says, or
    /// [`IdentityError::Revoked`](crate::identity::IdentityError::Revoked); the first of them,
    /// after everything was tried.
    pub async fn sync_all(&self, consent: &[ConsentState]) -> Result<SyncSummary, Error> {
        let joined = self.core.sync_welcomes().await;
        let wanted: Vec<_> = consent.to_vec();
        let (rows, consents, cursors, unfinished) = self
            .core
            .db
            .read(|db| {
                Ok((
                    rows::conversations(db)?,
                    consent::of_conversations(db)?,
                    rows::group_cursors(db)?,
                    rows::unfinished(db)?,
                ))
            })
            .await?;
        let now_ns = self.core.now_ns();
        let unfinished: BTreeSet<_> = unfinished.into_iter().collect();
        let eligible: Vec<_> = rows
            .into_iter()
            .filter(|row| {
                let consent = consents.get(&row.id).copied().unwrap_or_default();
                (row.active || unfinished.contains(&row.id))
                    && !row.is_locked_out()
                    && (wanted.is_empty() || !row.kind.is_visible() || wanted.contains(&consent))
            })
            .collect();
        let mut work = BTreeMap::new();
        let mut overruns = BTreeSet::new();
        for page in eligible.chunks(NEWEST_AT_ONCE) {
            let ids: Vec<_> = page.iter().map(|row| row.id.clone()).collect();
            let newest = self.core.network.newest_group_messages(&ids).await?;
            for (id, newest) in ids.into_iter().zip(newest) {
                let cursor = cursors.get(&id).cloned().unwrap_or_default();
                let new = newest.is_some_and(|newest| newest.is_after(&cursor));
                let overrun = is_overrun(&cursor, newest.as_ref());
                if overrun {
                    overruns.insert(id.clone());
                }
                if new || overrun || unfinished.contains(&id) {
                    work.insert(id, Work::Sync);
                }
            }
        }
        let stale = self.add_stale(&eligible, now_ns, &mut work).await;
        let synced = work.len();
        let results: Vec<_> = stream::iter(work)
            .map(|(id, work)| {
                let core = Arc::clone(&self.core);
                let doubted = overruns.contains(&id);
                async move {
                    core.run(&id, move |state, core| {
                        Box::pin(async move {
                            state.doubted |= doubted;
                            state.sync(core).await?;
                            if work == Work::SyncAndRefresh {
                                state.refresh_members(core).await?;
                            }
                            Ok(())
                        })
                    })
                    .await
                }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        if let Err(cause) = self.core.work_off_readds().await {
            tracing::debug!(%cause, "installations that lost a group are not added again yet");
        }
        let joined = joined?.len();
        // Whoever cannot be asked says nothing.
        let rights = self.core.check_rights(rights::FRESH_NS).await;
        rights.or_else(|cause| match cause.is_revoked() {
            true => Err(cause),
            false => Ok(()),
        })?;
        stale?;
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(SyncSummary {
            synced,
            eligible: eligible.len(),
            joined,
        })
    }

    /// Finds conversations whose members' installations were not looked at for long, and of them
    /// those that need a commit: in one question for all.
    async fn add_stale(
        &self,
        eligible: &[ConversationRow],
        now_ns: u64,
        work: &mut BTreeMap<GroupId, Work>,
    ) -> Result<(), Error> {
        let stale = eligible.iter().filter(|row| {
            row.kind.is_visible() && now_ns.saturating_sub(row.checked_ns) > STALE_NS
        });
        let stale: Vec<_> = stale
            .filter_map(|row| Some((row.id.clone(), row.context.parts().membership().ok()?)))
            .collect();
        if stale.is_empty() {
            return Ok(());
        }
        let inboxes: BTreeSet<_> = stale
            .iter()
            .flat_map(|(_, membership)| membership.inbox_ids())
            .collect();
        let newest = self
            .core
            .refresh(&inboxes.into_iter().collect::<Vec<_>>())
            .await?;
        let mut fresh = Vec::new();
        for (id, membership) in stale {
            let moved = membership
                .members
                .iter()
                .any(|(inbox, sequence)| newest.get(inbox).is_some_and(|newest| newest > sequence));
            if moved {
                work.insert(id, Work::SyncAndRefresh);
            } else {
                fresh.push(id);
            }
        }
        self.core
            .db
            .write_soon(move |db| Ok(rows::mark_checked(db, &fresh, now_ns)?))
            .await?;
        Ok(())
    }

    // Streaming.

    /// Streams the messages of all conversations that `options` let through.
    ///
    /// # Errors
    ///
    /// What the database says. A network that cannot be reached is none: the stream waits.
    pub async fn stream_all_messages(
        &self,
        options: StreamOptions,
    ) -> Result<MessageStream, Error> {
        MessageStream::start(Arc::clone(&self.core), options).await
    }

    /// Streams new conversations, of one kind or of all.
    ///
    /// # Errors
    ///
    /// As of [`Conversations::stream_all_messages`].
    pub async fn stream(
        &self,
        kind: Option<ConversationKind>,
    ) -> Result<ConversationStream, Error> {
        ConversationStream::start(Arc::clone(&self.core), kind, None).await
    }

    /// Streams conversations that an earlier stream did not know ([`ConversationStream::known`]),
    /// and then new ones.
    ///
    /// # Errors
    ///
    /// As of [`Conversations::stream_all_messages`].
    pub async fn stream_after(
        &self,
        kind: Option<ConversationKind>,
        known: KnownConversations,
    ) -> Result<ConversationStream, Error> {
        ConversationStream::start(Arc::clone(&self.core), kind, Some(known)).await
    }

    /// Streams changes of consent.
    ///
    /// # Errors
    ///
    /// As of [`Conversations::stream_all_messages`].
    pub async fn stream_consent(&self) -> Result<ConsentStream, Error> {
        ConsentStream::start(Arc::clone(&self.core)).await
    }

    /// Streams the messages that are no more: deleted here, disappeared, or deleted for everybody.
    /// Those of the last kind are there still, marked as deleted.
    ///
    /// # Errors
    ///
    /// As of [`Conversations::stream_all_messages`].
    pub async fn stream_deletions(&self) -> Result<DeletionStream, Error> {
        DeletionStream::start(Arc::clone(&self.core)).await
    }

    /// Streams all changes.
    ///
    /// # Errors
    ///
    /// As of [`Conversations::stream_all_messages`].
    pub async fn stream_changes(&self) -> Result<ChangeStream, Error> {
        ChangeStream::start(Arc::clone(&self.core)).await
    }

    /// Compares what this installation saw of its groups with what their super admins saw, and
    /// shares what it saw where that is its part. Returns the groups it has parted from. The
    /// background work does this every five minutes.
    ///
    /// # Errors
    ///
    /// What the network or the database says.
    pub async fn look_for_forks(&self) -> Result<Vec<GroupId>, Error> {
        self.core.look_for_forks().await
    }

    /// How the client listens to the network.
    #[must_use]
    pub fn live_state(&self) -> LiveState {
        self.core.live.watch().borrow().clone()
    }

    // Consent.

    /// What we think of a conversation or a person.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn consent(&self, entity: ConsentEntity) -> Result<ConsentState, Error> {
        let consent = self
            .core
            .db
            .read(move |db| Ok(consent::load(db, &entity)?))
            .await?;
        Ok(consent.map(|consent| consent.state).unwrap_or_default())
    }

    /// Says what we think of conversations and people.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn set_consent(
        &self,
        consents: impl IntoIterator<Item = (ConsentEntity, ConsentState)>,
    ) -> Result<(), Error> {
        let consented_at_ns = to_sql(self.core.now_ns());
        let consents = consents.into_iter().map(|(entity, state)| ConsentRecord {
            entity,
            state,
            consented_at_ns,
        });
        self.core.set_consents(consents.collect()).await
    }
}

/// What a conversation needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Work {
    Sync,
    SyncAndRefresh,
}

impl Core {
    /// Makes a group here: epoch 0, ourselves alone.
    pub(crate) async fn create(
        self: &Arc<Self>,
        context: &ContextExtensions,
        wish: Option<Wish>,
    ) -> Result<GroupId, Error> {
        self.require_in_office()?;
        let id: [u8; 16] = rand::random();
        let id = GroupId::try_from(id.to_vec()).expect("16 bytes are a group id");
        let now_ns = self.now_ns();
        let mut group = Group::create(
            &self.me,
            &id,
            context,
            system_time(now_ns),
            &mut rand::rng(),
        )
        .map_err(|cause| ConversationError::Engine(cause.to_string()))?;
        let context = group.context();
        let metadata = context.parts().metadata();
        let metadata = metadata.map_err(ConversationError::Context)?;
        let dm_id = metadata.dm_members.as_ref().map(|members| members.dm_id());
        let me = self.me.inbox_id();
        let row = ConversationRow {
            id: id.clone(),
            kind: metadata.kind,
            dm_id: dm_id.map(|dm_id| dm_id.as_str().to_owned()),
            creator: me,
            added_by: me,
            created_ns: now_ns,
            membership: MembershipState::Allowed,
            active: true,
            epoch: 0,
            rotated_ns: now_ns,
            checked_ns: 0,
            last_message_ns: None,
            context,
            paused_for: None,
            trouble: None,
            welcome_id: None,
        };
        let mut batch = Batch {
            now_ns,
            ..Batch::default()
        };
        let changes = group.take_changes().into_iter();
        batch
            .mls
            .extend(changes.map(|change| (change.key, change.value)));
        batch.commits.push(rows::CommitLogRow {
            sequence: 0,
            last_authenticator: Vec::new(),
            result: 1,
            epoch: 0,
            authenticator: group.epoch_authenticator(),
            sender: Some(me),
            cause: "Create".to_owned(),
        });
        if row.kind.is_visible() {
            batch.consent = Some((ConsentState::Allowed, Overwrite::Replace));
        }
        batch.row = Some(row);
        // Without a wish, the caller goes on with a commit, before which nobody knows of it.
        let durability = match &wish {
            Some(_) => Durability::Now,
            None => Durability::Soon,
        };
        if let Some(wish) = wish {
            batch.wish(wish);
        }
        let stored = id.clone();
        let written = self
            .db
            .write_with(durability, move |db| Ok(batch.write(db, &stored)?))
            .await?;
        self.changes.tell_written(&written);
        if metadata.kind != ConversationKind::Oneshot {
            self.changes.tell(Change::ConversationAdded(id.clone()));
            self.live.add(&id, VectorClock::new());
        }
        Ok(id)
    }

    /// Forgets a group that was just made and came to nothing: no commit of it may have reached the
    /// network, and nothing was said in it.
    async fn forget_if_new(self: &Arc<Self>, id: &GroupId) -> Result<(), Error> {
        let wanted = id.clone();
        let untouched = self
            .db
            .read(move |db| Ok(rows::is_untouched(db, &wanted)?))
            .await?;
        match untouched {
            true => self.forget(id).await,
            false => Ok(()),
        }
    }

    /// Forgets a group that nobody else knows.
    pub(crate) async fn forget(self: &Arc<Self>, id: &GroupId) -> Result<(), Error> {
        self.live.remove(id);
        let gone = id.clone();
        self.run(id, move |state, core| {
            Box::pin(async move {
                state.unload();
                core.db
                    .write(move |db| Ok(rows::delete_conversation(db, &gone)?))
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Records consents and tells those that changed.
    pub(crate) async fn set_consents(&self, consents: Vec<ConsentRecord>) -> Result<(), Error> {
        let said = self
            .db
            .write(move |db| {
                for consent in &consents {
                    consent::set(db, consent)?;
                }
                Ok(consents)
            })
            .await?;
        // Also what was so already: another installation may have heard otherwise.
        for consent in said {
            self.changes.tell(Change::Consent(consent));
        }
        Ok(())
    }
}

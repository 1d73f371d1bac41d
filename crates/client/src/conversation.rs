//! One conversation: a group or a DM.

pub(crate) mod changes;
mod commit;
pub(crate) mod content;
pub(crate) mod core;
mod early;
mod error;
pub(crate) mod fork;
pub(crate) mod intent;
mod join;
pub(crate) mod live;
pub(crate) mod overrun;
mod parked;
mod portions;
mod publish;
pub(crate) mod pushed;
mod readd;
mod receive;
pub(crate) mod retry;
pub(crate) mod rows;
mod say;
mod slot;
mod standing;
mod state;
mod welcome;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use folkmoot_conversation::{
    ConsentEntity, ConsentRecord, ConsentState, Generation,
    commit_log::ForkState,
    content::{Content, DeleteMessage, EditMessage, EncodedContent, LeaveRequest, ReadReceipt},
    context::{AdminChange, Attribute, Context, ConversationKind, DisappearingSettings},
    deletion::{self, DeletionError, DeletionTarget},
    leave, message_id,
    permissions::{PolicyKind, PolicySet, Preset, Who},
};
use folkmoot_wire::{GroupId, InboxId, InstallationKey, MessageId};
use tokio::sync::oneshot;

pub use error::ConversationError;
pub use rows::{CommitLogEntry, MembershipState};
pub use standing::{Heard, Place, Standing};

use self::{
    content::{Prepared, encode},
    core::Core,
    intent::Wish,
    publish::QueuedSend,
    rows::{ConversationRow, Trouble},
};
use crate::{
    Error,
    clock::to_sql,
    consent,
    conversations::Conversations,
    identity::{Directory, InboxState},
    members::{Member, MemberRole},
    message::{self, DeliveryStatus, EnrichedMessage, Message, MessageKind, MessageQuery},
    stream::{MessageStream, StreamOptions},
};

/// A conversation of a client. Cheap to clone. What it tells without `await` is as of when this
/// handle was made or last refreshed by one of its own calls.
#[derive(Clone)]
pub struct Conversation {
    core: Arc<Core>,
    row: Arc<ConversationRow>,
}

/// How a conversation stands, for this installation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConversationState {
    /// All is well.
    Active,
    /// We were removed, or know it from an archive only: readable, until somebody adds us.
    Inactive,
    /// It needs a newer program, of this version at least.
    Paused(String),
    /// A commit that adds an expired key package stops this installation (the commit's sequence
    /// id): it needs to be linked again, by being added once more.
    NeedsRelink(u64),
    /// This installation was linked anew, and nobody has added it yet: readable, and written to
    /// once another member's client has done so, which it does with its next message. A DM is
    /// written to at once, by a new copy of it.
    AwaitsAdding,
    /// This installation's history is not the group's since the commit with this sequence id, or
    /// seems not to be: what came under this number fits no commit that was met here.
    Forked(u64),
}

/// What to say and how.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SendOptions {
    /// Whether push servers wake the receivers; `None`: as is usual for the content.
    pub should_push: Option<bool>,
    /// Tells this message from others with the same content: sending the same twice with the same
    /// key is one message. `None`: the time.
    pub idempotency_key: Option<String>,
    /// Whether to send although this installation has parted from the group
    /// ([`ConversationState::Forked`] by the commit log), so that at best those who parted with it
    /// can read the message. Otherwise that is refused with [`ConversationError::Forked`].
    pub despite_fork: bool,
}

/// A message that was sent, or waits.
#[derive(Debug)]
pub struct Sent {
    /// Its id.
    pub id: MessageId,
    /// Why it waits; `None` when the network has it. The next send or sync sends it.
    pub waits: Option<Error>,
}

impl std::fmt::Debug for Conversation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Conversation")
            .field("id", &self.row.id)
            .field("kind", &self.row.kind)
            .finish_non_exhaustive()
    }
}

impl Conversation {
    pub(crate) fn new(core: Arc<Core>, mut row: ConversationRow) -> Self {
        row.outgrow(&core.version);
        Self {
            core,
            row: Arc::new(row),
        }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.core.directory
    }

    /// The id of its group.
    #[must_use]
    pub fn id(&self) -> &GroupId {
        &self.row.id
    }

    /// Group or DM.
    #[must_use]
    pub fn kind(&self) -> ConversationKind {
        self.row.kind
    }

    /// What all copies of a DM have in common.
    #[must_use]
    pub fn dm_id(&self) -> Option<&str> {
        self.row.dm_id.as_deref()
    }

    /// The other person of a DM.
    #[must_use]
    pub fn peer(&self) -> Option<InboxId> {
        let metadata = self.row.context.parts().metadata().ok()?;
        let members = metadata.dm_members?;
        let me = self.core.me.inbox_id();
        let one: InboxId = members.one.parse().ok()?;
        let two: InboxId = members.two.parse().ok()?;
        Some(if one == me { two } else { one })
    }

    /// Who made it.
    #[must_use]
    pub fn creator(&self) -> InboxId {
        self.row.creator
    }

    /// Who added us.
    #[must_use]
    pub fn added_by(&self) -> InboxId {
        self.row.added_by
    }

    /// When it was made or joined here: Unix time in nanoseconds.
    #[must_use]
    pub fn created_ns(&self) -> u64 {
        self.row.created_ns
    }

    /// When its newest message was sent: Unix time in nanoseconds.
    #[must_use]
    pub fn last_message_ns(&self) -> Option<u64> {
        self.row.last_message_ns
    }

    /// How we stand to it.
    #[must_use]
    pub fn membership_state(&self) -> MembershipState {
        self.row.membership
    }

    /// Whether this installation is in it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.row.active
    }

    /// The MLS epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.row.epoch
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> ConversationState {
        match (&self.row.trouble, &self.row.paused_for) {
            (Some((Trouble::LockedOut, at)), _) => ConversationState::NeedsRelink(*at),
            (Some((Trouble::Relinked, _)), _) => ConversationState::AwaitsAdding,
            (Some((Trouble::Forked | Trouble::Parted, at)), _) => ConversationState::Forked(*at),
            (None, _) if !self.row.active => ConversationState::Inactive,
            (None, Some(version)) => ConversationState::Paused(version.clone()),
            (None, None) => ConversationState::Active,
        }
    }

    /// Why it does not go on, in words for people; `None` when all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let cause = match self.state() {
            ConversationState::Active => return None,
            ConversationState::Inactive => ConversationError::Inactive,
            ConversationState::Paused(version) => ConversationError::Paused(version),
            ConversationState::NeedsRelink(at) => ConversationError::LockedOut(at),
            ConversationState::AwaitsAdding => ConversationError::NotAdded,
            ConversationState::Forked(at) => match self.row.trouble {
                Some((Trouble::Parted, _)) => ConversationError::Parted(at),
                _ => ConversationError::Forked(at),
            },
        };
        Some(match cause.remedy() {
            Some(remedy) => format!("{cause}: {remedy}"),
            None => cause.to_string(),
        })
    }

    /// An attribute, such as its name; empty when it is not set.
    #[must_use]
    pub fn attribute(&self, attribute: Attribute) -> String {
        let mutable = self.row.context.parts().mutable_metadata();
        mutable
            .ok()
            .and_then(|mutable| mutable.get(attribute).map(str::to_owned))
            .unwrap_or_default()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.attribute(Attribute::GroupName)
    }

    /// What it is about.
    #[must_use]
    pub fn description(&self) -> String {
        self.attribute(Attribute::Description)
    }

    /// Where its picture is.
    #[must_use]
    pub fn image_url(&self) -> String {
        self.attribute(Attribute::ImageUrl)
    }

    /// What an app keeps with it.
    #[must_use]
    pub fn app_data(&self) -> String {
        self.attribute(Attribute::AppData)
    }

    /// The inboxes that are admins.
    #[must_use]
    pub fn admins(&self) -> Vec<InboxId> {
        self.role_list(|context| context.mutable.admins)
    }

    /// The inboxes that are super admins.
    #[must_use]
    pub fn super_admins(&self) -> Vec<InboxId> {
        self.role_list(|context| context.mutable.super_admins)
    }

    fn role_list(&self, list: impl FnOnce(Context) -> Vec<String>) -> Vec<InboxId> {
        let context = Context::read(&self.row.context);
        let list = context.map(list).unwrap_or_default();
        list.iter().filter_map(|inbox| inbox.parse().ok()).collect()
    }

    /// Whether an inbox is admin.
    #[must_use]
    pub fn is_admin(&self, inbox_id: &InboxId) -> bool {
        self.admins().contains(inbox_id)
    }

    /// Whether an inbox is super admin.
    #[must_use]
    pub fn is_super_admin(&self, inbox_id: &InboxId) -> bool {
        self.super_admins().contains(inbox_id)
    }

    /// Who may do what.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Context`] for a group that is none of XMTP.
    pub fn permissions(&self) -> Result<PolicySet, Error> {
        let permissions = self.row.context.parts().permissions();
        Ok(permissions.map_err(ConversationError::Context)?)
    }

    /// How long messages stay, if they disappear.
    #[must_use]
    pub fn disappearing(&self) -> Option<DisappearingSettings> {
        let mutable = self.row.context.parts().mutable_metadata().ok()?;
        let settings = mutable.disappearing()?;
        settings.is_enabled().then_some(settings)
    }

    /// The inboxes that are members.
    #[must_use]
    pub fn member_inboxes(&self) -> Vec<InboxId> {
        let membership = self.row.context.parts().membership();
        membership
            .map(|membership| membership.inbox_ids().collect())
            .unwrap_or_default()
    }

    /// Reads it from the database again.
    ///
    /// # Errors
    ///
    /// [`ConversationError::NotFound`] when it was deleted; what the database says.
    pub async fn refresh(&mut self) -> Result<(), Error> {
        self.row = Arc::new(self.newest().await?);
        Ok(())
    }

    async fn newest(&self) -> Result<ConversationRow, Error> {
        let id = self.row.id.clone();
        let row = self
            .core
            .db
            .read(move |db| Ok(rows::conversation(db, &id)?))
            .await?;
        let mut row = row.ok_or_else(|| ConversationError::NotFound(self.row.id.clone()))?;
        row.outgrow(&self.core.version);
        Ok(row)
    }

    /// The members, with their roles, accounts and installations.
    ///
    /// # Errors
    ///
    /// What the database or, for identity logs not seen yet, the network says.
    pub async fn members(&self) -> Result<Vec<Member>, Error> {
        let row = self.newest().await?;
        let context = Context::read(&row.context).map_err(ConversationError::Context)?;
        let inboxes: Vec<_> = context.membership.inbox_ids().collect();
        let people = self.core.people(&inboxes).await?;
        let consents = self
            .core
            .db
            .read({
                let inboxes = inboxes.clone();
                move |db| {
                    let mut consents = BTreeMap::new();
                    for inbox in inboxes {
                        let consent = consent::load(db, &ConsentEntity::Inbox(inbox))?;
                        consents.insert(inbox, consent.map(|consent| consent.state));
                    }
                    Ok(consents)
                }
            })
            .await?;
        let members = inboxes.into_iter().map(|inbox_id| {
            let found = people.get(&inbox_id);
            let state = found.and_then(|state| state.as_ref().ok());
            let trouble = found.and_then(|state| state.as_ref().err());
            Member {
                inbox_id,
                identifiers: state.map(InboxState::identifiers).unwrap_or_default(),
                installations: state.map(InboxState::installations).unwrap_or_default(),
                trouble: trouble.map(ToString::to_string),
                role: MemberRole::of(&context, inbox_id),
                consent: consents
                    .get(&inbox_id)
                    .copied()
                    .flatten()
                    .unwrap_or_default(),
            }
        });
        Ok(members.collect())
    }

    /// Publishes what waits and reads what is new. Returns how many envelopes there were.
    ///
    /// # Errors
    ///
    /// What the network or the database says.
    pub async fn sync(&self) -> Result<usize, Error> {
        let mut count = 0;
        for id in self.copies().await? {
            count += self
                .core
                .run(&id, |state, core| Box::pin(state.sync(core)))
                .await?;
        }
        Ok(count)
    }

    /// All groups of this conversation: one, or the copies of a DM, the one in use first.
    async fn copies(&self) -> Result<Vec<GroupId>, Error> {
        let Some(dm_id) = self.row.dm_id.clone() else {
            return Ok(vec![self.row.id.clone()]);
        };
        let copies = self
            .core
            .db
            .read(move |db| Ok(rows::dm_copies(db, &dm_id)?))
            .await?;
        Ok(copies.into_iter().map(|row| row.id).collect())
    }

    /// The other copies of a DM, which have the same history; the one in use may be among them. None
    /// for a group.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn duplicate_dms(&self) -> Result<Vec<Self>, Error> {
        let Some(dm_id) = self.row.dm_id.clone() else {
            return Ok(Vec::new());
        };
        let question = move |db: &rusqlite::Connection| Ok(rows::dm_copies(db, &dm_id)?);
        let copies = self.core.db.read(question).await?.into_iter();
        Ok(copies
            .filter(|row| row.id != self.row.id)
            .map(|row| Self::new(Arc::clone(&self.core), row))
            .collect())
    }

    /// The group to which new messages go.
    async fn current(&self) -> Result<GroupId, Error> {
        let Some(dm_id) = self.row.dm_id.clone() else {
            return Ok(self.row.id.clone());
        };
        let copies = self
            .core
            .db
            .read(move |db| Ok(rows::dm_copies(db, &dm_id)?))
            .await?;
        if let Some(best) = copies.iter().find(|row| row.is_usable()) {
            return Ok(best.id.clone());
        }
        match self.peer() {
            // A DM has no super admin who could bring us back, but two people can have another.
            Some(peer) if copies.iter().any(|row| row.active) => {
                let conversations = Conversations::new(Arc::clone(&self.core));
                let new = conversations.new_dm_with(peer, self.disappearing());
                Ok(new.await?.id().clone())
            }
            _ => Ok(self.row.id.clone()),
        }
    }

    // Saying something.

    /// Sends a text. When this returns the network has it.
    ///
    /// # Errors
    ///
    /// [`ConversationError`] when this conversation cannot be written to. After an error of the
    /// network that may pass ([`Error::is_retryable`]) the message stays queued, and the next send
    /// or sync tries again. A message that the network refuses is marked as failed.
    pub async fn send_text(&self, text: impl Into<String>) -> Result<MessageId, Error> {
        self.send(&Content::text(text.into())).await
    }

    /// Sends any content.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send_text`], and for a content that cannot be encoded.
    pub async fn send(&self, content: &Content) -> Result<MessageId, Error> {
        self.send_with(content, SendOptions::default()).await
    }

    /// Sends any content, in a particular way.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_with(
        &self,
        content: &Content,
        options: SendOptions,
    ) -> Result<MessageId, Error> {
        let encoded = encode(content)?;
        self.send_encoded(&encoded, options).await
    }

    /// Sends any content, and says where it is when the network fails meanwhile: whoever sends it
    /// again without the same key says it twice.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`], when the message is not stored.
    pub async fn send_or_queue(
        &self,
        content: &Content,
        options: SendOptions,
    ) -> Result<Sent, Error> {
        let encoded = encode(content)?;
        let group = self.current().await?;
        let random = || format!("{:032x}", rand::random::<u128>());
        let key = options.idempotency_key.unwrap_or_else(random);
        let id = message_id(&group, &key, encoded.as_bytes());
        let options = SendOptions {
            idempotency_key: Some(key),
            ..options
        };
        let cause = match self.send_to(group, &encoded, options).await {
            Ok(id) => return Ok(Sent { id, waits: None }),
            Err(cause) => cause,
        };
        let stored = self.core.db.read(move |db| Ok(message::message(db, &id)?));
        match stored.await? {
            Some(stored) if stored.delivery == DeliveryStatus::Unpublished => Ok(Sent {
                id,
                waits: Some(cause),
            }),
            _ => Err(cause),
        }
    }

    /// Sends a content that was encoded elsewhere.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_encoded(
        &self,
        content: &EncodedContent,
        options: SendOptions,
    ) -> Result<MessageId, Error> {
        let group = self.current().await?;
        self.send_to(group, content, options).await
    }

    async fn send_to(
        &self,
        group: GroupId,
        content: &EncodedContent,
        options: SendOptions,
    ) -> Result<MessageId, Error> {
        let despite_fork = options.despite_fork;
        let prepared = Prepared::new(&self.core, &group, content, options);
        let slot = self.core.slots.get(&group);
        let (reply, answer) = oneshot::channel();
        slot.sends.lock().push(QueuedSend {
            envelope: prepared.envelope,
            message: prepared.message,
            should_push: prepared.should_push,
            despite_fork,
            reply,
        });
        let core = Arc::clone(&self.core);
        tokio::spawn(async move { core.send_queued(&slot).await });
        answer.await.map_err(|_| ConversationError::Interrupted)?
    }

    /// Stores a message at once and leaves sending it to [`Conversation::publish`], the next
    /// send or the next sync. Its id is final.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`], the network aside.
    pub async fn send_optimistic(
        &self,
        content: &Content,
        options: SendOptions,
    ) -> Result<MessageId, Error> {
        let encoded = encode(content)?;
        let group = self.current().await?;
        let prepared = Prepared::new(&self.core, &group, &encoded, options);
        let id = prepared.message.id;
        self.core
            .run(&group, move |state, core| {
                Box::pin(state.store_unsent(
                    core,
                    prepared.envelope,
                    prepared.message,
                    prepared.should_push,
                ))
            })
            .await?;
        Ok(id)
    }

    /// Sends what [`Conversation::send_optimistic`] stored, in whichever copies of a DM it waits.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`]: the first, after everything was tried.
    pub async fn publish(&self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for id in self.copies().await? {
            let published = self.core.run(&id, |state, core| {
                Box::pin(async move {
                    state.load(core).await?;
                    if !state.has_waiting_messages() {
                        return Ok(());
                    }
                    state.ready_to_send(core).await?;
                    match state.publish_messages(core).await?.pop() {
                        Some(refused) => Err(refused.cause.into()),
                        None => Ok(()),
                    }
                })
            });
            outcome = outcome.and(published.await);
        }
        outcome
    }

    /// Deletes a message for everybody: our own, or as super admin anybody's.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Deletion`], [`ConversationError::MessageNotFound`], or as of [`Conversation::send`].
    pub async fn delete_message(&self, id: &MessageId) -> Result<MessageId, Error> {
        let target = self.message_here(id).await?;
        let row = self.newest().await?;
        let me = self.core.me.inbox_id();
        let context = Context::read(&row.context).map_err(ConversationError::Context)?;
        let group = target.conversation_id.clone();
        let target = DeletionTarget {
            group_id: group.clone(),
            sender: target.sender,
            is_deletable: content::is_deletable(&target),
            is_deleted: self.is_deleted(&target).await?,
        };
        let is_super_admin = context.mutable.is_super_admin(me);
        deletion::check_send(&group, Some(&target), me, is_super_admin)
            .map_err(ConversationError::Deletion)?;
        let content = encode(&Content::DeleteMessage(DeleteMessage { message_id: *id }))?;
        // In the group of the target: elsewhere it would not count.
        self.send_to(group, &content, SendOptions::default()).await
    }

    /// Replaces a message of our own. Apps that do not know editing show the new text as a
    /// message of its own.
    ///
    /// # Errors
    ///
    /// [`ConversationError::NotAuthor`], [`ConversationError::MessageNotFound`],
    /// [`ConversationError::Deletion`] when it is deleted, [`ConversationError::OtherType`] when
    /// `content` is of another type than the message; or as of [`Conversation::send`].
    pub async fn edit_message(
        &self,
        id: &MessageId,
        content: &Content,
    ) -> Result<MessageId, Error> {
        let target = self.message_here(id).await?;
        if target.sender != self.core.me.inbox_id() {
            return Err(ConversationError::NotAuthor(*id).into());
        }
        let edited = encode(content)?;
        let same_type = edited
            .content_type()
            .is_some_and(|kind| kind.matches(&target.content_type));
        if target.kind != MessageKind::Application || !same_type {
            return Err(ConversationError::OtherType(*id).into());
        }
        if self.is_deleted(&target).await? {
            return Err(ConversationError::Deletion(DeletionError::AlreadyDeleted).into());
        }
        let edit = encode(&Content::EditMessage(EditMessage {
            message_id: *id,
            edited,
        }))?;
        // In the group of the target: elsewhere it would not count.
        let group = target.conversation_id;
        self.send_to(group, &edit, SendOptions::default()).await
    }

    /// Says that everything up to now was read.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_read_receipt(&self) -> Result<MessageId, Error> {
        self.send(&Content::ReadReceipt(ReadReceipt)).await
    }

    async fn message_here(&self, id: &MessageId) -> Result<Message, Error> {
        let wanted = *id;
        let message = self
            .core
            .db
            .read(move |db| Ok(message::message(db, &wanted)?))
            .await?;
        let copies = self.copies().await?;
        let message = message.filter(|message| copies.contains(&message.conversation_id));
        Ok(message.ok_or(ConversationError::MessageNotFound(*id))?)
    }

    async fn is_deleted(&self, target: &Message) -> Result<bool, Error> {
        let target = target.clone();
        let question = move |db: &rusqlite::Connection| Ok(message::is_deleted(db, target)?);
        Ok(self.core.db.read(question).await?)
    }

    // Reading.

    /// The messages that `query` asks for, those of all copies of a DM.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn messages(&self, query: &MessageQuery) -> Result<Vec<Message>, Error> {
        let copies = self.copies().await?;
        let query = query.clone();
        let messages = self
            .core
            .db
            .read(move |db| Ok(message::messages(db, &copies, &query)?))
            .await?;
        Ok(messages)
    }

    /// The same with reactions, replies, edits and deletions attached to what they are about.
    /// Those are then no rows of their own.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn enriched_messages(
        &self,
        query: &MessageQuery,
    ) -> Result<Vec<EnrichedMessage>, Error> {
        let copies = self.copies().await?;
        let mut query = query.clone();
        for attached in content::ATTACHED {
            if !query.type_ids.iter().any(|one| one == attached) {
                query.exclude_type_ids.push((*attached).to_owned());
            }
        }
        let messages = self
            .core
            .db
            .read(move |db| {
                let messages = message::messages(db, &copies, &query)?;
                Ok(message::enrich(db, messages)?)
            })
            .await?;
        Ok(messages)
    }

    /// How many messages `query` asks for, its limit aside.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn count_messages(&self, query: &MessageQuery) -> Result<u64, Error> {
        let copies = self.copies().await?;
        let query = query.clone();
        let count = self
            .core
            .db
            .read(move |db| Ok(message::count(db, &copies, &query)?))
            .await?;
        Ok(count)
    }

    /// The newest message that is to be shown as a row.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn last_message(&self) -> Result<Option<Message>, Error> {
        let copies = self.copies().await?;
        let newest = self
            .core
            .db
            .read(move |db| Ok(message::last_messages(db, &copies)?))
            .await?;
        Ok(newest.into_values().max_by_key(|message| message.sent_ns))
    }

    /// Up to when each member says to have read: Unix time in nanoseconds.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn last_read_times(&self) -> Result<BTreeMap<InboxId, u64>, Error> {
        let copies = self.copies().await?;
        let times = self
            .core
            .db
            .read(move |db| Ok(message::last_read(db, &copies)?))
            .await?;
        Ok(times)
    }

    /// Streams its messages.
    ///
    /// # Errors
    ///
    /// What the database says. A network that cannot be reached is none: the stream waits.
    pub async fn stream(&self, options: StreamOptions) -> Result<MessageStream, Error> {
        let options = StreamOptions {
            conversation: Some(self.row.id.clone()),
            ..options
        };
        MessageStream::start(Arc::clone(&self.core), options).await
    }

    // Changing it.

    /// Adds members. All their installations are added; those without a usable key package are
    /// left out. Many are added with several commits where the network takes only small ones; after
    /// an error some of them may be members then, and some may become so later.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Refused`] when we may not, [`ConversationError::Plan`] when the group
    /// would be too large or nobody of them can be added; what the network says.
    pub async fn add_members(
        &mut self,
        inboxes: impl IntoIterator<Item = InboxId>,
    ) -> Result<(), Error> {
        let add = inboxes.into_iter().collect();
        let id = self.row.id.clone();
        self.core
            .run(&id, move |state, core| {
                Box::pin(state.add_members(core, add))
            })
            .await?;
        self.refresh().await
    }

    /// Removes members. Super admins cannot be removed.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Refused`] when we may not; what the network says.
    pub async fn remove_members(
        &mut self,
        inboxes: impl IntoIterator<Item = InboxId>,
    ) -> Result<(), Error> {
        let remove: Vec<_> = inboxes.into_iter().collect();
        let members: BTreeSet<_> = self.newest_members().await?;
        if let Some(stranger) = remove.iter().find(|inbox| !members.contains(inbox)) {
            return Err(ConversationError::NotMember(*stranger).into());
        }
        self.change(Wish::Membership {
            add: Vec::new(),
            remove,
        })
        .await
    }

    async fn newest_members(&self) -> Result<BTreeSet<InboxId>, Error> {
        let row = self.newest().await?;
        let membership = row.context.parts().membership();
        let membership = membership.map_err(ConversationError::Context)?;
        Ok(membership.inbox_ids().collect())
    }

    /// Brings the installations of all members up to date.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn update_installations(&mut self) -> Result<(), Error> {
        self.change(Wish::Membership {
            add: Vec::new(),
            remove: Vec::new(),
        })
        .await
    }

    /// Gives or takes a role.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Dm`], [`ConversationError::Refused`] when we may not; what the network
    /// says.
    pub async fn change_admins(
        &mut self,
        change: AdminChange,
        inbox: InboxId,
    ) -> Result<(), Error> {
        self.not_in_dm()?;
        self.change(Wish::Admins { change, inbox }).await
    }

    /// Sets an attribute.
    ///
    /// # Errors
    ///
    /// [`ConversationError::AttributeTooLong`], [`ConversationError::Refused`] when we may not;
    /// what the network says.
    pub async fn set_attribute(
        &mut self,
        attribute: Attribute,
        value: impl Into<String>,
    ) -> Result<(), Error> {
        let value = value.into();
        attribute
            .check(&value)
            .map_err(ConversationError::AttributeTooLong)?;
        let change = (attribute.key().to_owned(), Some(value));
        self.change(Wish::Metadata([change].into())).await
    }

    /// Sets its name.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::set_attribute`].
    pub async fn set_name(&mut self, name: impl Into<String>) -> Result<(), Error> {
        self.set_attribute(Attribute::GroupName, name).await
    }

    /// Sets what it is about.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::set_attribute`].
    pub async fn set_description(&mut self, text: impl Into<String>) -> Result<(), Error> {
        self.set_attribute(Attribute::Description, text).await
    }

    /// Sets where its picture is.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::set_attribute`].
    pub async fn set_image_url(&mut self, url: impl Into<String>) -> Result<(), Error> {
        self.set_attribute(Attribute::ImageUrl, url).await
    }

    /// Sets what an app keeps with it.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::set_attribute`].
    pub async fn set_app_data(&mut self, data: impl Into<String>) -> Result<(), Error> {
        self.set_attribute(Attribute::AppData, data).await
    }

    /// Lets messages disappear, or stay (`None`). Two commits, as official clients make them.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::set_attribute`].
    pub async fn set_disappearing(
        &mut self,
        settings: Option<DisappearingSettings>,
    ) -> Result<(), Error> {
        for (attribute, value) in settings.unwrap_or_default().attributes() {
            let change = (attribute.key().to_owned(), Some(value));
            self.change(Wish::Metadata([change].into())).await?;
        }
        Ok(())
    }

    /// Sets one policy. Only super admins may.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Dm`], [`ConversationError::Refused`]; what the network says.
    pub async fn set_permission(&mut self, kind: PolicyKind, who: Who) -> Result<(), Error> {
        self.not_in_dm()?;
        let mut permissions = self.newest_permissions().await?;
        permissions
            .set(kind, who)
            .map_err(|cause| ConversationError::Engine(cause.to_string()))?;
        self.set_permissions(&permissions).await
    }

    /// Replaces all policies. Only super admins may.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::set_permission`].
    pub async fn set_permissions(&mut self, permissions: &PolicySet) -> Result<(), Error> {
        self.not_in_dm()?;
        self.change(Wish::Permissions(permissions.encode().to_vec()))
            .await
    }

    /// Where the group keeps what is known about it.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match self.row.context.is_migrated() {
            true => Generation::AppData,
            false => Generation::Extensions,
        }
    }

    /// Lets the group live in an AppData dictionary, as groups of libxmtp 1.11 can. There is no way
    /// back. Two commits, as official clients make them: the first asks for that version, so that
    /// members with older programs stand still; the second converts.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Dm`]; [`ConversationError::NoAppData`], which names the members who
    /// cannot follow; [`ConversationError::Conversion`] for permissions that have no form there;
    /// [`ConversationError::Refused`] when we are no super admin; what the network says.
    pub async fn convert(&mut self) -> Result<(), Error> {
        self.not_in_dm()?;
        self.sync().await?;
        let id = self.row.id.clone();
        self.core
            .run(&id, move |state, core| Box::pin(state.convert(core)))
            .await?;
        self.refresh().await
    }

    /// Which preset the policies are, if one.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::permissions`].
    pub fn preset(&self) -> Result<Option<Preset>, Error> {
        Ok(self.permissions()?.preset())
    }

    async fn newest_permissions(&self) -> Result<PolicySet, Error> {
        let row = self.newest().await?;
        Ok(row
            .context
            .parts()
            .permissions()
            .map_err(ConversationError::Context)?)
    }

    /// Removes installations from the group and adds them again, as a super admin does for those
    /// that lost its state. Nobody takes such a commit from anybody else, not even for further
    /// installations of their own. Those that are not in the group are passed over.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Refused`] when we are no super admin, as in each DM;
    /// [`ConversationError::ReaddSelf`]; what the network says.
    pub async fn readd_installations(
        &mut self,
        installations: impl IntoIterator<Item = InstallationKey>,
    ) -> Result<(), Error> {
        let installations: Vec<_> = installations.into_iter().collect();
        if installations.contains(&self.core.me.key()) {
            return Err(ConversationError::ReaddSelf.into());
        }
        self.change(Wish::Readd(installations)).await
    }

    /// Asks to be added again to a group that this installation lost: those who can answer are
    /// its super admins.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn request_readd(&self) -> Result<(), Error> {
        self.core.request_readd(&self.row.id).await
    }

    /// Asks to be removed: a super admin's client will do it.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Leave`] for a super admin, the last member, and in a DM; or as of
    /// [`Conversation::send`].
    pub async fn leave(&mut self) -> Result<(), Error> {
        self.sync().await?;
        let row = self.newest().await?;
        let context = Context::read(&row.context).map_err(ConversationError::Context)?;
        let me = self.core.me.inbox_id();
        leave::check_leave(&context, me).map_err(ConversationError::Leave)?;
        if row.membership == MembershipState::PendingRemove {
            return Ok(());
        }
        self.send(&Content::LeaveRequest(LeaveRequest::default()))
            .await?;
        // Our own echo says so to our other installations; here it is known now.
        let id = self.row.id.clone();
        self.core
            .run(&id, |state, core| Box::pin(state.note_leaving(core)))
            .await?;
        self.refresh().await
    }

    fn not_in_dm(&self) -> Result<(), Error> {
        match self.row.kind {
            ConversationKind::Dm => Err(ConversationError::Dm.into()),
            _ => Ok(()),
        }
    }

    /// Makes a commit and waits until it is in place.
    async fn change(&mut self, wish: Wish) -> Result<(), Error> {
        let id = self.row.id.clone();
        self.core
            .run(&id, move |state, core| {
                Box::pin(async move {
                    state.load(core).await?.shares_history()?;
                    state.commit(core, wish).await
                })
            })
            .await?;
        self.refresh().await
    }

    // Consent.

    /// What we think of this conversation.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn consent(&self) -> Result<ConsentState, Error> {
        let entity = ConsentEntity::Conversation(self.row.id.clone());
        let consent = self
            .core
            .db
            .read(move |db| Ok(consent::load(db, &entity)?))
            .await?;
        Ok(consent.map(|consent| consent.state).unwrap_or_default())
    }

    /// Says what we think of this conversation, in all copies of a DM.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn set_consent(&self, state: ConsentState) -> Result<(), Error> {
        let copies = self.copies().await?;
        let consented_at_ns = to_sql(self.core.now_ns());
        let consents = copies.into_iter().map(|id| ConsentRecord {
            entity: ConsentEntity::Conversation(id),
            state,
            consented_at_ns,
        });
        self.core.set_consents(consents.collect()).await
    }

    // Looking inside.

    /// The commits that were met and what became of them, oldest first.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn commit_log(&self) -> Result<Vec<CommitLogEntry>, Error> {
        let id = self.row.id.clone();
        let log = self
            .core
            .db
            .read(move |db| Ok(rows::commit_log(db, &id)?))
            .await?;
        Ok(log)
    }

    /// Compares what this installation saw of the group with what its super admins saw.
    ///
    /// # Errors
    ///
    /// What the network says; d14n has no commit logs.
    pub async fn compare_commit_logs(&self) -> Result<ForkState, Error> {
        let row = self.newest().await?;
        self.core.compare(&row).await
    }

    /// The authenticators of the epochs to which commits led others, by the commits' sequence ids:
    /// what super admins, or the other person of a DM, shared under the group's key.
    ///
    /// # Errors
    ///
    /// What the network says; d14n has no commit logs.
    pub async fn commit_log_of_others(&self) -> Result<BTreeMap<u64, Vec<u8>>, Error> {
        self.core.seen_by_others(&self.newest().await?).await
    }

    /// How far the log of the group was read: the last sequence id of each originator.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn cursor(&self) -> Result<folkmoot_wire::VectorClock, Error> {
        let id = self.row.id.clone();
        let cursor = self
            .core
            .db
            .read(move |db| {
                let kind = rows::CursorKind::Group;
                Ok(rows::cursor(db, id.as_bytes(), kind)?)
            })
            .await?;
        Ok(cursor)
    }

    /// What all members with the same history have in common in this epoch.
    ///
    /// # Errors
    ///
    /// [`ConversationError::Inactive`] without keys; what the database says.
    pub async fn epoch_authenticator(&self) -> Result<Vec<u8>, Error> {
        let id = self.row.id.clone();
        self.core
            .run(&id, |state, core| {
                Box::pin(async move {
                    let loaded = state.load(core).await?;
                    let group = loaded.group.as_ref();
                    let group = group.ok_or(ConversationError::Inactive)?;
                    Ok(group.epoch_authenticator())
                })
            })
            .await
    }
}

impl EnrichedMessage {
    /// Whether the message is an entry made from a commit.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.message.kind == MessageKind::MembershipChange
    }
}

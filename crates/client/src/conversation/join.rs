//! Joining: from welcomes that the network has for this installation into conversations.
//!
//! Welcomes are taken in the network's order, one after the other. What is wrong with one is told
//! and passed over. One that cannot be judged at the moment, because what it points to or depends
//! on could not be fetched, is kept for later and holds up no other: anybody can send one.

use std::{sync::Arc, time::Duration};

use folkmoot_conversation::{
    ConsentEntity, ConsentState, ContextExtensions, Group, KeyPackageSecrets, Opened,
    OpenedWelcome, StagedJoin, WelcomeFacts, WelcomePointer,
    context::ConversationKind,
    joining::{Admission, Joined, admit, needed_to_join},
    wrapped_to,
};
use folkmoot_wire::{
    COMMIT_ORIGINATOR, GroupId, InboxId, VectorClock,
    proto::xmtp::mls::api::v1::{WelcomeMessage, welcome_message},
};

use super::{
    ConversationError,
    changes::Change,
    content,
    core::Core,
    parked::PendingWelcome,
    readd::Readd,
    rows::{self, Batch, ConversationRow, CursorKind, MembershipState, Overwrite},
    state::State,
};
use crate::{
    Error, consent,
    key_packages::KeyPackages,
    network::{NetworkError, WelcomeContent, WelcomeEnvelope},
};

/// Welcomes asked for at once.
const PAGE: usize = 100;
/// How long an absent target of a pointer is waited for before it is left for later.
const POINTER_WAITS: [Duration; 3] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
];
/// With more welcomes than this kept for later, absent targets are not waited for.
const PATIENCE: u32 = 4;
/// When a welcome that was kept is taken again, first: 10 s, then twice as long each time.
const RETRY_NS: u64 = 10 * 1_000_000_000;
/// At most 2 hours apart.
const LONGEST_RETRY_NS: u64 = 7200 * 1_000_000_000;
/// And no longer than 3 days.
const GIVE_UP_NS: u64 = 3 * 24 * 3600 * 1_000_000_000;

/// What became of a welcome.
enum Outcome {
    /// A conversation, new or joined anew.
    Joined(GroupId),
    /// Nothing to join, and nothing wrong.
    Passed,
    /// Of no use, for good.
    Useless(String),
    /// What it points to is not there.
    Absent,
}

impl Core {
    /// Takes all welcomes that the network has. Returns the conversations that are new.
    pub(crate) async fn sync_welcomes(self: &Arc<Self>) -> Result<Vec<GroupId>, Error> {
        let mut joined = Vec::new();
        loop {
            let me = self.me.key();
            let after = self
                .db
                .read(move |db| Ok(rows::cursor(db, me.as_bytes(), CursorKind::Welcomes)?))
                .await?;
            let page = self.network.welcomes(&me, &after, PAGE).await?;
            let (more, none) = (page.more, page.envelopes.is_empty());
            if none && self.step_back_in_welcomes(&after).await? {
                continue;
            }
            joined.extend(self.take_welcomes(page.envelopes).await?);
            if !more || none {
                break;
            }
        }
        joined.extend(self.retry_welcomes().await?);
        Ok(joined)
    }

    /// Takes welcomes, each once.
    pub(crate) async fn take_welcomes(
        self: &Arc<Self>,
        envelopes: Vec<WelcomeEnvelope>,
    ) -> Result<Vec<GroupId>, Error> {
        if envelopes.is_empty() {
            return Ok(Vec::new());
        }
        let core = Arc::clone(self);
        // To the end even if nobody waits for it.
        let task = tokio::spawn(async move { core.take_in_turn(envelopes).await });
        task.await.map_err(|_| ConversationError::Interrupted)?
    }

    async fn take_in_turn(
        self: &Arc<Self>,
        envelopes: Vec<WelcomeEnvelope>,
    ) -> Result<Vec<GroupId>, Error> {
        let _turn = self.joining.lock().await;
        self.require_in_office()?;
        let me = self.me.key();
        let mut seen = self
            .db
            .read(move |db| Ok(rows::cursor(db, me.as_bytes(), CursorKind::Welcomes)?))
            .await?;
        let mut joined = Vec::new();
        for envelope in envelopes {
            if envelope.sequence <= seen.last_seen(envelope.originator) {
                continue;
            }
            let place = (envelope.originator, envelope.sequence);
            let kept = self.db.read(|db| Ok(PendingWelcome::count(db)?));
            let waits: &[_] = match kept.await? {
                ..PATIENCE => &POINTER_WAITS,
                _ => &[],
            };
            match self.take_welcome(&envelope, waits).await {
                Ok(Outcome::Joined(id)) => joined.push(id),
                Ok(Outcome::Passed) => self.pass_welcome(place).await?,
                Ok(Outcome::Useless(cause)) => {
                    tracing::warn!(
                        welcome = envelope.sequence,
                        cause,
                        "a welcome is passed over"
                    );
                    self.pass_welcome(place).await?;
                }
                Ok(Outcome::Absent) => self.keep_welcome(&envelope).await?,
                Err(cause) if concerns_all(&cause) => return Err(cause),
                Err(cause) => {
                    tracing::warn!(
                        welcome = envelope.sequence,
                        %cause,
                        "a welcome cannot be judged yet"
                    );
                    self.keep_welcome(&envelope).await?;
                }
            }
            seen.advance(envelope.originator, envelope.sequence);
        }
        Ok(joined)
    }

    async fn pass_welcome(&self, place: (u32, u64)) -> Result<(), Error> {
        let me = self.me.key();
        let now_ns = self.now_ns();
        self.db
            .write_soon(move |db| {
                let (originator, sequence) = place;
                let kind = CursorKind::Welcomes;
                rows::advance_cursor(db, me.as_bytes(), kind, originator, sequence)?;
                KeyPackages::renew_soon(db, now_ns)
            })
            .await?;
        Ok(())
    }

    /// One welcome. An error means that it can be taken later.
    async fn take_welcome(
        self: &Arc<Self>,
        envelope: &WelcomeEnvelope,
        waits: &[Duration],
    ) -> Result<Outcome, Error> {
        let message = incoming(envelope);
        let key = wrapped_to(&message).unwrap_or_default().to_vec();
        let Some(secrets) = self.key_package_secrets(&key).await? else {
            return Ok(Outcome::Useless("it is sealed to an unknown key".into()));
        };
        let opened = match Opened::open(&message, &secrets) {
            Ok(opened) => opened,
            Err(cause) => return Ok(Outcome::Useless(cause.to_string())),
        };
        let welcome = match opened {
            Opened::Welcome(welcome) => welcome,
            Opened::Pointer(pointer) => match self.follow(&pointer, waits).await? {
                Some(Ok(welcome)) => welcome,
                Some(Err(cause)) => return Ok(Outcome::Useless(cause)),
                None => return Ok(Outcome::Absent),
            },
        };
        self.join(envelope, &welcome, &secrets).await
    }

    /// What a pointer points to; `None` while it is not there.
    async fn follow(
        &self,
        pointer: &WelcomePointer,
        waits: &[Duration],
    ) -> Result<Option<Result<OpenedWelcome, String>>, Error> {
        for wait in std::iter::once(&Duration::ZERO).chain(waits) {
            // Even a sleep of nothing takes a tick of the timer.
            if !wait.is_zero() {
                tokio::time::sleep(*wait).await;
            }
            let destination = pointer.destination();
            let page = self
                .network
                .welcomes(&destination, &VectorClock::new(), 1)
                .await?;
            if let Some(target) = page.envelopes.into_iter().next() {
                let opened = pointer.open(&incoming(&target));
                return Ok(Some(opened.map_err(|cause| cause.to_string())));
            }
        }
        Ok(None)
    }

    /// Leaves a welcome for later, and goes on behind it.
    async fn keep_welcome(&self, envelope: &WelcomeEnvelope) -> Result<(), Error> {
        let now_ns = self.now_ns();
        let me = self.me.key();
        let pending = PendingWelcome {
            envelope: envelope.clone(),
            attempts: 0,
            retry_ns: now_ns + RETRY_NS,
            give_up_ns: now_ns + GIVE_UP_NS,
        };
        self.db
            .write(move |db| {
                pending.write(db)?;
                let (originator, sequence) =
                    (pending.envelope.originator, pending.envelope.sequence);
                let kind = CursorKind::Welcomes;
                rows::advance_cursor(db, me.as_bytes(), kind, originator, sequence)?;
                KeyPackages::renew_soon(db, now_ns)
            })
            .await?;
        Ok(())
    }

    /// Takes those welcomes that were left for later and whose time has come. Returns the
    /// conversations that are new.
    pub(crate) async fn retry_welcomes(self: &Arc<Self>) -> Result<Vec<GroupId>, Error> {
        let now_ns = self.now_ns();
        let me = self.me.key();
        let due = self
            .db
            .read(move |db| Ok(PendingWelcome::due(db, me, now_ns)?))
            .await?;
        let mut joined = Vec::new();
        for mut pending in due {
            // Counted first, so that whatever it does happens only so often.
            pending.attempts += 1;
            let waits = (0..pending.attempts).try_fold(RETRY_NS, |wait, _| {
                Some(wait * 2).filter(|wait| *wait < LONGEST_RETRY_NS)
            });
            pending.retry_ns = now_ns + waits.unwrap_or(LONGEST_RETRY_NS);
            let counted = pending.clone();
            self.db.write(move |db| Ok(counted.write(db)?)).await?;
            let _turn = self.joining.lock().await;
            let over = match self.take_welcome(&pending.envelope, &[]).await {
                Ok(Outcome::Joined(id)) => {
                    joined.push(id);
                    true
                }
                Ok(Outcome::Passed | Outcome::Useless(_)) => true,
                Ok(Outcome::Absent) => pending.give_up_ns <= now_ns,
                Err(cause) if concerns_all(&cause) => return Err(cause),
                Err(cause) => {
                    let welcome = pending.envelope.sequence;
                    tracing::debug!(welcome, %cause, "a welcome can still not be judged");
                    pending.give_up_ns <= now_ns
                }
            };
            if over {
                self.db.write(move |db| Ok(pending.delete(db)?)).await?;
            }
        }
        Ok(joined)
    }

    /// From an opened welcome into the conversation.
    async fn join(
        self: &Arc<Self>,
        envelope: &WelcomeEnvelope,
        welcome: &OpenedWelcome,
        secrets: &KeyPackageSecrets,
    ) -> Result<Outcome, Error> {
        let staged = match StagedJoin::stage(welcome, secrets) {
            Ok(staged) => staged,
            Err(cause) => return Ok(Outcome::Useless(cause.to_string())),
        };
        let facts = staged.facts().clone();
        let joined = match self.admit(&facts).await? {
            Admission::Join(joined) => joined,
            Admission::Oneshot { sender, message } => {
                if let Some(message) = message {
                    self.take_oneshot(sender, message).await?;
                }
                return Ok(Outcome::Passed);
            }
            Admission::Refuse(refusal) => return Ok(Outcome::Useless(refusal.to_string())),
            Admission::Ask(_) => return Err(ConversationError::IdentitiesUnknown.into()),
        };
        let me = self.me.inbox_id();
        if joined.kind == ConversationKind::Sync && joined.added_by.inbox_id != me {
            return Ok(Outcome::Useless("a sync group of somebody else".into()));
        }
        let slot = self.slots.get(&facts.group_id);
        let mut state = slot.lock().await;
        let mut old = self.known(&facts.group_id).await?;
        if old
            .as_ref()
            .is_some_and(|old| old.active && !old.is_locked_out())
        {
            // What was said before can only be read with the keys that are about to go.
            match state.receive(self).await {
                Err(cause) if cause.is_retryable() => return Err(cause),
                Err(cause) => tracing::debug!(
                    group = %facts.group_id, %cause,
                    "the log of a group that is joined again cannot be read to its end"
                ),
                Ok(_) => {}
            }
            old = self.known(&facts.group_id).await?;
        }
        if let Some(old) = &old {
            if old.active && old.trouble.is_none() && old.epoch >= facts.epoch {
                state.finish();
                return Ok(Outcome::Passed);
            }
            let trusted = old.is_locked_out() && self.trusts(joined.added_by.inbox_id).await?;
            if !may_replace(old, &facts, &joined, trusted) {
                state.finish();
                let cause = "it is no continuation of the group that has its id here";
                return Ok(Outcome::Useless(cause.into()));
            }
        }
        let group = match staged.finish() {
            Ok(group) => group,
            Err(cause) => return Ok(Outcome::Useless(cause.to_string())),
        };
        let id = facts.group_id.clone();
        let joining = Joining {
            envelope,
            facts,
            joined,
            message_cursor: welcome.message_cursor(),
            group,
            old,
        };
        state.enter(self, joining).await?;
        state.finish();
        self.changes.tell(Change::ConversationAdded(id.clone()));
        let cursor = id.clone();
        let cursor = self
            .db
            .read(move |db| Ok(rows::cursor(db, cursor.as_bytes(), CursorKind::Group)?))
            .await?;
        self.live.remove(&id);
        self.live.add(&id, cursor);
        Ok(Outcome::Joined(id))
    }

    /// Whether we said of somebody that they may write to us.
    async fn trusts(&self, inbox_id: InboxId) -> Result<bool, Error> {
        let entity = ConsentEntity::Inbox(inbox_id);
        let consent = self.db.read(move |db| Ok(consent::load(db, &entity)?));
        let consent = consent.await?;
        Ok(consent.is_some_and(|one| one.state == ConsentState::Allowed))
    }

    /// What is stored about a group.
    async fn known(&self, id: &GroupId) -> Result<Option<ConversationRow>, Error> {
        let id = id.clone();
        let row = self.db.read(move |db| Ok(rows::conversation(db, &id)?));
        Ok(row.await?)
    }

    /// The verdict on a welcome, after looking up what it depends on.
    async fn admit(&self, facts: &WelcomeFacts) -> Result<Admission, Error> {
        let mut needed = needed_to_join(facts);
        for _ in 0..2 {
            let states = self.states(needed.iter().copied()).await?;
            match admit(facts, self.me.inbox_id(), &states, &self.version) {
                Admission::Ask(more) => needed.extend(more),
                admission => return Ok(admission),
            }
        }
        Err(ConversationError::IdentitiesUnknown.into())
    }
}

/// Whether an error is one of the database or of the way to the network: other welcomes would
/// fare no better.
fn concerns_all(cause: &Error) -> bool {
    matches!(
        cause,
        Error::Database(_)
            | Error::Network(NetworkError::Unreachable { .. })
            | Error::Conversation(ConversationError::Interrupted)
    )
}

/// Whether a group may take the place of the one that has its id here. Whoever knows an id can
/// make another group of that id and invite us to it: what we say would go to strangers. So it must
/// be the same conversation by what nobody can change, and as long as we are members, a member
/// must have added us. An installation that is locked out knows the members of long ago only: there
/// it may also be somebody whom we trust by consent.
fn may_replace(
    old: &ConversationRow,
    facts: &WelcomeFacts,
    joined: &Joined,
    trusted: bool,
) -> bool {
    if old.membership == MembershipState::Restored {
        // An archive tells no more than that there was such a group.
        return true;
    }
    let metadata = |extensions: &ContextExtensions| extensions.parts().metadata().ok();
    let Some(before) = metadata(&old.context) else {
        return true;
    };
    let by_member = || {
        let membership = old.context.parts().membership();
        membership.is_ok_and(|before| before.members.contains_key(&joined.added_by.inbox_id))
    };
    metadata(&facts.context) == Some(before) && (!old.active || trusted || by_member())
}

/// A conversation that is about to be entered.
struct Joining<'a> {
    envelope: &'a WelcomeEnvelope,
    facts: WelcomeFacts,
    joined: Joined,
    message_cursor: u64,
    group: Group,
    old: Option<ConversationRow>,
}

impl State {
    /// Stores a group that a welcome led into, with its cursors, consent and entry.
    async fn enter(&mut self, core: &Arc<Core>, joining: Joining<'_>) -> Result<(), Error> {
        let Joining {
            envelope,
            facts,
            joined,
            message_cursor,
            mut group,
            old,
        } = joining;
        let now_ns = core.now_ns();
        let me = core.me.inbox_id();
        let sender = joined.added_by;
        let metadata = facts.context.parts().metadata();
        let metadata = metadata.map_err(ConversationError::Context)?;
        let left = old
            .as_ref()
            .is_some_and(|old| old.membership == MembershipState::PendingRemove);
        let own = joined.is_own;
        let visible = joined.kind.is_visible();
        let row = ConversationRow {
            id: self.id.clone(),
            kind: joined.kind,
            dm_id: joined.dm_id.map(|dm_id| dm_id.as_str().to_owned()),
            creator: metadata.creator.parse().unwrap_or(sender.inbox_id),
            added_by: sender.inbox_id,
            created_ns: old
                .as_ref()
                .map_or(envelope.created_ns, |old| old.created_ns),
            membership: if own || !visible || sender.inbox_id == me {
                MembershipState::Allowed
            } else {
                MembershipState::Pending
            },
            active: true,
            epoch: group.epoch(),
            rotated_ns: 0,
            checked_ns: 0,
            last_message_ns: old.as_ref().and_then(|old| old.last_message_ns),
            context: group.context(),
            paused_for: joined.paused_for.map(|version| version.to_string()),
            trouble: None,
            welcome_id: Some(envelope.sequence),
        };
        let mut batch = Batch {
            now_ns,
            reset_mls: true,
            ..Batch::default()
        };
        let changes = group.take_changes().into_iter();
        batch
            .mls
            .extend(changes.map(|change| (change.key, change.value)));
        batch.cursor.advance(COMMIT_ORIGINATOR, message_cursor);
        if visible && !facts.members.iter().all(|leaf| leaf.inbox_id == me) {
            let entry = content::joined(&self.id, sender, me, envelope.created_ns, now_ns);
            batch.messages.push(entry);
        }
        let authenticator = group.epoch_authenticator();
        batch.commits.push(rows::CommitLogRow {
            sequence: 0,
            last_authenticator: Vec::new(),
            result: 1,
            epoch: group.epoch(),
            authenticator,
            sender: Some(sender.inbox_id),
            cause: "Welcome".to_owned(),
        });
        batch.consent = if !visible {
            None
        } else if own {
            Some((ConsentState::Allowed, Overwrite::Keep))
        } else if left {
            Some((ConsentState::Unknown, Overwrite::Replace))
        } else {
            self.consent_of_copies(core, row.dm_id.as_deref()).await?
        };
        batch.row = Some(row);
        let id = self.id.clone();
        let installation = core.me.key();
        let (originator, sequence) = (envelope.originator, envelope.sequence);
        self.unload();
        let written = core
            .db
            .write_soon(move |db| {
                let kind = CursorKind::Welcomes;
                rows::advance_cursor(db, installation.as_bytes(), kind, originator, sequence)?;
                KeyPackages::renew_soon(db, now_ns)?;
                rows::forget_intents(db, &id)?;
                rows::reset_pending_removal(db, &id)?;
                Readd::forget(db, &id)?;
                Ok(batch.write(db, &id)?)
            })
            .await?;
        core.changes.tell_written(&written);
        if written.consent {
            core.tell_consent(&self.id).await?;
        }
        Ok(())
    }

    /// Another copy of a DM that we know takes the consent of the oldest record among the copies.
    async fn consent_of_copies(
        &self,
        core: &Core,
        dm_id: Option<&str>,
    ) -> Result<Option<(ConsentState, Overwrite)>, Error> {
        let Some(dm_id) = dm_id.map(str::to_owned) else {
            return Ok(None);
        };
        let oldest = core
            .db
            .read(move |db| {
                let mut consents = Vec::new();
                for copy in rows::dm_copies(db, &dm_id)? {
                    consents.extend(consent::load(db, &ConsentEntity::Conversation(copy.id))?);
                }
                Ok(consents
                    .into_iter()
                    .min_by_key(|consent| consent.consented_at_ns))
            })
            .await?;
        Ok(oldest.map(|consent| (consent.state, Overwrite::Keep)))
    }
}

/// A welcome as the engine reads it.
fn incoming(envelope: &WelcomeEnvelope) -> WelcomeMessage {
    let installation_key = envelope.welcome.destination.as_bytes().to_vec();
    let version = match envelope.welcome.content.clone() {
        WelcomeContent::Welcome {
            data,
            hpke_public_key,
            wrapper_algorithm,
            metadata,
        } => welcome_message::Version::V1(welcome_message::V1 {
            id: envelope.sequence,
            created_ns: envelope.created_ns,
            installation_key: installation_key.into(),
            data,
            hpke_public_key,
            wrapper_algorithm,
            welcome_metadata: metadata,
        }),
        WelcomeContent::Pointer {
            data,
            hpke_public_key,
            wrapper_algorithm,
        } => welcome_message::Version::WelcomePointer(welcome_message::WelcomePointer {
            id: envelope.sequence,
            created_ns: envelope.created_ns,
            installation_key: installation_key.into(),
            welcome_pointer: data,
            hpke_public_key,
            wrapper_algorithm,
        }),
    };
    WelcomeMessage {
        version: Some(version),
    }
}

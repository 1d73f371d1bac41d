//! The tables of conversations: one function per question or change.
//!
//! Everything that must happen together is collected in a [`Batch`] and written in one
//! transaction: MLS rows, cursors, messages, intents and the conversation itself.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use folkmoot_conversation::{
    ConsentState, ContextExtensions, context::ConversationKind, transcript, version::Version,
};
use folkmoot_wire::{GroupId, InboxId, InstallationKey, MessageId, VectorClock};
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use zeroize::Zeroizing;

use super::{
    intent::{Intent, IntentState, Wish},
    readd::Readd,
    standing::{self, Heard},
};
use crate::{message, network::GroupEnvelope};

/// How this inbox stands to a conversation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MembershipState {
    /// A member by own act.
    Allowed,
    /// Declined.
    Rejected,
    /// Added by somebody, not answered yet.
    Pending,
    /// Known from an archive only: readable, until somebody adds this installation.
    Restored,
    /// Asked to leave; a super admin's client will do it.
    PendingRemove,
}

impl MembershipState {
    const fn code(self) -> i64 {
        match self {
            Self::Allowed => 1,
            Self::Rejected => 2,
            Self::Pending => 3,
            Self::Restored => 4,
            Self::PendingRemove => 5,
        }
    }

    fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Allowed),
            2 => Some(Self::Rejected),
            3 => Some(Self::Pending),
            4 => Some(Self::Restored),
            5 => Some(Self::PendingRemove),
            _ => None,
        }
    }
}

/// Why a conversation cannot be followed any more although this inbox is a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// A commit adds a key package that has expired since; MLS refuses to follow.
    LockedOut,
    /// This installation's history of commits is not the group's.
    Forked,
    /// Something came that none of the commits met here explains. Whoever knows the group's id can
    /// cause that, so nothing is refused because of it.
    Parted,
    /// The installation is a new one, which nobody has added yet. The one before it was a member.
    Relinked,
}

impl Trouble {
    const fn code(self) -> i64 {
        match self {
            Self::LockedOut => 1,
            Self::Forked => 2,
            Self::Parted => 3,
            Self::Relinked => 4,
        }
    }
}

/// A row of `conversation`.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct ConversationRow {
    pub(crate) id: GroupId,
    pub(crate) kind: ConversationKind,
    pub(crate) dm_id: Option<String>,
    pub(crate) creator: InboxId,
    pub(crate) added_by: InboxId,
    pub(crate) created_ns: u64,
    pub(crate) membership: MembershipState,
    pub(crate) active: bool,
    pub(crate) epoch: u64,
    pub(crate) rotated_ns: u64,
    pub(crate) checked_ns: u64,
    pub(crate) last_message_ns: Option<u64>,
    pub(crate) context: ContextExtensions,
    pub(crate) paused_for: Option<String>,
    pub(crate) trouble: Option<(Trouble, u64)>,
    pub(crate) welcome_id: Option<u64>,
}

impl fmt::Debug for ConversationRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConversationRow")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("active", &self.active)
            .field("epoch", &self.epoch)
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
    }
}

impl ConversationRow {
    /// Whether this installation can follow the group no further.
    pub(crate) const fn is_locked_out(&self) -> bool {
        matches!(
            self.trouble,
            Some((Trouble::LockedOut | Trouble::Relinked, _))
        )
    }

    /// Whether what is said in it reaches others.
    pub(crate) const fn is_usable(&self) -> bool {
        let forked = matches!(self.trouble, Some((Trouble::Forked, _)));
        self.active && !forked && !self.is_locked_out()
    }

    /// Waits no longer for a version that `own` has reached: the program is newer than when this
    /// was written. A commit that asks for more is met again.
    pub(crate) fn outgrow(&mut self, own: &Version) {
        let wanted = self.paused_for.as_deref().map(str::parse::<Version>);
        if wanted.is_some_and(|wanted| wanted.is_ok_and(|wanted| wanted <= *own)) {
            self.paused_for = None;
        }
    }
}

/// Who gets to see a message, and when.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DeliveryStatus {
    /// Stored here; the node does not have it yet.
    Unpublished,
    /// The node has it.
    Published,
    /// It could not be sent; see the log.
    Failed,
}

impl DeliveryStatus {
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Unpublished => 1,
            Self::Published => 2,
            Self::Failed => 3,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Unpublished),
            2 => Some(Self::Published),
            3 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// What kind of entry a message is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MessageKind {
    /// Somebody sent it.
    Application,
    /// Made here, from a commit: who came, who went, what changed.
    MembershipChange,
}

impl MessageKind {
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Application => 1,
            Self::MembershipChange => 2,
        }
    }

    pub(crate) fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::Application),
            2 => Some(Self::MembershipChange),
            _ => None,
        }
    }
}

/// A row of `message` that is to be written.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct MessageRow {
    pub(crate) id: MessageId,
    pub(crate) sent_ns: u64,
    pub(crate) inserted_ns: u64,
    pub(crate) kind: MessageKind,
    pub(crate) sender: InboxId,
    pub(crate) installation: InstallationKey,
    pub(crate) delivery: DeliveryStatus,
    pub(crate) authority: String,
    pub(crate) type_id: String,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) reference: Option<MessageId>,
    pub(crate) content: Bytes,
    pub(crate) place: Option<(u32, u64)>,
    pub(crate) expire_ns: Option<u64>,
    pub(crate) by_super_admin: bool,
}

impl fmt::Debug for MessageRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MessageRow")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("type_id", &self.type_id)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

/// What becomes of an intent.
#[derive(Clone, Debug)]
pub(crate) enum IntentChange {
    /// A new one, already with what is to be sent.
    Insert(Box<Intent>),
    /// All columns of an old one.
    Update(Box<Intent>),
    /// Done: it goes.
    Delete(i64),
}

/// A row of `commit_log`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CommitLogRow {
    pub(crate) sequence: u64,
    pub(crate) last_authenticator: Vec<u8>,
    pub(crate) result: i64,
    pub(crate) epoch: u64,
    pub(crate) authenticator: Vec<u8>,
    pub(crate) sender: Option<InboxId>,
    pub(crate) cause: String,
}

/// A published message, and where the node put it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) id: MessageId,
    /// The node's time; `None` while only its acknowledgement is known.
    pub(crate) created_ns: Option<u64>,
    pub(crate) place: Option<(u32, u64)>,
    pub(crate) expire_ns: Option<u64>,
}

/// Changes to one conversation that take effect together or not at all.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) row: Option<ConversationRow>,
    /// Replace all MLS rows of the conversation by those of `mls`.
    pub(crate) reset_mls: bool,
    pub(crate) mls: BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>,
    pub(crate) cursor: VectorClock,
    pub(crate) messages: Vec<MessageRow>,
    pub(crate) delivered: Vec<Delivered>,
    pub(crate) failed: Vec<MessageId>,
    pub(crate) intents: Vec<IntentChange>,
    pub(crate) leaving: Vec<InboxId>,
    pub(crate) left: Vec<InboxId>,
    pub(crate) commits: Vec<CommitLogRow>,
    /// Messages that came before the commit that leads to their epoch.
    pub(crate) early: Vec<GroupEnvelope>,
    /// Those of them that were read, by originator and sequence.
    pub(crate) read_early: Vec<(u32, u64)>,
    /// Messages that were opened before the log shows them: the hashes of their envelopes, their ids.
    pub(crate) pushed: Vec<([u8; 32], MessageId)>,
    /// Hashes of those that the log has shown.
    pub(crate) shown: Vec<[u8; 32]>,
    /// This installation lost the group and wants to be added again.
    pub(crate) wants_readd: Option<InstallationKey>,
    /// Installations that said something, and in which epoch.
    pub(crate) heard: BTreeMap<InstallationKey, Heard>,
    /// Installations that were added again, with the commit that did it.
    pub(crate) readded: Vec<(InstallationKey, u64)>,
    /// A consent to set if none is recorded, or in any case.
    pub(crate) consent: Option<(ConsentState, Overwrite)>,
    pub(crate) now_ns: u64,
}

/// Whether a consent that is recorded already is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Overwrite {
    Keep,
    Replace,
}

impl fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Batch")
            .field("row", &self.row)
            .field("mls", &self.mls.len())
            .field("cursor", &self.cursor)
            .field("messages", &self.messages)
            .field("intents", &self.intents)
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// Adds a wish.
    pub(crate) fn wish(&mut self, wish: Wish) {
        self.intents
            .push(IntentChange::Insert(Box::new(Intent::new(wish))));
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.row.is_none()
            && !self.reset_mls
            && self.mls.is_empty()
            && self.cursor.is_empty()
            && self.messages.is_empty()
            && self.delivered.is_empty()
            && self.failed.is_empty()
            && self.intents.is_empty()
            && self.leaving.is_empty()
            && self.left.is_empty()
            && self.commits.is_empty()
            && self.early.is_empty()
            && self.pushed.is_empty()
            && self.shown.is_empty()
            && self.wants_readd.is_none()
            && self.heard.is_empty()
            && self.readded.is_empty()
            && self.read_early.is_empty()
            && self.consent.is_none()
    }

    /// Notes that an installation was heard, which has reached `epoch`.
    pub(crate) fn hear(&mut self, installation: InstallationKey, epoch: u64, at_ns: u64) {
        let heard = self
            .heard
            .entry(installation)
            .or_insert(Heard { epoch, at_ns });
        heard.epoch = heard.epoch.max(epoch);
        heard.at_ns = heard.at_ns.max(at_ns);
    }

    /// Whether an entry of a DM says again what one in a copy of it says: that somebody was added.
    fn is_repeated(
        &self,
        db: &Connection,
        group: &GroupId,
        message: &MessageRow,
    ) -> rusqlite::Result<bool> {
        if message.kind != MessageKind::MembershipChange {
            return Ok(false);
        }
        // The row of a conversation that is being joined is only about to be written.
        let dm_id = match &self.row {
            Some(row) => row.dm_id.clone(),
            None => db
                .prepare_cached("SELECT dm_id FROM conversation WHERE id = ?1")?
                .query_row([group.as_bytes()], |row| row.get(0))
                .optional()?
                .flatten(),
        };
        let Some(dm_id) = dm_id else {
            return Ok(false);
        };
        let Some(entry) = transcript::decode(&message.content) else {
            return Ok(false);
        };
        let earlier = db
            .prepare_cached(
                "SELECT content FROM message WHERE kind = 2 AND group_id IN
                     (SELECT id FROM conversation WHERE dm_id = ?1)",
            )?
            .query_map([dm_id], |row| {
                let content: Vec<u8> = row.get(0)?;
                Ok(transcript::decode(&content))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(transcript::repeats(&entry, earlier.iter().flatten()))
    }

    /// Writes everything; call it inside a transaction.
    pub(crate) fn write(&self, db: &Connection, group: &GroupId) -> rusqlite::Result<Written> {
        let mut written = Written::default();
        let id = group.as_bytes();
        if self.reset_mls {
            db.prepare_cached("DELETE FROM mls_state WHERE group_id = ?1")?
                .execute([id])?;
        }
        for (key, value) in &self.mls {
            match value {
                Some(value) => db
                    .prepare_cached("INSERT OR REPLACE INTO mls_state VALUES (?1, ?2, ?3)")?
                    .execute(params![id, key, &value[..]])?,
                None => db
                    .prepare_cached("DELETE FROM mls_state WHERE group_id = ?1 AND key = ?2")?
                    .execute(params![id, key])?,
            };
        }
        for (originator, sequence) in self.cursor.iter() {
            advance_cursor(db, id, CursorKind::Group, originator, sequence)?;
        }
        let mut places = StreamPlaces::default();
        let mut last_message = None;
        for message in &self.messages {
            if self.is_repeated(db, group, message)? {
                continue;
            }
            let shown = message.delivery == DeliveryStatus::Published;
            let place = if shown { Some(places.next(db)?) } else { None };
            if insert_message(db, group, message, place)? {
                written.messages.push(message.id);
                written.streamed |= shown;
                note_targets(db, message, &mut written)?;
            }
            last_message = last_message.max(Some(message.sent_ns));
        }
        for delivered in &self.delivered {
            written.streamed |= deliver(db, delivered, &mut places)?;
            written.updated.push(delivered.id);
            last_message = last_message.max(delivered.created_ns);
        }
        places.keep(db)?;
        for (installation, heard) in &self.heard {
            standing::note(db, group, *installation, *heard)?;
        }
        for id in &self.failed {
            db.prepare_cached("UPDATE message SET delivery = 3 WHERE id = ?1 AND delivery = 1")?
                .execute([id.as_bytes()])?;
            written.updated.push(*id);
        }
        for change in &self.intents {
            match change {
                IntentChange::Insert(intent) => {
                    written.intents.push(intent.insert(db, group)?);
                }
                IntentChange::Update(intent) => intent.update(db)?,
                IntentChange::Delete(id) => {
                    db.prepare_cached("DELETE FROM intent WHERE id = ?1")?
                        .execute([id])?;
                }
            }
        }
        for inbox in &self.leaving {
            db.prepare_cached("INSERT OR IGNORE INTO pending_removal VALUES (?1, ?2)")?
                .execute(params![id, inbox.as_bytes()])?;
        }
        for inbox in &self.left {
            db.prepare_cached("DELETE FROM pending_removal WHERE group_id = ?1 AND inbox = ?2")?
                .execute(params![id, inbox.as_bytes()])?;
        }
        for commit in &self.commits {
            db.prepare_cached(
                "INSERT INTO commit_log (group_id, sequence, last_authenticator, result, epoch,
                 authenticator, sender, cause) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                id,
                commit.sequence.cast_signed(),
                commit.last_authenticator,
                commit.result,
                commit.epoch.cast_signed(),
                commit.authenticator,
                commit.sender.as_ref().map(InboxId::as_bytes),
                commit.cause,
            ])?;
        }
        self.write_early(db, group)?;
        self.write_pushed(db, group)?;
        if let Some(me) = self.wants_readd {
            Readd::want(db, group, me, self.now_ns)?;
        }
        for (installation, sequence) in &self.readded {
            Readd::came(db, group, *installation, *sequence, self.now_ns)?;
        }
        if let Some(row) = &self.row {
            write_conversation(db, row)?;
        }
        if let Some(sent_ns) = last_message {
            db.prepare_cached(
                "UPDATE conversation SET last_message_ns = max(coalesce(last_message_ns, 0), ?2)
                 WHERE id = ?1",
            )?
            .execute(params![id, sent_ns.cast_signed()])?;
            written.last_message_ns = Some(sent_ns);
        }
        if let Some((state, overwrite)) = self.consent {
            let now = self.now_ns.cast_signed();
            let sql = match overwrite {
                Overwrite::Keep => "INSERT OR IGNORE INTO consent VALUES (1, ?1, ?2, ?3)",
                Overwrite::Replace => {
                    "INSERT INTO consent VALUES (1, ?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET state = excluded.state, since_ns = excluded.since_ns
                     WHERE state <> excluded.state"
                }
            };
            let changed = db
                .prepare_cached(sql)?
                .execute(params![id, state.number(), now])?;
            written.consent = changed > 0;
        }
        Ok(written)
    }
}

/// Notes which messages look different because a new one has come: the one that it is about, or
/// itself, when what is about it came first.
fn note_targets(db: &Connection, new: &MessageRow, written: &mut Written) -> rusqlite::Result<()> {
    let is_deleted = |target: &MessageId| -> rusqlite::Result<bool> {
        let target = message::message(db, target)?;
        let shown = message::enrich(db, target.into_iter().collect())?;
        Ok(shown.iter().any(|message| message.deleted.is_some()))
    };
    match (new.type_id.as_str(), new.reference) {
        ("deleteMessage", Some(target)) => {
            if is_deleted(&target)? {
                written.deleted.push(target);
            }
        }
        ("reaction" | "editMessage", Some(target)) => written.updated.push(target),
        _ => {
            let early = db
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM message
                     WHERE reference = ?1 AND type = 'deleteMessage')",
                )?
                .query_row([new.id.as_bytes()], |row| row.get(0))?;
            if early && is_deleted(&new.id)? {
                written.deleted.push(new.id);
            }
        }
    }
    Ok(())
}

/// Places in the streams, given away one after the other. Some may stay unused.
#[derive(Debug, Default)]
struct StreamPlaces(Option<i64>);

impl StreamPlaces {
    fn next(&mut self, db: &Connection) -> rusqlite::Result<i64> {
        let last = match self.0 {
            Some(last) => last,
            None => db
                .prepare_cached("SELECT value FROM counter WHERE name = 'stream'")?
                .query_row([], |row| row.get(0))?,
        };
        self.0 = Some(last + 1);
        Ok(last + 1)
    }

    fn keep(&self, db: &Connection) -> rusqlite::Result<()> {
        if let Some(last) = self.0 {
            db.prepare_cached("UPDATE counter SET value = ?1 WHERE name = 'stream'")?
                .execute([last])?;
        }
        Ok(())
    }
}

/// What a [`Batch`] did, for those who watch.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Ids of the new intents in the order of the batch.
    pub(crate) intents: Vec<i64>,
    /// Messages that were new.
    pub(crate) messages: Vec<MessageId>,
    /// Messages whose delivery changed, or of which something new is said.
    pub(crate) updated: Vec<MessageId>,
    /// Messages that are deleted for everybody now.
    pub(crate) deleted: Vec<MessageId>,
    /// Whether streams have something to show.
    pub(crate) streamed: bool,
    /// Whether the consent changed.
    pub(crate) consent: bool,
    /// The newest message's time.
    pub(crate) last_message_ns: Option<u64>,
}

/// Which log a cursor is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CursorKind {
    Welcomes,
    Group,
    CommitLogWritten,
}

impl CursorKind {
    pub(super) const fn code(self) -> i64 {
        match self {
            Self::Welcomes => 1,
            Self::Group => 2,
            Self::CommitLogWritten => 4,
        }
    }
}

/// Moves a cursor forward; never back.
pub(crate) fn advance_cursor(
    db: &Connection,
    entity: &[u8],
    kind: CursorKind,
    originator: u32,
    sequence: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO cursor VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET sequence = max(sequence, excluded.sequence)",
    )?
    .execute(params![
        entity,
        kind.code(),
        originator,
        sequence.cast_signed()
    ])?;
    Ok(())
}

/// How far a log was read.
pub(crate) fn cursor(
    db: &Connection,
    entity: &[u8],
    kind: CursorKind,
) -> rusqlite::Result<VectorClock> {
    db.prepare_cached("SELECT originator, sequence FROM cursor WHERE entity = ?1 AND kind = ?2")?
        .query_map(params![entity, kind.code()], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
        })?
        .collect()
}

/// The cursors of all conversations.
pub(crate) fn group_cursors(db: &Connection) -> rusqlite::Result<BTreeMap<GroupId, VectorClock>> {
    let mut statement =
        db.prepare_cached("SELECT entity, originator, sequence FROM cursor WHERE kind = 2")?;
    let mut rows = statement.query([])?;
    let mut cursors = BTreeMap::<GroupId, VectorClock>::new();
    while let Some(row) = rows.next()? {
        let id = group_id(row, 0)?;
        let sequence: i64 = row.get(2)?;
        cursors
            .entry(id)
            .or_default()
            .advance(row.get(1)?, sequence.cast_unsigned());
    }
    Ok(cursors)
}

fn write_conversation(db: &Connection, row: &ConversationRow) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO conversation (id, kind, dm_id, creator, added_by, created_ns, membership,
             active, epoch, rotated_ns, checked_ns, last_message_ns, context, paused_for, trouble,
             trouble_at, welcome_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, dm_id = excluded.dm_id,
             creator = excluded.creator, added_by = excluded.added_by,
             created_ns = excluded.created_ns, membership = excluded.membership,
             active = excluded.active, epoch = excluded.epoch, rotated_ns = excluded.rotated_ns,
             checked_ns = excluded.checked_ns, context = excluded.context,
             paused_for = excluded.paused_for, trouble = excluded.trouble,
             trouble_at = excluded.trouble_at, welcome_id = excluded.welcome_id",
    )?
    .execute(params![
        row.id.as_bytes(),
        row.kind.number(),
        row.dm_id,
        row.creator.as_bytes(),
        row.added_by.as_bytes(),
        row.created_ns.cast_signed(),
        row.membership.code(),
        row.active,
        row.epoch.cast_signed(),
        row.rotated_ns.cast_signed(),
        row.checked_ns.cast_signed(),
        row.last_message_ns.map(u64::cast_signed),
        encode_context(&row.context),
        row.paused_for,
        row.trouble.map(|(trouble, _)| trouble.code()),
        row.trouble.map(|(_, at)| at.cast_signed()),
        row.welcome_id.map(u64::cast_signed),
    ])?;
    Ok(())
}

const CONVERSATION: &str = "SELECT id, kind, dm_id, creator, added_by, created_ns, membership,
    active, epoch, rotated_ns, checked_ns, last_message_ns, context, paused_for, trouble,
    trouble_at, welcome_id FROM conversation";

/// Whether the database is a copy that was put back.
pub(crate) fn is_restored(db: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM counter WHERE name = 'restored')";
    db.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// A conversation by its id.
pub(crate) fn conversation(
    db: &Connection,
    id: &GroupId,
) -> rusqlite::Result<Option<ConversationRow>> {
    db.prepare_cached(&format!("{CONVERSATION} WHERE id = ?1"))?
        .query_row([id.as_bytes()], read_conversation)
        .optional()
}

/// All conversations, in no order.
pub(crate) fn conversations(db: &Connection) -> rusqlite::Result<Vec<ConversationRow>> {
    db.prepare_cached(CONVERSATION)?
        .query_map([], read_conversation)?
        .collect()
}

/// The conversations whose logs are followed.
pub(crate) fn active_conversations(db: &Connection) -> rusqlite::Result<Vec<GroupId>> {
    db.prepare_cached(
        "SELECT id FROM conversation WHERE active AND ifnull(trouble, 0) NOT IN (1, 4)",
    )?
    .query_map([], |row| group_id(row, 0))?
    .collect()
}

/// All copies of a DM, the one in use first (the greatest last message, then group id).
pub(crate) fn dm_copies(db: &Connection, dm_id: &str) -> rusqlite::Result<Vec<ConversationRow>> {
    db.prepare_cached(&format!(
        "{CONVERSATION} WHERE dm_id = ?1 ORDER BY coalesce(last_message_ns, 0) DESC, id DESC"
    ))?
    .query_map([dm_id], read_conversation)?
    .collect()
}

fn read_conversation(row: &Row<'_>) -> rusqlite::Result<ConversationRow> {
    let trouble = match row.get::<_, Option<i64>>(14)? {
        Some(1) => Some(Trouble::LockedOut),
        Some(2) => Some(Trouble::Forked),
        Some(3) => Some(Trouble::Parted),
        Some(4) => Some(Trouble::Relinked),
        _ => None,
    };
    let at = row.get::<_, Option<i64>>(15)?.unwrap_or(0).cast_unsigned();
    Ok(ConversationRow {
        id: group_id(row, 0)?,
        kind: kind(row.get(1)?).ok_or_else(|| strange(1))?,
        dm_id: row.get(2)?,
        creator: inbox_id(row, 3)?,
        added_by: inbox_id(row, 4)?,
        created_ns: time(row, 5)?,
        membership: MembershipState::from_code(row.get(6)?).ok_or_else(|| strange(6))?,
        active: row.get(7)?,
        epoch: time(row, 8)?,
        rotated_ns: time(row, 9)?,
        checked_ns: time(row, 10)?,
        last_message_ns: row.get::<_, Option<i64>>(11)?.map(i64::cast_unsigned),
        context: decode_context(row.get_ref(12)?.as_blob()?).ok_or_else(|| strange(12))?,
        paused_for: row.get(13)?,
        trouble: trouble.map(|trouble| (trouble, at)),
        welcome_id: row.get::<_, Option<i64>>(16)?.map(i64::cast_unsigned),
    })
}

const fn kind(number: i64) -> Option<ConversationKind> {
    match number {
        1 => Some(ConversationKind::Group),
        2 => Some(ConversationKind::Dm),
        3 => Some(ConversationKind::Sync),
        4 => Some(ConversationKind::Oneshot),
        _ => None,
    }
}

/// The MLS rows of a conversation.
pub(crate) fn mls_state(
    db: &Connection,
    id: &GroupId,
) -> rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    db.prepare_cached("SELECT key, value FROM mls_state WHERE group_id = ?1")?
        .query_map([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Members who asked to leave.
pub(crate) fn leaving(db: &Connection, id: &GroupId) -> rusqlite::Result<Vec<InboxId>> {
    db.prepare_cached("SELECT inbox FROM pending_removal WHERE group_id = ?1")?
        .query_map([id.as_bytes()], |row| inbox_id(row, 0))?
        .collect()
}

/// Stores a message unless one of this id is there. `true`: it was new.
pub(crate) fn insert_message(
    db: &Connection,
    group: &GroupId,
    message: &MessageRow,
    stream: Option<i64>,
) -> rusqlite::Result<bool> {
    let changed = db
        .prepare_cached(
            "INSERT INTO message (id, group_id, sent_ns, inserted_ns, kind, sender, installation,
                 delivery, authority, type, major, minor, reference, content, originator,
                 sequence, expire_ns, stream, by_super_admin)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                 ?18, ?19)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            message.id.as_bytes(),
            group.as_bytes(),
            message.sent_ns.cast_signed(),
            message.inserted_ns.cast_signed(),
            message.kind.code(),
            message.sender.as_bytes(),
            message.installation.as_bytes(),
            message.delivery.code(),
            message.authority,
            message.type_id,
            message.major,
            message.minor,
            message.reference.as_ref().map(MessageId::as_bytes),
            &message.content[..],
            message.place.map(|(originator, _)| originator),
            message.place.map(|(_, sequence)| sequence.cast_signed()),
            message.expire_ns.map(u64::cast_signed),
            stream,
            message.by_super_admin,
        ])?;
    Ok(changed > 0)
}

/// Marks a message as published and gives it its place in the streams, once.
fn deliver(
    db: &Connection,
    delivered: &Delivered,
    places: &mut StreamPlaces,
) -> rusqlite::Result<bool> {
    let streamed = db
        .prepare_cached("UPDATE message SET stream = ?2 WHERE id = ?1 AND stream IS NULL")?
        .execute(params![delivered.id.as_bytes(), places.next(db)?])?;
    db.prepare_cached(
        "UPDATE message SET delivery = 2, sent_ns = coalesce(?2, sent_ns),
             originator = coalesce(?3, originator), sequence = coalesce(?4, sequence),
             expire_ns = coalesce(expire_ns, ?5)
         WHERE id = ?1",
    )?
    .execute(params![
        delivered.id.as_bytes(),
        delivered.created_ns.map(u64::cast_signed),
        delivered.place.map(|(originator, _)| originator),
        delivered.place.map(|(_, sequence)| sequence.cast_signed()),
        delivered.expire_ns.map(u64::cast_signed),
    ])?;
    Ok(streamed > 0)
}

/// All intents of a conversation that are not done.
pub(crate) fn intents(db: &Connection, id: &GroupId) -> rusqlite::Result<Vec<Intent>> {
    Intent::load(db, id)
}

/// The conversations with something left to do: to publish, to read back, to welcome.
pub(crate) fn unfinished(db: &Connection) -> rusqlite::Result<Vec<GroupId>> {
    db.prepare_cached("SELECT DISTINCT group_id FROM intent WHERE state <> ?1")?
        .query_map([IntentState::Failed.code()], |row| group_id(row, 0))?
        .collect()
}

/// Those of them that can be finished now: which stand neither before a commit that they cannot
/// take nor before one that asks for a newer program.
pub(crate) fn stuck(db: &Connection) -> rusqlite::Result<Vec<GroupId>> {
    db.prepare_cached(
        "SELECT DISTINCT group_id FROM intent JOIN conversation ON conversation.id = group_id
         WHERE state <> ?1 AND ifnull(trouble, 0) NOT IN (1, 4) AND paused_for IS NULL",
    )?
    .query_map([IntentState::Failed.code()], |row| group_id(row, 0))?
    .collect()
}

/// Notes that the members' installations of conversations were looked at.
pub(crate) fn mark_checked(db: &Connection, ids: &[GroupId], now_ns: u64) -> rusqlite::Result<()> {
    let mut statement =
        db.prepare_cached("UPDATE conversation SET checked_ns = ?2 WHERE id = ?1")?;
    for id in ids {
        statement.execute(params![id.as_bytes(), now_ns.cast_signed()])?;
    }
    Ok(())
}

/// Whether a group that was made here is as it was made: no commit sent, no message written.
pub(crate) fn is_untouched(db: &Connection, id: &GroupId) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT NOT EXISTS (SELECT 1 FROM conversation WHERE id = ?1 AND epoch > 0)
             AND NOT EXISTS (SELECT 1 FROM message WHERE group_id = ?1)
             AND NOT EXISTS (SELECT 1 FROM intent WHERE group_id = ?1 AND state IN (?2, ?3))",
    )?
    .query_row(
        params![
            id.as_bytes(),
            IntentState::Published.code(),
            IntentState::Committed.code()
        ],
        |row| row.get(0),
    )
}

/// Takes a conversation out altogether.
pub(crate) fn delete_conversation(db: &Connection, id: &GroupId) -> rusqlite::Result<()> {
    let id = id.as_bytes();
    for sql in [
        "DELETE FROM conversation WHERE id = ?1",
        "DELETE FROM mls_state WHERE group_id = ?1",
        "DELETE FROM message WHERE group_id = ?1",
        "DELETE FROM intent WHERE group_id = ?1",
        "DELETE FROM cursor WHERE entity = ?1",
        "DELETE FROM consent WHERE entity_type = 1 AND entity = ?1",
        "DELETE FROM pending_removal WHERE group_id = ?1",
        "DELETE FROM commit_log WHERE group_id = ?1",
        "DELETE FROM early_message WHERE group_id = ?1",
        "DELETE FROM pushed_message WHERE group_id = ?1",
        "DELETE FROM readd WHERE group_id = ?1",
        "DELETE FROM heard WHERE group_id = ?1",
    ] {
        db.execute(sql, [id])?;
    }
    Ok(())
}

/// Forgets what was asked of a group in an earlier life: its commits cannot come any more.
/// Messages that were not sent stay, to be sealed anew, and so do welcomes of commits that came
/// through.
pub(crate) fn forget_intents(db: &Connection, id: &GroupId) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM intent WHERE group_id = ?1 AND (state = 4 OR kind <> 1 AND state <> 3)",
        [id.as_bytes()],
    )?;
    db.execute(
        "UPDATE intent SET state = 1, payload_hash = NULL, payload = NULL, epoch = NULL
         WHERE group_id = ?1 AND kind = 1",
        [id.as_bytes()],
    )?;
    Ok(())
}

/// This database is a new installation of `me`: what the one before it could open stays readable,
/// its keys go, and the conversations that `me` is in wait until somebody adds the new one. Groups
/// of the person's devices are made anew.
pub(crate) fn await_being_added(db: &Connection, me: InboxId) -> rusqlite::Result<()> {
    for row in conversations(db)? {
        let id = &row.id;
        if !row.kind.is_visible() {
            delete_conversation(db, id)?;
            continue;
        }
        // Where only the installation was removed the person is a member still.
        let membership = row.context.membership();
        let is_member = membership.is_ok_and(|membership| membership.members.contains_key(&me));
        if !row.active && (!is_member || row.membership == MembershipState::Restored) {
            continue;
        }
        forget_intents(db, id)?;
        reset_pending_removal(db, id)?;
        for sql in [
            "UPDATE conversation SET active = 1, trouble = 4, trouble_at = 0, rotated_ns = 0,
                 checked_ns = 0 WHERE id = ?1",
            "DELETE FROM mls_state WHERE group_id = ?1",
            "DELETE FROM early_message WHERE group_id = ?1",
            "DELETE FROM pushed_message WHERE group_id = ?1",
            "DELETE FROM readd WHERE group_id = ?1",
        ] {
            db.execute(sql, [id.as_bytes()])?;
        }
    }
    db.execute("DELETE FROM pending_welcome", [])?;
    Ok(())
}

/// Nobody of the group asks to leave, as far as is known.
pub(crate) fn reset_pending_removal(db: &Connection, id: &GroupId) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM pending_removal WHERE group_id = ?1",
        [id.as_bytes()],
    )?;
    Ok(())
}

/// A commit that was met, and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitLogEntry {
    /// Its sequence id; 0 for the making or joining of the group.
    pub sequence: u64,
    /// Whether it was applied: 1 applied, 2 of another epoch, 3 undecryptable, 4 against the rules.
    pub result: u8,
    /// The group's epoch after it.
    pub epoch: u64,
    /// The authenticator of that epoch: the same for all with the same history.
    pub authenticator: Vec<u8>,
    /// The authenticator of the epoch before.
    pub last_authenticator: Vec<u8>,
    /// Who made it, if that could be seen.
    pub sender: Option<InboxId>,
    /// What kind of commit it was, or why it was not applied.
    pub cause: String,
}

/// The commits that were met, oldest first.
pub(crate) fn commit_log(db: &Connection, id: &GroupId) -> rusqlite::Result<Vec<CommitLogEntry>> {
    db.prepare_cached(
        "SELECT sequence, result, epoch, authenticator, last_authenticator, sender, cause
         FROM commit_log WHERE group_id = ?1 ORDER BY id",
    )?
    .query_map([id.as_bytes()], |row| {
        let sender = match row.get_ref(5)? {
            rusqlite::types::ValueRef::Null => None,
            _ => Some(inbox_id(row, 5)?),
        };
        Ok(CommitLogEntry {
            sequence: time(row, 0)?,
            result: row.get(1)?,
            epoch: time(row, 2)?,
            authenticator: row.get(3)?,
            last_authenticator: row.get(4)?,
            sender,
            cause: row.get(6)?,
        })
    })?
    .collect()
}

/// The newest commit that was met in each group.
pub(crate) fn newest_commits(db: &Connection) -> rusqlite::Result<BTreeMap<GroupId, u64>> {
    db.prepare_cached("SELECT group_id, max(sequence) FROM commit_log GROUP BY group_id")?
        .query_map([], |row| Ok((group_id(row, 0)?, time(row, 1)?)))?
        .collect()
}

pub(crate) fn group_id(row: &Row<'_>, column: usize) -> rusqlite::Result<GroupId> {
    let bytes = row.get_ref(column)?.as_blob()?;
    GroupId::try_from(bytes).map_err(|_| strange(column))
}

pub(crate) fn inbox_id(row: &Row<'_>, column: usize) -> rusqlite::Result<InboxId> {
    let bytes = row.get_ref(column)?.as_blob()?;
    InboxId::try_from(bytes).map_err(|_| strange(column))
}

pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// A value that this program never wrote.
pub(crate) fn strange(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, "not a known value".into())
}

/// Extensions as they are stored: type (u16), length (u32), data, one after the other.
fn encode_context(context: &ContextExtensions) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, data) in &context.0 {
        bytes.extend_from_slice(&number.to_be_bytes());
        let length = u32::try_from(data.len()).expect("an extension is shorter than 4 GiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(data);
    }
    bytes
}

fn decode_context(mut bytes: &[u8]) -> Option<ContextExtensions> {
    let mut extensions = BTreeMap::new();
    while let Some((number, rest)) = bytes.split_first_chunk::<2>() {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (data, rest) = rest.split_at_checked(length)?;
        extensions.insert(u16::from_be_bytes(*number), Bytes::copy_from_slice(data));
        bytes = rest;
    }
    bytes.is_empty().then_some(ContextExtensions(extensions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_stored_as_it_travels() {
        let context = ContextExtensions(BTreeMap::from([
            (3, Bytes::from_static(b"")),
            (0xff01, Bytes::from_static(b"members")),
        ]));
        let bytes = encode_context(&context);
        assert_eq!(decode_context(&bytes), Some(context));
        assert_eq!(decode_context(&bytes[..bytes.len() - 1]), None);
    }
}

//! Messages as they are stored and read.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use bytes::Bytes;
use folkmoot_conversation::{
    content::{Content, ContentTypeId, Reaction, ReactionAction},
    deletion::{Deletion as DeletionFact, DeletionTarget},
};
use folkmoot_wire::{GroupId, InboxId, InstallationKey, MessageId};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};

use crate::{
    clock::to_sql,
    conversation::{
        content,
        rows::{group_id, inbox_id, strange, time},
    },
};

pub use crate::conversation::rows::{DeliveryStatus, MessageKind};

/// A message of a conversation. Its debug form leaves out what it says.
#[derive(Clone, PartialEq)]
pub struct Message {
    /// The same for everybody who has the message.
    pub id: MessageId,
    /// The group in which it was sent. The copies of a DM show each other's messages.
    pub conversation_id: GroupId,
    /// Who sent it.
    pub sender: InboxId,
    /// With which installation.
    pub installation: InstallationKey,
    /// When the network took it, or, until it did, when it was written: Unix time in nanoseconds.
    pub sent_ns: u64,
    /// When it was stored here: Unix time in nanoseconds.
    pub inserted_ns: u64,
    /// What kind of entry it is.
    pub kind: MessageKind,
    /// How far it has come.
    pub delivery: DeliveryStatus,
    /// What type of content it says it has.
    pub content_type: ContentTypeId,
    /// What it says.
    pub content: Content,
    /// What to show in place of a content that an app does not know, in the sender's words.
    pub fallback: Option<String>,
    /// The message that it is about.
    pub reference: Option<MessageId>,
    /// The content as it was sent: an `EncodedContent`.
    pub encoded: Bytes,
    /// Where the network put it: originator and sequence.
    pub place: Option<(u32, u64)>,
    /// When it disappears: Unix time in nanoseconds.
    pub expire_ns: Option<u64>,
    /// Its place in the streams of this client; they resume after it.
    pub position: Option<u64>,
    /// Whether its sender was super admin when it arrived.
    pub(crate) by_super_admin: bool,
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("id", &self.id)
            .field("conversation_id", &self.conversation_id)
            .field("sender", &self.sender)
            .field("sent_ns", &self.sent_ns)
            .field("kind", &self.kind)
            .field("delivery", &self.delivery)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

/// A message with what was said about it. Its debug form leaves that out.
#[derive(Clone, PartialEq)]
pub struct EnrichedMessage {
    /// The message.
    pub message: Message,
    /// Reactions to it, oldest first, those that were taken back left out.
    pub reactions: Vec<Message>,
    /// How many replies there are.
    pub replies: u64,
    /// What it replies to, if that is here and was not deleted. Its content is what its author made
    /// of it since.
    pub in_reply_to: Option<Box<Message>>,
    /// Who deleted it. Its content is then not to be shown.
    pub deleted: Option<Deletion>,
    /// What its author made of it since.
    pub edited: Option<Content>,
}

impl fmt::Debug for EnrichedMessage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EnrichedMessage")
            .field("message", &self.message)
            .field("reactions", &self.reactions)
            .field("replies", &self.replies)
            .field("deleted", &self.deleted)
            .field("edited", &self.edited.is_some())
            .finish_non_exhaustive()
    }
}

/// Who deleted a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deletion {
    /// Its author.
    BySender,
    /// A super admin.
    ByAdmin(InboxId),
}

/// Oldest or newest first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

/// By what messages are sorted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SortBy {
    /// When they were sent.
    #[default]
    SentAt,
    /// When they were stored here.
    InsertedAt,
}

/// Which messages to list. The default is all, oldest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MessageQuery {
    /// Sent after this: Unix time in nanoseconds.
    pub sent_after_ns: Option<u64>,
    /// Sent before this.
    pub sent_before_ns: Option<u64>,
    /// Stored after this.
    pub inserted_after_ns: Option<u64>,
    /// Stored before this.
    pub inserted_before_ns: Option<u64>,
    /// Only of this kind.
    pub kind: Option<MessageKind>,
    /// Only those that have come so far.
    pub delivery: Option<DeliveryStatus>,
    /// Only with contents of these type ids, such as `text`. Empty: of all.
    pub type_ids: Vec<String>,
    /// Not with contents of these type ids.
    pub exclude_type_ids: Vec<String>,
    /// Not of these senders.
    pub exclude_senders: Vec<InboxId>,
    /// At most this many, from the beginning of the order.
    pub limit: Option<usize>,
    /// Oldest or newest first.
    pub order: Order,
    /// By what they are sorted.
    pub sort_by: SortBy,
}

const COLUMNS: &str = "id, group_id, sent_ns, inserted_ns, kind, sender, installation, delivery,
    reference, content, originator, sequence, expire_ns, stream, by_super_admin";

impl MessageQuery {
    /// The conditions after `FROM message`, and their values.
    fn conditions(&self, groups: &[GroupId]) -> (String, Vec<Value>) {
        let mut values: Vec<Value> = Vec::new();
        let mut sql = String::from("WHERE group_id IN ");
        list(&mut sql, &mut values, groups.iter().map(GroupId::as_bytes));
        let times = [
            ("sent_ns >", self.sent_after_ns),
            ("sent_ns <", self.sent_before_ns),
            ("inserted_ns >", self.inserted_after_ns),
            ("inserted_ns <", self.inserted_before_ns),
        ];
        for (condition, time) in times {
            if let Some(time) = time {
                sql.push_str(&format!(" AND {condition} ?"));
                values.push(time.cast_signed().into());
            }
        }
        if let Some(kind) = self.kind {
            sql.push_str(" AND kind = ?");
            values.push(kind.code().into());
        }
        if let Some(delivery) = self.delivery {
            sql.push_str(" AND delivery = ?");
            values.push(delivery.code().into());
        }
        if !self.type_ids.is_empty() {
            sql.push_str(" AND type IN ");
            list(&mut sql, &mut values, self.type_ids.iter().cloned());
        }
        if !self.exclude_type_ids.is_empty() {
            sql.push_str(" AND type NOT IN ");
            list(&mut sql, &mut values, self.exclude_type_ids.iter().cloned());
        }
        if !self.exclude_senders.is_empty() {
            sql.push_str(" AND sender NOT IN ");
            let senders = self.exclude_senders.iter();
            list(
                &mut sql,
                &mut values,
                senders.map(|one| one.as_bytes().to_vec()),
            );
        }
        (sql, values)
    }
}

/// `(?, ?, …)`.
fn list<T: Into<ListValue>>(
    sql: &mut String,
    values: &mut Vec<Value>,
    items: impl Iterator<Item = T>,
) {
    sql.push('(');
    for (index, item) in items.enumerate() {
        sql.push_str(if index == 0 { "?" } else { ", ?" });
        values.push(item.into().0);
    }
    sql.push(')');
}

struct ListValue(Value);

impl From<&[u8]> for ListValue {
    fn from(bytes: &[u8]) -> Self {
        Self(Value::Blob(bytes.to_vec()))
    }
}

impl From<Vec<u8>> for ListValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Value::Blob(bytes))
    }
}

impl From<String> for ListValue {
    fn from(text: String) -> Self {
        Self(Value::Text(text))
    }
}

/// The messages of these groups that `query` asks for.
pub(crate) fn messages(
    db: &Connection,
    groups: &[GroupId],
    query: &MessageQuery,
) -> rusqlite::Result<Vec<Message>> {
    let (conditions, mut values) = query.conditions(groups);
    let column = match query.sort_by {
        SortBy::SentAt => "sent_ns",
        SortBy::InsertedAt => "inserted_ns",
    };
    let direction = match query.order {
        Order::Ascending => "ASC",
        Order::Descending => "DESC",
    };
    let mut sql = format!(
        "SELECT {COLUMNS} FROM message {conditions} ORDER BY {column} {direction}, local {direction}"
    );
    if let Some(limit) = query.limit {
        sql.push_str(" LIMIT ?");
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    }
    db.prepare_cached(&sql)?
        .query_map(params_from_iter(values), read_message)?
        .collect()
}

/// How many messages `query` asks for, its limit aside.
pub(crate) fn count(
    db: &Connection,
    groups: &[GroupId],
    query: &MessageQuery,
) -> rusqlite::Result<u64> {
    let (conditions, values) = query.conditions(groups);
    db.prepare_cached(&format!("SELECT count(*) FROM message {conditions}"))?
        .query_row(params_from_iter(values), |row| time(row, 0))
}

/// A message by its id.
pub(crate) fn message(db: &Connection, id: &MessageId) -> rusqlite::Result<Option<Message>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM message WHERE id = ?1"))?
        .query_row([id.as_bytes()], read_message)
        .optional()
}

/// What the network put at a place of a group's log: a message, or the entry about a commit.
pub(crate) fn at_place(
    db: &Connection,
    group: &GroupId,
    (originator, sequence): (u32, u64),
) -> rusqlite::Result<Vec<Message>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM message
         WHERE group_id = ?1 AND originator = ?2 AND sequence = ?3 ORDER BY local"
    );
    db.prepare_cached(&sql)?
        .query_map(
            params![group.as_bytes(), originator, to_sql(sequence)],
            read_message,
        )?
        .collect()
}

/// Messages after a place in the streams, in their order: at most `limit`, and no more once they
/// come to [`READ_AT_ONCE`].
pub(crate) fn after_position(
    db: &Connection,
    position: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Message>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM message WHERE stream > ?1 ORDER BY stream LIMIT ?2"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![to_sql(position), limit])?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while bytes < READ_AT_ONCE
        && let Some(row) = rows.next()?
    {
        let message = read_message(row)?;
        bytes += message.encoded.len();
        messages.push(message);
    }
    Ok(messages)
}

/// Bytes of contents after which reading stops, to go on when they have been dealt with.
pub(crate) const READ_AT_ONCE: usize = 16 << 20;

/// The last place in the streams that was given away.
pub(crate) fn position(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT value FROM counter WHERE name = 'stream'")?
        .query_row([], |row| time(row, 0))
}

/// The newest message of each of these groups, of those that are rows of their own and were not
/// deleted.
pub(crate) fn last_messages(
    db: &Connection,
    groups: &[GroupId],
) -> rusqlite::Result<BTreeMap<GroupId, Message>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM message WHERE group_id = ?1 AND type NOT IN
         ('reaction', 'readReceipt', 'deleteMessage', 'editMessage', 'typing')
         ORDER BY sent_ns DESC, local DESC LIMIT {MOST_DELETED}"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut newest = BTreeMap::new();
    for group in groups {
        let mut rows = statement.query([group.as_bytes()])?;
        while let Some(row) = rows.next()? {
            let message = read_message(row)?;
            if !is_deleted(db, message.clone())? {
                newest.insert(group.clone(), message);
                break;
            }
        }
    }
    Ok(newest)
}

/// When each member was last known to have read: the newest read receipt of each.
pub(crate) fn last_read(
    db: &Connection,
    groups: &[GroupId],
) -> rusqlite::Result<BTreeMap<InboxId, u64>> {
    let mut values = Vec::new();
    let mut sql = String::from(
        "SELECT sender, max(sent_ns) FROM message WHERE type = 'readReceipt' AND group_id IN ",
    );
    list(&mut sql, &mut values, groups.iter().map(GroupId::as_bytes));
    sql.push_str(" GROUP BY sender");
    db.prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| {
            Ok((inbox_id(row, 0)?, time(row, 1)?))
        })?
        .collect()
}

/// Messages with reactions, replies, deletions and edits attached.
pub(crate) fn enrich(
    db: &Connection,
    messages: Vec<Message>,
) -> rusqlite::Result<Vec<EnrichedMessage>> {
    let mut enriched = Vec::with_capacity(messages.len());
    for message in messages {
        let in_reply_to = match (&message.content, message.reference) {
            (Content::Reply(_), Some(reference)) => answered(db, &message, &reference)?,
            _ => None,
        };
        let about = about(db, &message)?;
        enriched.push(EnrichedMessage::new(message, about, in_reply_to));
    }
    Ok(enriched)
}

/// What a reply answers, as it stands now, if it is of the same conversation.
fn answered(
    db: &Connection,
    reply: &Message,
    reference: &MessageId,
) -> rusqlite::Result<Option<Message>> {
    let here: bool = db
        .prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM message WHERE id = ?1 AND {OF_CONVERSATION})"
        ))?
        .query_row(
            params![reference.as_bytes(), reply.conversation_id.as_bytes()],
            |row| row.get(0),
        )?;
    let Some(target) = message(db, reference)?.filter(|_| here) else {
        return Ok(None);
    };
    let about = about(db, &target)?;
    let EnrichedMessage {
        mut message,
        deleted,
        edited,
        ..
    } = EnrichedMessage::new(target, about, None);
    if let Some(edited) = edited {
        message.content = edited;
    }
    Ok(deleted.is_none().then_some(message))
}

/// Whether somebody who may deleted this message for everybody.
pub(crate) fn is_deleted(db: &Connection, message: Message) -> rusqlite::Result<bool> {
    let enriched = enrich(db, vec![message])?;
    Ok(enriched.iter().any(|message| message.deleted.is_some()))
}

/// What refers to a message, in its conversation.
#[derive(Default)]
struct About {
    /// Reactions, deletions and edits, oldest first.
    related: Vec<Message>,
    replies: u64,
}

/// What refers to this message. Anybody can write what does, as much and as long as they like, so
/// only what can count is read in full.
fn about(db: &Connection, message: &Message) -> rusqlite::Result<About> {
    let sql = format!(
        "SELECT local, type, sender, length(content), group_id = ?2 FROM message
         WHERE reference = ?1 AND {OF_CONVERSATION} ORDER BY sent_ns, local"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        message.id.as_bytes(),
        message.conversation_id.as_bytes()
    ])?;
    let mut about = About::default();
    let mut reactions: BTreeMap<InboxId, u32> = BTreeMap::new();
    let (mut deletions, mut edits, mut counting) = (0, VecDeque::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let local: i64 = row.get(0)?;
        let sender = inbox_id(row, 2)?;
        let is_short = row.get::<_, i64>(3)? <= MOST_ATTACHED_BYTES;
        let is_of_group: bool = row.get(4)?;
        match row.get_ref(1)?.as_str()? {
            "reply" => about.replies += 1,
            "reaction" if is_short && counting.len() < MOST_ATTACHED => {
                let count = reactions.entry(sender).or_default();
                *count += 1;
                if *count <= MOST_OF_ONE {
                    counting.push(local);
                }
            }
            "deleteMessage" if is_short && is_of_group && deletions < MOST_ATTACHED => {
                deletions += 1;
                counting.push(local);
            }
            "editMessage" if is_of_group && sender == message.sender => {
                edits.push_back(local);
                if edits.len() > MOST_EDITS {
                    edits.pop_front();
                }
            }
            _ => {}
        }
    }
    let sql = format!("SELECT {COLUMNS} FROM message WHERE local = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    for local in counting.into_iter().chain(edits) {
        about
            .related
            .push(statement.query_row([local], read_message)?);
    }
    Ok(about)
}

/// Whether a message is of the conversation of the group `?2`: the copies of a DM are one.
const OF_CONVERSATION: &str = "(group_id = ?2 OR group_id IN (
    SELECT copy.id FROM conversation AS asked JOIN conversation AS copy USING (dm_id)
    WHERE asked.id = ?2))";
/// A reaction or a deletion has no more bytes than this.
const MOST_ATTACHED_BYTES: i64 = 4 << 10;
/// Reactions and deletions that are looked at, for one message.
const MOST_ATTACHED: usize = 5_000;
/// Reactions of one person to one message, those that were taken back included.
const MOST_OF_ONE: u32 = 100;
/// Of the edits of a message only the last counts; it may not be of the right type.
const MOST_EDITS: usize = 4;
/// Deleted messages that are passed over to find the newest one.
const MOST_DELETED: usize = 50;

/// Takes a message out, here. `true`: it was there.
pub(crate) fn delete(db: &Connection, id: &MessageId) -> rusqlite::Result<bool> {
    let deleted = db
        .prepare_cached("DELETE FROM message WHERE id = ?1")?
        .execute([id.as_bytes()])?;
    Ok(deleted > 0)
}

impl EnrichedMessage {
    /// Attaches to a message what refers to it, oldest first.
    fn new(message: Message, about: About, in_reply_to: Option<Message>) -> Self {
        let target = DeletionTarget {
            group_id: message.conversation_id.clone(),
            sender: message.sender,
            is_deletable: content::is_deletable(&message),
            is_deleted: false,
        };
        let mut reactions: Vec<Message> = Vec::new();
        let (mut replies, mut deleted, mut edited) = (about.replies, None, None);
        for one in about.related {
            match &one.content {
                Content::Reaction(reaction) => react(&mut reactions, &one, reaction),
                Content::DeleteMessage(_) => {
                    let deletion = DeletionFact {
                        group_id: one.conversation_id.clone(),
                        by: one.sender,
                        by_super_admin: one.by_super_admin,
                    };
                    if deleted.is_none() && deletion.counts_for(&target) {
                        deleted = Some(if one.sender == message.sender {
                            Deletion::BySender
                        } else {
                            Deletion::ByAdmin(one.sender)
                        });
                    }
                }
                Content::EditMessage(edit)
                    if one.sender == message.sender
                        && one.conversation_id == message.conversation_id
                        && edit
                            .edited
                            .content_type()
                            .is_some_and(|kind| kind.matches(&message.content_type)) =>
                {
                    edited = Some(edit.content());
                }
                _ => {}
            }
        }
        if deleted.is_some() {
            reactions.clear();
            replies = 0;
            edited = None;
        }
        Self {
            message,
            reactions,
            replies,
            in_reply_to: in_reply_to.map(Box::new),
            deleted,
            edited,
        }
    }
}

/// Adds a reaction, or takes an earlier one back.
fn react(reactions: &mut Vec<Message>, one: &Message, reaction: &Reaction) {
    let same = |other: &Message| {
        let of_content = matches!(
            &other.content,
            Content::Reaction(earlier)
                if earlier.content == reaction.content && earlier.schema == reaction.schema
        );
        other.sender == one.sender && of_content
    };
    reactions.retain(|other| !same(other));
    if reaction.action != ReactionAction::Removed {
        reactions.push(one.clone());
    }
}

pub(crate) fn message_id(row: &Row<'_>, column: usize) -> rusqlite::Result<MessageId> {
    let bytes = row.get_ref(column)?.as_blob()?;
    MessageId::try_from(bytes).map_err(|_| strange(column))
}

fn read_message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let id = |column: usize| message_id(row, column);
    let reference = match row.get_ref(8)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(id(8)?),
    };
    let installation = row.get_ref(6)?.as_blob()?;
    let encoded = Bytes::from(row.get::<_, Vec<u8>>(9)?);
    let kind = MessageKind::from_code(row.get(4)?).ok_or_else(|| strange(4))?;
    let mut decoded = content::decode(&encoded);
    if kind == MessageKind::Application {
        decoded.content = content::without_claims(decoded.content, &encoded);
    }
    let originator: Option<u32> = row.get(10)?;
    let sequence: Option<i64> = row.get(11)?;
    Ok(Message {
        id: id(0)?,
        conversation_id: group_id(row, 1)?,
        sent_ns: time(row, 2)?,
        inserted_ns: time(row, 3)?,
        kind,
        sender: inbox_id(row, 5)?,
        installation: InstallationKey::try_from(installation).map_err(|_| strange(6))?,
        delivery: DeliveryStatus::from_code(row.get(7)?).ok_or_else(|| strange(7))?,
        content_type: decoded.content_type,
        content: decoded.content,
        fallback: decoded.fallback,
        reference,
        encoded,
        place: originator.zip(sequence.map(i64::cast_unsigned)),
        expire_ns: row.get::<_, Option<i64>>(12)?.map(i64::cast_unsigned),
        position: row.get::<_, Option<i64>>(13)?.map(i64::cast_unsigned),
        by_super_admin: row.get(14)?,
    })
}

//! The queries. Each runs in one snapshot.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use bytes::Bytes;
use folkmoot_wire::{
    COMMIT_ORIGINATOR, IDENTITY_ORIGINATOR, InboxId, Topic, TopicKind, VectorClock,
};
use rusqlite::{
    Connection, OptionalExtension, Result, Row, params_from_iter,
    types::{Type, ValueRef},
};

use crate::{
    Address, After, CommitLogEntry, Content, Envelope, Form, NewCommitLogEntry, Order, Page,
};

/// A bit of `flags`.
pub(super) const SHOULD_PUSH: i64 = 1;
/// A bit of `flags`.
pub(super) const IS_COMMIT: i64 = 2;
/// Ids that a merge reads of a topic at a time, at least.
const FEWEST_IDS: usize = 8;

const FULL: &str = "e.id, e.originator, e.sequence, e.form, e.flags, e.time_ns, \
                    e.previous_commit, e.sender_hmac, e.payload";
const METADATA: &str = "e.id, e.originator, e.sequence, e.form, e.flags, e.time_ns, \
                        e.previous_commit, x'', x''";

/// The row of a topic.
pub(super) fn topic_id(connection: &Connection, topic: &Topic) -> Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM topic WHERE name = ?1")?
        .query_row([topic.as_bytes().as_ref()], |row| row.get(0))
        .optional()
}

pub(super) fn page(
    connection: &Connection,
    topic: &Topic,
    bound: u64,
    order: Order,
    page: Page,
) -> Result<Vec<Envelope>> {
    let Some(topic_id) = topic_id(connection, topic)? else {
        return Ok(Vec::new());
    };
    let (sql, bound) = match order {
        Order::Ascending => (
            format!(
                "SELECT {FULL} FROM envelope e INDEXED BY by_topic \
                 WHERE topic = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
            ),
            signed(bound),
        ),
        Order::Descending => (
            format!(
                "SELECT {FULL} FROM envelope e INDEXED BY by_topic \
                 WHERE topic = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
            ),
            if bound == 0 { i64::MAX } else { signed(bound) },
        ),
    };
    let mut taken = Taken::new(page);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((topic_id, bound, limit(page.envelopes)))?;
    while let Some(row) = rows.next()? {
        if !taken.take(envelope(topic, row)?) {
            break;
        }
    }
    Ok(taken.envelopes)
}

/// The newest envelope of each topic.
pub(super) fn newest(
    connection: &Connection,
    topics: &[Topic],
    content: Content,
) -> Result<Vec<Option<Envelope>>> {
    let columns = match content {
        Content::Full => FULL,
        Content::Metadata => METADATA,
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {columns} FROM envelope e INDEXED BY by_topic \
         WHERE topic = (SELECT id FROM topic WHERE name = ?1) ORDER BY id DESC LIMIT 1"
    ))?;
    let mut newest = |topic: &Topic| {
        statement
            .query_row([topic.as_bytes().as_ref()], |row| envelope(topic, row))
            .optional()
    };
    topics.iter().map(&mut newest).collect()
}

/// Several topics merged by id. The index tells the ids, a few of each topic at a time; then the
/// rows are read in the order in which they lie in the file.
pub(super) fn merged(
    connection: &Connection,
    cursors: &[(Topic, After)],
    after: u64,
    up_to: u64,
    page: Page,
) -> Result<Vec<Envelope>> {
    let originators = originators(connection)?;
    let mut lanes = Vec::new();
    for (topic, cursor) in cursors {
        if let Some(topic_id) = topic_id(connection, topic)? {
            lanes.extend(Lane::of(topic, topic_id, cursor, after, &originators));
        }
    }
    merge(connection, lanes, up_to, page)
}

pub(super) fn unseen_by_topic(
    connection: &Connection,
    mut topics: Vec<Topic>,
    seen: &VectorClock,
    page: Page,
) -> Result<Vec<Envelope>> {
    topics.sort();
    topics.dedup();
    let mut known = Vec::new();
    for topic in topics {
        if let Some(topic_id) = topic_id(connection, &topic)? {
            known.push((topic, topic_id));
        }
    }
    let mut taken = Taken::new(page);
    for originator in originators(connection)? {
        let lanes = known
            .iter()
            .filter(|(topic, _)| may_hold(topic.kind(), originator))
            .map(|(topic, topic_id)| Lane {
                topic,
                topic_id: *topic_id,
                from: seen.last_seen(originator),
                originator: Some(originator),
                ids: VecDeque::new(),
                done: false,
            })
            .collect();
        for envelope in merge(connection, lanes, u64::MAX, taken.left())? {
            if !taken.take(envelope) {
                return Ok(taken.envelopes);
            }
        }
        if taken.is_full() {
            break;
        }
    }
    Ok(taken.envelopes)
}

pub(super) fn unseen_by_originator(
    connection: &Connection,
    mut wanted: Vec<u32>,
    seen: &VectorClock,
    page: Page,
) -> Result<Vec<Envelope>> {
    wanted.sort_unstable();
    wanted.dedup();
    let sql = format!(
        "SELECT {FULL}, t.name FROM envelope e INDEXED BY by_originator \
         JOIN topic t ON t.id = e.topic \
         WHERE e.originator = ?1 AND e.id > ?2 ORDER BY e.id LIMIT ?3"
    );
    let mut taken = Taken::new(page);
    let mut statement = connection.prepare_cached(&sql)?;
    for originator in wanted {
        let from = signed(seen.last_seen(originator));
        let mut rows = statement.query((originator, from, limit(taken.left().envelopes)))?;
        while let Some(row) = rows.next()? {
            let topic = topic(row, 9)?;
            if !taken.take(envelope(&topic, row)?) {
                return Ok(taken.envelopes);
            }
        }
        if taken.is_full() {
            break;
        }
    }
    Ok(taken.envelopes)
}

pub(super) fn inbox(connection: &Connection, address: &Address) -> Result<Option<InboxId>> {
    connection
        .prepare_cached(
            "SELECT inbox FROM address WHERE kind = ?1 AND text = ?2 AND revoked IS NULL \
             ORDER BY association DESC LIMIT 1",
        )?
        .query_row((address.kind as u8, &address.text), |row| {
            let bytes: [u8; 32] = row.get(0)?;
            Ok(InboxId::from_bytes(bytes))
        })
        .optional()
}

pub(super) fn commit_log(
    connection: &Connection,
    group_id: &Bytes,
    after: u64,
    most: usize,
) -> Result<Vec<CommitLogEntry>> {
    connection
        .prepare_cached(
            "SELECT sequence, entry, signature, signer FROM commit_log \
             WHERE group_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3",
        )?
        .query_map((group_id.as_ref(), signed(after), limit(most)), |row| {
            Ok(CommitLogEntry {
                sequence: unsigned(row, 0)?,
                published: NewCommitLogEntry {
                    group_id: group_id.clone(),
                    entry: bytes(row, 1)?,
                    signature: bytes(row, 2)?,
                    signer: bytes(row, 3)?,
                },
            })
        })?
        .collect()
}

pub(super) fn signature(connection: &Connection, id: u64) -> Result<Option<Bytes>> {
    connection
        .prepare_cached("SELECT bytes FROM signature WHERE id = ?1")?
        .query_row([signed(id)], |row| bytes(row, 0))
        .optional()
}

/// Every originator that has an envelope, ascending.
fn originators(connection: &Connection) -> Result<Vec<u32>> {
    let mut next = connection.prepare_cached(
        "SELECT originator FROM envelope INDEXED BY by_originator WHERE originator >= ?1 \
         ORDER BY originator LIMIT 1",
    )?;
    let mut found = Vec::new();
    let mut from = 0_i64;
    while let Some(originator) = next.query_row([from], |row| row.get(0)).optional()? {
        found.push(originator);
        from = i64::from(originator) + 1;
    }
    Ok(found)
}

/// Whether topics of a kind can hold envelopes of an originator.
const fn may_hold(kind: TopicKind, originator: u32) -> bool {
    match kind {
        TopicKind::GroupMessages => originator != IDENTITY_ORIGINATOR,
        TopicKind::IdentityUpdates => originator == IDENTITY_ORIGINATOR,
        _ => originator > IDENTITY_ORIGINATOR,
    }
}

/// One topic, or one originator's part of it, as a merge reads it.
struct Lane<'a> {
    topic: &'a Topic,
    topic_id: i64,
    /// Only greater ids.
    from: u64,
    /// Only this originator's envelopes.
    originator: Option<u32>,
    /// The next ids, ascending.
    ids: VecDeque<u64>,
    done: bool,
}

impl<'a> Lane<'a> {
    /// The lanes of a topic behind a cursor: one, or one for each originator.
    fn of(
        topic: &'a Topic,
        topic_id: i64,
        cursor: &After,
        after: u64,
        originators: &[u32],
    ) -> Vec<Self> {
        let lane = |from: u64, originator| Self {
            topic,
            topic_id,
            from: from.max(after),
            originator,
            ids: VecDeque::new(),
            done: false,
        };
        match cursor {
            After::Id(id) => vec![lane(*id, None)],
            After::Clock(clock) => originators
                .iter()
                .filter(|originator| may_hold(topic.kind(), **originator))
                .map(|originator| lane(clock.last_seen(*originator), Some(*originator)))
                .collect(),
        }
    }

    /// The query for `columns` of this lane's next rows; see [`Lane::parameters`].
    fn sql(&self, columns: &str) -> String {
        let (index, filter) = match self.originator {
            None => ("by_topic", ""),
            // Spelled so that SQLite sees that the partial index of commits applies.
            Some(COMMIT_ORIGINATOR) => ("commits", " AND originator = 0"),
            Some(_) => ("by_topic", " AND originator = ?5"),
        };
        format!(
            "SELECT {columns} FROM envelope e INDEXED BY {index} \
             WHERE topic = ?1 AND id > ?2 AND id <= ?3{filter} ORDER BY id LIMIT ?4"
        )
    }

    fn parameters(&self, up_to: u64, rows: usize) -> Vec<i64> {
        let mut parameters = vec![self.topic_id, signed(self.from), signed(up_to), limit(rows)];
        let originator = self.originator.filter(|one| *one != COMMIT_ORIGINATOR);
        parameters.extend(originator.map(i64::from));
        parameters
    }

    fn fill(&mut self, connection: &Connection, up_to: u64, ids: usize) -> Result<()> {
        let mut statement = connection.prepare_cached(&self.sql("e.id"))?;
        let mut found = statement.query(params_from_iter(self.parameters(up_to, ids)))?;
        while let Some(row) = found.next()? {
            self.ids.push_back(unsigned(row, 0)?);
        }
        self.done = self.ids.len() < ids;
        if let Some(last) = self.ids.back() {
            self.from = *last;
        }
        Ok(())
    }

    /// The lane alone, without a merge.
    fn read(&self, connection: &Connection, up_to: u64, page: Page) -> Result<Vec<Envelope>> {
        let mut taken = Taken::new(page);
        let mut statement = connection.prepare_cached(&self.sql(FULL))?;
        let parameters = self.parameters(up_to, page.envelopes);
        let mut rows = statement.query(params_from_iter(parameters))?;
        while let Some(row) = rows.next()? {
            if !taken.take(envelope(self.topic, row)?) {
                break;
            }
        }
        Ok(taken.envelopes)
    }
}

fn merge(
    connection: &Connection,
    mut lanes: Vec<Lane<'_>>,
    up_to: u64,
    page: Page,
) -> Result<Vec<Envelope>> {
    let ids = match lanes.as_slice() {
        [] => return Ok(Vec::new()),
        [alone] => return alone.read(connection, up_to, page),
        several => {
            (page.envelopes / several.len()).clamp(FEWEST_IDS, page.envelopes.max(FEWEST_IDS))
        }
    };
    let mut heads = BinaryHeap::new();
    for (at, lane) in lanes.iter_mut().enumerate() {
        lane.fill(connection, up_to, ids)?;
        heads.extend(lane.ids.pop_front().map(|id| Reverse((id, at))));
    }
    let sql = format!("SELECT {FULL} FROM envelope e WHERE e.id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut taken = Taken::new(page);
    while let Some(Reverse((id, at))) = heads.pop() {
        let lane = &mut lanes[at];
        let read = statement.query_row([signed(id)], |row| envelope(lane.topic, row))?;
        if !taken.take(read) || taken.is_full() {
            break;
        }
        if lane.ids.is_empty() && !lane.done {
            lane.fill(connection, up_to, ids)?;
        }
        heads.extend(lane.ids.pop_front().map(|id| Reverse((id, at))));
    }
    Ok(taken.envelopes)
}

/// Envelopes up to the bounds of a page.
struct Taken {
    page: Page,
    bytes: usize,
    envelopes: Vec<Envelope>,
}

impl Taken {
    const fn new(page: Page) -> Self {
        Self {
            page,
            bytes: 0,
            envelopes: Vec::new(),
        }
    }

    /// Takes an envelope if it still fits.
    fn take(&mut self, envelope: Envelope) -> bool {
        let bytes = self.bytes + envelope.payload.len();
        let fits = self.envelopes.is_empty() || bytes <= self.page.bytes;
        if !fits || self.is_full() {
            return false;
        }
        self.bytes = bytes;
        self.envelopes.push(envelope);
        true
    }

    fn is_full(&self) -> bool {
        self.envelopes.len() >= self.page.envelopes
    }

    /// What is left of the page; never more bytes than it had.
    fn left(&self) -> Page {
        Page {
            envelopes: self.page.envelopes - self.envelopes.len(),
            bytes: self.page.bytes.saturating_sub(self.bytes),
        }
    }
}

/// The envelope in a row whose columns are those of [`FULL`].
fn envelope(topic: &Topic, row: &Row<'_>) -> Result<Envelope> {
    let id = unsigned(row, 0)?;
    let sequence: Option<i64> = row.get(2)?;
    let flags: i64 = row.get(4)?;
    Ok(Envelope {
        id,
        originator: row.get(1)?,
        sequence: sequence.map_or(id, i64::cast_unsigned),
        topic: topic.clone(),
        form: form(row, 3)?,
        should_push: flags & SHOULD_PUSH != 0,
        is_commit: flags & IS_COMMIT != 0,
        time_ns: unsigned(row, 5)?,
        previous_commit: unsigned(row, 6)?,
        sender_hmac: bytes(row, 7)?,
        payload: bytes(row, 8)?,
    })
}

fn form(row: &Row<'_>, column: usize) -> Result<Form> {
    match row.get::<_, u8>(column)? {
        0 => Ok(Form::V3),
        1 => Ok(Form::Client),
        2 => Ok(Form::Payer),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(
            column,
            other.into(),
        )),
    }
}

pub(super) fn topic(row: &Row<'_>, column: usize) -> Result<Topic> {
    Topic::parse(bytes(row, column)?).map_err(|cause| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, cause.into())
    })
}

fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes> {
    match row.get_ref(column)? {
        ValueRef::Blob([]) | ValueRef::Null => Ok(Bytes::new()),
        other => Ok(Bytes::copy_from_slice(other.as_blob()?)),
    }
}

fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

/// A bound as the database compares it: what is beyond its numbers is beyond every id.
fn signed(bound: u64) -> i64 {
    i64::try_from(bound).unwrap_or(i64::MAX)
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

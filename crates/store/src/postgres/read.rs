//! The queries. Each first picks rows by id and size, cuts them to the page, and then reads
//! what is left: a page never brings more bytes here than it may return.

use bytes::Bytes;
use folkmoot_wire::{
    COMMIT_ORIGINATOR, IDENTITY_ORIGINATOR, InboxId, Topic, TopicKind, VectorClock,
};
use tokio_postgres::{Client, Error, Row};

use crate::{
    Address, After, CommitLogEntry, Content, Envelope, Form, NewCommitLogEntry, Order, Page,
};

/// A bit of `flags`.
pub(super) const SHOULD_PUSH: i16 = 1;
/// A bit of `flags`.
pub(super) const IS_COMMIT: i16 = 2;
/// In a lane: every originator.
const ANY: i64 = -1;

/// What is read of a topic: after which number, of which originator.
#[derive(Default)]
pub(super) struct Lanes {
    names: Vec<Vec<u8>>,
    originators: Vec<i64>,
    after: Vec<i64>,
}

impl Lanes {
    fn push(&mut self, topic: &Topic, originator: i64, after: u64) {
        self.names.push(topic.as_bytes().to_vec());
        self.originators.push(originator);
        self.after.push(signed(after));
    }

    /// The lanes of several cursors, each at least after `floor`.
    pub(super) fn of(cursors: &[(Topic, After)], floor: u64, originators: &[u32]) -> Self {
        let mut lanes = Self::default();
        for (topic, cursor) in cursors {
            match cursor {
                After::Id(id) => lanes.push(topic, ANY, floor.max(*id)),
                After::Clock(clock) => lanes.push_clock(topic, clock, floor, originators),
            }
        }
        lanes
    }

    /// The lanes of topics that a clock has not seen.
    pub(super) fn unseen(topics: &[Topic], seen: &VectorClock, originators: &[u32]) -> Self {
        let mut lanes = Self::default();
        for topic in topics {
            lanes.push_clock(topic, seen, 0, originators);
        }
        lanes
    }

    fn push_clock(&mut self, topic: &Topic, clock: &VectorClock, floor: u64, originators: &[u32]) {
        for originator in originators {
            if may_hold(topic.kind(), *originator) {
                let after = clock.last_seen(*originator).max(floor);
                self.push(topic, i64::from(*originator), after);
            }
        }
    }
}

/// In which order lanes are merged.
#[derive(Clone, Copy)]
pub(super) enum MergeBy {
    Id,
    OriginatorAndSequence,
}

pub(super) async fn page(
    client: &Client,
    topic: &Topic,
    bound: u64,
    order: Order,
    page: Page,
) -> Result<Vec<Envelope>, Error> {
    let (comparison, direction) = match order {
        Order::Ascending => (">", "ASC"),
        Order::Descending => ("<", "DESC"),
    };
    let bound = match order {
        Order::Descending if bound == 0 => i64::MAX,
        _ => signed(bound),
    };
    let sql = format!(
        "SELECT e.topic, e.id, octet_length(e.payload)::BIGINT FROM envelope e \
         JOIN topic t ON t.id = e.topic \
         WHERE t.name = $1 AND e.id {comparison} $2 ORDER BY e.id {direction} LIMIT $3"
    );
    let name = topic.as_bytes().as_ref();
    let picked = client
        .query(&sql, &[&name, &bound, &limit(page.envelopes)])
        .await?;
    picked_envelopes(client, &picked, page).await
}

pub(super) async fn merged(
    client: &Client,
    lanes: &Lanes,
    up_to: u64,
    by: MergeBy,
    page: Page,
) -> Result<Vec<Envelope>, Error> {
    let order = match by {
        MergeBy::Id => "e.id",
        MergeBy::OriginatorAndSequence => "e.originator, e.sequence",
    };
    let sql = format!(
        "SELECT e.topic, e.id, e.bytes \
         FROM unnest($1::BYTEA[], $2::BIGINT[], $3::BIGINT[]) AS lane (name, originator, after) \
         JOIN topic t ON t.name = lane.name \
         CROSS JOIN LATERAL ( \
           (SELECT topic, id, originator, sequence, octet_length(payload)::BIGINT AS bytes \
            FROM envelope WHERE lane.originator = {ANY} AND topic = t.id \
              AND id > lane.after AND id <= $4 ORDER BY id LIMIT $5) \
           UNION ALL \
           (SELECT topic, id, originator, sequence, octet_length(payload)::BIGINT AS bytes \
            FROM envelope WHERE lane.originator <> {ANY} AND topic = t.id \
              AND originator = lane.originator AND sequence > lane.after AND id <= $4 \
            ORDER BY sequence LIMIT $5) \
         ) e ORDER BY {order} LIMIT $5"
    );
    let up_to = signed(up_to);
    let picked = client
        .query(
            &sql,
            &[
                &lanes.names,
                &lanes.originators,
                &lanes.after,
                &up_to,
                &limit(page.envelopes),
            ],
        )
        .await?;
    picked_envelopes(client, &picked, page).await
}

pub(super) async fn unseen_by_originator(
    client: &Client,
    originators: &[u32],
    seen: &VectorClock,
    page: Page,
) -> Result<Vec<Envelope>, Error> {
    let after: Vec<i64> = originators
        .iter()
        .map(|originator| signed(seen.last_seen(*originator)))
        .collect();
    let originators: Vec<i64> = originators.iter().map(|one| i64::from(*one)).collect();
    let picked = client
        .query(
            "SELECT e.topic, e.id, e.bytes \
             FROM unnest($1::BIGINT[], $2::BIGINT[]) AS lane (originator, after) \
             CROSS JOIN LATERAL ( \
               SELECT topic, id, originator, sequence, octet_length(payload)::BIGINT AS bytes \
               FROM envelope \
               WHERE originator = lane.originator AND sequence > lane.after \
               ORDER BY sequence LIMIT $3 \
             ) e ORDER BY e.originator, e.sequence LIMIT $3",
            &[&originators, &after, &limit(page.envelopes)],
        )
        .await?;
    picked_envelopes(client, &picked, page).await
}

pub(super) async fn newest(
    client: &Client,
    topics: &[Topic],
    content: Content,
) -> Result<Vec<Option<Envelope>>, Error> {
    let (hmac, payload) = match content {
        Content::Full => ("e.sender_hmac", "e.payload"),
        Content::Metadata => ("''::BYTEA", "''::BYTEA"),
    };
    let sql = format!(
        "SELECT asked.at, t.name, e.id, e.originator, e.sequence, e.form, e.flags, e.time_ns, \
           e.previous_commit, {hmac}, {payload} \
         FROM unnest($1::BYTEA[]) WITH ORDINALITY AS asked (name, at) \
         JOIN topic t ON t.name = asked.name \
         CROSS JOIN LATERAL ( \
           SELECT * FROM envelope WHERE topic = t.id ORDER BY id DESC LIMIT 1 \
         ) e"
    );
    let names: Vec<&[u8]> = topics
        .iter()
        .map(|topic| topic.as_bytes().as_ref())
        .collect();
    let mut newest = vec![None; topics.len()];
    for row in client.query(&sql, &[&names]).await? {
        let at: i64 = row.get(0);
        let at = usize::try_from(at - 1).unwrap_or(usize::MAX);
        if let (Some(place), Some(envelope)) = (newest.get_mut(at), envelope(&row, 1)) {
            *place = Some(envelope);
        }
    }
    Ok(newest)
}

pub(super) async fn inboxes(
    client: &Client,
    addresses: &[Address],
) -> Result<Vec<Option<InboxId>>, Error> {
    let kinds: Vec<i16> = addresses.iter().map(|one| one.kind as i16).collect();
    // PostgreSQL's texts hold no NUL; what does is nobody's address.
    let text = |address: &Address| (!address.text.contains('\0')).then(|| address.text.clone());
    let texts: Vec<Option<String>> = addresses.iter().map(text).collect();
    let rows = client
        .query(
            "SELECT asked.at, a.inbox \
             FROM unnest($1::SMALLINT[], $2::TEXT[]) WITH ORDINALITY AS asked (kind, text, at) \
             CROSS JOIN LATERAL ( \
               SELECT inbox FROM address \
               WHERE kind = asked.kind AND text = asked.text AND revoked IS NULL \
               ORDER BY association DESC LIMIT 1 \
             ) a",
            &[&kinds, &texts],
        )
        .await?;
    let mut inboxes = vec![None; addresses.len()];
    for row in rows {
        let at: i64 = row.get(0);
        let at = usize::try_from(at - 1).unwrap_or(usize::MAX);
        if let Some(place) = inboxes.get_mut(at) {
            *place = InboxId::try_from(row.get::<_, &[u8]>(1)).ok();
        }
    }
    Ok(inboxes)
}

pub(super) async fn commit_log(
    client: &Client,
    group_id: &[u8],
    after: u64,
    most: usize,
) -> Result<Vec<CommitLogEntry>, Error> {
    let rows = client
        .query(
            "SELECT sequence, entry, signature, signer FROM commit_log \
             WHERE group_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
            &[&group_id, &signed(after), &limit(most)],
        )
        .await?;
    let entry = |row: &Row| CommitLogEntry {
        sequence: unsigned(row, 0),
        published: NewCommitLogEntry {
            group_id: Bytes::copy_from_slice(group_id),
            entry: bytes(row, 1),
            signature: bytes(row, 2),
            signer: bytes(row, 3),
        },
    };
    Ok(rows.iter().map(entry).collect())
}

pub(super) async fn signatures(client: &Client, ids: &[u64]) -> Result<Vec<Option<Bytes>>, Error> {
    let asked: Vec<i64> = ids.iter().map(|id| signed(*id)).collect();
    let rows = client
        .query(
            "SELECT asked.at, s.bytes FROM unnest($1::BIGINT[]) WITH ORDINALITY AS asked (id, at) \
             JOIN signature s ON s.id = asked.id",
            &[&asked],
        )
        .await?;
    let mut signatures = vec![None; ids.len()];
    for row in rows {
        let at: i64 = row.get(0);
        let at = usize::try_from(at - 1).unwrap_or(usize::MAX);
        if let Some(place) = signatures.get_mut(at) {
            *place = Some(bytes(&row, 1));
        }
    }
    Ok(signatures)
}

/// Every originator that has an envelope, ascending: one step in the index for each.
pub(super) async fn originators(client: &Client) -> Result<Vec<u32>, Error> {
    let rows = client
        .query(
            "WITH RECURSIVE found (originator) AS ( \
               (SELECT min(originator) FROM envelope) \
               UNION ALL \
               SELECT (SELECT min(originator) FROM envelope e \
                       WHERE e.originator > found.originator) \
               FROM found WHERE found.originator IS NOT NULL \
             ) SELECT originator FROM found WHERE originator IS NOT NULL",
            &[],
        )
        .await?;
    let originator = |row: &Row| u32::try_from(row.get::<_, i64>(0)).ok();
    Ok(rows.iter().filter_map(originator).collect())
}

/// The envelopes of the picked rows (topic, id, bytes) that fit the page, in their order.
async fn picked_envelopes(
    client: &Client,
    picked: &[Row],
    page: Page,
) -> Result<Vec<Envelope>, Error> {
    let mut topics: Vec<i64> = Vec::with_capacity(picked.len());
    let mut ids: Vec<i64> = Vec::with_capacity(picked.len());
    let mut bytes = 0;
    for row in picked {
        bytes += usize::try_from(row.get::<_, i64>(2)).unwrap_or(usize::MAX);
        if !ids.is_empty() && bytes > page.bytes {
            break;
        }
        topics.push(row.get(0));
        ids.push(row.get(1));
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT t.name, e.id, e.originator, e.sequence, e.form, e.flags, e.time_ns, \
               e.previous_commit, e.sender_hmac, e.payload \
             FROM unnest($1::BIGINT[], $2::BIGINT[]) WITH ORDINALITY AS picked (topic, id, at) \
             JOIN envelope e ON e.topic = picked.topic AND e.id = picked.id \
             JOIN topic t ON t.id = e.topic ORDER BY picked.at",
            &[&topics, &ids],
        )
        .await?;
    Ok(rows.iter().filter_map(|row| envelope(row, 0)).collect())
}

/// The envelope in a row, its columns from `first` on; `None` if the row makes no sense.
fn envelope(row: &Row, first: usize) -> Option<Envelope> {
    let flags: i16 = row.get(first + 5);
    Some(Envelope {
        topic: Topic::parse(bytes(row, first)).ok()?,
        id: unsigned(row, first + 1),
        originator: u32::try_from(row.get::<_, i64>(first + 2)).ok()?,
        sequence: unsigned(row, first + 3),
        form: match row.get::<_, i16>(first + 4) {
            0 => Form::V3,
            1 => Form::Client,
            2 => Form::Payer,
            _ => return None,
        },
        should_push: flags & SHOULD_PUSH != 0,
        is_commit: flags & IS_COMMIT != 0,
        time_ns: unsigned(row, first + 6),
        previous_commit: unsigned(row, first + 7),
        sender_hmac: bytes(row, first + 8),
        payload: bytes(row, first + 9),
    })
}

/// Whether topics of a kind can hold envelopes of an originator.
const fn may_hold(kind: TopicKind, originator: u32) -> bool {
    match kind {
        TopicKind::GroupMessages => originator != IDENTITY_ORIGINATOR,
        TopicKind::IdentityUpdates => originator == IDENTITY_ORIGINATOR,
        _ => originator != COMMIT_ORIGINATOR && originator != IDENTITY_ORIGINATOR,
    }
}

fn bytes(row: &Row, column: usize) -> Bytes {
    Bytes::copy_from_slice(row.get(column))
}

pub(super) fn unsigned(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).cast_unsigned()
}

/// A bound as the database compares it: what is beyond its numbers is beyond every id.
fn signed(bound: u64) -> i64 {
    i64::try_from(bound).unwrap_or(i64::MAX)
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

//! The tables of device sync: one function per question or change.

use bytes::Bytes;
use folkmoot_conversation::ConsentRecord;
use folkmoot_wire::{GroupId, InstallationKey, MessageId};
use rusqlite::{Connection, Row, params};

use crate::{
    clock::to_sql,
    consent,
    conversation::rows::{group_id, strange, time},
    db::{DbError, Transaction},
};

/// A message of a sync group.
#[derive(Clone, Debug)]
pub(super) struct SyncMessage {
    pub(super) id: MessageId,
    pub(super) installation: InstallationKey,
    pub(super) sent_ns: u64,
    pub(super) content: Bytes,
}

/// Whom a consent concerns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// All installations.
    Everywhere,
    /// Nobody: it is about a group of our own installations.
    Nowhere,
}

/// The group that our installations speak in: the newest.
pub(super) fn primary_group(db: &Connection) -> Result<Option<GroupId>, DbError> {
    Ok(sync_groups(db)?.into_iter().next())
}

/// All groups of our installations, the newest first.
pub(super) fn sync_groups(db: &Connection) -> Result<Vec<GroupId>, DbError> {
    let sql = "SELECT id FROM conversation WHERE kind = 3 AND active AND trouble IS NULL
         ORDER BY created_ns DESC, id DESC";
    groups(db, sql, &[])
}

/// Sync groups that we were added to and did nothing about.
pub(super) fn unseen_groups(db: &Connection) -> Result<Vec<GroupId>, DbError> {
    let sql = "SELECT id FROM conversation WHERE kind = 3 AND active
         AND id NOT IN (SELECT group_id FROM sync_group) ORDER BY created_ns";
    groups(db, sql, &[])
}

/// Conversations in which something was said after `since_ns`, those left out that are denied.
pub(super) fn recent_conversations(
    db: &Connection,
    since_ns: u64,
) -> Result<Vec<GroupId>, DbError> {
    let sql = "SELECT id FROM conversation
         LEFT JOIN consent ON entity_type = 1 AND entity = conversation.id
         WHERE kind IN (1, 2) AND active AND trouble IS NULL AND coalesce(state, 0) <> 2
             AND coalesce(last_message_ns, created_ns) >= ?1
         ORDER BY coalesce(last_message_ns, created_ns) DESC";
    groups(db, sql, &[&to_sql(since_ns)])
}

fn groups(
    db: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<GroupId>, DbError> {
    let groups = db
        .prepare_cached(sql)?
        .query_map(values, |row| group_id(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(groups)
}

pub(super) fn mark_seen(db: &Transaction<'_>, group: &GroupId) -> Result<(), DbError> {
    db.prepare_cached("INSERT OR IGNORE INTO sync_group VALUES (?1)")?
        .execute([group.as_bytes()])?;
    Ok(())
}

const MESSAGES: &str = "SELECT message.id, installation, sent_ns, content FROM message
     JOIN conversation ON conversation.id = group_id AND conversation.kind = 3
     LEFT JOIN sync_message ON message_id = message.id
     WHERE type = 'application/x-protobuf' AND delivery = 2";

/// Messages of sync groups that are to be worked off, in the order in which they came.
pub(super) fn unprocessed(db: &Connection) -> Result<Vec<SyncMessage>, DbError> {
    let sql = format!(
        "{MESSAGES} AND coalesce(done, 0) = 0 AND coalesce(attempts, 0) < ?1
         ORDER BY local LIMIT 500"
    );
    let messages = db
        .prepare_cached(&sql)?
        .query_map(
            [folkmoot_conversation::device_sync::SYNC_ATTEMPTS],
            read_message,
        )?
        .collect::<Result<_, _>>()?;
    Ok(messages)
}

/// All messages of sync groups that were sent after `since_ns`, the newest first.
pub(super) fn sync_messages(db: &Connection, since_ns: u64) -> Result<Vec<SyncMessage>, DbError> {
    let sql = format!("{MESSAGES} AND sent_ns >= ?1 ORDER BY sent_ns DESC, local DESC");
    let messages = db
        .prepare_cached(&sql)?
        .query_map([to_sql(since_ns)], read_message)?
        .collect::<Result<_, _>>()?;
    Ok(messages)
}

fn read_message(row: &Row<'_>) -> rusqlite::Result<SyncMessage> {
    let installation = row.get_ref(1)?.as_blob()?;
    Ok(SyncMessage {
        id: MessageId::from_bytes(row.get(0)?),
        installation: InstallationKey::try_from(installation).map_err(|_| strange(1))?,
        sent_ns: time(row, 2)?,
        content: row.get::<_, Vec<u8>>(3)?.into(),
    })
}

/// Notes that a message was worked off, or tried in vain once more.
pub(super) fn processed(db: &Transaction<'_>, id: &MessageId, done: bool) -> Result<(), DbError> {
    db.prepare_cached(
        "INSERT INTO sync_message VALUES (?1, 1, ?2)
         ON CONFLICT DO UPDATE SET attempts = attempts + 1, done = excluded.done",
    )?
    .execute(params![id.as_bytes(), done])?;
    Ok(())
}

/// Notes a request of ours.
pub(super) fn requested(db: &Transaction<'_>, pin: &str, now_ns: u64) -> Result<(), DbError> {
    db.prepare_cached("INSERT OR REPLACE INTO history_request VALUES (?1, ?2, 0)")?
        .execute(params![pin, to_sql(now_ns)])?;
    Ok(())
}

/// The pins of requests that nobody has answered.
pub(super) fn open_requests(db: &Connection) -> Result<Vec<String>, DbError> {
    let pins = db
        .prepare_cached("SELECT pin FROM history_request WHERE answered = 0")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(pins)
}

pub(super) fn answered(db: &Transaction<'_>, pin: &str) -> Result<(), DbError> {
    db.prepare_cached("UPDATE history_request SET answered = 1 WHERE pin = ?1")?
        .execute([pin])?;
    Ok(())
}

/// Takes in consents that were told. Returns those that were news, which need not be told again.
pub(super) fn merge_consents(
    db: &Transaction<'_>,
    consents: Vec<ConsentRecord>,
) -> Result<Vec<ConsentRecord>, DbError> {
    let mut changed = Vec::new();
    for consent in consents {
        if consent::merge(db, &consent)? {
            told(db, std::slice::from_ref(&consent))?;
            changed.push(consent);
        }
    }
    Ok(changed)
}

/// Consents that the others have not been told.
pub(super) fn untold(db: &Connection) -> Result<Vec<(ConsentRecord, Reach)>, DbError> {
    let sql = "SELECT untold.entity_type, untold.entity, kind FROM consent_untold AS untold
         LEFT JOIN conversation ON untold.entity_type = 1 AND conversation.id = untold.entity";
    let entities = db
        .prepare_cached(sql)?
        .query_map([], |row| {
            let kind: Option<i64> = row.get(2)?;
            Ok((
                consent::entity(row, 0, 1)?,
                kind.is_none_or(|kind| kind < 3),
            ))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let mut untold = Vec::with_capacity(entities.len());
    for (entity, everywhere) in entities {
        if let Some(consent) = consent::load(db, &entity)? {
            let reach = if everywhere {
                Reach::Everywhere
            } else {
                Reach::Nowhere
            };
            untold.push((consent, reach));
        }
    }
    Ok(untold)
}

/// Notes that the others know these consents, unless they changed meanwhile.
pub(super) fn told(db: &Transaction<'_>, consents: &[ConsentRecord]) -> Result<(), DbError> {
    let mut delete = db.prepare_cached(
        "DELETE FROM consent_untold WHERE entity_type = ?1 AND entity = ?2
         AND ?3 IS (SELECT state FROM consent WHERE entity_type = ?1 AND entity = ?2)",
    )?;
    for consent in consents {
        let (kind, entity) = (
            consent::kind(&consent.entity),
            consent::bytes(&consent.entity),
        );
        delete.execute(params![kind, entity, consent.state.number()])?;
    }
    Ok(())
}

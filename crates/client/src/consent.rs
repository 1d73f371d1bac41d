//! Consent: with whom somebody wants to talk (XIP-42).
//!
//! A client-side filter: messages of denied conversations are received all the same. Consent to
//! a conversation and consent to a person are kept apart; neither follows from the other.

use std::collections::BTreeMap;

use folkmoot_conversation::{ConsentEntity, ConsentRecord, ConsentState};
use folkmoot_wire::GroupId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::conversation::rows::{group_id, inbox_id};

pub(crate) const fn kind(entity: &ConsentEntity) -> i64 {
    match entity {
        ConsentEntity::Conversation(_) => 1,
        ConsentEntity::Inbox(_) => 2,
    }
}

pub(crate) fn bytes(entity: &ConsentEntity) -> &[u8] {
    match entity {
        ConsentEntity::Conversation(id) => id.as_bytes(),
        ConsentEntity::Inbox(id) => id.as_bytes(),
    }
}

fn state(number: u8) -> ConsentState {
    ConsentState::from_number(number).unwrap_or_default()
}

/// The recorded consent, if any.
pub(crate) fn load(
    db: &Connection,
    entity: &ConsentEntity,
) -> rusqlite::Result<Option<ConsentRecord>> {
    db.prepare_cached("SELECT state, since_ns FROM consent WHERE entity_type = ?1 AND entity = ?2")?
        .query_row(params![kind(entity), bytes(entity)], |row| {
            Ok(ConsentRecord {
                entity: entity.clone(),
                state: state(row.get(0)?),
                consented_at_ns: row.get(1)?,
            })
        })
        .optional()
}

/// The consent of all conversations that have one.
pub(crate) fn of_conversations(
    db: &Connection,
) -> rusqlite::Result<BTreeMap<GroupId, ConsentState>> {
    db.prepare_cached("SELECT entity, state FROM consent WHERE entity_type = 1")?
        .query_map([], |row| Ok((group_id(row, 0)?, state(row.get(1)?))))?
        .collect()
}

/// All consents that are recorded, those about groups of our own installations left out.
pub(crate) fn all(db: &Connection) -> rusqlite::Result<Vec<ConsentRecord>> {
    let sql = "SELECT entity_type, entity, state, since_ns FROM consent
         WHERE entity_type <> 1 OR entity NOT IN (SELECT id FROM conversation WHERE kind > 2)
         ORDER BY since_ns";
    db.prepare_cached(sql)?
        .query_map([], |row| {
            Ok(ConsentRecord {
                entity: entity(row, 0, 1)?,
                state: state(row.get(2)?),
                consented_at_ns: row.get(3)?,
            })
        })?
        .collect()
}

/// What a consent is about, from two columns.
pub(crate) fn entity(row: &Row<'_>, kind: usize, id: usize) -> rusqlite::Result<ConsentEntity> {
    Ok(match row.get::<_, i64>(kind)? {
        1 => ConsentEntity::Conversation(group_id(row, id)?),
        _ => ConsentEntity::Inbox(inbox_id(row, id)?),
    })
}

/// Records what the person says now. What is said again counts from now on, so that nothing older
/// from another installation overrules it.
pub(crate) fn set(db: &Connection, consent: &ConsentRecord) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO consent VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET state = excluded.state, since_ns = excluded.since_ns",
    )?
    .execute(params![
        kind(&consent.entity),
        bytes(&consent.entity),
        consent.state.number(),
        consent.consented_at_ns
    ])?;
    Ok(())
}

/// Takes in a consent that another installation or an archive reports: the later one counts.
/// `true`: it is something else than before.
pub(crate) fn merge(db: &Connection, consent: &ConsentRecord) -> rusqlite::Result<bool> {
    let stored = load(db, &consent.entity)?;
    let Some(merged) = consent.clone().merge(stored.as_ref()) else {
        return Ok(false);
    };
    db.prepare_cached(
        "INSERT INTO consent VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
         SET state = excluded.state, since_ns = excluded.since_ns",
    )?
    .execute(params![
        kind(&merged.entity),
        bytes(&merged.entity),
        merged.state.number(),
        merged.consented_at_ns
    ])?;
    Ok(stored.is_none_or(|stored| stored.state != merged.state))
}

//! The logs of inboxes in the database.
//!
//! Rows are what the network gave, byte for byte. Beside them each log has one row that says how
//! far it was fetched, what it leads to, and whether an update in it does not fit: then the log
//! is none from there on, for everybody.

use std::sync::Arc;

use folkmoot_identity::{
    AssociationState, ContractCheck, ContractVerdicts, IdentityUpdate, Rules, replay,
};
use folkmoot_wire::{InboxId, proto::xmtp::identity::associations as proto};
use prost::Message;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::Unfit;
use crate::{
    clock::{from_sql, to_sql},
    db::DbError,
    network::IdentityEntry,
};

/// What is known of a log.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The newest update that was fetched; 0 for none.
    pub(super) sequence: u64,
    /// How many were fetched.
    pub(super) updates: usize,
    /// Where the log stops being one, and why.
    pub(super) broken: Option<(u64, String)>,
    /// The state after the last update that fits.
    pub(super) state: Option<Arc<AssociationState>>,
    /// What did not fit was left out, to be asked for again.
    pub(super) anew: bool,
}

impl Known {
    /// Nothing.
    pub(super) const fn nothing() -> Self {
        Self {
            sequence: 0,
            updates: 0,
            broken: None,
            state: None,
            anew: false,
        }
    }

    /// Goes on with one more update, if the chains' verdicts about its contracts are there.
    /// `Err` holds the reason why nothing can be said yet.
    pub(super) fn follow(
        &mut self,
        entry: &IdentityEntry,
        verdicts: &ContractVerdicts,
    ) -> Result<(), String> {
        if self.broken.is_none() {
            match apply(self.state.as_deref(), entry, verdicts) {
                Ok(state) => self.state = Some(Arc::new(state)),
                Err(Unfit::Association(error)) if error.is_retryable() => {
                    return Err(error.to_string());
                }
                Err(unfit) => self.broken = Some((entry.sequence, unfit.to_string())),
            }
        }
        self.sequence = entry.sequence;
        self.updates += 1;
        Ok(())
    }
}

fn apply(
    state: Option<&AssociationState>,
    entry: &IdentityEntry,
    verdicts: &ContractVerdicts,
) -> Result<AssociationState, Unfit> {
    let update = IdentityUpdate::decode(&entry.update)?.verify(verdicts)?;
    Ok(AssociationState::apply(state, &update, Rules::Libxmtp)?)
}

/// What has to be asked about an update before it can be followed.
pub(super) fn contract_checks(entry: &IdentityEntry) -> Vec<ContractCheck> {
    let update = IdentityUpdate::decode(&entry.update);
    update.map_or_else(|_| Vec::new(), |update| update.contract_checks())
}

/// What is known of the log of `inbox`.
pub(super) fn known(connection: &Connection, inbox: &InboxId) -> Result<Option<Known>, DbError> {
    let read = |row: &Row<'_>| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, Option<i64>>(2)?,
            row.get::<_, Option<String>>(3)?,
            row.get::<_, Option<Vec<u8>>>(4)?,
        ))
    };
    let row = connection
        .prepare_cached(
            "SELECT sequence, updates, broken_at, broken_because, data
             FROM identity_state WHERE inbox_id = ?1",
        )?
        .query_row([inbox.as_bytes()], read)
        .optional()?;
    let Some((sequence, updates, broken_at, because, data)) = row else {
        return Ok(None);
    };
    Ok(Some(Known {
        sequence: from_sql(sequence),
        updates: usize::try_from(updates).unwrap_or(0),
        broken: broken_at.map(|at| (from_sql(at), because.unwrap_or_default())),
        state: data.map(|data| state(&data)).transpose()?.map(Arc::new),
        anew: false,
    }))
}

/// A log that is none, as it was up to where it stopped being one.
pub(super) fn sound(
    connection: &Connection,
    inbox: &InboxId,
    known: Known,
) -> Result<Known, DbError> {
    let Some((at, _)) = known.broken else {
        return Ok(known);
    };
    let (sequence, updates) = connection
        .prepare_cached(
            "SELECT coalesce(max(sequence), 0), count(*) FROM identity_update
             WHERE inbox_id = ?1 AND sequence < ?2",
        )?
        .query_row(params![inbox.as_bytes(), to_sql(at)], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
    Ok(Known {
        sequence: from_sql(sequence),
        updates: usize::try_from(updates).unwrap_or(0),
        broken: None,
        state: known.state,
        anew: true,
    })
}

/// Takes out what did not fit, before what the network shows now is stored.
pub(super) fn forget_unsound(connection: &Connection, inbox: &InboxId) -> Result<(), DbError> {
    connection
        .prepare_cached(
            "DELETE FROM identity_update WHERE inbox_id = ?1 AND sequence >=
                 (SELECT broken_at FROM identity_state WHERE inbox_id = ?1)",
        )?
        .execute([inbox.as_bytes()])?;
    connection
        .prepare_cached("DELETE FROM identity_state WHERE inbox_id = ?1 AND broken_at NOT NULL")?
        .execute([inbox.as_bytes()])?;
    Ok(())
}

fn state(data: &[u8]) -> Result<AssociationState, DbError> {
    const WHAT: &str = "identity_state.data";
    let state = proto::AssociationState::decode(data);
    let state = state.map_err(|cause| DbError::corrupt(WHAT, cause))?;
    AssociationState::from_proto(state).map_err(|cause| DbError::corrupt(WHAT, cause))
}

/// Stores what was fetched of the log of `inbox` and what it leads to, unless the database is
/// further already.
pub(super) fn keep(
    connection: &Connection,
    inbox: &InboxId,
    entries: &[IdentityEntry],
    known: &Known,
) -> Result<(), DbError> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO identity_update (inbox_id, sequence, created_ns, data)
         VALUES (?1, ?2, ?3, ?4)",
    )?;
    for entry in entries {
        insert.execute(params![
            inbox.as_bytes(),
            to_sql(entry.sequence),
            to_sql(entry.created_ns),
            &entry.update[..],
        ])?;
    }
    let data = known
        .state
        .as_ref()
        .map(|state| state.to_proto().encode_to_vec());
    connection
        .prepare_cached(
            "INSERT INTO identity_state
                 (inbox_id, sequence, updates, broken_at, broken_because, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (inbox_id) DO UPDATE SET
                 sequence = excluded.sequence, updates = excluded.updates,
                 broken_at = excluded.broken_at, broken_because = excluded.broken_because,
                 data = excluded.data
             WHERE excluded.sequence >= sequence",
        )?
        .execute(params![
            inbox.as_bytes(),
            to_sql(known.sequence),
            i64::try_from(known.updates).unwrap_or(i64::MAX),
            known.broken.as_ref().map(|(at, _)| to_sql(*at)),
            known.broken.as_ref().map(|(_, because)| because),
            data,
        ])?;
    Ok(())
}

/// Whether this update is stored.
pub(super) fn has(
    connection: &Connection,
    inbox: &InboxId,
    update: &[u8],
) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM identity_update WHERE inbox_id = ?1 AND data = ?2)";
    let found = connection
        .prepare_cached(sql)?
        .query_row(params![inbox.as_bytes(), update], |row| row.get(0))?;
    Ok(found)
}

/// The state after the updates up to `sequence`, and the last of these; `None` when there are
/// none. The log must have no update up to there that does not fit.
///
/// What contracts said was found out before the rows were stored, so nobody is asked again.
pub(super) fn state_at(
    connection: &Connection,
    inbox: &InboxId,
    sequence: u64,
) -> Result<Option<(u64, AssociationState)>, DbError> {
    const WHAT: &str = "identity_update.data";
    let rows: Vec<(i64, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT sequence, data FROM identity_update
             WHERE inbox_id = ?1 AND sequence <= ?2 ORDER BY sequence",
        )?
        .query_map(params![inbox.as_bytes(), to_sql(sequence)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let Some((last, _)) = rows.last() else {
        return Ok(None);
    };
    let last = from_sql(*last);
    let mut updates = Vec::with_capacity(rows.len());
    for (_, data) in &rows {
        let update = IdentityUpdate::decode(data).map_err(|cause| DbError::corrupt(WHAT, cause))?;
        let checks = update.contract_checks().into_iter();
        let verdicts = checks.map(|check| (check, Ok(true))).collect();
        let verified = update.verify(&verdicts);
        updates.push(verified.map_err(|cause| DbError::corrupt(WHAT, cause))?);
    }
    let state = replay(&updates, Rules::Libxmtp);
    let state = state.map_err(|cause| DbError::corrupt(WHAT, cause))?;
    Ok(state.map(|state| (last, state)))
}

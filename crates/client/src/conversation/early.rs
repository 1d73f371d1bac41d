//! Messages that come before the commit that leads to their epoch.
//!
//! Where a network has several nodes, one may show a message before the commit that it was sealed
//! after. Its place in the log is passed, so that nobody can hold up a conversation with a message
//! of an epoch that never comes; the message itself is kept until a commit was merged.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_wire::{GroupId, VectorClock};
use rusqlite::{Connection, params};

use super::{
    core::Core,
    receive::private_header,
    rows::{Batch, time},
    state::State,
};
use crate::{Error, network::GroupEnvelope};

/// How many of a conversation are kept; of more, the oldest go.
const MOST: u32 = 64;
/// The largest that is kept.
pub(super) const MOST_BYTES: usize = 256 << 10;

impl State {
    /// Reads what was kept for the epochs up to this one.
    pub(super) async fn take_early(&mut self, core: &Arc<Core>) -> Result<(), Error> {
        if !self.load(core).await?.early {
            return Ok(());
        }
        let id = self.id.clone();
        let kept = core.db.read(move |db| Ok(load(db, &id)?)).await?;
        let loaded = self.load(core).await?;
        if kept.is_empty() {
            loaded.early = false;
            return Ok(());
        }
        let mut batch = loaded.batch(core);
        for envelope in kept {
            let header = private_header(&envelope.group_id, &envelope.data);
            if let Some(header) = header {
                if !loaded.follows() || header.epoch > loaded.row.epoch {
                    continue;
                }
                loaded
                    .read_early(core, &mut batch, &envelope, &header)
                    .await?;
            }
            batch
                .read_early
                .push((envelope.originator, envelope.sequence));
        }
        self.write(core, batch).await?;
        Ok(())
    }
}

impl Batch {
    /// Writes which messages are kept and which no longer.
    pub(super) fn write_early(&self, db: &Connection, group: &GroupId) -> rusqlite::Result<()> {
        let id = group.as_bytes();
        for envelope in &self.early {
            db.prepare_cached("INSERT OR IGNORE INTO early_message VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    id,
                    envelope.originator,
                    envelope.sequence.cast_signed(),
                    envelope.created_ns.cast_signed(),
                    &envelope.data[..],
                ])?;
            db.prepare_cached(
                "DELETE FROM early_message WHERE rowid IN
                     (SELECT rowid FROM early_message WHERE group_id = ?1
                      ORDER BY rowid DESC LIMIT -1 OFFSET ?2)",
            )?
            .execute(params![id, MOST])?;
        }
        for (originator, sequence) in &self.read_early {
            db.prepare_cached(
                "DELETE FROM early_message
                 WHERE group_id = ?1 AND originator = ?2 AND sequence = ?3",
            )?
            .execute(params![id, originator, sequence.cast_signed()])?;
        }
        Ok(())
    }
}

/// Whether messages of this conversation are kept.
pub(super) fn are_kept(db: &Connection, group: &GroupId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM early_message WHERE group_id = ?1)")?
        .query_row([group.as_bytes()], |row| row.get(0))
}

fn load(db: &Connection, group: &GroupId) -> rusqlite::Result<Vec<GroupEnvelope>> {
    db.prepare_cached(
        "SELECT originator, sequence, created_ns, data FROM early_message
         WHERE group_id = ?1 ORDER BY originator, sequence",
    )?
    .query_map([group.as_bytes()], |row| {
        Ok(GroupEnvelope {
            group_id: group.clone(),
            originator: row.get(0)?,
            sequence: time(row, 1)?,
            created_ns: time(row, 2)?,
            data: row.get::<_, Vec<u8>>(3)?.into(),
            sender_hmac: Bytes::new(),
            should_push: false,
            is_commit: false,
            depends_on: VectorClock::new(),
        })
    })?
    .collect()
}

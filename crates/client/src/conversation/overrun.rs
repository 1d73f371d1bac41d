//! A cursor that stands where the log never was.
//!
//! A v3 node numbers what it takes, and is asked for what comes after a number. If it once showed
//! something under a number that is far too large, because it lied, or has since been set back to
//! an older state, whatever it numbers properly afterwards would never be asked for. So the place
//! where one stands is compared with the newest that the node has: by each look at all
//! conversations, by the first sync of each in a run of the program that finds nothing, and every
//! few minutes while somebody listens. Who stands beyond it goes back to the last thing that was
//! read below it.
//!
//! On d14n every node numbers its own envelopes and hands on those of others as they come, so that
//! one may lag behind another; there nothing follows from it.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use folkmoot_wire::{COMMIT_ORIGINATOR, GroupId, InstallationKey, VectorClock};
use rusqlite::{Connection, params};

use super::{
    core::Core,
    rows::{self, CursorKind, time},
    state::State,
};
use crate::{
    Error,
    network::{Newest, V3_MESSAGES, V3_WELCOMES, v3_group_id},
};

/// Groups in one question.
const AT_ONCE: usize = 1000;

/// Whether a v3 node that has nothing newer than this has nothing at the place where `cursor`
/// stands.
pub(crate) fn is_overrun(cursor: &VectorClock, newest: Option<&Newest>) -> bool {
    let newest = newest.filter(|newest| is_v3(newest.originator));
    is_place_on_v3(cursor) && newest.is_some_and(|newest| newest.sequence < v3_group_id(cursor))
}

const fn is_v3(originator: u32) -> bool {
    originator == COMMIT_ORIGINATOR || originator == V3_MESSAGES
}

/// Whether somebody stands here who reads from a v3 node, as far as the place shows.
fn is_place_on_v3(cursor: &VectorClock) -> bool {
    !cursor.is_empty() && cursor.iter().all(|(originator, _)| is_v3(originator))
}

impl Core {
    /// Looks where all conversations stand, and goes back in those that stand too far.
    pub(crate) async fn look_for_overruns(self: &Arc<Self>) -> Result<(), Error> {
        let (active, cursors) = self
            .db
            .read(|db| Ok((rows::active_conversations(db)?, rows::group_cursors(db)?)))
            .await?;
        let places = active.into_iter().filter_map(|id| {
            let cursor = cursors.get(&id)?;
            is_place_on_v3(cursor).then_some((id, cursor))
        });
        let (ids, places): (Vec<_>, Vec<_>) = places.unzip();
        for (ids, places) in ids.chunks(AT_ONCE).zip(places.chunks(AT_ONCE)) {
            let newest = self.network.newest_group_messages(ids).await?;
            for ((id, place), newest) in ids.iter().zip(places).zip(newest) {
                if is_overrun(place, newest.as_ref()) {
                    let again = self.run(id, |state, core| {
                        state.doubted = true;
                        Box::pin(state.sync(core))
                    });
                    again.await?;
                }
            }
        }
        Ok(())
    }

    /// The node has no welcome after this place: whether it has one at the place, asked once in a
    /// run of the program. If not, goes back to the last one that led into a conversation.
    pub(super) async fn step_back_in_welcomes(&self, cursor: &VectorClock) -> Result<bool, Error> {
        let place = cursor.last_seen(V3_WELCOMES);
        if place == 0 || self.welcomes_checked.swap(true, Ordering::AcqRel) {
            return Ok(false);
        }
        let me = self.me.key();
        let before = VectorClock::from_iter([(V3_WELCOMES, place - 1)]);
        let page = self.network.welcomes(&me, &before, 1).await?;
        if !page.envelopes.is_empty() {
            return Ok(false);
        }
        let back = self
            .db
            .write(move |db| Ok(lower_welcome_cursor(db, me, place)?))
            .await?;
        tracing::warn!(
            from = place,
            to = back,
            "the node has no welcome where the last one was read: older ones are read again"
        );
        Ok(true)
    }
}

impl State {
    /// Compares where we stand with the newest that the node has. `true`: we stood too far, and
    /// the log is to be read again from where that began.
    pub(super) async fn step_back(&mut self, core: &Core) -> Result<bool, Error> {
        self.doubted = false;
        let id = self.id.clone();
        let cursor = self.load(core).await?.cursor.clone();
        if !is_place_on_v3(&cursor) {
            return Ok(false);
        }
        let newest = core
            .network
            .newest_group_messages(std::slice::from_ref(&id))
            .await?;
        let newest = newest.into_iter().next().flatten();
        let Some(newest) = newest.filter(|newest| is_overrun(&cursor, Some(newest))) else {
            return Ok(false);
        };
        let group = id.clone();
        let lowered = core.db.write(move |db| {
            let read = lower_group_cursor(db, &group, newest.sequence)?;
            Ok((rows::cursor(db, group.as_bytes(), CursorKind::Group)?, read))
        });
        let (cursor, read_before): (VectorClock, BTreeSet<u64>) = match lowered.await {
            Ok(lowered) => lowered,
            Err(cause) => {
                self.unload();
                return Err(cause.into());
            }
        };
        tracing::warn!(
            group = %id,
            newest = newest.sequence,
            to = v3_group_id(&cursor),
            "the node has nothing where this conversation was last read: it is read again from \
             the last message before"
        );
        let loaded = self.load(core).await?;
        loaded.cursor = cursor.clone();
        loaded.read_before = read_before;
        core.live.remove(&id);
        core.live.add(&id, cursor);
        Ok(true)
    }
}

/// Goes back in a group's log on v3 to the last thing that was read of those that `newest` and
/// lower numbers name. Gives what was read behind that place and may come again. Cursors move back
/// nowhere else.
fn lower_group_cursor(
    db: &Connection,
    id: &GroupId,
    newest: u64,
) -> rusqlite::Result<BTreeSet<u64>> {
    const READ: &str = "SELECT sequence FROM message WHERE group_id = ?1 AND sequence > 0
         UNION SELECT sequence FROM commit_log WHERE group_id = ?1 AND sequence > 0";
    let read: BTreeSet<u64> = db
        .prepare_cached(READ)?
        .query_map([id.as_bytes()], |row| time(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    let last = read.range(..=newest).next_back().copied().unwrap_or(0);
    db.execute(
        "UPDATE cursor SET sequence = min(sequence, ?3) WHERE entity = ?1 AND kind = ?2",
        params![id.as_bytes(), CursorKind::Group.code(), last.cast_signed()],
    )?;
    Ok(read.into_iter().filter(|place| *place > last).collect())
}

/// Goes back in the log of welcomes on v3 to the last one before `place` that led into a
/// conversation, and gives its number.
fn lower_welcome_cursor(db: &Connection, me: InstallationKey, place: u64) -> rusqlite::Result<u64> {
    let last: Option<i64> = db.query_row(
        "SELECT max(welcome_id) FROM conversation WHERE welcome_id < ?1",
        [place.cast_signed()],
        |row| row.get(0),
    )?;
    let last = last.unwrap_or(0);
    db.execute(
        "UPDATE cursor SET sequence = min(sequence, ?3) WHERE entity = ?1 AND kind = ?2",
        params![me.as_bytes(), CursorKind::Welcomes.code(), last],
    )?;
    Ok(last.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_place_beyond_the_newest_of_a_v3_node_is_an_overrun() {
        let newest = |originator, sequence| Newest {
            originator,
            sequence,
            created_ns: 0,
        };
        let cursor = |places: &[(u32, u64)]| places.iter().copied().collect::<VectorClock>();
        let at = cursor(&[(COMMIT_ORIGINATOR, 5), (V3_MESSAGES, 9)]);
        for (originator, sequence, overrun) in [
            (V3_MESSAGES, 8, true),
            (COMMIT_ORIGINATOR, 8, true),
            (V3_MESSAGES, 9, false),
            (V3_MESSAGES, 10, false),
            (100, 8, false),
        ] {
            assert_eq!(
                is_overrun(&at, Some(&newest(originator, sequence))),
                overrun
            );
        }
        assert!(!is_overrun(&at, None));
        let d14n = cursor(&[(COMMIT_ORIGINATOR, 5), (100, 9)]);
        assert!(!is_overrun(&d14n, Some(&newest(COMMIT_ORIGINATOR, 4))));
    }
}

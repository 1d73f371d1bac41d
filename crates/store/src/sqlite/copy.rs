//! Copies: the portable form of a store, whichever backend it comes from or goes to.
//!
//! A copy is a SQLite file of the newest form, complete in itself, without a write-ahead log.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, backup::Backup};

use super::schema::{self, failed};
#[cfg(feature = "postgres")]
use crate::Durability;
use crate::{Stats, StoreError};

/// Pages copied between two looks at what else is to do.
const PAGES_AT_A_STRETCH: i32 = 4096;

/// Writes a consistent copy of the file `from`, which may be in use, to the new file `to`.
pub(super) fn copy(from: &Path, to: &Path) -> Result<Stats, StoreError> {
    let source = schema::connect_to_read(from)?;
    let failed = failed("copy the database");
    let snapshot = source.unchecked_transaction().map_err(&failed)?;
    copy_snapshot(&snapshot, to).map_err(&failed)?;
    drop(snapshot);
    verify(to)
}

/// Writes what a connection sees in its open transaction to the new file `to`.
pub(super) fn copy_snapshot(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    // The transaction sees one state from its first read on. Without one, each commit of a
    // writer would make the copy begin anew, so that it might never end.
    source.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
    let mut copy = Connection::open(to)?;
    Backup::new(source, &mut copy)?.run_to_completion(PAGES_AT_A_STRETCH, Duration::ZERO, None)?;
    // The copy stands alone: no log beside it.
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
}

/// Reads a copy from end to end and counts what it holds.
pub(super) fn verify(path: &Path) -> Result<Stats, StoreError> {
    let failed = failed("verify the copy");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let copy = Connection::open_with_flags(path, flags).map_err(&failed)?;
    schema::check_version(&copy)?;
    let verdict: String = copy
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(&failed)?;
    if verdict != "ok" {
        return Err(StoreError::Database {
            doing: "verify the copy",
            cause: verdict.into(),
        });
    }
    let count = |sql: &str| -> Result<u64, StoreError> {
        let counted: Option<i64> = copy.query_row(sql, [], |row| row.get(0)).map_err(&failed)?;
        Ok(counted.map_or(0, i64::cast_unsigned))
    };
    let stats = Stats {
        envelopes: count("SELECT count(*) FROM envelope")?,
        newest_id: count("SELECT max(id) FROM envelope")?,
        topics: count("SELECT count(*) FROM topic")?,
        bytes_on_disk: std::fs::metadata(path).map_or(0, |file| file.len()),
    };
    let orphans = count(
        "SELECT count(*) FROM envelope e WHERE NOT EXISTS \
         (SELECT 1 FROM topic t WHERE t.id = e.topic)",
    )?;
    let newest = schema::meta(&copy, "newest_id")?;
    if orphans > 0 || newest < stats.newest_id {
        return Err(StoreError::Database {
            doing: "verify the copy",
            cause: "its tables do not fit together".into(),
        });
    }
    Ok(stats)
}

/// An empty copy to be filled by another backend.
#[cfg(feature = "postgres")]
pub(crate) fn empty(path: &Path) -> Result<Connection, StoreError> {
    let mut copy = schema::connect(path, Durability::Off, None)?;
    schema::migrate(&mut copy)?;
    Ok(copy)
}

/// A copy that another backend reads, brought to the newest form.
#[cfg(feature = "postgres")]
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    verify(path)?;
    empty(path)
}

/// Finishes a copy that was filled: no log stays beside it.
#[cfg(feature = "postgres")]
pub(crate) fn finish(copy: Connection) -> Result<(), StoreError> {
    let failed = failed("finish the copy");
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
        .map_err(&failed)?;
    copy.close().map_err(|(_, cause)| failed(cause))
}

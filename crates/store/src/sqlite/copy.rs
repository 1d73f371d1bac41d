//! Copies: the portable form of a store, whichever backend it comes from or goes to.
//!
//! A copy is a SQLite file of the newest form, complete in itself, without a write-ahead log.
//! Once it is written, nothing here changes it or puts anything beside it.

use std::{fmt::Write, path::Path, time::Duration};

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

/// A connection to a copy, which stays as it is.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // A database with a log beside it is no copy, but in use, or was: the log belongs to it.
    let opened = match std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        true => Connection::open_with_flags(path, flags),
        false => {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(immutable(path), flags)
        }
    };
    opened.map_err(failed("open the copy"))
}

/// The file as a URI by which SQLite neither locks it nor makes files beside it.
fn immutable(path: &Path) -> String {
    // Two slashes more, or else those of an absolute path could begin the name of a host.
    let mut uri = if path.is_absolute() {
        "file://"
    } else {
        "file:"
    }
    .to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte));
            }
            byte => write!(uri, "%{byte:02x}").expect("a string takes all text"),
        }
    }
    uri + "?immutable=1"
}

/// A second copy in the new file `to` (without a name: in a file that SQLite removes), in the
/// newest form, with pages of `page_bytes`, and with an id counter of at least `ids`.
pub(super) fn stage(
    copy: &Connection,
    to: &Path,
    page_bytes: u32,
    ids: u64,
) -> Result<Connection, StoreError> {
    /// It is thrown away afterwards, so it need not survive anything.
    const FLEETING: &str = "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;";
    let failed = failed("prepare the copy");
    let mut staged = Connection::open(to).map_err(&failed)?;
    staged.execute_batch(FLEETING).map_err(&failed)?;
    Backup::new(copy, &mut staged)
        .and_then(|backup| backup.run_to_completion(PAGES_AT_A_STRETCH, Duration::ZERO, None))
        .map_err(&failed)?;
    // Again, since the mode that the file itself names came with the copy.
    staged.execute_batch(FLEETING).map_err(&failed)?;
    if self::page_bytes(&staged)? != page_bytes {
        staged
            .execute_batch(&format!("PRAGMA page_size = {page_bytes}; VACUUM;"))
            .map_err(&failed)?;
    }
    schema::migrate(&mut staged, schema::MIGRATIONS)?;
    staged
        .execute(
            "INSERT INTO meta (key, value) VALUES ('ids', ?1) \
             ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
            [ids.cast_signed()],
        )
        .map_err(failed)?;
    Ok(staged)
}

/// The size of a database's pages.
pub(super) fn page_bytes(connection: &Connection) -> Result<u32, StoreError> {
    connection
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(failed("read the size of pages"))
}

/// Reads a copy from end to end and counts what it holds.
pub(super) fn verify(path: &Path) -> Result<Stats, StoreError> {
    let failed = failed("verify the copy");
    let copy = open_to_read(path)?;
    schema::check_version(&copy, schema::MIGRATIONS)?;
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
    schema::migrate(&mut copy, schema::MIGRATIONS)?;
    Ok(copy)
}

/// A copy that another backend reads, in the newest form.
#[cfg(feature = "postgres")]
pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    verify(path)?;
    let copy = open_to_read(path)?;
    match schema::is_newest(&copy)? {
        true => Ok(copy),
        false => stage(&copy, Path::new(""), schema::PAGE_BYTES, 0),
    }
}

/// Finishes a copy that was filled: no log stays beside it.
#[cfg(feature = "postgres")]
pub(crate) fn finish(copy: Connection) -> Result<(), StoreError> {
    let failed = failed("finish the copy");
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
        .map_err(&failed)?;
    copy.close().map_err(|(_, cause)| failed(cause))
}

//! Connections, and the numbered forms that the file has had.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, config::DbConfig};

use crate::{Durability, StoreError};

/// Each step makes one form of the file from the one before it.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema_v1.sql")];
/// Bytes of a page: envelopes of 1 KB fill it with little waste.
pub(super) const PAGE_BYTES: u32 = 8 << 10;
/// How long a connection waits for another one's lock.
const PATIENCE_MS: u32 = 10_000;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 64;

/// A connection that may write, to a file of at most `max_bytes`.
pub(crate) fn connect(
    path: &Path,
    durability: Durability,
    max_bytes: Option<u64>,
) -> Result<Connection, StoreError> {
    let connection = Connection::open(path).map_err(failed("open the database"))?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Off => "OFF",
    };
    connection
        .execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES};
             PRAGMA busy_timeout = {PATIENCE_MS};
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = {synchronous};
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -8192;"
        ))
        .map_err(failed("open the database"))?;
    if let Some(max_bytes) = max_bytes {
        let pages = max_bytes / u64::from(PAGE_BYTES);
        connection
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .map_err(failed("open the database"))?;
    }
    keep_plans(&connection)?;
    Ok(connection)
}

/// A connection that only reads.
pub(crate) fn connect_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(failed("open the database"))?;
    connection
        .execute_batch(&format!(
            "PRAGMA busy_timeout = {PATIENCE_MS};
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -4096;"
        ))
        .map_err(failed("open the database"))?;
    keep_plans(&connection)?;
    Ok(connection)
}

/// Keeps statements prepared, and has SQLite plan them without looking at what is bound: else it
/// plans some of ours anew for every new value, which costs more than running them.
fn keep_plans(connection: &Connection) -> Result<(), StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
        .map_err(failed("open the database"))
}

/// Brings the file to the newest form, or refuses one that is newer than this program.
pub(crate) fn migrate(connection: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let failed = failed("bring the database to its newest form");
    let found = check_version(connection, steps)?;
    for (number, step) in (found + 1..).zip(&steps[found as usize..]) {
        let transaction = connection.transaction().map_err(&failed)?;
        transaction.execute_batch(step).map_err(&failed)?;
        transaction
            .pragma_update(None, "user_version", number)
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
    }
    Ok(())
}

/// The number of the file's form, if this program knows it.
pub(super) fn check_version(connection: &Connection, steps: &[&str]) -> Result<u32, StoreError> {
    let found: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(failed("read the database's version"))?;
    let known = u32::try_from(steps.len()).expect("there are few migrations");
    if found > known {
        return Err(StoreError::FromTheFuture { found, known });
    }
    Ok(found)
}

/// Whether the file has the newest form.
pub(super) fn is_newest(connection: &Connection) -> Result<bool, StoreError> {
    Ok(check_version(connection, MIGRATIONS)? as usize == MIGRATIONS.len())
}

/// A counter of the file; 0 if it was never set.
pub(super) fn meta(connection: &Connection, key: &str) -> Result<u64, StoreError> {
    let value: Option<i64> = connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })
        .optional()
        .map_err(failed("read the counters"))?;
    Ok(value.map_or(0, i64::cast_unsigned))
}

/// Turns SQLite's errors into ours, with what was attempted.
pub(crate) fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |cause| match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        _ => StoreError::Database {
            doing,
            cause: cause.into(),
        },
    }
}

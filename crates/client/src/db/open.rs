//! Connections to the file.

use std::{
    fs::{self, OpenOptions},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{DbError, key::FileKey};

/// How long a connection waits for another one of this process.
const PATIENCE: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 128;

/// A database that lives in memory.
pub(super) fn in_memory() -> Result<Connection, DbError> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch("PRAGMA foreign_keys = ON;")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// The connection that writes. Makes the file, for its owner's eyes only.
pub(super) fn to_write(path: &Path, key: &FileKey) -> Result<Connection, DbError> {
    make_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    unlock(&connection, path, key)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;",
    )?;
    Ok(connection)
}

/// A connection to a file that nobody uses yet, for a change before anybody does.
pub(super) fn to_prepare(path: &Path, key: &FileKey) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    unlock(&connection, path, key)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn to_read(path: &Path, key: &FileKey) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    unlock(&connection, path, key)?;
    Ok(connection)
}

/// Gives the key, and finds out whether it is right.
fn unlock(connection: &Connection, path: &Path, key: &FileKey) -> Result<(), DbError> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // It would tell standard error about wrong keys; we tell whoever asked.
    connection.execute_batch("PRAGMA cipher_log_level = NONE;")?;
    connection.execute_batch(&key.pragma())?;
    // SQLite without encryption ignores the line above.
    let mut version = connection.prepare("PRAGMA cipher_version")?;
    if !version.exists([])? {
        return Err(DbError::NoEncryption);
    }
    connection.execute_batch("PRAGMA temp_store = MEMORY;")?;
    match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
        Ok(()) => Ok(()),
        Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(DbError::WrongKey(path.into()))
        }
        Err(cause) => Err(cause.into()),
    }
}

/// Makes the file if it is not there, and takes everybody else's rights away. SQLite gives the
/// files beside it the same rights.
pub(super) fn make_private(path: &Path) -> Result<(), DbError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    private(&mut options);
    let file = options.open(path);
    let tightened = file.and_then(|file| tighten(&file));
    tightened.map_err(|cause| DbError::Io {
        path: path.into(),
        cause,
    })
}

/// Has new files be readable and writable by their owner only.
#[cfg(unix)]
pub(super) fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

/// Elsewhere the folder's rights decide.
#[cfg(not(unix))]
pub(super) fn private(_: &mut OpenOptions) {}

#[cfg(unix)]
fn tighten(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn tighten(_: &fs::File) -> std::io::Result<()> {
    Ok(())
}

//! What can go wrong with the database, in words for the person whose database it is.

use std::{io, path::PathBuf};

use rusqlite::ErrorCode;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// The database was closed, or a change ended its thread.
    #[error("the database is closed")]
    Closed,
    /// A stored value is not what this program writes. `what` names it.
    #[error("the database holds a bad {what}: {cause}")]
    Corrupt {
        /// The table and column, or the kind of value.
        what: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// Pages of the file are broken, or missing.
    #[error("the database is damaged: {0}")]
    Damaged(rusqlite::Error),
    /// A copy would replace a file.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The file's form is newer than this program.
    #[error("the database has form {found}, and this program knows forms up to {known}")]
    FromTheFuture {
        /// The form of the file.
        found: u32,
        /// The newest form that this program knows.
        known: u32,
    },
    /// The database is in memory, where there is no file to copy.
    #[error("a database in memory cannot be copied")]
    InMemory,
    /// Another process has the file open.
    #[error("{} is in use by another process{}", path.display(), of_process(*.process))]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process, if it left its number.
        process: Option<u32>,
    },
    /// The system did not let us.
    #[error("{}: {cause}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The program was linked with an SQLite that cannot encrypt.
    #[error("this program was built without encryption for databases")]
    NoEncryption,
    /// The file is an SQLite database without encryption.
    #[error("{} is not encrypted, so it is no database of this program", .0.display())]
    NotEncrypted(PathBuf),
    /// There is no such file.
    #[error("there is no database at {}", .0.display())]
    NotFound(PathBuf),
    /// What SQLite says.
    #[error("database: {0}")]
    Sqlite(rusqlite::Error),
    /// A thread could not be started.
    #[error("start a thread for the database: {0}")]
    Thread(io::Error),
    /// The key opens nothing.
    #[error("the key does not open {}: it is another key, or the file is damaged", .0.display())]
    WrongKey(PathBuf),
}

impl DbError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InUse { .. } => true,
            Self::Sqlite(cause) => matches!(
                cause.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull)
            ),
            _ => false,
        }
    }

    /// What a person can do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::FromTheFuture { .. } => "use the newer program that wrote it".into(),
            Self::InUse { process, .. } => match process {
                Some(process) => format!("end process {process}, or use another database"),
                None => "end that process, or use another database".into(),
            },
            Self::Corrupt { .. } | Self::Damaged(_) => {
                "put a backup in its place, or begin a new database and get history from another \
                 installation"
                    .into()
            }
            Self::Exists(_) => "use another name, or move that file away".into(),
            Self::NotEncrypted(_) | Self::NotFound(_) => "check the path".into(),
            Self::WrongKey(_) => "give the key with which the database was made".into(),
            Self::Sqlite(cause) if cause.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                "make room on the disk".into()
            }
            _ => return None,
        })
    }

    /// For a stored value that cannot be read.
    pub(crate) fn corrupt(what: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Corrupt {
            what,
            cause: cause.to_string(),
        }
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(cause: rusqlite::Error) -> Self {
        match cause.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(cause),
            _ => Self::Sqlite(cause),
        }
    }
}

fn of_process(process: Option<u32>) -> String {
    process.map_or_else(String::new, |process| format!(" ({process})"))
}

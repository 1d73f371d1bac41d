//! The client's database: one encrypted SQLite file.
//!
//! One thread writes ([`Database::write`]), so that whatever changes together is one transaction
//! and nobody waits for another process's lock; what waits at the same time shares a commit. A few
//! threads read ([`Database::read`]), each question in a snapshot of its own. A second process is
//! refused by a lock beside the file.

mod copy;
mod error;
mod key;
mod keyring;
mod lock;
mod open;
mod schema;
mod threads;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::Connection;

pub use copy::Contents;
pub use error::DbError;
pub use key::DatabaseKey;
use key::FileKey;
pub use keyring::{Keyring, KeyringError};
pub use rusqlite;
pub(crate) use threads::Durability;
pub use threads::Transaction;
use threads::{Readers, Writer};

/// Where a client's database is, and what opens it.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// The file; `None` for a database that lives in memory and ends with its last handle.
    pub path: Option<PathBuf>,
    /// The key. Not used in memory.
    pub key: DatabaseKey,
    /// Reader threads, each with a connection. Default: 2.
    pub readers: usize,
}

/// A handle to the open database. Clones share it; the last one that goes closes the file and
/// releases its lock, after what was begun has been written.
#[derive(Clone)]
pub struct Database(Arc<Open>);

struct Open {
    file: Option<(PathBuf, FileKey)>,
    /// None in memory, where only one connection sees the data. They go before the writer: the last
    /// connection moves the log into the file and removes it, for which it must be able to write.
    readers: Option<Readers>,
    writer: Writer,
    /// Released last.
    _lock: Option<lock::Lock>,
}

impl DatabaseOptions {
    /// A file, opened with `key`.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>, key: DatabaseKey) -> Self {
        Self {
            path: Some(path.into()),
            key,
            readers: 2,
        }
    }

    /// A database in memory.
    #[must_use]
    pub const fn in_memory() -> Self {
        Self {
            path: None,
            key: DatabaseKey::Raw([0; 32]),
            readers: 0,
        }
    }
}

impl Database {
    /// Opens the database, or makes it, and brings it to the newest form. Blocks for a few
    /// milliseconds; with a passphrase for as long as stretching it takes.
    ///
    /// # Errors
    ///
    /// [`DbError::InUse`] while another process has it, [`DbError::WrongKey`],
    /// [`DbError::NotEncrypted`], [`DbError::FromTheFuture`], or what the system says.
    pub fn open(options: &DatabaseOptions) -> Result<Self, DbError> {
        let Some(path) = &options.path else {
            let mut connection = open::in_memory()?;
            schema::migrate(&mut connection)?;
            return Ok(Self(Arc::new(Open {
                file: None,
                writer: Writer::start(connection)?,
                readers: None,
                _lock: None,
            })));
        };
        let lock = lock::Lock::take(path)?;
        let key = FileKey::of(path, &options.key)?;
        let mut connection = open::to_write(path, &key)?;
        schema::migrate(&mut connection)?;
        Ok(Self(Arc::new(Open {
            file: Some((path.clone(), key.clone())),
            writer: Writer::start(connection)?,
            readers: Some(Readers::new(path.clone(), key, options.readers)),
            _lock: Some(lock),
        })))
    }

    /// The file, unless the database is in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// The file and what opens it.
    fn file(&self) -> Option<(PathBuf, FileKey)> {
        self.0.file.clone()
    }

    /// Runs `change` in a transaction on the writer's thread. It is on disk when the future
    /// resolves with `Ok`; nothing of it happened when that is an error. It happens although the
    /// future is dropped. `change` must not block on anything but the database.
    ///
    /// # Errors
    ///
    /// What `change` returns, or what the database says when committing.
    pub async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        self.transact(change).await
    }

    /// The same as [`Database::write`] for what the network would tell us again: it survives the
    /// end of this program, but a loss of power within seconds may undo it, unless something
    /// was written after it with [`Database::write`]. Does not wait for the disk.
    ///
    /// # Errors
    ///
    /// What `change` returns, or what the database says when committing.
    pub(crate) async fn write_soon<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        self.write_with(Durability::Soon, change).await
    }

    pub(crate) async fn write_with<T: Send + 'static>(
        &self,
        durability: Durability,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        self.0.writer.run(durability, change).await
    }

    /// The same as [`Database::write`], for changes that fail in ways of their own. An error rolls
    /// the change back and is returned.
    ///
    /// # Errors
    ///
    /// What `change` returns, or what the database says when committing.
    pub async fn transact<T, E>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        self.0.writer.run(Durability::Now, change).await
    }

    /// Runs `question` on a reader's thread, in one snapshot that holds all that was written
    /// before.
    ///
    /// # Errors
    ///
    /// What `question` returns.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        match &self.0.readers {
            Some(readers) => readers.run(question).await,
            None => {
                let writer = &self.0.writer;
                writer
                    .run(Durability::Soon, |transaction| question(transaction))
                    .await
            }
        }
    }

    /// The same as [`Database::read`] for a question that takes long or waits for somebody else: on
    /// a connection of its own, so that it holds up no other. Only a database in memory has none.
    pub(crate) async fn read_apart<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let Some((path, key)) = self.file() else {
            return self.read(question).await;
        };
        let reading = tokio::task::spawn_blocking(move || {
            let connection = open::to_read(&path, &key)?;
            let snapshot = connection.unchecked_transaction()?;
            question(&snapshot)
        });
        reading.await.map_err(|_| DbError::Closed)?
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path() {
            Some(path) => write!(formatter, "Database({})", path.display()),
            None => formatter.write_str("Database(in memory)"),
        }
    }
}

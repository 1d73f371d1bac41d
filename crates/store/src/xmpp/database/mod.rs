//! The store in a database: SQLite's file or PostgreSQL.
//!
//! Each concern's statements are in the file of its name. They run inside transactions that [`Database`] opens:
//! [`sqlite`] on a thread that commits what waits as a group, [`postgres`] on a task that does the same.

mod accounts;
mod archive;
mod archive_prefs;
mod blocklist;
mod housekeeping;
mod invites;
mod offline;
#[cfg(feature = "postgres")]
mod postgres;
mod private_xml;
mod pubsub;
mod push;
mod rooms;
mod roster;
mod secret;
mod sql;
mod sqlite;
mod tokens;
mod uploads;
mod vcards;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{Durability, StoreError};
use sql::{Answer, Sql, Work};

/// How the file is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct XmppFileOptions {
    /// Whether commits reach the disk. Default: [`Durability::Full`].
    pub durability: Durability,
    /// Reader threads, each with a connection. Default: 2.
    pub readers: usize,
    /// Size at which the file counts as a full disk, in bytes. Default: none.
    pub max_bytes: Option<u64>,
}

impl Default for XmppFileOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            readers: 2,
            max_bytes: None,
        }
    }
}

/// An XMPP server's store in a database.
pub struct XmppDatabase(Arc<dyn Database>);

impl XmppDatabase {
    /// Opens the SQLite file at `path`, or makes it. The file belongs to this store alone.
    ///
    /// # Errors
    ///
    /// [`StoreError::FromTheFuture`] for a file of a newer program, otherwise what SQLite says.
    pub fn open(path: impl Into<PathBuf>, options: XmppFileOptions) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(sqlite::Sqlite::open(path.into(), options)?)))
    }

    /// Connects to the PostgreSQL at `url` and makes the tables if they are missing, as
    /// [`PostgresStore::connect`](crate::PostgresStore::connect) does; both may use the same schema. `readers` is the
    /// number of connections for reading; one more writes.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] while another process writes to the same schema, [`StoreError::FromTheFuture`] for tables
    /// of a newer program, otherwise what PostgreSQL says.
    #[cfg(feature = "postgres")]
    pub async fn connect(url: &str, readers: usize) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(
            postgres::Postgres::connect(url, readers).await?,
        )))
    }

    /// Runs work in a transaction and answers what it did, once that is durable.
    async fn write<T, F>(&self, doing: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut dyn Sql) -> Answer<'a, T> + Send + 'static,
    {
        let (work, kept) = keeping(work);
        self.0.write(doing, work).await?;
        taken(&kept)
    }

    /// Runs work on one state of the database.
    async fn read<T, F>(&self, doing: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut dyn Sql) -> Answer<'a, T> + Send + 'static,
    {
        let (work, kept) = keeping(work);
        self.0.read(doing, work).await?;
        taken(&kept)
    }
}

/// Where work leaves its answer until it is known to be durable.
type Kept<T> = Arc<Mutex<Option<T>>>;

fn keeping<T, F>(work: F) -> (Work, Kept<T>)
where
    T: Send + 'static,
    F: for<'a> FnOnce(&'a mut dyn Sql) -> Answer<'a, T> + Send + 'static,
{
    let kept = Kept::default();
    let keep = Arc::clone(&kept);
    let work: Work = Box::new(move |sql| {
        Box::pin(async move {
            let answer = work(sql).await?;
            *keep.lock() = Some(answer);
            Ok(())
        })
    });
    (work, kept)
}

fn taken<T>(kept: &Kept<T>) -> Result<T, StoreError> {
    kept.lock().take().ok_or(StoreError::Closed)
}

/// What a database does for the concerns.
#[async_trait]
trait Database: Send + Sync {
    /// Runs work in a transaction, which others may share. Answers once it is durable; an error undoes this work alone.
    async fn write(&self, doing: &'static str, work: Work) -> Result<(), StoreError>;

    /// Runs work on one state of the database.
    async fn read(&self, doing: &'static str, work: Work) -> Result<(), StoreError>;

    /// Bytes on disk; 0 if unknown.
    async fn bytes_on_disk(&self) -> Result<u64, StoreError>;

    /// Writes a copy as an SQLite file.
    async fn copy_to(&self, to: &Path) -> Result<(), StoreError>;

    /// Releases the database.
    async fn close(&self) -> Result<(), StoreError>;
}

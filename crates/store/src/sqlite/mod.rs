//! The embedded backend: one SQLite file, one writer thread, a few reader threads.
//!
//! [`writer`] commits what waits in groups and then tells the listener; [`readers`] run
//! closures over connections of their own, each in a snapshot; [`read`] holds the queries;
//! [`checkpoint`] moves the write-ahead log back into the file, away from the writer.

pub(crate) mod checkpoint;
pub(crate) mod copy;
mod read;
mod readers;
pub(crate) mod schema;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_wire::{InboxId, Topic, VectorClock};
use rusqlite::Connection;

use crate::{
    Address, AddressIndex, After, CommitLog, CommitLogEntry, Content, Draft, Envelope, Maintenance,
    NewCommitLogEntry, OnCommit, Order, Page, Placed, Pruned, Retention, Signatures, Stats,
    StoreError, TopicLog, envelope,
};
use readers::Readers;
use writer::{Job, Writer};

/// How the file is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SqliteOptions {
    /// The node's number, its id divided by 100: the low 12 bits of every id. Default: 1.
    pub slot: u16,
    /// Whether commits reach the disk. Default: [`Durability::Full`].
    pub durability: Durability,
    /// Reader threads, each with a connection. Default: 2.
    pub readers: usize,
    /// Size at which the file counts as a full disk, in bytes. Default: none.
    pub max_bytes: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            slot: 1,
            durability: Durability::Full,
            readers: 2,
            max_bytes: None,
        }
    }
}

/// Whether commits reach the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// An append that returned survives a power cut.
    Full,
    /// The operating system writes when it likes: for data that dies with the process.
    Off,
}

/// The embedded store.
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
    counts: Arc<Counts>,
}

/// Counters that the writer keeps and everybody reads.
#[derive(Debug, Default)]
struct Counts {
    /// How many ids were given, by this file or one that it replaced.
    ids: AtomicU64,
    envelopes: AtomicU64,
    newest_id: AtomicU64,
    topics: AtomicU64,
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it.
    ///
    /// # Errors
    ///
    /// [`StoreError::FromTheFuture`] for a file of a newer program, otherwise what SQLite says.
    pub fn open(
        path: impl Into<PathBuf>,
        options: SqliteOptions,
        on_commit: OnCommit,
    ) -> Result<Self, StoreError> {
        let path = path.into();
        writer::remove_staged(&path)?;
        let mut connection = schema::connect(&path, options.durability, options.max_bytes)?;
        schema::migrate(&mut connection, schema::MIGRATIONS)?;
        let counts = Arc::new(Counts::default());
        counts.load(&connection)?;
        let readers = Readers::open(&path, options)?;
        let checkpoints =
            checkpoint::Checkpoints::start(&path, options.durability, &mut connection)?;
        let writer = Writer::start(writer::State::new(
            path.clone(),
            connection,
            options,
            on_commit,
            Arc::clone(&counts),
            checkpoints,
        ))?;
        Ok(Self {
            path,
            writer,
            readers,
            counts,
        })
    }

    /// Writes a consistent copy of the database file `from`, which another process may be
    /// using, to the new file `to`, and verifies it.
    ///
    /// # Errors
    ///
    /// What SQLite says, or what is wrong with the copy.
    pub fn copy_file(from: &Path, to: &Path) -> Result<Stats, StoreError> {
        copy::copy(from, to)
    }

    /// Reads a copy from end to end and counts what it holds.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn verify_copy(path: &Path) -> Result<Stats, StoreError> {
        copy::verify(path)
    }
}

impl Counts {
    fn load(&self, connection: &Connection) -> Result<(), StoreError> {
        for (key, counter) in self.named() {
            counter.store(schema::meta(connection, key)?, Ordering::Release);
        }
        Ok(())
    }

    /// Each counter under the key that it has in the file.
    fn named(&self) -> [(&'static str, &AtomicU64); 4] {
        [
            ("ids", &self.ids),
            ("envelopes", &self.envelopes),
            ("newest_id", &self.newest_id),
            ("topics", &self.topics),
        ]
    }
}

#[async_trait]
impl TopicLog for SqliteStore {
    async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Placed>, StoreError> {
        envelope::check(&drafts)?;
        self.writer.run(|reply| Job::Append { drafts, reply }).await
    }

    async fn page(
        &self,
        topic: &Topic,
        bound: u64,
        order: Order,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        let topic = topic.clone();
        self.readers
            .run("read a page", move |connection| {
                read::page(connection, &topic, bound, order, page)
            })
            .await
    }

    async fn merged(
        &self,
        cursors: &[(Topic, After)],
        after: u64,
        up_to: u64,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        if cursors.is_empty() || after >= up_to {
            return Ok(Vec::new());
        }
        let cursors = cursors.to_vec();
        self.readers
            .run("read several topics", move |connection| {
                read::merged(connection, &cursors, after, up_to, page)
            })
            .await
    }

    async fn unseen_by_topic(
        &self,
        topics: &[Topic],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        let (topics, seen) = (topics.to_vec(), seen.clone());
        self.readers
            .run("read several topics", move |connection| {
                read::unseen_by_topic(connection, topics, &seen, page)
            })
            .await
    }

    async fn unseen_by_originator(
        &self,
        originators: &[u32],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        let (originators, seen) = (originators.to_vec(), seen.clone());
        self.readers
            .run("read an originator", move |connection| {
                read::unseen_by_originator(connection, originators, &seen, page)
            })
            .await
    }

    async fn newest(
        &self,
        topics: &[Topic],
        content: Content,
    ) -> Result<Vec<Option<Envelope>>, StoreError> {
        let topics = topics.to_vec();
        self.readers
            .run("read the newest envelopes", move |connection| {
                read::newest(connection, &topics, content)
            })
            .await
    }

    async fn newest_id(&self) -> Result<u64, StoreError> {
        Ok(self.counts.newest_id.load(Ordering::Acquire))
    }
}

#[async_trait]
impl AddressIndex for SqliteStore {
    async fn inboxes(&self, addresses: &[Address]) -> Result<Vec<Option<InboxId>>, StoreError> {
        let addresses = addresses.to_vec();
        self.readers
            .run("look up addresses", move |connection| {
                let inbox = |address| read::inbox(connection, address);
                addresses.iter().map(inbox).collect()
            })
            .await
    }
}

#[async_trait]
impl CommitLog for SqliteStore {
    async fn append_commit_log(&self, entries: Vec<NewCommitLogEntry>) -> Result<(), StoreError> {
        self.writer
            .run(|reply| Job::CommitLog { entries, reply })
            .await
    }

    async fn commit_log(
        &self,
        group_id: &[u8],
        after: u64,
        limit: usize,
    ) -> Result<Vec<CommitLogEntry>, StoreError> {
        let group_id = Bytes::copy_from_slice(group_id);
        self.readers
            .run("read a commit log", move |connection| {
                read::commit_log(connection, &group_id, after, limit)
            })
            .await
    }
}

#[async_trait]
impl Signatures for SqliteStore {
    async fn signatures(&self, ids: &[u64]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let ids = ids.to_vec();
        self.readers
            .run("read signatures", move |connection| {
                let signature = |id| read::signature(connection, id);
                ids.into_iter().map(signature).collect()
            })
            .await
    }

    async fn keep_signatures(&self, signatures: Vec<(u64, Bytes)>) -> Result<(), StoreError> {
        self.writer
            .run(|reply| Job::Signatures { signatures, reply })
            .await
    }
}

#[async_trait]
impl Maintenance for SqliteStore {
    async fn prune(&self, retention: Retention, now_ns: u64) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        let mut from = 0;
        loop {
            let step = self
                .writer
                .run(|reply| Job::Prune {
                    retention,
                    now_ns,
                    from,
                    reply,
                })
                .await?;
            pruned.messages += step.pruned.messages;
            pruned.welcomes += step.pruned.welcomes;
            pruned.key_packages += step.pruned.key_packages;
            match step.next {
                Some(next) => from = next,
                None => return Ok(pruned),
            }
        }
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        let bytes = |suffix: &str| {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |metadata| metadata.len())
        };
        Ok(Stats {
            envelopes: self.counts.envelopes.load(Ordering::Acquire),
            newest_id: self.counts.newest_id.load(Ordering::Acquire),
            topics: self.counts.topics.load(Ordering::Acquire),
            bytes_on_disk: bytes("") + bytes("-wal"),
        })
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.writer.run(|reply| Job::Check { reply }).await
    }

    async fn reset(&self) -> Result<(), StoreError> {
        self.writer.run(|reply| Job::Reset { reply }).await
    }

    async fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_path_buf();
        self.readers
            .run("copy the database", move |connection| {
                copy::copy_snapshot(connection, &to)
            })
            .await
    }

    async fn replace_with(&self, from: &Path) -> Result<(), StoreError> {
        let from = from.to_path_buf();
        self.writer.run(|reply| Job::Replace { from, reply }).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.readers.close();
        self.writer.close().await
    }
}

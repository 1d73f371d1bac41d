//! The second backend: PostgreSQL, for operators who have one.
//!
//! One task writes, in groups, over a connection that also holds the session lock: a second
//! process on the same schema is refused. Ids are given under an advisory lock inside the
//! group's transaction, so the order of ids is the order in which they become visible.
//! Reads go through a pool.

pub(crate) mod address;
mod copy;
mod read;
pub(crate) mod schema;
mod writer;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::{Object, Pool};
use folkmoot_wire::{InboxId, Topic, TopicKind, VectorClock};

use crate::{
    Address, AddressIndex, After, CommitLog, CommitLogEntry, Content, Draft, Envelope, Maintenance,
    NewCommitLogEntry, OnCommit, Order, Page, Placed, Pruned, Retention, Signatures, Stats,
    StoreError, TopicLog, envelope,
};
use address::Address as DatabaseAddress;
use read::{Lanes, MergeBy};
use writer::{Counts, Job, Writer};

/// How the database is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PostgresOptions {
    /// The node's number, its id divided by 100: the low 12 bits of every id. Default: 1.
    pub slot: u16,
    /// Connections for reading; one more writes. Default: 8.
    pub readers: usize,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            slot: 1,
            readers: 8,
        }
    }
}

/// A store in PostgreSQL, 13 or later.
pub struct PostgresStore {
    pool: Pool,
    writer: Writer,
    counts: Arc<Counts>,
}

impl PostgresStore {
    /// Connects to the database at `url` (`postgres://user:password@host/database`, or
    /// `key=value` pairs) and makes the tables if they are missing. Tables live in the first
    /// schema of the connection's search path. `sslmode` (`disable`, `prefer`, `require`,
    /// `verify-ca`, `verify-full`) and `sslrootcert` mean what they mean to libpq.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] while another process writes to the same schema,
    /// [`StoreError::FromTheFuture`] for tables of a newer program, otherwise what PostgreSQL
    /// says.
    pub async fn connect(
        url: &str,
        options: PostgresOptions,
        on_commit: OnCommit,
    ) -> Result<Self, StoreError> {
        let address = DatabaseAddress::parse(url)?;
        let counts = Arc::new(Counts::default());
        let pool = Pool::builder(address.manager());
        let writer = Writer::start(address, options.slot, on_commit, Arc::clone(&counts)).await?;
        let pool = pool
            .max_size(options.readers.max(1))
            .build()
            .map_err(|cause| StoreError::Database {
                doing: "make the connection pool",
                cause: cause.into(),
            })?;
        Ok(Self {
            pool,
            writer,
            counts,
        })
    }

    /// Writes a consistent copy of the database at `url`, which a node may be using, to the new
    /// file `to`: the embedded store's file, so that it can be restored to either backend.
    ///
    /// # Errors
    ///
    /// What PostgreSQL or the file system says.
    pub async fn copy_database(url: &str, to: &Path) -> Result<Stats, StoreError> {
        let address = DatabaseAddress::parse(url)?;
        let connected = address.connect().await;
        let (mut client, connection) =
            connected.map_err(schema::failed("connect to the database"))?;
        let connection = tokio::spawn(connection);
        let copied = copy::copy_out(&mut client, to).await;
        drop(client);
        // The connection ends with its client; how it ended says nothing about the copy.
        let _ = connection.await;
        copied?;
        crate::SqliteStore::verify_copy(to)
    }

    async fn reader(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|cause| match cause {
            deadpool_postgres::PoolError::Closed => StoreError::Closed,
            cause => StoreError::Database {
                doing: "connect to the database",
                cause: cause.into(),
            },
        })
    }
}

#[async_trait]
impl TopicLog for PostgresStore {
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
        read::page(&*self.reader().await?, topic, bound, order, page)
            .await
            .map_err(schema::failed("read a page"))
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
        let failed = schema::failed("read several topics");
        let reader = self.reader().await?;
        let originators = read::originators(&reader).await.map_err(&failed)?;
        let lanes = Lanes::of(cursors, after, &originators);
        read::merged(&reader, &lanes, up_to, MergeBy::Id, page)
            .await
            .map_err(failed)
    }

    async fn unseen_by_topic(
        &self,
        topics: &[Topic],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        let failed = schema::failed("read several topics");
        let reader = self.reader().await?;
        let originators = read::originators(&reader).await.map_err(&failed)?;
        let mut topics = topics.to_vec();
        topics.sort();
        topics.dedup();
        let lanes = Lanes::unseen(&topics, seen, &originators);
        read::merged(
            &reader,
            &lanes,
            u64::MAX,
            MergeBy::OriginatorAndSequence,
            page,
        )
        .await
        .map_err(failed)
    }

    async fn unseen_by_originator(
        &self,
        originators: &[u32],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        let mut originators = originators.to_vec();
        originators.sort_unstable();
        originators.dedup();
        read::unseen_by_originator(&*self.reader().await?, &originators, seen, page)
            .await
            .map_err(schema::failed("read an originator"))
    }

    async fn newest(
        &self,
        topics: &[Topic],
        content: Content,
    ) -> Result<Vec<Option<Envelope>>, StoreError> {
        read::newest(&*self.reader().await?, topics, content)
            .await
            .map_err(schema::failed("read the newest envelopes"))
    }

    async fn newest_id(&self) -> Result<u64, StoreError> {
        Ok(self.counts.newest_id())
    }
}

#[async_trait]
impl AddressIndex for PostgresStore {
    async fn inboxes(&self, addresses: &[Address]) -> Result<Vec<Option<InboxId>>, StoreError> {
        read::inboxes(&*self.reader().await?, addresses)
            .await
            .map_err(schema::failed("look up addresses"))
    }
}

#[async_trait]
impl CommitLog for PostgresStore {
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
        read::commit_log(&*self.reader().await?, group_id, after, limit)
            .await
            .map_err(schema::failed("read a commit log"))
    }
}

#[async_trait]
impl Signatures for PostgresStore {
    async fn signatures(&self, ids: &[u64]) -> Result<Vec<Option<Bytes>>, StoreError> {
        read::signatures(&*self.reader().await?, ids)
            .await
            .map_err(schema::failed("read signatures"))
    }

    async fn keep_signatures(&self, signatures: Vec<(u64, Bytes)>) -> Result<(), StoreError> {
        self.writer
            .run(|reply| Job::Signatures { signatures, reply })
            .await
    }
}

#[async_trait]
impl Maintenance for PostgresStore {
    async fn prune(&self, retention: Retention, now_ns: u64) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        let Pruned {
            messages,
            welcomes,
            key_packages,
        } = &mut pruned;
        for (kind, age, count) in [
            (TopicKind::GroupMessages, retention.messages, messages),
            (TopicKind::WelcomeMessages, retention.welcomes, welcomes),
            (TopicKind::KeyPackages, retention.key_packages, key_packages),
        ] {
            let Some(age) = age else { continue };
            let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
            let before_ns = now_ns.saturating_sub(age);
            loop {
                // A job for each step, so that publishing goes on between them.
                let removed = self.writer.run(|reply| Job::Prune {
                    kind,
                    before_ns,
                    reply,
                });
                match removed.await? {
                    0 => break,
                    removed => *count += removed,
                }
            }
        }
        Ok(pruned)
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        let reader = self.reader().await?;
        let row = reader
            .query_one("SELECT pg_database_size(current_database())", &[])
            .await
            .map_err(schema::failed("measure the database"))?;
        Ok(self.counts.stats(read::unsigned(&row, 0)))
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.writer.run(|reply| Job::Check { reply }).await
    }

    async fn reset(&self) -> Result<(), StoreError> {
        self.writer.run(|reply| Job::Reset { reply }).await
    }

    async fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        copy::copy_out(&mut *self.reader().await?, to).await
    }

    async fn replace_with(&self, from: &Path) -> Result<(), StoreError> {
        let from = from.to_path_buf();
        self.writer.run(|reply| Job::Replace { from, reply }).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.pool.close();
        self.writer.close().await
    }
}

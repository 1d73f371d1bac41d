//! The writer: the one thread that changes the file. It commits what waits as a group.

use std::{
    io::ErrorKind,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use folkmoot_wire::{Topic, TopicKind};
use lru::LruCache;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, backup::Backup};
use tokio::sync::oneshot;

use super::{
    Counts, SqliteOptions,
    checkpoint::{self, Checkpoints},
    copy,
    read::{self, IS_COMMIT, SHOULD_PUSH},
    schema::{self, failed},
};
use crate::{
    AddressChange, Draft, Durability, Envelope, NewCommitLogEntry, OnCommit, Placed, Pruned,
    Retention, StoreError,
};

/// Bits of an id that name the node.
const SLOT_BITS: u32 = 12;
/// Drafts in a group, about.
const GROUP_DRAFTS: usize = 256;
/// Payload bytes in a group, about. A larger append commits alone.
const GROUP_BYTES: usize = 1 << 20;
/// Topics whose newest ids stay in memory.
const TOPICS: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");
/// Envelopes that a step of pruning looks at.
const PRUNE_STEP: usize = 250;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something for the writer to do.
pub(super) enum Job {
    Append {
        drafts: Vec<Draft>,
        reply: Reply<Vec<Placed>>,
    },
    CommitLog {
        entries: Vec<NewCommitLogEntry>,
        reply: Reply<()>,
    },
    Signatures {
        signatures: Vec<(u64, Bytes)>,
        reply: Reply<()>,
    },
    Prune {
        retention: Retention,
        now_ns: u64,
        /// The id after which to look.
        from: u64,
        reply: Reply<PruneStep>,
    },
    Check {
        reply: Reply<()>,
    },
    Reset {
        reply: Reply<()>,
    },
    Replace {
        from: PathBuf,
        reply: Reply<()>,
    },
    Close {
        reply: Reply<()>,
    },
}

/// What a step of pruning did.
pub(super) struct PruneStep {
    pub(super) pruned: Pruned,
    /// Where the next step begins; `None` at the end.
    pub(super) next: Option<u64>,
}

/// The way to the writer thread.
pub(super) struct Writer(Mutex<Option<Sender<Job>>>);

impl Writer {
    pub(super) fn start(state: State) -> Result<Self, StoreError> {
        let (sender, receiver) = channel();
        thread::Builder::new()
            .name("store-write".to_owned())
            .spawn(move || state.run(&receiver))
            .map_err(|cause| StoreError::Database {
                doing: "start the writer",
                cause: cause.into(),
            })?;
        Ok(Self(Mutex::new(Some(sender))))
    }

    /// Hands a job over and waits until it is done.
    pub(super) async fn run<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let sender = self.0.lock().clone().ok_or(StoreError::Closed)?;
        sender.send(job(reply)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let Some(sender) = self.0.lock().take() else {
            return Ok(());
        };
        let (reply, answer) = oneshot::channel();
        sender
            .send(Job::Close { reply })
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// What the thread owns.
pub(super) struct State {
    path: PathBuf,
    connection: Connection,
    durability: Durability,
    /// What the connection is set to.
    sync: Sync,
    slot: u64,
    on_commit: OnCommit,
    counts: Arc<Counts>,
    checkpoints: Checkpoints,
    memory: Memory,
}

/// When a commit reaches the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sync {
    /// Before it returns.
    Now,
    /// With the next one that does, or with a checkpoint.
    Later,
}

/// What the writer remembers of the file. After a rollback it is read again.
struct Memory {
    ids: u64,
    envelopes: u64,
    topics: u64,
    newest_id: u64,
    time_ns: u64,
    heads: LruCache<Topic, Head>,
}

#[derive(Clone, Copy)]
struct Head {
    topic_id: i64,
    newest: u64,
    newest_commit: u64,
}

/// An append that is part of a group.
struct Append {
    drafts: Vec<Draft>,
    reply: Reply<Vec<Placed>>,
}

impl State {
    /// The writer of the file at `path`, by this connection to it.
    pub(super) fn new(
        path: PathBuf,
        connection: Connection,
        options: SqliteOptions,
        on_commit: OnCommit,
        counts: Arc<Counts>,
        checkpoints: Checkpoints,
    ) -> Self {
        let mut state = Self {
            path,
            connection,
            durability: options.durability,
            sync: Sync::Now,
            slot: u64::from(options.slot),
            on_commit,
            counts,
            checkpoints,
            memory: Memory {
                ids: 0,
                envelopes: 0,
                topics: 0,
                newest_id: 0,
                time_ns: 0,
                heads: LruCache::new(TOPICS),
            },
        };
        state.remember();
        state
    }

    fn run(mut self, jobs: &Receiver<Job>) {
        let mut next = jobs.recv().ok();
        while let Some(job) = next.take() {
            match job {
                Job::Append { drafts, reply } => {
                    let (group, other) = gather(Append { drafts, reply }, jobs);
                    self.append(group);
                    next = other;
                }
                Job::CommitLog { entries, reply } => {
                    let _ = reply.send(self.commit_log(entries));
                }
                Job::Signatures { signatures, reply } => {
                    let _ = reply.send(self.signatures(signatures));
                }
                Job::Prune {
                    retention,
                    now_ns,
                    from,
                    reply,
                } => {
                    let _ = reply.send(self.prune(retention, now_ns, from));
                }
                Job::Check { reply } => {
                    let _ = reply.send(self.check());
                }
                Job::Reset { reply } => {
                    let _ = reply.send(self.reset());
                }
                Job::Replace { from, reply } => {
                    let _ = reply.send(self.replace(&from));
                }
                Job::Close { reply } => {
                    let _ = reply.send(self.close());
                    return;
                }
            }
            if self.checkpoints.committed() {
                checkpoint::passive(&self.connection);
            }
            if next.is_none() {
                next = jobs.recv().ok();
            }
        }
    }

    /// Appends a group in one transaction, tells the listener, then whoever asked.
    fn append(&mut self, group: Vec<Append>) {
        let mut answers = Vec::with_capacity(group.len());
        let mut stored = Vec::new();
        let (requests, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|append| (append.drafts, append.reply))
            .unzip();
        let result = self.begin(Sync::Now).and_then(|()| {
            for drafts in requests {
                let before = stored.len();
                match self.append_one(drafts, &mut stored) {
                    Ok(placed) => answers.push(Ok(placed)),
                    Err(conflict @ StoreError::Conflict { .. }) if stored.len() == before => {
                        answers.push(Err(conflict));
                    }
                    Err(error) => return Err(error),
                }
            }
            self.commit()
        });
        if let Err(error) = result {
            self.roll_back();
            // One append's failure is the group's: nothing of it is stored.
            let text = error.to_string();
            let mut first = Some(error);
            for reply in replies {
                let _ = reply.send(Err(first.take().unwrap_or_else(|| again(&text))));
            }
            return;
        }
        if !stored.is_empty() {
            (self.on_commit)(stored);
        }
        for (reply, answer) in replies.into_iter().zip(answers) {
            let _ = reply.send(answer);
        }
    }

    /// Appends drafts inside the open transaction. A conflict is found before anything is
    /// written.
    fn append_one(
        &mut self,
        drafts: Vec<Draft>,
        stored: &mut Vec<Arc<Envelope>>,
    ) -> Result<Vec<Placed>, StoreError> {
        for draft in &drafts {
            if let Some(expected) = draft.expected_newest {
                let newest = self.head(&draft.topic)?.map_or(0, |head| head.newest);
                if newest != expected {
                    return Err(StoreError::Conflict { newest });
                }
            }
        }
        drafts
            .into_iter()
            .map(|draft| self.place(draft, stored))
            .collect()
    }

    fn place(
        &mut self,
        draft: Draft,
        stored: &mut Vec<Arc<Envelope>>,
    ) -> Result<Placed, StoreError> {
        let head = self.head(&draft.topic)?;
        if let (Some(fingerprint), Some(head)) = (&draft.fingerprint, head)
            && let Some(placed) = self.duplicate(head.topic_id, fingerprint)?
        {
            return Ok(placed);
        }
        let mut head = match head {
            Some(head) => head,
            None => self.new_topic(&draft.topic)?,
        };
        self.memory.ids += 1;
        let id = self.memory.ids << SLOT_BITS | self.slot;
        self.memory.time_ns = self.memory.time_ns.max(now_ns());
        let time_ns = self.memory.time_ns;
        let previous_commit = head.newest_commit;
        self.insert(&draft, head, id, time_ns)?;
        head.newest = id;
        if draft.is_commit {
            head.newest_commit = id;
        }
        self.memory.heads.put(draft.topic.clone(), head);
        self.memory.newest_id = id;
        self.memory.envelopes += 1;
        stored.push(Arc::new(Envelope {
            id,
            originator: draft.originator,
            sequence: id,
            topic: draft.topic,
            time_ns,
            form: draft.form,
            payload: draft.payload,
            sender_hmac: draft.sender_hmac,
            should_push: draft.should_push,
            is_commit: draft.is_commit,
            previous_commit,
        }));
        Ok(Placed {
            id,
            time_ns,
            duplicate: false,
        })
    }

    fn insert(&self, draft: &Draft, head: Head, id: u64, time_ns: u64) -> Result<(), StoreError> {
        let failed = failed("append an envelope");
        let flags =
            i64::from(draft.should_push) * SHOULD_PUSH + i64::from(draft.is_commit) * IS_COMMIT;
        let id = id.cast_signed();
        self.connection
            .prepare_cached(
                "INSERT INTO envelope (topic, id, originator, form, flags, time_ns, \
                 previous_commit, sender_hmac, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )
            .and_then(|mut statement| {
                statement.execute((
                    head.topic_id,
                    id,
                    draft.originator,
                    draft.form as u8,
                    flags,
                    time_ns.cast_signed(),
                    head.newest_commit.cast_signed(),
                    draft.sender_hmac.as_ref(),
                    draft.payload.as_ref(),
                ))
            })
            .map_err(&failed)?;
        if let Some(fingerprint) = &draft.fingerprint {
            self.connection
                .prepare_cached(
                    "INSERT INTO fingerprint (topic, fingerprint, id) VALUES (?1, ?2, ?3)",
                )
                .and_then(|mut statement| statement.execute((head.topic_id, fingerprint, id)))
                .map_err(&failed)?;
        }
        for change in &draft.addresses {
            self.change_address(draft, change, id)?;
        }
        Ok(())
    }

    fn change_address(
        &self,
        draft: &Draft,
        change: &AddressChange,
        id: i64,
    ) -> Result<(), StoreError> {
        let inbox = draft.inbox.ok_or_else(|| StoreError::Database {
            doing: "change an address",
            cause: "the draft names no inbox".into(),
        })?;
        let (sql, address) = match change {
            AddressChange::Added(address) => (
                "INSERT OR REPLACE INTO address (kind, text, association, inbox) \
                 VALUES (?1, ?2, ?3, ?4)",
                address,
            ),
            AddressChange::Removed(address) => (
                "UPDATE address SET revoked = ?3 \
                 WHERE kind = ?1 AND text = ?2 AND inbox = ?4 AND revoked IS NULL",
                address,
            ),
        };
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement.execute((
                    address.kind as u8,
                    &address.text,
                    id,
                    inbox.as_bytes().as_slice(),
                ))
            })
            .map(drop)
            .map_err(failed("change an address"))
    }

    fn duplicate(
        &self,
        topic_id: i64,
        fingerprint: &[u8; 16],
    ) -> Result<Option<Placed>, StoreError> {
        self.connection
            .prepare_cached(
                "SELECT e.id, e.time_ns FROM fingerprint f \
                 JOIN envelope e ON e.id = f.id \
                 WHERE f.topic = ?1 AND f.fingerprint = ?2",
            )
            .and_then(|mut statement| {
                statement
                    .query_row((topic_id, fingerprint), |row| {
                        Ok(Placed {
                            id: row.get::<_, i64>(0)?.cast_unsigned(),
                            time_ns: row.get::<_, i64>(1)?.cast_unsigned(),
                            duplicate: true,
                        })
                    })
                    .optional()
            })
            .map_err(failed("look for a duplicate"))
    }

    /// The topic's row and newest ids, from memory if they are there.
    fn head(&mut self, topic: &Topic) -> Result<Option<Head>, StoreError> {
        if let Some(head) = self.memory.heads.get(topic) {
            return Ok(Some(*head));
        }
        let failed = failed("look up a topic");
        let Some(topic_id) = read::topic_id(&self.connection, topic).map_err(&failed)? else {
            return Ok(None);
        };
        let newest = |sql: &str| {
            let mut statement = self.connection.prepare_cached(sql)?;
            let newest: Option<i64> = statement.query_row([topic_id], |row| row.get(0))?;
            Ok(newest.map_or(0, i64::cast_unsigned))
        };
        let head = Head {
            topic_id,
            newest: newest("SELECT max(id) FROM envelope INDEXED BY by_topic WHERE topic = ?1")
                .map_err(&failed)?,
            newest_commit: newest(
                "SELECT max(id) FROM envelope INDEXED BY commits \
                 WHERE topic = ?1 AND originator = 0",
            )
            .map_err(&failed)?,
        };
        self.memory.heads.put(topic.clone(), head);
        Ok(Some(head))
    }

    fn new_topic(&mut self, topic: &Topic) -> Result<Head, StoreError> {
        self.connection
            .prepare_cached("INSERT INTO topic (name) VALUES (?1)")
            .and_then(|mut statement| statement.insert([topic.as_bytes().as_ref()]))
            .map(|topic_id| {
                self.memory.topics += 1;
                Head {
                    topic_id,
                    newest: 0,
                    newest_commit: 0,
                }
            })
            .map_err(failed("make a topic"))
    }

    fn commit_log(&mut self, entries: Vec<NewCommitLogEntry>) -> Result<(), StoreError> {
        self.in_transaction("append to a commit log", |state| {
            let mut statement = state.connection.prepare_cached(
                "INSERT INTO commit_log (group_id, sequence, entry, signature, signer) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for entry in entries {
                state.memory.ids += 1;
                let sequence = state.memory.ids << SLOT_BITS | state.slot;
                statement.execute((
                    entry.group_id.as_ref(),
                    sequence.cast_signed(),
                    entry.entry.as_ref(),
                    entry.signature.as_ref(),
                    entry.signer.as_ref(),
                ))?;
            }
            Ok(())
        })
    }

    /// Keeps signatures without waiting for the disk: they can be made again.
    fn signatures(&mut self, signatures: Vec<(u64, Bytes)>) -> Result<(), StoreError> {
        self.transact(Sync::Later, "keep signatures", |state| {
            let mut statement = state
                .connection
                .prepare_cached("INSERT OR REPLACE INTO signature (id, bytes) VALUES (?1, ?2)")?;
            for (id, bytes) in signatures {
                statement.execute((id.cast_signed(), bytes.as_ref()))?;
            }
            Ok(())
        })
    }

    /// Looks at the next envelopes of nodes (not of the chain) and removes what is too old.
    fn prune(
        &mut self,
        retention: Retention,
        now_ns: u64,
        from: u64,
    ) -> Result<PruneStep, StoreError> {
        let before = |age: Option<Duration>| {
            let age = age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
            age.map_or(0, |age| now_ns.saturating_sub(age))
        };
        let messages = before(retention.messages);
        let welcomes = before(retention.welcomes);
        let key_packages = before(retention.key_packages);
        let newest_cut = messages.max(welcomes).max(key_packages);
        let mut step = PruneStep {
            pruned: Pruned::default(),
            next: None,
        };
        let rows: Vec<(Topic, i64, u64, bool)> = self
            .connection
            .prepare_cached(
                "SELECT t.name, e.id, e.time_ns, \
                 EXISTS (SELECT 1 FROM envelope n INDEXED BY by_topic \
                  WHERE n.topic = e.topic AND n.id > e.id) \
                 FROM envelope e INDEXED BY by_originator JOIN topic t ON t.id = e.topic \
                 WHERE e.originator = ?1 AND e.id > ?2 ORDER BY e.id LIMIT ?3",
            )
            .and_then(|mut statement| {
                statement
                    .query_map(
                        (
                            (self.slot * 100).cast_signed(),
                            from.cast_signed(),
                            i64::try_from(PRUNE_STEP).unwrap_or(i64::MAX),
                        ),
                        |row| {
                            let time_ns = row.get::<_, i64>(2)?.cast_unsigned();
                            Ok((read::topic(row, 0)?, row.get(1)?, time_ns, row.get(3)?))
                        },
                    )?
                    .collect()
            })
            .map_err(failed("look for old envelopes"))?;
        let young = rows.last().is_none_or(|row| row.2 >= newest_cut);
        if rows.len() == PRUNE_STEP && !young {
            step.next = rows.last().map(|row| row.1.cast_unsigned());
        }
        let pruned = &mut step.pruned;
        let old: Vec<i64> = rows
            .into_iter()
            .filter_map(|(topic, id, time_ns, replaced)| {
                let (cut, count) = match topic.kind() {
                    TopicKind::GroupMessages => (messages, &mut pruned.messages),
                    TopicKind::WelcomeMessages => (welcomes, &mut pruned.welcomes),
                    TopicKind::KeyPackages if replaced => (key_packages, &mut pruned.key_packages),
                    _ => return None,
                };
                (time_ns < cut).then(|| {
                    *count += 1;
                    id
                })
            })
            .collect();
        if !old.is_empty() {
            self.in_transaction("remove old envelopes", |state| {
                let connection = &state.connection;
                for id in old {
                    connection
                        .prepare_cached("DELETE FROM envelope WHERE id = ?1")?
                        .execute([id])?;
                    connection
                        .prepare_cached("DELETE FROM fingerprint WHERE id = ?1")?
                        .execute([id])?;
                    connection
                        .prepare_cached("DELETE FROM signature WHERE id = ?1")?
                        .execute([id])?;
                }
                state.memory.heads.clear();
                Ok(())
            })?;
        }
        Ok(step)
    }

    fn check(&mut self) -> Result<(), StoreError> {
        self.in_transaction("check the database", |state| {
            state
                .connection
                .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('checked', ?1)")?
                .execute([now_ns().cast_signed()])
                .map(drop)
        })
    }

    fn reset(&mut self) -> Result<(), StoreError> {
        self.in_transaction("empty the database", |state| {
            state.connection.execute_batch(
                "DELETE FROM envelope; DELETE FROM topic; DELETE FROM fingerprint; \
                 DELETE FROM address; DELETE FROM commit_log; DELETE FROM signature;",
            )?;
            state.memory.heads.clear();
            state.memory.envelopes = 0;
            state.memory.topics = 0;
            Ok(())
        })
    }

    /// Takes over the file `from`, which is only read; ids go on from the greater count. That
    /// is one transaction: a kill leaves what was there, or what came with such a count.
    fn replace(&mut self, from: &Path) -> Result<(), StoreError> {
        let staged = staged(&self.path);
        let copy = copy::open_to_read(from)?;
        let page_bytes = copy::page_bytes(&self.connection)?;
        let fits = schema::is_newest(&copy)?
            && copy::page_bytes(&copy)? == page_bytes
            && schema::meta(&copy, "ids")? >= self.memory.ids;
        if fits {
            return self.take_over(&copy);
        }
        remove_staged(&self.path)?;
        let replaced = copy::stage(&copy, &staged, page_bytes, self.memory.ids)
            .and_then(|copy| self.take_over(&copy));
        // Whatever became of it. After a kill the next start does this.
        let removed = remove_staged(&self.path);
        replaced.and(removed)
    }

    /// Replaces everything by what `copy` has, in one transaction.
    fn take_over(&mut self, copy: &Connection) -> Result<(), StoreError> {
        self.synchronize(Sync::Now)?;
        let replaced = Backup::new(copy, &mut self.connection)
            .and_then(|backup| backup.run_to_completion(i32::MAX, Duration::ZERO, None))
            .map_err(failed("replace the database"));
        self.remember();
        replaced
    }

    fn close(self) -> Result<(), StoreError> {
        self.checkpoints.stop();
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(failed("write back the log"))?;
        self.connection
            .close()
            .map_err(|(_, cause)| failed("close the database")(cause))
    }

    /// Runs `change` as a durable transaction of its own.
    fn in_transaction(
        &mut self,
        doing: &'static str,
        change: impl FnOnce(&mut Self) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.transact(Sync::Now, doing, change)
    }

    fn transact(
        &mut self,
        sync: Sync,
        doing: &'static str,
        change: impl FnOnce(&mut Self) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let result = self
            .begin(sync)
            .and_then(|()| change(self).map_err(failed(doing)))
            .and_then(|()| self.commit());
        if result.is_err() {
            self.roll_back();
        }
        result
    }

    /// Sets when the commits from now on reach the disk.
    fn synchronize(&mut self, sync: Sync) -> Result<(), StoreError> {
        if self.sync != sync && self.durability == Durability::Full {
            let synchronous = match sync {
                Sync::Now => "FULL",
                Sync::Later => "NORMAL",
            };
            self.connection
                .pragma_update(None, "synchronous", synchronous)
                .map_err(failed("begin a transaction"))?;
            self.sync = sync;
        }
        Ok(())
    }

    fn begin(&mut self, sync: Sync) -> Result<(), StoreError> {
        self.synchronize(sync)?;
        self.connection
            .prepare_cached("BEGIN IMMEDIATE")
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(failed("begin a transaction"))
    }

    fn commit(&self) -> Result<(), StoreError> {
        let memory = &self.memory;
        for (key, value) in [
            ("ids", memory.ids),
            ("envelopes", memory.envelopes),
            ("newest_id", memory.newest_id),
            ("topics", memory.topics),
            ("time_ns", memory.time_ns),
        ] {
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")
                .and_then(|mut statement| statement.execute((key, value.cast_signed())))
                .map_err(failed("keep the counters"))?;
        }
        self.connection
            .prepare_cached("COMMIT")
            .and_then(|mut statement| statement.execute([]))
            .map_err(failed("commit"))?;
        let counts = &self.counts;
        counts.ids.store(memory.ids, Ordering::Release);
        counts.envelopes.store(memory.envelopes, Ordering::Release);
        counts.topics.store(memory.topics, Ordering::Release);
        counts.newest_id.store(memory.newest_id, Ordering::Release);
        Ok(())
    }

    /// Undoes the open transaction, if SQLite has not done so, and what memory has of it.
    fn roll_back(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(cause) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%cause, "a transaction could not be undone");
        }
        self.remember();
    }

    /// Reads the counters from the file.
    fn remember(&mut self) {
        self.memory.heads.clear();
        if let Err(cause) = self.counts.load(&self.connection) {
            tracing::error!(%cause, "the counters could not be read");
            return;
        }
        self.memory.ids = self.counts.ids.load(Ordering::Acquire);
        self.memory.envelopes = self.counts.envelopes.load(Ordering::Acquire);
        self.memory.topics = self.counts.topics.load(Ordering::Acquire);
        self.memory.newest_id = self.counts.newest_id.load(Ordering::Acquire);
        let time_ns = schema::meta(&self.connection, "time_ns").unwrap_or(0);
        self.memory.time_ns = self.memory.time_ns.max(time_ns);
    }
}

/// Where a copy is prepared that takes over the file at `path`.
fn staged(path: &Path) -> PathBuf {
    let mut staged = path.as_os_str().to_owned();
    staged.push("-restore");
    staged.into()
}

/// Removes what is left of a copy that was being prepared for the file at `path`.
pub(super) fn remove_staged(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let mut file = staged(path).into_os_string();
        file.push(suffix);
        if let Err(cause) = std::fs::remove_file(file)
            && cause.kind() != ErrorKind::NotFound
        {
            return Err(StoreError::Database {
                doing: "remove a copy that is not needed any more",
                cause: cause.into(),
            });
        }
    }
    Ok(())
}

/// The appends that wait behind `first`, as far as they fit in a group, and the job after them.
fn gather(first: Append, jobs: &Receiver<Job>) -> (Vec<Append>, Option<Job>) {
    let size = |drafts: &[Draft]| {
        drafts
            .iter()
            .map(|draft| draft.payload.len())
            .sum::<usize>()
    };
    let mut drafts = first.drafts.len();
    let mut bytes = size(&first.drafts);
    let mut group = vec![first];
    while drafts < GROUP_DRAFTS && bytes < GROUP_BYTES {
        match jobs.try_recv() {
            Ok(Job::Append {
                drafts: more,
                reply,
            }) => {
                let more_bytes = size(&more);
                if more_bytes >= GROUP_BYTES {
                    let job = Job::Append {
                        drafts: more,
                        reply,
                    };
                    return (group, Some(job));
                }
                drafts += more.len();
                bytes += more_bytes;
                group.push(Append {
                    drafts: more,
                    reply,
                });
            }
            Ok(other) => return (group, Some(other)),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
        }
    }
    (group, None)
}

/// An error for the others of a group.
fn again(text: &str) -> StoreError {
    if text == StoreError::DiskFull.to_string() {
        return StoreError::DiskFull;
    }
    StoreError::Database {
        doing: "commit a group of appends",
        cause: text.to_owned().into(),
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

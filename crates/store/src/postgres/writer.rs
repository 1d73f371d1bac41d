//! The writer: the one task that changes the database. It commits what waits as a group.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use folkmoot_wire::{Topic, TopicKind};
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};
use tokio_postgres::{Client, Transaction};

use super::{
    address::Address,
    copy,
    read::{IS_COMMIT, SHOULD_PUSH, unsigned},
    schema::{self, failed},
};
use crate::{
    AddressChange, Draft, Envelope, Fingerprint, NewCommitLogEntry, OnCommit, Placed, Stats,
    StoreError,
};

/// Bits of an id that name the node.
const SLOT_BITS: u32 = 12;
/// Drafts in a group, about.
const GROUP_DRAFTS: usize = 256;
/// Payload bytes in a group, about. A larger append commits alone.
const GROUP_BYTES: usize = 1 << 20;
/// Topics whose newest ids stay in memory.
const TOPICS: NonZeroUsize = NonZeroUsize::new(65_536).expect("not zero");
/// The first half of our advisory locks' keys; the second is the schema's.
const LOCK: i32 = 0x464d_4f54;
/// Envelopes that a step of pruning removes.
const PRUNE_STEP: i64 = 1000;

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
    /// Removes some of what is older; answers how many, 0 at the end.
    Prune {
        kind: TopicKind,
        before_ns: u64,
        reply: Reply<u64>,
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

/// Counters that the writer keeps and everybody reads.
#[derive(Debug, Default)]
pub(super) struct Counts {
    envelopes: AtomicU64,
    newest_id: AtomicU64,
    topics: AtomicU64,
}

impl Counts {
    pub(super) fn newest_id(&self) -> u64 {
        self.newest_id.load(Ordering::Acquire)
    }

    pub(super) fn stats(&self, bytes_on_disk: u64) -> Stats {
        Stats {
            envelopes: self.envelopes.load(Ordering::Acquire),
            newest_id: self.newest_id(),
            topics: self.topics.load(Ordering::Acquire),
            bytes_on_disk,
        }
    }
}

/// The way to the writer task.
pub(super) struct Writer(Mutex<Option<UnboundedSender<Job>>>);

impl Writer {
    pub(super) async fn start(
        address: Address,
        slot: u16,
        on_commit: OnCommit,
        counts: Arc<Counts>,
    ) -> Result<Self, StoreError> {
        let mut state = State {
            client: connect(&address).await?,
            address,
            slot: u64::from(slot),
            on_commit,
            counts,
            memory: Memory::default(),
        };
        state.remember().await?;
        let (sender, jobs) = unbounded_channel();
        tokio::spawn(state.run(jobs));
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

/// What the task owns.
struct State {
    address: Address,
    client: Client,
    slot: u64,
    on_commit: OnCommit,
    counts: Arc<Counts>,
    memory: Memory,
}

/// What the writer remembers of the database. After a failure it is read again.
struct Memory {
    ids: u64,
    envelopes: u64,
    topics: u64,
    newest_id: u64,
    time_ns: u64,
    heads: LruCache<Topic, Head>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            ids: 0,
            envelopes: 0,
            topics: 0,
            newest_id: 0,
            time_ns: 0,
            heads: LruCache::new(TOPICS),
        }
    }
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
    async fn run(mut self, mut jobs: UnboundedReceiver<Job>) {
        let mut next = jobs.recv().await;
        while let Some(job) = next.take() {
            match job {
                Job::Append { drafts, reply } => {
                    let (group, other) = gather(Append { drafts, reply }, &mut jobs);
                    self.append(group).await;
                    next = other;
                }
                Job::CommitLog { entries, reply } => {
                    let result = self.commit_log(entries).await;
                    let _ = reply.send(self.recover(result).await);
                }
                Job::Signatures { signatures, reply } => {
                    let result = self.signatures(signatures).await;
                    let _ = reply.send(self.recover(result).await);
                }
                Job::Prune {
                    kind,
                    before_ns,
                    reply,
                } => {
                    let result = self.prune(kind, before_ns).await;
                    let _ = reply.send(self.recover(result).await);
                }
                Job::Check { reply } => {
                    let result = self.check().await;
                    let _ = reply.send(self.recover(result).await);
                }
                Job::Reset { reply } => {
                    let result = self.reset().await;
                    let _ = reply.send(self.recover(result).await);
                }
                Job::Replace { from, reply } => {
                    let result = self.replace(&from).await;
                    let _ = reply.send(self.recover(result).await);
                }
                Job::Close { reply } => {
                    // The session lock goes with the connection.
                    drop(self);
                    let _ = reply.send(Ok(()));
                    return;
                }
            }
            if next.is_none() {
                next = jobs.recv().await;
            }
        }
    }

    /// Appends a group in one transaction, tells the listener, then whoever asked.
    async fn append(&mut self, group: Vec<Append>) {
        let mut requests = Vec::with_capacity(group.len());
        let mut replies = Vec::with_capacity(group.len());
        for append in group {
            requests.push(append.drafts);
            replies.push(append.reply);
        }
        match self.append_group(requests).await {
            Ok((stored, answers)) => {
                if !stored.is_empty() {
                    (self.on_commit)(stored);
                }
                for (reply, answer) in replies.into_iter().zip(answers) {
                    let _ = reply.send(answer);
                }
            }
            Err(error) => {
                let full = matches!(error, StoreError::DiskFull);
                let text = error.to_string();
                let mut first = Some(error);
                for reply in replies {
                    let again = || match full {
                        true => StoreError::DiskFull,
                        false => StoreError::Database {
                            doing: "commit a group of appends",
                            cause: text.clone().into(),
                        },
                    };
                    let _ = reply.send(Err(first.take().unwrap_or_else(again)));
                }
                let _ = self.recover(Ok::<_, StoreError>(())).await;
                self.memory.heads.clear();
            }
        }
    }

    async fn append_group(
        &mut self,
        requests: Vec<Vec<Draft>>,
    ) -> Result<(Vec<Arc<Envelope>>, Vec<Result<Vec<Placed>, StoreError>>), StoreError> {
        self.ready().await?;
        let failed = failed("append envelopes");
        let transaction = begin(&mut self.client).await?;
        let memory = &mut self.memory;
        // What memory says is taken back by `remember` if the transaction fails.
        load_heads(&transaction, memory, requests.iter().flatten()).await?;
        let mut known = duplicates(&transaction, memory, requests.iter().flatten()).await?;
        let mut rows = Rows::default();
        let mut answers = Vec::with_capacity(requests.len());
        for drafts in requests {
            answers.push(place(drafts, memory, self.slot, &mut known, &mut rows));
        }
        rows.insert(&transaction).await?;
        keep_counts(&transaction, memory).await?;
        transaction.commit().await.map_err(&failed)?;
        self.publish_counts();
        Ok((rows.stored, answers))
    }

    async fn commit_log(&mut self, entries: Vec<NewCommitLogEntry>) -> Result<(), StoreError> {
        self.ready().await?;
        let failed = failed("append to a commit log");
        let transaction = begin(&mut self.client).await?;
        for entry in entries {
            self.memory.ids += 1;
            let sequence = self.memory.ids << SLOT_BITS | self.slot;
            transaction
                .execute(
                    "INSERT INTO commit_log (group_id, sequence, entry, signature, signer) \
                     VALUES ($1, $2, $3, $4, $5)",
                    &[
                        &entry.group_id.as_ref(),
                        &sequence.cast_signed(),
                        &entry.entry.as_ref(),
                        &entry.signature.as_ref(),
                        &entry.signer.as_ref(),
                    ],
                )
                .await
                .map_err(&failed)?;
        }
        keep_counts(&transaction, &self.memory).await?;
        transaction.commit().await.map_err(failed)
    }

    async fn signatures(&mut self, signatures: Vec<(u64, Bytes)>) -> Result<(), StoreError> {
        self.ready().await?;
        let ids: Vec<i64> = signatures.iter().map(|(id, _)| id.cast_signed()).collect();
        let bytes: Vec<&[u8]> = signatures.iter().map(|(_, bytes)| bytes.as_ref()).collect();
        self.client
            .execute(
                "INSERT INTO signature (id, bytes) SELECT * FROM unnest($1::BIGINT[], $2::BYTEA[]) \
                 ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes",
                &[&ids, &bytes],
            )
            .await
            .map(drop)
            .map_err(failed("keep signatures"))
    }

    async fn prune(&mut self, kind: TopicKind, before_ns: u64) -> Result<u64, StoreError> {
        self.ready().await?;
        let replaced = match kind {
            TopicKind::KeyPackages => {
                "AND EXISTS (SELECT 1 FROM envelope n WHERE n.topic = e.topic AND n.id > e.id)"
            }
            _ => "",
        };
        let sql = format!(
            "WITH old AS ( \
               SELECT e.topic, e.id FROM envelope e JOIN topic t ON t.id = e.topic \
               WHERE get_byte(t.name, 0) = $1 AND e.originator > 1 AND e.time_ns < $2 {replaced} \
               LIMIT {PRUNE_STEP} \
             ), fingerprints AS (DELETE FROM fingerprint f USING old WHERE f.id = old.id), \
             signatures AS (DELETE FROM signature s USING old WHERE s.id = old.id) \
             DELETE FROM envelope e USING old WHERE e.topic = old.topic AND e.id = old.id"
        );
        let before = i64::try_from(before_ns).unwrap_or(i64::MAX);
        let removed = self
            .client
            .execute(&sql, &[&i32::from(kind as u8), &before])
            .await
            .map_err(failed("remove old envelopes"))?;
        if removed > 0 {
            self.memory.heads.clear();
        }
        Ok(removed)
    }

    async fn check(&mut self) -> Result<(), StoreError> {
        self.ready().await?;
        let transaction = begin(&mut self.client).await?;
        keep_counts(&transaction, &self.memory).await?;
        transaction
            .commit()
            .await
            .map_err(failed("check the database"))
    }

    async fn reset(&mut self) -> Result<(), StoreError> {
        self.ready().await?;
        let failed = failed("empty the database");
        let transaction = begin(&mut self.client).await?;
        transaction
            .batch_execute("TRUNCATE envelope, topic, fingerprint, address, commit_log, signature")
            .await
            .map_err(&failed)?;
        self.memory.heads.clear();
        self.memory.envelopes = 0;
        self.memory.topics = 0;
        keep_counts(&transaction, &self.memory).await?;
        transaction.commit().await.map_err(failed)?;
        self.publish_counts();
        Ok(())
    }

    /// Takes over the copy `from`; ids go on from the greater count.
    async fn replace(&mut self, from: &Path) -> Result<(), StoreError> {
        self.ready().await?;
        let failed = failed("take over a copy");
        let ids = self.memory.ids.cast_signed();
        let transaction = begin(&mut self.client).await?;
        copy::copy_in(&transaction, from).await?;
        transaction
            .execute(
                "UPDATE meta SET value = greatest(value, $1) WHERE key = 'ids'",
                &[&ids],
            )
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(failed)?;
        self.memory.heads.clear();
        Ok(())
    }

    /// Makes sure of a connection that holds the session lock.
    async fn ready(&mut self) -> Result<(), StoreError> {
        if self.client.is_closed() {
            self.client = connect(&self.address).await?;
            self.remember().await?;
        }
        Ok(())
    }

    /// After a failure, reads again what memory has of the database.
    async fn recover<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if !self.client.is_closed()
            && let Err(cause) = self.remember().await
        {
            tracing::error!(%cause, "the counters could not be read");
        }
        result
    }

    async fn remember(&mut self) -> Result<(), StoreError> {
        let rows = self
            .client
            .query("SELECT key, value FROM meta", &[])
            .await
            .map_err(failed("read the counters"))?;
        let counters: HashMap<&str, u64> = rows
            .iter()
            .map(|row| (row.get(0), unsigned(row, 1)))
            .collect();
        let counter = |key| counters.get(key).copied().unwrap_or(0);
        self.memory.ids = counter("ids");
        self.memory.envelopes = counter("envelopes");
        self.memory.topics = counter("topics");
        self.memory.newest_id = counter("newest_id");
        self.memory.time_ns = self.memory.time_ns.max(counter("time_ns"));
        self.publish_counts();
        Ok(())
    }

    fn publish_counts(&self) {
        let (counts, memory) = (&self.counts, &self.memory);
        counts.envelopes.store(memory.envelopes, Ordering::Release);
        counts.topics.store(memory.topics, Ordering::Release);
        counts.newest_id.store(memory.newest_id, Ordering::Release);
    }
}

/// A connection that holds the session lock, on tables of the newest form.
async fn connect(address: &Address) -> Result<Client, StoreError> {
    let failed = failed("connect to the database");
    let (mut client, connection) = address.connect().await.map_err(&failed)?;
    tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::warn!(%cause, "the writing connection to the database broke");
        }
    });
    let locked: bool = client
        .query_one(
            "SELECT pg_try_advisory_lock($1, hashtext(current_schema()))",
            &[&LOCK],
        )
        .await
        .map_err(&failed)?
        .get(0);
    if !locked {
        return Err(StoreError::InUse(
            "it holds the schema's advisory lock; stop it, or use another schema".to_owned(),
        ));
    }
    schema::migrate(&mut client, schema::VERSIONS, schema::MIGRATIONS).await?;
    Ok(client)
}

/// Begins the transaction of a group, alone among all writers of ids.
async fn begin(client: &mut Client) -> Result<Transaction<'_>, StoreError> {
    let failed = failed("begin a transaction");
    let transaction = client.transaction().await.map_err(&failed)?;
    transaction
        .execute(
            "SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))",
            &[&(LOCK + 1)],
        )
        .await
        .map_err(failed)?;
    Ok(transaction)
}

async fn keep_counts(transaction: &Transaction<'_>, memory: &Memory) -> Result<(), StoreError> {
    let keys = ["ids", "envelopes", "topics", "newest_id", "time_ns"];
    let values: Vec<i64> = [
        memory.ids,
        memory.envelopes,
        memory.topics,
        memory.newest_id,
        memory.time_ns,
    ]
    .map(u64::cast_signed)
    .to_vec();
    transaction
        .execute(
            "INSERT INTO meta (key, value) SELECT * FROM unnest($1::TEXT[], $2::BIGINT[]) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            &[&keys.as_slice(), &values],
        )
        .await
        .map(drop)
        .map_err(failed("keep the counters"))
}

/// Puts the head of every draft's topic into memory, making the topics that are new.
async fn load_heads(
    transaction: &Transaction<'_>,
    memory: &mut Memory,
    drafts: impl Iterator<Item = &Draft>,
) -> Result<(), StoreError> {
    let mut topics: Vec<&Topic> = drafts
        .map(|draft| &draft.topic)
        .filter(|topic| memory.heads.get(*topic).is_none())
        .collect();
    topics.sort();
    topics.dedup();
    if topics.is_empty() {
        return Ok(());
    }
    let failed = failed("look up topics");
    let names: Vec<&[u8]> = topics
        .iter()
        .map(|topic| topic.as_bytes().as_ref())
        .collect();
    memory.topics += transaction
        .execute(
            "INSERT INTO topic (name) SELECT unnest($1::BYTEA[]) ON CONFLICT (name) DO NOTHING",
            &[&names],
        )
        .await
        .map_err(&failed)?;
    let rows = transaction
        .query(
            "SELECT t.name, t.id, \
               (SELECT coalesce(max(id), 0) FROM envelope WHERE topic = t.id), \
               (SELECT coalesce(max(sequence), 0) FROM envelope \
                WHERE topic = t.id AND originator = 0) \
             FROM topic t WHERE t.name = ANY ($1)",
            &[&names],
        )
        .await
        .map_err(&failed)?;
    for row in rows {
        let name = Bytes::copy_from_slice(row.get(0));
        if let Ok(topic) = Topic::parse(name) {
            let head = Head {
                topic_id: row.get(1),
                newest: unsigned(&row, 2),
                newest_commit: unsigned(&row, 3),
            };
            memory.heads.put(topic, head);
        }
    }
    Ok(())
}

/// The places of the drafts that are in the log already.
async fn duplicates(
    transaction: &Transaction<'_>,
    memory: &mut Memory,
    drafts: impl Iterator<Item = &Draft>,
) -> Result<HashMap<(i64, Fingerprint), Placed>, StoreError> {
    let mut topics: Vec<i64> = Vec::new();
    let mut fingerprints: Vec<Vec<u8>> = Vec::new();
    for draft in drafts {
        if let (Some(fingerprint), Some(head)) = (draft.fingerprint, memory.heads.get(&draft.topic))
        {
            topics.push(head.topic_id);
            fingerprints.push(fingerprint.to_vec());
        }
    }
    if topics.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = transaction
        .query(
            "SELECT f.topic, f.fingerprint, f.id, f.time_ns \
             FROM unnest($1::BIGINT[], $2::BYTEA[]) AS asked (topic, fingerprint) \
             JOIN fingerprint f ON f.topic = asked.topic AND f.fingerprint = asked.fingerprint",
            &[&topics, &fingerprints],
        )
        .await
        .map_err(failed("look for duplicates"))?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let fingerprint: Fingerprint = row.get::<_, &[u8]>(1).try_into().ok()?;
            let placed = Placed {
                id: unsigned(row, 2),
                time_ns: unsigned(row, 3),
                duplicate: true,
            };
            Some(((row.get(0), fingerprint), placed))
        })
        .collect())
}

/// Gives each draft its place; a conflict gives none of them one.
fn place(
    drafts: Vec<Draft>,
    memory: &mut Memory,
    slot: u64,
    known: &mut HashMap<(i64, Fingerprint), Placed>,
    rows: &mut Rows,
) -> Result<Vec<Placed>, StoreError> {
    for draft in &drafts {
        let newest = memory.heads.get(&draft.topic).map_or(0, |head| head.newest);
        if draft
            .expected_newest
            .is_some_and(|expected| expected != newest)
        {
            return Err(StoreError::Conflict { newest });
        }
    }
    let place = |draft: Draft| {
        let mut head = *memory
            .heads
            .get(&draft.topic)
            .ok_or_else(|| StoreError::Database {
                doing: "append envelopes",
                cause: "the group has more topics than memory".into(),
            })?;
        let key = draft
            .fingerprint
            .map(|fingerprint| (head.topic_id, fingerprint));
        if let Some(placed) = key.and_then(|key| known.get(&key)) {
            return Ok(*placed);
        }
        memory.ids += 1;
        memory.time_ns = memory.time_ns.max(now_ns());
        let placed = Placed {
            id: memory.ids << SLOT_BITS | slot,
            time_ns: memory.time_ns,
            duplicate: false,
        };
        if let Some(key) = key {
            let duplicate = true;
            known.insert(
                key,
                Placed {
                    duplicate,
                    ..placed
                },
            );
        }
        let previous_commit = head.newest_commit;
        head.newest = placed.id;
        if draft.is_commit {
            head.newest_commit = placed.id;
        }
        memory.heads.put(draft.topic.clone(), head);
        memory.newest_id = placed.id;
        memory.envelopes += 1;
        rows.push(draft, head.topic_id, placed, previous_commit);
        Ok(placed)
    };
    drafts.into_iter().map(place).collect()
}

/// The rows of a group, column by column.
#[derive(Default)]
struct Rows {
    topics: Vec<i64>,
    stored: Vec<Arc<Envelope>>,
    fingerprints: Vec<Option<Vec<u8>>>,
    addresses: Vec<(AddressChange, Option<folkmoot_wire::InboxId>, i64)>,
}

impl Rows {
    fn push(&mut self, draft: Draft, topic_id: i64, placed: Placed, previous_commit: u64) {
        self.topics.push(topic_id);
        self.fingerprints
            .push(draft.fingerprint.map(|bytes| bytes.to_vec()));
        for change in draft.addresses {
            self.addresses
                .push((change, draft.inbox, placed.id.cast_signed()));
        }
        self.stored.push(Arc::new(Envelope {
            id: placed.id,
            originator: draft.originator,
            sequence: placed.id,
            topic: draft.topic,
            time_ns: placed.time_ns,
            form: draft.form,
            payload: draft.payload,
            sender_hmac: draft.sender_hmac,
            should_push: draft.should_push,
            is_commit: draft.is_commit,
            previous_commit,
        }));
    }

    async fn insert(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        if self.stored.is_empty() {
            return Ok(());
        }
        let failed = failed("append envelopes");
        let numbers = |number: fn(&Envelope) -> u64| -> Vec<i64> {
            self.stored
                .iter()
                .map(|one| number(one).cast_signed())
                .collect()
        };
        let ids = numbers(|one| one.id);
        let times = numbers(|one| one.time_ns);
        let forms: Vec<i16> = self.stored.iter().map(|one| one.form as i16).collect();
        let flags: Vec<i16> = self.stored.iter().map(|one| flags(one)).collect();
        let hmacs: Vec<&[u8]> = self
            .stored
            .iter()
            .map(|one| one.sender_hmac.as_ref())
            .collect();
        let payloads: Vec<&[u8]> = self.stored.iter().map(|one| one.payload.as_ref()).collect();
        transaction
            .execute(
                "INSERT INTO envelope (topic, id, originator, sequence, form, flags, time_ns, \
                   previous_commit, sender_hmac, payload) \
                 SELECT topic, id, originator, id, form, flags, time_ns, previous_commit, \
                   sender_hmac, payload \
                 FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::SMALLINT[], \
                   $5::SMALLINT[], $6::BIGINT[], $7::BIGINT[], $8::BYTEA[], $9::BYTEA[]) \
                 AS row (topic, id, originator, form, flags, time_ns, previous_commit, \
                   sender_hmac, payload)",
                &[
                    &self.topics,
                    &ids,
                    &numbers(|one| one.originator.into()),
                    &forms,
                    &flags,
                    &times,
                    &numbers(|one| one.previous_commit),
                    &hmacs,
                    &payloads,
                ],
            )
            .await
            .map_err(&failed)?;
        transaction
            .execute(
                "INSERT INTO fingerprint (topic, fingerprint, id, time_ns) \
                 SELECT * FROM unnest($1::BIGINT[], $2::BYTEA[], $3::BIGINT[], $4::BIGINT[]) \
                   AS row (topic, fingerprint, id, time_ns) WHERE fingerprint IS NOT NULL",
                &[&self.topics, &self.fingerprints, &ids, &times],
            )
            .await
            .map_err(&failed)?;
        for (change, inbox, id) in &self.addresses {
            let inbox = inbox.ok_or_else(|| StoreError::Database {
                doing: "change an address",
                cause: "the draft names no inbox".into(),
            })?;
            let (sql, address) = match change {
                AddressChange::Added(address) => (
                    "INSERT INTO address (kind, text, association, inbox) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT DO NOTHING",
                    address,
                ),
                AddressChange::Removed(address) => (
                    "UPDATE address SET revoked = $3 \
                     WHERE kind = $1 AND text = $2 AND inbox = $4 AND revoked IS NULL",
                    address,
                ),
            };
            let kind = address.kind as i16;
            transaction
                .execute(
                    sql,
                    &[&kind, &address.text, id, &inbox.as_bytes().as_slice()],
                )
                .await
                .map_err(&failed)?;
        }
        Ok(())
    }
}

fn flags(envelope: &Envelope) -> i16 {
    i16::from(envelope.should_push) * SHOULD_PUSH + i16::from(envelope.is_commit) * IS_COMMIT
}

/// The appends that wait behind `first`, as far as they fit in a group, and the job after them.
fn gather(first: Append, jobs: &mut UnboundedReceiver<Job>) -> (Vec<Append>, Option<Job>) {
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
            }) if size(&more) < GROUP_BYTES => {
                drafts += more.len();
                bytes += size(&more);
                group.push(Append {
                    drafts: more,
                    reply,
                });
            }
            Ok(other) => return (group, Some(other)),
            Err(_) => break,
        }
    }
    (group, None)
}

fn now_ns() -> u64 {
    let since: Option<Duration> = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

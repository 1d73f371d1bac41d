//! A store in memory: the promises of `folkmoot-store` in the fewest lines. Tests of services
//! run on it, and the real backends are compared with it.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use folkmoot_store::{
    Address, AddressChange, AddressIndex, After, CommitLog, CommitLogEntry, Content, Draft,
    Envelope, Fingerprint, Maintenance, NewCommitLogEntry, OnCommit, Order, Page, Placed, Pruned,
    Retention, Signatures, Stats, StoreError, TopicLog,
};
use folkmoot_wire::{InboxId, Topic, VectorClock};
use tokio::sync::Mutex;

/// Bits of an id that name the node.
const SLOT_BITS: u32 = 12;

/// Everything in vectors, behind one lock.
pub struct MemoryStore {
    kept: Mutex<Kept>,
    slot: u64,
    on_commit: OnCommit,
}

#[derive(Default)]
struct Kept {
    count: u64,
    time_ns: u64,
    log: Vec<Arc<Envelope>>,
    fingerprints: HashMap<(Topic, Fingerprint), Placed>,
    addresses: Vec<(Address, InboxId, bool)>,
    commit_log: Vec<CommitLogEntry>,
    signatures: HashMap<u64, Bytes>,
}

impl MemoryStore {
    /// An empty store that numbers its envelopes as the node `slot`.
    #[must_use]
    pub fn new(slot: u16, on_commit: OnCommit) -> Self {
        Self {
            kept: Mutex::default(),
            slot: slot.into(),
            on_commit,
        }
    }
}

impl Kept {
    fn newest(&self, topic: &Topic) -> Option<&Arc<Envelope>> {
        self.log
            .iter()
            .rev()
            .find(|envelope| envelope.topic == *topic)
    }

    fn newest_commit(&self, topic: &Topic) -> u64 {
        let mut commits = self.log.iter().rev().filter(|one| one.is_commit);
        commits
            .find(|one| one.topic == *topic)
            .map_or(0, |one| one.id)
    }

    fn append(
        &mut self,
        draft: Draft,
        slot: u64,
    ) -> Result<(Placed, Option<Arc<Envelope>>), StoreError> {
        if let Some(fingerprint) = draft.fingerprint
            && let Some(placed) = self.fingerprints.get(&(draft.topic.clone(), fingerprint))
        {
            let duplicate = true;
            return Ok((
                Placed {
                    duplicate,
                    ..*placed
                },
                None,
            ));
        }
        let newest = self.newest(&draft.topic).map_or(0, |newest| newest.id);
        if draft
            .expected_newest
            .is_some_and(|expected| expected != newest)
        {
            return Err(StoreError::Conflict { newest });
        }
        self.count += 1;
        self.time_ns = self.time_ns.max(now_ns());
        let placed = Placed {
            id: self.count << SLOT_BITS | slot,
            time_ns: self.time_ns,
            duplicate: false,
        };
        if let Some(fingerprint) = draft.fingerprint {
            self.fingerprints
                .insert((draft.topic.clone(), fingerprint), placed);
        }
        for change in draft.addresses {
            let inbox = draft.inbox.expect("a draft with addresses names its inbox");
            match change {
                AddressChange::Added(address) => self.addresses.push((address, inbox, true)),
                AddressChange::Removed(address) => {
                    for row in &mut self.addresses {
                        row.2 &= row.0 != address || row.1 != inbox;
                    }
                }
            }
        }
        let envelope = Arc::new(Envelope {
            id: placed.id,
            originator: draft.originator,
            sequence: placed.id,
            time_ns: placed.time_ns,
            form: draft.form,
            payload: draft.payload,
            sender_hmac: draft.sender_hmac,
            should_push: draft.should_push,
            is_commit: draft.is_commit,
            previous_commit: self.newest_commit(&draft.topic),
            topic: draft.topic,
        });
        self.log.push(Arc::clone(&envelope));
        Ok((placed, Some(envelope)))
    }
}

#[async_trait::async_trait]
impl TopicLog for MemoryStore {
    async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Placed>, StoreError> {
        let mut kept = self.kept.lock().await;
        let before = (
            kept.log.len(),
            kept.fingerprints.clone(),
            kept.addresses.clone(),
        );
        let mut placed = Vec::new();
        let mut stored = Vec::new();
        for draft in drafts {
            match kept.append(draft, self.slot) {
                Ok((place, envelope)) => {
                    placed.push(place);
                    stored.extend(envelope);
                }
                Err(error) => {
                    kept.log.truncate(before.0);
                    kept.fingerprints = before.1;
                    kept.addresses = before.2;
                    return Err(error);
                }
            }
        }
        if !stored.is_empty() {
            (self.on_commit)(stored);
        }
        Ok(placed)
    }

    async fn page(
        &self,
        topic: &Topic,
        bound: u64,
        order: Order,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        let kept = self.kept.lock().await;
        let of_topic = kept.log.iter().filter(|one| one.topic == *topic);
        Ok(match order {
            Order::Ascending => cut(of_topic.filter(|one| one.id > bound), page),
            Order::Descending => {
                let before = of_topic.rev().filter(|one| bound == 0 || one.id < bound);
                cut(before, page)
            }
        })
    }

    async fn merged(
        &self,
        cursors: &[(Topic, After)],
        after: u64,
        up_to: u64,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        let cursors: HashMap<_, _> = cursors
            .iter()
            .map(|(topic, after)| (topic, after))
            .collect();
        let kept = self.kept.lock().await;
        let wanted = kept.log.iter().filter(|one| {
            let is_new = match cursors.get(&one.topic) {
                Some(After::Id(id)) => one.id > *id,
                Some(After::Clock(clock)) => one.sequence > clock.last_seen(one.originator),
                None => false,
            };
            is_new && one.id > after && one.id <= up_to
        });
        Ok(cut(wanted, page))
    }

    async fn unseen_by_topic(
        &self,
        topics: &[Topic],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        let kept = self.kept.lock().await;
        let of_topics = kept.log.iter().filter(|one| topics.contains(&one.topic));
        Ok(unseen(of_topics, seen, page))
    }

    async fn unseen_by_originator(
        &self,
        originators: &[u32],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        let kept = self.kept.lock().await;
        let of_originators = kept
            .log
            .iter()
            .filter(|one| originators.contains(&one.originator));
        Ok(unseen(of_originators, seen, page))
    }

    async fn newest(
        &self,
        topics: &[Topic],
        content: Content,
    ) -> Result<Vec<Option<Envelope>>, StoreError> {
        let kept = self.kept.lock().await;
        let newest = topics.iter().map(|topic| {
            let mut envelope = Envelope::clone(kept.newest(topic)?);
            if content == Content::Metadata {
                envelope.payload = Bytes::new();
                envelope.sender_hmac = Bytes::new();
            }
            Some(envelope)
        });
        Ok(newest.collect())
    }

    async fn newest_id(&self) -> Result<u64, StoreError> {
        Ok(self
            .kept
            .lock()
            .await
            .log
            .last()
            .map_or(0, |newest| newest.id))
    }
}

#[async_trait::async_trait]
impl AddressIndex for MemoryStore {
    async fn inboxes(&self, addresses: &[Address]) -> Result<Vec<Option<InboxId>>, StoreError> {
        let kept = self.kept.lock().await;
        let inbox = |address: &Address| {
            let mut rows = kept.addresses.iter().rev();
            rows.find(|row| row.2 && row.0 == *address).map(|row| row.1)
        };
        Ok(addresses.iter().map(inbox).collect())
    }
}

#[async_trait::async_trait]
impl CommitLog for MemoryStore {
    async fn append_commit_log(&self, entries: Vec<NewCommitLogEntry>) -> Result<(), StoreError> {
        let mut kept = self.kept.lock().await;
        for published in entries {
            let sequence = kept.commit_log.len() as u64 + 1;
            kept.commit_log.push(CommitLogEntry {
                sequence,
                published,
            });
        }
        Ok(())
    }

    async fn commit_log(
        &self,
        group_id: &[u8],
        after: u64,
        limit: usize,
    ) -> Result<Vec<CommitLogEntry>, StoreError> {
        let kept = self.kept.lock().await;
        let of_group = kept
            .commit_log
            .iter()
            .filter(|entry| entry.published.group_id == group_id && entry.sequence > after);
        Ok(of_group.take(limit).cloned().collect())
    }
}

#[async_trait::async_trait]
impl Signatures for MemoryStore {
    async fn signatures(&self, ids: &[u64]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let kept = self.kept.lock().await;
        Ok(ids
            .iter()
            .map(|id| kept.signatures.get(id).cloned())
            .collect())
    }

    async fn keep_signatures(&self, signatures: Vec<(u64, Bytes)>) -> Result<(), StoreError> {
        self.kept.lock().await.signatures.extend(signatures);
        Ok(())
    }
}

#[async_trait::async_trait]
impl Maintenance for MemoryStore {
    async fn prune(&self, _: Retention, _: u64) -> Result<Pruned, StoreError> {
        Err(StoreError::Unsupported("pruning"))
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        let kept = self.kept.lock().await;
        let mut topics: Vec<_> = kept.log.iter().map(|one| &one.topic).collect();
        topics.sort();
        topics.dedup();
        Ok(Stats {
            envelopes: kept.log.len() as u64,
            newest_id: kept.log.last().map_or(0, |newest| newest.id),
            topics: topics.len() as u64,
            bytes_on_disk: 0,
        })
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn reset(&self) -> Result<(), StoreError> {
        let mut kept = self.kept.lock().await;
        *kept = Kept {
            count: kept.count,
            time_ns: kept.time_ns,
            ..Kept::default()
        };
        Ok(())
    }

    async fn copy_to(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("copying"))
    }

    async fn replace_with(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("copying"))
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn unseen<'a>(
    envelopes: impl Iterator<Item = &'a Arc<Envelope>>,
    seen: &VectorClock,
    page: Page,
) -> Vec<Envelope> {
    let mut unseen: Vec<_> = envelopes
        .filter(|one| one.sequence > seen.last_seen(one.originator))
        .collect();
    unseen.sort_by_key(|one| (one.originator, one.sequence));
    cut(unseen.into_iter(), page)
}

fn cut<'a>(envelopes: impl Iterator<Item = &'a Arc<Envelope>>, page: Page) -> Vec<Envelope> {
    let mut bytes = 0;
    envelopes
        .take(page.envelopes)
        .enumerate()
        .take_while(|(at, one)| {
            bytes += one.payload.len();
            *at == 0 || bytes <= page.bytes
        })
        .map(|(_, one)| Envelope::clone(one))
        .collect()
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.expect("the clock is past 1970").as_nanos();
    u64::try_from(nanos).expect("the clock is before 2554")
}

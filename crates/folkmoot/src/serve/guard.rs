//! A store that takes nothing in while the disk alarm is on.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_store::{
    Address, AddressIndex, After, CommitLog, CommitLogEntry, Content, Draft, Envelope, Maintenance,
    NewCommitLogEntry, Order, Page, Placed, Pruned, Retention, Signatures, Stats, Store,
    StoreError, TopicLog,
};
use folkmoot_wire::{InboxId, Topic, VectorClock};

use super::disk::Alarm;

/// `store`, guarded by an alarm. What is there can be read and removed all the same.
pub(super) struct Guarded {
    store: Arc<dyn Store>,
    alarm: Alarm,
}

impl Guarded {
    pub(super) fn new(store: Arc<dyn Store>, alarm: Alarm) -> Self {
        Self { store, alarm }
    }

    fn check_room(&self) -> Result<(), StoreError> {
        if self.alarm.is_on() {
            return Err(StoreError::DiskFull);
        }
        Ok(())
    }
}

#[async_trait]
impl TopicLog for Guarded {
    async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Placed>, StoreError> {
        self.check_room()?;
        self.store.append(drafts).await
    }

    async fn page(
        &self,
        topic: &Topic,
        bound: u64,
        order: Order,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        self.store.page(topic, bound, order, page).await
    }

    async fn merged(
        &self,
        cursors: &[(Topic, After)],
        after: u64,
        up_to: u64,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        self.store.merged(cursors, after, up_to, page).await
    }

    async fn unseen_by_topic(
        &self,
        topics: &[Topic],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        self.store.unseen_by_topic(topics, seen, page).await
    }

    async fn unseen_by_originator(
        &self,
        originators: &[u32],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError> {
        self.store
            .unseen_by_originator(originators, seen, page)
            .await
    }

    async fn newest(
        &self,
        topics: &[Topic],
        content: Content,
    ) -> Result<Vec<Option<Envelope>>, StoreError> {
        self.store.newest(topics, content).await
    }

    async fn newest_id(&self) -> Result<u64, StoreError> {
        self.store.newest_id().await
    }
}

#[async_trait]
impl AddressIndex for Guarded {
    async fn inboxes(&self, addresses: &[Address]) -> Result<Vec<Option<InboxId>>, StoreError> {
        self.store.inboxes(addresses).await
    }
}

#[async_trait]
impl CommitLog for Guarded {
    async fn append_commit_log(&self, entries: Vec<NewCommitLogEntry>) -> Result<(), StoreError> {
        self.check_room()?;
        self.store.append_commit_log(entries).await
    }

    async fn commit_log(
        &self,
        group_id: &[u8],
        after: u64,
        limit: usize,
    ) -> Result<Vec<CommitLogEntry>, StoreError> {
        self.store.commit_log(group_id, after, limit).await
    }
}

#[async_trait]
impl Signatures for Guarded {
    async fn signatures(&self, ids: &[u64]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.store.signatures(ids).await
    }

    async fn keep_signatures(&self, signatures: Vec<(u64, Bytes)>) -> Result<(), StoreError> {
        // Small, and readers of the other generation depend on it.
        self.store.keep_signatures(signatures).await
    }
}

#[async_trait]
impl Maintenance for Guarded {
    async fn prune(&self, retention: Retention, now_ns: u64) -> Result<Pruned, StoreError> {
        self.store.prune(retention, now_ns).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.store.stats().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn reset(&self) -> Result<(), StoreError> {
        self.store.reset().await
    }

    async fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        self.store.copy_to(to).await
    }

    async fn replace_with(&self, from: &Path) -> Result<(), StoreError> {
        self.store.replace_with(from).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}

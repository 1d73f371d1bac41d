//! The append-only logs, one per topic.

use async_trait::async_trait;
use folkmoot_wire::{Topic, VectorClock};

use crate::{Draft, Envelope, Placed, StoreError};

/// From where a reader goes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum After {
    /// Envelopes with a greater id; 0 for all.
    Id(u64),
    /// Envelopes whose sequence is greater than the clock's entry for their originator.
    Clock(VectorClock),
}

/// In which direction a page runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Oldest first; the bound is exclusive and from below (0: none).
    Ascending,
    /// Newest first; the bound is exclusive and from above (0: none).
    Descending,
}

/// Whether payloads are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// Whole envelopes.
    Full,
    /// Envelopes with empty payload and hmac.
    Metadata,
}

/// How much one read may return: it stops before whichever comes first, but an envelope that
/// alone exceeds `bytes` is still returned alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Page {
    /// Most envelopes.
    pub envelopes: usize,
    /// Most payload bytes together.
    pub bytes: usize,
}

/// The logs of a node.
///
/// Promises: when [`append`](Self::append) returns, the envelopes are durable and visible to
/// every reader; ids ascend in visibility order, so a reader that saw id N never later finds a
/// smaller new one.
#[async_trait]
pub trait TopicLog: Send + Sync {
    /// Appends all drafts in order, or none of them. Answers in the order of the drafts.
    async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Placed>, StoreError>;

    /// A page of one topic, by id. `bound` is exclusive; 0 means no bound. Empty at the end.
    async fn page(
        &self,
        topic: &Topic,
        bound: u64,
        order: Order,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError>;

    /// What several readers have not seen yet, merged by ascending id: for each topic the
    /// envelopes after its cursor whose id is greater than `after` and at most `up_to`. Each
    /// topic occurs once. To go on, a reader passes the last id it got as `after`.
    async fn merged(
        &self,
        cursors: &[(Topic, After)],
        after: u64,
        up_to: u64,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError>;

    /// The envelopes of any of `topics` that `seen` has not seen, by ascending (originator,
    /// sequence). Topics given twice count once.
    async fn unseen_by_topic(
        &self,
        topics: &[Topic],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError>;

    /// The envelopes of any of `originators` that `seen` has not seen, by ascending (originator,
    /// sequence).
    async fn unseen_by_originator(
        &self,
        originators: &[u32],
        seen: &VectorClock,
        page: Page,
    ) -> Result<Vec<Envelope>, StoreError>;

    /// The newest envelope of each topic, in the order of `topics`; `None` where there is none.
    async fn newest(
        &self,
        topics: &[Topic],
        content: Content,
    ) -> Result<Vec<Option<Envelope>>, StoreError>;

    /// The newest id in the store; 0 when it is empty.
    async fn newest_id(&self) -> Result<u64, StoreError>;
}

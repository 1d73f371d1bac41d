//! How far the log has come with each originator.

use folkmoot_store::{Envelope, Page};
use folkmoot_wire::{COMMIT_ORIGINATOR, IDENTITY_ORIGINATOR, VectorClock};
use parking_lot::Mutex;

use crate::{Node, NodeError};

/// One envelope: is there any?
const ONE: Page = Page {
    envelopes: 1,
    bytes: 0,
};

/// Sequences that are known to be in the log, so that the store is asked for news only.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<VectorClock>);

impl Seen {
    /// Whether the log has come to `sequence` of `originator`.
    pub(super) async fn has(
        &self,
        node: &Node,
        originator: u32,
        sequence: u64,
    ) -> Result<bool, NodeError> {
        if sequence <= self.0.lock().last_seen(originator) {
            return Ok(true);
        }
        let next = self.first_after(node, originator, sequence.saturating_sub(1));
        Ok(next.await?.is_some())
    }

    /// The newest sequence of each originator that this node numbers.
    pub(super) async fn newest(&self, node: &Node) -> Result<VectorClock, NodeError> {
        let newest_id = node.inner.store.newest_id().await?;
        let ours = [
            COMMIT_ORIGINATOR,
            IDENTITY_ORIGINATOR,
            node.inner.config.node_id,
        ];
        for originator in ours {
            // The log finds what comes next, not what is last: halve what is left.
            let mut low = self.0.lock().last_seen(originator);
            let mut high = newest_id;
            if self.first_after(node, originator, low).await?.is_none() {
                continue;
            }
            while low < high {
                let middle = low + (high - low) / 2;
                match self.first_after(node, originator, middle).await? {
                    Some(found) => low = found,
                    None => high = middle,
                }
            }
        }
        Ok(self.0.lock().clone())
    }

    /// Takes note of what was committed.
    pub(super) fn note<'a>(&self, committed: impl IntoIterator<Item = &'a Envelope>) {
        let mut clock = self.0.lock();
        for envelope in committed {
            clock.advance(envelope.originator, envelope.sequence);
        }
    }

    async fn first_after(
        &self,
        node: &Node,
        originator: u32,
        sequence: u64,
    ) -> Result<Option<u64>, NodeError> {
        let seen = VectorClock::from_iter([(originator, sequence)]);
        let found = node
            .inner
            .store
            .unseen_by_originator(&[originator], &seen, ONE)
            .await?;
        let found = found.first().map(|found| found.sequence);
        if let Some(found) = found {
            self.0.lock().advance(originator, found);
        }
        Ok(found)
    }
}

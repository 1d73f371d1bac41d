//! One place per conversation where everything that touches its keys takes turns.
//!
//! A [`Slot`] holds the conversation's [`State`] behind a fair lock. Sends and envelopes of a
//! stream are queued beside the lock first: whoever holds it next takes the whole queue, so that
//! many sends become one request and envelopes keep their order. Idle conversations are dropped
//! from memory; there is never more than one slot for a conversation.

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Weak},
};

use folkmoot_wire::GroupId;
use lru::LruCache;
use parking_lot::Mutex;

use super::{publish::QueuedSend, state::State};
use crate::network::GroupEnvelope;

/// Conversations whose keys stay in memory. A group of 100 members takes about 0.3 MB.
const LOADED: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");
/// Envelopes of a stream that wait for a conversation, and their bytes; what comes on top is asked
/// for later.
const INBOX: usize = 512;
const INBOX_BYTES: usize = 32 << 20;

/// A conversation in memory.
pub(crate) struct Slot {
    pub(crate) id: GroupId,
    pub(crate) state: Arc<tokio::sync::Mutex<State>>,
    pub(crate) sends: Mutex<Vec<QueuedSend>>,
    inbox: Mutex<Inbox>,
}

/// What a stream brought.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) envelopes: Vec<GroupEnvelope>,
    bytes: usize,
    /// Some were dropped: the node must be asked.
    pub(crate) overflowed: bool,
}

impl fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Slot")
            .field("id", &self.id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Slot {
    fn new(id: GroupId) -> Self {
        Self {
            state: Arc::new(tokio::sync::Mutex::new(State::new(id.clone()))),
            id,
            sends: Mutex::default(),
            inbox: Mutex::default(),
        }
    }

    /// Queues an envelope of a stream.
    pub(crate) fn offer(&self, envelope: GroupEnvelope) {
        let mut inbox = self.inbox.lock();
        let bytes = inbox.bytes + envelope.data.len();
        // One always fits. After a gap the rest is of no use: the node is asked for all of it.
        let fits = inbox.envelopes.is_empty() || bytes <= INBOX_BYTES;
        if fits && inbox.envelopes.len() < INBOX && !inbox.overflowed {
            inbox.bytes = bytes;
            inbox.envelopes.push(envelope);
        } else {
            inbox.overflowed = true;
        }
    }

    /// Takes what is queued.
    pub(crate) fn take_inbox(&self) -> Inbox {
        std::mem::take(&mut self.inbox.lock())
    }
}

/// All slots.
#[derive(Debug)]
pub(crate) struct Slots {
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// Whoever is in use, also when the cache has let go of it.
    all: HashMap<GroupId, Weak<Slot>>,
    recent: LruCache<GroupId, Arc<Slot>>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            known: Mutex::new(Known {
                all: HashMap::new(),
                recent: LruCache::new(LOADED),
            }),
        }
    }
}

impl Slots {
    /// The conversations that were used lately.
    pub(crate) fn recent(&self) -> Vec<Arc<Slot>> {
        let known = self.known.lock();
        known
            .recent
            .iter()
            .map(|(_, slot)| Arc::clone(slot))
            .collect()
    }

    /// The slot of a conversation.
    pub(crate) fn get(&self, id: &GroupId) -> Arc<Slot> {
        let mut known = self.known.lock();
        if let Some(slot) = known.recent.get(id) {
            return Arc::clone(slot);
        }
        let slot = known.all.get(id).and_then(Weak::upgrade);
        let slot = slot.unwrap_or_else(|| Arc::new(Slot::new(id.clone())));
        known.all.insert(id.clone(), Arc::downgrade(&slot));
        known.recent.push(id.clone(), Arc::clone(&slot));
        if known.all.len() > 4 * LOADED.get() {
            known.all.retain(|_, slot| slot.strong_count() > 0);
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use folkmoot_wire::VectorClock;

    use super::*;

    #[test]
    fn what_waits_is_bounded_in_number_and_bytes() {
        let envelope = |sequence: u64, bytes: usize| GroupEnvelope {
            group_id: GroupId::try_from(vec![1]).unwrap(),
            originator: 10,
            sequence,
            created_ns: 0,
            data: vec![0; bytes].into(),
            sender_hmac: Bytes::new(),
            should_push: false,
            is_commit: false,
            depends_on: VectorClock::new(),
        };
        let slot = Slot::new(GroupId::try_from(vec![1]).unwrap());
        for (count, bytes, kept) in [(600, 1, INBOX), (4, INBOX_BYTES / 2, 2)] {
            for number in 0..count {
                slot.offer(envelope(number, bytes));
            }
            // What is small is not let in behind a gap.
            slot.offer(envelope(count, 0));
            let inbox = slot.take_inbox();
            assert_eq!((inbox.envelopes.len(), inbox.overflowed), (kept, true));
        }
        slot.offer(envelope(1, INBOX_BYTES + 1));
        assert_eq!(slot.take_inbox().envelopes.len(), 1);
    }

    #[test]
    fn a_conversation_in_use_is_never_there_twice() {
        let slots = Slots::default();
        let id = GroupId::try_from(vec![1]).unwrap();
        let held = slots.get(&id);
        for other in 0..1000_u16 {
            slots.get(&GroupId::try_from(other.to_be_bytes().to_vec()).unwrap());
        }
        assert!(Arc::ptr_eq(&held, &slots.get(&id)));
    }
}

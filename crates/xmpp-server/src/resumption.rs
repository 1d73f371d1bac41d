//! Sessions that can be resumed, by the ids that their clients were given (XEP-0198 §5).

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Weak},
};

use jid::BareJid;
use lru::LruCache;
use parking_lot::Mutex;

use crate::handle::Handle;

/// Sessions that are over whose counts are still told.
const OVER: usize = 10_000;

/// The sessions by id.
#[derive(Debug)]
pub(crate) struct Resumptions {
    alive: Mutex<HashMap<String, Weak<Handle>>>,
    over: Mutex<LruCache<String, (BareJid, u32)>>,
}

impl Default for Resumptions {
    fn default() -> Self {
        let over = NonZeroUsize::new(OVER).expect("it is not zero");
        Self {
            alive: Mutex::default(),
            over: Mutex::new(LruCache::new(over)),
        }
    }
}

impl Resumptions {
    /// A session can be resumed by that id.
    pub(crate) fn add(&self, id: String, handle: &Arc<Handle>) {
        self.alive.lock().insert(id, Arc::downgrade(handle));
    }

    /// It is over, and had handled so many of its client's stanzas.
    pub(crate) fn remove(&self, id: &str, account: BareJid, handled: u32) {
        self.alive.lock().remove(id);
        self.over.lock().put(id.to_owned(), (account, handled));
    }

    /// The session of that id, if it is the account's.
    pub(crate) fn find(&self, id: &str, account: &BareJid) -> Option<Arc<Handle>> {
        let handle = self.alive.lock().get(id)?.upgrade()?;
        (handle.address.to_bare() == *account).then_some(handle)
    }

    /// How many stanzas a session of the account that is over had handled.
    pub(crate) fn handled(&self, id: &str, account: &BareJid) -> Option<u32> {
        let over = self.over.lock();
        let (owner, handled) = over.peek(id)?;
        (owner == account).then_some(*handled)
    }
}

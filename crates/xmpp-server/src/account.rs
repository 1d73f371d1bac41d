//! An account while somebody has to do with it.

use std::sync::{Arc, Weak};

use folkmoot_xmpp::{blocking::Blocklist, delivery::Target, presence::Presences, roster::Roster};
use jid::BareJid;
use parking_lot::{Mutex, MutexGuard};

use crate::{handle::Handle, router::Router};

/// An account in memory: in use by its sessions, or by somebody who writes to it.
#[derive(Debug)]
pub(crate) struct Account {
    /// Its address.
    pub(crate) address: BareJid,
    state: Mutex<State>,
    /// Held while roster or blocklist change, in the store and then here.
    pub(crate) changing: tokio::sync::Mutex<()>,
    router: Weak<Router>,
}

/// What is known of it. Never locked across an await.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) roster: Roster,
    pub(crate) presences: Presences,
    pub(crate) blocklist: Blocklist,
    pub(crate) sessions: Vec<Arc<Handle>>,
}

impl Account {
    pub(crate) fn new(
        address: BareJid,
        roster: Roster,
        blocklist: Blocklist,
        router: Weak<Router>,
    ) -> Self {
        let presences = Presences::new(address.clone());
        Self {
            address,
            state: Mutex::new(State {
                roster,
                presences,
                blocklist,
                sessions: Vec::new(),
            }),
            changing: tokio::sync::Mutex::new(()),
            router,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(router) = self.router.upgrade() {
            router.forget(&self.address);
        }
    }
}

impl State {
    /// The sessions as deliveries see them, in the order of [`Self::sessions`].
    pub(crate) fn targets(&self) -> Vec<Target<'_>> {
        let sessions = self.sessions.iter();
        sessions
            .map(|handle| {
                let resource = handle.address.resource().as_str();
                let priority = self.presences.priority(resource);
                Target { resource, priority }
            })
            .collect()
    }

    /// The session of a resource.
    pub(crate) fn session(&self, resource: &str) -> Option<&Arc<Handle>> {
        let mut sessions = self.sessions.iter();
        sessions.find(|handle| handle.address.resource().as_str() == resource)
    }

    /// Takes a session out; `false` if another one took its place already.
    pub(crate) fn remove(&mut self, number: u64) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|handle| handle.number != number);
        self.sessions.len() < before
    }
}

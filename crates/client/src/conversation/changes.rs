//! How those who watch learn that something happened.
//!
//! Nothing is delivered here but the news that there is something to read: streams read it from
//! the database, in its order, each as fast as it likes. So a slow reader loses nothing and holds
//! nobody up.

use folkmoot_conversation::{ConsentRecord, PushRootKey};
use folkmoot_wire::{GroupId, MessageId};
use tokio::sync::{broadcast, watch};

use super::rows::Written;

/// News beyond new messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A conversation came: made here, joined, or brought back.
    ConversationAdded(GroupId),
    /// Its name, members, roles, settings or state changed.
    ConversationUpdated(GroupId),
    /// The delivery or time of messages changed, or what is said about them: reactions, edits.
    MessagesUpdated(Vec<MessageId>),
    /// Messages were deleted here, disappeared, or were deleted for everybody: those are still
    /// there, marked as deleted.
    MessagesDeleted(Vec<MessageId>),
    /// What the person, or another of their installations, consents to.
    Consent(ConsentRecord),
    /// The person's key for push was replaced, here or by another of their installations: what was
    /// handed to push servers has to be handed over again.
    PushKeys(PushRootKey),
    /// Something arrived from our own installations.
    Preferences,
}

/// Where changes are told.
#[derive(Debug)]
pub(crate) struct Changes {
    news: broadcast::Sender<Change>,
    messages: watch::Sender<()>,
}

/// News kept for a slow listener; one that falls behind further is told so.
const BACKLOG: usize = 1024;

impl Default for Changes {
    fn default() -> Self {
        Self {
            news: broadcast::Sender::new(BACKLOG),
            messages: watch::Sender::new(()),
        }
    }
}

impl Changes {
    /// Tells a change.
    pub(crate) fn tell(&self, change: Change) {
        // Nobody listening is fine.
        let _ = self.news.send(change);
    }

    /// Tells what a batch did.
    pub(crate) fn tell_written(&self, written: &Written) {
        if written.streamed {
            self.messages.send_replace(());
        }
        if !written.updated.is_empty() {
            self.tell(Change::MessagesUpdated(written.updated.clone()));
        }
        if !written.deleted.is_empty() {
            self.tell(Change::MessagesDeleted(written.deleted.clone()));
        }
    }

    /// Listens to changes from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Change> {
        self.news.subscribe()
    }

    /// Is woken when streams have something new.
    pub(crate) fn messages(&self) -> watch::Receiver<()> {
        self.messages.subscribe()
    }
}

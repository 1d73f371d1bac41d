//! How those who watch learn that something happened.
//!
//! Nothing is delivered here but the news that there is something to read: streams read it from
//! the database, in its order, each as fast as it likes. So a slow reader loses nothing and holds
//! nobody up.

use folkmoot_conversation::{ConsentRecord, PushRootKey};
use folkmoot_wire::{GroupId, MessageId};
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, watch};

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
    /// Who must miss no deletion: what was deleted is nowhere to be read later.
    deletions: Mutex<Vec<mpsc::UnboundedSender<MessageId>>>,
}

/// News kept for a slow listener; one that falls behind further is told so.
const BACKLOG: usize = 1024;

impl Default for Changes {
    fn default() -> Self {
        Self {
            news: broadcast::Sender::new(BACKLOG),
            messages: watch::Sender::new(()),
            deletions: Mutex::default(),
        }
    }
}

impl Changes {
    /// Tells a change.
    pub(crate) fn tell(&self, change: Change) {
        if let Change::MessagesDeleted(ids) = &change {
            let mut listeners = self.deletions.lock();
            listeners.retain(|one| ids.iter().all(|id| one.send(*id).is_ok()));
        }
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

    /// Listens to deletions from now on, without missing any: 32 bytes each, until they are read.
    pub(crate) fn deletions(&self) -> mpsc::UnboundedReceiver<MessageId> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.deletions.lock().push(sender);
        receiver
    }

    /// Is woken when streams have something new.
    pub(crate) fn messages(&self) -> watch::Receiver<()> {
        self.messages.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_to_deletions_misses_none_however_many_there_are() {
        let changes = Changes::default();
        let (mut news, mut deletions) = (changes.listen(), changes.deletions());
        let gone = changes.deletions();
        drop(gone);
        let count = u16::try_from(3 * BACKLOG).unwrap();
        let id = |number: u16| {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&number.to_be_bytes());
            MessageId::from_bytes(bytes)
        };
        for number in 0..count {
            changes.tell(Change::MessagesDeleted(vec![id(number)]));
        }
        assert!(news.try_recv().is_err(), "the bounded channel lost some");
        for number in 0..count {
            assert_eq!(deletions.try_recv().unwrap(), id(number));
        }
        assert_eq!(changes.deletions.lock().len(), 1);
    }
}

//! Stanzas for accounts that are not there (XEP-0160).

use async_trait::async_trait;
use bytes::Bytes;
use jid::BareJid;

use super::Stored;
use crate::StoreError;

/// A stanza that waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OfflineStanza {
    /// Its place: grows with each stanza of the account, and is never given twice.
    pub number: u64,
    /// The stanza.
    pub stanza: Bytes,
    /// When it arrived.
    pub at: i64,
}

/// What waits for all accounts.
#[async_trait]
pub trait Offline: Send + Sync {
    /// Lets a stanza wait, behind at most `limit - 1` others.
    async fn push_offline(
        &self,
        account: &BareJid,
        stanza: Bytes,
        at: i64,
        limit: usize,
    ) -> Result<Stored, StoreError>;

    /// What waits behind number `after` (0: everything), oldest first, at most `limit`. It goes on waiting: whoever
    /// delivers it removes it then, so that a crash between both delivers it twice instead of never.
    async fn offline(
        &self,
        account: &BareJid,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OfflineStanza>, StoreError>;

    /// Removes what waits up to number `up_to`, itself included.
    async fn remove_offline(&self, account: &BareJid, up_to: u64) -> Result<(), StoreError>;

    /// Hands out everything that waits, oldest first, and removes it in the same step: of two sessions that ask at
    /// once, one gets it.
    async fn take_offline(&self, account: &BareJid) -> Result<Vec<OfflineStanza>, StoreError>;

    /// Removes everything that waits.
    async fn clear_offline(&self, account: &BareJid) -> Result<(), StoreError>;

    /// How many stanzas wait.
    async fn count_offline(&self, account: &BareJid) -> Result<u64, StoreError>;
}

//! Whom an account blocks (XEP-0191).

use async_trait::async_trait;
use jid::{BareJid, Jid};

use super::Stored;
use crate::StoreError;

/// The blocklists of all accounts.
#[async_trait]
pub trait Blocklist: Send + Sync {
    /// Whom the account blocks, in the order of the addresses. They may be whole domains.
    async fn blocklist(&self, account: &BareJid) -> Result<Vec<Jid>, StoreError>;

    /// Blocks all of these, or none if the list were longer than `limit` then. What is blocked already stays so.
    async fn block(
        &self,
        account: &BareJid,
        addresses: Vec<Jid>,
        limit: usize,
    ) -> Result<Stored, StoreError>;

    /// Ends the blocking of these.
    async fn unblock(&self, account: &BareJid, addresses: Vec<Jid>) -> Result<(), StoreError>;

    /// Ends all blocking. Answers who was blocked.
    async fn unblock_all(&self, account: &BareJid) -> Result<Vec<Jid>, StoreError>;
}

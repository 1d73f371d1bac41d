//! Visiting cards of accounts and rooms (XEP-0054).

use async_trait::async_trait;
use bytes::Bytes;
use jid::BareJid;

use crate::StoreError;

/// The cards of accounts and rooms.
#[async_trait]
pub trait VCards: Send + Sync {
    /// The card at that address.
    async fn vcard(&self, owner: &BareJid) -> Result<Option<Bytes>, StoreError>;

    /// Keeps a card, or removes it with `None`.
    async fn set_vcard(&self, owner: &BareJid, card: Option<Bytes>) -> Result<(), StoreError>;
}

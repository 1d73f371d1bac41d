//! XML that clients keep for themselves (XEP-0049).

use async_trait::async_trait;
use bytes::Bytes;
use jid::BareJid;

use super::Stored;
use crate::StoreError;

/// The private XML of all accounts.
#[async_trait]
pub trait PrivateXml: Send + Sync {
    /// The element that was kept last under that namespace and name.
    async fn private_xml(
        &self,
        account: &BareJid,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Bytes>, StoreError>;

    /// Keeps an element, instead of one of that namespace and name. An account has at most `limit` of them.
    async fn put_private_xml(
        &self,
        account: &BareJid,
        namespace: &str,
        name: &str,
        element: Bytes,
        limit: usize,
    ) -> Result<Stored, StoreError>;
}

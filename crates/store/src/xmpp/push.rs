//! Whom to tell that something waits for an account (XEP-0357).

use async_trait::async_trait;
use bytes::Bytes;
use jid::{BareJid, Jid};

use super::Stored;
use crate::StoreError;

/// An app's own service and how to reach it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PushRegistration {
    /// The service's address.
    pub service: Jid,
    /// The node there; may be empty.
    pub node: String,
    /// The form to publish with.
    pub options: Option<Bytes>,
    /// Which client of the account registered: the id of its user agent, or its resource.
    pub client: String,
    /// When.
    pub at: i64,
}

/// The registrations of all accounts.
#[async_trait]
pub trait PushRegistrations: Send + Sync {
    /// The registrations of an account, in the order of services and nodes.
    async fn push_registrations(
        &self,
        account: &BareJid,
    ) -> Result<Vec<PushRegistration>, StoreError>;

    /// Adds a registration, or replaces that of the same service and node. An account has at most `limit`.
    async fn put_push_registration(
        &self,
        account: &BareJid,
        registration: PushRegistration,
        limit: usize,
    ) -> Result<Stored, StoreError>;

    /// Removes the registration of a service and node, or all of a service. Says whether there was one.
    async fn remove_push_registrations(
        &self,
        account: &BareJid,
        service: &Jid,
        node: Option<&str>,
    ) -> Result<bool, StoreError>;
}

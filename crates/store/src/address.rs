//! Which inbox an address belongs to.

use async_trait::async_trait;
use folkmoot_wire::InboxId;

use crate::StoreError;

/// The kind of an address.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum AddressKind {
    /// `0x` and 40 hex digits, as the identity update spells it.
    Ethereum = 1,
    /// The public key in lower-case hex.
    Passkey = 2,
}

/// A wallet or passkey, spelled as identity updates spell it. Look-ups match exactly.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Address {
    /// The kind.
    pub kind: AddressKind,
    /// The text.
    pub text: String,
}

/// What an identity update does to the index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AddressChange {
    /// The address now belongs to the draft's inbox.
    Added(Address),
    /// The address no longer belongs to the draft's inbox.
    Removed(Address),
}

/// The index from addresses to inboxes. It is written by
/// [`append`](crate::TopicLog::append), together with the update that causes the change.
#[async_trait]
pub trait AddressIndex: Send + Sync {
    /// The inbox that each address joined last and has not left, in the order of `addresses`.
    async fn inboxes(&self, addresses: &[Address]) -> Result<Vec<Option<InboxId>>, StoreError>;
}

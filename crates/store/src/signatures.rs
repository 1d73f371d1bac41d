//! Signatures that a node made over what it originated.

use async_trait::async_trait;
use bytes::Bytes;

use crate::StoreError;

/// A node signs an envelope when somebody first asks for it in signed form, and keeps what it
/// signed. Losing a signature is harmless: it can be made again.
#[async_trait]
pub trait Signatures: Send + Sync {
    /// The kept signatures of these envelope ids, in that order.
    async fn signatures(&self, ids: &[u64]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// Keeps signatures, each for an envelope id. Need not be durable when it returns.
    async fn keep_signatures(&self, signatures: Vec<(u64, Bytes)>) -> Result<(), StoreError>;
}

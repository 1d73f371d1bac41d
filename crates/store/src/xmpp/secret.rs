//! Bytes that nobody may read in a log, and the server's own secrets.

use std::fmt;

use async_trait::async_trait;

use crate::StoreError;

/// Secret bytes. [`Debug`](fmt::Debug) tells their number only; compare them in constant time, which `==` is not.
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// The server's own secrets, which outlive a restart: keys of dialback, of decoys for unknown accounts, of resources.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret of that name. If there is none, `fresh` becomes it: of calls at the same time one decides.
    async fn secret(&self, name: &str, fresh: Secret) -> Result<Secret, StoreError>;
}

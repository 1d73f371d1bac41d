//! What can go wrong in a client, by who can do something about it.

use crate::{db::DbError, identity::IdentityError, network::NetworkError, signer::SignerError};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An inbox does not allow it.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The network did not do its part.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The database did not do its part.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Nobody signed.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Identity(error) => error.is_retryable(),
            Self::Network(error) => error.is_retryable(),
            Self::Database(error) => error.is_retryable(),
            Self::Signer(_) => false,
        }
    }

    /// What a person can do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Identity(error) => error.remedy(),
            Self::Network(error) => error.remedy(),
            Self::Database(error) => error.remedy(),
            Self::Signer(_) => None,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Database(cause.into())
    }
}

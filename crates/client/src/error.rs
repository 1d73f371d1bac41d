//! What can go wrong in a client, by who can do something about it.

use std::sync::Arc;

use folkmoot_conversation::{ArchiveError, content::EncodeError};

use crate::{
    conversation::ConversationError, db::DbError, device_sync::HistoryError,
    identity::IdentityError, network::NetworkError, signer::SignerError,
};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A content may not be sent.
    #[error(transparent)]
    Content(#[from] EncodeError),
    /// A conversation does not allow it.
    #[error(transparent)]
    Conversation(#[from] ConversationError),
    /// History could not be handed from one installation to another.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// An inbox does not allow it.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The network did not do its part.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The database did not do its part.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Several calls failed together, for one reason.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// Nobody signed.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Archive(_) | Self::Content(_) => false,
            Self::History(error) => error.is_retryable(),
            Self::Conversation(error) => error.is_retryable(),
            Self::Shared(error) => error.is_retryable(),
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
            Self::Archive(error) => Some(archive_remedy(error).into()),
            Self::Content(_) => None,
            Self::History(error) => Some(error.remedy().into()),
            Self::Conversation(error) => error.remedy(),
            Self::Shared(error) => error.remedy(),
            Self::Identity(error) => error.remedy(),
            Self::Network(error) => error.remedy(),
            Self::Database(error) => error.remedy(),
            Self::Signer(_) => None,
        }
    }
}

const fn archive_remedy(error: &ArchiveError) -> &'static str {
    match error {
        ArchiveError::NotAnArchive => "name another file",
        ArchiveError::Version(_) => "use a newer program",
        ArchiveError::WrongKey => "give the key with which the archive was made",
        ArchiveError::Io(_) => "check that the file is whole and the disk has room",
        ArchiveError::CutShort(_)
        | ArchiveError::TooLarge { .. }
        | ArchiveError::Damaged(_)
        | ArchiveError::NoMetadata
        | ArchiveError::Element { .. } => "get the file again from where it was made",
    }
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Database(cause.into())
    }
}

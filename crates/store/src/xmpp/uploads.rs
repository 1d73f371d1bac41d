//! Files that were shared: who may put which, and until when it stays (XEP-0363). The files themselves are elsewhere.

use async_trait::async_trait;
use jid::BareJid;

use crate::StoreError;

/// How far an upload is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum UploadState {
    /// The file may be put, once.
    Open = 0,
    /// The file is there.
    Stored = 1,
}

/// A place for a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upload {
    /// Its name in the URL: 16 random bytes.
    pub id: [u8; 16],
    /// Who asked for it; `None` once the account was deleted.
    pub owner: Option<BareJid>,
    /// The file's name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Its media type.
    pub content_type: Option<String>,
    /// When it was asked for.
    pub created: i64,
    /// How long the file may be put, and then how long it stays.
    pub expires: i64,
    /// How far it is.
    pub state: UploadState,
}

/// What became of the wish to upload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Reserved {
    /// The place is there.
    Reserved,
    /// The owner has so many bytes already.
    OverQuota {
        /// Bytes of all files and open places.
        used: u64,
    },
}

/// The uploads of all accounts.
#[async_trait]
pub trait Uploads: Send + Sync {
    /// Makes a place, if all files and places of its owner together stay within `quota` bytes.
    async fn reserve_upload(&self, upload: Upload, quota: u64) -> Result<Reserved, StoreError>;

    /// A place.
    async fn upload(&self, id: &[u8; 16]) -> Result<Option<Upload>, StoreError>;

    /// Says that the file is there until `expires`. `false` if there is no such open place: of two who put, one may.
    async fn finish_upload(&self, id: &[u8; 16], expires: i64) -> Result<bool, StoreError>;

    /// Forgets a place. Says whether there was one.
    async fn remove_upload(&self, id: &[u8; 16]) -> Result<bool, StoreError>;

    /// An account's places, newest first, at most `limit`.
    async fn uploads_of(&self, owner: &BareJid, limit: usize) -> Result<Vec<Upload>, StoreError>;

    /// Bytes of all files and open places of an account.
    async fn uploaded_bytes(&self, owner: &BareJid) -> Result<u64, StoreError>;

    /// Places that expired at `now` or before, the oldest expiry first, at most `limit`. Whoever removed the file
    /// removes the place.
    async fn expired_uploads(&self, now: i64, limit: usize) -> Result<Vec<Upload>, StoreError>;
}

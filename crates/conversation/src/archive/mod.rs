//! Archives: what an inbox keeps, in one encrypted file (XIP-71).
//!
//! ```text
//! u16 LE version, 0 | 12-byte nonce | zstd stream of { u32 LE length | AES-256-GCM ciphertext, tag }
//! ```
//!
//! Each ciphertext is one element; element `i` has the nonce of the file plus `i`, as a
//! little-endian number of 96 bits. The first element is the [`ArchiveMetadata`]. Official clients
//! write conversations before messages before consent.
//!
//! [`ArchiveReader`] and [`ArchiveWriter`] stream: memory is bounded by one element, whatever the
//! size of the file. An archive is as secret as the messages in it.

mod element;
mod reader;
mod writer;

use std::fmt;

use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use zeroize::Zeroizing;

pub use element::{
    ArchiveMetadata, ArchiveOptions, ArchiveSelection, ArchivedConversation, ArchivedMessage,
    ConversationKind, DeliveryStatus, Element, InvalidElement, MembershipState, MessageKind,
};
pub use reader::ArchiveReader;
pub use writer::ArchiveWriter;

/// The key of an archive: 32 bytes, used as they are.
#[derive(Clone, Eq, PartialEq)]
pub struct ArchiveKey(Zeroizing<[u8; 32]>);

impl ArchiveKey {
    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new key.
    #[must_use]
    pub fn generate(entropy: &mut dyn rand::CryptoRng) -> Self {
        let mut key = Self::from_bytes([0; 32]);
        entropy.fill_bytes(&mut *key.0);
        key
    }

    /// The bytes, which must stay as secret as the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.0).into())
    }
}

impl TryFrom<&[u8]> for ArchiveKey {
    type Error = InvalidArchiveKey;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidArchiveKey> {
        let key = bytes
            .try_into()
            .map_err(|_| InvalidArchiveKey(bytes.len()))?;
        Ok(Self::from_bytes(key))
    }
}

impl fmt::Debug for ArchiveKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ArchiveKey(32 bytes)")
    }
}

/// The bytes are not 32; the field says how many they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an archive key has 32 bytes, not {0}")]
pub struct InvalidArchiveKey(pub usize);

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading or writing the file failed. Inside the compressed part this is also what broken
    /// compression looks like.
    #[error("the archive cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// The file ends in the middle.
    #[error("the archive is cut short in its {0}")]
    CutShort(&'static str),
    /// The file begins with something that no version of archives begins with.
    #[error("the file is no archive")]
    NotAnArchive,
    /// The file is of a later version.
    #[error("the archive has version {0}; this program reads version 0")]
    Version(u16),
    /// An element says that it is larger than elements can be.
    #[error(
        "element {index} of the archive has {length} bytes; at most {MAX_ELEMENT_BYTES} are read"
    )]
    TooLarge {
        /// Which element, from 0.
        index: u64,
        /// How many bytes it says it has.
        length: u64,
    },
    /// The very first element does not open.
    #[error("the archive does not open with this key")]
    WrongKey,
    /// A later element does not open.
    #[error("element {0} of the archive does not open: the file was changed or is damaged")]
    Damaged(u64),
    /// The first element is not the metadata.
    #[error("the archive does not begin with its metadata")]
    NoMetadata,
    /// An element opens, but is not what it should be. Reading may go on with the next one.
    #[error("element {index} of the archive: {cause}")]
    Element {
        /// Which element, from 0.
        index: u64,
        /// What is wrong with it.
        cause: InvalidElement,
    },
}

impl ArchiveError {
    /// Whether only one element is lost, and reading may go on with the next.
    #[must_use]
    pub const fn is_skippable(&self) -> bool {
        matches!(self, Self::Element { .. })
    }
}

/// The nonces of an archive, one after the other.
#[derive(Clone, Debug)]
struct Nonces(u128);

impl Nonces {
    fn from_bytes(first: [u8; NONCE_BYTES]) -> Self {
        let mut bytes = [0; 16];
        bytes[..NONCE_BYTES].copy_from_slice(&first);
        Self(u128::from_le_bytes(bytes))
    }

    fn current(&self) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&self.0.to_le_bytes()[..NONCE_BYTES]);
        nonce.into()
    }

    const fn advance(&mut self) {
        self.0 = (self.0 + 1) & NONCE_MASK;
    }

    const fn step_back(&mut self) {
        self.0 = self.0.wrapping_sub(1) & NONCE_MASK;
    }
}

/// The most bytes that an element may have, encrypted. A message has at most 25 MiB.
pub const MAX_ELEMENT_BYTES: u32 = 32 << 20;

const VERSION: u16 = 0;
/// Formats change every few years: a larger number is something else.
const LAST_LIKELY_VERSION: u16 = 255;
const NONCE_BYTES: usize = 12;
const NONCE_MASK: u128 = (1 << 96) - 1;

#[cfg(test)]
mod tests;

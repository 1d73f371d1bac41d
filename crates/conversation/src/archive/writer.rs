//! Writing archives.

use std::io::Write;

use aes_gcm::{Aes256Gcm, aead::Aead};
use zstd::stream::write::Encoder;

use super::{
    ArchiveError, ArchiveKey, ArchiveMetadata, Element, MAX_ELEMENT_BYTES, NONCE_BYTES, Nonces,
    VERSION,
};

/// Writes an archive, element by element. Only [`ArchiveWriter::finish`] makes it whole.
pub struct ArchiveWriter<W: Write> {
    stream: Encoder<'static, W>,
    cipher: Aes256Gcm,
    nonces: Nonces,
    index: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive with its metadata. The nonce is drawn from `entropy`: one key may be used
    /// for several archives.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`] when `archive` cannot be written.
    pub fn create(
        mut archive: W,
        key: &ArchiveKey,
        metadata: &ArchiveMetadata,
        entropy: &mut dyn rand::CryptoRng,
    ) -> Result<Self, ArchiveError> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill_bytes(&mut nonce);
        archive.write_all(&VERSION.to_le_bytes())?;
        archive.write_all(&nonce)?;
        let mut writer = Self {
            stream: Encoder::new(archive, zstd::DEFAULT_COMPRESSION_LEVEL)?,
            cipher: key.cipher(),
            nonces: Nonces::from_bytes(nonce),
            index: 0,
        };
        writer.write_bytes(&metadata.to_bytes())?;
        Ok(writer)
    }

    /// Adds an element. Readers want conversations before the messages in them.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::TooLarge`] for an element that no reader would take, [`ArchiveError::Io`] when
    /// the file cannot be written.
    pub fn write(&mut self, element: &Element) -> Result<(), ArchiveError> {
        self.write_bytes(&element.to_bytes())
    }

    /// Ends the archive and returns what it was written to.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`] when the file cannot be written.
    pub fn finish(self) -> Result<W, ArchiveError> {
        Ok(self.stream.finish()?)
    }

    fn write_bytes(&mut self, plaintext: &[u8]) -> Result<(), ArchiveError> {
        let length = plaintext.len().saturating_add(TAG_BYTES);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        if length > MAX_ELEMENT_BYTES {
            return Err(ArchiveError::TooLarge {
                index: self.index,
                length: length.into(),
            });
        }
        let ciphertext = self
            .cipher
            .encrypt(&self.nonces.current(), plaintext)
            .expect("an element is shorter than 64 GiB");
        self.stream.write_all(&length.to_le_bytes())?;
        self.stream.write_all(&ciphertext)?;
        self.nonces.advance();
        self.index += 1;
        Ok(())
    }
}

const TAG_BYTES: usize = 16;

impl<W: Write> std::fmt::Debug for ArchiveWriter<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ArchiveWriter")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

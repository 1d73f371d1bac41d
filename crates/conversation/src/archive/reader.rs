//! Reading archives.

use std::io::{BufReader, ErrorKind, Read};

use aes_gcm::{Aes256Gcm, aead::Aead};
use zstd::stream::read::Decoder;

use super::{
    ArchiveError, ArchiveKey, ArchiveMetadata, Element, LAST_LIKELY_VERSION, MAX_ELEMENT_BYTES,
    NONCE_BYTES, Nonces, VERSION, element::Decoded,
};

/// Reads an archive, element by element. As an iterator it ends after the last element, and after
/// the first error that is not [skippable](ArchiveError::is_skippable).
pub struct ArchiveReader<R: Read> {
    stream: Decoder<'static, BufReader<R>>,
    cipher: Aes256Gcm,
    nonces: Nonces,
    index: u64,
    metadata: ArchiveMetadata,
    /// Whether the nonce was set back once; old writers used one nonce twice.
    stepped_back: bool,
    ended: bool,
}

impl<R: Read> ArchiveReader<R> {
    /// Opens an archive and reads its metadata.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::WrongKey`] when the key is another's, and the other variants when this is no
    /// archive, or a damaged one.
    pub fn open(mut archive: R, key: &ArchiveKey) -> Result<Self, ArchiveError> {
        let mut header = [0; 2 + NONCE_BYTES];
        archive
            .read_exact(&mut header)
            .map_err(|cause| match cause.kind() {
                ErrorKind::UnexpectedEof => ArchiveError::CutShort("header"),
                _ => ArchiveError::Io(cause),
            })?;
        let version = u16::from_le_bytes([header[0], header[1]]);
        if version > LAST_LIKELY_VERSION {
            return Err(ArchiveError::NotAnArchive);
        }
        if version != VERSION {
            return Err(ArchiveError::Version(version));
        }
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&header[2..]);
        let mut stream = Decoder::new(archive)?;
        stream.window_log_max(MOST_WINDOW_LOG)?;
        let mut reader = Self {
            stream,
            cipher: key.cipher(),
            nonces: Nonces::from_bytes(nonce),
            index: 0,
            metadata: ArchiveMetadata::default(),
            stepped_back: false,
            ended: false,
        };
        match reader.next_decoded()? {
            Some(Decoded::Metadata(metadata)) => reader.metadata = metadata,
            Some(Decoded::Element(_) | Decoded::Ignored) | None => {
                return Err(ArchiveError::NoMetadata);
            }
        }
        Ok(reader)
    }

    /// What the archive says about itself.
    #[must_use]
    pub const fn metadata(&self) -> &ArchiveMetadata {
        &self.metadata
    }

    /// The next element that is not the metadata; `None` at the end.
    fn next_element(&mut self) -> Result<Option<Element>, ArchiveError> {
        loop {
            match self.next_decoded()? {
                Some(Decoded::Element(element)) => return Ok(Some(element)),
                Some(Decoded::Ignored | Decoded::Metadata(_)) => {}
                None => return Ok(None),
            }
        }
    }

    fn next_decoded(&mut self) -> Result<Option<Decoded>, ArchiveError> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        let index = self.index;
        if length > MAX_ELEMENT_BYTES {
            let length = length.into();
            return Err(ArchiveError::TooLarge { index, length });
        }
        // Grows with what is there, not with what the length promises.
        let mut ciphertext = Vec::new();
        let read = (&mut self.stream)
            .take(length.into())
            .read_to_end(&mut ciphertext)?;
        if read as u64 != u64::from(length) {
            return Err(ArchiveError::CutShort("elements"));
        }
        let plaintext = self.decrypt(&ciphertext)?;
        self.index += 1;
        let decoded = Decoded::from_bytes(plaintext.into());
        decoded
            .map(Some)
            .map_err(|cause| ArchiveError::Element { index, cause })
    }

    fn decrypt(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        let mut opened = self.cipher.decrypt(&self.nonces.current(), ciphertext);
        if opened.is_err() && !self.stepped_back && self.index > 0 {
            self.stepped_back = true;
            self.nonces.step_back();
            opened = self.cipher.decrypt(&self.nonces.current(), ciphertext);
        }
        self.nonces.advance();
        opened.map_err(|_| match self.index {
            0 => ArchiveError::WrongKey,
            index => ArchiveError::Damaged(index),
        })
    }

    /// The length of the next element; `None` at the proper end of the archive.
    fn length(&mut self) -> Result<Option<u32>, ArchiveError> {
        let mut bytes = Vec::with_capacity(4);
        (&mut self.stream).take(4).read_to_end(&mut bytes)?;
        match bytes[..].try_into() {
            Ok(bytes) => Ok(Some(u32::from_le_bytes(bytes))),
            Err(_) if bytes.is_empty() => Ok(None),
            Err(_) => Err(ArchiveError::CutShort("elements")),
        }
    }
}

impl<R: Read> Iterator for ArchiveReader<R> {
    type Item = Result<Element, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_element().transpose();
        self.ended = match &next {
            None => true,
            Some(Err(cause)) => !cause.is_skippable(),
            Some(Ok(_)) => false,
        };
        next
    }
}

impl<R: Read> std::fmt::Debug for ArchiveReader<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ArchiveReader")
            .field("metadata", &self.metadata)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// 32 MiB of history for the decompressor. Official clients write 2 MiB.
const MOST_WINDOW_LOG: u32 = 25;

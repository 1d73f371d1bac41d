//! Encryption of files that lie on web servers (XIP-17).
//!
//! The file becomes an `attachment` content; that is encrypted with AES-256-GCM under a key that
//! HKDF-SHA256 makes from a random secret and a random salt. The message tells secret, salt and
//! nonce, and the SHA-256 of what lies on the server.

use aes_gcm::{Aes256Gcm, KeyInit, aead::Aead};
use bytes::Bytes;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    SecretBytes,
    content::{Attachment, Codec, DecodeError, EncodeError, EncodedContent, RemoteAttachment},
};

/// A file, ready to be put on a web server.
#[derive(Clone, Debug)]
pub struct EncryptedAttachment {
    /// What to upload.
    pub payload: Bytes,
    /// What to send once the upload has an address, which [`EncryptedAttachment::at`] fills in.
    opening: RemoteAttachment,
}

impl EncryptedAttachment {
    /// Encrypts `attachment` with keys made from `entropy`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`] when the file is larger than a message may be, which is what
    /// official clients encode it as.
    pub fn seal(
        attachment: &Attachment,
        entropy: &mut dyn rand::CryptoRng,
    ) -> Result<Self, EncodeError> {
        let mut secret = [0; SECRET_BYTES];
        let mut salt = [0; SALT_BYTES];
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill_bytes(&mut secret);
        entropy.fill_bytes(&mut salt);
        entropy.fill_bytes(&mut nonce);
        let secret = SecretBytes::from(secret.to_vec());
        let plaintext = attachment.encode()?;
        let payload = cipher(&secret, &salt)
            .encrypt(&nonce.into(), &plaintext.as_bytes()[..])
            .expect("a message is shorter than 64 GiB");
        let opening = RemoteAttachment {
            url: String::new(),
            content_digest: hex::encode(Sha256::digest(&payload)),
            secret,
            salt: salt.to_vec(),
            nonce: nonce.to_vec(),
            scheme: "https://".to_owned(),
            content_length: u32::try_from(payload.len()).ok(),
            filename: attachment.filename.clone(),
        };
        Ok(Self {
            payload: payload.into(),
            opening,
        })
    }

    /// What to send, now that the payload lies at `url`.
    #[must_use]
    pub fn at(&self, url: impl Into<String>) -> RemoteAttachment {
        RemoteAttachment {
            url: url.into(),
            ..self.opening.clone()
        }
    }
}

/// Opens the file that was fetched from where `remote` says.
///
/// # Errors
///
/// [`AttachmentError`] when `payload` is not the file that the sender uploaded, when the message does not
/// tell how to open it, or when something else than an attachment is inside.
pub fn open_attachment(
    remote: &RemoteAttachment,
    payload: &[u8],
) -> Result<Attachment, AttachmentError> {
    if remote.content_digest != hex::encode(Sha256::digest(payload)) {
        return Err(AttachmentError::Digest);
    }
    if remote.salt.len() != SALT_BYTES {
        return Err(AttachmentError::SaltLength(remote.salt.len()));
    }
    let nonce: [u8; NONCE_BYTES] = remote.nonce[..]
        .try_into()
        .map_err(|_| AttachmentError::NonceLength(remote.nonce.len()))?;
    let plaintext = cipher(&remote.secret, &remote.salt)
        .decrypt(&nonce.into(), payload)
        .map_err(|_| AttachmentError::Decrypt)?;
    Ok(Attachment::decode(&EncodedContent::decode(
        plaintext.into(),
    )?)?)
}

/// How many bytes to fetch at most: what the sender says, but never more than a message may have.
#[must_use]
pub fn attachment_limit(remote: &RemoteAttachment) -> usize {
    let most = crate::content::MAX_ENCODED_BYTES + TAG_BYTES;
    let said = remote.content_length.map(usize::try_from);
    said.and_then(Result::ok)
        .map_or(most, |said| said.min(most))
}

/// Why a fetched file does not open.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AttachmentError {
    /// What was fetched is not what the sender uploaded.
    #[error("the file is not the one that was sent: its SHA-256 is another")]
    Digest,
    /// The salt has not 32 bytes.
    #[error("the salt has {0} bytes, not 32")]
    SaltLength(usize),
    /// The nonce has not 12 bytes.
    #[error("the nonce has {0} bytes, not 12")]
    NonceLength(usize),
    /// The secret does not open the file.
    #[error("the file does not open with the secret that was sent")]
    Decrypt,
    /// Something else than an attachment is inside.
    #[error("inside the file: {0}")]
    Content(#[from] DecodeError),
}

fn cipher(secret: &SecretBytes, salt: &[u8]) -> Aes256Gcm {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), secret.as_bytes())
        .expand(&[], &mut *key)
        .expect("32 bytes are less than 255 hashes");
    Aes256Gcm::new((&*key).into())
}

const SECRET_BYTES: usize = 32;
const SALT_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    fn note() -> Attachment {
        Attachment {
            filename: Some("note.txt".to_owned()),
            mime_type: "text/plain".to_owned(),
            data: Bytes::from_static(b"at noon"),
        }
    }

    fn sealed() -> (EncryptedAttachment, RemoteAttachment) {
        let sealed = EncryptedAttachment::seal(&note(), &mut StdRng::seed_from_u64(1)).unwrap();
        let remote = sealed.at("https://files.example.org/1");
        (sealed, remote)
    }

    #[test]
    fn a_file_that_is_fetched_is_the_file_that_was_sent() {
        let (sealed, remote) = sealed();
        assert_eq!(open_attachment(&remote, &sealed.payload), Ok(note()));
        assert_eq!(attachment_limit(&remote), sealed.payload.len());
        assert!(remote.check_url().is_ok());
    }

    #[test]
    fn a_file_of_the_official_client_opens() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/content.json")).unwrap();
        let recorded = &vectors["remote_attachment_encryption"];
        let bytes = |name: &str| hex::decode(recorded[name].as_str().unwrap()).unwrap();
        let remote = RemoteAttachment {
            url: "https://files.example.org/a".to_owned(),
            content_digest: recorded["digest"].as_str().unwrap().to_owned(),
            secret: bytes("secret").into(),
            salt: bytes("salt"),
            nonce: bytes("nonce"),
            scheme: "https://".to_owned(),
            content_length: Some(150),
            filename: Some("a.txt".to_owned()),
        };
        let opened = open_attachment(&remote, &bytes("payload")).unwrap();
        assert_eq!(opened.filename.as_deref(), Some("a.txt"));
        assert_eq!(opened.mime_type, "text/plain");
        assert_eq!(opened.data, "hi\n");
    }

    #[test]
    fn what_was_changed_on_the_way_is_refused() {
        let (sealed, remote) = sealed();
        let mut payload = sealed.payload.to_vec();
        payload[3] ^= 1;
        assert_eq!(
            open_attachment(&remote, &payload),
            Err(AttachmentError::Digest)
        );
        let forged = RemoteAttachment {
            content_digest: hex::encode(Sha256::digest(&payload)),
            ..remote.clone()
        };
        assert_eq!(
            open_attachment(&forged, &payload),
            Err(AttachmentError::Decrypt)
        );
        let short = RemoteAttachment {
            salt: vec![0; 31],
            ..remote.clone()
        };
        let refused = open_attachment(&short, &sealed.payload);
        assert_eq!(refused, Err(AttachmentError::SaltLength(31)));
        let long = RemoteAttachment {
            nonce: vec![0; 13],
            ..remote
        };
        let refused = open_attachment(&long, &sealed.payload);
        assert_eq!(refused, Err(AttachmentError::NonceLength(13)));
    }
}

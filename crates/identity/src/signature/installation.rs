//! Installation signatures: Ed25519ph (RFC 8032) with a context for each purpose.

use ed25519_dalek::{Signature, VerifyingKey};
use folkmoot_wire::InstallationKey;
use sha2::{Digest, Sha512};

use super::SignatureError;

/// The context of signatures in identity updates.
pub(crate) const UPDATE_CONTEXT: &[u8] = b"IDENTITY UPDATE SIGNATURE";
/// The context of signatures that apps ask for.
pub(crate) const PUBLIC_CONTEXT: &[u8] = b"PUBLIC SIGNATURE CONTEXT";

/// Checks a signature that an app had an installation make over a text of its own. The text is
/// signed in another context than identity updates, so neither can pass for the other.
///
/// # Errors
///
/// [`SignatureError::Ed25519Length`] unless there are 64 bytes; [`SignatureError::Ed25519`]
/// when the installation did not sign `text`, or `key` is not a public key.
pub fn verify_public_signature(
    key: &InstallationKey,
    text: &str,
    signature: &[u8],
) -> Result<(), SignatureError> {
    let key = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| SignatureError::Ed25519)?;
    verify(
        &key,
        Sha512::new_with_prefix(text),
        PUBLIC_CONTEXT,
        signature,
    )
}

pub(crate) fn verify(
    key: &VerifyingKey,
    text: Sha512,
    context: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let bytes = signature
        .try_into()
        .map_err(|_| SignatureError::Ed25519Length(signature.len()))?;
    key.verify_prehashed(text, Some(context), &Signature::from_bytes(bytes))
        .map_err(|_| SignatureError::Ed25519)
}

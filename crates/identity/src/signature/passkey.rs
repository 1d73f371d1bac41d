//! Passkey signatures: WebAuthn assertions on P-256.
//!
//! Neither `type` and the value of `origin` nor flags, counter and relying-party hash are
//! checked: libxmtp does not, so an update that says otherwise would be accepted by everybody else.

use bytes::Bytes;
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use sha2::{Digest, Sha256};

use super::SignatureError;
use crate::PasskeyIdentifier;

/// The parts of an assertion, unchecked.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Assertion {
    /// SEC1.
    pub(super) key: Bytes,
    /// DER.
    pub(super) signature: Bytes,
    pub(super) authenticator_data: Bytes,
    pub(super) client_data_json: Bytes,
}

/// Who made an assertion, and its numbers.
pub(super) struct VerifiedAssertion {
    pub(super) passkey: PasskeyIdentifier,
    /// 64 bytes, S in the half in which it came.
    pub(super) r_and_s: Vec<u8>,
}

#[derive(serde::Deserialize)]
struct ClientData {
    origin: String,
    challenge: String,
}

impl Assertion {
    /// Checks that the passkey answered `challenge`, the base64url form of the signature text.
    pub(super) fn verify(&self, challenge: &str) -> Result<VerifiedAssertion, SignatureError> {
        let client_data: ClientData = serde_json::from_slice(&self.client_data_json)
            .map_err(|_| SignatureError::ClientData("no strings `challenge` and `origin`"))?;
        if client_data.challenge != challenge {
            return Err(SignatureError::ClientData(
                "the challenge is not the signature text",
            ));
        }
        let key =
            VerifyingKey::from_sec1_bytes(&self.key).map_err(|_| SignatureError::PasskeyKey)?;
        let signature =
            Signature::from_der(&self.signature).map_err(|_| SignatureError::PasskeySignature)?;
        let client_data_hash = Sha256::digest(&self.client_data_json);
        let message = [&self.authenticator_data[..], &client_data_hash[..]].concat();
        key.verify(&message, &signature)
            .map_err(|_| SignatureError::Passkey)?;
        Ok(VerifiedAssertion {
            passkey: PasskeyIdentifier {
                key: self.key.to_vec(),
                relying_party: Some(client_data.origin),
            },
            r_and_s: signature.to_bytes().to_vec(),
        })
    }
}

/// R and S with S in the lower half; bytes that are no signature as they are.
pub(super) fn low_s(r_and_s: &[u8]) -> Vec<u8> {
    match Signature::from_slice(r_and_s) {
        Ok(signature) => signature
            .normalize_s()
            .unwrap_or(signature)
            .to_bytes()
            .to_vec(),
        Err(_) => r_and_s.to_vec(),
    }
}

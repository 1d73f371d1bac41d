//! Secret keys that sign updates.
//!
//! Randomness and storage are the caller's: secrets are made of bytes that the caller drew. They
//! are wiped from memory when dropped, and `Debug` shows the public half only.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey as InstallationSigningKey};
use folkmoot_wire::InstallationKey;
use k256::ecdsa::SigningKey as WalletSigningKey;
use sha2::{Digest, Sha512};

use crate::{
    Identifier, MemberIdentifier, Signature,
    signature::{PUBLIC_CONTEXT, UPDATE_CONTEXT, address, eip191_hash},
};

/// Somebody who can sign an update.
pub trait Signer {
    /// Whose signature it is.
    fn member(&self) -> MemberIdentifier;

    /// Signs the text of an update.
    fn sign(&self, text: &str) -> Signature;
}

/// The secret key of an Ethereum account.
#[derive(Clone)]
pub struct WalletSecret(WalletSigningKey);

/// The secret key of an installation. The same key signs MLS messages, there without a context.
#[derive(Clone)]
pub struct InstallationSecret(InstallationSigningKey);

impl WalletSecret {
    /// The key with these bytes, a big-endian number.
    ///
    /// # Errors
    ///
    /// [`InvalidSecret`] for zero and for numbers not below the order of secp256k1. Of 32 random
    /// bytes that is one in 2^128.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidSecret> {
        WalletSigningKey::from_slice(bytes)
            .map(Self)
            .map_err(|_| InvalidSecret)
    }

    /// The bytes of the key, which must stay as secret as the key.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// The account's address: `0x` and 40 lower-case hex digits.
    #[must_use]
    pub fn address(&self) -> String {
        address(self.0.verifying_key())
    }

    /// The account as an identifier.
    #[must_use]
    pub fn identifier(&self) -> Identifier {
        Identifier::Ethereum(self.address())
    }

    /// Signs a text as wallets do (EIP-191): 65 bytes, R, S in the lower half, V of 27 or 28. Equal
    /// texts give equal signatures (RFC 6979).
    #[must_use]
    pub fn sign_text(&self, text: &str) -> [u8; 65] {
        let (signature, recovery) = self
            .0
            .sign_prehash_recoverable(&eip191_hash(text))
            .expect("a hash of 32 bytes can be signed");
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + u8::from(recovery.is_y_odd());
        bytes
    }
}

impl InstallationSecret {
    /// The key with this seed (RFC 8032); any 32 random bytes are one.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(InstallationSigningKey::from_bytes(seed))
    }

    /// The seed, which must stay as secret as the key.
    #[must_use]
    pub fn to_seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public key, which is the installation's id.
    #[must_use]
    pub fn key(&self) -> InstallationKey {
        InstallationKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs the text of an app, to be checked with
    /// [`verify_public_signature`](crate::verify_public_signature).
    #[must_use]
    pub fn sign_public(&self, text: &str) -> [u8; 64] {
        self.sign_in(PUBLIC_CONTEXT, text)
    }

    /// Signs what MLS has prepared for signing: pure Ed25519, without a context (RFC 9420 §5.1.2).
    #[must_use]
    pub fn sign_mls(&self, content: &[u8]) -> [u8; 64] {
        self.0.sign(content).to_bytes()
    }

    fn sign_in(&self, context: &[u8], text: &str) -> [u8; 64] {
        self.0
            .sign_prehashed(Sha512::new_with_prefix(text), Some(context))
            .expect("our contexts are shorter than 256 bytes")
            .to_bytes()
    }
}

impl Signer for WalletSecret {
    fn member(&self) -> MemberIdentifier {
        self.identifier().into()
    }

    fn sign(&self, text: &str) -> Signature {
        Signature::erc_191(self.sign_text(text).to_vec())
    }
}

impl Signer for InstallationSecret {
    fn member(&self) -> MemberIdentifier {
        self.key().into()
    }

    fn sign(&self, text: &str) -> Signature {
        let bytes = self.sign_in(UPDATE_CONTEXT, text);
        Signature::installation(self.0.verifying_key(), bytes.to_vec())
    }
}

impl fmt::Debug for WalletSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WalletSecret(of {})", self.address())
    }
}

impl fmt::Debug for InstallationSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "InstallationSecret(of {})", self.key())
    }
}

/// The bytes are no secret key of secp256k1.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a secp256k1 secret key")]
pub struct InvalidSecret;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let wallet = WalletSecret::from_bytes(&[0x11; 32]).unwrap();
        let installation = InstallationSecret::from_seed(&[0x41; 32]);
        assert!(!format!("{wallet:?}").contains("1111"));
        assert!(!format!("{installation:?}").contains("4141"));
        assert_eq!(wallet.to_bytes(), [0x11; 32]);
        assert_eq!(installation.to_seed(), [0x41; 32]);
    }

    #[test]
    fn zero_and_numbers_above_the_order_are_no_wallet_keys() {
        assert!(WalletSecret::from_bytes(&[0; 32]).is_err());
        assert!(WalletSecret::from_bytes(&[0xff; 32]).is_err());
    }
}

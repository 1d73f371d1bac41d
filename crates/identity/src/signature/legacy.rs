//! Signatures by identity keys of the XMTP v2 network, which wallets vouched for back then.

use bytes::Bytes;
use folkmoot_wire::proto::xmtp::message_contents as proto;
use k256::ecdsa::VerifyingKey;
use prost::Message;

use super::{
    SignatureError,
    ecdsa::{self, Recovered},
};

/// A v2 key and what the wallet signed for it. Nothing is checked before
/// [`DelegatedKey::wallet_that_vouched_for`].
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct DelegatedKey(proto::SignedPublicKey);

impl DelegatedKey {
    pub(super) fn to_proto(&self) -> proto::SignedPublicKey {
        self.0.clone()
    }

    /// The wallet that signed for the key, provided that the key's own address is `signer`.
    pub(super) fn wallet_that_vouched_for(
        &self,
        signer: &str,
    ) -> Result<Recovered, SignatureError> {
        let hash = ecdsa::eip191_hash(&create_identity_text(&self.0.key_bytes));
        let field = "delegated_erc_191.delegated_key.signature";
        let wallet = ecdsa::recover(&hash, &self.wallet_signature()?, field)?;
        if self.address()? == signer {
            Ok(wallet)
        } else {
            Err(SignatureError::LegacyKey("key_bytes: another key signed"))
        }
    }

    /// R, S and the recovery number as V.
    fn wallet_signature(&self) -> Result<Vec<u8>, SignatureError> {
        use proto::signature::{EcdsaCompact, Union, WalletEcdsaCompact};
        let union = self.0.signature.as_ref().and_then(|it| it.union.as_ref());
        let (bytes, recovery): (&Bytes, &u32) = match union {
            Some(Union::EcdsaCompact(EcdsaCompact { bytes, recovery })) => (bytes, recovery),
            Some(Union::WalletEcdsaCompact(WalletEcdsaCompact { bytes, recovery })) => {
                (bytes, recovery)
            }
            None => return Err(SignatureError::LegacyKey("signature is missing")),
        };
        let [v, ..] = recovery.to_le_bytes();
        Ok([&bytes[..], &[v]].concat())
    }

    fn address(&self) -> Result<String, SignatureError> {
        use proto::unsigned_public_key::Union;
        let key = proto::UnsignedPublicKey::decode(self.0.key_bytes.clone())
            .map_err(|_| SignatureError::LegacyKey("key_bytes: not a v2 public key"))?;
        let Some(Union::Secp256k1Uncompressed(point)) = key.union else {
            return Err(SignatureError::LegacyKey("key_bytes: no key inside"));
        };
        let key = VerifyingKey::from_sec1_bytes(&point.bytes)
            .map_err(|_| SignatureError::LegacyKey("key_bytes: not a point on secp256k1"))?;
        Ok(ecdsa::address(&key))
    }
}

impl From<proto::SignedPublicKey> for DelegatedKey {
    fn from(key: proto::SignedPublicKey) -> Self {
        Self(key)
    }
}

/// What the wallet signed on the v2 network. Here the address of the footer ends in a slash.
fn create_identity_text(key_bytes: &[u8]) -> String {
    format!(
        "XMTP : Create Identity\n{}\n\nFor more info: https://xmtp.org/signatures/",
        hex::encode(key_bytes)
    )
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;
    use proto::{
        UnsignedPublicKey,
        signature::{EcdsaCompact, Union, WalletEcdsaCompact},
        unsigned_public_key,
    };

    use super::*;
    use crate::WalletSecret;

    fn old_key() -> SigningKey {
        SigningKey::from_slice(&[5; 32]).unwrap()
    }

    fn key_bytes() -> Vec<u8> {
        let point = old_key().verifying_key().to_encoded_point(false);
        let union = unsigned_public_key::Secp256k1Uncompressed {
            bytes: point.as_bytes().to_vec().into(),
        };
        let key = UnsignedPublicKey {
            created_ns: 1,
            union: Some(unsigned_public_key::Union::Secp256k1Uncompressed(union)),
        };
        key.encode_to_vec()
    }

    /// What a wallet says about `key_bytes`.
    fn vouched(wallet: &WalletSecret, key_bytes: Vec<u8>) -> proto::SignedPublicKey {
        let bytes = wallet.sign_text(&create_identity_text(&key_bytes));
        proto::SignedPublicKey {
            key_bytes: key_bytes.into(),
            signature: Some(proto::Signature {
                union: Some(Union::WalletEcdsaCompact(WalletEcdsaCompact {
                    bytes: bytes[..64].to_vec().into(),
                    recovery: u32::from(bytes[64] - 27),
                })),
            }),
        }
    }

    #[test]
    fn a_delegated_key_speaks_for_the_wallet_that_vouched_for_it() {
        let wallet = WalletSecret::from_bytes(&[6; 32]).unwrap();
        let mut key = vouched(&wallet, key_bytes());
        let signer = ecdsa::address(old_key().verifying_key());
        let speaks_for = |key: &proto::SignedPublicKey, signer: &str| {
            let wallet = DelegatedKey(key.clone()).wallet_that_vouched_for(signer);
            wallet.map(|wallet| (wallet.address, wallet.normalized[64]))
        };
        let (address, v) = speaks_for(&key, &signer).unwrap();
        assert_eq!(address, wallet.address());
        assert!(v < 2, "the recovery number stands for V as it is");

        let another = speaks_for(&key, &wallet.address());
        let cause = SignatureError::LegacyKey("key_bytes: another key signed");
        assert_eq!(another, Err(cause));

        // The other arm of the union means the same.
        let union = key.signature.take().and_then(|signature| signature.union);
        let Some(Union::WalletEcdsaCompact(WalletEcdsaCompact { bytes, recovery })) = union else {
            panic!("made above")
        };
        let union = Union::EcdsaCompact(EcdsaCompact { bytes, recovery });
        key.signature = Some(proto::Signature { union: Some(union) });
        assert_eq!(speaks_for(&key, &signer).unwrap().0, wallet.address());
    }

    #[test]
    fn what_is_no_delegated_key_is_refused() {
        let wallet = WalletSecret::from_bytes(&[6; 32]).unwrap();
        let refused = |key: proto::SignedPublicKey| {
            let wallet = DelegatedKey(key).wallet_that_vouched_for("0x");
            wallet.map(|wallet| wallet.address).unwrap_err()
        };
        let mut unsigned = vouched(&wallet, key_bytes());
        unsigned.signature = None;
        let missing = SignatureError::LegacyKey("signature is missing");
        assert_eq!(refused(unsigned), missing);

        let not_a_key = SignatureError::LegacyKey("key_bytes: not a v2 public key");
        assert_eq!(refused(vouched(&wallet, vec![0xff])), not_a_key);
        let empty = SignatureError::LegacyKey("key_bytes: no key inside");
        assert_eq!(refused(vouched(&wallet, Vec::new())), empty);
        let mut off_the_curve = key_bytes();
        *off_the_curve.last_mut().unwrap() ^= 1;
        let no_point = SignatureError::LegacyKey("key_bytes: not a point on secp256k1");
        assert_eq!(refused(vouched(&wallet, off_the_curve)), no_point);

        let mut short = vouched(&wallet, key_bytes());
        short.signature = Some(proto::Signature {
            union: Some(Union::EcdsaCompact(EcdsaCompact::default())),
        });
        let field = "delegated_erc_191.delegated_key.signature";
        let length = SignatureError::EcdsaLength { field, length: 1 };
        assert_eq!(refused(short), length);
    }
}

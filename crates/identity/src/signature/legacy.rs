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

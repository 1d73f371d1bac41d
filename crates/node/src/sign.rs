//! What a node vouches for: originator and payer signatures (secp256k1 over Keccak-256).
//!
//! An envelope is signed when it is first read in signed form, not when it is published.
//! Signatures are deterministic (RFC 6979) and kept in the store, so an envelope has one for ever.

use std::{fmt, num::NonZeroUsize, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use folkmoot_store::{Envelope, Form, Store};
use folkmoot_wire::proto::xmtp::{
    identity::associations::RecoverableEcdsaSignature,
    xmtpv4::envelopes::{
        OriginatorEnvelope, PayerEnvelope, UnsignedOriginatorEnvelope, originator_envelope::Proof,
    },
};
use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use lru::LruCache;
use parking_lot::Mutex;
use prost::Message;
use sha3::{Digest, Keccak256};

use crate::{NodeError, envelope};

/// Bytes of one signature: r, s, v.
const SIGNATURE: usize = 65;
/// Signatures that stay in memory.
const CACHED: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// Envelopes signed without letting other tasks run.
const SIGNED_AT_A_STRETCH: usize = 16;
/// "Keep for ever", in a payer envelope's retention days.
const NO_EXPIRY: u32 = u32::MAX;

/// A node's secret key on secp256k1. It does not print.
#[derive(Clone)]
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// A new key from the system's randomness.
    #[must_use]
    pub fn generate() -> Self {
        loop {
            // All but one in 2^127 of random scalars are keys.
            if let Some(key) = Self::from_bytes(&rand::random()) {
                return key;
            }
        }
    }

    /// The key with this scalar, 32 bytes big-endian; `None` if it is zero or too large.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        SigningKey::from_slice(bytes).ok().map(Self)
    }

    /// The scalar, for keeping in a file that nobody else can read.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// The Ethereum address of the key, under which other nodes know this one: 20 bytes.
    #[must_use]
    pub fn address(&self) -> [u8; 20] {
        address_of(self.0.verifying_key())
    }

    /// r, s and v (0 or 1) over a Keccak-256 digest.
    fn sign(&self, digest: &[u8; 32]) -> [u8; SIGNATURE] {
        let (signature, recovery) = self
            .0
            .sign_prehash_recoverable(digest)
            .expect("a digest of 32 bytes can be signed");
        let mut bytes = [0; SIGNATURE];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = recovery.to_byte();
        bytes
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "NodeKey(0x{})", hex::encode(self.address()))
    }
}

/// Turns envelopes of the log into signed ones.
pub(crate) struct Signer {
    key: NodeKey,
    node_id: u32,
    store: Arc<dyn Store>,
    cache: Mutex<LruCache<u64, Bytes>>,
}

impl Signer {
    pub(crate) fn new(key: NodeKey, node_id: u32, store: Arc<dyn Store>) -> Self {
        Self {
            key,
            node_id,
            store,
            cache: Mutex::new(LruCache::new(CACHED)),
        }
    }

    /// The envelopes in the form that d14n clients and nodes read, in the same order.
    pub(crate) async fn signed(
        &self,
        envelopes: &[Arc<Envelope>],
    ) -> Result<Vec<OriginatorEnvelope>, NodeError> {
        let mut kept = self.kept(envelopes).await?;
        let mut made = Vec::new();
        let mut signed = Vec::with_capacity(envelopes.len());
        for (envelope, kept) in envelopes.iter().zip(&mut kept) {
            let (result, signatures) = self.sign(envelope, kept.take())?;
            if let Some(signatures) = signatures {
                self.cache.lock().put(envelope.id, signatures.clone());
                made.push((envelope.id, signatures));
                if made.len() % SIGNED_AT_A_STRETCH == 0 {
                    tokio::task::yield_now().await;
                }
            }
            signed.push(result);
        }
        if !made.is_empty()
            && let Err(cause) = self.store.keep_signatures(made).await
        {
            tracing::warn!(%cause, "signatures were not kept; they will be made again");
        }
        Ok(signed)
    }

    /// Forgets what is cached, after the store's contents were replaced.
    pub(crate) fn forget(&self) {
        self.cache.lock().clear();
    }

    async fn kept(&self, envelopes: &[Arc<Envelope>]) -> Result<Vec<Option<Bytes>>, NodeError> {
        let mut kept: Vec<Option<Bytes>> = {
            let mut cache = self.cache.lock();
            envelopes
                .iter()
                .map(|envelope| cache.get(&envelope.id).cloned())
                .collect()
        };
        let missing: Vec<usize> = (0..kept.len()).filter(|at| kept[*at].is_none()).collect();
        if !missing.is_empty() {
            let ids: Vec<u64> = missing.iter().map(|at| envelopes[*at].id).collect();
            let found = self.store.signatures(&ids).await?;
            let mut cache = self.cache.lock();
            for (at, found) in missing.into_iter().zip(found) {
                if let Some(found) = &found {
                    cache.put(envelopes[at].id, found.clone());
                }
                kept[at] = found;
            }
        }
        Ok(kept)
    }

    /// The signed envelope, and its signatures if they had to be made: the originator's,
    /// followed by the payer's where this node is the payer.
    fn sign(
        &self,
        stored: &Envelope,
        kept: Option<Bytes>,
    ) -> Result<(OriginatorEnvelope, Option<Bytes>), NodeError> {
        let pays = stored.form != Form::Payer && !envelope::is_of_chain(stored.originator);
        let kept = kept.filter(|kept| kept.len() == SIGNATURE * (1 + usize::from(pays)));
        let mut made = BytesMut::new();

        let payer_envelope_bytes = if stored.form == Form::Payer {
            stored.payload.clone()
        } else {
            let client = envelope::client_envelope(stored)?;
            let payer_signature = pays.then(|| match &kept {
                Some(kept) => kept.slice(SIGNATURE..),
                None => {
                    let digest = payer_digest(self.node_id, &client);
                    Bytes::copy_from_slice(&self.key.sign(&digest))
                }
            });
            made.put_slice(payer_signature.as_deref().unwrap_or_default());
            PayerEnvelope {
                unsigned_client_envelope: client,
                payer_signature: payer_signature.map(|bytes| RecoverableEcdsaSignature { bytes }),
                target_originator: if pays { self.node_id } else { 0 },
                message_retention_days: if pays { NO_EXPIRY } else { 0 },
            }
            .encode_to_vec()
            .into()
        };
        let unsigned: Bytes = UnsignedOriginatorEnvelope {
            originator_node_id: stored.originator,
            originator_sequence_id: stored.sequence,
            originator_ns: i64::try_from(stored.time_ns).unwrap_or(i64::MAX),
            payer_envelope_bytes,
            base_fee_picodollars: 0,
            congestion_fee_picodollars: 0,
            expiry_unixtime: 0,
        }
        .encode_to_vec()
        .into();
        let (signature, new) = match kept {
            Some(kept) => (kept.slice(..SIGNATURE), None),
            None => {
                let signature = self.key.sign(&originator_digest(&unsigned));
                let new = [&signature[..], &made[..]].concat();
                (Bytes::copy_from_slice(&signature), Some(new.into()))
            }
        };
        let envelope = OriginatorEnvelope {
            unsigned_originator_envelope: unsigned,
            proof: Some(Proof::OriginatorSignature(RecoverableEcdsaSignature {
                bytes: signature,
            })),
        };
        Ok((envelope, new))
    }
}

/// The address that signed `client_envelope` as payer for `target`; `None` if the signature is
/// not one.
pub(crate) fn payer_of(target: u32, client_envelope: &[u8], signature: &[u8]) -> Option<[u8; 20]> {
    recover(&payer_digest(target, client_envelope), signature)
}

fn recover(digest: &[u8; 32], bytes: &[u8]) -> Option<[u8; 20]> {
    let (signature, recovery) = bytes
        .split_last_chunk::<1>()
        .filter(|(rs, _)| rs.len() == 64)?;
    let signature = Signature::from_slice(signature).ok()?;
    let recovery = RecoveryId::from_byte(recovery[0])?;
    let key = VerifyingKey::recover_from_prehash(digest, &signature, recovery).ok()?;
    Some(address_of(&key))
}

/// What a payer signs: the target node and the client envelope.
fn payer_digest(target: u32, client_envelope: &[u8]) -> [u8; 32] {
    Keccak256::new()
        .chain_update(b"target|")
        .chain_update(target.to_be_bytes())
        .chain_update(b"payer|")
        .chain_update(client_envelope)
        .finalize()
        .into()
}

/// What an originator signs.
fn originator_digest(unsigned: &[u8]) -> [u8; 32] {
    Keccak256::new()
        .chain_update(b"originator|")
        .chain_update(unsigned)
        .finalize()
        .into()
}

fn address_of(key: &VerifyingKey) -> [u8; 20] {
    let point = key.to_encoded_point(false);
    let digest = Keccak256::digest(&point.as_bytes()[1..]);
    digest[12..].try_into().expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> NodeKey {
        NodeKey::from_bytes(&[0x11; 32]).unwrap()
    }

    #[test]
    fn a_key_has_the_address_that_wallets_show() {
        assert_eq!(
            hex::encode(key().address()),
            "19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
        );
    }

    #[test]
    fn a_payer_is_recovered_from_its_signature() {
        let signature = key().sign(&payer_digest(100, b"envelope"));
        assert_eq!(
            payer_of(100, b"envelope", &signature),
            Some(key().address())
        );
        assert_ne!(
            payer_of(200, b"envelope", &signature),
            Some(key().address())
        );
        assert_eq!(payer_of(100, b"envelope", &signature[..64]), None);
    }

    #[test]
    fn a_key_does_not_print() {
        let printed = format!("{:?}", key());
        assert!(!printed.contains("1111"), "{printed}");
    }
}

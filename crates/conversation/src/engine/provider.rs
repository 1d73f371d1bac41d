//! What openmls calls: cryptography, randomness, storage.
//!
//! Cryptography is RustCrypto's, with one change: where it would draw its own randomness, the
//! caller's is used. So an operation is a function of its arguments, and a run with a fixed seed
//! repeats itself to the byte.

use std::sync::LazyLock;

use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    OpenMlsProvider,
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    types::{
        AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext,
        HpkeConfig, HpkeKdfType, HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
    },
};
use parking_lot::Mutex;
use rand::{CryptoRng, Rng as _, SeedableRng as _, rngs::StdRng};
use tls_codec::SecretVLBytes;
use zeroize::Zeroizing;

use super::rows::Rows;
use crate::hpke::{Kem, Schedule};

/// Everything that openmls needs from outside for one group.
#[derive(Default)]
pub(crate) struct Provider {
    crypto: Crypto,
    pub(crate) rows: Rows,
}

impl Provider {
    pub(crate) fn new(rows: Rows) -> Self {
        Self {
            crypto: Crypto::default(),
            rows,
        }
    }

    /// Lets the next operation draw from `entropy`.
    pub(crate) fn draw_from(&self, entropy: &mut dyn CryptoRng) {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill_bytes(&mut *seed);
        *self.crypto.random.lock() = Some(StdRng::from_seed(*seed));
    }

    /// Forgets what was only kept because the same operation may need it once more.
    pub(crate) fn tidy(&self) {
        self.crypto.schedule.lock().take();
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = Rows;

    fn storage(&self) -> &Rows {
        &self.rows
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

/// Cryptography with the caller's randomness.
#[derive(Default)]
pub(crate) struct Crypto {
    random: Mutex<Option<StdRng>>,
    /// What something was last encrypted about, and what follows from it: a commit encrypts about
    /// the same to everybody.
    schedule: Mutex<Option<(Vec<u8>, Schedule)>>,
}

impl Crypto {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        let mut random = self.random.lock();
        random.as_mut().ok_or(NoEntropy)?.fill_bytes(bytes);
        Ok(())
    }

    fn schedule(&self, info: &[u8]) -> Schedule {
        let mut last = self.schedule.lock();
        if let Some((about, schedule)) = &*last
            && about == info
        {
            return schedule.clone();
        }
        let schedule = Schedule::new(Kem::X25519, info);
        *last = Some((info.to_vec(), schedule.clone()));
        schedule
    }
}

/// An operation drew randomness although its caller gave none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("randomness was needed where none was given")]
pub(crate) struct NoEntropy;

impl OpenMlsRand for Crypto {
    type Error = NoEntropy;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], NoEntropy> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn random_vec(&self, length: usize) -> Result<Vec<u8>, NoEntropy> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

impl OpenMlsCrypto for Crypto {
    fn hpke_seal(
        &self,
        config: HpkeConfig,
        public_key: &[u8],
        info: &[u8],
        aad: &[u8],
        text: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        if !is_suite_3(&config) {
            return Err(CryptoError::UnsupportedCiphersuite);
        }
        let mut seed = Zeroizing::new([0; 64]);
        self.fill(&mut seed[..32])
            .map_err(|_| CryptoError::InsufficientRandomness)?;
        let (sent, mut context) = self
            .schedule(info)
            .send(public_key, &seed)
            .map_err(|_| CryptoError::HpkeEncryptionError)?;
        Ok(HpkeCiphertext {
            kem_output: sent.into(),
            ciphertext: context.seal(aad, text).into(),
        })
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        secret: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        if !is_suite_3(&config) {
            return Err(CryptoError::UnsupportedCiphersuite);
        }
        let secret = secret
            .try_into()
            .map(Zeroizing::new)
            .map_err(|_| CryptoError::InvalidLength)?;
        Kem::X25519
            .receive(input.kem_output.as_slice(), &secret, info)
            .and_then(|mut context| context.open(aad, input.ciphertext.as_slice()))
            .map_err(|_| CryptoError::HpkeDecryptionError)
    }

    // Only external commits and fresh signature keys would come here, and there are none.

    fn hpke_setup_sender_and_export(
        &self,
        _: HpkeConfig,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        Err(CryptoError::UnsupportedCiphersuite)
    }

    fn signature_key_gen(&self, _: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        RUST_CRYPTO.supports(suite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        RUST_CRYPTO.supported_ciphersuites()
    }

    fn hkdf_extract(
        &self,
        hash: HashType,
        salt: &[u8],
        secret: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        RUST_CRYPTO.hkdf_extract(hash, salt, secret)
    }

    fn hmac(
        &self,
        hash: HashType,
        key: &[u8],
        message: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        RUST_CRYPTO.hmac(hash, key, message)
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        secret: &[u8],
        info: &[u8],
        length: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        RUST_CRYPTO.hkdf_expand(hash, secret, info, length)
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        RUST_CRYPTO.hash(hash, data)
    }

    fn aead_encrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        text: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        RUST_CRYPTO.aead_encrypt(aead, key, text, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        sealed: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        RUST_CRYPTO.aead_decrypt(aead, key, sealed, nonce, aad)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        key: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        RUST_CRYPTO.verify_signature(scheme, data, key, signature)
    }

    fn sign(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        key: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        RUST_CRYPTO.sign(scheme, data, key)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        sent: &[u8],
        secret: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        RUST_CRYPTO.hpke_setup_receiver_and_export(config, sent, secret, info, context, length)
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        input: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        RUST_CRYPTO.derive_hpke_keypair(config, input)
    }
}

/// Whether this is the HPKE of the suite 0x0003, in which all of XMTP's groups are.
fn is_suite_3(config: &HpkeConfig) -> bool {
    matches!(
        config,
        HpkeConfig(
            HpkeKemType::DhKem25519,
            HpkeKdfType::HkdfSha256,
            HpkeAeadType::ChaCha20Poly1305,
        )
    )
}

static RUST_CRYPTO: LazyLock<RustCrypto> = LazyLock::new(RustCrypto::default);

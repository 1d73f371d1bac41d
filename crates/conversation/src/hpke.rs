//! Encryption to a public key: HPKE in base mode with HKDF-SHA256 and ChaCha20-Poly1305.
//!
//! Made here and not by a library for two reasons. XMTP wraps welcomes with X-Wing under the code
//! point 0x004D, which libraries have dropped for 0x647A, and the code point goes into the keys.
//! And a library draws its own randomness, while the callers here pass theirs.
//!
//! X25519 keys of low order are taken, against RFC 9180 §7.1.4. Official clients take them, so
//! refusing a commit over one would fork the group, and refusing to encrypt to one would let a
//! single member block every commit of the others. Who has such a key exposes only what reaches
//! that key, which its owner could tell anybody anyway.
//!
//! Specification: RFC 9180 §4 (KEM), §5.1 (key schedule), §5.2 (encryption). X-Wing:
//! draft-connolly-cfrg-xwing-kem, its final construction.

use chacha20poly1305::{AeadInPlace as _, ChaCha20Poly1305, KeyInit as _};
use hkdf::{Hkdf, HkdfExtract};
use sha2::Sha256;
use x_wing::{Decapsulate as _, KeyExport as _, TryKeyInit as _, kem::Decapsulator as _};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// How a shared secret is put into a public key's lock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kem {
    /// DHKEM(X25519, HKDF-SHA256): keys of 32 bytes, 32 bytes sent.
    X25519,
    /// X-Wing as XMTP numbers it: public keys of 1216 bytes, secret ones of 32, 1120 bytes sent.
    XWing,
}

/// One direction of a channel between a sender and the owner of a key; counts what it sealed or
/// opened.
pub(crate) struct Context {
    cipher: ChaCha20Poly1305,
    base_nonce: Zeroizing<[u8; 12]>,
    sequence: u64,
}

/// What all channels under the same `info` have in common (§5.1). Whoever encrypts one thing to many
/// people makes it once: for a welcome, `info` has the size of the whole tree, and hashing that for
/// everybody anew took more time than all keys together.
#[derive(Clone)]
pub(crate) struct Schedule {
    kem: Kem,
    /// The mode, then the hashes of the key's id (there is none) and of `info`.
    context: [u8; 65],
}

/// Why a key or a ciphertext is of no use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum HpkeError {
    /// The public key has the wrong length or is none.
    #[error("the recipient's public key is malformed")]
    PublicKey,
    /// The encapsulated secret has the wrong length or is none.
    #[error("the encapsulated key is malformed")]
    Encapsulation,
    /// The ciphertext was made for another key, under another label, or was changed.
    #[error("the ciphertext does not open with this key")]
    Open,
}

impl Kem {
    /// The public key that belongs to a secret one.
    pub(crate) fn public_key(self, secret: &[u8; 32]) -> Vec<u8> {
        match self {
            Self::X25519 => PublicKey::from(&StaticSecret::from(*secret))
                .to_bytes()
                .to_vec(),
            Self::XWing => x_wing::DecapsulationKey::from(*secret)
                .encapsulation_key()
                .to_bytes()
                .to_vec(),
        }
    }

    /// Whether this is a public key.
    pub(crate) fn accepts(self, public_key: &[u8]) -> bool {
        match self {
            Self::X25519 => public_key.len() == 32,
            Self::XWing => x_wing::EncapsulationKey::new_from_slice(public_key).is_ok(),
        }
    }

    /// Begins a channel to the owner of `public_key`: [`Schedule::send`] for a single one.
    #[cfg(test)]
    pub(crate) fn send(
        self,
        public_key: &[u8],
        info: &[u8],
        seed: &[u8; 64],
    ) -> Result<(Vec<u8>, Context), HpkeError> {
        Schedule::new(self, info).send(public_key, seed)
    }

    /// Takes up the channel that a sender began with [`Schedule::send`].
    pub(crate) fn receive(
        self,
        sent: &[u8],
        secret: &[u8; 32],
        info: &[u8],
    ) -> Result<Context, HpkeError> {
        match self {
            Self::X25519 => {
                let sent: [u8; 32] = sent.try_into().map_err(|_| HpkeError::Encapsulation)?;
                let secret = StaticSecret::from(*secret);
                let own = PublicKey::from(&secret).to_bytes();
                let shared = secret.diffie_hellman(&sent.into());
                let shared = dh_kem_secret(shared.as_bytes(), &sent, &own);
                Ok(Schedule::new(self, info).begin(&*shared))
            }
            Self::XWing => {
                let sent =
                    x_wing::Ciphertext::try_from(sent).map_err(|_| HpkeError::Encapsulation)?;
                let shared = x_wing::DecapsulationKey::from(*secret).decapsulate(&sent);
                Ok(Schedule::new(self, info).begin(&shared))
            }
        }
    }

    /// The identifier of the whole suite in the key schedule (§5.1).
    fn suite(self) -> [u8; 10] {
        let [high, low] = match self {
            Self::X25519 => 0x0020_u16,
            Self::XWing => 0x004d,
        }
        .to_be_bytes();
        [b'H', b'P', b'K', b'E', high, low, 0, 1, 0, 3]
    }
}

impl Schedule {
    /// The schedule of channels that are about `info`.
    pub(crate) fn new(kem: Kem, info: &[u8]) -> Self {
        let suite = kem.suite();
        let mut context = [MODE_BASE; 65];
        context[1..33].copy_from_slice(&*extract(&suite, b"", b"psk_id_hash", b""));
        context[33..].copy_from_slice(&*extract(&suite, b"", b"info_hash", info));
        Self { kem, context }
    }

    /// Begins a channel to the owner of `public_key`. Returns what the owner needs, and the
    /// channel. `seed` must be fresh randomness.
    pub(crate) fn send(
        &self,
        public_key: &[u8],
        seed: &[u8; 64],
    ) -> Result<(Vec<u8>, Context), HpkeError> {
        match self.kem {
            Kem::X25519 => {
                let public_key: [u8; 32] =
                    public_key.try_into().map_err(|_| HpkeError::PublicKey)?;
                let mut secret = Zeroizing::new([0; 32]);
                secret.copy_from_slice(&seed[..32]);
                let secret = StaticSecret::from(*secret);
                let sent = PublicKey::from(&secret).to_bytes();
                let shared = secret.diffie_hellman(&public_key.into());
                let shared = dh_kem_secret(shared.as_bytes(), &sent, &public_key);
                Ok((sent.to_vec(), self.begin(&*shared)))
            }
            Kem::XWing => {
                let key = x_wing::EncapsulationKey::new_from_slice(public_key)
                    .map_err(|_| HpkeError::PublicKey)?;
                let (sent, shared) = key.encapsulate_deterministic(&(*seed).into());
                Ok((sent.to_vec(), self.begin(&shared)))
            }
        }
    }

    /// The channel that has this secret.
    fn begin(&self, shared: &[u8]) -> Context {
        let suite = self.kem.suite();
        let secret = extract(&suite, shared, b"secret", b"");
        let key = expand::<32>(&suite, &secret, b"key", &self.context);
        Context {
            cipher: ChaCha20Poly1305::new((&*key).into()),
            base_nonce: expand(&suite, &secret, b"base_nonce", &self.context),
            sequence: 0,
        }
    }
}

impl Context {
    /// Seals the next text.
    pub(crate) fn seal(&mut self, aad: &[u8], text: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(text.len() + TAG_BYTES);
        sealed.extend_from_slice(text);
        let nonce = self.next_nonce();
        self.cipher
            .encrypt_in_place((&nonce).into(), aad, &mut sealed)
            .expect("texts are far below the limit of 256 GB");
        sealed
    }

    /// Opens the next text.
    pub(crate) fn open(&mut self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, HpkeError> {
        let mut text = sealed.to_vec();
        let nonce = self.next_nonce();
        self.cipher
            .decrypt_in_place((&nonce).into(), aad, &mut text)
            .map_err(|_| HpkeError::Open)?;
        Ok(text)
    }

    fn next_nonce(&mut self) -> [u8; 12] {
        let mut nonce = *self.base_nonce;
        for (byte, count) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= count;
        }
        self.sequence += 1;
        nonce
    }
}

/// What DHKEM makes of a Diffie-Hellman result (§4.1).
fn dh_kem_secret(shared: &[u8; 32], sent: &[u8; 32], recipient: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    const SUITE: [u8; 5] = [b'K', b'E', b'M', 0x00, 0x20];
    let secret = extract(&SUITE, b"", b"eae_prk", shared);
    expand(
        &SUITE,
        &secret,
        b"shared_secret",
        &[*sent, *recipient].concat(),
    )
}

/// LabeledExtract of §4.
fn extract(suite: &[u8], salt: &[u8], label: &[u8], secret: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut input = HkdfExtract::<Sha256>::new(Some(salt));
    for part in [b"HPKE-v1", suite, label, secret] {
        input.input_ikm(part);
    }
    let (extracted, _) = input.finalize();
    Zeroizing::new(extracted.into())
}

/// LabeledExpand of §4.
fn expand<const N: usize>(
    suite: &[u8],
    secret: &[u8; 32],
    label: &[u8],
    info: &[u8],
) -> Zeroizing<[u8; N]> {
    let length = u16::try_from(N).expect("keys are short").to_be_bytes();
    let mut output = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::from_prk(secret)
        .expect("32 bytes are one hash")
        .expand_multi_info(&[&length, b"HPKE-v1", suite, label, info], &mut *output)
        .expect("keys are shorter than 255 hashes");
    output
}

const MODE_BASE: u8 = 0;
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_the_same_order() {
        for kem in [Kem::X25519, Kem::XWing] {
            let secret = [7; 32];
            let (sent, mut sender) = kem
                .send(&kem.public_key(&secret), b"info", &[9; 64])
                .unwrap();
            let one = sender.seal(b"", b"one");
            let two = sender.seal(b"aad", b"two");
            let mut receiver = kem.receive(&sent, &secret, b"info").unwrap();
            assert_eq!(receiver.open(b"", &one).unwrap(), b"one");
            assert_eq!(receiver.open(b"aad", &two).unwrap(), b"two");

            let mut late = kem.receive(&sent, &secret, b"info").unwrap();
            assert_eq!(late.open(b"aad", &two), Err(HpkeError::Open));
            let mut other = kem.receive(&sent, &secret, b"other").unwrap();
            assert_eq!(other.open(b"", &one), Err(HpkeError::Open));
        }
    }

    #[test]
    fn x25519_agrees_with_the_vector_of_the_rfc() {
        // RFC 9180 A.2.1 has this suite: DHKEM(X25519), HKDF-SHA256, ChaCha20-Poly1305.
        let info = hex::decode("4f6465206f6e2061204772656369616e2055726e").unwrap();
        let secret =
            hex::decode("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let secret: [u8; 32] = secret.unwrap().try_into().unwrap();
        let sent = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
        let sent = hex::decode(sent).unwrap();
        let sealed = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28";
        let text = Kem::X25519
            .receive(&sent, &secret, &info)
            .unwrap()
            .open(b"Count-0", &hex::decode(sealed).unwrap())
            .unwrap();
        assert_eq!(text, b"Beauty is truth, truth beauty");
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        for kem in [Kem::X25519, Kem::XWing] {
            assert_eq!(
                kem.send(&[1; 1215], b"", &[9; 64]).err(),
                Some(HpkeError::PublicKey)
            );
            assert_eq!(
                kem.receive(&[1; 12], &[7; 32], b"").err(),
                Some(HpkeError::Encapsulation)
            );
        }
    }
}

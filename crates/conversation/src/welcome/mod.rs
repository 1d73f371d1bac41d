//! Welcomes as they travel: the MLS welcome wrapped once more for each installation.
//!
//! [`PreparedWelcome::seal`] makes the envelopes of one commit; when three or more of those who
//! are added understand it, one envelope holds the welcome under a random key, and the others
//! get a short pointer to it (XIP-74). [`Opened::open`] is the other direction, and
//! [`StagedJoin`] leads from an opened welcome into the group.
//!
//! The wrapper is HPKE to the key that the key package names: X-Wing or, without one, the key
//! package's own X25519 init key. One context seals two texts: the welcome, then its metadata.

mod join;

use std::fmt;

use bytes::Bytes;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, aead::Aead as _};
use prost::Message as _;
use rand::CryptoRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use folkmoot_wire::{
    InstallationKey,
    proto::xmtp::mls::{
        api::v1::{
            WelcomeMessage, WelcomeMessageInput, WelcomeMetadata, WelcomePointerWrapperAlgorithm,
            WelcomeWrapperAlgorithm, welcome_message, welcome_message_input,
        },
        message_contents::{
            WelcomePointeeEncryptionAeadType, WelcomePointeeEncryptionAeadTypesExtension,
            WelcomePointer as PointerMessage, WelcomeWrapperEncryption,
            welcome_pointer::{Version, WelcomeV1Pointer},
        },
    },
};

use crate::{
    InvalidKeyPackageSecrets, KeyPackage, KeyPackageSecrets, LayoutError,
    engine::rows::{decode, encode},
    hpke::{HpkeError, Kem, Schedule},
    layout::Reader,
};

pub use join::StagedJoin;

/// Somebody whom a commit adds, and how a welcome is wrapped for them.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Invitation {
    installation: [u8; 32],
    x_wing: bool,
    key: Vec<u8>,
    takes_pointers: bool,
}

impl Invitation {
    /// Reads off a key package how a welcome is to be wrapped.
    ///
    /// # Errors
    ///
    /// [`WelcomeError::Wrapper`] when the key package names a key or an algorithm that cannot be
    /// used: nobody can invite this installation.
    pub fn to(package: &KeyPackage) -> Result<Self, WelcomeError> {
        let (x_wing, key) = match &package.wrapper {
            None => (false, package.init_key.clone()),
            Some(data) => {
                let wrapper = WelcomeWrapperEncryption::decode(data.as_slice())
                    .map_err(|_| WelcomeError::Wrapper)?;
                (
                    kem(wrapper.algorithm)? == Kem::XWing,
                    wrapper.pub_key.to_vec(),
                )
            }
        };
        let kem = if x_wing { Kem::XWing } else { Kem::X25519 };
        if !kem.accepts(&key) {
            return Err(WelcomeError::Wrapper);
        }
        // Pointers are wrapped by X-Wing alone: their enum has no number for X25519.
        let announced = package.pointee.as_ref().is_some_and(|data| {
            WelcomePointeeEncryptionAeadTypesExtension::decode(data.as_slice()).is_ok_and(|types| {
                let chacha = i32::from(WelcomePointeeEncryptionAeadType::Chacha20Poly1305);
                types.supported_aead_types.contains(&chacha)
            })
        });
        Ok(Self {
            installation: *package.installation_key.as_bytes(),
            x_wing,
            key,
            takes_pointers: x_wing && announced,
        })
    }

    /// Who is invited.
    #[must_use]
    pub const fn installation(&self) -> InstallationKey {
        InstallationKey::from_bytes(self.installation)
    }

    /// Seals two texts in one context. The first comes with the framing of an `HPKECiphertext`,
    /// the second without any. `seed` must be fresh randomness.
    fn seal(&self, first: &[u8], second: &[u8], seed: &[u8; 64]) -> (Vec<u8>, Vec<u8>) {
        let (sent, mut context) = Schedule::new(self.kem(), INFO)
            .send(&self.key, seed)
            .expect("the key was checked when the invitation was made");
        let first = context.seal(b"", first);
        let mut framed = Vec::with_capacity(sent.len() + first.len() + 6);
        push_opaque(&mut framed, &sent);
        push_opaque(&mut framed, &first);
        (framed, context.seal(b"", second))
    }

    /// An envelope with the welcome itself.
    fn wrap(
        &self,
        message: &[u8],
        metadata: &[u8],
        seed: &[u8; 64],
    ) -> welcome_message_input::Version {
        let (data, welcome_metadata) = self.seal(message, metadata, seed);
        let wrapper_algorithm = match self.kem() {
            Kem::X25519 => WelcomeWrapperAlgorithm::Curve25519,
            Kem::XWing => WelcomeWrapperAlgorithm::XwingMlkem768Draft6,
        };
        welcome_message_input::Version::V1(welcome_message_input::V1 {
            installation_key: self.installation.to_vec().into(),
            data: data.into(),
            hpke_public_key: self.key.clone().into(),
            wrapper_algorithm: wrapper_algorithm.into(),
            welcome_metadata: welcome_metadata.into(),
        })
    }

    /// An envelope with the place where the welcome lies.
    fn point(&self, pointer: &[u8], seed: &[u8; 64]) -> welcome_message_input::Version {
        let (welcome_pointer, _) = self.seal(pointer, b"", seed);
        let wrapper_algorithm = WelcomePointerWrapperAlgorithm::XwingMlkem768Draft6;
        welcome_message_input::Version::WelcomePointer(welcome_message_input::WelcomePointer {
            installation_key: self.installation.to_vec().into(),
            welcome_pointer: welcome_pointer.into(),
            hpke_public_key: self.key.clone().into(),
            wrapper_algorithm: wrapper_algorithm.into(),
        })
    }

    const fn kem(&self) -> Kem {
        if self.x_wing { Kem::XWing } else { Kem::X25519 }
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Invitation")
            .field("installation", &self.installation())
            .field("kem", &self.kem())
            .field("takes_pointers", &self.takes_pointers)
            .finish_non_exhaustive()
    }
}

/// The welcome of a commit and those whom it is for. It is sent once the commit is ordered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PreparedWelcome {
    format: u8,
    /// The `MLSMessage`.
    pub(crate) message: Vec<u8>,
    pub(crate) invitations: Vec<Invitation>,
}

impl PreparedWelcome {
    /// A welcome (`MLSMessage`) for these. `Group::commit` is where one comes from.
    #[must_use]
    pub const fn new(message: Vec<u8>, invitations: Vec<Invitation>) -> Self {
        Self {
            format: FORMAT,
            message,
            invitations,
        }
    }

    /// Who is invited.
    #[must_use]
    pub fn invitations(&self) -> &[Invitation] {
        &self.invitations
    }

    /// The same as one value to store. It holds no secrets.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self).expect("bytes can be encoded").to_vec()
    }

    /// Reads a stored value.
    ///
    /// # Errors
    ///
    /// [`WelcomeError::Stored`] when the bytes were not written by [`PreparedWelcome::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WelcomeError> {
        decode(bytes)
            .ok()
            .filter(|welcome: &Self| welcome.format == FORMAT)
            .ok_or(WelcomeError::Stored)
    }

    /// Wraps the welcome for everybody. `cursor` is the place of the commit in the group's log,
    /// from which a joiner reads on. The order matters: an envelope to which others point comes
    /// first.
    #[must_use]
    pub fn seal(&self, cursor: u64, entropy: &mut dyn CryptoRng) -> Vec<WelcomeMessageInput> {
        let metadata = WelcomeMetadata {
            message_cursor: cursor,
        }
        .encode_to_vec();
        let takers = self
            .invitations
            .iter()
            .filter(|invitation| invitation.takes_pointers)
            .count();
        let mut envelopes = Vec::with_capacity(self.invitations.len() + 1);
        let pointer = (takers > POINTERS_ABOVE).then(|| {
            let (pointee, pointer) = point(&self.message, &metadata, entropy);
            envelopes.push(pointee);
            pointer
        });
        let seeds = self.invitations.iter().map(|_| {
            let mut seed = Zeroizing::new([0; 64]);
            entropy.fill_bytes(&mut *seed);
            seed
        });
        let seeds: Vec<_> = seeds.collect();
        // A tenth of a millisecond for each: all processors share it.
        let wrapped = self.invitations.par_iter().zip(seeds);
        let wrapped = wrapped.map(|(invitation, seed)| WelcomeMessageInput {
            version: Some(match &pointer {
                Some(pointer) if invitation.takes_pointers => invitation.point(pointer, &seed),
                _ => invitation.wrap(&self.message, &metadata, &seed),
            }),
        });
        envelopes.par_extend(wrapped);
        envelopes
    }
}

/// The key to which a welcome is wrapped, by which its receiver finds the secrets.
#[must_use]
pub fn wrapped_to(message: &WelcomeMessage) -> Option<&[u8]> {
    match message.version.as_ref()? {
        welcome_message::Version::V1(message) => Some(&message.hpke_public_key),
        welcome_message::Version::WelcomePointer(message) => Some(&message.hpke_public_key),
    }
}

/// What was inside an envelope.
#[derive(Debug)]
pub enum Opened {
    /// The welcome itself.
    Welcome(OpenedWelcome),
    /// The place where the welcome lies.
    Pointer(WelcomePointer),
}

impl Opened {
    /// Opens an envelope that was wrapped for one of our key packages.
    ///
    /// # Errors
    ///
    /// [`WelcomeError`]; none of its causes goes away by trying again.
    pub fn open(
        message: &WelcomeMessage,
        secrets: &KeyPackageSecrets,
    ) -> Result<Self, WelcomeError> {
        match message.version.as_ref().ok_or(WelcomeError::Empty)? {
            welcome_message::Version::V1(message) => {
                let kem = kem(message.wrapper_algorithm)?;
                let (welcome, metadata) =
                    unwrap(kem, secrets, &message.data, &message.welcome_metadata)?;
                OpenedWelcome::new(welcome, &metadata).map(Self::Welcome)
            }
            welcome_message::Version::WelcomePointer(message) => {
                let x_wing = i32::from(WelcomePointerWrapperAlgorithm::XwingMlkem768Draft6);
                if message.wrapper_algorithm != x_wing {
                    return Err(WelcomeError::Algorithm(message.wrapper_algorithm));
                }
                let (pointer, _) = unwrap(Kem::XWing, secrets, &message.welcome_pointer, b"")?;
                WelcomePointer::decode(&pointer).map(Self::Pointer)
            }
        }
    }
}

/// A welcome without its wrapper.
#[derive(Clone, Eq, PartialEq)]
pub struct OpenedWelcome {
    pub(crate) message: Vec<u8>,
    message_cursor: u64,
}

impl OpenedWelcome {
    fn new(message: Vec<u8>, metadata: &[u8]) -> Result<Self, WelcomeError> {
        // Without metadata this decodes to 0, which is what it then means.
        let metadata = WelcomeMetadata::decode(metadata).map_err(|_| WelcomeError::Metadata)?;
        Ok(Self {
            message,
            message_cursor: metadata.message_cursor,
        })
    }

    /// The place in the group's log of the commit that added us; 0 when the sender did not say.
    #[must_use]
    pub const fn message_cursor(&self) -> u64 {
        self.message_cursor
    }
}

impl fmt::Debug for OpenedWelcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenedWelcome")
            .field("bytes", &self.message.len())
            .field("message_cursor", &self.message_cursor)
            .finish()
    }
}

/// The place of a welcome that was sent once for many, and what opens it.
pub struct WelcomePointer {
    destination: [u8; 32],
    key: Zeroizing<[u8; 32]>,
    data_nonce: [u8; 12],
    metadata_nonce: [u8; 12],
}

impl WelcomePointer {
    fn decode(bytes: &[u8]) -> Result<Self, WelcomeError> {
        let message =
            PointerMessage::decode(bytes).map_err(|_| WelcomeError::Pointer("message"))?;
        let Some(Version::WelcomeV1Pointer(pointer)) = message.version else {
            return Err(WelcomeError::Pointer("version"));
        };
        let chacha = i32::from(WelcomePointeeEncryptionAeadType::Chacha20Poly1305);
        if pointer.aead_type != chacha {
            return Err(WelcomeError::Pointer("aead_type"));
        }
        Ok(Self {
            destination: fixed(&pointer.destination, "destination")?,
            key: fixed(&pointer.encryption_key, "encryption_key").map(Zeroizing::new)?,
            data_nonce: fixed(&pointer.data_nonce, "data_nonce")?,
            metadata_nonce: fixed(&pointer.welcome_metadata_nonce, "welcome_metadata_nonce")?,
        })
    }

    /// Where the welcome lies: ask the network for the welcomes of this installation, which does
    /// not exist, and take the first.
    #[must_use]
    pub const fn destination(&self) -> InstallationKey {
        InstallationKey::from_bytes(self.destination)
    }

    /// Opens what lies there.
    ///
    /// # Errors
    ///
    /// [`WelcomeError::PointerToPointer`] when it is no welcome itself, else what is wrong with
    /// it.
    pub fn open(&self, pointee: &WelcomeMessage) -> Result<OpenedWelcome, WelcomeError> {
        let Some(welcome_message::Version::V1(pointee)) = &pointee.version else {
            return Err(WelcomeError::PointerToPointer);
        };
        let symmetric = i32::from(WelcomeWrapperAlgorithm::SymmetricKey);
        if pointee.wrapper_algorithm != symmetric {
            return Err(WelcomeError::Algorithm(pointee.wrapper_algorithm));
        }
        let cipher = ChaCha20Poly1305::new((&*self.key).into());
        let open = |nonce: &[u8; 12], sealed: &[u8]| {
            cipher
                .decrypt(nonce.into(), sealed)
                .map_err(|_| WelcomeError::Hpke(HpkeError::Open.to_string()))
        };
        let welcome = open(&self.data_nonce, &pointee.data)?;
        let metadata = match &pointee.welcome_metadata[..] {
            [] => Vec::new(),
            sealed => open(&self.metadata_nonce, sealed)?,
        };
        OpenedWelcome::new(welcome, &metadata)
    }
}

impl fmt::Debug for WelcomePointer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WelcomePointer")
            .field("destination", &self.destination())
            .finish_non_exhaustive()
    }
}

/// Why a welcome cannot be wrapped or unwrapped.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WelcomeError {
    /// The key package's extension 0xff03 does not decode, or its key is none.
    #[error("the key package names an unusable key for welcomes (extension 0xff03)")]
    Wrapper,
    /// The stored welcome does not decode.
    #[error("the stored welcome is unreadable")]
    Stored,
    /// The envelope is of a kind that is not known.
    #[error("version of the welcome is not set")]
    Empty,
    /// The algorithm has another use, or none.
    #[error("wrapper_algorithm is {0}, which does not belong here")]
    Algorithm(i32),
    /// The framing around the ciphertext does not hold.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The ciphertext does not open.
    #[error("the welcome does not open: {0}")]
    Hpke(String),
    /// The secrets of the key package are damaged.
    #[error(transparent)]
    Secrets(#[from] InvalidKeyPackageSecrets),
    /// What was sealed beside the welcome does not decode.
    #[error("welcome_metadata is not a WelcomeMetadata message")]
    Metadata,
    /// A field of the pointer is missing, unknown or has the wrong length.
    #[error("{0} of the welcome pointer is unusable")]
    Pointer(&'static str),
    /// The pointer does not lead to a welcome.
    #[error("the welcome pointer leads to another pointer or to nothing")]
    PointerToPointer,
}

/// Puts a welcome under a fresh key. Returns its envelope and the pointer to it.
fn point(
    welcome: &[u8],
    metadata: &[u8],
    entropy: &mut dyn CryptoRng,
) -> (WelcomeMessageInput, Zeroizing<Vec<u8>>) {
    let mut destination = [0; 32];
    entropy.fill_bytes(&mut destination);
    let mut key = Zeroizing::new([0; 32]);
    entropy.fill_bytes(&mut *key);
    // Two nonces of one key must differ.
    let mut data_nonce = [0; 12];
    entropy.fill_bytes(&mut data_nonce);
    let mut welcome_metadata_nonce = data_nonce;
    while welcome_metadata_nonce == data_nonce {
        entropy.fill_bytes(&mut welcome_metadata_nonce);
    }
    let cipher = ChaCha20Poly1305::new((&*key).into());
    let seal = |nonce: &[u8; 12], text: &[u8]| {
        cipher
            .encrypt(nonce.into(), text)
            .expect("welcomes are far below the limit of 256 GB")
    };
    let envelope = WelcomeMessageInput {
        version: Some(welcome_message_input::Version::V1(
            welcome_message_input::V1 {
                installation_key: destination.to_vec().into(),
                data: seal(&data_nonce, welcome).into(),
                hpke_public_key: Bytes::new(),
                wrapper_algorithm: WelcomeWrapperAlgorithm::SymmetricKey.into(),
                welcome_metadata: seal(&welcome_metadata_nonce, metadata).into(),
            },
        )),
    };
    let pointer = PointerMessage {
        version: Some(Version::WelcomeV1Pointer(WelcomeV1Pointer {
            destination: destination.to_vec().into(),
            aead_type: WelcomePointeeEncryptionAeadType::Chacha20Poly1305.into(),
            encryption_key: key.to_vec().into(),
            data_nonce: data_nonce.to_vec().into(),
            welcome_metadata_nonce: welcome_metadata_nonce.to_vec().into(),
        })),
    };
    (envelope, Zeroizing::new(pointer.encode_to_vec()))
}

/// Opens an `HPKECiphertext` and, in the same context, a second text unless it is empty.
fn unwrap(
    kem: Kem,
    secrets: &KeyPackageSecrets,
    data: &[u8],
    second: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), WelcomeError> {
    let mut reader = Reader::new(data);
    let sent = reader.opaque("data.kem_output")?;
    let first = reader.opaque("data.ciphertext")?;
    reader.finish()?;
    let secret = match kem {
        Kem::X25519 => &secrets.init_secret()?,
        Kem::XWing => secrets.wrapper_seed(),
    };
    let hpke = |cause: HpkeError| WelcomeError::Hpke(cause.to_string());
    let mut context = kem.receive(sent, secret, INFO).map_err(hpke)?;
    let first = context.open(b"", first).map_err(hpke)?;
    let second = match second {
        [] => Vec::new(),
        second => context.open(b"", second).map_err(hpke)?,
    };
    Ok((first, second))
}

/// By number. Official clients take every number that they do not know for X25519.
fn kem(algorithm: i32) -> Result<Kem, WelcomeError> {
    match WelcomeWrapperAlgorithm::try_from(algorithm) {
        Ok(WelcomeWrapperAlgorithm::XwingMlkem768Draft6) => Ok(Kem::XWing),
        Ok(WelcomeWrapperAlgorithm::SymmetricKey) => Err(WelcomeError::Algorithm(algorithm)),
        _ => Ok(Kem::X25519),
    }
}

fn fixed<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], WelcomeError> {
    bytes.try_into().map_err(|_| WelcomeError::Pointer(field))
}

/// Writes `opaque<V>` of RFC 9420 §2.1.2.
fn push_opaque(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("welcomes are shorter than a gigabyte");
    match length {
        0..0x40 => out.push(length as u8),
        0x40..0x4000 => out.extend_from_slice(&(length as u16 | 0x4000).to_be_bytes()),
        _ => out.extend_from_slice(&(length | 0x8000_0000).to_be_bytes()),
    }
    out.extend_from_slice(bytes);
}

/// An `EncryptContext` with the label "MLS 1.0 MLS_WELCOME" and an empty context.
const INFO: &[u8] = b"\x13MLS 1.0 MLS_WELCOME\x00";

/// A pointer is used when more than so many understand it.
const POINTERS_ABOVE: usize = 2;

const FORMAT: u8 = 1;

#[cfg(test)]
mod tests;

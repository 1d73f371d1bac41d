//! Key packages: how an installation lets others add it to groups.
//!
//! [`KeyPackageIn`] is what came from the network, [`KeyPackage`] what passed the checks.
//! XMTP stores a bare `KeyPackage` without an `MLSMessage` around it; its credential is a
//! Basic one whose identity is the protobuf message `MlsCredential`, which names an inbox.
//! Whether the inbox knows the installation is not asked here: an installation uploads its
//! key package before the inbox takes it in.
//!
//! Specification: RFC 9420 §7.2, §7.3, §10 and §10.1.

mod make;

use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use openmls::prelude as mls;
use openmls_rust_crypto::RustCrypto;
use prost::Message as _;
use tls_codec::Deserialize as _;

use folkmoot_wire::{InboxId, InstallationKey, proto::xmtp::identity::MlsCredential};

use crate::{
    engine::{Generation, profile},
    framing::MLS_1_0,
    layout::{LayoutError, Reader},
    structs::KeyPackageFields,
};

pub(crate) use make::lifetime;
pub use make::{InvalidKeyPackageSecrets, KeyPackageSecrets, NewKeyPackage};

/// A key package as the network delivered it: decoded, and nothing more.
#[derive(Clone, Debug)]
pub struct KeyPackageIn<'a> {
    fields: KeyPackageFields<'a>,
    decoded: mls::KeyPackageIn,
}

/// A key package that may be added to a group. [`KeyPackageIn::verify`] is the only way to
/// get one, so holding it is the proof that the checks passed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyPackage {
    /// The installation: the leaf node's Ed25519 signature key.
    pub installation_key: InstallationKey,
    /// The inbox for which the installation says that it speaks.
    pub inbox_id: InboxId,
    /// From when the key package is valid, in seconds since the Unix epoch.
    pub not_before: u64,
    /// Until when the key package is valid, in the same unit; this second is excluded.
    pub not_after: u64,
    /// Which groups the installation understands.
    pub generation: Generation,
    pub(crate) init_key: Vec<u8>,
    /// The data of extension 0xff03.
    pub(crate) wrapper: Option<Vec<u8>>,
    /// The data of extension 0xff04.
    pub(crate) pointee: Option<Vec<u8>>,
    /// As openmls took it; `None` when the lifetime does not hold by the machine's clock.
    package: Option<Box<mls::KeyPackage>>,
}

impl Eq for KeyPackage {}

impl KeyPackage {
    /// What openmls adds to groups, else the installation.
    pub(crate) fn into_mls(self) -> Result<mls::KeyPackage, InstallationKey> {
        self.package
            .map(|package| *package)
            .ok_or(self.installation_key)
    }
}

#[cfg(test)]
impl KeyPackage {
    /// The same with another key package for openmls, which was not verified.
    pub(crate) fn with_mls(self, package: mls::KeyPackage) -> Self {
        Self {
            package: Some(Box::new(package)),
            ..self
        }
    }
}

impl<'a> KeyPackageIn<'a> {
    /// Decodes a bare TLS `KeyPackage`, to the last byte.
    ///
    /// # Errors
    ///
    /// [`KeyPackageError::Layout`] when the bytes are cut short, go on after the end, or
    /// are not in their one canonical form; [`KeyPackageError::Version`] and
    /// [`KeyPackageError::CipherSuite`] when the rest cannot be judged; and
    /// [`KeyPackageError::Content`] when the inside of an extension does not decode.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, KeyPackageError> {
        let mut reader = Reader::new(bytes);
        let fields = KeyPackageFields::read(&mut reader)?;
        reader.finish()?;
        if fields.version != MLS_1_0 {
            return Err(KeyPackageError::Version(fields.version));
        }
        if fields.cipher_suite != CIPHER_SUITE {
            return Err(KeyPackageError::CipherSuite(fields.cipher_suite));
        }
        let decoded = mls::KeyPackageIn::tls_deserialize_exact(bytes)
            .map_err(|cause| KeyPackageError::Content(cause.to_string()))?;
        Ok(Self { fields, decoded })
    }

    /// Checks what RFC 9420 §10.1 and XMTP demand of a key package at the time `now`.
    ///
    /// `now` alone decides about the lifetime. openmls also compares it with the machine's
    /// clock, at the end of its checks; that outcome is set aside, so that a call with a
    /// given `now` has one answer.
    ///
    /// # Errors
    ///
    /// The variant of [`KeyPackageError`] that names the first check that failed.
    pub fn verify(self, now: SystemTime) -> Result<KeyPackage, KeyPackageError> {
        let installation_key = self.check_keys()?;
        let inbox_id = self.inbox_id()?;
        self.check_capabilities()?;
        let (not_before, not_after) = self
            .fields
            .leaf_node
            .lifetime
            .ok_or(KeyPackageError::NotForKeyPackage)?;
        let generation = self.generation();
        let package = check_signatures(self.decoded)?.map(Box::new);
        check_lifetime(not_before, not_after, now)?;
        let extension = |number| {
            let mut extensions = self.fields.extensions.iter();
            let found = extensions.find(|(other, _)| *other == number);
            found.map(|(_, data)| data.to_vec())
        };
        Ok(KeyPackage {
            installation_key,
            inbox_id,
            not_before,
            not_after,
            generation,
            init_key: self.fields.init_key.to_vec(),
            wrapper: extension(profile::WELCOME_WRAPPER),
            pointee: extension(profile::WELCOME_POINTEE),
            package,
        })
    }

    /// Which groups the installation says that it understands.
    #[must_use]
    pub fn generation(&self) -> Generation {
        let listed = &self.fields.leaf_node.capabilities;
        Generation::of(&listed.extensions, &listed.proposals)
    }

    /// The installation key, once all keys have the length that the suite gives them.
    fn check_keys(&self) -> Result<InstallationKey, KeyPackageError> {
        let leaf = &self.fields.leaf_node;
        for (field, key) in [
            ("init_key", self.fields.init_key),
            ("leaf_node.encryption_key", leaf.encryption_key),
        ] {
            if key.len() != KEY_BYTES {
                let length = key.len();
                return Err(KeyPackageError::KeyLength { field, length });
            }
        }
        InstallationKey::try_from(leaf.signature_key).map_err(|_| KeyPackageError::KeyLength {
            field: "leaf_node.signature_key",
            length: leaf.signature_key.len(),
        })
    }

    fn inbox_id(&self) -> Result<InboxId, KeyPackageError> {
        let leaf = &self.fields.leaf_node;
        if leaf.credential_type != BASIC_CREDENTIAL {
            return Err(KeyPackageError::CredentialType(leaf.credential_type));
        }
        let credential =
            MlsCredential::decode(leaf.identity).map_err(|_| KeyPackageError::Credential)?;
        credential
            .inbox_id
            .parse()
            .map_err(|_| KeyPackageError::InboxId)
    }

    /// A leaf node must list what it uses itself (RFC 9420 §7.3). openmls sees to the
    /// extensions of the key package, but to these only when somebody is added.
    fn check_capabilities(&self) -> Result<(), KeyPackageError> {
        let leaf = &self.fields.leaf_node;
        let listed = &leaf.capabilities;
        let missing = |list, number| Err(KeyPackageError::Capability { list, number });
        if !listed.versions.contains(&MLS_1_0) {
            return missing("versions", MLS_1_0);
        }
        if !listed.cipher_suites.contains(&CIPHER_SUITE) {
            return missing("cipher_suites", CIPHER_SUITE);
        }
        if !listed.credentials.contains(&BASIC_CREDENTIAL) {
            return missing("credentials", BASIC_CREDENTIAL);
        }
        let unlisted = leaf.extension_types.iter().find(|number| {
            !DEFAULT_EXTENSIONS.contains(number) && !listed.extensions.contains(number)
        });
        match unlisted {
            Some(number) => missing("extensions", *number),
            None => Ok(()),
        }
    }
}

/// Why a key package is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyPackageError {
    /// The bytes do not have the layout of a key package.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The version is not MLS 1.0.
    #[error("version is {0}; MLS 1.0 has version 1")]
    Version(u16),
    /// The suite is not the one that XMTP's groups use.
    #[error(
        "cipher_suite is {0}; XMTP uses 3, MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519"
    )]
    CipherSuite(u16),
    /// The layout holds, but something inside, such as an extension, does not decode.
    #[error("the contents do not decode: {0}")]
    Content(String),
    /// A key has not the length that the suite gives it.
    #[error("{field} has {length} bytes, not 32")]
    KeyLength {
        /// Which key.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// The credential is not a Basic one.
    #[error("leaf_node.credential.credential_type is {0}; XMTP uses basic credentials, 1")]
    CredentialType(u16),
    /// The credential's identity is not the protobuf message `MlsCredential`.
    #[error("leaf_node.credential.identity is not an MlsCredential message")]
    Credential,
    /// The credential does not name an inbox.
    #[error("leaf_node.credential.identity: inbox_id is not 64 lower-case hex digits")]
    InboxId,
    /// The leaf node was made for an update or a commit.
    #[error("leaf_node.leaf_node_source is not key_package, 1")]
    NotForKeyPackage,
    /// The leaf node uses something that its capabilities do not list.
    #[error("leaf_node.capabilities.{list} lacks {number:#06x}, which the leaf node uses")]
    Capability {
        /// The list without the number.
        list: &'static str,
        /// The number in the registry of MLS.
        number: u16,
    },
    /// The leaf node's signature is not the installation key's.
    #[error("leaf_node.signature does not verify")]
    LeafNodeSignature,
    /// The key package's signature is not the installation key's.
    #[error("signature does not verify")]
    Signature,
    /// The init key is also the leaf node's encryption key.
    #[error("init_key equals leaf_node.encryption_key")]
    SameKeys,
    /// The key package has an extension that is not for key packages, or that the leaf
    /// node's capabilities do not list.
    #[error("extensions: one does not belong there or is missing in the leaf's capabilities")]
    Extensions,
    /// The lifetime is over.
    #[error("leaf_node.lifetime.not_after is {not_after}, and now is {now} (Unix seconds)")]
    Expired {
        /// End of the lifetime, in seconds since the Unix epoch.
        not_after: u64,
        /// The time of the check, in the same unit.
        now: u64,
    },
    /// The lifetime has not begun.
    #[error("leaf_node.lifetime.not_before is {not_before}, and now is {now} (Unix seconds)")]
    NotYetValid {
        /// Begin of the lifetime, in seconds since the Unix epoch.
        not_before: u64,
        /// The time of the check, in the same unit.
        now: u64,
    },
    /// openmls refuses for a reason of its own.
    #[error("refused by openmls: {0}")]
    Refused(String),
}

/// Has openmls check everything that needs cryptography. It compares the lifetime with the
/// machine's clock as the last of its checks, so that error says that the others passed; the
/// package is then no use to openmls.
fn check_signatures(
    package: mls::KeyPackageIn,
) -> Result<Option<mls::KeyPackage>, KeyPackageError> {
    use mls::KeyPackageVerifyError as Cause;
    static CRYPTO: LazyLock<RustCrypto> = LazyLock::new(RustCrypto::default);

    match package.validate(&*CRYPTO, mls::ProtocolVersion::Mls10) {
        Ok(package) => Ok(Some(package)),
        Err(Cause::LifetimeError(_)) => Ok(None),
        Err(Cause::InvalidLeafNodeSignature) => Err(KeyPackageError::LeafNodeSignature),
        Err(Cause::InvalidSignature) => Err(KeyPackageError::Signature),
        Err(Cause::InitKeyEqualsEncryptionKey) => Err(KeyPackageError::SameKeys),
        Err(Cause::UnsupportedExtension | Cause::ExtensionTypeNotValidInKeyPackage(_)) => {
            Err(KeyPackageError::Extensions)
        }
        Err(cause) => Err(KeyPackageError::Refused(cause.to_string())),
    }
}

fn check_lifetime(not_before: u64, not_after: u64, now: SystemTime) -> Result<(), KeyPackageError> {
    // A clock before 1970 is as good as one that stands at 1970.
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    if now >= not_after {
        return Err(KeyPackageError::Expired { not_after, now });
    }
    if now < not_before {
        return Err(KeyPackageError::NotYetValid { not_before, now });
    }
    Ok(())
}

/// MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519, the suite of all XMTP groups.
const CIPHER_SUITE: u16 = 3;

/// The length of an X25519 key.
const KEY_BYTES: usize = 32;

const BASIC_CREDENTIAL: u16 = 1;

/// The extensions of RFC 9420 itself, which every member understands without saying so (§7.2).
const DEFAULT_EXTENSIONS: [u16; 5] = [1, 2, 3, 4, 5];

#[cfg(test)]
mod tests;

//! Making key packages, and keeping their secrets.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use openmls::prelude as mls;
use prost::Message as _;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use tls_codec::Serialize as _;
use zeroize::Zeroizing;

use folkmoot_wire::proto::xmtp::mls::{
    api::v1::WelcomeWrapperAlgorithm,
    message_contents::{
        WelcomePointeeEncryptionAeadType, WelcomePointeeEncryptionAeadTypesExtension,
        WelcomeWrapperEncryption,
    },
};

use crate::{
    engine::{
        Installation,
        profile::{self, SUITE},
        provider::{Crypto, Provider},
        rows::{Rows, decode, encode},
    },
    hpke::Kem,
};

/// A fresh key package, as official clients make them. Store `secrets` before `bytes` are
/// uploaded, and keep them for a day after the next one has taken its place: a welcome for it may
/// still be on its way.
#[derive(Debug)]
pub struct NewKeyPackage {
    /// The bare TLS `KeyPackage`, for upload.
    pub bytes: Vec<u8>,
    /// What opens welcomes for it.
    pub secrets: KeyPackageSecrets,
    /// Until when others may use it, in seconds since the Unix epoch.
    pub not_after: u64,
}

impl NewKeyPackage {
    /// Makes a key package that is valid from an hour before `now` until 84 days after it. It is
    /// a last resort: it serves until it is replaced.
    #[must_use]
    pub fn make(me: &Installation, now: SystemTime, entropy: &mut dyn CryptoRng) -> Self {
        let mut wrapper_seed = Zeroizing::new([0; 32]);
        entropy.fill_bytes(&mut *wrapper_seed);
        let wrapper_key = Kem::XWing.public_key(&wrapper_seed);
        let lifetime = lifetime(now);
        let provider = Provider::default();
        provider.draw_from(entropy);
        let application_id = me.inbox_id().to_string();
        let leaf_extensions = mls::Extensions::single(mls::Extension::ApplicationId(
            mls::ApplicationIdExtension::new(application_id.as_bytes()),
        ))
        .expect("an application id may stand in a leaf");
        let bundle = mls::KeyPackage::builder()
            .key_package_lifetime(lifetime)
            .key_package_extensions(extensions(&wrapper_key))
            .leaf_node_capabilities(profile::capabilities(me.generation()))
            .leaf_node_extensions(leaf_extensions)
            .build(SUITE, &provider, me, me.credential())
            .expect("key, suite and extensions fit each other");
        let bytes = bundle
            .key_package()
            .tls_serialize_detached()
            .expect("what was built can be encoded");
        let secrets = KeyPackageSecrets {
            init_key: init_key(&bundle),
            bundle: encode(&bundle).expect("what was built can be encoded"),
            wrapper_seed,
            wrapper_key,
        };
        Self {
            bytes,
            secrets,
            not_after: lifetime.not_after(),
        }
    }
}

/// The secret half of a key package of ours: opens welcomes that were wrapped for it.
#[derive(Clone, Eq, PartialEq)]
pub struct KeyPackageSecrets {
    /// The `KeyPackageBundle` of openmls, encoded.
    bundle: Zeroizing<Vec<u8>>,
    init_key: Vec<u8>,
    wrapper_seed: Zeroizing<[u8; 32]>,
    wrapper_key: Vec<u8>,
}

impl KeyPackageSecrets {
    /// The X-Wing key to which senders wrap welcomes, 1216 bytes: what a welcome names.
    #[must_use]
    pub fn wrapper_key(&self) -> &[u8] {
        &self.wrapper_key
    }

    /// The X25519 key to which senders wrap welcomes when they do not know X-Wing, 32 bytes.
    #[must_use]
    pub fn init_key(&self) -> &[u8] {
        &self.init_key
    }

    /// Everything as one value to store. Secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        encode(&Stored {
            format: FORMAT,
            bundle: self.bundle.as_slice(),
            init_key: self.init_key.as_slice(),
            wrapper_seed: *self.wrapper_seed,
        })
        .expect("bytes can be encoded")
    }

    /// Reads a stored value.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyPackageSecrets`] when the bytes were not written by
    /// [`KeyPackageSecrets::to_bytes`] of this version or an older one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidKeyPackageSecrets> {
        let stored: Stored<Vec<u8>> = decode(bytes).map_err(|_| InvalidKeyPackageSecrets)?;
        if stored.format != FORMAT {
            return Err(InvalidKeyPackageSecrets);
        }
        let wrapper_seed = Zeroizing::new(stored.wrapper_seed);
        Ok(Self {
            bundle: Zeroizing::new(stored.bundle),
            init_key: stored.init_key,
            wrapper_key: Kem::XWing.public_key(&wrapper_seed),
            wrapper_seed,
        })
    }

    /// The key package itself, as it is uploaded: the bare TLS `KeyPackage`.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyPackageSecrets`] when what was stored holds none.
    pub fn key_package(&self) -> Result<Vec<u8>, InvalidKeyPackageSecrets> {
        let bundle = self.bundle()?;
        let bytes = bundle.key_package().tls_serialize_detached();
        bytes.map_err(|_| InvalidKeyPackageSecrets)
    }

    pub(crate) const fn wrapper_seed(&self) -> &Zeroizing<[u8; 32]> {
        &self.wrapper_seed
    }

    pub(crate) fn bundle(&self) -> Result<mls::KeyPackageBundle, InvalidKeyPackageSecrets> {
        decode(&self.bundle).map_err(|_| InvalidKeyPackageSecrets)
    }

    /// The private half of [`KeyPackageSecrets::init_key`].
    pub(crate) fn init_secret(&self) -> Result<Zeroizing<[u8; 32]>, InvalidKeyPackageSecrets> {
        let bundle = self.bundle()?;
        let secret: &[u8] = bundle.init_private_key();
        secret
            .try_into()
            .map(Zeroizing::new)
            .map_err(|_| InvalidKeyPackageSecrets)
    }

    /// Puts the secrets where openmls looks for them when it joins.
    pub(crate) fn lay_out(&self, rows: &Rows) -> Result<(), InvalidKeyPackageSecrets> {
        use openmls_traits::storage::StorageProvider as _;
        let bundle = self.bundle()?;
        let reference = bundle
            .key_package()
            .hash_ref(&Crypto::default())
            .map_err(|_| InvalidKeyPackageSecrets)?;
        rows.write_key_package(&reference, &bundle)
            .map_err(|_| InvalidKeyPackageSecrets)
    }

    /// Takes over a key package that another program made.
    #[cfg(test)]
    pub(crate) fn from_parts(
        package: &[u8],
        init_secret: &[u8],
        leaf_secret: &[u8],
        wrapper_seed: [u8; 32],
    ) -> Self {
        use tls_codec::Deserialize as _;
        // In encoded form a checked key package is the same as an unchecked one.
        let package = mls::KeyPackageIn::tls_deserialize_exact(package).unwrap();
        let bundle = encode(&(
            package,
            mls::HpkePrivateKey::from(init_secret.to_vec()),
            mls::HpkePrivateKey::from(leaf_secret.to_vec()),
        ))
        .unwrap();
        let decoded = decode(&bundle).unwrap();
        let wrapper_seed = Zeroizing::new(wrapper_seed);
        Self {
            bundle,
            init_key: init_key(&decoded),
            wrapper_key: Kem::XWing.public_key(&wrapper_seed),
            wrapper_seed,
        }
    }
}

impl fmt::Debug for KeyPackageSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyPackageSecrets")
            .field("init_key", &self.init_key)
            .finish_non_exhaustive()
    }
}

/// The bytes are no stored key package.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the stored key package is unreadable")]
pub struct InvalidKeyPackageSecrets;

#[derive(Deserialize, Serialize)]
struct Stored<B> {
    format: u8,
    bundle: B,
    init_key: B,
    wrapper_seed: [u8; 32],
}

/// The lifetime of what is made at `now`.
pub(crate) fn lifetime(now: SystemTime) -> mls::Lifetime {
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs());
    mls::Lifetime::init(
        now.saturating_sub(MARGIN_SECONDS),
        now.saturating_add(LIFETIME_SECONDS),
    )
}

fn extensions(wrapper_key: &[u8]) -> mls::Extensions<mls::KeyPackage> {
    let pointee = WelcomePointeeEncryptionAeadTypesExtension {
        supported_aead_types: vec![WelcomePointeeEncryptionAeadType::Chacha20Poly1305.into()],
    };
    let wrapper = WelcomeWrapperEncryption {
        pub_key: wrapper_key.to_vec().into(),
        algorithm: WelcomeWrapperAlgorithm::XwingMlkem768Draft6.into(),
    };
    let unknown = |number, data| mls::Extension::Unknown(number, mls::UnknownExtension(data));
    mls::Extensions::from_vec(vec![
        mls::Extension::LastResort(mls::LastResortExtension::default()),
        unknown(profile::WELCOME_POINTEE, pointee.encode_to_vec()),
        unknown(profile::WELCOME_WRAPPER, wrapper.encode_to_vec()),
    ])
    .expect("each may stand in a key package, once")
}

fn init_key(bundle: &mls::KeyPackageBundle) -> Vec<u8> {
    bundle.key_package().hpke_init_key().as_slice().to_vec()
}

/// How far the lifetime reaches back, for clocks that are behind.
const MARGIN_SECONDS: u64 = 60 * 60;

/// 84 days, the most that clients take.
const LIFETIME_SECONDS: u64 = 84 * 24 * 60 * 60;

const FORMAT: u8 = 1;

#[cfg(test)]
mod tests;

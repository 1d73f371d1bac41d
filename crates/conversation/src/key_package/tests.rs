use std::time::Duration;

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey, Extension,
    ExtensionType, Extensions, Lifetime, ProposalType, UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::types::SignatureScheme;
use proptest::prelude::*;
use serde::Deserialize;
use tls_codec::Serialize as _;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    welcome: String,
    key_packages: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    tls: String,
    inbox_id: String,
    installation_key: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/key_packages.json")).unwrap()
}

/// A moment within the lifetime of the vectors and of what [`Recipe`] makes.
const NOW: u64 = 1_796_000_000;

const INBOX: &str = "1b814a0b4a7d3871d695ac17439012c3809f3bdcb4d4ea8726a5b3a8df569893";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn verify(bytes: &[u8], now: u64) -> Result<KeyPackage, KeyPackageError> {
    KeyPackageIn::decode(bytes)?.verify(at(now))
}

/// How to make a key package; the default is a good one.
struct Recipe {
    suite: Ciphersuite,
    identity: Vec<u8>,
    lifetime: (u64, u64),
    listed_suites: Vec<Ciphersuite>,
    leaf_extension: Option<u16>,
}

impl Default for Recipe {
    fn default() -> Self {
        let suite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
        Self {
            suite,
            identity: [b"\x0a\x40", INBOX.as_bytes()].concat(),
            lifetime: (NOW - 3600, NOW + 3600),
            listed_suites: vec![suite],
            leaf_extension: None,
        }
    }
}

impl Recipe {
    fn make(self) -> Vec<u8> {
        let provider = OpenMlsRustCrypto::default();
        let scheme = match self.suite {
            Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256 => {
                SignatureScheme::ECDSA_SECP256R1_SHA256
            }
            _ => SignatureScheme::ED25519,
        };
        let signer = SignatureKeyPair::new(scheme).unwrap();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(self.identity).into(),
            signature_key: signer.public().into(),
        };
        let capabilities = Capabilities::new(
            None,
            Some(&self.listed_suites),
            Some(&[ExtensionType::LastResort, ExtensionType::Unknown(0xff04)]),
            Some(&[ProposalType::GroupContextExtensions]),
            Some(&[CredentialType::Basic]),
        );
        let mut builder = mls::KeyPackage::builder()
            .leaf_node_capabilities(capabilities)
            .key_package_lifetime(Lifetime::init(self.lifetime.0, self.lifetime.1))
            .mark_as_last_resort();
        if let Some(number) = self.leaf_extension {
            let extension = Extension::Unknown(number, UnknownExtension(vec![1]));
            builder = builder.leaf_node_extensions(Extensions::single(extension).unwrap());
        }
        builder
            .build(self.suite, &provider, &signer, credential)
            .unwrap()
            .key_package()
            .tls_serialize_detached()
            .unwrap()
    }
}

#[test]
fn key_packages_of_the_official_client_pass() {
    for vector in vectors().key_packages {
        let package = verify(&hex::decode(vector.tls).unwrap(), NOW).unwrap();
        assert_eq!(package.inbox_id.to_string(), vector.inbox_id);
        assert_eq!(
            package.installation_key.to_string(),
            vector.installation_key
        );
        // 84 days and an hour.
        assert_eq!(package.not_after - package.not_before, 7_261_200);
    }
}

#[test]
fn a_key_package_made_here_passes() {
    let package = verify(&Recipe::default().make(), NOW).unwrap();
    assert_eq!(package.inbox_id.to_string(), INBOX);
    assert_eq!(package.not_before, NOW - 3600);
    assert_eq!(package.not_after, NOW + 3600);
}

#[test]
fn the_given_time_alone_decides_about_the_lifetime() {
    let long_ago = Recipe {
        lifetime: (1000, 2000),
        ..Recipe::default()
    }
    .make();
    assert_eq!(
        verify(&long_ago, 999),
        Err(KeyPackageError::NotYetValid {
            not_before: 1000,
            now: 999
        })
    );
    assert!(verify(&long_ago, 1000).is_ok());
    assert!(verify(&long_ago, 1999).is_ok());
    assert_eq!(
        verify(&long_ago, 2000),
        Err(KeyPackageError::Expired {
            not_after: 2000,
            now: 2000
        })
    );
    let for_ever = Recipe {
        lifetime: (0, u64::MAX),
        ..Recipe::default()
    }
    .make();
    assert_eq!(verify(&for_ever, NOW).unwrap().not_after, u64::MAX);
}

/// The lifetime must be the last check of openmls, since [`check_signatures`] relies on it.
#[test]
fn a_bad_signature_is_seen_although_the_lifetime_is_over() {
    let mut bytes = Recipe {
        lifetime: (1000, 2000),
        ..Recipe::default()
    }
    .make();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(verify(&bytes, 1500), Err(KeyPackageError::Signature));
}

#[test]
fn a_changed_byte_of_the_leaf_or_of_the_package_breaks_its_signature() {
    let bytes = Recipe::default().make();
    let mut leaf = bytes.clone();
    // The first byte of the leaf's encryption key: after version, suite and two lengths.
    leaf[4 + 33 + 1] ^= 1;
    assert_eq!(verify(&leaf, NOW), Err(KeyPackageError::LeafNodeSignature));
    let mut package = bytes;
    package[4 + 1] ^= 1;
    assert_eq!(verify(&package, NOW), Err(KeyPackageError::Signature));
}

#[test]
fn other_suites_and_versions_are_refused() {
    let aes = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
    let bytes = Recipe {
        suite: aes,
        listed_suites: vec![aes],
        ..Recipe::default()
    }
    .make();
    assert_eq!(verify(&bytes, NOW), Err(KeyPackageError::CipherSuite(1)));
    let mut bytes = Recipe::default().make();
    bytes[1] = 2;
    assert_eq!(verify(&bytes, NOW), Err(KeyPackageError::Version(2)));
}

#[test]
fn the_leaf_lists_what_it_uses() {
    let bytes = Recipe {
        listed_suites: vec![Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519],
        ..Recipe::default()
    }
    .make();
    assert_eq!(
        verify(&bytes, NOW),
        Err(KeyPackageError::Capability {
            list: "cipher_suites",
            number: 3
        })
    );
    let listed = Recipe {
        leaf_extension: Some(0xff04),
        ..Recipe::default()
    };
    assert!(verify(&listed.make(), NOW).is_ok());
}

#[test]
fn a_credential_names_an_inbox() {
    let with_identity = |identity: &[u8]| {
        let recipe = Recipe {
            identity: identity.to_vec(),
            ..Recipe::default()
        };
        verify(&recipe.make(), NOW).unwrap_err()
    };
    assert_eq!(with_identity(INBOX.as_bytes()), KeyPackageError::Credential);
    assert_eq!(with_identity(b""), KeyPackageError::InboxId);
    assert_eq!(with_identity(b"\x0a\x02ab"), KeyPackageError::InboxId);
    let upper = [b"\x0a\x40", INBOX.to_uppercase().as_bytes()].concat();
    assert_eq!(with_identity(&upper), KeyPackageError::InboxId);
}

#[test]
fn a_welcome_a_wrapped_key_package_and_bytes_at_the_end_are_refused() {
    let welcome = hex::decode(vectors().welcome).unwrap();
    assert!(verify(&welcome, NOW).is_err());

    let good = Recipe::default().make();
    let wrapped = [&[0, 1, 0, 5], good.as_slice()].concat();
    assert!(verify(&wrapped, NOW).is_err());

    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(
        verify(&longer, NOW),
        Err(LayoutError::Trailing {
            offset: good.len(),
            count: 1
        }
        .into())
    );
    assert_eq!(
        verify(&[], NOW),
        Err(LayoutError::CutShort {
            field: "version",
            offset: 0
        }
        .into())
    );
}

#[test]
fn a_key_package_cut_anywhere_names_the_field_that_is_missing() {
    let good = Recipe::default().make();
    for end in 0..good.len() {
        let error = verify(&good[..end], NOW).unwrap_err();
        assert!(
            matches!(error, KeyPackageError::Layout(LayoutError::CutShort { .. })),
            "{end}: {error}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verify(&bytes, NOW).is_err());
    }

    /// Two signatures cover every byte but themselves, and those have one form.
    #[test]
    fn a_key_package_with_any_byte_changed_is_refused(at in any::<prop::sample::Index>(), by in 1u8..) {
        let mut bytes = hex::decode(&vectors().key_packages[0].tls).unwrap();
        let index = at.index(bytes.len());
        bytes[index] ^= by;
        prop_assert!(verify(&bytes, NOW).is_err());
    }
}

//! People: a wallet, an inbox, and one installation.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use folkmoot_identity::{
    Identifier, InstallationSecret, MemberIdentifier, UpdateBuilder, WalletSecret, derive_inbox_id,
};
use folkmoot_wire::{InboxId, proto::xmtp::identity::MlsCredential};
use openmls::prelude::{
    ApplicationIdExtension, BasicCredential, Capabilities, Ciphersuite, CredentialWithKey,
    Extension, ExtensionType, Extensions, KeyPackage, LastResortExtension, Lifetime, ProposalType,
    SignatureScheme, UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use prost::Message;
use tls_codec::Serialize;

/// The ciphersuite of all XMTP groups.
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// Somebody with a wallet and one installation, all derived from a seed.
#[derive(Debug)]
pub struct Person {
    /// The wallet.
    pub wallet: WalletSecret,
    /// The installation.
    pub installation: InstallationSecret,
    /// The inbox that the wallet opens with nonce 0.
    pub inbox: InboxId,
}

impl Person {
    /// The person of this number; the same number is the same person.
    #[must_use]
    pub fn new(number: u32) -> Self {
        let mut seed = [0x42; 32];
        seed[28..].copy_from_slice(&number.to_be_bytes());
        let wallet = WalletSecret::from_bytes(&seed).expect("the seed is a scalar of the curve");
        seed[0] = 0x43;
        Self {
            inbox: derive_inbox_id(&wallet.identifier(), 0).expect("a wallet has an address"),
            installation: InstallationSecret::from_seed(&seed),
            wallet,
        }
    }

    /// The wallet as an identity update names it.
    #[must_use]
    pub fn identifier(&self) -> Identifier {
        self.wallet.identifier()
    }

    /// The update that opens the inbox and lets the installation in, encoded.
    #[must_use]
    pub fn registration(&self) -> Bytes {
        UpdateBuilder::register(&self.wallet, 0, &self.installation, now_ns())
            .encode()
            .into()
    }

    /// The update with which the wallet takes the installation's rights away, encoded.
    #[must_use]
    pub fn revocation(&self) -> Bytes {
        UpdateBuilder::new(self.inbox, now_ns())
            .revoke(
                MemberIdentifier::Installation(self.installation.key()),
                self.identifier(),
            )
            .sign(&self.wallet)
            .finish()
            .expect("the wallet signed")
            .encode()
            .into()
    }

    /// A key package of the installation as clients make it, TLS-encoded, valid for 84 days.
    #[must_use]
    pub fn key_package(&self) -> Bytes {
        self.key_package_listing(&[
            0x000a, 0x0001, 0xff02, 0xff00, 0xff01, 0xff03, 0xff04, 0xf000,
        ])
    }

    /// A key package whose leaf says that it understands these extensions only.
    #[must_use]
    pub fn key_package_listing(&self, extensions: &[u16]) -> Bytes {
        let key = self.installation.key();
        let signer = SignatureKeyPair::from_raw(
            SignatureScheme::ED25519,
            self.installation.to_seed().to_vec(),
            key.as_bytes().to_vec(),
        );
        let identity = MlsCredential {
            inbox_id: self.inbox.to_string(),
        };
        let credential = CredentialWithKey {
            credential: BasicCredential::new(identity.encode_to_vec()).into(),
            signature_key: key.as_bytes().to_vec().into(),
        };
        let extensions = extensions.iter().copied().map(ExtensionType::from);
        let extensions: Vec<_> = extensions.collect();
        let capabilities = Capabilities::new(
            None,
            Some(&[SUITE]),
            Some(&extensions),
            Some(&[ProposalType::GroupContextExtensions]),
            None,
        );
        let application_id = ApplicationIdExtension::new(self.inbox.to_string().as_bytes());
        let package = KeyPackage::builder()
            .leaf_node_capabilities(capabilities)
            .leaf_node_extensions(
                Extensions::single(Extension::ApplicationId(application_id))
                    .expect("one extension fits a leaf"),
            )
            .key_package_extensions(
                Extensions::from_vec(vec![
                    Extension::LastResort(LastResortExtension::default()),
                    Extension::Unknown(0xff04, UnknownExtension(vec![0x0a, 0x01, 0x03])),
                ])
                .expect("the extensions differ"),
            )
            .key_package_lifetime(Lifetime::new(84 * 24 * 3600))
            .build(SUITE, &OpenMlsRustCrypto::default(), &signer, credential)
            .expect("everything a key package needs is there");
        package
            .key_package()
            .tls_serialize_detached()
            .expect("a key package encodes")
            .into()
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.expect("the clock is past 1970").as_nanos();
    u64::try_from(nanos).expect("the clock is before 2554")
}

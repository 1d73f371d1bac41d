//! What the bench publishes: group messages, key packages and identities that a node takes.
//!
//! Everything can be told apart and checked when it comes back: a message carries its number,
//! and its bytes follow from its group and number.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use folkmoot_identity::{InstallationSecret, UpdateBuilder, WalletSecret};
use folkmoot_wire::proto::xmtp::{
    identity::MlsCredential,
    mls::api::v1::{GroupMessage, GroupMessageInput, group_message, group_message_input},
};
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialType, CredentialWithKey, Extension,
    ExtensionType, Extensions, KeyPackage, Lifetime, ProposalType, UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use prost::Message as _;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tls_codec::Serialize as _;

/// Bytes of a whole MLS message, as the workloads have them.
pub(crate) const MESSAGE_BYTES: usize = 1024;

/// A source of traffic. Clones give the same traffic.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    /// Begins every group id, so that two runs against one node never meet.
    run: [u8; 8],
    /// Random bytes that ciphertexts are cut from.
    pool: Bytes,
    hmac: Bytes,
}

/// Which workload a group belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Use {
    /// The messages that are loaded before the workloads.
    Stock = 0,
    Publish = 1,
    Delivery = 2,
    CatchUp = 3,
    Mixed = 4,
    Crash = 5,
    Streams = 6,
}

impl Traffic {
    /// Traffic that follows from `seed`, except for the group ids: those differ in every run.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut pool = vec![0; POOL_BYTES];
        random.fill(&mut pool[..]);
        let mut hmac = vec![0; 32];
        random.fill(&mut hmac[..]);
        Self {
            run: rand::random(),
            pool: pool.into(),
            hmac: hmac.into(),
        }
    }

    /// The id of group `number` of a workload in its round or step `round`.
    pub(crate) fn group(&self, belongs: Use, round: u16, number: u32) -> Bytes {
        let mut id = Vec::with_capacity(GROUP_ID_BYTES);
        id.extend(self.run);
        id.push(belongs as u8);
        id.push(0);
        id.extend(round.to_be_bytes());
        id.extend(number.to_be_bytes());
        id.into()
    }

    /// Message `number` of a group, as clients send it.
    pub(crate) fn message(&self, group: &[u8], number: u64) -> GroupMessageInput {
        GroupMessageInput {
            version: Some(group_message_input::Version::V1(group_message_input::V1 {
                data: self.data(group, number),
                sender_hmac: self.hmac.clone(),
                should_push: true,
            })),
        }
    }

    /// The MLS message alone: an application message in a private frame (RFC 9420 §6.3).
    pub(crate) fn data(&self, group: &[u8], number: u64) -> Bytes {
        let mut bytes = Vec::with_capacity(MESSAGE_BYTES);
        bytes.extend(FRAME);
        bytes.extend(group);
        bytes.extend(EPOCH.to_be_bytes());
        bytes.extend([APPLICATION, 0]);
        bytes.push(u8::try_from(SENDER_DATA_BYTES).expect("below 64"));
        bytes.extend(&self.pool[..SENDER_DATA_BYTES]);
        let rest = u16::try_from(8 + CUT_BYTES).expect("below 2^14");
        bytes.extend((rest | 0x4000).to_be_bytes());
        bytes.extend(number.to_be_bytes());
        bytes.extend(self.cut(number));
        debug_assert_eq!(bytes.len(), MESSAGE_BYTES);
        bytes.into()
    }

    /// The number of a message that came back, once its bytes are what was sent.
    pub(crate) fn check(&self, group: &[u8], data: &[u8]) -> anyhow::Result<u64> {
        ensure!(
            data.len() == MESSAGE_BYTES,
            "a message came back with {} bytes",
            data.len()
        );
        let number = data[NUMBER_AT..NUMBER_AT + 8]
            .try_into()
            .map(u64::from_be_bytes)
            .expect("eight bytes");
        ensure!(
            data[FRAME.len()..FRAME.len() + GROUP_ID_BYTES] == *group,
            "message {number} came back in another group"
        );
        ensure!(
            data[NUMBER_AT + 8..] == *self.cut(number),
            "message {number} came back with other bytes"
        );
        Ok(number)
    }

    /// The id and the number of a message that came back, once its bytes are what was sent.
    pub(crate) fn received(
        &self,
        group: &[u8],
        message: &GroupMessage,
    ) -> anyhow::Result<(u64, u64)> {
        let Some(group_message::Version::V1(message)) = &message.version else {
            anyhow::bail!("a message came back without content");
        };
        ensure!(
            message.group_id == group,
            "a message came back for another group"
        );
        ensure!(
            message.sender_hmac == self.hmac && message.should_push && !message.is_commit,
            "message {} came back with other flags",
            message.id
        );
        Ok((message.id, self.check(group, &message.data)?))
    }

    /// The part of a ciphertext that depends on the message's number.
    fn cut(&self, number: u64) -> &[u8] {
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let start = (spread % (POOL_BYTES - CUT_BYTES) as u64) as usize;
        &self.pool[start..start + CUT_BYTES]
    }
}

/// A key package as official clients make them, in size too: beside the MLS keys it carries a
/// post-quantum key for welcomes. Returns the installation key and the TLS form.
pub(crate) fn key_package(inbox_id: &str, now_seconds: u64) -> anyhow::Result<(Bytes, Bytes)> {
    let provider = OpenMlsRustCrypto::default();
    let suite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
    let signer = SignatureKeyPair::new(suite.signature_algorithm())
        .map_err(|error| anyhow::anyhow!("make a signature key: {error}"))?;
    let credential = MlsCredential {
        inbox_id: inbox_id.to_owned(),
    };
    let credential = CredentialWithKey {
        credential: BasicCredential::new(credential.encode_to_vec()).into(),
        signature_key: signer.public().into(),
    };
    let capabilities = Capabilities::new(
        None,
        Some(&[suite]),
        Some(&[
            ExtensionType::LastResort,
            ExtensionType::Unknown(WELCOME_KEY),
        ]),
        Some(&[ProposalType::GroupContextExtensions]),
        Some(&[CredentialType::Basic]),
    );
    let welcome_key: [u8; 1216] = rand::random();
    let extension = Extension::Unknown(WELCOME_KEY, UnknownExtension(welcome_key.to_vec()));
    let package = KeyPackage::builder()
        .leaf_node_capabilities(capabilities)
        .key_package_lifetime(Lifetime::init(
            now_seconds - 3600,
            now_seconds + 84 * 86_400,
        ))
        .key_package_extensions(Extensions::single(extension).context("one extension")?)
        .mark_as_last_resort()
        .build(suite, &provider, &signer, credential)
        .context("make a key package")?
        .key_package()
        .tls_serialize_detached()
        .context("encode a key package")?;
    Ok((signer.public().to_vec().into(), package.into()))
}

/// A new account with an inbox: its address, the inbox id, and the update that registers it.
pub(crate) fn identity(now_ns: u64) -> anyhow::Result<(String, String, Bytes)> {
    let wallet = WalletSecret::from_bytes(&rand::random()).context("make a wallet")?;
    let installation = InstallationSecret::from_seed(&rand::random());
    let update = UpdateBuilder::register(&wallet, 0, &installation, now_ns);
    let inbox_id = update.inbox_id().to_owned();
    Ok((wallet.address(), inbox_id, update.encode().into()))
}

/// MLS 1.0, a private message, and the length of the group id.
const FRAME: [u8; 5] = [0, 1, 0, 2, GROUP_ID_BYTES as u8];
const GROUP_ID_BYTES: usize = 16;
const EPOCH: u64 = 1;
/// The content type.
const APPLICATION: u8 = 1;
const SENDER_DATA_BYTES: usize = 28;
/// Where a message's number lies: after frame, group id, epoch, content type, empty
/// authenticated data, sender data, and the length of the ciphertext.
const NUMBER_AT: usize = FRAME.len() + GROUP_ID_BYTES + 8 + 1 + 1 + 1 + SENDER_DATA_BYTES + 2;
const CUT_BYTES: usize = MESSAGE_BYTES - NUMBER_AT - 8;
const POOL_BYTES: usize = 1 << 20;
/// The key package extension with the key that seals welcomes.
const WELCOME_KEY: u16 = 0xff03;

#[cfg(test)]
mod tests {
    use folkmoot_conversation::{ContentType, GroupMessageHeader, KeyPackageIn};

    use super::*;

    #[test]
    fn messages_are_mls_messages_of_one_kilobyte() {
        let traffic = Traffic::new(7);
        let group = traffic.group(Use::Publish, 2, 3);
        let data = traffic.data(&group, 99);
        assert_eq!(data.len(), MESSAGE_BYTES);
        let header = GroupMessageHeader::parse(&data).unwrap();
        assert_eq!(header.group_id, group);
        assert_eq!(header.content, ContentType::Application);
    }

    #[test]
    fn a_message_that_changed_on_its_way_is_found_out() {
        let traffic = Traffic::new(7);
        let group = traffic.group(Use::Stock, 0, 0);
        let data = traffic.data(&group, 99).to_vec();
        assert_eq!(traffic.check(&group, &data).unwrap(), 99);
        for at in [5, NUMBER_AT, NUMBER_AT + 8, MESSAGE_BYTES - 1] {
            let mut changed = data.clone();
            changed[at] ^= 1;
            assert!(traffic.check(&group, &changed).is_err());
        }
        assert!(traffic.check(&group, &data[..MESSAGE_BYTES - 1]).is_err());
    }

    #[test]
    fn key_packages_pass_the_checks_and_have_the_usual_size() {
        let inbox = "1b814a0b4a7d3871d695ac17439012c3809f3bdcb4d4ea8726a5b3a8df569893";
        let now = std::time::SystemTime::now();
        let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let (key, bytes) = key_package(inbox, seconds).unwrap();
        let package = KeyPackageIn::decode(&bytes).unwrap().verify(now).unwrap();
        assert_eq!(package.inbox_id.to_string(), inbox);
        assert_eq!(package.installation_key.as_bytes()[..], key);
        assert!((1500..1800).contains(&bytes.len()), "{}", bytes.len());
    }
}

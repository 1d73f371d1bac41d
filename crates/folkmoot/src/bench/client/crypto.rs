//! The floor: what the cryptography of a workload takes by itself, in memory, in processor time of
//! all threads.
//!
//! Groups are bare openmls with its memory storage. Beside them stand what XMTP adds for every
//! member: verifying the identity log and wrapping the welcome (X-Wing).

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use folkmoot_conversation::{
    Installation, Invitation, KeyPackageIn, NewKeyPackage, Opened, PreparedWelcome,
};
use folkmoot_identity::{
    ContractVerdicts, IdentityUpdate, InstallationSecret, UpdateBuilder, WalletSecret,
};
use folkmoot_wire::{
    InboxId,
    proto::xmtp::{
        identity::MlsCredential,
        mls::api::v1::{WelcomeMessage, welcome_message, welcome_message_input},
    },
};
use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, KeyPackage, LeafNodeIndex, MlsGroup,
    MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _,
    PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, ProcessedMessageContent, ProtocolVersion, StagedWelcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};
use tls_codec::{Deserialize as _, Serialize as _};

use super::{
    Id, Plan,
    duel::Report,
    workloads::{self, CPU},
};
use crate::bench::load::median;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
/// How often small things are measured.
const TIMES: usize = 9;
/// Messages in a run of sending and receiving.
const MESSAGES: usize = 200;

/// What each step takes, in milliseconds.
#[derive(Debug)]
pub(crate) struct Crypto {
    /// A key package, and the identity update with both signatures.
    register: f64,
    /// A member's identity log verified, and the welcome wrapped.
    invite: f64,
    /// A welcome unwrapped.
    unwrap: f64,
    /// A group of two joined.
    join: f64,
    encrypt: f64,
    decrypt: f64,
    /// By size: make the group with everybody, add one more, remove one.
    groups: Vec<(usize, [f64; 3])>,
}

impl Crypto {
    /// Measures all for the groups of `plan`. Takes some seconds.
    pub(crate) fn measure(plan: &Plan) -> anyhow::Result<Self> {
        let mut sizes: Vec<usize> = plan.groups.iter().chain(plan.changed).copied().collect();
        sizes.push(2);
        sizes.sort_unstable();
        sizes.dedup();
        let groups = sizes.into_iter().map(|size| Ok((size, group(size)?)));
        let (join, encrypt, decrypt) = talk()?;
        let (invite, unwrap) = wrap()?;
        Ok(Self {
            register: register()?,
            invite,
            unwrap,
            join,
            encrypt,
            decrypt,
            groups: groups.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Writes the floors beside what was measured.
    pub(crate) fn report(&self, plan: &Plan, report: &mut Report) {
        let mut set = |id: Id, what: &str, floor: f64| {
            report.set_floor(id.name(), what, floor);
            report.set_floor(id.name(), &format!("{what}{CPU}"), floor);
        };
        set(Id::C1, workloads::REGISTER, self.register);
        let join = self.unwrap + self.join;
        let words = self.encrypt + self.decrypt;
        let two = self.step(2, 0) + self.invite;
        set(Id::C2, workloads::FIRST_WORDS, two + join + words);
        for &size in plan.groups {
            let all = self.step(size, 0) + self.invite * (size - 1) as f64;
            set(Id::C3, &workloads::new_group(size), all);
        }
        for (_, how, _) in workloads::SENDING {
            let all = self.encrypt * plan.messages as f64;
            set(Id::C4, &workloads::send_messages(plan.messages, how), all);
        }
        let each = workloads::EACH;
        for (groups, each) in [(1, plan.messages), (plan.many_groups, each)] {
            let all = join * groups as f64 + self.decrypt * (groups * each) as f64;
            set(Id::C5, &workloads::sync_messages(groups, each), all);
        }
        set(Id::C6, workloads::DELIVERY, words);
        for &size in plan.changed {
            let add = self.step(size, 1) + self.invite;
            set(Id::C7, &workloads::change("add", size), add);
            set(
                Id::C7,
                &workloads::change("remove", size),
                self.step(size, 2),
            );
        }
    }

    fn step(&self, size: usize, step: usize) -> f64 {
        let group = self.groups.iter().find(|(known, _)| *known == size);
        group.map_or(0.0, |(_, steps)| steps[step])
    }
}

/// Somebody in a bare group.
struct Person {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
}

impl Person {
    fn new() -> anyhow::Result<Self> {
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm())
            .map_err(|error| anyhow::anyhow!("make a signature key: {error}"))?;
        let inbox_id = hex::encode(rand::random::<[u8; 32]>());
        let credential = MlsCredential { inbox_id };
        Ok(Self {
            provider: OpenMlsRustCrypto::default(),
            credential: CredentialWithKey {
                credential: BasicCredential::new(credential.encode_to_vec()).into(),
                signature_key: signer.public().into(),
            },
            signer,
        })
    }

    fn key_package(&self) -> anyhow::Result<KeyPackage> {
        let credential = self.credential.clone();
        let package =
            KeyPackage::builder().build(SUITE, &self.provider, &self.signer, credential)?;
        Ok(package.key_package().clone())
    }

    fn group(&self) -> anyhow::Result<MlsGroup> {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        Ok(MlsGroup::new(
            &self.provider,
            &self.signer,
            &config,
            self.credential.clone(),
        )?)
    }

    /// Adds those whose key packages these are, as they come from the network.
    fn add(&self, group: &mut MlsGroup, packages: &[Vec<u8>]) -> anyhow::Result<MlsMessageIn> {
        let packages = packages.iter().map(|bytes| {
            let package = openmls::prelude::KeyPackageIn::tls_deserialize_exact(bytes)?;
            Ok(package.validate(self.provider.crypto(), ProtocolVersion::Mls10)?)
        });
        let packages = packages.collect::<anyhow::Result<Vec<_>>>()?;
        let (_, welcome, _) = group.add_members(&self.provider, &self.signer, &packages)?;
        group.merge_pending_commit(&self.provider)?;
        Ok(MlsMessageIn::from(welcome))
    }
}

/// Makes a group of `size`, and removes and adds one three times.
fn group(size: usize) -> anyhow::Result<[f64; 3]> {
    let maker = Person::new()?;
    let packages = (0..size).map(|_| -> anyhow::Result<Vec<u8>> {
        Ok(Person::new()?.key_package()?.tls_serialize_detached()?)
    });
    let packages = packages.collect::<anyhow::Result<Vec<_>>>()?;
    let [others @ .., last] = &packages[..] else {
        return Ok([0.0; 3]);
    };
    let last = std::slice::from_ref(last);
    let began = cpu_ms();
    let mut group = maker.group()?;
    maker.add(&mut group, others)?;
    let made = milliseconds(began);
    ensure!(group.members().count() == size, "a group of another size");
    let leaf = LeafNodeIndex::new(1);
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let began = cpu_ms();
        group.remove_members(&maker.provider, &maker.signer, &[leaf])?;
        group.merge_pending_commit(&maker.provider)?;
        removed.push(milliseconds(began));
        let began = cpu_ms();
        maker.add(&mut group, last)?;
        added.push(milliseconds(began));
    }
    Ok([made, median(added), median(removed)])
}

/// Joining a group of two, encrypting, decrypting.
fn talk() -> anyhow::Result<(f64, f64, f64)> {
    let (one, other) = (Person::new()?, Person::new()?);
    let mut here = one.group()?;
    let package = other.key_package()?.tls_serialize_detached()?;
    let welcome = one.add(&mut here, &[package])?;
    let began = cpu_ms();
    let MlsMessageBodyIn::Welcome(welcome) = welcome.extract() else {
        anyhow::bail!("a welcome is something else");
    };
    let config = MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .build();
    let mut there = StagedWelcome::new_from_welcome(&other.provider, &config, welcome, None)?
        .into_group(&other.provider)?;
    let joined = milliseconds(began);
    let text = [b'x'; 100];
    let began = cpu_ms();
    let mut sent = Vec::with_capacity(MESSAGES);
    for _ in 0..MESSAGES {
        let message = here.create_message(&one.provider, &one.signer, &text)?;
        sent.push(message.tls_serialize_detached()?);
    }
    let encrypted = milliseconds(began) / MESSAGES as f64;
    let began = cpu_ms();
    for bytes in sent {
        let message = MlsMessageIn::tls_deserialize_exact(&bytes)?;
        let message = message.try_into_protocol_message()?;
        let heard = there.process_message(&other.provider, message)?;
        let ProcessedMessageContent::ApplicationMessage(heard) = heard.into_content() else {
            anyhow::bail!("a message is something else");
        };
        ensure!(heard.into_bytes() == text, "another text was decrypted");
    }
    Ok((joined, encrypted, milliseconds(began) / MESSAGES as f64))
}

/// The keys and signatures of a new installation.
fn register() -> anyhow::Result<f64> {
    let failed = RefCell::new(None);
    let took = repeat(|| {
        let made = || -> anyhow::Result<()> {
            let wallet = WalletSecret::from_bytes(&rand::random()).context("make a wallet")?;
            let secret = InstallationSecret::from_seed(&rand::random());
            let update = UpdateBuilder::register(&wallet, 0, &secret, 1);
            let inbox: InboxId = update.inbox_id().parse()?;
            let me = Installation::new(inbox, secret);
            drop(NewKeyPackage::make(
                &me,
                SystemTime::now(),
                &mut rand::rng(),
            ));
            Ok(())
        };
        if let Err(cause) = made() {
            failed.replace(Some(cause));
        }
    });
    failed.into_inner().map_or(Ok(took), Err)
}

/// What one member costs beside MLS: the identity log verified and the welcome wrapped; and
/// unwrapped.
fn wrap() -> anyhow::Result<(f64, f64)> {
    let now = SystemTime::now();
    let now_ns = now.duration_since(UNIX_EPOCH)?.as_nanos();
    let wallet = WalletSecret::from_bytes(&rand::random()).context("make a wallet")?;
    let secret = InstallationSecret::from_seed(&rand::random());
    let update = UpdateBuilder::register(&wallet, 0, &secret, u64::try_from(now_ns)?);
    let me = Installation::new(update.inbox_id().parse()?, secret);
    let update = update.encode();
    let package = NewKeyPackage::make(&me, now, &mut rand::rng());
    let invitation = Invitation::to(&KeyPackageIn::decode(&package.bytes)?.verify(now)?)?;
    let welcome = PreparedWelcome::new(vec![7; 1500], vec![invitation]);
    let nobody = ContractVerdicts::default();
    let verified = repeat(|| {
        let update = IdentityUpdate::decode(&update).map(|update| update.verify(&nobody));
        drop(update);
    });
    let sealed = RefCell::new(Vec::new());
    let wrapped = repeat(|| drop(sealed.replace(welcome.seal(1, &mut rand::rng()))));
    let sealed = sealed.into_inner().into_iter().next();
    let Some(welcome_message_input::Version::V1(sent)) = sealed.and_then(|one| one.version) else {
        anyhow::bail!("a welcome for one is no plain welcome");
    };
    let received = WelcomeMessage {
        version: Some(welcome_message::Version::V1(welcome_message::V1 {
            id: 1,
            created_ns: 1,
            installation_key: sent.installation_key,
            data: sent.data,
            hpke_public_key: sent.hpke_public_key,
            wrapper_algorithm: sent.wrapper_algorithm,
            welcome_metadata: sent.welcome_metadata,
        })),
    };
    Opened::open(&received, &package.secrets).context("open a welcome")?;
    let unwrapped = repeat(|| drop(Opened::open(&received, &package.secrets)));
    Ok((verified + wrapped, unwrapped))
}

/// The median of several runs, in milliseconds.
fn repeat(mut what: impl FnMut()) -> f64 {
    let runs = (0..TIMES).map(|_| {
        let began = cpu_ms();
        what();
        milliseconds(began)
    });
    median(runs.collect())
}

/// Processor time since `began`, in milliseconds.
fn milliseconds(began: f64) -> f64 {
    cpu_ms() - began
}

/// Processor time of this process, which does nothing else meanwhile. That of this thread would
/// leave out what openmls has other threads do.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_the_floor_works() {
        let plan = Plan {
            groups: &[3],
            changed: &[4],
            ..super::super::QUICK
        };
        let crypto = Crypto::measure(&plan).unwrap();
        assert!(crypto.step(3, 0) > 0.0);
        assert!(crypto.step(4, 2) > 0.0);
        assert!(crypto.invite > 0.0 && crypto.join > 0.0);
    }
}

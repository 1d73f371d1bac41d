//! XMTP's choices among what MLS leaves open.
//!
//! Numbers: suite 0x0003, ciphertext for everything, no padding, the ratchet tree inside the
//! welcome, three past epochs, application messages at most 5 behind and 1000 ahead.

use std::collections::BTreeMap;

use bytes::Bytes;
use openmls::prelude as mls;
use tls_codec::{Deserialize as _, Serialize as _};

use super::installation::Generation;
use crate::ContextExtensions;

/// The suite of all groups.
pub(crate) const SUITE: mls::Ciphersuite =
    mls::Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// How many epochs back application messages can still be read.
pub const PAST_EPOCHS: u64 = 3;

/// How far behind and ahead of the newest message of a sender another may be.
const RATCHET: (u32, u32) = (5, 1000);

/// How groups run.
pub(crate) fn join_config() -> mls::MlsGroupJoinConfig {
    mls::MlsGroupJoinConfig::builder()
        .wire_format_policy(mls::PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(0)
        .max_past_epochs(PAST_EPOCHS as usize)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(mls::SenderRatchetConfiguration::new(RATCHET.0, RATCHET.1))
        .build()
}

/// How groups begin.
pub(crate) fn create_config(
    generation: Generation,
    lifetime: mls::Lifetime,
    context: mls::Extensions<mls::GroupContext>,
) -> mls::MlsGroupCreateConfig {
    mls::MlsGroupCreateConfig::builder()
        .wire_format_policy(mls::PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(0)
        .max_past_epochs(PAST_EPOCHS as usize)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(mls::SenderRatchetConfiguration::new(RATCHET.0, RATCHET.1))
        .ciphersuite(SUITE)
        .capabilities(capabilities(generation))
        .lifetime(lifetime)
        .with_group_context_extensions(context)
        .build()
}

/// What leaves say that they understand, in the order of official key packages.
pub(crate) fn capabilities(generation: Generation) -> mls::Capabilities {
    let mut extensions = vec![
        mls::ExtensionType::LastResort,
        mls::ExtensionType::ApplicationId,
        mls::ExtensionType::Unknown(PERMISSIONS),
        mls::ExtensionType::Unknown(MUTABLE_METADATA),
        mls::ExtensionType::Unknown(MEMBERSHIP),
        mls::ExtensionType::Unknown(WELCOME_WRAPPER),
        mls::ExtensionType::Unknown(WELCOME_POINTEE),
        mls::ExtensionType::Unknown(GROUP_METADATA),
    ];
    let mut proposals = vec![mls::ProposalType::GroupContextExtensions];
    if generation == Generation::AppData {
        extensions.push(mls::ExtensionType::AppDataDictionary);
        proposals.push(mls::ProposalType::AppDataUpdate);
    }
    mls::Capabilities::new(
        Some(&[mls::ProtocolVersion::Mls10]),
        Some(&[SUITE]),
        Some(&extensions),
        Some(&proposals),
        Some(&[mls::CredentialType::Basic]),
    )
}

/// The extensions of a group context as they travel.
pub(crate) fn context_out(extensions: &mls::Extensions<mls::GroupContext>) -> ContextExtensions {
    let all = extensions
        .iter()
        .map(|extension| {
            let number = u16::from(extension.extension_type());
            (number, extension_data(extension))
        })
        .collect::<BTreeMap<_, _>>();
    ContextExtensions(all)
}

/// The other way. Fails when the inside of an extension that MLS itself reads does not decode, or
/// when one may not stand in a group context.
pub(crate) fn context_in(
    context: &ContextExtensions,
) -> Result<mls::Extensions<mls::GroupContext>, String> {
    let mut list = Vec::new();
    for (number, data) in &context.0 {
        list.extend_from_slice(&number.to_be_bytes());
        mls::VLBytes::from(data.to_vec())
            .tls_serialize(&mut list)
            .map_err(|_| format!("extension {number:#06x} is too long"))?;
    }
    let list = mls::VLBytes::from(list)
        .tls_serialize_detached()
        .map_err(|_| "the extensions are too long".to_owned())?;
    mls::Extensions::tls_deserialize_exact(list).map_err(|cause| cause.to_string())
}

/// The data of an extension, without its type and without the length before it.
fn extension_data(extension: &mls::Extension) -> Bytes {
    if let mls::Extension::Unknown(_, data) = extension {
        return Bytes::copy_from_slice(&data.0);
    }
    let encoded = extension
        .tls_serialize_detached()
        .expect("what was decoded or built can be encoded");
    let data = mls::VLBytes::tls_deserialize_exact(&encoded[2..])
        .expect("an extension is a type and a vector");
    Bytes::from(Vec::from(data))
}

/// Immutable metadata of a group.
pub(crate) const GROUP_METADATA: u16 = 0xf000;
/// Mutable metadata of a group.
pub(crate) const MUTABLE_METADATA: u16 = 0xff00;
/// Which inboxes belong to a group, up to which identity update.
pub(crate) const MEMBERSHIP: u16 = 0xff01;
/// Who may do what in a group.
pub(crate) const PERMISSIONS: u16 = 0xff02;
/// The key to which welcomes are wrapped, in key packages.
pub(crate) const WELCOME_WRAPPER: u16 = 0xff03;
/// By which ciphers a welcome pointer may point, in key packages.
pub(crate) const WELCOME_POINTEE: u16 = 0xff04;

//! The structures of MLS that occur in what a node reads, and no cryptography.
//!
//! Reading one proves its layout; a few come back with the fields that the checks need.
//!
//! Specification: RFC 9420 §7.2 (leaf nodes), §10 (key packages), §12.1 (proposals), §12.4
//! (commits); the proposals with the numbers 8 to 10 are those of the MLS extensions draft.

use crate::layout::{LayoutError, Reader};

/// A key package, read up to its last byte.
#[derive(Clone, Debug)]
pub(crate) struct KeyPackageFields<'a> {
    pub(crate) version: u16,
    pub(crate) cipher_suite: u16,
    pub(crate) init_key: &'a [u8],
    pub(crate) leaf_node: LeafNodeFields<'a>,
    /// Type and data of each extension of the key package itself.
    pub(crate) extensions: Vec<(u16, &'a [u8])>,
}

impl<'a> KeyPackageFields<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, LayoutError> {
        let package = Self {
            version: reader.u16("version")?,
            cipher_suite: reader.u16("cipher_suite")?,
            init_key: reader.opaque("init_key")?,
            leaf_node: LeafNodeFields::read(reader)?,
            extensions: extensions(reader, "extensions")?,
        };
        reader.opaque("signature")?;
        Ok(package)
    }
}

/// A leaf node: one installation's place in a group.
#[derive(Clone, Debug)]
pub(crate) struct LeafNodeFields<'a> {
    pub(crate) encryption_key: &'a [u8],
    pub(crate) signature_key: &'a [u8],
    pub(crate) credential_type: u16,
    pub(crate) identity: &'a [u8],
    pub(crate) capabilities: Capabilities,
    /// Seconds since the Unix epoch, not before and not after; only in leaf nodes that were
    /// made for a key package.
    pub(crate) lifetime: Option<(u64, u64)>,
    pub(crate) extension_types: Vec<u16>,
}

impl<'a> LeafNodeFields<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, LayoutError> {
        let encryption_key = reader.opaque("leaf_node.encryption_key")?;
        let signature_key = reader.opaque("leaf_node.signature_key")?;
        let credential_type = reader.u16("leaf_node.credential.credential_type")?;
        // Basic credentials and certificate chains are both one vector after the type.
        let identity = reader.opaque("leaf_node.credential.identity")?;
        let capabilities = Capabilities {
            versions: reader.numbers("leaf_node.capabilities.versions")?,
            cipher_suites: reader.numbers("leaf_node.capabilities.cipher_suites")?,
            extensions: reader.numbers("leaf_node.capabilities.extensions")?,
            proposals: reader.numbers("leaf_node.capabilities.proposals")?,
            credentials: reader.numbers("leaf_node.capabilities.credentials")?,
        };
        let offset = reader.offset();
        let lifetime = match reader.u8("leaf_node.leaf_node_source")? {
            1 => Some((
                reader.u64("leaf_node.lifetime.not_before")?,
                reader.u64("leaf_node.lifetime.not_after")?,
            )),
            2 => None,
            3 => {
                reader.opaque("leaf_node.parent_hash")?;
                None
            }
            value => return Err(unknown("leaf_node.leaf_node_source", offset, value)),
        };
        let extension_types = extensions(reader, "leaf_node.extensions")?
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        reader.opaque("leaf_node.signature")?;
        Ok(Self {
            encryption_key,
            signature_key,
            credential_type,
            identity,
            capabilities,
            lifetime,
            extension_types,
        })
    }
}

/// What an installation says that it understands; numbers of the MLS registries.
#[derive(Clone, Debug)]
pub(crate) struct Capabilities {
    pub(crate) versions: Vec<u16>,
    pub(crate) cipher_suites: Vec<u16>,
    pub(crate) extensions: Vec<u16>,
    pub(crate) proposals: Vec<u16>,
    pub(crate) credentials: Vec<u16>,
}

/// Reads a proposal (§12.1).
pub(crate) fn proposal(reader: &mut Reader<'_>) -> Result<(), LayoutError> {
    let offset = reader.offset();
    match reader.u16("proposal_type")? {
        1 => KeyPackageFields::read(reader).map(drop),
        2 => LeafNodeFields::read(reader).map(drop),
        3 => reader.u32("remove.removed").map(drop),
        4 => pre_shared_key_id(reader),
        5 => {
            reader.opaque("reinit.group_id")?;
            reader.u16("reinit.version")?;
            reader.u16("reinit.cipher_suite")?;
            extensions(reader, "reinit.extensions").map(drop)
        }
        6 => reader.opaque("external_init.kem_output").map(drop),
        7 => extensions(reader, "group_context_extensions.extensions").map(drop),
        8 => app_data_update(reader),
        9 => {
            reader.u16("app_ephemeral.component_id")?;
            reader.opaque("app_ephemeral.data").map(drop)
        }
        10 => Ok(()),
        value => Err(LayoutError::UnknownValue {
            field: "proposal_type",
            offset,
            value,
        }),
    }
}

/// Reads a commit (§12.4).
pub(crate) fn commit(reader: &mut Reader<'_>) -> Result<(), LayoutError> {
    let mut proposals = reader.vector("commit.proposals")?;
    while !proposals.is_empty() {
        let offset = proposals.offset();
        match proposals.u8("commit.proposals.type")? {
            1 => proposal(&mut proposals)?,
            2 => drop(proposals.opaque("commit.proposals.reference")?),
            value => return Err(unknown("commit.proposals.type", offset, value)),
        }
    }
    if reader.presence("commit.path")? {
        LeafNodeFields::read(reader)?;
        let mut nodes = reader.vector("commit.path.nodes")?;
        while !nodes.is_empty() {
            nodes.opaque("commit.path.nodes.encryption_key")?;
            let mut secrets = nodes.vector("commit.path.nodes.encrypted_path_secret")?;
            while !secrets.is_empty() {
                secrets.opaque("commit.path.nodes.encrypted_path_secret.kem_output")?;
                secrets.opaque("commit.path.nodes.encrypted_path_secret.ciphertext")?;
            }
        }
    }
    Ok(())
}

fn app_data_update(reader: &mut Reader<'_>) -> Result<(), LayoutError> {
    reader.u16("app_data_update.component_id")?;
    let offset = reader.offset();
    match reader.u8("app_data_update.op")? {
        1 => reader.opaque("app_data_update.update").map(drop),
        2 => Ok(()),
        value => Err(unknown("app_data_update.op", offset, value)),
    }
}

fn pre_shared_key_id(reader: &mut Reader<'_>) -> Result<(), LayoutError> {
    let offset = reader.offset();
    match reader.u8("psk.psktype")? {
        1 => drop(reader.opaque("psk.psk_id")?),
        2 => {
            reader.u8("psk.usage")?;
            reader.opaque("psk.psk_group_id")?;
            reader.u64("psk.psk_epoch")?;
        }
        value => return Err(unknown("psk.psktype", offset, value)),
    }
    reader.opaque("psk.psk_nonce").map(drop)
}

/// Reads a list of extensions: the type and the data of each, which stays closed.
fn extensions<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
) -> Result<Vec<(u16, &'a [u8])>, LayoutError> {
    let mut list = reader.vector(field)?;
    let mut extensions = Vec::new();
    while !list.is_empty() {
        extensions.push((list.u16(field)?, list.opaque(field)?));
    }
    Ok(extensions)
}

fn unknown(field: &'static str, offset: usize, value: u8) -> LayoutError {
    LayoutError::UnknownValue {
        field,
        offset,
        value: value.into(),
    }
}

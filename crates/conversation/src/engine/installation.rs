//! Who we are in groups.

use std::fmt;

use openmls::prelude as mls;
use openmls_traits::{
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use prost::Message as _;

use folkmoot_identity::InstallationSecret;
use folkmoot_wire::{InboxId, InstallationKey, proto::xmtp::identity::MlsCredential};

use crate::Leaf;

/// One installation of one inbox: what signs messages and stands in leaves.
#[derive(Clone)]
pub struct Installation {
    inbox_id: InboxId,
    secret: InstallationSecret,
    generation: Generation,
}

impl Installation {
    /// The installation with this key, which speaks for this inbox.
    #[must_use]
    pub const fn new(inbox_id: InboxId, secret: InstallationSecret) -> Self {
        Self {
            inbox_id,
            secret,
            generation: Generation::Extensions,
        }
    }

    /// The same installation, announcing other abilities in its leaves.
    #[must_use]
    pub fn announcing(self, generation: Generation) -> Self {
        Self { generation, ..self }
    }

    /// The inbox.
    #[must_use]
    pub const fn inbox_id(&self) -> InboxId {
        self.inbox_id
    }

    /// The public key, which is the installation's id.
    #[must_use]
    pub fn key(&self) -> InstallationKey {
        self.secret.key()
    }

    /// Which groups it announces to understand.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn credential(&self) -> mls::CredentialWithKey {
        let identity = MlsCredential {
            inbox_id: self.inbox_id.to_string(),
        };
        mls::CredentialWithKey {
            credential: mls::BasicCredential::new(identity.encode_to_vec()).into(),
            signature_key: self.key().as_bytes().to_vec().into(),
        }
    }
}

impl fmt::Debug for Installation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Installation")
            .field("inbox_id", &self.inbox_id)
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

impl Signer for Installation {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.secret.sign_mls(payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// What leaves announce, which decides what a group can turn into.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Generation {
    /// Groups keep their data in extensions of their own, as all groups begin (libxmtp 1.10).
    #[default]
    Extensions,
    /// The installation also understands the AppData dictionary (libxmtp 1.11): extension 6 and
    /// proposal 8. A group may be migrated to it once all members announce it, which drops the
    /// old extensions.
    AppData,
}

impl Generation {
    /// What a leaf with these capabilities announces; numbers of the MLS registries.
    pub(crate) fn of(extensions: &[u16], proposals: &[u16]) -> Self {
        if extensions.contains(&DICTIONARY) && proposals.contains(&APP_DATA_UPDATE) {
            Self::AppData
        } else {
            Self::Extensions
        }
    }
}

/// The extension that holds an AppData dictionary.
const DICTIONARY: u16 = 0x0006;
/// The proposal that changes one.
const APP_DATA_UPDATE: u16 = 0x0008;

/// Reads who sits in a leaf.
pub(crate) fn leaf(
    index: u32,
    credential: &mls::Credential,
    signature_key: &[u8],
) -> Result<Leaf, InvalidLeaf> {
    if credential.credential_type() != mls::CredentialType::Basic {
        return Err(InvalidLeaf::Credential(index));
    }
    let identity = MlsCredential::decode(credential.serialized_content())
        .map_err(|_| InvalidLeaf::Credential(index))?;
    Ok(Leaf {
        index,
        inbox_id: identity
            .inbox_id
            .parse()
            .map_err(|_| InvalidLeaf::Inbox(index))?,
        installation: signature_key
            .try_into()
            .map_err(|_| InvalidLeaf::Key(index))?,
    })
}

/// The same for those who are in a tree or are added to it, with [`Leaf::NOBODY`] where the
/// credential names no inbox: others go by the signature key alone and take such a commit.
pub(crate) fn seat(
    index: u32,
    credential: &mls::Credential,
    signature_key: &[u8],
) -> Result<Leaf, InvalidLeaf> {
    leaf(index, credential, signature_key).or_else(|_| {
        Ok(Leaf {
            index,
            inbox_id: Leaf::NOBODY,
            installation: signature_key
                .try_into()
                .map_err(|_| InvalidLeaf::Key(index))?,
        })
    })
}

/// A leaf does not say who sits in it. The number is the leaf's index, or `u32::MAX` for one
/// that is only being added.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidLeaf {
    /// The credential is no Basic one, or holds something else than an `MlsCredential`.
    #[error("the credential of leaf {0} is not a basic one with an MlsCredential message")]
    Credential(u32),
    /// The credential names no inbox.
    #[error("the credential of leaf {0}: inbox_id is not 64 lower-case hex digits")]
    Inbox(u32),
    /// The signature key is no installation key.
    #[error("the signature key of leaf {0} does not have 32 bytes")]
    Key(u32),
}

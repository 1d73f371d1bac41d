//! The context of a group that is being made.

use bytes::Bytes;
use folkmoot_wire::InboxId;

use super::{
    Attribute, AttributeTooLong, ConversationKind, DisappearingSettings, DmMembers, Extension,
    GroupMembership, GroupMetadata, MutableMetadata, OneshotMessage,
};
use crate::{
    app_data::{self, BootstrapError},
    facts::ContextExtensions,
    layout::write_length,
    permissions::PolicySet,
    version::Version,
};

/// A conversation that is being made.
///
/// Its first commit must change the membership, even when nobody else is invited: only so
/// the creator's own identity log is taken into account and its other installations are added.
/// Official clients refuse every other first commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewConversation {
    metadata: GroupMetadata,
    mutable: MutableMetadata,
    permissions: PolicySet,
    creator: InboxId,
}

impl NewConversation {
    /// A group. Its creator is the only super admin.
    ///
    /// `commit_log_signer` is 32 random bytes, the secret key with which super admins sign the
    /// commit log.
    #[must_use]
    pub fn group(creator: InboxId, permissions: PolicySet, commit_log_signer: [u8; 32]) -> Self {
        Self {
            metadata: GroupMetadata::new(ConversationKind::Group, creator),
            mutable: group_attributes(creator, commit_log_signer),
            permissions,
            creator,
        }
    }

    /// A DM with `other`.
    #[must_use]
    pub fn dm(creator: InboxId, other: InboxId, commit_log_signer: [u8; 32]) -> Self {
        let mut metadata = GroupMetadata::new(ConversationKind::Dm, creator);
        metadata.dm_members = Some(DmMembers::new(creator, other));
        Self {
            metadata,
            mutable: attributes(
                &[
                    Attribute::GroupName,
                    Attribute::Description,
                    Attribute::ImageUrl,
                ],
                commit_log_signer,
            ),
            permissions: PolicySet::dm(),
            creator,
        }
    }

    /// The group of the installations of one inbox.
    #[must_use]
    pub fn sync(creator: InboxId, commit_log_signer: [u8; 32]) -> Self {
        Self {
            metadata: GroupMetadata::new(ConversationKind::Sync, creator),
            ..Self::group(creator, PolicySet::all_members(), commit_log_signer)
        }
    }

    /// A group whose welcome carries a message.
    #[must_use]
    pub fn oneshot(creator: InboxId, message: OneshotMessage, commit_log_signer: [u8; 32]) -> Self {
        let mut metadata = GroupMetadata::new(ConversationKind::Oneshot, creator);
        metadata.oneshot = Some(message);
        Self {
            metadata,
            ..Self::group(creator, PolicySet::all_members(), commit_log_signer)
        }
    }

    /// Sets an attribute from the start.
    ///
    /// # Errors
    ///
    /// [`AttributeTooLong`].
    pub fn set(
        mut self,
        attribute: Attribute,
        value: impl Into<String>,
    ) -> Result<Self, AttributeTooLong> {
        self.mutable.set(attribute, value)?;
        Ok(self)
    }

    /// Lets messages disappear from the start.
    #[must_use]
    pub fn disappearing(mut self, settings: DisappearingSettings) -> Self {
        self.mutable.set_disappearing(settings);
        self
    }

    /// The extensions of the first epoch.
    #[must_use]
    pub fn extensions(&self) -> ContextExtensions {
        let membership = GroupMembership::of_creator(self.creator);
        ContextExtensions(
            [
                (Extension::Metadata.number(), self.metadata.encode()),
                (Extension::MutableMetadata.number(), self.mutable.encode()),
                (Extension::Membership.number(), membership.encode()),
                (Extension::Permissions.number(), self.permissions.encode()),
                (REQUIRED_CAPABILITIES, required_capabilities()),
            ]
            .into(),
        )
    }
}

impl NewConversation {
    /// The extensions of the first epoch of a group that lives in an AppData dictionary: what
    /// [`NewConversation::extensions`] say, converted. It asks for the version that official clients
    /// ask for when they convert a group.
    ///
    /// # Errors
    ///
    /// [`BootstrapError`], when the permissions have no form in a registry.
    pub fn dictionary_extensions(&self) -> Result<ContextExtensions, BootstrapError> {
        let mut new = self.clone();
        let minimum = Attribute::MinimumVersion.key().to_owned();
        let attributes = &mut new.mutable.attributes;
        attributes
            .entry(minimum)
            .or_insert_with(|| Version::APP_DATA_FLOOR.to_owned());
        app_data::converted(&new.extensions())
    }
}

/// The number of the extension that says what members must understand (RFC 9420 §11.1).
pub(crate) const REQUIRED_CAPABILITIES: u16 = 0x0003;

/// The extensions that members of a group must understand, in the order of official clients.
const REQUIRED_EXTENSIONS: [u16; 6] = [0xff01, 0xff00, 0xff02, 0xf000, 0x000a, 0x0001];

/// What members of a group must understand: six extensions, the proposal that changes the
/// context, basic credentials.
fn required_capabilities() -> Bytes {
    encode_required_capabilities(&REQUIRED_EXTENSIONS, &[0x0007], &[0x0001])
}

pub(crate) fn encode_required_capabilities(
    extensions: &[u16],
    proposals: &[u16],
    credentials: &[u16],
) -> Bytes {
    let mut data = Vec::new();
    for list in [extensions, proposals, credentials] {
        write_length(&mut data, 2 * list.len());
        data.extend(list.iter().flat_map(|number| number.to_be_bytes()));
    }
    data.into()
}

fn group_attributes(creator: InboxId, commit_log_signer: [u8; 32]) -> MutableMetadata {
    let empty = [
        Attribute::GroupName,
        Attribute::Description,
        Attribute::ImageUrl,
        Attribute::AppData,
    ];
    MutableMetadata {
        super_admins: vec![creator.to_string()],
        ..attributes(&empty, commit_log_signer)
    }
}

fn attributes(empty: &[Attribute], commit_log_signer: [u8; 32]) -> MutableMetadata {
    let signer = (
        Attribute::CommitLogSigner.key().to_owned(),
        hex::encode(commit_log_signer),
    );
    let empty = empty
        .iter()
        .map(|attribute| (attribute.key().to_owned(), String::new()));
    MutableMetadata {
        attributes: empty.chain([signer]).collect(),
        ..MutableMetadata::default()
    }
}

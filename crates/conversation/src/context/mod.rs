//! What a group context says about a conversation.
//!
//! [`Context::read`] turns the extensions of a group context into typed values, exactly as
//! strictly as libxmtp does: what is an error there is one here, and the other way round. The
//! `with_…` methods of [`ContextExtensions`] give the complete list of extensions for a commit that
//! changes one of them, and [`NewConversation`] the list for a group that is being made.
//!
//! What is read here was written by other people: names and texts may be anything.

mod error;
mod group_membership;
mod metadata;
mod mutable_metadata;
mod new;
mod parts;
#[cfg(test)]
mod tests;

pub use error::{ContextError, Extension};
pub use group_membership::GroupMembership;
pub use metadata::{ConversationKind, DmMembers, GroupMetadata, OneshotMessage, ReaddRequest};
pub use mutable_metadata::{
    AdminChange, Attribute, AttributeTooLong, DisappearingSettings, MutableMetadata,
};
pub use new::NewConversation;
pub use parts::Parts;

pub(crate) use new::{REQUIRED_CAPABILITIES, encode_required_capabilities};

use bytes::Bytes;

use crate::{facts::ContextExtensions, permissions::PolicySet};

/// Everything that a group context says about a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Context {
    /// What the conversation is.
    pub metadata: GroupMetadata,
    /// Attributes and admins.
    pub mutable: MutableMetadata,
    /// The member inboxes.
    pub membership: GroupMembership,
    /// Who may do what.
    pub permissions: PolicySet,
}

impl Context {
    /// Reads all extensions, or the dictionary of a group that lives in one.
    ///
    /// # Errors
    ///
    /// [`ContextError`], by the first extension that is missing or wrong.
    pub fn read(extensions: &ContextExtensions) -> Result<Self, ContextError> {
        extensions.parts().read()
    }
}

impl ContextExtensions {
    /// What the conversation is.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn metadata(&self) -> Result<GroupMetadata, ContextError> {
        GroupMetadata::decode(self.required(Extension::Metadata)?)
    }

    /// Attributes and admins.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn mutable_metadata(&self) -> Result<MutableMetadata, ContextError> {
        MutableMetadata::decode(self.required(Extension::MutableMetadata)?)
    }

    /// The member inboxes.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn membership(&self) -> Result<GroupMembership, ContextError> {
        GroupMembership::decode(self.required(Extension::Membership)?)
    }

    /// Who may do what.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn permissions(&self) -> Result<PolicySet, ContextError> {
        PolicySet::decode(self.required(Extension::Permissions)?)
    }

    /// All extensions, with other attributes or admins.
    #[must_use]
    pub fn with_mutable_metadata(&self, metadata: &MutableMetadata) -> Self {
        self.with(Extension::MutableMetadata, metadata.encode())
    }

    /// All extensions, with other members.
    #[must_use]
    pub fn with_membership(&self, membership: &GroupMembership) -> Self {
        self.with(Extension::Membership, membership.encode())
    }

    /// All extensions, with other permissions.
    #[must_use]
    pub fn with_permissions(&self, permissions: &PolicySet) -> Self {
        self.with(Extension::Permissions, permissions.encode())
    }

    pub(crate) fn with(&self, extension: Extension, data: Bytes) -> Self {
        let mut changed = self.clone();
        changed.0.insert(extension.number(), data);
        changed
    }

    pub(crate) fn required(&self, extension: Extension) -> Result<&Bytes, ContextError> {
        self.data(extension.number())
            .ok_or(ContextError::Missing(extension))
    }
}

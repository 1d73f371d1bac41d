//! A context part by part, wherever the group keeps it.

use super::{Context, ContextError, GroupMembership, GroupMetadata, MutableMetadata};
use crate::{
    app_data::{self, Dictionary},
    facts::ContextExtensions,
    permissions::PolicySet,
};

/// What a group context says, read from its extensions or, in a group that lives in one, from its
/// AppData dictionary. Each part is read by itself: that one is wrong does not hide the others.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    extensions: &'a ContextExtensions,
    dictionary: Option<Dictionary>,
}

impl ContextExtensions {
    /// The parts, wherever the group keeps them. The methods of the same names here read the
    /// extensions alone.
    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        let dictionary = match Dictionary::of(self) {
            Ok(Some(dictionary)) if dictionary.is_migrated() => Some(dictionary),
            _ => None,
        };
        Parts::new(self, dictionary)
    }

    /// Whether the group lives in an AppData dictionary.
    #[must_use]
    pub fn is_migrated(&self) -> bool {
        app_data::is_migrated(self)
    }
}

impl<'a> Parts<'a> {
    pub(crate) const fn new(
        extensions: &'a ContextExtensions,
        dictionary: Option<Dictionary>,
    ) -> Self {
        Self {
            extensions,
            dictionary,
        }
    }

    /// What the conversation is.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn metadata(&self) -> Result<GroupMetadata, ContextError> {
        match &self.dictionary {
            Some(dictionary) => dictionary.metadata(),
            None => self.extensions.metadata(),
        }
    }

    /// Attributes and admins.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn mutable_metadata(&self) -> Result<MutableMetadata, ContextError> {
        match &self.dictionary {
            Some(dictionary) => dictionary.mutable_metadata(),
            None => self.extensions.mutable_metadata(),
        }
    }

    /// The member inboxes.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn membership(&self) -> Result<GroupMembership, ContextError> {
        match &self.dictionary {
            Some(dictionary) => dictionary.membership(),
            None => self.extensions.membership(),
        }
    }

    /// Who may do what.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn permissions(&self) -> Result<PolicySet, ContextError> {
        match &self.dictionary {
            Some(dictionary) => dictionary.permissions(),
            None => self.extensions.permissions(),
        }
    }

    /// Everything.
    ///
    /// # Errors
    ///
    /// [`ContextError`], by the first part that is missing or wrong.
    pub fn read(&self) -> Result<Context, ContextError> {
        Ok(Context {
            metadata: self.metadata()?,
            mutable: self.mutable_metadata()?,
            membership: self.membership()?,
            permissions: self.permissions()?,
        })
    }
}

//! An inbox as people ask about it.

use std::sync::Arc;

use folkmoot_identity::{AssociationState, Identifier, Member, MemberIdentifier};
use folkmoot_wire::{InboxId, InstallationKey};

use super::{INSTALLATION_LIMIT, UPDATE_LIMIT};

/// Who belongs to an inbox, after the newest update that we have of its log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InboxState {
    /// The inbox.
    pub inbox_id: InboxId,
    /// The sequence id of its newest update.
    pub sequence: u64,
    /// How many updates its log has.
    pub updates: usize,
    /// Members and recovery account.
    pub association: Arc<AssociationState>,
}

impl InboxState {
    /// The installations that may speak for the inbox.
    #[must_use]
    pub fn installations(&self) -> Vec<InstallationKey> {
        self.association.installations().collect()
    }

    /// The accounts that belong to the inbox, by the time of joining.
    #[must_use]
    pub fn identifiers(&self) -> Vec<Identifier> {
        let members = self.association.members().into_iter();
        members
            .filter_map(|member| member.identifier.identifier())
            .collect()
    }

    /// The account that can revoke members and add new ones.
    #[must_use]
    pub fn recovery_identifier(&self) -> &Identifier {
        self.association.recovery_identifier()
    }

    /// What is known about an installation.
    #[must_use]
    pub fn installation(&self, key: InstallationKey) -> Option<&Member> {
        self.association
            .member(&MemberIdentifier::Installation(key))
    }

    /// The installations that an account added, and that go when it goes.
    #[must_use]
    pub fn installations_added_by(&self, account: &Identifier) -> Vec<InstallationKey> {
        let account = MemberIdentifier::from(account.clone());
        let members = self.association.members().into_iter();
        members
            .filter(|member| member.added_by.as_ref() == Some(&account))
            .filter_map(|member| match member.identifier {
                MemberIdentifier::Installation(key) => Some(key),
                _ => None,
            })
            .collect()
    }

    /// How many installations there are, and how many there may be.
    #[must_use]
    pub fn installation_budget(&self) -> (usize, usize) {
        (self.association.installations().count(), INSTALLATION_LIMIT)
    }

    /// How many updates there are, and how many there may be. An inbox whose log is full cannot
    /// change any more, not even to revoke somebody.
    #[must_use]
    pub const fn update_budget(&self) -> (usize, usize) {
        (self.updates, UPDATE_LIMIT)
    }
}

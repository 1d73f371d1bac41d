use std::collections::BTreeSet;

use folkmoot_wire::{GroupId, InboxId, InstallationKey};

use crate::{
    context::{DmMembers, MutableMetadata},
    permissions::Role,
};

/// What a commit does, once it was found in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitSummary {
    /// The group.
    pub group_id: GroupId,
    /// The epoch in which the commit was made; merging it leads to the next one.
    pub epoch: u64,
    /// Who did it.
    pub actor: Actor,
    /// Inboxes that become members.
    pub added_inboxes: Vec<InboxId>,
    /// Inboxes that are members no longer. Whether they left or were removed is not in the commit.
    pub removed_inboxes: Vec<InboxId>,
    /// Installations that are added, those that are added again included.
    pub added_installations: BTreeSet<InstallationKey>,
    /// Installations that are removed, those that are added again included.
    pub removed_installations: BTreeSet<InstallationKey>,
    /// Installations that were to be added again, whether it worked or not.
    pub readded_installations: BTreeSet<InstallationKey>,
    /// Attributes that change, by their keys.
    pub metadata_changes: Vec<MetadataChange>,
    /// Who becomes and who ceases to be admin.
    pub admin_changes: AdminChanges,
    /// Whether the permissions change.
    pub permissions_changed: bool,
    /// The two people, in a DM.
    pub dm_members: Option<DmMembers>,
}

/// Who made a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Actor {
    /// The inbox.
    pub inbox_id: InboxId,
    /// The installation.
    pub installation: InstallationKey,
    /// What the inbox was before the commit.
    pub role: Role,
}

/// An attribute that changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetadataChange {
    /// The attribute's key.
    pub key: String,
    /// Its value before; `None` when it was not set.
    pub old: Option<String>,
    /// Its value after; `None` when it is no longer set.
    pub new: Option<String>,
}

/// Who becomes and who ceases to be admin, as text: nobody checks that these are inbox ids.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AdminChanges {
    /// New admins.
    pub added: Vec<String>,
    /// Former admins.
    pub removed: Vec<String>,
    /// New super admins.
    pub super_added: Vec<String>,
    /// Former super admins.
    pub super_removed: Vec<String>,
}

impl CommitSummary {
    /// What kind of commit this is, for people who look at the log of a group.
    #[must_use]
    pub fn kind(&self) -> CommitKind {
        let membership = !self.added_inboxes.is_empty()
            || !self.removed_inboxes.is_empty()
            || !self.added_installations.is_empty()
            || !self.removed_installations.is_empty();
        if membership {
            CommitKind::Membership
        } else if self.permissions_changed {
            CommitKind::Permissions
        } else if !self.admin_changes.is_empty() {
            CommitKind::Admins
        } else if !self.metadata_changes.is_empty() {
            CommitKind::Metadata
        } else {
            CommitKind::KeyUpdate
        }
    }
}

/// What a commit is about, by the first of these that applies.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CommitKind {
    /// Members or installations.
    Membership,
    /// Permissions.
    Permissions,
    /// Roles.
    Admins,
    /// Attributes.
    Metadata,
    /// Nothing but new keys.
    KeyUpdate,
}

impl AdminChanges {
    /// What differs between two states.
    #[must_use]
    pub fn between(old: &MutableMetadata, new: &MutableMetadata) -> Self {
        let only_in = |some: &[String], others: &[String]| {
            let admins = some.iter();
            admins
                .filter(|admin| !others.contains(admin))
                .cloned()
                .collect()
        };
        Self {
            added: only_in(&new.admins, &old.admins),
            removed: only_in(&old.admins, &new.admins),
            super_added: only_in(&new.super_admins, &old.super_admins),
            super_removed: only_in(&old.super_admins, &new.super_admins),
        }
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.super_added.is_empty()
            && self.super_removed.is_empty()
    }
}

impl MetadataChange {
    /// What differs between two states, by key.
    #[must_use]
    pub fn between(old: &MutableMetadata, new: &MutableMetadata) -> Vec<Self> {
        let keys: BTreeSet<_> = old.attributes.keys().chain(new.attributes.keys()).collect();
        keys.into_iter()
            .filter(|key| old.attributes.get(*key) != new.attributes.get(*key))
            .map(|key| Self {
                key: key.clone(),
                old: old.attributes.get(key).cloned(),
                new: new.attributes.get(key).cloned(),
            })
            .collect()
    }
}

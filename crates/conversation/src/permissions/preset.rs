use std::collections::BTreeMap;

use super::{Policy, PolicySet, Trusted, Who};
use crate::context::Attribute;

/// The sets of policies that have a name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Preset {
    /// Everyone may add people and change attributes; admins may remove people.
    AllMembers,
    /// Admins may do all that.
    AdminsOnly,
    /// Nobody joins or leaves, and both may change attributes. Of a DM only.
    Dm,
}

impl Preset {
    /// The policies of the preset.
    #[must_use]
    pub fn policies(self) -> PolicySet {
        let (add, remove, roles) = match self {
            Self::AllMembers => (Who::Everyone, Who::Admins, Trusted::SuperAdmins),
            Self::AdminsOnly => (Who::Admins, Who::Admins, Trusted::SuperAdmins),
            Self::Dm => (Who::Nobody, Who::Nobody, Trusted::Nobody),
        };
        let keys = Attribute::WITH_POLICY.map(Attribute::key);
        PolicySet {
            add_member: Policy::Base(add),
            remove_member: Policy::Base(remove),
            update_metadata: BTreeMap::from(
                keys.map(|key| (key.to_owned(), Policy::Base(self.metadata(key)))),
            ),
            add_admin: Policy::Base(roles),
            remove_admin: Policy::Base(roles),
            update_permissions: Policy::Base(roles),
        }
    }

    fn metadata(self, key: &str) -> Who {
        match (self, Attribute::from_key(key)) {
            (Self::Dm, _) => Who::Everyone,
            (_, Some(Attribute::MinimumVersion)) => Who::SuperAdmins,
            (_, Some(Attribute::DisappearFromNs | Attribute::DisappearInNs)) => Who::Admins,
            (Self::AllMembers, _) => Who::Everyone,
            (Self::AdminsOnly, _) => Who::Admins,
        }
    }
}

impl PolicySet {
    /// The policies of [`Preset::AllMembers`].
    #[must_use]
    pub fn all_members() -> Self {
        Preset::AllMembers.policies()
    }

    /// The policies of [`Preset::AdminsOnly`].
    #[must_use]
    pub fn admins_only() -> Self {
        Preset::AdminsOnly.policies()
    }

    /// The policies of a DM.
    #[must_use]
    pub fn dm() -> Self {
        Preset::Dm.policies()
    }

    /// The preset whose policies these are; `None` for custom ones.
    ///
    /// Attributes that the set has no policy for do not count, since older clients knew fewer;
    /// those that it has count, whether anybody knows them or not.
    #[must_use]
    pub fn preset(&self) -> Option<Preset> {
        [Preset::AllMembers, Preset::AdminsOnly, Preset::Dm]
            .into_iter()
            .find(|preset| self.is(*preset))
    }

    fn is(&self, preset: Preset) -> bool {
        let expected = preset.policies();
        let metadata = self
            .update_metadata
            .iter()
            .all(|(key, policy)| *policy == Policy::Base(preset.metadata(key)));
        metadata
            && self.add_member == expected.add_member
            && self.remove_member == expected.remove_member
            && self.add_admin == expected.add_admin
            && self.remove_admin == expected.remove_admin
            && self.update_permissions == expected.update_permissions
    }
}

//! Who may do what in a conversation (extension 0xff02).

mod preset;
#[cfg(test)]
mod tests;
mod wire;

pub use preset::Preset;

use std::collections::BTreeMap;

use crate::context::Attribute;

/// Who may do what.
///
/// Equality is that of the policies as they are nested, as libxmtp compares them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicySet {
    /// Who may add inboxes.
    pub add_member: Policy<Who>,
    /// Who may remove inboxes. Super admins can never be removed.
    pub remove_member: Policy<Who>,
    /// Who may change which attribute. Attributes without an entry are for admins, and those
    /// whose key begins with `_` for super admins.
    pub update_metadata: BTreeMap<String, Policy<Who>>,
    /// Who may make somebody admin. Super admins are made by super admins, always.
    pub add_admin: Policy<Trusted>,
    /// Who may take that away.
    pub remove_admin: Policy<Trusted>,
    /// Who may change permissions. Nobody looks at it: super admins may.
    pub update_permissions: Policy<Trusted>,
}

/// A rule about who may do something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Policy<Base> {
    /// These may.
    Base(Base),
    /// Who fulfils all of these may. Never empty.
    All(Vec<Self>),
    /// Who fulfils one of these may. Never empty.
    Any(Vec<Self>),
}

/// Whom a policy about members or attributes lets in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Who {
    /// Every member.
    Everyone,
    /// Nobody at all.
    Nobody,
    /// Admins and super admins.
    Admins,
    /// Super admins.
    SuperAdmins,
}

/// Whom a policy about roles lets in: never everyone.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Trusted {
    /// Nobody at all.
    Nobody,
    /// Admins and super admins.
    Admins,
    /// Super admins.
    SuperAdmins,
}

/// What a member may be beyond that.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Role {
    /// In the list of admins.
    pub is_admin: bool,
    /// In the list of super admins.
    pub is_super_admin: bool,
}

/// A policy that can be changed on its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PolicyKind {
    /// Adding inboxes.
    AddMember,
    /// Removing inboxes.
    RemoveMember,
    /// Making somebody admin.
    AddAdmin,
    /// Taking that away.
    RemoveAdmin,
    /// Changing an attribute.
    UpdateMetadata(Attribute),
}

/// Nobody but super admins and admins can be let in here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a policy about roles cannot let everyone in")]
pub struct EveryoneNotTrusted;

impl PolicySet {
    /// Who may change the attribute with this key.
    #[must_use]
    pub fn metadata_policy(&self, key: &str) -> Policy<Who> {
        self.update_metadata.get(key).cloned().unwrap_or_else(|| {
            Policy::Base(if key.starts_with('_') {
                Who::SuperAdmins
            } else {
                Who::Admins
            })
        })
    }

    /// Sets one policy.
    ///
    /// # Errors
    ///
    /// [`EveryoneNotTrusted`] when everyone would be allowed to make or unmake admins.
    pub fn set(&mut self, kind: PolicyKind, who: Who) -> Result<(), EveryoneNotTrusted> {
        match kind {
            PolicyKind::AddMember => self.add_member = Policy::Base(who),
            PolicyKind::RemoveMember => self.remove_member = Policy::Base(who),
            PolicyKind::AddAdmin => self.add_admin = Policy::Base(who.try_into()?),
            PolicyKind::RemoveAdmin => self.remove_admin = Policy::Base(who.try_into()?),
            PolicyKind::UpdateMetadata(attribute) => {
                self.update_metadata
                    .insert(attribute.key().to_owned(), Policy::Base(who));
            }
        }
        Ok(())
    }
}

impl<Base: Copy + Into<Who>> Policy<Base> {
    /// Whether somebody with this role may.
    #[must_use]
    pub fn allows(&self, role: Role) -> bool {
        match self {
            Self::Base(base) => (*base).into().includes(role),
            Self::All(policies) => policies.iter().all(|policy| policy.allows(role)),
            Self::Any(policies) => policies.iter().any(|policy| policy.allows(role)),
        }
    }
}

impl Who {
    /// Whether somebody with this role belongs to them.
    #[must_use]
    pub const fn includes(self, role: Role) -> bool {
        match self {
            Self::Everyone => true,
            Self::Nobody => false,
            Self::Admins => role.is_admin || role.is_super_admin,
            Self::SuperAdmins => role.is_super_admin,
        }
    }
}

impl From<Trusted> for Who {
    fn from(trusted: Trusted) -> Self {
        match trusted {
            Trusted::Nobody => Self::Nobody,
            Trusted::Admins => Self::Admins,
            Trusted::SuperAdmins => Self::SuperAdmins,
        }
    }
}

impl TryFrom<Who> for Trusted {
    type Error = EveryoneNotTrusted;

    fn try_from(who: Who) -> Result<Self, EveryoneNotTrusted> {
        match who {
            Who::Everyone => Err(EveryoneNotTrusted),
            Who::Nobody => Ok(Self::Nobody),
            Who::Admins => Ok(Self::Admins),
            Who::SuperAdmins => Ok(Self::SuperAdmins),
        }
    }
}

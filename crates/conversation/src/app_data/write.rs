//! Making changes of components.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use folkmoot_wire::{InboxId, InstallationKey};

use super::{
    bootstrap::{BootstrapError, registry},
    codec::{MapMutation, SetMutation, write_map_change, write_set_change},
    component::Component,
    dictionary::{Dictionary, MemberEntry, entries},
    registry::Registry,
    update::{AppDataError, apply},
};
use crate::{
    context::{AdminChange, Attribute, GroupMembership},
    engine::AppDataChange,
    facts::ContextExtensions,
    permissions::PolicySet,
};

/// Makes the changes of a commit to a group that lives in a dictionary. Whether they are allowed is
/// for [`judge`](crate::judge::judge) to say.
#[derive(Clone, Debug)]
pub struct AppDataWriter {
    dictionary: Dictionary,
    registry: Registry,
    changes: Vec<AppDataChange>,
}

impl AppDataWriter {
    /// Begins with the context before the commit.
    ///
    /// # Errors
    ///
    /// [`AppDataError::Context`] when the dictionary cannot be read.
    pub fn new(old: &ContextExtensions) -> Result<Self, AppDataError> {
        let dictionary = Dictionary::of(old)?.unwrap_or_default();
        Ok(Self {
            registry: dictionary.registry()?,
            dictionary,
            changes: Vec::new(),
        })
    }

    /// Sets an attribute, by its text as in older groups.
    ///
    /// # Errors
    ///
    /// [`AppDataError::Malformed`] when the text is not what the attribute needs: a number, or hex
    /// digits.
    pub fn set(self, attribute: Attribute, value: &str) -> Result<Self, AppDataError> {
        let component = Component::of(attribute);
        let value = attribute_value(attribute, value)?;
        self.change(component, &value)
    }

    /// Sets an attribute by its key, or takes it away.
    ///
    /// # Errors
    ///
    /// [`AppDataError::NoComponent`] for a key without a meaning; else as of [`AppDataWriter::set`].
    pub fn set_by_key(self, key: &str, value: Option<&str>) -> Result<Self, AppDataError> {
        let attribute = Attribute::from_key(key);
        let attribute = attribute.ok_or_else(|| AppDataError::NoComponent(key.to_owned()))?;
        match value {
            Some(value) => self.set(attribute, value),
            None => Ok(self.remove(Component::of(attribute))),
        }
    }

    /// Changes who may do what. What the registry says beyond that stays.
    ///
    /// # Errors
    ///
    /// [`AppDataError::Permissions`] for conditions about members or roles, policies for attributes
    /// without a meaning, roles that nobody can give, and permissions that others than super admins
    /// may change.
    pub fn set_permissions(self, policies: &PolicySet) -> Result<Self, AppDataError> {
        let wanted = registry(policies, false, false).map_err(|cause| match cause {
            BootstrapError::Permissions(reason) => AppDataError::Permissions(reason),
            _ => AppDataError::Permissions("they have no form there"),
        })?;
        let attributes = Attribute::WITH_POLICY.map(Component::of).into_iter();
        let mut mutations = Vec::new();
        for component in attributes.chain([Component::ADMINS, Component::MEMBERSHIP]) {
            let Some(wanted) = wanted.get(component) else {
                continue;
            };
            let entry = wanted.encode();
            match self.registry.get(component) {
                Some(present) if present.says_the_same(&wanted) => {}
                _ if self.registry.raw().contains_key(&component) => {
                    mutations.push(MapMutation::Update(component, entry));
                }
                _ => mutations.push(MapMutation::Insert(component, entry)),
            }
        }
        if mutations.is_empty() {
            return Ok(self);
        }
        self.change(Component::REGISTRY, &write_map_change(&mutations))
    }

    /// Changes who is admin.
    ///
    /// # Errors
    ///
    /// [`AppDataError::Malformed`] when the inbox has the role already, or has it not.
    pub fn change_admins(
        self,
        change: AdminChange,
        inbox_id: InboxId,
    ) -> Result<Self, AppDataError> {
        let (component, mutation) = match change {
            AdminChange::AddAdmin => (Component::ADMINS, SetMutation::Insert(inbox_id)),
            AdminChange::RemoveAdmin => (Component::ADMINS, SetMutation::Remove(inbox_id)),
            AdminChange::AddSuperAdmin => (Component::SUPER_ADMINS, SetMutation::Insert(inbox_id)),
            AdminChange::RemoveSuperAdmin => {
                (Component::SUPER_ADMINS, SetMutation::Remove(inbox_id))
            }
        };
        self.change(component, &write_set_change(&[mutation]))
    }

    /// Changes the membership to `new`. Installations that failed are noted at the inbox that
    /// `owners` names, else, and when that inbox goes, at the first member.
    ///
    /// # Errors
    ///
    /// [`AppDataError`] when the old membership cannot be read.
    pub fn set_membership(
        self,
        new: &GroupMembership,
        owners: &BTreeMap<InstallationKey, InboxId>,
    ) -> Result<Self, AppDataError> {
        let old = match self.dictionary.get(Component::MEMBERSHIP) {
            Some(bytes) => entries(bytes)?,
            None => BTreeMap::new(),
        };
        let mut wanted = new_entries(&old, new, owners);
        let mut mutations = Vec::new();
        for (inbox_id, entry) in &old {
            match wanted.remove(inbox_id) {
                None => mutations.push(MapMutation::Delete(*inbox_id)),
                Some(changed) if changed != *entry => {
                    mutations.push(MapMutation::Update(*inbox_id, changed.encode()));
                }
                Some(_) => {}
            }
        }
        for (inbox_id, entry) in wanted {
            mutations.push(MapMutation::Insert(inbox_id, entry.encode()));
        }
        if mutations.is_empty() {
            return Ok(self);
        }
        self.change(Component::MEMBERSHIP, &write_map_change(&mutations))
    }

    /// Changes any component, by a change as its kind spells it.
    ///
    /// # Errors
    ///
    /// [`AppDataError`] when the change does not fit.
    pub fn change(mut self, component: Component, update: &[u8]) -> Result<Self, AppDataError> {
        let old = self.dictionary.get(component).map(|old| &old[..]);
        let value = apply(component, update, old, &self.registry)?;
        self.dictionary.set(component, Some(value.clone()));
        self.changes.push(AppDataChange {
            component: component.0,
            update: Some(Bytes::copy_from_slice(update)),
            value: Some(value),
        });
        Ok(self)
    }

    /// Takes a component away.
    #[must_use]
    pub fn remove(mut self, component: Component) -> Self {
        self.dictionary.set(component, None);
        self.changes.push(AppDataChange {
            component: component.0,
            update: None,
            value: None,
        });
        self
    }

    /// The changes, for the plan of a commit.
    #[must_use]
    pub fn finish(self) -> Vec<AppDataChange> {
        self.changes
    }
}

/// An attribute's text as a component holds it.
pub(crate) fn attribute_value(attribute: Attribute, value: &str) -> Result<Bytes, AppDataError> {
    let malformed = |reason: String| AppDataError::Malformed {
        component: Component::of(attribute),
        reason,
    };
    match attribute {
        Attribute::DisappearFromNs | Attribute::DisappearInNs => {
            let number: i64 = value
                .parse()
                .map_err(|_| malformed(format!("{value:?} is no number of nanoseconds")))?;
            Ok(Bytes::copy_from_slice(&number.to_be_bytes()))
        }
        Attribute::CommitLogSigner => match hex::decode(value) {
            Ok(secret) if secret.len() == 32 => Ok(secret.into()),
            _ => Err(malformed("not the hex digits of 32 bytes".to_owned())),
        },
        _ => Ok(Bytes::copy_from_slice(value.as_bytes())),
    }
}

/// The entries of a membership. What failed stays where it was, or goes to where it belongs.
pub(crate) fn new_entries(
    old: &BTreeMap<InboxId, MemberEntry>,
    new: &GroupMembership,
    owners: &BTreeMap<InstallationKey, InboxId>,
) -> BTreeMap<InboxId, MemberEntry> {
    let mut wanted: BTreeMap<InboxId, MemberEntry> = new
        .members
        .iter()
        .map(|(inbox_id, sequence_id)| {
            let kept = old.get(inbox_id).map(|entry| entry.failed.clone());
            let entry = MemberEntry {
                sequence_id: *sequence_id,
                failed: kept.unwrap_or_default(),
            };
            (*inbox_id, entry)
        })
        .collect();
    let noted: BTreeSet<Bytes> = wanted
        .values()
        .flat_map(|entry| entry.failed.iter().cloned())
        .collect();
    for failed in new.failed_installations.difference(&noted) {
        let owner = InstallationKey::try_from(&failed[..])
            .ok()
            .and_then(|key| owners.get(&key).copied())
            .filter(|owner| wanted.contains_key(owner))
            .or_else(|| wanted.keys().next().copied());
        if let Some(entry) = owner.and_then(|owner| wanted.get_mut(&owner)) {
            entry.failed.insert(failed.clone());
        }
    }
    wanted
}

//! What changes of components do, and who may make them.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::InboxId;

use super::{
    codec::{
        CodecError, MapMutation, SetMutation, change_map, change_set, read_map, read_map_change,
        read_set_change, write_map,
    },
    component::{Component, ComponentKind},
    dictionary::Dictionary,
    registry::{ComponentMetadata, Operation, Registry},
};
use crate::{
    context::ContextError,
    facts::ContextExtensions,
    permissions::Role,
    version::{InvalidVersion, Version},
};

/// Why a change of a component is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AppDataError {
    /// The dictionary cannot be read.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The change, or the value that it changes, cannot be read.
    #[error("component {component}: {reason}")]
    Malformed {
        /// Which component.
        component: Component,
        /// What is wrong with it.
        reason: String,
    },
    /// The component keeps its first value.
    #[error("component {0} never changes")]
    Immutable(Component),
    /// Nobody said of what kind the component is.
    #[error("component {0} is not in the registry")]
    Unknown(Component),
    /// The registry would say something about a component that it must not say.
    #[error("the registry's entry for component {0} is not allowed")]
    RegistryEntry(Component),
    /// The proposer may not change the component so.
    #[error("component {0} may not be changed so")]
    NotPermitted(Component),
    /// There is no component for an attribute of this name.
    #[error("the attribute {0:?} has no component in a group of this form")]
    NoComponent(String),
    /// Permissions that a registry cannot express.
    #[error("a group of this form cannot have these permissions: {0}")]
    Permissions(&'static str),
    /// The version that the group asks for would fall.
    #[error("the minimum version would fall from {current}")]
    VersionFalls {
        /// The version that the group asks for.
        current: Version,
    },
    /// The version that the group would ask for cannot be read.
    #[error(transparent)]
    Version(#[from] InvalidVersion),
}

/// The values that components have after changes, in the order of the proposals: a value for each
/// component that changes, `None` for those that are taken away. `old` is the context before.
///
/// # Errors
///
/// [`AppDataError`]. Who made the changes is not looked at.
pub fn outcome<'a>(
    old: &ContextExtensions,
    changes: impl IntoIterator<Item = (u16, Option<&'a [u8]>)>,
) -> Result<BTreeMap<u16, Option<Bytes>>, AppDataError> {
    let dictionary = Dictionary::of(old)?.unwrap_or_default();
    let registry = if dictionary.is_migrated() {
        dictionary.registry()?
    } else {
        Registry::default()
    };
    let mut values = BTreeMap::<u16, Option<Bytes>>::new();
    for (number, update) in changes {
        let component = Component(number);
        let current = match values.get(&number) {
            Some(value) => value.clone(),
            None => dictionary.get(component).cloned(),
        };
        let value = match update {
            Some(update) => Some(apply(component, update, current.as_deref(), &registry)?),
            None => None,
        };
        values.insert(number, value);
    }
    Ok(values)
}

/// Checks a change that somebody with this role proposes to a component with this value.
pub(crate) fn check_update(
    component: Component,
    update: Option<&[u8]>,
    old: Option<&[u8]>,
    role: Role,
    registry: &Registry,
) -> Result<(), AppDataError> {
    if component == Component::MINIMUM_VERSION {
        check_version_rises(update, old)?;
    }
    for operation in operations(component, update, registry)? {
        if component.is_immutable() && operation != Operation::Insert {
            return Err(AppDataError::Immutable(component));
        }
        let allowed = if component.is_super_admins_own() {
            role.is_super_admin
        } else {
            registry
                .get(component)
                .is_some_and(|metadata| metadata.allows(operation, role))
        };
        if !allowed {
            return Err(AppDataError::NotPermitted(component));
        }
    }
    Ok(())
}

/// The value of a component after a change.
pub(crate) fn apply(
    component: Component,
    update: &[u8],
    old: Option<&[u8]>,
    registry: &Registry,
) -> Result<Bytes, AppDataError> {
    if component.is_immutable() && old.is_some() {
        return Err(AppDataError::Immutable(component));
    }
    let changed = match kind(component, registry)? {
        ComponentKind::Bytes | ComponentKind::String => {
            check_value(component, kind(component, registry)?, update)?;
            Ok(Bytes::copy_from_slice(update))
        }
        ComponentKind::SetOfInboxes => apply_set::<InboxId>(update, old),
        ComponentKind::SetOfBytes => apply_set::<Bytes>(update, old),
        ComponentKind::MapOfInboxes => apply_map::<InboxId>(update, old),
        ComponentKind::MapOfBytes if component == Component::REGISTRY => {
            check_registry_change(update)?;
            apply_map::<Component>(update, old)
        }
        ComponentKind::MapOfBytes => apply_map::<Bytes>(update, old),
    };
    changed.map_err(|error| malformed(component, error))
}

fn apply_map<K: super::codec::Key>(update: &[u8], old: Option<&[u8]>) -> Result<Bytes, CodecError> {
    let mut map = old
        .map(read_map::<K, Bytes>)
        .transpose()?
        .unwrap_or_default();
    change_map(&mut map, read_map_change(update)?)?;
    Ok(write_map(&map))
}

fn apply_set<K: super::codec::Key>(update: &[u8], old: Option<&[u8]>) -> Result<Bytes, CodecError> {
    let mut set = old.map(read_map::<K, ()>).transpose()?.unwrap_or_default();
    change_set(&mut set, read_set_change(update)?)?;
    Ok(write_map(&set))
}

/// What a change does, step by step.
fn operations(
    component: Component,
    update: Option<&[u8]>,
    registry: &Registry,
) -> Result<Vec<Operation>, AppDataError> {
    let kind = kind(component, registry)?;
    let Some(update) = update else {
        return if component == Component::REGISTRY {
            Err(AppDataError::RegistryEntry(component))
        } else {
            Ok(vec![Operation::Delete])
        };
    };
    let operations = match kind {
        ComponentKind::Bytes | ComponentKind::String => {
            check_value(component, kind, update)?;
            Ok(vec![Operation::Update])
        }
        ComponentKind::SetOfInboxes => set_operations::<InboxId>(update),
        ComponentKind::SetOfBytes => set_operations::<Bytes>(update),
        ComponentKind::MapOfInboxes => map_operations::<InboxId>(update),
        ComponentKind::MapOfBytes if component == Component::REGISTRY => {
            check_registry_change(update)?;
            map_operations::<Component>(update)
        }
        ComponentKind::MapOfBytes => map_operations::<Bytes>(update),
    };
    operations.map_err(|error| malformed(component, error))
}

fn set_operations<K: super::codec::Key>(update: &[u8]) -> Result<Vec<Operation>, CodecError> {
    let mutations = read_set_change::<K>(update)?;
    let operation = |mutation: &SetMutation<K>| match mutation {
        SetMutation::Insert(_) => Operation::Insert,
        SetMutation::Remove(_) | SetMutation::RemoveByHash(_) => Operation::Delete,
    };
    Ok(mutations.iter().map(operation).collect())
}

fn map_operations<K: super::codec::Key>(update: &[u8]) -> Result<Vec<Operation>, CodecError> {
    let mutations = read_map_change::<K, Bytes>(update)?;
    let operation = |mutation: &MapMutation<K, Bytes>| match mutation {
        MapMutation::Insert(..) => Operation::Insert,
        MapMutation::Update(..) => Operation::Update,
        MapMutation::Delete(_) => Operation::Delete,
    };
    Ok(mutations.iter().map(operation).collect())
}

/// The registry never speaks of what needs no entry, and what it says about immutable components
/// stays.
fn check_registry_change(update: &[u8]) -> Result<(), AppDataError> {
    let mutations = read_map_change::<Component, Bytes>(update)
        .map_err(|error| malformed(Component::REGISTRY, error))?;
    for mutation in mutations {
        let (component, is_allowed) = match mutation {
            MapMutation::Insert(component, entry) => {
                let is_entry = ComponentMetadata::decode(component, &entry).is_some();
                (component, is_entry)
            }
            MapMutation::Update(component, entry) => {
                let is_entry = ComponentMetadata::decode(component, &entry).is_some();
                (component, is_entry && !component.is_immutable())
            }
            MapMutation::Delete(component) => {
                let is_entry = component.is_valid()
                    && !component.is_reserved()
                    && !component.is_super_admins_own();
                (component, is_entry && !component.is_immutable())
            }
        };
        if !is_allowed {
            return Err(AppDataError::RegistryEntry(component));
        }
    }
    Ok(())
}

fn kind(component: Component, registry: &Registry) -> Result<ComponentKind, AppDataError> {
    component
        .known_kind()
        .or_else(|| registry.get(component)?.kind())
        .ok_or(AppDataError::Unknown(component))
}

fn check_value(
    component: Component,
    kind: ComponentKind,
    value: &[u8],
) -> Result<(), AppDataError> {
    if kind == ComponentKind::String
        && let Err(error) = std::str::from_utf8(value)
    {
        return Err(malformed(component, error));
    }
    match component.length() {
        Some(length) if length != value.len() => Err(malformed(
            component,
            format!("{} bytes, not {length}", value.len()),
        )),
        _ => Ok(()),
    }
}

/// The minimum version never falls, and is not taken away. One that cannot be read counts as none.
fn check_version_rises(update: Option<&[u8]>, old: Option<&[u8]>) -> Result<(), AppDataError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Some(current) = old.and_then(|old| text(old).parse::<Version>().ok()) else {
        return Ok(());
    };
    let rises = match update {
        Some(update) => text(update).parse::<Version>()? >= current,
        None => false,
    };
    if rises {
        Ok(())
    } else {
        Err(AppDataError::VersionFalls { current })
    }
}

fn malformed(component: Component, reason: impl ToString) -> AppDataError {
    AppDataError::Malformed {
        component,
        reason: reason.to_string(),
    }
}

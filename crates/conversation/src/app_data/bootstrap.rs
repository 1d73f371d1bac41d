//! The commit with which a group begins to live in a dictionary.
//!
//! A super admin takes the four older extensions out of the context and seeds a component with each
//! thing that they said. Every member computes the same seeds from the old context and compares.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use folkmoot_wire::{InboxId, InstallationKey};

use super::{
    codec::{Key, MapMutation, SetMutation, read_map_change, write_map_change, write_set_change},
    component::{Component, ComponentKind},
    dictionary::{Dictionary, MemberEntry},
    registry::{ComponentMetadata, Registry},
    update::{AppDataError, apply},
    write::{attribute_value, new_entries},
};
use crate::{
    context::{
        Attribute, Context, ContextError, Extension, GroupMembership, REQUIRED_CAPABILITIES,
        encode_required_capabilities,
    },
    engine::AppDataChange,
    facts::{CommitFacts, ContextExtensions, ProposalKind},
    layout::Reader,
    permissions::{Policy, PolicySet, Trusted, Who},
    version::Version,
};

/// Why a group cannot be converted, or a commit that converts it is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BootstrapError {
    /// The group context cannot be read.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A value has no form as a component.
    #[error(transparent)]
    Value(#[from] AppDataError),
    /// The group's permissions have no form in a registry: conditions, custom attributes, admins that
    /// nobody can make, or permissions that others than super admins may change.
    #[error("the permissions cannot be converted: {0}")]
    Permissions(&'static str),
    /// An admin, the creator or a member of a DM is no inbox id.
    #[error("{0:?} is no inbox id")]
    NotAnInboxId(String),
    /// A DM of somebody with themselves.
    #[error("the two members of the dm are the same")]
    SameMembers,
    /// An installation that failed has no key.
    #[error("a failed installation is no installation key")]
    FailedInstallation,
    /// Only super admins convert groups.
    #[error("only a super admin may convert a group")]
    NotSuperAdmin,
    /// The commit does other things too.
    #[error("a commit that converts a group does nothing else")]
    OtherProposals,
    /// The context afterwards is not that of a converted group.
    #[error("the context afterwards still has an older extension, or does not require the new one")]
    Shape,
    /// A component is seeded twice.
    #[error("component {0} is seeded twice")]
    Twice(Component),
    /// A component is not seeded, or with something else than everybody computes.
    #[error("component {0} is not seeded with what the group says")]
    Seed(Component),
    /// A component is seeded that the group says nothing about.
    #[error("component {0} is seeded without need")]
    Unexpected(Component),
    /// The group would ask for a version that is not understood.
    #[error("the group would ask for version {0}")]
    VersionTooLow(Version),
}

/// Converts a group: the extensions of the context, and the changes, for the plan of a commit. The
/// minimum version must have been raised in a commit before, so that older clients stand still.
///
/// `owners` says to which member an installation that failed belongs; others are forgotten.
///
/// # Errors
///
/// [`BootstrapError`].
pub fn bootstrap(
    old: &ContextExtensions,
    owners: &BTreeMap<InstallationKey, InboxId>,
) -> Result<(ContextExtensions, Vec<AppDataChange>), BootstrapError> {
    let seeds = Seeds::of(old)?;
    let mut updates = seeds.exact;
    let entries: Vec<_> = seeds
        .registry
        .raw()
        .iter()
        .map(|(component, entry)| MapMutation::Insert(*component, entry.clone()))
        .collect();
    updates.insert(Component::REGISTRY, write_map_change(&entries));
    let owned = GroupMembership {
        failed_installations: seeds
            .membership
            .failed()
            .into_iter()
            .filter(|key| {
                let owner = owners.get(key);
                owner.is_some_and(|owner| seeds.membership.contains(*owner))
            })
            .map(|key| Bytes::copy_from_slice(key.as_bytes()))
            .collect(),
        ..seeds.membership
    };
    let members: Vec<_> = new_entries(&BTreeMap::new(), &owned, owners)
        .into_iter()
        .map(|(inbox_id, entry)| MapMutation::Insert(inbox_id, entry.encode()))
        .collect();
    updates.insert(Component::MEMBERSHIP, write_map_change(&members));
    let changes = updates
        .into_iter()
        .map(|(component, update)| {
            let value = apply(component, &update, None, &Registry::default())?;
            Ok(AppDataChange {
                component: component.0,
                update: Some(update),
                value: Some(value),
            })
        })
        .collect::<Result<_, AppDataError>>()?;
    Ok((without_older(old)?, changes))
}

/// The context that a conversion leads to, for a group that begins in a dictionary.
///
/// # Errors
///
/// [`BootstrapError`].
pub fn converted(old: &ContextExtensions) -> Result<ContextExtensions, BootstrapError> {
    let (mut new, changes) = bootstrap(old, &BTreeMap::new())?;
    let mut dictionary = Dictionary::default();
    for change in changes {
        dictionary.set(Component(change.component), change.value);
    }
    new.0.insert(DICTIONARY, dictionary.encode());
    Ok(new)
}

/// Whether a commit converts its group.
pub(crate) fn is_bootstrap(commit: &CommitFacts) -> bool {
    let is_converted = commit.old.data(Extension::AppData.number()).is_some();
    let changes_context = has(commit, |kind| *kind == ProposalKind::GroupContextExtensions);
    let seeds_registry = has(commit, |kind| {
        matches!(kind, ProposalKind::AppDataUpdate { component, .. }
            if *component == Component::REGISTRY.0)
    });
    !is_converted
        && changes_context
        && seeds_registry
        && LEGACY
            .iter()
            .all(|extension| commit.new.data(extension.number()).is_none())
        && required(&commit.new).is_some_and(|lists| lists[0].contains(&DICTIONARY))
}

/// Checks a commit that converts its group.
pub(crate) fn check_bootstrap(
    commit: &CommitFacts,
    is_super_admin: bool,
    own: &Version,
) -> Result<(), BootstrapError> {
    if !is_super_admin {
        return Err(BootstrapError::NotSuperAdmin);
    }
    let mut actual = BTreeMap::new();
    for proposal in &commit.proposals {
        match &proposal.kind {
            ProposalKind::GroupContextExtensions => {}
            ProposalKind::AppDataUpdate { component, update } => {
                let component = Component(*component);
                if actual.insert(component, update.clone()).is_some() {
                    return Err(BootstrapError::Twice(component));
                }
            }
            _ => return Err(BootstrapError::OtherProposals),
        }
    }
    let floor = actual.get(&Component::MINIMUM_VERSION).cloned().flatten();
    let floor = floor.and_then(|floor| String::from_utf8_lossy(&floor).parse().ok());
    if let Some(floor) = floor.filter(|floor| floor > own) {
        return Err(BootstrapError::VersionTooLow(floor));
    }
    Seeds::of(&commit.old)?.check(&actual)?;
    let lists = required(&commit.new).ok_or(BootstrapError::Shape)?;
    if LEGACY
        .iter()
        .any(|legacy| lists[0].contains(&legacy.number()))
    {
        return Err(BootstrapError::Shape);
    }
    Ok(())
}

/// What everybody computes from the context before.
struct Seeds {
    /// Components whose seeds are compared byte for byte.
    exact: BTreeMap<Component, Bytes>,
    /// Compared entry by entry.
    registry: Registry,
    /// Compared member by member. Not every installation that failed need be there.
    membership: GroupMembership,
}

impl Seeds {
    fn of(old: &ContextExtensions) -> Result<Self, BootstrapError> {
        let context = Context {
            metadata: old.metadata()?,
            mutable: old.mutable_metadata()?,
            membership: old.membership()?,
            permissions: old.permissions()?,
        };
        if context.membership.failed().len() != context.membership.failed_installations.len() {
            return Err(BootstrapError::FailedInstallation);
        }
        let mut exact = BTreeMap::new();
        for attribute in Attribute::ALL {
            if let Some(value) = context.mutable.get(attribute) {
                let value = attribute_value(attribute, value)?;
                exact.insert(Component::of(attribute), value);
            }
        }
        exact.insert(Component::ADMINS, inbox_set(&context.mutable.admins)?);
        exact.insert(
            Component::SUPER_ADMINS,
            inbox_set(&context.mutable.super_admins)?,
        );
        let kind = context.metadata.kind.number().to_be_bytes();
        exact.insert(Component::CONVERSATION_KIND, Bytes::copy_from_slice(&kind));
        let mut creator = Vec::new();
        inbox_id(&context.metadata.creator)?.write(&mut creator);
        exact.insert(Component::CREATOR, creator.into());
        if let Some(members) = &context.metadata.dm_members {
            let set = inbox_set(&[members.one.clone(), members.two.clone()])?;
            if inbox_id(&members.one)? == inbox_id(&members.two)? {
                return Err(BootstrapError::SameMembers);
            }
            exact.insert(Component::DM_MEMBERS, set);
        }
        if let Some(message) = &context.metadata.oneshot {
            let bytes = prost::Message::encode_to_vec(&message.to_proto());
            exact.insert(Component::ONESHOT_MESSAGE, bytes.into());
        }
        Ok(Self {
            exact,
            registry: registry(
                &context.permissions,
                context.metadata.dm_members.is_some(),
                context.metadata.oneshot.is_some(),
            )?,
            membership: context.membership,
        })
    }

    fn check(&self, actual: &BTreeMap<Component, Option<Bytes>>) -> Result<(), BootstrapError> {
        for (component, expected) in &self.exact {
            if actual.get(component).cloned().flatten().as_ref() != Some(expected) {
                return Err(BootstrapError::Seed(*component));
            }
        }
        let structured = [Component::REGISTRY, Component::MEMBERSHIP];
        for component in actual.keys() {
            if !structured.contains(component) && !self.exact.contains_key(component) {
                return Err(BootstrapError::Unexpected(*component));
            }
        }
        self.check_registry(&inserted(Component::REGISTRY, actual)?)?;
        self.check_membership(&inserted(Component::MEMBERSHIP, actual)?)
    }

    fn check_registry(&self, actual: &BTreeMap<Component, Bytes>) -> Result<(), BootstrapError> {
        let mut entries = BTreeMap::new();
        for (component, entry) in actual {
            let entry = ComponentMetadata::decode(*component, entry)
                .ok_or(BootstrapError::Seed(Component::REGISTRY))?;
            entries.insert(*component, entry);
        }
        if entries == self.registry.iter().collect() {
            Ok(())
        } else {
            Err(BootstrapError::Seed(Component::REGISTRY))
        }
    }

    fn check_membership(&self, actual: &BTreeMap<InboxId, Bytes>) -> Result<(), BootstrapError> {
        let wrong = || BootstrapError::Seed(Component::MEMBERSHIP);
        let mut members = BTreeMap::new();
        for (inbox_id, entry) in actual {
            let entry = MemberEntry::decode(entry).map_err(|_| wrong())?;
            if !entry
                .failed
                .is_subset(&self.membership.failed_installations)
            {
                return Err(wrong());
            }
            members.insert(*inbox_id, entry.sequence_id);
        }
        if members == self.membership.members {
            Ok(())
        } else {
            Err(wrong())
        }
    }
}

/// The entries that a change inserts, and it must do nothing else, nor one twice.
fn inserted<K: Key>(
    component: Component,
    actual: &BTreeMap<Component, Option<Bytes>>,
) -> Result<BTreeMap<K, Bytes>, BootstrapError> {
    let wrong = || BootstrapError::Seed(component);
    let mut entries = BTreeMap::new();
    let Some(update) = actual.get(&component) else {
        return Ok(entries);
    };
    let update = update.as_ref().ok_or_else(wrong)?;
    for mutation in read_map_change::<K, Bytes>(update).map_err(|_| wrong())? {
        let MapMutation::Insert(key, entry) = mutation else {
            return Err(wrong());
        };
        if entries.insert(key, entry).is_some() {
            return Err(wrong());
        }
    }
    Ok(entries)
}

/// The registry that says what the permissions said.
pub(super) fn registry(
    policies: &PolicySet,
    is_dm: bool,
    is_oneshot: bool,
) -> Result<Registry, BootstrapError> {
    if policies.update_permissions != Policy::Base(Trusted::SuperAdmins) {
        let reason = "others than super admins may change permissions";
        return Err(BootstrapError::Permissions(reason));
    }
    let known = Attribute::WITH_POLICY.map(Attribute::key);
    let mut keys = policies.update_metadata.keys();
    if keys.any(|key| !known.contains(&key.as_str())) {
        let reason = "there is a policy for an unknown attribute";
        return Err(BootstrapError::Permissions(reason));
    }
    let base = |who| Policy::Base(who);
    let super_admins = base(Who::SuperAdmins);
    let mut registry = Registry::default();
    for attribute in Attribute::WITH_POLICY {
        let default = match attribute {
            Attribute::MinimumVersion => Who::SuperAdmins,
            _ => Who::Admins,
        };
        let policy = policies.update_metadata.get(attribute.key());
        let policy = policy.cloned().unwrap_or_else(|| base(default));
        let component = Component::of(attribute);
        let metadata = ComponentMetadata::new(kind_of(component), &policy, &policy, &super_admins);
        registry.insert(component, &metadata);
    }
    let bytes = ComponentKind::Bytes;
    let only = ComponentMetadata::new(bytes, &super_admins, &super_admins, &super_admins);
    registry.insert(Component::COMMIT_LOG_SIGNER, &only);

    let (add, remove) = (
        admins(&policies.add_admin)?,
        admins(&policies.remove_admin)?,
    );
    let lists = ComponentMetadata::new(ComponentKind::SetOfInboxes, &add, &add, &remove);
    registry.insert(Component::ADMINS, &lists);

    let (add, remove) = (
        members(&policies.add_member)?,
        members(&policies.remove_member)?,
    );
    let everyone = base(Who::Everyone);
    let membership = ComponentMetadata::new(ComponentKind::MapOfInboxes, &add, &everyone, &remove);
    registry.insert(Component::MEMBERSHIP, &membership);

    let nobody = base(Who::Nobody);
    let fixed =
        |component| ComponentMetadata::new(kind_of(component), &super_admins, &nobody, &nobody);
    for (component, is_there) in [
        (Component::CONVERSATION_KIND, true),
        (Component::CREATOR, true),
        (Component::ONESHOT_MESSAGE, is_oneshot),
        (Component::DM_MEMBERS, is_dm),
    ] {
        if is_there {
            registry.insert(component, &fixed(component));
        }
    }
    Ok(registry)
}

fn kind_of(component: Component) -> ComponentKind {
    component.known_kind().unwrap_or(ComponentKind::Bytes)
}

fn admins(policy: &Policy<Trusted>) -> Result<Policy<Who>, BootstrapError> {
    match policy {
        Policy::Base(trusted @ (Trusted::Admins | Trusted::SuperAdmins)) => {
            Ok(Policy::Base((*trusted).into()))
        }
        _ => Err(BootstrapError::Permissions(
            "roles are not simply given by admins or super admins",
        )),
    }
}

fn members(policy: &Policy<Who>) -> Result<Policy<Who>, BootstrapError> {
    match policy {
        Policy::Base(who) => Ok(Policy::Base(*who)),
        Policy::All(_) | Policy::Any(_) => Err(BootstrapError::Permissions(
            "there is a condition about members",
        )),
    }
}

fn inbox_set(texts: &[String]) -> Result<Bytes, BootstrapError> {
    let ids = texts.iter().map(|text| inbox_id(text));
    let ids = ids.collect::<Result<BTreeSet<_>, _>>()?;
    let mutations: Vec<_> = ids.into_iter().map(SetMutation::Insert).collect();
    Ok(write_set_change(&mutations))
}

/// Reads an inbox id in either letter case, as libxmtp does here.
fn inbox_id(text: &str) -> Result<InboxId, BootstrapError> {
    text.to_ascii_lowercase()
        .parse()
        .map_err(|_| BootstrapError::NotAnInboxId(text.to_owned()))
}

/// The context without the older extensions, neither there nor required, which requires the new one.
fn without_older(old: &ContextExtensions) -> Result<ContextExtensions, BootstrapError> {
    let mut lists = required(old).ok_or(BootstrapError::Shape)?;
    lists[0].retain(|number| LEGACY.iter().all(|legacy| legacy.number() != *number));
    lists[0].push(DICTIONARY);
    let mut new = old.clone();
    for legacy in LEGACY {
        new.0.remove(&legacy.number());
    }
    let [extensions, proposals, credentials] = lists;
    let data = encode_required_capabilities(&extensions, &proposals, &credentials);
    new.0.insert(REQUIRED_CAPABILITIES, data);
    Ok(new)
}

/// The extensions, proposals and credentials that members must understand.
fn required(context: &ContextExtensions) -> Option<[Vec<u16>; 3]> {
    let mut reader = Reader::new(context.data(REQUIRED_CAPABILITIES)?);
    let lists = [
        reader.numbers("extension_types").ok()?,
        reader.numbers("proposal_types").ok()?,
        reader.numbers("credential_types").ok()?,
    ];
    reader.finish().ok()?;
    Some(lists)
}

fn has(commit: &CommitFacts, test: impl Fn(&ProposalKind) -> bool) -> bool {
    commit.proposals.iter().any(|proposal| test(&proposal.kind))
}

const DICTIONARY: u16 = Extension::AppData.number();

const LEGACY: [Extension; 4] = [
    Extension::Metadata,
    Extension::MutableMetadata,
    Extension::Membership,
    Extension::Permissions,
];

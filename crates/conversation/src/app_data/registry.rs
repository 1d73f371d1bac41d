//! The registry: of what kind a component is, and who may change it.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::message_contents::{self as proto, metadata_policy};
use prost::Message;

use super::{
    codec::{CodecError, read_map},
    component::{Component, ComponentKind},
};
use crate::permissions::{Policy, Role, Who};

/// The registry of a group. Entries that mean nothing are kept, and count as absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry(BTreeMap<Component, Bytes>);

/// What the registry says about a component.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentMetadata(Metadata);

/// The protobuf message.
#[derive(Clone, PartialEq, prost::Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    component_type: i32,
    #[prost(message, optional, tag = "2")]
    permissions: Option<proto::ComponentPermissions>,
    #[prost(message, optional, tag = "3")]
    external_committer_permissions: Option<proto::ComponentPermissions>,
}

/// What a change does to a component, or to an entry in it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Operation {
    Insert,
    Update,
    Delete,
}

impl Registry {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        read_map(bytes).map(Self)
    }

    /// What is said about a component.
    #[must_use]
    pub fn get(&self, component: Component) -> Option<ComponentMetadata> {
        ComponentMetadata::decode(component, self.0.get(&component)?)
    }

    /// The entries that mean something.
    pub fn iter(&self) -> impl Iterator<Item = (Component, ComponentMetadata)> {
        self.0.iter().filter_map(|(component, bytes)| {
            Some((*component, ComponentMetadata::decode(*component, bytes)?))
        })
    }

    /// Who may add and remove inboxes; nobody, if the registry does not say.
    pub(crate) fn membership_policies(&self) -> (Policy<Who>, Policy<Who>) {
        let metadata = self.get(Component::MEMBERSHIP);
        let policy = |operation| {
            metadata
                .as_ref()
                .map_or(Policy::Base(Who::Nobody), |metadata| {
                    metadata.shown_policy(operation)
                })
        };
        (policy(Operation::Insert), policy(Operation::Delete))
    }

    pub(crate) fn insert(&mut self, component: Component, metadata: &ComponentMetadata) {
        self.0.insert(component, metadata.encode());
    }

    pub(crate) fn raw(&self) -> &BTreeMap<Component, Bytes> {
        &self.0
    }
}

impl ComponentMetadata {
    /// An entry with three policies.
    #[must_use]
    pub fn new(
        kind: ComponentKind,
        insert: &Policy<Who>,
        update: &Policy<Who>,
        delete: &Policy<Who>,
    ) -> Self {
        Self(Metadata {
            component_type: kind.number(),
            permissions: Some(proto::ComponentPermissions {
                insert_policy: Some(insert.to_proto()),
                update_policy: Some(update.to_proto()),
                delete_policy: Some(delete.to_proto()),
            }),
            external_committer_permissions: None,
        })
    }

    /// Reads an entry; `None` when it means nothing: for numbers that are no components or need no
    /// entry, without all three policies, and for the admins with a policy that does not simply name
    /// admins or super admins.
    pub(crate) fn decode(component: Component, bytes: &[u8]) -> Option<Self> {
        if !component.is_valid() || component.is_reserved() || component.is_super_admins_own() {
            return None;
        }
        let metadata = Self(Metadata::decode(bytes).ok()?);
        for operation in [Operation::Insert, Operation::Update, Operation::Delete] {
            let policy = metadata.policy(operation)?;
            if component == Component::ADMINS && !names_admins(policy) {
                return None;
            }
        }
        Some(metadata)
    }

    pub(crate) fn encode(&self) -> Bytes {
        self.0.encode_to_vec().into()
    }

    /// Whether both let the same people do the same, as far as that is shown.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        [Operation::Insert, Operation::Update, Operation::Delete]
            .into_iter()
            .all(|operation| self.policy(operation) == other.policy(operation))
    }

    /// The kind of the component, if it is known.
    #[must_use]
    pub fn kind(&self) -> Option<ComponentKind> {
        ComponentKind::from_number(self.0.component_type)
    }

    pub(crate) fn policy(&self, operation: Operation) -> Option<&proto::MetadataPolicy> {
        let permissions = self.0.permissions.as_ref()?;
        match operation {
            Operation::Insert => permissions.insert_policy.as_ref(),
            Operation::Update => permissions.update_policy.as_ref(),
            Operation::Delete => permissions.delete_policy.as_ref(),
        }
    }

    /// Whether somebody with this role may do this to the component.
    pub(crate) fn allows(&self, operation: Operation, role: Role) -> bool {
        let policy = self.policy(operation);
        policy.and_then(|policy| allows(policy, role)) == Some(true)
    }

    /// A policy as it can be shown: what means nothing lets nobody in.
    pub(crate) fn shown_policy(&self, operation: Operation) -> Policy<Who> {
        self.policy(operation)
            .and_then(|policy| Policy::from_proto(policy.clone(), "policy").ok())
            .unwrap_or(Policy::Base(Who::Nobody))
    }
}

fn names_admins(policy: &proto::MetadataPolicy) -> bool {
    matches!(policy.kind, Some(metadata_policy::Kind::Base(3 | 4)))
}

/// Whether a policy lets a role in; `None` when it means nothing. A condition is looked at only
/// as far as needed, so a part that means nothing may go unnoticed.
fn allows(policy: &proto::MetadataPolicy, role: Role) -> Option<bool> {
    match policy.kind.as_ref()? {
        metadata_policy::Kind::Base(number) => {
            let who = match number {
                1 => Who::Everyone,
                2 => Who::Nobody,
                3 => Who::Admins,
                4 => Who::SuperAdmins,
                _ => return None,
            };
            Some(who.includes(role))
        }
        metadata_policy::Kind::AndCondition(condition) => {
            first_that(&condition.policies, role, false)
        }
        metadata_policy::Kind::AnyCondition(condition) => {
            first_that(&condition.policies, role, true)
        }
    }
}

/// Whether one of the policies gives `wanted`; the opposite when none does.
fn first_that(policies: &[proto::MetadataPolicy], role: Role, wanted: bool) -> Option<bool> {
    if policies.is_empty() {
        return None;
    }
    for policy in policies {
        if allows(policy, role)? == wanted {
            return Some(wanted);
        }
    }
    Some(!wanted)
}

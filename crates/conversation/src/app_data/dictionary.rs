//! The dictionary, and the context that stands in it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use folkmoot_wire::{InboxId, proto::xmtp::mls::message_contents as proto};
use prost::Message;

use super::{
    codec::read_map,
    component::Component,
    registry::{Operation, Registry},
};
use crate::{
    context::{
        Attribute, Context, ContextError, ConversationKind, DmMembers, Extension, GroupMembership,
        GroupMetadata, MutableMetadata, OneshotMessage,
    },
    facts::ContextExtensions,
    layout::{LayoutError, Reader, write_opaque},
    permissions::{Policy, PolicySet, Trusted, Who},
};

/// The components of a group and their values (extension 0x0006).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dictionary(BTreeMap<Component, Bytes>);

/// Whether a group context lives in a dictionary: it has one, and the registry is in it.
#[must_use]
pub fn is_migrated(extensions: &ContextExtensions) -> bool {
    matches!(Dictionary::of(extensions), Ok(Some(dictionary)) if dictionary.is_migrated())
}

/// Reads the context of a group that lives in a dictionary.
///
/// # Errors
///
/// [`ContextError`], by the first component that is missing or wrong.
pub fn read(extensions: &ContextExtensions) -> Result<Context, ContextError> {
    Dictionary::of(extensions)?
        .ok_or(ContextError::Missing(Extension::AppData))?
        .context()
}

impl Dictionary {
    /// The dictionary of a group context, if it has one.
    ///
    /// # Errors
    ///
    /// [`ContextError::Malformed`].
    pub fn of(extensions: &ContextExtensions) -> Result<Option<Self>, ContextError> {
        let data = extensions.data(Extension::AppData.number());
        data.map(|data| Self::decode(data)).transpose()
    }

    /// Reads the extension's data.
    ///
    /// # Errors
    ///
    /// [`ContextError::Malformed`].
    pub fn decode(data: &[u8]) -> Result<Self, ContextError> {
        let malformed = |error: LayoutError| Extension::AppData.malformed(error);
        let mut reader = Reader::new(data);
        let mut entries = reader.vector("component_data").map_err(malformed)?;
        reader.finish().map_err(malformed)?;
        let mut components = BTreeMap::new();
        while !entries.is_empty() {
            let component = Component(entries.u16("component_id").map_err(malformed)?);
            let value = entries.opaque("data").map_err(malformed)?;
            let last = components.last_key_value().map(|(last, _)| *last);
            if last.is_some_and(|last| last >= component) {
                let reason = "the components are not in ascending order";
                return Err(Extension::AppData.malformed(reason));
            }
            components.insert(component, Bytes::copy_from_slice(value));
        }
        Ok(Self(components))
    }

    /// The extension's data.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut entries = Vec::new();
        for (component, value) in &self.0 {
            entries.extend(component.0.to_be_bytes());
            write_opaque(&mut entries, value);
        }
        let mut data = Vec::new();
        write_opaque(&mut data, &entries);
        data.into()
    }

    /// The value of a component.
    #[must_use]
    pub fn get(&self, component: Component) -> Option<&Bytes> {
        self.0.get(&component)
    }

    /// Sets a component, or takes it away.
    pub fn set(&mut self, component: Component, value: Option<Bytes>) {
        match value {
            Some(value) => self.0.insert(component, value),
            None => self.0.remove(&component),
        };
    }

    pub(crate) fn is_migrated(&self) -> bool {
        self.0.contains_key(&Component::REGISTRY)
    }

    /// Who may change which component.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn registry(&self) -> Result<Registry, ContextError> {
        Registry::decode(self.required(Component::REGISTRY, "component registry")?)
            .map_err(|error| Extension::AppData.malformed(error))
    }

    /// Everything that the dictionary says about a conversation.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn context(&self) -> Result<Context, ContextError> {
        Ok(Context {
            metadata: self.metadata()?,
            mutable: self.mutable_metadata()?,
            membership: self.membership()?,
            permissions: self.permissions()?,
        })
    }

    /// Who may do what.
    pub(crate) fn permissions(&self) -> Result<PolicySet, ContextError> {
        Ok(permissions(&self.registry()?))
    }

    /// What the conversation is.
    pub(crate) fn metadata(&self) -> Result<GroupMetadata, ContextError> {
        let invalid = |field| Extension::AppData.invalid_field(field);
        let kind = self.required(Component::CONVERSATION_KIND, "conversation type")?;
        let kind = <[u8; 4]>::try_from(&kind[..]).map_err(|_| invalid("conversation type"))?;
        let creator = self.required(Component::CREATOR, "creator inbox id")?;
        let creator = read_inbox_id(creator).ok_or_else(|| invalid("creator inbox id"))?;
        let dm_members = match self.get(Component::DM_MEMBERS) {
            Some(bytes) => match inboxes(bytes)?[..] {
                [one, two] => Some(DmMembers {
                    one: one.to_string(),
                    two: two.to_string(),
                }),
                _ => return Err(invalid("dm members")),
            },
            None => None,
        };
        let oneshot = match self.get(Component::ONESHOT_MESSAGE) {
            Some(bytes) => {
                let message = proto::OneshotMessage::decode(&bytes[..])
                    .map_err(|error| Extension::AppData.malformed(error))?;
                Some(OneshotMessage::from_proto(message))
            }
            None => None,
        };
        Ok(GroupMetadata {
            kind: ConversationKind::from_number(i32::from_be_bytes(kind))?,
            creator: creator.to_string(),
            dm_members,
            oneshot,
        })
    }

    /// Attributes and admins.
    pub(crate) fn mutable_metadata(&self) -> Result<MutableMetadata, ContextError> {
        let list = |component| -> Result<Vec<String>, ContextError> {
            let Some(bytes) = self.get(component) else {
                return Ok(Vec::new());
            };
            Ok(inboxes(bytes)?.iter().map(ToString::to_string).collect())
        };
        let mut metadata = MutableMetadata {
            attributes: BTreeMap::new(),
            admins: list(Component::ADMINS)?,
            super_admins: list(Component::SUPER_ADMINS)?,
        };
        for attribute in Attribute::ALL {
            if let Some(bytes) = self.get(Component::of(attribute)) {
                let value = attribute_text(attribute, bytes)
                    .ok_or_else(|| Extension::AppData.invalid_field(attribute.key()))?;
                metadata
                    .attributes
                    .insert(attribute.key().to_owned(), value);
            }
        }
        Ok(metadata)
    }

    /// The member inboxes.
    pub(crate) fn membership(&self) -> Result<GroupMembership, ContextError> {
        let bytes = self.required(Component::MEMBERSHIP, "group membership")?;
        let mut membership = GroupMembership::default();
        for (inbox_id, entry) in entries(bytes)? {
            membership.members.insert(inbox_id, entry.sequence_id);
            membership.failed_installations.extend(entry.failed);
        }
        Ok(membership)
    }

    fn required(&self, component: Component, name: &'static str) -> Result<&Bytes, ContextError> {
        self.get(component)
            .ok_or_else(|| Extension::AppData.missing_field(name))
    }
}

/// What the dictionary says about a member.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct MemberEntry {
    pub(crate) sequence_id: u64,
    pub(crate) failed: BTreeSet<Bytes>,
}

impl MemberEntry {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ContextError> {
        let message = proto::GroupMembershipEntry::decode(bytes)
            .map_err(|error| Extension::AppData.malformed(error))?;
        let Some(proto::group_membership_entry::Version::V1(entry)) = message.version else {
            return Err(Extension::AppData.missing_field("group membership entry version"));
        };
        Ok(Self {
            sequence_id: entry.sequence_id,
            failed: entry.failed_installations.into_iter().collect(),
        })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let entry = proto::group_membership_entry::V1 {
            sequence_id: self.sequence_id,
            failed_installations: self.failed.iter().cloned().collect(),
        };
        let message = proto::GroupMembershipEntry {
            version: Some(proto::group_membership_entry::Version::V1(entry)),
        };
        message.encode_to_vec().into()
    }
}

/// The members in the membership component.
pub(crate) fn entries(bytes: &[u8]) -> Result<BTreeMap<InboxId, MemberEntry>, ContextError> {
    let map =
        read_map::<InboxId, Bytes>(bytes).map_err(|error| Extension::AppData.malformed(error))?;
    map.into_iter()
        .map(|(inbox_id, entry)| Ok((inbox_id, MemberEntry::decode(&entry)?)))
        .collect()
}

/// The policies that a registry amounts to, as the extension of older groups would spell them.
fn permissions(registry: &Registry) -> PolicySet {
    let policy = |component, operation| {
        registry
            .get(component)
            .map_or(Policy::Base(Who::Nobody), |metadata| {
                metadata.shown_policy(operation)
            })
    };
    let roles = |operation| {
        let who = match policy(Component::ADMINS, operation) {
            Policy::Base(who) => Trusted::try_from(who).ok(),
            Policy::All(_) | Policy::Any(_) => None,
        };
        Policy::Base(who.unwrap_or(Trusted::Nobody))
    };
    PolicySet {
        add_member: policy(Component::MEMBERSHIP, Operation::Insert),
        remove_member: policy(Component::MEMBERSHIP, Operation::Delete),
        update_metadata: Attribute::WITH_POLICY
            .into_iter()
            .map(|attribute| {
                let policy = policy(Component::of(attribute), Operation::Update);
                (attribute.key().to_owned(), policy)
            })
            .collect(),
        add_admin: roles(Operation::Insert),
        remove_admin: roles(Operation::Delete),
        update_permissions: Policy::Base(Trusted::SuperAdmins),
    }
}

/// The text that an attribute had before groups lived in dictionaries.
fn attribute_text(attribute: Attribute, bytes: &[u8]) -> Option<String> {
    match attribute {
        Attribute::DisappearFromNs | Attribute::DisappearInNs => {
            Some(i64::from_be_bytes(bytes.try_into().ok()?).to_string())
        }
        Attribute::CommitLogSigner => Some(hex::encode(bytes)),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

fn inboxes(bytes: &[u8]) -> Result<Vec<InboxId>, ContextError> {
    read_map::<InboxId, ()>(bytes)
        .map(|set| set.into_keys().collect())
        .map_err(|error| Extension::AppData.malformed(error))
}

fn read_inbox_id(bytes: &[u8]) -> Option<InboxId> {
    let (version, id) = bytes.split_first()?;
    (*version == 0)
        .then(|| InboxId::try_from(id).ok())
        .flatten()
}

//! Which inboxes are members, and how far their identity logs were taken into account (extension
//! 0xff01).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use folkmoot_wire::{InboxId, InstallationKey, proto::xmtp::mls::message_contents as proto};
use prost::Message;

use super::{ContextError, Extension};

/// The member inboxes of a conversation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupMembership {
    /// Each member with the sequence id of the newest update of its identity log that was taken
    /// into account; 0 means none, as for the creator of a group before the first commit.
    pub members: BTreeMap<InboxId, u64>,
    /// Installations of members that could not be added. Entries are never taken out. What is no
    /// installation key is kept as it came.
    pub failed_installations: BTreeSet<Bytes>,
}

impl GroupMembership {
    /// The membership of a group that was just made: the creator, nothing taken into account.
    #[must_use]
    pub fn of_creator(creator: InboxId) -> Self {
        Self {
            members: BTreeMap::from([(creator, 0)]),
            failed_installations: BTreeSet::new(),
        }
    }

    /// Reads the extension's data.
    ///
    /// # Errors
    ///
    /// [`ContextError`] for bytes that are no such message, and for a member that is no inbox id.
    pub fn decode(data: &[u8]) -> Result<Self, ContextError> {
        let message = proto::GroupMembership::decode(data)
            .map_err(|error| Extension::Membership.malformed(error))?;
        let member = |(inbox_id, sequence_id): (String, u64)| {
            let inbox_id = inbox_id
                .parse()
                .map_err(|_| Extension::Membership.invalid_field("members"))?;
            Ok((inbox_id, sequence_id))
        };
        Ok(Self {
            members: message
                .members
                .into_iter()
                .map(member)
                .collect::<Result<_, _>>()?,
            failed_installations: message.failed_installations.into_iter().collect(),
        })
    }

    /// The extension's data.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let members = self.members.iter();
        let message = proto::GroupMembership {
            members: members
                .map(|(inbox_id, sequence_id)| (inbox_id.to_string(), *sequence_id))
                .collect(),
            failed_installations: self.failed_installations.iter().cloned().collect(),
        };
        message.encode_to_vec().into()
    }

    /// Whether an inbox is a member.
    #[must_use]
    pub fn contains(&self, inbox_id: InboxId) -> bool {
        self.members.contains_key(&inbox_id)
    }

    /// The members.
    pub fn inbox_ids(&self) -> impl Iterator<Item = InboxId> {
        self.members.keys().copied()
    }

    /// Whether an installation is among those that could not be added.
    #[must_use]
    pub fn has_failed(&self, installation: InstallationKey) -> bool {
        self.failed_installations
            .contains(&installation.as_bytes()[..])
    }

    /// The installations that could not be added.
    pub(crate) fn failed(&self) -> BTreeSet<InstallationKey> {
        let keys = self.failed_installations.iter();
        keys.filter_map(|key| InstallationKey::try_from(&key[..]).ok())
            .collect()
    }

    /// Adds to the installations that could not be added.
    pub fn add_failed(&mut self, installations: impl IntoIterator<Item = InstallationKey>) {
        let keys = installations.into_iter();
        self.failed_installations
            .extend(keys.map(|key| Bytes::copy_from_slice(key.as_bytes())));
    }
}

//! `xmtp.org/group_membership_change:1.0`, no longer written.

use bytes::Bytes;
use folkmoot_wire::proto::xmtp::mls::message_contents as proto;
use prost::Message as _;

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// What a commit changed, as clients of 2024 wrote it down. It stands in old archives.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupMembershipChange {
    /// Who came.
    pub members_added: Vec<MembershipChange>,
    /// Who went.
    pub members_removed: Vec<MembershipChange>,
    /// Whose installations came.
    pub installations_added: Vec<MembershipChange>,
    /// Whose installations went.
    pub installations_removed: Vec<MembershipChange>,
}

/// One member's part in a change.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MembershipChange {
    /// The installations.
    pub installation_ids: Vec<Bytes>,
    /// The account whose installations they are.
    pub account_address: String,
    /// The account that made the change.
    pub initiated_by_account_address: String,
}

impl Codec for GroupMembershipChange {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("group_membership_change", 1);
    const SHOULD_PUSH: bool = false;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let message = proto::GroupMembershipChanges {
            members_added: to_proto(&self.members_added),
            members_removed: to_proto(&self.members_removed),
            installations_added: to_proto(&self.installations_added),
            installations_removed: to_proto(&self.installations_removed),
        };
        Ok(Parts::of(Self::TYPE).content(message.encode_to_vec()))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        let message = proto::GroupMembershipChanges::decode(parts.content.clone())
            .map_err(|_| DecodeError::Protobuf("GroupMembershipChanges"))?;
        Ok(Self {
            members_added: from_proto(message.members_added),
            members_removed: from_proto(message.members_removed),
            installations_added: from_proto(message.installations_added),
            installations_removed: from_proto(message.installations_removed),
        })
    }
}

fn to_proto(changes: &[MembershipChange]) -> Vec<proto::MembershipChange> {
    let change = |change: &MembershipChange| proto::MembershipChange {
        installation_ids: change.installation_ids.clone(),
        account_address: change.account_address.clone(),
        initiated_by_account_address: change.initiated_by_account_address.clone(),
    };
    changes.iter().map(change).collect()
}

fn from_proto(changes: Vec<proto::MembershipChange>) -> Vec<MembershipChange> {
    let change = |change: proto::MembershipChange| MembershipChange {
        installation_ids: change.installation_ids,
        account_address: change.account_address,
        initiated_by_account_address: change.initiated_by_account_address,
    };
    changes.into_iter().map(change).collect()
}

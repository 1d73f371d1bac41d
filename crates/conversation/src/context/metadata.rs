//! What a conversation is: fixed when it is made (extension 0xf000).

use bytes::Bytes;
use folkmoot_wire::{GroupId, InboxId, proto::xmtp::mls::message_contents as proto};
use prost::Message;

use super::{ContextError, Extension};
use crate::{
    dm::DmId,
    layout::{LayoutError, Reader, write_opaque},
};

/// What a conversation is. Its creator wrote it; nobody may change it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupMetadata {
    /// The kind of conversation.
    pub kind: ConversationKind,
    /// The inbox of who made it, as text. Nobody checks that it is an inbox id.
    pub creator: String,
    /// The two people of a DM.
    pub dm_members: Option<DmMembers>,
    /// What a one-shot group was made to say.
    pub oneshot: Option<OneshotMessage>,
}

/// The kinds of conversations.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ConversationKind {
    /// Any number of people, with roles.
    Group,
    /// Two people.
    Dm,
    /// The installations of one inbox among themselves; never shown.
    Sync,
    /// Made to carry one message in its welcome, then thrown away; never shown.
    Oneshot,
}

/// The two people of a DM, as text; the order says nothing. Nobody checks that they are inbox ids.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DmMembers {
    /// Who made the DM, as official clients write it.
    pub one: String,
    /// The other.
    pub two: String,
}

/// What a one-shot group says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OneshotMessage {
    /// Somebody lost the state of a group and asks to be added to it again.
    Readd(ReaddRequest),
    /// A message of a kind that is not known here.
    Unknown,
}

/// Asks the super admins of a group (in a DM, the other person) to remove and add again the
/// installation that sends this.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReaddRequest {
    /// The group, as the sender names it.
    pub group_id: Bytes,
    /// The sequence id of the newest commit that the sender knows of.
    pub latest_commit_sequence_id: u64,
}

impl GroupMetadata {
    /// What a conversation without further particulars is.
    #[must_use]
    pub fn new(kind: ConversationKind, creator: InboxId) -> Self {
        Self {
            kind,
            creator: creator.to_string(),
            dm_members: None,
            oneshot: None,
        }
    }

    /// Reads the extension's data as it travels: one vector of MLS around the protobuf message.
    ///
    /// # Errors
    ///
    /// [`ContextError`] for bytes that are not that, for a kind of conversation that is not known,
    /// and for a DM that names only one person.
    pub fn decode(data: &[u8]) -> Result<Self, ContextError> {
        let malformed = |error: LayoutError| Extension::Metadata.malformed(error);
        let mut reader = Reader::new(data);
        let message = reader.opaque("metadata").map_err(malformed)?;
        reader.finish().map_err(malformed)?;
        Self::decode_message(message)
    }

    /// Reads the protobuf message alone.
    pub(crate) fn decode_message(message: &[u8]) -> Result<Self, ContextError> {
        let message = proto::GroupMetadataV1::decode(message)
            .map_err(|error| Extension::Metadata.malformed(error))?;
        Ok(Self {
            dm_members: message.dm_members.map(DmMembers::from_proto).transpose()?,
            kind: ConversationKind::from_number(message.conversation_type)?,
            creator: message.creator_inbox_id,
            oneshot: message.oneshot_message.map(OneshotMessage::from_proto),
        })
    }

    /// The extension's data as it travels.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let message = proto::GroupMetadataV1 {
            conversation_type: self.kind.number(),
            creator_account_address: String::new(),
            creator_inbox_id: self.creator.clone(),
            dm_members: self.dm_members.as_ref().map(DmMembers::to_proto),
            oneshot_message: self.oneshot.as_ref().map(OneshotMessage::to_proto),
        };
        let mut data = Vec::new();
        write_opaque(&mut data, &message.encode_to_vec());
        data.into()
    }
}

impl ConversationKind {
    /// Whether people see conversations of this kind.
    #[must_use]
    pub const fn is_visible(self) -> bool {
        matches!(self, Self::Group | Self::Dm)
    }

    /// The number in messages and archives.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Group => 1,
            Self::Dm => 2,
            Self::Sync => 3,
            Self::Oneshot => 4,
        }
    }

    pub(crate) const fn from_number(number: i32) -> Result<Self, ContextError> {
        match number {
            1 => Ok(Self::Group),
            2 => Ok(Self::Dm),
            3 => Ok(Self::Sync),
            4 => Ok(Self::Oneshot),
            _ => Err(Extension::Metadata.invalid_field("conversation_type")),
        }
    }
}

impl DmMembers {
    /// The members of a DM that `creator` makes with `other`.
    #[must_use]
    pub fn new(creator: InboxId, other: InboxId) -> Self {
        Self {
            one: creator.to_string(),
            two: other.to_string(),
        }
    }

    /// Whether this is one of the two.
    #[must_use]
    pub fn contains(&self, inbox_id: InboxId) -> bool {
        let text = inbox_id.to_string();
        text == self.one || text == self.two
    }

    /// Whom `me` talks to; `None` when `me` is neither, or the other is no inbox id.
    #[must_use]
    pub fn other_than(&self, me: InboxId) -> Option<InboxId> {
        let text = me.to_string();
        match (self.one == text, self.two == text) {
            (true, _) => self.two.parse().ok(),
            (false, true) => self.one.parse().ok(),
            (false, false) => None,
        }
    }

    /// What all DMs of these two have in common.
    #[must_use]
    pub fn dm_id(&self) -> DmId {
        DmId::new(&self.one, &self.two)
    }

    pub(crate) fn from_proto(members: proto::DmMembers) -> Result<Self, ContextError> {
        let member = |inbox: Option<proto::Inbox>, field| {
            inbox
                .map(|inbox| inbox.inbox_id)
                .ok_or_else(|| Extension::Metadata.missing_field(field))
        };
        Ok(Self {
            one: member(members.dm_member_one, "dm_members.dm_member_one")?,
            two: member(members.dm_member_two, "dm_members.dm_member_two")?,
        })
    }

    pub(crate) fn to_proto(&self) -> proto::DmMembers {
        let member = |inbox_id: &String| {
            Some(proto::Inbox {
                inbox_id: inbox_id.clone(),
            })
        };
        proto::DmMembers {
            dm_member_one: member(&self.one),
            dm_member_two: member(&self.two),
        }
    }
}

impl OneshotMessage {
    pub(crate) fn from_proto(message: proto::OneshotMessage) -> Self {
        match message.message_type {
            Some(proto::oneshot_message::MessageType::ReaddRequest(request)) => {
                Self::Readd(ReaddRequest {
                    group_id: request.group_id,
                    latest_commit_sequence_id: request.latest_commit_sequence_id,
                })
            }
            None => Self::Unknown,
        }
    }

    pub(crate) fn to_proto(&self) -> proto::OneshotMessage {
        proto::OneshotMessage {
            message_type: match self {
                Self::Readd(request) => Some(proto::oneshot_message::MessageType::ReaddRequest(
                    proto::ReaddRequest {
                        group_id: request.group_id.clone(),
                        latest_commit_sequence_id: request.latest_commit_sequence_id,
                    },
                )),
                Self::Unknown => None,
            },
        }
    }
}

impl ReaddRequest {
    /// The group, if what the sender wrote can be the id of one.
    #[must_use]
    pub fn group_id(&self) -> Option<GroupId> {
        GroupId::try_from(&self.group_id[..]).ok()
    }
}

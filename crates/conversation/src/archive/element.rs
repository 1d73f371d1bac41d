//! What archives are made of.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::{GroupId, InboxId, MessageId, proto::xmtp::device_sync as proto};
use prost::Message as _;

use crate::{
    ConsentRecord,
    consent::InvalidConsent,
    content::{ContentKind, EncodedContent},
};

/// An element of an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Element {
    /// A conversation, without its MLS state: who imports it can read it, and not speak.
    Conversation(ArchivedConversation),
    /// A message.
    Message(ArchivedMessage),
    /// A decision about a conversation or a person.
    Consent(ConsentRecord),
}

impl Element {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        use proto::backup_element::Element as Save;
        let element = match self {
            Self::Conversation(conversation) => Save::Group(conversation.to_proto()),
            Self::Message(message) => Save::GroupMessage(message.to_proto()),
            Self::Consent(record) => Save::Consent(record.to_proto()),
        };
        encode(element)
    }
}

/// What an element turned out to be.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time")]
pub(super) enum Decoded {
    Metadata(ArchiveMetadata),
    Element(Element),
    /// Of a kind that nobody writes any more, or that is newer than this program.
    Ignored,
}

impl Decoded {
    pub(super) fn from_bytes(bytes: Bytes) -> Result<Self, InvalidElement> {
        use proto::backup_element::Element as Save;
        let message = proto::BackupElement::decode(bytes).map_err(|_| InvalidElement::Protobuf)?;
        let element = match message.element {
            Some(Save::Metadata(metadata)) => {
                return Ok(Self::Metadata(ArchiveMetadata::from_proto(&metadata)));
            }
            Some(Save::Group(save)) => {
                Element::Conversation(ArchivedConversation::from_proto(save)?)
            }
            Some(Save::GroupMessage(save)) => Element::Message(ArchivedMessage::from_proto(save)?),
            Some(Save::Consent(save)) => Element::Consent(ConsentRecord::from_proto(&save)?),
            Some(Save::Event(_)) | None => return Ok(Self::Ignored),
        };
        Ok(Self::Element(element))
    }
}

/// What an archive says about itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ArchiveMetadata {
    /// What was put into it.
    pub elements: Vec<ArchiveSelection>,
    /// When, in nanoseconds since the Unix epoch, as all times here.
    pub exported_at_ns: i64,
    /// Nothing earlier than this is in it.
    pub start_ns: Option<i64>,
    /// Nothing later than this is in it.
    pub end_ns: Option<i64>,
}

impl ArchiveMetadata {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        encode(proto::backup_element::Element::Metadata(self.to_proto()))
    }

    pub(crate) fn to_proto(&self) -> proto::BackupMetadataSave {
        proto::BackupMetadataSave {
            elements: numbers(&self.elements),
            exported_at_ns: self.exported_at_ns,
            start_ns: self.start_ns,
            end_ns: self.end_ns,
        }
    }

    pub(crate) fn from_proto(save: &proto::BackupMetadataSave) -> Self {
        Self {
            elements: selections(&save.elements),
            exported_at_ns: save.exported_at_ns,
            start_ns: save.start_ns,
            end_ns: save.end_ns,
        }
    }
}

/// What to put into an archive.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ArchiveOptions {
    /// Which elements, in this order.
    pub elements: Vec<ArchiveSelection>,
    /// Leave out conversations made, and messages sent, before this time.
    pub start_ns: Option<i64>,
    /// Leave out conversations made, and messages sent, after this time.
    pub end_ns: Option<i64>,
    /// Leave out messages that will disappear.
    pub exclude_disappearing_messages: bool,
}

impl ArchiveOptions {
    /// Everything there is.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            elements: vec![ArchiveSelection::Messages, ArchiveSelection::Consent],
            ..Self::default()
        }
    }

    /// Whether something of this time is asked for.
    #[must_use]
    pub fn covers(&self, time_ns: i64) -> bool {
        self.start_ns.is_none_or(|start| start <= time_ns)
            && self.end_ns.is_none_or(|end| time_ns <= end)
    }

    /// The metadata of an archive that is made to these options at `now_ns`.
    #[must_use]
    pub fn metadata(&self, now_ns: i64) -> ArchiveMetadata {
        ArchiveMetadata {
            elements: self.elements.clone(),
            exported_at_ns: now_ns,
            start_ns: self.start_ns,
            end_ns: self.end_ns,
        }
    }

    pub(crate) fn to_proto(&self) -> proto::ArchiveOptions {
        proto::ArchiveOptions {
            elements: numbers(&self.elements),
            start_ns: self.start_ns,
            end_ns: self.end_ns,
            exclude_disappearing_messages: self.exclude_disappearing_messages,
        }
    }

    pub(crate) fn from_proto(options: &proto::ArchiveOptions) -> Self {
        Self {
            elements: selections(&options.elements),
            start_ns: options.start_ns,
            end_ns: options.end_ns,
            exclude_disappearing_messages: options.exclude_disappearing_messages,
        }
    }
}

/// What may be put into an archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum ArchiveSelection {
    /// Conversations and what was said in them.
    Messages = 1,
    /// Whom the person lets speak to them.
    Consent = 2,
}

fn numbers(selections: &[ArchiveSelection]) -> Vec<i32> {
    selections
        .iter()
        .map(|selection| *selection as i32)
        .collect()
}

/// Reads past selections that nobody makes any more. Each counts once.
fn selections(numbers: &[i32]) -> Vec<ArchiveSelection> {
    let mut selections = Vec::new();
    for number in numbers {
        let selection = match number {
            1 => ArchiveSelection::Messages,
            2 => ArchiveSelection::Consent,
            _ => continue,
        };
        if !selections.contains(&selection) {
            selections.push(selection);
        }
    }
    selections
}

/// A conversation in an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArchivedConversation {
    /// Its id.
    pub id: GroupId,
    /// When it was made.
    pub created_at_ns: i64,
    /// Whether the person took part.
    pub membership_state: MembershipState,
    /// When its members were last asked for new installations.
    pub installations_last_checked_ns: i64,
    /// The inbox that brought the person in, as far as it is known.
    pub added_by: String,
    /// The number of the welcome that brought the person in.
    pub welcome_id: Option<i64>,
    /// When the person's leaf was last updated.
    pub rotated_at_ns: i64,
    /// What kind of conversation it is.
    pub kind: ConversationKind,
    /// For a conversation of two: which two.
    pub dm_id: Option<String>,
    /// When the last message was sent.
    pub last_message_ns: Option<i64>,
    /// Since when messages disappear.
    pub disappear_from_ns: Option<i64>,
    /// After how long messages disappear.
    pub disappear_in_ns: Option<i64>,
    /// The inbox that made the conversation, as far as it is known.
    pub creator: String,
    /// Its name and the like. Keys that begin with `_` are secrets and are not written.
    pub attributes: BTreeMap<String, String>,
    /// The inboxes of its admins.
    pub admins: Vec<String>,
    /// The inboxes of its super admins.
    pub super_admins: Vec<String>,
    /// The version that is needed to take part.
    pub paused_for_version: Option<String>,
}

impl ArchivedConversation {
    fn to_proto(&self) -> proto::GroupSave {
        let mut attributes = self.attributes.clone();
        attributes.retain(|name, _| !name.starts_with('_'));
        proto::GroupSave {
            id: self.id.as_bytes().to_vec().into(),
            created_at_ns: self.created_at_ns,
            membership_state: self.membership_state as i32,
            installations_last_checked: self.installations_last_checked_ns,
            added_by_inbox_id: self.added_by.clone(),
            welcome_id: self.welcome_id,
            rotated_at_ns: self.rotated_at_ns,
            conversation_type: self.kind as i32,
            dm_id: self.dm_id.clone(),
            last_message_ns: self.last_message_ns,
            message_disappear_from_ns: self.disappear_from_ns,
            message_disappear_in_ns: self.disappear_in_ns,
            metadata: Some(proto::ImmutableMetadataSave {
                creator_inbox_id: self.creator.clone(),
            }),
            mutable_metadata: Some(proto::MutableMetadataSave {
                attributes,
                admin_list: self.admins.clone(),
                super_admin_list: self.super_admins.clone(),
            }),
            paused_for_version: self.paused_for_version.clone(),
        }
    }

    fn from_proto(save: proto::GroupSave) -> Result<Self, InvalidElement> {
        let kind = match save.conversation_type {
            1 => ConversationKind::Group,
            2 => ConversationKind::Dm,
            3 => ConversationKind::Sync,
            other => return Err(InvalidElement::Number("conversation_type", other)),
        };
        if kind == ConversationKind::Dm && save.dm_id.is_none() {
            return Err(InvalidElement::Missing("dm_id"));
        }
        let mutable = save.mutable_metadata.unwrap_or_default();
        Ok(Self {
            id: group_id(&save.id, "id")?,
            created_at_ns: save.created_at_ns,
            membership_state: MembershipState::from_number(save.membership_state),
            installations_last_checked_ns: save.installations_last_checked,
            added_by: save.added_by_inbox_id,
            welcome_id: save.welcome_id,
            rotated_at_ns: save.rotated_at_ns,
            kind,
            dm_id: save.dm_id,
            last_message_ns: save.last_message_ns,
            disappear_from_ns: save.message_disappear_from_ns,
            disappear_in_ns: save.message_disappear_in_ns,
            creator: save.metadata.unwrap_or_default().creator_inbox_id,
            attributes: mutable.attributes,
            admins: mutable.admin_list,
            super_admins: mutable.super_admin_list,
            paused_for_version: save.paused_for_version,
        })
    }
}

/// What kind of conversation one is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum ConversationKind {
    /// Of any number of people.
    Group = 1,
    /// Of two.
    Dm = 2,
    /// Of the installations of one person. Not shown, and not written by official clients.
    Sync = 3,
}

/// Whether a person takes part in a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum MembershipState {
    /// Not said.
    Unspecified = 0,
    /// Yes.
    Allowed = 1,
    /// No, by the person's own wish.
    Rejected = 2,
    /// Not yet.
    Pending = 3,
    /// It came from an archive: it can be read.
    Restored = 4,
    /// The person asked to be removed.
    PendingRemove = 5,
}

impl MembershipState {
    const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Allowed,
            2 => Self::Rejected,
            3 => Self::Pending,
            4 => Self::Restored,
            5 => Self::PendingRemove,
            _ => Self::Unspecified,
        }
    }
}

/// A message in an archive. Nothing proves that its sender wrote it: whoever made the archive could
/// have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArchivedMessage {
    /// Its id, as the archive says.
    pub id: MessageId,
    /// Its conversation.
    pub group_id: GroupId,
    /// The bytes of its encoded content.
    pub content: Bytes,
    /// When it was sent.
    pub sent_at_ns: i64,
    /// Whether a person sent it.
    pub kind: MessageKind,
    /// The installation that sent it: 32 bytes, or none.
    pub sender_installation_id: Bytes,
    /// The inbox that sent it.
    pub sender: InboxId,
    /// Whether the node took it.
    pub delivery_status: DeliveryStatus,
    /// The message that it belongs to.
    pub reference_id: Option<Bytes>,
    /// The number that the node gave it.
    pub sequence_id: Option<i64>,
    /// Who gave the number.
    pub originator_id: Option<i64>,
}

impl ArchivedMessage {
    fn to_proto(&self) -> proto::GroupMessageSave {
        let encoded = EncodedContent::decode(self.content.clone()).ok();
        let id = encoded.as_ref().and_then(EncodedContent::content_type);
        let known = encoded.as_ref().map(EncodedContent::kind);
        let known = known.is_some_and(|kind| kind != ContentKind::Unknown);
        let version = |version: Option<u32>| version.map_or(0, u32::cast_signed);
        proto::GroupMessageSave {
            id: self.id.as_bytes().to_vec().into(),
            group_id: self.group_id.as_bytes().to_vec().into(),
            decrypted_message_bytes: self.content.clone(),
            sent_at_ns: self.sent_at_ns,
            kind: self.kind as i32,
            sender_installation_id: self.sender_installation_id.clone(),
            sender_inbox_id: self.sender.to_string(),
            delivery_status: self.delivery_status as i32,
            content_type_save: 0,
            version_major: version(id.map(|id| id.version_major)),
            version_minor: version(id.map(|id| id.version_minor)),
            authority_id: id.map_or_else(String::new, |id| id.authority_id.clone().into_owned()),
            reference_id: self.reference_id.clone(),
            sequence_id: self.sequence_id,
            originator_id: self.originator_id,
            content_type: match id {
                Some(id) if known => id.type_id.clone().into_owned(),
                _ => "unknown".to_owned(),
            },
        }
    }

    fn from_proto(save: proto::GroupMessageSave) -> Result<Self, InvalidElement> {
        let kind = match save.kind {
            1 => MessageKind::Application,
            2 => MessageKind::MembershipChange,
            other => return Err(InvalidElement::Number("kind", other)),
        };
        let delivery_status = match save.delivery_status {
            1 => DeliveryStatus::Unpublished,
            2 => DeliveryStatus::Published,
            3 => DeliveryStatus::Failed,
            other => return Err(InvalidElement::Number("delivery_status", other)),
        };
        if !matches!(save.sender_installation_id.len(), 0 | 32) {
            return Err(InvalidElement::Field("sender_installation_id"));
        }
        let id = MessageId::try_from(&save.id[..]).map_err(|_| InvalidElement::Field("id"))?;
        let sender = save.sender_inbox_id.parse();
        Ok(Self {
            id,
            group_id: group_id(&save.group_id, "group_id")?,
            content: save.decrypted_message_bytes,
            sent_at_ns: save.sent_at_ns,
            kind,
            sender_installation_id: save.sender_installation_id,
            sender: sender.map_err(|_| InvalidElement::Field("sender_inbox_id"))?,
            delivery_status,
            reference_id: save.reference_id,
            sequence_id: save.sequence_id,
            originator_id: save.originator_id,
        })
    }
}

/// Whether a person sent a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum MessageKind {
    /// Yes.
    Application = 1,
    /// No, a client wrote down what a commit changed.
    MembershipChange = 2,
}

/// Whether the node took a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum DeliveryStatus {
    /// Not yet.
    Unpublished = 1,
    /// Yes.
    Published = 2,
    /// No, and it will not be tried again.
    Failed = 3,
}

/// Why an element is not what it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidElement {
    /// The bytes are not a protobuf message.
    #[error("it is not the protobuf message BackupElement")]
    Protobuf,
    /// A field is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field is not of the form that it should have.
    #[error("{0} is not of the right form")]
    Field(&'static str),
    /// A field says something that nobody knows.
    #[error("{0} has the unknown value {1}")]
    Number(&'static str, i32),
    /// The record of consent is none.
    #[error("consent: {0}")]
    Consent(#[from] InvalidConsent),
}

fn group_id(bytes: &[u8], field: &'static str) -> Result<GroupId, InvalidElement> {
    GroupId::try_from(bytes).map_err(|_| InvalidElement::Field(field))
}

fn encode(element: proto::backup_element::Element) -> Vec<u8> {
    let message = proto::BackupElement {
        element: Some(element),
    };
    message.encode_to_vec()
}

//! `xmtp.org/group_updated:1.0`

use folkmoot_wire::{InboxId, proto::xmtp::mls::message_contents as proto};
use prost::Message as _;

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// What a commit changed, for people to read. Each client writes it for itself when it merges the
/// commit; all write the same bytes. It is never sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupUpdated {
    /// Who made the commit.
    pub initiated_by: InboxId,
    /// Who came.
    pub added_inboxes: Vec<InboxId>,
    /// Who was removed.
    pub removed_inboxes: Vec<InboxId>,
    /// What changed in the group's name and the like.
    pub metadata_field_changes: Vec<MetadataFieldChange>,
    /// Who went on their own wish.
    pub left_inboxes: Vec<InboxId>,
    /// Who became an admin.
    pub added_admins: Vec<InboxId>,
    /// Who is no admin any more.
    pub removed_admins: Vec<InboxId>,
    /// Who became a super admin.
    pub added_super_admins: Vec<InboxId>,
    /// Who is no super admin any more.
    pub removed_super_admins: Vec<InboxId>,
}

/// A changed attribute of the group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetadataFieldChange {
    /// Which attribute, `group_name` for example.
    pub field_name: String,
    /// What it said before.
    pub old_value: Option<String>,
    /// What it says now.
    pub new_value: Option<String>,
}

impl GroupUpdated {
    /// A change by `initiated_by` that changes nothing yet.
    #[must_use]
    pub const fn by(initiated_by: InboxId) -> Self {
        Self {
            initiated_by,
            added_inboxes: Vec::new(),
            removed_inboxes: Vec::new(),
            metadata_field_changes: Vec::new(),
            left_inboxes: Vec::new(),
            added_admins: Vec::new(),
            removed_admins: Vec::new(),
            added_super_admins: Vec::new(),
            removed_super_admins: Vec::new(),
        }
    }
}

impl Codec for GroupUpdated {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("group_updated", 1);
    const SHOULD_PUSH: bool = false;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let changes = self.metadata_field_changes.iter();
        let message = proto::GroupUpdated {
            initiated_by_inbox_id: self.initiated_by.to_string(),
            added_inboxes: inboxes(&self.added_inboxes),
            removed_inboxes: inboxes(&self.removed_inboxes),
            metadata_field_changes: changes
                .map(|change| proto::group_updated::MetadataFieldChange {
                    field_name: change.field_name.clone(),
                    old_value: change.old_value.clone(),
                    new_value: change.new_value.clone(),
                })
                .collect(),
            left_inboxes: inboxes(&self.left_inboxes),
            added_admin_inboxes: inboxes(&self.added_admins),
            removed_admin_inboxes: inboxes(&self.removed_admins),
            added_super_admin_inboxes: inboxes(&self.added_super_admins),
            removed_super_admin_inboxes: inboxes(&self.removed_super_admins),
        };
        Ok(Parts::of(Self::TYPE).content(message.encode_to_vec()))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        let message = proto::GroupUpdated::decode(parts.content.clone())
            .map_err(|_| DecodeError::Protobuf("GroupUpdated"))?;
        let changes = message.metadata_field_changes.into_iter();
        Ok(Self {
            initiated_by: inbox_id(&message.initiated_by_inbox_id, "initiated_by_inbox_id")?,
            added_inboxes: inbox_ids(&message.added_inboxes, "added_inboxes")?,
            removed_inboxes: inbox_ids(&message.removed_inboxes, "removed_inboxes")?,
            metadata_field_changes: changes
                .map(|change| MetadataFieldChange {
                    field_name: change.field_name,
                    old_value: change.old_value,
                    new_value: change.new_value,
                })
                .collect(),
            left_inboxes: inbox_ids(&message.left_inboxes, "left_inboxes")?,
            added_admins: inbox_ids(&message.added_admin_inboxes, "added_admin_inboxes")?,
            removed_admins: inbox_ids(&message.removed_admin_inboxes, "removed_admin_inboxes")?,
            added_super_admins: inbox_ids(
                &message.added_super_admin_inboxes,
                "added_super_admin_inboxes",
            )?,
            removed_super_admins: inbox_ids(
                &message.removed_super_admin_inboxes,
                "removed_super_admin_inboxes",
            )?,
        })
    }
}

fn inboxes(ids: &[InboxId]) -> Vec<proto::group_updated::Inbox> {
    let inbox = |id: &InboxId| proto::group_updated::Inbox {
        inbox_id: id.to_string(),
    };
    ids.iter().map(inbox).collect()
}

fn inbox_ids(
    inboxes: &[proto::group_updated::Inbox],
    field: &'static str,
) -> Result<Vec<InboxId>, DecodeError> {
    let ids = inboxes.iter().map(|inbox| inbox_id(&inbox.inbox_id, field));
    ids.collect()
}

fn inbox_id(text: &str, field: &'static str) -> Result<InboxId, DecodeError> {
    text.parse().map_err(|_| DecodeError::Field {
        field,
        expected: "an inbox id",
    })
}

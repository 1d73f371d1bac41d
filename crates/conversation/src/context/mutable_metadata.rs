//! What members may change about a conversation, and its admins (extension 0xff00).

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use folkmoot_wire::{InboxId, proto::xmtp::mls::message_contents as proto};
use prost::Message;

use super::{ContextError, Extension};
use crate::{permissions::Role, version::Version};

/// The attributes and admins of a conversation.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MutableMetadata {
    /// Key to value. Keys that nobody here knows are kept.
    pub attributes: BTreeMap<String, String>,
    /// The inboxes that are admins, as text, in the order in which they became so. Nobody
    /// checks that they are inbox ids, nor that they are members.
    pub admins: Vec<String>,
    /// Likewise the super admins. Who is one need not be among the admins.
    pub super_admins: Vec<String>,
}

/// The attributes with a meaning.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Attribute {
    /// The name of a group: at most 100 bytes.
    GroupName,
    /// What a group is about: at most 1000 bytes.
    Description,
    /// Where the group's picture is: at most 2048 bytes.
    ImageUrl,
    /// Anything that an app keeps with the group: at most 8192 bytes.
    AppData,
    /// Part of [`DisappearingSettings`], in decimal.
    DisappearFromNs,
    /// Part of [`DisappearingSettings`], in decimal.
    DisappearInNs,
    /// Who understands less must not go on (see [`Version`]).
    MinimumVersion,
    /// The secret key that signs the commit log: 64 hex digits of 32 bytes.
    CommitLogSigner,
}

/// How long messages stay after they were received. Settings that are not both above 0 mean
/// that messages stay.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DisappearingSettings {
    /// Since when, in nanoseconds of Unix time.
    pub from_ns: i64,
    /// For how long a message stays, in nanoseconds.
    pub in_ns: i64,
}

/// A change of who is admin.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AdminChange {
    /// Makes an inbox admin.
    AddAdmin,
    /// Takes that away.
    RemoveAdmin,
    /// Makes an inbox super admin.
    AddSuperAdmin,
    /// Takes that away.
    RemoveSuperAdmin,
}

/// A value is longer than its attribute allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{attribute} has {length} bytes; at most {limit} are allowed")]
pub struct AttributeTooLong {
    /// Which attribute.
    pub attribute: Attribute,
    /// How many bytes the value has.
    pub length: usize,
    /// How many it may have.
    pub limit: usize,
}

impl MutableMetadata {
    /// Reads the extension's data.
    ///
    /// # Errors
    ///
    /// [`ContextError`] for bytes that are no such message, and when a list of admins is absent:
    /// an empty list is there without entries.
    pub fn decode(data: &[u8]) -> Result<Self, ContextError> {
        let message = proto::GroupMutableMetadataV1::decode(data)
            .map_err(|error| Extension::MutableMetadata.malformed(error))?;
        let inboxes = |list: Option<proto::Inboxes>, field| {
            list.map(|list| list.inbox_ids)
                .ok_or_else(|| Extension::MutableMetadata.missing_field(field))
        };
        Ok(Self {
            admins: inboxes(message.admin_list, "admin_list")?,
            super_admins: inboxes(message.super_admin_list, "super_admin_list")?,
            attributes: message.attributes,
        })
    }

    /// The extension's data.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let inboxes = |list: &[String]| {
            Some(proto::Inboxes {
                inbox_ids: list.to_vec(),
            })
        };
        let message = proto::GroupMutableMetadataV1 {
            attributes: self.attributes.clone(),
            admin_list: inboxes(&self.admins),
            super_admin_list: inboxes(&self.super_admins),
        };
        message.encode_to_vec().into()
    }

    /// The value of an attribute, if it is set.
    #[must_use]
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        self.attributes.get(attribute.key()).map(String::as_str)
    }

    /// Sets an attribute.
    ///
    /// # Errors
    ///
    /// [`AttributeTooLong`]; nothing changes then.
    pub fn set(
        &mut self,
        attribute: Attribute,
        value: impl Into<String>,
    ) -> Result<(), AttributeTooLong> {
        let value = value.into();
        attribute.check(&value)?;
        self.attributes.insert(attribute.key().to_owned(), value);
        Ok(())
    }

    /// Changes who is admin. Giving a role twice or taking one that was not given changes nothing.
    pub fn change_admins(&mut self, change: AdminChange, inbox_id: InboxId) {
        let list = match change {
            AdminChange::AddAdmin | AdminChange::RemoveAdmin => &mut self.admins,
            AdminChange::AddSuperAdmin | AdminChange::RemoveSuperAdmin => &mut self.super_admins,
        };
        let inbox_id = inbox_id.to_string();
        match change {
            AdminChange::RemoveAdmin | AdminChange::RemoveSuperAdmin => {
                list.retain(|admin| *admin != inbox_id);
            }
            AdminChange::AddAdmin | AdminChange::AddSuperAdmin => {
                if !list.contains(&inbox_id) {
                    list.push(inbox_id);
                }
            }
        }
    }

    /// Whether an inbox is in the list of admins. Super admins usually are not.
    #[must_use]
    pub fn is_admin(&self, inbox_id: InboxId) -> bool {
        self.admins.contains(&inbox_id.to_string())
    }

    /// Whether an inbox is super admin.
    #[must_use]
    pub fn is_super_admin(&self, inbox_id: InboxId) -> bool {
        self.super_admins.contains(&inbox_id.to_string())
    }

    /// What an inbox is.
    #[must_use]
    pub fn role(&self, inbox_id: InboxId) -> Role {
        Role {
            is_admin: self.is_admin(inbox_id),
            is_super_admin: self.is_super_admin(inbox_id),
        }
    }

    /// How long messages stay, if both attributes are set to numbers.
    #[must_use]
    pub fn disappearing(&self) -> Option<DisappearingSettings> {
        let number = |attribute| self.get(attribute)?.parse().ok();
        Some(DisappearingSettings {
            from_ns: number(Attribute::DisappearFromNs)?,
            in_ns: number(Attribute::DisappearInNs)?,
        })
    }

    /// Sets how long messages stay. Official clients do so in two commits, first `from_ns`.
    pub fn set_disappearing(&mut self, settings: DisappearingSettings) {
        for (attribute, value) in settings.attributes() {
            self.attributes.insert(attribute.key().to_owned(), value);
        }
    }

    /// The version that the group asks for, if it names one that can be read.
    #[must_use]
    pub fn minimum_version(&self) -> Option<Version> {
        self.get(Attribute::MinimumVersion)?.parse().ok()
    }

    /// The secret that signs the commit log, if it is set to hex digits of 32 bytes.
    #[must_use]
    pub fn commit_log_signer(&self) -> Option<[u8; 32]> {
        let mut secret = [0; 32];
        hex::decode_to_slice(self.get(Attribute::CommitLogSigner)?, &mut secret).ok()?;
        Some(secret)
    }
}

impl Attribute {
    /// Those that every preset has a policy for.
    pub(crate) const WITH_POLICY: [Self; 7] = [
        Self::GroupName,
        Self::Description,
        Self::ImageUrl,
        Self::AppData,
        Self::DisappearFromNs,
        Self::DisappearInNs,
        Self::MinimumVersion,
    ];

    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::GroupName,
        Self::Description,
        Self::ImageUrl,
        Self::AppData,
        Self::DisappearFromNs,
        Self::DisappearInNs,
        Self::MinimumVersion,
        Self::CommitLogSigner,
    ];

    /// The attribute's key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::GroupName => "group_name",
            Self::Description => "description",
            Self::ImageUrl => "group_image_url_square",
            Self::AppData => "app_data",
            Self::DisappearFromNs => "message_disappear_from_ns",
            Self::DisappearInNs => "message_disappear_in_ns",
            Self::MinimumVersion => "minimum_supported_protocol_version",
            Self::CommitLogSigner => "_commit_log_signer",
        }
    }

    /// The attribute with this key, if it has a meaning.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|attribute| attribute.key() == key)
    }

    /// How many bytes a value may have; `None` when nobody checks.
    #[must_use]
    pub const fn limit(self) -> Option<usize> {
        match self {
            Self::GroupName => Some(100),
            Self::Description => Some(1000),
            Self::ImageUrl => Some(2048),
            Self::AppData => Some(8192),
            _ => None,
        }
    }

    /// Checks the length of a value.
    ///
    /// # Errors
    ///
    /// [`AttributeTooLong`].
    pub fn check(self, value: &str) -> Result<(), AttributeTooLong> {
        match self.limit() {
            Some(limit) if value.len() > limit => Err(AttributeTooLong {
                attribute: self,
                length: value.len(),
                limit,
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.key())
    }
}

impl DisappearingSettings {
    /// Whether messages disappear.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        self.from_ns > 0 && self.in_ns > 0
    }

    /// When a message that is processed at `now_ns` disappears, in nanoseconds of Unix time;
    /// `None` when it stays. When settings began does not matter.
    #[must_use]
    pub const fn expiry_ns(&self, now_ns: i64) -> Option<i64> {
        if self.is_enabled() {
            Some(now_ns.saturating_add(self.in_ns))
        } else {
            None
        }
    }

    /// The attributes with their values, in the order in which official clients set them.
    #[must_use]
    pub fn attributes(&self) -> [(Attribute, String); 2] {
        [
            (Attribute::DisappearFromNs, self.from_ns.to_string()),
            (Attribute::DisappearInNs, self.in_ns.to_string()),
        ]
    }
}

//! Kinds of contents, as official clients file them.

use super::{
    Actions, Attachment, Codec, ContentTypeId, DeleteMessage, GroupMembershipChange, GroupUpdated,
    Intent, LeaveRequest, Markdown, MultiRemoteAttachment, Reaction, ReadReceipt, RemoteAttachment,
    Reply, Text, TransactionReference, WalletSendCalls,
};

/// The kind under which a message is filed, for filters and for what may be deleted. It follows
/// from the type's name alone, whatever version or authority; whether the content really is of that
/// type is not asked. The numbers are those of the official SDKs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum ContentKind {
    /// Anything else.
    Unknown = 0,
    /// `text`
    Text = 1,
    /// `group_membership_change`
    GroupMembershipChange = 2,
    /// `group_updated`
    GroupUpdated = 3,
    /// `reaction`
    Reaction = 4,
    /// `readReceipt`
    ReadReceipt = 5,
    /// `reply`
    Reply = 6,
    /// `attachment`
    Attachment = 7,
    /// `remoteStaticAttachment`
    RemoteAttachment = 8,
    /// `transactionReference`
    TransactionReference = 9,
    /// `walletSendCalls`
    WalletSendCalls = 10,
    /// `leave_request`
    LeaveRequest = 11,
    /// `markdown`
    Markdown = 12,
    /// `actions`
    Actions = 13,
    /// `intent`
    Intent = 14,
    /// `multiRemoteStaticAttachment`
    MultiRemoteAttachment = 15,
    /// `deleteMessage`
    DeleteMessage = 16,
}

impl ContentKind {
    /// The kinds that there are, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Unknown,
        Self::Text,
        Self::GroupMembershipChange,
        Self::GroupUpdated,
        Self::Reaction,
        Self::ReadReceipt,
        Self::Reply,
        Self::Attachment,
        Self::RemoteAttachment,
        Self::TransactionReference,
        Self::WalletSendCalls,
        Self::LeaveRequest,
        Self::Markdown,
        Self::Actions,
        Self::Intent,
        Self::MultiRemoteAttachment,
        Self::DeleteMessage,
    ];

    /// The kind of a type with this name.
    #[must_use]
    pub fn of(type_id: &str) -> Self {
        let found = Self::ALL
            .into_iter()
            .find(|kind| kind.type_id().is_some_and(|own| own.type_id == type_id));
        found.unwrap_or(Self::Unknown)
    }

    /// The number of the kind.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The type that is written today; `None` for [`ContentKind::Unknown`].
    #[must_use]
    pub fn type_id(self) -> Option<ContentTypeId> {
        Some(match self {
            Self::Unknown => return None,
            Self::Text => Text::TYPE,
            Self::GroupMembershipChange => GroupMembershipChange::TYPE,
            Self::GroupUpdated => GroupUpdated::TYPE,
            Self::Reaction => Reaction::TYPE,
            Self::ReadReceipt => ReadReceipt::TYPE,
            Self::Reply => Reply::TYPE,
            Self::Attachment => Attachment::TYPE,
            Self::RemoteAttachment => RemoteAttachment::TYPE,
            Self::TransactionReference => TransactionReference::TYPE,
            Self::WalletSendCalls => WalletSendCalls::TYPE,
            Self::LeaveRequest => LeaveRequest::TYPE,
            Self::Markdown => Markdown::TYPE,
            Self::Actions => Actions::TYPE,
            Self::Intent => Intent::TYPE,
            Self::MultiRemoteAttachment => MultiRemoteAttachment::TYPE,
            Self::DeleteMessage => DeleteMessage::TYPE,
        })
    }

    /// Whether such a message may be taken back by [`DeleteMessage`] (XIP-76).
    #[must_use]
    pub const fn is_deletable(self) -> bool {
        match self {
            Self::Text
            | Self::Markdown
            | Self::Reply
            | Self::Attachment
            | Self::RemoteAttachment
            | Self::MultiRemoteAttachment
            | Self::TransactionReference
            | Self::WalletSendCalls => true,
            Self::Unknown
            | Self::GroupMembershipChange
            | Self::GroupUpdated
            | Self::Reaction
            | Self::ReadReceipt
            | Self::LeaveRequest
            | Self::Actions
            | Self::Intent
            | Self::DeleteMessage => false,
        }
    }

    /// Whether such a message belongs to another one or to none, and is no line of its own in a
    /// list of what was said: reactions, deletions and read receipts.
    #[must_use]
    pub const fn is_attached(self) -> bool {
        matches!(
            self,
            Self::Reaction | Self::DeleteMessage | Self::ReadReceipt
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back_to_the_kind() {
        for (at, kind) in ContentKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.number()), at);
            assert_eq!(ContentKind::from_number(kind.number()), Some(kind));
            if let Some(id) = kind.type_id() {
                assert_eq!(ContentKind::of(&id.type_id), kind);
            }
        }
        assert_eq!(ContentKind::from_number(17), None);
        assert_eq!(
            ContentKind::of("multiRemoteStaticContent"),
            ContentKind::Unknown
        );
    }
}

//! The flags that choose messages.

use clap::{Args, ValueEnum};
use folkmoot_client::{DeliveryStatus, MessageKind, MessageQuery};
use folkmoot_conversation::content::ContentKind;
use folkmoot_wire::InboxId;

use super::super::who;

/// The flags that choose messages.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Sent before this time, in nanoseconds of Unix time
    #[arg(long, value_name = "NS")]
    sent_before: Option<u64>,
    /// Sent after this time, in nanoseconds of Unix time
    #[arg(long, value_name = "NS")]
    sent_after: Option<u64>,
    /// Stored here before this time, in nanoseconds of Unix time
    #[arg(long, value_name = "NS")]
    inserted_before: Option<u64>,
    /// Stored here after this time, in nanoseconds of Unix time
    #[arg(long, value_name = "NS")]
    inserted_after: Option<u64>,
    /// How far they have come
    #[arg(long, value_name = "STATUS")]
    delivery_status: Option<Delivery>,
    /// Messages of people, or entries about changes
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// Of one of these content types
    #[arg(long, value_name = "TYPE", num_args = 1..)]
    content_type: Vec<Type>,
    /// Not of any of these content types
    #[arg(long, value_name = "TYPE", num_args = 1..)]
    exclude_content_type: Vec<Type>,
    /// Not of any of these senders' inboxes
    #[arg(long, value_name = "INBOX_ID", num_args = 1.., value_parser = who::inbox_id)]
    exclude_sender: Vec<InboxId>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Delivery {
    Unpublished,
    Published,
    Failed,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Kind {
    Application,
    MembershipChange,
}

/// Content types, by the official program's names.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Type {
    Actions,
    Attachment,
    Custom,
    GroupMembershipChange,
    GroupUpdated,
    Intent,
    LeaveRequest,
    Markdown,
    MultiRemoteAttachment,
    Reaction,
    ReadReceipt,
    RemoteAttachment,
    Reply,
    Text,
    TransactionReference,
    WalletSendCalls,
}

impl Type {
    const fn kind(self) -> ContentKind {
        match self {
            Self::Actions => ContentKind::Actions,
            Self::Attachment => ContentKind::Attachment,
            Self::Custom => ContentKind::Unknown,
            Self::GroupMembershipChange => ContentKind::GroupMembershipChange,
            Self::GroupUpdated => ContentKind::GroupUpdated,
            Self::Intent => ContentKind::Intent,
            Self::LeaveRequest => ContentKind::LeaveRequest,
            Self::Markdown => ContentKind::Markdown,
            Self::MultiRemoteAttachment => ContentKind::MultiRemoteAttachment,
            Self::Reaction => ContentKind::Reaction,
            Self::ReadReceipt => ContentKind::ReadReceipt,
            Self::RemoteAttachment => ContentKind::RemoteAttachment,
            Self::Reply => ContentKind::Reply,
            Self::Text => ContentKind::Text,
            Self::TransactionReference => ContentKind::TransactionReference,
            Self::WalletSendCalls => ContentKind::WalletSendCalls,
        }
    }
}

impl Filter {
    /// The question to the database, all but limit and order.
    pub(crate) fn query(&self) -> MessageQuery {
        let kinds = |types: &[Type]| types.iter().map(|one| one.kind()).collect::<Vec<_>>();
        let (type_ids, exclude_type_ids) = types(
            &kinds(&self.content_type),
            &kinds(&self.exclude_content_type),
        );
        MessageQuery {
            sent_after_ns: self.sent_after,
            sent_before_ns: self.sent_before,
            inserted_after_ns: self.inserted_after,
            inserted_before_ns: self.inserted_before,
            kind: self.kind.map(|kind| match kind {
                Kind::Application => MessageKind::Application,
                Kind::MembershipChange => MessageKind::MembershipChange,
            }),
            delivery: self.delivery_status.map(|status| match status {
                Delivery::Unpublished => DeliveryStatus::Unpublished,
                Delivery::Published => DeliveryStatus::Published,
                Delivery::Failed => DeliveryStatus::Failed,
            }),
            type_ids,
            exclude_type_ids,
            exclude_senders: self.exclude_sender.clone(),
            ..MessageQuery::default()
        }
    }
}

/// The names of wanted and unwanted types. "Custom" means all that have no kind of their own, so
/// wanting it is not wanting the others.
fn types(wanted: &[ContentKind], unwanted: &[ContentKind]) -> (Vec<String>, Vec<String>) {
    let ids = |kinds: &mut dyn Iterator<Item = ContentKind>| {
        kinds
            .filter_map(|kind| Some(kind.type_id()?.type_id.into_owned()))
            .collect::<Vec<_>>()
    };
    let all = ContentKind::ALL.into_iter();
    let (custom, no_custom) = (
        wanted.contains(&ContentKind::Unknown),
        unwanted.contains(&ContentKind::Unknown),
    );
    let mut excluded = ids(&mut unwanted.iter().copied());
    let included = match (wanted, custom) {
        ([], _) if no_custom => ids(&mut all.filter(|kind| !unwanted.contains(kind))),
        (_, false) => ids(&mut wanted.iter().copied()),
        (_, true) => {
            excluded.extend(ids(&mut all.filter(|kind| !wanted.contains(kind))));
            Vec::new()
        }
    };
    (included, excluded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_is_whatever_has_no_kind_of_its_own() {
        let (included, excluded) = types(&[ContentKind::Unknown, ContentKind::Text], &[]);
        assert!(included.is_empty());
        assert!(!excluded.contains(&"text".to_owned()));
        assert!(excluded.contains(&"reply".to_owned()));
        let (included, excluded) = types(&[], &[ContentKind::Unknown, ContentKind::Text]);
        assert!(!included.contains(&"text".to_owned()));
        assert!(included.contains(&"reply".to_owned()));
        assert_eq!(excluded, ["text"]);
        assert_eq!(
            types(&[ContentKind::Text], &[]),
            (vec!["text".to_owned()], Vec::new())
        );
    }
}

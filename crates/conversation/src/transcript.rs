//! What each member writes down for itself about a commit: the entry "somebody added somebody".
//!
//! Entries are never sent; each member makes its own, with its own message id. The id is
//! that of any message, over the group, the bytes of [`encode`] and an idempotency key
//! ([`commit_key`], [`welcome_key`]).
//!
//! Unlike libxmtp, no entry is made for a commit in which nothing visible changes, not even when
//! the group asks for a version.

use std::collections::BTreeSet;

use bytes::Bytes;
use folkmoot_wire::{
    InboxId,
    proto::xmtp::mls::message_contents::{
        ContentTypeId, EncodedContent, GroupUpdated,
        group_updated::{Inbox, MetadataFieldChange},
    },
};
use prost::Message;
use time::OffsetDateTime;

use crate::judge::CommitSummary;

/// The entry about a commit; `None` when it changes nothing that people see. Members who asked to
/// leave are said to have left, the others to have been removed.
#[must_use]
pub fn of_commit(
    commit: &CommitSummary,
    asked_to_leave: &BTreeSet<InboxId>,
) -> Option<GroupUpdated> {
    let nothing = commit.added_inboxes.is_empty()
        && commit.removed_inboxes.is_empty()
        && commit.metadata_changes.is_empty()
        && commit.admin_changes.is_empty();
    if nothing {
        return None;
    }
    let (left, removed): (Vec<InboxId>, Vec<InboxId>) = commit
        .removed_inboxes
        .iter()
        .partition(|inbox_id| asked_to_leave.contains(inbox_id));
    let changes = commit.metadata_changes.iter();
    let admins = &commit.admin_changes;
    Some(GroupUpdated {
        initiated_by_inbox_id: commit.actor.inbox_id.to_string(),
        added_inboxes: inboxes(&commit.added_inboxes),
        removed_inboxes: inboxes(removed),
        metadata_field_changes: changes
            .map(|change| MetadataFieldChange {
                field_name: change.key.clone(),
                old_value: change.old.clone(),
                new_value: change.new.clone(),
            })
            .collect(),
        left_inboxes: inboxes(left),
        added_admin_inboxes: inboxes(&admins.added),
        removed_admin_inboxes: inboxes(&admins.removed),
        added_super_admin_inboxes: inboxes(&admins.super_added),
        removed_super_admin_inboxes: inboxes(&admins.super_removed),
    })
}

/// The entry about joining: `added_by` added us.
#[must_use]
pub fn of_welcome(added_by: InboxId, me: InboxId) -> GroupUpdated {
    GroupUpdated {
        initiated_by_inbox_id: added_by.to_string(),
        added_inboxes: inboxes([me]),
        ..GroupUpdated::default()
    }
}

/// The entry as the content of a message, of the type `xmtp.org/group_updated:1.0`.
#[must_use]
pub fn encode(entry: &GroupUpdated) -> Bytes {
    let content = EncodedContent {
        r#type: Some(ContentTypeId {
            authority_id: "xmtp.org".to_owned(),
            type_id: "group_updated".to_owned(),
            version_major: 1,
            version_minor: 0,
        }),
        content: entry.encode_to_vec().into(),
        ..EncodedContent::default()
    };
    content.encode_to_vec().into()
}

/// Reads an entry as [`encode`] writes it; `None` for what is none.
#[must_use]
pub fn decode(content: &[u8]) -> Option<GroupUpdated> {
    let content = EncodedContent::decode(content).ok()?;
    let kind = content.r#type?;
    let is_entry = kind.type_id == "group_updated" && kind.version_major == 1;
    is_entry.then(|| GroupUpdated::decode(content.content).ok())?
}

/// The idempotency key of an entry about a commit, by the time that the node gave the commit, in
/// nanoseconds of Unix time.
#[must_use]
pub fn commit_key(created_ns: i64) -> String {
    created_ns.to_string()
}

/// The idempotency key of an entry about joining, by the time that the node gave the welcome, in
/// nanoseconds of Unix time. Official clients write the time out here, with 0, 3, 6 or 9 digits
/// of the second's fraction.
#[must_use]
pub fn welcome_key(created_ns: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(created_ns.into())
        .expect("64 bits of nanoseconds reach from 1677 to 2262");
    let fraction = match time.nanosecond() {
        0 => String::new(),
        nanos if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        nanos if nanos % 1000 == 0 => format!(".{:06}", nanos / 1000),
        nanos => format!(".{nanos:09}"),
    };
    let (date, hour, minute, second) = (time.date(), time.hour(), time.minute(), time.second());
    format!("{date} {hour:02}:{minute:02}:{second:02}{fraction} UTC_welcome_added")
}

/// Whether an entry of a DM says that somebody was added, and nothing that an earlier entry of one
/// of the DM's copies did not say: it need not be shown again.
#[must_use]
pub fn repeats<'a>(
    entry: &GroupUpdated,
    earlier: impl IntoIterator<Item = &'a GroupUpdated>,
) -> bool {
    let says = |new: &GroupUpdated, old: &GroupUpdated| {
        same_or_empty(&new.added_inboxes, &old.added_inboxes)
            && same_or_empty(&new.removed_inboxes, &old.removed_inboxes)
            && same_or_empty(&new.metadata_field_changes, &old.metadata_field_changes)
            && same_or_empty(&new.left_inboxes, &old.left_inboxes)
            && same_or_empty(&new.added_admin_inboxes, &old.added_admin_inboxes)
            && same_or_empty(&new.removed_admin_inboxes, &old.removed_admin_inboxes)
            && same_or_empty(
                &new.added_super_admin_inboxes,
                &old.added_super_admin_inboxes,
            )
            && same_or_empty(
                &new.removed_super_admin_inboxes,
                &old.removed_super_admin_inboxes,
            )
    };
    !entry.added_inboxes.is_empty() && earlier.into_iter().any(|old| says(entry, old))
}

fn same_or_empty<T: PartialEq>(new: &[T], old: &[T]) -> bool {
    new.is_empty() || new == old
}

fn inboxes(ids: impl IntoIterator<Item = impl ToString>) -> Vec<Inbox> {
    ids.into_iter()
        .map(|inbox_id| Inbox {
            inbox_id: inbox_id.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::{Actor, AdminChanges, MetadataChange},
        permissions::Role,
        world::inbox,
    };

    fn commit() -> CommitSummary {
        CommitSummary {
            group_id: folkmoot_wire::GroupId::try_from(&[7; 16][..]).unwrap(),
            epoch: 1,
            actor: Actor {
                inbox_id: inbox(1),
                installation: folkmoot_wire::InstallationKey::from_bytes([1; 32]),
                role: Role::default(),
            },
            added_inboxes: vec![],
            removed_inboxes: vec![],
            added_installations: BTreeSet::new(),
            removed_installations: BTreeSet::new(),
            readded_installations: BTreeSet::new(),
            metadata_changes: vec![],
            admin_changes: AdminChanges::default(),
            permissions_changed: false,
            dm_members: None,
        }
    }

    #[test]
    fn who_asked_to_leave_has_left_and_others_were_removed() {
        let mut commit = commit();
        commit.removed_inboxes = vec![inbox(2), inbox(3)];
        let entry = of_commit(&commit, &BTreeSet::from([inbox(3), inbox(4)])).unwrap();
        assert_eq!(entry.initiated_by_inbox_id, inbox(1).to_string());
        assert_eq!(entry.removed_inboxes, inboxes([inbox(2)]));
        assert_eq!(entry.left_inboxes, inboxes([inbox(3)]));
    }

    #[test]
    fn changes_are_written_down_with_what_was_before() {
        let mut commit = commit();
        commit.metadata_changes = vec![MetadataChange {
            key: "group_name".to_owned(),
            old: Some(String::new()),
            new: Some("picnic".to_owned()),
        }];
        commit.admin_changes.super_added = vec![inbox(2).to_string()];
        let entry = of_commit(&commit, &BTreeSet::new()).unwrap();
        let change = &entry.metadata_field_changes[0];
        assert_eq!(change.old_value.as_deref(), Some(""));
        assert_eq!(change.new_value.as_deref(), Some("picnic"));
        assert_eq!(entry.added_super_admin_inboxes, inboxes([inbox(2)]));
    }

    #[test]
    fn what_nobody_sees_leaves_no_entry() {
        let mut commit = commit();
        commit.permissions_changed = true;
        commit
            .added_installations
            .insert(folkmoot_wire::InstallationKey::from_bytes([2; 32]));
        assert_eq!(of_commit(&commit, &BTreeSet::new()), None);
    }

    #[test]
    fn an_entry_begins_as_those_of_official_clients_do() {
        let bytes = encode(&of_welcome(inbox(1), inbox(2)));
        assert_eq!(decode(&bytes), Some(of_welcome(inbox(1), inbox(2))));
        assert_eq!(decode(&bytes[..20]), None);
        let start = "0a1b0a08786d74702e6f7267120d67726f75705f75706461746564180122860";
        assert!(hex::encode(&bytes).starts_with(start));
        assert_eq!(commit_key(5), "5");
        for (created_ns, time) in [
            (0, "1970-01-01 00:00:00"),
            (1_795_254_093_791_000_000, "2026-11-21 09:41:33.791"),
            (1_795_254_093_000_001_000, "2026-11-21 09:41:33.000001"),
            (-1, "1969-12-31 23:59:59.999999999"),
            (i64::MAX, "2262-04-11 23:47:16.854775807"),
            (i64::MIN, "1677-09-21 00:12:43.145224192"),
        ] {
            assert_eq!(welcome_key(created_ns), format!("{time} UTC_welcome_added"));
        }
    }

    #[test]
    fn in_a_dm_the_same_addition_is_told_once() {
        let entry = of_welcome(inbox(1), inbox(2));
        let renamed = GroupUpdated {
            metadata_field_changes: vec![MetadataFieldChange::default()],
            ..GroupUpdated::default()
        };
        assert!(repeats(&entry, [&renamed, &entry]));
        assert!(!repeats(&entry, [&renamed]));
        assert!(!repeats(&entry, [&of_welcome(inbox(2), inbox(1))]));
        assert!(
            !repeats(&renamed, [&renamed]),
            "only additions are kept back"
        );
    }
}

//! Taking back what was said (XIP-76).
//!
//! A deletion is a message that names another by its id. Everybody decides for themselves whether
//! it counts; nothing is erased, only shown as deleted.

use folkmoot_wire::{GroupId, InboxId};

/// A message that somebody wants to delete.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeletionTarget {
    /// The group in which it was said.
    pub group_id: GroupId,
    /// Who said it.
    pub sender: InboxId,
    /// Whether messages of its kind and content type can be deleted.
    pub is_deletable: bool,
    /// Whether a valid deletion came before.
    pub is_deleted: bool,
}

/// A deletion that was taken in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deletion {
    /// The group in which it was said.
    pub group_id: GroupId,
    /// Who deletes.
    pub by: InboxId,
    /// Whether this was a super admin when the deletion came, and not the author, as far as
    /// the author was known.
    pub by_super_admin: bool,
}

/// Why a deletion does not count.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeletionError {
    /// There is no such message.
    #[error("there is no such message")]
    UnknownMessage,
    /// The message is in another group.
    #[error("the message is in another group")]
    OtherGroup,
    /// Messages of this kind cannot be deleted.
    #[error("a message of this kind cannot be deleted")]
    NotDeletable,
    /// Neither the author nor a super admin.
    #[error("only the author or a super admin may delete a message")]
    NotAuthorised,
    /// It is deleted already.
    #[error("the message is deleted already")]
    AlreadyDeleted,
}

/// Checks a deletion before it is sent to `group_id`.
///
/// # Errors
///
/// [`DeletionError`].
pub fn check_send(
    group_id: &GroupId,
    target: Option<&DeletionTarget>,
    me: InboxId,
    is_super_admin: bool,
) -> Result<Deletion, DeletionError> {
    let target = target.ok_or(DeletionError::UnknownMessage)?;
    if target.group_id == *group_id && target.is_deleted {
        return Err(DeletionError::AlreadyDeleted);
    }
    receive(group_id, Some(target), me, is_super_admin)
}

/// Takes in a deletion that `sender` sent to `group_id`. A message that is not known yet may still
/// come; whether the deletion counts then is for [`Deletion::counts_for`].
///
/// # Errors
///
/// [`DeletionError`]: ignore the deletion.
pub fn receive(
    group_id: &GroupId,
    target: Option<&DeletionTarget>,
    sender: InboxId,
    is_super_admin: bool,
) -> Result<Deletion, DeletionError> {
    let deletion = |by_super_admin| Deletion {
        group_id: group_id.clone(),
        by: sender,
        by_super_admin,
    };
    let Some(target) = target else {
        return Ok(deletion(is_super_admin));
    };
    if target.group_id != *group_id {
        Err(DeletionError::OtherGroup)
    } else if !target.is_deletable {
        Err(DeletionError::NotDeletable)
    } else if target.sender == sender {
        Ok(deletion(false))
    } else if is_super_admin {
        Ok(deletion(true))
    } else {
        Err(DeletionError::NotAuthorised)
    }
}

impl Deletion {
    /// Whether the message is to be shown as deleted.
    #[must_use]
    pub fn counts_for(&self, target: &DeletionTarget) -> bool {
        target.group_id == self.group_id
            && target.is_deletable
            && (target.sender == self.by || self.by_super_admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::inbox;

    fn group(id: u8) -> GroupId {
        GroupId::try_from(&[id; 16][..]).unwrap()
    }

    fn said_by_alice() -> DeletionTarget {
        DeletionTarget {
            group_id: group(1),
            sender: inbox(1),
            is_deletable: true,
            is_deleted: false,
        }
    }

    #[test]
    fn authors_and_super_admins_delete() {
        let (alice, bob) = (inbox(1), inbox(2));
        let target = said_by_alice();
        for (sender, is_super_admin, expected) in [
            (alice, false, Ok(false)),
            (alice, true, Ok(false)),
            (bob, true, Ok(true)),
            (bob, false, Err(DeletionError::NotAuthorised)),
        ] {
            let received = receive(&group(1), Some(&target), sender, is_super_admin);
            assert_eq!(
                received.as_ref().map(|deletion| deletion.by_super_admin),
                expected.as_ref().copied()
            );
            assert_eq!(
                check_send(&group(1), Some(&target), sender, is_super_admin),
                received
            );
            if let Ok(deletion) = received {
                assert!(deletion.counts_for(&target));
            }
        }
    }

    #[test]
    fn only_what_was_said_here_and_can_be_deleted_is() {
        let alice = inbox(1);
        let elsewhere = receive(&group(2), Some(&said_by_alice()), alice, false);
        assert_eq!(elsewhere, Err(DeletionError::OtherGroup));
        let fixed = DeletionTarget {
            is_deletable: false,
            ..said_by_alice()
        };
        let refused = receive(&group(1), Some(&fixed), alice, true);
        assert_eq!(refused, Err(DeletionError::NotDeletable));
        let gone = DeletionTarget {
            is_deleted: true,
            ..said_by_alice()
        };
        let again = check_send(&group(1), Some(&gone), alice, false);
        assert_eq!(again, Err(DeletionError::AlreadyDeleted));
        let unknown = check_send(&group(1), None, alice, false);
        assert_eq!(unknown, Err(DeletionError::UnknownMessage));
    }

    #[test]
    fn a_deletion_that_comes_first_is_checked_when_the_message_comes() {
        let target = said_by_alice();
        let early =
            |sender, is_super_admin| receive(&group(1), None, sender, is_super_admin).unwrap();
        assert!(early(inbox(1), false).counts_for(&target));
        assert!(early(inbox(2), true).counts_for(&target));
        assert!(!early(inbox(2), false).counts_for(&target));
        let elsewhere = receive(&group(2), None, inbox(1), true).unwrap();
        assert!(!elsewhere.counts_for(&target));
    }
}

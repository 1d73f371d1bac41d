//! Leaving a group.
//!
//! Nobody can remove themselves. Who wants to go says so in a message (XIP-75), and a super admin's
//! client removes them with an ordinary commit.

use std::collections::BTreeSet;

use folkmoot_wire::InboxId;

use crate::context::{Context, ConversationKind};

/// Why somebody cannot leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LeaveError {
    /// Who is no member has nothing to leave.
    #[error("you are no member of this group")]
    NotMember,
    /// The last member stays.
    #[error("you are the only member of this group")]
    OnlyMember,
    /// Nobody leaves a DM.
    #[error("a dm cannot be left")]
    Dm,
    /// Super admins cannot be removed, so they cannot leave.
    #[error("a super admin cannot leave; give up the role first")]
    SuperAdmin,
}

/// Checks whether `me` may ask to leave. Who has asked already need not ask again.
///
/// # Errors
///
/// [`LeaveError`].
pub fn check_leave(context: &Context, me: InboxId) -> Result<(), LeaveError> {
    if !context.membership.contains(me) {
        Err(LeaveError::NotMember)
    } else if context.membership.members.len() == 1 {
        Err(LeaveError::OnlyMember)
    } else if context.metadata.kind == ConversationKind::Dm {
        Err(LeaveError::Dm)
    } else if context.mutable.is_super_admin(me) {
        Err(LeaveError::SuperAdmin)
    } else {
        Ok(())
    }
}

/// Whom `me` should remove, of those who `asked` to leave: nobody, unless `me` is super admin and
/// has not asked too. Who is super admin, or has left already, is passed over.
#[must_use]
pub fn due_removals(
    context: &Context,
    asked: &BTreeSet<InboxId>,
    me: InboxId,
) -> BTreeSet<InboxId> {
    if !context.mutable.is_super_admin(me) || asked.contains(&me) {
        return BTreeSet::new();
    }
    asked
        .iter()
        .copied()
        .filter(|inbox_id| {
            context.membership.contains(*inbox_id) && !context.mutable.is_super_admin(*inbox_id)
        })
        .collect()
}

/// Those of `asked` whose wish is fulfilled, and who can be forgotten.
#[must_use]
pub fn settled(context: &Context, asked: &BTreeSet<InboxId>) -> BTreeSet<InboxId> {
    asked
        .iter()
        .copied()
        .filter(|inbox_id| !context.membership.contains(*inbox_id))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        context::{AdminChange, NewConversation},
        permissions::PolicySet,
        world::{SECRET, inbox},
    };

    fn context(new: &NewConversation, members: &[InboxId]) -> Context {
        let mut context = Context::read(&new.extensions()).unwrap();
        context.membership.members = members.iter().map(|inbox_id| (*inbox_id, 2)).collect();
        context
    }

    #[test]
    fn a_member_leaves_a_group_of_several_unless_it_rules_it() {
        let (alice, bob) = (inbox(1), inbox(2));
        let new = NewConversation::group(alice, PolicySet::all_members(), SECRET);
        let mut group = context(&new, &[alice, bob]);
        assert_eq!(check_leave(&group, bob), Ok(()));
        assert_eq!(check_leave(&group, inbox(3)), Err(LeaveError::NotMember));
        assert_eq!(check_leave(&group, alice), Err(LeaveError::SuperAdmin));
        group.mutable.change_admins(AdminChange::AddAdmin, bob);
        assert_eq!(check_leave(&group, bob), Ok(()), "admins may");
        let alone = context(&new, &[alice]);
        assert_eq!(check_leave(&alone, alice), Err(LeaveError::OnlyMember));
        let dm = context(&NewConversation::dm(alice, bob, SECRET), &[alice, bob]);
        assert_eq!(check_leave(&dm, bob), Err(LeaveError::Dm));
    }

    #[test]
    fn a_super_admin_removes_those_who_asked_and_can_be_removed() {
        let (alice, bob, carol, gone) = (inbox(1), inbox(2), inbox(3), inbox(4));
        let new = NewConversation::group(alice, PolicySet::all_members(), SECRET);
        let mut group = context(&new, &[alice, bob, carol]);
        let asked = BTreeSet::from([bob, gone]);
        assert_eq!(due_removals(&group, &asked, alice), BTreeSet::from([bob]));
        assert_eq!(settled(&group, &asked), BTreeSet::from([gone]));
        assert!(due_removals(&group, &asked, carol).is_empty());
        group.mutable.change_admins(AdminChange::AddAdmin, carol);
        assert!(
            due_removals(&group, &asked, carol).is_empty(),
            "admins do not react"
        );
        group.mutable.change_admins(AdminChange::AddSuperAdmin, bob);
        assert!(
            due_removals(&group, &asked, alice).is_empty(),
            "bob was promoted"
        );
        assert!(
            due_removals(&group, &asked, bob).is_empty(),
            "bob wants to go"
        );
    }
}

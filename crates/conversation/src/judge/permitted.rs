//! Whether the actor of a commit may do what it does. Roles are those before the commit.

use folkmoot_wire::InboxId;

use super::{Action, CommitSummary};
use crate::{context::MutableMetadata, permissions::PolicySet};

/// Finds the first thing that the actor may not do.
pub(super) fn check(
    commit: &CommitSummary,
    metadata: &MutableMetadata,
    policies: &PolicySet,
    new_metadata: &MutableMetadata,
) -> Result<(), Action> {
    let role = commit.actor.role;
    if !policies.add_member.allows(role)
        && !adds_the_other(commit)
        && let Some(inbox_id) = commit.added_inboxes.first()
    {
        return Err(Action::AddMember(*inbox_id));
    }
    for inbox_id in &commit.removed_inboxes {
        if !policies.remove_member.allows(role) {
            return Err(Action::RemoveMember(*inbox_id));
        }
        if metadata.is_super_admin(*inbox_id) {
            return Err(Action::RemoveSuperAdminMember(*inbox_id));
        }
    }
    for change in &commit.metadata_changes {
        if !policies.metadata_policy(&change.key).allows(role) {
            return Err(Action::UpdateMetadata(change.key.clone()));
        }
    }
    let changes = &commit.admin_changes;
    if !changes.added.is_empty() && !policies.add_admin.allows(role) {
        return Err(Action::AddAdmin);
    }
    if !changes.removed.is_empty() && !policies.remove_admin.allows(role) {
        return Err(Action::RemoveAdmin);
    }
    if !changes.super_added.is_empty() && !role.is_super_admin {
        return Err(Action::AddSuperAdmin);
    }
    if !changes.super_removed.is_empty() {
        if !role.is_super_admin {
            return Err(Action::RemoveSuperAdmin);
        }
        if new_metadata.super_admins.is_empty() {
            return Err(Action::RemoveLastSuperAdmin);
        }
    }
    if commit.permissions_changed && !role.is_super_admin {
        return Err(Action::UpdatePermissions);
    }
    Ok(())
}

/// Whether the only inbox that is added is the actor's partner in a DM: that is always allowed.
pub(super) fn adds_the_other(commit: &CommitSummary) -> bool {
    let (Some(members), [inbox_id]) = (&commit.dm_members, &commit.added_inboxes[..]) else {
        return false;
    };
    let inbox_id: InboxId = *inbox_id;
    members.contains(inbox_id) && inbox_id != commit.actor.inbox_id
}

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::{InboxId, InstallationKey};

use super::{DiffError, InboxStates, NeededState, exact, expected_diff, needed_for_diff};
use crate::{context::GroupMembership, facts::Leaf};

/// How many inboxes a group can have.
pub const MAX_MEMBERS: usize = 250;

/// A wish to change who is in a group.
///
/// `latest` has to name the newest sequence id of every member and of everybody who is added: a
/// change of the membership takes all news of the members' identity logs into account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MembershipChange {
    /// Inboxes to add. Those that are members already are only brought up to date.
    pub add: BTreeSet<InboxId>,
    /// Inboxes to remove. Those that are no members are passed over.
    pub remove: BTreeSet<InboxId>,
    /// The newest sequence id of each inbox.
    pub latest: BTreeMap<InboxId, u64>,
}

/// A commit that changes the membership, before key packages were fetched.
///
/// Fetch the key packages of [`fetch`](Self::fetch), then ask [`finish`](Self::finish).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MembershipPlan {
    /// Installations whose key packages are to be fetched.
    pub fetch: BTreeSet<InstallationKey>,
    remove: Vec<u32>,
    membership: GroupMembership,
    adds_inboxes: bool,
}

/// What to commit: all of it in one commit, with the complete list of context extensions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MembershipCommit {
    /// Installations whose key packages are to be added.
    pub add: BTreeSet<InstallationKey>,
    /// Leaves to remove.
    pub remove: Vec<u32>,
    /// The membership afterwards.
    pub membership: GroupMembership,
}

/// A commit that removes installations and adds them again, before key packages were fetched.
/// Only super admins may do so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReaddPlan {
    /// Installations whose key packages are to be fetched.
    pub fetch: BTreeSet<InstallationKey>,
    remove: Vec<u32>,
    membership: GroupMembership,
}

/// Why the membership cannot be changed so.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The group would be too large.
    #[error("a group has at most {MAX_MEMBERS} members; this one would have {0}")]
    TooManyMembers(usize),
    /// An inbox has no identity updates, or nobody asked for them.
    #[error("inbox {0} has no identity updates")]
    UnknownInbox(InboxId),
    /// The change contradicts the identity logs.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// Our own installation would have to go; somebody else has to do that.
    #[error("our own installation cannot be removed by ourselves")]
    RemovesOwnLeaf,
    /// Inboxes were to be added, but none of their installations can be.
    #[error("none of the new installations has a usable key package")]
    NothingUsable,
}

impl MembershipChange {
    /// The membership that the change leads to, apart from installations that turn out not to have
    /// a key package.
    ///
    /// # Errors
    ///
    /// [`PlanError::UnknownInbox`] and, when inboxes are added, [`PlanError::TooManyMembers`].
    pub fn apply(&self, old: &GroupMembership) -> Result<GroupMembership, PlanError> {
        let mut new = old.clone();
        let staying = old.inbox_ids().chain(self.add.iter().copied());
        for inbox_id in staying.filter(|inbox_id| !self.remove.contains(inbox_id)) {
            let latest = self
                .latest
                .get(&inbox_id)
                .copied()
                .filter(|latest| *latest > 0);
            let latest = latest.ok_or(PlanError::UnknownInbox(inbox_id))?;
            let place = new.members.entry(inbox_id).or_insert(latest);
            *place = latest.max(*place);
        }
        for inbox_id in &self.remove {
            new.members.remove(inbox_id);
        }
        if new.members.len() > MAX_MEMBERS && new.members.len() > old.members.len() {
            return Err(PlanError::TooManyMembers(new.members.len()));
        }
        Ok(new)
    }

    /// The states that [`plan`] looks at.
    ///
    /// # Errors
    ///
    /// [`PlanError`], as of [`apply`](Self::apply).
    pub fn needed_states(&self, old: &GroupMembership) -> Result<Vec<NeededState>, PlanError> {
        let new = self.apply(old)?;
        Ok(needed_for_diff(old, &new).into_iter().collect())
    }
}

/// Plans the commit that changes the membership, for the installation `me` of a group with these
/// leaves. `None` when there is nothing to commit.
///
/// # Errors
///
/// [`PlanError`].
pub fn plan(
    change: &MembershipChange,
    old: &GroupMembership,
    members: &[Leaf],
    me: InstallationKey,
    states: &InboxStates,
) -> Result<Option<MembershipPlan>, PlanError> {
    let mut new = change.apply(old)?;
    let diff = expected_diff(old, &new, states)?;
    let leaves: BTreeMap<_, _> = members
        .iter()
        .map(|leaf| (leaf.installation, leaf.index))
        .collect();
    if diff.removed.contains(&me) {
        return Err(PlanError::RemovesOwnLeaf);
    }
    // What once failed counts as absent, even if it is in the tree by now: everybody filters so.
    let to_remove = diff.removed.into_iter().filter(|key| !old.has_failed(*key));
    let (in_tree, absent): (Vec<_>, Vec<_>) = to_remove.partition(|key| leaves.contains_key(key));
    // Whoever should have added them forgot to say that it failed. Said now, the removal is valid.
    new.add_failed(absent);
    let to_add = diff.added.into_iter();
    let fetch: BTreeSet<_> = to_add.filter(|key| !leaves.contains_key(key)).collect();
    let inboxes = old.diff(&new);
    if fetch.is_empty()
        && in_tree.is_empty()
        && inboxes.updated.is_empty()
        && inboxes.removed.is_empty()
    {
        return Ok(None);
    }
    Ok(Some(MembershipPlan {
        fetch,
        remove: in_tree.iter().map(|key| leaves[key]).collect(),
        adds_inboxes: !inboxes.added.is_empty(),
        membership: new,
    }))
}

impl MembershipPlan {
    /// Installations that may be noted as failed, besides those that are already.
    pub fn noted(&self) -> impl Iterator<Item = InstallationKey> {
        let noted = self.membership.failed().into_iter();
        noted.chain(self.fetch.iter().copied())
    }

    /// What to commit, when of the installations to [`fetch`](Self::fetch) these have a usable key
    /// package. The others are noted as failed.
    ///
    /// # Errors
    ///
    /// [`PlanError::NothingUsable`] when people were to be added and no installation can be.
    pub fn finish(self, usable: &BTreeSet<InstallationKey>) -> Result<MembershipCommit, PlanError> {
        let (add, failed) = usable_and_failed(self.fetch, usable);
        if self.adds_inboxes && add.is_empty() && !failed.is_empty() {
            return Err(PlanError::NothingUsable);
        }
        let mut membership = self.membership;
        membership.add_failed(failed);
        Ok(MembershipCommit {
            add,
            remove: self.remove,
            membership,
        })
    }
}

/// Plans the commit with which a super admin removes installations and adds them again. Those that
/// are not in the tree, and `me`, are passed over; `None` when nothing is left.
#[must_use]
pub fn plan_readd(
    installations: &BTreeSet<InstallationKey>,
    old: &GroupMembership,
    members: &[Leaf],
    me: InstallationKey,
) -> Option<ReaddPlan> {
    let leaves: BTreeMap<_, _> = members
        .iter()
        .map(|leaf| (leaf.installation, leaf.index))
        .filter(|(key, _)| installations.contains(key) && *key != me)
        .collect();
    if leaves.is_empty() {
        return None;
    }
    Some(ReaddPlan {
        fetch: leaves.keys().copied().collect(),
        remove: leaves.into_values().collect(),
        membership: old.clone(),
    })
}

impl ReaddPlan {
    /// What to commit, when of the installations to [`fetch`](Self::fetch) these have a usable key
    /// package. The others are removed all the same, and noted as failed.
    #[must_use]
    pub fn finish(self, usable: &BTreeSet<InstallationKey>) -> MembershipCommit {
        let (add, failed) = usable_and_failed(self.fetch, usable);
        let mut membership = self.membership;
        membership.add_failed(failed);
        MembershipCommit {
            add,
            remove: self.remove,
            membership,
        }
    }
}

fn usable_and_failed(
    fetch: BTreeSet<InstallationKey>,
    usable: &BTreeSet<InstallationKey>,
) -> (BTreeSet<InstallationKey>, BTreeSet<InstallationKey>) {
    fetch.into_iter().partition(|key| usable.contains(key))
}

/// Leaves that do not belong into the tree, although no change of the membership would remove
/// them: installations that once failed, were added later, and were then revoked or lost their
/// inbox. Everybody takes them for absent. Whoever is invited meanwhile refuses to join, so a super
/// admin should remove them: [`plan_readd`], finished without usable key packages.
///
/// The states of all members at their places are looked at.
///
/// # Errors
///
/// [`DiffError`].
pub fn stale_leaves(
    membership: &GroupMembership,
    members: &[Leaf],
    states: &InboxStates,
) -> Result<BTreeSet<InstallationKey>, DiffError> {
    let mut stale = BTreeSet::new();
    for leaf in members {
        let inbox_id = leaf.inbox_id;
        let belongs = match membership.members.get(&inbox_id) {
            Some(sequence_id) => {
                let needed = NeededState {
                    inbox_id,
                    sequence_id: *sequence_id,
                };
                exact(&needed, states)?.contains(&leaf.installation)
            }
            None => false,
        };
        if !belongs && membership.has_failed(leaf.installation) {
            stale.insert(leaf.installation);
        }
    }
    Ok(stale)
}

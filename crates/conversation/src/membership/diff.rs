use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::{InboxId, InstallationKey};

use super::states::{Found, InboxStates, NeededState};
use crate::context::GroupMembership;

/// Which inboxes differ between two memberships.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MembershipDiff {
    /// Members of the new one only.
    pub added: Vec<InboxId>,
    /// Members of the old one only.
    pub removed: Vec<InboxId>,
    /// Members of both, with another sequence id.
    pub updated: Vec<InboxId>,
}

/// Which installations a change of the membership brings and takes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InstallationDiff {
    /// They are to be added.
    pub added: BTreeSet<InstallationKey>,
    /// They are to be removed.
    pub removed: BTreeSet<InstallationKey>,
}

/// Why a change of the membership means nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DiffError {
    /// The place in an inbox's log moves back.
    #[error("the sequence id of inbox {inbox_id} goes down from {old} to {new}")]
    SequenceIdDecreased {
        /// The inbox.
        inbox_id: InboxId,
        /// Where it was.
        old: u64,
        /// Where it would be.
        new: u64,
    },
    /// An inbox has no update with the sequence id that the membership names.
    #[error("inbox {} has no update with the sequence id {}", .0.inbox_id, .0.sequence_id)]
    MissingIdentityUpdate(NeededState),
    /// The log of an inbox is not valid up to there.
    #[error("the log of inbox {} is invalid up to the sequence id {}", .0.inbox_id, .0.sequence_id)]
    InvalidIdentityLog(NeededState),
    /// Nobody has looked yet.
    #[error("the state of inbox {} at the sequence id {} was not given", .0.inbox_id, .0.sequence_id)]
    NotGiven(NeededState),
}

impl GroupMembership {
    /// Which inboxes differ in `new`.
    #[must_use]
    pub fn diff(&self, new: &Self) -> MembershipDiff {
        let only_in = |some: &BTreeMap<InboxId, u64>, others: &BTreeMap<InboxId, u64>| {
            let keys = some.keys().copied();
            keys.filter(|inbox_id| !others.contains_key(inbox_id))
                .collect()
        };
        MembershipDiff {
            added: only_in(&new.members, &self.members),
            removed: only_in(&self.members, &new.members),
            updated: self
                .members
                .iter()
                .filter(|(inbox_id, old)| new.members.get(inbox_id).is_some_and(|new| new != *old))
                .map(|(inbox_id, _)| *inbox_id)
                .collect(),
        }
    }
}

/// The states that [`expected_diff`] looks at.
#[must_use]
pub fn needed_for_diff(old: &GroupMembership, new: &GroupMembership) -> BTreeSet<NeededState> {
    let diff = old.diff(new);
    let olds = diff.removed.iter().chain(&diff.updated);
    let news = diff.added.iter().chain(&diff.updated);
    let places = |inboxes: Vec<InboxId>, membership: &GroupMembership| -> Vec<_> {
        inboxes
            .into_iter()
            .map(|inbox_id| needed(inbox_id, membership))
            .collect()
    };
    places(olds.copied().collect(), old)
        .into_iter()
        .chain(places(news.copied().collect(), new))
        .filter(|needed| can_exist(needed.sequence_id))
        .collect()
}

/// Which installations have to come and go when the membership changes from `old` to `new`.
///
/// # Errors
///
/// [`DiffError`]. An inbox that only moves on may move to a sequence id that it has no update for,
/// as long as there is none since the old one either: libxmtp takes that too.
pub fn expected_diff(
    old: &GroupMembership,
    new: &GroupMembership,
    states: &InboxStates,
) -> Result<InstallationDiff, DiffError> {
    let diff = old.diff(new);
    for inbox_id in &diff.updated {
        let (old, new) = (old.members[inbox_id], new.members[inbox_id]);
        if new < old {
            return Err(DiffError::SequenceIdDecreased {
                inbox_id: *inbox_id,
                old,
                new,
            });
        }
    }
    let mut expected = InstallationDiff::default();
    for inbox_id in &diff.added {
        let state = exact(&needed(*inbox_id, new), states)?;
        expected.added.extend(state);
    }
    for inbox_id in &diff.updated {
        let (from, to) = (needed(*inbox_id, old), needed(*inbox_id, new));
        if from.sequence_id == 0 {
            expected.added.extend(exact(&to, states)?);
            continue;
        }
        let before = exact(&from, states)?;
        let after = moved_on(&from, &to, before, states)?;
        expected.added.extend(after.difference(before));
        expected.removed.extend(before.difference(after));
    }
    for inbox_id in &diff.removed {
        let state = exact(&needed(*inbox_id, old), states)?;
        expected.removed.extend(state);
    }
    Ok(expected)
}

/// The installations after the update with exactly this sequence id.
pub(crate) fn exact<'a>(
    needed: &NeededState,
    states: &'a InboxStates,
) -> Result<&'a BTreeSet<InstallationKey>, DiffError> {
    if !can_exist(needed.sequence_id) {
        return Err(DiffError::MissingIdentityUpdate(*needed));
    }
    match states.found(needed) {
        None => Err(DiffError::NotGiven(*needed)),
        Some(Found::Log {
            last,
            installations,
        }) if *last == needed.sequence_id => Ok(installations),
        Some(Found::Log { .. } | Found::Nothing) => Err(DiffError::MissingIdentityUpdate(*needed)),
        Some(Found::Invalid) => Err(DiffError::InvalidIdentityLog(*needed)),
    }
}

/// The installations when a log that was known up to `from` is looked at again up to `to`.
fn moved_on<'a>(
    from: &NeededState,
    to: &NeededState,
    before: &'a BTreeSet<InstallationKey>,
    states: &'a InboxStates,
) -> Result<&'a BTreeSet<InstallationKey>, DiffError> {
    if !can_exist(to.sequence_id) {
        return Ok(before);
    }
    match states.found(to) {
        Some(Found::Log { last, .. }) if *last == from.sequence_id => Ok(before),
        _ => exact(to, states),
    }
}

fn needed(inbox_id: InboxId, membership: &GroupMembership) -> NeededState {
    NeededState {
        inbox_id,
        sequence_id: membership.members[&inbox_id],
    }
}

/// Whether a node can have given this sequence id to an update. Others are looked up in vain.
pub(crate) fn can_exist(sequence_id: u64) -> bool {
    sequence_id != 0 && i64::try_from(sequence_id).is_ok()
}

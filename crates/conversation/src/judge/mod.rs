//! Whether a commit may be merged.
//!
//! MLS lets every member commit anything; XMTP's rules say what is in order. Everybody judges
//! for themselves, and who judges differently parts from the group without noticing. So [`judge`]
//! accepts exactly what libxmtp 1.10 accepts and refuses what it refuses, quirks included, and
//! our own commits go through it before they are published.
//!
//! The steps, in their order: both contexts must be readable; values keep to their limits; one
//! installation did it all; no pre-shared keys; the installations that come and go are those that
//! follow from the identity logs ([`expected_diff`]); the actor is a member with a valid
//! installation afterwards; it was permitted to do this; the group does not ask for more than this
//! version understands.
//!
//! Quirks that are kept, since others have them:
//! - what a conversation is (extension 0xf000) is read before a commit, never after it;
//! - an inbox may move past the end of its log, but not who acts; later it can neither move on
//!   nor be removed;
//! - an installation that once failed is never missed when it should be removed, nor may it be
//!   removed then, even if it is in the tree (see `membership::stale_leaves`);
//! - whoever is in the tree may be added, and who should be added may be left out;
//! - the policy about changing permissions says nothing: super admins may change them;
//! - nobody checks that admins are members, or even inbox ids.

mod app_data;
#[cfg(test)]
mod captured;
mod permitted;
mod refusal;
mod summary;
#[cfg(test)]
mod tests;

pub use refusal::{Action, Refusal};
pub use summary::{Actor, AdminChanges, CommitKind, CommitSummary, MetadataChange};

use std::collections::BTreeSet;

use folkmoot_wire::InstallationKey;

use crate::{
    context::{Attribute, Context, ContextError, GroupMembership, GroupMetadata, MutableMetadata},
    facts::{CommitFacts, ContextExtensions, Leaf, ProposalKind},
    membership::{
        DiffError, InboxStates, InstallationDiff, NeededState, can_exist, exact, expected_diff,
        needed_for_diff,
    },
    permissions::{PolicySet, Role},
    version::Version,
};

/// What becomes of a commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Merge it.
    Accept(Box<CommitSummary>),
    /// Skip it for good.
    Refuse(Refusal),
    /// Leave it where it is, and let the group stand still until this version is understood.
    Pause(Version),
    /// Nothing can be said before these states were looked up.
    Ask(Vec<NeededState>),
}

/// The states of inboxes that the verdict on a commit depends on.
#[must_use]
pub fn needed_states(commit: &CommitFacts) -> Vec<NeededState> {
    let (Ok(old), Ok(new)) = (membership(&commit.old), membership(&commit.new)) else {
        return Vec::new();
    };
    let mut needed = needed_for_diff(&old, &new);
    let actor = actor(commit).ok();
    let acting = actor
        .into_iter()
        .chain(&commit.committer)
        .chain(updates(commit));
    needed.extend(acting.filter_map(|leaf| place(leaf, &new)));
    needed.into_iter().collect()
}

/// Judges a commit, for somebody who understands groups up to `own`.
#[must_use]
pub fn judge(commit: &CommitFacts, states: &InboxStates, own: &Version) -> Verdict {
    let understood = if *own >= Version::APP_DATA {
        app_data::examine(commit, states, own)
    } else {
        None
    };
    match understood.unwrap_or_else(|| examine(commit, states, own)) {
        Ok(verdict) => verdict,
        Err(Stop::Refuse(refusal)) => Verdict::Refuse(refusal),
        Err(Stop::Ask) => Verdict::Ask(states.missing(needed_states(commit))),
    }
}

/// Why the examination ends early.
enum Stop {
    Refuse(Refusal),
    Ask,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

impl From<DiffError> for Stop {
    fn from(error: DiffError) -> Self {
        Refusal::from_diff(error).map_or(Self::Ask, Self::Refuse)
    }
}

fn examine(commit: &CommitFacts, states: &InboxStates, own: &Version) -> Result<Verdict, Stop> {
    let old = OldContext::read(commit).map_err(Refusal::OldContext)?;
    let new_metadata = commit.new.mutable_metadata().map_err(Refusal::NewContext)?;
    let metadata_changes = MetadataChange::between(&old.mutable, &new_metadata);
    check_lengths(&metadata_changes)?;
    let permissions_changed =
        commit.new.permissions().map_err(Refusal::NewContext)? != old.permissions;
    let actor = actor(commit)?;
    if commit
        .proposals
        .iter()
        .any(|proposal| proposal.kind == ProposalKind::PreSharedKey)
    {
        return Err(Refusal::PreSharedKey.into());
    }
    let actual = installations(commit);
    let old_membership = commit.old.membership().map_err(Refusal::OldContext)?;
    let new_membership = commit.new.membership().map_err(Refusal::NewContext)?;
    let membership = old_membership.diff(&new_membership);
    let expected = expected_diff(&old_membership, &new_membership, states)?;

    let role = old.mutable.role(actor.inbox_id);
    let mut remaining = actual.clone();
    let mut failed = new_membership.failed();
    let readded_installations = take_readded(role, &mut remaining, &mut failed);
    check_installations(commit, &expected, remaining, &failed)?;
    for leaf in updates(commit).chain([actor]) {
        check_credential(leaf, &new_membership, states)?;
    }

    let summary = CommitSummary {
        group_id: commit.group_id.clone(),
        epoch: commit.epoch,
        actor: Actor {
            inbox_id: actor.inbox_id,
            installation: actor.installation,
            role,
        },
        added_inboxes: membership.added,
        removed_inboxes: membership.removed,
        added_installations: actual.added,
        removed_installations: actual.removed,
        readded_installations,
        metadata_changes,
        admin_changes: AdminChanges::between(&old.mutable, &new_metadata),
        permissions_changed,
        dm_members: old.metadata.dm_members.clone(),
    };
    permitted::check(&summary, &old.mutable, &old.permissions, &new_metadata).map_err(
        |action| Refusal::NotPermitted {
            actor: actor.inbox_id,
            action,
        },
    )?;
    if let Some(minimum) = new_metadata.get(Attribute::MinimumVersion) {
        let minimum: Version = minimum.parse().map_err(Refusal::Version)?;
        if minimum > *own {
            return Ok(Verdict::Pause(minimum));
        }
    }
    Ok(Verdict::Accept(Box::new(summary)))
}

/// The member inboxes, wherever the context keeps them.
fn membership(context: &ContextExtensions) -> Result<GroupMembership, ContextError> {
    match context.membership() {
        Err(ContextError::Missing(_)) => Context::read(context).map(|context| context.membership),
        membership => membership,
    }
}

/// What of the context before a commit is read first.
struct OldContext {
    metadata: GroupMetadata,
    mutable: MutableMetadata,
    permissions: PolicySet,
}

impl OldContext {
    fn read(commit: &CommitFacts) -> Result<Self, ContextError> {
        Ok(Self {
            metadata: commit.old.metadata()?,
            mutable: commit.old.mutable_metadata()?,
            permissions: commit.old.permissions()?,
        })
    }
}

fn check_lengths(changes: &[MetadataChange]) -> Result<(), Refusal> {
    for change in changes {
        if let (Some(attribute), Some(value)) = (Attribute::from_key(&change.key), &change.new) {
            attribute.check(value)?;
        }
    }
    Ok(())
}

/// The installation that made the commit and all its proposals.
fn actor(commit: &CommitFacts) -> Result<&Leaf, Refusal> {
    let mut proposer: Option<&Leaf> = None;
    for proposal in &commit.proposals {
        let leaf = proposal
            .proposer
            .as_ref()
            .ok_or(Refusal::ProposerNotMember)?;
        if proposer.is_some_and(|other| other.index != leaf.index) {
            return Err(Refusal::MultipleActors);
        }
        proposer = Some(leaf);
    }
    match (&commit.path_leaf, proposer) {
        (Some(path), Some(proposer)) if path.installation != proposer.installation => {
            Err(Refusal::MultipleActors)
        }
        (Some(path), _) => Ok(path),
        (None, Some(proposer)) => Ok(proposer),
        (None, None) => Err(Refusal::NoActor),
    }
}

/// The new leaves of Update proposals.
fn updates(commit: &CommitFacts) -> impl Iterator<Item = &Leaf> {
    commit
        .proposals
        .iter()
        .filter_map(|proposal| match &proposal.kind {
            ProposalKind::Update(leaf) => Some(leaf),
            _ => None,
        })
}

/// The installations that the proposals add and remove.
fn installations(commit: &CommitFacts) -> InstallationDiff {
    let mut diff = InstallationDiff::default();
    for proposal in &commit.proposals {
        match &proposal.kind {
            ProposalKind::Add(leaf) => diff.added.insert(leaf.installation),
            ProposalKind::Remove(leaf) => diff.removed.insert(leaf.installation),
            _ => false,
        };
    }
    diff
}

/// Takes out the installations that a super admin adds again, and those for which that failed.
fn take_readded(
    role: Role,
    actual: &mut InstallationDiff,
    failed: &mut BTreeSet<InstallationKey>,
) -> BTreeSet<InstallationKey> {
    if !role.is_super_admin {
        return BTreeSet::new();
    }
    let succeeded: BTreeSet<_> = actual
        .added
        .intersection(&actual.removed)
        .copied()
        .collect();
    actual.added.retain(|key| !succeeded.contains(key));
    actual.removed.retain(|key| !succeeded.contains(key));
    let unsuccessful: BTreeSet<_> = failed.intersection(&actual.removed).copied().collect();
    failed.retain(|key| !unsuccessful.contains(key));
    actual.removed.retain(|key| !unsuccessful.contains(key));
    succeeded.into_iter().chain(unsuccessful).collect()
}

/// Compares what a commit adds and removes with what follows from the membership. Additions may
/// be missing; removals may not, except of installations that could not be added.
fn check_installations(
    commit: &CommitFacts,
    expected: &InstallationDiff,
    actual: InstallationDiff,
    failed: &BTreeSet<InstallationKey>,
) -> Result<(), Refusal> {
    let in_tree: BTreeSet<_> = commit
        .members
        .iter()
        .map(|leaf| leaf.installation)
        .collect();
    let unexpected: Vec<_> = actual
        .added
        .into_iter()
        .filter(|key| !expected.added.contains(key) && !in_tree.contains(key))
        .collect();
    if !unexpected.is_empty() {
        return Err(Refusal::UnexpectedlyAdded(unexpected));
    }
    let to_remove: BTreeSet<_> = expected.removed.difference(failed).copied().collect();
    if actual.removed == to_remove {
        return Ok(());
    }
    Err(Refusal::UnexpectedlyRemoved {
        extra: actual.removed.difference(&to_remove).copied().collect(),
        kept: to_remove.difference(&actual.removed).copied().collect(),
    })
}

/// Checks that who acts belongs to the group after the commit, as an installation of its inbox.
fn check_credential(
    leaf: &Leaf,
    membership: &GroupMembership,
    states: &InboxStates,
) -> Result<(), Stop> {
    let inbox_id = leaf.inbox_id;
    let sequence_id = *membership
        .members
        .get(&inbox_id)
        .ok_or(Refusal::NotMember(inbox_id))?;
    let needed = NeededState {
        inbox_id,
        sequence_id,
    };
    if exact(&needed, states)?.contains(&leaf.installation) {
        return Ok(());
    }
    Err(Refusal::NotAnInstallation {
        inbox_id,
        installation: leaf.installation,
    }
    .into())
}

fn place(leaf: &Leaf, membership: &GroupMembership) -> Option<NeededState> {
    let inbox_id = leaf.inbox_id;
    let sequence_id = *membership.members.get(&inbox_id)?;
    can_exist(sequence_id).then_some(NeededState {
        inbox_id,
        sequence_id,
    })
}

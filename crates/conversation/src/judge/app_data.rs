//! The verdict on commits to groups that live in an AppData dictionary, and on the commit that
//! brings a group there, as libxmtp 1.12 finds it.
//!
//! What is different: the actor is who commits, and each proposal is judged by the role of
//! its proposer. Everything but the membership is judged change by change, by the registry.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::InboxId;

use super::{
    Action, Actor, AdminChanges, CommitSummary, MetadataChange, Refusal, Stop, Verdict,
    check_credential, check_installations, installations, take_readded, updates,
};
use crate::{
    app_data::{
        BootstrapError, Component, Dictionary, Registry, check_bootstrap, check_update,
        is_bootstrap,
    },
    context::{ContextError, Extension, MutableMetadata},
    facts::{CommitFacts, Leaf, ProposalKind},
    membership::{InboxStates, InstallationDiff, MembershipDiff, expected_diff},
    permissions::{Policy, Role, Who},
    version::Version,
};

/// Judges a commit that has to do with a dictionary; `None` for all others.
pub(super) fn examine(
    commit: &CommitFacts,
    states: &InboxStates,
    own: &Version,
) -> Option<Result<Verdict, Stop>> {
    match Dictionary::of(&commit.old) {
        Err(error) => Some(Err(Refusal::OldContext(error).into())),
        Ok(Some(old)) if old.is_migrated() => Some(examine_migrated(commit, &old, states, own)),
        Ok(_) if is_bootstrap(commit) => Some(examine_bootstrap(commit, own)),
        Ok(_) => None,
    }
}

fn examine_bootstrap(commit: &CommitFacts, own: &Version) -> Result<Verdict, Stop> {
    let metadata = commit.old.metadata().map_err(Refusal::OldContext)?;
    let mutable = commit.old.mutable_metadata().map_err(Refusal::OldContext)?;
    check_no_psk(commit)?;
    let committer = committer(commit)?;
    let proposer = context_proposer(commit).unwrap_or(committer);
    let is_super_admin = mutable.is_super_admin(proposer.inbox_id);
    match check_bootstrap(commit, is_super_admin, own) {
        Ok(()) => {}
        Err(BootstrapError::VersionTooLow(version)) => return Ok(Verdict::Pause(version)),
        Err(error) => return Err(Refusal::Bootstrap(error).into()),
    }
    let summary = CommitSummary {
        dm_members: metadata.dm_members,
        ..summary(
            commit,
            committer,
            mutable.role(committer.inbox_id),
            MembershipDiff::default(),
            InstallationDiff::default(),
        )
    };
    Ok(Verdict::Accept(Box::new(summary)))
}

fn examine_migrated(
    commit: &CommitFacts,
    old: &Dictionary,
    states: &InboxStates,
    own: &Version,
) -> Result<Verdict, Stop> {
    // A floor that cannot be read is none, here.
    let floor = old.get(Component::MINIMUM_VERSION);
    let floor = floor.and_then(|floor| String::from_utf8_lossy(floor).parse::<Version>().ok());
    if let Some(floor) = floor.filter(|floor| floor > own) {
        return Ok(Verdict::Pause(floor));
    }
    let metadata = old.metadata().map_err(Refusal::OldContext)?;
    let mutable = old.mutable_metadata().map_err(Refusal::OldContext)?;
    let registry = old.registry().map_err(Refusal::OldContext)?;
    let new = Dictionary::of(&commit.new)
        .map_err(Refusal::NewContext)?
        .ok_or(Refusal::NewContext(ContextError::Missing(
            Extension::AppData,
        )))?;
    let committer = committer(commit)?;
    check_no_psk(commit)?;
    check_updates(commit, old, &mutable, &registry)?;

    let actual = installations(commit);
    let old_membership = old.membership().map_err(Refusal::OldContext)?;
    let new_membership = new.membership().map_err(Refusal::NewContext)?;
    let membership = old_membership.diff(&new_membership);
    let expected = expected_diff(&old_membership, &new_membership, states)?;
    let proposers = proposers(commit, &membership)?;
    let role = mutable.role(committer.inbox_id);
    let mut remaining = actual.clone();
    let mut failed = new_membership.failed();
    let readded = take_readded(role, &mut remaining, &mut failed);
    check_installations(commit, &expected, remaining, &failed)?;
    for leaf in updates(commit).chain([committer]) {
        check_credential(leaf, &new_membership, states)?;
    }

    let mut summary = CommitSummary {
        readded_installations: readded,
        dm_members: metadata.dm_members,
        ..summary(commit, committer, role, membership, actual)
    };
    if let Ok(new_mutable) = new.mutable_metadata() {
        summary.metadata_changes = MetadataChange::between(&mutable, &new_mutable);
        summary.admin_changes = AdminChanges::between(&mutable, &new_mutable);
    }
    summary.permissions_changed = old.get(Component::REGISTRY) != new.get(Component::REGISTRY);
    check_members(&summary, &proposers, &mutable, &registry)?;

    if let Some(minimum) = new.get(Component::MINIMUM_VERSION) {
        let minimum: Version = String::from_utf8_lossy(minimum)
            .parse()
            .map_err(Refusal::Version)?;
        if minimum > *own {
            return Ok(Verdict::Pause(minimum));
        }
    }
    Ok(Verdict::Accept(Box::new(summary)))
}

/// Who committed; all proposals must come from members.
fn committer(commit: &CommitFacts) -> Result<&Leaf, Refusal> {
    if commit
        .proposals
        .iter()
        .any(|proposal| proposal.proposer.is_none())
    {
        return Err(Refusal::ProposerNotMember);
    }
    commit.committer.as_ref().ok_or(Refusal::NoActor)
}

fn check_no_psk(commit: &CommitFacts) -> Result<(), Refusal> {
    let mut proposals = commit.proposals.iter();
    if proposals.any(|proposal| proposal.kind == ProposalKind::PreSharedKey) {
        return Err(Refusal::PreSharedKey);
    }
    Ok(())
}

/// Each change of a component is compared with the value before the commit, not with that after
/// another change in it.
fn check_updates(
    commit: &CommitFacts,
    old: &Dictionary,
    mutable: &MutableMetadata,
    registry: &Registry,
) -> Result<(), Refusal> {
    for proposal in &commit.proposals {
        if let (Some(proposer), ProposalKind::AppDataUpdate { component, update }) =
            (&proposal.proposer, &proposal.kind)
        {
            let component = Component(*component);
            let value = old.get(component).map(|value| &value[..]);
            let role = mutable.role(proposer.inbox_id);
            check_update(component, update.as_deref(), value, role, registry)?;
        }
    }
    Ok(())
}

/// Who proposed that an inbox comes or goes: whoever adds or removes an installation of it, else
/// whoever changes the context's extensions.
fn proposers(
    commit: &CommitFacts,
    membership: &MembershipDiff,
) -> Result<BTreeMap<InboxId, Leaf>, Refusal> {
    let mut proposers = BTreeMap::new();
    let others = context_proposer(commit);
    for inbox_id in &membership.added {
        let adds = last_proposer(
            commit,
            |kind| matches!(kind, ProposalKind::Add(leaf) if leaf.inbox_id == *inbox_id),
        );
        let proposer = adds.or(others).ok_or(Refusal::NoProposer(*inbox_id))?;
        proposers.insert(*inbox_id, *proposer);
    }
    for inbox_id in &membership.removed {
        let removes = last_proposer(
            commit,
            |kind| matches!(kind, ProposalKind::Remove(leaf) if leaf.inbox_id == *inbox_id),
        );
        let proposer = removes.or(others).ok_or(Refusal::NoProposer(*inbox_id))?;
        proposers.insert(*inbox_id, *proposer);
    }
    Ok(proposers)
}

fn context_proposer(commit: &CommitFacts) -> Option<&Leaf> {
    last_proposer(commit, |kind| *kind == ProposalKind::GroupContextExtensions)
}

fn last_proposer(commit: &CommitFacts, test: impl Fn(&ProposalKind) -> bool) -> Option<&Leaf> {
    let mut proposals = commit.proposals.iter().rev();
    proposals
        .find(|proposal| test(&proposal.kind))
        .and_then(|proposal| proposal.proposer.as_ref())
}

/// Whether the proposers may add and remove those inboxes. Conditions in these policies let nobody
/// in.
fn check_members(
    commit: &CommitSummary,
    proposers: &BTreeMap<InboxId, Leaf>,
    mutable: &MutableMetadata,
    registry: &Registry,
) -> Result<(), Refusal> {
    let (add, remove) = registry.membership_policies();
    let allowed = |policy: &Policy<Who>, inbox_id: &InboxId| match policy {
        Policy::Base(who) => who.includes(mutable.role(proposers[inbox_id].inbox_id)),
        Policy::All(_) | Policy::Any(_) => false,
    };
    let refuse = |inbox_id: &InboxId, action| Refusal::NotPermitted {
        actor: proposers[inbox_id].inbox_id,
        action,
    };
    if !super::permitted::adds_the_other(commit) {
        for inbox_id in &commit.added_inboxes {
            if !allowed(&add, inbox_id) {
                return Err(refuse(inbox_id, Action::AddMember(*inbox_id)));
            }
        }
    }
    for inbox_id in &commit.removed_inboxes {
        if !allowed(&remove, inbox_id) {
            return Err(refuse(inbox_id, Action::RemoveMember(*inbox_id)));
        }
        if mutable.is_super_admin(*inbox_id) {
            return Err(refuse(inbox_id, Action::RemoveSuperAdminMember(*inbox_id)));
        }
    }
    Ok(())
}

fn summary(
    commit: &CommitFacts,
    committer: &Leaf,
    role: Role,
    membership: MembershipDiff,
    installations: InstallationDiff,
) -> CommitSummary {
    CommitSummary {
        group_id: commit.group_id.clone(),
        epoch: commit.epoch,
        actor: Actor {
            inbox_id: committer.inbox_id,
            installation: committer.installation,
            role,
        },
        added_inboxes: membership.added,
        removed_inboxes: membership.removed,
        added_installations: installations.added,
        removed_installations: installations.removed,
        readded_installations: BTreeSet::new(),
        metadata_changes: Vec::new(),
        admin_changes: AdminChanges::default(),
        permissions_changed: false,
        dm_members: None,
    }
}

//! Commits: to be made, made, and received but not merged.

use std::fmt;

use bytes::Bytes;
use openmls::prelude as mls;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    error::StagedError,
    installation::{InvalidLeaf, leaf, seat},
    profile,
    rows::{decode, encode},
};
use crate::{
    CommitFacts, ContextExtensions, KeyPackage, Leaf, PreparedWelcome, ProposalFact, ProposalKind,
};

/// What a commit shall change. An empty plan makes a commit that only renews the own keys, which
/// every commit does.
#[derive(Clone, Debug, Default)]
pub struct CommitPlan {
    /// The key packages of those who are added.
    pub adds: Vec<KeyPackage>,
    /// The leaves of those who are removed. A leaf may be removed and its installation added in
    /// the same commit.
    pub removes: Vec<u32>,
    /// All extensions of the context as they shall be; `None` leaves them alone.
    pub context: Option<ContextExtensions>,
    /// Changes to the AppData dictionary.
    pub app_data: Vec<AppDataChange>,
}

/// A change to one component of the AppData dictionary.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppDataChange {
    /// Which component.
    pub component: u16,
    /// What the proposal says, as the component's rules define it; `None` takes the component
    /// away.
    pub update: Option<Bytes>,
    /// What the component holds afterwards; `None` when it is taken away.
    pub value: Option<Bytes>,
}

/// A commit of our own, not sent yet. Store `staged` before `message` leaves: when the network has
/// ordered it first in its epoch, `Group::merge_own` applies it, and nothing else can.
#[derive(Clone)]
pub struct PreparedCommit {
    /// The epoch in which it was made.
    pub epoch: u64,
    /// The group message to send.
    pub message: Vec<u8>,
    /// What applies the commit here. Secret.
    pub staged: Zeroizing<Vec<u8>>,
    /// The welcome for those who are added, to be wrapped and sent once the commit is ordered.
    pub welcome: Option<PreparedWelcome>,
    /// What others will judge.
    pub facts: CommitFacts,
}

impl fmt::Debug for PreparedCommit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PreparedCommit")
            .field("epoch", &self.epoch)
            .field("bytes", &self.message.len())
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// A commit that MLS finds in order and that is not merged.
pub struct StagedCommit {
    pub(super) facts: CommitFacts,
    pub(super) committer: Option<u32>,
    pub(super) staged: mls::StagedCommit,
}

impl StagedCommit {
    /// What the commit would do, to be judged before it is merged.
    #[must_use]
    pub const fn facts(&self) -> &CommitFacts {
        &self.facts
    }

    /// Whether merging it ends our own membership.
    #[must_use]
    pub fn removes_us(&self) -> bool {
        self.staged.self_removed()
    }

    /// The epoch authenticator that the group has after the commit; `None` when it removes us.
    #[must_use]
    pub fn epoch_authenticator(&self) -> Option<Vec<u8>> {
        self.staged
            .epoch_authenticator()
            .map(|authenticator| authenticator.as_slice().to_vec())
    }

    /// The commit as bytes, for `Group::staged` or `Group::merge_own`. Secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        stored(&self.facts, self.committer, &self.staged)
    }
}

impl fmt::Debug for StagedCommit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("StagedCommit")
            .field(&self.facts)
            .finish()
    }
}

/// A commit that changes the AppData dictionary, before the changes have been worked out:
/// proposals hold differences whose meaning MLS does not know.
pub struct UnresolvedCommit {
    pub(super) unresolved: Box<mls::UnresolvedAppDataCommit>,
    pub(super) committer: Option<u32>,
}

impl UnresolvedCommit {
    /// The leaf of the member who made it; `None` when no member did.
    #[must_use]
    pub const fn committer(&self) -> Option<u32> {
        self.committer
    }

    /// Component and update of each change; without an update the component is taken away.
    pub fn changes(&self) -> impl Iterator<Item = (u16, Option<&[u8]>)> {
        self.unresolved
            .app_data_update_proposals()
            .map(|proposal| (proposal.component_id(), update(proposal)))
    }
}

impl fmt::Debug for UnresolvedCommit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_list()
            .entries(self.changes().map(|(component, _)| component))
            .finish()
    }
}

/// A commit as it is stored.
#[derive(Deserialize, Serialize)]
pub(super) struct Stored<S> {
    /// Counts changes of the format.
    pub(super) format: u8,
    pub(super) group_id: Vec<u8>,
    pub(super) epoch: u64,
    pub(super) committer: Option<u32>,
    pub(super) staged: S,
}

impl Stored<mls::StagedCommit> {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, StagedError> {
        // The format comes first, so that a newer one is not read as if it were this one.
        if bytes.first() != Some(&FORMAT) {
            return Err(StagedError::Unreadable);
        }
        decode(bytes).map_err(|_| StagedError::Unreadable)
    }
}

pub(super) fn stored(
    facts: &CommitFacts,
    committer: Option<u32>,
    staged: &mls::StagedCommit,
) -> Zeroizing<Vec<u8>> {
    encode(&Stored {
        format: FORMAT,
        group_id: facts.group_id.as_bytes().to_vec(),
        epoch: facts.epoch,
        committer,
        staged,
    })
    .expect("commits of openmls encode")
}

/// Reads off a commit what the rules look at.
pub(super) fn facts(
    group: &mls::MlsGroup,
    group_id: &folkmoot_wire::GroupId,
    committer: Option<u32>,
    staged: &mls::StagedCommit,
) -> Result<CommitFacts, InvalidLeaf> {
    let members = members(group.members())?;
    let proposals = staged
        .queued_proposals()
        .map(|queued| proposal_fact(queued, &members))
        .collect::<Result<_, _>>()?;
    let path_leaf = staged
        .update_path_leaf_node()
        .map(|node| leaf_of(committer.unwrap_or(u32::MAX), node))
        .transpose()?;
    Ok(CommitFacts {
        group_id: group_id.clone(),
        epoch: group.epoch().as_u64(),
        committer: committer.and_then(|index| member(&members, index)),
        path_leaf,
        proposals,
        old: profile::context_out(group.extensions()),
        new: profile::context_out(staged.group_context().extensions()),
        members,
    })
}

pub(super) fn proposal_fact(
    queued: &mls::QueuedProposal,
    members: &[Leaf],
) -> Result<ProposalFact, InvalidLeaf> {
    let proposer = match queued.sender() {
        mls::Sender::Member(index) => member(members, index.u32()),
        _ => None,
    };
    let kind = match queued.proposal() {
        mls::Proposal::Add(add) => {
            let node = add.key_package().leaf_node();
            let key = node.signature_key().as_slice();
            ProposalKind::Add(seat(u32::MAX, node.credential(), key)?)
        }
        mls::Proposal::Update(update) => {
            let index = proposer.map_or(u32::MAX, |leaf| leaf.index);
            ProposalKind::Update(leaf_of(index, update.leaf_node())?)
        }
        mls::Proposal::Remove(remove) => match member(members, remove.removed().u32()) {
            Some(leaf) => ProposalKind::Remove(leaf),
            // openmls refuses to stage it, so this is not reached.
            None => ProposalKind::Other(3),
        },
        mls::Proposal::PreSharedKey(_) => ProposalKind::PreSharedKey,
        mls::Proposal::GroupContextExtensions(_) => ProposalKind::GroupContextExtensions,
        mls::Proposal::AppDataUpdate(proposal) => ProposalKind::AppDataUpdate {
            component: proposal.component_id(),
            update: update(proposal).map(Bytes::copy_from_slice),
        },
        other => ProposalKind::Other(other.proposal_type().into()),
    };
    Ok(ProposalFact { proposer, kind })
}

/// Who sits in the leaf; members are in the order of their leaves.
fn member(members: &[Leaf], index: u32) -> Option<Leaf> {
    let at = members.binary_search_by_key(&index, |leaf| leaf.index);
    at.ok().map(|at| members[at])
}

/// What a proposal for the AppData dictionary holds.
fn update(proposal: &mls::AppDataUpdateProposal) -> Option<&[u8]> {
    match proposal.operation() {
        mls::AppDataUpdateOperation::Update(update) => Some(update.as_slice()),
        mls::AppDataUpdateOperation::Remove => None,
    }
}

pub(crate) fn members(
    members: impl Iterator<Item = mls::Member>,
) -> Result<Vec<Leaf>, InvalidLeaf> {
    members
        .map(|member| {
            seat(
                member.index.u32(),
                &member.credential,
                &member.signature_key,
            )
        })
        .collect()
}

pub(crate) fn leaf_of(index: u32, node: &mls::LeafNode) -> Result<Leaf, InvalidLeaf> {
    leaf(index, node.credential(), node.signature_key().as_slice())
}

const FORMAT: u8 = 1;

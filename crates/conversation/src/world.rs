//! A small model of people, their identity logs and a group, for the tests of the rules.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::{GroupId, InboxId, InstallationKey};

use crate::{
    context::{GroupMembership, MutableMetadata, NewConversation},
    facts::{CommitFacts, ContextExtensions, Leaf, ProposalFact, ProposalKind, WelcomeFacts},
    judge::{CommitSummary, Refusal, Verdict, judge, needed_states},
    membership::{
        InboxStates, MembershipChange, MembershipCommit, MembershipPlan, NeededState, PlanError,
        plan,
    },
    permissions::PolicySet,
    version::Version,
};

pub(crate) const SECRET: [u8; 32] = [9; 32];

/// People with their identity logs. Sequence ids are even, so that there is room for others.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    logs: BTreeMap<InboxId, Vec<(u64, BTreeSet<InstallationKey>)>>,
    updates: u64,
    keys: u8,
}

impl World {
    /// People with one installation each.
    pub(crate) fn of<const N: usize>() -> (Self, [InboxId; N]) {
        let mut world = Self::default();
        let people = std::array::from_fn(|index| inbox(u8::try_from(index).unwrap() + 1));
        for person in people {
            world.install(person);
        }
        (world, people)
    }

    /// Somebody opens an app on another device.
    pub(crate) fn install(&mut self, person: InboxId) -> InstallationKey {
        self.keys += 1;
        let key = InstallationKey::from_bytes([self.keys; 32]);
        self.update(person, |keys| {
            keys.insert(key);
        });
        key
    }

    pub(crate) fn revoke(&mut self, person: InboxId, key: InstallationKey) {
        self.update(person, |keys| {
            keys.remove(&key);
        });
    }

    pub(crate) fn update(
        &mut self,
        person: InboxId,
        change: impl FnOnce(&mut BTreeSet<InstallationKey>),
    ) {
        self.updates += 2;
        let log = self.logs.entry(person).or_default();
        let mut keys = log.last().map(|(_, keys)| keys.clone()).unwrap_or_default();
        change(&mut keys);
        log.push((self.updates, keys));
    }

    pub(crate) fn people(&self) -> impl Iterator<Item = InboxId> {
        self.logs.keys().copied()
    }

    pub(crate) fn installations(&self, person: InboxId) -> BTreeSet<InstallationKey> {
        self.logs[&person].last().unwrap().1.clone()
    }

    pub(crate) fn latest(&self, person: InboxId) -> u64 {
        self.logs[&person].last().unwrap().0
    }

    pub(crate) fn states(&self, needed: impl IntoIterator<Item = NeededState>) -> InboxStates {
        let mut states = InboxStates::new();
        for needed in needed {
            let log = self.logs.get(&needed.inbox_id);
            let found = log.and_then(|log| {
                log.iter()
                    .rev()
                    .find(|(sequence_id, _)| *sequence_id <= needed.sequence_id)
            });
            match found {
                Some((last, keys)) => {
                    states.insert_installations(needed, *last, keys.iter().copied());
                }
                None => states.insert_nothing(needed),
            }
        }
        states
    }

    pub(crate) fn judge(&self, commit: &CommitFacts) -> Verdict {
        judge(commit, &self.states(needed_states(commit)), &Version::OWN)
    }

    pub(crate) fn accept(&self, commit: &CommitFacts) -> CommitSummary {
        match self.judge(commit) {
            Verdict::Accept(summary) => *summary,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub(crate) fn refuse(&self, commit: &CommitFacts) -> Refusal {
        match self.judge(commit) {
            Verdict::Refuse(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A change of the membership that takes all news into account.
    pub(crate) fn change(&self, add: &[InboxId], remove: &[InboxId]) -> MembershipChange {
        MembershipChange {
            add: add.iter().copied().collect(),
            remove: remove.iter().copied().collect(),
            latest: self
                .people()
                .map(|person| (person, self.latest(person)))
                .collect(),
        }
    }
}

/// A group as one of its members sees it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) context: ContextExtensions,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) epoch: u64,
}

impl Group {
    /// A group of all that are listed; the first is its creator and only super admin.
    pub(crate) fn of(world: &World, people: &[InboxId], policies: PolicySet) -> Self {
        Self::made(
            world,
            &NewConversation::group(people[0], policies, SECRET),
            people,
        )
    }

    /// A conversation after its first commit, with which its maker added all that are listed.
    pub(crate) fn made(world: &World, new: &NewConversation, people: &[InboxId]) -> Self {
        let mut group = Self::fresh(world, new, people[0]);
        let creator = group.leaves[0];
        let commit = group
            .membership_commit(world, creator, &world.change(people, &[]))
            .unwrap()
            .unwrap();
        world.accept(&commit);
        group.merge(&commit);
        group
    }

    /// A conversation in its first epoch.
    pub(crate) fn fresh(world: &World, new: &NewConversation, creator: InboxId) -> Self {
        let installation = *world.installations(creator).first().unwrap();
        Self {
            context: new.extensions(),
            leaves: vec![Leaf {
                index: 0,
                inbox_id: creator,
                installation,
            }],
            epoch: 0,
        }
    }

    pub(crate) fn membership(&self) -> GroupMembership {
        self.context.membership().unwrap()
    }

    pub(crate) fn metadata(&self) -> MutableMetadata {
        self.context.mutable_metadata().unwrap()
    }

    /// A leaf of somebody.
    pub(crate) fn leaf(&self, person: InboxId) -> Leaf {
        *self
            .leaves
            .iter()
            .find(|leaf| leaf.inbox_id == person)
            .unwrap()
    }

    pub(crate) fn plan(
        &self,
        world: &World,
        actor: Leaf,
        change: &MembershipChange,
    ) -> Result<Option<MembershipPlan>, PlanError> {
        let old = self.membership();
        let states = world.states(change.needed_states(&old)?);
        plan(change, &old, &self.leaves, actor.installation, &states)
    }

    /// The commit of a change, when everybody has a key package.
    pub(crate) fn membership_commit(
        &self,
        world: &World,
        actor: Leaf,
        change: &MembershipChange,
    ) -> Result<Option<CommitFacts>, PlanError> {
        let Some(plan) = self.plan(world, actor, change)? else {
            return Ok(None);
        };
        let usable = plan.fetch.clone();
        let commit = plan.finish(&usable)?;
        Ok(Some(self.commit_of(world, actor, &commit)))
    }

    /// The facts of a commit that changes the membership.
    pub(crate) fn commit_of(
        &self,
        world: &World,
        actor: Leaf,
        commit: &MembershipCommit,
    ) -> CommitFacts {
        let adds = commit.add.iter().map(|key| {
            let inbox_id = world
                .people()
                .find(|person| world.installations(*person).contains(key))
                .unwrap();
            ProposalKind::Add(Leaf {
                index: u32::MAX,
                inbox_id,
                installation: *key,
            })
        });
        let removes = commit.remove.iter().map(|index| {
            let leaf = self.leaves.iter().find(|leaf| leaf.index == *index);
            ProposalKind::Remove(*leaf.unwrap())
        });
        let kinds = removes.chain(adds).collect();
        self.commit(
            actor,
            kinds,
            self.context.with_membership(&commit.membership),
        )
    }

    /// The facts of any commit. A changed context comes with its proposal.
    pub(crate) fn commit(
        &self,
        actor: Leaf,
        mut kinds: Vec<ProposalKind>,
        new: ContextExtensions,
    ) -> CommitFacts {
        if new != self.context {
            kinds.push(ProposalKind::GroupContextExtensions);
        }
        CommitFacts {
            group_id: GroupId::try_from(&[7; 16][..]).unwrap(),
            epoch: self.epoch,
            committer: Some(actor),
            path_leaf: Some(actor),
            proposals: kinds
                .into_iter()
                .map(|kind| ProposalFact {
                    proposer: Some(actor),
                    kind,
                })
                .collect(),
            old: self.context.clone(),
            new,
            members: self.leaves.clone(),
        }
    }

    pub(crate) fn merge(&mut self, commit: &CommitFacts) {
        self.context = commit.new.clone();
        self.epoch += 1;
        for proposal in &commit.proposals {
            match proposal.kind {
                ProposalKind::Remove(removed) => {
                    self.leaves.retain(|leaf| leaf.index != removed.index);
                }
                ProposalKind::Add(mut leaf) => {
                    let taken: BTreeSet<_> = self.leaves.iter().map(|leaf| leaf.index).collect();
                    leaf.index = (0..).find(|index| !taken.contains(index)).unwrap();
                    self.leaves.push(leaf);
                }
                _ => {}
            }
        }
        self.leaves.sort_by_key(|leaf| leaf.index);
    }

    /// A welcome to the group as it is.
    pub(crate) fn welcome(&self, sender: Leaf) -> WelcomeFacts {
        WelcomeFacts {
            group_id: GroupId::try_from(&[7; 16][..]).unwrap(),
            epoch: self.epoch,
            sender,
            context: self.context.clone(),
            members: self.leaves.clone(),
            wants_psk: false,
        }
    }
}

pub(crate) fn inbox(number: u8) -> InboxId {
    InboxId::from_bytes([number; 32])
}

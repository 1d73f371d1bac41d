//! Changes to the AppData dictionary, whose meaning is the caller's.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::same_epoch;
use crate::{
    AppDataChange, CommitError, CommitPlan, ContextExtensions, Generation, Group, Incoming,
    ProcessError, ProposalKind,
    app_data::{bootstrap, outcome},
    context::NewConversation,
    engine::testing::{Member, Person},
    permissions::PolicySet,
    world::inbox,
};

const COMPONENT: u16 = 0x8004;

fn migrated() -> (Member, Member) {
    let announcing = |number| {
        let mut person = Person::new(number);
        person.me = person.me.announcing(Generation::AppData);
        person
    };
    // Required: the dictionary, and both proposals.
    let required = "060006000a00010400070008020001";
    let context = ContextExtensions(
        [(0x0003, hex::decode(required).unwrap()), (0x0006, vec![0])]
            .map(|(number, data)| (number, data.into()))
            .into(),
    );
    let mut alice = announcing(1).founds_with(&context);
    let [bob] = alice.adds([announcing(2)]);
    (alice, bob)
}

fn rename(update: Option<&'static [u8]>) -> CommitPlan {
    CommitPlan {
        app_data: vec![AppDataChange {
            component: COMPONENT,
            update: update.map(Bytes::from_static),
            value: update.map(|update| [b"value of ", update].concat().into()),
        }],
        ..CommitPlan::default()
    }
}

#[test]
fn a_change_is_worked_out_before_it_is_staged() {
    let (mut alice, mut bob) = migrated();
    for update in [Some(b"one".as_slice()), Some(b"two"), None] {
        let commit = alice.commits(rename(update));
        let change = ProposalKind::AppDataUpdate {
            component: COMPONENT,
            update: update.map(Bytes::from_static),
        };
        assert_eq!(commit.facts.proposals[0].kind, change);

        let Incoming::AppDataCommit(unresolved) = bob.group.process(&commit.message).unwrap()
        else {
            panic!("the dictionary changes");
        };
        let changes: Vec<_> = unresolved.changes().collect();
        assert_eq!(changes, [(COMPONENT, update)]);
        let value = update.map(|update| [b"value of ", update].concat().into());
        let staged = bob
            .group
            .resolve(unresolved, [(COMPONENT, value)].into())
            .unwrap();
        assert_eq!(staged.facts(), &commit.facts);
        alice.group.merge_own(&commit.staged).unwrap();
        bob.group.merge(staged).unwrap();
        same_epoch(&[&alice, &bob]);
    }
}

/// What the pause in `Version` rests on: as long as one leaf does not announce the dictionary, nobody
/// can lead the group there.
#[test]
fn a_group_with_a_member_of_the_older_generation_gets_no_dictionary() {
    let mut founder = Person::new(1);
    founder.me = founder.me.announcing(Generation::AppData);
    let context = NewConversation::group(inbox(1), PolicySet::all_members(), [9; 32]).extensions();
    let mut alice = founder.founds_with(&context);
    let [_bob] = alice.adds([Person::new(2)]);
    let (context, changes) = bootstrap(&alice.group.context(), &BTreeMap::new()).unwrap();
    let conversion = CommitPlan {
        context: Some(context),
        app_data: changes,
        ..CommitPlan::default()
    };
    for plan in [rename(Some(b"one")), conversion] {
        let commit = alice.group.commit(&alice.person.me, plan, &mut rand::rng());
        assert!(matches!(
            commit,
            Err(CommitError::Refused(_) | CommitError::Context(_))
        ));
    }
}

/// Official clients propose first and commit then. In between everybody speaks on.
#[test]
fn a_proposal_waits_for_its_commit_and_silences_nobody() {
    let (mut alice, mut bob) = migrated();
    let mut carol = Person::new(3);
    carol.me = carol.me.announcing(Generation::AppData);
    let mut carol = {
        let (_, [carol]) = alice.adds_before([carol], &mut [&mut bob]);
        carol
    };
    let leaf = carol.leaf();
    let proposal = proposes(&mut bob, leaf);
    for member in [&mut alice, &mut carol] {
        let Incoming::Proposal(proposal) = member.group.process(&proposal).unwrap() else {
            panic!("it stands alone");
        };
        member.group.keep(proposal).unwrap();
        member.group.take_changes();
    }
    assert_eq!(
        carol.hears(&alice.says("still here?")).unwrap(),
        "still here?"
    );
    // A commit that does not take it in, and which another comes before.
    let lost = alice.commits(rename(Some(b"one")));
    assert_eq!(lost.facts.proposals.len(), 1);
    let rows = alice.group.all_rows();
    alice.group = Group::load(&alice.group.id().clone(), rows).unwrap();

    let commit = commits_proposed(&mut bob);
    let staged = alice.stages(&commit);
    let fact = &staged.facts().proposals[0];
    assert!(matches!(fact.kind, ProposalKind::Remove(removed) if removed.index == leaf));
    assert_eq!(fact.proposer, staged.facts().committer);
    alice.group.merge(staged).unwrap();
    same_epoch(&[&alice, &bob]);
    assert!(carol.stages(&commit).removes_us());

    // Who missed the proposal cannot take the commit.
    let mut dave = Person::new(4);
    dave.me = dave.me.announcing(Generation::AppData);
    let (_, [mut dave]) = alice.adds_before([dave], &mut [&mut bob]);
    proposes(&mut bob, alice.leaf());
    let commit = commits_proposed(&mut bob);
    let missing = dave.group.process(&commit).unwrap_err();
    assert_eq!(missing, ProcessError::MissingProposal);
}

fn proposes(member: &mut Member, leaf: u32) -> Vec<u8> {
    let Person { me, entropy } = &mut member.person;
    member.group.propose_removal(me, leaf, entropy)
}

fn commits_proposed(member: &mut Member) -> Vec<u8> {
    let Person { me, entropy } = &mut member.person;
    member.group.commit_proposed(me, entropy)
}

#[test]
fn a_commit_announces_what_the_program_has_learnt() {
    let context = NewConversation::group(inbox(1), PolicySet::all_members(), [9; 32]).extensions();
    let mut alice = Person::new(1).founds_with(&context);
    let [mut bob] = alice.adds([Person::new(2)]);
    assert_eq!(alice.group.members_without_app_data().len(), 2);
    for member in [&mut alice, &mut bob] {
        member.person.me = member.person.me.clone().announcing(Generation::AppData);
    }
    let commit = alice.commits_and_merges(CommitPlan::default());
    bob.follows(&commit);
    assert_eq!(bob.group.members_without_app_data().len(), 1);
    let commit = bob.commits_and_merges(CommitPlan::default());
    alice.follows(&commit);
    assert!(alice.group.members_without_app_data().is_empty());
    // Now the group can be converted.
    let (context, changes) = bootstrap(&alice.group.context(), &BTreeMap::new()).unwrap();
    let commit = alice.commits_and_merges(CommitPlan {
        context: Some(context),
        app_data: changes,
        ..CommitPlan::default()
    });
    let Incoming::AppDataCommit(unresolved) = bob.group.process(&commit).unwrap() else {
        panic!("the dictionary begins");
    };
    let values = outcome(&bob.group.context(), unresolved.changes()).unwrap();
    let staged = bob.group.resolve(unresolved, values).unwrap();
    bob.group.merge(staged).unwrap();
    same_epoch(&[&alice, &bob]);
    assert!(bob.group.context().is_migrated());
}

#[test]
fn another_outcome_than_the_committers_is_refused() {
    let (mut alice, mut bob) = migrated();
    let commit = alice.commits(rename(Some(b"one")));
    let Incoming::AppDataCommit(unresolved) = bob.group.process(&commit.message).unwrap() else {
        panic!("the dictionary changes");
    };
    let other = Some(Bytes::from_static(b"something else"));
    assert!(
        bob.group
            .resolve(unresolved, [(COMPONENT, other)].into())
            .is_err()
    );
}

//! Changes to the AppData dictionary, whose meaning is the caller's.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::same_epoch;
use crate::{
    AppDataChange, CommitError, CommitPlan, ContextExtensions, Generation, Incoming, ProposalKind,
    app_data::bootstrap,
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

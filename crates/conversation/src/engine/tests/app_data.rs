//! Changes to the AppData dictionary, whose meaning is the caller's.

use bytes::Bytes;

use super::same_epoch;
use crate::{
    AppDataChange, CommitPlan, ContextExtensions, Generation, Incoming, ProposalKind,
    engine::testing::{Member, Person},
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

//! What is stored: written, read again, undone.

use std::{collections::BTreeMap, time::SystemTime};

use proptest::prelude::*;
use serde::Deserialize;

use super::{same_epoch, three, two};
use crate::{
    CommitPlan, Group, Incoming, LoadError, NewKeyPackage, ProcessError, StagedError,
    engine::testing::{Member, Person, context_named},
};

/// A table of rows, as a database keeps it.
#[derive(Clone, Default)]
struct Table(BTreeMap<Vec<u8>, Vec<u8>>);

impl Table {
    /// Writes the changes and returns their bytes.
    fn write(&mut self, group: &mut Group) -> usize {
        let mut bytes = 0;
        for change in group.take_changes() {
            bytes += change.key.len() + change.value.as_ref().map_or(0, |value| value.len());
            match change.value {
                Some(value) => drop(self.0.insert(change.key, value.to_vec())),
                None => assert!(self.0.remove(&change.key).is_some(), "{:?}", change.key),
            }
        }
        bytes
    }

    fn load(&self, group: &Group) -> Group {
        Group::load(group.id(), self.0.clone()).unwrap()
    }

    fn bytes(&self) -> usize {
        self.0
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum()
    }
}

/// The member as it is after its program ended and began again.
fn restarts(member: &mut Member, table: &mut Table) {
    table.write(&mut member.group);
    let loaded = table.load(&member.group);
    assert_eq!(loaded.snapshot(), member.group.snapshot());
    member.group = loaded;
}

#[test]
fn a_group_survives_a_restart_at_each_step() {
    let (mut alice, mut bob, mut carol) = three();
    let (mut table, mut bobs) = (Table::default(), Table::default());
    restarts(&mut alice, &mut table);
    restarts(&mut bob, &mut bobs);

    let one = alice.says("one");
    restarts(&mut alice, &mut table);
    let commit = alice.commits(CommitPlan {
        context: Some(context_named("after a restart")),
        ..CommitPlan::default()
    });
    restarts(&mut alice, &mut table);
    let two = alice.says("two");
    restarts(&mut alice, &mut table);
    alice.group.merge_own(&commit.staged).unwrap();
    restarts(&mut alice, &mut table);
    let three = alice.says("three");

    assert_eq!(bob.hears(&one).unwrap(), "one");
    restarts(&mut bob, &mut bobs);
    assert_eq!(bob.hears(&one), Err(ProcessError::SecretGone));
    let staged = bob.stages(&commit.message).to_bytes();
    restarts(&mut bob, &mut bobs);
    bob.group.merge_own(&staged).unwrap();
    restarts(&mut bob, &mut bobs);
    assert_eq!(bob.hears(&three).unwrap(), "three");
    restarts(&mut bob, &mut bobs);
    assert_eq!(bob.hears(&two).unwrap(), "two");

    carol.follows(&commit.message);
    same_epoch(&[&alice, &bob, &carol]);

    let removal = alice.commits_and_merges(CommitPlan {
        removes: vec![bob.leaf()],
        ..CommitPlan::default()
    });
    bob.follows(&removal);
    restarts(&mut bob, &mut bobs);
    assert!(!bob.group.is_active());
}

#[test]
fn a_staged_commit_fits_its_group_and_epoch_alone() {
    let (mut alice, mut bob) = two();
    let commit = alice.commits(CommitPlan::default());
    let mut other = Person::new(9).founds_with(&context_named("another, of the same id"));
    let [mut stranger] = other.adds([Person::new(8)]);
    let id = folkmoot_wire::GroupId::try_from(vec![7; 16]).unwrap();
    let mut elsewhere = Group::create(
        &other.person.me,
        &id,
        &context_named("elsewhere"),
        SystemTime::now(),
        &mut other.person.entropy,
    )
    .unwrap();
    assert_eq!(
        elsewhere.merge_own(&commit.staged),
        Err(StagedError::OtherGroup)
    );
    assert_eq!(
        stranger.group.merge_own(b"\x07nonsense"),
        Err(StagedError::Unreadable)
    );

    let staged = alice.group.staged(&commit.staged).unwrap();
    assert_eq!(staged.facts(), &commit.facts);
    assert_eq!(staged.to_bytes(), commit.staged);
    alice.group.merge(staged).unwrap();
    assert_eq!(
        alice.group.merge_own(&commit.staged),
        Err(StagedError::Epoch {
            epoch: 1,
            current: 2
        })
    );
    bob.follows(&commit.message);
    same_epoch(&[&alice, &bob]);
}

#[test]
fn making_a_commit_leaves_the_epoch_alone() {
    let (mut alice, mut bob) = two();
    let before = alice.group.epoch_authenticator();
    let first = alice.commits(CommitPlan::default());
    let second = alice.commits(CommitPlan::default());
    assert_eq!(alice.group.epoch(), 1);
    assert_eq!(alice.group.epoch_authenticator(), before);
    assert!(!alice.group.has_pending_commit());
    assert_ne!(first.message, second.message);

    // The second may come first, and texts go on in between.
    let text = alice.says("in between");
    assert_eq!(bob.hears(&text).unwrap(), "in between");
    bob.follows(&second.message);
    alice.group.merge_own(&second.staged).unwrap();
    same_epoch(&[&alice, &bob]);
}

#[test]
fn a_rollback_leads_back_to_what_was_stored() {
    let (mut alice, mut bob) = two();
    let mut table = Table::default();
    table.write(&mut bob.group);
    let stored = bob.group.snapshot();

    let text = alice.says("hello");
    let commit = alice.commits_and_merges(CommitPlan::default());
    assert_eq!(bob.hears(&text).unwrap(), "hello");
    bob.follows(&commit);
    assert_eq!(bob.group.epoch(), 2);
    bob.group.rollback();
    assert_eq!(bob.group.snapshot(), stored);
    assert_eq!(table.write(&mut bob.group), 0);

    assert_eq!(bob.group.epoch(), 1);
    assert_eq!(bob.hears(&text).unwrap(), "hello");
    bob.follows(&commit);
    same_epoch(&[&alice, &bob]);
}

#[test]
fn what_was_held_stays_although_what_came_after_it_is_undone() {
    let (mut alice, mut bob) = two();
    let mut table = Table::default();
    table.write(&mut bob.group);
    let (first, second) = (alice.says("one"), alice.says("two"));
    assert_eq!(bob.hears(&first).unwrap(), "one");
    bob.group.hold();
    assert_eq!(bob.hears(&second).unwrap(), "two");
    bob.group.rollback();
    assert!(bob.hears(&first).is_err());
    assert_eq!(bob.hears(&second).unwrap(), "two");
    assert_ne!(table.write(&mut bob.group), 0);
}

#[test]
fn a_rollback_keeps_a_group_that_was_never_stored() {
    let mut alice = Person::new(1).founds();
    alice.commits_and_merges(CommitPlan::default());
    alice.group.rollback();
    assert_eq!(alice.group.epoch(), 0);
    assert!(!alice.group.take_changes().is_empty());
}

#[test]
fn a_message_writes_little_however_large_the_group() {
    let mut alice = Person::new(1).founds();
    let people: [Person; 40] = std::array::from_fn(|n| Person::new(n as u8 + 2));
    let mut members = alice.adds(people);
    let mut table = Table::default();
    table.write(&mut members[0].group);
    for _ in 0..4 {
        let commit = alice.commits_and_merges(CommitPlan::default());
        members[0].follows(&commit);
        members[1].follows(&commit);
    }
    table.write(&mut members[0].group);
    let whole = table.bytes();
    assert!(whole > 30_000, "{whole}");

    for round in 0..50 {
        let message = if round % 2 == 0 {
            alice.says("hello")
        } else {
            members[1].says("hello")
        };
        members[0].hears(&message).unwrap();
        let written = table.write(&mut members[0].group);
        assert!(written < 3_000, "round {round}: {written} of {whole} bytes");
        let loaded = table.load(&members[0].group);
        assert_eq!(loaded.snapshot(), members[0].group.snapshot());
    }
    let sent = {
        members[0].says("answer");
        table.write(&mut members[0].group)
    };
    assert!(sent < 3_000, "{sent}");
}

#[test]
fn rows_that_are_no_group_are_refused() {
    let (alice, mut bob) = two();
    let mut table = Table::default();
    table.write(&mut bob.group);
    let id = alice.group.id();
    assert_eq!(Group::load(id, []).err(), Some(LoadError::Incomplete));
    let other = folkmoot_wire::GroupId::try_from(vec![7; 16]).unwrap();
    assert_eq!(
        Group::load(&other, table.0.clone()).err(),
        Some(LoadError::OtherGroup)
    );
    for key in table.0.keys() {
        let mut rows = table.0.clone();
        rows.get_mut(key).unwrap().push(0);
        let loaded = Group::load(id, rows);
        // Two values are not read on loading: the key pairs and the tree of exported secrets.
        assert!(loaded.is_err() || [10, 15].contains(&key[1]), "{key:?}");
    }
    let mut rows = table.0.clone();
    rows.insert(vec![9, 9], vec![]);
    let unreadable = Group::load(id, rows).unwrap_err();
    assert_eq!(
        unreadable.to_string(),
        "the stored group is unreadable: the key of a stored row, [09, 09], has an unknown form"
    );
}

#[test]
fn a_commit_with_an_expired_key_package_locks_this_engine_out() {
    #[derive(Deserialize)]
    struct Vector {
        group_id: String,
        rows: Vec<(String, String)>,
        commit: String,
        not_after: u64,
    }
    let vector = include_str!("../../../tests/vectors/expired.json");
    let vector: Vector = serde_json::from_str(vector).unwrap();
    let rows = vector
        .rows
        .iter()
        .map(|(key, value)| (hex::decode(key).unwrap(), hex::decode(value).unwrap()));
    let mut group = Group::load(&vector.group_id.parse().unwrap(), rows).unwrap();
    let before = group.snapshot();
    match group.process(&hex::decode(&vector.commit).unwrap()) {
        Err(ProcessError::ExpiredKeyPackage { not_after, now }) => {
            assert_eq!(not_after, vector.not_after);
            assert!(now >= not_after);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(group.snapshot(), before);
    assert_eq!(group.epoch(), 1);
}

#[test]
fn nobody_is_added_with_an_expired_key_package() {
    let mut alice = Person::new(1).founds();
    let bob = Person::new(2);
    let year = std::time::Duration::from_secs(365 * 24 * 60 * 60);
    let then = SystemTime::now() - year;
    let made = NewKeyPackage::make(&bob.me, then, &mut alice.person.entropy);
    let package = crate::KeyPackageIn::decode(&made.bytes)
        .unwrap()
        .verify(then)
        .unwrap();
    let Person { me, entropy } = &mut alice.person;
    let plan = CommitPlan {
        adds: vec![package],
        ..CommitPlan::default()
    };
    assert_eq!(
        alice.group.commit(me, plan, entropy).err(),
        Some(crate::CommitError::KeyPackageLifetime(bob.me.key()))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_that_are_no_message_leave_no_trace(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut alice, mut bob) = two();
        let text = alice.says("genuine");
        let commit = alice.commits(CommitPlan::default()).message;
        let _ = bob.group.take_changes();
        let before = bob.group.snapshot();
        prop_assert!(bob.group.process(&noise).is_err());
        for message in [&text, &commit] {
            let mut framed = message[..24].to_vec();
            framed.extend_from_slice(&noise);
            let mut changed = message.clone();
            for (index, flip) in &flips {
                changed[index.index(message.len())] ^= flip;
            }
            for bytes in [&framed, &changed, &message[..cut.index(message.len())].to_vec()] {
                // A changed sender may happen to be ourselves, which is no error.
                let result = bob.group.process(bytes);
                if bytes != message {
                    let harmless = matches!(result, Err(_) | Ok(Incoming::Own { .. }));
                    prop_assert!(harmless, "{:?}", result);
                    prop_assert_eq!(&bob.group.snapshot(), &before);
                }
                bob.group.rollback();
            }
        }
        prop_assert_eq!(bob.hears(&text).unwrap(), "genuine");
        bob.follows(&commit);
    }
}

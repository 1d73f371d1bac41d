//! Late, early and repeated messages.

use super::{three, two};
use crate::{
    CommitPlan, ContentType, Incoming, ProcessError,
    engine::testing::{Member, Person},
};

/// `n` epochs pass for all.
fn epochs_pass(n: usize, by: &mut Member, others: &mut [&mut Member]) {
    for _ in 0..n {
        let message = by.commits_and_merges(CommitPlan::default());
        for other in others.iter_mut() {
            other.follows(&message);
        }
    }
}

#[test]
fn late_messages_of_three_epochs_are_read_and_of_a_fourth_are_not() {
    let (mut alice, mut bob) = two();
    let mut late = Vec::new();
    for epoch in 1..=4 {
        late.push(bob.says(&format!("in epoch {epoch}")));
        epochs_pass(1, &mut alice, &mut [&mut bob]);
    }
    assert_eq!(alice.group.epoch(), 5);
    assert_eq!(
        alice.hears(&late[0]),
        Err(ProcessError::PastEpoch {
            epoch: 1,
            current: 5,
            content: ContentType::Application,
        })
    );
    for epoch in 2..=4 {
        let heard = alice.hears(&late[epoch - 1]).unwrap();
        assert_eq!(heard, format!("in epoch {epoch}"));
    }
}

#[test]
fn messages_from_before_joining_are_of_a_past_epoch() {
    let (mut alice, mut bob) = two();
    let before = alice.says("before carol");
    let (_, [mut carol]) = alice.adds_before([Person::new(3)], &mut [&mut bob]);
    assert!(matches!(
        carol.hears(&before),
        Err(ProcessError::PastEpoch {
            epoch: 1,
            current: 2,
            ..
        })
    ));
    assert_eq!(bob.hears(&before).unwrap(), "before carol");
}

#[test]
fn a_late_message_names_who_sat_in_the_leaf_then() {
    let (mut alice, mut bob, mut carol) = three();
    let late = carol.says("bye");
    let carols_leaf = carol.group.own_leaf().unwrap();
    let removal = alice.commits_and_merges(CommitPlan {
        removes: vec![carols_leaf.index],
        ..CommitPlan::default()
    });
    bob.follows(&removal);
    let (_, [dave]) = alice.adds_before([Person::new(4)], &mut [&mut bob]);
    assert_eq!(dave.leaf(), carols_leaf.index);

    for member in [&mut alice, &mut bob] {
        match member.group.process(&late).unwrap() {
            Incoming::Application { sender, epoch, .. } => {
                assert_eq!(sender, carols_leaf);
                assert_eq!(epoch, 1);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_message_is_read_once() {
    let (mut alice, mut bob) = two();
    let message = alice.says("once");
    assert_eq!(bob.hears(&message).unwrap(), "once");
    assert_eq!(bob.hears(&message), Err(ProcessError::SecretGone));
}

#[test]
fn a_message_may_come_after_four_newer_ones() {
    let (mut alice, mut bob) = two();
    let messages: Vec<_> = (0..7).map(|n| alice.says(&n.to_string())).collect();
    assert_eq!(bob.hears(&messages[6]).unwrap(), "6");
    for n in [5, 2, 4, 3] {
        assert_eq!(bob.hears(&messages[n]).unwrap(), n.to_string());
    }
    for n in [0, 1] {
        assert_eq!(bob.hears(&messages[n]), Err(ProcessError::SecretGone));
    }
}

#[test]
fn a_sender_may_be_a_thousand_messages_ahead() {
    let (mut alice, mut bob) = two();
    let mut last = Vec::new();
    for n in 0..=1001 {
        last = alice.says(&n.to_string());
        if n == 1000 {
            let rows = bob.group.all_rows();
            let mut in_reach = crate::Group::load(bob.group.id(), rows).unwrap();
            assert!(in_reach.process(&last).is_ok());
        }
    }
    assert_eq!(bob.hears(&last), Err(ProcessError::TooFarAhead));
}

#[test]
fn a_changed_message_does_not_use_up_the_key_of_the_genuine_one() {
    let (mut alice, mut bob) = two();
    let message = alice.says("genuine");
    let mut changed = message.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(bob.hears(&changed), Err(ProcessError::Undecryptable));
    assert_eq!(bob.hears(&message).unwrap(), "genuine");
}

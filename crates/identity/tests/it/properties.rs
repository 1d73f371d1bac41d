//! What holds for any bytes and any history.

use std::{collections::BTreeSet, sync::LazyLock};

use folkmoot_identity::{
    AssociationState, ContractVerdicts, IdentityUpdate, Rules, Signer, UpdateBuilder,
    VerifiedUpdate, derive_inbox_id, replay,
};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    cast::{app, wallet, yes},
    vectors,
};

/// One thing that somebody tries. The numbers pick from the cast of [`update`].
#[derive(Clone, Debug)]
enum Try {
    Create(u8),
    Add { member: u8, by: u8 },
    Revoke { member: u8, by: u8 },
    HandRecoveryTo { wallet: u8, by: u8 },
}

fn a_try() -> impl Strategy<Value = Try> {
    prop_oneof![
        1 => (0..3u8).prop_map(Try::Create),
        6 => (0..6u8, 0..6u8).prop_map(|(member, by)| Try::Add { member, by }),
        3 => (0..6u8, 0..3u8).prop_map(|(member, by)| Try::Revoke { member, by }),
        1 => (0..3u8, 0..3u8).prop_map(|(wallet, by)| Try::HandRecoveryTo { wallet, by }),
    ]
}

/// The update that tries these things in the inbox of wallet 0, in its second number `second`.
/// Cast: wallets 0 to 2, apps 3 to 5.
fn update(tries: &[Try], second: u64) -> IdentityUpdate {
    let account = |index: u8| wallet(index + 1).identifier();
    let member = |index: u8| match index {
        0..3 => account(index).into(),
        _ => app(index + 1).member(),
    };
    let inbox = derive_inbox_id(&account(0), 0).unwrap();
    let mut update = UpdateBuilder::new(inbox, second * 1_000_000_000);
    for a_try in tries {
        update = match *a_try {
            Try::Create(by) => update.create_inbox(account(by), 0),
            Try::Add { member: new, by } => update.add(member(new), member(by)),
            Try::Revoke { member: old, by } => update.revoke(member(old), account(by)),
            Try::HandRecoveryTo { wallet, by } => update
                .change_recovery(account(wallet), account(by))
                .unwrap(),
        };
    }
    for index in 0..3 {
        update = update.sign(&wallet(index + 1)).sign(&app(index + 4));
    }
    update.finish().unwrap()
}

/// The log that comes of trying one thing after the other, the first being to open the inbox.
fn log(tries: &[Vec<Try>]) -> (Vec<VerifiedUpdate>, Vec<AssociationState>) {
    let (mut updates, mut states) = (Vec::new(), Vec::new());
    let opening = [vec![Try::Create(0)]];
    for (second, tries) in (1..).zip(opening.iter().chain(tries)) {
        let verified = update(tries, second)
            .verify(&ContractVerdicts::new())
            .unwrap();
        if let Ok(state) = AssociationState::apply(states.last(), &verified, Rules::Libxmtp) {
            updates.push(verified);
            states.push(state);
        }
    }
    (updates, states)
}

fn recorded_updates() -> &'static [Vec<u8>] {
    static UPDATES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let vectors = vectors::vectors();
        let chains = vectors["chains"].as_array().unwrap();
        chains.iter().flat_map(vectors::updates).collect()
    });
    &UPDATES
}

/// All that a stranger's bytes can reach.
fn take_in(bytes: &[u8]) {
    let Ok(update) = IdentityUpdate::decode(bytes) else {
        return;
    };
    assert_eq!(IdentityUpdate::decode(&update.encode()), Ok(update.clone()));
    if let Ok(verified) = update.verify(&yes(&update)) {
        assert_eq!(update.verify(&yes(&update)), Ok(verified.clone()));
        let state = AssociationState::apply(None, &verified, Rules::Libxmtp);
        assert_eq!(
            AssociationState::apply(None, &verified, Rules::Libxmtp),
            state
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_update_or_an_error(bytes in vec(any::<u8>(), 0..512)) {
        take_in(&bytes);
    }

    #[test]
    fn a_damaged_update_is_an_update_or_an_error(
        which in any::<Index>(),
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        length in any::<Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = which.get(recorded_updates()).clone();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if cut {
            bytes.truncate(length.index(bytes.len()));
        }
        take_in(&bytes);
    }

    #[test]
    fn replaying_a_log_twice_changes_nothing(tries in vec(vec(a_try(), 1..3), 0..8)) {
        let (updates, states) = log(&tries);
        let state = replay(&updates, Rules::Libxmtp).unwrap();
        prop_assert_eq!(state.as_ref(), states.last());
        prop_assert_eq!(&replay(&updates, Rules::Libxmtp).unwrap(), &state);
        prop_assert_eq!(replay(&updates, Rules::Node).unwrap(), state);
        for update in &updates {
            for rules in [Rules::Libxmtp, Rules::Node] {
                prop_assert!(AssociationState::apply(states.last(), update, rules).is_err());
            }
        }
    }

    #[test]
    fn a_diff_leads_from_one_state_to_the_next(tries in vec(vec(a_try(), 1..4), 1..6)) {
        let (_, states) = log(&tries);
        let members = |state: &AssociationState| -> BTreeSet<_> {
            state.members().into_iter().map(|member| member.identifier.clone()).collect()
        };
        for pair in states.windows(2) {
            let [old, new] = pair else { unreachable!("windows of two") };
            let diff = AssociationState::diff(Some(old), new);
            let mut expected = members(old);
            for gone in &diff.removed_members {
                prop_assert!(expected.remove(gone));
            }
            for came in diff.new_members {
                prop_assert!(expected.insert(came));
            }
            prop_assert_eq!(expected, members(new));
        }
    }

    #[test]
    fn a_stored_state_reads_as_it_was(tries in vec(vec(a_try(), 1..4), 0..6)) {
        let (_, states) = log(&tries);
        for state in states {
            prop_assert_eq!(AssociationState::from_proto(state.to_proto()), Ok(state));
        }
    }

    #[test]
    fn no_app_was_added_by_an_app(tries in vec(vec(a_try(), 1..4), 0..8)) {
        let (_, states) = log(&tries);
        for state in states {
            for app in state.installations() {
                let member = state.member(&app.into()).unwrap();
                let added_by = member.added_by.as_ref().unwrap();
                prop_assert!(added_by.identifier().is_some());
            }
        }
    }
}

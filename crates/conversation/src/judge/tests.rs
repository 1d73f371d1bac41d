use std::collections::BTreeSet;

use bytes::Bytes;
use folkmoot_wire::{InboxId, InstallationKey};
use proptest::prelude::*;

use super::*;
use crate::{
    context::{AdminChange, ConversationKind, Extension, GroupMetadata, NewConversation},
    facts::{ContextExtensions, ProposalFact},
    membership::plan_readd,
    permissions::{Policy, PolicyKind, Preset, Trusted, Who},
    world::{Group, SECRET, World, inbox},
};

const STRANGER: InstallationKey = InstallationKey::from_bytes([0xee; 32]);

/// Alice, who made the group, Bob and Carol, with the policies of everyone; Dave stands outside.
fn town() -> (World, Group, [InboxId; 4]) {
    let (world, people) = World::of::<4>();
    let group = Group::of(&world, &people[..3], PolicySet::all_members());
    (world, group, people)
}

fn rename(group: &Group, name: &str) -> ContextExtensions {
    changed(group, |metadata| {
        metadata
            .attributes
            .insert("group_name".to_owned(), name.to_owned());
    })
}

fn changed(group: &Group, change: impl FnOnce(&mut MutableMetadata)) -> ContextExtensions {
    let mut metadata = group.metadata();
    change(&mut metadata);
    group.context.with_mutable_metadata(&metadata)
}

fn not_permitted(actor: InboxId, action: Action) -> Refusal {
    Refusal::NotPermitted { actor, action }
}

fn strange_leaf(inbox_id: InboxId) -> Leaf {
    Leaf {
        index: u32::MAX,
        inbox_id,
        installation: STRANGER,
    }
}

#[test]
fn a_key_update_is_accepted_and_changes_nothing() {
    let (world, group, [_, bob, ..]) = town();
    let commit = group.commit(group.leaf(bob), vec![], group.context.clone());
    let summary = world.accept(&commit);
    assert_eq!(summary.kind(), CommitKind::KeyUpdate);
    assert_eq!(summary.actor.inbox_id, bob);
    assert_eq!(summary.actor.role, Role::default());
}

#[test]
fn the_first_commit_brings_the_creators_other_installations() {
    let (mut world, [alice]) = World::of();
    let phone = world.install(alice);
    let new = NewConversation::group(alice, PolicySet::all_members(), SECRET);
    let group = Group::fresh(&world, &new, alice);
    let commit = group
        .membership_commit(&world, group.leaf(alice), &world.change(&[], &[]))
        .unwrap()
        .unwrap();
    let summary = world.accept(&commit);
    assert_eq!(summary.added_installations, BTreeSet::from([phone]));
    assert_eq!(summary.added_inboxes, []);
    assert_eq!(summary.kind(), CommitKind::Membership);
}

#[test]
fn no_other_commit_comes_first_since_the_creator_is_at_no_place_of_its_log() {
    let (world, [alice]) = World::of();
    let new = NewConversation::group(alice, PolicySet::all_members(), SECRET);
    let group = Group::fresh(&world, &new, alice);
    let commit = group.commit(group.leaf(alice), vec![], rename(&group, "too early"));
    let place = NeededState {
        inbox_id: alice,
        sequence_id: 0,
    };
    assert_eq!(world.refuse(&commit), Refusal::MissingIdentityUpdate(place));
}

#[test]
fn without_the_states_it_asks_for_just_those() {
    let (world, group, [alice, _, _, dave]) = town();
    let commit = group
        .membership_commit(&world, group.leaf(alice), &world.change(&[dave], &[]))
        .unwrap()
        .unwrap();
    let needed = needed_states(&commit);
    let place = |inbox_id| NeededState {
        inbox_id,
        sequence_id: world.latest(inbox_id),
    };
    assert_eq!(needed, [place(alice), place(dave)]);
    let nothing = judge(&commit, &InboxStates::new(), &Version::OWN);
    assert_eq!(nothing, Verdict::Ask(needed));
    let some = judge(&commit, &world.states([place(dave)]), &Version::OWN);
    assert_eq!(some, Verdict::Ask(vec![place(alice)]));
}

#[test]
fn both_contexts_have_to_be_readable() {
    let (world, group, [alice, ..]) = town();
    let good = group.commit(group.leaf(alice), vec![], rename(&group, "x"));
    let old = [
        Extension::Metadata,
        Extension::MutableMetadata,
        Extension::Permissions,
    ];
    for extension in old {
        let mut commit = good.clone();
        commit.old.0.remove(&extension.number());
        let refusal = Refusal::OldContext(ContextError::Missing(extension));
        assert_eq!(world.refuse(&commit), refusal);
        let mut commit = good.clone();
        commit
            .old
            .0
            .insert(extension.number(), Bytes::from_static(b"\x01\xff"));
        assert!(matches!(world.refuse(&commit), Refusal::OldContext(_)));
    }
    for extension in [
        Extension::MutableMetadata,
        Extension::Permissions,
        Extension::Membership,
    ] {
        let mut commit = good.clone();
        commit.new.0.remove(&extension.number());
        let refusal = Refusal::NewContext(ContextError::Missing(extension));
        assert_eq!(world.refuse(&commit), refusal);
    }
    // Nobody looks at what a conversation is after a commit, only before the next one.
    let mut commit = good;
    commit.new.0.remove(&Extension::Metadata.number());
    world.accept(&commit);
}

#[test]
fn values_keep_to_their_lengths_in_bytes() {
    let (world, group, [alice, ..]) = town();
    for attribute in [
        Attribute::GroupName,
        Attribute::Description,
        Attribute::ImageUrl,
        Attribute::AppData,
    ] {
        let limit = attribute.limit().unwrap();
        let with = |value: String| {
            let new = changed(&group, |metadata| {
                metadata
                    .attributes
                    .insert(attribute.key().to_owned(), value);
            });
            group.commit(group.leaf(alice), vec![], new)
        };
        world.accept(&with("x".repeat(limit)));
        let refusal = world.refuse(&with("ä".repeat(limit / 2) + "xx"));
        assert!(matches!(refusal, Refusal::TooLong(long) if long.attribute == attribute));
    }
}

#[test]
fn one_installation_makes_a_commit() {
    let (world, group, [alice, bob, ..]) = town();
    let good = group.commit(group.leaf(alice), vec![], rename(&group, "x"));

    let mut by_two = good.clone();
    by_two.proposals.push(ProposalFact {
        proposer: Some(group.leaf(bob)),
        kind: ProposalKind::Other(0x0a0a),
    });
    assert_eq!(world.refuse(&by_two), Refusal::MultipleActors);

    let mut path_of_another = good.clone();
    path_of_another.path_leaf = Some(group.leaf(bob));
    assert_eq!(world.refuse(&path_of_another), Refusal::MultipleActors);

    let mut from_outside = good.clone();
    from_outside.proposals[0].proposer = None;
    assert_eq!(world.refuse(&from_outside), Refusal::ProposerNotMember);

    let mut of_nobody = good.clone();
    of_nobody.path_leaf = None;
    of_nobody.proposals.clear();
    assert_eq!(world.refuse(&of_nobody), Refusal::NoActor);

    let mut without_path = good;
    without_path.path_leaf = None;
    assert_eq!(world.accept(&without_path).actor.inbox_id, alice);
}

#[test]
fn pre_shared_keys_are_refused_and_unknown_proposals_are_not() {
    let (world, group, [alice, ..]) = town();
    let with = |kind| group.commit(group.leaf(alice), vec![kind], group.context.clone());
    let psk = with(ProposalKind::PreSharedKey);
    assert_eq!(world.refuse(&psk), Refusal::PreSharedKey);
    world.accept(&with(ProposalKind::Other(0x0a0a)));
}

#[test]
fn nobody_comes_along_who_does_not_follow_from_the_membership() {
    let (world, group, [alice, bob, _, dave]) = town();
    let mut commit = group
        .membership_commit(&world, group.leaf(bob), &world.change(&[dave], &[]))
        .unwrap()
        .unwrap();
    commit.proposals.push(ProposalFact {
        proposer: Some(group.leaf(bob)),
        kind: ProposalKind::Add(strange_leaf(dave)),
    });
    assert_eq!(
        world.refuse(&commit),
        Refusal::UnexpectedlyAdded(vec![STRANGER])
    );
    // Who is in the tree already may be added.
    commit.proposals.pop();
    commit.proposals.push(ProposalFact {
        proposer: Some(group.leaf(bob)),
        kind: ProposalKind::Add(group.leaf(alice)),
    });
    world.accept(&commit);
}

#[test]
fn additions_may_be_missing_but_removals_may_not() {
    let (mut world, mut group, [alice, bob, _, dave]) = town();
    let old_phone = *world.installations(bob).first().unwrap();
    world.install(bob);
    world.revoke(bob, old_phone);
    let good = group
        .membership_commit(&world, group.leaf(alice), &world.change(&[dave], &[]))
        .unwrap()
        .unwrap();
    world.accept(&good);

    let without = |drop: fn(&ProposalKind) -> bool| {
        let mut commit = good.clone();
        commit.proposals.retain(|proposal| !drop(&proposal.kind));
        commit
    };
    world.accept(&without(|kind| matches!(kind, ProposalKind::Add(_))));
    assert_eq!(
        world.refuse(&without(|kind| matches!(kind, ProposalKind::Remove(_)))),
        Refusal::UnexpectedlyRemoved {
            extra: vec![],
            kept: vec![old_phone]
        }
    );

    group.merge(&good);
    let carols = group.commit(
        group.leaf(alice),
        vec![ProposalKind::Remove(group.leaf(dave))],
        group.context.clone(),
    );
    assert_eq!(
        world.refuse(&carols),
        Refusal::UnexpectedlyRemoved {
            extra: vec![group.leaf(dave).installation],
            kept: vec![]
        }
    );
}

#[test]
fn what_failed_counts_as_absent_when_it_should_go() {
    let (mut world, group, [alice, bob, carol, _]) = town();
    let broken = world.install(bob);
    let change = world.change(&[], &[]);
    let plan = group
        .plan(&world, group.leaf(carol), &change)
        .unwrap()
        .unwrap();
    assert_eq!(plan.fetch, BTreeSet::from([broken]));
    let commit = group.commit_of(
        &world,
        group.leaf(carol),
        &plan.finish(&BTreeSet::new()).unwrap(),
    );
    world.accept(&commit);
    let mut group = group;
    group.merge(&commit);
    assert!(group.membership().has_failed(broken));

    // Bob goes: one leaf is removed, and the installation that failed is not missed.
    let removal = group
        .membership_commit(&world, group.leaf(alice), &world.change(&[], &[bob]))
        .unwrap()
        .unwrap();
    assert_eq!(world.accept(&removal).removed_installations.len(), 1);
    assert!(removal.new.membership().unwrap().has_failed(broken));

    // Whoever forgets it in the new list has to remove what is not there.
    let mut membership = removal.new.membership().unwrap();
    membership.failed_installations.clear();
    let mut forgetful = removal;
    forgetful.new = forgetful.new.with_membership(&membership);
    assert_eq!(
        world.refuse(&forgetful),
        Refusal::UnexpectedlyRemoved {
            extra: vec![],
            kept: vec![broken]
        }
    );
}

#[test]
fn only_a_super_admin_removes_and_adds_the_same_installation() {
    let (world, group, [alice, bob, carol, _]) = town();
    let bobs = BTreeSet::from([group.leaf(bob).installation]);
    for (usable, added) in [(bobs.clone(), 1), (BTreeSet::new(), 0)] {
        let readd = |actor: Leaf| {
            plan_readd(
                &bobs,
                &group.membership(),
                &group.leaves,
                actor.installation,
            )
            .unwrap()
            .finish(&usable)
        };
        let by_alice = group.commit_of(&world, group.leaf(alice), &readd(group.leaf(alice)));
        let summary = world.accept(&by_alice);
        assert_eq!(summary.readded_installations, bobs);
        assert_eq!(summary.added_installations.len(), added);
        let by_carol = group.commit_of(&world, group.leaf(carol), &readd(group.leaf(carol)));
        assert!(matches!(
            world.refuse(&by_carol),
            Refusal::UnexpectedlyRemoved { .. }
        ));
    }
}

#[test]
fn places_in_logs_do_not_go_back() {
    let (mut world, mut group, [alice, bob, ..]) = town();
    let before = world.latest(bob);
    world.install(bob);
    let update = group
        .membership_commit(&world, group.leaf(alice), &world.change(&[], &[]))
        .unwrap()
        .unwrap();
    world.accept(&update);
    group.merge(&update);
    let mut membership = group.membership();
    membership.members.insert(bob, before);
    let back = group.commit(
        group.leaf(alice),
        vec![],
        group.context.with_membership(&membership),
    );
    assert_eq!(
        world.refuse(&back),
        Refusal::SequenceIdDecreased {
            inbox_id: bob,
            old: world.latest(bob),
            new: before
        }
    );
}

#[test]
fn a_place_must_be_that_of_an_update_unless_nothing_came_since() {
    let (world, group, [alice, bob, _, dave]) = town();
    let moved = |person, sequence_id| {
        let mut membership = group.membership();
        membership.members.insert(person, sequence_id);
        group.commit(
            group.leaf(alice),
            vec![],
            group.context.with_membership(&membership),
        )
    };
    let missing = |inbox_id, sequence_id| {
        Refusal::MissingIdentityUpdate(NeededState {
            inbox_id,
            sequence_id,
        })
    };
    let (alices, bobs, daves) = (world.latest(alice), world.latest(bob), world.latest(dave));
    for place in [0, daves - 1, daves + 1, u64::MAX] {
        assert_eq!(world.refuse(&moved(dave, place)), missing(dave, place));
    }
    // Quirks of libxmtp: Bob may move past the end of his log, but who commits may not.
    world.accept(&moved(bob, bobs + 1));
    world.accept(&moved(bob, u64::MAX));
    assert_eq!(
        world.refuse(&moved(alice, alices + 1)),
        missing(alice, alices + 1)
    );

    let mut later = world;
    later.install(bob);
    let newest = later.latest(bob);
    assert!(bobs < newest - 1);
    assert_eq!(
        later.refuse(&moved(bob, newest + 1)),
        missing(bob, newest + 1)
    );
    later.accept(&moved(bob, newest - 1));
}

#[test]
fn a_log_that_is_invalid_refuses_the_commit() {
    let (world, group, [alice, _, _, dave]) = town();
    let commit = group
        .membership_commit(&world, group.leaf(alice), &world.change(&[dave], &[]))
        .unwrap()
        .unwrap();
    let needed = needed_states(&commit);
    let mut states = world.states(needed.clone());
    states.insert_invalid(needed[1]);
    assert_eq!(
        judge(&commit, &states, &Version::OWN),
        Verdict::Refuse(Refusal::InvalidIdentityLog(needed[1]))
    );
}

#[test]
fn who_acts_is_an_installation_of_a_member_afterwards() {
    let (mut world, mut group, [alice, bob, ..]) = town();
    let phone = group.leaf(alice);
    let laptop = world.install(alice);
    let update = group
        .membership_commit(&world, phone, &world.change(&[], &[]))
        .unwrap()
        .unwrap();
    group.merge(&update);

    // A revoked installation cannot commit its own removal.
    world.revoke(alice, phone.installation);
    let mut membership = group.membership();
    membership.members.insert(alice, world.latest(alice));
    let own_removal = group.commit(
        phone,
        vec![ProposalKind::Remove(phone)],
        group.context.with_membership(&membership),
    );
    assert_eq!(
        world.refuse(&own_removal),
        Refusal::NotAnInstallation {
            inbox_id: alice,
            installation: phone.installation
        }
    );
    let by_the_laptop = Leaf {
        index: 3,
        inbox_id: alice,
        installation: laptop,
    };
    let mut removal = own_removal;
    removal.path_leaf = Some(by_the_laptop);
    for proposal in &mut removal.proposals {
        proposal.proposer = Some(by_the_laptop);
    }
    world.accept(&removal);

    // Who goes cannot be who commits.
    let bobs = group.leaf(bob);
    let mut membership = group.membership();
    membership.members.remove(&bob);
    let goodbye = group.commit(
        bobs,
        vec![ProposalKind::Remove(bobs)],
        group.context.with_membership(&membership),
    );
    assert_eq!(world.refuse(&goodbye), Refusal::NotMember(bob));

    // The leaf of an Update proposal is looked at too.
    let update = group.commit(
        bobs,
        vec![ProposalKind::Update(strange_leaf(bob))],
        group.context.clone(),
    );
    assert_eq!(
        world.refuse(&update),
        Refusal::NotAnInstallation {
            inbox_id: bob,
            installation: STRANGER
        }
    );
}

#[test]
fn adding_and_removing_people_takes_the_role_that_the_policies_name() {
    let (world, people) = World::of::<4>();
    let [alice, bob, carol, dave] = people;
    for (add, remove) in [
        (Who::Everyone, Who::Admins),
        (Who::Admins, Who::SuperAdmins),
        (Who::SuperAdmins, Who::Everyone),
        (Who::Nobody, Who::Nobody),
    ] {
        let mut policies = PolicySet::all_members();
        policies.set(PolicyKind::RemoveMember, remove).unwrap();
        let mut group = Group::of(&world, &people[..3], policies.clone());
        policies.set(PolicyKind::AddMember, add).unwrap();
        group.context = group.context.with_permissions(&policies);
        group.context = changed(&group, |metadata| {
            metadata.change_admins(AdminChange::AddAdmin, bob);
        });
        for (actor, role) in [(alice, "super admin"), (bob, "admin"), (carol, "member")] {
            let allows = |who| match who {
                Who::Everyone => true,
                Who::Admins => role != "member",
                Who::SuperAdmins => role == "super admin",
                Who::Nobody => false,
            };
            let leaf = group.leaf(actor);
            let commit = |change| {
                group
                    .membership_commit(&world, leaf, &change)
                    .unwrap()
                    .unwrap()
            };
            let addition = commit(world.change(&[dave], &[]));
            let verdict = world.judge(&addition);
            assert_eq!(
                matches!(verdict, Verdict::Accept(_)),
                allows(add),
                "{role} {verdict:?}"
            );
            if !allows(add) {
                let refusal = not_permitted(actor, Action::AddMember(dave));
                assert_eq!(verdict, Verdict::Refuse(refusal));
            }
            let victim = if actor == carol { bob } else { carol };
            let removal = commit(world.change(&[], &[victim]));
            let verdict = world.judge(&removal);
            assert_eq!(
                matches!(verdict, Verdict::Accept(_)),
                allows(remove),
                "{role}"
            );
            if !allows(remove) {
                let refusal = not_permitted(actor, Action::RemoveMember(victim));
                assert_eq!(verdict, Verdict::Refuse(refusal));
            }
        }
    }
}

#[test]
fn a_super_admin_is_never_removed() {
    let (world, mut group, [alice, bob, ..]) = town();
    group.context = changed(&group, |metadata| {
        metadata.change_admins(AdminChange::AddSuperAdmin, bob);
    });
    let removal = group
        .membership_commit(&world, group.leaf(alice), &world.change(&[], &[bob]))
        .unwrap()
        .unwrap();
    let action = Action::RemoveSuperAdminMember(bob);
    assert_eq!(world.refuse(&removal), not_permitted(alice, action));
}

#[test]
fn installations_come_and_go_without_a_permission() {
    let (mut world, people) = World::of::<2>();
    let mut policies = PolicySet::admins_only();
    policies.set(PolicyKind::AddMember, Who::Everyone).unwrap();
    let group = Group::of(&world, &people, policies);
    let [alice, bob] = people;
    let old = group.leaf(alice).installation;
    world.install(alice);
    world.revoke(alice, old);
    let commit = group
        .membership_commit(&world, group.leaf(bob), &world.change(&[], &[]))
        .unwrap()
        .unwrap();
    let summary = world.accept(&commit);
    assert_eq!(summary.removed_installations, BTreeSet::from([old]));
    assert!(summary.removed_inboxes.is_empty());
}

#[test]
fn in_a_dm_either_adds_the_other_and_nobody_else() {
    let (world, [alice, bob, carol]) = World::of();
    let new = NewConversation::dm(alice, bob, SECRET);
    let fresh = Group::fresh(&world, &new, alice);
    let leaf = fresh.leaf(alice);
    let add = |who: &[InboxId]| {
        fresh
            .membership_commit(&world, leaf, &world.change(who, &[]))
            .unwrap()
            .unwrap()
    };
    world.accept(&add(&[bob]));
    let action = Action::AddMember(carol);
    assert_eq!(world.refuse(&add(&[carol])), not_permitted(alice, action));
    let both = world.refuse(&add(&[bob, carol]));
    assert_eq!(both, not_permitted(alice, Action::AddMember(bob)));

    let dm = Group::made(&world, &new, &[alice, bob]);
    let removal = dm
        .membership_commit(&world, dm.leaf(alice), &world.change(&[], &[bob]))
        .unwrap()
        .unwrap();
    let action = Action::RemoveMember(bob);
    assert_eq!(world.refuse(&removal), not_permitted(alice, action));
    world.accept(&dm.commit(dm.leaf(bob), vec![], rename(&dm, "ours")));
    let promoted = changed(&dm, |metadata| {
        metadata.change_admins(AdminChange::AddAdmin, bob);
    });
    let refusal = not_permitted(bob, Action::AddAdmin);
    assert_eq!(
        world.refuse(&dm.commit(dm.leaf(bob), vec![], promoted)),
        refusal
    );
}

#[test]
fn attributes_are_changed_by_those_whom_their_policy_lets_in() {
    let (world, mut group, [alice, bob, carol, _]) = town();
    group.context = changed(&group, |metadata| {
        metadata.change_admins(AdminChange::AddAdmin, bob);
    });
    let cases = [
        ("group_name", vec![alice, bob, carol]),
        ("message_disappear_in_ns", vec![alice, bob]),
        ("something_new", vec![alice, bob]),
        ("_commit_log_signer", vec![alice]),
        ("_secret", vec![alice]),
    ];
    for (key, allowed) in cases {
        for actor in [alice, bob, carol] {
            let new = changed(&group, |metadata| {
                metadata.attributes.insert(key.to_owned(), "5".to_owned());
            });
            let verdict = world.judge(&group.commit(group.leaf(actor), vec![], new));
            if allowed.contains(&actor) {
                assert!(matches!(verdict, Verdict::Accept(_)), "{key}");
            } else {
                let action = Action::UpdateMetadata(key.to_owned());
                assert_eq!(verdict, Verdict::Refuse(not_permitted(actor, action)));
            }
        }
    }
    // Taking an attribute away is a change of it.
    let new = changed(&group, |metadata| {
        metadata.attributes.remove("_commit_log_signer");
    });
    let action = Action::UpdateMetadata("_commit_log_signer".to_owned());
    let refusal = world.refuse(&group.commit(group.leaf(bob), vec![], new));
    assert_eq!(refusal, not_permitted(bob, action));
}

#[test]
fn roles_are_given_and_taken_by_those_who_may() {
    use AdminChange::{AddAdmin, AddSuperAdmin, RemoveAdmin, RemoveSuperAdmin};

    let (world, mut group, [alice, bob, carol, dave]) = town();
    group.context = changed(&group, |metadata| {
        metadata.change_admins(AddAdmin, bob);
    });
    let commit = |actor: InboxId, change, person| {
        let new = changed(&group, |metadata| metadata.change_admins(change, person));
        group.commit(group.leaf(actor), vec![], new)
    };
    for (change, person, action) in [
        (AddAdmin, carol, Action::AddAdmin),
        (RemoveAdmin, bob, Action::RemoveAdmin),
        (AddSuperAdmin, carol, Action::AddSuperAdmin),
        (RemoveSuperAdmin, alice, Action::RemoveSuperAdmin),
    ] {
        for actor in [bob, carol] {
            let refusal = not_permitted(actor, action.clone());
            assert_eq!(world.refuse(&commit(actor, change, person)), refusal);
        }
    }
    world.accept(&commit(alice, AddAdmin, carol));
    world.accept(&commit(alice, RemoveAdmin, bob));
    // Nobody asks whether a new super admin is a member.
    world.accept(&commit(alice, AddSuperAdmin, dave));
    let last = world.refuse(&commit(alice, RemoveSuperAdmin, alice));
    assert_eq!(last, not_permitted(alice, Action::RemoveLastSuperAdmin));

    group.context = changed(&group, |metadata| {
        metadata.change_admins(AddSuperAdmin, bob);
    });
    let new = changed(&group, |metadata| {
        metadata.change_admins(RemoveSuperAdmin, alice)
    });
    let summary = world.accept(&group.commit(group.leaf(alice), vec![], new));
    assert_eq!(summary.admin_changes.super_removed, [alice.to_string()]);
    assert_eq!(summary.kind(), CommitKind::Admins);
}

#[test]
fn permissions_are_changed_by_super_admins_whatever_their_own_policy_says() {
    let (world, mut group, [alice, bob, ..]) = town();
    let mut open = PolicySet::all_members();
    open.update_permissions = Policy::Base(Trusted::Admins);
    group.context = group.context.with_permissions(&open);
    group.context = changed(&group, |metadata| {
        metadata.change_admins(AdminChange::AddAdmin, bob);
    });
    let new = group
        .context
        .with_permissions(&Preset::AdminsOnly.policies());
    let by = |actor| group.commit(group.leaf(actor), vec![], new.clone());
    let summary = world.accept(&by(alice));
    assert!(summary.permissions_changed);
    let action = Action::UpdatePermissions;
    assert_eq!(world.refuse(&by(bob)), not_permitted(bob, action));
}

#[test]
fn roles_are_those_before_the_commit() {
    let (world, group, [_, bob, ..]) = town();
    let new = changed(&group, |metadata| {
        metadata.change_admins(AdminChange::AddSuperAdmin, bob);
        metadata
            .attributes
            .insert("_secret".to_owned(), String::new());
    });
    let refusal = world.refuse(&group.commit(group.leaf(bob), vec![], new));
    let action = Action::UpdateMetadata("_secret".to_owned());
    assert_eq!(refusal, not_permitted(bob, action));
}

#[test]
fn a_group_that_asks_for_more_pauses_at_every_commit() {
    let (world, mut group, [alice, bob, ..]) = town();
    let asks = |version: &str| {
        changed(&group, |metadata| {
            metadata.attributes.insert(
                Attribute::MinimumVersion.key().to_owned(),
                version.to_owned(),
            );
        })
    };
    let commit = |version| group.commit(group.leaf(alice), vec![], asks(version));
    for version in ["1.6.0", "1.10.0", "1.11.0-dev", "1.11.0", "0.0.1-dev.1"] {
        world.accept(&commit(version));
    }
    for version in ["1.11.1-dev", "1.12.0", "2.0.0"] {
        assert_eq!(
            world.judge(&commit(version)),
            Verdict::Pause(version.parse().unwrap())
        );
    }
    for version in ["", "1.11", "1.11.0-"] {
        let refusal = world.refuse(&commit(version));
        assert!(matches!(refusal, Refusal::Version(_)), "{version}");
    }
    // Who may not do it is refused, not paused.
    let by_bob = group.commit(group.leaf(bob), vec![], asks("2.0.0"));
    assert!(matches!(
        world.refuse(&by_bob),
        Refusal::NotPermitted { .. }
    ));

    let new = asks("2.0.0");
    group.context = new;
    let key_update = group.commit(group.leaf(bob), vec![], group.context.clone());
    assert_eq!(
        world.judge(&key_update),
        Verdict::Pause(Version::new(2, 0, 0))
    );
}

#[test]
fn the_kind_of_a_conversation_may_change_and_nobody_looks() {
    let (world, group, [_, bob, ..]) = town();
    let other = GroupMetadata::new(ConversationKind::Sync, inbox(99));
    let new = group.context.with(Extension::Metadata, other.encode());
    world.accept(&group.commit(group.leaf(bob), vec![], new));
}

/// What happens in a generated history.
#[derive(Clone, Debug)]
enum Event {
    Install(usize),
    Revoke(usize, usize),
    Commit {
        actor: usize,
        add: u8,
        remove: u8,
        unusable: u8,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => (0..5_usize).prop_map(Event::Install),
        1 => (0..5_usize, 0..4_usize).prop_map(|(person, key)| Event::Revoke(person, key)),
        4 => (any::<usize>(), any::<u8>(), any::<u8>(), any::<u8>()).prop_map(
            |(actor, add, remove, unusable)| Event::Commit {
                actor,
                add: add & 0x1f,
                // Fewer removals than additions.
                remove: remove & (remove >> 4) & 0x1f,
                // Most have a key package.
                unusable: unusable & unusable.rotate_left(3),
            }
        ),
    ];
    proptest::collection::vec(event, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What `membership` plans, `judge` accepts, and who is invited joins; and no plan with
    /// something more, less or else in it is accepted.
    #[test]
    fn plans_are_accepted_and_their_mutations_refused(history in events()) {
        let (mut world, people) = World::of::<5>();
        let mut group = Group::of(&world, &people[..2], PolicySet::all_members());
        for event in history {
            match event {
                Event::Install(person) => {
                    world.install(people[person]);
                }
                Event::Revoke(person, key) => {
                    let keys = world.installations(people[person]);
                    if keys.len() > 1 && let Some(key) = keys.iter().nth(key) {
                        world.revoke(people[person], *key);
                    }
                }
                Event::Commit { actor, add, remove, unusable } => {
                    let actor = group.leaves[actor % group.leaves.len()];
                    commit_and_check(&world, &mut group, &people, actor, [add, remove, unusable])?;
                }
            }
        }
    }
}

fn commit_and_check(
    world: &World,
    group: &mut Group,
    people: &[InboxId],
    actor: Leaf,
    [add, remove, unusable]: [u8; 3],
) -> Result<(), TestCaseError> {
    let chosen = |mask: u8| -> Vec<_> {
        let numbered = people.iter().enumerate();
        numbered
            .filter(|(index, _)| mask >> index & 1 == 1)
            .map(|(_, person)| *person)
            .collect()
    };
    let change = world.change(&chosen(add), &chosen(remove));
    let Ok(Some(plan)) = group.plan(world, actor, &change) else {
        return Ok(());
    };
    let usable = plan.fetch.iter().enumerate();
    let usable: BTreeSet<_> = usable
        .filter(|(index, _)| unusable >> (index % 8) & 1 == 0)
        .map(|(_, key)| *key)
        .collect();
    let Ok(planned) = plan.finish(&usable) else {
        return Ok(());
    };
    let commit = group.commit_of(world, actor, &planned);
    let verdict = world.judge(&commit);

    let metadata = group.metadata();
    let diff = group.membership().diff(&planned.membership);
    let is_admin = metadata.is_super_admin(actor.inbox_id);
    let expected = if !world
        .installations(actor.inbox_id)
        .contains(&actor.installation)
        || !planned.membership.contains(actor.inbox_id)
    {
        "bad credential"
    } else if diff.removed.is_empty() || is_admin && !diff.removed.contains(&people[0]) {
        "accepted"
    } else {
        "not permitted"
    };
    let got = match &verdict {
        Verdict::Accept(_) => "accepted",
        Verdict::Refuse(Refusal::NotPermitted { .. }) => "not permitted",
        Verdict::Refuse(Refusal::NotAnInstallation { .. } | Refusal::NotMember(_)) => {
            "bad credential"
        }
        _ => "something else",
    };
    prop_assert_eq!(got, expected, "{:?}", verdict);
    if expected != "accepted" {
        return Ok(());
    }
    refuse_mutations(world, group, actor, &commit)?;
    group.merge(&commit);
    check_welcome(world, group, actor)
}

fn refuse_mutations(
    world: &World,
    group: &Group,
    actor: Leaf,
    commit: &CommitFacts,
) -> Result<(), TestCaseError> {
    let more = |kind| {
        let mut more = commit.clone();
        more.proposals.push(ProposalFact {
            proposer: Some(actor),
            kind,
        });
        more
    };
    let stranger = more(ProposalKind::Add(strange_leaf(actor.inbox_id)));
    prop_assert_eq!(
        world.refuse(&stranger),
        Refusal::UnexpectedlyAdded(vec![STRANGER])
    );

    let new = commit.new.membership().unwrap();
    let removed = installations(commit).removed;
    for leaf in &group.leaves {
        if !removed.contains(&leaf.installation) && !new.has_failed(leaf.installation) {
            let refusal = world.refuse(&more(ProposalKind::Remove(*leaf)));
            let is_refused = matches!(refusal, Refusal::UnexpectedlyRemoved { .. });
            // A super admin may remove what it adds in the same commit.
            prop_assert!(is_refused, "{:?}", refusal);
        }
    }
    for key in &removed {
        let mut less = commit.clone();
        less.proposals.retain(
            |proposal| !matches!(proposal.kind, ProposalKind::Remove(leaf) if leaf.installation == *key),
        );
        if installations(&less) != installations(commit) {
            let is_refused = matches!(world.refuse(&less), Refusal::UnexpectedlyRemoved { .. });
            prop_assert!(is_refused);
        }
    }

    let old = group.membership();
    for (inbox_id, place) in &old.members {
        if new.contains(*inbox_id) {
            let mut membership = new.clone();
            membership.members.insert(*inbox_id, place - 1);
            let mut back = commit.clone();
            back.new = back.new.with_membership(&membership);
            let is_refused = matches!(world.refuse(&back), Refusal::SequenceIdDecreased { .. });
            prop_assert!(is_refused);
        }
    }
    for inbox_id in old.diff(&new).added {
        let mut membership = new.clone();
        *membership.members.get_mut(&inbox_id).unwrap() += 1;
        let mut ahead = commit.clone();
        ahead.new = ahead.new.with_membership(&membership);
        let is_refused = matches!(world.refuse(&ahead), Refusal::MissingIdentityUpdate(_));
        prop_assert!(is_refused);
    }

    if let Some(other) = group.leaves.iter().find(|leaf| **leaf != actor) {
        let mut by_another = commit.clone();
        by_another.path_leaf = Some(*other);
        prop_assert_eq!(world.refuse(&by_another), Refusal::MultipleActors);
    }
    let mut outside = commit.clone();
    outside.proposals[0].proposer = None;
    prop_assert_eq!(world.refuse(&outside), Refusal::ProposerNotMember);
    prop_assert_eq!(
        world.refuse(&more(ProposalKind::PreSharedKey)),
        Refusal::PreSharedKey
    );
    let before = judge(commit, &InboxStates::new(), &Version::OWN);
    prop_assert_eq!(before, Verdict::Ask(needed_states(commit)));
    Ok(())
}

/// Who is invited now joins, unless somebody is in the tree whom nobody can remove with a change
/// of the membership; then a super admin can with a readd.
fn check_welcome(world: &World, group: &mut Group, sender: Leaf) -> Result<(), TestCaseError> {
    use crate::joining::{Admission, admit, needed_to_join};
    use crate::membership::stale_leaves;

    let states = world.states(needed_to_join(&group.welcome(sender)));
    let stale = stale_leaves(&group.membership(), &group.leaves, &states).unwrap();
    let joined = |group: &Group| {
        let verdict = admit(
            &group.welcome(sender),
            sender.inbox_id,
            &states,
            &Version::OWN,
        );
        matches!(verdict, Admission::Join(_))
    };
    prop_assert_eq!(joined(group), stale.is_empty());
    let founder = group.leaves.iter().find(|leaf| leaf.inbox_id == inbox(1));
    if let Some(founder) = founder.copied()
        && let Some(plan) = plan_readd(
            &stale,
            &group.membership(),
            &group.leaves,
            founder.installation,
        )
    {
        let commit = group.commit_of(world, founder, &plan.finish(&BTreeSet::new()));
        if let Verdict::Accept(_) = world.judge(&commit) {
            group.merge(&commit);
            prop_assert!(stale.contains(&founder.installation) || joined(group));
        }
    }
    Ok(())
}

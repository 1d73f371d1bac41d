use std::collections::BTreeSet;

use super::*;
use crate::{
    context::{GroupMembership, NewConversation},
    permissions::PolicySet,
    world::{Group, SECRET, World, inbox},
};

#[test]
fn memberships_differ_by_who_is_there_and_how_far_they_got() {
    let membership = |members: &[(u8, u64)]| GroupMembership {
        members: members
            .iter()
            .map(|(number, place)| (inbox(*number), *place))
            .collect(),
        ..GroupMembership::default()
    };
    let old = membership(&[(1, 1), (2, 1), (3, 1)]);
    let new = membership(&[(2, 2), (3, 1), (4, 1)]);
    let diff = old.diff(&new);
    assert_eq!(diff.added, [inbox(4)]);
    assert_eq!(diff.removed, [inbox(1)]);
    assert_eq!(diff.updated, [inbox(2)]);
}

#[test]
fn an_inbox_at_no_place_of_its_log_brings_all_its_installations() {
    let (mut world, [alice]) = World::of();
    world.install(alice);
    let old = GroupMembership::of_creator(alice);
    let new = world.change(&[], &[]).apply(&old).unwrap();
    let needed = needed_for_diff(&old, &new);
    assert_eq!(needed.len(), 1, "there is no state at 0");
    let diff = expected_diff(&old, &new, &world.states(needed)).unwrap();
    assert_eq!(diff.added, world.installations(alice));
    assert!(diff.removed.is_empty());
}

#[test]
fn who_is_at_no_place_of_its_log_cannot_be_removed() {
    let (world, [alice]) = World::of();
    let old = GroupMembership::of_creator(alice);
    let new = GroupMembership::default();
    let refused = expected_diff(&old, &new, &world.states(needed_for_diff(&old, &new)));
    assert!(matches!(refused, Err(DiffError::MissingIdentityUpdate(_))));
}

#[test]
fn there_is_nothing_to_commit_when_nothing_changed() {
    let (world, people) = World::of::<2>();
    let group = Group::of(&world, &people, PolicySet::all_members());
    let change = world.change(&[people[1]], &[inbox(9)]);
    let plan = group.plan(&world, group.leaf(people[0]), &change);
    assert_eq!(plan, Ok(None));
}

#[test]
fn news_of_a_members_log_are_committed_even_without_installations() {
    let (mut world, people) = World::of::<2>();
    let group = Group::of(&world, &people, PolicySet::all_members());
    world.update(people[1], |_| {});
    let change = world.change(&[], &[]);
    let plan = group
        .plan(&world, group.leaf(people[0]), &change)
        .unwrap()
        .unwrap();
    let commit = plan.finish(&BTreeSet::new()).unwrap();
    assert!(commit.add.is_empty() && commit.remove.is_empty());
    assert_eq!(
        commit.membership.members[&people[1]],
        world.latest(people[1])
    );
}

#[test]
fn nobody_is_added_without_a_single_usable_key_package() {
    let (mut world, [alice, bob]) = World::of();
    let tablet = world.install(bob);
    let new = NewConversation::group(alice, PolicySet::all_members(), SECRET);
    let group = Group::fresh(&world, &new, alice);
    let plan = || {
        let change = world.change(&[bob], &[]);
        group
            .plan(&world, group.leaf(alice), &change)
            .unwrap()
            .unwrap()
    };
    assert_eq!(plan().fetch, world.installations(bob));
    assert_eq!(
        plan().finish(&BTreeSet::new()),
        Err(PlanError::NothingUsable)
    );
    let commit = plan().finish(&BTreeSet::from([tablet])).unwrap();
    assert_eq!(commit.add, BTreeSet::from([tablet]));
    assert_eq!(commit.membership.failed_installations.len(), 1);
}

#[test]
fn what_failed_once_stays_on_the_list() {
    let (mut world, people) = World::of::<2>();
    let [alice, bob] = people;
    let mut group = Group::of(&world, &people, PolicySet::all_members());
    let broken = world.install(bob);
    for _ in 0..2 {
        let change = world.change(&[], &[]);
        let plan = group
            .plan(&world, group.leaf(alice), &change)
            .unwrap()
            .unwrap();
        let commit = plan.finish(&BTreeSet::new()).unwrap();
        assert!(commit.membership.has_failed(broken));
        let facts = group.commit_of(&world, group.leaf(alice), &commit);
        group.merge(&facts);
        world.update(bob, |_| {});
    }
}

#[test]
fn an_installation_that_somebody_forgot_does_not_keep_its_inbox_in() {
    let (mut world, people) = World::of::<2>();
    let [alice, bob] = people;
    let mut group = Group::of(&world, &people, PolicySet::all_members());
    let forgotten = world.install(bob);
    let mut commit = group
        .membership_commit(&world, group.leaf(alice), &world.change(&[], &[]))
        .unwrap()
        .unwrap();
    commit
        .proposals
        .retain(|proposal| !matches!(proposal.kind, crate::ProposalKind::Add(_)));
    world.accept(&commit);
    group.merge(&commit);

    let removal = group
        .membership_commit(&world, group.leaf(alice), &world.change(&[], &[bob]))
        .unwrap()
        .unwrap();
    assert!(removal.new.membership().unwrap().has_failed(forgotten));
    world.accept(&removal);
}

#[test]
fn we_do_not_remove_ourselves() {
    let (mut world, people) = World::of::<2>();
    let [alice, bob] = people;
    let group = Group::of(&world, &people, PolicySet::all_members());
    let bobs = group.leaf(bob);
    let plan = group.plan(&world, bobs, &world.change(&[], &[bob]));
    assert_eq!(plan, Err(PlanError::RemovesOwnLeaf));
    world.revoke(bob, bobs.installation);
    let plan = group.plan(&world, bobs, &world.change(&[], &[]));
    assert_eq!(plan, Err(PlanError::RemovesOwnLeaf));
    let by_alice = group.plan(&world, group.leaf(alice), &world.change(&[], &[]));
    assert!(by_alice.unwrap().is_some());
}

#[test]
fn a_group_has_at_most_250_members() {
    let members = |count: u16| {
        let id = |number: u16| {
            let mut bytes = [0; 32];
            bytes[..2].copy_from_slice(&number.to_be_bytes());
            folkmoot_wire::InboxId::from_bytes(bytes)
        };
        (0..count).map(move |number| (id(number), 2))
    };
    let old = GroupMembership {
        members: members(249).collect(),
        ..GroupMembership::default()
    };
    let add = |count| MembershipChange {
        add: members(count).map(|(inbox_id, _)| inbox_id).collect(),
        remove: BTreeSet::new(),
        latest: members(count).collect(),
    };
    assert_eq!(add(250).apply(&old).unwrap().members.len(), 250);
    assert_eq!(add(251).apply(&old), Err(PlanError::TooManyMembers(251)));
}

#[test]
fn who_has_no_log_is_not_planned_with() {
    let (world, people) = World::of::<1>();
    let group = Group::of(&world, &people, PolicySet::all_members());
    let nobody = inbox(77);
    let plan = group.plan(&world, group.leaf(people[0]), &world.change(&[nobody], &[]));
    assert_eq!(plan, Err(PlanError::UnknownInbox(nobody)));
}

#[test]
fn a_readd_passes_over_who_is_not_there_and_ourselves() {
    let (world, people) = World::of::<2>();
    let [alice, bob] = people;
    let group = Group::of(&world, &people, PolicySet::all_members());
    let me = group.leaf(alice).installation;
    let stranger = folkmoot_wire::InstallationKey::from_bytes([0xee; 32]);
    let plan = |keys: &[_]| {
        let keys = keys.iter().copied().collect();
        plan_readd(&keys, &group.membership(), &group.leaves, me)
    };
    assert_eq!(plan(&[me, stranger]), None);
    let bobs = group.leaf(bob);
    let plan = plan(&[me, stranger, bobs.installation]).unwrap();
    assert_eq!(plan.fetch, BTreeSet::from([bobs.installation]));
    let commit = plan.finish(&BTreeSet::new());
    assert_eq!(commit.remove, [bobs.index]);
    assert!(commit.membership.has_failed(bobs.installation));
}

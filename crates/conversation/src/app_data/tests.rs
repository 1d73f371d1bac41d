use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use folkmoot_wire::{InboxId, InstallationKey};
use proptest::prelude::*;

use super::{
    codec::{
        CodecError, MapMutation, SetMutation, change_map, change_set, hash, read_map,
        read_map_change, read_set_change, write_map, write_map_change, write_set_change,
    },
    *,
};
use crate::{
    context::{AdminChange, Attribute, Context, ContextError, Extension, NewConversation},
    engine::AppDataChange,
    facts::{CommitFacts, ContextExtensions, Leaf, ProposalKind},
    joining::{Admission, admit, needed_to_join},
    judge::{Action, CommitSummary, Refusal, Verdict, judge, needed_states},
    membership::InboxStates,
    permissions::{Policy, PolicySet, Trusted, Who},
    version::Version,
    world::{Group, SECRET, World, inbox},
};

const OWN: Version = Version::OWN;
const OLDER: Version = Version::new(1, 10, 0);

/// The context after a commit with these changes.
fn changed(old: &ContextExtensions, changes: &[AppDataChange]) -> ContextExtensions {
    let mut dictionary = Dictionary::of(old).unwrap().unwrap_or_default();
    for change in changes {
        dictionary.set(Component(change.component), change.value.clone());
    }
    let mut new = old.clone();
    new.0
        .insert(Extension::AppData.number(), dictionary.encode());
    new
}

/// A commit with these changes and other proposals.
fn commit(
    group: &Group,
    actor: Leaf,
    changes: &[AppDataChange],
    others: Vec<ProposalKind>,
) -> CommitFacts {
    let mut commit = group.commit(actor, others, group.context.clone());
    commit.new = changed(&group.context, changes);
    let proposed = changes.iter().map(|change| crate::facts::ProposalFact {
        proposer: Some(actor),
        kind: ProposalKind::AppDataUpdate {
            component: change.component,
            update: change.update.clone(),
        },
    });
    commit.proposals.extend(proposed);
    commit
}

fn bootstrap_commit(group: &Group, actor: Leaf) -> CommitFacts {
    let (context, changes) = bootstrap(&group.context, &BTreeMap::new()).unwrap();
    let mut commit = commit(
        group,
        actor,
        &changes,
        vec![ProposalKind::GroupContextExtensions],
    );
    commit.new = changed(&context, &changes);
    commit
}

fn verdict(world: &World, commit: &CommitFacts) -> Verdict {
    judge(commit, &world.states(needed_states(commit)), &OWN)
}

fn accept(world: &World, commit: &CommitFacts) -> CommitSummary {
    match verdict(world, commit) {
        Verdict::Accept(summary) => *summary,
        other => panic!("not accepted: {other:?}"),
    }
}

fn refuse(world: &World, commit: &CommitFacts) -> Refusal {
    match verdict(world, commit) {
        Verdict::Refuse(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// Alice, who made the group, Bob and Carol; Dave stands outside. The group was converted.
fn town() -> (World, Group, [InboxId; 4]) {
    let (world, people) = World::of::<4>();
    let mut group = Group::of(&world, &people[..3], PolicySet::all_members());
    let alice = group.leaf(people[0]);
    let commit = bootstrap_commit(&group, alice);
    accept(&world, &commit);
    group.merge(&commit);
    (world, group, people)
}

fn writer(group: &Group) -> AppDataWriter {
    AppDataWriter::new(&group.context).unwrap()
}

#[test]
fn sets_maps_and_changes_have_these_bytes() {
    let set = BTreeMap::from([(inbox(2), ()), (inbox(1), ())]);
    let [one, two] = [1, 2].map(|id| format!("00{}", hex::encode([id; 32])));
    assert_eq!(hex::encode(write_map(&set)), format!("4042{one}{two}"));
    let change = write_set_change(&[
        SetMutation::Insert(inbox(1)),
        SetMutation::Remove(inbox(2)),
        SetMutation::RemoveByHash([7; 32]),
    ]);
    let hash = hex::encode([7; 32]);
    let expected = format!("406500{one}01{two}02{hash}");
    assert_eq!(hex::encode(change), expected);

    // A component's number takes four bytes, since it is at least 0x8000.
    let entry = Bytes::from_static(b"v");
    let map = BTreeMap::from([(Component::GROUP_NAME, entry.clone())]);
    assert_eq!(hex::encode(write_map(&map)), "06800080040176");
    let change = write_map_change(&[
        MapMutation::Insert(Component::GROUP_NAME, entry),
        MapMutation::Delete(Component::ADMINS),
    ]);
    assert_eq!(hex::encode(change), "0c008000800401760280008002");
}

#[test]
fn keys_ascend_and_changes_fit() {
    let [one, two] = [1, 2].map(|id| hex::encode([id; 32]));
    let unordered = hex::decode(format!("404200{two}00{one}")).unwrap();
    assert_eq!(read_map::<InboxId, ()>(&unordered), Err(CodecError::Order));
    let twice = hex::decode(format!("404200{one}00{one}")).unwrap();
    assert_eq!(read_map::<InboxId, ()>(&twice), Err(CodecError::Order));
    let version_one = hex::decode(format!("2101{one}")).unwrap();
    assert!(read_map::<InboxId, ()>(&version_one).is_err());

    let mut set = BTreeMap::from([(inbox(1), ()), (inbox(2), ())]);
    let again = change_set(&mut set.clone(), vec![SetMutation::Insert(inbox(1))]);
    assert_eq!(again, Err(CodecError::KeyExists));
    let absent = change_set(&mut set.clone(), vec![SetMutation::Remove(inbox(3))]);
    assert_eq!(absent, Err(CodecError::NoKey));
    let by_hash = SetMutation::RemoveByHash(hash(&inbox(1)));
    change_set(&mut set, vec![by_hash.clone()]).unwrap();
    assert_eq!(set, BTreeMap::from([(inbox(2), ())]));
    assert_eq!(change_set(&mut set, vec![by_hash]), Err(CodecError::NoKey));
    let mut map = BTreeMap::<InboxId, Bytes>::new();
    let update = change_map(&mut map, vec![MapMutation::Update(inbox(1), Bytes::new())]);
    assert_eq!(update, Err(CodecError::NoKey));
}

#[test]
fn a_converted_group_says_what_it_said_before() {
    let (alice, bob) = (inbox(1), inbox(2));
    for new in [
        NewConversation::group(alice, PolicySet::all_members(), SECRET)
            .set(Attribute::GroupName, "picnic")
            .unwrap(),
        NewConversation::group(alice, PolicySet::admins_only(), SECRET).disappearing(
            crate::context::DisappearingSettings {
                from_ns: 1,
                in_ns: -2,
            },
        ),
    ] {
        let mut old = new.extensions();
        let mut metadata = old.mutable_metadata().unwrap();
        metadata.change_admins(AdminChange::AddAdmin, bob);
        old = old.with_mutable_metadata(&metadata);
        let (context, changes) = bootstrap(&old, &BTreeMap::new()).unwrap();
        let converted = changed(&context, &changes);
        assert!(is_migrated(&converted) && !is_migrated(&old));
        assert_eq!(converted.0.len(), 2, "the dictionary and what is required");

        let (before, after) = (
            Context::read(&old).unwrap(),
            Context::read(&converted).unwrap(),
        );
        assert_eq!(after.metadata, before.metadata);
        assert_eq!(after.mutable, before.mutable);
        assert_eq!(after.membership, before.membership);
        assert_eq!(after.permissions.add_member, before.permissions.add_member);
        assert_eq!(
            after.permissions.remove_admin,
            before.permissions.remove_admin
        );
        for (key, policy) in &before.permissions.update_metadata {
            assert_eq!(
                after.permissions.update_metadata.get(key),
                Some(policy),
                "{key}"
            );
        }
    }
}

#[test]
fn what_has_no_form_in_a_registry_is_not_converted() {
    let alice = inbox(1);
    let refused = |policies| {
        let old = NewConversation::group(alice, policies, SECRET).extensions();
        bootstrap(&old, &BTreeMap::new()).unwrap_err()
    };
    let mut loose = PolicySet::all_members();
    loose.update_permissions = Policy::Base(Trusted::Admins);
    let mut conditional = PolicySet::all_members();
    conditional.add_member = Policy::Any(vec![Policy::Base(Who::Admins)]);
    let mut unknown = PolicySet::all_members();
    unknown
        .update_metadata
        .insert("colour".to_owned(), Policy::Base(Who::Everyone));
    for policies in [loose, conditional, unknown, PolicySet::dm()] {
        assert!(matches!(refused(policies), BootstrapError::Permissions(_)));
    }
    let mut old = NewConversation::group(alice, PolicySet::all_members(), SECRET).extensions();
    let mut metadata = old.mutable_metadata().unwrap();
    metadata.admins = vec!["somebody".to_owned()];
    old = old.with_mutable_metadata(&metadata);
    let refused = bootstrap(&old, &BTreeMap::new());
    assert_eq!(
        refused,
        Err(BootstrapError::NotAnInboxId("somebody".to_owned()))
    );
}

#[test]
fn a_group_is_converted_by_a_super_admin_with_just_these_seeds() {
    let (world, people) = World::of::<3>();
    let [alice, bob, _] = people;
    let group = Group::of(&world, &people, PolicySet::all_members());
    let good = bootstrap_commit(&group, group.leaf(alice));
    let summary = accept(&world, &good);
    assert_eq!(summary.actor.inbox_id, alice);
    assert!(summary.added_inboxes.is_empty());

    let by_bob = bootstrap_commit(&group, group.leaf(bob));
    let refusal = Refusal::Bootstrap(BootstrapError::NotSuperAdmin);
    assert_eq!(refuse(&world, &by_bob), refusal);
    for index in 0..good.proposals.len() {
        let ProposalKind::AppDataUpdate { component, .. } = good.proposals[index].kind else {
            continue;
        };
        let component = Component(component);
        let mut missing = good.clone();
        missing.proposals.remove(index);
        let mut other = good.clone();
        other.proposals[index].kind = ProposalKind::AppDataUpdate {
            component: component.0,
            update: Some(Bytes::from_static(&[1, 9])),
        };
        let mut twice = good.clone();
        twice.proposals.push(good.proposals[index].clone());
        let expected = Refusal::Bootstrap(BootstrapError::Twice(component));
        assert_eq!(refuse(&world, &twice), expected);
        for wrong in [missing, other] {
            // Without the registry it is no conversion at all, but a commit that takes the older
            // extensions away.
            let refusal = refuse(&world, &wrong);
            let is_seed = refusal == Refusal::Bootstrap(BootstrapError::Seed(component));
            assert!(
                is_seed || matches!(refusal, Refusal::NewContext(_)),
                "{refusal:?}"
            );
        }
    }
    let mut more = good.clone();
    more.proposals.push(crate::facts::ProposalFact {
        proposer: more.proposals[0].proposer,
        kind: ProposalKind::AppDataUpdate {
            component: 0xc000,
            update: Some(Bytes::new()),
        },
    });
    let expected = BootstrapError::Unexpected(Component(0xc000));
    assert_eq!(refuse(&world, &more), Refusal::Bootstrap(expected));
    let mut and_removes = good.clone();
    and_removes.proposals.push(crate::facts::ProposalFact {
        proposer: and_removes.proposals[0].proposer,
        kind: ProposalKind::Remove(group.leaf(bob)),
    });
    let expected = Refusal::Bootstrap(BootstrapError::OtherProposals);
    assert_eq!(refuse(&world, &and_removes), expected);

    // Whoever claims less takes it for a commit that takes the extensions away.
    let states = world.states(needed_states(&good));
    let refused = judge(&good, &states, &OLDER);
    let missing = ContextError::Missing(Extension::MutableMetadata);
    assert_eq!(refused, Verdict::Refuse(Refusal::NewContext(missing)));
}

#[test]
fn a_conversion_may_forget_installations_that_failed_but_not_invent_them() {
    let (mut world, people) = World::of::<2>();
    let [alice, bob] = people;
    let mut group = Group::of(&world, &people, PolicySet::all_members());
    let broken = world.install(bob);
    let plan = group
        .plan(&world, group.leaf(alice), &world.change(&[], &[]))
        .unwrap()
        .unwrap();
    let failed = plan.finish(&BTreeSet::new()).unwrap();
    let facts = group.commit_of(&world, group.leaf(alice), &failed);
    group.merge(&facts);

    for owners in [BTreeMap::new(), BTreeMap::from([(broken, bob)])] {
        let (context, changes) = bootstrap(&group.context, &owners).unwrap();
        let converted = changed(&context, &changes);
        let membership = Context::read(&converted).unwrap().membership;
        assert_eq!(membership.has_failed(broken), !owners.is_empty());
        let mut commit = commit(
            &group,
            group.leaf(alice),
            &changes,
            vec![ProposalKind::GroupContextExtensions],
        );
        commit.new = converted;
        accept(&world, &commit);
        // Against an old context in which nothing failed, the note is invented.
        let mut clean = group.membership();
        clean.failed_installations.clear();
        commit.old = commit.old.with_membership(&clean);
        let expected = Refusal::Bootstrap(BootstrapError::Seed(Component::MEMBERSHIP));
        match verdict(&world, &commit) {
            Verdict::Accept(_) => assert!(owners.is_empty()),
            other => assert_eq!(other, Verdict::Refuse(expected)),
        }
    }
}

#[test]
fn attributes_are_changed_by_those_whom_the_registry_lets_in() {
    let (world, mut group, [alice, bob, ..]) = town();
    let rename = writer(&group)
        .set(Attribute::GroupName, "picnic")
        .unwrap()
        .finish();
    let renamed = commit(&group, group.leaf(bob), &rename, vec![]);
    let summary = accept(&world, &renamed);
    assert_eq!(summary.metadata_changes[0].key, "group_name");
    assert_eq!(summary.metadata_changes[0].new.as_deref(), Some("picnic"));

    let hidden = writer(&group)
        .set(Attribute::CommitLogSigner, &hex::encode([5; 32]))
        .unwrap()
        .finish();
    accept(&world, &commit(&group, group.leaf(alice), &hidden, vec![]));
    let refusal = refuse(&world, &commit(&group, group.leaf(bob), &hidden, vec![]));
    let expected = AppDataError::NotPermitted(Component::COMMIT_LOG_SIGNER);
    assert_eq!(refusal, Refusal::AppData(expected));

    group.merge(&renamed);
    let name = Context::read(&group.context).unwrap().mutable;
    assert_eq!(name.get(Attribute::GroupName), Some("picnic"));
    // To take an attribute away is for super admins.
    let removal = writer(&group).remove(Component::GROUP_NAME).finish();
    accept(&world, &commit(&group, group.leaf(alice), &removal, vec![]));
    let refusal = refuse(&world, &commit(&group, group.leaf(bob), &removal, vec![]));
    let expected = AppDataError::NotPermitted(Component::GROUP_NAME);
    assert_eq!(refusal, Refusal::AppData(expected));
}

#[test]
fn roles_are_sets_that_super_admins_and_admins_change() {
    let (world, mut group, [alice, bob, carol, _]) = town();
    let promote = writer(&group)
        .change_admins(AdminChange::AddAdmin, bob)
        .unwrap()
        .finish();
    let by_alice = commit(&group, group.leaf(alice), &promote, vec![]);
    let summary = accept(&world, &by_alice);
    assert_eq!(summary.admin_changes.added, [bob.to_string()]);
    let by_carol = commit(&group, group.leaf(carol), &promote, vec![]);
    let expected = AppDataError::NotPermitted(Component::ADMINS);
    assert_eq!(refuse(&world, &by_carol), Refusal::AppData(expected));

    group.merge(&by_alice);
    let again = writer(&group).change_admins(AdminChange::AddAdmin, bob);
    assert!(matches!(again, Err(AppDataError::Malformed { .. })));
    let rule = writer(&group)
        .change_admins(AdminChange::AddSuperAdmin, bob)
        .unwrap()
        .finish();
    let by_bob = commit(&group, group.leaf(bob), &rule, vec![]);
    let expected = AppDataError::NotPermitted(Component::SUPER_ADMINS);
    assert_eq!(refuse(&world, &by_bob), Refusal::AppData(expected));
    accept(&world, &commit(&group, group.leaf(alice), &rule, vec![]));
}

#[test]
fn the_minimum_version_only_rises() {
    let (world, mut group, [alice, ..]) = town();
    let to = |group: &Group, version: &str| {
        let changes = writer(group)
            .set(Attribute::MinimumVersion, version)
            .unwrap();
        commit(group, group.leaf(alice), &changes.finish(), vec![])
    };
    let raise = to(&group, "1.11.0");
    accept(&world, &raise);
    group.merge(&raise);
    accept(&world, &to(&group, "1.11.0"));
    let falls = AppDataError::VersionFalls {
        current: Version::new(1, 11, 0),
    };
    let lower = to(&group, "1.10.9");
    assert_eq!(refuse(&world, &lower), Refusal::AppData(falls.clone()));
    let removal = writer(&group).remove(Component::MINIMUM_VERSION).finish();
    let removal = commit(&group, group.leaf(alice), &removal, vec![]);
    assert_eq!(refuse(&world, &removal), Refusal::AppData(falls));
    assert!(matches!(
        refuse(&world, &to(&group, "soon")),
        Refusal::AppData(AppDataError::Version(_))
    ));
    let too_high = to(&group, "2.0.0");
    let pause = Verdict::Pause(Version::new(2, 0, 0));
    assert_eq!(verdict(&world, &too_high), pause);
    group.merge(&too_high);
    let key_update = commit(&group, group.leaf(alice), &[], vec![]);
    assert_eq!(verdict(&world, &key_update), pause);
}

#[test]
fn what_is_fixed_stays_and_what_is_unknown_is_refused() {
    let (world, group, [alice, ..]) = town();
    let change = |component: Component, update: &'static [u8]| {
        let change = AppDataChange {
            component: component.0,
            update: Some(Bytes::from_static(update)),
            value: Some(Bytes::from_static(update)),
        };
        refuse(
            &world,
            &commit(&group, group.leaf(alice), &[change], vec![]),
        )
    };
    for component in [Component::CONVERSATION_KIND, Component::CREATOR] {
        let expected = Refusal::AppData(AppDataError::Immutable(component));
        assert_eq!(change(component, &[0, 0, 0, 1]), expected);
        let again = writer(&group).change(component, &[0, 0, 0, 1]);
        assert_eq!(again.err(), Some(AppDataError::Immutable(component)));
    }
    let unknown = Component(0xc123);
    let expected = Refusal::AppData(AppDataError::Unknown(unknown));
    assert_eq!(change(unknown, b"x"), expected);
    for (component, update) in [
        (Component::GROUP_NAME, &b"\xff"[..]),
        (Component::DISAPPEAR_IN_NS, &[1]),
        (Component::COMMIT_LOG_SIGNER, &[1; 31]),
        (Component::ADMINS, &[1, 3]),
    ] {
        let refusal = change(component, update);
        let is_malformed = matches!(refusal, Refusal::AppData(AppDataError::Malformed { .. }));
        assert!(is_malformed, "{component} {refusal:?}");
    }
}

#[test]
fn apps_bring_components_of_their_own_through_the_registry() {
    let (world, mut group, [alice, bob, ..]) = town();
    let colour = Component(0xc001);
    let everyone = Policy::Base(Who::Everyone);
    let entry = ComponentMetadata::new(ComponentKind::String, &everyone, &everyone, &everyone);
    let register = |component: Component| {
        let mutation = MapMutation::Insert(component, entry.encode());
        write_map_change(&[mutation])
    };
    let changes = writer(&group)
        .change(Component::REGISTRY, &register(colour))
        .unwrap()
        .finish();
    let registered = commit(&group, group.leaf(alice), &changes, vec![]);
    assert!(accept(&world, &registered).permissions_changed);
    let by_bob = commit(&group, group.leaf(bob), &changes, vec![]);
    let expected = AppDataError::NotPermitted(Component::REGISTRY);
    assert_eq!(refuse(&world, &by_bob), Refusal::AppData(expected));
    group.merge(&registered);
    let painted = writer(&group).change(colour, b"green").unwrap().finish();
    accept(&world, &commit(&group, group.leaf(bob), &painted, vec![]));

    for forbidden in [
        Component(0x7fff),
        Component::REGISTRY,
        Component::SUPER_ADMINS,
        Component(0xff00),
        // Admins are never made by everyone.
        Component::ADMINS,
    ] {
        let refused = writer(&group).change(Component::REGISTRY, &register(forbidden));
        assert_eq!(refused.err(), Some(AppDataError::RegistryEntry(forbidden)));
    }
}

#[test]
fn people_come_and_go_by_changes_of_the_membership() {
    let (mut world, mut group, [alice, bob, carol, dave]) = town();
    let members = |group: &Group| Context::read(&group.context).unwrap().membership;
    let change =
        |world: &World, group: &Group, actor: Leaf, add: &[InboxId], remove: &[InboxId]| {
            let old = members(group);
            let change = world.change(add, remove);
            let states = world.states(change.needed_states(&old).unwrap());
            let plan =
                crate::membership::plan(&change, &old, &group.leaves, actor.installation, &states)
                    .unwrap()
                    .unwrap();
            let usable = plan.fetch.clone();
            let planned = plan.finish(&usable).unwrap();
            let owners = BTreeMap::<InstallationKey, InboxId>::new();
            let changes = writer(group)
                .set_membership(&planned.membership, &owners)
                .unwrap()
                .finish();
            let proposals = group.commit_of(world, actor, &planned).proposals;
            let kinds = proposals
                .into_iter()
                .map(|proposal| proposal.kind)
                .filter(|kind| *kind != ProposalKind::GroupContextExtensions)
                .collect();
            commit(group, actor, &changes, kinds)
        };
    let bobs = group.leaf(bob);
    let addition = change(&world, &group, bobs, &[dave], &[]);
    let summary = accept(&world, &addition);
    assert_eq!(summary.added_inboxes, [dave]);
    group.merge(&addition);
    assert_eq!(members(&group).members.len(), 4);

    world.install(carol);
    let news = change(&world, &group, bobs, &[], &[]);
    assert_eq!(accept(&world, &news).added_installations.len(), 1);
    group.merge(&news);

    let removal = change(&world, &group, bobs, &[], &[dave]);
    let expected = AppDataError::NotPermitted(Component::MEMBERSHIP);
    assert_eq!(refuse(&world, &removal), Refusal::AppData(expected));
    let by_alice = change(&world, &group, group.leaf(alice), &[], &[dave]);
    assert_eq!(accept(&world, &by_alice).removed_inboxes, [dave]);

    // The proposer's role counts, not the committer's.
    let mut proposed_by_bob = by_alice.clone();
    for proposal in &mut proposed_by_bob.proposals {
        if matches!(proposal.kind, ProposalKind::Remove(_)) {
            proposal.proposer = Some(bobs);
        }
    }
    let refusal = refuse(&world, &proposed_by_bob);
    let action = Action::RemoveMember(dave);
    assert_eq!(refusal, Refusal::NotPermitted { actor: bob, action });

    // Who is welcomed to such a group joins it, if it claims to understand it.
    let welcome = group.welcome(group.leaf(alice));
    let states = world.states(needed_to_join(&welcome));
    assert!(matches!(
        admit(&welcome, dave, &states, &OWN),
        Admission::Join(_)
    ));
    let refused = admit(&welcome, dave, &states, &OLDER);
    assert!(matches!(refused, Admission::Refuse(_)));
    let nothing = judge(&by_alice, &InboxStates::new(), &OWN);
    assert_eq!(nothing, Verdict::Ask(needed_states(&by_alice)));
}

#[test]
fn changes_of_one_component_add_up_in_their_order() {
    let (_, group, [_, bob, carol, _]) = town();
    let add = |inbox_id| write_set_change(&[SetMutation::Insert(inbox_id)]);
    let (one, two) = (add(bob), add(carol));
    let admins = Component::ADMINS.0;
    let name = Component::GROUP_NAME.0;
    let changes = [
        (admins, Some(&one[..])),
        (name, Some(&b"x"[..])),
        (admins, Some(&two[..])),
        (name, None),
    ];
    let values = outcome(&group.context, changes).unwrap();
    let both = BTreeMap::from([(bob, ()), (carol, ())]);
    assert_eq!(values[&admins], Some(write_map(&both)));
    assert_eq!(values[&name], None);
    let twice = outcome(
        &group.context,
        [(admins, Some(&one[..])), (admins, Some(&one[..]))],
    );
    assert!(matches!(twice, Err(AppDataError::Malformed { .. })));

    // What the writer makes has the same outcome.
    let written = writer(&group)
        .change_admins(AdminChange::AddAdmin, bob)
        .and_then(|writer| writer.change_admins(AdminChange::AddAdmin, carol))
        .unwrap()
        .finish();
    let updates = written
        .iter()
        .map(|change| (change.component, change.update.as_deref()));
    let values = outcome(&group.context, updates).unwrap();
    assert_eq!(values[&admins], written.last().unwrap().value);
}

#[test]
fn a_group_that_begins_in_a_dictionary_says_what_others_say() {
    let new = NewConversation::group(inbox(1), PolicySet::admins_only(), SECRET);
    let context = new.dictionary_extensions().unwrap();
    assert!(context.is_migrated());
    let read = Context::read(&context).unwrap();
    let mut older = Context::read(&new.extensions()).unwrap();
    let minimum = Attribute::MinimumVersion.key().to_owned();
    let floor = Version::APP_DATA_FLOOR.to_owned();
    older.mutable.attributes.insert(minimum, floor);
    assert_eq!(read, older);
}

#[test]
fn permissions_become_entries_of_the_registry_and_are_read_back() {
    let (world, mut group, [alice, bob, ..]) = town();
    let mut wanted = PolicySet::admins_only();
    let name = Attribute::GroupName.key().to_owned();
    let anybody = Policy::Any(vec![Policy::Base(Who::Admins), Policy::Base(Who::Everyone)]);
    wanted.update_metadata.insert(name, anybody);
    for policies in [wanted, PolicySet::all_members()] {
        let changes = writer(&group).set_permissions(&policies).unwrap().finish();
        assert_eq!(changes.len(), 1);
        let by_bob = commit(&group, group.leaf(bob), &changes, vec![]);
        let refusal = AppDataError::NotPermitted(Component::REGISTRY);
        assert_eq!(refuse(&world, &by_bob), Refusal::AppData(refusal));
        let by_alice = commit(&group, group.leaf(alice), &changes, vec![]);
        assert!(accept(&world, &by_alice).permissions_changed);
        group.merge(&by_alice);
        assert_eq!(Context::read(&group.context).unwrap().permissions, policies);
        let again = writer(&group).set_permissions(&policies).unwrap().finish();
        assert!(again.is_empty());
    }
    let mut loose = PolicySet::all_members();
    loose.update_permissions = Policy::Base(Trusted::Admins);
    let refused = writer(&group).set_permissions(&loose).unwrap_err();
    assert!(matches!(refused, AppDataError::Permissions(_)));
    let unknown = writer(&group)
        .set_by_key("colour", Some("red"))
        .unwrap_err();
    assert_eq!(unknown, AppDataError::NoComponent("colour".to_owned()));
}

proptest! {
    #[test]
    fn any_bytes_are_a_component_or_an_error(data in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(map) = read_map::<Bytes, Bytes>(&data) {
            prop_assert_eq!(&write_map(&map)[..], &data[..]);
        }
        if let Ok(change) = read_map_change::<Component, Bytes>(&data) {
            prop_assert_eq!(&write_map_change(&change)[..], &data[..]);
        }
        if let Ok(change) = read_set_change::<InboxId>(&data) {
            prop_assert_eq!(&write_set_change(&change)[..], &data[..]);
        }
        if let Ok(dictionary) = Dictionary::decode(&data) {
            prop_assert_eq!(&dictionary.encode()[..], &data[..]);
        }
    }
}

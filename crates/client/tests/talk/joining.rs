//! Welcomes that cannot be followed yet, and some that must not be.

use std::{sync::Arc, time::Duration};

use folkmoot_client::{
    ManualClock,
    network::{Network, Welcome, WelcomeContent},
};
use folkmoot_conversation::{
    CommitPlan, Group, Installation, KeyPackageIn, context::NewConversation, permissions::PolicySet,
};
use folkmoot_testkit::Person;
use folkmoot_wire::{
    GroupId, InboxId, InstallationKey, proto::xmtp::mls::api::v1::welcome_message_input::Version,
};

use crate::{
    people::{World, assert_same_epoch, both_generations, group, synced, texts},
    relay::{Fault, Relay},
};

both_generations!(
    a_welcome_that_cannot_be_judged_keeps_no_other_out,
    a_pointer_to_nothing_is_followed_again_later,
    what_was_said_before_a_removal_is_read_after_coming_back,
    nobody_from_outside_replaces_a_group,
);

/// When a welcome that could not be taken is taken again.
const LATER: Duration = Duration::from_secs(11);

async fn a_welcome_that_cannot_be_judged_keeps_no_other_out(world: World) {
    let relay = Relay::to(world.network());
    let clock = ManualClock::now();
    let alice = world.client(1).await;
    let bob = world
        .client_over_at(2, relay.clone(), Arc::new(clock.clone()))
        .await;
    let carol = world.client(3).await;
    relay.set(Fault::Blind(carol.inbox_id()));
    let members = [bob.inbox_id()];
    let hidden = carol.conversations();
    let hidden = hidden.new_group(members, Default::default()).await.unwrap();
    let picnic = alice.conversations();
    let picnic = picnic.new_group(members, Default::default()).await.unwrap();
    picnic.send_text("hello").await.unwrap();

    let all = bob.conversations().sync_all(&[]).await.unwrap();
    assert_eq!((all.joined, all.synced), (1, 1));
    let bobs = bob.conversations().get(picnic.id()).await.unwrap();
    assert_eq!(texts(&bobs).await, ["hello"]);
    clock.advance(LATER);
    assert!(bob.conversations().sync().await.unwrap().is_empty());

    relay.set(Fault::Nothing);
    clock.advance(2 * LATER);
    let joined = bob.conversations().sync().await.unwrap();
    assert_eq!(joined[0].id(), hidden.id());
    hidden.send_text("here I am").await.unwrap();
    let bobs = synced(&bob, hidden.id()).await;
    assert_eq!(texts(&bobs).await, ["here I am"]);
}

async fn a_pointer_to_nothing_is_followed_again_later(world: World) {
    let relay = Relay::to(world.network());
    let clock = ManualClock::now();
    let [alice, carol, dave] = world.clients().await;
    let bob = world
        .client_over_at(4, relay.clone(), Arc::new(clock.clone()))
        .await;
    relay.set(Fault::PointeesAbsent(bob.installation_key()));
    let picnic = group(&alice, &[&carol, &dave, &bob]).await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let joined = bob.conversations().sync().await.unwrap();
    assert_eq!(
        joined.iter().map(|one| one.id()).collect::<Vec<_>>(),
        [dm.id()]
    );
    relay.set(Fault::Nothing);
    assert!(bob.conversations().sync().await.unwrap().is_empty());
    clock.advance(LATER);
    let joined = bob.conversations().sync().await.unwrap();
    assert_eq!(joined[0].id(), picnic.id());
}

async fn what_was_said_before_a_removal_is_read_after_coming_back(world: World) {
    let [alice, bob] = world.clients().await;
    let mut picnic = group(&alice, &[&bob]).await;
    picnic.send_text("one").await.unwrap();
    picnic.send_text("two").await.unwrap();
    picnic.remove_members([bob.inbox_id()]).await.unwrap();
    picnic.send_text("not for Bob").await.unwrap();
    picnic.add_members([bob.inbox_id()]).await.unwrap();
    picnic.send_text("three").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["one", "two", "three"]);
    assert_same_epoch(&[&picnic, &bobs]).await;
}

async fn nobody_from_outside_replaces_a_group(world: World) {
    let [alice, bob] = world.clients().await;
    let picnic = group(&alice, &[&bob]).await;
    let network = world.network();
    let mallory = Person::new(72);
    let registration = mallory.registration();
    let published = network.publish_identity_update(&mallory.inbox, registration);
    published.await.unwrap();
    // Everything that is not secret is as in the group that she copies.
    let copy = NewConversation::group(alice.inbox_id(), PolicySet::all_members(), [7; 32]);
    let victim = (bob.inbox_id(), bob.installation_key());
    let welcomes = invite_to_copy(&*network, picnic.id(), &copy, &mallory, victim).await;
    network.publish_welcomes(welcomes).await.unwrap();

    assert!(bob.conversations().sync().await.unwrap().is_empty());
    let bobs = synced(&bob, picnic.id()).await;
    bobs.send_text("among us").await.unwrap();
    let picnic = synced(&alice, picnic.id()).await;
    assert_eq!(texts(&picnic).await, ["among us"]);
    assert_same_epoch(&[&picnic, &bobs]).await;
}

/// Welcomes into another group of this id, some epochs further than the first.
async fn invite_to_copy(
    network: &dyn Network,
    id: &GroupId,
    new: &NewConversation,
    maker: &Person,
    (inbox, installation): (InboxId, InstallationKey),
) -> Vec<Welcome> {
    let now = std::time::SystemTime::now();
    let me = Installation::new(maker.inbox, maker.installation.clone());
    let mut extensions = new.extensions();
    let mut membership = extensions.membership().unwrap();
    membership.members.clear();
    for inbox in [maker.inbox, inbox] {
        let log = network.identity_updates(&[(inbox, 0)]).await.unwrap();
        let last = log[0].as_ref().unwrap().last().unwrap().sequence;
        membership.members.insert(inbox, last);
    }
    extensions = extensions.with_membership(&membership);
    let mut copy = Group::create(&me, id, &extensions, now, &mut rand::rng()).unwrap();
    for _ in 0..20 {
        let commit = copy.commit(&me, CommitPlan::default(), &mut rand::rng());
        copy.merge_own(&commit.unwrap().staged).unwrap();
    }
    let package = network.key_packages(&[installation]).await.unwrap();
    let package = package[0].as_ref().unwrap();
    let package = KeyPackageIn::decode(package).unwrap().verify(now).unwrap();
    let plan = CommitPlan {
        adds: vec![package],
        ..CommitPlan::default()
    };
    let commit = copy.commit(&me, plan, &mut rand::rng()).unwrap();
    let welcomes = commit.welcome.unwrap().seal(0, &mut rand::rng());
    let welcomes = welcomes.into_iter().map(|one| match one.version.unwrap() {
        Version::V1(one) => Welcome {
            destination: InstallationKey::try_from(&one.installation_key[..]).unwrap(),
            content: WelcomeContent::Welcome {
                data: one.data,
                hpke_public_key: one.hpke_public_key,
                wrapper_algorithm: one.wrapper_algorithm,
                metadata: one.welcome_metadata,
            },
        },
        Version::WelcomePointer(_) => panic!("one person gets no pointer"),
    });
    welcomes.collect()
}

use folkmoot_client::{ConversationState, GroupOptions};
use folkmoot_testkit::Person;

use crate::people::{World, assert_same_epoch, both_generations, group, synced, texts, wallet};

both_generations!(
    a_second_installation_joins_what_its_inbox_is_in,
    the_makers_other_installation_is_in_from_the_start,
    a_revoked_installation_is_out,
    welcome_pointers_lead_in,
    key_packages_that_do_not_fit_keep_nobody_out,
);

async fn key_packages_that_do_not_fit_keep_nobody_out(world: World) {
    let [alice, bob] = world.clients().await;
    let network = world.network();
    // One understands too little, the other says that it belongs to Alice.
    let (simple, mut liar) = (Person::new(70), Person::new(71));
    for person in [&simple, &liar] {
        let registration = person.registration();
        let published = network.publish_identity_update(&person.inbox, registration);
        published.await.unwrap();
    }
    let members = [bob.inbox_id(), simple.inbox, liar.inbox];
    liar.inbox = alice.inbox_id();
    for (person, package) in [
        (
            &simple,
            simple.key_package_listing(&[0x000a, 0x0001, 0xff04]),
        ),
        (&liar, liar.key_package()),
    ] {
        let key = person.installation.key();
        network.upload_key_package(&key, package).await.unwrap();
    }

    let conversations = alice.conversations();
    let picnic = conversations.new_group(members, GroupOptions::default());
    let picnic = picnic.await.unwrap();
    picnic.send_text("hello").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["hello"]);
    assert_eq!(bobs.member_inboxes().len(), 4);
    assert_same_epoch(&[&picnic, &bobs]).await;
}

async fn a_second_installation_joins_what_its_inbox_is_in(world: World) {
    let [alice, phone] = world.clients().await;
    let picnic = group(&alice, &[&phone]).await;
    picnic.send_text("before").await.unwrap();
    let laptop = world.client(2).await;
    assert_eq!(laptop.inbox_id(), phone.inbox_id());
    assert!(laptop.conversations().sync().await.unwrap().is_empty());
    // A sender looks for new installations every five seconds.
    let mut picnic = picnic;
    picnic.update_installations().await.unwrap();
    picnic.send_text("after").await.unwrap();
    let there = synced(&laptop, picnic.id()).await;
    assert_eq!(texts(&there).await, ["after"]);
    let phones = synced(&phone, picnic.id()).await;
    assert_eq!(texts(&phones).await, ["before", "after"]);
    there.send_text("from the laptop").await.unwrap();
    let said = texts(&synced(&alice, picnic.id()).await).await;
    assert_eq!(said, ["before", "after", "from the laptop"]);
    assert_same_epoch(&[&synced(&phone, picnic.id()).await, &there]).await;
}

async fn the_makers_other_installation_is_in_from_the_start(world: World) {
    let phone = world.client(1).await;
    let laptop = world.client(1).await;
    let bob = world.client(2).await;
    let dm = phone.conversations().new_dm(bob.inbox_id()).await.unwrap();
    dm.send_text("hello").await.unwrap();
    let there = synced(&laptop, dm.id()).await;
    assert_eq!(texts(&there).await, ["hello"]);
    assert_eq!(there.peer(), Some(bob.inbox_id()));
    there.send_text("from the laptop").await.unwrap();
    assert_eq!(
        texts(&synced(&bob, dm.id()).await).await,
        ["hello", "from the laptop"]
    );
}

async fn a_revoked_installation_is_out(world: World) {
    let alice = world.client(1).await;
    let phone = world.client(2).await;
    let laptop = world.client(2).await;
    let mut picnic = group(&alice, &[&phone, &laptop]).await;
    phone
        .revoke_installations(vec![laptop.installation_key()], &wallet(2))
        .await
        .unwrap();
    picnic.update_installations().await.unwrap();
    picnic.send_text("without the laptop").await.unwrap();
    let there = synced(&laptop, picnic.id()).await;
    assert_eq!(there.state(), ConversationState::Inactive);
    assert!(texts(&there).await.is_empty());
    let phones = synced(&phone, picnic.id()).await;
    assert_eq!(texts(&phones).await, ["without the laptop"]);
    assert_same_epoch(&[&picnic, &phones]).await;
}

async fn welcome_pointers_lead_in(world: World) {
    let [alice, bob, carol, dave] = world.clients().await;
    let picnic = group(&alice, &[&bob, &carol, &dave]).await;
    picnic.send_text("all here?").await.unwrap();
    for client in [&bob, &carol, &dave] {
        assert_eq!(
            texts(&synced(client, picnic.id()).await).await,
            ["all here?"]
        );
    }
}

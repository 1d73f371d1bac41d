use std::sync::Arc;

use folkmoot_client::{
    DeliveryStatus, SendOptions,
    db::{Database, DatabaseKey},
    network::{NetworkAddress, NetworkOptions},
};
use folkmoot_conversation::content::Content;

use crate::people::{World, assert_same_epoch, both_generations, group, soon, synced, texts};

both_generations!(
    conversations_survive_a_restart,
    a_message_that_waits_is_sent_after_a_restart,
    what_the_node_did_not_take_is_sent_later,
    what_is_said_after_a_copy_was_put_back_arrives,
    whoever_changed_the_group_since_the_copy_is_added_again,
);

async fn conversations_survive_a_restart(world: World) {
    let bob = world.client(2).await;
    let alice = world.stored(1, "alice").await;
    let picnic = group(&alice, &[&bob]).await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    picnic.send_text("before").await.unwrap();
    let (id, dm_id) = (picnic.id().clone(), dm.id().clone());
    drop((picnic, dm));
    alice.close().await;

    let alice = world.stored(1, "alice").await;
    let picnic = synced(&alice, &id).await;
    picnic.send_text("after").await.unwrap();
    let dm = synced(&alice, &dm_id).await;
    dm.send_text("here too").await.unwrap();
    let bobs = synced(&bob, &id).await;
    assert_eq!(texts(&bobs).await, ["before", "after"]);
    assert_eq!(texts(&synced(&bob, &dm_id).await).await, ["here too"]);
    bobs.send_text("welcome back").await.unwrap();
    assert_eq!(
        texts(&synced(&alice, &id).await).await,
        ["before", "after", "welcome back"]
    );
    assert_same_epoch(&[&picnic, &bobs]).await;
}

async fn a_message_that_waits_is_sent_after_a_restart(world: World) {
    let bob = world.client(2).await;
    let alice = world.stored(1, "alice").await;
    let picnic = group(&alice, &[&bob]).await;
    let content = Content::text("queued");
    let message = picnic
        .send_optimistic(&content, SendOptions::default())
        .await
        .unwrap();
    let stored = alice.conversations().message(&message).await.unwrap();
    assert_eq!(stored.delivery, DeliveryStatus::Unpublished);
    let id = picnic.id().clone();
    drop(picnic);
    alice.close().await;

    let alice = world.stored(1, "alice").await;
    alice.conversations().sync_all(&[]).await.unwrap();
    let stored = alice.conversations().message(&message).await.unwrap();
    assert_eq!(stored.delivery, DeliveryStatus::Published);
    assert_eq!(texts(&synced(&bob, &id).await).await, ["queued"]);
}

async fn what_the_node_did_not_take_is_sent_later(world: World) {
    let bob = world.client(2).await;
    let alice = world.stored(1, "alice").await;
    let picnic = group(&alice, &[&bob]).await;
    let id = picnic.id().clone();
    drop(picnic);
    alice.close().await;

    // Nobody listens on this port: what is sent is stored and goes no further.
    let nowhere = NetworkOptions::new(NetworkAddress::Node("http://127.0.0.1:9".into()));
    let nowhere = nowhere.network().unwrap();
    let alice = world.stored_over(1, "alice", Arc::clone(&nowhere)).await;
    let mut picnic = alice.conversations().get(&id).await.unwrap();
    assert!(picnic.send_text("lost?").await.unwrap_err().is_retryable());
    assert!(picnic.set_name("Lost?").await.unwrap_err().is_retryable());
    drop(picnic);
    alice.close().await;

    let alice = world.stored(1, "alice").await;
    alice.conversations().sync_all(&[]).await.unwrap();
    let hers = synced(&alice, &id).await;
    let his = synced(&bob, &id).await;
    assert_eq!(his.name(), "Lost?");
    assert_same_epoch(&[&hers, &his]).await;
}

async fn what_is_said_after_a_copy_was_put_back_arrives(world: World) {
    let bob = world.client(2).await;
    let alice = world.stored(1, "alice").await;
    let picnic = group(&bob, &[&alice]).await;
    let hers = synced(&alice, picnic.id()).await;
    hers.send_text("before").await.unwrap();
    let key = DatabaseKey::Raw([7; 32]);
    let copy = world.file("copy");
    alice.database().backup(&copy).await.unwrap();
    for text in ["one", "two", "three"] {
        hers.send_text(text).await.unwrap();
    }
    drop(hers);
    alice.close().await;

    Database::restore(&copy, &world.file("restored"), &key).unwrap();
    let alice = world.stored(1, "restored").await;
    let hers = synced(&alice, picnic.id()).await;
    hers.send_text("four").await.unwrap();
    let said = texts(&synced(&bob, picnic.id()).await).await;
    assert_eq!(said, ["before", "one", "two", "three", "four"]);
}

async fn whoever_changed_the_group_since_the_copy_is_added_again(world: World) {
    let bob = world.client(2).await;
    let alice = world.stored(1, "alice").await;
    let picnic = group(&bob, &[&alice]).await;
    let mut hers = synced(&alice, picnic.id()).await;
    let key = DatabaseKey::Raw([7; 32]);
    let copy = world.file("copy");
    alice.database().backup(&copy).await.unwrap();
    hers.set_name("Lake").await.unwrap();
    drop(hers);
    alice.close().await;

    Database::restore(&copy, &world.file("restored"), &key).unwrap();
    let alice = world.stored(1, "restored").await;
    let hers = synced(&alice, picnic.id()).await;
    assert!(hers.send_text("nobody could read this").await.is_err());
    soon(async {
        for client in [&alice, &bob, &alice] {
            client.conversations().sync_all(&[]).await.unwrap();
        }
    })
    .await;
    let hers = synced(&alice, picnic.id()).await;
    assert_eq!(hers.name(), "Lake");
    hers.send_text("back again").await.unwrap();
    let said = texts(&synced(&bob, picnic.id()).await).await;
    assert_eq!(said, ["back again"]);
}

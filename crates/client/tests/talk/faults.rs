//! Networks that fail while something is sent.

use std::{sync::Arc, time::Duration};

use folkmoot_client::{Client, DeliveryStatus, ManualClock, SendOptions};
use folkmoot_conversation::content::Content;
use folkmoot_wire::{InboxId, MessageId};

use crate::{
    people::{Generation, World, assert_same_epoch, both_generations, group, soon, synced, texts},
    relay::{Fault, Relay},
};

both_generations!(
    a_message_that_the_node_refuses_holds_nothing_up,
    a_message_that_a_gateway_calls_too_large_holds_nothing_up,
    what_is_denied_waits_for_a_better_credential,
    what_a_cut_stopped_is_sent_once_and_first,
    what_failed_is_done_without_being_asked_for_again,
    welcomes_of_one_who_was_removed_are_sent,
    many_are_added_with_commits_that_the_network_takes,
);

async fn a_message_that_the_node_refuses_holds_nothing_up(world: World) {
    nothing_is_held_up_by(world, Fault::Limit(20_000)).await;
}

async fn a_message_that_a_gateway_calls_too_large_holds_nothing_up(world: World) {
    nothing_is_held_up_by(world, Fault::GatewayLimit(20_000)).await;
}

async fn what_is_denied_waits_for_a_better_credential(world: World) {
    let relay = Relay::to(world.network());
    let alice = world.client_over(1, relay.clone()).await;
    let bob = world.client(2).await;
    let picnic = group(&alice, &[&bob]).await;
    relay.set(Fault::Denied);
    let denied = picnic.send_text("one").await.unwrap_err();
    assert!(denied.to_string().contains("the token is over"), "{denied}");
    relay.set(Fault::Nothing);
    picnic.send_text("two").await.unwrap();
    assert_eq!(
        texts(&synced(&bob, picnic.id()).await).await,
        ["one", "two"]
    );
}

/// A message beyond 20 000 bytes meets `limit`, and those around it are sent.
async fn nothing_is_held_up_by(world: World, limit: Fault) {
    let relay = Relay::to(world.network());
    let alice = world.client_over(1, relay.clone()).await;
    let bob = world.client(2).await;
    let mut picnic = group(&alice, &[&bob]).await;
    relay.set(limit);
    let long = "x".repeat(20_000);
    let mut waiting = Vec::new();
    for text in ["one", &long, "two"] {
        let content = Content::text(text);
        let stored = picnic.send_optimistic(&content, SendOptions::default());
        waiting.push(stored.await.unwrap());
    }
    picnic.sync().await.unwrap();
    assert_eq!(
        delivery(&alice, &waiting[0]).await,
        DeliveryStatus::Published
    );
    assert_eq!(delivery(&alice, &waiting[1]).await, DeliveryStatus::Failed);
    assert_eq!(
        delivery(&alice, &waiting[2]).await,
        DeliveryStatus::Published
    );

    let refused = picnic.send_text(long).await.unwrap_err();
    assert!(!refused.is_retryable(), "{refused}");
    picnic.send_text("three").await.unwrap();
    picnic.set_name("Picnic").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["one", "two", "three"]);
    assert_eq!(bobs.name(), "Picnic");
}

async fn what_a_cut_stopped_is_sent_once_and_first(world: World) {
    let relay = Relay::to(world.network());
    let clock = ManualClock::now();
    let alice = world
        .client_over_at(1, relay.clone(), Arc::new(clock.clone()))
        .await;
    let bob = world.client(2).await;
    let picnic = group(&alice, &[&bob]).await;
    picnic.send_text("one").await.unwrap();

    // So long after the last look at the members the network is asked before anything is sent.
    clock.advance(Duration::from_secs(60));
    relay.set(Fault::Cut);
    assert!(picnic.send_text("two").await.unwrap_err().is_retryable());
    relay.set(Fault::AnswersLost);
    assert!(picnic.send_text("three").await.unwrap_err().is_retryable());
    relay.set(Fault::Cut);
    assert!(picnic.send_text("four").await.unwrap_err().is_retryable());
    relay.set(Fault::Nothing);
    picnic.send_text("five").await.unwrap();
    let said = ["one", "two", "three", "four", "five"];
    assert_eq!(texts(&synced(&bob, picnic.id()).await).await, said);
    assert_eq!(texts(&synced(&alice, picnic.id()).await).await, said);
}

async fn what_failed_is_done_without_being_asked_for_again(world: World) {
    let relay = Relay::to(world.network());
    let alice = world.busy_client_over(1, relay.clone()).await;
    let [bob, carol] = [world.client(2).await, world.client(3).await];
    let mut picnic = group(&alice, &[&carol]).await;
    relay.set(Fault::NoWelcomes);
    let failed = picnic.add_members([bob.inbox_id()]).await.unwrap_err();
    assert!(failed.is_retryable(), "{failed}");
    relay.set(Fault::Cut);
    let failed = picnic.send_text("hello").await.unwrap_err();
    assert!(failed.is_retryable(), "{failed}");
    relay.set(Fault::Nothing);
    let bobs = soon(async {
        loop {
            bob.conversations().sync().await.unwrap();
            match bob.conversations().get(picnic.id()).await {
                Ok(_) => break synced(&bob, picnic.id()).await,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    let bobs = bobs.await;
    soon(async {
        while texts(&bobs).await.is_empty() {
            bobs.sync().await.unwrap();
        }
    })
    .await;
    assert_eq!(texts(&bobs).await, ["hello"]);
}

async fn welcomes_of_one_who_was_removed_are_sent(world: World) {
    let relay = Relay::to(world.network());
    let [alice, carol] = world.clients().await;
    let bob = world.client_over(3, relay.clone()).await;
    let mut picnic = group(&alice, &[&bob]).await;
    let mut bobs = synced(&bob, picnic.id()).await;
    relay.set(Fault::NoWelcomes);
    let failed = bobs.add_members([carol.inbox_id()]).await.unwrap_err();
    assert!(failed.is_retryable(), "{failed}");
    picnic.remove_members([bob.inbox_id()]).await.unwrap();
    assert!(bob.conversations().sync_all(&[]).await.is_err());
    assert!(carol.conversations().sync().await.unwrap().is_empty());
    relay.set(Fault::Nothing);
    bob.conversations().sync_all(&[]).await.unwrap();
    picnic.send_text("welcome").await.unwrap();
    let carols = synced(&carol, picnic.id()).await;
    assert_eq!(texts(&carols).await, ["welcome"]);
    assert_same_epoch(&[&picnic, &carols]).await;
}

async fn many_are_added_with_commits_that_the_network_takes(world: World) {
    let relay = Relay::to(world.network());
    let people: [Client; 6] = world.clients().await;
    let [bob, carol, dave, erin, frank, grace] = &people;
    let alice = world.client_over(7, relay.clone()).await;
    // Room for two installations.
    relay.set(Fault::Limit(64_000));
    let mut picnic = group(&alice, &[bob, carol, dave]).await;
    assert_eq!(picnic.epoch(), 2);
    let nobody = InboxId::from_bytes([9; 32]);
    let strangers = [erin.inbox_id(), frank.inbox_id(), grace.inbox_id(), nobody];
    picnic.add_members(strangers).await.unwrap_err();
    assert_eq!(picnic.members().await.unwrap().len(), 4);
    picnic.add_members(strangers[..3].to_vec()).await.unwrap();
    assert_eq!(picnic.epoch(), 4);
    picnic.send_text("all here").await.unwrap();
    for one in &people {
        let theirs = synced(one, picnic.id()).await;
        assert_eq!(texts(&theirs).await, ["all here"]);
        assert_eq!(theirs.members().await.unwrap().len(), 7);
        assert_same_epoch(&[&picnic, &theirs]).await;
    }
}

/// Only where a network has several nodes may it show a message before the commit that it follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_before_its_commit_is_read_after_it() {
    let world = World::new(Generation::D14n).await;
    let relay = Relay::to(world.network());
    let alice = world.client(1).await;
    let bob = world.client_over(2, relay.clone()).await;
    let mut picnic = group(&alice, &[&bob]).await;
    relay.set(Fault::NoCommits);
    picnic.set_name("Picnic").await.unwrap();
    picnic.send_text("early").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert!(texts(&bobs).await.is_empty());
    relay.set(Fault::Nothing);
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["early"]);
    assert_eq!(bobs.name(), "Picnic");
}

async fn delivery(client: &Client, message: &MessageId) -> DeliveryStatus {
    let conversations = client.conversations();
    conversations.message(message).await.unwrap().delivery
}

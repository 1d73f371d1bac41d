//! A v3 node that once showed numbers that are too large: what it numbers properly afterwards is
//! read all the same.

use folkmoot_client::{Conversation, ConversationState, StreamOptions};

use crate::{
    people::{Generation, World, assert_same_epoch, group, soon, synced, text, texts},
    relay::{Fault, Relay},
};

/// Far beyond any number of a node in a test.
const FAR: u64 = 1 << 40;

async fn assert_all_is_well(hers: &mut Conversation, his: &Conversation) {
    hers.sync().await.unwrap();
    hers.refresh().await.unwrap();
    assert_eq!(his.state(), ConversationState::Active);
    assert_eq!(texts(his).await, texts(hers).await);
    assert_same_epoch(&[hers, his]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_a_number_that_was_too_large_is_read() {
    let world = World::new(Generation::V3).await;
    let alice = world.client(1).await;
    let relay = Relay::to(world.network());
    let bob = world.client_over(2, relay.clone()).await;
    let mut hers = group(&alice, &[&bob]).await;
    for round in 0..3 {
        hers.send_text(format!("before {round}")).await.unwrap();
        hers.set_name(format!("before {round}")).await.unwrap();
        relay.set(Fault::Inflated(FAR));
        synced(&bob, hers.id()).await;
        relay.set(Fault::Nothing);
        // Small and properly numbered: none of it would be asked for.
        hers.send_text(format!("after {round}")).await.unwrap();
        hers.set_name(format!("after {round}")).await.unwrap();
        hers.send_text(format!("in the next epoch {round}"))
            .await
            .unwrap();
        // The first sync of a conversation looks by itself, that of all looks each time.
        if round == 0 {
            synced(&bob, hers.id()).await;
        } else {
            bob.conversations().sync_all(&[]).await.unwrap();
        }
        let mut his = bob.conversations().get(hers.id()).await.unwrap();
        his.refresh().await.unwrap();
        assert_eq!(his.name(), format!("after {round}"));
        assert_all_is_well(&mut hers, &his).await;
        // What Bob sends is in step with it.
        his.send_text(format!("here too {round}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_meanwhile_hears_on() {
    let world = World::new(Generation::V3).await;
    let alice = world.client(1).await;
    let relay = Relay::to(world.network());
    let bob = world.client_over(2, relay.clone()).await;
    let mut hers = group(&alice, &[&bob]).await;
    let options = StreamOptions {
        without_changes: true,
        ..StreamOptions::default()
    };
    let mut heard = bob
        .conversations()
        .stream_all_messages(options)
        .await
        .unwrap();
    let mut hears = async |said: &str| {
        let message = soon(heard.next()).await.unwrap();
        assert_eq!(text(&message).unwrap(), said);
    };
    hers.send_text("one").await.unwrap();
    hears("one").await;
    relay.set(Fault::Inflated(FAR));
    hers.send_text("two").await.unwrap();
    hears("two").await;
    relay.set(Fault::Nothing);
    hers.send_text("three").await.unwrap();
    bob.conversations().sync_all(&[]).await.unwrap();
    hears("three").await;
    // By itself from here on.
    hers.send_text("four").await.unwrap();
    hears("four").await;
    let his = bob.conversations().get(hers.id()).await.unwrap();
    assert_all_is_well(&mut hers, &his).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn welcomes_after_a_number_that_was_too_large_are_taken() {
    let world = World::new(Generation::V3).await;
    let alice = world.client(1).await;
    let relay = Relay::to(world.network());
    let bob = world.client_over(2, relay.clone()).await;
    relay.set(Fault::Inflated(FAR));
    let mut first = group(&alice, &[&bob]).await;
    relay.set(Fault::Nothing);
    let mut second = group(&alice, &[&bob]).await;
    let mut third = group(&alice, &[&bob]).await;
    for hers in [&mut first, &mut second, &mut third] {
        hers.send_text("hello").await.unwrap();
        let his = synced(&bob, hers.id()).await;
        assert_all_is_well(hers, &his).await;
    }
}

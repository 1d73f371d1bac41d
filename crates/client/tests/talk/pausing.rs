//! Groups that ask for a newer program.

use folkmoot_client::{Client, ConversationState, LiveState, StreamOptions};
use folkmoot_conversation::{context::Attribute, version::Version};
use folkmoot_wire::GroupId;

use crate::{
    people::{World, assert_same_epoch, both_generations, group, soon, synced, text, texts},
    relay::Relay,
};

both_generations!(
    a_group_that_pauses_misses_nothing_until_the_program_is_newer,
    a_group_joined_while_it_asks_for_more_goes_on_with_a_newer_program,
);

const OLD: Version = Version::new(1, 6, 0);

async fn a_group_that_pauses_misses_nothing_until_the_program_is_newer(world: World) {
    let alice = world.client(1).await;
    let bob = world.stored_as_of(2, "bob", OLD).await;
    let relay = Relay::to(world.network());
    let carol = world.client_over(3, relay.clone()).await;
    let mut picnic = group(&alice, &[&bob, &carol]).await;
    let id = picnic.id().clone();
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    synced(&bob, dm.id()).await;
    let options = StreamOptions {
        without_changes: true,
        ..StreamOptions::default()
    };
    let conversations = bob.conversations();
    let mut heard = conversations.stream_all_messages(options).await.unwrap();
    soon(caught_up(&bob)).await;

    // What Carol says and does next belongs to an epoch that is over when it arrives.
    let mut carols = synced(&carol, &id).await;
    carols.send_text("in time").await.unwrap();
    assert_eq!(text(&soon(heard.next()).await.unwrap()).unwrap(), "in time");
    relay.hold();
    assert!(carols.send_text("late").await.unwrap_err().is_retryable());
    assert!(carols.set_name("Late").await.unwrap_err().is_retryable());
    drop((carols, carol));
    synced(&alice, &id).await;
    let minimum = picnic.set_attribute(Attribute::MinimumVersion, "1.9.0");
    minimum.await.unwrap();
    soon(paused(&bob, &id)).await;
    relay.release().await;
    picnic.send_text("after").await.unwrap();
    dm.send_text("do you hear us?").await.unwrap();
    let message = soon(heard.next()).await.unwrap();
    assert_eq!(text(&message).unwrap(), "do you hear us?");
    assert_eq!(state(&bob, &id).await, waits());
    let bobs = synced(&bob, &id).await;
    assert!(bobs.send_text("hello?").await.is_err());
    drop((bobs, heard, conversations));
    bob.close().await;

    let bob = world.stored(2, "bob").await;
    let bobs = synced(&bob, &id).await;
    assert_eq!(bobs.state(), ConversationState::Active);
    assert_eq!(texts(&bobs).await, ["in time", "late", "after"]);
    let picnic = synced(&alice, &id).await;
    assert_same_epoch(&[&picnic, &bobs]).await;
}

async fn a_group_joined_while_it_asks_for_more_goes_on_with_a_newer_program(world: World) {
    let [alice, carol] = world.clients().await;
    let mut picnic = group(&alice, &[&carol]).await;
    let id = picnic.id().clone();
    let minimum = picnic.set_attribute(Attribute::MinimumVersion, "1.9.0");
    minimum.await.unwrap();
    let bob = world.stored_as_of(3, "bob", OLD).await;
    picnic.add_members([bob.inbox_id()]).await.unwrap();
    let bobs = synced(&bob, &id).await;
    assert_eq!(bobs.state(), waits());
    assert!(bobs.send_text("hello?").await.is_err());
    drop(bobs);
    bob.close().await;

    let bob = world.stored(3, "bob").await;
    let bobs = bob.conversations().get(&id).await.unwrap();
    assert_eq!(bobs.state(), ConversationState::Active);
    bobs.send_text("hello").await.unwrap();
    assert_eq!(texts(&synced(&alice, &id).await).await, ["hello"]);
}

fn waits() -> ConversationState {
    ConversationState::Paused("1.9.0".into())
}

async fn state(client: &Client, id: &GroupId) -> ConversationState {
    client.conversations().get(id).await.unwrap().state()
}

async fn paused(client: &Client, id: &GroupId) {
    while state(client, id).await != waits() {
        tokio::task::yield_now().await;
    }
}

async fn caught_up(client: &Client) {
    let caught_up = |state| {
        matches!(
            state,
            LiveState::On {
                caught_up: true,
                ..
            }
        )
    };
    while !caught_up(client.conversations().live_state()) {
        tokio::task::yield_now().await;
    }
}

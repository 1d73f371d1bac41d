use std::collections::BTreeSet;

use folkmoot_client::{Change, StreamOptions};
use folkmoot_conversation::{
    ConsentState,
    content::{Content, Reaction},
    context::ConversationKind,
};
use futures::StreamExt as _;

use crate::people::{World, both_generations, group, soon, synced, text};

both_generations!(
    a_stream_shows_messages_as_they_come,
    a_stream_shows_conversations_as_they_come,
    a_stream_goes_on_where_an_earlier_one_ended,
    a_stream_of_conversations_goes_on_where_an_earlier_one_ended,
    streams_are_mixed_as_others_are,
    a_stream_shows_what_it_is_asked_for,
    what_others_do_to_messages_is_told,
);

async fn a_stream_shows_messages_as_they_come(world: World) {
    let [alice, bob] = world.clients().await;
    let options = StreamOptions {
        without_own: true,
        without_changes: true,
        ..StreamOptions::default()
    };
    let mut heard = bob
        .conversations()
        .stream_all_messages(options)
        .await
        .unwrap();
    // Neither conversation exists when the stream begins.
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    dm.send_text("one").await.unwrap();
    assert_eq!(text(&soon(heard.next()).await.unwrap()).unwrap(), "one");
    let picnic = group(&alice, &[&bob]).await;
    picnic.send_text("two").await.unwrap();
    let message = soon(heard.next()).await.unwrap();
    assert_eq!(text(&message).unwrap(), "two");
    assert_eq!(message.sender, alice.inbox_id());
    assert_eq!(message.conversation_id, *picnic.id());
    let there = bob.conversations().get(dm.id()).await.unwrap();
    there.send_text("own words").await.unwrap();
    dm.send_text("three").await.unwrap();
    assert_eq!(text(&soon(heard.next()).await.unwrap()).unwrap(), "three");
}

async fn a_stream_shows_conversations_as_they_come(world: World) {
    let [alice, bob] = world.clients().await;
    let mut new = bob.conversations().stream(None).await.unwrap();
    let mut groups = bob
        .conversations()
        .stream(Some(ConversationKind::Group))
        .await
        .unwrap();
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    assert_eq!(soon(new.next()).await.unwrap().id(), dm.id());
    let picnic = group(&alice, &[&bob]).await;
    assert_eq!(soon(new.next()).await.unwrap().id(), picnic.id());
    assert_eq!(soon(groups.next()).await.unwrap().id(), picnic.id());
}

async fn a_stream_of_conversations_goes_on_where_an_earlier_one_ended(world: World) {
    let [alice, bob] = world.clients().await;
    let mut new = bob.conversations().stream(None).await.unwrap();
    let one = group(&alice, &[&bob]).await;
    assert_eq!(soon(new.next()).await.unwrap().id(), one.id());
    let known = new.known();
    drop(new);
    let two = group(&alice, &[&bob]).await;
    bob.conversations().sync().await.unwrap();
    let new = bob.conversations().stream_after(None, known).await;
    let mut new = new.unwrap();
    assert_eq!(soon(new.next()).await.unwrap().id(), two.id());
}

async fn streams_are_mixed_as_others_are(world: World) {
    let [alice, bob] = world.clients().await;
    let messages = bob
        .conversations()
        .stream_all_messages(StreamOptions {
            without_changes: true,
            ..StreamOptions::default()
        })
        .await
        .unwrap();
    let new = bob.conversations().stream(None).await.unwrap();
    let said = messages
        .into_stream()
        .map(|message| text(&message.unwrap()).unwrap());
    let met = new.into_stream().map(|one| one.unwrap().id().to_string());
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    dm.send_text("hello").await.unwrap();
    let both: BTreeSet<_> = soon(futures::stream::select(said, met).take(2).collect()).await;
    assert_eq!(both, ["hello".to_owned(), dm.id().to_string()].into());
}

async fn what_others_do_to_messages_is_told(world: World) {
    let [alice, bob] = world.clients().await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let id = dm.send_text("at nine").await.unwrap();
    let there = synced(&bob, dm.id()).await;
    let mut changes = bob.conversations().stream_changes().await.unwrap();
    let mut told = async |wanted: Change| {
        soon(async { while changes.next().await != Some(wanted.clone()) {} }).await;
    };
    dm.edit_message(&id, &Content::text("at ten"))
        .await
        .unwrap();
    told(Change::MessagesUpdated(vec![id])).await;
    let reaction = Content::from(Reaction::emoji(id, "👍"));
    dm.send(&reaction).await.unwrap();
    told(Change::MessagesUpdated(vec![id])).await;
    dm.delete_message(&id).await.unwrap();
    told(Change::MessagesDeleted(vec![id])).await;
    let own = there.send_text("too late").await.unwrap();
    there.delete_message(&own).await.unwrap();
    told(Change::MessagesDeleted(vec![own])).await;
}

async fn a_stream_goes_on_where_an_earlier_one_ended(world: World) {
    let [alice, bob] = world.clients().await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let options = StreamOptions {
        without_changes: true,
        ..StreamOptions::default()
    };
    let mut first = bob
        .conversations()
        .stream_all_messages(options.clone())
        .await
        .unwrap();
    dm.send_text("one").await.unwrap();
    assert_eq!(text(&soon(first.next()).await.unwrap()).unwrap(), "one");
    let after = Some(first.position());
    drop(first);
    dm.send_text("two").await.unwrap();
    let mut second = bob
        .conversations()
        .stream_all_messages(StreamOptions { after, ..options })
        .await
        .unwrap();
    dm.send_text("three").await.unwrap();
    assert_eq!(text(&soon(second.next()).await.unwrap()).unwrap(), "two");
    assert_eq!(text(&soon(second.next()).await.unwrap()).unwrap(), "three");
}

async fn a_stream_shows_what_it_is_asked_for(world: World) {
    let [alice, bob] = world.clients().await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let picnic = group(&alice, &[&bob]).await;
    let there = synced(&bob, dm.id()).await;
    there.set_consent(ConsentState::Denied).await.unwrap();
    let options = StreamOptions {
        consent: vec![ConsentState::Unknown, ConsentState::Allowed],
        without_changes: true,
        ..StreamOptions::default()
    };
    let mut wanted = bob
        .conversations()
        .stream_all_messages(options)
        .await
        .unwrap();
    let mut one = there.stream(StreamOptions::default()).await.unwrap();
    dm.send_text("not wanted").await.unwrap();
    assert_eq!(
        text(&soon(one.next()).await.unwrap()).unwrap(),
        "not wanted"
    );
    picnic.send_text("wanted").await.unwrap();
    assert_eq!(text(&soon(wanted.next()).await.unwrap()).unwrap(), "wanted");
    let mut consents = bob.conversations().stream_consent().await.unwrap();
    there.set_consent(ConsentState::Allowed).await.unwrap();
    assert_eq!(
        soon(consents.next()).await.unwrap().state,
        ConsentState::Allowed
    );
}

use folkmoot_client::{
    ConversationError, ConversationState, DeliveryStatus, Error, ListOptions, MessageQuery,
};
use folkmoot_conversation::{
    ConsentState,
    content::{Content, Reaction, Reply},
};

use crate::people::{World, assert_same_epoch, both_generations, synced, texts};

both_generations!(
    two_people_talk,
    a_dm_is_made_once,
    two_dms_of_one_pair_are_one_conversation,
    reactions_and_replies_are_attached,
    a_deleted_message_is_shown_as_deleted,
);

async fn two_people_talk(world: World) {
    let [alice, bob] = world.clients().await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    assert_eq!(dm.peer(), Some(bob.inbox_id()));
    let id = dm.send_text("hello").await.unwrap();
    let sent = alice.conversations().message(&id).await.unwrap();
    assert_eq!(sent.delivery, DeliveryStatus::Published);

    let there = synced(&bob, dm.id()).await;
    assert_eq!(there.peer(), Some(alice.inbox_id()));
    assert_eq!(texts(&there).await, ["hello"]);
    assert_eq!(there.consent().await.unwrap(), ConsentState::Unknown);
    there.send_text("hi yourself").await.unwrap();
    assert_eq!(there.consent().await.unwrap(), ConsentState::Allowed);

    let here = synced(&alice, dm.id()).await;
    assert_eq!(texts(&here).await, ["hello", "hi yourself"]);
    assert_eq!(
        texts(&synced(&bob, dm.id()).await).await,
        ["hello", "hi yourself"]
    );
    assert_same_epoch(&[&here, &there]).await;
    assert_eq!(here.state(), ConversationState::Active);
    let read_back = alice.conversations().message(&id).await.unwrap();
    assert!(read_back.place.is_some());
}

async fn a_dm_is_made_once(world: World) {
    let [alice, bob] = world.clients().await;
    let first = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let again = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    assert_eq!(first.id(), again.id());
    bob.conversations().sync().await.unwrap();
    let there = bob.conversations().new_dm(alice.inbox_id()).await.unwrap();
    assert_eq!(first.id(), there.id());
    let with_self = alice.conversations().new_dm(alice.inbox_id()).await;
    assert!(matches!(
        with_self,
        Err(Error::Conversation(ConversationError::DmWithSelf))
    ));
}

async fn two_dms_of_one_pair_are_one_conversation(world: World) {
    let [alice, bob] = world.clients().await;
    let hers = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let his = bob.conversations().new_dm(alice.inbox_id()).await.unwrap();
    assert_ne!(hers.id(), his.id());
    hers.send_text("from alice").await.unwrap();
    his.send_text("from bob").await.unwrap();
    for client in [&alice, &bob] {
        client.conversations().sync_all(&[]).await.unwrap();
        let dms = client
            .conversations()
            .list(&ListOptions::default())
            .await
            .unwrap();
        assert_eq!(dms.len(), 1);
        dms[0].sync().await.unwrap();
        let mut said = texts(&dms[0]).await;
        said.sort();
        assert_eq!(said, ["from alice", "from bob"]);
    }
    let shown = |client: &folkmoot_client::Client| {
        let conversations = client.conversations();
        async move {
            let dms = conversations.list(&ListOptions::default()).await.unwrap();
            dms[0].id().clone()
        }
    };
    assert_eq!(shown(&alice).await, shown(&bob).await);
}

async fn reactions_and_replies_are_attached(world: World) {
    let [alice, bob] = world.clients().await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let id = dm.send_text("at noon?").await.unwrap();
    let there = synced(&bob, dm.id()).await;
    let reaction = Content::from(Reaction::emoji(id, "👍"));
    there.send(&reaction).await.unwrap();
    let reply = Reply::new(id, &Content::text("at one")).unwrap();
    there.send(&reply.into()).await.unwrap();
    let here = synced(&alice, dm.id()).await;
    let shown = here
        .enriched_messages(&MessageQuery::default())
        .await
        .unwrap();
    let shown: Vec<_> = shown.into_iter().filter(|one| !one.is_change()).collect();
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0].reactions.len(), 1);
    assert_eq!(shown[0].replies, 1);
    let answered = shown[1].in_reply_to.as_ref().unwrap();
    assert_eq!(answered.id, id);
}

async fn a_deleted_message_is_shown_as_deleted(world: World) {
    let [alice, bob] = world.clients().await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let id = dm.send_text("forget this").await.unwrap();
    let there = synced(&bob, dm.id()).await;
    assert!(there.delete_message(&id).await.is_err());
    dm.delete_message(&id).await.unwrap();
    assert!(dm.delete_message(&id).await.is_err());
    let there = synced(&bob, dm.id()).await;
    let shown = there
        .enriched_messages(&MessageQuery::default())
        .await
        .unwrap();
    let message = shown.iter().find(|one| one.message.id == id).unwrap();
    assert!(message.deleted.is_some());
}

use folkmoot_client::{
    Client, Conversation, ConversationError, ConversationState, DeliveryStatus, Error, ListOptions,
    MessageQuery, SendOptions,
    network::{NetworkAddress, NetworkOptions},
};
use folkmoot_conversation::{
    ConsentState,
    content::{Content, EncodedContent, Reaction, Reply, Typing},
};

use crate::people::{
    World, assert_same_epoch, both_generations, changes, group, synced, text, texts,
};

both_generations!(
    two_people_talk,
    a_dm_is_made_once,
    two_dms_of_one_pair_are_one_conversation,
    reactions_and_replies_are_attached,
    what_is_said_elsewhere_is_not_about_a_message,
    the_newest_message_is_one_that_is_shown,
    a_deleted_message_is_shown_as_deleted,
    an_edit_goes_to_the_copy_that_holds_the_message,
    what_waits_in_one_copy_is_sent_although_another_is_dead,
    a_dm_in_which_something_was_written_is_not_forgotten,
    a_forged_entry_about_members_is_no_entry,
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
    // A third copy, by a device that knows of neither: nothing new is told of who is in it.
    let told = {
        let hers = synced(&alice, hers.id()).await;
        changes(&hers).await
    };
    let phone = world.client(2).await;
    let third = phone.conversations().new_dm(alice.inbox_id()).await;
    third.unwrap().send_text("from the phone").await.unwrap();
    alice.conversations().sync_all(&[]).await.unwrap();
    let all = synced(&alice, hers.id()).await;
    assert!(texts(&all).await.contains(&"from the phone".to_owned()));
    assert_eq!(changes(&all).await, told);
    bob.conversations().sync_all(&[]).await.unwrap();
    let shown = |client: &Client| {
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

    // What was edited is quoted as it is now, and what was taken back is not quoted.
    dm.edit_message(&id, &Content::text("at one?"))
        .await
        .unwrap();
    let shown = async || {
        let query = MessageQuery {
            type_ids: vec!["reply".to_owned()],
            ..MessageQuery::default()
        };
        here.sync().await.unwrap();
        here.enriched_messages(&query).await.unwrap().remove(0)
    };
    let answered = shown().await.in_reply_to.unwrap();
    assert_eq!(answered.content, Content::text("at one?"));
    dm.delete_message(&id).await.unwrap();
    assert_eq!(shown().await.in_reply_to, None);
}

async fn what_is_said_elsewhere_is_not_about_a_message(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let picnic = group(&alice, &[&bob]).await;
    let id = picnic.send_text("at noon").await.unwrap();
    let elsewhere = carol
        .conversations()
        .new_dm(alice.inbox_id())
        .await
        .unwrap();
    let reaction = Content::from(Reaction::emoji(id, "👎"));
    elsewhere.send(&reaction).await.unwrap();
    let reply = Reply::new(id, &Content::text("no")).unwrap();
    elsewhere.send(&reply.into()).await.unwrap();
    let there = synced(&alice, elsewhere.id()).await;
    let here = synced(&alice, picnic.id()).await;
    let all = here
        .enriched_messages(&MessageQuery::default())
        .await
        .unwrap();
    let said = all.iter().find(|one| one.message.id == id).unwrap();
    assert!(said.reactions.is_empty());
    assert_eq!(said.replies, 0);
    let all = there
        .enriched_messages(&MessageQuery::default())
        .await
        .unwrap();
    assert!(all.iter().all(|one| one.in_reply_to.is_none()));
}

async fn the_newest_message_is_one_that_is_shown(world: World) {
    let [alice, bob] = world.clients().await;
    let picnic = group(&alice, &[&bob]).await;
    picnic.send_text("at noon").await.unwrap();
    let id = picnic.send_text("at one").await.unwrap();
    let newest = async || {
        let newest = picnic.last_message().await.unwrap();
        text(&newest.unwrap())
    };
    picnic
        .send(&Content::Typing(Typing::Started))
        .await
        .unwrap();
    picnic
        .edit_message(&id, &Content::text("at two"))
        .await
        .unwrap();
    assert_eq!(newest().await.as_deref(), Some("at one"));
    picnic.delete_message(&id).await.unwrap();
    assert_eq!(newest().await.as_deref(), Some("at noon"));
}

/// Two copies of the DM of two people, known to both: Alice's, and Bob's, which is the one in use.
async fn two_copies(world: &World, alice: &Client) -> (Client, Conversation, Conversation) {
    let bob = world.client(2).await;
    let hers = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let his = bob.conversations().new_dm(alice.inbox_id()).await.unwrap();
    hers.send_text("from alice").await.unwrap();
    his.send_text("from bob").await.unwrap();
    for client in [alice, &bob] {
        client.conversations().sync_all(&[]).await.unwrap();
    }
    (bob, hers, his)
}

async fn an_edit_goes_to_the_copy_that_holds_the_message(world: World) {
    let alice = world.client(1).await;
    let (bob, hers, his) = two_copies(&world, &alice).await;
    let said = hers.messages(&MessageQuery::default()).await.unwrap();
    let from_alice = said
        .iter()
        .find(|message| text(message).as_deref() == Some("from alice"));
    let id = from_alice.unwrap().id;
    let better = Content::text("from Alice");
    hers.edit_message(&id, &better).await.unwrap();
    for (client, dm) in [(&alice, &hers), (&bob, &his)] {
        client.conversations().sync_all(&[]).await.unwrap();
        let shown = dm
            .enriched_messages(&MessageQuery::default())
            .await
            .unwrap();
        let shown = shown.iter().find(|one| one.message.id == id).unwrap();
        assert_eq!(shown.edited, Some(better.clone()));
    }
    let reaction = Content::from(Reaction::emoji(id, "👍"));
    let refused = hers.edit_message(&id, &reaction).await;
    assert!(matches!(
        refused,
        Err(Error::Conversation(ConversationError::OtherType(_)))
    ));
    hers.delete_message(&id).await.unwrap();
    let refused = hers.edit_message(&id, &better).await;
    assert!(matches!(
        refused,
        Err(Error::Conversation(ConversationError::Deletion(_)))
    ));
}

async fn what_waits_in_one_copy_is_sent_although_another_is_dead(world: World) {
    let alice = world.stored(1, "alice").await;
    let (bob, hers, his) = two_copies(&world, &alice).await;
    let dead = his.id().as_bytes().to_vec();
    let kill = alice.database().write(move |db| {
        let sql = "UPDATE conversation SET active = 0 WHERE id = ?1";
        Ok(db.execute(sql, [dead])?)
    });
    assert_eq!(kill.await.unwrap(), 1);
    let id = hers.id().clone();
    drop(hers);
    alice.close().await;

    let alice = world.stored(1, "alice").await;
    let hers = alice.conversations().get(&id).await.unwrap();
    let waiting = Content::text("waiting");
    let options = SendOptions::default();
    hers.send_optimistic(&waiting, options).await.unwrap();
    hers.publish().await.unwrap();
    let there = synced(&bob, &id).await;
    assert!(texts(&there).await.contains(&"waiting".to_owned()));
}

async fn a_dm_in_which_something_was_written_is_not_forgotten(world: World) {
    // She has an inbox and no key package.
    let peer = folkmoot_testkit::Person::new(9);
    let alice = world.stored(1, "alice").await;
    let network = alice.network();
    let registration = peer.registration();
    network
        .publish_identity_update(&peer.inbox, registration)
        .await
        .unwrap();
    let nobody = alice.conversations().new_dm(peer.inbox).await;
    assert!(!nobody.unwrap_err().is_retryable());
    let none = alice.conversations().dm(peer.inbox).await.unwrap();
    assert!(none.is_none(), "nothing was in it");
    alice.close().await;

    let nowhere = NetworkOptions::new(NetworkAddress::Node("http://127.0.0.1:9".into()));
    let nowhere = nowhere.network().unwrap();
    let alice = world.stored_over(1, "alice", nowhere).await;
    let offline = alice.conversations().new_dm(peer.inbox).await;
    assert!(offline.unwrap_err().is_retryable());
    let dm = alice.conversations().dm(peer.inbox).await.unwrap().unwrap();
    let hello = Content::text("hello");
    let options = SendOptions::default();
    dm.send_optimistic(&hello, options).await.unwrap();
    drop(dm);
    alice.close().await;

    let alice = world.stored(1, "alice").await;
    let nobody = alice.conversations().new_dm(peer.inbox).await;
    assert!(!nobody.unwrap_err().is_retryable());
    let dm = alice.conversations().dm(peer.inbox).await.unwrap().unwrap();
    assert_eq!(texts(&dm).await, ["hello"]);
}

async fn a_forged_entry_about_members_is_no_entry(world: World) {
    let [alice, bob] = world.clients().await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let there = synced(&bob, dm.id()).await;
    let true_entry = there.messages(&MessageQuery::default()).await.unwrap();
    assert!(matches!(true_entry[0].content, Content::GroupUpdated(_)));
    let forged = EncodedContent::decode(true_entry[0].encoded.clone()).unwrap();
    let options = SendOptions::default();
    let id = dm.send_encoded(&forged, options).await.unwrap();
    synced(&bob, dm.id()).await;
    for client in [&alice, &bob] {
        let forged = client.conversations().message(&id).await.unwrap();
        assert!(matches!(forged.content, Content::Custom(_)));
    }
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

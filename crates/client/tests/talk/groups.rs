use folkmoot_client::{
    ConversationError, ConversationState, DeliveryStatus, Error, GroupOptions, ListOptions,
    MemberRole, MembershipState, SendOptions,
};
use folkmoot_conversation::{
    ConsentState,
    content::Content,
    context::{AdminChange, DisappearingSettings},
    permissions::{PolicyKind, PolicySet, Who},
};

use crate::people::{
    World, assert_same_epoch, both_generations, changes, group, soon, synced, texts,
};

both_generations!(
    three_people_talk,
    members_come_and_go,
    a_removed_member_hears_nothing_said_after_and_comes_back,
    what_was_given_up_stays_so_when_somebody_comes_back,
    names_and_roles_change,
    who_may_not_is_told_so,
    somebody_leaves,
    messages_can_disappear,
    lists_are_filtered,
    a_group_of_many_costs_one_question_when_nothing_is_new,
);

async fn three_people_talk(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let picnic = group(&alice, &[&bob, &carol]).await;
    picnic.send_text("at noon").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    bobs.send_text("at the lake").await.unwrap();
    let carols = synced(&carol, picnic.id()).await;
    carols.send_text("I bring cake").await.unwrap();
    let said = ["at noon", "at the lake", "I bring cake"];
    for client in [&alice, &bob, &carol] {
        assert_eq!(texts(&synced(client, picnic.id()).await).await, said);
    }
    assert_same_epoch(&[&picnic, &bobs, &carols]).await;
}

async fn members_come_and_go(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let mut picnic = group(&alice, &[&bob]).await;
    picnic.send_text("before").await.unwrap();
    picnic.add_members([carol.inbox_id()]).await.unwrap();
    picnic.send_text("after").await.unwrap();
    let carols = synced(&carol, picnic.id()).await;
    assert_eq!(texts(&carols).await, ["after"]);
    assert_eq!(carols.added_by(), alice.inbox_id());
    assert_eq!(carols.members().await.unwrap().len(), 3);
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["before", "after"]);
    assert_eq!(changes(&bobs).await, 2);
    assert_same_epoch(&[&picnic, &bobs, &carols]).await;
    picnic.remove_members([bob.inbox_id()]).await.unwrap();
    let carols = synced(&carol, picnic.id()).await;
    assert_eq!(carols.members().await.unwrap().len(), 2);
    let stranger = picnic.remove_members([bob.inbox_id()]).await;
    assert!(matches!(
        stranger,
        Err(Error::Conversation(ConversationError::NotMember(_)))
    ));
}

async fn a_removed_member_hears_nothing_said_after_and_comes_back(world: World) {
    let [alice, bob] = world.clients().await;
    let mut picnic = group(&alice, &[&bob]).await;
    picnic.send_text("one").await.unwrap();
    picnic.remove_members([bob.inbox_id()]).await.unwrap();
    picnic.send_text("two").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["one"]);
    assert_eq!(bobs.state(), ConversationState::Inactive);
    assert!(bobs.trouble().is_some());
    let refused = bobs.send_text("hello?").await;
    assert!(refused.unwrap_err().to_string().contains("no longer"));
    picnic.add_members([bob.inbox_id()]).await.unwrap();
    picnic.send_text("three").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.state(), ConversationState::Active);
    assert_eq!(texts(&bobs).await, ["one", "three"]);
    bobs.send_text("four").await.unwrap();
    assert_eq!(
        texts(&synced(&alice, picnic.id()).await).await,
        ["one", "two", "three", "four"]
    );
}

async fn what_was_given_up_stays_so_when_somebody_comes_back(world: World) {
    let [alice, bob] = world.clients().await;
    let mut picnic = group(&alice, &[&bob]).await;
    let bobs = synced(&bob, picnic.id()).await;
    let content = Content::text("wait for me");
    let waiting = bobs.send_optimistic(&content, SendOptions::default());
    let waiting = waiting.await.unwrap();
    picnic.remove_members([bob.inbox_id()]).await.unwrap();
    let delivery = async || {
        let bobs = bob.conversations();
        bobs.message(&waiting).await.unwrap().delivery
    };
    synced(&bob, picnic.id()).await;
    assert_eq!(delivery().await, DeliveryStatus::Failed);
    let left = bob.database().read(|db| {
        let sql = "SELECT count(*) FROM intent";
        Ok(db.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(left.await.unwrap(), 0);

    picnic.add_members([bob.inbox_id()]).await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    bobs.send_text("here again").await.unwrap();
    assert_eq!(delivery().await, DeliveryStatus::Failed);
    let picnic = synced(&alice, picnic.id()).await;
    assert_eq!(texts(&picnic).await, ["here again"]);
}

async fn names_and_roles_change(world: World) {
    let [alice, bob] = world.clients().await;
    let options = GroupOptions {
        name: Some("Picnic".into()),
        description: Some("with cake".into()),
        permissions: Some(PolicySet::admins_only()),
        ..GroupOptions::default()
    };
    let mut picnic = alice
        .conversations()
        .new_group([bob.inbox_id()], options)
        .await
        .unwrap();
    let mut bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.name(), "Picnic");
    assert_eq!(bobs.description(), "with cake");
    assert!(bobs.set_name("Mine").await.is_err());
    picnic
        .change_admins(AdminChange::AddAdmin, bob.inbox_id())
        .await
        .unwrap();
    let mut bobs = synced(&bob, picnic.id()).await;
    let members = bobs.members().await.unwrap();
    let role = |inbox| {
        members
            .iter()
            .find(|one| one.inbox_id == inbox)
            .unwrap()
            .role
    };
    assert_eq!(role(alice.inbox_id()), MemberRole::SuperAdmin);
    assert_eq!(role(bob.inbox_id()), MemberRole::Admin);
    bobs.set_name("Bob's picnic").await.unwrap();
    bobs.set_image_url("https://example.org/cake.png")
        .await
        .unwrap();
    let mut picnic = synced(&alice, picnic.id()).await;
    assert_eq!(picnic.name(), "Bob's picnic");
    assert_eq!(picnic.image_url(), "https://example.org/cake.png");
    picnic
        .set_permission(PolicyKind::AddMember, Who::Everyone)
        .await
        .unwrap();
    assert_eq!(picnic.preset().unwrap(), None);
    let too_long = picnic.set_name("x".repeat(101)).await;
    assert!(matches!(
        too_long,
        Err(Error::Conversation(ConversationError::AttributeTooLong(_)))
    ));
}

async fn who_may_not_is_told_so(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let picnic = group(&alice, &[&bob, &carol]).await;
    let mut bobs = synced(&bob, picnic.id()).await;
    let refused = bobs.remove_members([carol.inbox_id()]).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::Conversation(ConversationError::Refused(_))
    ));
    assert!(!refused.is_retryable());
    // Nothing is left behind that would be in the way.
    bobs.send_text("sorry").await.unwrap();
    assert_eq!(texts(&synced(&alice, picnic.id()).await).await, ["sorry"]);
}

async fn somebody_leaves(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let mut picnic = group(&alice, &[&bob, &carol]).await;
    let refused = picnic.leave().await.unwrap_err();
    assert!(refused.to_string().contains("super admin"));
    let mut bobs = synced(&bob, picnic.id()).await;
    bobs.leave().await.unwrap();
    assert_eq!(bobs.membership_state(), MembershipState::PendingRemove);
    let picnic = synced(&alice, picnic.id()).await;
    assert_eq!(picnic.members().await.unwrap().len(), 2);
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.state(), ConversationState::Inactive);
    let carols = synced(&carol, picnic.id()).await;
    assert_eq!(carols.member_inboxes().len(), 2);
    assert_same_epoch(&[&picnic, &carols]).await;
}

async fn messages_can_disappear(world: World) {
    let [alice, bob] = world.clients().await;
    let mut dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let settings = DisappearingSettings {
        from_ns: 1,
        in_ns: 3_600_000_000_000,
    };
    dm.set_disappearing(Some(settings)).await.unwrap();
    let id = dm.send_text("soon gone").await.unwrap();
    assert!(
        alice
            .conversations()
            .message(&id)
            .await
            .unwrap()
            .expire_ns
            .is_some()
    );
    let mut there = synced(&bob, dm.id()).await;
    assert_eq!(there.disappearing(), Some(settings));
    assert!(
        bob.conversations()
            .message(&id)
            .await
            .unwrap()
            .expire_ns
            .is_some()
    );
    there.set_disappearing(None).await.unwrap();
    assert_eq!(there.disappearing(), None);
    let id = there.send_text("stays").await.unwrap();
    assert_eq!(
        bob.conversations().message(&id).await.unwrap().expire_ns,
        None
    );
}

async fn lists_are_filtered(world: World) {
    let [alice, bob] = world.clients().await;
    let dm = alice.conversations().new_dm(bob.inbox_id()).await.unwrap();
    let picnic = group(&alice, &[&bob]).await;
    picnic.send_text("newer").await.unwrap();
    dm.send_text("newest").await.unwrap();
    bob.conversations().sync_all(&[]).await.unwrap();
    let list = |options| {
        let conversations = bob.conversations();
        async move {
            let list = conversations.list(&options).await.unwrap();
            list.iter().map(|one| one.id().clone()).collect::<Vec<_>>()
        }
    };
    assert_eq!(
        list(ListOptions::default()).await,
        [dm.id().clone(), picnic.id().clone()]
    );
    let allowed = ListOptions {
        consent: vec![ConsentState::Allowed],
        ..ListOptions::default()
    };
    assert!(list(allowed.clone()).await.is_empty());
    let there = bob.conversations().get(picnic.id()).await.unwrap();
    there.set_consent(ConsentState::Allowed).await.unwrap();
    assert_eq!(list(allowed).await, [picnic.id().clone()]);
    let one = ListOptions {
        limit: Some(1),
        ..ListOptions::default()
    };
    assert_eq!(list(one).await.len(), 1);
}

async fn a_group_of_many_costs_one_question_when_nothing_is_new(world: World) {
    let [alice, bob] = world.clients().await;
    for _ in 0..3 {
        group(&alice, &[&bob]).await.send_text("x").await.unwrap();
    }
    let first = soon(bob.conversations().sync_all(&[])).await.unwrap();
    assert_eq!((first.eligible, first.synced), (3, 3));
    let again = bob.conversations().sync_all(&[]).await.unwrap();
    assert_eq!((again.eligible, again.synced), (3, 0));
}

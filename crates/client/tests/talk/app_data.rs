//! Groups that live in an AppData dictionary (libxmtp 1.11 and later).

use folkmoot_client::{
    Client, Conversation, ConversationError, ConversationState, Error, Generation, GroupOptions,
    MessageKind, MessageQuery,
};
use folkmoot_conversation::{
    app_data::BootstrapError,
    content::Content,
    context::{AdminChange, Attribute, DisappearingSettings},
    permissions::{PolicyKind, PolicySet, Preset, Who},
    version::Version,
};
use folkmoot_wire::InboxId;

use crate::people::{World, assert_same_epoch, both_generations, group, synced, texts};

both_generations!(
    a_group_in_a_dictionary_does_what_others_do,
    a_group_is_converted_and_goes_on,
    who_may_not_is_refused_and_leaves_no_trace,
    who_cannot_follow_is_named,
    an_older_program_stands_still_and_a_newer_one_goes_on,
);

const OLD: Version = Version::new(1, 10, 0);

async fn a_group_in_a_dictionary_does_what_others_do(world: World) {
    let [alice, bob, carol, dave] = world.clients().await;
    let options = GroupOptions {
        name: Some("Picnic".into()),
        ..in_dictionary()
    };
    let mut picnic = new_group(&alice, &[&bob, &carol], options).await.unwrap();
    assert_eq!(picnic.generation(), Generation::AppData);
    assert_eq!(picnic.attribute(Attribute::MinimumVersion), "1.11.0-dev");
    let mut bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.generation(), Generation::AppData);
    assert_eq!(bobs.name(), "Picnic");
    assert_eq!(bobs.creator(), alice.inbox_id());
    assert_eq!(bobs.preset().unwrap(), Some(Preset::AllMembers));
    assert!(bobs.is_super_admin(&alice.inbox_id()));

    bobs.set_name("Lake").await.unwrap();
    bobs.set_description("with cake").await.unwrap();
    bobs.set_image_url("https://example.org/cake.png")
        .await
        .unwrap();
    bobs.set_app_data("{}").await.unwrap();
    bobs.send_text("at noon").await.unwrap();
    let mut picnic = {
        synced(&alice, picnic.id()).await;
        picnic.refresh().await.unwrap();
        picnic
    };
    assert_eq!(
        (picnic.name(), picnic.description(), picnic.app_data()),
        ("Lake".into(), "with cake".into(), "{}".into())
    );
    let add = AdminChange::AddAdmin;
    picnic.change_admins(add, bob.inbox_id()).await.unwrap();
    picnic
        .change_admins(AdminChange::AddSuperAdmin, carol.inbox_id())
        .await
        .unwrap();
    picnic
        .set_permission(PolicyKind::AddMember, Who::SuperAdmins)
        .await
        .unwrap();
    let settings = DisappearingSettings {
        from_ns: 1,
        in_ns: 3_600_000_000_000,
    };
    picnic.set_disappearing(Some(settings)).await.unwrap();

    let mut bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.disappearing(), Some(settings));
    assert!(bobs.is_admin(&bob.inbox_id()) && bobs.is_super_admin(&carol.inbox_id()));
    assert_eq!(bobs.permissions().unwrap(), picnic.permissions().unwrap());
    let refused = bobs.add_members([dave.inbox_id()]).await.unwrap_err();
    assert!(is_refused(&refused), "{refused}");
    let mut carols = synced(&carol, picnic.id()).await;
    carols.add_members([dave.inbox_id()]).await.unwrap();
    let remove = AdminChange::RemoveSuperAdmin;
    carols
        .change_admins(remove, alice.inbox_id())
        .await
        .unwrap();
    let mut daves = synced(&dave, picnic.id()).await;
    assert_eq!(daves.members().await.unwrap().len(), 4);
    daves.send_text("hello").await.unwrap();
    daves.leave().await.unwrap();
    let mut carols = synced(&carol, picnic.id()).await;
    assert_eq!(carols.members().await.unwrap().len(), 3);
    carols.remove_members([bob.inbox_id()]).await.unwrap();
    carols
        .set_permissions(&PolicySet::admins_only())
        .await
        .unwrap();

    let alices = synced(&alice, picnic.id()).await;
    assert_eq!(alices.member_inboxes().len(), 2);
    assert_eq!(alices.preset().unwrap(), Some(Preset::AdminsOnly));
    assert_eq!(texts(&alices).await, ["at noon", "hello"]);
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.state(), ConversationState::Inactive);
    assert_same_epoch(&[&alices, &carols]).await;
    let failed = alices.commit_log().await.unwrap();
    assert!(failed.iter().all(|entry| entry.result == 1), "{failed:?}");
}

async fn a_group_is_converted_and_goes_on(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let mut picnic = group(&alice, &[&bob]).await;
    picnic.set_name("Before").await.unwrap();
    picnic.send_text("one").await.unwrap();
    let mut bobs = synced(&bob, picnic.id()).await;
    let refused = bobs.convert().await.unwrap_err();
    let expected = ConversationError::Conversion(BootstrapError::NotSuperAdmin);
    assert!(matches!(refused, Error::Conversation(cause) if cause == expected));
    picnic.convert().await.unwrap();
    assert_eq!(picnic.generation(), Generation::AppData);
    // What was said meanwhile, in the epochs before, is read.
    bobs.send_text("two").await.unwrap();
    let mut bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.generation(), Generation::AppData);
    assert_eq!(bobs.name(), "Before");
    bobs.set_name("After").await.unwrap();
    picnic.convert().await.unwrap();
    picnic.add_members([carol.inbox_id()]).await.unwrap();
    let carols = synced(&carol, picnic.id()).await;
    carols.send_text("three").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    let alices = synced(&alice, picnic.id()).await;
    assert_same_epoch(&[&alices, &bobs, &carols]).await;
    assert_eq!(texts(&alices).await, ["one", "two", "three"]);
    assert_eq!(texts(&bobs).await, ["one", "two", "three"]);
    let told = metadata_changes(&alices).await;
    let key = Attribute::MinimumVersion.key();
    for change in [
        ("group_name", "", "Before"),
        (key, "", Version::APP_DATA_FLOOR),
        ("group_name", "Before", "After"),
    ] {
        let (field, old, new) = change;
        let expected = (field.to_owned(), old.to_owned(), new.to_owned());
        assert!(told.contains(&expected), "{expected:?} in {told:?}");
    }
    assert_eq!(told.len(), 3);
}

async fn who_may_not_is_refused_and_leaves_no_trace(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let options = GroupOptions {
        permissions: Some(PolicySet::admins_only()),
        ..in_dictionary()
    };
    let picnic = new_group(&alice, &[&bob, &carol], options).await.unwrap();
    let mut bobs = synced(&bob, picnic.id()).await;
    for refused in [
        bobs.set_name("Mine").await,
        bobs.remove_members([carol.inbox_id()]).await,
        bobs.set_permission(PolicyKind::AddMember, Who::Everyone)
            .await,
        bobs.change_admins(AdminChange::AddSuperAdmin, bob.inbox_id())
            .await,
    ] {
        let refused = refused.unwrap_err();
        assert!(is_refused(&refused), "{refused}");
    }
    bobs.send_text("sorry").await.unwrap();
    let alices = synced(&alice, picnic.id()).await;
    assert_eq!(texts(&alices).await, ["sorry"]);
    let log = alices.commit_log().await.unwrap();
    assert!(log.iter().all(|entry| entry.result == 1), "{log:?}");
}

async fn who_cannot_follow_is_named(world: World) {
    let alice = world.client(1).await;
    let bob = world.stored_as_of(2, "bob", OLD).await;
    let carol = world.client(3).await;
    let refused = new_group(&alice, &[&bob, &carol], in_dictionary()).await;
    assert_eq!(named(refused.unwrap_err()), [bob.inbox_id()]);
    let list = alice.conversations().list(&Default::default()).await;
    assert!(list.unwrap().is_empty(), "nothing is left of it");

    let mut lake = new_group(&alice, &[&carol], in_dictionary()).await.unwrap();
    let refused = lake.add_members([bob.inbox_id()]).await.unwrap_err();
    assert!(refused.to_string().contains(&bob.inbox_id().to_string()));
    assert_eq!(named(refused), [bob.inbox_id()]);
    lake.send_text("without him").await.unwrap();
    let carols = synced(&carol, lake.id()).await;
    assert_eq!(texts(&carols).await, ["without him"]);

    let mut picnic = group(&alice, &[&bob, &carol]).await;
    assert_eq!(named(picnic.convert().await.unwrap_err()), [bob.inbox_id()]);
    assert_eq!(picnic.generation(), Generation::Extensions);
    assert_eq!(picnic.attribute(Attribute::MinimumVersion), "");
    picnic.send_text("as before").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(texts(&bobs).await, ["as before"]);
}

async fn an_older_program_stands_still_and_a_newer_one_goes_on(world: World) {
    let alice = world.client(1).await;
    let bob = world.stored(2, "bob").await;
    let mut picnic = group(&alice, &[&bob]).await;
    bob.close().await;
    picnic.convert().await.unwrap();
    picnic.set_name("After").await.unwrap();
    picnic.send_text("hello").await.unwrap();

    let bob = world.stored_as_of(2, "bob", OLD).await;
    let bobs = synced(&bob, picnic.id()).await;
    let floor = ConversationState::Paused(Version::APP_DATA_FLOOR.into());
    assert_eq!(bobs.state(), floor);
    assert!(texts(&bobs).await.is_empty());
    drop(bobs);
    bob.close().await;

    let bob = world.stored(2, "bob").await;
    let bobs = synced(&bob, picnic.id()).await;
    assert_eq!(bobs.state(), ConversationState::Active);
    assert_eq!(bobs.name(), "After");
    assert_eq!(texts(&bobs).await, ["hello"]);
    assert_same_epoch(&[&picnic, &bobs]).await;
}

fn in_dictionary() -> GroupOptions {
    GroupOptions {
        generation: Generation::AppData,
        ..GroupOptions::default()
    }
}

async fn new_group(
    first: &Client,
    others: &[&Client],
    options: GroupOptions,
) -> Result<Conversation, Error> {
    let members: Vec<_> = others.iter().map(|client| client.inbox_id()).collect();
    first.conversations().new_group(members, options).await
}

fn named(error: Error) -> Vec<InboxId> {
    match error {
        Error::Conversation(ConversationError::NoAppData(inboxes)) => inboxes,
        other => panic!("{other}"),
    }
}

fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Conversation(ConversationError::Refused(_)))
}

/// Field, old and new value of each change of metadata that the history tells.
async fn metadata_changes(conversation: &Conversation) -> Vec<(String, String, String)> {
    let query = MessageQuery {
        kind: Some(MessageKind::MembershipChange),
        ..MessageQuery::default()
    };
    let entries = conversation.messages(&query).await.unwrap();
    let changes = entries.into_iter().flat_map(|entry| match entry.content {
        Content::GroupUpdated(updated) => updated.metadata_field_changes,
        _ => Vec::new(),
    });
    changes
        .map(|change| {
            let [old, new] = [change.old_value, change.new_value];
            (
                change.field_name,
                old.unwrap_or_default(),
                new.unwrap_or_default(),
            )
        })
        .collect()
}

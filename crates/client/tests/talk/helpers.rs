//! The calls that make others shorter.

use folkmoot_client::{
    ConversationError, Error, GroupOptions, Identifier,
    content::{Content, ReactionAction},
    identity::{Directory, IdentityError},
};
use folkmoot_identity::WalletSecret;

use crate::people::{World, both_generations, group, soon, synced, texts, wallet};

both_generations!(
    people_are_named_by_their_accounts,
    particular_things_are_said_with_one_call,
    deletions_are_told_without_missing_one,
    who_is_nobody_asks_who_is_who,
    who_is_no_super_admin_adds_nobody_again,
);

fn account(person: u8) -> Identifier {
    let wallet: WalletSecret = wallet(person);
    Identifier::ethereum(&wallet.address()).unwrap()
}

async fn people_are_named_by_their_accounts(world: World) {
    let [alice, bob, carol] = world.clients().await;
    let conversations = alice.conversations();
    let dm = conversations.new_dm_with_identifier(&account(2)).await;
    let dm = dm.unwrap();
    assert_eq!(dm.peer(), Some(bob.inbox_id()));
    let found = conversations.dm_with_identifier(&account(2)).await;
    assert_eq!(found.unwrap().unwrap().id(), dm.id());
    assert!(dm.duplicate_dms().await.unwrap().is_empty());
    // Bob makes a copy of his own, not knowing of this one.
    let copy = bob.conversations().new_dm(alice.inbox_id()).await.unwrap();
    conversations.sync().await.unwrap();
    let copies = dm.duplicate_dms().await.unwrap();
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].id(), copy.id());

    let picnic = conversations
        .new_group_with_identifiers([account(2), account(2)], GroupOptions::default())
        .await;
    let mut picnic = picnic.unwrap();
    let strangers = [account(3), account(77), account(78)];
    let refused = picnic.add_members_by_identifiers(strangers).await;
    let Err(Error::Identity(IdentityError::NotOnNetwork(missing))) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(missing, [account(77), account(78)]);
    assert_eq!(picnic.member_inboxes().len(), 2);
    let added = picnic.add_members_by_identifiers([account(3)]).await;
    added.unwrap();
    let gone = picnic.remove_members_by_identifiers([account(2)]).await;
    gone.unwrap();
    let mut members = picnic.member_inboxes();
    members.sort();
    let mut wanted = [alice.inbox_id(), carol.inbox_id()];
    wanted.sort();
    assert_eq!(members, wanted);
}

async fn particular_things_are_said_with_one_call(world: World) {
    let [alice, bob] = world.clients().await;
    let picnic = group(&alice, &[&bob]).await;
    let text = picnic.send_markdown("*noon*").await.unwrap();
    let bobs = synced(&bob, picnic.id()).await;
    bobs.send_reaction(&text, "👍", ReactionAction::Added)
        .await
        .unwrap();
    let answer = Content::text("I will be there");
    bobs.send_reply(&text, &answer).await.unwrap();
    let alices = synced(&alice, picnic.id()).await;
    let rows = alices.enriched_messages(&Default::default()).await.unwrap();
    let noon = rows.iter().find(|row| row.message.id == text).unwrap();
    assert_eq!((noon.reactions.len(), noon.replies), (1, 1));
    let Content::Reaction(reaction) = &noon.reactions[0].content else {
        panic!("a reaction");
    };
    let author = alice.inbox_id().to_string();
    assert_eq!(reaction.reference_inbox_id.as_ref(), Some(&author));
    let calls = alice.calls();
    assert!(calls.values().any(|count| count.answered > 0), "{calls:?}");
    alice.network().clear_calls();
    assert!(alice.calls().is_empty());
}

async fn deletions_are_told_without_missing_one(world: World) {
    const MANY: usize = 20;
    let [alice, bob] = world.clients().await;
    let picnic = group(&alice, &[&bob]).await;
    let bobs = synced(&bob, picnic.id()).await;
    let mut ids = Vec::new();
    for number in 0..MANY {
        ids.push(picnic.send_text(number.to_string()).await.unwrap());
    }
    bobs.sync().await.unwrap();
    assert_eq!(texts(&bobs).await.len(), MANY);
    let mut deletions = bob.conversations().stream_deletions().await.unwrap();
    // One for everybody, the others here only.
    picnic.delete_message(&ids[0]).await.unwrap();
    bobs.sync().await.unwrap();
    for id in &ids[1..] {
        let conversations = bob.conversations();
        conversations.delete_message_locally(id).await.unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..MANY {
        told.push(soon(deletions.next()).await.unwrap());
    }
    assert_eq!(told, ids);
    assert_eq!(deletions.try_next(), None);
}

async fn who_is_nobody_asks_who_is_who(world: World) {
    let [alice, bob] = world.clients().await;
    let directory = Directory::in_memory(world.network()).unwrap();
    let inbox = directory.inbox_id(&account(1)).await.unwrap().unwrap();
    assert_eq!(inbox, alice.inbox_id());
    for (person, is_authorized) in [(1, true), (2, false)] {
        let account = account(person);
        let said = directory.is_account_authorized(inbox, &account).await;
        assert_eq!(said.unwrap(), is_authorized);
    }
    for (key, is_authorized) in [
        (alice.installation_key(), true),
        (bob.installation_key(), false),
    ] {
        let said = directory.is_installation_authorized(inbox, &key).await;
        assert_eq!(said.unwrap(), is_authorized);
    }
    let keys = [alice.installation_key()];
    let statuses = directory.key_package_statuses(&keys).await.unwrap();
    assert!(statuses[0].package.is_ok());
    let nobody = folkmoot_wire::InboxId::from_bytes([9; 32]);
    let said = directory.is_account_authorized(nobody, &account(1)).await;
    let is_told = matches!(said, Err(Error::Identity(IdentityError::UnknownInbox(_))));
    assert!(is_told, "{said:?}");
}

async fn who_is_no_super_admin_adds_nobody_again(world: World) {
    let [alice, bob] = world.clients().await;
    let second = world.client(2).await;
    let picnic = group(&alice, &[&bob, &second]).await;
    let mut bobs = synced(&bob, picnic.id()).await;
    let refused = bobs.readd_installations([second.installation_key()]).await;
    let is_told = matches!(
        refused,
        Err(Error::Conversation(ConversationError::Refused(_)))
    );
    assert!(is_told, "{refused:?}");
    for (client, id) in [(&bob, picnic.id()), (&alice, picnic.id())] {
        let mut here = synced(client, id).await;
        let refused = here.readd_installations([client.installation_key()]).await;
        let is_told = matches!(
            refused,
            Err(Error::Conversation(ConversationError::ReaddSelf))
        );
        assert!(is_told, "{refused:?}");
    }
    bobs.send_text("all is well").await.unwrap();
    assert_eq!(
        texts(&synced(&alice, picnic.id()).await).await,
        ["all is well"]
    );
}

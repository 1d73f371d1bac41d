//! What bots are told.

use std::sync::Arc;

use folkmoot_client::{GroupOptions, identity::revoke_installations};
use folkmoot_conversation::{
    ConsentEntity, ConsentState,
    content::{Attachment, Content, Reaction, ReadReceipt, Reply},
};
use folkmoot_identity::WalletSecret;
use serde_json::json;

use super::support::World;

const BOT: u8 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_told_who_it_is_and_what_is_said() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &[]).await;
    assert_eq!(bot.next().await, json!({"type": "caught_up"}));
    let person = world.person(2).await;
    let dm = person.dm(BOT).await;
    let joined = bot.next().await;
    assert_eq!(joined["type"], "member_joined");
    assert_eq!(joined["isSelf"], true);
    assert_eq!(joined["conversationKind"], "dm");

    let id = dm.send_text("at noon").await.unwrap();
    let event = bot.next().await;
    let sender = person.client.inbox_id().to_string();
    assert_eq!(event["type"], "message");
    assert_eq!(event["messageId"], id.to_string());
    assert_eq!(event["conversationId"], dm.id().to_string());
    assert_eq!(event["senderInboxId"], sender);
    assert_eq!(
        event["senderAddress"],
        person.client.identifier().to_string()
    );
    assert_eq!(event["contentType"], "xmtp.org/text:1.0");
    assert_eq!(event["text"], "at noon");
    assert!(
        event["id"].as_str().unwrap().parse::<u64>().is_ok(),
        "{event}"
    );

    let reply = Reply::new(id, &Content::text("or at one")).unwrap();
    dm.send(&reply.into()).await.unwrap();
    let event = bot.next().await;
    assert_eq!(event["text"], "or at one");
    assert_eq!(event["replyTo"], id.to_string());

    dm.send(&Content::ReadReceipt(ReadReceipt)).await.unwrap();
    let thumb = dm.send(&Reaction::emoji(id, "👍").into()).await.unwrap();
    let event = bot.next().await;
    assert_eq!(
        event["type"], "reaction",
        "nobody is woken by a read receipt"
    );
    assert_eq!(event["emoji"], "👍");
    assert_eq!(event["action"], "added");
    assert_eq!(event["messageId"], id.to_string());
    assert_eq!(event["reactionId"], thumb.to_string());

    let file = Attachment {
        filename: Some("a.bin".to_owned()),
        mime_type: "application/x-test".to_owned(),
        data: vec![0, 255].into(),
    };
    dm.send(&file.into()).await.unwrap();
    let event = bot.next().await;
    assert_eq!(event["text"], json!(null));
    let wanted = json!({
        "filename": "a.bin", "mimeType": "application/x-test", "bytes": 2, "data": "AP8="
    });
    assert_eq!(event["content"], wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_told_what_happens_in_groups() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &[]).await;
    let ann = world.person(2).await;
    let ben = world.person(3).await;
    let options = GroupOptions {
        name: Some("picnic".to_owned()),
        ..GroupOptions::default()
    };
    let me = ann.inbox_of(BOT).await;
    let conversations = ann.client.conversations();
    let made = conversations.new_group([me], options).await;
    let mut group = made.unwrap();
    let joined = bot.next_of("member_joined").await;
    assert_eq!(joined["joinedInboxId"], me.to_string());
    assert_eq!(joined["conversationName"], "picnic");

    group.add_members([ben.client.inbox_id()]).await.unwrap();
    let joined = bot.next().await;
    assert_eq!(joined["type"], "member_joined");
    assert_eq!(joined["joinedInboxId"], ben.client.inbox_id().to_string());
    assert_eq!(joined["isSelf"], false);
    assert_eq!(joined["senderInboxId"], ann.client.inbox_id().to_string());

    group.set_name("by the lake").await.unwrap();
    let updated = bot.next().await;
    assert_eq!(updated["type"], "group_updated");
    let change = &updated["changes"]["metadataFieldChanges"][0];
    assert_eq!(change["fieldName"], "group_name");
    assert_eq!(change["oldValue"], "picnic");
    assert_eq!(change["newValue"], "by the lake");
    assert_eq!(updated["conversationName"], "by the lake");
    assert!(updated["summary"].as_str().unwrap().contains("by the lake"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bot_says_is_not_told_to_it() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &[]).await;
    let mut ann = world.person(2).await;
    ann.dm(BOT).await.send_text("one").await.unwrap();
    let event = bot.next_of("message").await;
    let answer = json!({"type": "send", "conversationId": event["conversationId"], "text": "two"});
    assert_eq!(bot.done(answer).await["type"], "sent");
    assert_eq!(ann.hears_text().await, "two");
    ann.dm(BOT).await.send_text("three").await.unwrap();
    let event = bot.next().await;
    assert_eq!(event["text"], "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_were_allowed_are_listened_to_if_that_is_wanted() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &["--only-allowed"]).await;
    let mut ann = world.person(2).await;
    let ben = world.person(3).await;
    // Whom the bot writes to it has allowed.
    let hello = json!({"type": "send", "to": ann.client.identifier().to_string(), "text": "hello"});
    assert_eq!(bot.done(hello).await["type"], "sent");
    assert_eq!(ann.hears_text().await, "hello");
    ben.dm(BOT)
        .await
        .send_text("from a stranger")
        .await
        .unwrap();
    // What is passed over was there before this.
    ann.dm(BOT).await.send_text("from a friend").await.unwrap();
    let event = bot.next_of("message").await;
    assert_eq!(event["text"], "from a friend");
    assert_eq!(bot.running.end().await, Some(0));
    assert!(
        !bot.rest()
            .iter()
            .any(|event| event["text"] == "from a stranger")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_were_denied_are_never_listened_to() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &[]).await;
    let ann = world.person(2).await;
    ann.dm(BOT).await.send_text("one").await.unwrap();
    assert_eq!(bot.next_of("message").await["text"], "one");
    assert_eq!(bot.running.end().await, Some(0));
    // Between two runs somebody looks into the bot's database.
    let client = world.open(BOT).await;
    let denied = (
        ConsentEntity::Inbox(ann.client.inbox_id()),
        ConsentState::Denied,
    );
    client.conversations().set_consent([denied]).await.unwrap();
    client.close().await;
    let mut bot = world.bot(BOT, &[]).await;
    ann.dm(BOT).await.send_text("two").await.unwrap();
    let ben = world.person(3).await;
    ben.dm(BOT).await.send_text("three").await.unwrap();
    assert_eq!(bot.next_of("message").await["text"], "three");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_whose_installation_was_revoked_is_told_so_and_ends() {
    let world = World::new().await;
    let bot = world.open(BOT).await;
    let wallet = WalletSecret::from_bytes(&[BOT; 32]).unwrap();
    let (network, gone) = (Arc::clone(bot.network()), vec![bot.installation_key()]);
    let revoked = revoke_installations(network, bot.inbox_id(), gone, &wallet);
    revoked.await.unwrap();
    bot.close().await;
    let events = world.path("told");
    let keep = format!("cat > {}", events.display());
    let mut running = world.run(BOT, &["--", "sh", "-c", &keep]);
    assert_eq!(running.ended().await.code(), Some(5));
    assert!(running.notes().contains("client relink"));
    let told = std::fs::read_to_string(events).unwrap();
    let told: Vec<serde_json::Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let error = told.iter().find(|event| event["type"] == "error").unwrap();
    assert_eq!(error["code"], "refused");
    assert_eq!(told.last().unwrap()["type"], "stop");
}

//! What bots say.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use folkmoot_client::{GroupOptions, MembershipState};
use folkmoot_conversation::content::{Content, ReactionAction};
use serde_json::json;

use super::support::{World, until};

const BOT: u8 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_done_and_told() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &[]).await;
    let mut ann = world.person(2).await;
    let group = ann
        .client
        .conversations()
        .new_group([ann.inbox_of(BOT).await], GroupOptions::default())
        .await
        .unwrap();
    let id = group.send_text("hello").await.unwrap();
    let heard = bot.next_of("message").await;
    assert_eq!(heard["messageId"], id.to_string());
    let here = group.id().to_string();

    let sent = bot
        .done(json!({"type": "send", "id": "a", "conversationId": here, "text": "one"}))
        .await;
    let said = ann.hears().await;
    let wanted = json!({
        "type": "sent", "id": "a", "command": "send",
        "messageId": said.id.to_string(), "conversationId": here,
    });
    assert_eq!(sent, wanted);
    assert_eq!(said.content, Content::text("one"));

    let reply = json!({"type": "reply", "messageId": id.to_string(), "markdown": "*two*"});
    let sent = bot.done(reply).await;
    assert_eq!(
        (&sent["command"], &sent["id"]),
        (&json!("reply"), &json!(null))
    );
    let Content::Reply(reply) = ann.hears().await.content else {
        panic!("no reply")
    };
    assert_eq!(reply.reference, id.to_string());
    assert_eq!(
        reply.reference_inbox_id,
        Some(ann.client.inbox_id().to_string())
    );
    assert!(matches!(reply.content(), Content::Markdown(text) if text.0 == "*two*"));

    for (action, wanted) in [
        ("added", ReactionAction::Added),
        ("removed", ReactionAction::Removed),
    ] {
        let react = json!({
            "type": "react", "messageId": id.to_string(), "emoji": "👍", "action": action
        });
        assert_eq!(bot.done(react).await["type"], "sent");
        let Content::Reaction(reaction) = ann.hears().await.content else {
            panic!("no reaction")
        };
        assert_eq!((reaction.content.as_str(), reaction.action), ("👍", wanted));
    }

    std::fs::write(world.path("notes.txt"), "milk").unwrap();
    let attach = json!({"type": "attach", "conversationId": here, "file": "notes.txt"});
    assert_eq!(bot.done(attach).await["type"], "sent");
    let attach = json!({
        "type": "attach", "conversationId": here, "data": "AP8=", "filename": "a.png"
    });
    assert_eq!(bot.done(attach).await["type"], "sent");
    let mut files = Vec::new();
    for _ in 0..2 {
        let Content::Attachment(file) = ann.hears().await.content else {
            panic!("no file")
        };
        files.push((file.filename.unwrap(), file.mime_type, file.data.to_vec()));
    }
    let wanted = [
        (
            "notes.txt".to_owned(),
            "text/plain".to_owned(),
            b"milk".to_vec(),
        ),
        ("a.png".to_owned(), "image/png".to_owned(), vec![0, 255]),
    ];
    assert_eq!(files, wanted);

    let choices = json!({
        "type": "send", "conversationId": here, "actions": {
            "id": "where", "description": "Where to?",
            "actions": [{"id": "lake", "label": "To the lake"}],
        },
    });
    assert_eq!(bot.done(choices).await["type"], "sent");
    let Content::Actions(choices) = ann.hears().await.content else {
        panic!("no choices")
    };
    assert_eq!(choices.actions[0].id, "lake");
    let message_id = sent["messageId"].clone();
    let edit = json!({"type": "edit", "messageId": message_id, "text": "three"});
    let told = bot.done(edit).await;
    assert_eq!(
        told["code"], "failed",
        "a reply is not edited to a text: {told}"
    );
    let said = json!({"type": "send", "conversationId": here, "text": "four"});
    let message_id = bot.done(said).await["messageId"].clone();
    ann.hears().await;
    let edit = json!({"type": "edit", "messageId": message_id, "text": "five"});
    assert_eq!(bot.done(edit).await["command"], "edit");
    assert!(matches!(ann.hears().await.content, Content::EditMessage(_)));
    let delete = json!({"type": "delete", "messageId": message_id, "id": "away"});
    assert_eq!(bot.done(delete).await["id"], "away");
    assert!(matches!(
        ann.hears().await.content,
        Content::DeleteMessage(_)
    ));
    let typing = json!({"type": "typing", "conversationId": here});
    assert_eq!(bot.done(typing).await["type"], "sent");
    assert!(matches!(ann.hears().await.content, Content::Typing(_)));
    let remote = json!({
        "type": "attach", "conversationId": here, "remote": {
            "url": "https://example.org/map", "contentDigest": "ab".repeat(32),
            "secret": BASE64_STANDARD.encode([1; 32]), "salt": BASE64_STANDARD.encode([2; 32]),
            "nonce": BASE64_STANDARD.encode([3; 12]), "contentLength": 7,
        },
    });
    assert_eq!(bot.done(remote).await["command"], "attach");
    let Content::RemoteAttachment(remote) = ann.hears().await.content else {
        panic!("no file elsewhere")
    };
    assert_eq!(remote.url, "https://example.org/map");
    let inbox = ann.client.inbox_id().to_string();
    let found = json!({"type": "group", "members": [inbox], "name": "Hill", "id": "hill"});
    let made = bot.done(found.clone()).await;
    assert!(made["conversationId"].is_string(), "{made}");
    assert_eq!(bot.done(found).await["repeated"], true);
    ann.client.conversations().sync().await.unwrap();
    let hill = made["conversationId"].as_str().unwrap().parse().unwrap();
    let hill = ann.client.conversations().get(&hill).await.unwrap();
    assert_eq!(hill.name(), "Hill");
    let consent = json!({"type": "consent", "to": "ab".repeat(32), "state": "denied"});
    assert_eq!(bot.done(consent).await["type"], "sent");

    let read = json!({"type": "read", "messageId": id.to_string()});
    assert_eq!(bot.done(read).await["type"], "sent");
    assert!(matches!(ann.hears().await.content, Content::ReadReceipt(_)));

    let leave = json!({"type": "leave", "conversationId": here, "id": "bye"});
    let left = bot.done(leave).await;
    assert_eq!(
        (&left["type"], &left["id"]),
        (&json!("sent"), &json!("bye"))
    );
    let mut group = group;
    until("the bot is removed", async || {
        group.sync().await.unwrap();
        group.refresh().await.unwrap();
        (group.member_inboxes().len() == 1).then_some(())
    })
    .await;
    assert_eq!(group.membership_state(), MembershipState::Allowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_told_and_nothing_ends() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &[]).await;
    assert_eq!(bot.next().await["type"], "caught_up");
    bot.line("this is not JSON");
    let error = bot.next().await;
    assert_eq!(
        (&error["type"], &error["line"]),
        (&json!("error"), &json!(1))
    );
    assert_eq!(error["code"], "bad_line");
    assert!(
        error["message"].as_str().unwrap().starts_with("expected"),
        "{error}"
    );
    assert!(
        error["remedy"]
            .as_str()
            .unwrap()
            .contains("one of send, reply"),
        "{error}"
    );

    bot.bytes(b"\xff\xfe\n");
    assert_eq!(bot.next().await["message"], "the line is not UTF-8");
    bot.line("");
    bot.bytes(&vec![b'x'; (4 << 20) + 1]);
    bot.line("");
    let error = bot.next().await;
    assert_eq!(error["line"], 4);
    assert_eq!(error["message"], "the line is longer than 4194304 bytes");

    let nowhere = "ab".repeat(16);
    let error = bot
        .done(json!({"type": "send", "id": "x", "conversationId": nowhere, "text": "hi"}))
        .await;
    assert_eq!(
        (&error["code"], &error["id"]),
        (&json!("not_found"), &json!("x"))
    );
    let error = bot
        .done(json!({"type": "reply", "messageId": "ab".repeat(32), "text": "hi"}))
        .await;
    assert_eq!(error["code"], "not_found");
    let stranger = format!("0x{}", "12".repeat(20));
    let error = bot
        .done(json!({"type": "send", "to": stranger, "text": "hi"}))
        .await;
    assert_eq!(error["code"], "not_found", "{error}");
    let error = bot
        .done(json!({"type": "send", "to": "nobody", "text": "hi"}))
        .await;
    assert_eq!(error["code"], "bad_line", "{error}");
    let error = bot.done(json!({"ack": "1"})).await;
    assert_eq!(
        (&error["code"], &error["line"]),
        (&json!("refused"), &json!(9))
    );

    let ann = world.person(2).await;
    let to = ann.client.identifier().to_string();
    let error = bot
        .done(json!({"type": "attach", "to": to, "file": "no-such-file"}))
        .await;
    assert_eq!(error["code"], "not_found", "{error}");
    assert_eq!(
        bot.done(json!({"type": "send", "to": to, "text": "hi"}))
            .await["type"],
        "sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_says_too_much_is_not_let_speak() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &["--max-per-minute", "2"]).await;
    let ann = world.person(2).await;
    let ben = world.person(3).await;
    let to = |person: &super::support::Person| person.client.identifier().to_string();
    for text in ["one", "two"] {
        let sent = bot
            .done(json!({"type": "send", "to": to(&ann), "text": text}))
            .await;
        assert_eq!(sent["type"], "sent", "{sent}");
    }
    let error = bot
        .done(json!({"type": "send", "to": to(&ann), "text": "three", "id": "3"}))
        .await;
    assert_eq!(
        (&error["code"], &error["id"]),
        (&json!("loop_guard"), &json!("3"))
    );
    let sent = bot
        .done(json!({"type": "send", "to": to(&ben), "text": "one"}))
        .await;
    assert_eq!(sent["type"], "sent", "each conversation has its own minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bots_that_answer_each_other_stop() {
    let world = World::new().await;
    let echo = "while IFS='\t' read -r type id message rest; do
        case $type in message) printf 'reply\\t%s\\tand you?\\n' \"$message\" ;;
        error) echo \"$rest\" >&2 ;; esac; done";
    let arguments = [
        "--format",
        "text",
        "--max-per-minute",
        "5",
        "--",
        "sh",
        "-c",
        echo,
    ];
    let first = world.run(BOT, &arguments);
    let mut second = world.bot(2, &["--max-per-minute", "5"]).await;
    let ann = world.person(3).await;
    let other = until("the first bot is there", async || {
        let wallet = folkmoot_identity::WalletSecret::from_bytes(&[BOT; 32]).unwrap();
        ann.client.inbox_id_of(&wallet.identifier()).await.unwrap()
    })
    .await;
    second.command(json!({"type": "send", "to": other.to_string(), "text": "hello"}));
    let mut heard = 0;
    loop {
        let event = second.next().await;
        match event["type"].as_str().unwrap() {
            "message" => {
                heard += 1;
                second.command(json!({
                    "type": "reply", "messageId": event["messageId"], "text": "fine, and you?"
                }));
            }
            "error" => {
                assert_eq!(event["code"], "loop_guard");
                break;
            }
            _ => {}
        }
    }
    assert_eq!(heard, 5);
    drop(first);
}

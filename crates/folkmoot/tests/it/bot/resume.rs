//! Going on where the last run ended: nothing is lost, and nothing is said twice.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::{World, texts};

const BOT: u8 = 1;

fn heard(events: &[Value]) -> Vec<&str> {
    let messages = events.iter().filter(|event| event["type"] == "message");
    messages
        .map(|event| event["text"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_while_the_bot_was_away_is_told_once() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &[]).await;
    let ann = world.person(2).await;
    let dm = ann.dm(BOT).await;
    dm.send_text("one").await.unwrap();
    assert_eq!(bot.next_of("message").await["text"], "one");
    assert_eq!(bot.running.end().await, Some(0));
    for text in ["two", "three"] {
        dm.send_text(text).await.unwrap();
    }
    let mut bot = world.bot(BOT, &[]).await;
    assert_eq!(bot.next().await["text"], "two");
    assert_eq!(bot.next().await["text"], "three");
    assert_eq!(bot.next().await["type"], "caught_up");
    dm.send_text("four").await.unwrap();
    assert_eq!(bot.next().await["text"], "four");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_bot_does_not_answer_what_was_said_before_it_came() {
    let world = World::new().await;
    let ann = world.person(2).await;
    {
        let client = world.open(BOT).await;
        ann.dm(BOT).await.send_text("to the person").await.unwrap();
        client.conversations().sync_all(&[]).await.unwrap();
        client.close().await;
    }
    let mut bot = world.bot(BOT, &[]).await;
    assert_eq!(bot.next().await["type"], "caught_up");
    ann.dm(BOT).await.send_text("to the bot").await.unwrap();
    assert_eq!(bot.next().await["text"], "to the bot");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_is_told_again_with_the_same_id() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &["--ack", "bot"]).await;
    let ann = world.person(2).await;
    let dm = ann.dm(BOT).await;
    let joined = bot.next_of("member_joined").await;
    bot.command(json!({"ack": joined["id"]}));
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        dm.send_text(text).await.unwrap();
        let event = bot.next_of("message").await;
        assert_eq!(event["text"], text);
        ids.push(event["id"].clone());
    }
    bot.command(json!({"ack": ids[0]}));
    // What was done after the acknowledgement shows that it was taken.
    let marker = json!({"type": "read", "conversationId": dm.id().to_string()});
    assert_eq!(bot.done(marker).await["type"], "sent");
    assert_eq!(bot.running.end().await, Some(0));

    let mut bot = world.bot(BOT, &["--ack", "bot"]).await;
    for (text, id) in [("two", &ids[1]), ("three", &ids[2])] {
        let event = bot.next().await;
        assert_eq!((&event["text"], &event["id"]), (&json!(text), id));
    }
    assert_eq!(bot.next().await["type"], "caught_up");
    let error = bot.done(json!({"ack": "9999"})).await;
    assert_eq!(error["code"], "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_program_is_killed() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &["--ack", "bot"]).await;
    let ann = world.person(2).await;
    let dm = ann.dm(BOT).await;
    dm.send_text("one").await.unwrap();
    let event = bot.next_of("message").await;
    let answer = json!({
        "type": "reply", "messageId": event["messageId"], "text": "two",
        "id": format!("echo-{}", event["id"].as_str().unwrap()),
    });
    let sent = bot.done(answer.clone()).await;
    bot.running.signal(Signal::KILL);
    bot.running.ended().await;

    let mut bot = world.bot(BOT, &["--ack", "bot"]).await;
    let again = bot.next_of("message").await;
    assert_eq!(
        (&again["id"], &again["text"]),
        (&event["id"], &json!("one"))
    );
    let repeated = bot.done(answer.clone()).await;
    assert_eq!(repeated["repeated"], true, "{repeated}");
    assert_eq!(repeated["messageId"], sent["messageId"]);
    let other = json!({
        "type": "reply", "messageId": event["messageId"], "text": "three", "id": answer["id"],
    });
    assert_eq!(bot.done(other).await["code"], "refused");
    assert_eq!(bot.running.end().await, Some(0));
    dm.sync().await.unwrap();
    let every = dm.messages(&Default::default()).await.unwrap();
    let answers = every.iter().filter(|message| message.reference.is_some());
    assert_eq!(answers.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_bot_is_waited_for() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &["--ack", "bot", "--window", "2"]).await;
    let ann = world.person(2).await;
    let dm = ann.dm(BOT).await;
    let joined = bot.next_of("member_joined").await;
    for number in 0..5 {
        dm.send_text(number.to_string()).await.unwrap();
    }
    let first = bot.next_of("message").await;
    assert_eq!(first["text"], "0");
    // The answer to a command comes after all events that were let through before.
    let marker = json!({"type": "read", "conversationId": dm.id().to_string()});
    bot.command(marker);
    let told = bot.next().await;
    assert_eq!(told["command"], "read", "the window is full: {told}");
    bot.command(json!({"ack": joined["id"]}));
    assert_eq!(bot.next_of("message").await["text"], "1");
    bot.command(json!({"ack": first["id"]}));
    assert_eq!(bot.next_of("message").await["text"], "2");
    assert_eq!(bot.running.end().await, Some(0));
    assert!(heard(&bot.rest()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_gets_a_new_beginning_and_loses_nothing() {
    let world = World::new().await;
    // Ends over every message that it has not seen twice.
    let script = world.script(
        "bot.sh",
        "#!/bin/sh
while IFS='\t' read -r type id message conversation kind sender text; do
    [ $type = message ] || continue
    if [ ! -e seen-$text ]; then touch seen-$text; exit 3; fi
    printf 'send#%s\\t%s\\t%s again\\nack\\t%s\\n' $id $conversation $text $id
done
",
    );
    let arguments = [
        "--format",
        "text",
        "--ack",
        "bot",
        "--",
        script.to_str().unwrap(),
    ];
    let mut running = world.run(BOT, &arguments);
    let mut ann = world.person(2).await;
    let dm = {
        let registered = async || {
            let wallet = folkmoot_identity::WalletSecret::from_bytes(&[BOT; 32]).unwrap();
            ann.client.inbox_id_of(&wallet.identifier()).await.unwrap()
        };
        super::support::until("the bot is there", registered).await;
        ann.dm(BOT).await
    };
    for text in ["one", "two"] {
        dm.send_text(text).await.unwrap();
        assert_eq!(ann.hears_text().await, format!("{text} again"));
    }
    let notes = running.notes();
    assert!(
        notes.contains("the bot ended: exit code 3; starting it again in 0.5 s"),
        "{notes}"
    );
    assert_eq!(running.end().await, Some(0));
    assert_eq!(texts(&dm).await, ["one", "one again", "two", "two again"]);
}

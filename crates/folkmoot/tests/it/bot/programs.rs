//! Starting and ending the bot's program.

use rustix::process::Signal;
use serde_json::json;

use super::support::World;
use crate::support::text;

const BOT: u8 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lets_the_bot_finish() {
    let world = World::new().await;
    let ann = world.person(2).await;
    // Says something after it was told to stop.
    let to = ann.client.identifier().to_string();
    let script = world.script(
        "bot.sh",
        &format!("#!/bin/sh\ncat > events\nprintf 'send\\t{to}\\tgoodbye\\n'\n"),
    );
    let mut running = world.run(BOT, &["--format", "text", script.to_str().unwrap()]);
    super::support::until("the bot is there", async || {
        let events = std::fs::read_to_string(world.path("events")).unwrap_or_default();
        events.contains("caught_up\t").then_some(())
    })
    .await;
    assert_eq!(running.end().await, Some(0), "{}", running.notes());
    let events = std::fs::read_to_string(world.path("events")).unwrap();
    assert!(events.ends_with("stop\t-\t-\t-\t-\t-\t-\n"), "{events}");
    let mut ann = ann;
    assert_eq!(ann.hears_text().await, "goodbye");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_can_end_everything_itself() {
    let world = World::new().await;
    let mut bot = world.bot(BOT, &[]).await;
    bot.command(json!({"type": "stop"}));
    assert_eq!(bot.running.ended().await.code(), Some(0));
    assert_eq!(bot.rest().last(), Some(&json!({"type": "stop"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_does_not_end_is_killed() {
    let world = World::new().await;
    let arguments = [
        "--grace",
        "0",
        "--",
        "sh",
        "-c",
        "trap '' TERM; echo up >&2; while :; do sleep 1; done",
    ];
    let mut running = world.run(BOT, &arguments);
    running.notes_with("bot: up\n").await;
    assert_eq!(running.end().await, Some(1));
    let notes = running.notes();
    assert!(
        notes.contains("did not end within 0 s and was killed"),
        "{notes}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait() {
    let world = World::new().await;
    let arguments = [
        "--grace",
        "600",
        "--",
        "sh",
        "-c",
        "echo up >&2; while :; do sleep 1; done",
    ];
    let mut running = world.run(BOT, &arguments);
    running.notes_with("bot: up\n").await;
    running.signal(Signal::INT);
    // Signals that come at the same time are one.
    super::support::until("it ends", async || {
        if running.child.try_wait().unwrap().is_none() {
            running.signal(Signal::INT);
            return None;
        }
        Some(())
    })
    .await;
    assert_eq!(running.ended().await.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_on_the_same_database_is_refused() {
    let world = World::new().await;
    let bot = world.bot(BOT, &[]).await;
    let mut second = world.command(BOT, &["--db-wait", "0", "--", "cat"]);
    let second = second.output().unwrap();
    assert_eq!(second.status.code(), Some(5));
    let told = text(&second.stderr);
    let by = bot.running.child.id().to_string();
    assert!(told.contains("bot-1.db is in use by"), "{told}");
    assert!(told.contains(&by), "{told}");
    assert!(told.contains("\n  try: "), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_told_at_once() {
    let world = World::new().await;
    let output = world.command(BOT, &["no-such-bot"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let told = text(&output.stderr);
    assert!(told.contains("\"no-such-bot\" cannot be started"), "{told}");
    assert!(told.contains("./NAME"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_again_and_again_is_given_up() {
    let world = World::new().await;
    let arguments = [
        "--max-restarts",
        "1",
        "--",
        "sh",
        "-c",
        "echo no luck >&2; exit 7",
    ];
    let output = world.command(BOT, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert_eq!(told.matches("bot: no luck\n").count(), 2, "{told}");
    assert!(told.contains("starting it again in 0.5 s"), "{told}");
    assert!(
        told.contains("failed 2 times in a row: exit code 7"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_done_ends_the_run() {
    let world = World::new().await;
    let output = world.command(BOT, &["true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("ended by itself"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_does_not_learn_our_keys() {
    let world = World::new().await;
    let output = world.command(BOT, &["--", "sh", "-c", "env >&2"]).output();
    let told = text(&output.unwrap().stderr);
    assert!(told.contains("bot: PATH="), "{told}");
    assert!(!told.contains("XMTP_WALLET_KEY"), "{told}");
    assert!(!told.contains("XMTP_DB_ENCRYPTION_KEY"), "{told}");
}

#[test]
fn wrong_usage_is_told_in_one_line() {
    for (arguments, told) in [
        (&["bot", "run"][..], "required"),
        (
            &["bot", "run", "--webhook", "http://127.0.0.1:1", "cat"],
            "cannot be used with",
        ),
        (
            &["bot", "run", "--window", "0", "cat"],
            "0 is not in 1..=4096",
        ),
        (
            &["bot", "run", "--webhook", "ftp://example.org"],
            "no address of a web server",
        ),
        (
            &["bot", "run", "--webhook-batch", "3", "cat"],
            "cannot be used with",
        ),
        (&["bot", "new", "--lang", "cobol"], "invalid value 'cobol'"),
    ] {
        let output = crate::support::run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}

#[test]
fn help_teaches() {
    for (name, arguments) in [
        ("help_bot", &["bot", "--help"][..]),
        ("help_bot_run", &["bot", "run", "--help"]),
        ("help_bot_new", &["bot", "new", "--help"]),
    ] {
        let help = text(&crate::support::run(arguments).stdout);
        // The flags of all clients are looked at elsewhere.
        let help = match (help.split_once("Common flags:"), help.split_once("Log:")) {
            (Some((own, _)), Some((_, rest))) => format!("{own}[common flags]\n\nLog:{rest}"),
            _ => help,
        };
        insta::assert_snapshot!(name, help);
    }
}

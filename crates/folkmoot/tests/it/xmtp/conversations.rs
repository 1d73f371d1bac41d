//! DMs and groups: what each command prints, and what the other side sees.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    thread,
};

use serde_json::Value;

use super::{Net, Person, shows};

pub(super) fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

fn texts(messages: &Value) -> Vec<String> {
    let messages = messages.as_array().unwrap().iter();
    messages
        .filter_map(|message| Some(message["content"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn a_dm_from_making_it_to_reading_it() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let bob_address = bob.address();
    let dm = id(&shows!(
        alice,
        "create_dm",
        "conversations",
        "create-dm",
        &bob_address
    ));
    let sent = shows!(
        alice,
        "send_text",
        "conversation",
        "send-text",
        &dm,
        "at noon"
    );
    let message = sent["messageId"].as_str().unwrap();

    shows!(bob, "conversations_sync", "conversations", "sync");
    shows!(bob, "list_dm", "conversations", "list");
    shows!(
        bob,
        "messages_dm",
        "conversation",
        "messages",
        &dm,
        "--sync",
        "--kind",
        "application"
    );
    shows!(bob, "get_dm", "conversations", "get-dm", &alice.address());
    shows!(
        bob,
        "send_reply",
        "conversation",
        "send-reply",
        &dm,
        message,
        "at one"
    );
    shows!(
        bob,
        "send_reaction",
        "conversation",
        "send-reaction",
        &dm,
        message,
        "add",
        "👍"
    );
    shows!(
        bob,
        "send_read_receipt",
        "conversation",
        "send-read-receipt",
        &dm
    );
    shows!(
        bob,
        "send_markdown",
        "conversation",
        "send-markdown",
        &dm,
        "**at** two"
    );

    shows!(alice, "conversation_sync", "conversation", "sync", &dm);
    shows!(
        alice,
        "get_message",
        "conversations",
        "get-message",
        message
    );
    let read = shows!(
        alice,
        "messages_of_all_types",
        "conversation",
        "messages",
        &dm,
        "--direction",
        "ascending",
        "--kind",
        "application",
    );
    assert_eq!(texts(&read), ["at noon", "**at** two"]);
    let only = alice.json(&[
        "conversation",
        "messages",
        &dm,
        "--content-type",
        "markdown",
    ]);
    assert_eq!(texts(&only), ["**at** two"]);
    let limited = alice.json(&[
        "conversation",
        "messages",
        &dm,
        "--limit",
        "1",
        "--exclude-content-type",
        "read-receipt",
    ]);
    assert_eq!(texts(&limited), ["**at** two"]);
    shows!(
        alice,
        "count_messages",
        "conversation",
        "count-messages",
        &dm,
        "--content-type",
        "text"
    );
    alice.json(&["conversation", "last-read-times", &dm]);
    shows!(alice, "get_conversation_dm", "conversations", "get", &dm);
    let (code, told) = alice.fails(&["xmtp", "conversation", "permissions", &dm]);
    assert_eq!(code, 5, "{told}");
}

#[test]
fn a_group_from_making_it_to_leaving_it() {
    let net = Net::start();
    let (alice, bob, carol) = (net.person(), net.person(), net.person());
    let (bob_address, carol_address) = (bob.address(), carol.address());
    let dave_address = net.person().address();
    let made = shows!(
        alice,
        "create_group",
        "conversations",
        "create-group",
        &bob_address,
        "--name",
        "picnic",
        "--description",
        "by the lake",
    );
    let group = id(&made);
    shows!(
        alice,
        "add_members",
        "conversation",
        "add-members",
        &group,
        &carol_address
    );
    shows!(alice, "members", "conversation", "members", &group);
    shows!(
        alice,
        "update_name",
        "conversation",
        "update-name",
        &group,
        "the picnic"
    );
    shows!(
        alice,
        "update_description",
        "conversation",
        "update-description",
        &group,
        "by the sea"
    );
    let url = "https://example.org/picnic.png";
    shows!(
        alice,
        "update_image_url",
        "conversation",
        "update-image-url",
        &group,
        url
    );
    let bob_inbox = bob.inbox();
    shows!(
        alice,
        "add_admin",
        "conversation",
        "add-admin",
        &group,
        &bob_inbox
    );
    shows!(alice, "list_admins", "conversation", "list-admins", &group);
    shows!(
        alice,
        "remove_admin",
        "conversation",
        "remove-admin",
        &group,
        &bob_inbox
    );
    shows!(
        alice,
        "add_super_admin",
        "conversation",
        "add-super-admin",
        &group,
        &bob_inbox
    );
    shows!(
        alice,
        "list_super_admins",
        "conversation",
        "list-super-admins",
        &group
    );
    shows!(
        alice,
        "remove_super_admin",
        "conversation",
        "remove-super-admin",
        &group,
        &bob_inbox
    );
    shows!(
        alice,
        "update_permission",
        "conversation",
        "update-permission",
        &group,
        "--type",
        "add-member",
        "--policy",
        "admin",
    );
    shows!(alice, "permissions", "conversation", "permissions", &group);
    shows!(
        alice,
        "get_conversation_group",
        "conversations",
        "get",
        &group
    );
    shows!(
        alice,
        "debug_info",
        "conversation",
        "debug-info",
        &group,
        "--fields",
        "debugInfo.epoch"
    );

    bob.json(&["conversations", "sync-all"]);
    let list = bob.json(&["conversations", "list", "--type", "group"]);
    assert_eq!(list[0]["name"], "the picnic");
    assert!(
        bob.json(&["conversations", "list", "--type", "dm"])
            .as_array()
            .unwrap()
            .is_empty()
    );
    let (code, told) = bob.fails(&["xmtp", "conversation", "add-members", &group, &dave_address]);
    assert_ne!(code, 0, "{told}");
    shows!(
        bob,
        "request_removal",
        "conversation",
        "request-removal",
        &group
    );

    alice.json(&["conversation", "sync", &group]);
    shows!(
        alice,
        "remove_members",
        "conversation",
        "remove-members",
        &group,
        &carol_address
    );
    carol.json(&["conversations", "sync-all"]);
    let gone = carol.json(&["conversations", "get", &group]);
    assert_eq!(gone["isActive"], false);
    let (code, told) = carol.fails(&["xmtp", "conversation", "send-text", &group, "hello?"]);
    assert_eq!(code, 5, "{told}");
    let explained = alice.ok(&["group", "explain", &group]);
    assert!(explained.contains("applied"), "{explained}");
    assert!(explained.contains("others"), "{explained}");
    let inside = alice.ok(&["group", "explain", &group, "--json"]);
    let inside: Value = serde_json::from_str(&inside).unwrap();
    for one in inside["standing"].as_array().unwrap() {
        assert_ne!(one["state"], "", "{inside}");
        assert!(one["installationId"].is_string(), "{inside}");
    }
}

#[test]
fn consent_is_kept() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let bob_inbox = bob.inbox();
    shows!(alice, "consent_state", "conversation", "consent-state", &dm);
    shows!(
        alice,
        "update_consent",
        "conversation",
        "update-consent",
        &dm,
        "--state",
        "denied"
    );
    let denied = alice.json(&["conversations", "list", "--consent-state", "denied"]);
    assert_eq!(id(&denied[0]), dm);
    shows!(
        alice,
        "set_consent",
        "preferences",
        "set-consent",
        "--entity-type",
        "inbox_id",
        "--entity",
        &bob_inbox,
        "--state",
        "allowed",
    );
    shows!(
        alice,
        "get_consent",
        "preferences",
        "get-consent",
        "--entity-type",
        "inbox_id",
        "--entity",
        &bob_inbox,
    );
    shows!(
        alice,
        "preferences_inbox_states",
        "preferences",
        "inbox-states",
        &bob_inbox
    );
}

#[test]
fn messages_can_wait_until_they_are_published() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    shows!(
        alice,
        "send_optimistic",
        "conversation",
        "send-text",
        &dm,
        "later",
        "--optimistic"
    );
    bob.json(&["conversations", "sync-all"]);
    let read = |person: &Person| texts(&person.json(&["conversation", "messages", &dm, "--sync"]));
    assert!(!read(&bob).contains(&"later".to_owned()));
    shows!(
        alice,
        "publish_messages",
        "conversation",
        "publish-messages",
        &dm
    );
    assert!(read(&bob).contains(&"later".to_owned()));
}

/// The first line that is `wanted` of a stream of `person`, while `happen` happens again and again:
/// the stream begins a moment after its program.
pub(super) fn heard(
    person: &Person,
    arguments: &[&str],
    wanted: impl Fn(&Value) -> bool + Send,
    mut happen: impl FnMut(),
) -> Value {
    let mut listening = person
        .program()
        .arg("xmtp")
        .args(arguments)
        .args(["--json", "--timeout", "120", "--verbose"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says who it is when it is there.
    let mut told = BufReader::new(listening.stderr.take().unwrap()).lines();
    while !told.next().unwrap().unwrap().starts_with("installation") {}
    let lines = BufReader::new(listening.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| {
        let line = line.unwrap();
        assert!(!line.contains(": "), "one compact line: {line}");
        serde_json::from_str(&line).unwrap()
    });
    let line = thread::scope(|scope| {
        let heard = scope.spawn(move || lines.find(wanted).unwrap());
        while !heard.is_finished() {
            happen();
        }
        heard.join().unwrap()
    });
    if arguments.contains(&"--count") {
        assert!(listening.wait().unwrap().success(), "it ends by itself");
    } else {
        listening.kill().unwrap();
        listening.wait().unwrap();
    }
    line
}

#[test]
fn streams_print_a_line_for_each_message() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    alice.json(&["conversation", "send-text", &dm, "before"]);
    for (name, arguments) in [
        (
            "stream_all",
            &["conversations", "stream-all-messages", "--count", "1"][..],
        ),
        (
            "stream_one",
            &["conversation", "stream", &dm, "--count", "1"],
        ),
    ] {
        bob.json(&["conversations", "sync-all"]);
        let any = |_: &Value| true;
        let line = heard(&bob, arguments, any, || {
            alice.json(&["conversation", "send-text", &dm, "now"]);
        });
        assert_eq!(line["content"], "now", "{line}");
        insta::assert_snapshot!(name, super::redacted(&line.to_string(), bob.home()));
    }
}

#[test]
fn streams_print_a_line_for_each_conversation_and_preference() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let bob_address = bob.address();
    let arguments = ["conversations", "stream", "--type", "group"];
    let any = |_: &Value| true;
    let line = heard(&bob, &arguments, any, || {
        alice.json(&[
            "conversations",
            "create-group",
            &bob_address,
            "--name",
            "picnic",
        ]);
    });
    insta::assert_snapshot!(
        "stream_conversations",
        super::redacted(&line.to_string(), bob.home())
    );

    let second = bob.second_database();
    let second = second.to_str().unwrap();
    bob.json(&["client", "info", "--db-path", second]);
    let entity = ["--entity-type", "inbox_id", "--entity", &alice.inbox()];
    let mut states = ["allowed", "denied"].into_iter().cycle();
    let mut say = || {
        let mut say = vec!["preferences", "set-consent", "--db-path", second, "--state"];
        say.push(states.next().unwrap());
        say.extend(entity);
        bob.json(&say);
        bob.json(&["preferences", "sync", "--db-path", second]);
    };
    let stream = ["preferences", "stream"];
    let is = |kind: &'static str| move |line: &Value| line["updates"][0]["type"] == kind;
    let mut devices = 0..;
    let line = heard(&bob, &stream, is("HmacKeyUpdate"), || {
        // Who lost an installation gets a new key.
        let lost = format!("lost-{}.db", devices.next().unwrap());
        let info = bob.json(&["client", "info", "--db-path", &lost]);
        let id = info["properties"]["installationId"].as_str().unwrap();
        let revoke = ["client", "revoke-installations", "--force", "-i", id];
        bob.json(&[&revoke[..], &["--db-path", second]].concat());
        bob.json(&["preferences", "sync", "--db-path", second]);
    });
    let key = line["updates"][0]["key"].as_str().unwrap();
    assert_eq!(key.len(), 84, "{line}");
    let line = heard(&bob, &stream, is("ConsentUpdate"), &mut say);
    let update = &line["updates"][0];
    assert_eq!(update["entityType"], "inbox_id", "{line}");
    assert_eq!(update["entity"], alice.inbox(), "{line}");
    let synced = shows!(bob, "preferences_sync", "preferences", "sync");
    assert_eq!(synced["success"], true);
}

#[test]
fn files_travel_inside_messages_and_beside_them() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    std::fs::write(alice.home().join("map.txt"), "left at the oak").unwrap();
    let sent = shows!(
        alice,
        "send_attachment",
        "conversation",
        "send-attachment",
        &dm,
        "map.txt"
    );
    let message = sent["messageId"].as_str().unwrap();
    bob.json(&["conversations", "sync-all"]);
    shows!(
        bob,
        "download_attachment",
        "conversation",
        "download-attachment",
        &dm,
        message
    );
    let saved = std::fs::read_to_string(bob.home().join("map.txt")).unwrap();
    assert_eq!(saved, "left at the oak");
    let (code, _) = bob.fails(&["xmtp", "conversation", "download-attachment", &dm, message]);
    assert_eq!(code, 5, "a file is never replaced");

    let opening = alice.json(&[
        "conversation",
        "send-attachment",
        &dm,
        "map.txt",
        "--encrypt",
    ]);
    let field = |name: &str| opening[name].as_str().unwrap();
    let length = opening["contentLength"].to_string();
    alice.json(&[
        "conversation",
        "send-remote-attachment",
        &dm,
        "https://example.org/map",
        "--content-digest",
        field("contentDigest"),
        "--secret",
        field("secret"),
        "--salt",
        field("salt"),
        "--nonce",
        field("nonce"),
        "--content-length",
        &length,
        "--filename",
        "map.txt",
    ]);
    let read = bob.json(&[
        "conversation",
        "messages",
        &dm,
        "--sync",
        "--content-type",
        "remote-attachment",
    ]);
    assert_eq!(read[0]["content"]["url"], "https://example.org/map");
    assert_eq!(read[0]["content"]["contentDigest"], field("contentDigest"));
}

#[test]
fn messages_are_rewritten_and_taken_back() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let send = |text: &str| {
        let sent = alice.json(&["conversation", "send-text", &dm, text]);
        sent["messageId"].as_str().unwrap().to_owned()
    };
    let (first, second) = (send("at nooon"), send("never mind"));
    alice.json(&["conversation", "edit-message", &dm, &first, "at noon"]);
    alice.json(&["conversation", "delete-message", &dm, &second, "--force"]);
    bob.json(&["conversations", "sync-all"]);
    let shown = bob.json(&["conversations", "get-message", &second]);
    assert_eq!(shown["contentType"]["typeId"], "deletedMessage");
    let shown = bob.json(&["conversations", "get-message", &first]);
    assert_eq!(shown["content"], "at noon");
    assert_eq!(shown["edited"], true);
    let (code, told) = bob.fails(&[
        "xmtp",
        "conversation",
        "delete-message",
        &dm,
        &first,
        "--force",
    ]);
    assert_eq!(code, 5, "{told}");
}

#[test]
fn messages_can_be_made_to_disappear() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let shown = alice.json(&["conversation", "disappearing", &dm]);
    assert_eq!(shown["enabled"], false);
    let shown = alice.json(&["conversation", "disappearing", &dm, "--after", "12h"]);
    assert_eq!(shown["enabled"], true);
    assert_eq!(shown["inNs"], "43200000000000");
    let shown = alice.json(&["conversation", "disappearing", &dm, "--off"]);
    assert_eq!(shown["enabled"], false);
}

#[test]
fn choices_and_other_content_are_sent() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let offered = alice.json(&[
        "conversation",
        "send-actions",
        &dm,
        "Where?",
        "lake=The lake",
        "hill",
    ]);
    let name = offered["actionsId"].as_str().unwrap();
    bob.json(&["conversations", "sync-all"]);
    bob.json(&["conversation", "send-intent", &dm, name, "lake"]);
    let read = alice.json(&[
        "conversation",
        "messages",
        &dm,
        "--sync",
        "--content-type",
        "intent",
    ]);
    assert_eq!(read[0]["content"]["actionId"], "lake");
    std::fs::write(
        alice.home().join("dice.json"),
        r#"{"text":"4","fallback":"a four"}"#,
    )
    .unwrap();
    alice.json(&[
        "conversation",
        "send-content",
        &dm,
        "example.org/dice:1.0",
        "dice.json",
    ]);
    let read = bob.json(&[
        "conversation",
        "messages",
        &dm,
        "--sync",
        "--content-type",
        "custom",
    ]);
    assert_eq!(read[0]["contentType"]["typeId"], "dice");
}

#[test]
fn an_archive_holds_what_was_said() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    alice.json(&["conversation", "send-text", &dm, "at noon"]);
    let made = alice.json(&["archive", "create", "old.archive"]);
    let key = made["key"].as_str().unwrap();
    alice.json(&["archive", "metadata", "old.archive", "--key", key]);
    let second = alice.second_database();
    let second = second.to_str().unwrap();
    let told = alice.json(&[
        "archive",
        "import",
        "old.archive",
        "--key",
        key,
        "--db-path",
        second,
    ]);
    assert!(told["messages"].as_u64().unwrap() >= 1, "{told}");
    let read = alice.json(&["conversation", "messages", &dm, "--db-path", second]);
    assert!(texts(&read).contains(&"at noon".to_owned()), "{read}");
    let found = alice.json(&["search", "noon"]);
    assert_eq!(texts(&found), ["at noon"]);
}

#[test]
fn keys_for_push_have_three_epochs() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let keys = alice.json(&["conversations", "hmac-keys"]);
    assert_eq!(keys[&dm].as_array().unwrap().len(), 3, "{keys}");
    assert!(
        keys[&dm][0]["key"].is_string() && keys[&dm][0]["epoch"].is_string(),
        "{keys}"
    );
}

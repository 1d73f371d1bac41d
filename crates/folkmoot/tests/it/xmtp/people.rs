//! The commands for people: contacts, send, tail, whoami, completions, manual.

use super::{Net, Person, redacted};
use crate::support::text;

#[test]
fn people_write_to_each_other_by_name() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let told = alice.ok(&["contacts", "add", "bob", &bob.address()]);
    assert!(told.starts_with("bob is 0x"), "{told}");
    bob.ok(&["contacts", "add", "alice", &alice.address()]);
    assert_eq!(alice.ok(&["send", "bob", "at", "noon"]), "sent to bob\n");
    let told = bob.ok(&["tail", "--no-follow"]);
    assert!(told.contains("[alice] alice: at noon"), "{told}");
    bob.ok(&["send", "alice", "fine"]);
    let told = alice.ok(&["tail", "bob", "--no-follow"]);
    insta::assert_snapshot!("tail", redacted(&told, alice.home()));
}

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:9";

#[test]
fn what_is_stored_is_shown_and_what_is_said_waits_when_no_node_answers() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    // By default the name of the database follows from the node.
    let database = alice.home().join("mine.db");
    let mine = ["--db-path", database.to_str().unwrap()];
    let offline = [&mine[..], &["--node", NOBODY]].concat();
    alice.ok(&["contacts", "add", "bob", &bob.address()]);
    alice.ok(&[&["send", "bob", "at noon"][..], &mine].concat());
    let told = alice.run(&[&["tail", "--no-follow"][..], &offline].concat());
    assert!(told.status.success(), "{}", text(&told.stderr));
    assert!(text(&told.stdout).contains("at noon"));
    assert!(text(&told.stderr).contains("this is what is stored here"));
    let (code, _) = alice.fails(&[&["tail", "--timeout", "30"][..], &offline].concat());
    assert_eq!(code, 3);

    let (code, told) = alice.fails(&[&["send", "bob", "or at one"][..], &offline].concat());
    assert_eq!(code, 3);
    assert!(told.contains("the message is stored"), "{told}");
    alice.ok(&[&["send", "bob", "bring bread"][..], &mine].concat());
    let told = bob.ok(&["tail", "--no-follow"]);
    for text in ["at noon", "or at one", "bring bread"] {
        assert_eq!(told.matches(text).count(), 1, "{told}");
    }
    let stranger = format!("0x{}", "11".repeat(20));
    let (code, _) = alice.fails(&[&["send", &stranger, "x"][..], &offline].concat());
    assert_eq!(code, 3);
}

#[test]
fn what_is_sent_may_begin_with_a_dash_or_come_by_a_pipe() {
    use std::{io::Write as _, process::Stdio};
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let to = bob.address();
    alice.ok(&["send", &to, "- milk"]);
    alice.ok(&["send", &to, "-v", "is", "verbose", "--json"]);
    let mut piped = alice.program();
    piped.args(["send", &to]).stdin(Stdio::piped());
    let mut child = piped.stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"from a pipe\n").unwrap();
    drop(input);
    assert!(child.wait_with_output().unwrap().status.success());
    let told = bob.ok(&["tail", "--no-follow"]);
    for text in [": - milk", ": -v is verbose\n", ": from a pipe"] {
        assert!(told.contains(text), "{told}");
    }
}

#[test]
fn contacts_are_kept_by_name() {
    let alice = Person::nobody();
    let address = "0x00000000000000000000000000000000000000aa";
    alice.ok(&["contacts", "add", "bob", address]);
    let (code, told) = alice.fails(&["contacts", "add", "bob", &"ab".repeat(32)]);
    assert_eq!(code, 5);
    insta::assert_snapshot!("contact_taken", told);
    insta::assert_snapshot!("contacts", alice.ok(&["contacts", "--json"]));
    alice.ok(&["contacts", "remove", "bob"]);
    let (code, _) = alice.fails(&["contacts", "remove", "bob"]);
    assert_eq!(code, 4);
    let (code, _) = alice.fails(&["contacts", "add", "bob", "nobody"]);
    assert_eq!(code, 2);
}

#[test]
fn somebody_can_ask_who_they_are() {
    let net = Net::start();
    let alice = net.person();
    insta::assert_snapshot!("whoami", redacted(&alice.ok(&["whoami"]), alice.home()));
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let alice = Person::nobody();
    let page = alice.ok(&["man"]);
    assert!(page.contains(".TH folkmoot 1"), "{page}");
    alice.ok(&["man", "--output", "pages"]);
    let pages = alice.home().join("pages");
    for name in [
        "folkmoot.1",
        "folkmoot-xmtp-client-info.1",
        "folkmoot-send.1",
    ] {
        assert!(pages.join(name).exists(), "{name}");
    }
}

#[test]
fn the_shell_learns_names_of_contacts_and_groups() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    alice.ok(&["contacts", "add", "bobby", &bob.address()]);
    alice.json(&[
        "conversations",
        "create-group",
        &bob.address(),
        "--name",
        "books",
    ]);
    let script = alice.ok(&["completions", "bash"]);
    assert!(script.contains("COMPLETE"), "{script}");
    // What the script in the shell asks when somebody types `folkmoot send bo<tab>`.
    let output = alice
        .program()
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "2")
        .env("_CLAP_IFS", "\n")
        .args(["--", "folkmoot", "send", "bo"])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.lines().collect::<Vec<_>>(), ["bobby", "books"]);
}

#[test]
fn the_doctor_looks_at_a_client() {
    let net = Net::start();
    let alice = net.person();
    alice.inbox();
    let told = alice.ok(&["doctor", "--client"]);
    for check in [
        "keys",
        "network",
        "database",
        "identity",
        "budget",
        "key package",
    ] {
        assert!(
            told.contains(&format!("ok       {check}")),
            "{check}: {told}"
        );
    }
    // It looks at what the flags say.
    let nobody = Person::nobody();
    let key = alice.variable("XMTP_DB_ENCRYPTION_KEY");
    let database = alice.json(&["client", "info"]);
    let database = database["options"]["dbPath"].as_str().unwrap();
    let told = nobody.run(&[
        "doctor",
        "--client",
        "--node",
        net.url(),
        "--db-path",
        database,
        "--db-encryption-key",
        &key,
        "--json",
    ]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let database = told.as_array().unwrap().iter();
    let mut database = database.filter(|finding| finding["check"] == "database");
    assert_eq!(database.next().unwrap()["state"], "ok", "{told}");

    let wrong = "11".repeat(32);
    let output = alice
        .program()
        .env("XMTP_DB_ENCRYPTION_KEY", wrong)
        .args(["doctor", "--client"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("FAILED   database")
    );
}

#[test]
fn what_is_for_a_contact_goes_to_no_group_of_that_name() {
    let net = Net::start();
    let (alice, bob, carol) = (net.person(), net.person(), net.person());
    alice.ok(&["contacts", "add", "bob", &bob.address()]);
    let group = carol.json(&[
        "conversations",
        "create-group",
        &alice.address(),
        "--name",
        "bob",
    ]);
    alice.json(&["conversations", "sync"]);
    let send = ["xmtp", "conversation", "send-text", "bob", "for bob only"];
    let (code, told) = alice.fails(&send);
    assert_eq!(code, 4);
    assert!(told.contains("no conversation with \"bob\" yet"), "{told}");
    // Without the contact the name is the group's, unless there is an own one of that name.
    alice.ok(&["contacts", "remove", "bob"]);
    let found = alice.json(&["conversations", "get", "bob"]);
    assert_eq!(found["id"], group["id"]);
    let own = alice.json(&[
        "conversations",
        "create-group",
        "--name",
        "bob",
        &bob.address(),
    ]);
    let found = alice.json(&["conversations", "get", "bob"]);
    assert_eq!(found["id"], own["id"]);
}

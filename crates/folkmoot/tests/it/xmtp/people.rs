//! The commands for people: contacts, send, tail, whoami, completions, manual.

use super::{Net, Person, redacted};

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

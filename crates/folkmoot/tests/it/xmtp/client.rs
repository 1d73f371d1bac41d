//! Ourselves: identity, accounts, installations; and the commands that need nobody.

use super::{Net, shows};

#[test]
fn people_can_be_looked_up_without_being_anybody() {
    let net = Net::start();
    let alice = net.person();
    let (address, inbox) = (alice.address(), alice.inbox());
    let stranger = "0x00000000000000000000000000000000000000aa";
    shows!(alice, "can_message", "can-message", &address, stranger);
    shows!(
        alice,
        "address_authorized",
        "address-authorized",
        &inbox,
        &address
    );
    let state = shows!(alice, "inbox_states", "inbox-states", &inbox);
    let installation = state[0]["installations"][0]["id"].as_str().unwrap();
    let found = alice.json(&["installation-authorized", &inbox, installation]);
    assert_eq!(found["isAuthorized"], true);
    let found = alice.json(&["installation-authorized", &inbox, &"00".repeat(32)]);
    assert_eq!(found["isAuthorized"], false);
    let human = alice.ok(&["xmtp", "inbox-states", &inbox]);
    insta::assert_snapshot!(
        "inbox_states_for_people",
        super::redacted(&human, alice.home())
    );
    let (code, _) = alice.fails(&["xmtp", "inbox-states", &"00".repeat(32)]);
    assert_eq!(code, 4);
}

#[test]
fn a_client_knows_itself() {
    let net = Net::start();
    let alice = net.person();
    let info = shows!(alice, "client_info", "client", "info");
    let address = info["properties"]["address"].as_str().unwrap();
    let found = shows!(
        alice,
        "client_inbox_id",
        "client",
        "inbox-id",
        "-i",
        address
    );
    assert_eq!(found["inboxId"], info["properties"]["inboxId"]);
    let nobody = "0x00000000000000000000000000000000000000aa";
    let found = alice.json(&["client", "inbox-id", "-i", nobody]);
    assert_eq!(found["found"], false);
    assert!(found["inboxId"].is_null());
    let id = info["properties"]["installationId"].as_str().unwrap();
    shows!(
        alice,
        "key_package_status",
        "client",
        "key-package-status",
        "-i",
        id
    );
    shows!(alice, "inbox_state", "preferences", "inbox-state", "--sync");
    // Every later command is the same installation.
    let again = alice.json(&["client", "info"]);
    assert_eq!(again["properties"], info["properties"]);
}

#[test]
fn an_installation_signs_and_checks() {
    let net = Net::start();
    let alice = net.person();
    let signed = shows!(alice, "sign", "client", "sign", "at noon");
    let signature = signed["signature"].as_str().unwrap();
    let checked = shows!(
        alice,
        "verify_signature",
        "client",
        "verify-signature",
        "at noon",
        "-s",
        signature
    );
    assert_eq!(checked["isValid"], true);
    let other = alice.json(&["client", "verify-signature", "at one", "-s", signature]);
    assert_eq!(other["isValid"], false);
    let base64 = alice.json(&["client", "sign", "at noon", "--base64"]);
    let signature = base64["signature"].as_str().unwrap();
    let checked = alice.json(&[
        "client",
        "verify-signature",
        "at noon",
        "--base64",
        "-s",
        signature,
    ]);
    assert_eq!(checked["isValid"], true);
}

#[test]
fn accounts_come_and_go() {
    let net = Net::start();
    let (alice, second) = (net.person(), net.person());
    let key = second.variable("XMTP_WALLET_KEY");
    let added = shows!(
        alice,
        "add_account",
        "client",
        "add-account",
        "--new-wallet-key",
        &key,
        "--force"
    );
    let address = added["newAddress"].as_str().unwrap();
    let state = alice.json(&["preferences", "inbox-state", "--sync"]);
    assert_eq!(state["identifiers"].as_array().unwrap().len(), 2);
    shows!(
        alice,
        "remove_account",
        "client",
        "remove-account",
        "-i",
        address,
        "--force"
    );
    let state = alice.json(&["preferences", "inbox-state", "--sync"]);
    assert_eq!(state["identifiers"].as_array().unwrap().len(), 1);
    let new = "0x00000000000000000000000000000000000000aa";
    shows!(
        alice,
        "change_recovery_identifier",
        "client",
        "change-recovery-identifier",
        "-i",
        new,
        "--force",
    );
    let (code, told) = alice.fails(&["xmtp", "client", "remove-account", "-i", address, "--force"]);
    assert_eq!(code, 5, "only the recovery account may: {told}");
}

#[test]
fn installations_are_revoked() {
    let net = Net::start();
    let alice = net.person();
    let inbox = alice.inbox();
    let second = alice.second_database();
    let second = second.to_str().unwrap();
    let id = |database: Option<&str>| {
        let mut arguments = vec!["client", "info"];
        arguments.extend(database.iter().flat_map(|path| ["--db-path", path]));
        let info = alice.json(&arguments);
        info["properties"]["installationId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let other = id(Some(second));
    assert_ne!(other, id(None));
    shows!(
        alice,
        "client_revoke_installations",
        "client",
        "revoke-installations",
        "-i",
        &other,
        "--force",
    );
    let third = alice.home().join("third.db");
    let third = id(third.to_str());
    shows!(
        alice,
        "revoke_all_other",
        "client",
        "revoke-all-other-installations",
        "--force"
    );
    let found = alice.json(&["installation-authorized", &inbox, &third]);
    assert_eq!(found["isAuthorized"], false);
    let own = id(None);
    shows!(
        alice,
        "revoke_installations",
        "revoke-installations",
        &inbox,
        "-i",
        &own,
        "--force"
    );
    let found = alice.json(&["installation-authorized", &inbox, &own]);
    assert_eq!(found["isAuthorized"], false);
}

#[test]
fn a_revoked_device_is_told_so_and_linked_again() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let (address, inbox) = (bob.address(), bob.inbox());
    let dm = alice.json(&["conversations", "create-dm", &address]);
    let dm = dm["id"].as_str().unwrap();
    let say = |who: &super::Person, what: &str| {
        who.json(&["conversation", "send-text", dm, what]);
    };
    say(&alice, "before");
    bob.json(&["conversations", "sync-all"]);
    let old = bob.json(&["client", "info"])["properties"]["installationId"].clone();
    let own = old.as_str().unwrap();
    bob.json(&["revoke-installations", &inbox, "-i", own, "--force"]);
    let again = ["xmtp", "revoke-installations", &inbox, "-i", own, "--force"];
    assert_eq!(bob.fails(&again).0, 4);

    for arguments in [
        &["xmtp", "conversations", "sync-all"][..],
        &["xmtp", "device-sync", "sync"],
        &["xmtp", "conversations", "stream-all-messages"],
        &["tail"],
        &["xmtp", "conversation", "send-text", dm, "hello?"],
    ] {
        let (code, told) = bob.fails(arguments);
        assert_eq!(code, 5, "{arguments:?}: {told}");
        assert!(told.contains("client relink"), "{arguments:?}: {told}");
    }
    let info = bob.json(&["client", "info"]);
    assert_eq!(info["properties"]["isRegistered"], false);
    assert!(bob.ok(&["whoami"]).contains("revoked"));

    let relinked = bob.json(&["client", "relink", "--force"]);
    assert_eq!(relinked["revokedInstallationId"], old);
    assert_ne!(relinked["installationId"], old);
    assert_eq!(relinked["inboxId"], *inbox);
    assert_eq!(relinked["waitingConversations"], 1);
    let texts = |who: &super::Person| {
        let messages = who.json(&["conversation", "messages", dm, "--sync"]);
        messages.to_string()
    };
    assert!(texts(&bob).contains("before"));
    let explained = bob.ok(&["group", "explain", dm]);
    assert!(
        explained.contains("waits until somebody adds it"),
        "{explained}"
    );
    assert!(!bob.ok(&["whoami"]).contains("revoked"));
    say(&bob, "here again");
    alice.json(&["conversations", "sync-all"]);
    assert!(texts(&alice).contains("here again"));
    say(&alice, "good");
    bob.json(&["conversations", "sync-all"]);
    assert!(texts(&bob).contains("good"));
}

#[test]
fn the_last_account_stays() {
    let net = Net::start();
    let alice = net.person();
    let address = alice.address();
    let remove = [
        "xmtp",
        "client",
        "remove-account",
        "-i",
        &address,
        "--force",
    ];
    let (code, told) = alice.fails(&remove);
    assert_eq!(code, 5, "{told}");
    assert!(told.contains("last account"), "{told}");
    let nobody = "0x00000000000000000000000000000000000000aa";
    let remove = ["xmtp", "client", "remove-account", "-i", nobody, "--force"];
    assert_eq!(alice.fails(&remove).0, 4);
    let nothing = "00".repeat(32);
    let revoke = [
        "xmtp",
        "client",
        "revoke-installations",
        "-i",
        &nothing,
        "--force",
    ];
    assert_eq!(alice.fails(&revoke).0, 4);
}

#[test]
fn what_could_not_be_sent_is_told_to_be_stored() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    // A database has its name from the network, unless somebody gives it one.
    let database = alice.home().join("one.db");
    let database = ["--db-path", database.to_str().unwrap()];
    let dm = alice.json(
        &[
            &["conversations", "create-dm", &bob.address()],
            &database[..],
        ]
        .concat(),
    );
    let dm = dm["id"].as_str().unwrap();
    let away = ["--node", "http://127.0.0.1:1"];
    let mut arguments = vec!["xmtp", "conversation", "send-text", dm, "at noon"];
    arguments.extend(database);
    arguments.extend(["--idempotency-key", "noon", "--json"]);
    let output = alice
        .program()
        .args(&arguments)
        .args(away)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["success"], false);
    assert_eq!(told["queued"], true);
    let error = crate::support::text(&output.stderr);
    assert!(error.contains("is stored"), "{error}");
    // A script that sends it again, with the key, says it once.
    let sent = alice.json(&arguments[1..arguments.len() - 1]);
    assert_eq!(sent["messageId"], told["messageId"]);
    bob.json(&["conversations", "sync-all"]);
    let messages = bob.json(&["conversation", "messages", dm]);
    assert_eq!(
        messages.to_string().matches("at noon").count(),
        1,
        "{messages}"
    );
}

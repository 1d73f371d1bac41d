//! Commands and flags that are seldom used, and have no story of their own.

use serde_json::{Value, json};

use super::{Net, Person, conversations::id};

fn length(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

#[test]
fn several_files_are_sent_as_one_message() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let mut files = Vec::new();
    for name in ["map.txt", "list.txt"] {
        std::fs::write(alice.home().join(name), format!("what {name} says")).unwrap();
        let send = ["conversation", "send-attachment", &dm, name, "--encrypt"];
        let mut opening = alice.json(&send);
        opening["url"] = json!(format!("https://example.org/{name}"));
        opening["filename"] = json!(name);
        files.push(opening);
    }
    let list = serde_json::to_string(&files).unwrap();
    std::fs::write(alice.home().join("files.json"), list).unwrap();
    alice.json(&[
        "conversation",
        "send-multi-remote-attachment",
        &dm,
        "files.json",
    ]);
    bob.json(&["conversations", "sync-all"]);
    let kind = ["--content-type", "multi-remote-attachment"];
    let read = bob.json(&[&["conversation", "messages", &dm][..], &kind].concat());
    assert_eq!(length(&read), 1, "{read}");
    let content = read[0]["content"].to_string();
    for name in ["map.txt", "list.txt"] {
        assert!(
            content.contains(&format!("https://example.org/{name}")),
            "{content}"
        );
    }
}

#[test]
fn a_group_carries_data_of_apps_and_takes_installations_in_again() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let group = id(&alice.json(&["conversations", "create-group", &bob.address()]));
    alice.json(&["conversation", "app-data", &group, "--set", "blue"]);
    bob.json(&["conversations", "sync-all"]);
    let read = bob.json(&["conversation", "app-data", &group]);
    assert_eq!(read["appData"], "blue");

    let info = bob.json(&["client", "info"]);
    let installation = info["properties"]["installationId"].as_str().unwrap();
    let readd = ["conversation", "readd-installations", &group, installation];
    let added = alice.json(&readd);
    assert_eq!(added["success"], true, "{added}");
    bob.json(&["conversations", "sync-all"]);
    bob.json(&["conversation", "send-text", &group, "here again"]);
    let read = alice.json(&["conversation", "messages", &group, "--sync", "--limit", "1"]);
    assert_eq!(read[0]["content"], "here again", "{read}");
}

#[test]
fn transactions_are_told_and_asked_for_in_the_form_of_their_types() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let file = |name: &str, content: Value| {
        std::fs::write(alice.home().join(name), content.to_string()).unwrap();
    };
    file(
        "paid.json",
        json!({ "networkId": "8453", "reference": "0xab" }),
    );
    let calls = json!({
        "version": "1.0", "chainId": "0x2105", "from": alice.address(),
        "calls": [{ "to": bob.address(), "value": "0x1" }],
    });
    file("calls.json", calls);
    for (command, name) in [
        ("send-transaction-reference", "paid.json"),
        ("send-wallet-send-calls", "calls.json"),
    ] {
        let sent = alice.json(&["conversation", command, &dm, name]);
        assert_eq!(sent["success"], true, "{sent}");
        // Something else under that name would be shown by nobody.
        file("wrong.json", json!({ "hello": "there" }));
        let (code, told) = alice.fails(&["xmtp", "conversation", command, &dm, "wrong.json"]);
        assert_eq!(code, 2, "{told}");
    }
    file("text.json", json!({ "text": "hi" }));
    let send = ["xmtp", "conversation", "send-content", &dm];
    let known = [
        &send[..],
        &["xmtp.org/transactionReference:1.0", "text.json"],
    ]
    .concat();
    let (code, told) = alice.fails(&known);
    assert_eq!(code, 2);
    assert!(told.contains("not what its type says"), "{told}");
    alice.ok(&[&send[..], &["example.org/dice:1.0", "text.json"]].concat());
    bob.json(&["conversations", "sync-all"]);
    let read = bob.json(&["conversation", "messages", &dm]);
    let read = read.to_string();
    assert!(read.contains("8453") && read.contains("0x2105"), "{read}");
}

#[test]
fn a_group_is_moved_into_a_dictionary_by_those_who_ask_for_it() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let group = id(&alice.json(&["conversations", "create-group", &bob.address()]));
    let convert = [
        "xmtp",
        "conversation",
        "convert-metadata",
        &group,
        "--force",
    ];
    let (code, told) = alice.fails(&convert);
    assert_eq!(code, 5);
    assert!(told.contains("XMTP_APP_DATA_GROUPS"), "{told}");
    for person in [&alice, &bob] {
        let file = person.home().join(".xmtp/.env");
        let variables = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, variables + "\nXMTP_APP_DATA_GROUPS=true\n").unwrap();
    }
    let (code, told) = alice.fails(&convert[..4]);
    assert_eq!(code, 2, "it asks first: {told}");
    // Bob's next command announces it; what is in the group's tree follows with what he says.
    bob.json(&["conversations", "sync-all"]);
    bob.json(&["conversation", "send-text", &group, "here"]);
    alice.json(&["conversations", "sync-all"]);
    let converted = alice.run(&convert);
    if !converted.status.success() {
        // His leaf is renewed by the next commit of his own.
        bob.json(&["conversation", "update-name", &group, "Picnic"]);
        alice.ok(&convert);
    }
    alice.json(&["conversation", "update-description", &group, "By the lake"]);
    bob.json(&["conversations", "sync-all"]);
    let read = bob.json(&["conversations", "get", &group]);
    assert_eq!(read["description"], "By the lake", "{read}");
}

#[test]
fn lists_are_sorted_and_cut_as_flags_say() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let group = id(&alice.json(&["conversations", "create-group", &bob.address()]));
    let of = |flag: &str, ns: &str| length(&alice.json(&["conversations", "list", flag, ns]));
    assert_eq!(of("--created-before", "1"), 0);
    assert_eq!(of("--created-before", &i64::MAX.to_string()), 1);
    alice.json(&["conversation", "send-text", &group, "one"]);
    alice.json(&["conversation", "send-text", &group, "two"]);
    let read = |order: &str| {
        let read = alice.json(&[
            "conversation",
            "messages",
            &group,
            "--sort-by",
            "inserted-at",
            "--content-type",
            "text",
            "--direction",
            order,
        ]);
        let read = read.as_array().unwrap().iter();
        read.map(|message| message["content"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(read("ascending"), ["one", "two"]);
    assert_eq!(read("descending"), ["two", "one"]);
}

#[test]
fn what_a_client_was_told_about_itself_it_repeats() {
    let net = Net::start();
    let alice = net.person();
    let flags = ["--app-version", "picnic/2", "--disable-device-sync"];
    let info = alice.json(&[&["client", "info"][..], &flags].concat());
    assert_eq!(info["properties"]["appVersion"], "picnic/2");
    assert_eq!(info["options"]["disableDeviceSync"], true);
    let info = alice.json(&["client", "info", "--history-url", "http://127.0.0.1:9"]);
    assert_eq!(info["options"]["historySyncUrl"], "http://127.0.0.1:9");
    assert!(info["options"]["disableDeviceSync"].is_null(), "{info}");
}

#[test]
fn both_names_of_the_completions_print_the_same() {
    let nobody = Person::nobody();
    let script = nobody.ok(&["xmtp", "autocomplete", "bash"]);
    assert_eq!(script, nobody.ok(&["completions", "bash"]));
    assert!(script.contains("COMPLETE="), "{script}");
}

//! Several installations of one person, and copies of a database.

use std::fs;

use super::{Net, conversations::id};

#[test]
fn history_goes_from_one_installation_to_another() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let history = net.history();
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    alice.json(&["conversation", "send-text", &dm, "before the laptop"]);
    let laptop = alice.second_database();
    let laptop = laptop.to_str().unwrap();
    let on = |database: Option<&str>, arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(database.into_iter().flat_map(|path| ["--db-path", path]));
        all.extend(["--history-url", &history]);
        alice.json(&all)
    };

    // Nobody names a server: it is told which flag does.
    let (code, told) = alice.fails(&["xmtp", "device-sync", "request"]);
    assert_eq!(code, 1);
    assert!(
        told.contains("--history-url URL or XMTP_HISTORY_URL"),
        "{told}"
    );
    let alone = ["xmtp", "device-sync", "request", "--history-url", &history];
    let (_, told) = alice.fails(&alone);
    assert!(told.contains("no other installation"), "{told}");
    assert!(told.contains("another --db-path"), "{told}");

    // It is the first thing that the new installation says.
    let request = on(Some(laptop), &["device-sync", "request"]);
    let pin = request["pin"].as_str().unwrap();
    assert_eq!(
        on(Some(laptop), &["device-sync", "list"]),
        serde_json::json!([])
    );
    let nothing = ["xmtp", "device-sync", "accept", "--db-path", laptop];
    let (code, told) = alice.fails(&[&nothing[..], &["--history-url", &history]].concat());
    assert_eq!(code, 4);
    assert!(
        told.contains("`folkmoot xmtp device-sync request`, then"),
        "{told}"
    );
    let synced = on(None, &["device-sync", "sync"]);
    assert_eq!(synced["failed"], 0, "{synced}");
    let offered = on(Some(laptop), &["device-sync", "list"]);
    assert_eq!(offered[0]["pin"], pin, "{offered}");
    let read = on(Some(laptop), &["conversation", "messages", &dm]);
    assert!(read.to_string().contains("before the laptop"), "{read}");

    alice.json(&["conversation", "send-text", &dm, "after it"]);
    let offered = on(None, &["device-sync", "offer", "by hand"]);
    assert_eq!(offered["pin"], "by hand");
    let taken = on(Some(laptop), &["device-sync", "accept", "by hand"]);
    assert_eq!(taken["success"], true, "{taken}");
    let read = on(Some(laptop), &["conversation", "messages", &dm]);
    assert!(read.to_string().contains("after it"), "{read}");
}

#[test]
fn a_new_installation_is_told_and_the_eleventh_is_refused_with_a_way_out() {
    let net = Net::start();
    let alice = net.person();
    let told = |output: std::process::Output| String::from_utf8(output.stderr).unwrap();
    assert_eq!(told(alice.run(&["xmtp", "client", "info"])), "");
    let inbox = alice.inbox();
    for number in 2..=10 {
        let path = format!("{number}.db");
        let told = told(alice.run(&["xmtp", "client", "info", "--db-path", &path]));
        let wanted =
            format!("this is installation {number} of 10 of inbox {inbox}: {path} is new\n");
        assert_eq!(told, wanted);
    }
    assert_eq!(
        told(alice.run(&["xmtp", "client", "info", "--db-path", "2.db"])),
        ""
    );
    let (code, told) = alice.fails(&["xmtp", "client", "info", "--db-path", "11.db"]);
    assert_eq!(code, 5);
    assert!(
        told.contains(&format!("error: inbox {inbox} has 10 of 10")),
        "{told}"
    );
    assert!(
        told.contains(&format!("revoke-installations {inbox} -i ")),
        "{told}"
    );
    let state = alice.json(&["inbox-states", &inbox]);
    let one = state[0]["installations"][9]["id"].as_str().unwrap();
    alice.json(&["revoke-installations", &inbox, "-i", one, "--force"]);
    alice.json(&["client", "info", "--db-path", "11.db"]);
}

#[test]
fn a_database_is_copied_and_put_back_and_damage_is_told() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let (code, _) = alice.fails(&["xmtp", "database", "backup", "copy.db"]);
    assert_eq!(code, 4, "there is nothing to copy yet");
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    for number in 0..40 {
        let text = format!("{number} {}", "words ".repeat(100));
        alice.json(&["conversation", "send-text", &dm, &text, "--optimistic"]);
    }
    let info = alice.json(&["client", "info"]);
    let database = info["options"]["dbPath"].as_str().unwrap();
    let copied = alice.json(&["database", "backup", "copy.db"]);
    assert_eq!(copied["conversations"], 1, "{copied}");
    let (code, _) = alice.fails(&["xmtp", "database", "backup", "copy.db"]);
    assert_eq!(code, 1, "a copy never replaces a file");
    let verified = alice.json(&["database", "restore", "copy.db", "--verify"]);
    assert_eq!(verified["messages"], copied["messages"]);
    let (code, _) = alice.fails(&["xmtp", "database", "restore", "copy.db"]);
    assert_eq!(code, 1, "there is a database already");

    // A page in the middle is overwritten: commands that do not meet it work, the doctor sees it.
    let whole = fs::read(database).unwrap();
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle..middle + 200].fill(0);
    fs::write(database, &damaged).unwrap();
    let told = alice.run(&["doctor", "--client"]);
    assert_eq!(told.status.code(), Some(1));
    let told = String::from_utf8(told.stdout).unwrap();
    let finding = told
        .lines()
        .find(|line| line.starts_with("FAILED   database"));
    let finding = finding.unwrap_or_else(|| panic!("{told}"));
    assert!(
        finding.contains("bad page") || finding.contains("is damaged"),
        "{told}"
    );
    assert!(told.contains("try: move the file away"), "{told}");

    // The end is gone.
    fs::write(database, &whole[..10_000]).unwrap();
    let (code, told) = alice.fails(&["xmtp", "conversations", "list"]);
    assert_eq!(code, 1);
    assert!(
        told.starts_with("error: the database is damaged: "),
        "{told}"
    );
    assert!(
        told.contains("folkmoot xmtp database restore FILE"),
        "{told}"
    );

    fs::remove_file(database).unwrap();
    for beside in ["-wal", "-shm"] {
        drop(fs::remove_file(format!("{database}{beside}")));
    }
    alice.json(&["database", "restore", "copy.db"]);
    let again = alice.json(&["client", "info"]);
    assert_eq!(again["properties"], info["properties"]);
    let count = alice.json(&[
        "conversation",
        "count-messages",
        &dm,
        "--content-type",
        "text",
    ]);
    assert_eq!(count["messageCount"], 40);
}

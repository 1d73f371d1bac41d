//! What goes wrong before anything is done: an exit code, what happened, what to do.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead as _, BufReader},
    iter,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use clap::CommandFactory as _;
use folkmoot::{cli::Cli, usage};

use super::{Net, Person, error_in, redacted};
use crate::support::text;

#[test]
fn keys_are_written_for_this_user_only_and_never_replaced_by_accident() {
    let person = Person::nobody();
    person.ok(&["xmtp", "init"]);
    let file = person.home().join(".xmtp/.env");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let directory = person.home().join(".xmtp");
    assert_eq!(
        fs::metadata(directory).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let (code, told) = person.fails(&["xmtp", "init"]);
    assert_eq!(code, 5);
    insta::assert_snapshot!(redacted(&told, person.home()));
    assert_eq!(person.variable("XMTP_ENV"), "dev");
    let printed = person.ok(&["xmtp", "init", "--stdout", "--env", "local"]);
    assert!(printed.starts_with("XMTP_WALLET_KEY=0x"), "{printed}");
    assert!(printed.ends_with("\nXMTP_ENV=local\n"), "{printed}");
}

/// How long it may take to say that a node is down: half a second by design, and as much more as a
/// busy machine needs to start a program. It is less than a call may take.
const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn a_node_that_is_down_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let person = Person::nobody();
    person.ok(&["xmtp", "init", "--node", &url]);
    let began = Instant::now();
    let (code, told) = person.fails(&["xmtp", "client", "info"]);
    let took = began.elapsed();
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains(&url) && told.contains("folkmoot dev"),
        "{told}"
    );
    assert!(took < PATIENCE, "{took:?}");
}

/// An address where somebody listens who has no room for anybody: who connects hears nothing.
fn deaf() -> (tokio::net::TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(one);
        assert!(waiting.len() < 1000, "the queue has no end");
    }
    (listener, waiting, address)
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_told_at_once() {
    let (_listener, _waiting, address) = deaf();
    let url = format!("http://{address}");
    let person = Person::nobody();
    person.ok(&["xmtp", "init", "--node", &url]);
    let began = Instant::now();
    let (code, told) = person.fails(&["xmtp", "client", "info"]);
    let took = began.elapsed();
    assert_eq!(code, 3, "{told}");
    assert_two_lines(&told);
    assert!(told.contains(&url), "{told}");
    assert!(took < PATIENCE, "{took:?}");
}

/// Somebody takes connections and says nothing: a node that hangs, or a proxy before one.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_node_that_says_nothing_is_told_of_while_it_is_waited_for() {
    for place in ["--node", "--gateway-host"] {
        let (_listener, url) = silent();
        let person = Person::nobody();
        person.ok(&["xmtp", "init"]);
        let mut waiting = person
            .program()
            .args(["xmtp", "client", "info", "--network-timeout", "600"])
            .args([place, &url])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines();
        let what = lines.next().unwrap().unwrap();
        let remedy = lines.next().unwrap().unwrap();
        // It has ten minutes for the answer, and told us at once.
        assert!(waiting.try_wait().unwrap().is_none());
        waiting.kill().unwrap();
        waiting.wait().unwrap();
        assert!(what.contains(&url) && what.contains("600 s"), "{what}");
        assert!(remedy.starts_with("  try: "), "{remedy}");
    }
}

#[test]
fn a_node_that_says_nothing_is_given_up_in_the_end() {
    let (_listener, url) = silent();
    let person = Person::nobody();
    person.ok(&["xmtp", "init", "--node", &url]);
    let (code, told) = person.fails(&["xmtp", "client", "info", "--network-timeout", "0.6"]);
    assert_eq!(code, 3, "{told}");
    assert_two_lines(&told);
    assert!(told.contains(&url) && told.contains("0.6 s"), "{told}");
}

#[test]
fn each_exit_code_has_its_meaning() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let (unknown, hash) = ("cd".repeat(16), "ab".repeat(32));
    let group = alice.json(&["conversations", "create-group", &bob.address()]);
    let group = group["id"].as_str().unwrap();
    bob.json(&["conversations", "sync-all"]);
    let (alice_inbox, here) = (alice.inbox(), alice.home().to_str().unwrap());
    for (person, code, arguments) in [
        (&alice, 0, &["conversations", "list"][..]),
        (&alice, 1, &["client", "info", "--db-path", here]),
        (&alice, 2, &["conversations", "list", "--limit", "x"]),
        (&alice, 2, &["client", "sign"]),
        (
            &alice,
            3,
            &["conversations", "sync", "--node", "http://127.0.0.1:1"],
        ),
        (&alice, 4, &["conversations", "get", &unknown]),
        (&alice, 4, &["conversations", "get-message", &hash]),
        (&alice, 4, &["conversation", "send-text", "nobody", "hello"]),
        (&alice, 4, &["inbox-states", &hash]),
        (&alice, 4, &["client", "info", "--env-file", "none"]),
        (&bob, 5, &["conversation", "add-admin", group, &alice_inbox]),
        (&bob, 5, &["client", "info", "--db-encryption-key", &hash]),
    ] {
        let mut all = vec!["xmtp"];
        all.extend(arguments);
        let output = person.run(&all);
        let told = error_in(&String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        if code != 0 {
            assert!(output.stdout.is_empty(), "{arguments:?}");
            assert!(told.starts_with("error: "), "{arguments:?}: {told}");
        }
    }
}

#[test]
fn what_holds_secrets_is_readable_by_its_owner_only() {
    let net = Net::start();
    let alice = net.person();
    alice.inbox();
    alice.ok(&["contacts", "add", "bob", &"ab".repeat(32)]);
    alice.json(&["archive", "create", "all.archive"]);
    let mut looked_at = 0;
    let mut open = vec![alice.home().to_owned()];
    while let Some(path) = open.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
            assert!(path == alice.home() || mode == 0o700, "{mode:o} {path:?}");
        } else {
            looked_at += 1;
            let is_secret = !path.to_str().unwrap().ends_with(".lock");
            assert!(!is_secret || mode == 0o600, "{mode:o} {path:?}");
        }
    }
    // Keys, contacts, database, archive.
    assert!(looked_at >= 4);
}

#[test]
fn errors_say_what_happened_and_what_to_do() {
    let person = Person::nobody();
    let inbox = "ab".repeat(32);
    let mut told = String::new();
    for arguments in [
        &["client", "info"][..],
        &["client", "info", "--wallet-key", "0x12"],
        &["client", "info", "--db-encryption-key", "zz"],
        &["client", "info", "--env-file", "nowhere.env"],
        &["can-message", "alice", "--env", "local"],
        &[
            "can-message",
            "--env",
            "mars",
            "0x00000000000000000000000000000000000000aa",
        ],
        &["inbox-states", "abc"],
        &["revoke-installations", &inbox, "-i", &inbox],
        &[
            "conversation",
            "update-permission",
            "abc",
            "--type",
            "update-metadata",
            "--policy",
            "deny",
        ],
        &["preferences", "get-consent", "--entity", "abc"],
        &["client", "dance"],
    ] {
        let mut all = vec!["xmtp"];
        all.extend(arguments);
        let (code, error) = person.fails(&all);
        assert_two_lines(&error);
        told += &format!("$ folkmoot {}\n{error}exit {code}\n\n", all.join(" "));
    }
    insta::assert_snapshot!(redacted(&told, person.home()));
}

#[test]
fn settings_come_from_flags_then_variables_then_one_file() {
    let net = Net::start();
    let person = net.person();
    let asked = |command: &mut std::process::Command| {
        let output = command
            .args([
                "xmtp",
                "client",
                "info",
                "--json",
                "--fields",
                "options.apiUrl",
            ])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(asked(&mut person.program()).contains(net.url()));
    let other = Net::start();
    assert!(asked(person.program().env("XMTP_NODE_URL", other.url())).contains(other.url()));
    fs::write(
        person.home().join(".env"),
        format!(
            "XMTP_NODE_URL={}\nXMTP_WALLET_KEY={}\nXMTP_DB_ENCRYPTION_KEY={}\n",
            other.url(),
            person.variable("XMTP_WALLET_KEY"),
            person.variable("XMTP_DB_ENCRYPTION_KEY"),
        ),
    )
    .unwrap();
    assert!(asked(&mut person.program()).contains(other.url()));
    let file = person.home().join(".xmtp/.env");
    let printed = person.ok(&[
        "xmtp",
        "client",
        "info",
        "--env-file",
        file.to_str().unwrap(),
        "--json",
    ]);
    assert!(printed.contains(net.url()), "{printed}");
}

#[test]
fn flags_may_take_several_values_and_come_twice_as_with_the_official_program() {
    let net = Net::start();
    let alice = net.person();
    let bob = net.person();
    let list = [
        "conversations",
        "list",
        "--consent-state",
        "allowed",
        "unknown",
    ];
    assert_eq!(alice.json(&list), serde_json::json!([]));
    alice.ok(&["xmtp", "conversations", "list", "--json", "--json"]);
    let dm = super::conversations::id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    for text in ["one", "two"] {
        alice.json(&["conversation", "send-text", &dm, text]);
    }
    let last = alice.json(&[
        "conversation",
        "messages",
        &dm,
        "--limit",
        "9",
        "--limit",
        "1",
    ]);
    assert_eq!(
        last.as_array().unwrap().len(),
        1,
        "of two flags the last counts"
    );
    let (own, other) = (alice.inbox(), bob.inbox());
    let count = |flags: &[&str]| {
        let counted = alice.json(&[&["conversation", "count-messages", &dm][..], flags].concat());
        counted["messageCount"].as_u64().unwrap()
    };
    assert_eq!(count(&["--content-type", "text", "reply"]), 2);
    assert_eq!(
        count(&["--exclude-content-type", "reply", "text", "group-updated"]),
        0
    );
    assert_eq!(count(&["--exclude-sender", &other, &own]), 0);
    let info = alice.json(&["client", "info"]);
    let id = info["properties"]["installationId"].as_str().unwrap();
    let none = "00".repeat(32);
    let statuses = alice.json(&["client", "key-package-status", "-i", id, &none]);
    let asked = statuses["installationIds"].as_array().unwrap();
    assert_eq!(asked.len(), 2, "{statuses}");
}

#[test]
fn each_request_is_a_line_of_the_log() {
    let net = Net::start();
    let alice = net.person();
    let log = |flags: &[&str]| {
        let command = ["xmtp", "conversations", "sync", "--log-level", "debug"];
        let output = alice.run(&[&command[..], flags].concat());
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let told = log(&[]);
    for line in told.lines() {
        assert!(!line.contains('\x1b'), "nobody looks at colours: {told}");
        assert!(
            line.contains("folkmoot"),
            "frames are nobody's concern: {told}"
        );
    }
    let request = told.lines().find(|line| line.contains("answered")).unwrap();
    assert!(
        request.contains("call=") && request.contains(" ms="),
        "{request}"
    );
    assert!(request.contains(net.url()), "{request}");
    let told = log(&["--structured-logging"]);
    assert!(told.contains("\"message\":\"answered\""), "{told}");
    for line in told.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn a_text_may_begin_with_a_dash() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = super::conversations::id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    alice.json(&["conversation", "send-text", &dm, "-5 degrees"]);
    alice.json(&["conversation", "send-markdown", &dm, "- milk"]);
    let sent = alice.ok(&[
        "xmtp",
        "conversation",
        "send-text",
        "--json",
        &dm,
        "--",
        "--json",
    ]);
    let sent: serde_json::Value = serde_json::from_str(&sent).unwrap();
    let message = sent["messageId"].as_str().unwrap();
    alice.json(&["conversation", "send-reply", &dm, message, "--> yes"]);
    alice.ok(&["send", &dm, "-1", "is", "less", "--json"]);
    let read = alice.json(&["conversation", "messages", &dm, "--direction", "ascending"]);
    let read = read.to_string();
    for text in ["-5 degrees", "- milk", "--json", "--> yes", "-1 is less"] {
        assert!(read.contains(&format!("{text:?}")), "{text}: {read}");
    }
}

#[test]
fn the_env_file_of_another_program_in_this_directory_is_in_nobodys_way() {
    let net = Net::start();
    let alice = net.person();
    let own = fs::read_to_string(alice.home().join(".xmtp/.env")).unwrap();
    let foreign = "PRIVATE_KEY=\"-----BEGIN\nabc\n-----END\"\nnothing of ours\n";
    fs::write(alice.home().join(".env"), format!("{foreign}{own}")).unwrap();
    let output = alice.run(&["xmtp", "client", "info", "--verbose"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("line 4 is no assignment, and was passed over"),
        "{told}"
    );
    // A file that somebody names has to be right.
    let (code, told) = alice.fails(&["xmtp", "client", "info", "--env-file", ".env"]);
    assert_eq!(code, 2);
    assert!(told.contains(".env, line 4: no assignment"), "{told}");
}

#[test]
fn one_user_can_be_several_people() {
    let net = Net::start();
    let person = net.person();
    let elsewhere = person.home().join("elsewhere");
    let run = |arguments: &[&str]| {
        let mut command = person.program();
        let output = command
            .env("XMTP_HOME", &elsewhere)
            .args(arguments)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["xmtp", "init", "--node", net.url()]);
    // One field, for people: nothing but what is in it.
    let other = run(&["whoami", "--fields", "inboxId"]);
    assert_eq!(other.trim().len(), 64, "{other}");
    assert_ne!(other.trim(), person.inbox());
    assert!(elsewhere.join(".env").exists() && elsewhere.join("folkmoot").exists());
}

#[test]
fn what_cannot_be_undone_asks_first() {
    let net = Net::start();
    let person = net.person();
    let (code, told) = person.fails(&["xmtp", "client", "revoke-all-other-installations"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(told);
}

#[test]
fn a_wrong_key_is_told_in_plain_words() {
    let net = Net::start();
    let person = net.person();
    person.inbox();
    let wrong = "11".repeat(32);
    let (code, told) = person.fails(&["xmtp", "client", "info", "--db-encryption-key", &wrong]);
    assert_eq!(code, 5);
    insta::assert_snapshot!(redacted(&told, person.home()));
}

/// What happened, and what to do.
fn assert_two_lines(error: &str) {
    let lines: Vec<_> = error.lines().collect();
    let [what, remedy] = lines[..] else {
        panic!("{error}");
    };
    assert!(what.starts_with("error: "), "{error}");
    assert!(
        remedy
            .strip_prefix("  try: ")
            .is_some_and(|remedy| !remedy.is_empty()),
        "{error}"
    );
}

/// A command line for each command, complete but for what a test makes wrong.
const COMPLETE: &[&str] = &[
    "can-message ADDRESS",
    "address-authorized HASH ADDRESS",
    "installation-authorized HASH HASH",
    "inbox-states HASH",
    "revoke-installations HASH -i HASH --force",
    "client info",
    "client inbox-id -i ADDRESS",
    "client sign text",
    "client verify-signature text -s HASH",
    "client add-account --new-wallet-key HASH --force",
    "client remove-account -i ADDRESS --force",
    "client change-recovery-identifier -i ADDRESS --force",
    "client key-package-status -i HASH",
    "client revoke-installations -i HASH --force",
    "client revoke-all-other-installations --force",
    "conversations list",
    "conversations get GROUP",
    "conversations get-dm ADDRESS",
    "conversations get-message HASH",
    "conversations create-dm ADDRESS",
    "conversations create-group ADDRESS",
    "conversations hmac-keys",
    "conversations sync",
    "conversations sync-all",
    "conversations stream",
    "conversations stream-all-messages",
    "conversation messages GROUP",
    "conversation count-messages GROUP",
    "conversation members GROUP",
    "conversation permissions GROUP",
    "conversation consent-state GROUP",
    "conversation list-admins GROUP",
    "conversation list-super-admins GROUP",
    "conversation debug-info GROUP",
    "conversation stream GROUP",
    "conversation sync GROUP",
    "conversation send-text GROUP text",
    "conversation send-markdown GROUP text",
    "conversation send-reply GROUP HASH text",
    "conversation send-reaction GROUP HASH add x",
    "conversation send-read-receipt GROUP",
    "conversation publish-messages GROUP",
    "conversation add-members GROUP ADDRESS",
    "conversation remove-members GROUP ADDRESS",
    "conversation add-admin GROUP HASH",
    "conversation remove-admin GROUP HASH",
    "conversation add-super-admin GROUP HASH",
    "conversation remove-super-admin GROUP HASH",
    "conversation update-name GROUP text",
    "conversation update-description GROUP text",
    "conversation update-image-url GROUP text",
    "conversation update-permission GROUP --type add-member --policy deny",
    "conversation update-consent GROUP --state allowed",
    "conversation request-removal GROUP",
    "preferences get-consent --entity-type inbox_id --entity HASH",
    "preferences set-consent --entity-type inbox_id --entity HASH --state denied",
    "preferences inbox-state",
    "preferences inbox-states HASH",
    "preferences sync",
    "preferences stream",
];

fn words(line: &str) -> Vec<String> {
    let line = line
        .replace("ADDRESS", "0x00000000000000000000000000000000000000aa")
        .replace("HASH", &"ab".repeat(32))
        .replace("GROUP", &"cd".repeat(16));
    let words = line.split(' ').map(str::to_owned);
    ["xmtp".to_owned()].into_iter().chain(words).collect()
}

#[test]
fn a_wrong_command_line_is_two_lines_and_exit_code_two_whatever_the_command() {
    let program = Cli::command();
    let asked = |arguments: &[String]| {
        let line = || iter::once("folkmoot".to_owned()).chain(arguments.iter().cloned());
        let wrong = program.clone().try_get_matches_from(line());
        let error = wrong.expect_err(&format!("{arguments:?} is understood"));
        let (told, code) = usage::report(&error, &program, line().map(OsString::from));
        assert_eq!(code, ExitCode::from(2), "{arguments:?}");
        assert_two_lines(&told.unwrap());
    };
    // `init` is the one that needs nothing.
    assert_eq!(COMPLETE.len(), 60);
    for line in COMPLETE {
        let complete = words(line);
        for wrong in [
            &["--dance"][..],
            &["--env", "mars"],
            &["--json=perhaps"],
            &["--node"],
        ] {
            let wrong = wrong.iter().map(ToString::to_string);
            asked(&complete.iter().cloned().chain(wrong).collect::<Vec<_>>());
        }
        // Without the last word something is missing, unless the command needs nothing.
        let needs_nothing = line.split(' ').count() == 2 && !line.contains(char::is_uppercase);
        if !needs_nothing && !line.ends_with("--force") {
            asked(&complete[..complete.len() - 1]);
        }
    }
}

#[test]
fn each_kind_of_wrong_value_is_named() {
    let person = Person::nobody();
    let url = "http://127.0.0.1:1";
    let mut told = String::new();
    for line in [
        "installation-authorized HASH abc",
        "client key-package-status -i abc,HASH",
        "client inbox-id -i nobody -k passport",
        "conversations list --limit many",
        "conversations list --limit -1",
        "conversations list --type letter",
        "conversations list --order-by colour",
        "conversations list --consent-state perhaps",
        "conversations list --created-after yesterday",
        "conversations get-message abc",
        "conversations stream --timeout soon",
        "conversations stream --count -3",
        "conversations create-group ADDRESS --permissions anarchy",
        "conversation messages GROUP --direction sideways",
        "conversation messages GROUP --content-type smell",
        "conversation messages GROUP --delivery-status lost",
        "conversation messages GROUP --exclude-sender abc",
        "conversation send-reply GROUP abc text",
        "conversation send-reaction GROUP HASH multiply x",
        "conversation send-remote-attachment GROUP URL --content-digest HASH --secret ! --salt AA== --nonce AA==",
        "conversation update-permission GROUP --type dance --policy deny",
        "conversation update-consent GROUP --state perhaps",
        "conversation disappearing GROUP --after soon",
        "conversation disappearing GROUP --after 1h --off",
        "preferences get-consent --entity-type planet --entity HASH",
        "client info --gateway-host http://a --node http://b",
        "client info --log-level loud",
        "can-message ADDRESS --node ftp://example.org",
        "can-message ADDRESS --node nonsense",
    ] {
        let arguments = words(&line.replace("URL", url));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let (code, error) = person.fails(&arguments);
        assert_two_lines(&error);
        told += &format!("$ folkmoot xmtp {line}\n{error}");
        assert_eq!(code, 2, "{told}");
    }
    insta::assert_snapshot!(redacted(&told, person.home()));
}

#[test]
fn a_file_of_the_directory_does_not_say_which_command_signs() {
    let person = Person::nobody();
    let project = person.home().join("project");
    fs::create_dir(&project).unwrap();
    let ours = "0x00000000000000000000000000000000000000aa";
    let key = "11".repeat(32);
    fs::write(
        project.join(".env"),
        format!(
            "XMTP_WALLET={ours}\nXMTP_SIGN_WITH=touch ran; false\nXMTP_DB_ENCRYPTION_KEY={key}\n\
             XMTP_DB_PATH=x.db\nXMTP_NODE_URL=http://127.0.0.1:9\n"
        ),
    )
    .unwrap();
    let fails = |arguments: &[&str]| {
        let mut command = person.program();
        let output = command.args(arguments).current_dir(&project).output();
        let output = output.unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let (code, told) = fails(&["whoami"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("XMTP_SIGN_WITH"), "{told}");
    assert!(!project.join("ran").exists());
    // Whoever names the file trusts it.
    let (code, _) = fails(&["whoami", "--env-file", ".env"]);
    assert_eq!(code, Some(3));
}

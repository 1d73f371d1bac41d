//! Several commands at once on one database, as scripts have them.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Stdio},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::text;

use super::{Net, Person, conversations::id};

/// A stream, and what it prints. It ends with the test.
struct Stream {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Stream {
    /// Begins, and waits until it has the database.
    fn begin(person: &Person, arguments: &[&str]) -> Self {
        let mut child = person
            .program()
            .args(arguments)
            .args(["--json", "--timeout", "120", "--verbose"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        while !told.next().unwrap().unwrap().starts_with("installation") {}
        // The rest is read, so that it never waits for us.
        thread::spawn(move || told.for_each(drop));
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn commands_at_the_same_time_wait_for_each_other() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let children: Vec<_> = ["one", "two", "three"]
        .map(|word| {
            let mut command = alice.program();
            // Slow machines are no reason to fail.
            command.args([
                "xmtp",
                "conversation",
                "send-text",
                &dm,
                word,
                "--db-wait",
                "60",
            ]);
            command.stderr(Stdio::piped()).stdout(Stdio::null());
            command.spawn().unwrap()
        })
        .into();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let count = alice.json(&[
        "conversation",
        "count-messages",
        &dm,
        "--content-type",
        "text",
    ]);
    assert_eq!(count["messageCount"], 3);
}

#[test]
fn each_message_of_a_stream_can_be_answered_from_the_same_database() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    alice.json(&["conversation", "send-text", &dm, "before"]);
    bob.json(&["conversations", "sync-all"]);
    let mut stream = Stream::begin(&bob, &["xmtp", "conversations", "stream-all-messages"]);
    // What is said before it has begun is no news to it.
    let first = thread::scope(|scope| {
        let line = scope.spawn(|| stream.line());
        while !line.is_finished() {
            alice.json(&["conversation", "send-text", &dm, "hello?"]);
        }
        line.join().unwrap()
    });
    assert_eq!(first["content"], "hello?");
    let mut words = Vec::new();
    for number in 0..5 {
        alice.json(&[
            "conversation",
            "send-text",
            &dm,
            &format!("number {number}"),
        ]);
        let wanted = format!("number {number}");
        loop {
            let line = stream.line();
            let content = line["content"].as_str().unwrap().to_owned();
            if content == "hello?" {
                continue;
            }
            words.push(content);
            if words.last() == Some(&wanted) {
                break;
            }
        }
        let answer = format!("answer {number}");
        bob.json(&["conversation", "send-text", &dm, &answer, "--db-wait", "60"]);
    }
    // Each is there once, in its order, our own answers among them.
    let expected: Vec<_> = (0..5)
        .flat_map(|number| [format!("number {number}"), format!("answer {number}")])
        .collect();
    words.push(stream.line()["content"].as_str().unwrap().to_owned());
    assert_eq!(words, expected);
}

#[test]
fn a_stream_misses_nothing_that_another_command_brought() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let bob_address = bob.address();
    let mut stream = Stream::begin(&bob, &["xmtp", "conversations", "stream"]);
    // Whatever of both hears of it first: it is printed once.
    for name in ["one", "two", "three"] {
        let group = id(&alice.json(&[
            "conversations",
            "create-group",
            &bob_address,
            "--name",
            name,
        ]));
        bob.json(&["conversations", "sync", "--db-wait", "60"]);
        assert_eq!(stream.line()["id"], group.as_str());
    }
    drop(stream);
    let mut stream = Stream::begin(&bob, &["xmtp", "preferences", "stream"]);
    for state in ["denied", "allowed"] {
        bob.json(&[
            "preferences",
            "set-consent",
            "--entity-type",
            "inbox_id",
            "--entity",
            &"ab".repeat(32),
            "--state",
            state,
            "--db-wait",
            "60",
        ]);
        let line = stream.line();
        assert_eq!(line["updates"][0]["state"], state, "{line}");
    }
}

#[test]
fn a_stream_of_deletions_misses_none_that_another_command_brought() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let mut stream = Stream::begin(&bob, &["xmtp", "conversations", "stream-deletions"]);
    for text in ["one", "two", "three"] {
        let sent = alice.json(&["conversation", "send-text", &dm, text]);
        let message = sent["messageId"].as_str().unwrap();
        bob.json(&["conversations", "sync-all", "--db-wait", "60"]);
        alice.json(&["conversation", "delete-message", &dm, message, "--force"]);
        bob.json(&["conversations", "sync-all", "--db-wait", "60"]);
        assert_eq!(stream.line()["id"], message);
    }
}

#[test]
fn a_stream_whose_reader_is_busy_lets_others_in() {
    let net = Net::start();
    let (alice, bob) = (net.person(), net.person());
    let dm = id(&alice.json(&["conversations", "create-dm", &bob.address()]));
    let long = "x".repeat(100_000);
    for _ in 0..2 {
        alice.json(&["conversation", "send-text", &dm, &long]);
    }
    bob.json(&["conversations", "sync-all"]);
    // More than a pipe holds, and nobody reads.
    let mut stream = Stream::begin(&bob, &["tail", "-n", "2"]);
    bob.json(&[
        "conversation",
        "send-text",
        &dm,
        "meanwhile",
        "--db-wait",
        "60",
    ]);
    for _ in 0..2 {
        assert_eq!(stream.line()["content"], long.as_str());
    }
    assert_eq!(stream.line()["content"], "meanwhile");
}

#[test]
fn a_second_stream_and_a_command_that_does_not_wait_are_refused() {
    let net = Net::start();
    let bob = net.person();
    bob.json(&["client", "info"]);
    let stream = Stream::begin(&bob, &["tail"]);
    let arguments = ["xmtp", "preferences", "stream", "--db-wait", "0"];
    let (code, told) = bob.fails(&arguments);
    assert_eq!(code, 5);
    let process = stream.child.id();
    assert!(told.contains(&format!("({process})")), "{told}");
    assert!(told.contains(&format!(
        "end process {process}, or wait longer with --db-wait"
    )));
    // It stands still, and opens to nobody.
    stream.signal(Signal::STOP);
    let output = bob.run(&["xmtp", "client", "info", "--db-wait", "1"]);
    assert_eq!(output.status.code(), Some(5));
    let told = text(&output.stderr);
    let waiting = format!("waiting for process {process}, which has ");
    assert!(told.starts_with(&waiting), "{told}");
    stream.signal(Signal::CONT);
    bob.json(&["client", "info", "--db-wait", "60"]);
}

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, SystemTime},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Running, SOON, http, loop_until, program, run, text};

const AUTO: &[&str] = &["dev", "--ports", "auto"];
const DOORS: [&str; 6] = ["v3", "web", "http", "history", "d14n", "gateway"];

fn accounts(network: &Running, count: &str) -> Vec<Value> {
    let node = network.ready["v3"].as_str().unwrap();
    let output = run(&["dev", "accounts", count, "--json", "--node", node]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn status(network: &Running) -> Value {
    serde_json::from_str(&network.http("http", "GET", "/api/status").1).unwrap()
}

fn envelopes(network: &Running) -> u64 {
    status(network)["store"]["envelopes"].as_u64().unwrap()
}

#[test]
fn every_door_serves_the_whole_network() {
    let network = Running::start(AUTO);
    for door in DOORS {
        let (status, body) = network.http(door, "GET", "/readyz");
        assert_eq!(
            (status.as_str(), body.trim()),
            ("HTTP/1.1 200 OK", "ready"),
            "{door}"
        );
        let (status, id) = http(network.address(door), "POST", "/upload", b"archive");
        assert_eq!(status, "HTTP/1.1 200 OK", "{door}");
        let (_, body) = network.http("history", "GET", &format!("/files/{id}"));
        assert_eq!(body, "archive");
    }
    let (_, page) = network.http("http", "GET", "/");
    assert!(page.contains("<html"));
    let (_, metrics) = network.http("http", "GET", "/metrics");
    assert!(metrics.contains("folkmoot_open_connections"), "{metrics}");
    let (status, _) = network.http("v3", "POST", "/dev/reset");
    assert_ne!(
        status, "HTTP/1.1 200 OK",
        "controls are on the page's port only"
    );
}

#[test]
fn xmpp_clients_are_offered_tls() {
    let network = Running::start(AUTO);
    let door = network.ready["xmpp"].as_str().unwrap();
    let mut client = TcpStream::connect(door.strip_prefix("xmpp://").unwrap()).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client
        .write_all(
            b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
              version='1.0' to='localhost'>",
        )
        .unwrap();
    let mut told = Vec::new();
    while !text(&told).contains("</stream:features>") {
        let mut bytes = [0; 4096];
        let count = client.read(&mut bytes).unwrap();
        assert_ne!(count, 0, "{}", text(&told));
        told.extend_from_slice(&bytes[..count]);
    }
    assert!(
        text(&told).contains("<required/></starttls>"),
        "{}",
        text(&told)
    );
    assert!(
        network.ready["xmpps"]
            .as_str()
            .unwrap()
            .starts_with("xmpps://")
    );
}

#[test]
fn a_signal_ends_the_network_and_leaves_nothing() {
    let mut network = Running::start(AUTO);
    network.signal(Signal::TERM);
    assert_eq!(network.end().code(), Some(0));
    assert!(!network.is_ready(), "the ready file goes");
}

#[test]
fn accounts_are_registered_once_and_are_always_the_same() {
    let network = Running::start(AUTO);
    let three = accounts(&network, "3");
    assert_eq!(three.len(), 3);
    assert_eq!(accounts(&network, "2"), three[..2]);
    assert_eq!(envelopes(&network), 3);
    let other = Running::start(AUTO);
    assert_eq!(accounts(&other, "3"), three);
}

#[test]
fn a_test_suite_goes_back_to_where_it_was() {
    let network = Running::start(AUTO);
    let post = |path: &str| network.http("http", "POST", path);
    let one = accounts(&network, "1");
    let (_, answer) = post("/dev/snapshot");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let id = answer["id"].as_str().unwrap();

    assert_eq!(post("/dev/reset").0, "HTTP/1.1 200 OK");
    assert_eq!(envelopes(&network), 0);
    assert_eq!(accounts(&network, "1"), one, "the name is free again");

    assert_eq!(accounts(&network, "5").len(), 5);
    assert_eq!(post(&format!("/dev/restore/{id}")).0, "HTTP/1.1 200 OK");
    assert_eq!(envelopes(&network), 1);
    let (status, body) = post("/dev/restore/77");
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    assert!(body.contains("no such snapshot"), "{body}");
}

#[test]
fn kept_data_is_there_again_and_other_data_is_not() {
    let place = TempDir::new().unwrap();
    let data = place.path().to_str().unwrap();
    let keeping = ["dev", "--ports", "auto", "--data", data, "--keep"];
    let mut network = Running::start(&keeping);
    accounts(&network, "2");
    let second = program().args(keeping).output().unwrap();
    assert_eq!(second.status.code(), Some(5));
    let told = text(&second.stderr);
    assert!(
        told.contains(&format!("in use by process {}", network.ready["pid"])),
        "{told}"
    );
    network.signal(Signal::INT);
    assert_eq!(network.end().code(), Some(0));

    let mut network = Running::start(&keeping);
    assert_eq!(envelopes(&network), 2);
    network.signal(Signal::INT);
    network.end();

    let network = Running::start(&keeping[..5]);
    assert_eq!(envelopes(&network), 0);
}

#[test]
fn history_files_that_are_too_old_are_removed_from_kept_data() {
    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    let place = TempDir::new().unwrap();
    let data = place.path().to_str().unwrap();
    let keeping = ["dev", "--ports", "auto", "--data", data, "--keep"];
    let mut network = Running::start(&keeping);
    let upload = |content: &[u8]| http(network.address("history"), "POST", "/upload", content).1;
    let files =
        ["old", "new"].map(|name| place.path().join("history").join(upload(name.as_bytes())));
    network.signal(Signal::INT);
    network.end();

    let old = fs::File::options().write(true).open(&files[0]).unwrap();
    old.set_modified(SystemTime::now() - MONTH).unwrap();
    let _network = Running::start(&keeping);
    loop_until(|| (!files[0].exists()).then_some(()));
    assert!(files[1].exists());
}

#[test]
fn a_program_gets_the_addresses_and_hands_on_its_exit_code() {
    let script = "env | grep -cE '^(FOLKMOOT_[A-Z0-9]+|XMTP_NODE)_URL=http://127.0.0.1:'; exit 7";
    let output = program()
        .args(["dev", "--ports", "auto", "--", "sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(text(&output.stdout), "7\n", "six doors and one more name");
    let output = run(&["dev", "--ports", "auto", "--", "no-such-program"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("there is no program \"no-such-program\""));
}

#[test]
fn a_signal_is_passed_on_to_the_program() {
    let place = TempDir::new().unwrap();
    let started = place.path().join("started");
    let script = "trap 'exit 9' TERM; touch \"$0\"; while :; do sleep 0.05; done";
    let started_text = started.to_str().unwrap();
    let ready = place.path().join("ready.json");
    let mut child = program()
        .args([
            "dev",
            "--ports",
            "auto",
            "--ready-file",
            ready.to_str().unwrap(),
        ])
        .args(["--", "sh", "-c", script, started_text])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    loop_until(|| started.exists().then_some(()));
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let status = loop_until(|| child.try_wait().unwrap());
    assert_eq!(status.code(), Some(9));
    assert!(!ready.exists());
}

#[test]
fn a_taken_port_names_its_holder_and_the_way_out() {
    // Two networks with one offset: whichever port is free, the second finds it taken.
    let offset = free_offset();
    let first = Running::start(&["dev", "--port-offset", &offset]);
    let second = run(&["dev", "--port-offset", &offset]);
    assert_eq!(second.status.code(), Some(5));
    let told = text(&second.stderr);
    let holder = format!(
        "is taken by folkmoot (process {}) (v3, gRPC)",
        first.ready["pid"]
    );
    assert!(told.contains(&holder), "{told}");
    assert!(told.contains("--port-offset 10000"), "{told}");
}

/// An offset at which all doors are free just now.
fn free_offset() -> String {
    let is_free = |offset: &u16| {
        [5050, 5052, 5222, 5223, 5555, 5556, 5557, 5558]
            .iter()
            .all(|port| std::net::TcpListener::bind(("127.0.0.1", port + offset)).is_ok())
    };
    // Below the ports that systems give away to others, and different for each process.
    let first = u16::try_from(std::process::id() % 1000).unwrap() * 20 + 1000;
    let offset = (0..500)
        .map(|step| first + step * 10)
        .find(is_free)
        .unwrap();
    offset.to_string()
}

#[test]
fn faults_refuse_and_cut_calls() {
    let refusing = Running::start(&["dev", "--ports", "auto", "--faults", "drop=100%"]);
    let (status, body) = refusing.http("v3", "GET", "/readyz");
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body, "refused by --faults\n");
    let node = refusing.ready["v3"].as_str().unwrap();
    let output = run(&["dev", "accounts", "1", "--node", node]);
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("refused by --faults"));
}

#[test]
fn faults_cut_connections_without_an_answer() {
    let faults = "cut=100%,seed=1";
    let network = Running::start(&["dev", "--ports", "auto", "--faults", faults]);
    let answered = (0..12)
        .filter(|_| {
            let mut stream = TcpStream::connect(network.address("v3")).unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            let request = b"GET /healthz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
            stream.write_all(request).unwrap();
            let mut answer = Vec::new();
            // A reset is as good as an end.
            drop(stream.read_to_end(&mut answer));
            !answer.is_empty()
        })
        .count();
    // Some are cut only amid a longer answer than this.
    assert!((1..=8).contains(&answered), "{answered} of 12");
    let (status, _) = network.http("http", "GET", "/api/status");
    assert_eq!(status, "HTTP/1.1 200 OK", "the page itself is spared");
}

#[test]
fn phones_find_the_network_over_https() {
    let network = Running::start(&["dev", "--ports", "auto", "--listen", "0.0.0.0"]);
    let log = loop_until(|| Some(network.log()).filter(|log| log.contains("Data:")));
    assert!(log.contains("For phones and emulators"), "{log}");
    assert_eq!(network.http("v3", "GET", "/healthz").1, "alive\n");
}

#[test]
fn a_data_directory_keeps_what_is_not_the_networks() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("holiday.jpg"), "lake").unwrap();
    let data = place.path().to_str().unwrap();
    let mut network = Running::start(&["dev", "--ports", "auto", "--data", data]);
    assert_eq!(
        network.http("http", "POST", "/dev/snapshot").0,
        "HTTP/1.1 200 OK"
    );
    network.signal(Signal::TERM);
    network.end();
    assert!(place.path().join("holiday.jpg").exists());
    assert!(!place.path().join("snapshots").exists());
}

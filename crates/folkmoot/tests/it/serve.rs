use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Running, SOON, loop_until, program, run, text};

const CONFIG: &str = "[listen]\naddresses = [\"127.0.0.1:0\"]\n[admin]\naddress = \"127.0.0.1:0\"\n\
    [disk]\nalarm_free_mib = 0\nwarn_free_mib = 0\n";

fn configured(more: &str) -> TempDir {
    let place = TempDir::new().unwrap();
    fs::write(
        place.path().join("folkmoot.toml"),
        format!("{CONFIG}{more}"),
    )
    .unwrap();
    place
}

fn serve(place: &Path) -> Running {
    Running::start_at(&["serve"], place)
}

fn accounts(url: &str) -> std::process::Output {
    run(&["dev", "accounts", "1", "--node", url])
}

#[test]
fn a_server_answers_and_keeps_what_it_was_told() {
    let place = configured("");
    let mut server = serve(place.path());
    assert_eq!(server.http("addresses", "GET", "/readyz").1.trim(), "ready");
    assert_ne!(
        server.http("addresses", "GET", "/metrics").0,
        "HTTP/1.1 200 OK"
    );
    assert_ne!(
        server.http("addresses", "POST", "/dev/reset").0,
        "HTTP/1.1 200 OK"
    );
    let node = format!("http://{}", server.address("addresses"));
    assert!(accounts(&node).status.success());
    let (_, metrics) = server.http("admin", "GET", "/metrics");
    assert!(metrics.contains("PublishIdentityUpdate"), "{metrics}");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0));

    let server = serve(place.path());
    let (_, status) = server.http("admin", "GET", "/api/status");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["store"]["envelopes"], 1);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let place = configured("");
    let server = serve(place.path());
    let second = program()
        .arg("serve")
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(5));
    let told = text(&second.stderr);
    assert!(
        told.contains(&format!("in use by process {}", server.ready["pid"])),
        "{told}"
    );
}

#[test]
fn the_doctor_sees_a_server_that_runs() {
    let place = configured("");
    let _server = serve(place.path());
    let output = program()
        .arg("doctor")
        .current_dir(place.path())
        .output()
        .unwrap();
    let told = text(&output.stdout);
    assert!(told.contains("in use by a server that runs"), "{told}");
}

#[test]
fn a_backup_is_made_while_the_server_runs_and_put_back_after() {
    let place = configured("");
    let mut server = serve(place.path());
    let node = format!("http://{}", server.address("addresses"));
    assert!(accounts(&node).status.success());
    let folkmoot = |arguments: &[&str]| {
        let output = program()
            .args(arguments)
            .current_dir(place.path())
            .output()
            .unwrap();
        let told = text(&output.stdout) + &text(&output.stderr);
        (output.status.code().unwrap(), told)
    };
    let (code, told) = folkmoot(&["backup", "--to", "b"]);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.starts_with("b written and verified: 1 envelopes in 1 topics, "),
        "{told}"
    );
    assert_eq!(
        folkmoot(&["backup", "--to", "b"]).0,
        5,
        "it never replaces another"
    );
    let (code, told) = folkmoot(&["restore", "--from", "b", "--verify"]);
    assert_eq!(
        (code, told.starts_with("b good: 1 envelopes")),
        (0, true),
        "{told}"
    );
    let (code, told) = folkmoot(&["restore", "--from", "b", "--replace"]);
    assert_eq!(
        (code, told.contains("in use by process")),
        (5, true),
        "{told}"
    );
    let mode = fs::metadata(place.path().join("b.key"))
        .unwrap()
        .permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );

    let output = run(&["dev", "accounts", "4", "--node", &node]);
    assert!(output.status.success());
    server.signal(Signal::TERM);
    server.end();
    let (code, told) = folkmoot(&["restore", "--from", "b"]);
    assert_eq!(
        (code, told.contains("there is data already")),
        (5, true),
        "{told}"
    );
    let key = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    let own = key("folkmoot-data/node.key");
    fs::remove_file(place.path().join("folkmoot-data/node.key")).unwrap();
    assert_eq!(folkmoot(&["restore", "--from", "b", "--replace"]).0, 0);
    assert_eq!(key("folkmoot-data/node.key"), own);
    let server = serve(place.path());
    let (_, status) = server.http("admin", "GET", "/api/status");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["store"]["envelopes"], 1);

    let mut backup = fs::read(place.path().join("b")).unwrap();
    backup.truncate(backup.len() / 2);
    fs::write(place.path().join("b"), backup).unwrap();
    let (code, told) = folkmoot(&["restore", "--from", "b", "--verify"]);
    assert_eq!(
        (code, told.contains("no good as a backup")),
        (1, true),
        "{told}"
    );
    assert_eq!(folkmoot(&["restore", "--from", "c", "--verify"]).0, 4);
}

#[test]
fn a_server_keeps_its_data_in_postgresql_and_moves_it_to_sqlite() {
    let Some(url) = postgres() else {
        return;
    };
    let place = configured("");
    let folkmoot = |arguments: &[&str], url: &str| {
        program()
            .args(arguments)
            .current_dir(place.path())
            .env("FOLKMOOT_STORE__POSTGRES_URL", url)
            .output()
            .unwrap()
    };
    let with_postgres = format!("{CONFIG}[store]\npostgres_url = \"{url}\"\n");
    fs::write(place.path().join("folkmoot.toml"), with_postgres).unwrap();
    let mut server = serve(place.path());
    let node = format!("http://{}", server.address("addresses"));
    assert!(accounts(&node).status.success());
    let backup = folkmoot(&["backup", "--to", "b"], &url);
    assert!(backup.status.success(), "{}", text(&backup.stderr));

    // Another data directory, the same database: only the database can tell.
    let other = configured("");
    let second = program()
        .arg("serve")
        .current_dir(other.path())
        .env("FOLKMOOT_STORE__POSTGRES_URL", &url)
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(5), "{}", text(&second.stderr));
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0));

    let moved = folkmoot(&["restore", "--from", "b"], "");
    assert!(moved.status.success(), "{}", text(&moved.stderr));
    fs::write(place.path().join("folkmoot.toml"), CONFIG).unwrap();
    let server = serve(place.path());
    let (_, status) = server.http("admin", "GET", "/api/status");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["store"]["envelopes"], 1);
}

/// The address of an empty schema in the PostgreSQL that the environment names.
fn postgres() -> Option<String> {
    let Ok(url) = std::env::var("FOLKMOOT_TEST_POSTGRES") else {
        assert!(
            std::env::var_os("FOLKMOOT_TEST_REQUIRE_POSTGRES").is_none(),
            "FOLKMOOT_TEST_POSTGRES is not set, and FOLKMOOT_TEST_REQUIRE_POSTGRES is"
        );
        eprintln!("skipped: FOLKMOOT_TEST_POSTGRES names no PostgreSQL");
        return None;
    };
    let schema = format!("folkmoot_program_{}", std::process::id());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let fresh = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        client.batch_execute(&fresh).await.unwrap();
    });
    let join = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{join}options=-csearch_path%3D{schema}"))
}

#[test]
fn a_full_disk_refuses_publishes_and_answers_reads() {
    let place = TempDir::new().unwrap();
    let config = CONFIG.replace("alarm_free_mib = 0", "alarm_free_mib = 1000000000");
    fs::write(place.path().join("folkmoot.toml"), config).unwrap();
    let server = serve(place.path());
    let node = format!("http://{}", server.address("addresses"));
    let output = accounts(&node);
    assert_eq!(output.status.code(), Some(5));
    assert!(
        text(&output.stderr).contains("disk is full"),
        "{}",
        text(&output.stderr)
    );
    let (status, body) = crate::support::http(server.address("addresses"), "POST", "/upload", b"x");
    assert_eq!(status, "HTTP/1.1 507 Insufficient Storage");
    assert!(body.contains("nearly full"), "{body}");
}

#[test]
fn an_open_connection_is_drained_not_dropped() {
    let place = configured("");
    let mut server = serve(place.path());
    let address = server.address("addresses");
    let mut upload = TcpStream::connect(address).unwrap();
    upload.set_read_timeout(Some(SOON)).unwrap();
    upload
        .write_all(b"POST /upload HTTP/1.1\r\nhost: here\r\ncontent-length: 7\r\nexpect: 100-continue\r\n\r\n")
        .unwrap();
    // The server reads the body from now on.
    let mut told = [0; 25];
    upload.read_exact(&mut told).unwrap();
    assert_eq!(&told[..12], b"HTTP/1.1 100");
    server.signal(Signal::TERM);
    loop_until(|| TcpStream::connect(address).err());
    upload.write_all(b"archive").unwrap();
    let mut answer = String::new();
    upload.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_certificate_is_read_again_when_asked() {
    let place = TempDir::new().unwrap();
    let write = |name: &str| {
        let certificate = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(place.path().join("chain.pem"), certificate.cert.pem()).unwrap();
        fs::write(
            place.path().join("key.pem"),
            certificate.signing_key.serialize_pem(),
        )
        .unwrap();
        certificate.cert.der().clone()
    };
    let first = write("one.example");
    let listen = "tls_certificate = \"chain.pem\"\ntls_key = \"key.pem\"\n[admin]";
    let config = CONFIG.replace("[admin]", listen);
    fs::write(place.path().join("folkmoot.toml"), config).unwrap();
    let server = serve(place.path());
    let seen = |certificate: &rustls::pki_types::CertificateDer<'_>| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone().into_owned()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ["one.example", "two.example"].into_iter().find(|name| {
            let name = (*name).try_into().unwrap();
            let mut client =
                rustls::ClientConnection::new(std::sync::Arc::new(config.clone()), name).unwrap();
            let mut stream = TcpStream::connect(server.address("addresses")).unwrap();
            while client.is_handshaking() {
                if client.complete_io(&mut stream).is_err() {
                    return false;
                }
            }
            true
        })
    };
    assert_eq!(seen(&first), Some("one.example"));
    let second = write("two.example");
    server.signal(Signal::HUP);
    loop_until(|| server.log().contains("read again").then_some(()));
    assert_eq!(seen(&second), Some("two.example"));
    fs::write(place.path().join("key.pem"), "no key").unwrap();
    server.signal(Signal::HUP);
    loop_until(|| server.log().contains("stays as it was").then_some(()));
    assert_eq!(seen(&second), Some("two.example"));
}

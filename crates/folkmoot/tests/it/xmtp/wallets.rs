//! Accounts whose key is elsewhere, and database keys in the system's keyring.

use std::{env, fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, thread};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use folkmoot_identity::{ContractCheck, WalletSecret};
use folkmoot_node::{ContractVerifier, Verdict, VerifierError};
use p256::ecdsa::{DerSignature, SigningKey, signature::Signer as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Net, Person};
use crate::support::loop_until;

/// A contract on one chain that accepts what looks like an owner's signature.
struct Owned;

#[async_trait]
impl ContractVerifier for Owned {
    async fn verify(&self, check: &ContractCheck) -> Result<Verdict, VerifierError> {
        Ok(Verdict {
            valid: check.chain_id == 8453 && check.signature.len() == 65,
            block: 7,
        })
    }
}

#[test]
fn a_contract_wallet_is_an_account_that_its_owner_signs_for() {
    let net = Net::asking(Arc::new(Owned));
    // The owner's key is in the file that `init` wrote.
    let alice = net.person();
    let contract = "0xabababababababababababababababababababab";
    let account = format!("contract:8453:{contract}");
    let info = alice.json(&["client", "info", "--wallet", &account, "--db-path", "c.db"]);
    assert_eq!(info["properties"]["address"], contract);
    assert_ne!(info["properties"]["inboxId"], alice.inbox());
    let reached = alice.json(&["can-message", contract]);
    assert_eq!(reached[0]["reachable"], true);
    // Another chain has no such contract.
    let account = format!("contract:1:{contract}");
    let (code, told) = alice.fails(&[
        "xmtp",
        "client",
        "info",
        "--wallet",
        &account,
        "--db-path",
        "d.db",
    ]);
    assert!(code == 1 || code == 5, "{code} {told}");
}

/// A command that leaves its input in `text` and prints what somebody puts into `signature`.
const ASK: &str = "cat > text.part && mv text.part text && \
    until [ -e signature ]; do sleep 0.02; done && cat signature && rm signature";

/// Answers what [`ASK`] asks, once.
fn answer(home: &Path, sign: impl Fn(&[u8]) -> String) {
    let text = loop_until(|| fs::read(home.join("text")).ok());
    fs::write(home.join("signature.part"), sign(&text)).unwrap();
    fs::remove_file(home.join("text")).unwrap();
    fs::rename(home.join("signature.part"), home.join("signature")).unwrap();
}

#[test]
fn a_passkey_is_an_account_for_which_a_command_signs() {
    let net = Net::start();
    let alice = net.person();
    let key = SigningKey::from_slice(&[5; 32]).unwrap();
    let public = key.verifying_key().to_encoded_point(false);
    let public = hex::encode(public.as_bytes());
    let account = format!("passkey:{public}@https://here.example");
    let sign = |challenge: &[u8]| {
        let data = json!({
            "type": "webauthn.get",
            "challenge": BASE64_URL_SAFE_NO_PAD.encode(challenge),
            "origin": "https://here.example",
        });
        let data = data.to_string();
        let authenticator = [&Sha256::digest("here.example")[..], &[5, 0, 0, 0, 1]].concat();
        let message = [&authenticator[..], &Sha256::digest(&data)].concat();
        let signature: DerSignature = key.sign(&message);
        let answer = json!({
            "signature": BASE64_URL_SAFE_NO_PAD.encode(signature.as_bytes()),
            "authenticatorData": BASE64_URL_SAFE_NO_PAD.encode(&authenticator),
            "clientDataJSON": BASE64_URL_SAFE_NO_PAD.encode(&data),
        });
        answer.to_string()
    };
    let flags = [
        "--wallet",
        &account,
        "--sign-with",
        ASK,
        "--db-path",
        "p.db",
    ];
    let info = thread::scope(|scope| {
        scope.spawn(|| answer(alice.home(), sign));
        let mut arguments = vec!["client", "info"];
        arguments.extend(flags);
        alice.json(&arguments)
    });
    assert_eq!(info["properties"]["address"], public);
    let found = alice.json(&["client", "inbox-id", "-k", "passkey", "-i", &public]);
    assert_eq!(found["inboxId"], info["properties"]["inboxId"]);
    // The second time nobody has to sign.
    let mut arguments = vec!["client", "info"];
    arguments.extend(flags);
    assert_eq!(alice.json(&arguments)["properties"], info["properties"]);
}

#[test]
fn an_ethereum_wallet_may_sign_elsewhere_and_may_say_no() {
    let net = Net::start();
    let alice = net.person();
    let wallet = WalletSecret::from_bytes(&[9; 32]).unwrap();
    let address = wallet.address();
    let sign = |text: &[u8]| hex::encode(wallet.sign_text(std::str::from_utf8(text).unwrap()));
    let info = thread::scope(|scope| {
        scope.spawn(|| answer(alice.home(), sign));
        let flags = [
            "--wallet",
            &address,
            "--sign-with",
            ASK,
            "--db-path",
            "w.db",
        ];
        alice.json(&[&["client", "info"][..], &flags].concat())
    });
    let registered = info["properties"]["address"].as_str().unwrap();
    assert!(registered.eq_ignore_ascii_case(&address));
    let other = "0x00000000000000000000000000000000000000aa";
    let (code, told) = alice.fails(&[
        "xmtp",
        "client",
        "info",
        "--wallet",
        other,
        "--sign-with",
        "exit 1",
        "--db-path",
        "n.db",
    ]);
    assert_eq!(code, 1);
    assert!(
        told.starts_with("error: the signer failed: the command ended with"),
        "{told}"
    );
}

/// A keyring as `secret-tool` shows it: a file for each account.
const SECRET_TOOL: &str = r#"#!/bin/sh
case "$1" in
lookup) test -e "$HOME/ring-$5" && cat "$HOME/ring-$5" ;;
store) umask 077; cat > "$HOME/ring-$6" ;;
esac
"#;

#[test]
fn the_databases_key_can_be_in_the_systems_keyring() {
    let net = Net::start();
    let alice = Person::nobody();
    let tool = alice.home().join("secret-tool");
    fs::write(&tool, SECRET_TOOL).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", alice.home().display(), env::var("PATH").unwrap());
    let run = |path: &str, arguments: &[&str]| {
        let output = alice.program().env("PATH", path).args(arguments).output();
        let output = output.unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), told)
    };
    let done = run(
        &path,
        &["xmtp", "init", "--keyring", "alice", "--node", net.url()],
    );
    assert_eq!(done, (0, String::new()));
    assert_eq!(alice.variable("XMTP_DB_ENCRYPTION_KEY"), "keyring:alice");
    assert_eq!(
        fs::read_to_string(alice.home().join("ring-alice"))
            .unwrap()
            .len(),
        64
    );
    assert_eq!(run(&path, &["whoami"]), (0, String::new()));
    // A second file for the same key: it is not replaced, or the database would be lost.
    let key = fs::read(alice.home().join("ring-alice")).unwrap();
    let more = ["xmtp", "init", "--keyring", "alice", "--output", "more.env"];
    assert_eq!(run(&path, &more).0, 0);
    assert_eq!(fs::read(alice.home().join("ring-alice")).unwrap(), key);

    let (code, told) = run(&path, &["whoami", "--db-encryption-key", "keyring:bob"]);
    assert_eq!(code, 4, "{told}");
    let (code, told) = run(&path, &["whoami", "--db-encryption-key", "keyring:a b"]);
    assert_eq!(code, 2, "{told}");
    let (code, told) = run("/nowhere", &["whoami"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("secret-tool"), "{told}");
}

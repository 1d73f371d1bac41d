//! The borders between crates, as ARCHITECTURE.md draws them: arrows point down only.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

use std::{collections::BTreeSet, env, process::Command};

use serde_json::Value;

/// What each crate of ours may use of the others. Tests may use more.
const MAY_USE: &[(&str, &[&str])] = &[
    ("folkmoot-wire", &[]),
    ("folkmoot-identity", &["folkmoot-wire"]),
    (
        "folkmoot-conversation",
        &["folkmoot-identity", "folkmoot-wire"],
    ),
    (
        "folkmoot-client",
        &[
            "folkmoot-conversation",
            "folkmoot-identity",
            "folkmoot-wire",
        ],
    ),
    ("folkmoot-store", &["folkmoot-wire"]),
    ("folkmoot-xmpp", &[]),
    ("folkmoot-xmpp-server", &["folkmoot-store", "folkmoot-xmpp"]),
    (
        "folkmoot-node",
        &[
            "folkmoot-conversation",
            "folkmoot-identity",
            "folkmoot-store",
            "folkmoot-wire",
        ],
    ),
    (
        "folkmoot",
        &[
            "folkmoot-client",
            "folkmoot-conversation",
            "folkmoot-identity",
            "folkmoot-node",
            "folkmoot-store",
            "folkmoot-wire",
            "folkmoot-xmpp",
            "folkmoot-xmpp-server",
        ],
    ),
];
/// Crates that no shipped crate may use.
const DEVELOPMENT: &[&str] = &["folkmoot-fuzz", "folkmoot-testkit", "xtask"];
/// Crates of rules alone.
const PURE: &[&str] = &[
    "folkmoot-conversation",
    "folkmoot-identity",
    "folkmoot-xmpp",
];
/// What the pure crates must not have: a runtime, sockets, storage.
const IMPURE: &[&str] = &[
    "axum",
    "hyper",
    "reqwest",
    "rusqlite",
    "tokio",
    "tokio-postgres",
];

#[test]
fn arrows_point_down_only() {
    for (name, used) in dependencies() {
        if DEVELOPMENT.contains(&name.as_str()) {
            continue;
        }
        let allowed = MAY_USE.iter().find(|(one, _)| *one == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} has no row in MAY_USE"));
        let ours = used.iter().filter(|one| one.starts_with("folkmoot"));
        let wrong: Vec<_> = ours
            .filter(|one| !allowed.contains(&one.as_str()))
            .collect();
        assert!(wrong.is_empty(), "{name} must not use {wrong:?}");
    }
}

#[test]
fn pure_crates_own_no_runtime_socket_or_storage() {
    for (name, used) in dependencies() {
        if PURE.contains(&name.as_str()) {
            let wrong: Vec<_> = used
                .iter()
                .filter(|one| IMPURE.contains(&one.as_str()))
                .collect();
            assert!(wrong.is_empty(), "{name} must not use {wrong:?}");
        }
    }
}

/// The crates of the workspace, each with what it uses outside its tests and build script.
fn dependencies() -> Vec<(String, BTreeSet<String>)> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata failed");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter();
            let used = used.filter(|one| one["kind"].is_null());
            (
                text(&package["name"]),
                used.map(|one| text(&one["name"])).collect(),
            )
        })
        .collect()
}

//! What may come into the build: licences, crates, features and sources, as `deny.toml` has them.
//!
//! `cargo deny` reads the same file, and knows of advisories besides; where it is installed
//! `cargo xtask test` runs it, too. This test needs nothing but Cargo, and no network.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

use std::{collections::HashMap, env, fs, process::Command};

use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn every_licence_is_allowed() {
    let rules = rules();
    let allowed = texts(&rules["licenses"]["allow"]);
    let mut wrong = Vec::new();
    for package in list(&metadata()["packages"]) {
        let licence = package["license"].as_str().unwrap_or("none that it names");
        if !Licence::of(licence).passes(&allowed) {
            wrong.push(format!("{}: {licence}", name(package)));
        }
    }
    assert!(wrong.is_empty(), "deny.toml does not allow {wrong:?}");
}

#[test]
fn no_banned_crate_or_feature_is_used() {
    let (rules, metadata) = (rules(), metadata());
    let banned = list(&rules["bans"]["deny"]);
    let packages: HashMap<_, _> = list(&metadata["packages"])
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), name(package)))
        .collect();
    for node in list(&metadata["resolve"]["nodes"]) {
        let used = packages[node["id"].as_str().unwrap()];
        if let Some(rule) = banned.iter().find(|rule| rule["crate"] == used) {
            // Banned, except right below these.
            let wrappers = rule.get("wrappers").map_or_else(Vec::new, texts);
            let nodes = list(&metadata["resolve"]["nodes"]).iter();
            let above = nodes
                .filter(|one| texts(&one["dependencies"]).contains(&node["id"].as_str().unwrap()));
            let mut above = above.map(|one| packages[one["id"].as_str().unwrap()]);
            assert!(above.all(|one| wrappers.contains(&one)), "{used} is banned");
        }
        let features = texts(&node["features"]);
        for rule in list(&rules["bans"]["features"]) {
            let denied = texts(&rule["deny"]);
            let mut both = features.iter().filter(|feature| denied.contains(*feature));
            if rule["crate"] == used {
                assert_eq!(both.next(), None, "a feature of {used} that is banned");
            }
        }
    }
}

#[test]
fn every_crate_is_ours_or_from_the_registry_with_a_version() {
    for package in list(&metadata()["packages"]) {
        let source = package["source"].as_str().unwrap_or(CRATES_IO);
        assert_eq!(source, CRATES_IO, "{}", name(package));
        if package["source"].is_null() {
            let dependencies = list(&package["dependencies"]).iter();
            let mut wild = dependencies.filter(|one| one["req"] == "*" && one["path"].is_null());
            assert_eq!(wild.next(), None, "{} takes any version", name(package));
        }
    }
}

#[test]
fn licences_are_read_as_spdx_has_them() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for (licence, is_allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("(GPL-3.0 OR MIT) AND GPL-2.0", false),
        ("MIT AND (GPL-3.0 OR ISC)", true),
        ("(GPL-2.0 AND GPL-3.0) OR MIT", true),
        ("Apache-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("MIT AND", false),
        ("", false),
    ] {
        assert_eq!(
            Licence::of(licence).passes(&allowed),
            is_allowed,
            "{licence}"
        );
    }
}

/// An SPDX expression, from what is still to be read of it on.
struct Licence {
    words: Vec<String>,
}

impl Licence {
    fn of(text: &str) -> Self {
        let spaced = text
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('/', " OR ");
        let mut words: Vec<_> = spaced.split_whitespace().map(str::to_owned).collect();
        words.reverse();
        Self { words }
    }

    fn passes(mut self, allowed: &[&str]) -> bool {
        self.any(allowed) && self.words.is_empty()
    }

    /// Alternatives: `AND` binds closer than `OR`.
    fn any(&mut self, allowed: &[&str]) -> bool {
        let mut is_allowed = self.all(allowed);
        while self.next_is("OR") {
            is_allowed |= self.all(allowed);
        }
        is_allowed
    }

    fn all(&mut self, allowed: &[&str]) -> bool {
        let mut is_allowed = self.one(allowed);
        while self.next_is("AND") {
            is_allowed &= self.one(allowed);
        }
        is_allowed
    }

    fn one(&mut self, allowed: &[&str]) -> bool {
        if self.next_is("(") {
            let is_allowed = self.any(allowed);
            return self.next_is(")") && is_allowed;
        }
        let Some(mut licence) = self.words.pop() else {
            return false;
        };
        if self.next_is("WITH") {
            licence = format!("{licence} WITH {}", self.words.pop().unwrap_or_default());
        }
        allowed.contains(&licence.as_str())
    }

    fn next_is(&mut self, word: &str) -> bool {
        self.words.pop_if(|next| next == word).is_some()
    }
}

fn rules() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Everything that is built here, with all features, tests included.
fn metadata() -> Value {
    let version = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--all-features", "--filter-platform", host.unwrap()])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    list(value)
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect()
}

//! `folkmoot xmtp` and the commands for people, against a node in this process.

mod client;
mod conversations;
mod devices;
mod help;
mod people;
mod seldom;
mod shape;
mod shapes;
mod turns;
mod usage;
mod wallets;

use std::{
    cell::Cell,
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use folkmoot_node::{
    ContractVerifier, NoContracts,
    files::{History, HistoryConfig},
};
use folkmoot_testkit::TestNode;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{program, text};

/// A network for one test.
pub(crate) struct Net {
    runtime: tokio::runtime::Runtime,
    node: TestNode,
    /// Where a history server keeps its files.
    folder: TempDir,
    /// How many people there are.
    people: Cell<u8>,
}

impl Net {
    pub(crate) fn start() -> Self {
        Self::asking(Arc::new(NoContracts))
    }

    /// A network that asks `contracts` about contract wallets.
    pub(crate) fn asking(contracts: Arc<dyn ContractVerifier>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let node = runtime.block_on(TestNode::asking(contracts));
        Self {
            runtime,
            folder: TempDir::new().unwrap(),
            node,
            people: Cell::new(0),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.node.url
    }

    /// Starts a server through which devices hand over history. Returns its address.
    pub(crate) fn history(&self) -> String {
        let history = History::open(self.folder.path().join("files"), HistoryConfig::default());
        let router = history.unwrap().router();
        self.runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            url
        })
    }

    /// Somebody with keys, on this network. The first one of each network has the same account, the
    /// second has another one, and so on, so that lists have the same order every time.
    pub(crate) fn person(&self) -> Person {
        let person = Person::nobody();
        person.ok(&["xmtp", "init", "--node", self.url()]);
        let number = self.people.get() + 1;
        self.people.set(number);
        let file = person.home().join(".xmtp/.env");
        let random = person.variable("XMTP_WALLET_KEY");
        let text = fs::read_to_string(&file).unwrap();
        let account = format!("0x{}", hex::encode([number; 32]));
        fs::write(&file, text.replace(&random, &account)).unwrap();
        person
    }
}

/// Somebody with a home of their own.
pub(crate) struct Person {
    home: TempDir,
}

impl Person {
    /// Somebody without keys.
    pub(crate) fn nobody() -> Self {
        Self {
            home: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The program, in this person's hands.
    pub(crate) fn program(&self) -> Command {
        let mut command = program();
        for (name, _) in std::env::vars() {
            if name.starts_with("XMTP_") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.program().args(arguments).output().unwrap()
    }

    /// What a command that succeeds prints.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {} {}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// What a command of `folkmoot xmtp` that succeeds prints as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["xmtp"];
        all.extend(arguments);
        all.push("--json");
        serde_json::from_str(&self.ok(&all)).unwrap()
    }

    /// The exit code of a command that fails, and what it says.
    pub(crate) fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        let code = output.status.code().unwrap();
        assert_ne!(code, 0, "{arguments:?}: {}", text(&output.stdout));
        (code, error_in(&text(&output.stderr)))
    }

    /// A variable of the file that `init` wrote.
    pub(crate) fn variable(&self, name: &str) -> String {
        let file = fs::read_to_string(self.home.path().join(".xmtp/.env")).unwrap();
        let found = file
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        found.unwrap().to_owned()
    }

    pub(crate) fn address(&self) -> String {
        self.json(&["client", "info"])["properties"]["address"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn inbox(&self) -> String {
        self.json(&["client", "info"])["properties"]["inboxId"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Another installation of the same person: the same keys, another database.
    pub(crate) fn second_database(&self) -> PathBuf {
        self.home.path().join("second.db")
    }
}

/// What a command says at its end. A machine that is busy may let it wait for a first answer, which
/// it says before.
pub(crate) fn error_in(told: &str) -> String {
    let from = told.find("error: ").unwrap_or(0);
    told[from..].to_owned()
}

/// Puts names in place of what differs from run to run: ids by the order in which they come, times,
/// addresses of this machine.
pub(crate) fn redacted(printed: &str, home: &Path) -> String {
    let printed = printed.replace(home.to_str().unwrap(), "~");
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut result = String::new();
    let mut rest = &*printed;
    while let Some(character) = rest.chars().next() {
        let word: String = rest
            .chars()
            .take_while(|one| one.is_ascii_alphanumeric())
            .collect();
        let is_hex = |word: &str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = word.strip_prefix("0x").unwrap_or(&word);
        if digits.len() >= 32 && is_hex(digits) {
            let next = names.len() + 1;
            let number = *names.entry(digits.to_owned()).or_insert(next);
            result.push_str(&format!("<id {number}>"));
            rest = &rest[word.len()..];
        } else if let 10 | 19 = word.len()
            && word.bytes().all(|byte| byte.is_ascii_digit())
        {
            result.push_str(if word.len() == 10 { "<s>" } else { "<ns>" });
            rest = &rest[word.len()..];
        } else if let Some(time) = time(rest) {
            result.push_str("<time>");
            rest = &rest[time..];
        } else if let Some(port) = ["127.0.0.1:", "127.0.0.1-"]
            .into_iter()
            .find_map(|host| rest.strip_prefix(host))
        {
            let digits = port.bytes().take_while(u8::is_ascii_digit).count();
            result.push_str("<host>");
            rest = &port[digits..];
        } else if word.is_empty() {
            result.push(character);
            rest = &rest[character.len_utf8()..];
        } else {
            result.push_str(&word);
            rest = &rest[word.len()..];
        }
    }
    result
}

/// The length of the time with which a text begins, if it does.
fn time(text: &str) -> Option<usize> {
    let shape = |text: &str, pattern: &str| {
        text.len() >= pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(byte, wanted)| match wanted {
                    b'0' => byte.is_ascii_digit(),
                    other => byte == other,
                })
    };
    ["0000-00-00T00:00:00.000Z", "0000-00-00 00:00"]
        .into_iter()
        .find(|pattern| shape(text, pattern))
        .map(str::len)
}

/// A snapshot of what a command prints as JSON.
macro_rules! shows {
    ($person:expr, $name:expr, $($argument:expr),+ $(,)?) => {{
        let printed = $person.ok(&["xmtp", $($argument),+, "--json"]);
        insta::assert_snapshot!($name, super::redacted(&printed, $person.home()));
        serde_json::from_str::<serde_json::Value>(&printed).unwrap()
    }};
}
pub(crate) use shows;

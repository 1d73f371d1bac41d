//! A network, people on it, and a bot whose lines the test reads and writes.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use folkmoot_client::{
    Client, Conversation, Message, MessageQuery, MessageStream, StreamOptions, db::DatabaseKey,
};
use folkmoot_conversation::content::Content;
use folkmoot_identity::WalletSecret;
use folkmoot_testkit::TestNode;
use folkmoot_wire::InboxId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::program;

/// The longest that anything may take.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// A network for one test, and a folder.
pub(super) struct World {
    pub(super) node: TestNode,
    pub(super) place: TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self {
            node: TestNode::start().await,
            place: TempDir::new().unwrap(),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Somebody in this process.
    pub(super) async fn person(&self, number: u8) -> Person {
        let wallet = WalletSecret::from_bytes(&[number; 32]).unwrap();
        let client = Client::builder().node(self.node.url.clone());
        let client = client.create(&wallet).await.unwrap();
        let options = StreamOptions {
            without_own: true,
            without_changes: true,
            ..StreamOptions::default()
        };
        let stream = client.conversations().stream_all_messages(options).await;
        Person {
            heard: stream.unwrap(),
            client,
        }
    }

    /// The bot with this number in this process, while the program does not run.
    pub(super) async fn open(&self, number: u8) -> Client {
        let wallet = WalletSecret::from_bytes(&[number; 32]).unwrap();
        let client = Client::builder().node(self.node.url.clone()).database(
            self.path(&format!("bot-{number}.db")),
            DatabaseKey::Raw([9; 32]),
        );
        client.create(&wallet).await.unwrap()
    }

    /// A script in the folder.
    pub(super) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o755);
        let mut file = options.open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    /// `folkmoot bot run` with these arguments, as the bot with this number.
    pub(super) fn command(&self, number: u8, arguments: &[&str]) -> Command {
        let mut command = program();
        for (name, _) in std::env::vars() {
            if name.starts_with("XMTP_") {
                command.env_remove(name);
            }
        }
        command
            .args(["bot", "run", "--node", &self.node.url, "--db-path"])
            .arg(self.path(&format!("bot-{number}.db")))
            .args(arguments)
            .env("XMTP_WALLET_KEY", hex::encode([number; 32]))
            .env("XMTP_DB_ENCRYPTION_KEY", hex::encode([9; 32]))
            .env("HOME", self.place.path())
            .current_dir(self.place.path());
        command
    }

    /// Runs the program with these arguments, as a bot that needs no answers from the test.
    pub(super) fn run(&self, number: u8, arguments: &[&str]) -> Running {
        let notes = self.path(&format!("notes-{number}"));
        let file = File::options().append(true).create(true).open(&notes);
        let child = self
            .command(number, arguments)
            .stdout(Stdio::null())
            .stderr(file.unwrap())
            .spawn()
            .unwrap();
        Running { child, notes }
    }

    /// A bot whose lines come from this test and go to it.
    pub(super) async fn bot(&self, number: u8, arguments: &[&str]) -> Bot {
        let commands = self.path(&format!("commands-{number}"));
        let events = self.path(&format!("events-{number}"));
        if !commands.exists() {
            let made = Command::new("mkfifo").arg(&commands).status().unwrap();
            assert!(made.success());
        }
        let seen = match fs::read_to_string(&events) {
            Ok(text) => text.lines().count(),
            Err(_) => 0,
        };
        // Its input goes to a file, its output comes from a pipe that the test fills.
        let relay = format!(
            "cat {} & cat >> {}; kill $!",
            commands.display(),
            events.display()
        );
        let mut all = arguments.to_vec();
        all.extend(["--", "sh", "-c", &relay]);
        // Opened for both, a pipe is there at once, and never ends.
        let commands = File::options().read(true).write(true).open(commands);
        let running = self.run(number, &all);
        let mut bot = Bot {
            running,
            commands: commands.unwrap(),
            events,
            seen,
        };
        let ready = bot.next().await;
        assert_eq!(ready["type"], "ready", "{ready}");
        bot
    }
}

/// A program that runs; killed at the end.
pub(super) struct Running {
    pub(super) child: Child,
    notes: PathBuf,
}

impl Running {
    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// What it wrote to standard error.
    pub(super) fn notes(&self) -> String {
        fs::read_to_string(&self.notes).unwrap()
    }

    /// Waits until it wrote that.
    pub(super) async fn notes_with(&self, text: &str) -> String {
        until(text, async || {
            Some(self.notes()).filter(|notes| notes.contains(text))
        })
        .await
    }

    pub(super) async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the program ends", async || child.try_wait().unwrap()).await
    }

    /// Asks it to end, and waits for that.
    pub(super) async fn end(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.ended().await.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its own child ends with its input.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A bot in the hands of the test.
pub(super) struct Bot {
    pub(super) running: Running,
    commands: File,
    events: PathBuf,
    seen: usize,
}

impl Bot {
    /// The next event.
    pub(super) async fn next(&mut self) -> Value {
        let (events, seen) = (&self.events, self.seen);
        let running = &mut self.running;
        let line = until("an event", async || {
            if let Some(status) = running.child.try_wait().unwrap() {
                panic!("{status}: {}", running.notes());
            }
            let text = fs::read_to_string(events).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            whole.lines().nth(seen).map(str::to_owned)
        });
        let line = line.await;
        self.seen += 1;
        serde_json::from_str(&line).unwrap()
    }

    /// The next event of this type; those of others are passed over.
    pub(super) async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// All events that are there already.
    pub(super) fn rest(&mut self) -> Vec<Value> {
        let text = fs::read_to_string(&self.events).unwrap_or_default();
        let rest: Vec<_> = text.lines().skip(self.seen).collect();
        self.seen += rest.len();
        rest.iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Writes a line as the bot.
    pub(super) fn line(&mut self, line: &str) {
        writeln!(self.commands, "{line}").unwrap();
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.commands.write_all(bytes).unwrap();
    }

    pub(super) fn command(&mut self, command: Value) {
        self.line(&command.to_string());
    }

    /// Writes a command, and waits for its outcome.
    pub(super) async fn done(&mut self, command: Value) -> Value {
        self.command(command);
        loop {
            let event = self.next().await;
            if event["type"] == "sent" || event["type"] == "error" {
                return event;
            }
        }
    }
}

/// Somebody in this process, who hears what others say.
pub(super) struct Person {
    pub(super) client: Client,
    heard: MessageStream,
}

impl Person {
    /// The DM with the bot that has this number.
    pub(super) async fn dm(&self, bot: u8) -> Conversation {
        let inbox = self.inbox_of(bot).await;
        self.client.conversations().new_dm(inbox).await.unwrap()
    }

    pub(super) async fn inbox_of(&self, bot: u8) -> InboxId {
        let wallet = WalletSecret::from_bytes(&[bot; 32]).unwrap();
        let identifier = wallet.identifier();
        let found = self.client.inbox_id_of(&identifier).await.unwrap();
        found.unwrap()
    }

    /// The next thing that somebody else says.
    pub(super) async fn hears(&mut self) -> Message {
        let next = tokio::time::timeout(SOON, self.heard.next());
        next.await.expect("nobody says anything").unwrap()
    }

    /// The next text that somebody else says, also in a reply.
    pub(super) async fn hears_text(&mut self) -> String {
        let message = self.hears().await;
        match message.content {
            Content::Text(text) => text.0,
            Content::Reply(reply) => match reply.content() {
                Content::Text(text) => text.0,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

/// The texts of a conversation, oldest first.
pub(super) async fn texts(conversation: &Conversation) -> Vec<String> {
    conversation.sync().await.unwrap();
    let messages = conversation.messages(&MessageQuery::default()).await;
    let texts = messages.unwrap().into_iter().map(|message| message.content);
    texts
        .filter_map(|content| match content {
            Content::Text(text) => Some(text.0),
            _ => None,
        })
        .collect()
}

/// Waits until `found` finds something, asking again and again.
pub(super) async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(began.elapsed() < SOON, "it did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Where a program is, if it is installed. In CI all of them are.
pub(super) fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file: &PathBuf| Path::is_file(file));
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI has no {name}");
        eprintln!("not tested: there is no {name}");
    }
    found
}

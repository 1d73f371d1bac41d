//! A node, a history server, and people with several devices.

use std::time::Duration;

use folkmoot_client::{
    Background, Client, ClientBuilder, Conversation, DeviceSync, GroupOptions, ManualClock,
    MessageQuery, network::NetworkAddress,
};
use folkmoot_conversation::content::Content;
use folkmoot_identity::WalletSecret;
use folkmoot_node::files::{History, HistoryConfig};
use folkmoot_testkit::TestNode;
use folkmoot_wire::InboxId;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

/// How long an event may take to come.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A node and a history server.
pub(crate) struct Home {
    pub(crate) node: TestNode,
    pub(crate) history_url: String,
    pub(crate) folder: TempDir,
    history: JoinHandle<()>,
}

impl Home {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let history_url = format!("http://{}", listener.local_addr().unwrap());
        let history =
            History::open(folder.path().join("history"), HistoryConfig::default()).unwrap();
        let router = history.router();
        let history = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            node: TestNode::start().await,
            history_url,
            folder,
            history,
        }
    }

    /// The client of a person, to be asked by hand.
    pub(crate) async fn client(&self, person: u8) -> Client {
        let client = self
            .builder()
            .device_sync(DeviceSync::Off)
            .background(Background::Off);
        client.create(&wallet(person)).await.unwrap()
    }

    /// A device of a person that tells the others, when it is asked to.
    pub(crate) async fn device(&self, person: u8) -> Client {
        let client = self.builder().background(Background::Off);
        client.create(&wallet(person)).await.unwrap()
    }

    /// A device of a person that looks after itself.
    pub(crate) async fn awake(&self, person: u8) -> Client {
        self.builder().create(&wallet(person)).await.unwrap()
    }

    /// A client whose clock somebody sets.
    pub(crate) async fn timed(&self, person: u8, clock: &ManualClock) -> Client {
        let clock = std::sync::Arc::new(clock.clone());
        let client = self.builder().background(Background::Off).clock(clock);
        client.create(&wallet(person)).await.unwrap()
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder()
            .address(NetworkAddress::Node(self.node.url.clone()))
            .history_url(&self.history_url)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.history.abort();
    }
}

/// The wallet of this number.
pub(crate) fn wallet(number: u8) -> WalletSecret {
    WalletSecret::from_bytes(&[number; 32]).unwrap()
}

/// A group of `first` and the others, known to all.
pub(crate) async fn group(first: &Client, others: &[&Client], name: &str) -> Conversation {
    let members: Vec<InboxId> = others.iter().map(|client| client.inbox_id()).collect();
    let options = GroupOptions {
        name: Some(name.to_owned()),
        ..GroupOptions::default()
    };
    let group = first
        .conversations()
        .new_group(members, options)
        .await
        .unwrap();
    for other in others {
        other.conversations().sync().await.unwrap();
    }
    group
}

/// The texts of a conversation, oldest first.
pub(crate) async fn texts(conversation: &Conversation) -> Vec<String> {
    let messages = conversation
        .messages(&MessageQuery::default())
        .await
        .unwrap();
    let text = |content: &Content| match content {
        Content::Text(text) => Some(text.0.clone()),
        _ => None,
    };
    messages
        .iter()
        .filter_map(|message| text(&message.content))
        .collect()
}

/// Waits until `is_so` says yes; asks a few times a second.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !is_so().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} does not happen"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

//! People with clients, and what a scenario asks of them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use folkmoot_client::{
    Background, Client, ClientBuilder, Conversation, DeviceSync, Error, GroupOptions, Message,
    MessageKind, MessageQuery, SharedClock,
    db::{DatabaseKey, DbError},
    network::{Network, NetworkAddress, NetworkOptions},
};
use folkmoot_conversation::{content::Content, version::Version};
use folkmoot_identity::WalletSecret;
use folkmoot_testkit::TestNode;
use folkmoot_wire::{GroupId, InboxId};
use tempfile::TempDir;

/// How long an event may take to come.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// By which generation of services clients reach the node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Generation {
    V3,
    D14n,
}

/// Runs a scenario by both generations.
macro_rules! both_generations {
    ($($scenario:ident),+ $(,)?) => { $(mod $scenario {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn v3() {
            super::$scenario(crate::people::World::new(crate::people::Generation::V3).await).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn d14n() {
            super::$scenario(crate::people::World::new(crate::people::Generation::D14n).await).await;
        }
    })+ };
}
pub(crate) use both_generations;

/// A node and a folder for databases.
pub(crate) struct World {
    pub(crate) node: TestNode,
    generation: Generation,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new(generation: Generation) -> Self {
        Self {
            node: TestNode::start().await,
            generation,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Another world of the same generation.
    pub(crate) async fn another(&self) -> Self {
        Self::new(self.generation).await
    }

    /// By which generation of services clients reach the node.
    pub(crate) const fn generation(&self) -> Generation {
        self.generation
    }

    /// What all clients have in common.
    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .address(self.address())
            .device_sync(DeviceSync::Off)
            .background(Background::Off)
            .app_data_groups()
    }

    /// The network itself.
    pub(crate) fn network(&self) -> Arc<dyn Network> {
        NetworkOptions::new(self.address()).network().unwrap()
    }

    fn address(&self) -> NetworkAddress {
        match self.generation {
            Generation::V3 => NetworkAddress::Node(self.node.url.clone()),
            Generation::D14n => NetworkAddress::Gateway(self.node.url.clone()),
        }
    }

    /// The client of the person of this number, in memory.
    pub(crate) async fn client(&self, person: u8) -> Client {
        self.builder().create(&wallet(person)).await.unwrap()
    }

    /// The client of the person of this number, in memory, over another network.
    pub(crate) async fn client_over(&self, person: u8, network: Arc<dyn Network>) -> Client {
        let builder = self.builder().custom_network(network);
        builder.create(&wallet(person)).await.unwrap()
    }

    /// The same, who also works while nobody calls.
    pub(crate) async fn busy_client_over(&self, person: u8, network: Arc<dyn Network>) -> Client {
        let builder = self.builder().custom_network(network);
        let builder = builder.background(Background::On);
        builder.create(&wallet(person)).await.unwrap()
    }

    /// The same, who looks at this clock.
    pub(crate) async fn client_over_at(
        &self,
        person: u8,
        network: Arc<dyn Network>,
        clock: SharedClock,
    ) -> Client {
        let builder = self.builder().custom_network(network).clock(clock);
        builder.create(&wallet(person)).await.unwrap()
    }

    /// The client of the person of this number, who looks at this clock.
    pub(crate) async fn client_with_clock(&self, person: u8, clock: SharedClock) -> Client {
        let builder = self.builder().clock(clock);
        builder.create(&wallet(person)).await.unwrap()
    }

    /// Clients of several people.
    pub(crate) async fn clients<const N: usize>(&self) -> [Client; N] {
        let mut clients = Vec::new();
        for person in 0..N {
            clients.push(self.client(u8::try_from(person + 1).unwrap()).await);
        }
        clients.try_into().unwrap()
    }

    /// Where the database of this name lies.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The client of the person of this number, whose database is the file of this name.
    pub(crate) async fn stored(&self, person: u8, name: &str) -> Client {
        soon(async {
            loop {
                let path = self.folder.path().join(name);
                let builder = self.builder().database(path, DatabaseKey::Raw([7; 32]));
                match builder.create(&wallet(person)).await {
                    // The one before it is still at its last work.
                    Err(Error::Database(DbError::InUse { .. })) => tokio::task::yield_now().await,
                    client => return client.unwrap(),
                }
            }
        })
        .await
    }

    /// The same, who understands groups up to this version only.
    pub(crate) async fn stored_as_of(&self, person: u8, name: &str, version: Version) -> Client {
        let path = self.folder.path().join(name);
        let builder = self.builder().database(path, DatabaseKey::Raw([7; 32]));
        let builder = builder.protocol_version(version);
        builder.create(&wallet(person)).await.unwrap()
    }

    /// The same over another network, such as one that fails.
    pub(crate) async fn stored_over(
        &self,
        person: u8,
        name: &str,
        network: Arc<dyn Network>,
    ) -> Client {
        self.try_stored_over(person, name, network).await.unwrap()
    }

    /// The same, if the database is free: a client that just went may not have let go of it.
    pub(crate) async fn try_stored_over(
        &self,
        person: u8,
        name: &str,
        network: Arc<dyn Network>,
    ) -> Result<Client, Error> {
        let path = self.folder.path().join(name);
        let builder = self.builder().database(path, DatabaseKey::Raw([7; 32]));
        let builder = builder.custom_network(network);
        builder.create(&wallet(person)).await
    }
}

/// The wallet of this number.
pub(crate) fn wallet(number: u8) -> WalletSecret {
    WalletSecret::from_bytes(&[number; 32]).unwrap()
}

/// A group of `first` and the others, known to all.
pub(crate) async fn group(first: &Client, others: &[&Client]) -> Conversation {
    let members: Vec<InboxId> = others.iter().map(|client| client.inbox_id()).collect();
    let group = first
        .conversations()
        .new_group(members, GroupOptions::default())
        .await
        .unwrap();
    for other in others {
        other.conversations().sync().await.unwrap();
    }
    group
}

/// The conversation of this id, as `client` has it after a sync.
pub(crate) async fn synced(client: &Client, id: &GroupId) -> Conversation {
    client.conversations().sync().await.unwrap();
    let mut conversation = client.conversations().get(id).await.unwrap();
    conversation.sync().await.unwrap();
    conversation.refresh().await.unwrap();
    conversation
}

/// The texts of a conversation, oldest first.
pub(crate) async fn texts(conversation: &Conversation) -> Vec<String> {
    let messages = conversation
        .messages(&MessageQuery::default())
        .await
        .unwrap();
    messages.iter().filter_map(text).collect()
}

/// What a message says, if it is a text.
pub(crate) fn text(message: &Message) -> Option<String> {
    match &message.content {
        Content::Text(text) => Some(text.0.clone()),
        _ => None,
    }
}

/// How many entries about commits there are.
pub(crate) async fn changes(conversation: &Conversation) -> usize {
    let query = MessageQuery {
        kind: Some(MessageKind::MembershipChange),
        ..MessageQuery::default()
    };
    conversation.messages(&query).await.unwrap().len()
}

/// All have the same history.
pub(crate) async fn assert_same_epoch(conversations: &[&Conversation]) {
    let mut authenticators = Vec::new();
    for conversation in conversations {
        authenticators.push(conversation.epoch_authenticator().await.unwrap());
    }
    let first = &authenticators[0];
    assert!(authenticators.iter().all(|one| one == first));
}

/// Waits for something that must come soon.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what)
        .await
        .expect("it comes soon")
}

//! Nodes, their items, subscribers and affiliations (XEP-0060, XEP-0163).
//!
//! A service is an address: a host, or an account for personal eventing. Configurations, options and payloads are the
//! server's bytes.

use async_trait::async_trait;
use bytes::Bytes;
use jid::{BareJid, Jid};

use crate::StoreError;

/// A node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeRecord {
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub config: Bytes,
    /// When it was made.
    pub created: i64,
}

/// An item of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PubSubItem {
    /// Its id, of which the node has one.
    pub id: String,
    /// Who published it.
    pub publisher: Option<Jid>,
    /// The payload; may be empty.
    pub payload: Bytes,
    /// When it was published last.
    pub at: i64,
}

/// Which items of a node, in the order of publication.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ItemsPlace {
    /// The oldest.
    #[default]
    Start,
    /// What was published after the item of that id.
    After(String),
    /// What was published before the item of that id.
    Before(String),
    /// The newest.
    End,
}

/// Items of a node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ItemsPage {
    /// In the order of publication, whatever the direction of paging.
    pub items: Vec<PubSubItem>,
    /// Nothing is left in the direction of paging.
    pub complete: bool,
    /// How many items the node has.
    pub count: u64,
}

/// The answer to a question for items.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum ItemsAnswer {
    /// A page, which may be empty.
    Page(ItemsPage),
    /// The node has no item of the id that the place names.
    UnknownItem,
    /// There is no such node.
    UnknownNode,
}

/// What somebody may do at a node. Whoever is not listed has no affiliation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum NodeAffiliation {
    /// Everything.
    Owner = 1,
    /// Publish and read.
    Publisher = 2,
    /// Publish.
    PublishOnly = 3,
    /// Read where others may not.
    Member = 4,
    /// Nothing.
    Outcast = 5,
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum SubscriptionState {
    /// An owner has to agree.
    Pending = 1,
    /// In force.
    Subscribed = 2,
    /// Options are to be set first.
    Unconfigured = 3,
}

/// Somebody who wants to hear of a node's items. Each address has one subscription for each node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeSubscription {
    /// Who.
    pub jid: Jid,
    /// The subscription's id, if the service gives them.
    pub id: Option<String>,
    /// How far it is.
    pub state: SubscriptionState,
    /// Its options.
    pub options: Bytes,
}

/// The nodes of all services.
#[async_trait]
pub trait PubSub: Send + Sync {
    /// Makes a node with an owner, if one is given; `false` if there is one of that name.
    async fn create_node(
        &self,
        service: &BareJid,
        node: NodeRecord,
        owner: Option<&BareJid>,
    ) -> Result<bool, StoreError>;

    /// A node.
    async fn node(&self, service: &BareJid, node: &str) -> Result<Option<NodeRecord>, StoreError>;

    /// The nodes of a service by name, after the name `after`, at most `limit`.
    async fn nodes(
        &self,
        service: &BareJid,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<NodeRecord>, StoreError>;

    /// Replaces the configuration and removes the oldest items beyond `max_items`. Says whether there is such a node.
    async fn set_node_config(
        &self,
        service: &BareJid,
        node: &str,
        config: Bytes,
        max_items: usize,
    ) -> Result<bool, StoreError>;

    /// Deletes a node with all that belongs to it. Says whether there was one.
    async fn delete_node(&self, service: &BareJid, node: &str) -> Result<bool, StoreError>;

    /// Publishes items in order: each is the newest then, instead of one of the same id. The oldest beyond `max_items`
    /// go. Says whether there is such a node.
    async fn publish_items(
        &self,
        service: &BareJid,
        node: &str,
        items: Vec<PubSubItem>,
        max_items: usize,
    ) -> Result<bool, StoreError>;

    /// Removes items. Answers the ids that were there; empty where there is no such node.
    async fn retract_items(
        &self,
        service: &BareJid,
        node: &str,
        ids: Vec<String>,
    ) -> Result<Vec<String>, StoreError>;

    /// Removes all items. Says whether there is such a node.
    async fn purge_node(&self, service: &BareJid, node: &str) -> Result<bool, StoreError>;

    /// A page of at most `max` items.
    async fn items(
        &self,
        service: &BareJid,
        node: &str,
        place: ItemsPlace,
        max: usize,
    ) -> Result<ItemsAnswer, StoreError>;

    /// The items of these ids, in that order, without those that are not there.
    async fn items_by_id(
        &self,
        service: &BareJid,
        node: &str,
        ids: &[String],
    ) -> Result<Vec<PubSubItem>, StoreError>;

    /// The newest item of each node of a service that has items, by the nodes' names.
    async fn last_items(&self, service: &BareJid) -> Result<Vec<(String, PubSubItem)>, StoreError>;

    /// The subscriptions of a node, in the order of the addresses.
    async fn node_subscriptions(
        &self,
        service: &BareJid,
        node: &str,
    ) -> Result<Vec<NodeSubscription>, StoreError>;

    /// What somebody, with any resource, is subscribed to at a service: the nodes' names, in that order.
    async fn subscriptions_of(
        &self,
        service: &BareJid,
        account: &BareJid,
    ) -> Result<Vec<(String, NodeSubscription)>, StoreError>;

    /// Adds a subscription or replaces that of the same address. Says whether there is such a node.
    async fn put_node_subscription(
        &self,
        service: &BareJid,
        node: &str,
        subscription: NodeSubscription,
    ) -> Result<bool, StoreError>;

    /// Removes a subscription. Says whether there was one.
    async fn remove_node_subscription(
        &self,
        service: &BareJid,
        node: &str,
        jid: &Jid,
    ) -> Result<bool, StoreError>;

    /// The affiliations of a node, in the order of the addresses.
    async fn node_affiliations(
        &self,
        service: &BareJid,
        node: &str,
    ) -> Result<Vec<(BareJid, NodeAffiliation)>, StoreError>;

    /// Somebody's affiliations at a service, by the nodes' names.
    async fn affiliations_of(
        &self,
        service: &BareJid,
        account: &BareJid,
    ) -> Result<Vec<(String, NodeAffiliation)>, StoreError>;

    /// Sets affiliations; `None` ends one. Says whether there is such a node.
    async fn set_node_affiliations(
        &self,
        service: &BareJid,
        node: &str,
        affiliations: Vec<(BareJid, Option<NodeAffiliation>)>,
    ) -> Result<bool, StoreError>;
}

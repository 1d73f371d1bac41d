//! Nodes on which things are published (XEP-0060), on a service of its own or at an account (XEP-0163).
//!
//! The way of a request: [`Request::read`] says what is asked, [`Request::wants`] which items the caller has to load
//! with the [`Node`], and [`Service::handle`] what follows: the answer, what to store, and whom to tell. [`audience`] turns
//! an [`Event`] into receivers. Nothing here is kept between requests.

mod access;
mod config;
mod error;
mod event;
mod manage;
mod publish;
mod request;
mod subscribe;

pub use access::{Asker, may_see};
pub use config::{AccessModel, Config, LastItem, PublishModel};
pub use event::{Event, Happened, Interested, Receivers, audience, last_item_event};
pub use request::{Publish, Request, Wants};
pub use subscribe::{Approval, approval_form};

use std::collections::BTreeMap;

use bytes::Bytes;
use jid::{BareJid, Jid};

use crate::{
    moment::Moment,
    rsm::PageInfo,
    stanza::{Condition, StanzaError},
};

/// The protocol.
pub const NS: &str = "http://jabber.org/protocol/pubsub";
/// Notifications.
pub const EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// What owners do.
pub const OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// What exactly went wrong.
pub const ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// The form of a node's configuration.
pub const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// The form of preconditions.
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// The form by which owners agree to a subscription.
pub const AUTHORIZATION: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";

/// What an account and a service can do, each to be put behind [`NS`] and `#`.
pub const FEATURES: [&str; 26] = [
    "access-authorize",
    "access-open",
    "access-presence",
    "access-roster",
    "access-whitelist",
    "auto-create",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "item-ids",
    "last-published",
    "manage-subscriptions",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "publish",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-items",
    "subscribe",
];
/// What an account can do besides.
pub const PEP_FEATURES: [&str; 4] = [
    "auto-subscribe",
    "filtered-notifications",
    "presence-notifications",
    "presence-subscribe",
];

/// What somebody is to a node.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Affiliation {
    /// May do nothing.
    Outcast,
    /// Nobody in particular.
    #[default]
    None,
    /// May publish, and not read.
    PublishOnly,
    /// May read where members may.
    Member,
    /// May publish.
    Publisher,
    /// May do everything.
    Owner,
}

impl Affiliation {
    /// The attribute's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Outcast => "outcast",
            Self::None => "none",
            Self::PublishOnly => "publish-only",
            Self::Member => "member",
            Self::Publisher => "publisher",
            Self::Owner => "owner",
        }
    }

    /// The affiliation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Outcast,
            Self::None,
            Self::PublishOnly,
            Self::Member,
            Self::Publisher,
            Self::Owner,
        ];
        all.into_iter().find(|one| one.name() == name)
    }
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subscribed {
    /// An owner has to agree.
    Pending,
    /// Notified of everything.
    Yes,
}

impl Subscribed {
    /// The attribute's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Yes => "subscribed",
        }
    }
}

/// Something published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// Its name in the node.
    pub id: String,
    /// Who published it, if the service knows.
    pub publisher: Option<BareJid>,
    /// The element, written to stand alone; empty for none.
    pub payload: Bytes,
    /// When.
    pub at: Moment,
}

/// A node without its items.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// How it behaves.
    pub config: Config,
    /// Who is something to it.
    pub affiliations: BTreeMap<BareJid, Affiliation>,
    /// Who subscribed to it.
    pub subscriptions: BTreeMap<Jid, Subscribed>,
}

impl Node {
    /// What somebody is to it.
    #[must_use]
    pub fn affiliation(&self, who: &BareJid) -> Affiliation {
        self.affiliations.get(who).copied().unwrap_or_default()
    }

    /// Who may do everything.
    pub fn owners(&self) -> impl Iterator<Item = &BareJid> {
        let all = self.affiliations.iter();
        all.filter(|(_, affiliation)| **affiliation == Affiliation::Owner)
            .map(|(who, _)| who)
    }
}

/// Where nodes are.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its address: that of an account, or a domain.
    pub address: BareJid,
    /// Whose it is.
    pub kind: ServiceKind,
    /// Most items that a node may keep; what `max` means.
    pub most_items: u32,
    /// Most bytes of an item.
    pub most_bytes: u32,
}

/// Whose a service is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServiceKind {
    /// An account's: it alone creates nodes, and who sees its presence is subscribed.
    Pep,
    /// A service of its own, on which the users of this server may create nodes.
    Shared,
}

/// What the caller loaded for a request.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The items that [`Request::wants`] named, oldest first.
    pub items: Vec<Item>,
    /// Which page of all items they are.
    pub page: Option<PageInfo>,
}

/// What the caller lends, so that a service has neither clock nor dice.
pub struct Environment<'a> {
    /// Now.
    pub now: Moment,
    /// Gives an id that nobody can guess.
    pub new_id: &'a mut dyn FnMut() -> String,
}

/// What to store, in this order, all of it or nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A new node.
    Create(Node),
    /// A node's configuration.
    Configure(String, Config),
    /// A node is gone, with its items.
    Delete(String),
    /// An item of a node, now its newest, in place of one of the same id.
    Put(String, Item),
    /// Only so many items of a node, the newest, are left.
    Keep(String, u32),
    /// An item of a node is gone.
    Remove(String, String),
    /// All items of a node are gone.
    Purge(String),
    /// A subscription to a node, `None` for none any more.
    Subscribe(String, Jid, Option<Subscribed>),
    /// What somebody is to a node; [`Affiliation::None`] is not kept.
    Affiliate(String, BareJid, Affiliation),
}

/// What follows from a request that is carried out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Done {
    /// The payload of the answer, empty for none.
    pub answer: Vec<u8>,
    /// What to store first.
    pub changes: Vec<Change>,
    /// Whom to tell then.
    pub events: Vec<Event>,
}

impl Service {
    /// The account of somebody, or a service of its own, with usual bounds.
    #[must_use]
    pub fn new(address: BareJid, kind: ServiceKind) -> Self {
        Self {
            address,
            kind,
            most_items: 10_000,
            most_bytes: 256 << 10,
        }
    }

    /// The configuration of nodes for which nobody says anything.
    #[must_use]
    pub fn default_config(&self) -> Config {
        match self.kind {
            ServiceKind::Pep => Config::pep(),
            ServiceKind::Shared => Config::shared(),
        }
    }

    /// Carries a request out. `node` is the one that it names, as stored; `None` if there is none. What is to be done follows;
    /// nothing was changed here.
    ///
    /// # Errors
    ///
    /// What the specification says of the request, with the element of [`ERRORS`] that says more.
    pub fn handle(
        &self,
        request: &Request,
        asker: &Asker,
        node: Option<&Node>,
        found: &Found,
        environment: &mut Environment<'_>,
    ) -> Result<Done, StanzaError> {
        match request {
            Request::Publish(publish) => self.publish(publish, asker, node, environment),
            Request::Create { name, form } => {
                self.create(name.as_deref(), form.as_ref(), asker, node, environment)
            }
            Request::DefaultConfig => Ok(self.default_form()),
            _ => {
                let node = node.ok_or_else(|| {
                    StanzaError::new(Condition::ItemNotFound).text("there is no such node")
                })?;
                self.handle_on(request, asker, node, found)
            }
        }
    }

    fn handle_on(
        &self,
        request: &Request,
        asker: &Asker,
        node: &Node,
        found: &Found,
    ) -> Result<Done, StanzaError> {
        match request {
            Request::Items { .. } => self.items(asker, node, found),
            Request::Retract { id, notify, .. } => self.retract(id, *notify, asker, node, found),
            Request::Subscribe { who, .. } => self.subscribe(who, asker, node, found),
            Request::Unsubscribe { who, .. } => self.unsubscribe(who, asker, node),
            Request::ConfigForm { .. } => self.config_form(asker, node),
            Request::Configure { form, .. } => self.configure(form, asker, node),
            Request::Delete { redirect, .. } => self.delete(redirect.as_deref(), asker, node),
            Request::Purge { .. } => self.purge(asker, node),
            Request::Affiliations { .. } => self.affiliations(asker, node),
            Request::SetAffiliations { changes, .. } => self.set_affiliations(changes, asker, node),
            Request::Subscriptions { .. } => self.subscriptions(asker, node),
            Request::SetSubscriptions { changes, .. } => {
                self.set_subscriptions(changes, asker, node)
            }
            Request::Publish(_)
            | Request::Create { .. }
            | Request::DefaultConfig
            | Request::OwnAffiliations { .. }
            | Request::OwnSubscriptions { .. } => Err(Condition::FeatureNotImplemented.into()),
        }
    }
}

/// The payload that tells somebody of its subscriptions: node, address and state of each.
#[must_use]
pub fn own_subscriptions(asker: &BareJid, nodes: &[Node]) -> Vec<u8> {
    subscribe::own(asker, nodes)
}

/// The payload that tells somebody what it is to which nodes.
#[must_use]
pub fn own_affiliations(asker: &BareJid, nodes: &[Node]) -> Vec<u8> {
    manage::own(asker, nodes)
}

#[cfg(test)]
mod tests;

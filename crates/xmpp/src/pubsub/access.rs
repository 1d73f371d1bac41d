//! Who may read a node, and who may write it (XEP-0060 §4.5).

use jid::{BareJid, Jid};

use super::{AccessModel, Affiliation, Node, PublishModel, Subscribed, error::refused};
use crate::stanza::{Condition, StanzaError};

/// Who asks, and what the owner of the service thinks of them.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Its address.
    pub address: Jid,
    /// It sees the owner's presence. Only accounts have such a thing.
    pub sees_presence: bool,
    /// The groups of the owner's roster in which it stands.
    pub groups: Vec<String>,
    /// It may create nodes on a shared service.
    pub may_create: bool,
}

impl Asker {
    /// Somebody of whom nothing is known.
    #[must_use]
    pub fn stranger(address: impl Into<Jid>) -> Self {
        Self {
            address: address.into(),
            sees_presence: false,
            groups: Vec::new(),
            may_create: false,
        }
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> BareJid {
        self.address.to_bare()
    }

    pub(super) fn affiliation(&self, node: &Node) -> Affiliation {
        node.affiliation(&self.account())
    }

    pub(super) fn is_owner(&self, node: &Node) -> bool {
        self.affiliation(node) == Affiliation::Owner
    }

    /// Whether one of its addresses is subscribed.
    pub(super) fn is_subscribed(&self, node: &Node) -> bool {
        let account = self.account();
        node.subscriptions
            .iter()
            .any(|(who, state)| *state == Subscribed::Yes && who.to_bare() == account)
    }
}

/// Whether somebody may read a node, and subscribe to it unless an owner has to agree first.
///
/// # Errors
///
/// What the access model says: `forbidden` to outcasts; `not-authorized` with `presence-subscription-required` or
/// `not-in-roster-group`; `not-allowed` with `closed-node`. Where owners agree, `not-authorized` without a
/// subscription.
pub fn may_see(asker: &Asker, node: &Node) -> Result<(), StanzaError> {
    let affiliation = asker.affiliation(node);
    match affiliation {
        Affiliation::Owner => return Ok(()),
        Affiliation::Outcast => {
            return Err(StanzaError::new(Condition::Forbidden).text("you may not use this node"));
        }
        Affiliation::PublishOnly => {
            return Err(
                StanzaError::new(Condition::Forbidden).text("you may only publish to this node")
            );
        }
        Affiliation::Publisher | Affiliation::Member | Affiliation::None => {}
    }
    match node.config.access_model {
        AccessModel::Open => Ok(()),
        _ if affiliation >= Affiliation::Member => Ok(()),
        AccessModel::Presence if asker.sees_presence => Ok(()),
        AccessModel::Presence => Err(refused(
            Condition::NotAuthorized,
            "presence-subscription-required",
            "only who sees the owner's presence may read this node",
        )),
        AccessModel::Roster
            if asker
                .groups
                .iter()
                .any(|group| node.config.roster_groups.contains(group)) =>
        {
            Ok(())
        }
        AccessModel::Roster => Err(refused(
            Condition::NotAuthorized,
            "not-in-roster-group",
            "only certain contacts of the owner may read this node",
        )),
        AccessModel::Authorize if asker.is_subscribed(node) => Ok(()),
        AccessModel::Authorize => Err(refused(
            Condition::NotAuthorized,
            "not-subscribed",
            "an owner of the node has to agree to a subscription first",
        )),
        AccessModel::Whitelist => Err(refused(
            Condition::NotAllowed,
            "closed-node",
            "only members may read this node",
        )),
    }
}

/// Whether somebody may publish.
pub(super) fn may_publish(asker: &Asker, node: &Node) -> Result<(), StanzaError> {
    let affiliation = asker.affiliation(node);
    let may = match affiliation {
        Affiliation::Owner | Affiliation::Publisher | Affiliation::PublishOnly => true,
        Affiliation::Outcast => false,
        Affiliation::None | Affiliation::Member => match node.config.publish_model {
            PublishModel::Open => true,
            PublishModel::Publishers => false,
            PublishModel::Subscribers => asker.is_subscribed(node),
        },
    };
    if may {
        return Ok(());
    }
    Err(StanzaError::new(Condition::Forbidden).text("you may not publish to this node"))
}

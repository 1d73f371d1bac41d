//! Who is told what happened to a node (XEP-0060 §7.1.2, XEP-0163 §4).

use std::collections::BTreeSet;

use jid::{BareJid, FullJid, Jid};

use super::{Asker, EVENT, Item, NODE_CONFIG, Node, Subscribed, may_see};
use crate::{
    forms::FormKind,
    stanza::{MessageType, Stanza},
    xml::Markup,
};

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Happened {
    /// The configuration changed.
    Configured,
    /// The node is gone; the URI of what takes its place.
    Deleted(Option<String>),
    /// Items were published.
    Published(Vec<Item>),
    /// All items were removed.
    Purged,
    /// An item was taken back.
    Retracted(String),
    /// A subscription changed: an owner agreed to it or ended it.
    Subscription(Jid, Option<Subscribed>),
    /// Somebody asks an owner for a subscription.
    Asked(Jid),
}

/// Who is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Receivers {
    /// Subscribers, and at an account whoever may read the node and wants to know of it.
    Audience,
    /// The owners.
    Owners,
    /// This address alone.
    One(Jid),
}

/// Something to tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// What happened.
    pub happened: Happened,
    /// To which node, as it was then.
    pub node: Node,
    /// Whom to tell.
    pub to: Receivers,
}

impl Event {
    pub(super) fn to_audience(node: &Node, happened: Happened) -> Self {
        Self {
            happened,
            node: node.clone(),
            to: Receivers::Audience,
        }
    }

    /// The message, without `to`.
    #[must_use]
    pub fn message(&self, service: &super::Service) -> Stanza {
        let from = Jid::from(service.address.clone());
        if let Happened::Asked(who) = &self.happened {
            let mut out = Markup::default();
            super::approval_form(&self.node.name, who).write(&mut out);
            return Stanza::new(MessageType::Normal)
                .from(from)
                .with_all(&out.into_bytes());
        }
        let name = &self.node.name;
        let mut out = Markup::default();
        out.open("event").attribute("xmlns", EVENT);
        match &self.happened {
            Happened::Published(items) => {
                out.open("items").attribute("node", name);
                for item in items {
                    out.open("item").attribute("id", &item.id);
                    if self.node.config.deliver_payloads && !item.payload.is_empty() {
                        out.raw(&item.payload).close("item");
                    } else {
                        out.end();
                    }
                }
                out.close("items");
            }
            Happened::Retracted(id) => {
                out.open("items").attribute("node", name);
                out.open("retract").attribute("id", id).end();
                out.close("items");
            }
            Happened::Purged => {
                out.open("purge").attribute("node", name).end();
            }
            Happened::Deleted(redirect) => {
                out.open("delete").attribute("node", name);
                match redirect {
                    Some(uri) => out
                        .open("redirect")
                        .attribute("uri", uri)
                        .end()
                        .close("delete"),
                    None => out.end(),
                };
            }
            Happened::Configured => {
                out.open("configuration").attribute("node", name);
                if self.node.config.deliver_payloads {
                    let mut form = self.node.config.form(service);
                    form.kind = FormKind::Result;
                    debug_assert_eq!(form.form_type(), Some(NODE_CONFIG));
                    form.write(&mut out);
                    out.close("configuration");
                } else {
                    out.end();
                }
            }
            Happened::Subscription(who, state) => {
                out.open("subscription")
                    .attribute("node", name)
                    .attribute("jid", who.as_str())
                    .attribute("subscription", state.map_or("none", Subscribed::name))
                    .end();
            }
            Happened::Asked(_) => {}
        }
        out.close("event");
        let kind = if self.node.config.headline {
            MessageType::Headline
        } else {
            MessageType::Normal
        };
        Stanza::new(kind).from(from).with_all(&out.into_bytes())
    }
}

/// Somebody who may want to know: an available resource of the account or of a contact.
#[derive(Clone, Debug)]
pub struct Interested {
    /// The resource.
    pub resource: FullJid,
    /// Its account as the owner knows it.
    pub asker: Asker,
    /// Its capabilities contain the node's name with `+notify`.
    pub wants: bool,
}

/// Who gets an event, each once. `interested` is empty for services of their own.
#[must_use]
pub fn audience(event: &Event, interested: &[Interested]) -> Vec<Jid> {
    let node = &event.node;
    match &event.to {
        Receivers::One(who) => return vec![who.clone()],
        Receivers::Owners => return node.owners().cloned().map(Jid::from).collect(),
        Receivers::Audience => {}
    }
    if !node.config.deliver_notifications {
        return Vec::new();
    }
    let subscribed: BTreeSet<&Jid> = node
        .subscriptions
        .iter()
        .filter(|(_, state)| **state == Subscribed::Yes)
        .map(|(who, _)| who)
        .collect();
    let accounts: BTreeSet<BareJid> = subscribed
        .iter()
        .filter(|who| who.is_bare())
        .map(|who| who.to_bare())
        .collect();
    let wanting = interested
        .iter()
        .filter(|one| one.wants && may_see(&one.asker, node).is_ok());
    // Who subscribed explicitly is told there, and not once more.
    let wanting = wanting
        .map(|one| Jid::from(one.resource.clone()))
        .filter(|who| !subscribed.contains(who) && !accounts.contains(&who.to_bare()));
    let wanting: Vec<Jid> = wanting.collect();
    subscribed.into_iter().cloned().chain(wanting).collect()
}

/// The last item of a node, for somebody who became available or wants to know from now on. `None` when that is not
/// usual there, or not for them.
#[must_use]
pub fn last_item_event(node: &Node, item: &Item, to: &Interested) -> Option<Event> {
    let usual = node.config.last_item == super::LastItem::OnSubAndPresence;
    if !(usual && node.config.deliver_notifications && to.wants && may_see(&to.asker, node).is_ok())
    {
        return None;
    }
    Some(Event {
        happened: Happened::Published(vec![item.clone()]),
        node: node.clone(),
        to: Receivers::One(to.resource.clone().into()),
    })
}

//! Publishing, reading and taking back (XEP-0060 §6.5, §7).

use super::{
    Affiliation, Asker, Change, Done, Environment, Event, Found, Happened, Item, NS, Node, Service,
    ServiceKind,
    access::{may_publish, may_see},
    error::{refused, unsupported},
    request::Publish,
};
use crate::{
    stanza::{Condition, StanzaError},
    xml::Markup,
};

impl Service {
    pub(super) fn publish(
        &self,
        publish: &Publish,
        asker: &Asker,
        node: Option<&Node>,
        environment: &mut Environment<'_>,
    ) -> Result<Done, StanzaError> {
        let mut changes = Vec::new();
        let node = match node {
            Some(node) => {
                may_publish(asker, node)?;
                if let Some(options) = &publish.options {
                    node.config.meets(options, self)?;
                }
                node.clone()
            }
            None => {
                let node = self.created_by_publishing(publish, asker)?;
                changes.push(Change::Create(node.clone()));
                node
            }
        };
        let kept = node.config.kept(self);
        if publish.items.is_empty() && (node.config.persist_items || node.config.deliver_payloads) {
            return Err(refused(
                Condition::BadRequest,
                "item-required",
                "nothing is published",
            ));
        }
        if node.config.persist_items && publish.items.len() > kept as usize {
            return Err(refused(
                Condition::NotAllowed,
                "max-items-exceeded",
                "the node keeps fewer items",
            ));
        }
        let mut items = Vec::new();
        for (id, payload) in &publish.items {
            let payload = payload.clone().unwrap_or_default();
            if payload.is_empty() && (node.config.persist_items || node.config.deliver_payloads) {
                return Err(refused(
                    Condition::BadRequest,
                    "payload-required",
                    "an item has no payload",
                ));
            }
            if payload.len() > self.most_bytes as usize {
                let text = format!("an item has at most {} bytes", self.most_bytes);
                return Err(refused(Condition::NotAcceptable, "payload-too-big", &text));
            }
            items.push(Item {
                id: id.clone().unwrap_or_else(|| (environment.new_id)()),
                publisher: Some(asker.account()),
                payload,
                at: environment.now,
            });
        }
        if node.config.persist_items {
            let put = items
                .iter()
                .map(|item| Change::Put(node.name.clone(), item.clone()));
            changes.extend(put);
            changes.push(Change::Keep(node.name.clone(), kept));
        }
        let mut out = Markup::default();
        out.open("pubsub").attribute("xmlns", NS);
        out.open("publish").attribute("node", &node.name);
        for item in &items {
            out.open("item").attribute("id", &item.id).end();
        }
        out.close("publish").close("pubsub");
        Ok(Done {
            answer: out.into_bytes(),
            changes,
            events: vec![Event::to_audience(&node, Happened::Published(items))],
        })
    }

    /// The node that comes to be because its owner publishes to it (XEP-0163 §3).
    fn created_by_publishing(&self, publish: &Publish, asker: &Asker) -> Result<Node, StanzaError> {
        if self.kind == ServiceKind::Shared {
            return Err(StanzaError::new(Condition::ItemNotFound).text("there is no such node"));
        }
        self.may_create(asker)?;
        let config = self.default_config();
        let config = match &publish.options {
            Some(options) => config.overridden(options, self)?,
            None => config,
        };
        Ok(self.new_node(&publish.node, config, asker))
    }

    pub(super) fn new_node(&self, name: &str, config: super::Config, asker: &Asker) -> Node {
        Node {
            name: name.to_owned(),
            config,
            affiliations: [(asker.account(), Affiliation::Owner)].into(),
            subscriptions: std::collections::BTreeMap::new(),
        }
    }

    /// Whether somebody may create nodes here.
    pub(super) fn may_create(&self, asker: &Asker) -> Result<(), StanzaError> {
        let may = match self.kind {
            ServiceKind::Pep => asker.account() == self.address,
            ServiceKind::Shared => asker.may_create,
        };
        if may {
            return Ok(());
        }
        Err(StanzaError::new(Condition::Forbidden).text("you may not create nodes here"))
    }

    pub(super) fn items(
        &self,
        asker: &Asker,
        node: &Node,
        found: &Found,
    ) -> Result<Done, StanzaError> {
        may_see(asker, node)?;
        let mut out = Markup::default();
        out.open("pubsub").attribute("xmlns", NS);
        out.open("items").attribute("node", &node.name);
        for item in &found.items {
            out.open("item").attribute("id", &item.id);
            if item.payload.is_empty() {
                out.end();
            } else {
                out.raw(&item.payload).close("item");
            }
        }
        out.close("items");
        if let Some(page) = &found.page {
            page.write(&mut out);
        }
        out.close("pubsub");
        Ok(Done {
            answer: out.into_bytes(),
            ..Done::default()
        })
    }

    pub(super) fn retract(
        &self,
        id: &str,
        notify: bool,
        asker: &Asker,
        node: &Node,
        found: &Found,
    ) -> Result<Done, StanzaError> {
        may_publish(asker, node)?;
        if !node.config.persist_items {
            return Err(unsupported("persistent-items"));
        }
        let Some(item) = found.items.iter().find(|item| item.id == id) else {
            return Err(StanzaError::new(Condition::ItemNotFound).text("there is no such item"));
        };
        let is_theirs = item.publisher.as_ref() == Some(&asker.account());
        let may = is_theirs || asker.affiliation(node) >= Affiliation::Publisher;
        if !may {
            return Err(StanzaError::new(Condition::Forbidden).text("the item is somebody else's"));
        }
        let mut done = Done {
            changes: vec![Change::Remove(node.name.clone(), id.to_owned())],
            ..Done::default()
        };
        if notify || node.config.notify_retract {
            done.events
                .push(Event::to_audience(node, Happened::Retracted(id.to_owned())));
        }
        Ok(done)
    }
}

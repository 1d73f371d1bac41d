//! What owners do: creating, configuring, purging and deleting nodes, and who is what to them (XEP-0060 §8).

use jid::BareJid;

use super::{
    Affiliation, Asker, Change, Done, Environment, Event, Happened, NS, Node, OWNER, Service,
    access::may_see,
    error::{not_owner, unsupported},
};
use crate::{
    forms::Form,
    stanza::{Condition, StanzaError},
    xml::Markup,
};

/// People who may be something to one node.
const LIMIT: usize = 5000;

impl Service {
    pub(super) fn create(
        &self,
        name: Option<&str>,
        form: Option<&Form>,
        asker: &Asker,
        node: Option<&Node>,
        environment: &mut Environment<'_>,
    ) -> Result<Done, StanzaError> {
        self.may_create(asker)?;
        if node.is_some() {
            return Err(StanzaError::new(Condition::Conflict).text("there is such a node already"));
        }
        let generated = name.is_none().then(|| (environment.new_id)());
        let name = name.or(generated.as_deref()).unwrap_or_default();
        let config = self.default_config();
        let config = match form {
            Some(form) => config.with(form, self)?,
            None => config,
        };
        let answer = generated.as_ref().map(|name| {
            let mut out = Markup::default();
            out.open("pubsub").attribute("xmlns", NS);
            out.open("create").attribute("node", name).end();
            out.close("pubsub");
            out.into_bytes()
        });
        Ok(Done {
            answer: answer.unwrap_or_default(),
            changes: vec![Change::Create(self.new_node(name, config, asker))],
            events: Vec::new(),
        })
    }

    pub(super) fn default_form(&self) -> Done {
        let mut out = Markup::default();
        out.open("pubsub").attribute("xmlns", OWNER).open("default");
        self.default_config().form(self).write(&mut out);
        out.close("default").close("pubsub");
        Done {
            answer: out.into_bytes(),
            ..Done::default()
        }
    }

    pub(super) fn config_form(&self, asker: &Asker, node: &Node) -> Result<Done, StanzaError> {
        if !asker.is_owner(node) {
            return Err(not_owner());
        }
        let mut out = Markup::default();
        out.open("pubsub").attribute("xmlns", OWNER);
        out.open("configure").attribute("node", &node.name);
        node.config.form(self).write(&mut out);
        out.close("configure").close("pubsub");
        Ok(Done {
            answer: out.into_bytes(),
            ..Done::default()
        })
    }

    pub(super) fn configure(
        &self,
        form: &Option<Form>,
        asker: &Asker,
        node: &Node,
    ) -> Result<Done, StanzaError> {
        if !asker.is_owner(node) {
            return Err(not_owner());
        }
        let Some(form) = form else {
            return Ok(Done::default());
        };
        let config = node.config.with(form, self)?;
        let mut done = Done::default();
        if config == node.config {
            return Ok(done);
        }
        let now = Node {
            config: config.clone(),
            ..node.clone()
        };
        if now.config.kept(self) < node.config.kept(self) {
            done.changes
                .push(Change::Keep(node.name.clone(), now.config.kept(self)));
        }
        done.changes
            .push(Change::Configure(node.name.clone(), config));
        if now.config.notify_config {
            done.events
                .push(Event::to_audience(&now, Happened::Configured));
        }
        Ok(done)
    }

    pub(super) fn delete(
        &self,
        redirect: Option<&str>,
        asker: &Asker,
        node: &Node,
    ) -> Result<Done, StanzaError> {
        if !asker.is_owner(node) {
            return Err(not_owner());
        }
        let mut done = Done {
            changes: vec![Change::Delete(node.name.clone())],
            ..Done::default()
        };
        if node.config.notify_delete {
            let happened = Happened::Deleted(redirect.map(str::to_owned));
            done.events.push(Event::to_audience(node, happened));
        }
        Ok(done)
    }

    pub(super) fn purge(&self, asker: &Asker, node: &Node) -> Result<Done, StanzaError> {
        if !asker.is_owner(node) {
            return Err(not_owner());
        }
        if !node.config.persist_items {
            return Err(unsupported("persistent-items"));
        }
        Ok(Done {
            changes: vec![Change::Purge(node.name.clone())],
            events: vec![Event::to_audience(node, Happened::Purged)],
            ..Done::default()
        })
    }

    pub(super) fn affiliations(&self, asker: &Asker, node: &Node) -> Result<Done, StanzaError> {
        if !asker.is_owner(node) {
            return Err(not_owner());
        }
        let mut out = Markup::default();
        out.open("pubsub").attribute("xmlns", OWNER);
        out.open("affiliations").attribute("node", &node.name);
        for (who, affiliation) in &node.affiliations {
            out.open("affiliation")
                .attribute("jid", who.as_str())
                .attribute("affiliation", affiliation.name())
                .end();
        }
        out.close("affiliations").close("pubsub");
        Ok(Done {
            answer: out.into_bytes(),
            ..Done::default()
        })
    }

    pub(super) fn set_affiliations(
        &self,
        changes: &[(BareJid, Affiliation)],
        asker: &Asker,
        node: &Node,
    ) -> Result<Done, StanzaError> {
        if !asker.is_owner(node) {
            return Err(not_owner());
        }
        let mut after = node.clone();
        for (who, affiliation) in changes {
            after.affiliations.insert(who.clone(), *affiliation);
        }
        if after.owners().next().is_none() {
            return Err(StanzaError::new(Condition::NotAcceptable)
                .text("a node has an owner: make somebody else one first"));
        }
        if after.affiliations.len() > LIMIT {
            let text = format!("a node remembers at most {LIMIT} people");
            return Err(StanzaError::new(Condition::ResourceConstraint).text(text));
        }
        let mut done = Done::default();
        for (who, affiliation) in changes {
            let name = || node.name.clone();
            done.changes
                .push(Change::Affiliate(name(), who.clone(), *affiliation));
            // Who may no longer read is no longer told.
            let lost = node
                .subscriptions
                .keys()
                .filter(|one| one.to_bare() == *who)
                .filter(|one| {
                    let asker = Asker::stranger((*one).clone());
                    *affiliation == Affiliation::Outcast
                        || *affiliation < node.affiliation(who) && may_see(&asker, &after).is_err()
                });
            let ended = lost.map(|one| Change::Subscribe(name(), one.clone(), None));
            done.changes.extend(ended);
        }
        Ok(done)
    }
}

pub(super) fn own(asker: &BareJid, nodes: &[Node]) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("pubsub")
        .attribute("xmlns", NS)
        .open("affiliations");
    for node in nodes {
        if let Some(affiliation) = node.affiliations.get(asker) {
            out.open("affiliation")
                .attribute("node", &node.name)
                .attribute("affiliation", affiliation.name())
                .end();
        }
    }
    out.close("affiliations").close("pubsub");
    out.into_bytes()
}

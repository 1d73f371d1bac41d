//! Subscriptions, and how owners agree to them (XEP-0060 §6, §8.6, §8.8).

use jid::{BareJid, Jid};

use super::{
    AUTHORIZATION, AccessModel, Affiliation, Asker, Change, Done, Event, Found, Happened, LastItem,
    NS, Node, OWNER, Receivers, Service, Subscribed,
    access::may_see,
    error::{not_owner, not_subscribed, refused},
};
use crate::{
    forms::{Field, FieldKind, Form, FormKind},
    stanza::{Condition, Stanza, StanzaError},
    xml::Markup,
};

/// Subscriptions that one node may have.
const LIMIT: usize = 10_000;

impl Service {
    pub(super) fn subscribe(
        &self,
        who: &Jid,
        asker: &Asker,
        node: &Node,
        found: &Found,
    ) -> Result<Done, StanzaError> {
        let old = node.subscriptions.get(who).copied();
        let asks = node.config.access_model == AccessModel::Authorize
            && asker.affiliation(node) == Affiliation::None
            && old != Some(Subscribed::Yes);
        if asks && old == Some(Subscribed::Pending) {
            let text = "an owner has not agreed to the subscription yet";
            return Err(refused(
                Condition::NotAuthorized,
                "pending-subscription",
                text,
            ));
        }
        if !asks {
            may_see(asker, node)?;
        }
        if old.is_none() && node.subscriptions.len() >= LIMIT {
            let text = format!("a node has at most {LIMIT} subscriptions");
            return Err(refused(
                Condition::PolicyViolation,
                "too-many-subscriptions",
                &text,
            ));
        }
        let state = if asks {
            Subscribed::Pending
        } else {
            Subscribed::Yes
        };
        let mut out = Markup::default();
        out.open("pubsub").attribute("xmlns", NS);
        write_subscription(&mut out, Some(&node.name), who, Some(state));
        out.close("pubsub");
        let mut done = Done {
            answer: out.into_bytes(),
            changes: vec![Change::Subscribe(
                node.name.clone(),
                who.clone(),
                Some(state),
            )],
            events: Vec::new(),
        };
        let event = |happened, to| Event {
            happened,
            node: node.clone(),
            to,
        };
        if asks {
            done.events
                .push(event(Happened::Asked(who.clone()), Receivers::Owners));
        } else if node.config.last_item != LastItem::Never
            && let Some(last) = found.items.last()
        {
            let last = Happened::Published(vec![last.clone()]);
            done.events.push(event(last, Receivers::One(who.clone())));
        }
        Ok(done)
    }

    pub(super) fn unsubscribe(
        &self,
        who: &Jid,
        asker: &Asker,
        node: &Node,
    ) -> Result<Done, StanzaError> {
        if who.to_bare() != asker.account() {
            return Err(
                StanzaError::new(Condition::Forbidden).text("that subscription is somebody else's")
            );
        }
        if !node.subscriptions.contains_key(who) {
            return Err(not_subscribed());
        }
        Ok(Done {
            changes: vec![Change::Subscribe(node.name.clone(), who.clone(), None)],
            ..Done::default()
        })
    }

    pub(super) fn subscriptions(&self, asker: &Asker, node: &Node) -> Result<Done, StanzaError> {
        if !asker.is_owner(node) {
            return Err(not_owner());
        }
        let mut out = Markup::default();
        out.open("pubsub").attribute("xmlns", OWNER);
        out.open("subscriptions").attribute("node", &node.name);
        for (who, state) in &node.subscriptions {
            write_subscription(&mut out, None, who, Some(*state));
        }
        out.close("subscriptions").close("pubsub");
        Ok(Done {
            answer: out.into_bytes(),
            ..Done::default()
        })
    }

    pub(super) fn set_subscriptions(
        &self,
        changes: &[(Jid, Option<Subscribed>)],
        asker: &Asker,
        node: &Node,
    ) -> Result<Done, StanzaError> {
        if !asker.is_owner(node) {
            return Err(not_owner());
        }
        let mut done = Done::default();
        for (who, state) in changes {
            if node.subscriptions.get(who) == state.as_ref() {
                continue;
            }
            let name = node.name.clone();
            done.changes
                .push(Change::Subscribe(name, who.clone(), *state));
            done.events.push(Event {
                happened: Happened::Subscription(who.clone(), *state),
                node: node.clone(),
                to: Receivers::One(who.clone()),
            });
        }
        Ok(done)
    }

    /// An owner's answer to a request for a subscription. Nothing follows when nobody waits for it.
    ///
    /// # Errors
    ///
    /// `forbidden` for anybody but an owner.
    pub fn approve(
        &self,
        approval: &Approval,
        asker: &Asker,
        node: &Node,
    ) -> Result<Done, StanzaError> {
        if node.subscriptions.get(&approval.who) != Some(&Subscribed::Pending) {
            return Ok(Done::default());
        }
        let state = approval.allow.then_some(Subscribed::Yes);
        self.set_subscriptions(&[(approval.who.clone(), state)], asker, node)
    }
}

/// What an owner says to a request for a subscription.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approval {
    /// To which node.
    pub node: String,
    /// Whose.
    pub who: Jid,
    /// Whether it may.
    pub allow: bool,
}

impl Approval {
    /// Reads a message; `None` when it is none.
    #[must_use]
    pub fn read(message: &Stanza) -> Option<Self> {
        let x = message.open(message.child(crate::forms::NS, "x")?).ok()?;
        let form = Form::read(&x).ok()?;
        if form.kind != FormKind::Submit || form.form_type() != Some(AUTHORIZATION) {
            return None;
        }
        Some(Self {
            node: form.value("pubsub#node")?.to_owned(),
            who: Jid::new(form.value("pubsub#subscriber_jid")?).ok()?,
            allow: form.flag("pubsub#allow").ok().flatten().unwrap_or(false),
        })
    }
}

/// The form by which an owner agrees.
#[must_use]
pub fn approval_form(node: &str, who: &Jid) -> Form {
    Form::new(FormKind::Form, AUTHORIZATION)
        .title("A request for a subscription")
        .with(Field::text("pubsub#node", node).label("Node"))
        .with(
            Field::new("pubsub#subscriber_jid", FieldKind::JidSingle)
                .value(who.as_str())
                .label("Who asks"),
        )
        .with(Field::flag("pubsub#allow", false).label("Agree?"))
}

pub(super) fn own(asker: &BareJid, nodes: &[Node]) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("pubsub")
        .attribute("xmlns", NS)
        .open("subscriptions");
    for node in nodes {
        let theirs = node
            .subscriptions
            .iter()
            .filter(|(who, _)| who.to_bare() == *asker);
        for (who, state) in theirs {
            write_subscription(&mut out, Some(&node.name), who, Some(*state));
        }
    }
    out.close("subscriptions").close("pubsub");
    out.into_bytes()
}

fn write_subscription(out: &mut Markup, node: Option<&str>, who: &Jid, state: Option<Subscribed>) {
    out.open("subscription")
        .maybe("node", node)
        .attribute("jid", who.as_str())
        .attribute("subscription", state.map_or("none", Subscribed::name))
        .end();
}

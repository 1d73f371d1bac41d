use jid::{BareJid, FullJid, Jid};

use super::{
    AccessModel, Affiliation, Approval, Asker, Change, Config, Done, Environment, Found, Happened,
    Interested, Item, NS, Node, OWNER, Receivers, Request, Service, ServiceKind, Subscribed, Wants,
    audience, last_item_event, may_see, own_affiliations, own_subscriptions,
};
use crate::{
    moment::Moment,
    stanza::{IqType, Stanza, StanzaError},
    xml::{Element, Limits},
};

/// A service with what is stored of one node.
struct World {
    service: Service,
    node: Option<Node>,
    items: Vec<Item>,
    ids: u32,
}

impl World {
    fn pep() -> Self {
        Self::of(Service::new(bare("me@a"), ServiceKind::Pep))
    }

    fn shared() -> Self {
        Self::of(Service::new(bare("pubsub.a"), ServiceKind::Shared))
    }

    fn of(service: Service) -> Self {
        Self {
            service,
            node: None,
            items: Vec::new(),
            ids: 0,
        }
    }

    fn ask(
        &mut self,
        asker: &Asker,
        kind: IqType,
        namespace: &str,
        xml: &str,
    ) -> Result<Done, StanzaError> {
        let pubsub = format!("<pubsub xmlns='{namespace}'>{xml}</pubsub>");
        let pubsub = Element::parse(pubsub.as_bytes(), Limits::CLIENT).unwrap();
        let request = Request::read(kind, &pubsub, &asker.address)?;
        let found = Found {
            items: match request.wants() {
                Wants::Nothing => Vec::new(),
                Wants::Ids(ids) => self
                    .items
                    .iter()
                    .filter(|item| ids.contains(&item.id))
                    .cloned()
                    .collect(),
                Wants::Newest(most) => {
                    let start = self.items.len().saturating_sub(most);
                    self.items[start..].to_vec()
                }
                Wants::Page(_, most) => self.items.iter().take(most).cloned().collect(),
            },
            page: None,
        };
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            format!("id{ids}")
        };
        let mut environment = Environment {
            now: Moment(1),
            new_id: &mut new_id,
        };
        let node = self
            .node
            .clone()
            .filter(|node| Some(node.name.as_str()) == request.node());
        let done = self
            .service
            .handle(&request, asker, node.as_ref(), &found, &mut environment)?;
        self.store(&done);
        Ok(done)
    }

    fn store(&mut self, done: &Done) {
        for change in done.changes.clone() {
            match change {
                Change::Create(node) => self.node = Some(node),
                Change::Configure(_, config) => self.node.as_mut().unwrap().config = config,
                Change::Delete(_) => {
                    self.node = None;
                    self.items.clear();
                }
                Change::Put(_, item) => {
                    self.items.retain(|one| one.id != item.id);
                    self.items.push(item);
                }
                Change::Keep(_, most) => {
                    let excess = self.items.len().saturating_sub(most as usize);
                    self.items.drain(..excess);
                }
                Change::Remove(_, id) => self.items.retain(|one| one.id != id),
                Change::Purge(_) => self.items.clear(),
                Change::Subscribe(_, who, None) => {
                    self.node.as_mut().unwrap().subscriptions.remove(&who);
                }
                Change::Subscribe(_, who, Some(state)) => {
                    self.node.as_mut().unwrap().subscriptions.insert(who, state);
                }
                Change::Affiliate(_, who, affiliation) => {
                    self.node
                        .as_mut()
                        .unwrap()
                        .affiliations
                        .insert(who, affiliation);
                }
            }
        }
    }

    fn publish(&mut self, asker: &Asker, item: &str) -> Result<Done, StanzaError> {
        self.ask(
            asker,
            IqType::Set,
            NS,
            &format!("<publish node='n'>{item}</publish>"),
        )
    }

    fn ids(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.id.as_str()).collect()
    }
}

fn bare(text: &str) -> BareJid {
    BareJid::new(text).unwrap()
}

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn me() -> Asker {
    Asker {
        may_create: true,
        ..Asker::stranger(jid("me@a/x"))
    }
}

fn friend() -> Asker {
    Asker {
        sees_presence: true,
        groups: vec!["Friends".to_owned()],
        ..Asker::stranger(jid("friend@b/y"))
    }
}

fn stranger() -> Asker {
    Asker::stranger(jid("stranger@c/z"))
}

/// The condition with the element that explains it.
fn why(error: StanzaError) -> String {
    let detail = error.detail.map(|detail| format!(" {}", detail.name.local));
    format!("{}{}", error.condition.name(), detail.unwrap_or_default())
}

fn options(fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(name, value)| format!("<field var='pubsub#{name}'><value>{value}</value></field>"))
        .collect();
    format!(
        "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>http://jabber.org/protocol/pubsub#publish-options</value></field>{fields}</x></publish-options>"
    )
}

fn form(fields: &[(&str, &str)]) -> String {
    options(fields)
        .replace("publish-options>", "r>")
        .replace("pubsub#publish-options<", "pubsub#node_config<")
        .replace("<r>", "")
        .replace("</r>", "")
}

const ITEM: &str = "<item id='current'><tune xmlns='urn:tune'>la</tune></item>";

#[test]
fn publishing_creates_the_node_of_ones_own_account() {
    let mut world = World::pep();
    let done = world.publish(&me(), ITEM).unwrap();
    assert_eq!(
        String::from_utf8(done.answer).unwrap(),
        format!("<pubsub xmlns='{NS}'><publish node='n'><item id='current'/></publish></pubsub>")
    );
    let node = world.node.as_ref().unwrap();
    assert_eq!(node.config, Config::pep());
    assert_eq!(node.affiliation(&bare("me@a")), Affiliation::Owner);
    assert_eq!(
        world.items[0].payload,
        "<tune xmlns='urn:tune'>la</tune>".as_bytes()
    );
    let event = &done.events[0];
    let message = event.message(&world.service);
    let mut out = Vec::new();
    message.write(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "<message from='me@a' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'>\
         <item id='current'><tune xmlns='urn:tune'>la</tune></item></items></event></message>"
    );
    assert_eq!(
        why(world.publish(&friend(), ITEM).unwrap_err()),
        "forbidden"
    );
    world.node = None;
    assert_eq!(
        why(world.publish(&friend(), ITEM).unwrap_err()),
        "forbidden"
    );
    let mut shared = World::shared();
    assert_eq!(
        why(shared.publish(&me(), ITEM).unwrap_err()),
        "item-not-found"
    );
}

#[test]
fn a_node_keeps_the_newest_items() {
    let mut world = World::pep();
    for id in ["a", "b"] {
        world.publish(&me(), &ITEM.replace("current", id)).unwrap();
    }
    assert_eq!(world.ids(), ["b"]);
    let more = form(&[("max_items", "3")]);
    world
        .ask(
            &me(),
            IqType::Set,
            OWNER,
            &format!("<configure node='n'>{more}</configure>"),
        )
        .unwrap();
    for id in ["c", "d", "b"] {
        world.publish(&me(), &ITEM.replace("current", id)).unwrap();
    }
    // What is published again is the newest.
    assert_eq!(world.ids(), ["c", "d", "b"]);
    let without_id = ITEM.replace(" id='current'", "");
    world.publish(&me(), &without_id).unwrap();
    assert_eq!(world.ids(), ["d", "b", "id1"]);
    let less = form(&[("max_items", "1")]);
    world
        .ask(
            &me(),
            IqType::Set,
            OWNER,
            &format!("<configure node='n'>{less}</configure>"),
        )
        .unwrap();
    assert_eq!(world.ids(), ["id1"]);
}

#[test]
fn what_cannot_be_published_is_told_apart() {
    let mut world = World::pep();
    let mut refuse = |xml: &str| why(world.ask(&me(), IqType::Set, NS, xml).unwrap_err());
    assert_eq!(refuse("<publish node='n'/>"), "bad-request item-required");
    assert_eq!(
        refuse(&format!("<publish>{ITEM}</publish>")),
        "bad-request nodeid-required"
    );
    assert_eq!(
        refuse("<publish node='n'><item/></publish>"),
        "bad-request payload-required"
    );
    let two = "<publish node='n'><item><a xmlns='urn:a'/><b xmlns='urn:a'/></item></publish>";
    assert_eq!(refuse(two), "bad-request invalid-payload");
    let many = format!("<publish node='n'>{ITEM}{ITEM}</publish>");
    assert_eq!(refuse(&many), "not-allowed max-items-exceeded");
    world.service.most_bytes = 10;
    assert_eq!(
        why(world.publish(&me(), ITEM).unwrap_err()),
        "not-acceptable payload-too-big"
    );
}

#[test]
fn preconditions_configure_new_nodes_and_guard_old_ones() {
    let mut world = World::pep();
    let publish =
        |fields: &[(&str, &str)]| format!("<publish node='n'>{ITEM}</publish>{}", options(fields));
    let private = [
        ("access_model", "whitelist"),
        ("max_items", "max"),
        ("persist_items", "true"),
    ];
    world
        .ask(&me(), IqType::Set, NS, &publish(&private))
        .unwrap();
    let config = &world.node.as_ref().unwrap().config;
    assert_eq!(
        (config.access_model, config.max_items),
        (AccessModel::Whitelist, None)
    );
    world
        .ask(&me(), IqType::Set, NS, &publish(&private))
        .unwrap();
    // As many as the service allows is the same as the greatest number.
    let number = [("access_model", "whitelist"), ("max_items", "10000")];
    world
        .ask(&me(), IqType::Set, NS, &publish(&number))
        .unwrap();
    for other in [
        [("access_model", "open")],
        [("max_items", "1")],
        [("colour", "red")],
        [("access_model", "secret")],
    ] {
        let error = world
            .ask(&me(), IqType::Set, NS, &publish(&other))
            .unwrap_err();
        assert_eq!(why(error), "conflict precondition-not-met", "{other:?}");
    }
}

#[test]
fn the_access_model_says_who_reads() {
    let mut world = World::pep();
    world.publish(&me(), ITEM).unwrap();
    let mut node = world.node.clone().unwrap();
    let mut read = |model: AccessModel, asker: &Asker| {
        node.config.access_model = model;
        node.config.roster_groups = vec!["Friends".to_owned()];
        may_see(asker, &node).map_or_else(why, |()| "yes".to_owned())
    };
    assert_eq!(read(AccessModel::Open, &stranger()), "yes");
    assert_eq!(read(AccessModel::Presence, &friend()), "yes");
    assert_eq!(
        read(AccessModel::Presence, &stranger()),
        "not-authorized presence-subscription-required"
    );
    assert_eq!(read(AccessModel::Roster, &friend()), "yes");
    assert_eq!(
        read(AccessModel::Roster, &stranger()),
        "not-authorized not-in-roster-group"
    );
    assert_eq!(
        read(AccessModel::Authorize, &friend()),
        "not-authorized not-subscribed"
    );
    assert_eq!(
        read(AccessModel::Whitelist, &friend()),
        "not-allowed closed-node"
    );
    assert_eq!(read(AccessModel::Whitelist, &me()), "yes");
    node.affiliations
        .insert(bare("friend@b"), Affiliation::Member);
    assert!(may_see(&friend(), &node).is_ok());
    node.affiliations
        .insert(bare("friend@b"), Affiliation::Outcast);
    node.config.access_model = AccessModel::Open;
    assert_eq!(why(may_see(&friend(), &node).unwrap_err()), "forbidden");
}

#[test]
fn items_are_read() {
    let mut world = World::pep();
    world.publish(&me(), ITEM).unwrap();
    let read = |world: &mut World, xml: &str| {
        let done = world.ask(&friend(), IqType::Get, NS, xml)?;
        Ok::<_, StanzaError>(String::from_utf8(done.answer).unwrap())
    };
    assert_eq!(
        read(&mut world, "<items node='n'/>").unwrap(),
        format!(
            "<pubsub xmlns='{NS}'><items node='n'><item id='current'><tune xmlns='urn:tune'>la</tune></item></items>\
             </pubsub>"
        )
    );
    assert!(
        read(&mut world, "<items node='n' max_items='1'/>")
            .unwrap()
            .contains("current")
    );
    let none = read(&mut world, "<items node='n'><item id='x'/></items>").unwrap();
    assert_eq!(
        none,
        format!("<pubsub xmlns='{NS}'><items node='n'></items></pubsub>")
    );
    assert_eq!(
        why(read(&mut world, "<items node='m'/>").unwrap_err()),
        "item-not-found"
    );
    assert!(read(&mut world, "<items node='n' max_items='x'/>").is_err());
}

#[test]
fn an_item_is_taken_back_by_who_may_publish() {
    let mut world = World::pep();
    world.publish(&me(), ITEM).unwrap();
    let retract = |id: &str| format!("<retract node='n' notify='true'><item id='{id}'/></retract>");
    let mut ask = |asker: &Asker, xml: &str| world.ask(asker, IqType::Set, NS, xml);
    assert_eq!(
        why(ask(&friend(), &retract("current")).unwrap_err()),
        "forbidden"
    );
    assert_eq!(
        why(ask(&me(), &retract("other")).unwrap_err()),
        "item-not-found"
    );
    assert_eq!(
        why(ask(&me(), "<retract node='n'/>").unwrap_err()),
        "bad-request item-required"
    );
    let done = ask(&me(), &retract("current")).unwrap();
    assert_eq!(
        done.events[0].happened,
        Happened::Retracted("current".into())
    );
    assert!(world.items.is_empty());
}

#[test]
fn contacts_that_want_to_know_are_told_once() {
    let mut world = World::pep();
    let event = world.publish(&me(), ITEM).unwrap().events.remove(0);
    let interested = |asker: Asker, wants| Interested {
        resource: FullJid::new(asker.address.as_str()).unwrap(),
        asker,
        wants,
    };
    let all = [
        interested(me(), true),
        interested(friend(), true),
        interested(stranger(), true),
        interested(
            Asker {
                address: jid("friend@b/w"),
                ..friend()
            },
            false,
        ),
    ];
    assert_eq!(audience(&event, &all), [jid("me@a/x"), jid("friend@b/y")]);
    let mut event = event;
    event
        .node
        .subscriptions
        .insert(jid("friend@b"), Subscribed::Yes);
    event
        .node
        .subscriptions
        .insert(jid("other@d"), Subscribed::Pending);
    assert_eq!(audience(&event, &all), [jid("friend@b"), jid("me@a/x")]);
    let node = world.node.clone().unwrap();
    let last = |to: &Interested| last_item_event(&node, &world.items[0], to);
    assert_eq!(last(&all[1]).unwrap().to, Receivers::One(jid("friend@b/y")));
    assert!(last(&all[2]).is_none() && last(&all[3]).is_none());
}

#[test]
fn subscribers_get_the_last_item() {
    let mut world = World::shared();
    world
        .ask(&me(), IqType::Set, NS, "<create node='n'/>")
        .unwrap();
    world.publish(&me(), ITEM).unwrap();
    let subscribe = "<subscribe node='n' jid='stranger@c'/>";
    let done = world.ask(&stranger(), IqType::Set, NS, subscribe).unwrap();
    assert_eq!(
        String::from_utf8(done.answer).unwrap(),
        format!(
            "<pubsub xmlns='{NS}'><subscription node='n' jid='stranger@c' subscription='subscribed'/></pubsub>"
        )
    );
    assert_eq!(done.events[0].to, Receivers::One(jid("stranger@c")));
    let node = world.node.clone().unwrap();
    let told = String::from_utf8(own_subscriptions(
        &bare("stranger@c"),
        std::slice::from_ref(&node),
    ))
    .unwrap();
    assert!(told.contains("node='n' jid='stranger@c' subscription='subscribed'"));
    let told = String::from_utf8(own_affiliations(&bare("me@a"), &[node])).unwrap();
    assert!(told.contains("node='n' affiliation='owner'"));
    let other = world
        .ask(&friend(), IqType::Set, NS, subscribe)
        .unwrap_err();
    assert_eq!(why(other), "bad-request invalid-jid");
    let unsubscribe = "<unsubscribe node='n' jid='stranger@c'/>";
    world
        .ask(&stranger(), IqType::Set, NS, unsubscribe)
        .unwrap();
    let again = world
        .ask(&stranger(), IqType::Set, NS, unsubscribe)
        .unwrap_err();
    assert_eq!(why(again), "unexpected-request not-subscribed");
    let options = world.ask(
        &stranger(),
        IqType::Get,
        NS,
        "<options node='n' jid='stranger@c'/>",
    );
    assert_eq!(
        why(options.unwrap_err()),
        "feature-not-implemented unsupported"
    );
}

#[test]
fn an_owner_agrees_to_a_subscription() {
    let mut world = World::shared();
    let create = format!(
        "<create node='n'/><configure>{}</configure>",
        form(&[("access_model", "authorize")])
    );
    world.ask(&me(), IqType::Set, NS, &create).unwrap();
    let subscribe = "<subscribe node='n' jid='stranger@c/z'/>";
    let done = world.ask(&stranger(), IqType::Set, NS, subscribe).unwrap();
    assert!(
        String::from_utf8(done.answer)
            .unwrap()
            .contains("subscription='pending'")
    );
    assert_eq!(audience(&done.events[0], &[]), [jid("me@a")]);
    let question = done.events[0].message(&world.service);
    assert_eq!(
        why(world
            .ask(&stranger(), IqType::Set, NS, subscribe)
            .unwrap_err()),
        "not-authorized pending-subscription"
    );
    let mut out = Vec::new();
    question.write_in(crate::ns::CLIENT, &mut out);
    let answer = String::from_utf8(out)
        .unwrap()
        .replace("type='form'", "type='submit'")
        .replace("<value>0</value>", "<value>1</value>");
    let answer = Stanza::read(Element::parse(answer.as_bytes(), Limits::CLIENT).unwrap()).unwrap();
    let approval = Approval::read(&answer).unwrap();
    let node = world.node.clone().unwrap();
    assert!(world.service.approve(&approval, &friend(), &node).is_err());
    let done = world.service.approve(&approval, &me(), &node).unwrap();
    world.store(&done);
    assert!(may_see(&stranger(), world.node.as_ref().unwrap()).is_ok());
    assert_eq!(
        world
            .service
            .approve(&approval, &me(), world.node.as_ref().unwrap())
            .unwrap(),
        Done::default()
    );
}

#[test]
fn owners_manage_their_nodes() {
    let mut world = World::shared();
    let done = world.ask(&me(), IqType::Set, NS, "<create/>").unwrap();
    assert!(
        String::from_utf8(done.answer)
            .unwrap()
            .contains("<create node='id1'/>")
    );
    world
        .ask(&me(), IqType::Set, NS, "<create node='n'/>")
        .unwrap();
    assert_eq!(
        why(world
            .ask(&me(), IqType::Set, NS, "<create node='n'/>")
            .unwrap_err()),
        "conflict"
    );
    assert_eq!(
        why(world
            .ask(&friend(), IqType::Set, NS, "<create node='m'/>")
            .unwrap_err()),
        "forbidden"
    );
    for (kind, xml) in [
        (IqType::Get, "<configure node='n'/>"),
        (IqType::Set, "<purge node='n'/>"),
        (IqType::Set, "<delete node='n'/>"),
        (IqType::Get, "<affiliations node='n'/>"),
        (IqType::Get, "<subscriptions node='n'/>"),
        (
            IqType::Set,
            "<affiliations node='n'><affiliation jid='friend@b' affiliation='owner'/></affiliations>",
        ),
    ] {
        assert_eq!(
            why(world.ask(&friend(), kind, OWNER, xml).unwrap_err()),
            "forbidden",
            "{xml}"
        );
    }
    let set = |who: &str, what: &str| {
        format!(
            "<affiliations node='n'><affiliation jid='{who}' affiliation='{what}'/></affiliations>"
        )
    };
    world
        .ask(&me(), IqType::Set, OWNER, &set("friend@b", "publisher"))
        .unwrap();
    world.publish(&friend(), ITEM).unwrap();
    assert_eq!(
        why(world
            .ask(&me(), IqType::Set, OWNER, &set("me@a", "none"))
            .unwrap_err()),
        "not-acceptable"
    );
    assert!(
        world
            .ask(&me(), IqType::Set, OWNER, &set("friend@b", "king"))
            .is_err()
    );
    let purged = world
        .ask(&me(), IqType::Set, OWNER, "<purge node='n'/>")
        .unwrap();
    assert_eq!(purged.events[0].happened, Happened::Purged);
    let deleted = world.ask(
        &me(),
        IqType::Set,
        OWNER,
        "<delete node='n'><redirect uri='xmpp:x'/></delete>",
    );
    assert_eq!(
        deleted.unwrap().events[0].happened,
        Happened::Deleted(Some("xmpp:x".into()))
    );
    assert!(world.node.is_none());
}

#[test]
fn an_outcast_is_told_nothing_more() {
    let mut world = World::shared();
    world
        .ask(&me(), IqType::Set, NS, "<create node='n'/>")
        .unwrap();
    world
        .ask(
            &stranger(),
            IqType::Set,
            NS,
            "<subscribe node='n' jid='stranger@c'/>",
        )
        .unwrap();
    let outcast = "<affiliations node='n'><affiliation jid='stranger@c' affiliation='outcast'/></affiliations>";
    world.ask(&me(), IqType::Set, OWNER, outcast).unwrap();
    assert!(world.node.as_ref().unwrap().subscriptions.is_empty());
}

#[test]
fn a_configuration_is_stored_and_changed_by_its_form() {
    let config = Config {
        title: "Tea & cake".into(),
        roster_groups: vec!["a".into(), "b".into()],
        item_expire: Some(60),
        headline: false,
        ..Config::private()
    };
    assert_eq!(Config::restored(&config.stored()).unwrap(), config);
    assert!(Config::restored(b"<x/>").is_err());
    let mut world = World::pep();
    world.publish(&me(), ITEM).unwrap();
    let mut configure = |fields: &[(&str, &str)]| {
        let xml = format!("<configure node='n'>{}</configure>", form(fields));
        world.ask(&me(), IqType::Set, OWNER, &xml)
    };
    for wrong in [
        ("access_model", "x"),
        ("max_items", "99999999"),
        ("max_items", "-1"),
        ("persist_items", "maybe"),
        ("notification_type", "x"),
    ] {
        let error = configure(&[wrong]).unwrap_err();
        assert!(error.to_string().contains(wrong.0), "{error}");
    }
    let done = configure(&[("notify_config", "1"), ("title", "x")]).unwrap();
    assert_eq!(done.events[0].happened, Happened::Configured);
    assert_eq!(configure(&[]).unwrap(), Done::default());
    let get = world
        .ask(&me(), IqType::Get, OWNER, "<configure node='n'/>")
        .unwrap();
    assert!(
        String::from_utf8(get.answer)
            .unwrap()
            .contains("pubsub#access_model")
    );
    let default = world.ask(&me(), IqType::Get, OWNER, "<default/>").unwrap();
    assert!(
        String::from_utf8(default.answer)
            .unwrap()
            .contains("<default>")
    );
}

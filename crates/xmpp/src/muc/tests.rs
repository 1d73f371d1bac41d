use jid::{BareJid, Jid};
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field};

use super::{
    Affiliation, Config, Environment, MUC_ADMIN, MUC_OWNER, MUC_USER, OCCUPANT_ID, Output,
    ROOM_CONFIG, Role, Room, STANZA_ID,
};
use crate::{
    moment::Moment,
    ns,
    stanza::{Stanza, StanzaError},
    xml::{Element, Limits},
};

const ROOM: &str = "tea@rooms.example";
const ANN: &str = "ann@a.example/phone";
const BEN: &str = "ben@b.example/desk";
const CAT: &str = "cat@c.example/car";

/// A room with a clock and dice of its own.
struct Table {
    room: Room,
    now: i64,
    ids: u32,
}

impl Table {
    /// A room that Ann owns and has opened.
    fn open(config: Config) -> Self {
        let mut table = Self::locked(config);
        let out = table.hears(
            ANN,
            &format!(
                "<iq type='set' id='open' to='{ROOM}'><query xmlns='{MUC_OWNER}'>\
                 <x xmlns='jabber:x:data' type='submit'/></query></iq>"
            ),
        );
        assert_eq!(to(&out, ANN)[0].kind.name(), Some("result"));
        table
    }

    fn locked(config: Config) -> Self {
        let owner = Jid::new(ANN).unwrap().to_bare();
        let room = Room::found(BareJid::new(ROOM).unwrap(), config, [7; 32], owner);
        Self {
            room,
            now: 1_000_000_000,
            ids: 0,
        }
    }

    fn hears(&mut self, from: &str, xml: &str) -> Vec<Output> {
        let element = Element::parse_below(ns::CLIENT, xml.as_bytes(), Limits::CLIENT).unwrap();
        let stanza = Stanza::read(element).unwrap().from(Jid::new(from).unwrap());
        self.now += 1_000_000;
        let ids = &mut self.ids;
        self.room.handle(
            stanza,
            &mut Environment {
                now: Moment(self.now),
                new_id: &mut || {
                    *ids += 1;
                    format!("id{ids}")
                },
            },
        )
    }

    fn enters(&mut self, from: &str, nick: &str) -> Vec<Output> {
        self.enters_with(from, nick, "")
    }

    fn enters_with(&mut self, from: &str, nick: &str, x: &str) -> Vec<Output> {
        let muc = super::MUC;
        self.hears(
            from,
            &format!("<presence to='{ROOM}/{nick}'><x xmlns='{muc}'>{x}</x></presence>"),
        )
    }

    fn says(&mut self, from: &str, text: &str) -> Vec<Output> {
        self.hears(
            from,
            &format!("<message type='groupchat' id='m' to='{ROOM}'><body>{text}</body></message>"),
        )
    }

    fn admin(&mut self, from: &str, item: &str) -> Vec<Output> {
        self.hears(
            from,
            &format!(
                "<iq type='set' id='a' to='{ROOM}'><query xmlns='{MUC_ADMIN}'>{item}</query></iq>"
            ),
        )
    }

    fn configure(&mut self, from: &str, fields: &[(&str, &str)]) -> Vec<Output> {
        let fields = fields
            .iter()
            .map(|(name, value)| Field::text_single(name, value))
            .collect();
        let form = DataForm::new(DataFormType::Submit, ROOM_CONFIG, fields);
        let mut xml = Vec::new();
        minidom::Element::from(form).write_to(&mut xml).unwrap();
        let xml = String::from_utf8(xml).unwrap();
        self.hears(
            from,
            &format!(
                "<iq type='set' id='c' to='{ROOM}'><query xmlns='{MUC_OWNER}'>{xml}</query></iq>"
            ),
        )
    }

    /// Ann, Ben and Cat sit at the table.
    fn of_three(config: Config) -> Self {
        let mut table = Self::open(config);
        table.enters(ANN, "ann");
        table.enters(BEN, "ben");
        table.enters(CAT, "cat");
        table
    }
}

/// What one client is sent.
fn to(outputs: &[Output], client: &str) -> Vec<Stanza> {
    let client = Jid::new(client).unwrap();
    let mut sent = Vec::new();
    for output in outputs {
        match output {
            Output::Send(stanza) if stanza.to.as_ref() == Some(&client) => {
                sent.push(stanza.clone())
            }
            Output::SendToAll(stanza, all) if all.contains(&client) => {
                sent.push(stanza.clone().to(client.clone()));
            }
            _ => {}
        }
    }
    sent
}

fn codes(stanza: &Stanza) -> Vec<u16> {
    let Some(x) = stanza.child(MUC_USER, "x") else {
        return Vec::new();
    };
    let x = stanza.open(x).unwrap();
    let status = x
        .children()
        .iter()
        .filter(|child| child.name.local == "status");
    status
        .map(|child| {
            x.open(child)
                .unwrap()
                .attribute("code")
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect()
}

fn item(stanza: &Stanza) -> Element {
    let x = stanza.open(stanza.child(MUC_USER, "x").unwrap()).unwrap();
    x.open(x.child(MUC_USER, "item").unwrap()).unwrap()
}

fn error(outputs: &[Output], client: &str) -> String {
    let sent = to(outputs, client);
    let [answer] = &sent[..] else {
        panic!("one answer, not {sent:?}");
    };
    let error = answer
        .open(answer.child(ns::CLIENT, "error").unwrap())
        .unwrap();
    StanzaError::read(&error).condition.name().to_owned()
}

fn nick(stanza: &Stanza) -> &str {
    stanza
        .from
        .as_ref()
        .unwrap()
        .resource()
        .map_or("", |nick| nick.as_str())
}

fn shape(stanzas: &[Stanza]) -> Vec<String> {
    stanzas
        .iter()
        .map(|stanza| {
            let what = if stanza.has(ns::CLIENT, "body") {
                "body"
            } else if stanza.has(ns::CLIENT, "subject") {
                "subject"
            } else {
                stanza.kind.name().unwrap_or("here")
            };
            format!("{} {what} {:?}", nick(stanza), codes(stanza))
        })
        .collect()
}

#[test]
fn who_enters_hears_everything_in_order() {
    let mut table = Table::open(Config::default());
    table.enters(ANN, "ann");
    table.says(ANN, "the kettle is on");
    table.hears(
        ANN,
        &format!("<message type='groupchat' to='{ROOM}'><subject>Tea</subject></message>"),
    );
    let out = table.enters(BEN, "ben");
    assert_eq!(
        shape(&to(&out, BEN)),
        [
            "ann here []",
            "ben here [110, 170]",
            "ann body []",
            "ann subject []"
        ]
    );
    assert_eq!(shape(&to(&out, ANN)), ["ben here []"]);
    let history = &to(&out, BEN)[2];
    assert!(history.has("urn:xmpp:delay", "delay") && history.has(STANZA_ID, "stanza-id"));
    assert_eq!(
        to(&out, BEN)[3].text_of(ns::CLIENT, "subject").as_deref(),
        Some("Tea")
    );
}

#[test]
fn a_new_room_is_locked_until_its_owner_opens_it() {
    let mut table = Table::locked(Config::default());
    let out = table.enters(ANN, "ann");
    assert_eq!(
        shape(&to(&out, ANN)),
        ["ann here [110, 201, 170]", " subject []"]
    );
    let out = table.enters(BEN, "ben");
    assert_eq!(error(&out, BEN), "item-not-found");
    table.configure(ANN, &[("muc#roomconfig_persistentroom", "1")]);
    assert_eq!(to(&table.enters(BEN, "ben"), BEN).len(), 3);
    assert!(table.room.config().persistent);
}

#[test]
fn a_form_that_is_cancelled_ends_a_new_room() {
    let mut table = Table::locked(Config::default());
    table.enters(ANN, "ann");
    let out = table.hears(
        ANN,
        &format!(
            "<iq type='set' id='1' to='{ROOM}'><query xmlns='{MUC_OWNER}'>\
             <x xmlns='jabber:x:data' type='cancel'/></query></iq>"
        ),
    );
    assert!(matches!(out.last(), Some(Output::Destroyed)));
}

#[test]
fn a_message_reaches_everybody_with_the_rooms_marks() {
    let mut table = Table::of_three(Config::default());
    let out = table.hears(
        BEN,
        &format!(
            "<message type='groupchat' id='x1' to='{ROOM}'><body>hi</body>\
             <occupant-id xmlns='{OCCUPANT_ID}' id='forged'/>\
             <stanza-id xmlns='{STANZA_ID}' id='forged' by='{ROOM}'/>\
             <stanza-id xmlns='{STANZA_ID}' id='kept' by='ben@b.example'/>\
             <x xmlns='{MUC_USER}'><item role='moderator'/></x></message>"
        ),
    );
    for client in [ANN, BEN, CAT] {
        let sent = to(&out, client);
        assert_eq!(sent.len(), 1);
        let message = &sent[0];
        assert_eq!((nick(message), message.id.as_deref()), ("ben", Some("x1")));
        assert!(!message.has(MUC_USER, "x"));
        let ids: Vec<_> = message
            .children()
            .iter()
            .filter(|child| matches!(child.name.local.as_str(), "stanza-id" | "occupant-id"))
            .map(|child| {
                message
                    .open(child)
                    .unwrap()
                    .attribute("id")
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(ids.len(), 3);
        assert!(
            ids.contains(&"kept".into())
                && ids.contains(&"id1".into())
                && !ids.contains(&"forged".into())
        );
    }
    assert!(
        matches!(&out[0], Output::Archive { id, message } if id == "id1" && message.to.is_none())
    );
}

#[test]
fn occupant_ids_follow_the_account_not_the_name() {
    let mut table = Table::of_three(Config::default());
    let id_of = |outputs: &[Output], viewer: &str| {
        let sent = to(outputs, viewer);
        let stanza = sent.last().unwrap();
        stanza
            .open(stanza.child(OCCUPANT_ID, "occupant-id").unwrap())
            .unwrap()
            .attribute("id")
            .unwrap()
            .to_owned()
    };
    let before = id_of(&table.says(BEN, "one"), ANN);
    table.hears(BEN, &format!("<presence to='{ROOM}/benjamin'/>"));
    assert_eq!(id_of(&table.says(BEN, "two"), ANN), before);
    assert_ne!(id_of(&table.says(CAT, "three"), ANN), before);
}

#[test]
fn real_addresses_are_for_moderators() {
    let mut table = Table::open(Config::default());
    table.enters(ANN, "ann");
    table.enters(BEN, "ben");
    let out = table.enters(CAT, "cat");
    assert_eq!(item(&to(&out, ANN)[0]).attribute("jid"), Some(CAT));
    assert_eq!(item(&to(&out, BEN)[0]).attribute("jid"), None);
    let own = to(&out, CAT);
    assert_eq!(item(&own[2]).attribute("jid"), Some(CAT), "one's own");
    let out = table.configure(ANN, &[("muc#roomconfig_whois", "anyone")]);
    assert_eq!(codes(&to(&out, BEN)[0]), [172]);
    let out = table.enters("dan@d.example/x", "dan");
    assert_eq!(
        item(&to(&out, BEN)[0]).attribute("jid"),
        Some("dan@d.example/x")
    );
    let own = to(&out, "dan@d.example/x");
    let own = own
        .iter()
        .find(|stanza| codes(stanza).contains(&110))
        .unwrap();
    assert!(codes(own).contains(&100));
}

#[test]
fn the_door_says_why_it_stays_closed() {
    let config = Config {
        members_only: true,
        ..Config::default()
    };
    let mut table = Table::open(config);
    assert_eq!(
        error(&table.enters(BEN, "ben"), BEN),
        "registration-required"
    );
    let mut table = Table::open(Config {
        password: Some("cake".into()),
        ..Config::default()
    });
    assert_eq!(error(&table.enters(BEN, "ben"), BEN), "not-authorized");
    assert_eq!(
        error(
            &table.enters_with(BEN, "ben", "<password>tea</password>"),
            BEN
        ),
        "not-authorized"
    );
    assert_eq!(
        to(
            &table.enters_with(BEN, "ben", "<password>cake</password>"),
            BEN
        )
        .len(),
        2
    );
    let mut table = Table::open(Config {
        max_users: 1,
        ..Config::default()
    });
    table.enters(BEN, "ben");
    assert_eq!(error(&table.enters(CAT, "cat"), CAT), "service-unavailable");
    assert!(
        !to(&table.enters(ANN, "ann"), ANN).is_empty(),
        "owners get in"
    );
    table.admin(ANN, "<item affiliation='outcast' jid='cat@c.example'/>");
    assert_eq!(error(&table.enters(CAT, "cat"), CAT), "forbidden");
    assert_eq!(
        error(&table.enters("dan@d.example/x", "ben"), "dan@d.example/x"),
        "service-unavailable"
    );
    for wrong in ["%20", "x"] {
        let nick = if wrong == "x" {
            "x".repeat(65)
        } else {
            "\u{2003}".into()
        };
        let out = table.enters(BEN, &nick);
        assert!(!to(&out, BEN).is_empty());
    }
    let out = table.hears(CAT, &format!("<presence to='{ROOM}'/>"));
    assert_eq!(error(&out, CAT), "jid-malformed");
}

#[test]
fn a_name_belongs_to_one_account() {
    let mut table = Table::of_three(Config::default());
    assert_eq!(
        error(&table.enters("dan@d.example/x", "ben"), "dan@d.example/x"),
        "conflict"
    );
    // Another client of the same account shares it, and the others see one occupant.
    let out = table.enters("ben@b.example/phone", "ben");
    assert!(
        to(&out, "ben@b.example/phone")
            .iter()
            .any(|stanza| codes(stanza).contains(&110))
    );
    assert_eq!(table.room.occupants().len(), 3);
    let out = table.hears(
        "ben@b.example/phone",
        &format!("<presence type='unavailable' to='{ROOM}/ben'/>"),
    );
    assert!(
        to(&out, ANN)
            .iter()
            .all(|stanza| stanza.kind.name().is_none()),
        "ben is still there"
    );
    let out = table.hears(
        BEN,
        &format!("<presence type='unavailable' to='{ROOM}/ben'><status>bye</status></presence>"),
    );
    assert_eq!(shape(&to(&out, ANN)), ["ben unavailable []"]);
    assert_eq!(
        to(&out, ANN)[0].text_of(ns::CLIENT, "status").as_deref(),
        Some("bye")
    );
    assert_eq!(shape(&to(&out, BEN)), ["ben unavailable [110]"]);
}

#[test]
fn a_change_of_names_is_told() {
    let mut table = Table::of_three(Config::default());
    let out = table.hears(BEN, &format!("<presence to='{ROOM}/benjamin'/>"));
    assert_eq!(
        shape(&to(&out, ANN)),
        ["ben unavailable [303]", "benjamin here []"]
    );
    assert_eq!(item(&to(&out, ANN)[0]).attribute("nick"), Some("benjamin"));
    assert_eq!(
        shape(&to(&out, BEN)),
        ["ben unavailable [110, 303]", "benjamin here [110]"]
    );
    assert_eq!(
        error(
            &table.hears(BEN, &format!("<presence to='{ROOM}/cat'/>")),
            BEN
        ),
        "conflict"
    );
    assert_eq!(nick(&to(&table.says(BEN, "me"), CAT)[0]), "benjamin");
}

#[test]
fn who_joins_again_is_told_everything_again() {
    let mut table = Table::of_three(Config::default());
    let out = table.enters(BEN, "ben");
    assert_eq!(
        shape(&to(&out, BEN)),
        [
            "ann here []",
            "cat here []",
            "ben here [110, 170]",
            " subject []"
        ]
    );
}

#[test]
fn who_is_not_inside_is_told_so() {
    let mut table = Table::of_three(Config::default());
    let dan = "dan@d.example/x";
    let out = table.hears(dan, &format!("<presence to='{ROOM}/dan'/>"));
    assert_eq!(shape(&to(&out, dan)), ["dan unavailable [110, 307, 333]"]);
    assert_eq!(error(&table.says(dan, "hi"), dan), "not-acceptable");
    let ping = |nick: &str| {
        format!("<iq type='get' id='p' to='{ROOM}/{nick}'><ping xmlns='urn:xmpp:ping'/></iq>")
    };
    assert_eq!(
        error(&table.hears(dan, &ping("dan")), dan),
        "not-acceptable"
    );
    assert_eq!(
        to(&table.hears(BEN, &ping("ben")), BEN)[0].kind.name(),
        Some("result")
    );
}

#[test]
fn moderators_give_and_take_voice() {
    let mut table = Table::open(Config {
        moderated: true,
        ..Config::default()
    });
    table.enters(ANN, "ann");
    table.enters(BEN, "ben");
    assert_eq!(error(&table.says(BEN, "hi"), BEN), "forbidden");
    let out = table.admin(
        ANN,
        "<item nick='ben' role='participant'><reason>guest</reason></item>",
    );
    assert_eq!(
        item(&to(&out, BEN)[0]).attribute("role"),
        Some("participant")
    );
    assert_eq!(to(&table.says(BEN, "hi"), ANN).len(), 1);
    assert_eq!(
        error(&table.admin(BEN, "<item nick='ann' role='none'/>"), BEN),
        "forbidden"
    );
}

#[test]
fn who_is_kicked_is_gone_and_knows_why() {
    let mut table = Table::of_three(Config::default());
    let out = table.admin(
        ANN,
        "<item nick='ben' role='none'><reason>crumbs</reason></item>",
    );
    assert_eq!(shape(&to(&out, BEN)), ["ben unavailable [110, 307]"]);
    assert_eq!(shape(&to(&out, CAT)), ["ben unavailable [307]"]);
    let item = item(&to(&out, BEN)[0]);
    assert_eq!(item.attribute("role"), Some("none"));
    assert_eq!(item.children().len(), 2, "actor and reason");
    assert_eq!(error(&table.says(BEN, "why"), BEN), "not-acceptable");
    assert!(table.enters(BEN, "ben").len() > 2, "a kick is no ban");
}

#[test]
fn bans_and_lists() {
    let mut table = Table::of_three(Config::default());
    let out = table.admin(
        ANN,
        "<item jid='ben@b.example' affiliation='outcast'><reason>x</reason></item>",
    );
    assert_eq!(shape(&to(&out, BEN)), ["ben unavailable [110, 301]"]);
    assert!(out.iter().any(
        |output| matches!(output, Output::StoreAffiliation(who) if who.as_str() == "ben@b.example")
    ));
    assert_eq!(error(&table.enters(BEN, "ben"), BEN), "forbidden");
    let list = format!(
        "<iq type='get' id='l' to='{ROOM}'><query xmlns='{MUC_ADMIN}'><item affiliation='outcast'/></query></iq>"
    );
    let out = table.hears(ANN, &list);
    let answer = &to(&out, ANN)[0];
    let query = answer.open(answer.payload().unwrap()).unwrap();
    let banned = query.open(&query.children()[0]).unwrap();
    assert_eq!(banned.attribute("jid"), Some("ben@b.example"));
    assert_eq!(error(&table.hears(CAT, &list), CAT), "forbidden");
    assert_eq!(
        error(
            &table.admin(ANN, "<item jid='ann@a.example' affiliation='outcast'/>"),
            ANN
        ),
        "conflict"
    );
    assert_eq!(
        error(
            &table.admin(ANN, "<item jid='ann@a.example' affiliation='member'/>"),
            ANN
        ),
        "conflict"
    );
    assert_eq!(
        error(
            &table.admin(ANN, "<item nick='cat' role='none' affiliation='none'/>"),
            ANN
        ),
        "bad-request"
    );
    assert_eq!(
        error(&table.admin(ANN, "<item nick='nobody' role='none'/>"), ANN),
        "item-not-found"
    );
    table.admin(ANN, "<item jid='ben@b.example' affiliation='none'/>");
    assert!(table.enters(BEN, "ben").len() > 2);
}

#[test]
fn several_changes_are_one() {
    let mut table = Table::of_three(Config::default());
    let out = table.admin(
        ANN,
        "<item jid='ben@b.example' affiliation='admin'/><item nick='ghost' affiliation='member'/>",
    );
    assert_eq!(error(&out, ANN), "item-not-found");
    let ben = BareJid::new("ben@b.example").unwrap();
    assert_eq!(
        table.room.affiliation(&ben),
        Affiliation::None,
        "none of them was made"
    );
    table.admin(ANN, "<item jid='ben@b.example' affiliation='owner'/><item jid='ann@a.example' affiliation='member'/>");
    assert_eq!(table.room.affiliation(&ben), Affiliation::Owner);
    assert_eq!(table.room.occupants()["ben"].role, Role::Moderator);
    assert_eq!(table.room.occupants()["ann"].role, Role::Participant);
}

#[test]
fn a_room_that_becomes_for_members_sends_others_out() {
    let mut table = Table::of_three(Config::default());
    table.admin(ANN, "<item jid='cat@c.example' affiliation='member'/>");
    let out = table.configure(ANN, &[("muc#roomconfig_membersonly", "1")]);
    assert_eq!(
        shape(&to(&out, BEN)),
        [" groupchat [104]", "ben unavailable [110, 322]"]
    );
    assert_eq!(table.room.occupants().len(), 2);
    let out = table.admin(ANN, "<item jid='cat@c.example' affiliation='none'/>");
    assert!(
        to(&out, CAT)
            .iter()
            .any(|stanza| codes(stanza) == [110, 321])
    );
}

#[test]
fn an_invitation_opens_the_door() {
    let mut table = Table::open(Config {
        members_only: true,
        ..Config::default()
    });
    table.enters(ANN, "ann");
    let invite = |who: &str| {
        format!(
            "<message to='{ROOM}'><x xmlns='{MUC_USER}'><invite to='{who}'><reason>tea &amp; cake</reason></invite></x></message>"
        )
    };
    let out = table.hears(ANN, &invite("ben@b.example"));
    let sent = to(&out, "ben@b.example");
    let x = sent[0].open(sent[0].child(MUC_USER, "x").unwrap()).unwrap();
    let inner = x.open(x.child(MUC_USER, "invite").unwrap()).unwrap();
    assert_eq!(inner.attribute("from"), Some(ANN));
    assert_eq!(
        inner.open(&inner.children()[0]).unwrap().text().unwrap(),
        "tea & cake"
    );
    assert!(table.enters(BEN, "ben").len() > 2);
    let out = table.hears(
        CAT,
        &format!("<message to='{ROOM}'><x xmlns='{MUC_USER}'><decline to='{ANN}'/></x></message>"),
    );
    assert!(to(&out, ANN)[0].has(MUC_USER, "x"));
    assert_eq!(
        error(&table.hears(CAT, &invite("dan@d.example")), CAT),
        "not-acceptable"
    );
}

#[test]
fn private_messages_stay_private() {
    let mut table = Table::of_three(Config::default());
    let private =
        format!("<message type='chat' id='p' to='{ROOM}/cat'><body>psst</body></message>");
    let out = table.hears(BEN, &private);
    let sent = to(&out, CAT);
    assert_eq!((nick(&sent[0]), sent[0].has(MUC_USER, "x")), ("ben", true));
    assert!(
        to(&out, ANN).is_empty()
            && !out
                .iter()
                .any(|output| matches!(output, Output::Archive { .. }))
    );
    assert_eq!(
        error(&table.hears(BEN, &private.replace("/cat", "/zoe")), BEN),
        "item-not-found"
    );
    assert_eq!(
        error(
            &table.hears(BEN, &private.replace("'chat'", "'groupchat'")),
            BEN
        ),
        "bad-request"
    );
    table.configure(ANN, &[("muc#roomconfig_allowpm", "none")]);
    assert_eq!(error(&table.hears(BEN, &private), BEN), "not-allowed");
}

#[test]
fn a_moderator_takes_a_message_back() {
    let mut table = Table::of_three(Config::default());
    table.says(BEN, "buy pills");
    let moderate = format!(
        "<iq type='set' id='r' to='{ROOM}'><moderate xmlns='urn:xmpp:message-moderate:1' id='id1'>\
         <retract xmlns='urn:xmpp:message-retract:1'/><reason>spam</reason></moderate></iq>"
    );
    assert_eq!(error(&table.hears(CAT, &moderate), CAT), "forbidden");
    let out = table.hears(ANN, &moderate);
    let buried = out.iter().find_map(|output| match output {
        Output::Bury { id, tombstone } => Some((id.clone(), tombstone.clone())),
        _ => None,
    });
    let (id, tombstone) = buried.unwrap();
    assert_eq!(id, "id1");
    assert!(
        tombstone.has("urn:xmpp:message-retract:1", "retracted")
            && !tombstone.has(ns::CLIENT, "body")
    );
    let told = to(&out, CAT);
    assert_eq!(told[0].from.as_ref().unwrap().as_str(), ROOM);
    let retract = told[0]
        .open(
            told[0]
                .child("urn:xmpp:message-retract:1", "retract")
                .unwrap(),
        )
        .unwrap();
    assert_eq!(retract.attribute("id"), Some("id1"));
    // Nobody who enters later reads it.
    let out = table.enters("dan@d.example/x", "dan");
    assert!(
        to(&out, "dan@d.example/x")
            .iter()
            .all(|stanza| !stanza.has(ns::CLIENT, "body"))
    );
}

#[test]
fn questions_go_through_without_showing_who_asks() {
    let mut table = Table::of_three(Config::default());
    let out = table.hears(
        BEN,
        &format!("<iq type='get' id='v7' to='{ROOM}/cat'><query xmlns='jabber:iq:version'/></iq>"),
    );
    let question = &to(&out, CAT)[0];
    assert_eq!(nick(question), "ben");
    let id = question.id.clone().unwrap();
    assert!(!id.contains("ben@b.example") && id != "v7");
    let out = table.hears(
        CAT,
        &format!("<iq type='result' id='{id}' to='{ROOM}/ben'/>"),
    );
    let answer = &to(&out, BEN)[0];
    assert_eq!((nick(answer), answer.id.as_deref()), ("cat", Some("v7")));
    let forged = table.hears(
        CAT,
        &format!("<iq type='result' id='x.v7' to='{ROOM}/ben'/>"),
    );
    assert!(forged.is_empty());
    // A card is the account's; its server answers for it.
    let out = table.hears(
        BEN,
        &format!("<iq type='get' id='c' to='{ROOM}/cat'><vCard xmlns='vcard-temp'/></iq>"),
    );
    let question = &to(&out, "cat@c.example")[0];
    let id = question.id.clone().unwrap();
    let out = table.hears(
        "cat@c.example",
        &format!("<iq type='result' id='{id}' to='{ROOM}/ben'/>"),
    );
    assert_eq!(to(&out, BEN)[0].id.as_deref(), Some("c"));
}

#[test]
fn ghosts_are_removed() {
    let mut table = Table::of_three(Config::default());
    let bounce = |condition: &str| {
        format!(
            "<message type='error' to='{ROOM}'><error type='cancel'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
    };
    assert!(table.hears(BEN, &bounce("not-acceptable")).is_empty());
    let out = table.hears(BEN, &bounce("remote-server-timeout"));
    assert_eq!(shape(&to(&out, ANN)), ["ben unavailable [333]"]);
}

#[test]
fn a_room_ends_when_it_is_destroyed_or_empty() {
    let mut table = Table::of_three(Config::default());
    let out = table.hears(
        ANN,
        &format!(
            "<iq type='set' id='d' to='{ROOM}'><query xmlns='{MUC_OWNER}'>\
             <destroy jid='new@rooms.example'><reason>moved</reason></destroy></query></iq>"
        ),
    );
    let own = to(&out, BEN);
    let x = own[0].open(own[0].child(MUC_USER, "x").unwrap()).unwrap();
    assert_eq!(
        x.open(x.child(MUC_USER, "destroy").unwrap())
            .unwrap()
            .attribute("jid"),
        Some("new@rooms.example")
    );
    assert_eq!(own.len(), 1, "nobody hears of the others");
    assert!(matches!(out.last(), Some(Output::Destroyed)));

    let mut table = Table::open(Config::default());
    table.enters(ANN, "ann");
    let out = table.hears(
        ANN,
        &format!("<presence type='unavailable' to='{ROOM}/ann'/>"),
    );
    assert!(matches!(out.last(), Some(Output::Destroyed)) && table.room.is_over());
    let mut kept = Table::open(Config {
        persistent: true,
        ..Config::default()
    });
    kept.enters(ANN, "ann");
    let out = kept.hears(
        ANN,
        &format!("<presence type='unavailable' to='{ROOM}/ann'/>"),
    );
    assert!(!matches!(out.last(), Some(Output::Destroyed)));
}

#[test]
fn members_who_are_away_miss_nothing() {
    let mut table = Table::open(Config {
        persistent: true,
        ..Config::default()
    });
    table.enters(ANN, "ann");
    table.admin(ANN, "<item jid='ben@b.example' affiliation='member'/>");
    let out = table.says(ANN, "tea is ready");
    let missed = out.iter().find_map(|output| match output {
        Output::Missed(_, who) => Some(who.clone()),
        _ => None,
    });
    assert_eq!(missed, Some(vec![BareJid::new("ben@b.example").unwrap()]));
    table.enters(BEN, "ben");
    assert!(
        !table
            .says(ANN, "hi")
            .iter()
            .any(|output| matches!(output, Output::Missed(..)))
    );
}

#[test]
fn as_much_of_the_past_as_wanted() {
    let mut table = Table::of_three(Config::default());
    for text in ["one", "two", "three"] {
        table.says(BEN, text);
    }
    let bodies = |table: &mut Table, history: &str| {
        let dan = "dan@d.example/x";
        let out = table.enters_with(dan, "dan", history);
        let texts: Vec<String> = to(&out, dan)
            .iter()
            .filter_map(|stanza| stanza.text_of(ns::CLIENT, "body"))
            .collect();
        table.hears(
            dan,
            &format!("<presence type='unavailable' to='{ROOM}/dan'/>"),
        );
        texts
    };
    assert_eq!(bodies(&mut table, ""), ["one", "two", "three"]);
    assert_eq!(bodies(&mut table, "<history maxstanzas='1'/>"), ["three"]);
    assert!(bodies(&mut table, "<history maxchars='0'/>").is_empty());
    assert!(bodies(&mut table, "<history since='2100-01-01T00:00:00Z'/>").is_empty());
    assert_eq!(bodies(&mut table, "<history seconds='100000'/>").len(), 3);
}

#[test]
fn archives_are_for_who_could_enter() {
    let mut table = Table::of_three(Config::default());
    let account = |who: &str| Jid::new(who).unwrap().to_bare();
    assert!(table.room.may_read_archive(&account("dan@d.example")));
    table.admin(ANN, "<item jid='dan@d.example' affiliation='outcast'/>");
    assert!(!table.room.may_read_archive(&account("dan@d.example")));
    table.configure(ANN, &[("muc#roomconfig_membersonly", "1")]);
    assert!(!table.room.may_read_archive(&account(BEN)));
    assert!(table.room.may_read_archive(&account(ANN)));
}

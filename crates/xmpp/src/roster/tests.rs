use jid::{BareJid, FullJid, Jid};

use super::{Answer, Change, Item, NS, Request, Roster, push, push_removal};
use crate::{
    stanza::{IqType, PresenceType, Stanza},
    xml::{Element, Limits},
};

fn bare(text: &str) -> BareJid {
    BareJid::new(text).unwrap()
}

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn set(items: &str) -> Result<Request, String> {
    let xml = format!("<query xmlns='{NS}'>{items}</query>");
    let query = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
    Request::read(IqType::Set, &query, &bare("me@a")).map_err(|error| error.to_string())
}

fn ask(from: &str, kind: PresenceType) -> Stanza {
    Stanza::new(kind)
        .from(jid(from))
        .to(jid("me@a"))
        .with_all(b"<status>hello?</status>")
}

/// The roster as a client sees it: `address name subscription`, and `?` for a pending request of the user's.
fn seen(roster: &Roster) -> Vec<String> {
    let items = roster.items().filter(|item| item.is_shown());
    items
        .map(|item| {
            let state = item.subscription;
            let ask = if state.pending_out { "?" } else { "" };
            format!("{} {:?} {}{ask}", item.jid, item.name, state.name())
        })
        .collect()
}

fn contact(roster: &mut Roster, address: &str, name: &str) {
    let change = Change {
        jid: jid(address),
        name: name.to_owned(),
        groups: vec!["Friends".to_owned()],
    };
    assert!(roster.set(change, 100).unwrap().push);
}

#[test]
fn a_request_names_one_contact() {
    let request = set(
        "<item jid='B@b' name='Bill' subscription='both'><group>x</group><group>a</group></item>",
    );
    assert_eq!(
        request,
        Ok(Request::Set(Change {
            jid: jid("b@b"),
            name: "Bill".into(),
            groups: vec!["a".into(), "x".into()],
        }))
    );
    assert_eq!(
        set("<item jid='b@b/phone' subscription='remove'/>"),
        Ok(Request::Remove(jid("b@b/phone")))
    );
    let long = "x".repeat(1024);
    for (wrong, condition) in [
        (String::new(), "bad-request"),
        ("<item jid='a@a'/><item jid='b@b'/>".into(), "bad-request"),
        ("<item/>".into(), "bad-request"),
        ("<item jid='@'/>".into(), "jid-malformed"),
        ("<item jid='me@a'/>".into(), "not-allowed"),
        (format!("<item jid='b@b' name='{long}'/>"), "not-acceptable"),
        ("<item jid='b@b'><group/></item>".into(), "not-acceptable"),
        (
            format!("<item jid='b@b'><group>{long}</group></item>"),
            "not-acceptable",
        ),
        (
            "<item jid='b@b'><group>x</group><group>x</group></item>".into(),
            "bad-request",
        ),
    ] {
        let error = set(&wrong).unwrap_err();
        assert!(error.starts_with(condition), "{wrong}: {error}");
    }
}

#[test]
fn a_client_that_has_the_newest_version_is_told_nothing() {
    assert_eq!(Answer::to(None, 7), Answer::Whole { versioned: false });
    assert_eq!(Answer::to(Some(""), 7), Answer::Whole { versioned: true });
    assert_eq!(
        Answer::to(Some("other"), 7),
        Answer::Whole { versioned: true }
    );
    assert_eq!(Answer::to(Some("9"), 7), Answer::Whole { versioned: true });
    assert_eq!(Answer::to(Some("7"), 7), Answer::Unchanged);
    assert_eq!(Answer::to(Some("3"), 7), Answer::Since(3));
}

#[test]
fn who_only_asks_stands_in_no_roster() {
    let mut roster = Roster::default();
    let request = ask("b@b", PresenceType::Subscribe);
    let heard = roster.hears(&bare("b@b"), &request, PresenceType::Subscribe, 10);
    let changed = heard.changed.unwrap();
    assert!(heard.deliver && !changed.push && !changed.is_gone);
    assert!(seen(&roster).is_empty());
    let waiting: Vec<_> = roster.pending_requests().collect();
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        waiting[0].text_of("jabber:client", "status").as_deref(),
        Some("hello?")
    );
    // A second one is not shown again.
    assert_eq!(
        roster
            .hears(&bare("b@b"), &request, PresenceType::Subscribe, 10)
            .changed,
        None
    );
    let sent = roster.sends(&bare("b@b"), PresenceType::Subscribed);
    assert!(sent.route && sent.now_visible && sent.changed.unwrap().push);
    assert_eq!(seen(&roster), ["b@b \"\" from"]);
    assert_eq!(roster.pending_requests().count(), 0);
}

#[test]
fn who_is_refused_is_forgotten() {
    let mut roster = Roster::default();
    let request = ask("b@b", PresenceType::Subscribe);
    let _ = roster.hears(&bare("b@b"), &request, PresenceType::Subscribe, 10);
    let sent = roster.sends(&bare("b@b"), PresenceType::Unsubscribed);
    let changed = sent.changed.unwrap();
    assert!(sent.route && changed.is_gone && !changed.push);
    assert_eq!(roster.items().count(), 0);
}

#[test]
fn a_contact_stays_when_its_subscription_ends() {
    let mut roster = Roster::default();
    assert!(roster.sends(&bare("b@b"), PresenceType::Subscribe).route);
    assert_eq!(seen(&roster), ["b@b \"\" none?"]);
    let answer = ask("b@b", PresenceType::Subscribed);
    let heard = roster.hears(&bare("b@b"), &answer, PresenceType::Subscribed, 10);
    assert!(heard.deliver && heard.changed.unwrap().push);
    let end = ask("b@b", PresenceType::Unsubscribed);
    let heard = roster.hears(&bare("b@b"), &end, PresenceType::Unsubscribed, 10);
    assert!(heard.changed.unwrap().push);
    assert_eq!(seen(&roster), ["b@b \"\" none"]);
}

#[test]
fn a_contact_that_asks_is_pushed_to_nobody() {
    let mut roster = Roster::default();
    contact(&mut roster, "b@b", "Bill");
    let request = ask("b@b", PresenceType::Subscribe);
    let heard = roster.hears(&bare("b@b"), &request, PresenceType::Subscribe, 10);
    assert!(heard.deliver && !heard.changed.unwrap().push);
    assert_eq!(seen(&roster), ["b@b \"Bill\" none"]);
}

#[test]
fn what_was_agreed_to_before_is_answered() {
    let mut roster = Roster::default();
    let sent = roster.sends(&bare("b@b"), PresenceType::Subscribed);
    let changed = sent.changed.unwrap();
    assert!(!sent.route && changed.push && changed.item.subscription.approved);
    let request = ask("b@b", PresenceType::Subscribe);
    let heard = roster.hears(&bare("b@b"), &request, PresenceType::Subscribe, 10);
    assert!(heard.auto_reply && heard.now_visible && !heard.deliver);
    assert_eq!(seen(&roster), ["b@b \"\" from"]);
}

#[test]
fn a_removal_ends_both_directions() {
    let mut roster = Roster::default();
    contact(&mut roster, "b@b", "Bill");
    let _ = roster.sends(&bare("b@b"), PresenceType::Subscribe);
    let request = ask("b@b", PresenceType::Subscribe);
    let _ = roster.hears(&bare("b@b"), &request, PresenceType::Subscribe, 10);
    let _ = roster.sends(&bare("b@b"), PresenceType::Subscribed);
    let removed = roster.remove(&jid("b@b")).unwrap();
    assert_eq!(
        removed.tell,
        [PresenceType::Unsubscribe, PresenceType::Unsubscribed]
    );
    assert!(removed.now_hidden);
    assert!(roster.remove(&jid("b@b")).is_err());
}

#[test]
fn a_roster_has_an_end() {
    let mut roster = Roster::default();
    contact(&mut roster, "b@b", "Bill");
    let change = Change {
        jid: jid("c@c"),
        name: String::new(),
        groups: Vec::new(),
    };
    assert!(roster.set(change, 1).is_err());
    let request = ask("d@d", PresenceType::Subscribe);
    let heard = roster.hears(&bare("d@d"), &request, PresenceType::Subscribe, 1);
    assert!(heard.changed.is_none() && !heard.deliver);
}

#[test]
fn clients_are_told_in_the_words_of_the_protocol() {
    let mut roster = Roster::restored(4, []);
    contact(&mut roster, "b@b", "B & b");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert_eq!(
        text(roster.payload(true)),
        "<query xmlns='jabber:iq:roster' ver='4'><item jid='b@b' name='B &amp; b' subscription='none'>\
         <group>Friends</group></item></query>"
    );
    let to = FullJid::new("me@a/x").unwrap();
    let written = |stanza: Stanza| {
        let mut out = Vec::new();
        stanza.write(&mut out);
        text(out)
    };
    let item = Item {
        listed: true,
        ..Item::new(jid("b@b"))
    };
    assert_eq!(
        written(push(&to, "p1", &item, Some(5))),
        "<iq from='me@a' to='me@a/x' id='p1' type='set'><query xmlns='jabber:iq:roster' ver='5'>\
         <item jid='b@b' subscription='none'/></query></iq>"
    );
    assert_eq!(
        written(push_removal(&to, "p2", &jid("b@b"), None)),
        "<iq from='me@a' to='me@a/x' id='p2' type='set'><query xmlns='jabber:iq:roster'>\
         <item jid='b@b' subscription='remove'/></query></iq>"
    );
}

#[test]
fn a_long_roster_is_written_whole() {
    let items = (0..5000).map(|number| Item {
        name: "x".repeat(100),
        listed: true,
        ..Item::new(jid(&format!("contact{number}@example.org")))
    });
    let roster = Roster::restored(1, items);
    let answer = ask("me@a/x", PresenceType::Subscribe).with_all(&roster.payload(false));
    assert!(answer.content().len() > 600_000);
}

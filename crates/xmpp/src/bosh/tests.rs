use super::{Body, NS, Output, Session, Settings};
use crate::{moment::Moment, xml::Limits};

fn at(seconds: i64) -> Moment {
    Moment(0).plus_seconds(seconds)
}

fn body(attributes: &str, content: &str) -> Body {
    let xml =
        format!("<body xmlns='{NS}' xmlns:xmpp='urn:xmpp:xbosh' {attributes}>{content}</body>");
    Body::read(xml.as_bytes(), Limits::CLIENT).unwrap()
}

/// What follows, each in a word: `5 payload`, `element name`, …
fn told(outputs: Vec<Output>) -> Vec<String> {
    let mut lines = Vec::new();
    for output in outputs {
        lines.push(match output {
            Output::Element(element) => format!("element {}", element.name.local),
            Output::Ended => "ended".to_owned(),
            Output::Restart => "restart".to_owned(),
            Output::Respond(rid, body) => {
                let text = String::from_utf8(body).unwrap();
                let start = text.find('>').unwrap();
                let content = text[start + 1..].trim_end_matches("</body>").to_owned();
                let condition = text
                    .split("condition='")
                    .nth(1)
                    .and_then(|rest| rest.split('\'').next());
                let end = if text.contains("type='terminate'") {
                    "end "
                } else {
                    ""
                };
                format!("{rid} {end}{}{content}", condition.unwrap_or_default())
            }
        });
    }
    lines
}

fn open() -> Session {
    let first = body("rid='10' to='a' wait='30' hold='1' ver='1.6'", "");
    let mut session = Session::open(&first, "s1", "a", "d1", Settings::default(), at(0));
    let greeted = session.push(b"<stream:features/>", at(0)).unwrap();
    assert_eq!(greeted.len(), 1);
    session
}

const HI: &[u8] = b"<message to='b@b'/>";

#[test]
fn a_session_is_greeted() {
    let first = body("rid='10' to='a' wait='300' hold='5' xml:lang='en'", "");
    assert_eq!(first.lang.as_deref(), Some("en"));
    let mut session = Session::open(&first, "s1", "a", "d1", Settings::default(), at(0));
    let Some(Output::Respond(10, greeting)) =
        session.push(b"<stream:features/>", at(0)).unwrap().pop()
    else {
        panic!("the first request is answered");
    };
    let greeting = String::from_utf8(greeting).unwrap();
    for part in [
        "sid='s1'",
        "wait='60'",
        "hold='1'",
        "requests='2'",
        "authid='d1'",
        "from='a'",
        "xmpp:version='1.0'",
        "xmpp:restartlogic='true'",
        "<stream:features",
    ] {
        assert!(greeting.contains(part), "{part}: {greeting}");
    }
    assert!(greeting.ends_with("</body>"));
}

#[test]
fn requests_wait_for_something_to_answer() {
    let mut session = open();
    assert!(
        session
            .handle(body("rid='11' sid='s1'", ""), at(1))
            .is_empty()
    );
    assert_eq!(session.poll_timeout(), Some(at(31)));
    let sent = told(session.push(HI, at(2)).unwrap());
    assert_eq!(sent, ["11 <message xmlns='jabber:client' to='b@b'/>"]);
    // Without a request it waits.
    assert!(session.push(HI, at(3)).unwrap().is_empty());
    assert!(session.push(HI, at(3)).unwrap().is_empty());
    let sent = told(session.handle(body("rid='12' sid='s1'", ""), at(4)));
    assert_eq!(sent[0].matches("<message").count(), 2);
    assert!(
        session
            .handle(body("rid='13' sid='s1'", ""), at(5))
            .is_empty()
    );
    assert_eq!(told(session.handle_timeout(at(35))), ["13 "]);
}

#[test]
fn one_request_is_held_at_most() {
    let mut session = open();
    assert!(
        session
            .handle(body("rid='11' sid='s1'", ""), at(1))
            .is_empty()
    );
    let sent = told(session.handle(
        body("rid='12' sid='s1'", "<presence xmlns='jabber:client'/>"),
        at(2),
    ));
    assert_eq!(sent, ["element presence", "11 "]);
}

#[test]
fn requests_are_put_in_order() {
    let mut session = open();
    let iq = |name: &str| format!("<{name} xmlns='jabber:client'/>");
    assert!(
        session
            .handle(body("rid='12' sid='s1'", &iq("presence")), at(1))
            .is_empty()
    );
    let sent = told(session.handle(body("rid='11' sid='s1'", &iq("message")), at(1)));
    assert_eq!(sent, ["element message", "element presence", "11 "]);
}

#[test]
fn what_was_answered_is_answered_again() {
    let mut session = open();
    let _ = session.handle(body("rid='11' sid='s1'", ""), at(1));
    let first = told(session.push(HI, at(1)).unwrap());
    let again = session.handle(
        body("rid='11' sid='s1'", "<presence xmlns='jabber:client'/>"),
        at(2),
    );
    assert_eq!(told(again), first);
    // One that is still held goes on waiting, on its new connection.
    let _ = session.handle(body("rid='12' sid='s1'", ""), at(2));
    assert!(
        session
            .handle(body("rid='12' sid='s1'", ""), at(3))
            .is_empty()
    );
    assert_eq!(told(session.push(HI, at(3)).unwrap()).len(), 1);
}

#[test]
fn numbers_outside_of_the_window_end_the_session() {
    for rid in [5, 13, 1000] {
        let mut session = open();
        let sent = told(session.handle(body(&format!("rid='{rid}' sid='s1'"), ""), at(1)));
        assert_eq!(
            sent,
            ["ended".to_owned(), format!("{rid} end item-not-found")]
        );
        assert!(session.is_over());
        let sent = told(session.handle(body("rid='11' sid='s1'", ""), at(1)));
        assert_eq!(sent, ["11 end item-not-found"]);
    }
}

#[test]
fn a_client_says_goodbye() {
    let mut session = open();
    let _ = session.handle(body("rid='11' sid='s1'", ""), at(1));
    let last = "<presence xmlns='jabber:client' type='unavailable'/>";
    let sent = told(session.handle(body("rid='12' sid='s1' type='terminate'", last), at(2)));
    assert_eq!(sent, ["element presence", "ended", "11 end ", "12 end "]);
    assert!(session.handle_timeout(at(1000)).is_empty() && session.poll_timeout().is_none());
}

#[test]
fn a_stream_begins_anew() {
    let mut session = open();
    let sent = told(session.handle(body("rid='11' sid='s1' xmpp:restart='true'", ""), at(1)));
    assert_eq!(sent, ["restart"]);
    let sent = told(session.push(b"<stream:features/>", at(1)).unwrap());
    assert!(sent[0].starts_with("11 <stream:features"));
}

#[test]
fn a_silent_client_is_given_up() {
    let mut session = open();
    assert_eq!(session.poll_timeout(), Some(at(60)));
    assert!(session.handle_timeout(at(59)).is_empty());
    assert_eq!(told(session.handle_timeout(at(60))), ["ended"]);
    let mut session = open();
    let sent = told(session.handle(body("rid='11' sid='s1' pause='1000'", ""), at(1)));
    assert_eq!(sent, ["11 "]);
    assert_eq!(session.poll_timeout(), Some(at(121)));
    assert!(session.handle_timeout(at(120)).is_empty());
    assert_eq!(told(session.handle_timeout(at(121))), ["ended"]);
}

#[test]
fn what_nobody_fetches_has_an_end() {
    let mut session = open();
    let big = format!("<message><body>{}</body></message>", "x".repeat(100_000));
    let pushes = (0..20).take_while(|_| {
        let _ = session.push(big.as_bytes(), at(1)).unwrap();
        !session.is_over()
    });
    assert_eq!(pushes.count(), 10);
}

#[test]
fn a_body_has_a_number() {
    for wrong in [
        "<body xmlns='http://jabber.org/protocol/httpbind'/>",
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='0'/>",
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='x'/>",
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='9007199254740992'/>",
        "<body xmlns='http://jabber.org/protocol/httpbind' rid='1' wait='x'/>",
        "<body rid='1'/>",
        "",
    ] {
        assert!(
            Body::read(wrong.as_bytes(), Limits::CLIENT).is_err(),
            "{wrong}"
        );
    }
}

use jid::Jid;

use super::{
    Condition, ErrorType, InvalidStanza, IqType, Kind, MessageType, PresenceType, Stanza,
    StanzaError, Type,
};
use crate::{
    ns,
    xml::{Element, Limits},
};

fn read(xml: &str) -> Result<Stanza, InvalidStanza> {
    let element = Element::parse_below(ns::CLIENT, xml.as_bytes(), Limits::CLIENT).unwrap();
    Stanza::read(element)
}

fn written(stanza: &Stanza) -> String {
    let mut out = Vec::new();
    stanza.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_stanza_travels_with_its_payloads_untouched() {
    let body = "<body>it's <![CDATA[<fine>]]></body><x  xmlns='urn:x' />";
    let xml = format!(
        "<message to='Bob@B.example/Home' type='chat' id='1' xml:lang='de' draft='1'>{body}</message>"
    );
    let mut stanza = read(&xml).unwrap();
    assert_eq!(stanza.kind, Type::Message(MessageType::Chat));
    assert_eq!(
        stanza.text_of(ns::CLIENT, "body").as_deref(),
        Some("it's <fine>")
    );
    stanza.from = Some(Jid::new("a@a.example/x").unwrap());
    assert_eq!(
        written(&stanza),
        format!(
            "<message from='a@a.example/x' to='bob@b.example/Home' id='1' type='chat' xml:lang='de' draft='1'>{body}</message>"
        )
    );
}

#[test]
fn a_stanza_of_another_stream_is_written_for_this_one() {
    let element = Element::parse(
        b"<message xmlns='jabber:server' to='b@b' from='a@a'><body>hi</body></message>",
        Limits::SERVER,
    );
    let stanza = Stanza::read(element.unwrap()).unwrap();
    assert!(stanza.has(ns::CLIENT, "body"));
    let mut out = Vec::new();
    stanza.write_in(ns::CLIENT, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "<message xmlns='jabber:client' from='a@a' to='b@b'><body>hi</body></message>"
    );
}

#[test]
fn children_come_and_go() {
    let stanza =
        read("<message><body>hi</body> <a xmlns='u'/><b xmlns='u'>x</b></message>").unwrap();
    let fewer = stanza.clone().without(|child| child.name.is("u", "a"));
    assert_eq!(
        written(&fewer),
        "<message><body>hi</body><b xmlns='u'>x</b></message>"
    );
    assert_eq!(
        fewer.bytes_of(fewer.child("u", "b").unwrap()),
        "<b xmlns='u'>x</b>"
    );
    let more = fewer.with_xml(b"<c xmlns='u' k='&apos;'/>").unwrap();
    assert!(more.has("u", "c"));
    assert_eq!(
        more.open(more.child("u", "c").unwrap())
            .unwrap()
            .attribute("k"),
        Some("'")
    );
    let tree = minidom::Element::builder("d", "v").append("t").build();
    let more = more.with_dom(tree);
    assert_eq!(more.text_of("v", "d").as_deref(), Some("t"));
    // What is not taken away leaves the bytes as they were.
    assert_eq!(
        stanza.clone().without(|_| false).content(),
        stanza.content()
    );
}

#[test]
fn what_no_stanza_may_be_is_told() {
    let to = read("<iq to='@' id='1' type='get'><a xmlns='u'/></iq>").unwrap_err();
    assert_eq!(
        to,
        InvalidStanza::To {
            kind: Kind::Iq,
            id: Some("1".into())
        }
    );
    assert_eq!(
        read("<presence from='a@/'/>").unwrap_err(),
        InvalidStanza::From(Kind::Presence)
    );
    assert!(matches!(
        read("<presence type='here'/>"),
        Err(InvalidStanza::Type { .. })
    ));
    assert!(matches!(
        read("<iq id='1'><a xmlns='u'/></iq>"),
        Err(InvalidStanza::Type { .. })
    ));
    assert_eq!(
        read("<iq type='get'><a xmlns='u'/></iq>").unwrap_err(),
        InvalidStanza::NoId
    );
    for (payloads, found) in [("", 0), ("<a xmlns='u'/><a xmlns='u'/>", 2)] {
        let error = read(&format!("<iq type='set' id='1'>{payloads}</iq>")).unwrap_err();
        assert_eq!(
            error,
            InvalidStanza::Payloads {
                id: "1".into(),
                found
            }
        );
    }
    assert!(read("<iq type='result' id='1'/>").is_ok());
    assert!(matches!(
        read("<message xmlns='urn:other'/>"),
        Err(InvalidStanza::NotAStanza(_))
    ));
    // An unknown type of message is a normal one.
    assert_eq!(
        read("<message type='new'/>").unwrap().kind,
        MessageType::Normal.into()
    );
}

#[test]
fn an_error_goes_back_to_the_sender() {
    let stanza =
        read("<message from='a@a/x' to='b@b' id='7' type='chat'><body>hi</body></message>")
            .unwrap();
    let error = StanzaError::new(Condition::ServiceUnavailable)
        .text("not & now")
        .detail_named("urn:why", "because");
    let answer = stanza.error(&error).unwrap();
    assert_eq!(
        written(&answer),
        "<message from='b@b' to='a@a/x' id='7' type='error'><error type='cancel'>\
         <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>not &amp; now</text>\
         <because xmlns='urn:why'/></error></message>"
    );
    let element = answer
        .open(answer.child(ns::CLIENT, "error").unwrap())
        .unwrap();
    let again = StanzaError::read(&element);
    assert_eq!(again.to_string(), "service-unavailable: not & now");
    assert_eq!(again.kind, ErrorType::Cancel);
    assert!(again.detail.unwrap().name.is("urn:why", "because"));
    assert!(answer.error(&error).is_none(), "an error is not answered");
    for silent in [IqType::Result, IqType::Error] {
        assert!(Stanza::new(silent).id("1").error(&error).is_none());
    }
    assert!(Stanza::new(PresenceType::Probe).error(&error).is_none());
}

#[test]
fn every_condition_has_one_name() {
    for name in [
        "bad-request",
        "gone",
        "policy-violation",
        "unexpected-request",
    ] {
        assert_eq!(Condition::from_name(name).unwrap().name(), name);
    }
    assert_eq!(Condition::from_name("no-such"), None);
}

//! What the server and accounts answer.

use crate::world::World;

#[tokio::test]
async fn everybody_is_answered() {
    let world = World::start().await;
    let mut romeo = world.bound("romeo", "r").await;
    for (to, kind, payload, answer) in [
        (
            "localhost",
            "get",
            "<ping xmlns='urn:xmpp:ping'/>",
            "type='result'",
        ),
        ("", "get", "<ping xmlns='urn:xmpp:ping'/>", "type='result'"),
        (
            "localhost",
            "get",
            "<query xmlns='jabber:iq:version'/>",
            "<name>Folkmoot</name>",
        ),
        (
            "localhost",
            "get",
            "<time xmlns='urn:xmpp:time'/>",
            "<tzo>+00:00</tzo>",
        ),
        (
            "localhost",
            "get",
            "<query xmlns='jabber:iq:last'/>",
            "seconds='",
        ),
        (
            "localhost",
            "get",
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            "<identity category='server' type='im'",
        ),
        (
            "romeo@localhost",
            "get",
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            "<feature var='urn:xmpp:mam:2'/>",
        ),
        (
            "localhost",
            "get",
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
            "disco#items",
        ),
        (
            "juliet@localhost",
            "get",
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            "<service-unavailable",
        ),
        (
            "juliet@localhost",
            "get",
            "<query xmlns='jabber:iq:last'/>",
            "<forbidden",
        ),
        (
            "nobody@localhost",
            "get",
            "<ping xmlns='urn:xmpp:ping'/>",
            "<service-unavailable",
        ),
        (
            "juliet@localhost/gone",
            "get",
            "<ping xmlns='urn:xmpp:ping'/>",
            "<service-unavailable",
        ),
        (
            "elsewhere.example",
            "get",
            "<ping xmlns='urn:xmpp:ping'/>",
            "<remote-server-not-found",
        ),
        (
            "localhost",
            "set",
            "<ping xmlns='urn:xmpp:ping'/>",
            "<feature-not-implemented",
        ),
        (
            "localhost",
            "get",
            "<unknown xmlns='urn:x'/>",
            "<service-unavailable",
        ),
        (
            "",
            "set",
            "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>",
            "type='result'",
        ),
        (
            "",
            "set",
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>",
            "<not-allowed",
        ),
        ("localhost", "get", "", "<bad-request"),
        (
            "@",
            "get",
            "<ping xmlns='urn:xmpp:ping'/>",
            "<jid-malformed",
        ),
    ] {
        let got = romeo.ask(kind, to, payload).await;
        assert!(got.contains(answer), "{to} {payload}: {got}");
    }
}

#[tokio::test]
async fn clients_ask_each_other() {
    let world = World::start().await;
    let mut romeo = world.bound("romeo", "r").await;
    let mut juliet = world.bound("juliet", "j").await;
    romeo
        .send("<iq type='get' to='juliet@localhost/j' id='1'><query xmlns='urn:x'/></iq>")
        .await;
    juliet.expect("<iq from='romeo@localhost/r' id='1' to='juliet@localhost/j' type='get'><query xmlns='urn:x'/></iq>").await;
    juliet
        .send("<iq type='result' to='romeo@localhost/r' id='1'/>")
        .await;
    romeo
        .expect("<iq from='juliet@localhost/j' id='1' to='romeo@localhost/r' type='result'/>")
        .await;
}

#[tokio::test]
async fn private_xml_and_cards_are_kept() {
    let world = World::start().await;
    let mut romeo = world.bound("romeo", "r").await;
    let get = "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>";
    assert!(
        romeo
            .ask("get", "", get)
            .await
            .contains("<storage xmlns='storage:bookmarks'/>")
    );
    let set = "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><conference jid='a@b'/></storage></query>";
    assert!(romeo.ask("set", "", set).await.contains("type='result'"));
    assert!(
        romeo
            .ask("get", "", get)
            .await
            .contains("<conference jid='a@b'/>")
    );
    let card = "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>";
    assert!(romeo.ask("set", "", card).await.contains("type='result'"));
    let mut juliet = world.bound("juliet", "j").await;
    let read = juliet
        .ask("get", "romeo@localhost", "<vCard xmlns='vcard-temp'/>")
        .await;
    assert!(read.contains("<FN>Romeo</FN>"), "{read}");
    let empty = romeo
        .ask("get", "juliet@localhost", "<vCard xmlns='vcard-temp'/>")
        .await;
    assert!(
        empty.contains("vcard-temp") && !empty.contains("error"),
        "{empty}"
    );
}

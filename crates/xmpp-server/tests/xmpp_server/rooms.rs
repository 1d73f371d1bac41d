//! Rooms (XEP-0045) and their archives.

use crate::{client::Client, world::World};

const JOIN: &str = "<x xmlns='http://jabber.org/protocol/muc'/>";

async fn enter(client: &mut Client, room: &str, nick: &str) -> Vec<String> {
    client
        .send(&format!(
            "<presence to='{room}@conference.localhost/{nick}'>{JOIN}</presence>"
        ))
        .await;
    let mut seen = Vec::new();
    loop {
        let found = client.next().await;
        let is_last = found.contains("<subject");
        seen.push(found);
        if is_last {
            return seen;
        }
    }
}

/// A room that is open to all, with its owner in it.
async fn found(client: &mut Client, room: &str, form: &str) {
    let seen = enter(client, room, "owner").await;
    assert!(seen[0].contains("<status code='201'/>"), "{seen:?}");
    let done = client
        .ask(
            "set",
            &format!("{room}@conference.localhost"),
            &format!(
                "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>{form}</x></query>"
            ),
        )
        .await;
    assert!(done.contains("type='result'"), "{done}");
}

const KEPT: &str = "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>\
                    <field var='muc#roomconfig_persistentroom'><value>1</value></field>\
                    <field var='muc#roomconfig_roomname'><value>The Garden</value></field>";

#[tokio::test]
async fn what_is_said_in_a_room_reaches_everybody_in_it() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    let mut juliet = world.available("juliet", "j").await;
    found(&mut romeo, "garden", "").await;
    let seen = enter(&mut juliet, "garden", "J").await;
    assert!(
        seen[0].contains("garden@conference.localhost/owner"),
        "{seen:?}"
    );
    assert!(seen[1].contains("<status code='110'/>"), "{seen:?}");
    romeo.until("garden@conference.localhost/J").await;
    juliet
        .send("<message to='garden@conference.localhost' type='groupchat' id='m'><body>hi all</body></message>")
        .await;
    for client in [&mut romeo, &mut juliet] {
        let got = client.until("hi all").await;
        assert!(
            got.contains("from='garden@conference.localhost/J'"),
            "{got}"
        );
        assert!(
            got.contains("by='garden@conference.localhost'") && got.contains("<occupant-id"),
            "{got}"
        );
    }
    juliet.send("<message to='garden@conference.localhost/owner' type='chat'><body>psst</body></message>").await;
    romeo.until("psst").await;
    juliet.cut();
    let gone = romeo.until("type='unavailable'").await;
    assert!(gone.contains("garden@conference.localhost/J"), "{gone}");
}

#[tokio::test]
async fn a_room_that_is_kept_is_there_again_with_what_was_said() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    found(&mut romeo, "garden", KEPT).await;
    romeo.send("<message to='garden@conference.localhost' type='groupchat'><body>remember</body></message>").await;
    romeo.until("remember").await;
    romeo
        .send("<presence to='garden@conference.localhost/owner' type='unavailable'/>")
        .await;
    romeo.until("type='unavailable'").await;
    let mut juliet = world.available("juliet", "j").await;
    let list = juliet
        .ask(
            "get",
            "conference.localhost",
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        )
        .await;
    assert!(
        list.contains("jid='garden@conference.localhost' name='The Garden'"),
        "{list}"
    );
    let seen = enter(&mut juliet, "garden", "J").await;
    assert!(
        seen.iter()
            .any(|one| one.contains("remember") && one.contains("<delay")),
        "{seen:?}"
    );
    juliet.send("<iq type='set' id='q' to='garden@conference.localhost'><query xmlns='urn:xmpp:mam:2'/></iq>").await;
    let found = juliet.until("<result xmlns='urn:xmpp:mam:2'").await;
    assert!(
        found.contains("remember") && found.contains("from='garden@conference.localhost'"),
        "{found}"
    );
    juliet.until("complete='true'").await;
}

#[tokio::test]
async fn a_room_that_is_not_kept_is_over_with_its_last_occupant() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    found(&mut romeo, "garden", "").await;
    romeo.send("<message to='garden@conference.localhost' type='groupchat'><body>secret</body></message>").await;
    romeo.until("secret").await;
    romeo
        .send("<presence to='garden@conference.localhost/owner' type='unavailable'/>")
        .await;
    romeo.until("type='unavailable'").await;
    let refused = romeo
        .ask(
            "get",
            "garden@conference.localhost",
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        )
        .await;
    assert!(refused.contains("<item-not-found"), "{refused}");
    let seen = enter(&mut romeo, "garden", "again").await;
    assert!(
        seen[0].contains("<status code='201'/>"),
        "it is another room: {seen:?}"
    );
    assert!(!seen.iter().any(|one| one.contains("secret")), "{seen:?}");
}

#[tokio::test]
async fn an_invitation_of_a_room_to_itself_holds_nobody_up() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    found(&mut romeo, "garden", "").await;
    romeo
        .send("<message to='garden@conference.localhost'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='garden@conference.localhost'/></x></message>")
        .await;
    romeo.sync().await;
    let pong = romeo
        .ask(
            "get",
            "garden@conference.localhost/owner",
            "<ping xmlns='urn:xmpp:ping'/>",
        )
        .await;
    assert!(pong.contains("type='result'"), "{pong}");
}

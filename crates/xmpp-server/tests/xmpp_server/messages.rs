//! Who gets a message (RFC 6121 §8.5), copies, and what waits.

use crate::world::World;

const CARBONS: &str = "<enable xmlns='urn:xmpp:carbons:2'/>";

#[tokio::test]
async fn a_message_to_an_account_reaches_every_resource_that_wants_it() {
    let world = World::start().await;
    let mut phone = world.available("juliet", "phone").await;
    let mut desk = world.available("juliet", "desk").await;
    let mut quiet = world.bound("juliet", "quiet").await;
    quiet
        .send("<presence><priority>-1</priority></presence>")
        .await;
    quiet.sync().await;
    phone.sync().await;
    desk.sync().await;
    let mut romeo = world.bound("romeo", "r").await;
    romeo
        .send("<message to='juliet@localhost' type='chat' id='m1'><body>hi</body></message>")
        .await;
    for client in [&mut phone, &mut desk] {
        let got = client.expect("<body>hi</body>").await;
        assert!(
            got.contains("from='romeo@localhost/r' id='m1' to='juliet@localhost' type='chat'"),
            "{got}"
        );
        assert!(
            got.contains("<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@localhost' id='"),
            "{got}"
        );
    }
    assert!(quiet.sync().await.is_empty());
    romeo
        .send("<message to='juliet@localhost/quiet' type='chat'><body>psst</body></message>")
        .await;
    quiet.expect("psst").await;
    assert!(phone.sync().await.is_empty());
}

#[tokio::test]
async fn copies_reach_the_other_resources_of_both_sides() {
    let world = World::start().await;
    let mut phone = world.available("juliet", "phone").await;
    let mut desk = world.available("juliet", "desk").await;
    assert!(desk.ask("set", "", CARBONS).await.contains("type='result'"));
    phone.sync().await;
    let mut romeo = world.available("romeo", "r").await;
    let mut other = world.available("romeo", "other").await;
    other.ask("set", "", CARBONS).await;
    romeo.sync().await;
    romeo
        .send("<message to='juliet@localhost/phone' type='chat'><body>hi</body></message>")
        .await;
    let got = phone.expect("<body>hi</body>").await;
    let copy = desk.expect("<received xmlns='urn:xmpp:carbons:2'>").await;
    assert!(
        copy.contains("from='juliet@localhost' to='juliet@localhost/desk'"),
        "{copy}"
    );
    let id = got.split("stanza-id").nth(1).unwrap();
    assert!(copy.contains(id), "the copy has the archive's id: {copy}");
    let sent = other.expect("<sent xmlns='urn:xmpp:carbons:2'>").await;
    assert!(
        sent.contains("by='romeo@localhost'") && !sent.contains("by='juliet@localhost'"),
        "{sent}"
    );
    romeo.send("<message to='juliet@localhost/phone' type='chat'><body>secret</body><private xmlns='urn:xmpp:carbons:2'/></message>").await;
    phone.expect("secret").await;
    assert!(desk.sync().await.is_empty());
    assert!(other.sync().await.is_empty());
    assert!(romeo.sync().await.is_empty());
}

#[tokio::test]
async fn each_kind_of_message_has_its_way() {
    let world = World::start().await;
    let mut romeo = world.bound("romeo", "r").await;
    let mut juliet = world.bound("juliet", "connected").await;
    for (to, kind, outcome) in [
        ("juliet@localhost", "groupchat", "service-unavailable"),
        ("juliet@localhost/gone", "normal", "service-unavailable"),
        ("juliet@localhost", "headline", ""),
        ("juliet@localhost/gone", "headline", ""),
        ("nobody@localhost", "chat", "service-unavailable"),
        ("localhost", "chat", "service-unavailable"),
        ("a@elsewhere.example", "chat", "remote-server-not-found"),
        ("juliet@localhost", "error", ""),
    ] {
        romeo
            .send(&format!(
                "<message to='{to}' type='{kind}' id='1'><body>hi</body></message>"
            ))
            .await;
        let answers = romeo.sync().await;
        match outcome {
            "" => assert!(answers.is_empty(), "{to} {kind}: {answers:?}"),
            outcome => {
                assert_eq!(answers.len(), 1, "{to} {kind}: {answers:?}");
                assert!(
                    answers[0].contains(outcome) && answers[0].contains("id='1'"),
                    "{answers:?}"
                );
            }
        }
    }
    romeo
        .send(
            "<message to='juliet@localhost/connected' type='normal'><body>direct</body></message>",
        )
        .await;
    juliet.expect("direct").await;
}

#[tokio::test]
async fn messages_wait_for_who_is_away() {
    let world = World::start().await;
    let mut romeo = world.bound("romeo", "r").await;
    for n in 1..=3 {
        romeo
            .send(&format!(
                "<message to='juliet@localhost' type='chat'><body>number {n}</body></message>"
            ))
            .await;
    }
    romeo.send("<message to='juliet@localhost' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>").await;
    assert!(romeo.sync().await.is_empty());
    let mut juliet = world.bound("juliet", "phone").await;
    juliet.send("<presence/>").await;
    let mut got = juliet.sync().await;
    got.retain(|stanza| stanza.starts_with("<message"));
    assert_eq!(got.len(), 3, "{got:?}");
    for (n, message) in (1..).zip(&got) {
        assert!(message.contains(&format!("number {n}")), "{got:?}");
        assert!(
            message.contains("<delay xmlns='urn:xmpp:delay' from='localhost' stamp='20"),
            "{message}"
        );
    }
    let mut again = world.available("juliet", "desk").await;
    let late = again.sync().await;
    assert!(
        late.iter().all(|stanza| !stanza.starts_with("<message")),
        "each is handed over once: {late:?}"
    );
}

#[tokio::test]
async fn only_so_much_waits() {
    let world = World::with(|options| options.offline = 2).await;
    let mut romeo = world.bound("romeo", "r").await;
    // Without an archive nothing else has it.
    let message = "<message to='juliet@localhost' type='chat' id='1'><body>hi</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>";
    for _ in 0..3 {
        romeo.send(message).await;
    }
    let answers = romeo.sync().await;
    assert!(answers.len() <= 1, "{answers:?}");
}

#[tokio::test]
async fn an_inactive_client_is_spared() {
    let world = World::start().await;
    let mut juliet = world.available("juliet", "phone").await;
    juliet.send("<inactive xmlns='urn:xmpp:csi:0'/>").await;
    let mut desk = world.available("juliet", "desk").await;
    desk.send("<presence><show>away</show></presence>").await;
    desk.sync().await;
    let mut romeo = world.bound("romeo", "r").await;
    romeo.send("<message to='juliet@localhost/phone' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>").await;
    romeo
        .send("<message to='juliet@localhost/phone' type='chat'><body>hi</body></message>")
        .await;
    juliet.expect("<show>away</show>").await;
    juliet.expect("<body>hi</body>").await;
}

#[tokio::test]
async fn ids_of_archives_cannot_be_forged() {
    let world = World::start().await;
    let mut juliet = world.available("juliet", "phone").await;
    let mut romeo = world.bound("romeo", "r").await;
    romeo
        .send(
            "<message to='juliet@localhost' type='chat'><body>hi</body>\
               <stanza-id xmlns='urn:xmpp:sid:0' by='juliet@localhost' id='forged'/>\
               <stanza-id xmlns='urn:xmpp:sid:0' by='elsewhere.example' id='kept'/></message>",
        )
        .await;
    let got = juliet.expect("<body>hi</body>").await;
    assert!(!got.contains("forged") && got.contains("kept"), "{got}");
    assert_eq!(got.matches("by='juliet@localhost'").count(), 1, "{got}");
}

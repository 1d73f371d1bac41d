//! Contact lists (RFC 6121 §2).

use crate::{client::attribute, world::World};

const GET: &str = "<query xmlns='jabber:iq:roster'/>";

#[tokio::test]
async fn changes_are_pushed_to_who_asked_for_the_list() {
    let world = World::start().await;
    let mut phone = world.bound("romeo", "phone").await;
    let mut desk = world.bound("romeo", "desk").await;
    let mut blind = world.bound("romeo", "blind").await;
    for client in [&mut phone, &mut desk] {
        let empty = client.ask("get", "", GET).await;
        assert!(
            empty.contains("<query xmlns='jabber:iq:roster'></query>"),
            "{empty}"
        );
    }
    phone
        .send("<iq type='set' id='add'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' name='J'><group>Friends</group></item></query></iq>")
        .await;
    phone.expect("<iq id='add' ").await;
    for client in [&mut phone, &mut desk] {
        let push = client.expect("<item jid='juliet@localhost' name='J' subscription='none'><group>Friends</group></item>").await;
        assert!(
            push.contains("from='romeo@localhost'") && push.contains("type='set'"),
            "{push}"
        );
    }
    assert!(blind.sync().await.is_empty());
    desk.send("<iq type='set' id='remove'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' subscription='remove'/></query></iq>").await;
    desk.expect("<iq id='remove' ").await;
    phone.expect("subscription='remove'").await;
    let gone = phone.ask("set", "", "<query xmlns='jabber:iq:roster'><item jid='juliet@localhost' subscription='remove'/></query>").await;
    assert!(gone.contains("<item-not-found"), "{gone}");
}

#[tokio::test]
async fn who_knows_a_version_is_told_only_what_changed() {
    let world = World::start().await;
    let mut client = world.bound("romeo", "phone").await;
    let add = |jid: &str| format!("<query xmlns='jabber:iq:roster'><item jid='{jid}'/></query>");
    client.ask("set", "", &add("juliet@localhost")).await;
    let whole = client
        .ask("get", "", "<query xmlns='jabber:iq:roster' ver=''/>")
        .await;
    assert!(whole.contains("juliet@localhost"), "{whole}");
    let version = attribute(&whole, "ver").to_owned();
    let ask = format!("<query xmlns='jabber:iq:roster' ver='{version}'/>");
    let unchanged = client.ask("get", "", &ask).await;
    assert!(!unchanged.contains("<query"), "{unchanged}");
    client.ask("set", "", &add("nurse@localhost")).await;
    client.until("nurse@localhost").await;
    let changed = client.ask("get", "", &ask).await;
    assert!(!changed.contains("<query"), "{changed}");
    let push = client.expect("<item jid='nurse@localhost'").await;
    assert_ne!(attribute(&push, "ver"), version);
    assert!(client.sync().await.is_empty());
}

#[tokio::test]
async fn a_list_outlives_its_sessions() {
    let world = World::start().await;
    let mut client = world.bound("romeo", "phone").await;
    client
        .ask(
            "set",
            "",
            "<query xmlns='jabber:iq:roster'><item jid='juliet@localhost'/></query>",
        )
        .await;
    client.send("</stream:stream>").await;
    client.until("</stream>").await;
    let mut again = world.bound("romeo", "phone").await;
    assert!(again.ask("get", "", GET).await.contains("juliet@localhost"));
}

#[tokio::test]
async fn nobody_reads_or_changes_the_list_of_another() {
    let world = World::start().await;
    let mut client = world.bound("romeo", "phone").await;
    for kind in ["get", "set"] {
        let refused = client
            .ask(
                kind,
                "juliet@localhost",
                "<query xmlns='jabber:iq:roster'><item jid='romeo@localhost'/></query>",
            )
            .await;
        assert!(refused.contains("<service-unavailable"), "{refused}");
    }
}

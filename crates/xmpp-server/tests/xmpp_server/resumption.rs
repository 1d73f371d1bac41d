//! Stream management: acknowledgements and sessions that survive a cut (XEP-0198).

use crate::{client::attribute, world::World};

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

#[tokio::test]
async fn a_session_goes_on_after_a_cut_and_nothing_is_lost_or_doubled() {
    let world = World::start().await;
    let mut romeo = world.bound("romeo", "r").await;
    let mut juliet = world.bound("juliet", "j").await;
    juliet.send(ENABLE).await;
    let enabled = juliet.expect("<enabled").await;
    let id = attribute(&enabled, "id").to_owned();
    juliet.send("<presence/>").await;
    juliet.expect("<presence").await;
    juliet.expect("<r xmlns='urn:xmpp:sm:3'/>").await;
    juliet.send("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    romeo
        .send("<message to='juliet@localhost' type='chat'><body>one</body></message>")
        .await;
    juliet.expect("<body>one</body>").await;
    juliet.cut();
    romeo
        .send("<message to='juliet@localhost' type='chat'><body>two</body></message>")
        .await;
    romeo.sync().await;
    let mut back = world.connect().await;
    back.log_in("juliet", "SCRAM-SHA-1").await;
    back.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='1'/>"
    ))
    .await;
    back.expect(&format!(
        "<resumed xmlns='urn:xmpp:sm:3' h='1' previd='{id}'/>"
    ))
    .await;
    back.expect("<body>one</body>").await;
    back.expect("<body>two</body>").await;
    back.until("<r xmlns='urn:xmpp:sm:3'/>").await;
    back.send("<a xmlns='urn:xmpp:sm:3' h='3'/>").await;
    romeo
        .send("<message to='juliet@localhost' type='chat'><body>three</body></message>")
        .await;
    back.expect("<body>three</body>").await;
}

#[tokio::test]
async fn what_a_session_had_not_got_at_its_end_waits_for_the_next() {
    let world =
        World::with(|options| options.resumption = std::time::Duration::from_millis(200)).await;
    let mut romeo = world.bound("romeo", "r").await;
    let mut juliet = world.bound("juliet", "j").await;
    juliet.send(ENABLE).await;
    let id = attribute(&juliet.expect("<enabled").await, "id").to_owned();
    juliet.send("<presence/>").await;
    juliet.expect("<presence").await;
    juliet.cut();
    romeo
        .send("<message to='juliet@localhost' type='chat'><body>lost?</body></message>")
        .await;
    romeo.sync().await;
    while world.server.sessions() > 1 {
        tokio::task::yield_now().await;
    }
    let mut next = world.connect().await;
    next.log_in("juliet", "SCRAM-SHA-1").await;
    next.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"
    ))
    .await;
    next.expect("<failed xmlns='urn:xmpp:sm:3' h='1'>").await;
    next.bind("k").await;
    next.send("<presence/>").await;
    let got = next.until("lost?").await;
    assert!(got.contains("<delay"), "{got}");
}

#[tokio::test]
async fn a_session_is_resumed_only_by_its_own_account() {
    let world = World::start().await;
    let mut juliet = world.bound("juliet", "j").await;
    juliet.send(ENABLE).await;
    let id = attribute(&juliet.expect("<enabled").await, "id").to_owned();
    let mut romeo = world.connect().await;
    romeo.log_in("romeo", "SCRAM-SHA-1").await;
    romeo
        .send(&format!(
            "<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"
        ))
        .await;
    let failed = romeo.expect("<failed").await;
    assert!(
        failed.contains("<item-not-found") && !failed.contains(" h="),
        "{failed}"
    );
}

#[tokio::test]
async fn who_comes_back_before_the_cut_is_noticed_takes_over() {
    let world = World::start().await;
    let mut old = world.bound("juliet", "j").await;
    old.send(ENABLE).await;
    let id = attribute(&old.expect("<enabled").await, "id").to_owned();
    let mut new = world.connect().await;
    new.log_in("juliet", "SCRAM-SHA-1").await;
    new.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"
    ))
    .await;
    new.expect("<resumed").await;
    old.until("<conflict").await;
    assert!(new.sync().await.is_empty());
}

#[tokio::test]
async fn counts_that_cannot_be_end_the_stream() {
    let world = World::start().await;
    let mut client = world.bound("juliet", "j").await;
    client.send(ENABLE).await;
    client.expect("<enabled").await;
    client.send("<r xmlns='urn:xmpp:sm:3'/>").await;
    client.expect("<a xmlns='urn:xmpp:sm:3' h='0'/>").await;
    client.send(ENABLE).await;
    client.expect("<unexpected-request").await;
    client.send("<a xmlns='urn:xmpp:sm:3' h='7'/>").await;
    client.expect("<handled-count-too-high").await;
    client.expect_end().await;
}

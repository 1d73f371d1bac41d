//! Whom accounts block (XEP-0191).

use crate::world::World;

const LIST: &str = "<blocklist xmlns='urn:xmpp:blocking'/>";

#[tokio::test]
async fn nothing_comes_from_who_is_blocked_and_nothing_goes_there() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    let mut juliet = world.available("juliet", "j").await;
    world.befriend(&mut romeo, &mut juliet).await;
    let list = juliet.ask("get", "", LIST).await;
    assert!(
        list.contains("<blocklist xmlns='urn:xmpp:blocking'/>"),
        "{list}"
    );
    juliet
        .send("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block></iq>")
        .await;
    juliet.expect("<iq id='b' ").await;
    juliet
        .expect("<block xmlns='urn:xmpp:blocking'><item jid='romeo@localhost'/></block>")
        .await;
    romeo
        .until("<presence from='juliet@localhost/j' to='romeo@localhost' type='unavailable'")
        .await;
    romeo
        .send("<message to='juliet@localhost' type='chat'><body>hi</body></message>")
        .await;
    romeo.expect("<service-unavailable").await;
    romeo.send("<presence><show>away</show></presence>").await;
    romeo.sync().await;
    assert!(juliet.sync().await.is_empty());
    juliet
        .send("<message to='romeo@localhost' type='chat'><body>hi</body></message>")
        .await;
    let refused = juliet.expect("<not-acceptable").await;
    assert!(
        refused.contains("<blocked xmlns='urn:xmpp:blocking:errors'/>"),
        "{refused}"
    );
    juliet
        .send("<iq type='set' id='u'><unblock xmlns='urn:xmpp:blocking'/></iq>")
        .await;
    juliet.expect("<iq id='u' ").await;
    romeo.until("<presence from='juliet@localhost/j'").await;
    romeo
        .send("<message to='juliet@localhost' type='chat'><body>again</body></message>")
        .await;
    juliet.until("again").await;
}

#[tokio::test]
async fn a_list_outlives_its_sessions() {
    let world = World::start().await;
    let mut juliet = world.bound("juliet", "j").await;
    juliet
        .ask(
            "set",
            "",
            "<block xmlns='urn:xmpp:blocking'><item jid='spam.example'/></block>",
        )
        .await;
    juliet.cut();
    let mut again = world.bound("juliet", "k").await;
    assert!(again.ask("get", "", LIST).await.contains("spam.example"));
    let refused = again
        .ask("set", "", "<block xmlns='urn:xmpp:blocking'/>")
        .await;
    assert!(refused.contains("<bad-request"), "{refused}");
}

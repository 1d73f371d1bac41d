//! Presence and subscriptions (RFC 6121 §3 and §4).

use crate::world::World;

const GET: &str = "<query xmlns='jabber:iq:roster'/>";

#[tokio::test]
async fn two_people_come_to_see_each_other() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    let mut juliet = world.available("juliet", "j").await;
    romeo.ask("get", "", GET).await;
    juliet.ask("get", "", GET).await;
    romeo.send("<presence to='juliet@localhost/ignored' type='subscribe' id='s'><status>it is me</status></presence>").await;
    romeo
        .expect("<item jid='juliet@localhost' subscription='none' ask='subscribe'/>")
        .await;
    let asked = juliet.expect("type='subscribe'").await;
    assert!(
        asked.contains("from='romeo@localhost' id='s' to='juliet@localhost'")
            && asked.contains("it is me"),
        "{asked}"
    );
    juliet
        .send("<presence to='romeo@localhost' type='subscribed'/>")
        .await;
    juliet
        .expect("<item jid='romeo@localhost' subscription='from'/>")
        .await;
    romeo
        .expect("<item jid='juliet@localhost' subscription='to'/>")
        .await;
    romeo.expect("type='subscribed'").await;
    let seen = romeo.expect("<presence from='juliet@localhost/j'").await;
    assert!(seen.contains("to='romeo@localhost'"), "{seen}");
    juliet.send("<presence><show>away</show></presence>").await;
    romeo.expect("<show>away</show>").await;
    juliet
        .send("<presence to='romeo@localhost' type='subscribe'/>")
        .await;
    romeo.until("type='subscribe'").await;
    romeo
        .send("<presence to='juliet@localhost' type='subscribed'/>")
        .await;
    juliet.until("<presence from='romeo@localhost/r'").await;
    // Who comes back sees, and is seen.
    romeo.send("<presence type='unavailable'/>").await;
    juliet.until("type='unavailable'").await;
    romeo.send("<presence/>").await;
    juliet.until("<presence from='romeo@localhost/r'").await;
    romeo.until("<show>away</show>").await;
    // And who ends it is not seen any more.
    juliet
        .send("<presence to='romeo@localhost' type='unsubscribed'/>")
        .await;
    let gone = romeo.until("type='unavailable'").await;
    assert!(gone.contains("from='juliet@localhost/j'"), "{gone}");
}

#[tokio::test]
async fn a_request_waits_for_its_answer() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    romeo
        .send("<presence to='juliet@localhost' type='subscribe'><status>please</status></presence>")
        .await;
    romeo.sync().await;
    for _ in 0..2 {
        let mut juliet = world.available("juliet", "j").await;
        let roster = juliet.ask("get", "", GET).await;
        assert!(!roster.contains("romeo"), "{roster}");
        juliet.send("<presence type='unavailable'/>").await;
        juliet.send("<presence/>").await;
        juliet.until("please").await;
    }
}

#[tokio::test]
async fn who_was_approved_before_is_let_in_at_once() {
    let world = World::start().await;
    let mut juliet = world.available("juliet", "j").await;
    juliet.ask("get", "", GET).await;
    juliet
        .send("<presence to='romeo@localhost' type='subscribed'/>")
        .await;
    juliet.expect("approved='true'").await;
    let mut romeo = world.available("romeo", "r").await;
    romeo
        .send("<presence to='juliet@localhost' type='subscribe'/>")
        .await;
    romeo.until("type='subscribed'").await;
    romeo.until("<presence from='juliet@localhost/j'").await;
    juliet
        .until("<item jid='romeo@localhost' subscription='from'/>")
        .await;
}

#[tokio::test]
async fn a_cut_is_told_in_the_clients_name() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    let mut juliet = world.available("juliet", "j").await;
    world.befriend(&mut romeo, &mut juliet).await;
    let mut nurse = world.available("nurse", "n").await;
    romeo.send("<presence to='nurse@localhost/n'/>").await;
    nurse.expect("from='romeo@localhost/r'").await;
    romeo.cut();
    juliet
        .until("<presence from='romeo@localhost/r' to='juliet@localhost' type='unavailable'")
        .await;
    nurse.until("type='unavailable'").await;
}

#[tokio::test]
async fn removing_a_contact_ends_everything_between_both() {
    let world = World::start().await;
    let mut romeo = world.available("romeo", "r").await;
    let mut juliet = world.available("juliet", "j").await;
    juliet.ask("get", "", GET).await;
    world.befriend(&mut romeo, &mut juliet).await;
    romeo.ask("set", "", "<query xmlns='jabber:iq:roster'><item jid='juliet@localhost' subscription='remove'/></query>").await;
    juliet.until("type='unavailable'").await;
    let roster = juliet.ask("get", "", GET).await;
    assert!(
        roster.contains("<item jid='romeo@localhost' subscription='none'/>"),
        "{roster}"
    );
}

#[tokio::test]
async fn strangers_learn_nothing_by_probing() {
    let world = World::start().await;
    let _juliet = world.available("juliet", "j").await;
    let mut romeo = world.available("romeo", "r").await;
    romeo
        .send("<presence to='juliet@localhost' type='probe'/>")
        .await;
    assert!(romeo.sync().await.is_empty());
    romeo
        .send("<presence><priority>500</priority></presence>")
        .await;
    romeo.expect("<bad-request").await;
}

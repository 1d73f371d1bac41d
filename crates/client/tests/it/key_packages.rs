use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use folkmoot_client::{Background, Client, Clock, ManualClock, Unusable, db::rusqlite};
use folkmoot_testkit::TestNode;
use folkmoot_wire::InstallationKey;

use crate::support::{Generation, Wire, both_generations, client, wallet};

both_generations!(
    a_key_package_is_renewed_in_time,
    secrets_outlive_their_key_package_by_a_day,
    who_was_away_can_open_what_was_sealed_to_an_old_key_package,
    one_that_does_not_come_through_is_uploaded_again,
);

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn start(generation: Generation, node: &TestNode, clock: &ManualClock) -> Client {
    let builder = client(generation, node)
        .background(Background::Off)
        .clock(Arc::new(clock.clone()));
    builder.create(&wallet(1)).await.unwrap()
}

async fn package(client: &Client) -> Bytes {
    let key = client.installation_key();
    let packages = client.network().key_packages(&[key]).await.unwrap();
    packages.into_iter().next().flatten().unwrap()
}

async fn secrets(client: &Client) -> i64 {
    let count = client.database().read(|connection: &rusqlite::Connection| {
        let sql = "SELECT count(*) FROM key_package";
        Ok(connection.query_row(sql, [], |row| row.get(0))?)
    });
    count.await.unwrap()
}

/// A clock that is behind: what is made by it in the next 40 days the node takes, whose clock is
/// the real one.
fn behind() -> ManualClock {
    let now_ns = ManualClock::now().now_ns();
    ManualClock::new(now_ns - u64::try_from((40 * DAY).as_nanos()).unwrap())
}

async fn a_key_package_is_renewed_in_time(generation: Generation) {
    let node = TestNode::start().await;
    let clock = behind();
    let phone = start(generation, &node, &clock).await;
    let first = package(&phone).await;
    clock.advance(30 * DAY - Duration::from_secs(1));
    assert!(!phone.renew_key_package_if_due().await.unwrap());
    assert_eq!(package(&phone).await, first);
    clock.advance(Duration::from_secs(1));
    assert!(phone.renew_key_package_if_due().await.unwrap());
    assert_ne!(package(&phone).await, first);
}

async fn one_that_does_not_come_through_is_uploaded_again(generation: Generation) {
    let node = TestNode::start().await;
    let wire = Wire::to(&node.url).await;
    // So far behind that the node takes the third one too.
    let month = u64::try_from((30 * DAY).as_nanos()).unwrap();
    let clock = ManualClock::new(behind().now_ns() - month);
    let builder = Client::builder()
        .address(generation.address(&wire.url))
        .background(Background::Off)
        .clock(Arc::new(clock.clone()));
    let phone = builder.create(&wallet(1)).await.unwrap();
    let first = package(&phone).await;
    clock.advance(30 * DAY);
    wire.close();
    for _ in 0..2 {
        assert!(phone.renew_key_package_if_due().await.is_err());
        clock.advance(DAY);
        assert_eq!(secrets(&phone).await, 2);
    }
    wire.open();
    assert!(phone.renew_key_package_if_due().await.unwrap());
    assert_eq!(secrets(&phone).await, 2);
    let second = package(&phone).await;
    assert_ne!(second, first);
    // The next one is a new one.
    clock.advance(28 * DAY);
    assert!(phone.renew_key_package_if_due().await.unwrap());
    assert_ne!(package(&phone).await, second);
}

async fn secrets_outlive_their_key_package_by_a_day(generation: Generation) {
    let node = TestNode::start().await;
    let clock = behind();
    let phone = start(generation, &node, &clock).await;
    assert_eq!(secrets(&phone).await, 1);
    clock.advance(30 * DAY);
    assert!(phone.renew_key_package_if_due().await.unwrap());
    assert_eq!(secrets(&phone).await, 2);
    assert!(!phone.renew_key_package_if_due().await.unwrap());
    clock.advance(DAY - Duration::from_secs(1));
    assert!(!phone.renew_key_package_if_due().await.unwrap());
    assert_eq!(secrets(&phone).await, 2);
    clock.advance(Duration::from_secs(1));
    assert!(!phone.renew_key_package_if_due().await.unwrap());
    assert_eq!(secrets(&phone).await, 1);
}

async fn who_was_away_can_open_what_was_sealed_to_an_old_key_package(generation: Generation) {
    let node = TestNode::start().await;
    let clock = behind();
    let phone = start(generation, &node, &clock).await;
    let old = package(&phone).await;
    clock.advance(30 * DAY);
    assert!(phone.renew_key_package_if_due().await.unwrap());
    // Whoever asked a moment ago was given the old one.
    let new = package(&phone).await;
    let key = phone.installation_key();
    phone.network().upload_key_package(&key, old).await.unwrap();
    let friend = client(generation, &node).create(&wallet(2)).await.unwrap();
    let invited = friend.conversations().new_dm(phone.inbox_id()).await;
    let dm = invited.unwrap();
    phone.network().upload_key_package(&key, new).await.unwrap();
    // The phone was off, and looks after its key packages before anything else.
    clock.advance(2 * DAY);
    phone.renew_key_package_if_due().await.unwrap();
    phone.conversations().sync().await.unwrap();
    phone.conversations().get(dm.id()).await.unwrap();
    assert_eq!(secrets(&phone).await, 1);
}

#[tokio::test]
async fn who_cannot_be_added_is_told_why() {
    let node = TestNode::start().await;
    let clock = ManualClock::now();
    let phone = start(Generation::V3, &node, &clock).await;
    let nobody = InstallationKey::from_bytes([9; 32]);
    let keys = [nobody, phone.installation_key()];
    let statuses = phone.key_package_statuses(&keys).await.unwrap();
    assert_eq!(statuses[0].package, Err(Unusable::Missing));
    assert!(statuses[1].package.is_ok());
    clock.advance(85 * DAY);
    let statuses = phone.key_package_statuses(&keys).await.unwrap();
    assert!(matches!(statuses[1].package, Err(Unusable::Invalid(_))));
}

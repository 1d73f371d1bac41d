use folkmoot_client::HistoryError;
use folkmoot_client::{Client, Error};
use folkmoot_conversation::{ConsentEntity, ConsentState, archive::ArchiveOptions};
use folkmoot_wire::InboxId;

use crate::home::{Home, eventually, group, texts};

/// Both look at the network until neither has anything new to tell.
pub(crate) async fn meet(one: &Client, other: &Client) {
    for _ in 0..3 {
        for device in [one, other] {
            let summary = device.sync_devices().await.unwrap();
            assert_eq!(summary.failed, 0);
        }
    }
}

async fn consent(client: &Client, entity: &ConsentEntity) -> ConsentState {
    client.preferences().consent(entity.clone()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_on_one_device_holds_on_the_other() {
    let home = Home::new().await;
    let (phone, laptop) = (home.device(1).await, home.device(1).await);
    meet(&laptop, &phone).await;
    let somebody = ConsentEntity::Inbox(InboxId::from_bytes([5; 32]));
    phone
        .preferences()
        .set_consent([(somebody.clone(), ConsentState::Denied)])
        .await
        .unwrap();
    assert_eq!(phone.sync_devices().await.unwrap().told, 1);
    laptop.sync_devices().await.unwrap();
    assert_eq!(consent(&laptop, &somebody).await, ConsentState::Denied);
    // What was told is not told back.
    assert_eq!(laptop.sync_devices().await.unwrap().told, 0);

    laptop
        .preferences()
        .set_consent([(somebody.clone(), ConsentState::Allowed)])
        .await
        .unwrap();
    meet(&laptop, &phone).await;
    assert_eq!(consent(&phone, &somebody).await, ConsentState::Allowed);
    assert_eq!(consent(&laptop, &somebody).await, ConsentState::Allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_devices_of_a_person_have_one_key_for_push() {
    let home = Home::new().await;
    let bob = home.client(2).await;
    let phone = home.device(1).await;
    let picnic = group(&phone, &[&bob], "picnic").await;
    picnic.send_text("before the laptop").await.unwrap();
    let laptop = home.device(1).await;
    meet(&laptop, &phone).await;
    meet(&laptop, &phone).await;
    laptop.conversations().sync().await.unwrap();
    let keys = phone.hmac_keys().await.unwrap();
    let same = laptop.hmac_keys().await.unwrap();
    assert!(keys.contains_key(picnic.id()));
    assert_eq!(keys[picnic.id()], same[picnic.id()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_device_is_in_the_conversations_without_anybody_speaking() {
    // Whoever of the two looks first makes the group in which they meet.
    for laptop_first in [true, false] {
        let home = Home::new().await;
        let bob = home.client(2).await;
        let phone = home.device(1).await;
        let picnic = group(&phone, &[&bob], "picnic").await;
        let laptop = home.device(1).await;
        if laptop_first {
            meet(&laptop, &phone).await;
        } else {
            meet(&phone, &laptop).await;
        }
        laptop.conversations().sync().await.unwrap();
        let there = laptop.conversations().get(picnic.id()).await.unwrap();
        there.send_text("from the laptop").await.unwrap();
        picnic.sync().await.unwrap();
        assert_eq!(texts(&picnic).await, ["from the laptop"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_device_gets_the_history_it_asks_for() {
    let home = Home::new().await;
    let bob = home.client(2).await;
    let phone = home.device(1).await;
    let picnic = group(&phone, &[&bob], "picnic").await;
    for number in 0..20 {
        picnic.send_text(format!("number {number}")).await.unwrap();
    }
    let laptop = home.device(1).await;
    meet(&laptop, &phone).await;
    let pin = laptop
        .send_sync_request(ArchiveOptions::everything())
        .await
        .unwrap();
    meet(&phone, &laptop).await;
    let there = laptop.conversations().get(picnic.id()).await.unwrap();
    assert_eq!(texts(&there).await.len(), 20);
    assert_eq!(there.name(), "picnic");
    let offered = laptop.available_archives(0).await.unwrap();
    assert_eq!(offered.len(), 1);
    assert_eq!(offered[0].pin, pin);
    assert_eq!(offered[0].sent_by, phone.installation_key());
    let again = laptop.process_sync_archive(Some(&pin)).await.unwrap();
    assert_eq!(again.messages, 0);
    let refused = laptop
        .process_sync_archive(Some("other"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::History(HistoryError::NotOffered(_))),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_thing_that_a_new_device_says_may_be_that_it_wants_or_has_history() {
    let home = Home::new().await;
    let phone = home.device(1).await;
    let lonely = phone.send_sync_request(ArchiveOptions::everything()).await;
    assert!(
        matches!(lonely, Err(Error::History(HistoryError::NoSyncGroup))),
        "{lonely:?}"
    );
    let picnic = group(&phone, &[], "picnic").await;
    picnic.send_text("before the laptop").await.unwrap();
    let laptop = home.device(1).await;
    let everything = ArchiveOptions::everything();
    let pin = laptop.send_sync_request(everything.clone()).await.unwrap();
    meet(&phone, &laptop).await;
    let there = laptop.conversations().get(picnic.id()).await.unwrap();
    assert_eq!(texts(&there).await, ["before the laptop"]);
    assert_eq!(laptop.available_archives(0).await.unwrap()[0].pin, pin);
    let tablet = home.device(1).await;
    tablet
        .send_sync_archive(everything, "tablet")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_not_sent_to_a_server_that_a_device_was_not_set_to() {
    let home = Home::new().await;
    let phone = home.device(1).await;
    let laptop = home
        .builder()
        .history_url("http://127.0.0.1:9")
        .background(folkmoot_client::Background::Off);
    let laptop = laptop.create(&crate::home::wallet(1)).await.unwrap();
    meet(&laptop, &phone).await;
    laptop
        .send_sync_request(ArchiveOptions::everything())
        .await
        .unwrap();
    meet(&phone, &laptop).await;
    assert!(laptop.available_archives(0).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_are_awake_agree_by_themselves() {
    let home = Home::new().await;
    let (phone, laptop) = (home.awake(1).await, home.awake(1).await);
    let somebody = ConsentEntity::Inbox(InboxId::from_bytes([5; 32]));
    let _listening = (
        phone.preferences().stream_consent().await.unwrap(),
        laptop.preferences().stream_consent().await.unwrap(),
    );
    phone
        .preferences()
        .set_consent([(somebody.clone(), ConsentState::Denied)])
        .await
        .unwrap();
    eventually("the laptop knows", || async {
        consent(&laptop, &somebody).await == ConsentState::Denied
    })
    .await;
}

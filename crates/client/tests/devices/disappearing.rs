use std::time::Duration;

use folkmoot_client::{Background, Clock as _, ManualClock, SystemClock, db::DatabaseKey};
use folkmoot_conversation::{ArchiveKey, archive::ArchiveOptions, context::DisappearingSettings};

use crate::home::{Home, group, texts, wallet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_disappear_on_both_sides_when_their_time_is_over() {
    let home = Home::new().await;
    let clock = ManualClock::now();
    let alice = home.timed(1, &clock).await;
    let bob = home.timed(2, &clock).await;
    let mut picnic = group(&alice, &[&bob], "picnic").await;
    picnic.send_text("this stays").await.unwrap();
    let settings = DisappearingSettings {
        from_ns: 1,
        in_ns: 60_000_000_000,
    };
    picnic.set_disappearing(Some(settings)).await.unwrap();
    picnic.send_text("this goes").await.unwrap();
    let there = bob.conversations().get(picnic.id()).await.unwrap();
    there.sync().await.unwrap();
    assert_eq!(texts(&there).await, ["this stays", "this goes"]);

    clock.advance(Duration::from_secs(59));
    assert!(bob.remove_expired_messages().await.unwrap().is_empty());
    clock.advance(Duration::from_secs(2));
    assert_eq!(bob.remove_expired_messages().await.unwrap().len(), 1);
    assert_eq!(alice.remove_expired_messages().await.unwrap().len(), 1);
    assert_eq!(texts(&there).await, ["this stays"]);
    assert_eq!(texts(&picnic).await, ["this stays"]);
    assert!(bob.remove_expired_messages().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_opened_shows_nothing_whose_time_is_over() {
    let home = Home::new().await;
    let clock = ManualClock::now();
    let file = home.folder.path().join("alice.db");
    let open = async || {
        home.builder()
            .database(&file, DatabaseKey::Raw([7; 32]))
            .background(Background::Off)
            .clock(std::sync::Arc::new(clock.clone()))
            .create(&wallet(1))
            .await
            .unwrap()
    };
    let alice = open().await;
    let mut picnic = group(&alice, &[], "picnic").await;
    let settings = DisappearingSettings {
        from_ns: 1,
        in_ns: 60_000_000_000,
    };
    picnic.set_disappearing(Some(settings)).await.unwrap();
    picnic.send_text("this goes").await.unwrap();
    let id = picnic.id().clone();
    drop(picnic);
    alice.close().await;

    clock.advance(Duration::from_secs(61));
    let alice = open().await;
    let picnic = alice.conversations().get(&id).await.unwrap();
    assert!(texts(&picnic).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_by_an_archive_disappear_too() {
    let home = Home::new().await;
    let clock = ManualClock::now();
    let (phone, laptop) = (home.timed(1, &clock).await, home.timed(1, &clock).await);
    let mut picnic = group(&phone, &[], "picnic").await;
    picnic.send_text("this stays").await.unwrap();
    let settings = DisappearingSettings {
        // Nodes have the real time.
        from_ns: i64::try_from(SystemClock.now_ns()).unwrap(),
        in_ns: 60_000_000_000,
    };
    picnic.set_disappearing(Some(settings)).await.unwrap();
    picnic.send_text("this is over").await.unwrap();
    clock.advance(Duration::from_secs(61));
    picnic.send_text("this goes").await.unwrap();
    let path = home.folder.path().join("phone.xmtp");
    let key = ArchiveKey::from_bytes([3; 32]);
    let options = ArchiveOptions::everything();
    let made = phone.create_archive_file(&path, key.clone(), options).await;
    made.unwrap();
    laptop.import_archive_file(&path, key).await.unwrap();
    let there = laptop.conversations().get(picnic.id()).await.unwrap();
    let shown = texts(&there).await;
    assert!(!shown.contains(&"this is over".to_owned()), "{shown:?}");
    assert!(shown.contains(&"this goes".to_owned()), "{shown:?}");
    clock.advance(Duration::from_secs(61));
    laptop.remove_expired_messages().await.unwrap();
    assert_eq!(texts(&there).await, ["this stays"]);
}

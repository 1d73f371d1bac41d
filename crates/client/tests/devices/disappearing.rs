use std::time::Duration;

use folkmoot_client::ManualClock;
use folkmoot_conversation::context::DisappearingSettings;

use crate::home::{Home, group, texts};

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

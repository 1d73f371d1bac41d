use std::{
    io::{self, Cursor},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use folkmoot_client::{
    Background, Error, ListOptions, MembershipState, archive_metadata, db::DatabaseKey,
};
use folkmoot_conversation::{
    ArchiveError, ArchiveKey, ConsentEntity, ConsentState,
    archive::{ArchiveOptions, ArchiveSelection},
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::home::{Home, SOON, group, texts, wallet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_brings_back_what_was_said_to_a_new_device() {
    let home = Home::new().await;
    let (old, bob) = (home.client(1).await, home.client(2).await);
    let picnic = group(&old, &[&bob], "picnic").await;
    for number in 0..30 {
        picnic.send_text(format!("number {number}")).await.unwrap();
    }
    let dm = old.conversations().new_dm(bob.inbox_id()).await.unwrap();
    dm.send_text("just us").await.unwrap();
    let denied = ConsentEntity::Inbox(folkmoot_wire::InboxId::from_bytes([9; 32]));
    old.conversations()
        .set_consent([(denied.clone(), ConsentState::Denied)])
        .await
        .unwrap();

    let path = home.folder.path().join("mine.xmtp");
    let key = ArchiveKey::from_bytes([3; 32]);
    let options = ArchiveOptions::everything();
    let made = old
        .create_archive_file(&path, key.clone(), options)
        .await
        .unwrap();
    let file = std::fs::File::open(&path).unwrap();
    assert_eq!(archive_metadata(file, &key).unwrap(), made);

    let new = home.client(1).await;
    let brought = new.import_archive_file(&path, key.clone()).await.unwrap();
    assert_eq!(brought.conversations, 2, "{brought:?}");
    assert_eq!(brought.skipped, 0, "{brought:?}");
    assert!(brought.messages >= 31, "{brought:?}");
    let restored = new.conversations().get(picnic.id()).await.unwrap();
    assert_eq!(restored.name(), "picnic");
    assert_eq!(restored.membership_state(), MembershipState::Restored);
    assert!(!restored.is_active());
    assert_eq!(texts(&restored).await, texts(&picnic).await);
    assert!(restored.send_text("is anybody there?").await.is_err());
    let restored_dm = new.conversations().get(dm.id()).await.unwrap();
    assert_eq!(restored_dm.peer(), Some(bob.inbox_id()));
    assert_eq!(
        new.conversations().consent(denied).await.unwrap(),
        ConsentState::Denied
    );

    let again = new.import_archive_file(&path, key).await.unwrap();
    assert_eq!(
        (again.conversations, again.messages, again.consents),
        (0, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_a_span_leaves_the_rest_out() {
    let home = Home::new().await;
    let (alice, bob) = (home.client(1).await, home.client(2).await);
    let picnic = group(&alice, &[&bob], "picnic").await;
    picnic.send_text("early").await.unwrap();
    picnic.sync().await.unwrap();
    let early = picnic.last_message().await.unwrap().unwrap();
    picnic.send_text("late").await.unwrap();
    picnic.sync().await.unwrap();
    let options = ArchiveOptions {
        elements: vec![ArchiveSelection::Messages],
        end_ns: Some(i64::try_from(early.sent_ns).unwrap()),
        ..ArchiveOptions::default()
    };
    let path = home.folder.path().join("early.xmtp");
    let key = ArchiveKey::from_bytes([3; 32]);
    alice
        .create_archive_file(&path, key.clone(), options)
        .await
        .unwrap();
    let other = home.client(1).await;
    let brought = other.import_archive_file(&path, key).await.unwrap();
    assert_eq!(brought.consents, 0);
    let restored = other.conversations().get(picnic.id()).await.unwrap();
    assert_eq!(texts(&restored).await, ["early"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_an_official_client_is_taken_in() {
    let home = Home::new().await;
    let vectors: Value = serde_json::from_str(include_str!(
        "../../../conversation/tests/vectors/content.json"
    ))
    .unwrap();
    let file = hex::decode(vectors["archives"][0]["file_hex"].as_str().unwrap()).unwrap();
    let client = home.client(1).await;
    let key = ArchiveKey::from_bytes([7; 32]);
    let brought = client.import_archive(Cursor::new(file), key).await.unwrap();
    assert_eq!(
        (brought.conversations, brought.messages),
        (1, 23),
        "{brought:?}"
    );
    assert_eq!(brought.consents, 3);
    let listed = client
        .conversations()
        .list(&ListOptions::default())
        .await
        .unwrap();
    assert_eq!(listed[0].name(), "vec");
    assert!(texts(&listed[0]).await.contains(&"Hello, XMTP".to_owned()));
}

#[tokio::test]
async fn a_wrong_key_and_a_broken_file_are_told_apart() {
    let home = Home::new().await;
    let client = home.client(1).await;
    let path = home.folder.path().join("empty.xmtp");
    let key = ArchiveKey::from_bytes([3; 32]);
    let options = ArchiveOptions::everything();
    client
        .create_archive_file(&path, key.clone(), options)
        .await
        .unwrap();
    let other = ArchiveKey::from_bytes([4; 32]);
    let refused = client.import_archive_file(&path, other).await.unwrap_err();
    assert!(
        matches!(refused, Error::Archive(ArchiveError::WrongKey)),
        "{refused}"
    );
    let whole = std::fs::read(&path).unwrap();
    let half = Cursor::new(whole[..whole.len() - 3].to_vec());
    let refused = client.import_archive(half, key).await.unwrap_err();
    assert!(matches!(refused, Error::Archive(_)), "{refused}");
}

/// Takes nothing until somebody lets it.
struct Gate {
    begun: mpsc::UnboundedSender<()>,
    open: Arc<AtomicBool>,
}

impl io::Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Whoever waits for it may be gone.
        let _ = self.begun.send(());
        while !self.open.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_that_are_taken_slowly_hold_nothing_up() {
    let home = Home::new().await;
    let alice = home
        .builder()
        .database(
            home.folder.path().join("alice.db"),
            DatabaseKey::Raw([7; 32]),
        )
        .background(Background::Off)
        .create(&wallet(1))
        .await
        .unwrap();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let open = Arc::new(AtomicBool::new(false));
    let archives: Vec<_> = (0..3)
        .map(|_| {
            let (begun, open) = (begun.clone(), Arc::clone(&open));
            let alice = alice.clone();
            tokio::spawn(async move {
                let key = ArchiveKey::from_bytes([3; 32]);
                let options = ArchiveOptions::everything();
                alice
                    .create_archive(Gate { begun, open }, key, options)
                    .await
            })
        })
        .collect();
    begins.recv().await.unwrap();
    let (conversations, all) = (alice.conversations(), ListOptions::default());
    for _ in 0..10 {
        let listed = tokio::time::timeout(SOON, conversations.list(&all)).await;
        listed.expect("the list waits for an archive").unwrap();
    }
    open.store(true, Ordering::Release);
    for archive in archives {
        archive.await.unwrap().unwrap();
    }
}

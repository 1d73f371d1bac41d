//! Promises that matter when many use a store at once, or ask for what cannot be.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use folkmoot_store::{
    Address, AddressChange, AddressKind, Content, Draft, Order, Page, StoreError,
};
use folkmoot_wire::{InboxId, Topic, VectorClock};

use crate::backend::{Backend, for_each_backend, group, says, texts};

const ALL: Page = Page {
    envelopes: 100_000,
    bytes: usize::MAX,
};
const WRITERS: usize = 8;
const EACH: usize = 60;

async fn a_reader_that_follows_many_writers_misses_nothing(backend: Backend) {
    let store = Arc::clone(&backend.store);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut placed = Vec::new();
                for number in 0..EACH {
                    let text = format!("{writer} {number}");
                    let drafts = vec![says(&group("picnic"), &text)];
                    placed.push(store.append(drafts).await.unwrap()[0].id);
                }
                placed
            })
        })
        .collect();
    let three = Page {
        envelopes: 3,
        ..ALL
    };
    let picnic = group("picnic");
    let mut read: Vec<u64> = Vec::new();
    while read.len() < WRITERS * EACH {
        let after = read.last().copied().unwrap_or(0);
        let page = store.page(&picnic, after, Order::Ascending, three);
        read.extend(page.await.unwrap().iter().map(|one| one.id));
        tokio::task::yield_now().await;
    }
    let mut appended = Vec::new();
    for writer in writers {
        let placed = writer.await.unwrap();
        assert!(placed.is_sorted(), "a writer's own order is kept");
        appended.extend(placed);
    }
    appended.sort_unstable();
    assert_eq!(read, appended, "each once, in the order of ids");
}

async fn of_many_equal_appends_at_once_one_is_stored(backend: Backend) {
    let draft = Draft {
        fingerprint: Some([3; 16]),
        ..says(&group("picnic"), "once")
    };
    let appends: Vec<_> = (0..20)
        .map(|_| {
            let (store, draft) = (Arc::clone(&backend.store), draft.clone());
            tokio::spawn(async move { store.append(vec![draft]).await.unwrap()[0] })
        })
        .collect();
    let mut ids = HashSet::new();
    let mut new = 0;
    for append in appends {
        let placed = append.await.unwrap();
        ids.insert(placed.id);
        new += usize::from(!placed.duplicate);
    }
    assert_eq!((ids.len(), new), (1, 1));
    assert_eq!(backend.heard.lock().len(), 1);
}

async fn of_many_that_expect_an_empty_topic_one_comes_first(backend: Backend) {
    let appends: Vec<_> = (0..20)
        .map(|number: usize| {
            let store = Arc::clone(&backend.store);
            let draft = Draft {
                expected_newest: Some(0),
                ..says(&group("picnic"), &number.to_string())
            };
            tokio::spawn(async move { store.append(vec![draft]).await })
        })
        .collect();
    let (mut stored, mut refused) = (Vec::new(), Vec::new());
    for append in appends {
        match append.await.unwrap() {
            Ok(placed) => stored.push(placed[0].id),
            Err(StoreError::Conflict { newest }) => refused.push(newest),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((stored.len(), refused.len()), (1, 19));
    assert!(refused.iter().all(|newest| *newest == stored[0]));
}

async fn a_conflict_stores_nothing_of_its_append_and_all_of_the_others(backend: Backend) {
    let [picnic, lake] = [group("picnic"), group("lake")];
    let store = &backend.store;
    store.append(vec![says(&picnic, "first")]).await.unwrap();
    let late = Draft {
        expected_newest: Some(0),
        ..says(&picnic, "late")
    };
    let torn = store.append(vec![says(&lake, "torn"), late]);
    let (before, torn, after) = tokio::join!(
        store.append(vec![says(&lake, "before")]),
        torn,
        store.append(vec![says(&lake, "after")]),
    );
    assert!(matches!(torn, Err(StoreError::Conflict { .. })));
    assert!(before.is_ok() && after.is_ok());
    let stored = store.page(&lake, 0, Order::Ascending, ALL).await.unwrap();
    assert_eq!(texts(&stored), ["before", "after"]);
    assert_eq!(backend.heard.lock().len(), 3);
}

async fn a_broken_append_fails_alone(backend: Backend) {
    let wallet = Address {
        kind: AddressKind::Ethereum,
        text: format!("0x{}", "b".repeat(40)),
    };
    let inbox = InboxId::from_bytes([4; 32]);
    let update = Draft {
        originator: 1,
        addresses: vec![AddressChange::Added(wallet)],
        ..Draft::new(Topic::identity(&inbox), 1, Bytes::from_static(b"update"))
    };
    let picnic = group("picnic");
    let store = &backend.store;
    let (before, broken, after) = tokio::join!(
        store.append(vec![says(&picnic, "before")]),
        store.append(vec![says(&picnic, "with it"), update]),
        store.append(vec![says(&picnic, "after")]),
    );
    let broken = broken.unwrap_err();
    assert!(broken.to_string().contains("inbox"), "{broken}");
    before.unwrap();
    after.unwrap();
    let stored = store.page(&picnic, 0, Order::Ascending, ALL).await.unwrap();
    assert_eq!(texts(&stored), ["before", "after"]);
}

async fn an_address_added_twice_by_one_update_is_added_once(backend: Backend) {
    let wallet = Address {
        kind: AddressKind::Passkey,
        text: "c".repeat(66),
    };
    let inbox = InboxId::from_bytes([4; 32]);
    let update = Draft {
        originator: 1,
        addresses: vec![AddressChange::Added(wallet.clone()); 2],
        inbox: Some(inbox),
        ..Draft::new(Topic::identity(&inbox), 1, Bytes::from_static(b"update"))
    };
    let store = &backend.store;
    store.append(vec![update]).await.unwrap();
    assert_eq!(store.inboxes(&[wallet]).await.unwrap(), [Some(inbox)]);
}

async fn an_address_that_no_update_can_hold_belongs_to_nobody(backend: Backend) {
    let addresses = ["", "\0", "0x\0", "'; DROP TABLE address; --"].map(|text| Address {
        kind: AddressKind::Ethereum,
        text: text.to_owned(),
    });
    let inboxes = backend.store.inboxes(&addresses).await.unwrap();
    assert_eq!(inboxes, [None; 4]);
}

async fn nothing_asked_is_nothing_answered(backend: Backend) {
    let store = &backend.store;
    store
        .append(vec![says(&group("picnic"), "hello")])
        .await
        .unwrap();
    assert_eq!(store.append(vec![]).await.unwrap(), []);
    assert_eq!(store.merged(&[], 0, u64::MAX, ALL).await.unwrap(), []);
    let nothing = VectorClock::new();
    assert_eq!(store.unseen_by_topic(&[], &nothing, ALL).await.unwrap(), []);
    let unseen = store.unseen_by_originator(&[], &nothing, ALL).await;
    assert_eq!(unseen.unwrap(), []);
    assert_eq!(store.newest(&[], Content::Full).await.unwrap(), []);
    assert_eq!(store.inboxes(&[]).await.unwrap(), []);
    assert_eq!(store.signatures(&[]).await.unwrap(), []);
    store.keep_signatures(vec![]).await.unwrap();
    store.append_commit_log(vec![]).await.unwrap();
    assert_eq!(backend.heard.lock().len(), 1);
}

for_each_backend!(
    a_conflict_stores_nothing_of_its_append_and_all_of_the_others,
    a_reader_that_follows_many_writers_misses_nothing,
    an_address_added_twice_by_one_update_is_added_once,
    an_address_that_no_update_can_hold_belongs_to_nobody,
    nothing_asked_is_nothing_answered,
    of_many_equal_appends_at_once_one_is_stored,
    of_many_that_expect_an_empty_topic_one_comes_first,
);

#[tokio::test]
async fn a_broken_append_fails_alone_in_sqlite() {
    a_broken_append_fails_alone(Backend::sqlite()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_broken_append_fails_alone_in_postgres() {
    if let Some(backend) = Backend::postgres().await {
        a_broken_append_fails_alone(backend).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_append_of_a_group_hears_that_the_disk_is_full() {
    use folkmoot_store::{Durability, SqliteOptions, SqliteStore, TopicLog};

    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        durability: Durability::Off,
        max_bytes: Some(1 << 20),
        ..SqliteOptions::default()
    };
    let path = folder.path().join("store.sqlite");
    let store = Arc::new(SqliteStore::open(path, options, Arc::new(|_| ())).unwrap());
    let appends: Vec<_> = (0..400)
        .map(|number: usize| {
            let store = Arc::clone(&store);
            let text = format!("{number:010000}");
            tokio::spawn(async move { store.append(vec![says(&group("picnic"), &text)]).await })
        })
        .collect();
    let mut refused = 0;
    for append in appends {
        match append.await.unwrap() {
            Ok(_) => (),
            Err(StoreError::DiskFull) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 100, "{refused}");
}

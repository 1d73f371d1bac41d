//! Promises of the logs, and of what is written together with them.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_store::{
    Address, AddressChange, AddressKind, After, Content, Draft, NewCommitLogEntry, Order, Page,
    Retention, StoreError,
};
use folkmoot_wire::{InboxId, Topic, TopicKind, VectorClock};

use crate::backend::{Backend, commits, for_each_backend, group, says, texts};

const ALL: Page = Page {
    envelopes: 10_000,
    bytes: usize::MAX,
};

async fn pages_meet_without_overlap(backend: Backend) {
    let picnic = group("picnic");
    for word in ["one", "two", "three"] {
        backend
            .store
            .append(vec![says(&picnic, word)])
            .await
            .unwrap();
    }
    let two = Page {
        envelopes: 2,
        ..ALL
    };
    let store = &backend.store;
    let first = store.page(&picnic, 0, Order::Ascending, two).await.unwrap();
    assert_eq!(texts(&first), ["one", "two"]);
    let second = store
        .page(&picnic, first[1].id, Order::Ascending, two)
        .await
        .unwrap();
    assert_eq!(texts(&second), ["three"]);
    let back = store
        .page(&picnic, 0, Order::Descending, two)
        .await
        .unwrap();
    assert_eq!(texts(&back), ["three", "two"]);
    let back = store
        .page(&picnic, back[1].id, Order::Descending, two)
        .await
        .unwrap();
    assert_eq!(texts(&back), ["one"]);
}

async fn a_bound_beyond_all_ids_is_beyond_all_ids(backend: Backend) {
    let picnic = group("picnic");
    let store = &backend.store;
    store.append(vec![says(&picnic, "hello")]).await.unwrap();
    let newer = store.page(&picnic, u64::MAX, Order::Ascending, ALL).await;
    assert!(newer.unwrap().is_empty());
    let older = store.page(&picnic, u64::MAX, Order::Descending, ALL).await;
    assert_eq!(texts(&older.unwrap()), ["hello"]);
    let cursor = [(picnic.clone(), After::Id(u64::MAX))];
    let merged = store.merged(&cursor, 0, u64::MAX, ALL).await;
    assert!(merged.unwrap().is_empty());
    let seen = VectorClock::from_iter([(100, u64::MAX)]);
    let unseen = store.unseen_by_topic(&[picnic], &seen, ALL).await;
    assert!(unseen.unwrap().is_empty());
}

async fn a_page_stops_before_too_many_bytes_but_never_empty(backend: Backend) {
    let picnic = group("picnic");
    for word in ["four", "five", "enormous"] {
        backend
            .store
            .append(vec![says(&picnic, word)])
            .await
            .unwrap();
    }
    let eight = Page { bytes: 8, ..ALL };
    let store = &backend.store;
    let first = store
        .page(&picnic, 0, Order::Ascending, eight)
        .await
        .unwrap();
    assert_eq!(texts(&first), ["four", "five"]);
    let tiny = Page { bytes: 1, ..ALL };
    let next = store
        .page(&picnic, first[1].id, Order::Ascending, tiny)
        .await
        .unwrap();
    assert_eq!(texts(&next), ["enormous"]);
}

async fn a_duplicate_keeps_its_first_place(backend: Backend) {
    let picnic = group("picnic");
    let once = Draft {
        fingerprint: Some([7; 16]),
        ..says(&picnic, "once")
    };
    let store = &backend.store;
    let placed = store
        .append(vec![once.clone(), once.clone()])
        .await
        .unwrap();
    assert_eq!(placed[0].id, placed[1].id);
    assert!(!placed[0].duplicate && placed[1].duplicate);
    let again = store.append(vec![once.clone()]).await.unwrap();
    assert_eq!(
        (again[0].id, again[0].time_ns),
        (placed[0].id, placed[0].time_ns)
    );
    let elsewhere = Draft {
        topic: group("elsewhere"),
        ..once
    };
    assert!(!store.append(vec![elsewhere]).await.unwrap()[0].duplicate);
    assert_eq!(backend.heard.lock().len(), 2);
}

async fn an_append_that_expects_another_head_is_refused(backend: Backend) {
    let picnic = group("picnic");
    let store = &backend.store;
    let first = store.append(vec![says(&picnic, "first")]).await.unwrap()[0];
    let late = Draft {
        expected_newest: Some(0),
        ..says(&picnic, "late")
    };
    let refused = store.append(vec![late]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { newest } if newest == first.id));
    let timely = Draft {
        expected_newest: Some(first.id),
        ..says(&picnic, "timely")
    };
    store.append(vec![timely]).await.unwrap();
    let all = store.page(&picnic, 0, Order::Ascending, ALL).await.unwrap();
    assert_eq!(texts(&all), ["first", "timely"]);
}

async fn the_listener_hears_each_envelope_once_in_the_order_of_ids(backend: Backend) {
    let writers = (0..8).map(|writer| {
        let store = Arc::clone(&backend.store);
        tokio::spawn(async move {
            let picnic = group("picnic");
            for number in 0..50 {
                let text = format!("{writer} {number}");
                let placed = store.append(vec![says(&picnic, &text)]).await.unwrap();
                let newest = store
                    .newest(std::slice::from_ref(&picnic), Content::Metadata)
                    .await
                    .unwrap();
                assert!(
                    newest[0].as_ref().unwrap().id >= placed[0].id,
                    "visible at once"
                );
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let stored = backend
        .store
        .page(&group("picnic"), 0, Order::Ascending, ALL)
        .await
        .unwrap();
    let heard: Vec<_> = backend
        .heard
        .lock()
        .iter()
        .map(|one| (**one).clone())
        .collect();
    assert_eq!(heard.len(), 400);
    assert_eq!(heard, stored);
    assert!(stored.is_sorted_by(|a, b| a.id < b.id && a.time_ns <= b.time_ns));
}

async fn an_envelope_knows_the_commit_before_it(backend: Backend) {
    let picnic = group("picnic");
    let store = &backend.store;
    let placed = store
        .append(vec![
            says(&picnic, "hello"),
            commits(&picnic, "new epoch"),
            says(&picnic, "hello again"),
            commits(&picnic, "newer epoch"),
        ])
        .await
        .unwrap();
    let all = store.page(&picnic, 0, Order::Ascending, ALL).await.unwrap();
    let before: Vec<_> = all.iter().map(|one| one.previous_commit).collect();
    assert_eq!(before, [0, 0, placed[1].id, placed[1].id]);
}

async fn several_topics_are_merged_by_id(backend: Backend) {
    let names: Vec<_> = (0..20)
        .map(|number| group(&format!("group {number}")))
        .collect();
    let store = &backend.store;
    let mut expected = Vec::new();
    for number in 0..300 {
        let topic = &names[number * 7 % names.len()];
        let placed = store.append(vec![says(topic, "hello")]).await.unwrap();
        expected.push(placed[0].id);
    }
    let cursors: Vec<_> = names
        .iter()
        .map(|topic| (topic.clone(), After::Id(0)))
        .collect();
    let mut read = Vec::new();
    let mut after = 0;
    loop {
        let page = Page {
            envelopes: 33,
            ..ALL
        };
        let envelopes = store
            .merged(&cursors, after, expected[250], page)
            .await
            .unwrap();
        let Some(last) = envelopes.last() else { break };
        after = last.id;
        read.extend(envelopes.iter().map(|one| one.id));
    }
    assert_eq!(read, expected[..=250]);
}

async fn a_clock_hides_what_it_has_seen_of_each_originator(backend: Backend) {
    let picnic = group("picnic");
    let store = &backend.store;
    let placed = store
        .append(vec![
            commits(&picnic, "commit 1"),
            says(&picnic, "text 1"),
            says(&picnic, "text 2"),
            commits(&picnic, "commit 2"),
            says(&picnic, "text 3"),
        ])
        .await
        .unwrap();
    let seen = VectorClock::from_iter([(0, placed[0].id), (100, placed[2].id)]);
    let cursor = [(picnic.clone(), After::Clock(seen.clone()))];
    let merged = store.merged(&cursor, 0, u64::MAX, ALL).await.unwrap();
    assert_eq!(texts(&merged), ["commit 2", "text 3"]);
    let nothing_of_100 = VectorClock::from_iter([(0, placed[3].id)]);
    let unseen = store
        .unseen_by_topic(std::slice::from_ref(&picnic), &nothing_of_100, ALL)
        .await
        .unwrap();
    assert_eq!(texts(&unseen), ["text 1", "text 2", "text 3"]);
    let unseen = store
        .unseen_by_topic(&[picnic.clone(), picnic], &VectorClock::new(), ALL)
        .await;
    assert_eq!(
        texts(&unseen.unwrap()),
        ["commit 1", "commit 2", "text 1", "text 2", "text 3"],
        "by originator, then sequence"
    );
    let two = Page {
        envelopes: 2,
        ..ALL
    };
    let by_originator = store
        .unseen_by_originator(&[100, 0], &seen, two)
        .await
        .unwrap();
    assert_eq!(texts(&by_originator), ["commit 2", "text 3"]);
}

async fn the_newest_envelope_is_answered_by_position(backend: Backend) {
    let [picnic, empty] = [group("picnic"), group("empty")];
    let store = &backend.store;
    store
        .append(vec![says(&picnic, "old"), says(&picnic, "new")])
        .await
        .unwrap();
    let asked = [empty, picnic.clone(), picnic];
    let newest = store.newest(&asked, Content::Full).await.unwrap();
    assert_eq!(newest[0], None);
    assert_eq!(newest[1].as_ref().unwrap().payload, "new");
    assert_eq!(newest[1], newest[2]);
    let newest = store.newest(&asked, Content::Metadata).await.unwrap();
    assert!(newest[1].as_ref().unwrap().payload.is_empty());
}

async fn an_address_belongs_to_the_inbox_that_it_joined_last(backend: Backend) {
    let wallet = Address {
        kind: AddressKind::Ethereum,
        text: format!("0x{}", "a".repeat(40)),
    };
    let [first, second] = [1, 2].map(|byte| InboxId::from_bytes([byte; 32]));
    let update = |inbox: InboxId, change| Draft {
        originator: 1,
        addresses: vec![change],
        inbox: Some(inbox),
        ..Draft::new(Topic::identity(&inbox), 1, Bytes::from_static(b"update"))
    };
    let store = &backend.store;
    let asked = [wallet.clone()];
    assert_eq!(store.inboxes(&asked).await.unwrap(), [None]);
    let joins = || AddressChange::Added(wallet.clone());
    let leaves = || AddressChange::Removed(wallet.clone());
    store.append(vec![update(first, joins())]).await.unwrap();
    assert_eq!(store.inboxes(&asked).await.unwrap(), [Some(first)]);
    store.append(vec![update(second, joins())]).await.unwrap();
    assert_eq!(store.inboxes(&asked).await.unwrap(), [Some(second)]);
    store.append(vec![update(second, leaves())]).await.unwrap();
    assert_eq!(store.inboxes(&asked).await.unwrap(), [Some(first)]);
    store.append(vec![update(first, leaves())]).await.unwrap();
    assert_eq!(store.inboxes(&asked).await.unwrap(), [None]);
    store.append(vec![update(first, joins())]).await.unwrap();
    assert_eq!(store.inboxes(&asked).await.unwrap(), [Some(first)]);
}

async fn a_commit_log_is_read_in_the_order_of_appending(backend: Backend) {
    let entry = |group_id: &'static [u8], text: &'static [u8]| NewCommitLogEntry {
        group_id: Bytes::from_static(group_id),
        entry: Bytes::from_static(text),
        signature: Bytes::from_static(b"signature"),
        signer: Bytes::from_static(b"signer"),
    };
    let store = &backend.store;
    let entries = vec![entry(b"a", b"1"), entry(b"b", b"2"), entry(b"a", b"3")];
    store.append_commit_log(entries.clone()).await.unwrap();
    store
        .append_commit_log(vec![entry(b"a", b"1")])
        .await
        .unwrap();
    let read = store.commit_log(b"a", 0, 10).await.unwrap();
    let published: Vec<_> = read.iter().map(|one| one.published.clone()).collect();
    assert_eq!(
        published,
        [entries[0].clone(), entries[2].clone(), entries[0].clone()]
    );
    let rest = store.commit_log(b"a", read[0].sequence, 1).await.unwrap();
    assert_eq!(rest, read[1..2]);
}

async fn signatures_are_kept_by_id(backend: Backend) {
    let store = &backend.store;
    store
        .keep_signatures(vec![(7, Bytes::from_static(b"seven"))])
        .await
        .unwrap();
    let kept = store.signatures(&[6, 7]).await.unwrap();
    assert_eq!(kept, [None, Some(Bytes::from_static(b"seven"))]);
}

async fn an_emptied_store_goes_on_counting(backend: Backend) {
    let picnic = group("picnic");
    let store = &backend.store;
    let before = store.append(vec![says(&picnic, "before")]).await.unwrap()[0];
    store.reset().await.unwrap();
    assert_eq!(store.stats().await.unwrap().envelopes, 0);
    assert!(
        store
            .page(&picnic, 0, Order::Ascending, ALL)
            .await
            .unwrap()
            .is_empty()
    );
    let after = store.append(vec![says(&picnic, "after")]).await.unwrap()[0];
    assert!(after.id > before.id);
}

for_each_backend!(
    a_bound_beyond_all_ids_is_beyond_all_ids,
    a_clock_hides_what_it_has_seen_of_each_originator,
    a_commit_log_is_read_in_the_order_of_appending,
    a_duplicate_keeps_its_first_place,
    a_page_stops_before_too_many_bytes_but_never_empty,
    an_address_belongs_to_the_inbox_that_it_joined_last,
    an_append_that_expects_another_head_is_refused,
    an_emptied_store_goes_on_counting,
    an_envelope_knows_the_commit_before_it,
    pages_meet_without_overlap,
    several_topics_are_merged_by_id,
    signatures_are_kept_by_id,
    the_listener_hears_each_envelope_once_in_the_order_of_ids,
    the_newest_envelope_is_answered_by_position,
);

#[tokio::test]
async fn sqlite_prunes_but_keeps_commits_and_the_newest_key_package() {
    pruning_keeps_commits_and_the_newest_key_package(Backend::sqlite()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn postgres_prunes_but_keeps_commits_and_the_newest_key_package() {
    if let Some(backend) = Backend::postgres().await {
        pruning_keeps_commits_and_the_newest_key_package(backend).await;
    }
}

async fn pruning_keeps_commits_and_the_newest_key_package(backend: Backend) {
    let picnic = group("picnic");
    let packages = Topic::new(TopicKind::KeyPackages, &[5; 32]).unwrap();
    let store = &backend.store;
    let drafts = vec![
        commits(&picnic, "commit"),
        says(&picnic, "text"),
        says(&packages, "old package"),
        says(&packages, "new package"),
    ];
    let placed = store.append(drafts).await.unwrap();
    let age = std::time::Duration::from_secs(10);
    let retention = Retention {
        messages: Some(age),
        welcomes: None,
        key_packages: Some(age),
    };
    let now = placed[3].time_ns;
    let pruned = store.prune(retention, now).await.unwrap();
    assert_eq!(
        pruned,
        folkmoot_store::Pruned::default(),
        "nothing is old yet"
    );
    let later = now + 11 * 1_000_000_000;
    let pruned = store.prune(retention, later).await.unwrap();
    assert_eq!((pruned.messages, pruned.key_packages), (1, 1));
    let left = store.page(&picnic, 0, Order::Ascending, ALL).await.unwrap();
    assert_eq!(texts(&left), ["commit"]);
    let left = store
        .page(&packages, 0, Order::Ascending, ALL)
        .await
        .unwrap();
    assert_eq!(texts(&left), ["new package"]);
}

#[tokio::test]
async fn a_copy_of_sqlite_can_be_brought_back() {
    a_copy_can_be_brought_back(Backend::sqlite()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_copy_of_postgres_can_be_brought_back() {
    if let Some(backend) = Backend::postgres().await {
        a_copy_can_be_brought_back(backend).await;
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_copy_moves_everything_to_another_backend_and_back() {
    let Some(postgres) = Backend::postgres().await else {
        return;
    };
    let sqlite = Backend::sqlite();
    let picnic = group("picnic");
    let once = Draft {
        fingerprint: Some([3; 16]),
        ..says(&picnic, "once")
    };
    let wallet = Address {
        kind: AddressKind::Ethereum,
        text: "0xabc".to_owned(),
    };
    let inbox = InboxId::from_bytes([1; 32]);
    let update = Draft {
        addresses: vec![AddressChange::Added(wallet.clone())],
        inbox: Some(inbox),
        ..Draft::new(Topic::identity(&inbox), 1, Bytes::from_static(b"update"))
    };
    let drafts = vec![commits(&picnic, "commit"), once.clone(), update];
    let placed = sqlite.store.append(drafts).await.unwrap();
    let many = (0..1200).map(|number| says(&group(&format!("{}", number % 7)), "hello"));
    sqlite.store.append(many.collect()).await.unwrap();
    let signature = Bytes::from_static(b"signature");
    let signatures = vec![(placed[0].id, signature.clone())];
    sqlite.store.keep_signatures(signatures).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let [there, back] = ["there", "back"].map(|name| folder.path().join(name));
    sqlite.store.copy_to(&there).await.unwrap();
    postgres.store.replace_with(&there).await.unwrap();
    postgres.store.copy_to(&back).await.unwrap();
    let empty = Backend::sqlite();
    empty.store.replace_with(&back).await.unwrap();
    for store in [&postgres.store, &empty.store] {
        let all = |store: Arc<dyn folkmoot_store::Store>| async move {
            let seen = VectorClock::new();
            store
                .unseen_by_originator(&[0, 1, 100], &seen, ALL)
                .await
                .unwrap()
        };
        assert_eq!(
            all(Arc::clone(store)).await,
            all(Arc::clone(&sqlite.store)).await
        );
        assert_eq!(
            store.inboxes(std::slice::from_ref(&wallet)).await.unwrap(),
            [Some(inbox)]
        );
        let kept = store.signatures(&[placed[0].id]).await.unwrap();
        assert_eq!(kept, [Some(signature.clone())]);
        let again = store.append(vec![once.clone()]).await.unwrap()[0];
        assert_eq!((again.id, again.duplicate), (placed[1].id, true));
        let next = store
            .append(vec![says(&group("new topic"), "next")])
            .await
            .unwrap()[0];
        assert!(next.id > placed[2].id);
    }
}

async fn a_copy_can_be_brought_back(backend: Backend) {
    let picnic = group("picnic");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("a copy?mode=rw#%20.sqlite");
    let store = &backend.store;
    store.append(vec![says(&picnic, "before")]).await.unwrap();
    store.copy_to(&copy).await.unwrap();
    let between = store.append(vec![says(&picnic, "between")]).await.unwrap()[0];
    let written = std::fs::read(&copy).unwrap();
    store.replace_with(&copy).await.unwrap();
    assert!(
        std::fs::read(&copy).unwrap() == written,
        "the copy is only read"
    );
    let beside = folder.path().read_dir().unwrap().count();
    assert_eq!(beside, 1, "nothing is put beside the copy");
    let all = store.page(&picnic, 0, Order::Ascending, ALL).await.unwrap();
    assert_eq!(texts(&all), ["before"]);
    let after = store.append(vec![says(&picnic, "after")]).await.unwrap()[0];
    assert!(after.id > between.id, "ids are never given twice");
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_second_process_on_the_same_schema_is_refused() {
    use folkmoot_store::{PostgresOptions, PostgresStore};

    let Some(url) = crate::backend::fresh_schema().await else {
        return;
    };
    let options = PostgresOptions::default();
    let first = PostgresStore::connect(&url, options, Arc::new(|_| ())).await;
    let first = first.unwrap();
    let second = PostgresStore::connect(&url, options, Arc::new(|_| ())).await;
    assert!(matches!(second.err(), Some(StoreError::InUse(_))));
    folkmoot_store::Maintenance::close(&first).await.unwrap();
}

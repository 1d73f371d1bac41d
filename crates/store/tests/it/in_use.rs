//! Housekeeping while a store is in use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use folkmoot_store::{Draft, Durability, Maintenance, SqliteOptions, SqliteStore, TopicLog};

use crate::backend::group;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_finished_although_a_writer_never_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy, other] =
        ["store.sqlite", "copy.sqlite", "other.sqlite"].map(|name| folder.path().join(name));
    let options = SqliteOptions {
        durability: Durability::Off,
        ..SqliteOptions::default()
    };
    let store = Arc::new(SqliteStore::open(&path, options, Arc::new(|_| ())).unwrap());
    // More than is copied at a stretch.
    let large = || Draft::new(group("picnic"), 100, Bytes::from(vec![7; 1 << 20]));
    for _ in 0..100 {
        store.append(vec![large()]).await.unwrap();
    }
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            while !done.load(Ordering::Acquire) {
                let small = Draft::new(group("lake"), 100, Bytes::from_static(b"small"));
                store.append(vec![small]).await.unwrap();
            }
        })
    };
    let copied = tokio::time::timeout(DEADLINE, store.copy_to(&copy)).await;
    let from_outside = tokio::task::spawn_blocking(move || SqliteStore::copy_file(&path, &other));
    let from_outside = tokio::time::timeout(DEADLINE, from_outside).await;
    done.store(true, Ordering::Release);
    writer.await.unwrap();
    copied.expect("a copy ends").unwrap();
    assert!(SqliteStore::verify_copy(&copy).unwrap().envelopes >= 100);
    let from_outside = from_outside.expect("a copy ends").unwrap().unwrap();
    assert!(from_outside.envelopes >= 100);
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::{sync::Arc, time::Instant};

    use folkmoot_store::{
        Maintenance, Order, Page, PostgresOptions, PostgresStore, StoreError, TopicLog,
    };
    use tokio_postgres::{Client, NoTls};

    use super::DEADLINE;
    use crate::backend::{fresh_schema, group, says, texts};

    async fn client(url: &str) -> Client {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    #[tokio::test]
    async fn writing_goes_on_after_the_connection_that_holds_the_lock_was_cut() {
        let Some(url) = fresh_schema().await else {
            return;
        };
        let store = PostgresStore::connect(&url, PostgresOptions::default(), Arc::new(|_| ()));
        let store = store.await.unwrap();
        let picnic = group("picnic");
        store.append(vec![says(&picnic, "before")]).await.unwrap();
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' \
                   AND objid::BIGINT = hashtext(current_schema())::BIGINT & 4294967295";
        let cut = client(&url).await.query(cut, &[]).await.unwrap();
        assert_eq!(cut.len(), 1, "one connection holds the lock");

        let began = Instant::now();
        while let Err(refused) = store.append(vec![says(&picnic, "after")]).await {
            assert!(began.elapsed() < DEADLINE, "{refused}");
            tokio::task::yield_now().await;
        }
        let all = Page {
            envelopes: 10,
            bytes: usize::MAX,
        };
        let stored = store.page(&picnic, 0, Order::Ascending, all).await.unwrap();
        assert_eq!(texts(&stored), ["before", "after"]);
        let second = PostgresStore::connect(&url, PostgresOptions::default(), Arc::new(|_| ()));
        assert!(matches!(second.await.err(), Some(StoreError::InUse(_))));
        store.close().await.unwrap();
    }

    #[tokio::test]
    async fn tables_from_the_future_are_refused() {
        let Some(url) = fresh_schema().await else {
            return;
        };
        let connect = || PostgresStore::connect(&url, PostgresOptions::default(), Arc::new(|_| ()));
        connect().await.unwrap().close().await.unwrap();
        let newer = "INSERT INTO schema_version VALUES (99)";
        client(&url).await.batch_execute(newer).await.unwrap();
        let began = Instant::now();
        let refused = loop {
            // The server lets go of the first one's lock a moment after it closed.
            match connect().await.err() {
                Some(StoreError::InUse(_)) if began.elapsed() < DEADLINE => {}
                other => break other,
            }
        };
        assert!(matches!(
            refused,
            Some(StoreError::FromTheFuture { found: 99, .. })
        ));
    }
}

//! What survives, and what an error does to others.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use folkmoot_store::{
    StoreError,
    xmpp::{
        Archive, ArchivePlace, ArchiveQuery, Housekeeping, Roster, RosterItem, XmppDatabase,
        XmppFileOptions, XmppStore,
    },
};

use crate::{
    archive::{all, page},
    backend::{bare, bytes, for_each_backend, id, jid, message},
};

/// Where the child of the kill test finds its database.
const CHILD: &str = "FOLKMOOT_TEST_KILLED_XMPP_STORE";
const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";

for_each_backend![an_error_fails_nobody_else_of_its_group];

fn open(path: &Path) -> Result<XmppDatabase, StoreError> {
    XmppDatabase::open(path, XmppFileOptions::default())
}

async fn an_error_fails_nobody_else_of_its_group(store: &dyn XmppStore) {
    let said = |number| store.append_to_archives(vec![message(ROMEO, number, JULIET, "hi")]);
    let (romeo, juliet) = (bare(ROMEO), jid(JULIET));
    // All of them wait at the same time, so that they share commits.
    let (a, b, c, d, e) = tokio::join!(
        said(1),
        said(2),
        said(1),
        store.put_roster_item(&romeo, RosterItem::new(juliet.clone())),
        said(3),
    );
    let failed = [a.is_err(), c.is_err()];
    assert_eq!(
        failed.iter().filter(|failed| **failed).count(),
        1,
        "one had the id first"
    );
    b.unwrap();
    d.unwrap();
    e.unwrap();
    let ids: HashSet<_> = page(store, &romeo, all())
        .await
        .entries
        .iter()
        .map(|e| e.id)
        .collect();
    assert_eq!(ids, HashSet::from([id(1), id(2), id(3)]));
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("xmpp.db");
    let mut acknowledged = HashSet::new();
    for _ in 0..2 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "durability::the_child_appends_until_it_is_killed",
            ])
            .args(["--nocapture", "--test-threads=1"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        for line in lines.map_while(Result::ok) {
            let Some(text) = line.strip_prefix("acknowledged ") else {
                continue;
            };
            acknowledged.insert(text.to_owned());
            heard += 1;
            if heard == 200 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(heard >= 200, "the child came that far");
    }
    let store = open(&path).unwrap();
    let mut copies = Vec::new();
    for owner in [ROMEO, JULIET] {
        let entries = page(&store, &bare(owner), all()).await.entries;
        let found: HashSet<_> = entries
            .iter()
            .map(|entry| String::from_utf8(entry.stanza.to_vec()).unwrap())
            .collect();
        assert_eq!(found.len(), entries.len(), "nothing is there twice");
        assert!(acknowledged.is_subset(&found));
        copies.push(found);
    }
    assert_eq!(copies[0], copies[1], "both copies are there, or none");
}

/// The other half of the test above; does nothing by itself.
#[tokio::test]
async fn the_child_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let store = Arc::new(open(&path).unwrap());
    let run: u32 = rand::random();
    let writers = (0..4_u64).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 0..1_000_000_u64 {
                let text = format!("{run} {writer} {number}");
                let name = u64::from(run) << 32 | writer << 24 | number;
                let copies = vec![
                    message(ROMEO, name, JULIET, &text),
                    message(JULIET, name, ROMEO, &text),
                ];
                store.append_to_archives(copies).await.unwrap();
                println!("acknowledged {text}");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let options = XmppFileOptions {
        max_bytes: Some(2 << 20),
        ..XmppFileOptions::default()
    };
    let store = XmppDatabase::open(folder.path().join("xmpp.db"), options).unwrap();
    let romeo = bare(ROMEO);
    let long = "x".repeat(50_000);
    let mut stored = 0;
    let refused = loop {
        let said = message(ROMEO, stored + 1, JULIET, &long);
        match store.append_to_archives(vec![said]).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::DiskFull), "{refused}");
    assert!(stored > 10);
    let found = page(&store, &romeo, all()).await.entries;
    assert_eq!(
        found.len() as u64,
        stored,
        "reading goes on, and nothing is half there"
    );
    let expired = store.expire_archives(None, i64::MAX).await.unwrap();
    assert_eq!(expired, stored);
    let after = message(ROMEO, stored + 1, JULIET, "after");
    store.append_to_archives(vec![after]).await.unwrap();
}

#[tokio::test]
async fn a_copy_opens_as_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy] = ["xmpp.db", "copy.db"].map(|name| folder.path().join(name));
    let store = open(&path).unwrap();
    let said = message(ROMEO, 1, JULIET, "before");
    store.append_to_archives(vec![said]).await.unwrap();
    store.copy_xmpp_to(&copy).await.unwrap();
    let said = message(ROMEO, 2, JULIET, "after");
    store.append_to_archives(vec![said]).await.unwrap();
    let copied = open(&copy).unwrap();
    let entries = page(&copied, &bare(ROMEO), all()).await.entries;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].stanza, bytes("before"));
    assert_eq!(copied.xmpp_stats().await.unwrap().archived, 1);
    assert!(copied.xmpp_stats().await.unwrap().bytes_on_disk > 0);
}

#[tokio::test]
async fn a_closed_store_says_so_and_leaves_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("xmpp.db");
    let store = open(&path).unwrap();
    let romeo = bare(ROMEO);
    store
        .put_roster_item(&romeo, RosterItem::new(jid(JULIET)))
        .await
        .unwrap();
    store.close_xmpp().await.unwrap();
    store.close_xmpp().await.unwrap();
    assert!(matches!(
        store.roster(&romeo).await,
        Err(StoreError::Closed)
    ));
    let late = store.remove_roster_item(&romeo, &jid(JULIET)).await;
    assert!(matches!(late, Err(StoreError::Closed)));
    let log = std::fs::metadata(folder.path().join("xmpp.db-wal"));
    assert_eq!(log.map_or(0, |log| log.len()), 0);
    let again = open(&path).unwrap();
    assert_eq!(again.roster(&romeo).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_file_from_the_future_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("xmpp.db");
    open(&path).unwrap().close_xmpp().await.unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let refused = open(&path).err();
    assert!(matches!(
        refused,
        Some(StoreError::FromTheFuture { found: 99, .. })
    ));
}

#[tokio::test]
async fn a_reader_sees_one_state_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("xmpp.db")).unwrap());
    let writing = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in (1..=400).step_by(2) {
                let pair = (number..number + 2).map(|number| message(ROMEO, number, JULIET, "hi"));
                store.append_to_archives(pair.collect()).await.unwrap();
            }
        })
    };
    let query = || ArchiveQuery {
        place: ArchivePlace::End,
        max: 1,
        count: true,
        ..all()
    };
    let mut seen = 0;
    while !writing.is_finished() || seen < 400 {
        let found = page(&*store, &bare(ROMEO), query()).await;
        let count = found.count.unwrap();
        assert!(count >= seen && count % 2 == 0, "{count} after {seen}");
        assert_eq!(
            found.entries.first().map_or(0, |entry| entry.at),
            count.cast_signed()
        );
        seen = count;
    }
    writing.await.unwrap();
}

#[cfg(feature = "postgres")]
mod in_postgres {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use folkmoot_store::{
        Maintenance, PostgresOptions, PostgresStore, StoreError,
        xmpp::{Archive, Housekeeping, Roster, XmppDatabase},
    };
    use tokio_postgres::NoTls;

    use super::{JULIET, ROMEO};
    use crate::{
        archive::{all, page},
        backend::{bare, id, message},
        postgres::fresh_schema,
    };

    const DEADLINE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn one_process_writes_beside_the_node_and_goes_on_after_its_connection_was_cut() {
        let Some(url) = fresh_schema().await else {
            return;
        };
        let node = PostgresStore::connect(&url, PostgresOptions::default(), Arc::new(|_| ()));
        let node = node.await.unwrap();
        let store = XmppDatabase::connect(&url, 2).await.unwrap();
        let second = XmppDatabase::connect(&url, 2).await.err();
        assert!(matches!(second, Some(StoreError::InUse(_))));
        let said = |number| store.append_to_archives(vec![message(ROMEO, number, JULIET, "hi")]);
        said(1).await.unwrap();
        node.check().await.unwrap();

        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' \
                   AND classid = 1179474000 \
                   AND objid::BIGINT = hashtext(current_schema())::BIGINT & 4294967295";
        let cut = client.query(cut, &[]).await.unwrap();
        assert_eq!(cut.len(), 1, "one connection holds the lock");
        let began = Instant::now();
        let mut number = 2;
        while let Err(refused) = said(number).await {
            assert!(began.elapsed() < DEADLINE, "{refused}");
            number += 1;
        }
        let entries = page(&store, &bare(ROMEO), all()).await.entries;
        let ends = (entries.first(), entries.last());
        let ends = (ends.0.map(|entry| entry.id), ends.1.map(|entry| entry.id));
        assert_eq!(ends, (Some(id(1)), Some(id(number))));

        store.close_xmpp().await.unwrap();
        let late = store.roster(&bare(ROMEO)).await;
        assert!(matches!(late, Err(StoreError::Closed)));
        assert!(matches!(said(0).await, Err(StoreError::Closed)));
        node.close().await.unwrap();
    }
}

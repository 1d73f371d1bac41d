//! What survives: kills, full disks, broken files, older and newer forms of the file.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use folkmoot_store::{
    Content, Maintenance, Order, Page, SqliteOptions, SqliteStore, StoreError, TopicLog,
};
use folkmoot_wire::Topic;

use crate::backend::{group, says, texts};

const ALL: Page = Page {
    envelopes: 100_000,
    bytes: usize::MAX,
};
/// Where the child of the kill test finds its database.
const CHILD: &str = "FOLKMOOT_TEST_KILLED_STORE";
/// Where the child of the other kill test finds its database and the copy.
const RESTORED: &str = "FOLKMOOT_TEST_KILLED_RESTORE";
const DEADLINE: Duration = Duration::from_secs(60);

/// This program again, for one of its tests only.
fn child(test: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    child
}

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, SqliteOptions::default(), Arc::new(|_| ()))
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let mut acknowledged = HashSet::new();
    for _ in 0..3 {
        let mut child = child("durability::the_child_appends_until_it_is_killed")
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
    let stored = store
        .page(&picnic(), 0, Order::Ascending, ALL)
        .await
        .unwrap();
    let found: HashSet<_> = texts(&stored).into_iter().map(str::to_owned).collect();
    assert_eq!(found.len(), stored.len(), "nothing is there twice");
    assert!(acknowledged.is_subset(&found));
    assert!(stored.is_sorted_by(|a, b| a.id < b.id));
}

/// The other half of the test above; does nothing by itself.
#[tokio::test]
async fn the_child_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let store = Arc::new(open(&path).unwrap());
    let run: u64 = rand::random();
    let writers = (0..4).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 0..1_000_000 {
                let text = format!("{run} {writer} {number}");
                store.append(vec![says(&picnic(), &text)]).await.unwrap();
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
    let options = SqliteOptions {
        max_bytes: Some(2 << 20),
        ..SqliteOptions::default()
    };
    let path = folder.path().join("store.sqlite");
    let store = SqliteStore::open(&path, options, Arc::new(|_| ())).unwrap();
    let picnic = picnic();
    let mut stored = Vec::new();
    let refused = loop {
        let text = format!("{:050000}", stored.len());
        match store.append(vec![says(&picnic, &text)]).await {
            Ok(_) => stored.push(text),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::DiskFull), "{refused}");
    assert!(stored.len() > 10);
    let read = store.page(&picnic, 0, Order::Ascending, ALL).await.unwrap();
    assert_eq!(
        texts(&read),
        stored,
        "reading goes on, and nothing is half there"
    );
    assert!(store.append(vec![says(&picnic, &stored[0])]).await.is_err());

    store.reset().await.unwrap();
    store.append(vec![says(&picnic, "after")]).await.unwrap();
    let newest = store.newest(&[picnic], Content::Full).await.unwrap();
    assert_eq!(newest[0].as_ref().unwrap().payload, "after");
}

#[tokio::test]
async fn a_kill_while_a_copy_is_put_back_leaves_one_of_both_states_and_ids_go_on() {
    const COPIED: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let [path, copy, done] = ["store.sqlite", "copy.sqlite", "done"].map(file);
    let store = open(&path).unwrap();
    let drafts = (0..COPIED).map(|number| says(&picnic(), &format!("{number:050000}")));
    let mut newest = store.append(drafts.collect()).await.unwrap()[COPIED - 1].id;
    store.copy_to(&copy).await.unwrap();
    store.close().await.unwrap();

    let is_prepared = || file("store.sqlite-restore").exists();
    let is_being_written = || {
        let log = std::fs::metadata(file("store.sqlite-wal"));
        log.is_ok_and(|log| log.len() > 1 << 20)
    };
    let is_done = || done.exists();
    let moments: [&dyn Fn() -> bool; 3] = [&is_prepared, &is_being_written, &is_done];
    for moment in moments {
        let store = open(&path).unwrap();
        newest = append_after(&store, "since", newest).await;
        store.close().await.unwrap();

        let mut child = child("durability::the_child_puts_a_copy_back")
            .env(RESTORED, folder.path())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !moment() && !is_done() {
            assert!(began.elapsed() < DEADLINE, "the child comes that far");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let store = open(&path).unwrap();
        let stored = store.page(&picnic(), 0, Order::Ascending, ALL).await;
        let stored = stored.unwrap();
        let is_put_back = stored.len() == COPIED;
        assert!(is_put_back || (!is_done() && texts(&stored).last() == Some(&"since")));
        newest = append_after(&store, "afterwards", newest).await;
        store.close().await.unwrap();
        assert!(!is_prepared(), "nothing is left behind");
        drop(std::fs::remove_file(&done));
    }
}

/// Appends a text, whose id must be greater than all that were given; returns the id.
async fn append_after(store: &SqliteStore, text: &str, newest: u64) -> u64 {
    let placed = store.append(vec![says(&picnic(), text)]).await.unwrap()[0];
    assert!(placed.id > newest, "ids are never given twice");
    placed.id
}

/// The other half of the test above; does nothing by itself.
#[tokio::test]
async fn the_child_puts_a_copy_back() {
    let Some(folder) = std::env::var_os(RESTORED).map(PathBuf::from) else {
        return;
    };
    let store = open(&folder.join("store.sqlite")).unwrap();
    store
        .replace_with(&folder.join("copy.sqlite"))
        .await
        .unwrap();
    std::fs::write(folder.join("done"), "").unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn a_copy_that_does_not_fit_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let [path, large, copy] =
        ["store.sqlite", "large.sqlite", "copy.sqlite"].map(|name| folder.path().join(name));
    let other = open(&large).unwrap();
    let drafts = (0..100).map(|number| says(&picnic(), &format!("{number:050000}")));
    other.append(drafts.collect()).await.unwrap();
    other.copy_to(&copy).await.unwrap();

    let options = SqliteOptions {
        max_bytes: Some(2 << 20),
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(&path, options, Arc::new(|_| ())).unwrap();
    let newest = append_after(&store, "here", 0).await;
    let refused = store.replace_with(&copy).await.unwrap_err();
    assert!(matches!(refused, StoreError::DiskFull), "{refused}");
    append_after(&store, "still here", newest).await;
    let read = store.page(&picnic(), 0, Order::Ascending, ALL).await;
    assert_eq!(texts(&read.unwrap()), ["here", "still here"]);
    let names = folder.path().read_dir().unwrap();
    let names = names.map(|entry| entry.unwrap().file_name());
    let is_left = |name: std::ffi::OsString| name.to_string_lossy().contains("-restore");
    assert!(!names.into_iter().any(is_left));
}

#[test]
fn a_file_from_the_future_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    drop(open(&path).unwrap());
    let file = rusqlite::Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let refused = open(&path).err().unwrap();
    assert!(matches!(
        refused,
        StoreError::FromTheFuture { found: 99, .. }
    ));
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let content = "not a database, but somebody's letter".repeat(100);
    std::fs::write(&path, &content).unwrap();
    let refused = open(&path).err().unwrap();
    assert!(refused.to_string().contains("not a database"), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn a_file_of_the_first_form_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored/v1.sqlite");
    std::fs::copy(stored, &path).unwrap();
    let store = open(&path).unwrap();
    let read = store
        .page(&picnic(), 0, Order::Ascending, ALL)
        .await
        .unwrap();
    assert_eq!(texts(&read), ["at noon", "new epoch", "at the lake"]);
    assert_eq!(read[2].previous_commit, read[1].id);
    let next = store.append(vec![says(&picnic(), "next")]).await.unwrap()[0];
    assert!(next.id > read[2].id);
}

#[tokio::test]
async fn a_damaged_copy_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy] = ["store.sqlite", "copy.sqlite"].map(|name| folder.path().join(name));
    let store = open(&path).unwrap();
    let drafts = (0..500).map(|number| says(&picnic(), &format!("{number:01000}")));
    store.append(drafts.collect()).await.unwrap();
    let copied = SqliteStore::copy_file(&path, &copy).unwrap();
    assert_eq!(copied.envelopes, 500);
    assert_eq!(SqliteStore::verify_copy(&copy).unwrap(), copied);

    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16_384].fill(0xff);
    std::fs::write(&copy, bytes).unwrap();
    assert!(SqliteStore::verify_copy(&copy).is_err());
}

#[tokio::test]
async fn a_closed_store_says_so_and_leaves_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let store = open(&path).unwrap();
    store.append(vec![says(&picnic(), "hello")]).await.unwrap();
    store.close().await.unwrap();
    let refused = store.append(vec![says(&picnic(), "late")]).await;
    assert!(matches!(refused, Err(StoreError::Closed)));
    let log = std::fs::metadata(folder.path().join("store.sqlite-wal"));
    assert_eq!(log.map_or(0, |log| log.len()), 0);
}

fn picnic() -> Topic {
    group("picnic")
}

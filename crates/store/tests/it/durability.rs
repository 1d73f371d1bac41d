//! What survives: kills, full disks, broken files, older and newer forms of the file.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
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

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, SqliteOptions::default(), Arc::new(|_| ()))
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let mut acknowledged = HashSet::new();
    for _ in 0..3 {
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

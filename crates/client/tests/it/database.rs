use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use folkmoot_client::db::{Database, DatabaseKey, DatabaseOptions, DbError, rusqlite};

const KEY: DatabaseKey = DatabaseKey::Raw([0x5a; 32]);

fn open(path: &Path, key: DatabaseKey) -> Result<Database, DbError> {
    Database::open(&DatabaseOptions::file(path, key))
}

/// Keeps a number and a word in a table of the schema.
async fn remember(database: &Database, sequence: i64, word: &'static str) {
    let change = database.write(move |transaction| {
        transaction.execute(
            "INSERT INTO identity_update VALUES (zeroblob(32), ?1, 0, ?2)",
            rusqlite::params![sequence, word.as_bytes()],
        )?;
        Ok(())
    });
    change.await.unwrap();
}

async fn words(database: &Database) -> Vec<Vec<u8>> {
    let question = database.read(|connection| {
        let mut statement =
            connection.prepare("SELECT data FROM identity_update ORDER BY sequence")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    });
    question.await.unwrap()
}

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let database = open(&path, KEY).unwrap();
    remember(&database, 1, "hello").await;
    drop(database);
    let database = open(&path, KEY).unwrap();
    assert_eq!(words(&database).await, [b"hello"]);
}

#[tokio::test]
async fn a_database_that_was_closed_is_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let database = open(&path, KEY).unwrap();
    remember(&database, 1, "hello").await;
    assert_eq!(words(&database).await, [b"hello"]);
    drop(database);
    for beside in ["client.db-wal", "client.db-shm"] {
        assert!(!folder.path().join(beside).exists(), "{beside} is left");
    }
}

#[tokio::test]
async fn nothing_readable_reaches_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let database = open(&path, KEY).unwrap();
    remember(&database, 1, "rendezvous at the old mill").await;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!has(b"rendezvous"));
        assert!(!has(b"SQLite format"));
        assert!(!has(b"identity_update"));
    }
}

#[tokio::test]
async fn another_key_is_told_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    drop(open(&path, KEY).unwrap());
    let error = open(&path, DatabaseKey::Raw([1; 32])).unwrap_err();
    assert!(matches!(error, DbError::WrongKey(_)));
    assert!(
        error.to_string().contains("the key does not open"),
        "{error}"
    );
    assert!(error.remedy().is_some());
    let words = DatabaseKey::Passphrase("open sesame".into());
    assert!(matches!(open(&path, words), Err(DbError::WrongKey(_))));
    assert!(open(&path, KEY).is_ok());
}

#[tokio::test]
async fn a_passphrase_opens_what_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let words_of = |words: &str| DatabaseKey::Passphrase(words.to_owned());
    let database = open(&path, words_of("open sesame")).unwrap();
    remember(&database, 1, "hello").await;
    drop(database);
    assert!(matches!(
        open(&path, words_of("open barley")),
        Err(DbError::WrongKey(_))
    ));
    let database = open(&path, words_of("open sesame")).unwrap();
    assert_eq!(words(&database).await, [b"hello"]);
}

#[tokio::test]
async fn files_that_are_no_database_of_ours_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.db");
    fs::write(
        &plain,
        b"SQLite format 3\0and so on, as nobody encrypted it",
    )
    .unwrap();
    assert!(matches!(open(&plain, KEY), Err(DbError::NotEncrypted(_))));
    for (name, bytes) in [("short", vec![7; 5]), ("garbage", vec![7; 9000])] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = open(&path, KEY).unwrap_err();
        assert!(matches!(error, DbError::WrongKey(_)), "{name}: {error}");
    }
    let nowhere = folder.path().join("no/such/folder.db");
    assert!(matches!(open(&nowhere, KEY), Err(DbError::Io { .. })));
}

#[tokio::test]
async fn damage_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let database = open(&path, KEY).unwrap();
    for number in 0..200 {
        remember(
            &database,
            number,
            "a word that fills pages, now and then and again",
        )
        .await;
    }
    drop(database);
    assert!(Database::verify(&path, &KEY).is_ok());
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() - 3000;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(Database::verify(&path, &KEY).is_err());
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let database = open(&path, KEY).unwrap();
    let change = database.write(|transaction| {
        transaction.pragma_update(None, "user_version", 99)?;
        Ok(())
    });
    change.await.unwrap();
    drop(database);
    let error = open(&path, KEY).unwrap_err();
    assert!(
        matches!(error, DbError::FromTheFuture { found: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn who_comes_second_is_refused_politely() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    let first = open(&path, KEY).unwrap();
    let error = open(&path, KEY).unwrap_err();
    let process = std::process::id();
    assert!(
        error
            .to_string()
            .contains(&format!("in use by another process ({process})")),
        "{error}"
    );
    assert!(error.is_retryable());
    let clone = first.clone();
    drop(first);
    assert!(open(&path, KEY).is_err(), "a handle is still there");
    drop(clone);
    assert!(open(&path, KEY).is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    fs::write(&path, b"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let database = open(&path, KEY).unwrap();
    remember(&database, 1, "hello").await;
    let mut seen = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert!(seen >= 3, "database, log and lock");
}

#[tokio::test]
async fn a_backup_is_made_in_use_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (
        folder.path().join("client.db"),
        folder.path().join("copy.db"),
    );
    let database = open(&path, KEY).unwrap();
    remember(&database, 1, "hello").await;
    let contents = database.backup(&copy).await.unwrap();
    let rows = |name: &str| {
        contents
            .tables
            .iter()
            .find(|table| table.0 == name)
            .unwrap()
            .1
    };
    assert_eq!(rows("identity_update"), 1);
    assert!(matches!(
        database.backup(&copy).await,
        Err(DbError::Exists(_))
    ));
    remember(&database, 2, "later").await;
    drop(database);

    assert!(matches!(
        Database::restore(&copy, &path, &KEY),
        Err(DbError::Exists(_))
    ));
    let wrong = Database::restore(&copy, &path, &DatabaseKey::Raw([1; 32]));
    assert!(matches!(wrong, Err(DbError::WrongKey(_))));
    fs::remove_file(&path).unwrap();
    assert_eq!(
        Database::restore(&copy, &path, &KEY).unwrap().tables,
        contents.tables
    );
    let database = open(&path, KEY).unwrap();
    assert_eq!(words(&database).await, [b"hello"]);
    assert!(matches!(
        Database::verify(&folder.path().join("none"), &KEY),
        Err(DbError::NotFound(_))
    ));
}

#[tokio::test]
async fn a_backup_with_a_passphrase_opens_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (
        folder.path().join("client.db"),
        folder.path().join("copy.db"),
    );
    let words_of = || DatabaseKey::Passphrase("open sesame".into());
    let database = open(&path, words_of()).unwrap();
    remember(&database, 1, "hello").await;
    database.backup(&copy).await.unwrap();
    assert!(Database::verify(&copy, &words_of()).is_ok());
    let database = open(&copy, words_of()).unwrap();
    assert_eq!(words(&database).await, [b"hello"]);
}

#[tokio::test]
async fn opening_with_a_raw_key_stretches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.db");
    drop(open(&path, KEY).unwrap());
    // The best of many: the machine may have other work.
    let times = (0..30).map(|_| {
        let began = Instant::now();
        let database = open(&path, KEY).unwrap();
        let took = began.elapsed();
        drop(database);
        took
    });
    let best = times.min().unwrap();
    // Two or three milliseconds; a passphrase costs hundreds.
    assert!(best < Duration::from_millis(100), "{best:?}");
}

#[tokio::test]
async fn a_database_in_memory_is_one_for_all_its_handles() {
    let database = Database::open(&DatabaseOptions::in_memory()).unwrap();
    remember(&database.clone(), 1, "hello").await;
    assert_eq!(words(&database).await, [b"hello"]);
    assert!(matches!(database.backup("x").await, Err(DbError::InMemory)));
}

//! TLS to PostgreSQL, as the address asks for it.

use std::sync::Arc;

use folkmoot_store::{Maintenance, PostgresOptions, PostgresStore, StoreError};
use tokio_postgres::NoTls;

use crate::backend::fresh_schema;

/// The variable that names the file with the server's certificate, which is for `localhost`.
const CERTIFICATE: &str = "FOLKMOOT_TEST_POSTGRES_CERTIFICATE";

/// Whether the connections of a store at `url` are encrypted, all of them.
async fn is_encrypted(url: &str) -> Result<bool, StoreError> {
    let name = format!("test_{:032x}", rand::random::<u128>());
    let named = format!("{url}&application_name={name}");
    let store =
        PostgresStore::connect(&named, PostgresOptions::default(), Arc::new(|_| ())).await?;
    // One connection writes, one reads.
    store.check().await?;
    store.stats().await?;
    let (client, connection) = tokio_postgres::connect(&without_tls(url), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let row = client
        .query_one(
            "SELECT count(*), bool_and(s.ssl) FROM pg_stat_ssl s \
             JOIN pg_stat_activity a USING (pid) WHERE a.application_name = $1",
            &[&name],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 2);
    store.close().await?;
    Ok(row.get(1))
}

/// The part of an address that every client knows.
fn without_tls(url: &str) -> String {
    let known = |part: &&str| !part.starts_with("ssl");
    url.split('&').filter(known).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn connections_are_as_safe_as_the_address_wants() {
    let Some(certificate) = std::env::var(CERTIFICATE).ok() else {
        eprintln!("skipped: set {CERTIFICATE} to the certificate of a PostgreSQL for localhost");
        return;
    };
    let known = format!("sslrootcert={certificate}");
    for (host, settings, expected) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), Ok(false)),
        ("127.0.0.1", "sslmode=prefer".to_owned(), Ok(true)),
        ("127.0.0.1", "sslmode=require".to_owned(), Ok(true)),
        ("127.0.0.1", format!("sslmode=require&{known}"), Ok(true)),
        ("127.0.0.1", format!("sslmode=verify-ca&{known}"), Ok(true)),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&{known}"),
            Err("certificate not valid for name"),
        ),
        (
            "localhost",
            format!("sslmode=verify-full&{known}"),
            Ok(true),
        ),
        ("localhost", "sslmode=verify-full".to_owned(), Err("")),
        (
            "localhost",
            "sslmode=maybe".to_owned(),
            Err("sslmode is \"maybe\""),
        ),
    ] {
        let url = fresh_schema().await.expect("a certificate has a server");
        let url = url.replace("@127.0.0.1:", &format!("@{host}:"));
        let found = is_encrypted(&format!("{url}&hostaddr=127.0.0.1&{settings}")).await;
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{host} {settings}"),
            (Err(refused), Err(why)) => {
                let told = refused.to_string();
                assert!(told.contains(why), "{host} {settings}: {told}");
            }
            (found, expected) => panic!("{host} {settings}: {found:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_copy_of_the_database_goes_the_same_way() {
    let Some(url) = fresh_schema().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let options = PostgresOptions::default();
    let store = PostgresStore::connect(&url, options, Arc::new(|_| ())).await;
    store.unwrap().close().await.unwrap();
    let to = folder.path().join("copy.sqlite");
    let url = format!("{url}&sslmode=nonsense");
    let refused = PostgresStore::copy_database(&url, &to).await.unwrap_err();
    assert!(refused.to_string().contains("nonsense"), "{refused}");
}

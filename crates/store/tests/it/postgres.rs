//! The PostgreSQL to test on. Both suites of this crate use this file.

/// The variable that names a PostgreSQL to test on.
const POSTGRES: &str = "FOLKMOOT_TEST_POSTGRES";
/// The variable without which a missing PostgreSQL is no failure.
const REQUIRE_POSTGRES: &str = "FOLKMOOT_TEST_REQUIRE_POSTGRES";

/// The address of an empty schema in the PostgreSQL that the environment names.
pub(crate) async fn fresh_schema() -> Option<String> {
    let Ok(url) = std::env::var(POSTGRES) else {
        assert!(
            std::env::var_os(REQUIRE_POSTGRES).is_none(),
            "{POSTGRES} is not set, and {REQUIRE_POSTGRES} is"
        );
        eprintln!("skipped: set {POSTGRES}=postgres://… to run this on PostgreSQL");
        return None;
    };
    let schema = format!("test_{:032x}", rand::random::<u128>());
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let made = client
        .batch_execute(&format!("CREATE SCHEMA {schema}"))
        .await;
    made.unwrap();
    let separator = if url.contains('?') { '&' } else { '?' };
    // Nothing here cuts the server's power, so its commits need not wait for the disk.
    let options = format!("-csearch_path%3D{schema}%20-csynchronous_commit%3Doff");
    Some(format!("{url}{separator}options={options}"))
}

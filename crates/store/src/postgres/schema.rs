//! The numbered forms that the tables have had, and PostgreSQL's errors as ours.

use std::error::Error as _;

use tokio_postgres::{Client, error::SqlState};

use crate::StoreError;

/// Each step makes one form of the tables from the one before it.
const MIGRATIONS: &[&str] = &[include_str!("schema_v1.sql")];

/// Brings the tables to the newest form, or refuses ones that are newer than this program.
/// Only the holder of the session lock calls this.
pub(super) async fn migrate(client: &mut Client) -> Result<(), StoreError> {
    let failed = failed("bring the database to its newest form");
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS schema_version (number BIGINT NOT NULL)")
        .await
        .map_err(&failed)?;
    let found: i64 = client
        .query_one("SELECT coalesce(max(number), 0) FROM schema_version", &[])
        .await
        .map_err(&failed)?
        .get(0);
    let known = u32::try_from(MIGRATIONS.len()).expect("there are few migrations");
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::FromTheFuture { found, known });
    }
    for (number, step) in (found + 1..).zip(&MIGRATIONS[found as usize..]) {
        let transaction = client.transaction().await.map_err(&failed)?;
        transaction.batch_execute(step).await.map_err(&failed)?;
        transaction
            .execute(
                "INSERT INTO schema_version VALUES ($1)",
                &[&i64::from(number)],
            )
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
    }
    Ok(())
}

/// Turns PostgreSQL's errors into ours, with what was attempted.
pub(super) fn failed(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> StoreError {
    move |cause| match cause.code() {
        Some(&SqlState::DISK_FULL) => StoreError::DiskFull,
        _ => StoreError::Database {
            doing,
            cause: in_words(&cause).into(),
        },
    }
}

/// An error with what caused it. The details of what the server says are left out, since they
/// can quote rows.
pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(told) = error.as_db_error() {
        return format!("{} ({})", told.message(), told.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

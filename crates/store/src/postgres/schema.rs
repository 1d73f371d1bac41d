//! The numbered forms that the tables have had, and PostgreSQL's errors as ours.

use std::error::Error as _;

use tokio_postgres::{Client, error::SqlState};

use crate::StoreError;

/// In which table the number of the tables' form is.
pub(super) const VERSIONS: &str = "schema_version";
/// Each step makes one form of the tables from the one before it.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema_v1.sql")];

/// Brings the tables to the newest form, or refuses ones that are newer than this program.
/// Only the holder of the session lock calls this.
///
/// `versions` is the table that names their form, `steps` make each form from the one before it.
pub(crate) async fn migrate(
    client: &mut Client,
    versions: &str,
    steps: &[&str],
) -> Result<(), StoreError> {
    let failed = failed("bring the database to its newest form");
    client
        .batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS {versions} (number BIGINT NOT NULL)"
        ))
        .await
        .map_err(&failed)?;
    let found: i64 = client
        .query_one(
            &format!("SELECT coalesce(max(number), 0) FROM {versions}"),
            &[],
        )
        .await
        .map_err(&failed)?
        .get(0);
    let known = u32::try_from(steps.len()).expect("there are few migrations");
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::FromTheFuture { found, known });
    }
    for (number, step) in (found + 1..).zip(&steps[found as usize..]) {
        let transaction = client.transaction().await.map_err(&failed)?;
        transaction.batch_execute(step).await.map_err(&failed)?;
        transaction
            .execute(
                &format!("INSERT INTO {versions} VALUES ($1)"),
                &[&i64::from(number)],
            )
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
    }
    Ok(())
}

/// Turns PostgreSQL's errors into ours, with what was attempted.
pub(crate) fn failed(doing: &'static str) -> impl Fn(tokio_postgres::Error) -> StoreError {
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

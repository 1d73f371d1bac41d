//! The numbered forms that the file has had.

use rusqlite::Connection;

use super::DbError;

/// Each step makes one form of the file from the one before it, and is a list of scripts: one for
/// each part of the client that has tables.
const MIGRATIONS: &[&[&str]] = &[
    &[
        include_str!("schema_v1/identity.sql"),
        include_str!("schema_v1/conversations.sql"),
        include_str!("schema_v1/own_devices.sql"),
    ],
    &[
        include_str!("schema_v2/pending_welcome.sql"),
        include_str!("schema_v2/early_message.sql"),
    ],
    &[include_str!("schema_v3/readd.sql")],
    &[include_str!("schema_v4/heard.sql")],
    &[include_str!("schema_v5/relink.sql")],
    &[include_str!("schema_v6/pushed_message.sql")],
];

/// Brings the file to the newest form, or refuses one that is newer than this program.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), DbError> {
    let found = check(connection)?;
    for (number, step) in (found + 1..).zip(&MIGRATIONS[found as usize..]) {
        let transaction = connection.transaction()?;
        for script in *step {
            transaction.execute_batch(script)?;
        }
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The number of the file's form, if this program knows it.
pub(super) fn check(connection: &Connection) -> Result<u32, DbError> {
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = u32::try_from(MIGRATIONS.len()).expect("there are few migrations");
    if found > known {
        return Err(DbError::FromTheFuture { found, known });
    }
    Ok(found)
}

//! Copies of the database: making, verifying, putting back.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{Database, DatabaseKey, DbError, key::FileKey, lock::Lock, open, schema};

/// What a database holds, in numbers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contents {
    /// The file's form.
    pub form: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Each table and its rows, by name.
    pub tables: Vec<(String, u64)>,
}

impl Database {
    /// Writes a copy of the database to the new file `to`, with the same key, while it is in use,
    /// and reads it from end to end.
    ///
    /// # Errors
    ///
    /// [`DbError::Exists`], [`DbError::InMemory`], or what is wrong with the copy.
    pub async fn backup(&self, to: impl Into<PathBuf>) -> Result<Contents, DbError> {
        let to = to.into();
        let (from, key) = self.file().ok_or(DbError::InMemory)?;
        let copying = tokio::task::spawn_blocking(move || {
            refuse_existing(&to)?;
            let name = to.to_str().ok_or_else(|| DbError::Io {
                path: to.clone(),
                cause: io::Error::other("the name is not UTF-8"),
            })?;
            open::make_private(&to)?;
            let copied = open::to_read(&from, &key)
                .and_then(|connection| Ok(connection.execute("VACUUM INTO ?1", [name])?))
                .and_then(|_| verify_file(&to, &key));
            if copied.is_err() {
                // Half a copy is none.
                let _ = fs::remove_file(&to);
            }
            copied
        });
        copying.await.map_err(|_| DbError::Closed)?
    }

    /// Reads this database from end to end, while it is in use: whether every page has the seal
    /// with which it was written, and whether they fit together.
    ///
    /// # Errors
    ///
    /// [`DbError::InMemory`], or what is wrong with it.
    pub async fn check(&self) -> Result<Contents, DbError> {
        let (path, key) = self.file().ok_or(DbError::InMemory)?;
        let checking = tokio::task::spawn_blocking(move || verify_file(&path, &key));
        checking.await.map_err(|_| DbError::Closed)?
    }

    /// Reads a copy, or a database that nobody uses, from end to end.
    ///
    /// # Errors
    ///
    /// [`DbError::NotFound`], [`DbError::WrongKey`], or what is wrong with it.
    pub fn verify(path: &Path, key: &DatabaseKey) -> Result<Contents, DbError> {
        if !path.exists() {
            return Err(DbError::NotFound(path.into()));
        }
        verify_file(path, &FileKey::of(path, key)?)
    }

    /// Puts the copy `from` in the place of the database `to`, which must not exist, after
    /// verifying it.
    ///
    /// # Errors
    ///
    /// [`DbError::Exists`], [`DbError::InUse`], or what is wrong with the copy.
    pub fn restore(from: &Path, to: &Path, key: &DatabaseKey) -> Result<Contents, DbError> {
        let contents = Self::verify(from, key)?;
        let _lock = Lock::take(to)?;
        refuse_existing(to)?;
        let failed = |cause| DbError::Io {
            path: to.into(),
            cause,
        };
        // Under another name first: a file with the right name is always whole.
        let mut partial = to.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        fs::copy(from, &partial).map_err(failed)?;
        open::make_private(&partial)?;
        fs::File::open(&partial)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&partial, to))
            .map_err(failed)?;
        Ok(contents)
    }
}

fn refuse_existing(path: &Path) -> Result<(), DbError> {
    if path.exists() {
        return Err(DbError::Exists(path.into()));
    }
    Ok(())
}

fn verify_file(path: &Path, key: &FileKey) -> Result<Contents, DbError> {
    let connection = open::to_read(path, key)?;
    schema::check(&connection)?;
    // One row for each page whose seal is broken.
    for check in ["PRAGMA cipher_integrity_check", "PRAGMA integrity_check"] {
        let problem: Option<String> = connection
            .prepare(check)?
            .query_map([], |row| row.get(0))?
            .find(|row| row.as_ref().map_or(true, |text: &String| text != "ok"))
            .transpose()?;
        if let Some(problem) = problem {
            return Err(DbError::corrupt("page", problem));
        }
    }
    contents(&connection, path)
}

fn contents(connection: &Connection, path: &Path) -> Result<Contents, DbError> {
    let names: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let count = |name: String| {
        let sql = format!("SELECT count(*) FROM \"{name}\"");
        let rows = connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?;
        Ok((name, rows.cast_unsigned()))
    };
    Ok(Contents {
        form: schema::check(connection)?,
        bytes: fs::metadata(path).map_or(0, |metadata| metadata.len()),
        tables: names
            .into_iter()
            .map(count)
            .collect::<Result<_, DbError>>()?,
    })
}

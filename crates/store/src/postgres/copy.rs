//! Copies of a PostgreSQL store: out to the portable form, which is the embedded store's file,
//! and back in. So data moves between backends the same way as it is backed up.

use std::path::Path;

use rusqlite::{Connection, params_from_iter, types::Value};
use tokio_postgres::{Client, Row, Transaction, types::ToSql};

use super::schema::failed;
use crate::{StoreError, sqlite::copy};

/// Rows read or written at a time.
const ROWS: i64 = 500;

/// What a column holds, in both databases.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Column {
    Number,
    NumberOrNull,
    Bytes,
    Text,
}

use Column::{Bytes, Number, NumberOrNull, Text};

/// A table that both databases have.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Column)],
    /// How many of the columns, from the first on, name a row; pages go by them.
    key: usize,
}

const TABLES: &[Table] = &[
    Table {
        name: "meta",
        columns: &[("key", Text), ("value", Number)],
        key: 1,
    },
    Table {
        name: "topic",
        columns: &[("id", Number), ("name", Bytes)],
        key: 1,
    },
    Table {
        name: "envelope",
        columns: &[
            ("topic", Number),
            ("id", Number),
            ("originator", Number),
            ("sequence", NumberOrNull),
            ("form", Number),
            ("flags", Number),
            ("time_ns", Number),
            ("previous_commit", Number),
            ("sender_hmac", Bytes),
            ("payload", Bytes),
        ],
        key: 2,
    },
    Table {
        name: "fingerprint",
        columns: &[("topic", Number), ("fingerprint", Bytes), ("id", Number)],
        key: 2,
    },
    Table {
        name: "address",
        columns: &[
            ("kind", Number),
            ("text", Text),
            ("association", Number),
            ("inbox", Bytes),
            ("revoked", NumberOrNull),
        ],
        key: 3,
    },
    Table {
        name: "commit_log",
        columns: &[
            ("group_id", Bytes),
            ("sequence", Number),
            ("entry", Bytes),
            ("signature", Bytes),
            ("signer", Bytes),
        ],
        key: 2,
    },
    Table {
        name: "signature",
        columns: &[("id", Number), ("bytes", Bytes)],
        key: 1,
    },
];

/// Writes what one snapshot of the database holds to the new file `to`.
pub(super) async fn copy_out(client: &mut Client, to: &Path) -> Result<(), StoreError> {
    let failed = failed("copy the database");
    let snapshot = client
        .build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(&failed)?;
    let path = to.to_path_buf();
    let mut file = blocking(move || copy::empty(&path)).await?;
    for table in TABLES {
        let name = table.name;
        let cursor = format!(
            "DECLARE rows NO SCROLL CURSOR FOR SELECT {} FROM {name}",
            table.selected()
        );
        snapshot.batch_execute(&cursor).await.map_err(&failed)?;
        loop {
            let fetch = format!("FETCH {ROWS} FROM rows");
            let rows = snapshot.query(&fetch, &[]).await.map_err(&failed)?;
            if rows.is_empty() {
                break;
            }
            let values: Vec<Vec<Value>> = rows.iter().map(|row| table.values(row)).collect();
            file = blocking(move || table.fill(file, &values)).await?;
        }
        snapshot
            .batch_execute("CLOSE rows")
            .await
            .map_err(&failed)?;
    }
    blocking(move || copy::finish(file)).await?;
    snapshot.commit().await.map_err(failed)
}

/// Replaces everything by what the file `from` holds, inside the open transaction.
pub(super) async fn copy_in(transaction: &Transaction<'_>, from: &Path) -> Result<(), StoreError> {
    let failed = failed("take over a copy");
    let path = from.to_path_buf();
    let mut file = blocking(move || copy::open(&path)).await?;
    for table in TABLES {
        let truncate = format!("TRUNCATE {}", table.name);
        transaction
            .batch_execute(&truncate)
            .await
            .map_err(&failed)?;
        let insert = table.insert();
        let mut after: Option<Vec<Value>> = None;
        loop {
            let (rows, returned) = blocking(move || {
                let rows = table.page(&file, after.as_deref())?;
                Ok((rows, file))
            })
            .await?;
            file = returned;
            let Some(last) = rows.last() else { break };
            after = Some(last[..table.key].to_vec());
            let columns = Columns::of(table, rows);
            let parameters = columns.parameters();
            transaction
                .execute(&insert, &parameters)
                .await
                .map_err(&failed)?;
        }
    }
    transaction
        .batch_execute(
            "UPDATE fingerprint f SET time_ns = e.time_ns FROM envelope e \
               WHERE e.topic = f.topic AND e.id = f.id; \
             SELECT setval(pg_get_serial_sequence('topic', 'id'), \
               (SELECT coalesce(max(id), 0) + 1 FROM topic), false);",
        )
        .await
        .map_err(failed)
}

impl Table {
    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// The columns as PostgreSQL gives them: numbers in their widest form.
    fn selected(&self) -> String {
        let columns = self.columns.iter().map(|(name, column)| match column {
            Number | NumberOrNull => format!("{name}::BIGINT"),
            Bytes | Text => (*name).to_owned(),
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    fn values(&self, row: &Row) -> Vec<Value> {
        let value = |(at, (_, column)): (usize, &(&str, Column))| match column {
            Number => Value::Integer(row.get(at)),
            NumberOrNull => row
                .get::<_, Option<i64>>(at)
                .map_or(Value::Null, Value::Integer),
            Bytes => Value::Blob(row.get(at)),
            Text => Value::Text(row.get(at)),
        };
        self.columns.iter().enumerate().map(value).collect()
    }

    /// Writes rows into the file.
    fn fill(&self, mut file: Connection, rows: &[Vec<Value>]) -> Result<Connection, StoreError> {
        let places: Vec<_> = (1..=self.columns.len())
            .map(|at| format!("?{at}"))
            .collect();
        let sql = format!(
            "INSERT OR REPLACE INTO {} ({}) VALUES ({})",
            self.name,
            self.names(),
            places.join(", ")
        );
        let filled = (|| {
            let transaction = file.transaction()?;
            for row in rows {
                transaction
                    .prepare_cached(&sql)?
                    .execute(params_from_iter(row))?;
            }
            transaction.commit()
        })();
        filled.map_err(of_file)?;
        Ok(file)
    }

    /// The next rows of the file behind the key `after`.
    fn page(
        &self,
        file: &Connection,
        after: Option<&[Value]>,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        let key: Vec<_> = self.columns[..self.key]
            .iter()
            .map(|(name, _)| *name)
            .collect();
        let key = key.join(", ");
        let places: Vec<_> = (1..=self.key).map(|at| format!("?{at}")).collect();
        let condition = match after {
            Some(_) => format!("WHERE ({key}) > ({})", places.join(", ")),
            None => String::new(),
        };
        let sql = format!(
            "SELECT {} FROM {} {condition} ORDER BY {key} LIMIT {ROWS}",
            self.names(),
            self.name
        );
        let read = || {
            let mut statement = file.prepare_cached(&sql)?;
            let width = self.columns.len();
            let rows = statement.query_map(params_from_iter(after.unwrap_or_default()), |row| {
                (0..width).map(|at| row.get(at)).collect()
            })?;
            rows.collect::<rusqlite::Result<Vec<Vec<Value>>>>()
        };
        read().map_err(of_file)
    }

    fn insert(&self) -> String {
        let arrays = self.columns.iter().enumerate().map(|(at, (_, column))| {
            let kind = match column {
                Number | NumberOrNull => "BIGINT",
                Bytes => "BYTEA",
                Text => "TEXT",
            };
            format!("${}::{kind}[]", at + 1)
        });
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        let names = self.names();
        let (more, values) = match self.name {
            // An envelope's sequence is not stored where it is the id.
            "envelope" => ("", names.replace("sequence", "coalesce(sequence, id)")),
            // The time is filled in from the envelopes afterwards.
            "fingerprint" => (", time_ns", format!("{names}, 0")),
            _ => ("", names.clone()),
        };
        format!(
            "INSERT INTO {} ({names}{more}) SELECT {values} FROM unnest({arrays}) AS row ({names})",
            self.name
        )
    }
}

/// Rows turned into columns, as `unnest` takes them.
struct Columns(Vec<Values>);

enum Values {
    Numbers(Vec<Option<i64>>),
    Bytes(Vec<Vec<u8>>),
    Texts(Vec<String>),
}

impl Columns {
    fn of(table: &Table, rows: Vec<Vec<Value>>) -> Self {
        let mut columns: Vec<Values> = table
            .columns
            .iter()
            .map(|(_, column)| match column {
                Number | NumberOrNull => Values::Numbers(Vec::new()),
                Bytes => Values::Bytes(Vec::new()),
                Text => Values::Texts(Vec::new()),
            })
            .collect();
        for value in rows.into_iter().flat_map(|row| row.into_iter().enumerate()) {
            match (&mut columns[value.0], value.1) {
                (Values::Numbers(numbers), Value::Integer(number)) => numbers.push(Some(number)),
                (Values::Numbers(numbers), _) => numbers.push(None),
                (Values::Bytes(all), Value::Blob(bytes)) => all.push(bytes),
                (Values::Bytes(all), _) => all.push(Vec::new()),
                (Values::Texts(texts), Value::Text(text)) => texts.push(text),
                (Values::Texts(texts), _) => texts.push(String::new()),
            }
        }
        Self(columns)
    }

    fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.0.iter().map(Values::parameter).collect()
    }
}

impl Values {
    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Numbers(numbers) => numbers,
            Self::Bytes(bytes) => bytes,
            Self::Texts(texts) => texts,
        }
    }
}

/// Runs work on a file where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|cause| StoreError::Database {
        doing: "work on the copy",
        cause: cause.into(),
    })?
}

fn of_file(cause: rusqlite::Error) -> StoreError {
    StoreError::Database {
        doing: "work on the copy",
        cause: cause.into(),
    }
}

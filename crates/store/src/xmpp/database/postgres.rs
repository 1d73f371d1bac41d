//! PostgreSQL: one task writes, in groups, over a connection that also holds the session lock; reads go through a pool.
//!
//! As with SQLite, what waits shares one transaction and one commit, each piece of work in a savepoint. One writer also
//! makes the order of an archive the order in which its messages become visible.

use std::{error::Error, path::Path};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use deadpool_postgres::{ClientWrapper, Object, Pool, PoolError, Transaction};
use futures::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};
use tokio_postgres::{
    IsolationLevel,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use super::{
    Database,
    sql::{Row, Sql, Value, Work},
};
use crate::{
    StoreError,
    postgres::{
        address::Address,
        schema::{self, failed},
    },
};

/// In which table the number of the tables' form is.
const VERSIONS: &str = "xmpp_schema_version";
/// The first half of the session lock's key; the second is the schema's.
const LOCK: i32 = 0x464d_5850;
/// Pieces of work in a group at most.
const GROUP: usize = 256;
/// Statements that are on their way at once. The library sends so few in the order given.
const PIPELINE: usize = 30;

type Reply = oneshot::Sender<Result<(), StoreError>>;

/// Work, and who waits for it.
struct Job {
    doing: &'static str,
    work: Work,
    reply: Reply,
}

/// Something for the writer.
enum Order {
    Do(Job),
    Close(Reply),
}

/// The database and the way to the writer.
pub(super) struct Postgres {
    pool: Pool,
    orders: Mutex<Option<UnboundedSender<Order>>>,
}

impl Postgres {
    pub(super) async fn connect(url: &str, readers: usize) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let pool = Pool::builder(address.manager()).max_size(readers.max(1));
        let client = connect(&address).await?;
        let pool = pool.build().map_err(|cause| StoreError::Database {
            doing: "make the connection pool",
            cause: cause.into(),
        })?;
        let (orders, receiver) = unbounded_channel();
        tokio::spawn(Writer { address, client }.run(receiver));
        Ok(Self {
            pool,
            orders: Mutex::new(Some(orders)),
        })
    }

    async fn reader(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|cause| match cause {
            PoolError::Closed => StoreError::Closed,
            cause => StoreError::Database {
                doing: "connect to the database",
                cause: cause.into(),
            },
        })
    }
}

#[async_trait]
impl Database for Postgres {
    async fn write(&self, doing: &'static str, work: Work) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let orders = self.orders.lock().clone().ok_or(StoreError::Closed)?;
        let job = Job { doing, work, reply };
        orders
            .send(Order::Do(job))
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn read(&self, doing: &'static str, work: Work) -> Result<(), StoreError> {
        let mut reader = self.reader().await?;
        let transaction = reader
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(failed(doing))?;
        work(&mut Session {
            transaction: &transaction,
            doing,
        })
        .await?;
        transaction.commit().await.map_err(failed(doing))
    }

    async fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        let reader = self.reader().await?;
        let row = reader
            .query_one("SELECT pg_database_size(current_database())", &[])
            .await
            .map_err(failed("measure the database"))?;
        Ok(row.get::<_, i64>(0).cast_unsigned())
    }

    async fn copy_to(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("a copy of what XMPP keeps"))
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.pool.close();
        let Some(orders) = self.orders.lock().take() else {
            return Ok(());
        };
        let (reply, answer) = oneshot::channel();
        orders
            .send(Order::Close(reply))
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// A connection that holds the session lock, on tables of the newest form.
async fn connect(address: &Address) -> Result<ClientWrapper, StoreError> {
    let failed = failed("connect to the database");
    let (mut client, connection) = address.connect().await.map_err(&failed)?;
    let connection = tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::warn!(%cause, "the writing connection to the database broke");
        }
    });
    let locked: bool = client
        .query_one(
            "SELECT pg_try_advisory_lock($1, hashtext(current_schema()))",
            &[&LOCK],
        )
        .await
        .map_err(&failed)?
        .get(0);
    if !locked {
        return Err(StoreError::InUse(
            "it holds the schema's advisory lock; stop it, or use another schema".to_owned(),
        ));
    }
    let tables = tables();
    schema::migrate(&mut client, VERSIONS, &[&tables]).await?;
    Ok(ClientWrapper::new(client, connection))
}

/// The tables with PostgreSQL's types. Text is compared byte by byte, as SQLite does.
fn tables() -> String {
    include_str!("schema_v1.sql")
        .replace("INTEGER PRIMARY KEY AUTOINCREMENT", "BIGSERIAL PRIMARY KEY")
        .replace("INTEGER", "BIGINT")
        .replace("BLOB", "BYTEA")
        .replace("TEXT", "TEXT COLLATE \"C\"")
        .replace(") STRICT;", ");")
}

/// What the writing task owns.
struct Writer {
    address: Address,
    client: ClientWrapper,
}

impl Writer {
    async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            let close = match order {
                Order::Do(job) => {
                    let (jobs, close) = gather(job, &mut orders);
                    self.group(jobs).await;
                    close
                }
                Order::Close(reply) => Some(reply),
            };
            if let Some(reply) = close {
                // The session lock goes with the connection.
                drop(self);
                let _ = reply.send(Ok(()));
                return;
            }
        }
    }

    /// Does the jobs in one transaction and answers them.
    async fn group(&mut self, jobs: Vec<Job>) {
        let mut done = Vec::with_capacity(jobs.len());
        let committed = self.attempt(jobs, &mut done).await;
        for (reply, result) in done {
            let result = match (result, &committed) {
                (Ok(()), Err(error)) => Err(again(error)),
                (result, _) => result,
            };
            let _ = reply.send(result);
        }
    }

    /// Does the jobs and commits. `done` gets each with its own outcome, also when something stops in between.
    async fn attempt(
        &mut self,
        jobs: Vec<Job>,
        done: &mut Vec<(Reply, Result<(), StoreError>)>,
    ) -> Result<(), StoreError> {
        let alone = jobs.len() == 1;
        let mut jobs = jobs.into_iter();
        let result = self.transact(&mut jobs, alone, done).await;
        if let Err(error) = &result {
            done.extend(jobs.map(|job| (job.reply, Err(again(error)))));
        }
        result
    }

    async fn transact(
        &mut self,
        jobs: &mut (impl Iterator<Item = Job> + Send),
        alone: bool,
        done: &mut Vec<(Reply, Result<(), StoreError>)>,
    ) -> Result<(), StoreError> {
        let failed = failed("commit a group");
        if self.client.is_closed() {
            self.client = connect(&self.address).await?;
        }
        let mut transaction = self.client.transaction().await.map_err(&failed)?;
        for Job { doing, work, reply } in jobs {
            if alone {
                // Its error undoes the transaction: nobody else is in it.
                let mut session = Session {
                    transaction: &transaction,
                    doing,
                };
                let result = work(&mut session).await;
                let undo = result.is_err();
                done.push((reply, result));
                if undo {
                    return transaction.rollback().await.map_err(&failed);
                }
                continue;
            }
            let savepoint = match transaction.savepoint("job").await {
                Ok(savepoint) => savepoint,
                Err(cause) => {
                    done.push((reply, Err(self::failed(doing)(cause))));
                    continue;
                }
            };
            let mut session = Session {
                transaction: &savepoint,
                doing,
            };
            let result = work(&mut session).await;
            let ended = match result {
                Ok(()) => savepoint.commit().await,
                Err(_) => savepoint.rollback().await,
            };
            let result = result.and_then(|()| ended.map_err(self::failed(doing)));
            done.push((reply, result));
        }
        transaction.commit().await.map_err(failed)
    }
}

/// `first` and what waits behind it, and the order to close, if it comes among them.
fn gather(first: Job, orders: &mut UnboundedReceiver<Order>) -> (Vec<Job>, Option<Reply>) {
    let mut jobs = vec![first];
    while jobs.len() < GROUP {
        match orders.try_recv() {
            Ok(Order::Do(job)) => jobs.push(job),
            Ok(Order::Close(reply)) => return (jobs, Some(reply)),
            Err(_) => break,
        }
    }
    (jobs, None)
}

/// The same error, for another one of the group.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::DiskFull => StoreError::DiskFull,
        error => StoreError::Database {
            doing: "commit a group",
            cause: error.to_string().into(),
        },
    }
}

/// An open transaction, and what it is used for now.
struct Session<'a> {
    transaction: &'a Transaction<'a>,
    doing: &'static str,
}

impl Session<'_> {
    async fn prepare(
        &self,
        statement: &'static str,
    ) -> Result<tokio_postgres::Statement, StoreError> {
        let statement = statement.replace('?', "$");
        let prepared = self.transaction.prepare_cached(&statement).await;
        prepared.map_err(failed(self.doing))
    }
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

#[async_trait]
impl Sql for Session<'_> {
    async fn query(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let statement = self.prepare(statement).await?;
        let rows = self
            .transaction
            .query(&statement, &parameters(values))
            .await;
        let row = |row: &tokio_postgres::Row| {
            let value = |column| row.try_get(column);
            let values: Result<_, _> = (0..row.len()).map(value).collect();
            values.map(Row::new)
        };
        let rows = rows.and_then(|rows| rows.iter().map(row).collect());
        rows.map_err(failed(self.doing))
    }

    async fn execute(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<u64, StoreError> {
        let statement = self.prepare(statement).await?;
        let parameters = parameters(values);
        let changed = self.transaction.execute(&statement, &parameters).await;
        changed.map_err(failed(self.doing))
    }

    async fn execute_each(
        &mut self,
        statement: &'static str,
        rows: &[Vec<Value>],
    ) -> Result<(), StoreError> {
        let statement = self.prepare(statement).await?;
        for rows in rows.chunks(PIPELINE) {
            let parameters: Vec<_> = rows.iter().map(|values| parameters(values)).collect();
            let changes = parameters
                .iter()
                .map(|values| self.transaction.execute(&statement, values));
            try_join_all(changes).await.map_err(failed(self.doing))?;
        }
        Ok(())
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            // A number that is compared with a written one.
            Self::Number(number) if *ty == Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
            Self::Number(number) => number.to_sql(ty, out),
            Self::Text(text) => text.to_sql(ty, out),
            Self::Bytes(bytes) => bytes.as_ref().to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match *ty {
            Type::INT4 => i32::from_sql(ty, raw).map(|number| Self::Number(number.into())),
            Type::INT8 => i64::from_sql(ty, raw).map(Self::Number),
            Type::BYTEA => Ok(Self::Bytes(Bytes::copy_from_slice(raw))),
            _ => String::from_sql(ty, raw).map(Self::Text),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT4 | Type::INT8 | Type::BYTEA) || <String as FromSql<'_>>::accepts(ty)
    }
}

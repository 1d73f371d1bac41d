//! SQLite: a thread that writes, a few that read, and one that moves the log back into the file.
//!
//! The writer takes what waits into one transaction, each piece of work in a savepoint, and commits them together: one
//! wait for the disk serves all of them, and an error undoes only the work that made it.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::{
    CachedStatement, Connection, ToSql,
    backup::Backup,
    types::{ToSqlOutput, ValueRef},
};
use tokio::sync::oneshot;

use super::{
    Database, XmppFileOptions,
    sql::{Answer, Row, Sql, Value, Work},
};
use crate::{
    StoreError,
    sqlite::{
        checkpoint::{self, Checkpoints},
        schema::{self, failed},
    },
};

/// Each step makes one form of the file from the one before it.
const MIGRATIONS: &[&str] = &[include_str!("schema_v1.sql")];
/// Pieces of work in a group at most.
const GROUP: usize = 256;
/// How long a group is gathered at most: who waits for it does not wait for all that comes later.
const GATHERING: Duration = Duration::from_millis(20);
/// Pages copied between two looks at what else is to do.
const PAGES_AT_A_STRETCH: i32 = 4096;

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

/// What a reader does with its connection.
type Question = Box<dyn FnOnce(&mut Session) + Send>;

/// The file and its threads.
pub(super) struct Sqlite {
    path: PathBuf,
    orders: Mutex<Option<Sender<Order>>>,
    questions: Mutex<Option<Sender<Question>>>,
}

impl Sqlite {
    pub(super) fn open(path: PathBuf, options: XmppFileOptions) -> Result<Self, StoreError> {
        let mut connection = schema::connect(&path, options.durability, options.max_bytes)?;
        schema::migrate(&mut connection, MIGRATIONS)?;
        let checkpoints = Checkpoints::start(&path, options.durability, &mut connection)?;
        let questions = start_readers(&path, options.readers)?;
        let (orders, receiver) = channel();
        let writer = Writer {
            session: Session::new(connection),
            checkpoints,
        };
        spawn("xmpp-write".to_owned(), move || writer.run(&receiver))?;
        Ok(Self {
            path,
            orders: Mutex::new(Some(orders)),
            questions: Mutex::new(Some(questions)),
        })
    }

    /// Runs `question` on a reader's connection, in a snapshot.
    async fn ask(
        &self,
        doing: &'static str,
        question: impl FnOnce(&mut Session) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let boxed: Question = Box::new(move |session| {
            session.doing = doing;
            let result = session.run("BEGIN").and_then(|()| {
                let result = question(session);
                session.end();
                result
            });
            // Whoever asked may be gone by now.
            let _ = reply.send(result);
        });
        let questions = self.questions.lock().clone().ok_or(StoreError::Closed)?;
        questions.send(boxed).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[async_trait]
impl Database for Sqlite {
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
        self.ask(doing, move |session| at_once(work(session))).await
    }

    async fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        let bytes = |suffix: &str| {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |metadata| metadata.len())
        };
        Ok(bytes("") + bytes("-wal"))
    }

    async fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_path_buf();
        let doing = "copy the database";
        self.ask(doing, move |session| {
            copy(&session.connection, &to).map_err(failed(doing))
        })
        .await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.questions.lock().take();
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

/// Writes what the open snapshot shows to the new file `to`, without a log beside it.
fn copy(source: &Connection, to: &Path) -> rusqlite::Result<()> {
    // A snapshot begins with its first read; without one, each commit would make the copy begin anew.
    source.query_row("SELECT count(*) FROM xmpp_check", [], |_| Ok(()))?;
    let mut copy = Connection::open(to)?;
    Backup::new(source, &mut copy)?.run_to_completion(PAGES_AT_A_STRETCH, Duration::ZERO, None)?;
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
}

/// What the writing thread owns.
struct Writer {
    session: Session,
    checkpoints: Checkpoints,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let close = match order {
                Order::Do(job) => self.group(job, orders),
                Order::Close(reply) => Some(reply),
            };
            if let Some(reply) = close {
                let _ = reply.send(self.close());
                return;
            }
            if self.checkpoints.committed() {
                checkpoint::passive(&self.session.connection);
            }
        }
    }

    /// Does `first` and what waits behind it in one transaction. Answers the order to close, if it came upon one.
    fn group(&mut self, first: Job, orders: &Receiver<Order>) -> Option<Reply> {
        let session = &mut self.session;
        session.doing = first.doing;
        if let Err(error) = session.run("BEGIN IMMEDIATE") {
            let _ = first.reply.send(Err(error));
            return None;
        }
        let began = Instant::now();
        let mut close = None;
        let mut done = vec![session.attempt(first)];
        // Once SQLite undid the whole transaction, what comes next needs one of its own.
        while done.len() < GROUP && began.elapsed() < GATHERING && session.is_open() {
            match orders.try_recv() {
                Ok(Order::Do(job)) => done.push(session.attempt(job)),
                Ok(Order::Close(reply)) => {
                    close = Some(reply);
                    break;
                }
                Err(_) => break,
            }
        }
        let full = done
            .iter()
            .any(|(_, result)| matches!(result, Err(StoreError::DiskFull)));
        let committed = match session.is_open() {
            false if full => Err(StoreError::DiskFull),
            _ => session.commit(),
        };
        for (reply, result) in done {
            let result = match (result, &committed) {
                (Ok(()), Err(error)) => Err(again(error)),
                (result, _) => result,
            };
            let _ = reply.send(result);
        }
        close
    }

    fn close(self) -> Result<(), StoreError> {
        self.checkpoints.stop();
        let connection = self.session.connection;
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(failed("write back the log"))?;
        connection
            .close()
            .map_err(|(_, cause)| failed("close the database")(cause))
    }
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

/// A connection, and what it is used for now.
struct Session {
    connection: Connection,
    doing: &'static str,
}

impl Session {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            doing: "begin a transaction",
        }
    }

    /// Runs a statement that stays prepared.
    fn run(&self, statement: &str) -> Result<(), StoreError> {
        self.prepare(statement)?
            .execute([])
            .map(drop)
            .map_err(failed(self.doing))
    }

    fn prepare(&self, statement: &str) -> Result<CachedStatement<'_>, StoreError> {
        let prepared = self.connection.prepare_cached(statement);
        prepared.map_err(failed(self.doing))
    }

    fn is_open(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Does a job in a savepoint, which its error undoes.
    fn attempt(&mut self, job: Job) -> (Reply, Result<(), StoreError>) {
        self.doing = job.doing;
        let result = self.run("SAVEPOINT job").and_then(|()| {
            let result = at_once((job.work)(self));
            if result.is_err() && self.is_open() {
                self.run("ROLLBACK TO job")?;
            }
            if self.is_open() {
                self.run("RELEASE job")?;
            }
            result
        });
        (job.reply, result)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.doing = "commit a group";
        if !self.is_open() {
            return Err(StoreError::Database {
                doing: self.doing,
                cause: "the transaction was undone".into(),
            });
        }
        let committed = self.run("COMMIT");
        if committed.is_err()
            && self.is_open()
            && let Err(cause) = self.run("ROLLBACK")
        {
            tracing::error!(%cause, "a transaction could not be undone");
        }
        committed
    }

    /// Ends a snapshot. Were it to stay open, the log could not be written back.
    fn end(&self) {
        if let Err(cause) = self.run("COMMIT")
            && self.is_open()
        {
            tracing::warn!(%cause, "a snapshot did not end");
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

#[async_trait]
impl Sql for Session {
    async fn query(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let failed = failed(self.doing);
        let mut statement = self.prepare(statement)?;
        let columns = statement.column_count();
        let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
            let value = |column| row.get_ref(column).map(Value::from);
            let values: Result<_, _> = (0..columns).map(value).collect();
            values.map(Row::new)
        });
        rows.map_err(&failed)?
            .collect::<Result<_, _>>()
            .map_err(failed)
    }

    async fn execute(
        &mut self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<u64, StoreError> {
        let changed = self
            .prepare(statement)?
            .execute(rusqlite::params_from_iter(values));
        changed
            .map(|changed| changed as u64)
            .map_err(failed(self.doing))
    }

    async fn execute_each(
        &mut self,
        statement: &'static str,
        rows: &[Vec<Value>],
    ) -> Result<(), StoreError> {
        let mut statement = self.prepare(statement)?;
        for values in rows {
            let changed = statement.execute(rusqlite::params_from_iter(values));
            changed.map_err(failed(self.doing))?;
        }
        Ok(())
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Integer(number) => Self::Number(number),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Bytes(Bytes::copy_from_slice(bytes)),
            // No column has fractions.
            ValueRef::Null | ValueRef::Real(_) => Self::Null,
        }
    }
}

/// The answer of work on this database, which never makes it wait.
fn at_once(answer: Answer<'_, ()>) -> Result<(), StoreError> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(answer).poll(&mut context) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(StoreError::Database {
            doing: "work on the database",
            cause: "the work waited for something else".into(),
        }),
    }
}

fn start_readers(path: &Path, readers: usize) -> Result<Sender<Question>, StoreError> {
    let (sender, receiver) = channel::<Question>();
    let receiver = Arc::new(Mutex::new(receiver));
    for number in 0..readers.max(1) {
        let mut session = Session::new(schema::connect_to_read(path)?);
        let receiver = Arc::clone(&receiver);
        spawn(format!("xmpp-read-{number}"), move || {
            loop {
                // One thread waits for the next question, the others for the lock.
                let next = receiver.lock().recv();
                match next {
                    Ok(question) => question(&mut session),
                    Err(_) => return,
                }
            }
        })?;
    }
    Ok(sender)
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let spawned = thread::Builder::new().name(name).spawn(run);
    spawned.map(drop).map_err(|cause| StoreError::Database {
        doing: "start a thread for the database",
        cause: cause.into(),
    })
}

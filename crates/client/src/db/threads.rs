//! The threads that own connections: one that writes, and a few that read.

use std::{
    collections::VecDeque,
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{DbError, key::FileKey, open};

/// Changes that share a commit at most.
const MOST_IN_A_COMMIT: usize = 256;

/// A change under way: what [`Database::write`](super::Database::write) hands to its closure.
/// Derefs to the connection; begins and ends by itself.
#[derive(Debug)]
pub struct Transaction<'a>(&'a Connection);

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}

/// When a change is safe from a loss of power. It is safe from the program's end in any case.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Durability {
    /// With the next change that is safe at once, or when SQLite tidies up its log.
    Soon,
    /// When it is answered.
    Now,
}

/// A change that waits, and how safe it has to be.
struct Change {
    durability: Durability,
    run: Run,
}

/// Runs a change in the transaction that is open, or hears why there is none; keeps the outcome
/// until the commit is through.
type Run = Box<dyn FnOnce(Result<&Connection, &DbError>) -> Outcome + Send>;
/// Hears whether the commit went through, and answers whoever asked.
type Outcome = Box<dyn FnOnce(Result<(), &DbError>)>;

/// The thread that writes.
pub(super) struct Writer {
    changes: Mutex<Option<Sender<Change>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, DbError> {
        let (sender, changes) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("client-write".into())
            .spawn(move || write(connection, &changes))
            .map_err(DbError::Thread)?;
        Ok(Self {
            changes: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) async fn run<T, E>(
        &self,
        durability: Durability,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let run: Run = Box::new(move |connection| {
            let result = match connection {
                Ok(connection) => in_savepoint(connection, change),
                Err(cause) => Err(again(cause).into()),
            };
            Box::new(move |committed| {
                let result = match committed {
                    Ok(()) => result,
                    Err(cause) => result.and(Err(again(cause).into())),
                };
                // Whoever asked may be gone by now.
                let _ = reply.send(result);
            })
        });
        let sender = self.changes.lock().clone().ok_or(DbError::Closed)?;
        let change = Change { durability, run };
        sender.send(change).map_err(|_| DbError::Closed)?;
        drop(sender);
        answer.await.map_err(|_| DbError::Closed)?
    }
}

impl Drop for Writer {
    /// Waits until everything that was asked is written and the file is closed.
    fn drop(&mut self) {
        self.changes.lock().take();
        join(self.thread.lock().take());
    }
}

/// The threads that read. Each starts when a question comes that no other is free for, so that a
/// command that asks nothing pays nothing, and one that asks one thing after the other pays for
/// one thread and the cache of one connection.
pub(super) struct Readers {
    path: PathBuf,
    key: FileKey,
    count: usize,
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Questions that wait for a thread, and threads that wait for a question.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// A question came, or none will come any more.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    questions: VecDeque<Question>,
    idle: usize,
    closed: bool,
}

type Question = Box<dyn FnOnce(&Connection) + Send>;

impl Readers {
    pub(super) fn new(path: PathBuf, key: FileKey, count: usize) -> Self {
        Self {
            path,
            key,
            count: count.max(1),
            queue: Arc::default(),
            threads: Mutex::default(),
        }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |connection| {
            // Whoever asked may be gone by now.
            let _ = reply.send(in_snapshot(connection, question));
        });
        if self.queue.push(question) == Found::AllBusy {
            self.start_another()?;
        }
        answer.await.map_err(|_| DbError::Closed)?
    }

    /// Starts one more thread, unless there are enough.
    fn start_another(&self) -> Result<(), DbError> {
        let mut threads = self.threads.lock();
        if threads.len() >= self.count {
            return Ok(());
        }
        let start = || {
            let connection = open::to_read(&self.path, &self.key)?;
            let queue = Arc::clone(&self.queue);
            thread::Builder::new()
                .name(format!("client-read-{}", threads.len()))
                .spawn(move || queue.answer(&connection))
                .map_err(DbError::Thread)
        };
        match start() {
            Ok(thread) => threads.push(thread),
            // Those that there are get to it.
            Err(_) if !threads.is_empty() => {}
            Err(cause) => {
                self.queue.clear();
                return Err(cause);
            }
        }
        Ok(())
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().map(Some).for_each(join);
    }
}

/// Who takes a question that came.
#[derive(Eq, PartialEq)]
enum Found {
    Somebody,
    AllBusy,
}

impl Queue {
    fn push(&self, question: Question) -> Found {
        let mut waiting = self.waiting.lock();
        waiting.questions.push_back(question);
        self.changed.notify_one();
        match waiting.questions.len() <= waiting.idle {
            true => Found::Somebody,
            false => Found::AllBusy,
        }
    }

    /// Answers questions until there will be none any more.
    fn answer(&self, connection: &Connection) {
        while let Some(question) = self.next() {
            question(connection);
        }
    }

    fn next(&self) -> Option<Question> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(question) = waiting.questions.pop_front() {
                return Some(question);
            }
            if waiting.closed {
                return None;
            }
            waiting.idle += 1;
            self.changed.wait(&mut waiting);
            waiting.idle -= 1;
        }
    }

    /// Lets everybody who asked know that nobody answers.
    fn clear(&self) {
        self.waiting.lock().questions.clear();
    }

    fn close(&self) {
        self.waiting.lock().closed = true;
        self.changed.notify_all();
    }
}

/// Waits for a thread to end, unless it is this one: a handle may be dropped by its own closure.
fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread
        && thread.thread().id() != thread::current().id()
    {
        // A change that panicked has printed why.
        let _ = thread.join();
    }
}

/// Commits what waits, together, until nobody can ask any more.
fn write(connection: Connection, changes: &Receiver<Change>) {
    // As the connection was opened.
    let mut durability = Durability::Now;
    while let Ok(first) = changes.recv() {
        let waiting = std::iter::once(first).chain(changes.try_iter());
        let waiting: Vec<_> = waiting.take(MOST_IN_A_COMMIT).collect();
        let wanted = waiting.iter().map(|change| change.durability).max();
        let begun = switch(&connection, &mut durability, wanted).and_then(|()| begin(&connection));
        let mut outcomes = Vec::new();
        for change in waiting {
            // A full disk may have ended the transaction; nothing more belongs to it then.
            let open = if begun.is_ok() && connection.is_autocommit() {
                Err(&DbError::Closed)
            } else {
                begun.as_ref().map(|()| &connection)
            };
            outcomes.push((change.run)(open));
        }
        let committed = begun.and_then(|()| commit(&connection));
        for outcome in outcomes {
            outcome(committed.as_ref().copied());
        }
    }
}

/// Has the next commits wait for the disk or not.
fn switch(
    connection: &Connection,
    is: &mut Durability,
    wanted: Option<Durability>,
) -> Result<(), DbError> {
    let wanted = wanted.unwrap_or(Durability::Now);
    if *is != wanted {
        connection.execute_batch(match wanted {
            Durability::Soon => "PRAGMA synchronous = NORMAL",
            Durability::Now => "PRAGMA synchronous = FULL",
        })?;
        *is = wanted;
    }
    Ok(())
}

fn begin(connection: &Connection) -> Result<(), DbError> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    Ok(())
}

fn commit(connection: &Connection) -> Result<(), DbError> {
    let committed = connection
        .prepare_cached("COMMIT")
        .and_then(|mut commit| commit.execute([]));
    if committed.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    Ok(committed.map(drop)?)
}

/// Runs one change so that its failure leaves no trace in the transaction around it.
fn in_savepoint<T, E: From<DbError>>(
    connection: &Connection,
    change: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let statement = |sql| -> Result<(), DbError> {
        connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    statement("SAVEPOINT change")?;
    let result = change(&Transaction(connection));
    if result.is_err() {
        statement("ROLLBACK TO change")?;
    }
    statement("RELEASE change")?;
    result
}

fn in_snapshot<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> Result<T, DbError>,
) -> Result<T, DbError> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = question(connection);
    // Were the snapshot to stay open, the next question could not begin one.
    connection.prepare_cached("COMMIT")?.execute([])?;
    result
}

/// The same error for one more of those who shared a commit.
fn again(cause: &DbError) -> DbError {
    match cause {
        DbError::Sqlite(rusqlite::Error::SqliteFailure(error, text)) => {
            DbError::Sqlite(rusqlite::Error::SqliteFailure(*error, text.clone()))
        }
        DbError::Damaged(rusqlite::Error::SqliteFailure(error, text)) => {
            DbError::Damaged(rusqlite::Error::SqliteFailure(*error, text.clone()))
        }
        other => DbError::corrupt("transaction", other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> Writer {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (n)").unwrap();
        Writer::start(connection).unwrap()
    }

    async fn count(writer: &Writer) -> i64 {
        let count = |tx: &Transaction<'_>| {
            Ok::<_, DbError>(tx.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
        };
        writer.run(Durability::Soon, count).await.unwrap()
    }

    #[tokio::test]
    async fn a_failed_change_leaves_no_trace_in_a_shared_commit() {
        let writer = writer();
        let insert = |fail: bool| {
            writer.run(Durability::Now, move |tx| {
                tx.execute("INSERT INTO t VALUES (1)", [])
                    .map_err(DbError::from)?;
                if fail { Err(DbError::Closed) } else { Ok(()) }
            })
        };
        let all = futures::future::join_all((0..20).map(|n| insert(n % 2 == 0))).await;
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 10);
        assert_eq!(count(&writer).await, 10);
    }

    #[tokio::test]
    async fn only_changes_that_have_to_be_safe_at_once_wait_for_the_disk() {
        let writer = writer();
        for (durability, level) in [
            (Durability::Now, 2),
            (Durability::Soon, 1),
            (Durability::Soon, 1),
            (Durability::Now, 2),
        ] {
            let found = writer.run(durability, |tx| {
                Ok::<i64, DbError>(tx.query_row("PRAGMA synchronous", [], |row| row.get(0))?)
            });
            assert_eq!(found.await.unwrap(), level);
        }
    }

    #[test]
    fn a_thread_that_is_free_takes_the_next_question() {
        let queue = Arc::new(Queue::default());
        let (reply, answers) = mpsc::channel();
        let ask = |n: u8| {
            let reply = reply.clone();
            queue.push(Box::new(move |_| reply.send(n).unwrap()))
        };
        assert!(ask(1) == Found::AllBusy);
        let answering = {
            let queue = Arc::clone(&queue);
            let connection = Connection::open_in_memory().unwrap();
            thread::spawn(move || queue.answer(&connection))
        };
        assert_eq!(answers.recv(), Ok(1));
        while queue.waiting.lock().idle == 0 {
            thread::yield_now();
        }
        assert!(ask(2) == Found::Somebody);
        assert_eq!(answers.recv(), Ok(2));
        queue.close();
        answering.join().unwrap();
    }

    #[tokio::test]
    async fn a_change_happens_although_nobody_waits_for_it() {
        let writer = writer();
        let (go_on, held) = mpsc::channel::<()>();
        let change = writer.run(Durability::Now, move |tx| {
            held.recv().expect("the test lets the writer go on");
            tx.execute("INSERT INTO t VALUES (1)", [])?;
            Ok::<_, DbError>(())
        });
        let mut change = Box::pin(change);
        assert!(futures::poll!(&mut change).is_pending());
        drop(change);
        go_on.send(()).unwrap();
        assert_eq!(count(&writer).await, 1);
    }
}

//! Reader threads: each runs closures over a connection of its own.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{SqliteOptions, schema};
use crate::StoreError;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// A few threads that take questions in turn.
pub(super) struct Readers(Mutex<Option<Sender<Question>>>);

impl Readers {
    pub(super) fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..options.readers.max(1) {
            let connection = schema::connect_to_read(path)?;
            let receiver = Arc::clone(&receiver);
            thread::Builder::new()
                .name(format!("store-read-{number}"))
                .spawn(move || answer(&receiver, &connection))
                .map_err(|cause| StoreError::Database {
                    doing: "start a reader",
                    cause: cause.into(),
                })?;
        }
        Ok(Self(Mutex::new(Some(sender))))
    }

    /// Runs `question` in one snapshot of the file.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        question: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let boxed: Question = Box::new(move |connection| {
            let result = begin(connection).and_then(|()| {
                let result = question(connection);
                end(connection);
                result
            });
            // Whoever asked may be gone by now.
            let _ = reply.send(result);
        });
        let sender = self.0.lock().clone().ok_or(StoreError::Closed)?;
        sender.send(boxed).map_err(|_| StoreError::Closed)?;
        let result = answer.await.map_err(|_| StoreError::Closed)?;
        result.map_err(schema::failed(doing))
    }

    /// Lets the threads end once they have answered what waits.
    pub(super) fn close(&self) {
        self.0.lock().take();
    }
}

/// Begins a snapshot, with a statement that stays prepared.
fn begin(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("BEGIN")?.execute([]).map(drop)
}

/// Ends the snapshot. Were it to stay open, the next question would fail to begin one, and the
/// log could not be written back.
fn end(connection: &Connection) {
    let ended = connection
        .prepare_cached("COMMIT")
        .and_then(|mut statement| statement.execute([]));
    if let Err(cause) = ended
        && !connection.is_autocommit()
    {
        tracing::warn!(%cause, "a snapshot did not end");
        let _ = connection.execute_batch("ROLLBACK");
    }
}

fn answer(receiver: &Mutex<Receiver<Question>>, connection: &Connection) {
    loop {
        // The lock is held while waiting: one thread waits for the next question, the others
        // for the lock, and all of them run questions without it.
        let next = receiver.lock().recv();
        match next {
            Ok(question) => question(connection),
            Err(_) => return,
        }
    }
}

//! Checkpoints: the write-ahead log goes back into the file, on a thread of its own.
//!
//! SQLite reuses the log from its beginning once all of it is in the file and nobody reads it.
//! Under a load that never pauses the thread cannot catch up with the writer, so beyond
//! [`INSIST_AT_FRAMES`] the writer does the rest itself; it waits for no reader. When nothing
//! was written for a while, the thread also gives the log's space back.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;

use super::schema::{self, failed};
use crate::{Durability, StoreError};

/// Pages in the log between two checkpoints: 16 MiB.
const BETWEEN_FRAMES: u32 = (16 << 20) / schema::PAGE_BYTES;
/// Pages in the log at which the writer does a checkpoint itself: 64 MiB.
const INSIST_AT_FRAMES: u32 = 4 * BETWEEN_FRAMES;
/// Silence after which the log's space is given back.
const IDLE: Duration = Duration::from_secs(1);
/// How long giving it back may wait for readers, in milliseconds.
const IDLE_PATIENCE_MS: u32 = 50;

/// The checkpoint thread, as the writer sees it.
pub(crate) struct Checkpoints {
    ask: SyncSender<()>,
    log: Arc<Log>,
    /// The log's length when a checkpoint was last asked for.
    asked_at: u32,
    thread: JoinHandle<()>,
}

/// What is known of the log.
#[derive(Default)]
struct Log {
    /// Pages in use, as of the last commit.
    frames: AtomicU32,
    /// Whether the thread has given its space back since.
    empty: AtomicBool,
    /// Commits, wrapping.
    commits: AtomicU32,
}

impl Checkpoints {
    /// Starts the thread, and lets it hear of what `writer` commits to the file at `path`.
    pub(crate) fn start(
        path: &Path,
        durability: Durability,
        writer: &mut Connection,
    ) -> Result<Self, StoreError> {
        let log = Arc::new(Log {
            empty: AtomicBool::new(true),
            ..Log::default()
        });
        let heard = Arc::clone(&log);
        writer
            .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, frames| {
                let frames = u32::try_from(frames).unwrap_or(0);
                heard.frames.store(frames, Ordering::Release);
                heard.commits.fetch_add(1, Ordering::Release);
                Ok(())
            }))
            .map_err(failed("watch the write-ahead log"))?;
        let connection = schema::connect(path, durability, None)?;
        connection
            .pragma_update(None, "busy_timeout", IDLE_PATIENCE_MS)
            .map_err(failed("open the database"))?;
        let (ask, asked) = sync_channel(1);
        let known = Arc::clone(&log);
        let thread = thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || work(&connection, &known, &asked))
            .map_err(|cause| StoreError::Database {
                doing: "start the checkpoints",
                cause: cause.into(),
            })?;
        Ok(Self {
            ask,
            log,
            asked_at: 0,
            thread,
        })
    }

    /// To be called after each commit. Says whether the writer must do a checkpoint itself.
    pub(crate) fn committed(&mut self) -> bool {
        let frames = self.log.frames.load(Ordering::Acquire);
        // A shorter log was begun anew.
        self.asked_at = self.asked_at.min(frames);
        let wake = self.log.empty.swap(false, Ordering::AcqRel);
        if wake || frames - self.asked_at >= BETWEEN_FRAMES {
            self.asked_at = frames;
            // Asking twice is asking once.
            let _ = self.ask.try_send(());
        }
        frames >= INSIST_AT_FRAMES
    }

    /// Waits until the thread is done with the file.
    pub(crate) fn stop(self) {
        drop(self.ask);
        let _ = self.thread.join();
    }
}

/// What the thread does until nobody can ask any more.
fn work(connection: &Connection, log: &Log, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        loop {
            let commits = log.commits.load(Ordering::Acquire);
            match asked.recv_timeout(IDLE) {
                Ok(()) => passive(connection),
                Err(RecvTimeoutError::Timeout) => {
                    if log.commits.load(Ordering::Acquire) == commits {
                        // Said first: a commit meanwhile asks again.
                        log.empty.store(true, Ordering::Release);
                        // Most of the work, before the writer is locked out for the rest.
                        passive(connection);
                        truncate(connection);
                        break;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Moves into the file what nobody needs in the log any more; waits for nobody.
pub(crate) fn passive(connection: &Connection) {
    checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)");
}

/// Moves the whole log into the file and gives its space back, unless somebody reads it.
fn truncate(connection: &Connection) {
    checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
}

fn checkpoint(connection: &Connection, pragma: &str) {
    if let Err(cause) = connection.query_row(pragma, [], |_| Ok(())) {
        tracing::warn!(%cause, "a checkpoint failed; the log stays longer");
    }
}

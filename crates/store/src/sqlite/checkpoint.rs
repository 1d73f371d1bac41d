//! Checkpoints: the write-ahead log goes back into the file, on a thread of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use super::schema;
use crate::{Durability, StoreError};

/// Bytes written between two checkpoints.
const BETWEEN_BYTES: usize = 16 << 20;
/// Size of the log at which the writer waits for a whole checkpoint itself, so that the log
/// cannot grow for ever under a load that never pauses.
const INSIST_AT_BYTES: u64 = 512 << 20;

/// The checkpoint thread.
pub(super) struct Checkpoints {
    ask: SyncSender<()>,
    log: PathBuf,
    written: usize,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::connect(path, Durability::Full, None)?;
        let (ask, asked) = sync_channel::<()>(1);
        let thread = thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || {
                while asked.recv().is_ok() {
                    let done =
                        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                    if let Err(cause) = done {
                        tracing::warn!(%cause, "a checkpoint failed; the log stays longer");
                    }
                }
            })
            .map_err(|cause| StoreError::Database {
                doing: "start the checkpoints",
                cause: cause.into(),
            })?;
        let mut log = path.to_path_buf().into_os_string();
        log.push("-wal");
        Ok(Self {
            ask,
            log: log.into(),
            written: 0,
            thread: Some(thread),
        })
    }

    /// Counts what was written, and asks for a checkpoint when it is much. Says whether the
    /// log has grown so long that the writer must do a checkpoint itself.
    pub(super) fn written(&mut self, bytes: usize) -> bool {
        self.written += bytes;
        if self.written < BETWEEN_BYTES {
            return false;
        }
        self.written = 0;
        // Asking twice is asking once.
        let _ = self.ask.try_send(());
        fs::metadata(&self.log).is_ok_and(|log| log.len() > INSIST_AT_BYTES)
    }

    /// Waits until the thread is done with the file.
    pub(super) fn stop(mut self) {
        let thread = self.thread.take();
        drop(self);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

//! The lock that keeps a second process out: the file `NAME.lock` beside the database.
//!
//! SQLite's own locks would let two processes take turns, and then both would move the same MLS
//! state. The operating system releases this one when its process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    process,
};

use super::{DbError, open};

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the database at `path`.
    pub(super) fn take(path: &Path) -> Result<Self, DbError> {
        let lock = beside(path);
        let failed = |cause| DbError::Io {
            path: lock.clone(),
            cause,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        open::private(&mut options);
        let mut file = options.open(&lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // Its number is a courtesy; it may not be there yet.
                let _ = file.read_to_string(&mut process);
                return Err(DbError::InUse {
                    path: path.into(),
                    process: process.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

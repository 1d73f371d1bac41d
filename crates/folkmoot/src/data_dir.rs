//! The data directory: what a node keeps on disk, used by one process at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use folkmoot_node::NodeKey;

use crate::failure::{Exit, Failure};

/// A directory that this process has for itself, for as long as the value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes the directory `path`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when another process has it, or when it cannot be used.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let unusable = || unusable(path);
        let is_new = !path.exists();
        fs::create_dir_all(path).map_err(|cause| unusable().because(cause))?;
        if is_new {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .map_err(|cause| unusable().because(cause))?;
        }
        match lock(path, Lock::Made)? {
            Ok(lock) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(owner) => Err(Failure::new(
                Exit::Refused,
                format!("the data directory {} is in use by {owner}", path.display()),
                "stop that process, or name another directory",
            )
            .into()),
        }
    }

    /// Takes the directory `path` only if it is there; `None` when another process has it.
    ///
    /// # Errors
    ///
    /// [`Absent`] when nothing was ever kept there; a [`Failure`] when it cannot be used.
    pub(crate) fn open_existing(path: &Path) -> anyhow::Result<Option<Self>> {
        if !path.join(LOCK).exists() {
            return Err(Absent.into());
        }
        Ok(lock(path, Lock::Found)?.ok().map(|lock| Self {
            path: path.to_owned(),
            _lock: lock,
        }))
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The embedded database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The embedded database of the XMPP server.
    #[must_use]
    pub fn xmpp_database(&self) -> PathBuf {
        self.path.join(XMPP_DATABASE)
    }

    /// The embedded database of the directory `path`, which another process may have.
    pub(crate) fn database_file(path: &Path) -> PathBuf {
        path.join(DATABASE)
    }

    /// The node's key of the directory `path`, which another process may have.
    pub(crate) fn node_key_file(path: &Path) -> PathBuf {
        path.join(NODE_KEY)
    }

    /// Keeps `text` as the node's key from now on.
    pub(crate) fn set_node_key(&self, text: &str) -> anyhow::Result<()> {
        parse_key(text).context("it holds no key")?;
        write_secret(&self.path.join(NODE_KEY), text)?;
        Ok(())
    }

    /// Where history files lie.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.path.join(HISTORY)
    }

    /// Where a development network's snapshots lie while it runs.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    /// Removes everything that a node keeps here. Other files stay.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn empty(&self) -> io::Result<()> {
        for database in [DATABASE, XMPP_DATABASE] {
            for suffix in ["", "-wal", "-shm"] {
                let file = self.path.join(format!("{database}{suffix}"));
                absent_is_fine(fs::remove_file(file))?;
            }
        }
        absent_is_fine(fs::remove_file(self.path.join(NODE_KEY)))?;
        absent_is_fine(fs::remove_dir_all(self.history()))
    }

    /// The node's key, if it was made.
    pub(crate) fn existing_node_key(&self) -> anyhow::Result<Option<NodeKey>> {
        if !self.path.join(NODE_KEY).exists() {
            return Ok(None);
        }
        self.node_key().map(Some)
    }

    /// The node's key; made, and kept in a file that only this user reads, at the first call.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, is open to other users, or holds no key.
    pub fn node_key(&self) -> anyhow::Result<NodeKey> {
        let path = self.path.join(NODE_KEY);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let mode = fs::metadata(&path)?.permissions().mode();
                if mode & 0o077 != 0 {
                    return Err(Failure::new(
                        Exit::Refused,
                        format!("other users may read {}", path.display()),
                        format!("chmod 600 {}", path.display()),
                    )
                    .into());
                }
                parse_key(&text).with_context(|| format!("{} holds no key", path.display()))
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                let key = NodeKey::generate();
                write_secret(&path, &format!("{}\n", hex::encode(key.to_bytes())))
                    .with_context(|| format!("write {}", path.display()))?;
                Ok(key)
            }
            Err(cause) => Err(cause).with_context(|| format!("read {}", path.display())),
        }
    }
}

/// There is no data directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no data directory yet")]
pub(crate) struct Absent;

/// Whether the lock's file may be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lock {
    Made,
    Found,
}

/// Locks a directory, or tells who has it.
fn lock(path: &Path, file: Lock) -> Result<Result<File, String>, Failure> {
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(file == Lock::Made)
        .truncate(false)
        .mode(0o600)
        .open(path.join(LOCK))
        .map_err(|cause| unusable(path).because(cause))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            return Ok(Err(match lock.read_to_string(&mut owner) {
                Ok(1..) => format!("process {}", owner.trim()),
                _ => "another process".to_owned(),
            }));
        }
        Err(TryLockError::Error(cause)) => return Err(unusable(path).because(cause)),
    }
    lock.set_len(0)
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(|cause| unusable(path).because(cause))?;
    Ok(Ok(lock))
}

fn unusable(path: &Path) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("cannot use the data directory {}", path.display()),
        "name a directory that this user may write to",
    )
}

const LOCK: &str = "lock";
const DATABASE: &str = "node.sqlite";
/// The embedded database of the XMPP server.
const XMPP_DATABASE: &str = "xmpp.sqlite";
const SNAPSHOTS: &str = "snapshots";
const HISTORY: &str = "history";
const NODE_KEY: &str = "node.key";

fn parse_key(text: &str) -> Option<NodeKey> {
    let bytes: [u8; 32] = hex::decode(text.trim()).ok()?.try_into().ok()?;
    NodeKey::from_bytes(&bytes)
}

/// Writes a new file that only this user reads; all of it is there, or nothing.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("partial");
    absent_is_fine(fs::remove_file(&partial))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_directory_has_one_user_at_a_time() {
        let place = TempDir::new().unwrap();
        let first = DataDir::open(place.path()).unwrap();
        let refused = DataDir::open(place.path()).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("in use by process"), "{text}");
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        drop(first);
        DataDir::open(place.path()).unwrap();
    }

    #[test]
    fn a_node_keeps_its_key_and_nobody_else_reads_it() {
        let place = TempDir::new().unwrap();
        let directory = DataDir::open(&place.path().join("new")).unwrap();
        let key = directory.node_key().unwrap();
        assert_eq!(directory.node_key().unwrap().to_bytes(), key.to_bytes());
        let file = directory.path().join(NODE_KEY);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = directory.node_key().unwrap_err();
        assert!(refused.to_string().contains("other users"), "{refused}");
    }

    #[test]
    fn emptying_takes_only_what_a_node_keeps() {
        let place = TempDir::new().unwrap();
        let directory = DataDir::open(place.path()).unwrap();
        fs::write(directory.database(), "data").unwrap();
        fs::create_dir(directory.history()).unwrap();
        fs::write(place.path().join("holiday.jpg"), "lake").unwrap();
        directory.empty().unwrap();
        directory.empty().unwrap();
        assert!(!directory.database().exists());
        assert!(!directory.history().exists());
        assert!(place.path().join("holiday.jpg").exists());
    }
}

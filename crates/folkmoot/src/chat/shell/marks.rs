//! Up to when the person has read each conversation: a small file beside the database.
//!
//! The file says nothing about which conversations these are to those who have not the database's
//! key: each is named by a hash of that key and its own.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::super::model::ChatKey;
use crate::xmtp::init;

/// Up to when the person has read each conversation: Unix time in nanoseconds.
pub(super) struct Marks {
    path: PathBuf,
    secret: [u8; 32],
    read: BTreeMap<String, u64>,
    changed: bool,
}

impl Marks {
    /// Those beside this database. A file that cannot be understood is as good as none: then more
    /// is unread than the person thinks.
    pub(super) fn load(database: &Path, key: &[u8; 32]) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push(".read.json");
        let path = PathBuf::from(path);
        let stored = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(cause) => Err(cause),
        };
        if let Err(cause) = &stored
            && cause.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%cause, "what was read before is not known");
        }
        Self {
            path,
            secret: Sha256::new()
                .chain_update(b"folkmoot chat: read marks")
                .chain_update(key)
                .finalize()
                .into(),
            read: stored.unwrap_or_default(),
            changed: false,
        }
    }

    fn name(&self, key: &ChatKey) -> String {
        let hash = Sha256::new()
            .chain_update(self.secret)
            .chain_update(key.0.as_bytes())
            .finalize();
        hex::encode(&hash[..16])
    }

    /// Up to when this conversation was read.
    pub(super) fn get(&self, key: &ChatKey) -> u64 {
        self.read.get(&self.name(key)).copied().unwrap_or(0)
    }

    /// Notes up to when it was read.
    pub(super) fn set(&mut self, key: &ChatKey, read_ns: u64) {
        let name = self.name(key);
        let mark = self.read.entry(name).or_default();
        if read_ns > *mark {
            *mark = read_ns;
            self.changed = true;
        }
    }

    /// Writes the file if something changed.
    pub(super) fn store(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let text = serde_json::to_string(&self.read).expect("a map of texts to numbers is JSON");
        if let Err(cause) = init::write_private(&self.path, &text, true) {
            tracing::warn!(%cause, "what was read is not stored");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_only_go_forward_and_say_nothing_to_strangers() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("alice.db");
        let file = folder.path().join("alice.db.read.json");
        let key = ChatKey("dm:bob".to_owned());
        let mut marks = Marks::load(&database, &[1; 32]);
        assert_eq!(marks.get(&key), 0);
        marks.set(&key, 7);
        marks.set(&key, 5);
        marks.store();
        let stored = fs::read_to_string(&file).unwrap();
        assert!(!stored.contains("bob"), "{stored}");
        assert_eq!(Marks::load(&database, &[1; 32]).get(&key), 7);
        assert_eq!(Marks::load(&database, &[2; 32]).get(&key), 0);
        fs::write(file, "{").unwrap();
        assert_eq!(Marks::load(&database, &[1; 32]).get(&key), 0);
    }
}

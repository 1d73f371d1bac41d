//! The key of a database file.
//!
//! SQLCipher keeps 16 random bytes, the salt, at the head of its file, where SQLite has its name. We
//! choose those bytes when we make a file, so a passphrase needs no second file beside it: the key
//! is Argon2id of the passphrase and the salt that the file itself begins with.

use std::{
    fmt, fs,
    io::{self, Read},
    path::Path,
};

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::DbError;

/// What opens a database.
#[derive(Clone, Eq, PartialEq, Zeroize, ZeroizeOnDrop)]
pub enum DatabaseKey {
    /// The key itself: 32 random bytes. Opening takes milliseconds.
    Raw([u8; 32]),
    /// Words that a person remembers. Opening takes as long as stretching them does, on purpose.
    Passphrase(String),
}

impl fmt::Debug for DatabaseKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Raw(_) => "Raw(..)",
            Self::Passphrase(_) => "Passphrase(..)",
        })
    }
}

/// The key and the salt of one file.
#[derive(Clone)]
pub(super) struct FileKey {
    key: Zeroizing<[u8; 32]>,
    salt: [u8; SALT_BYTES],
}

/// Bytes at the head of the file.
const SALT_BYTES: usize = 16;
/// The head of an SQLite file that is not encrypted.
const PLAIN: &[u8; SALT_BYTES] = b"SQLite format 3\0";

impl FileKey {
    /// The key to the file at `path`; for a file that is not there or empty, with a new salt.
    pub(super) fn of(path: &Path, key: &DatabaseKey) -> Result<Self, DbError> {
        let salt = match salt_of(path)? {
            Some(salt) if &salt == PLAIN => return Err(DbError::NotEncrypted(path.into())),
            Some(salt) => salt,
            None => rand::random(),
        };
        let key = match key {
            DatabaseKey::Raw(key) => Zeroizing::new(*key),
            DatabaseKey::Passphrase(words) => stretch(words, &salt),
        };
        Ok(Self { key, salt })
    }

    /// As SQLCipher's `PRAGMA key` wants it.
    pub(super) fn pragma(&self) -> Zeroizing<String> {
        let (key, salt) = (
            Zeroizing::new(hex::encode(*self.key)),
            hex::encode(self.salt),
        );
        Zeroizing::new(format!("PRAGMA key = \"x'{}{salt}'\";", *key))
    }
}

/// The salt of a file, if it is there and has content.
fn salt_of(path: &Path) -> Result<Option<[u8; SALT_BYTES]>, DbError> {
    let failed = |cause| DbError::Io {
        path: path.into(),
        cause,
    };
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(failed(cause)),
    };
    let mut salt = [0; SALT_BYTES];
    match file.read_exact(&mut salt) {
        Ok(()) => Ok(Some(salt)),
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            match file.metadata().map_err(failed)?.len() {
                0 => Ok(None),
                _ => Err(DbError::WrongKey(path.into())),
            }
        }
        Err(cause) => Err(failed(cause)),
    }
}

/// The key that words stand for. The numbers are part of the file's form: other ones would be
/// another key.
fn stretch(words: &str, salt: &[u8; SALT_BYTES]) -> Zeroizing<[u8; 32]> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).expect("in Argon2's ranges");
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(words.as_bytes(), salt, &mut *key)
        .expect("salt and key have lengths that Argon2 takes");
    key
}

/// Memory, passes and lanes of Argon2id: a tenth of a second and more than a graphics card has for
/// each of its cores (RFC 9106 section 4, second choice, in one lane).
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_print() {
        let raw = DatabaseKey::Raw([0x41; 32]);
        let words = DatabaseKey::Passphrase("correct horse".into());
        assert!(!format!("{raw:?} {words:?}").contains("65"));
        assert!(!format!("{raw:?} {words:?}").contains("horse"));
    }

    #[test]
    fn words_and_salt_make_the_key() {
        let key = stretch("correct horse", &[7; 16]);
        assert_eq!(key, stretch("correct horse", &[7; 16]));
        assert_ne!(key, stretch("correct horse", &[8; 16]));
        assert_ne!(key, stretch("correct horse ", &[7; 16]));
    }
}

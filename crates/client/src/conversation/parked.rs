//! Welcomes that could not be taken yet: what they point to or depend on could not be fetched.

use bytes::Bytes;
use folkmoot_wire::InstallationKey;
use rusqlite::{Connection, params};

use super::rows::time;
use crate::network::{Welcome, WelcomeContent, WelcomeEnvelope};

/// A welcome that could not be taken yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PendingWelcome {
    pub(crate) envelope: WelcomeEnvelope,
    pub(crate) attempts: u32,
    pub(crate) retry_ns: u64,
    pub(crate) give_up_ns: u64,
}

/// Welcomes that are kept for later; of more than these, the oldest go. Anybody can send some.
const MOST_PENDING: u32 = 200;

impl PendingWelcome {
    /// Keeps it, in place of what was known about the same one.
    pub(crate) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let nothing = Bytes::new();
        let (is_pointer, data, key, algorithm, metadata) = match &self.envelope.welcome.content {
            WelcomeContent::Welcome {
                data,
                hpke_public_key,
                wrapper_algorithm,
                metadata,
            } => (false, data, hpke_public_key, wrapper_algorithm, metadata),
            WelcomeContent::Pointer {
                data,
                hpke_public_key,
                wrapper_algorithm,
            } => (true, data, hpke_public_key, wrapper_algorithm, &nothing),
        };
        db.prepare_cached(
            "INSERT OR REPLACE INTO pending_welcome VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
                 ?10, ?11)",
        )?
        .execute(params![
            self.envelope.originator,
            self.envelope.sequence.cast_signed(),
            self.envelope.created_ns.cast_signed(),
            is_pointer,
            &data[..],
            &key[..],
            algorithm,
            &metadata[..],
            self.attempts,
            self.retry_ns.cast_signed(),
            self.give_up_ns.cast_signed(),
        ])?;
        db.prepare_cached(
            "DELETE FROM pending_welcome WHERE rowid IN
                 (SELECT rowid FROM pending_welcome ORDER BY give_up_ns DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([MOST_PENDING])?;
        Ok(())
    }

    /// How many there are.
    pub(crate) fn count(db: &Connection) -> rusqlite::Result<u32> {
        db.prepare_cached("SELECT count(*) FROM pending_welcome")?
            .query_row([], |row| row.get(0))
    }

    pub(crate) fn delete(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached("DELETE FROM pending_welcome WHERE originator = ?1 AND sequence = ?2")?
            .execute(params![
                self.envelope.originator,
                self.envelope.sequence.cast_signed()
            ])?;
        Ok(())
    }

    /// Those to `me` whose time has come, oldest first.
    pub(crate) fn due(
        db: &Connection,
        me: InstallationKey,
        now_ns: u64,
    ) -> rusqlite::Result<Vec<Self>> {
        db.prepare_cached(
            "SELECT originator, sequence, created_ns, is_pointer, data, wrapper_key, algorithm,
                 metadata, attempts, retry_ns, give_up_ns
             FROM pending_welcome WHERE retry_ns <= ?1 ORDER BY give_up_ns",
        )?
        .query_map([now_ns.cast_signed()], |row| {
            let bytes = |column| row.get::<_, Vec<u8>>(column).map(Bytes::from);
            let content = if row.get(3)? {
                WelcomeContent::Pointer {
                    data: bytes(4)?,
                    hpke_public_key: bytes(5)?,
                    wrapper_algorithm: row.get(6)?,
                }
            } else {
                WelcomeContent::Welcome {
                    data: bytes(4)?,
                    hpke_public_key: bytes(5)?,
                    wrapper_algorithm: row.get(6)?,
                    metadata: bytes(7)?,
                }
            };
            Ok(Self {
                envelope: WelcomeEnvelope {
                    originator: row.get(0)?,
                    sequence: time(row, 1)?,
                    created_ns: time(row, 2)?,
                    welcome: Welcome {
                        destination: me,
                        content,
                    },
                },
                attempts: row.get(8)?,
                retry_ns: time(row, 9)?,
                give_up_ns: time(row, 10)?,
            })
        })?
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{Database, DatabaseOptions};

    #[tokio::test]
    async fn of_the_welcomes_for_later_the_newest_are_kept() {
        let me = InstallationKey::from_bytes([1; 32]);
        let pending = move |sequence| PendingWelcome {
            envelope: WelcomeEnvelope {
                originator: 11,
                sequence,
                created_ns: 5,
                welcome: Welcome {
                    destination: me,
                    content: match sequence % 2 {
                        0 => WelcomeContent::Welcome {
                            data: Bytes::from_static(b"welcome"),
                            hpke_public_key: Bytes::from_static(b"key"),
                            wrapper_algorithm: 1,
                            metadata: Bytes::from_static(b"metadata"),
                        },
                        _ => WelcomeContent::Pointer {
                            data: Bytes::from_static(b"pointer"),
                            hpke_public_key: Bytes::from_static(b"key"),
                            wrapper_algorithm: 2,
                        },
                    },
                },
            },
            attempts: 3,
            retry_ns: 7,
            give_up_ns: 100 + sequence,
        };
        let all = u64::from(MOST_PENDING) + 10;
        let database = Database::open(&DatabaseOptions::in_memory()).unwrap();
        let due = database.write(move |db| {
            for sequence in 0..all {
                pending(sequence).write(db)?;
            }
            assert_eq!(PendingWelcome::due(db, me, 6)?, []);
            Ok(PendingWelcome::due(db, me, 7)?)
        });
        let kept: Vec<_> = (10..all).map(pending).collect();
        assert_eq!(due.await.unwrap(), kept);
    }
}

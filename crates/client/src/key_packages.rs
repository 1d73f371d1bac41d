//! Our key packages: making, uploading, renewing, forgetting.
//!
//! A node keeps one key package for each installation and hands it to everybody who adds it. It is
//! renewed after 30 days, and soon after a welcome used it. A welcome to the one before may still
//! be on its way, so its secrets stay for a day, and until all welcomes that had come by then were
//! read: this installation may have been away.

use std::{sync::Arc, time::Duration};

use folkmoot_conversation::{
    Installation, KeyPackageError, KeyPackageIn, KeyPackageSecrets, NewKeyPackage,
};
use folkmoot_wire::{InboxId, InstallationKey};
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use crate::{
    Error,
    clock::{SharedClock, from_sql, nanos, system_time, to_sql},
    db::{Database, DbError},
    network::Network,
};

/// How long a key package serves.
const RENEW_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);
/// How soon after a welcome the next one follows. Welcomes often come several at a time.
const RENEW_AFTER_WELCOME: Duration = Duration::from_secs(5);
/// How long the secrets of a replaced one are kept.
const KEEP_REPLACED: Duration = Duration::from_secs(24 * 3600);

/// The key packages of one installation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KeyPackages(Arc<Inner>);

struct Inner {
    network: Arc<dyn Network>,
    database: Database,
    clock: SharedClock,
    me: Installation,
    /// One renewal at a time.
    renewing: tokio::sync::Mutex<()>,
}

/// What the network has of an installation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyPackageStatus {
    /// The installation.
    pub installation: InstallationKey,
    /// Its key package, or why nobody can add the installation.
    pub package: Result<UsableKeyPackage, Unusable>,
}

/// A key package that can be used now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UsableKeyPackage {
    /// The inbox for which the installation says that it speaks.
    pub inbox_id: InboxId,
    /// From when it is valid, in seconds of Unix time.
    pub not_before: u64,
    /// Until when it is valid, in the same unit; this second is excluded.
    pub not_after: u64,
}

/// Why an installation cannot be added to conversations.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unusable {
    /// It has no key package.
    #[error("it has no key package on the network")]
    Missing,
    /// Its key package is none, or not valid now.
    #[error(transparent)]
    Invalid(#[from] KeyPackageError),
    /// Its key package is another installation's.
    #[error("the network gave the key package of {0}")]
    AnotherInstallation(InstallationKey),
}

impl KeyPackages {
    pub(crate) fn new(
        network: Arc<dyn Network>,
        database: Database,
        clock: SharedClock,
        me: Installation,
    ) -> Self {
        Self(Arc::new(Inner {
            network,
            database,
            clock,
            me,
            renewing: tokio::sync::Mutex::default(),
        }))
    }

    /// A new key package for `me`, valid from now on.
    pub(crate) fn make(me: &Installation, now_ns: u64) -> NewKeyPackage {
        NewKeyPackage::make(me, system_time(now_ns), &mut rand::rng())
    }

    /// When a key package that is uploaded now is due to be replaced.
    pub(crate) fn renewal_ns(now_ns: u64) -> u64 {
        now_ns.saturating_add(nanos(RENEW_AFTER))
    }

    /// Stores the secrets of a key package, before it is uploaded.
    pub(crate) fn keep(
        connection: &Connection,
        secrets: &KeyPackageSecrets,
        now_ns: u64,
    ) -> Result<(), DbError> {
        connection
            .prepare_cached(
                "INSERT INTO key_package (wrapper_public_key, init_key, secrets, created_ns)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                secrets.wrapper_key(),
                secrets.init_key(),
                &secrets.to_bytes()[..],
                to_sql(now_ns),
            ])?;
        Ok(())
    }

    /// Puts the first key package of a new installation in the place of all of another's.
    pub(crate) fn replace(
        connection: &Connection,
        secrets: &KeyPackageSecrets,
        now_ns: u64,
    ) -> Result<(), DbError> {
        connection.execute("DELETE FROM key_package", [])?;
        Self::keep(connection, secrets, now_ns)
    }

    /// The secrets that open a welcome which names `hpke_public_key`: the wrapper's key or, where
    /// the sender knows no X-Wing, the init key.
    pub(crate) fn secrets(
        connection: &Connection,
        hpke_public_key: &[u8],
    ) -> Result<Option<KeyPackageSecrets>, DbError> {
        let bytes: Option<Vec<u8>> = connection
            .prepare_cached(
                "SELECT secrets FROM key_package WHERE wrapper_public_key = ?1
                 UNION ALL SELECT secrets FROM key_package WHERE init_key = ?1",
            )?
            .query_row([hpke_public_key], |row| row.get(0))
            .optional()?;
        let secrets = bytes.map(|bytes| KeyPackageSecrets::from_bytes(&bytes));
        let secrets = secrets.transpose();
        secrets.map_err(|cause| DbError::corrupt("key_package.secrets", cause))
    }

    /// Notes that welcomes came, so that the next key package is due soon. To be called in the
    /// transaction that moves the cursor of welcomes.
    pub(crate) fn renew_soon(connection: &Connection, now_ns: u64) -> Result<(), DbError> {
        let soon = now_ns.saturating_add(nanos(RENEW_AFTER_WELCOME));
        connection
            .prepare_cached(
                "UPDATE identity SET next_rotation_ns = ?1 WHERE next_rotation_ns > ?1",
            )?
            .execute([to_sql(soon)])?;
        Ok(())
    }

    /// When the next key package is due, in Unix nanoseconds.
    pub(crate) async fn due_ns(&self) -> Result<u64, Error> {
        let question = |connection: &Connection| {
            let sql = "SELECT next_rotation_ns FROM identity WHERE id = 1";
            let due = connection
                .prepare_cached(sql)?
                .query_row([], |row| row.get(0))?;
            Ok(from_sql(due))
        };
        Ok(self.0.database.read(question).await?)
    }

    /// Replaces the key package if it is due. Says whether it was replaced.
    pub(crate) async fn run_due(&self) -> Result<bool, Error> {
        let due_ns = self.due_ns().await?;
        let is_due = due_ns <= self.0.clock.now_ns();
        if is_due {
            self.renew(due_ns).await?;
        }
        Ok(is_due)
    }

    /// Whether there are secrets of key packages that were replaced long enough ago.
    pub(crate) async fn has_over(&self) -> Result<bool, Error> {
        let now_ns = self.0.clock.now_ns();
        let over = self.0.database.read(move |connection: &Connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM key_package WHERE delete_after_ns <= ?1)";
            Ok(connection
                .prepare_cached(sql)?
                .query_row([to_sql(now_ns)], |row| row.get(0))?)
        });
        Ok(over.await?)
    }

    /// Replaces the key package that was due at `due_ns`: by the one that was made since then and
    /// did not come through, or else by one that is made now.
    async fn renew(&self, due_ns: u64) -> Result<(), Error> {
        let _one = self.0.renewing.lock().await;
        let now_ns = self.0.clock.now_ns();
        let me = self.0.me.clone();
        let prepare = self.0.database.write(move |transaction| {
            if let Some(left) = Self::left_over(transaction, due_ns, now_ns)? {
                return Ok(left);
            }
            let package = Self::make(&me, now_ns);
            Self::keep(transaction, &package.secrets, now_ns)?;
            Ok((transaction.last_insert_rowid(), now_ns, package.bytes))
        });
        let (newest, made_ns, bytes) = prepare.await?;
        let (network, key) = (&self.0.network, self.0.me.key());
        network.upload_key_package(&key, bytes.into()).await?;
        let replaced = self.0.database.write(move |transaction| {
            transaction.execute(
                "UPDATE key_package SET delete_after_ns = ?1
                 WHERE id < ?2 AND delete_after_ns IS NULL",
                params![to_sql(now_ns.saturating_add(nanos(KEEP_REPLACED))), newest],
            )?;
            transaction.execute(
                "UPDATE identity SET next_rotation_ns = ?1",
                [to_sql(Self::renewal_ns(made_ns))],
            )?;
            Ok(())
        });
        replaced.await?;
        tracing::debug!("replaced the key package");
        Ok(())
    }

    /// The newest key package, if it was made since `since_ns`, when the one before became due, and
    /// so never came through: its row, when it was made, itself. One that is old is of no use.
    fn left_over(
        connection: &Connection,
        since_ns: u64,
        now_ns: u64,
    ) -> Result<Option<(i64, u64, Vec<u8>)>, DbError> {
        let newest: Option<(i64, i64, Vec<u8>)> = connection
            .prepare_cached(
                "SELECT id, created_ns, secrets FROM key_package ORDER BY id DESC LIMIT 1",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((id, made_ns, secrets)) = newest else {
            return Ok(None);
        };
        let (made_ns, secrets) = (from_sql(made_ns), Zeroizing::new(secrets));
        if made_ns < since_ns || Self::renewal_ns(made_ns) <= now_ns {
            return Ok(None);
        }
        let corrupt = |cause| DbError::corrupt("key_package.secrets", cause);
        let secrets = KeyPackageSecrets::from_bytes(&secrets).map_err(corrupt)?;
        let package = secrets.key_package().map_err(corrupt)?;
        Ok(Some((id, made_ns, package)))
    }

    /// Makes the next key package due now if the present one does not announce what this program
    /// understands.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        let newest = self.0.database.read(|connection: &Connection| {
            let newest: Option<Vec<u8>> = connection
                .prepare_cached("SELECT secrets FROM key_package ORDER BY id DESC LIMIT 1")?
                .query_row([], |row| row.get(0))
                .optional()?;
            Ok(newest.map(Zeroizing::new))
        });
        let Some(secrets) = newest.await? else {
            return Ok(());
        };
        let corrupt = |cause| DbError::corrupt("key_package.secrets", cause);
        let secrets = KeyPackageSecrets::from_bytes(&secrets).map_err(corrupt)?;
        let package = secrets.key_package().map_err(corrupt)?;
        let present = KeyPackageIn::decode(&package).map(|package| package.generation());
        let wanted = self.0.me.generation();
        if present.is_ok_and(|present| present != wanted) {
            let now_ns = self.0.clock.now_ns();
            let hurry = self.0.database.write(move |transaction| {
                let sql = "UPDATE identity SET next_rotation_ns = min(next_rotation_ns, ?1)";
                transaction.prepare_cached(sql)?.execute([to_sql(now_ns)])?;
                Ok(())
            });
            hurry.await?;
        }
        Ok(())
    }

    /// Forgets the secrets of key packages that were replaced long enough ago. To be called when all
    /// welcomes were read that the network had at `read_ns`: one of those may be sealed to them.
    pub(crate) async fn forget(&self, read_ns: u64) -> Result<(), Error> {
        let over = move |connection: &Connection| {
            let sql = "SELECT count(*) FROM key_package WHERE delete_after_ns <= ?1";
            let over: i64 = connection
                .prepare_cached(sql)?
                .query_row([to_sql(read_ns)], |row| row.get(0))?;
            Ok(over)
        };
        if self.0.database.read(over).await? == 0 {
            return Ok(());
        }
        let forget = self.0.database.write(move |transaction| {
            let sql = "DELETE FROM key_package WHERE delete_after_ns <= ?1";
            transaction.execute(sql, [to_sql(read_ns)])?;
            Ok(())
        });
        Ok(forget.await?)
    }
}

/// What the network has of these installations, in their order, judged at `now_ns`.
pub(crate) async fn statuses(
    network: &dyn Network,
    installations: &[InstallationKey],
    now_ns: u64,
) -> Result<Vec<KeyPackageStatus>, Error> {
    let packages = network.key_packages(installations).await?;
    let statuses = installations.iter().zip(packages);
    Ok(statuses
        .map(|(installation, bytes)| KeyPackageStatus {
            installation: *installation,
            package: usable(installation, bytes.as_deref(), now_ns),
        })
        .collect())
}

fn usable(
    installation: &InstallationKey,
    bytes: Option<&[u8]>,
    now_ns: u64,
) -> Result<UsableKeyPackage, Unusable> {
    let package = KeyPackageIn::decode(bytes.ok_or(Unusable::Missing)?)?;
    let package = package.verify(system_time(now_ns))?;
    if package.installation_key != *installation {
        return Err(Unusable::AnotherInstallation(package.installation_key));
    }
    Ok(UsableKeyPackage {
        inbox_id: package.inbox_id,
        not_before: package.not_before,
        not_after: package.not_after,
    })
}

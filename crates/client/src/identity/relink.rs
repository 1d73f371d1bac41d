//! A new installation in the place of an old one, in the same database.
//!
//! One update adds the new one and revokes the old one, so the wallet signs once. The order is that
//! of `registration`: the new secrets are stored before the network hears of them, and the old ones
//! go after it has. Whoever is interrupted in between relinks again, and what the network has taken
//! is not signed for twice.

use folkmoot_conversation::KeyPackageSecrets;
use folkmoot_identity::{Identifier, InstallationSecret, UpdateBuilder};
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use super::{
    Directory, IdentityError, InboxState,
    accounts::{check, require_recovery, require_room, send, sign},
    me::{self, Me},
    registration::require_room_for_installation,
};
use crate::{
    Error,
    clock::{from_sql, to_sql},
    conversation::rows,
    db::{Database, DbError},
    key_packages::KeyPackages,
    signer::Signer,
};

/// An installation that is about to take the place of this database's.
#[derive(Clone, Debug)]
pub(crate) struct Successor {
    me: Me,
    key_package: KeyPackageSecrets,
    made_ns: u64,
}

/// Brings a successor of `old` into the inbox, and takes the rights of `old` away. The database
/// speaks for `old` until [`Successor::take_over`].
pub(crate) async fn announce(
    directory: &Directory,
    database: &Database,
    old: &Me,
    signer: &dyn Signer,
) -> Result<Successor, Error> {
    let inbox = old.inbox_id();
    let identifier = signer.identifier();
    let state = directory.refresh(&[inbox]).await?.into_iter().next();
    let state = state.flatten().ok_or(IdentityError::UnknownInbox(inbox))?;
    let prepared = database.read({
        let old = old.clone();
        move |connection: &Connection| Successor::load(connection, &old)
    });
    let prepared = prepared.await?;
    if let Some(successor) = &prepared
        && is_member(&state, &successor.me)
    {
        return Ok(successor.clone());
    }
    let now_ns = directory.now_ns();
    let fits = |successor: &Successor| {
        successor.me.identifier == identifier && KeyPackages::renewal_ns(successor.made_ns) > now_ns
    };
    let successor = prepared.filter(fits);
    let successor = successor.unwrap_or_else(|| Successor::make(old, &identifier, now_ns));
    let me = &successor.me;
    let update = UpdateBuilder::new(inbox, now_ns);
    let update = if is_member(&state, old) {
        require_room(&state)?;
        require_recovery(&state, signer)?;
        update.revoke(old.key(), identifier.clone())
    } else {
        // Somebody revoked it already.
        require_room_for_installation(&state)?;
        update
    };
    let update = update.add(me.key(), identifier);
    let update = sign(directory, update, &[signer], Some(&me.secret)).await?;
    check(directory, Some(&state), &update).await?;

    let package = successor.key_package.key_package();
    let package = package.map_err(|cause| DbError::corrupt("relink.key_package", cause))?;
    let kept = successor.clone();
    let keep = database.write(move |transaction| kept.keep(transaction));
    keep.await?;
    let network = directory.network();
    let key = successor.me.key();
    network.upload_key_package(&key, package.into()).await?;
    let state = send(directory, Some(&state), &update).await?;
    if !is_member(&state, &successor.me) {
        return Err(IdentityError::NotVisible(inbox).into());
    }
    Ok(successor)
}

fn is_member(state: &InboxState, me: &Me) -> bool {
    state.association.is_member(&me.key().into())
}

impl Successor {
    fn make(old: &Me, identifier: &Identifier, now_ns: u64) -> Self {
        let secret = InstallationSecret::from_seed(&rand::random());
        let me = Self::in_place_of(old, secret, identifier.clone());
        let package = KeyPackages::make(&me.installation, now_ns);
        Self {
            me,
            key_package: package.secrets,
            made_ns: now_ns,
        }
    }

    /// An installation that understands what `old` does.
    fn in_place_of(old: &Me, secret: InstallationSecret, identifier: Identifier) -> Me {
        Me::new(old.inbox_id(), secret, identifier).announcing(old.installation.generation())
    }

    /// Makes the database this installation's, in one transaction: what was said stays, keys of the
    /// old installation go, and its conversations wait until somebody adds the new one.
    pub(crate) async fn take_over(self, database: &Database) -> Result<Me, Error> {
        let me = self.me.clone();
        let change = database.write(move |transaction| {
            let next_rotation_ns = KeyPackages::renewal_ns(self.made_ns);
            me::replace(transaction, &self.me, self.made_ns, next_rotation_ns)?;
            KeyPackages::replace(transaction, &self.key_package, self.made_ns)?;
            rows::await_being_added(transaction, self.me.inbox_id())?;
            transaction.execute("DELETE FROM relink", [])?;
            Ok(())
        });
        change.await?;
        Ok(me)
    }

    fn keep(&self, connection: &Connection) -> Result<(), DbError> {
        connection
            .prepare_cached("INSERT OR REPLACE INTO relink VALUES (1, ?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                self.me.secret.to_seed(),
                self.me.identifier.to_string(),
                me::kind(&self.me.identifier),
                &self.key_package.to_bytes()[..],
                to_sql(self.made_ns),
            ])?;
        Ok(())
    }

    /// The one that was prepared for the place of `old`, if one was.
    fn load(connection: &Connection, old: &Me) -> Result<Option<Self>, DbError> {
        let row = connection
            .prepare_cached(
                "SELECT installation_seed, identifier, identifier_kind, key_package, created_ns
                 FROM relink WHERE id = 1",
            )?
            .query_row([], |row| {
                Ok((
                    Zeroizing::new(row.get::<_, [u8; 32]>(0)?),
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                    Zeroizing::new(row.get::<_, Vec<u8>>(3)?),
                    row.get::<_, i64>(4)?,
                ))
            })
            .optional()?;
        let Some((seed, name, kind, key_package, made)) = row else {
            return Ok(None);
        };
        let identifier: Identifier = me::identifier(name, kind)?;
        let key_package = KeyPackageSecrets::from_bytes(&key_package)
            .map_err(|cause| DbError::corrupt("relink.key_package", cause))?;
        let secret = InstallationSecret::from_seed(&seed);
        Ok(Some(Self {
            me: Self::in_place_of(old, secret, identifier),
            key_package,
            made_ns: from_sql(made),
        }))
    }
}

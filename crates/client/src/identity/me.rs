//! Who this database speaks for.

use folkmoot_conversation::Installation;
use folkmoot_identity::{Identifier, InstallationSecret};
use folkmoot_wire::{InboxId, InstallationKey};
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use crate::{clock::to_sql, db::DbError};

/// One installation of one inbox, with its secret.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    /// As the engine needs it.
    pub(crate) installation: Installation,
    pub(crate) secret: InstallationSecret,
    /// The account that registered it.
    pub(crate) identifier: Identifier,
    /// If it was registered in this run: the inbox's installations, and how many it may have.
    pub(crate) registered_now: Option<(usize, usize)>,
}

impl Me {
    pub(crate) fn new(inbox: InboxId, secret: InstallationSecret, identifier: Identifier) -> Self {
        Self {
            installation: Installation::new(inbox, secret.clone()),
            secret,
            identifier,
            registered_now: None,
        }
    }

    pub(crate) const fn inbox_id(&self) -> InboxId {
        self.installation.inbox_id()
    }

    pub(crate) fn key(&self) -> InstallationKey {
        self.secret.key()
    }
}

/// What the database says about who we are, and whether the network knows it.
pub(crate) fn load(connection: &Connection) -> Result<Option<(Me, bool)>, DbError> {
    let row = connection
        .prepare_cached(
            "SELECT inbox_id, installation_seed, identifier, identifier_kind, registered
             FROM identity WHERE id = 1",
        )?
        .query_row([], |row| {
            Ok((
                row.get::<_, [u8; 32]>(0)?,
                Zeroizing::new(row.get::<_, [u8; 32]>(1)?),
                row.get::<_, String>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, bool>(4)?,
            ))
        })
        .optional()?;
    let Some((inbox, seed, name, kind, registered)) = row else {
        return Ok(None);
    };
    let identifier = match kind {
        ETHEREUM => Identifier::Ethereum(name),
        PASSKEY => Identifier::passkey(&name, None)
            .map_err(|cause| DbError::corrupt("identity.identifier", cause))?,
        other => return Err(DbError::corrupt("identity.identifier_kind", other)),
    };
    let secret = InstallationSecret::from_seed(&seed);
    let me = Me::new(InboxId::from_bytes(inbox), secret, identifier);
    Ok(Some((me, registered)))
}

/// Writes down who we will be, before the network hears of it.
pub(crate) fn keep(
    connection: &Connection,
    me: &Me,
    now_ns: u64,
    next_rotation_ns: u64,
) -> Result<(), DbError> {
    let kind = match me.identifier {
        Identifier::Ethereum(_) => ETHEREUM,
        Identifier::Passkey(_) => PASSKEY,
    };
    connection
        .prepare_cached(
            "INSERT INTO identity (id, inbox_id, installation_seed, identifier, identifier_kind,
                 registered, created_ns, next_rotation_ns)
             VALUES (1, ?1, ?2, ?3, ?4, 0, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET next_rotation_ns = excluded.next_rotation_ns",
        )?
        .execute(params![
            me.inbox_id().as_bytes(),
            me.secret.to_seed(),
            me.identifier.to_string(),
            kind,
            to_sql(now_ns),
            to_sql(next_rotation_ns),
        ])?;
    Ok(())
}

/// Notes that the network knows us.
pub(crate) fn set_registered(connection: &Connection) -> Result<(), DbError> {
    connection.execute("UPDATE identity SET registered = 1 WHERE id = 1", [])?;
    Ok(())
}

const ETHEREUM: i64 = 1;
const PASSKEY: i64 = 2;

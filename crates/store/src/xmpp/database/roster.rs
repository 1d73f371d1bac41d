//! Contact lists.

use async_trait::async_trait;
use jid::{BareJid, Jid};

use super::{
    XmppDatabase,
    sql::{Row, Sql, join, split, values},
};
use crate::{
    StoreError,
    xmpp::{Roster, RosterChange, RosterItem, StoredRoster},
};

/// Removals that are remembered for each account.
const REMOVALS: usize = 200;

const TO: i64 = 1;
const FROM: i64 = 2;
const PENDING_OUT: i64 = 4;
const PENDING_IN: i64 = 8;
const APPROVED: i64 = 16;

#[async_trait]
impl Roster for XmppDatabase {
    async fn roster(&self, account: &BareJid) -> Result<StoredRoster, StoreError> {
        let account = account.clone();
        self.read("read a roster", move |sql| {
            Box::pin(async move {
                let select = "SELECT jid, flags, name, groups, request FROM roster \
                              WHERE account = ?1 AND removed = 0 ORDER BY jid";
                let rows = sql.query(select, &values![&account]).await?;
                Ok(StoredRoster {
                    version: version(sql, &account)
                        .await?
                        .map_or(0, |known| known.newest),
                    items: rows.into_iter().map(item).collect::<Result<_, _>>()?,
                })
            })
        })
        .await
    }

    async fn roster_item(
        &self,
        account: &BareJid,
        contact: &Jid,
    ) -> Result<Option<RosterItem>, StoreError> {
        let values = values![account, contact];
        self.read("read a contact", move |sql| {
            Box::pin(async move {
                let select = "SELECT jid, flags, name, groups, request FROM roster \
                              WHERE account = ?1 AND jid = ?2 AND removed = 0";
                sql.first(select, &values).await?.map(item).transpose()
            })
        })
        .await
    }

    async fn put_roster_item(
        &self,
        account: &BareJid,
        item: RosterItem,
    ) -> Result<u64, StoreError> {
        let account = account.clone();
        self.write("keep a contact", move |sql| {
            Box::pin(async move {
                let version = next_version(sql, &account).await?;
                let put = "INSERT INTO roster \
                             (account, jid, version, removed, flags, name, groups, request) \
                           VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7) \
                           ON CONFLICT (account, jid) DO UPDATE SET version = excluded.version, \
                             removed = 0, flags = excluded.flags, name = excluded.name, \
                             groups = excluded.groups, request = excluded.request";
                let flags = flags(&item);
                let groups = join(item.groups.iter().map(String::as_str));
                let values = values![
                    &account,
                    item.jid,
                    version,
                    flags,
                    item.name,
                    groups,
                    item.request
                ];
                sql.execute(put, &values).await?;
                Ok(version)
            })
        })
        .await
    }

    async fn remove_roster_item(
        &self,
        account: &BareJid,
        contact: &Jid,
    ) -> Result<Option<u64>, StoreError> {
        let (account, contact) = (account.clone(), contact.clone());
        self.write("remove a contact", move |sql| {
            Box::pin(async move {
                let select = "SELECT count(*) FROM roster \
                              WHERE account = ?1 AND jid = ?2 AND removed = 0";
                if sql.number(select, &values![&account, &contact]).await? == 0 {
                    return Ok(None);
                }
                let version = next_version(sql, &account).await?;
                let remove = "UPDATE roster SET version = ?3, removed = 1, flags = 0, \
                                name = NULL, groups = ?4, request = NULL \
                              WHERE account = ?1 AND jid = ?2";
                let values = values![&account, &contact, version, join([])];
                sql.execute(remove, &values).await?;
                forget_removals(sql, &account).await?;
                Ok(Some(version))
            })
        })
        .await
    }

    async fn roster_changes(
        &self,
        account: &BareJid,
        since: u64,
    ) -> Result<Option<Vec<(u64, RosterChange)>>, StoreError> {
        let account = account.clone();
        self.read("read what changed in a roster", move |sql| {
            Box::pin(async move {
                let known = version(sql, &account).await?.unwrap_or_default();
                if since < known.oldest || since > known.newest {
                    return Ok(None);
                }
                let select = "SELECT version, removed, jid, flags, name, groups, request \
                              FROM roster WHERE account = ?1 AND version > ?2 ORDER BY version";
                let rows = sql.query(select, &values![&account, since]).await?;
                let changes = rows.into_iter().map(change).collect::<Result<_, _>>()?;
                Ok(Some(changes))
            })
        })
        .await
    }
}

/// Which versions of a list are known.
#[derive(Default)]
struct Versions {
    newest: u64,
    oldest: u64,
}

async fn version(sql: &mut dyn Sql, account: &BareJid) -> Result<Option<Versions>, StoreError> {
    let select = "SELECT version, oldest FROM roster_version WHERE account = ?1";
    let row = sql.first(select, &values![account]).await?;
    row.map(|mut row| {
        Ok(Versions {
            newest: row.count()?,
            oldest: row.count()?,
        })
    })
    .transpose()
}

/// The list's next version. The first one is the time at which the account was made, so that no version of an earlier
/// account of that name comes again.
async fn next_version(sql: &mut dyn Sql, account: &BareJid) -> Result<u64, StoreError> {
    let next = "INSERT INTO roster_version (account, version, oldest) \
                VALUES (?1, coalesce((SELECT created FROM account WHERE jid = ?1), 0) + 1, \
                  coalesce((SELECT created FROM account WHERE jid = ?1), 0)) \
                ON CONFLICT (account) DO UPDATE SET version = roster_version.version + 1 \
                RETURNING version";
    Ok(sql.number(next, &values![account]).await?.cast_unsigned())
}

/// Forgets the oldest removals beyond [`REMOVALS`].
async fn forget_removals(sql: &mut dyn Sql, account: &BareJid) -> Result<(), StoreError> {
    let oldest = "SELECT version FROM roster WHERE account = ?1 AND removed = 1 \
                  ORDER BY version DESC LIMIT 1 OFFSET ?2";
    let oldest = sql.number(oldest, &values![account, REMOVALS]).await?;
    if oldest > 0 {
        let values = values![account, oldest];
        let forget = "DELETE FROM roster WHERE account = ?1 AND removed = 1 AND version <= ?2";
        sql.execute(forget, &values).await?;
        let remember = "UPDATE roster_version SET oldest = ?2 WHERE account = ?1";
        sql.execute(remember, &values).await?;
    }
    Ok(())
}

fn flags(item: &RosterItem) -> i64 {
    i64::from(item.to) * TO
        + i64::from(item.from) * FROM
        + i64::from(item.pending_out) * PENDING_OUT
        + i64::from(item.pending_in) * PENDING_IN
        + i64::from(item.approved) * APPROVED
}

fn item(mut row: Row) -> Result<RosterItem, StoreError> {
    let jid = row.jid()?;
    let flags = row.number()?;
    Ok(RosterItem {
        jid,
        name: row.maybe_text()?,
        groups: split(&row.bytes()?)?,
        to: flags & TO != 0,
        from: flags & FROM != 0,
        pending_out: flags & PENDING_OUT != 0,
        pending_in: flags & PENDING_IN != 0,
        approved: flags & APPROVED != 0,
        request: row.maybe_bytes()?,
    })
}

fn change(mut row: Row) -> Result<(u64, RosterChange), StoreError> {
    let version = row.count()?;
    let removed = row.truth()?;
    let item = item(row)?;
    let change = match removed {
        true => RosterChange::Removed(item.jid),
        false => RosterChange::Put(item),
    };
    Ok((version, change))
}

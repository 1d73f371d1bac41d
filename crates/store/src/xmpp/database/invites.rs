//! Invites.

use async_trait::async_trait;
use jid::BareJid;

use super::{
    XmppDatabase,
    sql::{Row, broken, values},
};
use crate::{
    StoreError,
    xmpp::{Invite, InviteKind, Invites},
};

#[async_trait]
impl Invites for XmppDatabase {
    async fn put_invite(&self, invite: Invite) -> Result<(), StoreError> {
        let Invite {
            token,
            kind,
            inviter,
            account,
            created,
            expires,
            uses,
        } = invite;
        let values = values![token, kind as u8, inviter, account, created, expires, uses];
        self.write("keep an invite", move |sql| {
            Box::pin(async move {
                let insert = "INSERT INTO invite \
                                (token, kind, inviter, account, created, expires, uses) \
                              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                sql.execute(insert, &values).await.map(drop)
            })
        })
        .await
    }

    async fn invite(&self, token: &str, now: i64) -> Result<Option<Invite>, StoreError> {
        let values = values![token, now];
        self.read("read an invite", move |sql| {
            Box::pin(async move { sql.first(GOOD, &values).await?.map(invite).transpose() })
        })
        .await
    }

    async fn use_invite(&self, token: &str, now: i64) -> Result<Option<Invite>, StoreError> {
        let (token, good) = (values![token], values![token, now]);
        self.write("use an invite", move |sql| {
            Box::pin(async move {
                let Some(row) = sql.first(GOOD, &good).await? else {
                    return Ok(None);
                };
                let update = "UPDATE invite SET uses = uses - 1 WHERE token = ?1";
                sql.execute(update, &token).await?;
                invite(row).map(Some)
            })
        })
        .await
    }

    async fn invites(
        &self,
        inviter: Option<&BareJid>,
        limit: usize,
    ) -> Result<Vec<Invite>, StoreError> {
        let values = values![inviter, limit];
        self.read("list invites", move |sql| {
            Box::pin(async move {
                let select = "SELECT token, kind, inviter, account, created, expires, uses \
                              FROM invite WHERE inviter = ?1 OR ?1 IS NULL \
                              ORDER BY created DESC, token LIMIT ?2";
                let rows = sql.query(select, &values).await?;
                rows.into_iter().map(invite).collect()
            })
        })
        .await
    }

    async fn remove_invite(&self, token: &str) -> Result<bool, StoreError> {
        let values = values![token];
        self.write("withdraw an invite", move |sql| {
            Box::pin(async move {
                let delete = "DELETE FROM invite WHERE token = ?1";
                Ok(sql.execute(delete, &values).await? > 0)
            })
        })
        .await
    }

    async fn expire_invites(&self, now: i64) -> Result<u64, StoreError> {
        self.write("remove old invites", move |sql| {
            Box::pin(async move {
                let delete = "DELETE FROM invite WHERE expires < ?1 OR uses = 0";
                sql.execute(delete, &values![now]).await
            })
        })
        .await
    }
}

const GOOD: &str = "SELECT token, kind, inviter, account, created, expires, uses FROM invite \
                    WHERE token = ?1 AND uses > 0 AND expires >= ?2";

fn invite(mut row: Row) -> Result<Invite, StoreError> {
    Ok(Invite {
        token: row.text()?,
        kind: match row.number()? {
            1 => InviteKind::Account,
            2 => InviteKind::Contact,
            3 => InviteKind::ContactOrAccount,
            _ => return Err(broken("an invite's kind is not known")),
        },
        inviter: row.maybe_bare_jid()?,
        account: row.maybe_bare_jid()?,
        created: row.number()?,
        expires: row.number()?,
        uses: u32::try_from(row.number()?).map_err(|_| broken("an invite's uses are no count"))?,
    })
}

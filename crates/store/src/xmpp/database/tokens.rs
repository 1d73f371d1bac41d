//! Tokens of clients.

use async_trait::async_trait;
use jid::BareJid;

use super::{
    XmppDatabase,
    sql::{Row, broken, values},
};
use crate::{
    StoreError,
    xmpp::{FastToken, Secret, TokenSlot, Tokens},
};

const CURRENT: u8 = TokenSlot::Current as u8;
const NEW: u8 = TokenSlot::New as u8;

#[async_trait]
impl Tokens for XmppDatabase {
    async fn tokens(
        &self,
        account: &BareJid,
        client: &str,
    ) -> Result<Vec<(TokenSlot, FastToken)>, StoreError> {
        let values = values![account, client];
        self.read("read tokens", move |sql| {
            Box::pin(async move {
                let select = "SELECT slot, mechanism, token, issued, expires, count FROM token \
                              WHERE account = ?1 AND client = ?2 ORDER BY slot";
                let rows = sql.query(select, &values).await?;
                rows.into_iter().map(token).collect()
            })
        })
        .await
    }

    async fn issue_token(
        &self,
        account: &BareJid,
        client: &str,
        token: FastToken,
        limit: usize,
    ) -> Result<(), StoreError> {
        let (account, client) = (account.clone(), client.to_owned());
        self.write("issue a token", move |sql| {
            Box::pin(async move {
                let others = "SELECT client FROM token WHERE account = ?1 AND client <> ?2 \
                              GROUP BY client ORDER BY max(issued) DESC, client \
                              LIMIT 1000 OFFSET ?3";
                let values = values![&account, &client, limit.saturating_sub(1)];
                for mut other in sql.query(others, &values).await? {
                    let delete = "DELETE FROM token WHERE account = ?1 AND client = ?2";
                    sql.execute(delete, &values![&account, other.text()?])
                        .await?;
                }
                let put = "INSERT INTO token \
                             (account, client, slot, mechanism, token, issued, expires, count) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                           ON CONFLICT (account, client, slot) DO UPDATE SET \
                             mechanism = excluded.mechanism, token = excluded.token, \
                             issued = excluded.issued, expires = excluded.expires, \
                             count = excluded.count";
                let FastToken {
                    mechanism,
                    token,
                    issued,
                    expires,
                    count,
                } = token;
                let values = values![
                    account, client, NEW, mechanism, token.0, issued, expires, count,
                ];
                sql.execute(put, &values).await.map(drop)
            })
        })
        .await
    }

    async fn promote_token(&self, account: &BareJid, client: &str) -> Result<bool, StoreError> {
        let (account, client) = (account.clone(), client.to_owned());
        self.write("promote a token", move |sql| {
            Box::pin(async move {
                let new = "SELECT count(*) FROM token \
                           WHERE account = ?1 AND client = ?2 AND slot = ?3";
                if sql.number(new, &values![&account, &client, NEW]).await? == 0 {
                    return Ok(false);
                }
                let delete = "DELETE FROM token WHERE account = ?1 AND client = ?2 AND slot = ?3";
                sql.execute(delete, &values![&account, &client, CURRENT])
                    .await?;
                let update = "UPDATE token SET slot = ?3 WHERE account = ?1 AND client = ?2";
                sql.execute(update, &values![account, client, CURRENT])
                    .await?;
                Ok(true)
            })
        })
        .await
    }

    async fn count_token(
        &self,
        account: &BareJid,
        client: &str,
        slot: TokenSlot,
        count: u32,
    ) -> Result<bool, StoreError> {
        let values = values![account, client, slot as u8, count];
        self.write("count the use of a token", move |sql| {
            Box::pin(async move {
                let update = "UPDATE token SET count = ?4 WHERE account = ?1 AND client = ?2 \
                              AND slot = ?3 AND count < ?4";
                Ok(sql.execute(update, &values).await? > 0)
            })
        })
        .await
    }

    async fn remove_tokens(
        &self,
        account: &BareJid,
        client: Option<&str>,
    ) -> Result<(), StoreError> {
        let values = values![account, client];
        self.write("end tokens", move |sql| {
            Box::pin(async move {
                let delete = "DELETE FROM token WHERE account = ?1 \
                              AND (client = ?2 OR ?2 IS NULL)";
                sql.execute(delete, &values).await.map(drop)
            })
        })
        .await
    }

    async fn clients_with_tokens(
        &self,
        account: &BareJid,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let values = values![account];
        self.read("list clients", move |sql| {
            Box::pin(async move {
                let select = "SELECT client, max(issued) FROM token WHERE account = ?1 \
                              GROUP BY client ORDER BY client";
                let rows = sql.query(select, &values).await?;
                rows.into_iter()
                    .map(|mut row| Ok((row.text()?, row.number()?)))
                    .collect()
            })
        })
        .await
    }

    async fn expire_tokens(&self, now: i64) -> Result<u64, StoreError> {
        self.write("remove old tokens", move |sql| {
            Box::pin(async move {
                sql.execute("DELETE FROM token WHERE expires < ?1", &values![now])
                    .await
            })
        })
        .await
    }
}

fn token(mut row: Row) -> Result<(TokenSlot, FastToken), StoreError> {
    let slot = match row.number()? {
        1 => TokenSlot::Current,
        2 => TokenSlot::New,
        _ => return Err(broken("a token's slot is not known")),
    };
    let token = FastToken {
        mechanism: row.text()?,
        token: Secret(row.bytes()?.into()),
        issued: row.number()?,
        expires: row.number()?,
        count: u32::try_from(row.number()?).map_err(|_| broken("a token's count is no count"))?,
    };
    Ok((slot, token))
}

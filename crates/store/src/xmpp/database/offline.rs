//! Stanzas that wait.

use async_trait::async_trait;
use bytes::Bytes;
use jid::BareJid;

use super::{
    XmppDatabase,
    sql::{Row, values},
};
use crate::{
    StoreError,
    xmpp::{Offline, OfflineStanza, Stored},
};

#[async_trait]
impl Offline for XmppDatabase {
    async fn push_offline(
        &self,
        account: &BareJid,
        stanza: Bytes,
        at: i64,
        limit: usize,
    ) -> Result<Stored, StoreError> {
        let account = account.clone();
        self.write("let a stanza wait", move |sql| {
            Box::pin(async move {
                let count = "SELECT count(*) FROM offline WHERE account = ?1";
                let waiting = sql.number(count, &values![&account]).await?;
                if waiting.cast_unsigned() >= limit as u64 {
                    return Ok(Stored::Full);
                }
                let insert = "INSERT INTO offline (account, at, stanza) VALUES (?1, ?2, ?3)";
                sql.execute(insert, &values![account, at, stanza]).await?;
                Ok(Stored::Yes)
            })
        })
        .await
    }

    async fn offline(
        &self,
        account: &BareJid,
        after: u64,
        limit: usize,
    ) -> Result<Vec<OfflineStanza>, StoreError> {
        let values = values![account, after, limit];
        self.read("read what waits", move |sql| {
            Box::pin(async move {
                let select = "SELECT number, at, stanza FROM offline \
                              WHERE account = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
                let rows = sql.query(select, &values).await?;
                rows.into_iter().map(stanza).collect()
            })
        })
        .await
    }

    async fn remove_offline(&self, account: &BareJid, up_to: u64) -> Result<(), StoreError> {
        let values = values![account, up_to];
        self.write("remove what was delivered", move |sql| {
            Box::pin(async move {
                let delete = "DELETE FROM offline WHERE account = ?1 AND number <= ?2";
                sql.execute(delete, &values).await.map(drop)
            })
        })
        .await
    }

    async fn take_offline(&self, account: &BareJid) -> Result<Vec<OfflineStanza>, StoreError> {
        let values = values![account];
        self.write("hand out what waits", move |sql| {
            Box::pin(async move {
                let select = "SELECT number, at, stanza FROM offline \
                              WHERE account = ?1 ORDER BY number";
                let rows = sql.query(select, &values).await?;
                if !rows.is_empty() {
                    sql.execute("DELETE FROM offline WHERE account = ?1", &values)
                        .await?;
                }
                rows.into_iter().map(stanza).collect()
            })
        })
        .await
    }

    async fn clear_offline(&self, account: &BareJid) -> Result<(), StoreError> {
        self.remove_offline(account, u64::MAX).await
    }

    async fn count_offline(&self, account: &BareJid) -> Result<u64, StoreError> {
        let values = values![account];
        self.read("count what waits", move |sql| {
            Box::pin(async move {
                let select = "SELECT count(*) FROM offline WHERE account = ?1";
                Ok(sql.number(select, &values).await?.cast_unsigned())
            })
        })
        .await
    }
}

fn stanza(mut row: Row) -> Result<OfflineStanza, StoreError> {
    Ok(OfflineStanza {
        number: row.count()?,
        at: row.number()?,
        stanza: row.bytes()?,
    })
}

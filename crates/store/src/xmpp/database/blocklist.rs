//! Whom an account blocks.

use async_trait::async_trait;
use jid::{BareJid, Jid};

use super::{
    XmppDatabase,
    sql::{Sql, values},
};
use crate::{
    StoreError,
    xmpp::{Blocklist, Stored},
};

#[async_trait]
impl Blocklist for XmppDatabase {
    async fn blocklist(&self, account: &BareJid) -> Result<Vec<Jid>, StoreError> {
        let account = account.clone();
        self.read("read a blocklist", move |sql| Box::pin(list(sql, account)))
            .await
    }

    async fn block(
        &self,
        account: &BareJid,
        mut addresses: Vec<Jid>,
        limit: usize,
    ) -> Result<Stored, StoreError> {
        let account = account.clone();
        addresses.sort();
        addresses.dedup();
        self.write("block addresses", move |sql| {
            Box::pin(async move {
                let blocked = list(sql, account.clone()).await?;
                addresses.retain(|address| blocked.binary_search(address).is_err());
                if addresses.is_empty() {
                    return Ok(Stored::Yes);
                }
                if blocked.len() + addresses.len() > limit {
                    return Ok(Stored::Full);
                }
                let rows = rows(&account, addresses);
                let insert = "INSERT INTO blocklist (account, jid) VALUES (?1, ?2)";
                sql.execute_each(insert, &rows).await?;
                Ok(Stored::Yes)
            })
        })
        .await
    }

    async fn unblock(&self, account: &BareJid, addresses: Vec<Jid>) -> Result<(), StoreError> {
        let rows = rows(account, addresses);
        self.write("end the blocking of addresses", move |sql| {
            Box::pin(async move {
                let delete = "DELETE FROM blocklist WHERE account = ?1 AND jid = ?2";
                sql.execute_each(delete, &rows).await
            })
        })
        .await
    }

    async fn unblock_all(&self, account: &BareJid) -> Result<Vec<Jid>, StoreError> {
        let account = account.clone();
        self.write("end all blocking", move |sql| {
            Box::pin(async move {
                let blocked = list(sql, account.clone()).await?;
                let delete = "DELETE FROM blocklist WHERE account = ?1";
                sql.execute(delete, &values![account]).await?;
                Ok(blocked)
            })
        })
        .await
    }
}

/// The blocklist in the order of the addresses.
async fn list(sql: &mut dyn Sql, account: BareJid) -> Result<Vec<Jid>, StoreError> {
    let select = "SELECT jid FROM blocklist WHERE account = ?1 ORDER BY jid";
    let rows = sql.query(select, &values![account]).await?;
    rows.into_iter().map(|mut row| row.jid()).collect()
}

fn rows(account: &BareJid, addresses: Vec<Jid>) -> Vec<Vec<super::sql::Value>> {
    let row = |address| values![account, address].to_vec();
    addresses.into_iter().map(row).collect()
}

//! Visiting cards.

use async_trait::async_trait;
use bytes::Bytes;
use jid::BareJid;

use super::{XmppDatabase, sql::values};
use crate::{StoreError, xmpp::VCards};

#[async_trait]
impl VCards for XmppDatabase {
    async fn vcard(&self, owner: &BareJid) -> Result<Option<Bytes>, StoreError> {
        let values = values![owner];
        self.read("read a vCard", move |sql| {
            Box::pin(async move {
                let row = sql
                    .first("SELECT card FROM vcard WHERE owner = ?1", &values)
                    .await?;
                row.map(|mut row| row.bytes()).transpose()
            })
        })
        .await
    }

    async fn set_vcard(&self, owner: &BareJid, card: Option<Bytes>) -> Result<(), StoreError> {
        let owner = owner.clone();
        self.write("keep a vCard", move |sql| {
            Box::pin(async move {
                let Some(card) = card else {
                    let delete = "DELETE FROM vcard WHERE owner = ?1";
                    return sql.execute(delete, &values![owner]).await.map(drop);
                };
                let put = "INSERT INTO vcard (owner, card) VALUES (?1, ?2) \
                           ON CONFLICT (owner) DO UPDATE SET card = excluded.card";
                sql.execute(put, &values![owner, card]).await.map(drop)
            })
        })
        .await
    }
}

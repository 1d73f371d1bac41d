//! XML that clients keep for themselves.

use async_trait::async_trait;
use bytes::Bytes;
use jid::BareJid;

use super::{XmppDatabase, sql::values};
use crate::{
    StoreError,
    xmpp::{PrivateXml, Stored},
};

#[async_trait]
impl PrivateXml for XmppDatabase {
    async fn private_xml(
        &self,
        account: &BareJid,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Bytes>, StoreError> {
        let values = values![account, namespace, name];
        self.read("read private XML", move |sql| {
            Box::pin(async move {
                let select = "SELECT element FROM private_xml \
                              WHERE account = ?1 AND namespace = ?2 AND name = ?3";
                let row = sql.first(select, &values).await?;
                row.map(|mut row| row.bytes()).transpose()
            })
        })
        .await
    }

    async fn put_private_xml(
        &self,
        account: &BareJid,
        namespace: &str,
        name: &str,
        element: Bytes,
        limit: usize,
    ) -> Result<Stored, StoreError> {
        let others = values![account, namespace, name];
        let values = values![account, namespace, name, element];
        self.write("keep private XML", move |sql| {
            Box::pin(async move {
                let count = "SELECT count(*) FROM private_xml \
                             WHERE account = ?1 AND NOT (namespace = ?2 AND name = ?3)";
                if sql.number(count, &others).await?.cast_unsigned() >= limit as u64 {
                    return Ok(Stored::Full);
                }
                let put = "INSERT INTO private_xml (account, namespace, name, element) \
                           VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account, namespace, name) \
                           DO UPDATE SET element = excluded.element";
                sql.execute(put, &values).await?;
                Ok(Stored::Yes)
            })
        })
        .await
    }
}

//! Keeping the database in order.

use std::path::Path;

use async_trait::async_trait;

use super::XmppDatabase;
use crate::{
    StoreError,
    xmpp::{Housekeeping, XmppStats},
};

#[async_trait]
impl Housekeeping for XmppDatabase {
    async fn xmpp_stats(&self) -> Result<XmppStats, StoreError> {
        let stats = self.read("count what is stored", |sql| {
            Box::pin(async move {
                Ok(XmppStats {
                    accounts: sql
                        .number("SELECT count(*) FROM account", &[])
                        .await?
                        .cast_unsigned(),
                    rooms: sql
                        .number("SELECT count(*) FROM room", &[])
                        .await?
                        .cast_unsigned(),
                    archived: sql
                        .number("SELECT max(seq) FROM archive", &[])
                        .await?
                        .cast_unsigned(),
                    bytes_on_disk: 0,
                })
            })
        });
        Ok(XmppStats {
            bytes_on_disk: self.0.bytes_on_disk().await?,
            ..stats.await?
        })
    }

    async fn check_xmpp(&self) -> Result<(), StoreError> {
        self.write("check the database", |sql| {
            Box::pin(async move {
                sql.execute("DELETE FROM xmpp_check", &[]).await?;
                sql.execute("INSERT INTO xmpp_check DEFAULT VALUES", &[])
                    .await
                    .map(drop)
            })
        })
        .await
    }

    async fn copy_xmpp_to(&self, to: &Path) -> Result<(), StoreError> {
        self.0.copy_to(to).await
    }

    async fn close_xmpp(&self) -> Result<(), StoreError> {
        self.0.close().await
    }
}

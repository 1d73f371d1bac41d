//! The server's own secrets.

use async_trait::async_trait;

use super::{XmppDatabase, sql::values};
use crate::{
    StoreError,
    xmpp::{Secret, Secrets},
};

#[async_trait]
impl Secrets for XmppDatabase {
    async fn secret(&self, name: &str, fresh: Secret) -> Result<Secret, StoreError> {
        let name = name.to_owned();
        self.write("read a secret", move |sql| {
            Box::pin(async move {
                let keep = "INSERT INTO secret (name, secret) VALUES (?1, ?2) \
                            ON CONFLICT (name) DO NOTHING";
                sql.execute(keep, &values![&name, fresh.0.clone()]).await?;
                let select = "SELECT secret FROM secret WHERE name = ?1";
                let row = sql.first(select, &values![name]).await?;
                row.map_or(Ok(fresh), |mut row| Ok(Secret(row.bytes()?.into())))
            })
        })
        .await
    }
}

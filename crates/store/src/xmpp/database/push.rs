//! Whom to tell that something waits.

use async_trait::async_trait;
use jid::{BareJid, Jid};

use super::{
    XmppDatabase,
    sql::{Row, values},
};
use crate::{
    StoreError,
    xmpp::{PushRegistration, PushRegistrations, Stored},
};

#[async_trait]
impl PushRegistrations for XmppDatabase {
    async fn push_registrations(
        &self,
        account: &BareJid,
    ) -> Result<Vec<PushRegistration>, StoreError> {
        let values = values![account];
        self.read("read push registrations", move |sql| {
            Box::pin(async move {
                let select = "SELECT service, node, options, client, at FROM push \
                              WHERE account = ?1 ORDER BY service, node";
                let rows = sql.query(select, &values).await?;
                rows.into_iter().map(registration).collect()
            })
        })
        .await
    }

    async fn put_push_registration(
        &self,
        account: &BareJid,
        registration: PushRegistration,
        limit: usize,
    ) -> Result<Stored, StoreError> {
        let account = account.clone();
        self.write("register for push", move |sql| {
            Box::pin(async move {
                let PushRegistration {
                    service,
                    node,
                    options,
                    client,
                    at,
                } = registration;
                let others = "SELECT count(*) FROM push \
                              WHERE account = ?1 AND NOT (service = ?2 AND node = ?3)";
                let values = values![&account, &service, &node];
                if sql.number(others, &values).await?.cast_unsigned() >= limit as u64 {
                    return Ok(Stored::Full);
                }
                let put = "INSERT INTO push (account, service, node, options, client, at) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                           ON CONFLICT (account, service, node) DO UPDATE SET \
                             options = excluded.options, client = excluded.client, \
                             at = excluded.at";
                let values = values![account, service, node, options, client, at];
                sql.execute(put, &values).await?;
                Ok(Stored::Yes)
            })
        })
        .await
    }

    async fn remove_push_registrations(
        &self,
        account: &BareJid,
        service: &Jid,
        node: Option<&str>,
    ) -> Result<bool, StoreError> {
        let values = values![account, service, node];
        self.write("end push registrations", move |sql| {
            Box::pin(async move {
                let delete = "DELETE FROM push WHERE account = ?1 AND service = ?2 \
                              AND (node = ?3 OR ?3 IS NULL)";
                Ok(sql.execute(delete, &values).await? > 0)
            })
        })
        .await
    }
}

fn registration(mut row: Row) -> Result<PushRegistration, StoreError> {
    Ok(PushRegistration {
        service: row.jid()?,
        node: row.text()?,
        options: row.maybe_bytes()?,
        client: row.text()?,
        at: row.number()?,
    })
}

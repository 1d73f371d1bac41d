//! Places for files.

use async_trait::async_trait;
use jid::BareJid;

use super::{
    XmppDatabase,
    sql::{Row, broken, values},
};
use crate::{
    StoreError,
    xmpp::{Reserved, Upload, UploadState, Uploads},
};

#[async_trait]
impl Uploads for XmppDatabase {
    async fn reserve_upload(&self, upload: Upload, quota: u64) -> Result<Reserved, StoreError> {
        self.write("make a place for a file", move |sql| {
            Box::pin(async move {
                let used = sql.number(BYTES, &values![upload.owner.clone()]).await?;
                let used = used.cast_unsigned();
                if used.saturating_add(upload.size) > quota {
                    return Ok(Reserved::OverQuota { used });
                }
                let insert = "INSERT INTO upload \
                                (id, owner, name, size, content_type, created, expires, state) \
                              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
                let Upload {
                    id,
                    owner,
                    name,
                    size,
                    content_type,
                    created,
                    expires,
                    state,
                } = upload;
                let state = state as u8;
                let values = values![id, owner, name, size, content_type, created, expires, state];
                sql.execute(insert, &values).await?;
                Ok(Reserved::Reserved)
            })
        })
        .await
    }

    async fn upload(&self, id: &[u8; 16]) -> Result<Option<Upload>, StoreError> {
        let values = values![*id];
        self.read("read a place for a file", move |sql| {
            Box::pin(async move {
                let select = "SELECT id, owner, name, size, content_type, created, expires, state \
                              FROM upload WHERE id = ?1";
                sql.first(select, &values).await?.map(upload).transpose()
            })
        })
        .await
    }

    async fn finish_upload(&self, id: &[u8; 16], expires: i64) -> Result<bool, StoreError> {
        let values = values![
            *id,
            expires,
            UploadState::Stored as u8,
            UploadState::Open as u8
        ];
        self.write("say that a file is there", move |sql| {
            Box::pin(async move {
                // Without owner the account was deleted meanwhile.
                let update = "UPDATE upload SET expires = ?2, state = ?3 \
                              WHERE id = ?1 AND state = ?4 AND owner IS NOT NULL";
                Ok(sql.execute(update, &values).await? > 0)
            })
        })
        .await
    }

    async fn remove_upload(&self, id: &[u8; 16]) -> Result<bool, StoreError> {
        let values = values![*id];
        self.write("forget a file", move |sql| {
            Box::pin(async move {
                let delete = "DELETE FROM upload WHERE id = ?1";
                Ok(sql.execute(delete, &values).await? > 0)
            })
        })
        .await
    }

    async fn uploads_of(&self, owner: &BareJid, limit: usize) -> Result<Vec<Upload>, StoreError> {
        let values = values![owner, limit];
        self.read("list files", move |sql| {
            Box::pin(async move {
                let select = "SELECT id, owner, name, size, content_type, created, expires, state \
                              FROM upload WHERE owner = ?1 ORDER BY created DESC, id LIMIT ?2";
                let rows = sql.query(select, &values).await?;
                rows.into_iter().map(upload).collect()
            })
        })
        .await
    }

    async fn uploaded_bytes(&self, owner: &BareJid) -> Result<u64, StoreError> {
        let values = values![owner];
        self.read("count bytes of files", move |sql| {
            Box::pin(async move { Ok(sql.number(BYTES, &values).await?.cast_unsigned()) })
        })
        .await
    }

    async fn expired_uploads(&self, now: i64, limit: usize) -> Result<Vec<Upload>, StoreError> {
        let values = values![now, limit];
        self.read("list files that expired", move |sql| {
            Box::pin(async move {
                let select = "SELECT id, owner, name, size, content_type, created, expires, state \
                              FROM upload WHERE expires <= ?1 ORDER BY expires, id LIMIT ?2";
                let rows = sql.query(select, &values).await?;
                rows.into_iter().map(upload).collect()
            })
        })
        .await
    }
}

const BYTES: &str = "SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM upload WHERE owner = ?1";

fn upload(mut row: Row) -> Result<Upload, StoreError> {
    Ok(Upload {
        id: row.id()?,
        owner: row.maybe_bare_jid()?,
        name: row.text()?,
        size: row.count()?,
        content_type: row.maybe_text()?,
        created: row.number()?,
        expires: row.number()?,
        state: match row.number()? {
            0 => UploadState::Open,
            1 => UploadState::Stored,
            _ => return Err(broken("an upload's state is not known")),
        },
    })
}

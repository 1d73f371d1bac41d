//! Messages that disappear: taken away here when their time is over (XIP-58).
//!
//! Each client does this for itself, by its own clock; nodes keep what they have.

use std::sync::Weak;

use folkmoot_wire::MessageId;

use crate::{
    Client, Error,
    clock::to_sql,
    conversation::{changes::Change, core::Core},
    db::{DbError, Transaction},
};

impl Core {
    /// Takes away the messages whose time is over. Returns which.
    pub(crate) async fn remove_expired(&self) -> Result<Vec<MessageId>, Error> {
        let now_ns = self.now_ns();
        let due = self.db.read(move |db| {
            let sql = "SELECT EXISTS (SELECT 1 FROM message WHERE expire_ns <= ?1)";
            Ok(db
                .prepare_cached(sql)?
                .query_row([to_sql(now_ns)], |row| row.get::<_, bool>(0))?)
        });
        if !due.await? {
            return Ok(Vec::new());
        }
        let gone = self.db.write(move |db| remove(db, now_ns)).await?;
        if !gone.is_empty() {
            self.changes.tell(Change::MessagesDeleted(gone.clone()));
        }
        Ok(gone)
    }
}

/// Takes expired messages away once a second, as long as the client lives.
pub(crate) async fn watch(core: Weak<Core>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(core) = core.upgrade() else {
            return;
        };
        if let Err(error) = core.remove_expired().await {
            tracing::warn!(%error, "messages that should disappear are still here");
        }
    }
}

/// Only what was published, and what people sent: entries about members stay.
fn remove(db: &Transaction<'_>, now_ns: u64) -> Result<Vec<MessageId>, DbError> {
    let sql =
        "DELETE FROM message WHERE expire_ns <= ?1 AND kind = 1 AND delivery = 2 RETURNING id";
    let ids = db
        .prepare_cached(sql)?
        .query_map([to_sql(now_ns)], |row| row.get::<_, [u8; 32]>(0))?
        .map(|id| id.map(MessageId::from_bytes))
        .collect::<Result<_, _>>()?;
    Ok(ids)
}

const TICK: std::time::Duration = std::time::Duration::from_secs(1);

impl Client {
    /// Takes away the messages whose time is over, and says which. The background work does this by
    /// itself.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn remove_expired_messages(&self) -> Result<Vec<MessageId>, Error> {
        self.0.conversations.remove_expired().await
    }
}

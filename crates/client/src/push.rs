//! Push: which topics a push server is to watch, and the keys by which it stays silent about what
//! the person sent.
//!
//! All installations of an inbox share a root key ([`PushRootKey`]). It is made when it is first
//! needed, told to the others, and replaced when an installation comes or goes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use folkmoot_conversation::{PushKey, PushRootKey, device_sync::HmacKeyUpdate, push_epoch};
use folkmoot_wire::GroupId;
use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    Client, Error,
    clock::to_sql,
    db::{Database, DbError},
};

/// What a push server needs to know about one conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PushTopic {
    /// The conversation.
    pub conversation: GroupId,
    /// The name under which push servers know it: `/xmtp/mls/1/g-{id}/proto`.
    pub topic: String,
    /// The keys of three spans of thirty days, each with its number: the last, this, the next.
    pub keys: [(i64, PushKey); 3],
}

impl Client {
    /// What a push server is to watch: every conversation that is followed, the copies of DMs
    /// included. To be handed over again when a conversation comes, when thirty days are over, and
    /// when an installation comes or goes.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn push_topics(&self) -> Result<Vec<PushTopic>, Error> {
        let now = Duration::from_nanos(self.0.clock.now_ns());
        let groups = self.database().read(followed).await?;
        let root = self.0.push_keys.current().key;
        Ok(groups
            .into_iter()
            .map(|conversation| PushTopic {
                topic: format!("/xmtp/mls/1/g-{conversation}/proto"),
                keys: root.keys_around(&conversation, now),
                conversation,
            })
            .collect())
    }

    /// The topic under which invitations to this installation come.
    #[must_use]
    pub fn welcome_topic(&self) -> String {
        format!("/xmtp/mls/1/w-{}/proto", self.installation_key())
    }

    /// The keys for push of each conversation that is followed, as official clients hand them out.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn hmac_keys(&self) -> Result<BTreeMap<GroupId, [(i64, PushKey); 3]>, Error> {
        let topics = self.push_topics().await?.into_iter();
        Ok(topics
            .map(|topic| (topic.conversation, topic.keys))
            .collect())
    }
}

/// The root key for push, in memory. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct PushKeys(Arc<RwLock<HmacKeyUpdate>>);

impl PushKeys {
    /// The stored key, or a new one.
    pub(crate) async fn load(database: &Database, now_ns: u64) -> Result<Self, DbError> {
        let stored = match database.read(load).await? {
            Some(stored) => stored,
            None => {
                let new = new_key(now_ns);
                let write = move |db: &crate::db::Transaction<'_>| match load(db)? {
                    Some(stored) => Ok(stored),
                    None => store(db, &new).map(|()| new),
                };
                database.write(write).await?
            }
        };
        Ok(Self(Arc::new(RwLock::new(stored))))
    }

    /// The key, and since when it is in use.
    pub(crate) fn current(&self) -> HmacKeyUpdate {
        self.0.read().clone()
    }

    /// What is put beside `message` on its way to `group`.
    pub(crate) fn sender_hmac(&self, group: &GroupId, message: &[u8], now_ns: u64) -> [u8; 32] {
        let epoch = push_epoch(Duration::from_nanos(now_ns));
        self.0.read().key.key(group, epoch).sender_hmac(message)
    }

    /// Replaces the key by a new one, which the other installations are to be told.
    pub(crate) async fn cycle(
        &self,
        database: &Database,
        now_ns: u64,
    ) -> Result<HmacKeyUpdate, DbError> {
        let new = new_key(now_ns);
        self.take(database, new.clone()).await?;
        Ok(new)
    }

    /// Takes in what another installation told. `true`: it was news.
    pub(crate) async fn take(
        &self,
        database: &Database,
        told: HmacKeyUpdate,
    ) -> Result<bool, DbError> {
        let write = move |db: &crate::db::Transaction<'_>| {
            let merged = told.merge(load(db)?.as_ref());
            if let Some(merged) = &merged {
                store(db, merged)?;
            }
            Ok(merged)
        };
        let merged = database.write(write).await?;
        Ok(match merged {
            Some(merged) => {
                *self.0.write() = merged;
                true
            }
            None => false,
        })
    }
}

fn new_key(now_ns: u64) -> HmacKeyUpdate {
    HmacKeyUpdate {
        key: PushRootKey::generate(&mut rand::rng()),
        cycled_at_ns: to_sql(now_ns),
    }
}

fn load(db: &Connection) -> Result<Option<HmacKeyUpdate>, DbError> {
    let row = db
        .prepare_cached("SELECT root, cycled_ns FROM push_key WHERE id = 1")?
        .query_row([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))
        .optional()?;
    let Some((root, cycled_at_ns)) = row else {
        return Ok(None);
    };
    let key = PushRootKey::try_from(&root[..]);
    let key = key.map_err(|cause| DbError::corrupt("push_key.root", cause))?;
    Ok(Some(HmacKeyUpdate { key, cycled_at_ns }))
}

fn store(db: &Connection, update: &HmacKeyUpdate) -> Result<(), DbError> {
    db.prepare_cached("INSERT OR REPLACE INTO push_key VALUES (1, ?1, ?2)")?
        .execute(params![&update.key.as_bytes()[..], update.cycled_at_ns])?;
    Ok(())
}

fn followed(db: &Connection) -> Result<Vec<GroupId>, DbError> {
    let sql = "SELECT id FROM conversation WHERE active AND kind IN (1, 2) ORDER BY created_ns";
    let groups = db
        .prepare_cached(sql)?
        .query_map([], |row| crate::conversation::rows::group_id(row, 0))?
        .collect::<Result<_, _>>()?;
    Ok(groups)
}

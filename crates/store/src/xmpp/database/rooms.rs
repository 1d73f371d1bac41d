//! Rooms and their people.

use async_trait::async_trait;
use bytes::Bytes;
use jid::BareJid;

use super::{
    XmppDatabase, archive,
    sql::{Row, Sql, broken, values},
};
use crate::{
    StoreError,
    xmpp::{RoomAffiliation, RoomMember, RoomRecord, RoomSettings, RoomSubject, Rooms, Secret},
};

#[async_trait]
impl Rooms for XmppDatabase {
    async fn rooms(
        &self,
        service: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(BareJid, Bytes)>, StoreError> {
        let values = values![service, after.unwrap_or_default(), limit];
        self.read("list rooms", move |sql| {
            Box::pin(async move {
                let select = "SELECT jid, config FROM room WHERE service = ?1 \
                              AND localpart > ?2 ORDER BY localpart LIMIT ?3";
                let rows = sql.query(select, &values).await?;
                rows.into_iter()
                    .map(|mut row| Ok((row.bare_jid()?, row.bytes()?)))
                    .collect()
            })
        })
        .await
    }

    async fn count_rooms(&self, service: &str) -> Result<u64, StoreError> {
        let values = values![service];
        self.read("count rooms", move |sql| {
            Box::pin(async move {
                let select = "SELECT count(*) FROM room WHERE service = ?1";
                Ok(sql.number(select, &values).await?.cast_unsigned())
            })
        })
        .await
    }

    async fn room(&self, room: &BareJid) -> Result<Option<RoomRecord>, StoreError> {
        let values = values![room];
        self.read("read a room", move |sql| {
            Box::pin(async move {
                let select = "SELECT config, secret, created, subject, subject_by, subject_at \
                              FROM room WHERE jid = ?1";
                let Some(mut row) = sql.first(select, &values).await? else {
                    return Ok(None);
                };
                let settings = RoomSettings {
                    config: row.bytes()?,
                    secret: Secret(row.bytes()?.into()),
                    created: row.number()?,
                };
                let subject = (row.maybe_bytes()?, row.maybe_jid()?, row.maybe_number()?);
                let subject = match subject {
                    (Some(xml), Some(from), Some(at)) => Some(RoomSubject { xml, from, at }),
                    _ => None,
                };
                let members = "SELECT account, affiliation, nick, reason, extra \
                               FROM room_member WHERE room = ?1 ORDER BY account";
                let members = sql.query(members, &values).await?;
                Ok(Some(RoomRecord {
                    settings,
                    subject,
                    members: members.into_iter().map(member).collect::<Result<_, _>>()?,
                }))
            })
        })
        .await
    }

    async fn save_room(&self, room: &BareJid, settings: RoomSettings) -> Result<(), StoreError> {
        let localpart = room.node().map_or("", |node| node.as_str());
        let RoomSettings {
            config,
            secret,
            created,
        } = settings;
        let values = values![
            room,
            room.domain().as_str(),
            localpart,
            config,
            secret.0,
            created,
        ];
        self.write("keep a room", move |sql| {
            Box::pin(async move {
                let put = "INSERT INTO room (jid, service, localpart, config, secret, created) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                           ON CONFLICT (jid) DO UPDATE SET config = excluded.config";
                sql.execute(put, &values).await.map(drop)
            })
        })
        .await
    }

    async fn set_room_subject(
        &self,
        room: &BareJid,
        subject: Option<RoomSubject>,
    ) -> Result<bool, StoreError> {
        let (xml, from, at) = match subject {
            Some(RoomSubject { xml, from, at }) => (Some(xml), Some(from), Some(at)),
            None => (None, None, None),
        };
        let values = values![room, xml, from, at];
        self.write("keep a room's subject", move |sql| {
            Box::pin(async move {
                let update = "UPDATE room SET subject = ?2, subject_by = ?3, subject_at = ?4 \
                              WHERE jid = ?1";
                Ok(sql.execute(update, &values).await? > 0)
            })
        })
        .await
    }

    async fn put_room_members(
        &self,
        room: &BareJid,
        members: Vec<RoomMember>,
    ) -> Result<bool, StoreError> {
        let room = room.clone();
        self.write("keep a room's people", move |sql| {
            Box::pin(async move {
                if !exists(sql, &room).await? {
                    return Ok(false);
                }
                let put = "INSERT INTO room_member \
                             (room, account, affiliation, nick, reason, extra) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                           ON CONFLICT (room, account) DO UPDATE SET \
                             affiliation = excluded.affiliation, nick = excluded.nick, \
                             reason = excluded.reason, extra = excluded.extra";
                let row = |member: RoomMember| {
                    let RoomMember {
                        account,
                        affiliation,
                        nick,
                        reason,
                        extra,
                    } = member;
                    values![&room, account, affiliation as u8, nick, reason, extra].to_vec()
                };
                let rows: Vec<_> = members.into_iter().map(row).collect();
                sql.execute_each(put, &rows).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn remove_room_members(
        &self,
        room: &BareJid,
        accounts: Vec<BareJid>,
    ) -> Result<(), StoreError> {
        let row = |account| values![room, account].to_vec();
        let rows: Vec<_> = accounts.into_iter().map(row).collect();
        self.write("end affiliations with a room", move |sql| {
            Box::pin(async move {
                let delete = "DELETE FROM room_member WHERE room = ?1 AND account = ?2";
                sql.execute_each(delete, &rows).await
            })
        })
        .await
    }

    async fn rooms_of(&self, account: &BareJid) -> Result<Vec<(BareJid, RoomMember)>, StoreError> {
        let values = values![account];
        self.read("read the rooms of an account", move |sql| {
            Box::pin(async move {
                let select = "SELECT room, account, affiliation, nick, reason, extra \
                              FROM room_member WHERE account = ?1 ORDER BY room";
                let rows = sql.query(select, &values).await?;
                rows.into_iter()
                    .map(|mut row| Ok((row.bare_jid()?, member(row)?)))
                    .collect()
            })
        })
        .await
    }

    async fn delete_room(&self, room: &BareJid) -> Result<bool, StoreError> {
        let room = room.clone();
        let deleted = self
            .write("delete a room", move |sql| {
                Box::pin(async move {
                    let values = values![&room];
                    sql.execute("DELETE FROM room_member WHERE room = ?1", &values)
                        .await?;
                    sql.execute("DELETE FROM vcard WHERE owner = ?1", &values)
                        .await?;
                    archive::disown(sql, &room).await?;
                    let delete = "DELETE FROM room WHERE jid = ?1";
                    Ok(sql.execute(delete, &values).await? > 0)
                })
            })
            .await?;
        self.remove_orphans().await?;
        Ok(deleted)
    }
}

async fn exists(sql: &mut dyn Sql, room: &BareJid) -> Result<bool, StoreError> {
    let select = "SELECT count(*) FROM room WHERE jid = ?1";
    Ok(sql.number(select, &values![room]).await? > 0)
}

fn member(mut row: Row) -> Result<RoomMember, StoreError> {
    Ok(RoomMember {
        account: row.bare_jid()?,
        affiliation: match row.number()? {
            1 => RoomAffiliation::Owner,
            2 => RoomAffiliation::Admin,
            3 => RoomAffiliation::Member,
            4 => RoomAffiliation::Outcast,
            _ => return Err(broken("an affiliation is not known")),
        },
        nick: row.maybe_text()?,
        reason: row.maybe_text()?,
        extra: row.bytes()?,
    })
}

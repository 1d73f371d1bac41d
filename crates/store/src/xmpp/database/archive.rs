//! Archives: appending, reading pages, tombstones, expiry.
//!
//! The order of an archive is that of its times, of which no two are the same: whatever is appended is later than what
//! was there. So one index serves pages, filters by time and counts.

use async_trait::async_trait;
use bytes::Bytes;
use jid::{BareJid, Jid};

use super::{
    XmppDatabase,
    sql::{Row, Sql, Value, broken, parse_jid, values},
};
use crate::{
    StoreError,
    xmpp::{
        Archive, ArchiveEnd, ArchiveFilter, ArchiveId, ArchivePage, ArchivePlace, ArchiveQuery,
        ArchivedStanza, NewEntry, PageAnswer, StanzaKind,
    },
};

/// Messages that a step of expiry removes.
const EXPIRY_STEP: usize = 500;
/// Messages read at a time: what a page does not take is small.
const CHUNK: usize = 64;

#[async_trait]
impl Archive for XmppDatabase {
    async fn append_to_archives(&self, entries: Vec<NewEntry>) -> Result<(), StoreError> {
        self.write("append to an archive", move |sql| {
            Box::pin(append(sql, entries))
        })
        .await
    }

    async fn archive_page(
        &self,
        owner: &BareJid,
        query: ArchiveQuery,
    ) -> Result<PageAnswer, StoreError> {
        let owner = owner.clone();
        self.read("read a page of an archive", move |sql| {
            Box::pin(page(sql, owner, query))
        })
        .await
    }

    async fn archive_ends(&self, owner: &BareJid) -> Result<Option<[ArchiveEnd; 2]>, StoreError> {
        let owner = owner.clone();
        self.read("read the ends of an archive", move |sql| {
            Box::pin(async move {
                let Some(owner) = owner_number(sql, &owner).await? else {
                    return Ok(None);
                };
                let first = "SELECT id, at FROM archive WHERE owner = ?1 \
                             ORDER BY at LIMIT 1";
                let last = "SELECT id, at FROM archive WHERE owner = ?1 \
                            ORDER BY at DESC LIMIT 1";
                let first = sql.first(first, &values![owner]).await?;
                let last = sql.first(last, &values![owner]).await?;
                match (first, last) {
                    (Some(first), Some(last)) => Ok(Some([end(first)?, end(last)?])),
                    _ => Ok(None),
                }
            })
        })
        .await
    }

    async fn archived(
        &self,
        owner: &BareJid,
        id: ArchiveId,
    ) -> Result<Option<ArchivedStanza>, StoreError> {
        let values = values![owner, id.0];
        self.read("read a message", move |sql| {
            Box::pin(async move {
                let select = "SELECT a.at, a.id, \
                                (SELECT jid FROM peer WHERE number = a.peer), \
                                a.resource, a.kind, a.stanza \
                              FROM archive a WHERE a.id = ?2 \
                              AND a.owner = (SELECT number FROM archive_owner WHERE jid = ?1)";
                let row = sql.first(select, &values).await?;
                row.map(entry).transpose()
            })
        })
        .await
    }

    async fn archived_by_origin(
        &self,
        owner: &BareJid,
        with: &Jid,
        origin_id: &str,
    ) -> Result<Option<ArchivedStanza>, StoreError> {
        let (bare, resource) = halves(with);
        let values = values![owner, bare, origin_id, resource];
        self.read("look for a message", move |sql| {
            Box::pin(async move {
                let select = "SELECT a.at, a.id, \
                                (SELECT jid FROM peer WHERE number = a.peer), \
                                a.resource, a.kind, a.stanza \
                              FROM (SELECT seq FROM archive \
                                WHERE owner = (SELECT number FROM archive_owner WHERE jid = ?1) \
                                  AND peer = (SELECT number FROM peer WHERE jid = ?2) \
                                ORDER BY at DESC LIMIT 1000) newest \
                              JOIN archive a ON a.seq = newest.seq \
                              WHERE a.origin = ?3 AND (?4 = '' OR a.resource = ?4) \
                              ORDER BY a.at DESC LIMIT 1";
                let row = sql.first(select, &values).await?;
                row.map(entry).transpose()
            })
        })
        .await
    }

    async fn replace_archived(
        &self,
        owner: &BareJid,
        id: ArchiveId,
        stanza: Bytes,
    ) -> Result<bool, StoreError> {
        let values = values![owner, id.0, stanza];
        self.write("put a tombstone into an archive", move |sql| {
            Box::pin(async move {
                let update = "UPDATE archive SET stanza = ?3 WHERE id = ?2 \
                              AND owner = (SELECT number FROM archive_owner WHERE jid = ?1)";
                Ok(sql.execute(update, &values).await? > 0)
            })
        })
        .await
    }

    async fn expire_archives(
        &self,
        owner: Option<&BareJid>,
        before: i64,
    ) -> Result<u64, StoreError> {
        if let Some(owner) = owner {
            let owner = owner.clone();
            let number = self.read("look for an archive", move |sql| {
                Box::pin(async move { owner_number(sql, &owner).await })
            });
            return match number.await? {
                Some(number) => self.expire(number, before).await,
                None => Ok(0),
            };
        }
        let mut expired = self.remove_orphans().await?;
        let mut after = 0;
        loop {
            let next = self.read("look for an archive", move |sql| {
                Box::pin(async move {
                    let select = "SELECT o.number FROM archive_owner o WHERE o.number > ?1 \
                                  AND EXISTS (SELECT 1 FROM archive a \
                                    WHERE a.owner = o.number AND a.at < ?2) \
                                  ORDER BY o.number LIMIT 1";
                    sql.number(select, &values![after, before]).await
                })
            });
            match next.await? {
                0 => return Ok(expired),
                number => {
                    expired += self.expire(number, before).await?;
                    after = number;
                }
            }
        }
    }
}

impl XmppDatabase {
    /// Removes what is older than `before` from one archive, in steps.
    async fn expire(&self, owner: i64, before: i64) -> Result<u64, StoreError> {
        let mut expired = 0;
        loop {
            let step = self.write("remove old messages", move |sql| {
                Box::pin(async move {
                    let delete = "DELETE FROM archive WHERE seq IN (SELECT seq FROM archive \
                                  WHERE owner = ?1 AND at < ?2 ORDER BY at LIMIT ?3)";
                    let values = values![owner, before, EXPIRY_STEP];
                    sql.execute(delete, &values).await
                })
            });
            match step.await? {
                0 => return Ok(expired),
                removed => expired += removed,
            }
        }
    }

    /// Removes the messages of archives whose owners were deleted.
    pub(super) async fn remove_orphans(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let orphan = self.read("look for an archive without owner", |sql| {
                Box::pin(async move {
                    let select = "SELECT number FROM archive_owner WHERE jid IS NULL LIMIT 1";
                    sql.number(select, &[]).await
                })
            });
            let orphan = orphan.await?;
            if orphan == 0 {
                return Ok(removed);
            }
            removed += self.expire(orphan, i64::MAX).await?;
            self.write("remove an archive", move |sql| {
                Box::pin(async move {
                    let delete = "DELETE FROM archive_owner WHERE number = ?1";
                    sql.execute(delete, &values![orphan]).await
                })
            })
            .await?;
        }
    }
}

/// Takes an archive from its owner: from now on it is empty, and whoever has that address later gets a new one.
pub(super) async fn disown(sql: &mut dyn Sql, owner: &BareJid) -> Result<(), StoreError> {
    let update = "UPDATE archive_owner SET jid = NULL WHERE jid = ?1";
    sql.execute(update, &values![owner]).await.map(drop)
}

async fn append(sql: &mut dyn Sql, entries: Vec<NewEntry>) -> Result<(), StoreError> {
    let distinct = |mut jids: Vec<Value>| -> Vec<Vec<Value>> {
        jids.dedup_by(|a, b| matches!((a, b), (Value::Text(a), Value::Text(b)) if a == b));
        jids.into_iter().map(|jid| vec![jid]).collect()
    };
    let owners = distinct(
        entries
            .iter()
            .map(|entry| Value::from(&entry.owner))
            .collect(),
    );
    let peers = distinct(
        entries
            .iter()
            .map(|entry| Value::from(entry.with.to_bare()))
            .collect(),
    );
    let owner = "INSERT INTO archive_owner (jid) VALUES (?1) ON CONFLICT (jid) DO NOTHING";
    sql.execute_each(owner, &owners).await?;
    let peer = "INSERT INTO peer (jid) VALUES (?1) ON CONFLICT (jid) DO NOTHING";
    sql.execute_each(peer, &peers).await?;
    let insert = "INSERT INTO archive (owner, at, peer, resource, kind, id, origin, stanza) VALUES ( \
                    (SELECT number FROM archive_owner WHERE jid = ?1), \
                    coalesce((SELECT max(at) + 1 FROM archive WHERE at >= ?2 \
                      AND owner = (SELECT number FROM archive_owner WHERE jid = ?1)), ?2), \
                    (SELECT number FROM peer WHERE jid = ?3), ?4, ?5, ?6, ?7, ?8)";
    let row = |entry: NewEntry| {
        let (bare, resource) = halves(&entry.with);
        let kind = entry.kind as u8;
        values![
            entry.owner,
            entry.at,
            bare,
            resource,
            kind,
            entry.id.0,
            entry.origin_id,
            entry.stanza,
        ]
        .to_vec()
    };
    let rows: Vec<_> = entries.into_iter().map(row).collect();
    sql.execute_each(insert, &rows).await
}

/// A place in the order of an archive: the time of the message there.
type Position = i64;

/// The messages that count lie strictly between `from` and `to`, and match the rest.
struct Range {
    owner: i64,
    from: Position,
    to: Position,
    /// The other side's number; 0 for any.
    peer: i64,
    /// The other side's resource; empty for any.
    resource: String,
    without_groupchat: bool,
}

/// In which direction a page is read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Direction {
    Forward,
    Backward,
}

/// What a question means for this archive, or the id that it does not have.
enum Resolved {
    Nothing,
    Unknown(ArchiveId),
    Range(Range),
}

async fn page(
    sql: &mut dyn Sql,
    owner: BareJid,
    query: ArchiveQuery,
) -> Result<PageAnswer, StoreError> {
    let mut range = match resolve(sql, &owner, &query.filter).await? {
        Resolved::Unknown(id) => return Ok(PageAnswer::Unknown(id)),
        Resolved::Range(range) => Some(range),
        Resolved::Nothing => None,
    };
    let number = owner_number(sql, &owner).await?;
    let mut ids = Vec::new();
    for id in &query.filter.ids {
        match position(sql, number, *id).await? {
            Some(position) => ids.push(position),
            None => return Ok(PageAnswer::Unknown(*id)),
        }
    }
    let place = match query.place {
        ArchivePlace::After(id) | ArchivePlace::Before(id) => {
            match position(sql, number, id).await? {
                Some(position) => position,
                None => return Ok(PageAnswer::Unknown(id)),
            }
        }
        _ => 0,
    };
    let Some(range) = &mut range else {
        let count = query.count.then_some(0);
        return Ok(PageAnswer::Page(ArchivePage {
            entries: Vec::new(),
            complete: true,
            count,
        }));
    };
    let mut source = match query.filter.ids.is_empty() {
        true => Source::All,
        false => {
            ids.sort_unstable();
            ids.dedup();
            Source::Some(ids)
        }
    };
    let count = match query.count {
        true => Some(source.count(sql, range).await?),
        false => None,
    };
    let mut skip = 0;
    let direction = match query.place {
        ArchivePlace::Start => Direction::Forward,
        ArchivePlace::End => Direction::Backward,
        ArchivePlace::After(_) => {
            range.from = range.from.max(place);
            Direction::Forward
        }
        ArchivePlace::Before(_) => {
            range.to = range.to.min(place);
            Direction::Backward
        }
        ArchivePlace::Index(index) => {
            skip = index;
            Direction::Forward
        }
    };
    let (entries, complete) = source.read(sql, range, direction, skip, &query).await?;
    Ok(PageAnswer::Page(ArchivePage {
        entries,
        complete,
        count,
    }))
}

/// Finds the numbers and positions that a filter names.
async fn resolve(
    sql: &mut dyn Sql,
    owner: &BareJid,
    filter: &ArchiveFilter,
) -> Result<Resolved, StoreError> {
    let number = owner_number(sql, owner).await?;
    // Both are left out, and no message is at the ends of time.
    let mut from = filter.start.map_or(i64::MIN, |at| at.saturating_sub(1));
    let mut to = filter.end.map_or(i64::MAX, |at| at.saturating_add(1));
    if let Some(id) = filter.after {
        match position(sql, number, id).await? {
            Some(position) => from = from.max(position),
            None => return Ok(Resolved::Unknown(id)),
        }
    }
    if let Some(id) = filter.before {
        match position(sql, number, id).await? {
            Some(position) => to = to.min(position),
            None => return Ok(Resolved::Unknown(id)),
        }
    }
    let Some(owner) = number else {
        return Ok(Resolved::Nothing);
    };
    let (mut peer, mut resource) = (0, String::new());
    if let Some(with) = &filter.with {
        let (bare, of_with) = halves(with);
        let select = "SELECT number FROM peer WHERE jid = ?1";
        peer = sql.number(select, &values![bare]).await?;
        resource = of_with;
        if peer == 0 {
            return Ok(Resolved::Nothing);
        }
    }
    Ok(Resolved::Range(Range {
        owner,
        from,
        to,
        peer,
        resource,
        without_groupchat: filter.without_groupchat,
    }))
}

/// Which messages a page is taken from.
enum Source {
    /// All of the range.
    All,
    /// Those at these positions, in order, as far as they are in the range.
    Some(Vec<Position>),
}

impl Source {
    async fn count(&self, sql: &mut dyn Sql, range: &Range) -> Result<u64, StoreError> {
        let Self::Some(positions) = self else {
            let select = "SELECT count(*) FROM archive a WHERE a.owner = ?1 \
                          AND a.at > ?2 AND a.at < ?3 \
                          AND (a.peer = ?4 OR ?4 = 0) AND (?5 = '' OR a.resource = ?5) \
                          AND (a.kind = 0 OR ?6 = 0)";
            let count = sql.number(select, &range.values()).await?;
            return Ok(count.cast_unsigned());
        };
        let mut count = 0;
        for position in positions {
            count += u64::from(at(sql, range, *position).await?.is_some());
        }
        Ok(count)
    }

    /// Reads a page, and whether nothing is left behind it.
    async fn read(
        &mut self,
        sql: &mut dyn Sql,
        range: &mut Range,
        direction: Direction,
        skip: u64,
        query: &ArchiveQuery,
    ) -> Result<(Vec<ArchivedStanza>, bool), StoreError> {
        let mut page = Page {
            entries: Vec::new(),
            bytes: 0,
            max: query.max,
            max_bytes: query.max_bytes,
        };
        let complete = match self {
            Self::All => page.fill(sql, range, direction, skip).await?,
            Self::Some(positions) => {
                if direction == Direction::Backward {
                    positions.reverse();
                }
                page.fill_from(sql, range, positions, skip).await?
            }
        };
        if direction == Direction::Backward {
            page.entries.reverse();
        }
        Ok((page.entries, complete))
    }
}

/// A page that is being filled, in the direction of reading.
struct Page {
    entries: Vec<ArchivedStanza>,
    bytes: usize,
    max: usize,
    max_bytes: usize,
}

impl Page {
    /// Takes an entry, unless the page is full.
    fn take(&mut self, entry: ArchivedStanza) -> bool {
        let bytes = self.bytes.saturating_add(entry.stanza.len());
        let fits = self.entries.is_empty() || bytes <= self.max_bytes;
        let takes = self.entries.len() < self.max && fits;
        if takes {
            self.bytes = bytes;
            self.entries.push(entry);
        }
        takes
    }

    /// Fills the page from the range, which becomes what is left of it. Says whether nothing is.
    async fn fill(
        &mut self,
        sql: &mut dyn Sql,
        range: &mut Range,
        direction: Direction,
        mut skip: u64,
    ) -> Result<bool, StoreError> {
        let forward = "SELECT a.at, a.id, (SELECT jid FROM peer WHERE number = a.peer), \
                         a.resource, a.kind, a.stanza \
                       FROM archive a WHERE a.owner = ?1 \
                       AND a.at > ?2 AND a.at < ?3 \
                       AND (a.peer = ?4 OR ?4 = 0) AND (?5 = '' OR a.resource = ?5) \
                       AND (a.kind = 0 OR ?6 = 0) ORDER BY a.at LIMIT ?7 OFFSET ?8";
        let backward = "SELECT a.at, a.id, (SELECT jid FROM peer WHERE number = a.peer), \
                          a.resource, a.kind, a.stanza \
                        FROM archive a WHERE a.owner = ?1 \
                        AND a.at > ?2 AND a.at < ?3 \
                        AND (a.peer = ?4 OR ?4 = 0) AND (?5 = '' OR a.resource = ?5) \
                        AND (a.kind = 0 OR ?6 = 0) \
                        ORDER BY a.at DESC LIMIT ?7 OFFSET ?8";
        loop {
            // One more than the page takes shows whether something is left.
            let wanted = (self.max - self.entries.len()).saturating_add(1).min(CHUNK);
            let mut values = range.values();
            values.extend(values![wanted, skip]);
            skip = 0;
            let statement = match direction {
                Direction::Forward => forward,
                Direction::Backward => backward,
            };
            let rows = sql.query(statement, &values).await?;
            let at_end = rows.len() < wanted;
            for row in rows {
                let entry = entry(row)?;
                match direction {
                    Direction::Forward => range.from = entry.at,
                    Direction::Backward => range.to = entry.at,
                }
                if !self.take(entry) {
                    return Ok(false);
                }
            }
            if at_end {
                return Ok(true);
            }
        }
    }

    /// Fills the page from these positions, as far as they are in the range.
    async fn fill_from(
        &mut self,
        sql: &mut dyn Sql,
        range: &Range,
        positions: &[Position],
        mut skip: u64,
    ) -> Result<bool, StoreError> {
        for position in positions {
            let Some(entry) = at(sql, range, *position).await? else {
                continue;
            };
            if skip > 0 {
                skip -= 1;
            } else if !self.take(entry) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Range {
    /// The first values of every statement about a range.
    fn values(&self) -> Vec<Value> {
        values![
            self.owner,
            self.from,
            self.to,
            self.peer,
            &self.resource,
            self.without_groupchat,
        ]
        .to_vec()
    }
}

/// The message at a position, if it is in the range.
async fn at(
    sql: &mut dyn Sql,
    range: &Range,
    position: Position,
) -> Result<Option<ArchivedStanza>, StoreError> {
    if position <= range.from || position >= range.to {
        return Ok(None);
    }
    let select = "SELECT a.at, a.id, (SELECT jid FROM peer WHERE number = a.peer), \
                    a.resource, a.kind, a.stanza \
                  FROM archive a WHERE a.owner = ?1 AND a.at = ?2 \
                  AND (a.peer = ?3 OR ?3 = 0) AND (?4 = '' OR a.resource = ?4) \
                  AND (a.kind = 0 OR ?5 = 0)";
    let values = values![
        range.owner,
        position,
        range.peer,
        &range.resource,
        range.without_groupchat,
    ];
    sql.first(select, &values).await?.map(entry).transpose()
}

async fn owner_number(sql: &mut dyn Sql, owner: &BareJid) -> Result<Option<i64>, StoreError> {
    let select = "SELECT number FROM archive_owner WHERE jid = ?1";
    let row = sql.first(select, &values![owner]).await?;
    row.map(|mut row| row.number()).transpose()
}

/// Where a message is in the archive of that number.
async fn position(
    sql: &mut dyn Sql,
    owner: Option<i64>,
    id: ArchiveId,
) -> Result<Option<Position>, StoreError> {
    let select = "SELECT at FROM archive WHERE owner = ?1 AND id = ?2";
    let values = values![owner.unwrap_or(0), id.0];
    let row = sql.first(select, &values).await?;
    row.map(|mut row| row.number()).transpose()
}

/// The bare address and the resource, which may be empty.
fn halves(jid: &Jid) -> (BareJid, String) {
    let resource = jid.resource().map_or("", |resource| resource.as_str());
    (jid.to_bare(), resource.to_owned())
}

fn end(mut row: Row) -> Result<ArchiveEnd, StoreError> {
    Ok(ArchiveEnd {
        id: ArchiveId(row.id()?),
        at: row.number()?,
    })
}

/// A message, from time, id, bare address, resource, kind, stanza.
fn entry(mut row: Row) -> Result<ArchivedStanza, StoreError> {
    let at = row.number()?;
    let id = ArchiveId(row.id()?);
    let mut with = row.text()?;
    let resource = row.text()?;
    if !resource.is_empty() {
        with.push('/');
        with.push_str(&resource);
    }
    Ok(ArchivedStanza {
        id,
        with: parse_jid(&with)?,
        kind: match row.number()? {
            0 => StanzaKind::Direct,
            1 => StanzaKind::Groupchat,
            _ => return Err(broken("a message's kind is not known")),
        },
        at,
        stanza: row.bytes()?,
    })
}

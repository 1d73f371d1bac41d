//! The messages of accounts and rooms, in the order in which they arrived (XEP-0313).
//!
//! Each archive has an owner: the address of an account or of a room. Its order is that of arrival, which nothing
//! changes later; ids are random and say nothing about it. Expiry removes the oldest messages, and a message in the
//! middle keeps its id and time when its contents are replaced by a tombstone.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use bytes::Bytes;
use jid::{BareJid, Jid};

use crate::StoreError;

/// The name of a message in its archive: 16 random bytes, written as 32 lower-case hex digits. Parsing takes only that
/// spelling.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ArchiveId(pub [u8; 16]);

/// Text that is no [`ArchiveId`]. No archive has a message of that name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no archive id: 32 lower-case hex digits")]
pub struct InvalidArchiveId;

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for ArchiveId {
    type Err = InvalidArchiveId;

    fn from_str(text: &str) -> Result<Self, InvalidArchiveId> {
        let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(lower_hex) {
            return Err(InvalidArchiveId);
        }
        u128::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| InvalidArchiveId)
    }
}

/// What kind of message it is.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum StanzaKind {
    /// From one to another.
    #[default]
    Direct = 0,
    /// Said in a room (type groupchat).
    Groupchat = 1,
}

/// A message on its way into an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewEntry {
    /// Whose archive: an account or a room.
    pub owner: BareJid,
    /// Its name there; must be new.
    pub id: ArchiveId,
    /// The other side: who sent it, or to whom the owner sent it; in a room the occupant.
    pub with: Jid,
    /// Its kind.
    pub kind: StanzaKind,
    /// The stanza as it is to be told later.
    pub stanza: Bytes,
    /// When it arrived. Each entry of an archive is later than those before it: a time that is not becomes the
    /// microsecond after the newest entry.
    pub at: i64,
    /// What its sender calls it, by which it can be retracted.
    pub origin_id: Option<String>,
}

/// A message in an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArchivedStanza {
    /// Its name.
    pub id: ArchiveId,
    /// The other side.
    pub with: Jid,
    /// Its kind.
    pub kind: StanzaKind,
    /// When it arrived.
    pub at: i64,
    /// The stanza, or what replaced it.
    pub stanza: Bytes,
}

/// Which messages count.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ArchiveFilter {
    /// With this address; a bare one stands for all its resources, a full one for itself.
    pub with: Option<Jid>,
    /// Arrived then or later.
    pub start: Option<i64>,
    /// Arrived then or earlier.
    pub end: Option<i64>,
    /// After the message of that id.
    pub after: Option<ArchiveId>,
    /// Before the message of that id.
    pub before: Option<ArchiveId>,
    /// These alone, if there are any. Each must be in the archive.
    pub ids: Vec<ArchiveId>,
    /// Leave out what was said in rooms.
    pub without_groupchat: bool,
}

/// Which page of them (XEP-0059).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ArchivePlace {
    /// The first.
    #[default]
    Start,
    /// What follows the message of that id.
    After(ArchiveId),
    /// What comes before the message of that id.
    Before(ArchiveId),
    /// The last.
    End,
    /// What follows so many messages, counted among those that match.
    Index(u64),
}

/// A question to an archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArchiveQuery {
    /// Which messages count.
    pub filter: ArchiveFilter,
    /// Which page of them.
    pub place: ArchivePlace,
    /// Most messages in the page; 0 asks for the count alone.
    pub max: usize,
    /// Most bytes of stanzas in the page, but a stanza that alone exceeds them is still returned alone.
    pub max_bytes: usize,
    /// Whether all matching messages shall be counted, which reads the index of all of them.
    pub count: bool,
}

/// A page of an archive.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ArchivePage {
    /// The messages in the order of arrival, whatever the direction of paging.
    pub entries: Vec<ArchivedStanza>,
    /// Nothing that matches is left in the direction of paging.
    pub complete: bool,
    /// How many messages match, if it was asked.
    pub count: Option<u64>,
}

/// The answer to an [`ArchiveQuery`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum PageAnswer {
    /// A page, which may be empty.
    Page(ArchivePage),
    /// The archive has no message of this id, which the question names; perhaps it expired.
    Unknown(ArchiveId),
}

/// The first or the last message of an archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ArchiveEnd {
    /// Its id.
    pub id: ArchiveId,
    /// When it arrived.
    pub at: i64,
}

/// The archives of all accounts and rooms.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Appends all entries in order, or none of them: both copies of a message in one call. When it returns they are
    /// durable and visible, and no reader later finds a new entry before them.
    async fn append_to_archives(&self, entries: Vec<NewEntry>) -> Result<(), StoreError>;

    /// A page of an archive. An archive that nothing was ever put into is empty.
    async fn archive_page(
        &self,
        owner: &BareJid,
        query: ArchiveQuery,
    ) -> Result<PageAnswer, StoreError>;

    /// The first and the last message of an archive.
    async fn archive_ends(&self, owner: &BareJid) -> Result<Option<[ArchiveEnd; 2]>, StoreError>;

    /// One message.
    async fn archived(
        &self,
        owner: &BareJid,
        id: ArchiveId,
    ) -> Result<Option<ArchivedStanza>, StoreError>;

    /// The newest message with `with` (a bare address stands for all its resources) that its sender calls `origin_id`,
    /// among the newest 1000 with that bare address.
    async fn archived_by_origin(
        &self,
        owner: &BareJid,
        with: &Jid,
        origin_id: &str,
    ) -> Result<Option<ArchivedStanza>, StoreError>;

    /// Puts a tombstone in the place of a message: id, time and other side stay. Says whether there is such a message.
    async fn replace_archived(
        &self,
        owner: &BareJid,
        id: ArchiveId,
        stanza: Bytes,
    ) -> Result<bool, StoreError>;

    /// Removes what arrived before `before`, from one archive or from all, in small steps that do not hold up
    /// appending. Answers how many messages it removed.
    async fn expire_archives(
        &self,
        owner: Option<&BareJid>,
        before: i64,
    ) -> Result<u64, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::{ArchiveId, InvalidArchiveId};

    #[test]
    fn ids_have_one_spelling() {
        let id = ArchiveId([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(id.to_string().parse(), Ok(id));
        let first = "0".repeat(31) + "1";
        assert_eq!(first.parse::<ArchiveId>().unwrap().to_string(), first);
        for wrong in ["", "AB", &"AB".repeat(16), &"+".repeat(32), &"a".repeat(33)] {
            assert_eq!(wrong.parse::<ArchiveId>(), Err(InvalidArchiveId), "{wrong}");
        }
    }
}

//! Rooms that outlive their occupants (XEP-0045).
//!
//! Whoever is at least a member stays in the room's list while offline, so that a server can tell absent members of
//! what was said. What was said is in the [`Archive`](super::Archive) of the room's address.

use async_trait::async_trait;
use bytes::Bytes;
use jid::{BareJid, Jid};

use super::Secret;
use crate::StoreError;

/// What a person is to a room. Whoever is not listed has no affiliation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum RoomAffiliation {
    /// May do everything.
    Owner = 1,
    /// May ban, and grant membership and voice.
    Admin = 2,
    /// Belongs to the room.
    Member = 3,
    /// May not enter.
    Outcast = 4,
}

/// Somebody with an affiliation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoomMember {
    /// Whose account.
    pub account: BareJid,
    /// What they are to the room.
    pub affiliation: RoomAffiliation,
    /// The nickname that is reserved for them.
    pub nick: Option<String>,
    /// Why they have the affiliation.
    pub reason: Option<String>,
    /// What else the server keeps of them, such as hats and wishes for notifications; may be empty.
    pub extra: Bytes,
}

/// What a room is, apart from its people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoomSettings {
    /// Its configuration.
    pub config: Bytes,
    /// From which the ids of its occupants are derived; stays the same as long as the room exists.
    pub secret: Secret,
    /// When it was made.
    pub created: i64,
}

/// What a room talks about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoomSubject {
    /// The subject's elements.
    pub xml: Bytes,
    /// The occupant that set it.
    pub from: Jid,
    /// When.
    pub at: i64,
}

/// A room as it was stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RoomRecord {
    /// What it is.
    pub settings: RoomSettings,
    /// What it talks about.
    pub subject: Option<RoomSubject>,
    /// Its people, in the order of their addresses.
    pub members: Vec<RoomMember>,
}

/// The rooms of all services.
#[async_trait]
pub trait Rooms: Send + Sync {
    /// The rooms at a host in the order of their local parts, after the local part `after`, at most `limit`, each with
    /// its configuration.
    async fn rooms(
        &self,
        service: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(BareJid, Bytes)>, StoreError>;

    /// How many rooms a host has.
    async fn count_rooms(&self, service: &str) -> Result<u64, StoreError>;

    /// A room.
    async fn room(&self, room: &BareJid) -> Result<Option<RoomRecord>, StoreError>;

    /// Makes a room, or replaces the configuration of the one of that address: its secret and time stay.
    async fn save_room(&self, room: &BareJid, settings: RoomSettings) -> Result<(), StoreError>;

    /// Replaces the subject. Says whether there is such a room.
    async fn set_room_subject(
        &self,
        room: &BareJid,
        subject: Option<RoomSubject>,
    ) -> Result<bool, StoreError>;

    /// Adds people or replaces what is known of them, all or none. Says whether there is such a room.
    async fn put_room_members(
        &self,
        room: &BareJid,
        members: Vec<RoomMember>,
    ) -> Result<bool, StoreError>;

    /// Ends affiliations.
    async fn remove_room_members(
        &self,
        room: &BareJid,
        accounts: Vec<BareJid>,
    ) -> Result<(), StoreError>;

    /// The rooms in which an account has an affiliation, in the order of their addresses.
    async fn rooms_of(&self, account: &BareJid) -> Result<Vec<(BareJid, RoomMember)>, StoreError>;

    /// Deletes a room with its people, archive and card. Says whether there was one.
    async fn delete_room(&self, room: &BareJid) -> Result<bool, StoreError>;
}

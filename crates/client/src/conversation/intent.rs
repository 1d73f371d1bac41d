//! What was asked of a conversation and is not done yet.
//!
//! An intent outlives the program: it is stored before anything is sent, together with the hash
//! of what was sent and, for a commit, with its staged outcome, since MLS cannot read own
//! messages back. It goes when the node has shown our message in its place in the log.

use std::{collections::BTreeMap, fmt};

use folkmoot_conversation::context::AdminChange;
use folkmoot_wire::{GroupId, InboxId, InstallationKey, MessageId};
use prost::Message;
use rusqlite::{Connection, Row, params};

use super::rows::strange;

/// How far an intent has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IntentState {
    /// Nothing was sent, or what was sent lost a race.
    ToPublish,
    /// Sealed and stored; sent, or to be sent again as it is.
    Published,
    /// The commit is merged; its welcomes are not sent yet.
    Committed,
    /// Given up.
    Failed,
}

impl IntentState {
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::ToPublish => 1,
            Self::Published => 2,
            Self::Committed => 3,
            Self::Failed => 4,
        }
    }

    const fn from_code(code: i64) -> Option<Self> {
        match code {
            1 => Some(Self::ToPublish),
            2 => Some(Self::Published),
            3 => Some(Self::Committed),
            4 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// What is wanted.
#[derive(Clone, PartialEq)]
pub(crate) enum Wish {
    /// Send this envelope (a `PlaintextEnvelope`).
    Send(Vec<u8>),
    /// Put a new leaf in our place.
    KeyUpdate,
    /// Set or delete attributes.
    Metadata(BTreeMap<String, Option<String>>),
    /// Add and remove inboxes, and bring the installations of all up to date.
    Membership {
        add: Vec<InboxId>,
        remove: Vec<InboxId>,
    },
    /// Change the lists of admins.
    Admins { change: AdminChange, inbox: InboxId },
    /// Replace the policies: a `GroupMutablePermissionsV1`.
    Permissions(Vec<u8>),
    /// Remove these installations and add them again.
    Readd(Vec<InstallationKey>),
    /// Let the group live in an AppData dictionary.
    Convert,
}

impl fmt::Debug for Wish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Send(_) => "Send",
            Self::KeyUpdate => "KeyUpdate",
            Self::Metadata(_) => "Metadata",
            Self::Membership { .. } => "Membership",
            Self::Admins { .. } => "Admins",
            Self::Permissions(_) => "Permissions",
            Self::Readd(_) => "Readd",
            Self::Convert => "Convert",
        })
    }
}

/// A row of `intent`.
#[derive(Clone, PartialEq)]
pub(crate) struct Intent {
    /// 0 as long as it is not stored.
    pub(crate) id: i64,
    pub(crate) wish: Wish,
    pub(crate) state: IntentState,
    pub(crate) message_id: Option<MessageId>,
    pub(crate) should_push: bool,
    pub(crate) attempts: u32,
    pub(crate) payload_hash: Option<[u8; 32]>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) epoch: Option<u64>,
    pub(crate) staged: Option<Vec<u8>>,
    pub(crate) welcome: Option<Vec<u8>>,
    pub(crate) sequence: Option<u64>,
}

impl fmt::Debug for Intent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Intent")
            .field("id", &self.id)
            .field("wish", &self.wish)
            .field("state", &self.state)
            .field("attempts", &self.attempts)
            .field("epoch", &self.epoch)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Intent {
    /// A wish that nothing was done about yet.
    pub(crate) const fn new(wish: Wish) -> Self {
        Self {
            id: 0,
            wish,
            state: IntentState::ToPublish,
            message_id: None,
            should_push: false,
            attempts: 0,
            payload_hash: None,
            payload: None,
            epoch: None,
            staged: None,
            welcome: None,
            sequence: None,
        }
    }

    /// Whether it makes a commit, unlike a message.
    pub(crate) const fn is_commit(&self) -> bool {
        !matches!(self.wish, Wish::Send(_))
    }

    /// Forgets what was sent: it lost a race and is to be made anew.
    pub(crate) fn rebuild(&mut self) {
        self.state = IntentState::ToPublish;
        self.payload_hash = None;
        self.payload = None;
        self.epoch = None;
        self.staged = None;
        self.welcome = None;
    }

    pub(crate) fn insert(&self, db: &Connection, group: &GroupId) -> rusqlite::Result<i64> {
        let (kind, data) = self.wish.encode();
        db.prepare_cached(
            "INSERT INTO intent (group_id, kind, state, data, message_id, should_push, attempts,
                 payload_hash, payload, epoch, staged, welcome, sequence)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .insert(params![
            group.as_bytes(),
            kind,
            self.state.code(),
            data,
            self.message_id.as_ref().map(MessageId::as_bytes),
            self.should_push,
            self.attempts,
            self.payload_hash,
            self.payload,
            self.epoch.map(u64::cast_signed),
            self.staged,
            self.welcome,
            self.sequence.map(u64::cast_signed),
        ])
    }

    pub(crate) fn update(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached(
            "UPDATE intent SET state = ?2, attempts = ?3, payload_hash = ?4, payload = ?5,
                 epoch = ?6, staged = ?7, welcome = ?8, sequence = ?9 WHERE id = ?1",
        )?
        .execute(params![
            self.id,
            self.state.code(),
            self.attempts,
            self.payload_hash,
            self.payload,
            self.epoch.map(u64::cast_signed),
            self.staged,
            self.welcome,
            self.sequence.map(u64::cast_signed),
        ])?;
        Ok(())
    }

    /// All intents of a group that are not given up, oldest first.
    pub(crate) fn load(db: &Connection, group: &GroupId) -> rusqlite::Result<Vec<Self>> {
        db.prepare_cached(
            "SELECT id, kind, data, state, message_id, should_push, attempts, payload_hash,
                 payload, epoch, staged, welcome, sequence
             FROM intent WHERE group_id = ?1 AND state < ?2 ORDER BY id",
        )?
        .query_map(
            params![group.as_bytes(), IntentState::Failed.code()],
            Self::read,
        )?
        .collect()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let wish = Wish::decode(row.get(1)?, row.get(2)?).ok_or_else(|| strange(2))?;
        let message_id = row
            .get::<_, Option<[u8; 32]>>(4)?
            .map(MessageId::from_bytes);
        Ok(Self {
            id: row.get(0)?,
            wish,
            state: IntentState::from_code(row.get(3)?).ok_or_else(|| strange(3))?,
            message_id,
            should_push: row.get(5)?,
            attempts: row.get(6)?,
            payload_hash: row.get(7)?,
            payload: row.get(8)?,
            epoch: row.get::<_, Option<i64>>(9)?.map(i64::cast_unsigned),
            staged: row.get(10)?,
            welcome: row.get(11)?,
            sequence: row.get::<_, Option<i64>>(12)?.map(i64::cast_unsigned),
        })
    }
}

impl Wish {
    fn encode(&self) -> (i64, Vec<u8>) {
        match self {
            Self::Send(envelope) => (1, envelope.clone()),
            Self::KeyUpdate => (2, Vec::new()),
            Self::Metadata(changes) => {
                let changes = changes.iter().map(|(name, value)| Attribute {
                    name: name.clone(),
                    value: value.clone(),
                });
                let attributes = changes.collect();
                (3, Attributes { attributes }.encode_to_vec())
            }
            Self::Membership { add, remove } => {
                let bytes = |ids: &[InboxId]| ids.iter().map(|id| id.as_bytes().to_vec()).collect();
                let change = Ids {
                    first: bytes(add),
                    second: bytes(remove),
                };
                (4, change.encode_to_vec())
            }
            Self::Admins { change, inbox } => {
                let change = Admin {
                    change: admin_code(*change),
                    inbox: inbox.as_bytes().to_vec(),
                };
                (5, change.encode_to_vec())
            }
            Self::Permissions(permissions) => (6, permissions.clone()),
            Self::Readd(installations) => {
                let first = installations.iter().map(|key| key.as_bytes().to_vec());
                let change = Ids {
                    first: first.collect(),
                    second: Vec::new(),
                };
                (7, change.encode_to_vec())
            }
            Self::Convert => (8, Vec::new()),
        }
    }

    fn decode(kind: i64, data: Vec<u8>) -> Option<Self> {
        let inboxes = |ids: Vec<Vec<u8>>| -> Option<Vec<InboxId>> {
            let ids = ids.into_iter();
            ids.map(|id| InboxId::try_from(&id[..]).ok()).collect()
        };
        Some(match kind {
            1 => Self::Send(data),
            2 => Self::KeyUpdate,
            3 => {
                let changes = Attributes::decode(&data[..]).ok()?.attributes.into_iter();
                Self::Metadata(changes.map(|change| (change.name, change.value)).collect())
            }
            4 => {
                let change = Ids::decode(&data[..]).ok()?;
                Self::Membership {
                    add: inboxes(change.first)?,
                    remove: inboxes(change.second)?,
                }
            }
            5 => {
                let change = Admin::decode(&data[..]).ok()?;
                Self::Admins {
                    change: admin_change(change.change)?,
                    inbox: InboxId::try_from(&change.inbox[..]).ok()?,
                }
            }
            6 => Self::Permissions(data),
            7 => {
                let keys = Ids::decode(&data[..]).ok()?.first.into_iter();
                let keys = keys.map(|key| InstallationKey::try_from(&key[..]).ok());
                Self::Readd(keys.collect::<Option<_>>()?)
            }
            8 => Self::Convert,
            _ => return None,
        })
    }
}

const fn admin_code(change: AdminChange) -> i32 {
    match change {
        AdminChange::AddAdmin => 1,
        AdminChange::RemoveAdmin => 2,
        AdminChange::AddSuperAdmin => 3,
        AdminChange::RemoveSuperAdmin => 4,
    }
}

const fn admin_change(code: i32) -> Option<AdminChange> {
    match code {
        1 => Some(AdminChange::AddAdmin),
        2 => Some(AdminChange::RemoveAdmin),
        3 => Some(AdminChange::AddSuperAdmin),
        4 => Some(AdminChange::RemoveSuperAdmin),
        _ => None,
    }
}

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Ids {
    #[prost(bytes = "vec", repeated, tag = "1")]
    first: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    second: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Admin {
    #[prost(int32, tag = "1")]
    change: i32,
    #[prost(bytes = "vec", tag = "2")]
    inbox: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_survive_storage() {
        let inbox = InboxId::from_bytes([7; 32]);
        let wishes = [
            Wish::Send(vec![1, 2, 3]),
            Wish::KeyUpdate,
            Wish::Metadata(BTreeMap::from([
                ("group_name".to_owned(), Some("picnic".to_owned())),
                ("app_data".to_owned(), None),
            ])),
            Wish::Membership {
                add: vec![inbox],
                remove: vec![InboxId::from_bytes([8; 32])],
            },
            Wish::Admins {
                change: AdminChange::AddSuperAdmin,
                inbox,
            },
            Wish::Permissions(vec![9]),
            Wish::Readd(vec![InstallationKey::from_bytes([3; 32])]),
            Wish::Convert,
        ];
        for wish in wishes {
            let (kind, data) = wish.encode();
            assert_eq!(Wish::decode(kind, data), Some(wish));
        }
    }
}

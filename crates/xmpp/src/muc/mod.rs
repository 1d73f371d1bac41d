//! Rooms (XEP-0045), with occupant ids (XEP-0421), stanza ids (XEP-0359), self-ping (XEP-0410) and
//! moderation (XEP-0425).
//!
//! A [`Room`] is a state machine: stanzas for its address go in, [`Output`]s come out, in the order in which
//! they have to happen. It keeps who is in it and what it was told to be; archives, files and other
//! servers are its caller's. Occupancy is not stored: after a restart everybody joins again.

mod affiliations;
mod config;
mod enter;
mod invite;
mod leave;
mod occupant;
mod owner;
mod presence;
mod privilege;
mod query;
mod roles;
mod talk;

pub use config::{AllowPrivate, Config, ROOM_CONFIG, ROOM_INFO, Whois, addresses_in};
pub use occupant::{Occupant, Session, occupant_id};
pub use privilege::{Affiliation, Role, Standing, may_set_affiliation, may_set_role};

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use jid::{BareJid, FullJid, Jid};

use crate::{
    moment::Moment,
    stanza::{Condition, PresenceType, Stanza, StanzaError, Type},
};

/// The protocol itself.
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// What rooms say to occupants.
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Roles and affiliations.
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Configuration and destruction.
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// Ids of occupants.
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// Ids of stanzas.
pub const STANZA_ID: &str = "urn:xmpp:sid:0";

/// What a room asks its caller for, so that it has neither clock nor dice.
pub struct Environment<'a> {
    /// Now.
    pub now: Moment,
    /// Gives an id that nobody can guess, for a message in the archive.
    pub new_id: &'a mut dyn FnMut() -> String,
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a stanza.
    Send(Stanza),
    /// Send a stanza to each of these, which are its `to`.
    SendToAll(Stanza, Vec<Jid>),
    /// Put a message into the room's archive.
    Archive {
        /// Its id, which the message carries as well.
        id: String,
        /// The message as occupants got it, without `to`.
        message: Stanza,
    },
    /// Put a tombstone in the place of an archived message (XEP-0425 §5).
    Bury {
        /// The message's id in the archive.
        id: String,
        /// What stands there from now on.
        tombstone: Stanza,
    },
    /// Members who are not in the room missed a message: wake their devices.
    Missed(Stanza, Vec<BareJid>),
    /// Store the configuration.
    StoreConfig,
    /// Store what somebody is to the room.
    StoreAffiliation(BareJid),
    /// Store the subject.
    StoreSubject,
    /// The room is over: remove what is stored of it.
    Destroyed,
}

/// What somebody is to a room, beside being in it or not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Member {
    /// What.
    pub affiliation: Affiliation,
    /// The nickname reserved for them.
    pub nick: Option<String>,
    /// Why, if somebody said so.
    pub reason: Option<String>,
}

/// The room's subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subject {
    /// The `subject` elements, as written.
    pub xml: Bytes,
    /// Who set it: an occupant's address, or the room's.
    pub from: Jid,
    /// When.
    pub at: Moment,
}

/// A message that who enters is shown.
#[derive(Clone, Debug)]
pub struct Past {
    /// When it was said.
    pub at: Moment,
    /// The message as occupants got it, without `to`.
    pub message: Stanza,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    address: BareJid,
    config: Config,
    members: BTreeMap<BareJid, Member>,
    subject: Option<Subject>,
    past: VecDeque<Past>,
    /// By nickname.
    occupants: BTreeMap<String, Occupant>,
    /// The nickname of each session.
    sessions: HashMap<FullJid, String>,
    /// Nobody but its owner may enter before it is configured.
    locked: bool,
    /// From which occupant ids are derived; stays the same as long as the room exists.
    secret: [u8; 32],
}

impl Room {
    /// A new room, locked until `founder`, its owner, configured it.
    #[must_use]
    pub fn found(address: BareJid, config: Config, secret: [u8; 32], founder: BareJid) -> Self {
        let owner = Member {
            affiliation: Affiliation::Owner,
            ..Member::default()
        };
        Self {
            locked: true,
            ..Self::restored(
                address,
                config,
                secret,
                BTreeMap::from([(founder, owner)]),
                None,
                Vec::new(),
            )
        }
    }

    /// A room from what was stored of it, with its newest messages, oldest first.
    #[must_use]
    pub fn restored(
        address: BareJid,
        config: Config,
        secret: [u8; 32],
        members: BTreeMap<BareJid, Member>,
        subject: Option<Subject>,
        past: Vec<Past>,
    ) -> Self {
        Self {
            address,
            config,
            members,
            subject,
            past: past.into(),
            occupants: BTreeMap::new(),
            sessions: HashMap::new(),
            locked: false,
            secret,
        }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &BareJid {
        &self.address
    }

    /// How it behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether it waits for its owner.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// Who is something to it.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<BareJid, Member> {
        &self.members
    }

    /// Its subject.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// Who is in it, by nickname.
    #[must_use]
    pub fn occupants(&self) -> &BTreeMap<String, Occupant> {
        &self.occupants
    }

    /// From which occupant ids are derived.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Whether nothing keeps it: it is empty and not persistent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.occupants.is_empty() && !self.config.persistent
    }

    /// What somebody is to the room.
    #[must_use]
    pub fn affiliation(&self, account: &BareJid) -> Affiliation {
        self.members
            .get(account)
            .map_or(Affiliation::None, |member| member.affiliation)
    }

    /// Whether somebody may read the archive: who could enter now (XEP-0313 §5.1.2).
    #[must_use]
    pub fn may_read_archive(&self, account: &BareJid) -> bool {
        match self.affiliation(account) {
            Affiliation::Outcast => false,
            Affiliation::None => {
                let inside = self
                    .occupants
                    .values()
                    .any(|occupant| occupant.account == *account);
                !self.config.members_only && self.config.password.is_none() || inside
            }
            Affiliation::Member | Affiliation::Admin | Affiliation::Owner => true,
        }
    }

    /// Takes in a stanza for the room or one of its occupants. `from` and `to` have to be set.
    pub fn handle(&mut self, stanza: Stanza, environment: &mut Environment<'_>) -> Vec<Output> {
        let (Some(from), Some(to)) = (stanza.from.clone(), stanza.to.clone()) else {
            return Vec::new();
        };
        let from = match from.try_into_full() {
            Ok(from) => from,
            // A server speaks for an account: it answers what was asked through the room.
            Err(account) => return self.answer_of_account(&stanza, &account),
        };
        let nick = to.resource().map(|nick| nick.as_str().to_owned());
        let done = match (stanza.kind, nick) {
            (Type::Presence(PresenceType::Error), _) => self.bounced(&stanza, &from),
            (Type::Presence(PresenceType::Available), Some(nick)) => {
                self.available(&stanza, from, nick, environment.now)
            }
            (Type::Presence(PresenceType::Available), None) => {
                Err(StanzaError::new(Condition::JidMalformed).text("a nickname is missing"))
            }
            (Type::Presence(PresenceType::Unavailable), _) => Ok(self.leave(&stanza, &from)),
            (Type::Presence(_), _) => Ok(Vec::new()),
            (Type::Message(kind), Some(nick)) => self.say_to_occupant(&stanza, kind, &from, &nick),
            (Type::Message(kind), None) => self.say_to_room(&stanza, kind, &from, environment),
            (Type::Iq(kind), Some(nick)) => self.query_occupant(&stanza, kind, &from, &nick),
            (Type::Iq(kind), None) => self.query_room(&stanza, kind, &from, environment),
        };
        done.unwrap_or_else(|error| refuse(&stanza, &error))
    }
}

/// The error for a stanza, if anybody may be told.
fn refuse(stanza: &Stanza, error: &StanzaError) -> Vec<Output> {
    stanza.error(error).map(Output::Send).into_iter().collect()
}

#[cfg(test)]
mod tests;

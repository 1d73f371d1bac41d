//! Whom a person lets speak to them: consent, per conversation and per inbox (XIP-42).
//!
//! Consent of a conversation and of the inboxes in it are independent. It filters what is shown,
//! and nothing else: messages of denied conversations arrive all the same.

use folkmoot_wire::{GroupId, InboxId, proto::xmtp::device_sync as proto};

/// What a person decided about a conversation or about another person, and when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConsentRecord {
    /// About what.
    pub entity: ConsentEntity,
    /// What was decided.
    pub state: ConsentState,
    /// When, in nanoseconds since the Unix epoch.
    pub consented_at_ns: i64,
}

impl ConsentRecord {
    /// What to store when one's own other installation, or an archive, says `self` while `stored`
    /// is here; `None` when nothing changes. The later decision wins.
    ///
    /// Official clients overwrite the state of a record, but keep the time of the first; this keeps
    /// the later time, so that a decision in between cannot win afterwards.
    #[must_use]
    pub fn merge(self, stored: Option<&Self>) -> Option<Self> {
        match stored {
            Some(stored) if stored.consented_at_ns >= self.consented_at_ns => None,
            _ => Some(self),
        }
    }

    pub(crate) fn from_proto(save: &proto::ConsentSave) -> Result<Self, InvalidConsent> {
        let entity = match save.entity_type {
            1 => ConsentEntity::Conversation(
                save.entity.parse().map_err(|_| InvalidConsent::Entity)?,
            ),
            2 => ConsentEntity::Inbox(save.entity.parse().map_err(|_| InvalidConsent::Entity)?),
            other => return Err(InvalidConsent::EntityType(other)),
        };
        let state = match save.state {
            1 => ConsentState::Unknown,
            2 => ConsentState::Allowed,
            3 => ConsentState::Denied,
            other => return Err(InvalidConsent::State(other)),
        };
        Ok(Self {
            entity,
            state,
            consented_at_ns: save.consented_at_ns,
        })
    }

    pub(crate) fn to_proto(&self) -> proto::ConsentSave {
        let (entity_type, entity) = match &self.entity {
            ConsentEntity::Conversation(id) => (1, id.to_string()),
            ConsentEntity::Inbox(id) => (2, id.to_string()),
        };
        proto::ConsentSave {
            entity_type,
            state: i32::from(self.state.number()) + 1,
            entity,
            consented_at_ns: self.consented_at_ns,
        }
    }
}

/// About what a person decides.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ConsentEntity {
    /// A conversation.
    Conversation(GroupId),
    /// Another person.
    Inbox(InboxId),
}

/// What a person decided. Without a record it is [`ConsentState::Unknown`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum ConsentState {
    /// Nothing yet: apps show it among the requests.
    #[default]
    Unknown = 0,
    /// Welcome.
    Allowed = 1,
    /// Unwelcome: apps hide it.
    Denied = 2,
}

impl ConsentState {
    /// The number under which official clients store the state and their SDKs name it.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The state with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Unknown),
            1 => Some(Self::Allowed),
            2 => Some(Self::Denied),
            _ => None,
        }
    }
}

/// Why a record of consent is not one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidConsent {
    /// The record is about something that nobody decides about; 3 was an account, once.
    #[error("entity_type is {0}; 1 is a conversation, 2 an inbox")]
    EntityType(i32),
    /// The name of the conversation or inbox is none.
    #[error("entity is not the hex digits of a conversation or an inbox")]
    Entity,
    /// Nothing is decided.
    #[error("state is {0}; 1 is unknown, 2 allowed, 3 denied")]
    State(i32),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: ConsentState, consented_at_ns: i64) -> ConsentRecord {
        ConsentRecord {
            entity: ConsentEntity::Inbox(InboxId::from_bytes([7; 32])),
            state,
            consented_at_ns,
        }
    }

    #[test]
    fn the_later_decision_wins_in_any_order() {
        let decisions = [
            record(ConsentState::Allowed, 1),
            record(ConsentState::Denied, 2),
            record(ConsentState::Allowed, 3),
        ];
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut stored = None;
            for at in order {
                let decision = decisions[at].clone();
                stored = decision.merge(stored.as_ref()).or(stored);
            }
            assert_eq!(stored.as_ref(), Some(&decisions[2]), "{order:?}");
        }
    }

    #[test]
    fn a_record_reads_as_it_was_written_and_accounts_are_refused() {
        let conversation = ConsentRecord {
            entity: ConsentEntity::Conversation(vec![1; 16].try_into().unwrap()),
            ..record(ConsentState::Denied, 5)
        };
        for one in [conversation, record(ConsentState::Unknown, 6)] {
            assert_eq!(ConsentRecord::from_proto(&one.to_proto()), Ok(one));
        }
        let mut save = record(ConsentState::Allowed, 1).to_proto();
        save.entity_type = 3;
        assert_eq!(
            ConsentRecord::from_proto(&save),
            Err(InvalidConsent::EntityType(3))
        );
        save.entity_type = 2;
        save.state = 0;
        assert_eq!(
            ConsentRecord::from_proto(&save),
            Err(InvalidConsent::State(0))
        );
        save.state = 1;
        save.entity.truncate(63);
        assert_eq!(
            ConsentRecord::from_proto(&save),
            Err(InvalidConsent::Entity)
        );
    }
}

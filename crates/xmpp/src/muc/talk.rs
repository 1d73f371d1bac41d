//! What is said in a room: messages, subjects, private messages (XEP-0045 §7.4, §7.5, §8.1).

use jid::{BareJid, FullJid, Jid};

use super::{
    AllowPrivate, Environment, MUC_USER, OCCUPANT_ID, Output, Past, Role, Room, STANZA_ID, Subject,
};
use crate::{
    hints::Traits,
    ns,
    stanza::{Condition, MessageType, Stanza, StanzaError},
    xml::{Child, Element, Markup},
};

/// Messages kept in memory for who enters.
const PAST: usize = 100;

impl Room {
    /// A message for the room itself.
    pub(super) fn say_to_room(
        &mut self,
        stanza: &Stanza,
        kind: MessageType,
        from: &FullJid,
        environment: &mut Environment<'_>,
    ) -> Result<Vec<Output>, StanzaError> {
        match kind {
            MessageType::Groupchat => self.say(stanza, from, environment),
            // A delivery that failed: the room sent it, nobody else hears of it.
            MessageType::Error => self.bounced(stanza, from),
            MessageType::Chat | MessageType::Headline | MessageType::Normal => {
                self.invite_or_decline(stanza, from)
            }
        }
    }

    fn say(
        &mut self,
        stanza: &Stanza,
        from: &FullJid,
        environment: &mut Environment<'_>,
    ) -> Result<Vec<Output>, StanzaError> {
        let Some((nick, occupant)) = self.occupant_of(from) else {
            return Err(StanzaError::new(Condition::NotAcceptable).text("you are not in this room"));
        };
        let (role, account) = (occupant.role, occupant.account.clone());
        let from = self.occupant_address(nick);
        let is_subject = stanza.has(ns::CLIENT, "subject")
            && !stanza.has(ns::CLIENT, "body")
            && !stanza.has(ns::CLIENT, "thread");
        let least = match (is_subject, self.config.change_subject) {
            (true, false) => Role::Moderator,
            (true, true) | (false, _) => Role::Participant,
        };
        if role < least {
            let text = if is_subject {
                "only moderators may change the subject"
            } else {
                "you have no voice in this room"
            };
            return Err(StanzaError::new(Condition::Forbidden).text(text));
        }
        let id = (environment.new_id)();
        let mut message = stanza
            .clone()
            .without(|child| self.is_forged(stanza, child))
            .with(&self.occupant_id_element(&account))
            .with(&stanza_id(&id, &self.address));
        message.from = Some(from.clone());
        message.to = None;
        let mut outputs = Vec::new();
        if is_subject {
            let xml = subjects_of(&message);
            self.subject = Some(Subject {
                xml: xml.into(),
                from,
                at: environment.now,
            });
            outputs.push(Output::StoreSubject);
        }
        outputs.extend(self.publish(message, &id, environment));
        Ok(outputs)
    }

    /// Hands a message to everybody, the archive and those who are away.
    pub(super) fn publish(
        &mut self,
        message: Stanza,
        id: &str,
        environment: &Environment<'_>,
    ) -> Vec<Output> {
        let mut outputs = Vec::new();
        let traits = Traits::of(&message);
        if traits.is_archived(MessageType::Groupchat) {
            if self.config.archived {
                outputs.push(Output::Archive {
                    id: id.to_owned(),
                    message: message.clone(),
                });
            }
            if traits.body || traits.encrypted {
                self.past.push_back(Past {
                    at: environment.now,
                    message: message.clone(),
                });
                if self.past.len() > PAST {
                    self.past.pop_front();
                }
            }
        }
        let missed = if traits.wakes(MessageType::Groupchat) {
            self.absent_members()
        } else {
            Vec::new()
        };
        let to = self.sessions_in_order();
        outputs.push(Output::SendToAll(message.clone(), to));
        if !missed.is_empty() {
            outputs.push(Output::Missed(message, missed));
        }
        outputs
    }

    fn sessions_in_order(&self) -> Vec<Jid> {
        self.everybody()
            .map(|(session, _)| Jid::from(session.clone()))
            .collect()
    }

    /// Members who are not inside.
    fn absent_members(&self) -> Vec<BareJid> {
        let inside = |account: &BareJid| {
            self.occupants
                .values()
                .any(|occupant| occupant.account == *account)
        };
        self.members
            .iter()
            .filter(|(_, member)| member.affiliation >= super::Affiliation::Member)
            .map(|(account, _)| account)
            .filter(|account| !inside(account))
            .cloned()
            .collect()
    }

    /// Payloads that only the room may write.
    fn is_forged(&self, stanza: &Stanza, child: &Child) -> bool {
        if child.name.is(MUC_USER, "x") || child.name.is(OCCUPANT_ID, "occupant-id") {
            return true;
        }
        child.name.is(STANZA_ID, "stanza-id")
            && stanza
                .open(child)
                .is_ok_and(|id| id.attribute("by") == Some(self.address.as_str()))
    }

    /// A message for one occupant.
    pub(super) fn say_to_occupant(
        &mut self,
        stanza: &Stanza,
        kind: MessageType,
        from: &FullJid,
        nick: &str,
    ) -> Result<Vec<Output>, StanzaError> {
        match kind {
            MessageType::Groupchat => {
                return Err(StanzaError::new(Condition::BadRequest)
                    .text("a message for everybody goes to the room, not to an occupant"));
            }
            MessageType::Error => return self.bounced(stanza, from),
            MessageType::Chat | MessageType::Headline | MessageType::Normal => {}
        }
        let Some((own_nick, sender)) = self.occupant_of(from) else {
            return Err(StanzaError::new(Condition::NotAcceptable).text("you are not in this room"));
        };
        let least = match self.config.allow_private {
            AllowPrivate::Anyone => Role::Visitor,
            AllowPrivate::Participants => Role::Participant,
            AllowPrivate::Moderators => Role::Moderator,
            AllowPrivate::Nobody => {
                return Err(StanzaError::new(Condition::NotAllowed)
                    .text("this room has no private messages"));
            }
        };
        if sender.role < least {
            return Err(StanzaError::new(Condition::Forbidden)
                .text("you may not send private messages in this room"));
        }
        let Some(target) = self.occupants.get(nick) else {
            return Err(
                StanzaError::new(Condition::ItemNotFound).text("nobody of that name is here")
            );
        };
        let mut message = stanza
            .clone()
            .without(|child| self.is_forged(stanza, child))
            .with(&self.occupant_id_element(&sender.account))
            .with(&private_mark());
        message.from = Some(self.occupant_address(own_nick));
        let to = target
            .sessions
            .iter()
            .map(|session| Jid::from(session.address.clone()))
            .collect();
        Ok(vec![Output::SendToAll(message, to)])
    }
}

/// `<stanza-id/>` of the room.
pub(super) fn stanza_id(id: &str, by: &BareJid) -> Element {
    let mut out = Markup::default();
    out.open("stanza-id").attribute("xmlns", STANZA_ID);
    out.attribute("id", id).attribute("by", by.as_str()).end();
    out.into_element("")
}

/// The empty `x` by which a client knows a private message of a room.
fn private_mark() -> Element {
    let mut out = Markup::default();
    out.open("x").attribute("xmlns", MUC_USER).end();
    out.into_element("")
}

fn subjects_of(message: &Stanza) -> Vec<u8> {
    let subjects = message
        .children()
        .iter()
        .filter(|child| child.name.is(ns::CLIENT, "subject"));
    subjects.flat_map(|child| message.bytes_of(child)).collect()
}

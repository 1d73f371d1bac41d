//! Leaving a room, and being seen to have left (XEP-0045 §7.14, §17.3).

use jid::FullJid;

use super::{MUC_USER, Occupant, Output, Room, occupant::PresenceChange};
use crate::stanza::{Condition, Stanza, StanzaError};

/// Why somebody is no longer in the room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Removal<'a> {
    pub codes: &'a [u16],
    pub actor: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub farewell: Option<&'a Stanza>,
}

impl Room {
    /// An unavailable presence of a client.
    pub(super) fn leave(&mut self, stanza: &Stanza, from: &FullJid) -> Vec<Output> {
        let farewell = stanza.clone().without(|child| child.name.is(MUC_USER, "x"));
        let removal = Removal {
            farewell: Some(&farewell),
            ..Removal::default()
        };
        self.remove_session(from, &removal)
    }

    /// A stanza of ours came back: the client behind it is gone (§17.3).
    pub(super) fn bounced(
        &mut self,
        stanza: &Stanza,
        from: &FullJid,
    ) -> Result<Vec<Output>, StanzaError> {
        let error = stanza
            .child(crate::ns::CLIENT, "error")
            .and_then(|error| stanza.open(error).ok());
        let condition = error.map(|error| StanzaError::read(&error).condition);
        let is_gone = matches!(
            condition,
            Some(
                Condition::Gone
                    | Condition::ItemNotFound
                    | Condition::RecipientUnavailable
                    | Condition::Redirect
                    | Condition::RemoteServerNotFound
                    | Condition::RemoteServerTimeout
                    | Condition::JidMalformed
                    | Condition::InternalServerError
            )
        );
        if !is_gone {
            return Ok(Vec::new());
        }
        Ok(self.remove_session(
            from,
            &Removal {
                codes: &[333],
                ..Removal::default()
            },
        ))
    }

    /// Takes one client out; the others are told when it was its occupant's last.
    pub(super) fn remove_session(&mut self, from: &FullJid, removal: &Removal<'_>) -> Vec<Output> {
        let Some(nick) = self.sessions.get(from).cloned() else {
            return Vec::new();
        };
        let Some(occupant) = self.occupants.get(&nick) else {
            return Vec::new();
        };
        if occupant.sessions.len() == 1 {
            return self.remove_occupant(&nick, removal);
        }
        let leaving = occupant.clone();
        self.sessions.remove(from);
        let mut outputs = Vec::new();
        if let Some(occupant) = self.occupants.get_mut(&nick) {
            occupant.sessions.retain(|session| session.address != *from);
        }
        let change = change_of(removal, from);
        let farewell = self.presence_for(&nick, &leaving, from, Some(&leaving), &change);
        outputs.push(Output::Send(farewell));
        // Others see the presence of a client that is still there.
        outputs.extend(self.tell_everybody(&nick, &PresenceChange::default()));
        outputs
    }

    /// Takes somebody out with all clients.
    pub(super) fn remove_occupant(&mut self, nick: &str, removal: &Removal<'_>) -> Vec<Output> {
        let Some(occupant) = self.occupants.remove(nick) else {
            return Vec::new();
        };
        for session in &occupant.sessions {
            self.sessions.remove(&session.address);
        }
        let mut outputs = Vec::new();
        for session in &occupant.sessions {
            let change = change_of(removal, &session.address);
            let own =
                self.presence_for(nick, &occupant, &session.address, Some(&occupant), &change);
            outputs.push(Output::Send(own));
        }
        outputs.extend(self.tell_others_of(nick, &occupant, removal));
        if self.is_over() {
            outputs.push(Output::Destroyed);
        }
        outputs
    }

    fn tell_others_of(&self, nick: &str, gone: &Occupant, removal: &Removal<'_>) -> Vec<Output> {
        let change = PresenceChange {
            gone: true,
            codes: removal.codes,
            actor: removal.actor,
            reason: removal.reason,
            farewell: removal.farewell,
            ..PresenceChange::default()
        };
        self.everybody()
            .map(|(viewer, viewing)| self.presence_for(nick, gone, viewer, Some(viewing), &change))
            .map(Output::Send)
            .collect()
    }
}

fn change_of<'a>(removal: &Removal<'a>, session: &'a FullJid) -> PresenceChange<'a> {
    PresenceChange {
        gone: true,
        session: Some(session),
        also_self: std::slice::from_ref(session),
        codes: removal.codes,
        actor: removal.actor,
        reason: removal.reason,
        farewell: removal.farewell,
        ..PresenceChange::default()
    }
}

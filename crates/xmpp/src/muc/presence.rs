//! News of those inside, and changes of nicknames (XEP-0045 §7.6, §7.7).

use jid::FullJid;

use super::{
    Output, Room,
    occupant::{PresenceChange, is_rooms_own},
};
use crate::stanza::{Stanza, StanzaError};

impl Room {
    /// Tells everybody a client's new presence.
    pub(super) fn update(&mut self, from: &FullJid, stanza: &Stanza) -> Vec<Output> {
        let Some(nick) = self.sessions.get(from).cloned() else {
            return Vec::new();
        };
        if let Some(occupant) = self.occupants.get_mut(&nick) {
            let place = occupant
                .sessions
                .iter()
                .position(|session| session.address == *from);
            if let Some(place) = place {
                let mut session = occupant.sessions.remove(place);
                session.presence = stanza.clone().without(is_rooms_own);
                occupant.sessions.push(session);
            }
        }
        self.tell_everybody(&nick, &PresenceChange::default())
    }

    /// The presence of `nick` for everybody inside.
    pub(super) fn tell_everybody(&self, nick: &str, change: &PresenceChange<'_>) -> Vec<Output> {
        let Some(about) = self.occupants.get(nick) else {
            return Vec::new();
        };
        self.everybody()
            .map(|(viewer, viewing)| self.presence_for(nick, about, viewer, Some(viewing), change))
            .map(Output::Send)
            .collect()
    }

    pub(super) fn change_nick(
        &mut self,
        stanza: &Stanza,
        from: &FullJid,
        old: &str,
        new: String,
    ) -> Result<Vec<Output>, StanzaError> {
        self.may_use_nick(&from.to_bare(), &new)?;
        let Some(mut occupant) = self.occupants.remove(old) else {
            return Ok(Vec::new());
        };
        // All clients of the occupant take the name, or one of them leaves the others behind.
        let place = occupant
            .sessions
            .iter()
            .position(|session| session.address == *from);
        let mut outputs = Vec::new();
        if occupant.sessions.len() == 1 {
            self.occupants.insert(old.to_owned(), occupant.clone());
            outputs.extend(self.tell_everybody(
                old,
                &PresenceChange {
                    gone: true,
                    codes: &[303],
                    new_nick: Some(&new),
                    ..PresenceChange::default()
                },
            ));
            self.occupants.remove(old);
        } else if let Some(place) = place {
            let mut mine = occupant.clone();
            mine.sessions = vec![occupant.sessions.remove(place)];
            self.occupants.insert(old.to_owned(), occupant);
            // To the client itself the old name ends; to others nothing changes.
            let about = &self.occupants[old];
            let change = PresenceChange {
                gone: true,
                session: Some(from),
                also_self: std::slice::from_ref(from),
                codes: &[303],
                new_nick: Some(&new),
                ..PresenceChange::default()
            };
            let farewell = self.presence_for(old, about, from, Some(&mine), &change);
            outputs.push(Output::Send(farewell));
            occupant = mine;
        }
        if let Some(session) = occupant
            .sessions
            .iter_mut()
            .find(|session| session.address == *from)
        {
            session.presence = stanza.clone().without(is_rooms_own);
        }
        match self.occupants.get_mut(&new) {
            Some(there) => there.sessions.append(&mut occupant.sessions),
            None => {
                self.occupants.insert(new.clone(), occupant);
            }
        }
        self.sessions.insert(from.clone(), new.clone());
        outputs.extend(self.tell_everybody(&new, &PresenceChange::default()));
        Ok(outputs)
    }
}

//! Entering a room (XEP-0045 §7.2).

use jid::{FullJid, Jid};

use super::{
    Affiliation, MUC, Occupant, Output, Past, Role, Room, Session,
    occupant::{Item, PresenceChange, is_rooms_own, muc_user},
};
use crate::{
    moment::Moment,
    stanza::{Condition, ErrorType, MessageType, PresenceType, Stanza, StanzaError},
    xml::Element,
};

/// Longest nickname, in characters.
const NICK: usize = 64;

impl Room {
    /// An available presence for `room/nick`: entering, a change of nicknames, or news of somebody inside.
    pub(super) fn available(
        &mut self,
        stanza: &Stanza,
        from: FullJid,
        nick: String,
        now: Moment,
    ) -> Result<Vec<Output>, StanzaError> {
        let joins = stanza.child(MUC, "x").map(|x| stanza.open(x));
        let joins = joins.transpose().map_err(|_| Condition::BadRequest)?;
        let current = self.sessions.get(&from).cloned();
        match (current, joins) {
            (Some(current), None) if current == nick => Ok(self.update(&from, stanza)),
            (Some(current), Some(x)) if current == nick => {
                // Whoever joins again has lost track of everything.
                let mut outputs = self.update(&from, stanza);
                outputs.retain(|output| !matches!(output, Output::Send(sent) if sent.to.as_ref() == Some(&from.clone().into())));
                outputs.extend(self.welcome(&from, &nick, &x, &[], now));
                Ok(outputs)
            }
            (Some(current), _) => self.change_nick(stanza, &from, &current, nick),
            (None, None) => Ok(vec![Output::Send(self.not_inside(&from, &nick))]),
            (None, Some(x)) => self.enter(stanza, from, nick, &x, now),
        }
    }

    fn enter(
        &mut self,
        stanza: &Stanza,
        from: FullJid,
        nick: String,
        x: &Element,
        now: Moment,
    ) -> Result<Vec<Output>, StanzaError> {
        let account = from.to_bare();
        self.may_enter(&account, x)?;
        self.may_use_nick(&account, &nick)?;
        let affiliation = self.affiliation(&account);
        let role = Role::on_entry(affiliation, self.config.moderated, self.config.members_only);
        let session = Session {
            address: from.clone(),
            presence: stanza.clone().without(is_rooms_own),
        };
        let is_first = !self.occupants.contains_key(&nick);
        let occupant = self
            .occupants
            .entry(nick.clone())
            .or_insert_with(|| Occupant {
                account,
                role,
                sessions: Vec::new(),
            });
        occupant.sessions.push(session);
        self.sessions.insert(from.clone(), nick.clone());
        let mut outputs = Vec::new();
        for (viewer, viewing) in self.everybody().filter(|(viewer, _)| **viewer != from) {
            let about = &self.occupants[&nick];
            let change = PresenceChange::default();
            let presence = self.presence_for(&nick, about, viewer, Some(viewing), &change);
            outputs.push(Output::Send(presence));
        }
        let created: &[u16] = if self.locked && is_first { &[201] } else { &[] };
        outputs.extend(self.welcome(&from, &nick, x, created, now));
        Ok(outputs)
    }

    /// Everything that somebody who entered needs, in the order that §7.2 demands.
    fn welcome(
        &self,
        to: &FullJid,
        nick: &str,
        x: &Element,
        codes: &[u16],
        now: Moment,
    ) -> Vec<Output> {
        let Some(viewing) = self.occupants.get(nick) else {
            return Vec::new();
        };
        let plain = PresenceChange::default();
        let mut outputs: Vec<Output> = self
            .occupants
            .iter()
            .filter(|(other, _)| *other != nick)
            .map(|(other, about)| self.presence_for(other, about, to, Some(viewing), &plain))
            .map(Output::Send)
            .collect();
        let own = PresenceChange {
            entering: true,
            codes_to_self: codes,
            ..PresenceChange::default()
        };
        let own = self.presence_for(nick, viewing, to, Some(viewing), &own);
        outputs.push(Output::Send(own));
        let wanted = HistoryWanted::read(x, self.config.history as usize, now);
        let room = Jid::from(self.address.clone());
        for past in wanted.of(&self.past) {
            let message = past.message.clone().with(&past.at.delay(&room));
            outputs.push(Output::Send(message.to(to.clone())));
        }
        outputs.push(Output::Send(self.subject_message().to(to.clone())));
        outputs
    }

    /// The message that tells the subject, empty if there is none.
    fn subject_message(&self) -> Stanza {
        let message = Stanza::new(MessageType::Groupchat);
        let room = Jid::from(self.address.clone());
        match &self.subject {
            Some(subject) => message
                .from(subject.from.clone())
                .with_all(&subject.xml)
                .with(&subject.at.delay(&room)),
            None => message.from(room).with_all(b"<subject/>"),
        }
    }

    fn may_enter(&self, account: &jid::BareJid, x: &Element) -> Result<(), StanzaError> {
        let affiliation = self.affiliation(account);
        if affiliation == Affiliation::Outcast {
            return Err(
                StanzaError::new(Condition::Forbidden).text("you are banned from this room")
            );
        }
        if self.locked && affiliation != Affiliation::Owner {
            return Err(StanzaError::new(Condition::ItemNotFound)
                .text("the room is not open yet: its owner has to configure it"));
        }
        if self.config.members_only && affiliation == Affiliation::None {
            return Err(StanzaError::new(Condition::RegistrationRequired)
                .text("this room is for its members"));
        }
        let runs_room = affiliation >= Affiliation::Admin;
        if let Some(password) = self.config.password.as_ref().filter(|_| !runs_room) {
            let given = x.child(MUC, "password");
            let given = given.and_then(|child| x.open(child).ok()?.text().ok());
            if given.as_ref() != Some(password) {
                return Err(StanzaError::new(Condition::NotAuthorized)
                    .text("this room asks for a password"));
            }
        }
        let is_full =
            self.config.max_users > 0 && self.sessions.len() >= self.config.max_users as usize;
        if is_full && !runs_room {
            return Err(StanzaError::new(Condition::ServiceUnavailable)
                .of_type(ErrorType::Wait)
                .text("the room is full"));
        }
        Ok(())
    }

    /// Whether somebody may be called that here.
    pub(super) fn may_use_nick(
        &self,
        account: &jid::BareJid,
        nick: &str,
    ) -> Result<(), StanzaError> {
        if nick.trim().is_empty() || nick.chars().count() > NICK {
            return Err(StanzaError::new(Condition::NotAcceptable)
                .text(format!("a nickname has 1 to {NICK} characters")));
        }
        let others = |other: &jid::BareJid| other != account;
        let taken = self
            .occupants
            .get(nick)
            .is_some_and(|occupant| others(&occupant.account));
        let reserved = self
            .members
            .iter()
            .any(|(owner, member)| member.nick.as_deref() == Some(nick) && others(owner));
        if taken || reserved {
            return Err(StanzaError::new(Condition::Conflict).text("that nickname is taken"));
        }
        Ok(())
    }

    /// What a client hears that believes it is inside (§7.2.1, since 1.32).
    fn not_inside(&self, to: &FullJid, nick: &str) -> Stanza {
        let item = Item {
            affiliation: self.affiliation(&to.to_bare()),
            role: Role::None,
            ..Item::default()
        };
        Stanza::new(PresenceType::Unavailable)
            .from(self.occupant_address(nick))
            .to(to.clone())
            .with(&muc_user(&item, &[110, 307, 333], None))
    }
}

/// How much of the past somebody wants (§7.2.13).
#[derive(Clone, Copy, Debug)]
struct HistoryWanted {
    stanzas: usize,
    characters: usize,
    since: Moment,
}

impl HistoryWanted {
    fn read(x: &Element, limit: usize, now: Moment) -> Self {
        let history = x.child(MUC, "history").and_then(|child| x.open(child).ok());
        let number = |name: &str| history.as_ref()?.attribute(name)?.parse::<usize>().ok();
        let seconds = number("seconds").and_then(|seconds| i64::try_from(seconds).ok());
        let recent = seconds.map(|seconds| now.plus_seconds(-seconds));
        let since = history
            .as_ref()
            .and_then(|history| history.attribute("since")?.parse().ok());
        Self {
            stanzas: number("maxstanzas").unwrap_or(limit).min(limit),
            characters: number("maxchars").unwrap_or(usize::MAX),
            since: recent
                .into_iter()
                .chain(since)
                .max()
                .unwrap_or(Moment(i64::MIN)),
        }
    }

    /// The newest that fit, oldest first.
    fn of(self, past: &std::collections::VecDeque<Past>) -> Vec<&Past> {
        let mut characters = self.characters;
        let mut fitting: Vec<&Past> = past
            .iter()
            .rev()
            .take(self.stanzas)
            .take_while(|past| past.at >= self.since)
            .take_while(|past| {
                let mut bytes = Vec::new();
                past.message.write(&mut bytes);
                let fits = bytes.len() <= characters;
                characters = characters.saturating_sub(bytes.len());
                fits
            })
            .collect();
        fitting.reverse();
        fitting
    }
}

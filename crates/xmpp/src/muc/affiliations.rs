//! What people are to a room for good: bans, members, admins, owners (XEP-0045 §9, §10.3 to §10.8).

use jid::{BareJid, FullJid, Jid};

use super::{
    Affiliation, MUC_ADMIN, Member, Output, Role, Room, leave::Removal, may_set_affiliation,
    occupant::PresenceChange,
};
use crate::{
    stanza::{Condition, ErrorType, IqType, Stanza, StanzaError},
    xml::{Element, Markup},
};

/// Most items in one request.
const ITEMS: usize = 500;
/// Most people whom a room remembers.
const MEMBERS: usize = 20_000;

/// One item of a `muc#admin` request.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub affiliation: Option<Affiliation>,
    pub role: Option<Role>,
    pub jid: Option<BareJid>,
    pub nick: Option<String>,
    pub reason: Option<String>,
}

impl Change {
    fn read(item: &Element) -> Result<Self, StanzaError> {
        let bad = |text: &str| StanzaError::new(Condition::BadRequest).text(text);
        let affiliation = match item.attribute("affiliation") {
            None => None,
            Some(name) => {
                Some(Affiliation::from_name(name).ok_or_else(|| bad("no such affiliation"))?)
            }
        };
        let role = match item.attribute("role") {
            None => None,
            Some(name) => Some(Role::from_name(name).ok_or_else(|| bad("no such role"))?),
        };
        if affiliation.is_some() == role.is_some() {
            return Err(bad("an item changes an affiliation or a role"));
        }
        let malformed = || StanzaError::new(Condition::JidMalformed).text("that is no address");
        let jid = match item.attribute("jid") {
            None => None,
            Some(text) => Some(Jid::new(text).map_err(|_| malformed())?.into_bare()),
        };
        let reason = item
            .child(MUC_ADMIN, "reason")
            .and_then(|reason| item.open(reason).ok()?.text().ok());
        Ok(Self {
            affiliation,
            role,
            jid,
            nick: item.attribute("nick").map(str::to_owned),
            reason: reason.filter(|reason| !reason.is_empty()),
        })
    }
}

impl Room {
    /// A `muc#admin` request.
    pub(super) fn administer(
        &mut self,
        stanza: &Stanza,
        kind: IqType,
        from: &FullJid,
        query: &Element,
    ) -> Result<Vec<Output>, StanzaError> {
        let items: Vec<Element> = query
            .children()
            .iter()
            .filter(|child| child.name.is(MUC_ADMIN, "item"))
            .take(ITEMS + 1)
            .map(|child| query.open(child).map_err(|_| Condition::BadRequest))
            .collect::<Result<_, _>>()?;
        if items.is_empty() {
            return Err(StanzaError::new(Condition::BadRequest).text("no item is named"));
        }
        if items.len() > ITEMS {
            return Err(StanzaError::new(Condition::NotAcceptable)
                .text(format!("at most {ITEMS} items in one request")));
        }
        let changes: Vec<Change> = items.iter().map(Change::read).collect::<Result<_, _>>()?;
        match kind {
            IqType::Get => self
                .list(stanza, from, &changes[0])
                .map(|list| vec![Output::Send(list)]),
            _ => self.apply(stanza, from, changes),
        }
    }

    fn list(
        &self,
        stanza: &Stanza,
        from: &FullJid,
        wanted: &Change,
    ) -> Result<Stanza, StanzaError> {
        let affiliation = self.affiliation(&from.to_bare());
        let inside = self.occupant_of(from).map(|(_, occupant)| occupant.role);
        if let Some(role) = wanted.role {
            if inside != Some(Role::Moderator) {
                return Err(Condition::Forbidden.into());
            }
            return Ok(self.list_role(stanza, role));
        }
        let wanted = wanted.affiliation.unwrap_or_default();
        // Members may know each other where everybody is known (§9.5).
        let known = wanted >= Affiliation::Member
            && affiliation >= Affiliation::Member
            && (self.config.members_only || self.config.whois == super::Whois::Anyone);
        if affiliation < Affiliation::Admin && !known {
            return Err(Condition::Forbidden.into());
        }
        let mut out = Markup::default();
        out.open("query").attribute("xmlns", MUC_ADMIN);
        for (account, member) in &self.members {
            if member.affiliation != wanted {
                continue;
            }
            out.open("item")
                .attribute("affiliation", wanted.name())
                .attribute("jid", account.as_str())
                .maybe("nick", member.nick.as_deref());
            match &member.reason {
                Some(reason) => out
                    .open("reason")
                    .text(reason)
                    .close("reason")
                    .close("item"),
                None => out.end(),
            };
        }
        out.close("query");
        Ok(stanza.result().with_all(&out.into_bytes()))
    }

    /// All changes, or none.
    fn apply(
        &mut self,
        stanza: &Stanza,
        from: &FullJid,
        mut changes: Vec<Change>,
    ) -> Result<Vec<Output>, StanzaError> {
        let actor = from.to_bare();
        let nick = self.occupant_of(from).map(|(nick, _)| nick.to_owned());
        for change in &mut changes {
            if change.affiliation.is_some() {
                self.check_affiliation(&actor, change)?;
            } else {
                let nick = nick.as_deref().ok_or(Condition::NotAcceptable)?;
                self.check_role(nick, change)?;
            }
        }
        self.keeps_an_owner(&changes)?;
        let mut outputs = Vec::new();
        for change in &changes {
            match (change.affiliation, &change.jid) {
                (Some(affiliation), Some(account)) => outputs.extend(self.set_affiliation(
                    account,
                    affiliation,
                    change,
                    nick.as_deref(),
                )),
                _ => outputs.extend(self.set_role(nick.as_deref().unwrap_or_default(), change)),
            }
        }
        // The answer precedes what the others see of it, but for who is thrown out by it.
        outputs.insert(0, Output::Send(stanza.result()));
        Ok(outputs)
    }

    /// Whether this change may be made. Finds the address of who is named by nickname.
    fn check_affiliation(&self, actor: &BareJid, change: &mut Change) -> Result<(), StanzaError> {
        if change.jid.is_none() {
            let nick = change.nick.take().unwrap_or_default();
            let occupant = self.occupants.get(&nick).ok_or_else(|| {
                StanzaError::new(Condition::ItemNotFound).text("nobody of that name is here")
            })?;
            change.jid = Some(occupant.account.clone());
        }
        let (Some(account), Some(new)) = (&change.jid, change.affiliation) else {
            return Err(Condition::BadRequest.into());
        };
        let is_new = !self.members.contains_key(account);
        if is_new && self.members.len() >= MEMBERS {
            return Err(StanzaError::new(Condition::ResourceConstraint)
                .text(format!("a room remembers at most {MEMBERS} people")));
        }
        if new == Affiliation::Outcast && account == actor {
            return Err(StanzaError::new(Condition::Conflict)
                .of_type(ErrorType::Cancel)
                .text("nobody bans themselves"));
        }
        if let Some(nick) = &change.nick {
            self.may_use_nick(account, nick)?;
        }
        may_set_affiliation(self.affiliation(actor), self.affiliation(account), new)
    }

    /// A room without an owner is nobody's (§10.3).
    fn keeps_an_owner(&self, changes: &[Change]) -> Result<(), StanzaError> {
        let after = |account: &BareJid| {
            let change = changes
                .iter()
                .rev()
                .find(|change| change.jid.as_ref() == Some(account));
            change
                .and_then(|change| change.affiliation)
                .unwrap_or_else(|| self.affiliation(account))
        };
        let named = changes.iter().filter_map(|change| change.jid.as_ref());
        let keeps = self
            .members
            .keys()
            .chain(named)
            .any(|account| after(account) == Affiliation::Owner);
        if keeps {
            return Ok(());
        }
        Err(StanzaError::new(Condition::Conflict)
            .text("a room has an owner: make somebody else one first"))
    }

    fn set_affiliation(
        &mut self,
        account: &BareJid,
        new: Affiliation,
        change: &Change,
        actor: Option<&str>,
    ) -> Vec<Output> {
        let kept_nick = self
            .members
            .get(account)
            .and_then(|member| member.nick.clone());
        if new == Affiliation::None {
            self.members.remove(account);
        } else {
            let member = Member {
                affiliation: new,
                nick: change
                    .nick
                    .clone()
                    .or(kept_nick)
                    .filter(|_| new >= Affiliation::Member),
                reason: change.reason.clone(),
            };
            self.members.insert(account.clone(), member);
        }
        let mut outputs = vec![Output::StoreAffiliation(account.clone())];
        let nicks: Vec<String> = self
            .occupants
            .iter()
            .filter(|(_, occupant)| occupant.account == *account)
            .map(|(nick, _)| nick.clone())
            .collect();
        let reason = change.reason.as_deref();
        for nick in nicks {
            let codes: &[u16] = match new {
                Affiliation::Outcast => &[301],
                Affiliation::None if self.config.members_only => &[321],
                _ => &[],
            };
            if codes.is_empty() {
                let role = Role::on_entry(new, self.config.moderated, self.config.members_only);
                if let Some(occupant) = self.occupants.get_mut(&nick) {
                    occupant.role = role;
                }
                outputs.extend(self.tell_everybody(
                    &nick,
                    &PresenceChange {
                        actor,
                        reason,
                        ..PresenceChange::default()
                    },
                ));
            } else {
                outputs.extend(self.remove_occupant(
                    &nick,
                    &Removal {
                        codes,
                        actor,
                        reason,
                        ..Removal::default()
                    },
                ));
            }
        }
        outputs
    }
}

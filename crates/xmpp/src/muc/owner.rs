//! What owners do: configure a room and end it (XEP-0045 §10.1, §10.2, §10.9).

use std::collections::BTreeSet;

use jid::{BareJid, FullJid, Jid};
use xmpp_parsers::data_forms::{DataForm, DataFormType};

use super::{
    Affiliation, MUC_OWNER, MUC_USER, Output, Role, Room, addresses_in, leave::Removal,
    occupant::PresenceChange,
};
use crate::{
    stanza::{Condition, IqType, MessageType, Stanza, StanzaError},
    xml::{Element, Markup},
};

impl Room {
    /// A `muc#owner` request.
    pub(super) fn own(
        &mut self,
        stanza: &Stanza,
        kind: IqType,
        from: &FullJid,
        query: &Element,
    ) -> Result<Vec<Output>, StanzaError> {
        if self.affiliation(&from.to_bare()) != Affiliation::Owner {
            return Err(StanzaError::new(Condition::Forbidden).text("only owners may do that"));
        }
        if kind == IqType::Get {
            return Ok(vec![Output::Send(self.form_for(stanza))]);
        }
        if let Some(destroy) = query.child(MUC_OWNER, "destroy") {
            let destroy = query.open(destroy).map_err(|_| Condition::BadRequest)?;
            let mut outputs = vec![Output::Send(stanza.result())];
            outputs.extend(self.destroy(&destroy));
            return Ok(outputs);
        }
        let form = query
            .child("jabber:x:data", "x")
            .and_then(|form| query.open(form).ok()?.to_dom().ok());
        let form = form.and_then(|form| DataForm::try_from(form).ok());
        let Some(form) = form else {
            return Err(StanzaError::new(Condition::BadRequest)
                .text("a form of type jabber:x:data is missing"));
        };
        match form.type_ {
            DataFormType::Cancel if self.locked => {
                let mut outputs = vec![Output::Send(stanza.result())];
                outputs.extend(self.end(None));
                Ok(outputs)
            }
            DataFormType::Cancel => Ok(vec![Output::Send(stanza.result())]),
            DataFormType::Submit => self.configure(stanza, &form),
            DataFormType::Form | DataFormType::Result_ => Err(Condition::BadRequest.into()),
        }
    }

    fn form_for(&self, stanza: &Stanza) -> Stanza {
        let all = |wanted: Affiliation| -> Vec<&BareJid> {
            let members = self.members.iter();
            members
                .filter(|(_, member)| member.affiliation == wanted)
                .map(|(account, _)| account)
                .collect()
        };
        let form = self
            .config
            .form(&all(Affiliation::Owner), &all(Affiliation::Admin));
        let query = minidom::Element::builder("query", MUC_OWNER)
            .append(minidom::Element::from(form))
            .build();
        stanza.result().with_dom(query)
    }

    fn configure(&mut self, stanza: &Stanza, form: &DataForm) -> Result<Vec<Output>, StanzaError> {
        let config = self.config.with(form)?;
        let owners = addresses_in(form, "muc#roomconfig_roomowners")?;
        let admins = addresses_in(form, "muc#roomconfig_roomadmins")?;
        if owners.as_ref().is_some_and(Vec::is_empty) {
            return Err(StanzaError::new(Condition::Conflict).text("a room has an owner"));
        }
        let codes = config.status_codes_since(&self.config);
        self.config = config;
        self.locked = false;
        let mut outputs = vec![Output::Send(stanza.result()), Output::StoreConfig];
        for (accounts, affiliation) in [(admins, Affiliation::Admin), (owners, Affiliation::Owner)]
        {
            if let Some(accounts) = accounts {
                outputs.extend(self.set_all(affiliation, &accounts));
            }
        }
        if !codes.is_empty() {
            outputs.push(self.config_changed(&codes));
        }
        outputs.extend(self.eject_strangers());
        Ok(outputs)
    }

    /// Gives an affiliation to these accounts alone.
    fn set_all(&mut self, affiliation: Affiliation, accounts: &[BareJid]) -> Vec<Output> {
        let wanted: BTreeSet<&BareJid> = accounts.iter().collect();
        let mut changed = Vec::new();
        for (account, member) in &mut self.members {
            if member.affiliation == affiliation && !wanted.contains(account) {
                member.affiliation = Affiliation::Member;
                changed.push(account.clone());
            }
        }
        for account in accounts {
            let member = self.members.entry(account.clone()).or_default();
            // An owner is not made less by standing in the list of admins.
            if member.affiliation < affiliation {
                member.affiliation = affiliation;
                changed.push(account.clone());
            }
        }
        let mut outputs = Vec::new();
        for account in changed {
            let role = Role::on_entry(
                self.affiliation(&account),
                self.config.moderated,
                self.config.members_only,
            );
            outputs.push(Output::StoreAffiliation(account.clone()));
            let nicks: Vec<String> = self
                .occupants
                .iter_mut()
                .filter(|(_, occupant)| occupant.account == account)
                .map(|(nick, occupant)| {
                    occupant.role = role;
                    nick.clone()
                })
                .collect();
            for nick in nicks {
                outputs.extend(self.tell_everybody(&nick, &PresenceChange::default()));
            }
        }
        outputs
    }

    /// The message that tells a change of the configuration (§10.2.1).
    fn config_changed(&self, codes: &[u16]) -> Output {
        let mut out = Markup::default();
        out.open("x").attribute("xmlns", MUC_USER);
        for code in codes {
            out.open("status")
                .attribute("code", &code.to_string())
                .end();
        }
        out.close("x");
        let message = Stanza::new(MessageType::Groupchat)
            .from(self.address.clone())
            .with_all(&out.into_bytes());
        let to = self
            .everybody()
            .map(|(session, _)| Jid::from(session.clone()));
        Output::SendToAll(message, to.collect())
    }

    /// A room that became members-only is left by all others (§10.2.1).
    fn eject_strangers(&mut self) -> Vec<Output> {
        if !self.config.members_only {
            return Vec::new();
        }
        let strangers: Vec<String> = self
            .occupants
            .iter()
            .filter(|(_, occupant)| self.affiliation(&occupant.account) == Affiliation::None)
            .map(|(nick, _)| nick.clone())
            .collect();
        let removal = Removal {
            codes: &[322],
            ..Removal::default()
        };
        strangers
            .iter()
            .flat_map(|nick| self.remove_occupant(nick, &removal))
            .collect()
    }

    fn destroy(&mut self, destroy: &Element) -> Vec<Output> {
        let mut out = Markup::default();
        out.open("destroy");
        let instead = destroy.attribute("jid").filter(|jid| Jid::new(jid).is_ok());
        out.maybe("jid", instead);
        let text_of = |name: &str| {
            destroy
                .child(MUC_OWNER, name)
                .and_then(|child| destroy.open(child).ok()?.text().ok())
        };
        for name in ["password", "reason"] {
            if let Some(text) = text_of(name) {
                out.open(name).text(&text).close(name);
            }
        }
        out.close("destroy");
        self.end(Some(&out.into_bytes()))
    }

    /// Ends the room: everybody hears it of themselves alone.
    fn end(&mut self, destroy: Option<&[u8]>) -> Vec<Output> {
        let occupants = std::mem::take(&mut self.occupants);
        self.sessions.clear();
        let mut outputs = Vec::new();
        for (nick, occupant) in &occupants {
            for session in &occupant.sessions {
                let change = PresenceChange {
                    gone: true,
                    session: Some(&session.address),
                    destroy,
                    ..PresenceChange::default()
                };
                let own =
                    self.presence_for(nick, occupant, &session.address, Some(occupant), &change);
                outputs.push(Output::Send(own));
            }
        }
        self.members.clear();
        outputs.push(Output::Destroyed);
        outputs
    }

    /// The service ends: everybody is told, and the room stays as it is stored (status 332).
    pub fn shut_down(&mut self) -> Vec<Output> {
        let nicks: Vec<String> = self.occupants.keys().cloned().collect();
        let removal = Removal {
            codes: &[332],
            ..Removal::default()
        };
        let mut outputs: Vec<Output> = nicks
            .iter()
            .flat_map(|nick| self.remove_occupant(nick, &removal))
            .collect();
        outputs.retain(
            |output| matches!(output, Output::Send(sent) if sent.child(MUC_USER, "x").is_some()),
        );
        outputs
    }
}

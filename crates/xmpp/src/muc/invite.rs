//! Invitations through a room (XEP-0045 §7.8).

use jid::{FullJid, Jid};

use super::{Affiliation, MUC_USER, Member, Output, Room};
use crate::{
    stanza::{Condition, MessageType, Stanza, StanzaError},
    xml::{Child, Element, Markup},
};

impl Room {
    /// A message with invitations, or with the answer to one.
    pub(super) fn invite_or_decline(
        &mut self,
        stanza: &Stanza,
        from: &FullJid,
    ) -> Result<Vec<Output>, StanzaError> {
        let x = stanza
            .child(MUC_USER, "x")
            .and_then(|x| stanza.open(x).ok());
        let Some(x) = x else {
            return Err(StanzaError::new(Condition::BadRequest)
                .text("a message for everybody is of type groupchat"));
        };
        let named = |name: &'static str| {
            let children = x.children().iter();
            children.filter(move |child| child.name.is(MUC_USER, name))
        };
        let mut outputs = Vec::new();
        for invite in named("invite") {
            outputs.extend(self.invite(from, &x, invite)?);
        }
        for decline in named("decline") {
            outputs.extend(self.decline(from, &x, decline)?);
        }
        if outputs.is_empty() {
            return Err(Condition::BadRequest.into());
        }
        Ok(outputs)
    }

    fn invite(
        &mut self,
        from: &FullJid,
        x: &Element,
        invite: &Child,
    ) -> Result<Vec<Output>, StanzaError> {
        let Some((_, inviter)) = self.occupant_of(from) else {
            return Err(StanzaError::new(Condition::NotAcceptable).text("you are not in this room"));
        };
        let affiliation = self.affiliation(&inviter.account);
        let runs_room = affiliation >= Affiliation::Admin;
        let may = runs_room
            || self.config.allow_invites
                && (!self.config.members_only || affiliation == Affiliation::Member);
        if !may {
            return Err(
                StanzaError::new(Condition::Forbidden).text("you may not invite into this room")
            );
        }
        let invite = x.open(invite).map_err(|_| Condition::BadRequest)?;
        let to = invite.attribute("to").and_then(|to| Jid::new(to).ok());
        let to = to.ok_or_else(|| {
            StanzaError::new(Condition::JidMalformed).text("the invitation names nobody")
        })?;
        let account = to.to_bare();
        if self.affiliation(&account) == Affiliation::Outcast {
            return Err(
                StanzaError::new(Condition::Forbidden).text("that person is banned from this room")
            );
        }
        let mut outputs = Vec::new();
        if self.config.members_only && self.affiliation(&account) == Affiliation::None {
            let member = Member {
                affiliation: Affiliation::Member,
                ..Member::default()
            };
            self.members.insert(account.clone(), member);
            outputs.push(Output::StoreAffiliation(account));
        }
        let mut out = Markup::default();
        out.open("x").attribute("xmlns", MUC_USER);
        out.open("invite").attribute("from", from.as_str());
        copy_children(&invite, &mut out);
        out.close("invite");
        if let Some(password) = &self.config.password {
            out.open("password").text(password).close("password");
        }
        out.close("x");
        outputs.push(Output::Send(self.relay(to, &out.into_bytes())));
        Ok(outputs)
    }

    fn decline(
        &self,
        from: &FullJid,
        x: &Element,
        decline: &Child,
    ) -> Result<Vec<Output>, StanzaError> {
        let decline = x.open(decline).map_err(|_| Condition::BadRequest)?;
        let to = decline.attribute("to").and_then(|to| Jid::new(to).ok());
        let to = to.ok_or(Condition::JidMalformed)?;
        // Only to who could have invited: an answer is no way to write to strangers.
        let inside = self
            .everybody()
            .any(|(session, occupant)| to == *session || to == occupant.account);
        if !inside {
            return Err(Condition::ItemNotFound.into());
        }
        let mut out = Markup::default();
        out.open("x").attribute("xmlns", MUC_USER);
        out.open("decline")
            .attribute("from", from.to_bare().as_str());
        copy_children(&decline, &mut out);
        out.close("decline").close("x");
        Ok(vec![Output::Send(self.relay(to, &out.into_bytes()))])
    }

    fn relay(&self, to: Jid, x: &[u8]) -> Stanza {
        Stanza::new(MessageType::Normal)
            .from(self.address.clone())
            .to(to)
            .with_all(x)
    }
}

/// The reason and whether a conversation goes on here.
fn copy_children(element: &Element, out: &mut Markup) {
    let mut rest = Markup::default();
    for child in element.children() {
        if child.name.is(MUC_USER, "reason") || child.name.is(MUC_USER, "continue") {
            rest.raw(&element.bytes_of(child));
        }
    }
    out.raw(&rest.into_bytes());
}

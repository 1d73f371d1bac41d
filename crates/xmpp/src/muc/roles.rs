//! Roles of those inside: kicking, giving voice, making moderators (XEP-0045 §8, §9.6).

use super::{
    MUC_ADMIN, Output, Role, Room, affiliations::Change, leave::Removal, may_set_role,
    occupant::PresenceChange,
};
use crate::{
    stanza::{Condition, Stanza, StanzaError},
    xml::Markup,
};

impl Room {
    /// Everybody who has that role, for moderators.
    pub(super) fn list_role(&self, stanza: &Stanza, role: Role) -> Stanza {
        let mut out = Markup::default();
        out.open("query").attribute("xmlns", MUC_ADMIN);
        for (nick, occupant) in &self.occupants {
            if occupant.role == role {
                out.open("item")
                    .attribute("affiliation", self.affiliation(&occupant.account).name())
                    .attribute("role", role.name())
                    .attribute("jid", occupant.account.as_str())
                    .attribute("nick", nick)
                    .end();
            }
        }
        out.close("query");
        stanza.result().with_all(&out.into_bytes())
    }

    /// Whether all of these changes may be made; nothing is changed.
    pub(super) fn check_role(&self, actor: &str, change: &Change) -> Result<(), StanzaError> {
        let (Some(nick), Some(role)) = (&change.nick, change.role) else {
            return Err(
                StanzaError::new(Condition::BadRequest).text("a role belongs to a nickname")
            );
        };
        let actor = self.occupants.get(actor).ok_or(Condition::Forbidden)?;
        let target = self.occupants.get(nick).ok_or_else(|| {
            StanzaError::new(Condition::ItemNotFound).text("nobody of that name is here")
        })?;
        may_set_role(self.standing(actor), self.standing(target), role)
    }

    /// Makes a change that was checked.
    pub(super) fn set_role(&mut self, actor: &str, change: &Change) -> Vec<Output> {
        let (Some(nick), Some(role)) = (&change.nick, change.role) else {
            return Vec::new();
        };
        if role == Role::None {
            return self.remove_occupant(
                nick,
                &Removal {
                    codes: &[307],
                    actor: Some(actor),
                    reason: change.reason.as_deref(),
                    ..Removal::default()
                },
            );
        }
        if let Some(occupant) = self.occupants.get_mut(nick) {
            occupant.role = role;
        }
        self.tell_everybody(
            nick,
            &PresenceChange {
                actor: Some(actor),
                reason: change.reason.as_deref(),
                ..PresenceChange::default()
            },
        )
    }
}

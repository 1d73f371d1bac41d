//! Who is in a room, and how others see them.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jid::{BareJid, FullJid, Jid};

use super::{Affiliation, MUC_USER, OCCUPANT_ID, Role, Room, Standing, Whois};
use crate::{
    sasl::Hash,
    stanza::{PresenceType, Stanza},
    xml::{Child, Element, Markup},
};

/// Somebody in a room, with one nickname and one session or more.
#[derive(Clone, Debug)]
pub struct Occupant {
    /// Whose.
    pub account: BareJid,
    /// What they may do.
    pub role: Role,
    /// Their clients, in the order of joining.
    pub sessions: Vec<Session>,
}

/// A client in a room.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its address.
    pub address: FullJid,
    /// Its newest presence, without the room's own payloads.
    pub presence: Stanza,
}

impl Occupant {
    /// The presence that stands for them: that of the client that joined last.
    #[must_use]
    pub fn presence(&self) -> Option<&Stanza> {
        self.sessions.last().map(|session| &session.presence)
    }
}

/// The id that an account has in a room, whatever nickname it takes (XEP-0421 §3).
#[must_use]
pub fn occupant_id(secret: &[u8; 32], account: &BareJid) -> String {
    let mut hash = Hash::Sha256.hmac(secret, &[account.as_str().as_bytes()]);
    hash.truncate(24);
    URL_SAFE_NO_PAD.encode(hash)
}

/// What a room says about somebody in the `x` of a presence.
#[derive(Clone, Debug, Default)]
pub(super) struct Item<'a> {
    pub affiliation: Affiliation,
    pub role: Role,
    /// The real address, where the receiver may see it.
    pub jid: Option<&'a Jid>,
    /// The nickname that follows, in a change of nicknames.
    pub nick: Option<&'a str>,
    pub actor: Option<&'a str>,
    pub reason: Option<&'a str>,
}

/// The `x` of a presence.
pub(super) fn muc_user(item: &Item<'_>, codes: &[u16], destroy: Option<&[u8]>) -> Element {
    let mut out = Markup::default();
    out.open("x").attribute("xmlns", MUC_USER);
    out.open("item")
        .attribute("affiliation", item.affiliation.name())
        .attribute("role", item.role.name())
        .maybe("jid", item.jid.map(Jid::as_str))
        .maybe("nick", item.nick);
    if item.actor.is_none() && item.reason.is_none() {
        out.end();
    } else {
        if let Some(actor) = item.actor {
            out.open("actor").attribute("nick", actor).end();
        }
        if let Some(reason) = item.reason {
            out.open("reason").text(reason).close("reason");
        }
        out.close("item");
    }
    if let Some(destroy) = destroy {
        out.raw(destroy);
    }
    for code in codes {
        out.open("status")
            .attribute("code", &code.to_string())
            .end();
    }
    out.close("x");
    out.into_element("")
}

/// Whether a payload is one that only rooms may write.
pub(super) fn is_rooms_own(child: &Child) -> bool {
    child.name.is(MUC_USER, "x")
        || child.name.is(super::MUC, "x")
        || child.name.is(OCCUPANT_ID, "occupant-id")
}

impl Room {
    /// The address of an occupant.
    pub(super) fn occupant_address(&self, nick: &str) -> Jid {
        let full = self.address.with_resource_str(nick);
        full.map_or_else(|_| self.address.clone().into(), Jid::from)
    }

    /// The element that tells whose presence or message this is.
    pub(super) fn occupant_id_element(&self, account: &BareJid) -> Element {
        let mut out = Markup::default();
        out.open("occupant-id").attribute("xmlns", OCCUPANT_ID);
        out.attribute("id", &occupant_id(&self.secret, account))
            .end();
        out.into_element("")
    }

    /// What somebody in the room is and may do.
    pub(super) fn standing(&self, occupant: &Occupant) -> Standing {
        Standing {
            affiliation: self.affiliation(&occupant.account),
            role: occupant.role,
        }
    }

    /// The occupant that a session belongs to, with its nickname.
    pub(super) fn occupant_of(&self, session: &FullJid) -> Option<(&str, &Occupant)> {
        let nick = self.sessions.get(session)?;
        let (nick, occupant) = self.occupants.get_key_value(nick)?;
        Some((nick, occupant))
    }

    /// Whether `viewer` may see who somebody really is.
    pub(super) fn may_see_address(&self, viewer: &Occupant) -> bool {
        self.config.whois == Whois::Anyone || viewer.role == Role::Moderator
    }

    /// Every session, with its occupant.
    pub(super) fn everybody(&self) -> impl Iterator<Item = (&FullJid, &Occupant)> {
        self.occupants.values().flat_map(|occupant| {
            let sessions = occupant.sessions.iter();
            sessions.map(move |session| (&session.address, occupant))
        })
    }

    /// A presence of `nick` for one viewer: the occupant's own, or an empty one of type unavailable.
    pub(super) fn presence_for(
        &self,
        nick: &str,
        about: &Occupant,
        viewer: &FullJid,
        viewing: Option<&Occupant>,
        change: &PresenceChange<'_>,
    ) -> Stanza {
        let is_self = about.account == viewer.to_bare()
            && about
                .sessions
                .iter()
                .any(|session| session.address == *viewer)
            || change.also_self.contains(viewer);
        let sees = is_self || viewing.is_some_and(|viewing| self.may_see_address(viewing));
        let real = change
            .session
            .or_else(|| about.sessions.last().map(|session| &session.address));
        let real = real.map(|address| Jid::from(address.clone()));
        let item = Item {
            affiliation: self.affiliation(&about.account),
            role: if change.gone { Role::None } else { about.role },
            jid: real.as_ref().filter(|_| sees),
            nick: change.new_nick,
            actor: change.actor,
            reason: change.reason,
        };
        let mut codes = Cow::Borrowed(change.codes);
        if is_self {
            let codes = codes.to_mut();
            codes.insert(0, 110);
            codes.extend_from_slice(change.codes_to_self);
            if self.config.whois == Whois::Anyone && !change.gone && change.entering {
                codes.push(100);
            }
            if self.config.archived && !change.gone && change.entering {
                codes.push(170);
            }
        }
        let base = match about.presence() {
            Some(presence) if !change.gone => presence.clone(),
            _ => change
                .farewell
                .cloned()
                .unwrap_or_else(|| Stanza::new(PresenceType::Unavailable)),
        };
        base.from(self.occupant_address(nick))
            .to(viewer.clone())
            .with(&self.occupant_id_element(&about.account))
            .with(&muc_user(&item, &codes, change.destroy))
    }
}

/// What a presence tells beside the occupant's state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PresenceChange<'a> {
    /// The occupant left, or left this nickname.
    pub gone: bool,
    /// The receiver enters with it.
    pub entering: bool,
    /// Which client it is about, when it has left the list.
    pub session: Option<&'a FullJid>,
    /// Receivers to whom it is about themselves although they left the list.
    pub also_self: &'a [FullJid],
    pub codes: &'a [u16],
    pub codes_to_self: &'a [u16],
    pub new_nick: Option<&'a str>,
    pub actor: Option<&'a str>,
    pub reason: Option<&'a str>,
    /// The client's own unavailable presence, for its status text.
    pub farewell: Option<&'a Stanza>,
    pub destroy: Option<&'a [u8]>,
}

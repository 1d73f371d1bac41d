//! Rosters: an account's contacts, what clients ask of them, and what subscription stanzas do to them
//! (RFC 6121 §2 and §3).
//!
//! [`Request`] is what a client asks. [`Roster`] is the list while somebody of the account is online; each change
//! returns what to store, what to push to the clients, and what to send. Versions are the store's: it counts changes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jid::{BareJid, FullJid, Jid};

use crate::{
    ns,
    stanza::{Condition, IqType, PresenceType, Stanza, StanzaError},
    subscription::Subscription,
    xml::{Element, Limits, Markup},
};

/// The protocol.
pub const NS: &str = "jabber:iq:roster";
/// The stream feature: versions are understood.
pub const VERSIONING: &str = "urn:xmpp:features:rosterver";
/// The stream feature: a contact may be approved before it asks.
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";

/// Bytes of a name or the name of a group.
const NAME: usize = 1023;
/// Contacts of any roster, whatever a server allows.
const MOST: usize = 20_000;
/// Groups of one contact.
const GROUPS: usize = 100;

/// A contact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// Its address, without a resource unless the client gave one.
    pub jid: Jid,
    /// What the user calls it, empty for nothing.
    pub name: String,
    /// In which groups it stands, each once, in order.
    pub groups: Vec<String>,
    /// Who sees whose presence.
    pub subscription: Subscription,
    /// The user put it there. Who only asked for presence stands in no roster that a client sees.
    pub listed: bool,
    /// The request that waits for the user's answer, as it came.
    pub request: Option<Bytes>,
}

impl Item {
    /// A contact nobody knows anything of.
    #[must_use]
    pub fn new(jid: impl Into<Jid>) -> Self {
        Self {
            jid: jid.into(),
            name: String::new(),
            groups: Vec::new(),
            subscription: Subscription::default(),
            listed: false,
            request: None,
        }
    }

    /// Whether clients are told of it.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        let state = self.subscription;
        self.listed || state.to || state.from || state.pending_out || state.approved
    }

    /// Whether nothing of it has to be stored.
    fn is_blank(&self) -> bool {
        !self.is_shown() && !self.subscription.pending_in
    }

    /// Writes the `item`.
    pub fn write(&self, out: &mut Markup) {
        out.open("item").attribute("jid", self.jid.as_str());
        if !self.name.is_empty() {
            out.attribute("name", &self.name);
        }
        out.attribute("subscription", self.subscription.name());
        let state = self.subscription;
        out.maybe("ask", state.pending_out.then_some("subscribe"));
        out.maybe("approved", state.approved.then_some("true"));
        if self.groups.is_empty() {
            out.end();
            return;
        }
        for group in &self.groups {
            out.with_text("group", group);
        }
        out.close("item");
    }

    /// The request that waits, as the stanza that came.
    #[must_use]
    pub fn pending_request(&self) -> Option<Stanza> {
        let written = self.request.as_ref()?;
        let element = Element::parse_below(ns::CLIENT, written, Limits::SERVER).ok()?;
        Stanza::read(element).ok()
    }
}

/// What a client asks of its account's roster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// All of it. The client says which version it has, empty for none.
    Get {
        /// The version; `None` when the client knows of none.
        version: Option<String>,
    },
    /// Remove a contact.
    Remove(Jid),
    /// Add a contact or change how it is called and where it stands.
    Set(Change),
}

/// What a client may say about a contact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Its address.
    pub jid: Jid,
    /// What to call it.
    pub name: String,
    /// In which groups.
    pub groups: Vec<String>,
}

impl Request {
    /// Reads the payload of an IQ of type get or set that the client of `account` sent.
    ///
    /// # Errors
    ///
    /// `bad-request` for anything but one item with an address, and for a group that is named twice;
    /// `not-acceptable` for names that are too long and groups without one; `jid-malformed`; `not-allowed` for the
    /// account itself.
    pub fn read(kind: IqType, query: &Element, account: &BareJid) -> Result<Self, StanzaError> {
        if kind == IqType::Get {
            let version = query.attribute("ver").map(str::to_owned);
            return Ok(Self::Get { version });
        }
        let mut items = query.open_children(NS, "item");
        let (Some(item), None) = (items.next(), items.next()) else {
            return Err(refused(
                Condition::BadRequest,
                "a request changes one contact",
            ));
        };
        let jid = item.attribute("jid");
        let jid =
            jid.ok_or_else(|| refused(Condition::BadRequest, "the contact has no address"))?;
        let jid = Jid::new(jid)
            .map_err(|_| refused(Condition::JidMalformed, "the contact's address is none"))?;
        if item.attribute("subscription") == Some("remove") {
            return Ok(Self::Remove(jid));
        }
        if jid == *account {
            return Err(refused(
                Condition::NotAllowed,
                "nobody is their own contact",
            ));
        }
        let name = item.attribute("name").unwrap_or_default().to_owned();
        if name.len() > NAME {
            return Err(refused(Condition::NotAcceptable, "the name is too long"));
        }
        let mut groups = BTreeSet::new();
        for group in item.open_children(NS, "group") {
            let group = group.text().map_err(|_| Condition::BadRequest)?;
            if group.is_empty() {
                return Err(refused(Condition::NotAcceptable, "a group has no name"));
            }
            if group.len() > NAME {
                let text = "the name of a group is too long";
                return Err(refused(Condition::NotAcceptable, text));
            }
            if !groups.insert(group) {
                return Err(refused(Condition::BadRequest, "a group is named twice"));
            }
        }
        if groups.len() > GROUPS {
            let text = format!("a contact stands in at most {GROUPS} groups");
            return Err(StanzaError::new(Condition::NotAcceptable).text(text));
        }
        Ok(Self::Set(Change {
            jid,
            name,
            groups: groups.into_iter().collect(),
        }))
    }
}

/// How a question for the roster is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// An empty result, then one push for each change after that version, if the store still knows them.
    /// Otherwise the whole roster with its version.
    Since(u64),
    /// Nothing changed: an empty result.
    Unchanged,
    /// The whole roster, with its version if the client knows of versions.
    Whole {
        /// Whether the version is told.
        versioned: bool,
    },
}

impl Answer {
    /// The answer to a client that has version `asked`, where `current` is the newest.
    #[must_use]
    pub fn to(asked: Option<&str>, current: u64) -> Self {
        match asked.map(str::parse::<u64>) {
            None => Self::Whole { versioned: false },
            Some(Ok(asked)) if asked == current => Self::Unchanged,
            Some(Ok(asked)) if asked < current => Self::Since(asked),
            Some(_) => Self::Whole { versioned: true },
        }
    }
}

/// What a change of a contact leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changed {
    /// The contact as it is now: store it, or remove it from the store if [`Self::is_gone`].
    pub item: Item,
    /// It is no longer in the roster, not even hidden.
    pub is_gone: bool,
    /// Clients that asked for the roster are told.
    pub push: bool,
}

/// What follows from a subscription stanza that the user sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    /// The contact, if anything about it changed.
    pub changed: Option<Changed>,
    /// Whether the stanza goes to the contact.
    pub route: bool,
    /// The contact sees the user from now on: send it the presence of every resource.
    pub now_visible: bool,
    /// It no longer does: send it unavailable presence of every resource.
    pub now_hidden: bool,
}

/// What follows from a subscription stanza that a contact sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heard {
    /// The contact, if anything about it changed.
    pub changed: Option<Changed>,
    /// Whether clients that asked for the roster are shown the stanza.
    pub deliver: bool,
    /// The server answers `subscribed`: the user agreed before.
    pub auto_reply: bool,
    /// The contact sees the user from now on.
    pub now_visible: bool,
    /// It no longer does.
    pub now_hidden: bool,
}

/// What follows from the removal of a contact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Removed {
    /// The contact as it was: remove it from the store and push its removal.
    pub item: Item,
    /// The subscription stanzas that go to it in the user's name.
    pub tell: Vec<PresenceType>,
    /// It saw the user: send it unavailable presence of every resource first.
    pub now_hidden: bool,
}

/// An account's contacts.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    items: BTreeMap<Jid, Item>,
    /// The newest version that the store counted.
    pub version: u64,
}

impl Roster {
    /// The roster that was stored.
    #[must_use]
    pub fn restored(version: u64, items: impl IntoIterator<Item = Item>) -> Self {
        let items = items.into_iter().map(|item| (item.jid.clone(), item));
        Self {
            items: items.collect(),
            version,
        }
    }

    /// The contact of that address.
    #[must_use]
    pub fn item(&self, jid: &Jid) -> Option<&Item> {
        self.items.get(jid)
    }

    /// The state between the user and the account of a contact.
    #[must_use]
    pub fn subscription(&self, contact: &BareJid) -> Subscription {
        self.items
            .get(&Jid::from(contact.clone()))
            .map_or_else(Subscription::default, |item| item.subscription)
    }

    /// Every contact, hidden ones included.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// The contacts that see the user's presence.
    pub fn subscribers(&self) -> impl Iterator<Item = &Jid> {
        let items = self.items.values();
        items
            .filter(|item| item.subscription.from)
            .map(|item| &item.jid)
    }

    /// The contacts whose presence the user sees.
    pub fn subscribed_to(&self) -> impl Iterator<Item = &Jid> {
        let items = self.items.values();
        items
            .filter(|item| item.subscription.to)
            .map(|item| &item.jid)
    }

    /// The requests that wait for the user's answer, which each new client is shown.
    pub fn pending_requests(&self) -> impl Iterator<Item = Stanza> + '_ {
        let pending = self
            .items
            .values()
            .filter(|item| item.subscription.pending_in);
        pending.filter_map(Item::pending_request)
    }

    /// Whether a contact stands in one of these groups.
    #[must_use]
    pub fn is_in_group(&self, contact: &BareJid, groups: &[String]) -> bool {
        self.items
            .get(&Jid::from(contact.clone()))
            .is_some_and(|item| item.groups.iter().any(|group| groups.contains(group)))
    }

    /// Adds or renames a contact. `limit` is how many there may be.
    ///
    /// # Errors
    ///
    /// `resource-constraint` when there are too many already.
    pub fn set(&mut self, change: Change, limit: usize) -> Result<Changed, StanzaError> {
        if !self.items.contains_key(&change.jid) && self.items.len() >= limit {
            let text = format!("a roster has at most {limit} contacts");
            return Err(StanzaError::new(Condition::ResourceConstraint).text(text));
        }
        let item = self
            .items
            .entry(change.jid.clone())
            .or_insert_with(|| Item::new(change.jid));
        item.name = change.name;
        item.groups = change.groups;
        item.listed = true;
        Ok(Changed {
            item: item.clone(),
            is_gone: false,
            push: true,
        })
    }

    /// Removes a contact, and ends what was between it and the user (RFC 6121 §2.5.2).
    ///
    /// # Errors
    ///
    /// `item-not-found` for who is not in the roster.
    pub fn remove(&mut self, jid: &Jid) -> Result<Removed, StanzaError> {
        let is_shown = self.items.get(jid).is_some_and(Item::is_shown);
        let item = self.items.remove(jid).filter(|_| is_shown);
        let item = item.ok_or_else(|| {
            refused(
                Condition::ItemNotFound,
                "there is no contact of that address",
            )
        })?;
        let state = item.subscription;
        let mut tell = Vec::new();
        if state.to || state.pending_out {
            tell.push(PresenceType::Unsubscribe);
        }
        if state.from || state.pending_in {
            tell.push(PresenceType::Unsubscribed);
        }
        Ok(Removed {
            tell,
            now_hidden: state.from,
            item,
        })
    }

    /// Applies a subscription stanza that the user sends to the account of a contact. Nothing comes of it when the
    /// contact would be one more than any roster has.
    pub fn sends(&mut self, contact: &BareJid, kind: PresenceType) -> Sent {
        let is_new = !self.items.contains_key(&Jid::from(contact.clone()));
        if is_new && self.items.len() >= MOST {
            return Sent {
                changed: None,
                route: false,
                now_visible: false,
                now_hidden: false,
            };
        }
        let sent = self.subscription(contact).sends(kind);
        Sent {
            changed: self.apply(contact, sent.state, None),
            route: sent.route,
            now_visible: sent.now_visible,
            now_hidden: sent.now_hidden,
        }
    }

    /// Applies a subscription stanza that the account of a contact sent. `limit` is how many contacts there may
    /// be: requests from further strangers are dropped.
    pub fn hears(
        &mut self,
        contact: &BareJid,
        stanza: &Stanza,
        kind: PresenceType,
        limit: usize,
    ) -> Heard {
        let heard = self.subscription(contact).hears(kind);
        let is_new = !self.items.contains_key(&Jid::from(contact.clone()));
        if is_new && self.items.len() >= limit && !heard.auto_reply {
            return Heard {
                changed: None,
                deliver: false,
                auto_reply: false,
                now_visible: false,
                now_hidden: false,
            };
        }
        Heard {
            changed: self.apply(contact, heard.state, Some(stanza)),
            deliver: heard.deliver,
            auto_reply: heard.auto_reply,
            now_visible: heard.now_visible,
            now_hidden: heard.now_hidden,
        }
    }

    /// Moves a contact into that state. `request` is kept while it waits for an answer.
    fn apply(
        &mut self,
        contact: &BareJid,
        state: Subscription,
        request: Option<&Stanza>,
    ) -> Option<Changed> {
        let jid = Jid::from(contact.clone());
        let old = self.items.get(&jid);
        let (before, was_shown) = old.map_or_else(
            || (Subscription::default(), false),
            |item| (item.subscription, item.is_shown()),
        );
        if state == before {
            return None;
        }
        let mut item = old.cloned().unwrap_or_else(|| Item::new(jid.clone()));
        item.subscription = state;
        item.request = match request {
            Some(stanza) if state.pending_in && !before.pending_in => {
                let mut written = Vec::new();
                stanza.write(&mut written);
                Some(written.into())
            }
            _ => item.request.filter(|_| state.pending_in),
        };
        // Who was a contact stays one until the user removes it.
        item.listed |= item.is_shown();
        let is_gone = item.is_blank();
        if is_gone {
            self.items.remove(&jid);
        } else {
            self.items.insert(jid, item.clone());
        }
        let shown_state = |state: Subscription| Subscription {
            pending_in: false,
            ..state
        };
        Some(Changed {
            push: item.is_shown() && (shown_state(state) != shown_state(before) || !was_shown),
            is_gone,
            item,
        })
    }

    /// The payload of an answer with the whole roster.
    #[must_use]
    pub fn payload(&self, versioned: bool) -> Vec<u8> {
        let mut out = Markup::default();
        out.open("query").attribute("xmlns", NS);
        let version = versioned.then(|| self.version.to_string());
        out.maybe("ver", version.as_deref());
        for item in self.items.values().filter(|item| item.is_shown()) {
            item.write(&mut out);
        }
        out.close("query");
        out.into_bytes()
    }
}

/// Tells a client that a contact is like this now. `version` is told to clients that know of versions.
#[must_use]
pub fn push(to: &FullJid, id: &str, item: &Item, version: Option<u64>) -> Stanza {
    pushed(to, id, version, |out| item.write(out))
}

/// Tells a client that a contact is no longer in the roster.
#[must_use]
pub fn push_removal(to: &FullJid, id: &str, contact: &Jid, version: Option<u64>) -> Stanza {
    pushed(to, id, version, |out| {
        out.open("item")
            .attribute("jid", contact.as_str())
            .attribute("subscription", "remove")
            .end();
    })
}

fn pushed(to: &FullJid, id: &str, version: Option<u64>, item: impl Fn(&mut Markup)) -> Stanza {
    let mut out = Markup::default();
    out.open("query").attribute("xmlns", NS);
    out.maybe("ver", version.map(|version| version.to_string()).as_deref());
    item(&mut out);
    out.close("query");
    Stanza::new(IqType::Set)
        .from(to.to_bare())
        .to(to.clone())
        .id(id)
        .with_all(&out.into_bytes())
}

fn refused(condition: Condition, text: &str) -> StanzaError {
    StanzaError::new(condition).text(text)
}

#[cfg(test)]
mod tests;

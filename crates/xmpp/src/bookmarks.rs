//! Rooms that a user wants to be in (XEP-0402), also for clients that look for them in private XML (XEP-0048,
//! XEP-0049, XEP-0411).
//!
//! They are kept once, one item of PEP each. What old clients read is made of the items; what they write is held against
//! the items, and only differences are published.

use std::collections::{BTreeMap, BTreeSet};

use jid::BareJid;

use crate::{
    pubsub::{Config, Item},
    stanza::{Condition, StanzaError},
    xml::{Element, Limits, Markup},
};

/// The node, and the namespace of its items. Its features end in `+notify`, `#compat` and `#compat-pep`.
pub const NS: &str = "urn:xmpp:bookmarks:1";
/// What old clients keep in private XML.
pub const STORAGE: &str = "storage:bookmarks";
/// The feature of accounts whose private XML is converted.
pub const CONVERSION: &str = "urn:xmpp:bookmarks-conversion:0";

/// Rooms in one list.
const LIMIT: usize = 5000;

/// How the node is configured (§3.1).
#[must_use]
pub fn config() -> Config {
    Config::private()
}

/// One room.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Bookmark {
    name: Option<String>,
    autojoin: bool,
    nick: Option<String>,
    password: Option<String>,
    /// The `extensions` element, which only new clients know.
    extensions: Vec<u8>,
}

/// A difference between what an old client wrote and the items.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Difference {
    /// Publish an item with that id and payload.
    Publish(String, Vec<u8>),
    /// Take the item of that id back.
    Retract(String),
}

impl Bookmark {
    /// Reads a `conference` of either namespace.
    fn read(conference: &Element) -> Self {
        let namespace = conference.name.namespace.as_str();
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let extensions = conference.child(NS, "extensions");
        Self {
            name: some(conference.attribute("name").map(str::to_owned)),
            autojoin: matches!(conference.attribute("autojoin"), Some("true" | "1")),
            nick: some(conference.text_of(namespace, "nick")),
            password: some(conference.text_of(namespace, "password")),
            extensions: extensions
                .map_or_else(Vec::new, |child| conference.bytes_of(child).to_vec()),
        }
    }

    fn of_item(item: &Item) -> Option<Self> {
        let conference = Element::parse(&item.payload, Limits::SERVER).ok()?;
        conference
            .name
            .is(NS, "conference")
            .then(|| Self::read(&conference))
    }

    /// Writes the `conference` of an item, or for old clients with the room's address.
    fn write(&self, room: Option<&str>, out: &mut Markup) {
        out.open("conference");
        match room {
            Some(room) => out.attribute("jid", room),
            None => out.attribute("xmlns", NS),
        };
        out.maybe("name", self.name.as_deref());
        out.maybe("autojoin", self.autojoin.then_some("true"));
        if let Some(nick) = &self.nick {
            out.with_text("nick", nick);
        }
        if let Some(password) = &self.password {
            out.with_text("password", password);
        }
        if room.is_none() {
            out.raw(&self.extensions);
        }
        out.close("conference");
    }
}

/// The `storage` that an old client reads: the rooms of the node's items, then `rest`, which is what [`rest`] kept.
#[must_use]
pub fn storage(items: &[Item], rest: &[u8]) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("storage").attribute("xmlns", STORAGE);
    for item in items {
        if let Some(bookmark) = Bookmark::of_item(item) {
            bookmark.write(Some(&item.id), &mut out);
        }
    }
    out.raw(rest).close("storage");
    out.into_bytes()
}

/// What else an old client wrote, such as addresses of pages: kept as it is.
#[must_use]
pub fn rest(storage: &Element) -> Vec<u8> {
    let others = storage.children().iter();
    let others = others.filter(|child| !child.name.is(STORAGE, "conference"));
    others.flat_map(|child| storage.bytes_of(child)).collect()
}

/// What has to be published and taken back, so that the items say what an old client wrote. What only new clients know
/// of a room stays.
///
/// # Errors
///
/// `jid-malformed` for rooms without an address, `not-acceptable` for too many.
pub fn differences(storage: &Element, items: &[Item]) -> Result<Vec<Difference>, StanzaError> {
    let old: BTreeMap<&str, Bookmark> = items
        .iter()
        .filter_map(|item| Some((item.id.as_str(), Bookmark::of_item(item)?)))
        .collect();
    let mut all = Vec::new();
    let mut named = BTreeSet::new();
    for conference in storage.open_children(STORAGE, "conference") {
        let room = BareJid::new(conference.attribute("jid").unwrap_or_default());
        let room = room.map_err(|_| {
            StanzaError::new(Condition::JidMalformed).text("a room's address is missing or none")
        })?;
        let id = room.to_string();
        if !named.insert(id.clone()) {
            continue;
        }
        if named.len() > LIMIT {
            let text = format!("at most {LIMIT} rooms are kept");
            return Err(StanzaError::new(Condition::NotAcceptable).text(text));
        }
        let mut new = Bookmark::read(&conference);
        let before = old.get(id.as_str());
        if let Some(before) = before {
            new.extensions.clone_from(&before.extensions);
        }
        if before != Some(&new) {
            let mut out = Markup::default();
            new.write(None, &mut out);
            all.push(Difference::Publish(id, out.into_bytes()));
        }
    }
    let gone = old.keys().filter(|id| !named.contains(**id));
    all.extend(gone.map(|id| Difference::Retract((*id).to_owned())));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{Difference, NS, STORAGE, differences, rest, storage};
    use crate::{
        moment::Moment,
        pubsub::Item,
        xml::{Element, Limits},
    };

    fn item(id: &str, conference: &str) -> Item {
        Item {
            id: id.to_owned(),
            publisher: None,
            payload: conference
                .replace("<conference", &format!("<conference xmlns='{NS}'"))
                .into(),
            at: Moment(0),
        }
    }

    fn written(conferences: &str) -> Element {
        let xml = format!("<storage xmlns='{STORAGE}'>{conferences}</storage>");
        Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap()
    }

    const TEA: &str = "<conference name='Tea' autojoin='true'><nick>Ann</nick></conference>";
    const CAKE: &str =
        "<conference name='Cake'><extensions><pin xmlns='urn:pin'/></extensions></conference>";

    #[test]
    fn old_clients_read_what_new_ones_keep() {
        let items = [item("tea@rooms.a", TEA), item("cake@rooms.a", CAKE)];
        let told = String::from_utf8(storage(&items, b"<url name='x' url='https://x'/>")).unwrap();
        assert_eq!(
            told,
            "<storage xmlns='storage:bookmarks'><conference jid='tea@rooms.a' name='Tea' autojoin='true'>\
             <nick>Ann</nick></conference><conference jid='cake@rooms.a' name='Cake'></conference>\
             <url name='x' url='https://x'/></storage>"
        );
        let read = Element::parse(told.as_bytes(), Limits::CLIENT).unwrap();
        assert_eq!(differences(&read, &items).unwrap(), []);
        assert_eq!(rest(&read), b"<url name='x' url='https://x'/>");
    }

    #[test]
    fn only_differences_are_published() {
        let items = [item("tea@rooms.a", TEA), item("cake@rooms.a", CAKE)];
        let write = written(
            "<conference jid='Cake@rooms.a' name='Cakes'/><conference jid='pie@rooms.a' autojoin='1'/>",
        );
        let text = |difference: &Difference| match difference {
            Difference::Publish(id, payload) => {
                format!("{id} {}", String::from_utf8_lossy(payload))
            }
            Difference::Retract(id) => format!("{id} gone"),
        };
        let all: Vec<_> = differences(&write, &items)
            .unwrap()
            .iter()
            .map(text)
            .collect();
        assert_eq!(
            all,
            [
                "cake@rooms.a <conference xmlns='urn:xmpp:bookmarks:1' name='Cakes'><extensions><pin xmlns='urn:pin'/>\
                 </extensions></conference>",
                "pie@rooms.a <conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'></conference>",
                "tea@rooms.a gone",
            ]
        );
        assert!(differences(&written("<conference name='x'/>"), &items).is_err());
    }
}

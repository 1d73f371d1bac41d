//! Who somebody is and what they can do (XEP-0030), with what servers say about themselves
//! (XEP-0128, XEP-0157).

use jid::Jid;

use crate::{
    forms::{self, Field, FieldKind, Form, FormKind},
    rsm::PageInfo,
    stanza::{Condition, StanzaError},
    xml::{Element, Markup},
};

/// What somebody is and can do.
pub const INFO: &str = "http://jabber.org/protocol/disco#info";
/// What belongs to somebody.
pub const ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// The form with a server's contact addresses.
pub const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";

/// What kind of thing something is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Identity {
    /// The category, such as `server` or `account`.
    pub category: String,
    /// The type in it, such as `im` or `registered`.
    pub kind: String,
    /// The language of the name, empty for none.
    pub lang: String,
    /// The name that people read, empty for none.
    pub name: String,
}

impl Identity {
    /// An identity of that category and type with a name.
    #[must_use]
    pub fn new(category: &str, kind: &str, name: &str) -> Self {
        Self {
            category: category.to_owned(),
            kind: kind.to_owned(),
            lang: String::new(),
            name: name.to_owned(),
        }
    }
}

/// What somebody is and can do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Info {
    /// What it is about, if not the address itself.
    pub node: Option<String>,
    /// What it is. Everything is something.
    pub identities: Vec<Identity>,
    /// What it can do: namespaces, mostly. As read, repetitions included.
    pub features: Vec<String>,
    /// What else it says.
    pub forms: Vec<Form>,
}

impl Info {
    /// Of something that is this.
    #[must_use]
    pub fn of(identity: Identity) -> Self {
        Self {
            identities: vec![identity],
            ..Self::default()
        }
    }

    /// The same with more features.
    #[must_use]
    pub fn with_features<'a>(mut self, features: impl IntoIterator<Item = &'a str>) -> Self {
        self.features
            .extend(features.into_iter().map(str::to_owned));
        self
    }

    /// The same with a form.
    #[must_use]
    pub fn with_form(mut self, form: Form) -> Self {
        self.forms.push(form);
        self
    }

    /// Whether it can do that.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|one| one == feature)
    }

    /// Reads the payload of an answer.
    ///
    /// # Errors
    ///
    /// `bad-request` for identities and features without their attributes, and broken forms.
    pub fn read(query: &Element) -> Result<Self, StanzaError> {
        let bad = |text: &str| StanzaError::new(Condition::BadRequest).text(text);
        let text = |element: &Element, name: &str| element.attribute(name).map(str::to_owned);
        let identities = query.open_children(INFO, "identity").map(|identity| {
            let lang = identity
                .attributes()
                .get("http://www.w3.org/XML/1998/namespace", "lang")
                .cloned();
            Ok(Identity {
                category: text(&identity, "category")
                    .ok_or_else(|| bad("an identity has no category"))?,
                kind: text(&identity, "type").ok_or_else(|| bad("an identity has no type"))?,
                lang: lang.unwrap_or_default(),
                name: text(&identity, "name").unwrap_or_default(),
            })
        });
        let identities = identities.collect::<Result<_, StanzaError>>()?;
        let features = query
            .open_children(INFO, "feature")
            .map(|feature| text(&feature, "var").ok_or_else(|| bad("a feature has no \"var\"")));
        Ok(Self {
            node: text(query, "node"),
            identities,
            features: features.collect::<Result<_, _>>()?,
            forms: query
                .open_children(forms::NS, "x")
                .map(|x| Form::read(&x))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The payload of an answer.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut out = Markup::default();
        out.open("query").attribute("xmlns", INFO);
        out.maybe("node", self.node.as_deref());
        for identity in &self.identities {
            let some = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
            out.open("identity")
                .attribute("category", &identity.category)
                .attribute("type", &identity.kind)
                .maybe("name", some(&identity.name).as_deref())
                .maybe("xml:lang", some(&identity.lang).as_deref())
                .end();
        }
        for feature in &self.features {
            out.open("feature").attribute("var", feature).end();
        }
        self.forms.iter().for_each(|form| form.write(&mut out));
        out.close("query");
        out.into_bytes()
    }
}

/// Something that belongs to somebody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// Its address.
    pub jid: Jid,
    /// What it is there, if not the address itself.
    pub node: Option<String>,
    /// What people read.
    pub name: Option<String>,
}

impl Item {
    /// What stands at that address.
    #[must_use]
    pub fn at(jid: impl Into<Jid>) -> Self {
        Self {
            jid: jid.into(),
            node: None,
            name: None,
        }
    }
}

/// The payload of an answer that lists `items`, which are one page of more if `page` says so.
#[must_use]
pub fn items(node: Option<&str>, items: &[Item], page: Option<&PageInfo>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("query").attribute("xmlns", ITEMS);
    out.maybe("node", node);
    for item in items {
        out.open("item")
            .attribute("jid", item.jid.as_str())
            .maybe("node", item.node.as_deref())
            .maybe("name", item.name.as_deref())
            .end();
    }
    if let Some(page) = page {
        page.write(&mut out);
    }
    out.close("query");
    out.into_bytes()
}

/// The payload of a question for [`INFO`] or [`ITEMS`].
#[must_use]
pub fn question(namespace: &str, node: Option<&str>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("query").attribute("xmlns", namespace);
    out.maybe("node", node).end();
    out.into_bytes()
}

/// Whom to turn to about a server (XEP-0157): URIs by what they are for, such as `abuse`.
#[must_use]
pub fn contact_form(addresses: &[(&str, Vec<String>)]) -> Form {
    let form = Form::new(FormKind::Result, SERVER_INFO);
    addresses
        .iter()
        .filter(|(_, uris)| !uris.is_empty())
        .fold(form, |form, (purpose, uris)| {
            let name = format!("{purpose}-addresses");
            form.with(Field::new(name, FieldKind::ListMulti).values(uris))
        })
}

#[cfg(test)]
mod tests {
    use jid::Jid;

    use super::{INFO, Identity, Info, Item, contact_form, items, question};
    use crate::xml::{Element, Limits};

    #[test]
    fn what_somebody_is_is_read_as_it_was_written() {
        let abuse = vec!["mailto:abuse@a.example".to_owned()];
        let mut identity = Identity::new("server", "im", "Tea & cake");
        identity.lang = "en".into();
        let info = Info {
            node: Some("n".into()),
            ..Info::of(identity)
        }
        .with_features([INFO, "urn:xmpp:ping"])
        .with_form(contact_form(&[("abuse", abuse), ("sales", Vec::new())]));
        let query = Element::parse(&info.payload(), Limits::CLIENT).unwrap();
        assert_eq!(Info::read(&query).unwrap(), info);
        assert!(info.has(INFO) && !info.has("urn:x"));
        assert!(info.forms[0].field("sales-addresses").is_none());
    }

    #[test]
    fn an_identity_has_a_category_and_a_type() {
        for wrong in [
            "<identity type='a'/>",
            "<identity category='a'/>",
            "<feature/>",
        ] {
            let xml = format!("<query xmlns='{INFO}'>{wrong}</query>");
            let query = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
            assert!(Info::read(&query).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_belongs_to_somebody_is_listed() {
        let item = Item {
            name: Some("Rooms".into()),
            ..Item::at(Jid::new("rooms.a.example").unwrap())
        };
        assert_eq!(
            String::from_utf8(items(None, &[item], None)).unwrap(),
            "<query xmlns='http://jabber.org/protocol/disco#items'>\
             <item jid='rooms.a.example' name='Rooms'/></query>"
        );
        assert_eq!(
            question(INFO, Some("n")),
            b"<query xmlns='http://jabber.org/protocol/disco#info' node='n'/>"
        );
    }
}

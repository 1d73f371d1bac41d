//! Messages, presence and IQs (RFC 6120 §8).
//!
//! A [`Stanza`] knows its addresses and its type; its payloads stay the bytes that the sender
//! wrote, found by name. Who routes it changes the head and adds or removes children; who acts
//! on a payload reads that one child.

mod error;
mod kind;

pub use error::{Condition, ErrorType, StanzaError};
pub use kind::{IqType, Kind, MessageType, PresenceType, Type};

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use jid::Jid;
use rxml::{AttrMap, Namespace};

use crate::{
    ns,
    xml::{Child, DomError, Element, Limits, XmlError, write_attribute, write_attributes},
};

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// A message, a presence or an IQ.
///
/// Copies share their payloads.
#[derive(Clone, Debug)]
pub struct Stanza {
    /// Whom it is for. Nobody named: the sender's own account, or everybody who may see a presence.
    pub to: Option<Jid>,
    /// Who sent it.
    pub from: Option<Jid>,
    /// What answers to it name. Required in an IQ.
    pub id: Option<String>,
    /// What is asked of the receiver.
    pub kind: Type,
    /// The language of its texts, as a BCP 47 tag.
    pub lang: Option<String>,
    /// Attributes that no rule names; they travel along.
    other: Option<Arc<AttrMap>>,
    content: Bytes,
    children: Arc<[Child]>,
}

/// An element that is no stanza, or one that cannot be handled.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidStanza {
    /// None of `message`, `presence` and `iq` in the stream's namespace.
    #[error("{0} is no stanza")]
    NotAStanza(String),
    /// `to` is no address. The sender may be told.
    #[error("\"to\" of a {kind} is no address")]
    To {
        /// What it is.
        kind: Kind,
        /// Its id, for the answer.
        id: Option<String>,
    },
    /// `from` is no address.
    #[error("\"from\" of a {0} is no address")]
    From(Kind),
    /// `type` is none that this kind has, or an IQ has none.
    #[error("a {kind} has no type {found:?}")]
    Type {
        /// What it is.
        kind: Kind,
        /// Its id, for the answer.
        id: Option<String>,
        /// The type as written, empty for none.
        found: String,
    },
    /// An IQ without an id (RFC 6120 §8.2.3).
    #[error("an iq has no id")]
    NoId,
    /// An IQ of type get or set with no child or several; a result with several.
    #[error("an iq has {found} payloads")]
    Payloads {
        /// Its id, for the answer.
        id: String,
        /// How many elements stand in it.
        found: usize,
    },
}

impl Stanza {
    /// A stanza of that kind without addresses and payloads.
    #[must_use]
    pub fn new(kind: impl Into<Type>) -> Self {
        Self {
            to: None,
            from: None,
            id: None,
            kind: kind.into(),
            lang: None,
            other: None,
            content: Bytes::new(),
            children: Arc::new([]),
        }
    }

    /// The same stanza for that address.
    #[must_use]
    pub fn to(mut self, to: impl Into<Jid>) -> Self {
        self.to = Some(to.into());
        self
    }

    /// The same stanza from that address.
    #[must_use]
    pub fn from(mut self, from: impl Into<Jid>) -> Self {
        self.from = Some(from.into());
        self
    }

    /// The same stanza with that id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Whether an element is one of the three kinds, in the namespace of a stream.
    #[must_use]
    pub fn is_one(element: &Element) -> bool {
        Kind::of(element).is_some()
    }

    /// Message, presence or IQ.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind.kind()
    }

    /// The elements directly in it.
    #[must_use]
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The first child of that name. `namespace` is [`ns::CLIENT`] for what belongs to the stanza
    /// itself, such as `body`, whatever stream it came by.
    #[must_use]
    pub fn child(&self, namespace: &str, local: &str) -> Option<&Child> {
        self.children
            .iter()
            .find(|child| child.name.is(namespace, local))
    }

    /// Whether there is a child of that name.
    #[must_use]
    pub fn has(&self, namespace: &str, local: &str) -> bool {
        self.child(namespace, local).is_some()
    }

    /// The first child, which is an IQ's payload.
    #[must_use]
    pub fn payload(&self) -> Option<&Child> {
        self.children.first()
    }

    /// The bytes of one of [`Self::children`], below the default namespace of stanzas.
    #[must_use]
    pub fn bytes_of(&self, child: &Child) -> Bytes {
        self.content.slice(child.range.clone())
    }

    /// One of [`Self::children`] as an element.
    ///
    /// # Errors
    ///
    /// None that its having been read as part of this stanza allows.
    pub fn open(&self, child: &Child) -> Result<Element, XmlError> {
        Element::parse_below(ns::CLIENT, &self.bytes_of(child), Limits::OWN)
    }

    /// One of [`Self::children`] as a tree.
    ///
    /// # Errors
    ///
    /// When something in it has no namespace, which trees cannot hold.
    pub fn dom_of(&self, child: &Child) -> Result<minidom::Element, DomError> {
        let namespace = ns::CLIENT.to_owned();
        let bytes = self.bytes_of(child);
        let read = minidom::Element::from_reader_with_prefixes(&bytes[..], namespace);
        read.map_err(DomError::from)
    }

    /// The text of the first child of that name.
    #[must_use]
    pub fn text_of(&self, namespace: &str, local: &str) -> Option<String> {
        let child = self.child(namespace, local)?;
        Some(self.dom_of(child).ok()?.text())
    }

    /// The content's bytes: every payload as written.
    #[must_use]
    pub fn content(&self) -> &Bytes {
        &self.content
    }

    /// The same stanza without the children that `unwanted` names.
    #[must_use]
    pub fn without(mut self, unwanted: impl Fn(&Child) -> bool) -> Self {
        if !self.children.iter().any(&unwanted) {
            return self;
        }
        let mut content = BytesMut::with_capacity(self.content.len());
        let mut children = Vec::with_capacity(self.children.len());
        for child in self.children.iter().filter(|child| !unwanted(child)) {
            let start = content.len();
            content.put_slice(&self.content[child.range.clone()]);
            children.push(Child {
                name: child.name.clone(),
                range: start..content.len(),
            });
        }
        self.content = content.freeze();
        self.children = children.into();
        self
    }

    /// The same stanza with an element at the end.
    #[must_use]
    pub fn with(self, element: &Element) -> Self {
        let mut bytes = Vec::new();
        element.write(ns::CLIENT, &mut bytes);
        self.with_written(element.name.clone(), &bytes)
    }

    /// The same stanza with a tree at the end.
    #[must_use]
    pub fn with_dom(self, tree: impl Into<minidom::Element>) -> Self {
        match written(&tree.into()) {
            Some(element) => self.with(&element),
            None => self,
        }
    }

    /// The same stanza with XML at the end, written below the default namespace of stanzas.
    ///
    /// # Errors
    ///
    /// When it is not exactly one element.
    pub fn with_xml(self, xml: &[u8]) -> Result<Self, XmlError> {
        let element = Element::parse_below(ns::CLIENT, xml, Limits::SERVER)?;
        Ok(self.with(&element))
    }

    /// The same stanza with every element of `xml` at the end, which this server wrote or read before.
    #[must_use]
    pub fn with_all(self, xml: &[u8]) -> Self {
        let mut around = b"<r>".to_vec();
        around.extend_from_slice(xml);
        around.extend_from_slice(b"</r>");
        let Ok(read) = Element::parse_below(ns::CLIENT, &around, Limits::OWN) else {
            debug_assert!(false, "what was written or read before is XML");
            return self;
        };
        read.children().iter().fold(self, |stanza, child| {
            stanza.with_written(child.name.clone(), &read.bytes_of(child))
        })
    }

    fn with_written(mut self, name: crate::xml::Name, bytes: &[u8]) -> Self {
        let mut content = BytesMut::with_capacity(self.content.len() + bytes.len());
        content.put_slice(&self.content);
        let start = content.len();
        content.put_slice(bytes);
        let range = start..content.len();
        let mut children = self.children.to_vec();
        children.push(Child { name, range });
        self.content = content.freeze();
        self.children = children.into();
        self
    }

    /// Reads an element of a stream.
    ///
    /// # Errors
    ///
    /// [`InvalidStanza`], which names what the sender may be told.
    pub fn read(element: Element) -> Result<Self, InvalidStanza> {
        let Some(kind) = Kind::of(&element) else {
            return Err(InvalidStanza::NotAStanza(element.name.to_string()));
        };
        let (_, mut attributes, content, mut children) = element.into_parts();
        let mut take = |name: &str| attributes.remove(Namespace::none(), name);
        let id = take("id");
        let (to, from, written) = (take("to"), take("from"), take("type"));
        let lang = attributes.remove(XML_NAMESPACE, "lang");
        let address = |text: Option<String>| text.map(|text| Jid::new(&text)).transpose();
        let to = address(to).map_err(|_| InvalidStanza::To {
            kind,
            id: id.clone(),
        })?;
        let from = address(from).map_err(|_| InvalidStanza::From(kind))?;
        let Some(kind) = Type::parse(kind, written.as_deref()) else {
            let found = written.unwrap_or_default();
            return Err(InvalidStanza::Type { kind, id, found });
        };
        if let Type::Iq(kind) = kind {
            let Some(id) = &id else {
                return Err(InvalidStanza::NoId);
            };
            let found = children.len();
            let fits = match kind {
                IqType::Get | IqType::Set => found == 1,
                IqType::Result => found <= 1,
                IqType::Error => true,
            };
            if !fits {
                let id = id.clone();
                return Err(InvalidStanza::Payloads { id, found });
            }
        }
        // Within, everything is said in the clients' namespace.
        for child in &mut children {
            if matches!(child.name.namespace.as_str(), ns::SERVER | ns::COMPONENT) {
                child.name.namespace = Namespace::from(ns::CLIENT);
            }
        }
        Ok(Self {
            to,
            from,
            id,
            kind,
            lang,
            other: (!attributes.is_empty()).then(|| Arc::new(attributes)),
            content,
            children: children.into(),
        })
    }

    /// Writes it where the default namespace is that of its stream.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_head(None, out);
        self.write_rest(out);
    }

    /// Writes it to stand alone, or in another default namespace, as an element of `namespace`.
    pub fn write_in(&self, namespace: &str, out: &mut Vec<u8>) {
        self.write_head(Some(namespace), out);
        self.write_rest(out);
    }

    fn write_head(&self, namespace: Option<&str>, out: &mut Vec<u8>) {
        out.reserve(self.content.len() + 160);
        out.push(b'<');
        out.extend_from_slice(self.kind().name().as_bytes());
        if let Some(namespace) = namespace {
            write_attribute("xmlns", namespace, out);
        }
        if let Some(from) = &self.from {
            write_attribute("from", from.as_str(), out);
        }
        if let Some(to) = &self.to {
            write_attribute("to", to.as_str(), out);
        }
        if let Some(id) = &self.id {
            write_attribute("id", id, out);
        }
        if let Some(kind) = self.kind.name() {
            write_attribute("type", kind, out);
        }
        if let Some(lang) = &self.lang {
            write_attribute("xml:lang", lang, out);
        }
        if let Some(other) = &self.other {
            write_attributes(other, out);
        }
    }

    fn write_rest(&self, out: &mut Vec<u8>) {
        if self.content.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        out.extend_from_slice(&self.content);
        out.extend_from_slice(b"</");
        out.extend_from_slice(self.kind().name().as_bytes());
        out.push(b'>');
    }

    /// The empty answer to an IQ of type get or set.
    #[must_use]
    pub fn result(&self) -> Self {
        self.answer(Type::Iq(IqType::Result))
    }

    /// The answer that says why this was not done, or `None` when nobody may be told: answers and
    /// errors are never answered (RFC 6120 §8.3.1).
    #[must_use]
    pub fn error(&self, error: &StanzaError) -> Option<Self> {
        let kind = match self.kind {
            Type::Message(MessageType::Error)
            | Type::Presence(PresenceType::Error | PresenceType::Probe)
            | Type::Iq(IqType::Error | IqType::Result) => return None,
            Type::Message(_) => Type::Message(MessageType::Error),
            Type::Presence(_) => Type::Presence(PresenceType::Error),
            Type::Iq(_) => Type::Iq(IqType::Error),
        };
        Some(self.answer(kind).with(&error.element()))
    }

    fn answer(&self, kind: Type) -> Self {
        Self {
            to: self.from.clone(),
            from: self.to.clone(),
            id: self.id.clone(),
            ..Self::new(kind)
        }
    }
}

/// A tree as an element.
fn written(tree: &minidom::Element) -> Option<Element> {
    let mut bytes = Vec::new();
    tree.write_to(&mut bytes).ok()?;
    Element::parse(&bytes, Limits::OWN).ok()
}

#[cfg(test)]
mod tests;

//! One element whose content stays the bytes that the peer wrote.

use std::{fmt, ops::Range};

use bytes::Bytes;
use rxml::{AttrMap, Namespace, NcName};

use super::{
    Event, Limits, Reader, XmlError,
    canonical::{write_attribute, write_attributes},
};

/// A name with its namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name {
    /// The namespace, empty for none.
    pub namespace: Namespace<'static>,
    /// The name without a prefix.
    pub local: NcName,
}

impl Name {
    /// Whether this is `local` in `namespace`.
    #[must_use]
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.local == *local && self.namespace.as_str() == namespace
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}{}", self.namespace.as_str(), self.local)
    }
}

/// An element that stands directly in another: its name, and where in the content its bytes are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Child {
    /// Its name.
    pub name: Name,
    pub(crate) range: Range<usize>,
}

/// An element: name and attributes read, the content as bytes.
///
/// The content is complete XML under a default namespace that equals the element's own: it borrows
/// no prefix from outside, and may be written below any start tag of that meaning.
#[derive(Clone, Debug)]
pub struct Element {
    /// Its name.
    pub name: Name,
    attributes: AttrMap,
    content: Bytes,
    children: Vec<Child>,
}

impl Element {
    pub(super) fn new(
        name: Name,
        attributes: AttrMap,
        content: Bytes,
        children: Vec<Child>,
    ) -> Self {
        Self {
            name,
            attributes,
            content,
            children,
        }
    }

    /// Reads one element that stands alone, such as a WebSocket message (RFC 7395 §3.3) or the
    /// body of a BOSH request.
    ///
    /// # Errors
    ///
    /// What [`Reader`] says of the bytes; [`XmlError::LooseText`] unless they are exactly one
    /// element with white space around it.
    ///
    /// ```
    /// # use folkmoot_xmpp::xml::{Element, Limits};
    /// let pong = Element::parse(b"<iq xmlns='jabber:client' type='result' id='7'/>", Limits::CLIENT)?;
    /// assert!(pong.name.is("jabber:client", "iq"));
    /// assert_eq!(pong.attribute("id"), Some("7"));
    /// # Ok::<(), folkmoot_xmpp::xml::XmlError>(())
    /// ```
    pub fn parse(document: &[u8], limits: Limits) -> Result<Self, XmlError> {
        Self::parse_below("", document, limits)
    }

    /// The same for an element that inherits the default namespace `namespace`.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn parse_below(namespace: &str, document: &[u8], limits: Limits) -> Result<Self, XmlError> {
        let mut root = b"<r".to_vec();
        if !namespace.is_empty() {
            write_attribute("xmlns", namespace, &mut root);
        }
        root.push(b'>');
        let mut reader = Reader::new(limits);
        reader.push(&root);
        reader.push(document);
        let mut found = None;
        while let Some(event) = reader.next()? {
            match event {
                Event::Open { .. } => {}
                Event::Element(element) if found.is_none() => found = Some(element),
                Event::Element(_) | Event::Close => return Err(XmlError::LooseText),
            }
        }
        match found {
            Some(element) if reader.is_idle() => Ok(element),
            _ => Err(XmlError::NotWellFormed(
                "an element is not complete".to_owned(),
            )),
        }
    }

    /// The attribute of that name and no namespace.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .get(Namespace::none(), name)
            .map(String::as_str)
    }

    /// Its attributes.
    #[must_use]
    pub fn attributes(&self) -> &AttrMap {
        &self.attributes
    }

    /// The elements directly in it.
    #[must_use]
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// The content's bytes.
    #[must_use]
    pub fn content(&self) -> &Bytes {
        &self.content
    }

    /// The bytes of one of [`Self::children`].
    #[must_use]
    pub fn bytes_of(&self, child: &Child) -> Bytes {
        self.content.slice(child.range.clone())
    }

    /// The first child of that name.
    #[must_use]
    pub fn child(&self, namespace: &str, local: &str) -> Option<&Child> {
        self.children
            .iter()
            .find(|child| child.name.is(namespace, local))
    }

    /// One of [`Self::children`] as an element of its own.
    ///
    /// # Errors
    ///
    /// None that its having been read as part of this element allows.
    pub fn open(&self, child: &Child) -> Result<Self, XmlError> {
        let bytes = &self.content[child.range.clone()];
        Self::parse_below(self.name.namespace.as_str(), bytes, Limits::OWN)
    }

    /// The first child of that name as an element of its own.
    #[must_use]
    pub fn open_child(&self, namespace: &str, local: &str) -> Option<Self> {
        self.open(self.child(namespace, local)?).ok()
    }

    /// The children of that name, each as an element of its own.
    pub fn open_children<'a>(
        &'a self,
        namespace: &'a str,
        local: &'a str,
    ) -> impl Iterator<Item = Self> + 'a {
        self.children
            .iter()
            .filter(move |child| child.name.is(namespace, local))
            .filter_map(|child| self.open(child).ok())
    }

    /// The text in the first child of that name.
    #[must_use]
    pub fn text_of(&self, namespace: &str, local: &str) -> Option<String> {
        self.open_child(namespace, local)?.text().ok()
    }

    /// The text directly in it, references resolved.
    ///
    /// # Errors
    ///
    /// What is wrong with the content, which cannot be for an element that was read.
    pub fn text(&self) -> Result<String, DomError> {
        Ok(self.to_dom()?.text())
    }

    /// The whole element as a tree, for payload types.
    ///
    /// # Errors
    ///
    /// When something in it has no namespace, which trees cannot hold.
    pub fn to_dom(&self) -> Result<minidom::Element, DomError> {
        let mut bytes = Vec::with_capacity(self.content.len() + 128);
        self.write("", &mut bytes);
        Ok(minidom::Element::from_reader(&bytes[..])?)
    }

    /// Writes the element where the default namespace is `around`.
    pub fn write(&self, around: &str, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(self.name.local.as_bytes());
        if self.name.namespace.as_str() != around {
            write_attribute("xmlns", self.name.namespace.as_str(), out);
        }
        write_attributes(&self.attributes, out);
        if self.content.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        out.extend_from_slice(&self.content);
        out.extend_from_slice(b"</");
        out.extend_from_slice(self.name.local.as_bytes());
        out.push(b'>');
    }

    pub(crate) fn into_parts(self) -> (Name, AttrMap, Bytes, Vec<Child>) {
        (self.name, self.attributes, self.content, self.children)
    }
}

/// An element that cannot be made a tree of.
#[derive(Debug, thiserror::Error)]
#[error("the element cannot be read: {0}")]
pub struct DomError(#[from] minidom::Error);

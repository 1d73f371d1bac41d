//! Cutting a stream of bytes into first-level elements.

use std::{mem, ops::Range};

use bytes::{Bytes, BytesMut};
use rxml::{AttrMap, Namespace, NcName, Parse as _, error::EndOrError};

use super::{
    Child, Element, Name,
    canonical::{self, Plainness},
};

/// What a peer may cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of one first-level element, its tags included. RFC 6120 §13.12 forbids less
    /// than 10 000.
    pub element_bytes: usize,
    /// How deep elements may nest below the root.
    pub depth: usize,
    /// Elements directly in a first-level element.
    pub children: usize,
}

impl Limits {
    /// Before a peer proved who it is.
    pub const STRANGER: Self = Self {
        element_bytes: 10_000,
        depth: 64,
        children: 128,
    };
    /// A client that logged in.
    pub const CLIENT: Self = Self {
        element_bytes: 262_144,
        depth: 64,
        children: 1024,
    };
    /// A server that authenticated.
    pub const SERVER: Self = Self {
        element_bytes: 524_288,
        depth: 64,
        children: 1024,
    };
    /// What this server wrote itself: a roster or a list may be longer than any peer's element.
    pub(crate) const OWN: Self = Self {
        element_bytes: usize::MAX,
        depth: 1024,
        children: usize::MAX,
    };
}

/// Why bytes are not what may stand in a stream. The stream ends with it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed XML, or not UTF-8.
    #[error("not well-formed: {0}")]
    NotWellFormed(String),
    /// XML that RFC 6120 §11.1 forbids: comments, processing instructions, document types, entities.
    #[error("restricted XML: {0}")]
    Restricted(String),
    /// An element with more bytes than may be.
    #[error("an element has more than {limit} bytes")]
    TooLong {
        /// [`Limits::element_bytes`].
        limit: usize,
    },
    /// Elements nested deeper than may be.
    #[error("elements are nested more than {limit} deep")]
    TooDeep {
        /// [`Limits::depth`].
        limit: usize,
    },
    /// An element with more elements in it than may be.
    #[error("an element has more than {limit} children")]
    TooMany {
        /// [`Limits::children`].
        limit: usize,
    },
    /// Text other than white space between elements.
    #[error("text stands between the elements of the stream")]
    LooseText,
}

/// What comes out of a [`Reader`].
#[derive(Clone, Debug)]
pub enum Event {
    /// The root's start tag: a stream begins.
    Open {
        /// The root's name.
        name: Name,
        /// Its attributes, without declarations of namespaces.
        attributes: AttrMap,
        /// The default namespace it declares, if any.
        default_namespace: Option<String>,
    },
    /// An element of the stream, complete.
    Element(Element),
    /// The root's end tag. Nothing may follow.
    Close,
}

/// Cuts one stream. After STARTTLS or SASL a new stream begins and needs a new reader.
///
/// Bytes go in by [`Self::push`]; then [`Self::next`] is called until it says `None`. Where the
/// network cut the bytes has no influence on what comes out. A reader between two elements
/// holds no buffer.
pub struct Reader {
    parser: rxml::Parser,
    limits: Limits,
    /// From the start of the element in hand.
    buffer: BytesMut,
    /// How many of them the parser has seen.
    fed: usize,
    /// Where in them the last event ended.
    at: usize,
    depth: usize,
    root: Option<Root>,
    element: Option<Partial>,
}

struct Root {
    /// The start tag as written, for elements that use its prefixes.
    tag: Bytes,
}

struct Partial {
    name: Name,
    attributes: AttrMap,
    /// Where the content begins.
    content: usize,
    children: Vec<Child>,
    plainness: Plainness,
}

impl Reader {
    /// A reader for a stream whose elements may cost `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            parser: canonical::parser(limits.element_bytes),
            limits,
            buffer: BytesMut::new(),
            fed: 0,
            at: 0,
            depth: 0,
            root: None,
            element: None,
        }
    }

    /// Sets what the elements from here on may cost, such as after a login.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes in what the peer wrote.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing but white space waits to be completed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.element.is_none() && self.buffer.iter().all(u8::is_ascii_whitespace)
    }

    /// The next thing that is complete, or `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`XmlError`]; the reader is of no use after it.
    #[expect(
        clippy::should_implement_trait,
        reason = "it may say `None` and go on later"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, XmlError> {
        loop {
            let mut rest = &self.buffer[self.fed..];
            let before = rest.len();
            let parsed = self.parser.parse(&mut rest, false);
            self.fed += before - rest.len();
            let event = match parsed {
                Ok(Some(event)) => event,
                // The end of the document.
                Ok(None) => return Ok(None),
                Err(EndOrError::NeedMoreData) => {
                    self.spare_idle();
                    return self.check_length(self.buffer.len()).map(|()| None);
                }
                Err(EndOrError::Error(error)) => return Err(self.refuse(&error)),
            };
            let start = self.at;
            self.at += event.metrics().len();
            if self.depth >= 1 && self.element.is_some() {
                self.check_length(self.at)?;
            }
            if let Some(event) = self.advance(event, start)? {
                return Ok(Some(event));
            }
        }
    }

    fn advance(&mut self, event: rxml::Event, start: usize) -> Result<Option<Event>, XmlError> {
        match event {
            rxml::Event::XmlDeclaration(..) => {
                self.drop_until(self.at);
                Ok(None)
            }
            rxml::Event::StartElement(_, name, attributes) => {
                self.depth += 1;
                self.start(Name::from(name), attributes, start)
            }
            rxml::Event::EndElement(_) => {
                self.depth -= 1;
                self.end(start)
            }
            rxml::Event::Text(_, text) => {
                if self.depth == 1 {
                    if !text.bytes().all(|byte| byte.is_ascii_whitespace()) {
                        return Err(XmlError::LooseText);
                    }
                    self.drop_until(self.at);
                }
                Ok(None)
            }
        }
    }

    fn start(
        &mut self,
        name: Name,
        attributes: AttrMap,
        start: usize,
    ) -> Result<Option<Event>, XmlError> {
        let tag = start..self.at;
        match self.depth {
            1 => {
                self.check_length(tag.len())?;
                let written = self.take_until(self.at);
                let tag = canonical::start_tag(&written);
                let default_namespace = canonical::default_namespace(&tag);
                self.root = Some(Root { tag });
                Ok(Some(Event::Open {
                    name,
                    attributes,
                    default_namespace,
                }))
            }
            2 => {
                // What came before was white space.
                let plainness = Plainness::of_element(&self.buffer[tag.clone()]);
                self.drop_until(tag.start);
                self.element = Some(Partial {
                    name,
                    attributes,
                    content: tag.len(),
                    children: Vec::new(),
                    plainness,
                });
                Ok(None)
            }
            depth => self.nested(name, &tag, depth).map(|()| None),
        }
    }

    fn nested(&mut self, name: Name, tag: &Range<usize>, depth: usize) -> Result<(), XmlError> {
        if depth > self.limits.depth {
            let limit = self.limits.depth;
            return Err(XmlError::TooDeep { limit });
        }
        let Some(element) = &mut self.element else {
            return Ok(());
        };
        let bytes = &self.buffer[tag.clone()];
        if depth > 3 {
            element.plainness.and(Plainness::of_nested(bytes));
            return Ok(());
        }
        if element.children.len() == self.limits.children {
            let limit = self.limits.children;
            return Err(XmlError::TooMany { limit });
        }
        element.plainness.and(Plainness::of_child(
            bytes,
            element.name.namespace == name.namespace,
        ));
        element.children.push(Child {
            name,
            range: tag.start - element.content..tag.end - element.content,
        });
        Ok(())
    }

    fn end(&mut self, start: usize) -> Result<Option<Event>, XmlError> {
        match self.depth {
            0 => {
                self.drop_until(self.at);
                Ok(Some(Event::Close))
            }
            1 => {
                let Some(partial) = self.element.take() else {
                    return Ok(None);
                };
                let raw = self.take_until(self.at);
                Ok(Some(Event::Element(self.complete(partial, raw, start)?)))
            }
            2 => {
                let end = self.at;
                if let Some(element) = &mut self.element {
                    let content = element.content;
                    if let Some(child) = element.children.last_mut() {
                        child.range.end = end - content;
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The element of these bytes, whose end tag begins at `start`.
    fn complete(&self, partial: Partial, raw: Bytes, start: usize) -> Result<Element, XmlError> {
        if partial.plainness == Plainness::Plain {
            let content = raw.slice(partial.content.min(start)..start);
            return Ok(Element::new(
                partial.name,
                partial.attributes,
                content,
                partial.children,
            ));
        }
        let root = self.root.as_ref().map_or(&b""[..], |root| &root.tag);
        canonical::rewrite(root, &raw)
    }

    /// Takes the first `end` bytes out of the buffer.
    fn take_until(&mut self, end: usize) -> Bytes {
        let taken = self.buffer.split_to(end).freeze();
        self.fed -= end;
        self.at -= end;
        taken
    }

    fn drop_until(&mut self, end: usize) {
        drop(self.take_until(end));
    }

    /// Gives memory back while nothing is under way.
    fn spare_idle(&mut self) {
        if self.buffer.is_empty() {
            drop(mem::take(&mut self.buffer));
        }
    }

    /// The parser takes `<!` for the beginning of a comment or of character data, and says so.
    fn refuse(&self, error: &rxml::Error) -> XmlError {
        let written = &self.buffer[self.at..];
        let start = written.iter().position(|byte| !byte.is_ascii_whitespace());
        if written[start.unwrap_or(0)..].starts_with(b"<!D") {
            return XmlError::Restricted("a document type".to_owned());
        }
        fault(error)
    }

    fn check_length(&self, length: usize) -> Result<(), XmlError> {
        let limit = self.limits.element_bytes;
        if length > limit {
            return Err(XmlError::TooLong { limit });
        }
        Ok(())
    }
}

/// What the parser's complaint is in the words of RFC 6120.
pub(super) fn fault(error: &rxml::Error) -> XmlError {
    match error {
        rxml::Error::RestrictedXml(what) => XmlError::Restricted((*what).to_owned()),
        rxml::Error::UndeclaredEntity => XmlError::Restricted("an entity of one's own".to_owned()),
        other => XmlError::NotWellFormed(other.to_string()),
    }
}

impl From<(Namespace<'static>, NcName)> for Name {
    fn from((namespace, local): (Namespace<'static>, NcName)) -> Self {
        Self { namespace, local }
    }
}

//! Elements whose bytes mean something else when they stand in another stream.
//!
//! Content is forwarded as written, under a start tag of our own. That is sound unless a name in
//! it borrows a prefix from further up, or a child repeats the stanza's namespace, which is
//! `jabber:client` here and `jabber:server` there. Such an element is written anew, without
//! prefixes; the XML that results is the same, the bytes are not.

use bytes::Bytes;
use rxml::{
    AttrMap, Namespace, Parse as _, WithOptions as _,
    error::EndOrError,
    parser::{CommentMode, Options},
};

use super::{Child, Element, Name, XmlError, escape, reader::fault};

/// Longest name or attribute value, in bytes.
const MAX_TOKEN_BYTES: usize = 16_384;

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// A parser that refuses what RFC 6120 §11.1 forbids.
pub(super) fn parser(element_bytes: usize) -> rxml::Parser {
    rxml::Parser::with_options(Options {
        max_token_length: element_bytes.min(MAX_TOKEN_BYTES),
        context: None,
        comments: CommentMode::Reject,
    })
}

/// Whether bytes may be forwarded as they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Plainness {
    Plain,
    NeedsRewriting,
}

impl Plainness {
    /// Of a first-level element, by its start tag.
    pub(super) fn of_element(tag: &[u8]) -> Self {
        Self::of_nested(tag)
    }

    /// Of a child of a first-level element.
    pub(super) fn of_child(tag: &[u8], same_namespace: bool) -> Self {
        if same_namespace && names(tag).any(|name| name == b"xmlns") {
            return Self::NeedsRewriting;
        }
        Self::of_nested(tag)
    }

    /// Of anything deeper.
    pub(super) fn of_nested(tag: &[u8]) -> Self {
        let borrows = |name: &[u8]| {
            name.contains(&b':') && !name.starts_with(b"xml:") && !name.starts_with(b"xmlns:")
        };
        if names(tag).any(borrows) {
            Self::NeedsRewriting
        } else {
            Self::Plain
        }
    }

    pub(super) fn and(&mut self, other: Self) {
        if other == Self::NeedsRewriting {
            *self = other;
        }
    }
}

/// The names in a start tag that the parser accepted: the element's, then the attributes'.
fn names(tag: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = tag.strip_prefix(b"<").unwrap_or(tag);
    std::iter::from_fn(move || {
        let start = rest
            .iter()
            .position(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'>'))?;
        rest = &rest[start..];
        let end = rest
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>' | b'='))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        // The value, if this is an attribute.
        let next = rest.iter().position(|byte| !byte.is_ascii_whitespace());
        if let Some(equals) = next.filter(|&at| rest[at] == b'=') {
            rest = &rest[equals + 1..];
            let quote = rest
                .iter()
                .position(|byte| matches!(byte, b'\'' | b'"'))
                .unwrap_or(rest.len());
            let mark = rest.get(quote).copied();
            let value = rest.get(quote + 1..).unwrap_or_default();
            let end = value.iter().position(|byte| Some(*byte) == mark);
            rest = end.map_or(&[][..], |end| &value[end + 1..]);
        }
        Some(name)
    })
}

/// The start tag in what was read up to its end: without white space before it.
pub(super) fn start_tag(written: &Bytes) -> Bytes {
    let start = written.iter().position(|byte| *byte == b'<').unwrap_or(0);
    // A copy: the stream's buffer is not kept for it.
    Bytes::copy_from_slice(&written[start..])
}

/// The default namespace that a start tag declares.
pub(super) fn default_namespace(tag: &[u8]) -> Option<String> {
    let mut document = tag.to_vec();
    document.extend_from_slice(b"<i/>");
    let mut parser = parser(usize::MAX);
    let mut rest = &document[..];
    for _ in 0..2 {
        let Ok(Some(event)) = parser.parse(&mut rest, false) else {
            return None;
        };
        if let rxml::Event::StartElement(_, (namespace, local), _) = event
            && local == "i"
        {
            return namespace.as_namespace_name().map(str::to_owned);
        }
    }
    None
}

/// Reads `raw`, which stood below the start tag `root`, and writes its content anew.
pub(super) fn rewrite(root: &[u8], raw: &[u8]) -> Result<Element, XmlError> {
    let mut document = Vec::with_capacity(root.len() + raw.len());
    document.extend_from_slice(root);
    document.extend_from_slice(raw);
    let mut rest = &document[..];
    let mut parser = parser(document.len());
    let mut writer = Writer::new(usize::from(!root.is_empty()));
    loop {
        match parser.parse(&mut rest, false) {
            Ok(Some(event)) => {
                if writer.take(event) {
                    break;
                }
            }
            Ok(None) | Err(EndOrError::NeedMoreData) => break,
            Err(EndOrError::Error(error)) => return Err(fault(&error)),
        }
    }
    writer.finish()
}

/// Writes the content of one element without prefixes.
struct Writer {
    /// Elements above the one that is written.
    above: usize,
    /// Names and default namespaces of the elements that stand open.
    open: Vec<Name>,
    head: Option<(Name, AttrMap)>,
    content: Vec<u8>,
    children: Vec<Child>,
}

impl Writer {
    fn new(above: usize) -> Self {
        Self {
            above,
            open: Vec::new(),
            head: None,
            content: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Whether the element is complete.
    fn take(&mut self, event: rxml::Event) -> bool {
        match event {
            rxml::Event::XmlDeclaration(..) => {}
            rxml::Event::StartElement(_, name, attributes) => {
                self.start(Name::from(name), attributes);
            }
            rxml::Event::Text(_, text) => {
                if self.open.len() > self.above {
                    escape(&text, &mut self.content);
                }
            }
            rxml::Event::EndElement(_) => return self.end(),
        }
        false
    }

    fn start(&mut self, name: Name, attributes: AttrMap) {
        let depth = self.open.len();
        if depth == self.above {
            self.head = Some((name.clone(), attributes));
        } else if depth > self.above {
            let start = self.content.len();
            let inherited = self.open.last().map(|above| &above.namespace);
            self.content.push(b'<');
            self.content.extend_from_slice(name.local.as_bytes());
            if inherited != Some(&name.namespace) {
                write_attribute("xmlns", name.namespace.as_str(), &mut self.content);
            }
            write_attributes(&attributes, &mut self.content);
            self.content.push(b'>');
            if depth == self.above + 1 {
                self.children.push(Child {
                    name: name.clone(),
                    range: start..start,
                });
            }
        }
        self.open.push(name);
    }

    fn end(&mut self) -> bool {
        let Some(name) = self.open.pop() else {
            return true;
        };
        let depth = self.open.len();
        if depth > self.above {
            self.content.extend_from_slice(b"</");
            self.content.extend_from_slice(name.local.as_bytes());
            self.content.push(b'>');
            if depth == self.above + 1
                && let Some(child) = self.children.last_mut()
            {
                child.range.end = self.content.len();
            }
        }
        depth == self.above
    }

    fn finish(self) -> Result<Element, XmlError> {
        let incomplete = || XmlError::NotWellFormed("an element is not complete".to_owned());
        let (name, attributes) = self.head.ok_or_else(incomplete)?;
        Ok(Element::new(
            name,
            attributes,
            self.content.into(),
            self.children,
        ))
    }
}

/// Writes attributes; those of a namespace get prefixes that are declared beside them.
pub(crate) fn write_attributes(attributes: &AttrMap, out: &mut Vec<u8>) {
    for (count, ((namespace, name), value)) in attributes.iter().enumerate() {
        write_named(namespace, name, value, count, out);
    }
}

fn write_named(
    namespace: &Namespace<'_>,
    name: &str,
    value: &str,
    count: usize,
    out: &mut Vec<u8>,
) {
    match namespace.as_str() {
        "" => write_attribute(name, value, out),
        XML_NAMESPACE => write_attribute(&format!("xml:{name}"), value, out),
        other => {
            write_attribute(&format!("xmlns:a{count}"), other, out);
            write_attribute(&format!("a{count}:{name}"), value, out);
        }
    }
}

pub(crate) fn write_attribute(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape(value, out);
    out.push(b'\'');
}

//! Writing XML into a buffer: escaped text and attributes, nothing else to get wrong.

use super::{Element, Limits};

/// Writes `text` so that it may stand between tags and in attributes of either quote.
///
/// ```
/// let mut out = Vec::new();
/// folkmoot_xmpp::xml::escape("<\"it's\" & more>", &mut out);
/// assert_eq!(out, b"&lt;&quot;it&apos;s&quot; &amp; more&gt;");
/// ```
pub fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let entity: &[u8] = match byte {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'\'' => b"&apos;",
            b'"' => b"&quot;",
            // In an attribute these would arrive as spaces, and a bare return as a line feed.
            b'\t' => b"&#9;",
            b'\n' => b"&#10;",
            b'\r' => b"&#13;",
            _ => continue,
        };
        out.extend_from_slice(&bytes[written..at]);
        out.extend_from_slice(entity);
        written = at + 1;
    }
    out.extend_from_slice(&bytes[written..]);
}

/// A buffer that elements are written into.
///
/// ```
/// # use folkmoot_xmpp::xml::Markup;
/// let mut out = Markup::default();
/// out.open("body").text("tea & cake").close("body");
/// out.open("active").attribute("xmlns", "http://jabber.org/protocol/chatstates").end();
/// assert_eq!(
///     out.into_bytes(),
///     b"<body>tea &amp; cake</body><active xmlns='http://jabber.org/protocol/chatstates'/>",
/// );
/// ```
#[derive(Clone, Debug, Default)]
pub struct Markup {
    out: Vec<u8>,
    /// A start tag stands open: attributes may follow.
    in_tag: bool,
}

impl Markup {
    /// Begins the start tag of an element.
    pub fn open(&mut self, name: &str) -> &mut Self {
        self.leave_tag();
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        self.in_tag = true;
        self
    }

    /// Writes an attribute into the start tag that [`Self::open`] began.
    pub fn attribute(&mut self, name: &str, value: &str) -> &mut Self {
        debug_assert!(self.in_tag, "attributes stand in a start tag");
        self.out.push(b' ');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"='");
        escape(value, &mut self.out);
        self.out.push(b'\'');
        self
    }

    /// Writes an attribute if there is a value for it.
    pub fn maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.attribute(name, value),
            None => self,
        }
    }

    /// Writes an element that holds text alone.
    pub fn with_text(&mut self, name: &str, text: &str) -> &mut Self {
        self.open(name).text(text).close(name)
    }

    /// Writes text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.leave_tag();
        escape(text, &mut self.out);
        self
    }

    /// Writes what is XML already.
    pub fn raw(&mut self, xml: &[u8]) -> &mut Self {
        self.leave_tag();
        self.out.extend_from_slice(xml);
        self
    }

    /// Ends the start tag as an empty element.
    pub fn end(&mut self) -> &mut Self {
        debug_assert!(self.in_tag, "an empty element ends in its start tag");
        self.in_tag = false;
        self.out.extend_from_slice(b"/>");
        self
    }

    /// Writes the end tag.
    pub fn close(&mut self, name: &str) -> &mut Self {
        self.leave_tag();
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
        self
    }

    /// The bytes written.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.leave_tag();
        self.out
    }

    /// The one element that was written, where the default namespace is `around`.
    ///
    /// # Panics
    ///
    /// When anything but one element was written, which is a mistake in this crate.
    #[must_use]
    pub(crate) fn into_element(self, around: &str) -> Element {
        Element::parse_below(around, &self.into_bytes(), Limits::OWN)
            .expect("what Markup wrote is one element")
    }

    fn leave_tag(&mut self) {
        if self.in_tag {
            self.in_tag = false;
            self.out.push(b'>');
        }
    }
}

//! The element around everything (XEP-0124 §4).

use super::{NS, XBOSH};
use crate::{
    ns,
    stream::{StreamCondition, StreamError},
    xml::{Element, Limits, Markup, XmlError},
};

/// Largest number of a request (§14.1).
const LARGEST: u64 = 9_007_199_254_740_991;

/// What a request says.
#[derive(Clone, Debug)]
pub struct Body {
    /// Its number.
    pub rid: u64,
    /// The session, `None` when it asks for one.
    pub sid: Option<String>,
    /// The domain that it asks for.
    pub to: Option<String>,
    /// Who asks.
    pub from: Option<String>,
    /// The language of texts.
    pub lang: Option<String>,
    /// For how many seconds its requests may be held.
    pub wait: Option<u32>,
    /// How many of its requests may be held.
    pub hold: Option<u32>,
    /// For how many seconds it will be silent.
    pub pause: Option<u32>,
    /// Whether it ends the session.
    pub terminate: bool,
    /// Whether it begins the stream anew.
    pub restart: bool,
    /// Elements of the stream.
    pub elements: Vec<Element>,
}

impl Body {
    /// Reads what a client posted.
    ///
    /// # Errors
    ///
    /// What is wrong with the XML; `bad-format` for another element and for numbers that are none. The answer is an HTTP
    /// status 400, or [`ends_with`] `bad-request`.
    pub fn read(posted: &[u8], limits: Limits) -> Result<Self, StreamError> {
        if posted.len() > limits.element_bytes {
            let limit = limits.element_bytes;
            return Err(XmlError::TooLong { limit }.into());
        }
        let body = Element::parse(posted, limits)?;
        let bad = |text: &str| StreamError::from(StreamCondition::BadFormat).text(text);
        if !body.name.is(NS, "body") {
            return Err(bad("a request is a body"));
        }
        let number = |name: &str| {
            let written = body.attribute(name);
            let number = written.map(str::parse::<u32>).transpose();
            number.map_err(|_| bad(&format!("{name} is no number")))
        };
        let rid = body.attribute("rid").and_then(|rid| rid.parse().ok());
        let rid = rid.filter(|rid| (1..=LARGEST).contains(rid));
        let text = |name: &str| body.attribute(name).map(str::to_owned);
        let elements = body.children().iter().map(|child| body.open(child));
        let elements = elements.collect::<Result<Vec<_>, _>>()?;
        let xmpp = |name: &str| body.attributes().get(XBOSH, name).map(String::as_str);
        Ok(Self {
            rid: rid.ok_or_else(|| bad("rid is missing or no number"))?,
            sid: text("sid"),
            to: text("to"),
            from: text("from"),
            lang: body
                .attributes()
                .get("http://www.w3.org/XML/1998/namespace", "lang")
                .cloned(),
            wait: number("wait")?,
            hold: number("hold")?,
            pause: number("pause")?,
            terminate: body.attribute("type") == Some("terminate"),
            restart: matches!(xmpp("restart"), Some("true" | "1")),
            elements,
        })
    }
}

/// Begins the start tag of an answer.
pub(super) fn open(out: &mut Markup) {
    out.open("body")
        .attribute("xmlns", NS)
        .attribute("xmlns:stream", ns::STREAM);
}

/// An answer that carries elements which stand alone.
pub(super) fn with(elements: &[u8]) -> Vec<u8> {
    let mut out = Markup::default();
    open(&mut out);
    if elements.is_empty() {
        out.end();
    } else {
        out.raw(elements).close("body");
    }
    out.into_bytes()
}

/// An answer that ends a session, or says that there is none; `condition` says why.
#[must_use]
pub fn ends_with(condition: Option<&str>, elements: &[u8]) -> Vec<u8> {
    let mut out = Markup::default();
    open(&mut out);
    out.attribute("type", "terminate")
        .maybe("condition", condition);
    if elements.is_empty() {
        out.end();
    } else {
        out.raw(elements).close("body");
    }
    out.into_bytes()
}

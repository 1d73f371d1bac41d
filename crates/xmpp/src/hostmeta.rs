//! Where a domain is reached by HTTP (XEP-0156): the files `host-meta` and `host-meta.json` below `/.well-known/`. Both are
//! served to pages of every origin.

use crate::xml::Markup;

/// What leads to BOSH.
pub const BOSH: &str = "urn:xmpp:alt-connections:xbosh";
/// What leads to a WebSocket.
pub const WEBSOCKET: &str = "urn:xmpp:alt-connections:websocket";

/// The file in XML; each link is one of the constants here and an address.
///
/// ```
/// # use folkmoot_xmpp::hostmeta::{WEBSOCKET, xrd};
/// assert_eq!(
///     String::from_utf8(xrd(&[(WEBSOCKET, "wss://a/ws")])).unwrap(),
///     "<?xml version='1.0' encoding='utf-8'?><XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\
///      <Link rel='urn:xmpp:alt-connections:websocket' href='wss://a/ws'/></XRD>",
/// );
/// ```
#[must_use]
pub fn xrd(links: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Markup::default();
    out.raw(b"<?xml version='1.0' encoding='utf-8'?>");
    out.open("XRD")
        .attribute("xmlns", "http://docs.oasis-open.org/ns/xri/xrd-1.0");
    for (rel, href) in links {
        out.open("Link")
            .attribute("rel", rel)
            .attribute("href", href)
            .end();
    }
    out.close("XRD");
    out.into_bytes()
}

/// The file in JSON.
///
/// ```
/// # use folkmoot_xmpp::hostmeta::{BOSH, json};
/// assert_eq!(
///     json(&[(BOSH, "https://a/\"bosh\"")]),
///     r#"{"links":[{"rel":"urn:xmpp:alt-connections:xbosh","href":"https://a/\"bosh\""}]}"#,
/// );
/// ```
#[must_use]
pub fn json(links: &[(&str, &str)]) -> String {
    let links = links
        .iter()
        .map(|(rel, href)| format!("{{\"rel\":{},\"href\":{}}}", quoted(rel), quoted(href)));
    format!("{{\"links\":[{}]}}", links.collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

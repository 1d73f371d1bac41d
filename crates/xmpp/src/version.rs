//! What program are you? (XEP-0092)

use crate::xml::Markup;

/// The protocol.
pub const NS: &str = "jabber:iq:version";

/// The payload of the answer. The operating system is nobody's business unless somebody says so.
///
/// ```
/// # use folkmoot_xmpp::version::payload;
/// let told = payload("Folkmoot", "0.1", None);
/// assert_eq!(
///     told,
///     b"<query xmlns='jabber:iq:version'><name>Folkmoot</name><version>0.1</version></query>",
/// );
/// ```
#[must_use]
pub fn payload(name: &str, version: &str, system: Option<&str>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("query").attribute("xmlns", NS);
    out.with_text("name", name).with_text("version", version);
    if let Some(system) = system {
        out.with_text("os", system);
    }
    out.close("query");
    out.into_bytes()
}

//! What time is it? (XEP-0202)

use crate::{moment::Moment, xml::Markup};

/// The protocol.
pub const NS: &str = "urn:xmpp:time";

/// The payload of the answer, in UTC.
///
/// ```
/// # use folkmoot_xmpp::{entity_time::payload, moment::Moment};
/// let told = payload(Moment(0));
/// assert_eq!(
///     told,
///     b"<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>1970-01-01T00:00:00.000000Z</utc></time>",
/// );
/// ```
#[must_use]
pub fn payload(now: Moment) -> Vec<u8> {
    let mut out = Markup::default();
    out.open("time").attribute("xmlns", NS);
    out.with_text("tzo", "+00:00")
        .with_text("utc", &now.to_string())
        .close("time");
    out.into_bytes()
}

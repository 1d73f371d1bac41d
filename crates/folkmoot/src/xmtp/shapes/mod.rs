//! How things look when printed: names, order and numbers of the official program.

mod content;
mod members;
mod messages;
mod people;
mod rules;

use time::{OffsetDateTime, macros::format_description};

pub(crate) use content::content;
#[cfg(test)]
pub(crate) use content::tests::nested;
pub(crate) use members::{MemberShape, consent, consent_name, members, role};
pub(crate) use messages::{
    Shape, change_words, kind, message, peer, plain_words, streamed_conversation, words,
};
pub(crate) use people::inbox_state;
pub(crate) use rules::permissions;

/// A time as `Date.toISOString` writes it.
pub(crate) fn iso(ns: u64) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let time = OffsetDateTime::from_unix_timestamp_nanos(ns.into());
    time.ok()
        .and_then(|time| time.format(format).ok())
        .unwrap_or_else(|| ns.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_a_z() {
        assert_eq!(iso(1_763_740_800_123_456_789), "2025-11-21T16:00:00.123Z");
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
    }
}

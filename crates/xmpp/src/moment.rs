//! Points in time as XMPP writes them (XEP-0082), and delays (XEP-0203).

use std::fmt;

use jid::Jid;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use crate::xml::{Element, Markup};

/// The namespace of delays.
pub const DELAY: &str = "urn:xmpp:delay";

/// Microseconds since 1970 in UTC.
///
/// ```
/// # use folkmoot_xmpp::moment::Moment;
/// let moment: Moment = "1969-07-21T02:56:15.5Z".parse()?;
/// assert_eq!(moment.to_string(), "1969-07-21T02:56:15.500000Z");
/// assert_eq!("1969-07-20T21:56:15.5-05:00".parse(), Ok(moment));
/// # Ok::<(), folkmoot_xmpp::moment::NoMoment>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Moment(pub i64);

/// Text that is no date and time of XEP-0082.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no date and time such as 2026-01-31T12:00:00Z")]
pub struct NoMoment;

impl Moment {
    /// So many seconds later, or earlier if negative.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// `<delay/>`: said at this moment, kept by `from`.
    #[must_use]
    pub fn delay(self, from: &Jid) -> Element {
        let mut out = Markup::default();
        out.open("delay").attribute("xmlns", DELAY);
        out.attribute("from", from.as_str());
        out.attribute("stamp", &self.to_string()).end();
        out.into_element("")
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
        );
        let nanoseconds = i128::from(self.0) * 1000;
        let written = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
            .ok()
            .and_then(|time| time.format(&format).ok());
        f.write_str(written.as_deref().unwrap_or("9999-12-31T23:59:59.999999Z"))
    }
}

impl std::str::FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NoMoment)?;
        let microseconds = time.unix_timestamp_nanos().div_euclid(1000);
        i64::try_from(microseconds).map(Self).map_err(|_| NoMoment)
    }
}

#[cfg(test)]
mod tests {
    use jid::Jid;

    use super::Moment;

    #[test]
    fn only_dates_with_a_zone_are_moments() {
        for wrong in [
            "",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-13-01T00:00:00Z",
            "now",
        ] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
        assert_eq!(
            "2026-01-31T12:00:00Z".parse(),
            Ok(Moment(1_769_860_800_000_000))
        );
        assert!(Moment(i64::MAX).to_string().starts_with("9999"));
    }

    #[test]
    fn a_delay_names_who_kept_the_stanza() {
        let delay = Moment(0).delay(&Jid::new("room@c.example").unwrap());
        assert_eq!(delay.attribute("from"), Some("room@c.example"));
        assert_eq!(
            delay.attribute("stamp"),
            Some("1970-01-01T00:00:00.000000Z")
        );
    }
}

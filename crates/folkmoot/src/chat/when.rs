//! Times as people read them, on their own wall clock.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// What time it is, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clock {
    /// Unix time in nanoseconds.
    pub(crate) now_ns: u64,
    /// The zone of the person at the terminal.
    pub(crate) zone: TimeZone,
}

impl Clock {
    /// The day of a time.
    pub(crate) fn day(&self, ns: u64) -> Date {
        let time = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::MAX);
        time.to_zoned(self.zone.clone()).date()
    }

    /// Hour and minute.
    pub(crate) fn minute(&self, ns: u64) -> String {
        let time = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::MAX);
        time.to_zoned(self.zone.clone())
            .strftime("%H:%M")
            .to_string()
    }

    /// A day in words.
    pub(crate) fn day_in_words(&self, ns: u64) -> String {
        let (day, today) = (self.day(ns), self.day(self.now_ns));
        if day == today {
            "Today".to_owned()
        } else if today.yesterday().is_ok_and(|yesterday| yesterday == day) {
            "Yesterday".to_owned()
        } else if day.year() == today.year() {
            day.strftime("%A, %-d %B").to_string()
        } else {
            day.strftime("%A, %-d %B %Y").to_string()
        }
    }

    /// At most eight letters: the minute of today, the day of this week, else the date.
    pub(crate) fn short(&self, ns: u64) -> String {
        let (day, today) = (self.day(ns), self.day(self.now_ns));
        let days = today.since(day).map_or(i32::MAX, |span| span.get_days());
        match days {
            0 => self.minute(ns),
            1..7 => day.strftime("%a").to_string(),
            _ if day.year() == today.year() => day.strftime("%-d %b").to_string(),
            _ => day.strftime("%b %Y").to_string(),
        }
    }
}

/// A span of time in words: `30 seconds`, `12 hours`.
pub(crate) fn span(seconds: u64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let unit = units
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (count, name) = match unit {
        Some((unit, name)) => (seconds / unit, name),
        None => (seconds, "second"),
    };
    match count {
        1 => format!("1 {name}"),
        _ => format!("{count} {name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000_000_000;

    #[test]
    fn the_nearer_the_shorter() {
        // 2026-01-31 12:34:00
        let now_ns = 1_769_862_840_000_000_000;
        let clock = Clock {
            now_ns,
            zone: TimeZone::UTC,
        };
        let both = |ns| (clock.short(ns), clock.day_in_words(ns));
        let told = |short: &str, words: &str| (short.to_owned(), words.to_owned());
        assert_eq!(both(now_ns), told("12:34", "Today"));
        assert_eq!(both(now_ns - DAY), told("Fri", "Yesterday"));
        assert_eq!(both(now_ns - 3 * DAY), told("Wed", "Wednesday, 28 January"));
        assert_eq!(
            both(now_ns - 20 * DAY),
            told("11 Jan", "Sunday, 11 January")
        );
        assert_eq!(
            both(now_ns - 40 * DAY),
            told("Dec 2025", "Monday, 22 December 2025")
        );
        assert!(!clock.minute(u64::MAX).is_empty());
    }

    #[test]
    fn spans_have_the_largest_unit_that_fits() {
        assert_eq!(span(30), "30 seconds");
        assert_eq!(span(60), "1 minute");
        assert_eq!(span(12 * 3_600), "12 hours");
        assert_eq!(span(7 * 86_400), "7 days");
    }
}

//! The protocol version that a group may ask for, and how versions compare.
//!
//! A group whose attribute `minimum_supported_protocol_version` is above what a member
//! understands stands still for that member until it does. Nothing about it travels: each member
//! compares with the version that it claims, by the rules of libxmtp 1.10, which are not those of
//! semantic versioning: `1.10.0` comes before `1.10.0-dev`, and what follows a second dash does
//! not count.

use std::{fmt, str::FromStr};

/// A version as groups name it: three numbers and perhaps a suffix after a dash.
///
/// Order: by the numbers, then by the suffix, where none comes before any.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
    suffix: Option<String>,
}

impl Version {
    /// What this crate claims to be: it does all that libxmtp 1.10.0 does.
    pub const OWN: Self = Self::new(1, 10, 0);

    /// The least version whose clients can ask to be added again; who adds somebody again raises
    /// the group to it first.
    pub const READD: Self = Self::new(1, 6, 0);

    /// The least version to claim for groups that live in an AppData dictionary (see `app_data`).
    pub const APP_DATA: Self = Self::new(1, 11, 0);

    /// A version without a suffix.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
            suffix: None,
        }
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(text.to_owned());
        let number = |digits: &str| digits.parse().map_err(|_| invalid());
        let parts: Vec<_> = text.split('.').collect();
        let [major, minor, rest] = parts[..] else {
            return Err(invalid());
        };
        let mut rest = rest.split('-');
        Ok(Self {
            major: number(major)?,
            minor: number(minor)?,
            patch: number(rest.next().unwrap_or_default())?,
            suffix: rest.next().map(str::to_owned),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)?;
        match &self.suffix {
            Some(suffix) => write!(formatter, "-{suffix}"),
            None => Ok(()),
        }
    }
}

/// The text is not three numbers, parted by two dots, and perhaps a dash and a suffix without dots.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no version: three numbers and perhaps a suffix, as in 1.10.0-dev")]
pub struct InvalidVersion(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_suffix_comes_after_none_and_numbers_count_as_numbers() {
        let ascending = [
            "0.0.0",
            "1.6.0",
            "1.9.12",
            "1.10.0",
            "1.10.0-",
            "1.10.0-dev",
            "1.11.0-dev",
            "2.0.0",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("1.10.0"), Version::OWN);
    }

    #[test]
    fn what_follows_a_second_dash_does_not_count() {
        assert_eq!(version("1.11.0-dev-2"), version("1.11.0-dev"));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "1",
            "1.10",
            "1.10.0.1",
            "1.11.0-dev.1",
            "v1.2.3",
            "1.x.3",
            "1.2.-3",
            "4294967296.0.0",
        ] {
            assert_eq!(
                text.parse::<Version>(),
                Err(InvalidVersion(text.to_owned())),
                "{text}"
            );
        }
        // Numbers are read as Rust reads them, in libxmtp too.
        assert_eq!(version("+1.02.3"), Version::new(1, 2, 3));
    }
}

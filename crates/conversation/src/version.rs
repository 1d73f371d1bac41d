//! The protocol version that a group may ask for, and how versions compare.
//!
//! A group whose attribute `minimum_supported_protocol_version` is above what a member
//! understands stands still for that member until it does. Nothing about it travels: each member
//! compares with the version that it claims, by the rules of semantic versioning as libxmtp 1.11 and
//! later do: `1.11.0-dev` comes before `1.11.0`. (1.10 and older had it the other way round.)

use std::{cmp::Ordering, fmt, str::FromStr};

/// A version as groups name it: three numbers and perhaps a suffix after a dash.
///
/// Order: by the numbers, then by the suffix, where any comes before none; suffixes compare part by
/// part between their dots, numbers as numbers and before words.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    suffix: Option<String>,
}

impl Version {
    /// The most that this crate can claim to be: it does all that libxmtp 1.11.0 does.
    pub const OWN: Self = Self::new(1, 11, 0);

    /// What to claim by default: groups that live in an AppData dictionary stand still then.
    pub const EXTENSIONS: Self = Self::new(1, 10, 0);

    /// The least version whose clients can ask to be added again; who adds somebody again raises
    /// the group to it first.
    pub const READD: Self = Self::new(1, 6, 0);

    /// The least version to claim for groups that live in an AppData dictionary (see `app_data`).
    pub const APP_DATA: Self = Self::new(1, 11, 0);

    /// The version that such groups ask for: the one that official clients write.
    pub const APP_DATA_FLOOR: &str = "1.11.0-dev";

    /// A version without a suffix.
    #[must_use]
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self {
            major,
            minor,
            patch,
            suffix: None,
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self)
            .cmp(&numbers(other))
            .then_with(|| match (&self.suffix, &other.suffix) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(one), Some(two)) => {
                    let parts = one.split('.').map(Part::of);
                    parts.cmp(two.split('.').map(Part::of))
                }
            })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A part of a suffix.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Part<'a> {
    /// By the count of digits, then by the digits.
    Number(usize, &'a str),
    Word(&'a str),
}

impl<'a> Part<'a> {
    fn of(text: &'a str) -> Self {
        match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Self::Number(text.len(), text),
            false => Self::Word(text),
        }
    }

    /// Numbers have no zeros before them, and words have letters, digits and dashes.
    fn is_valid(text: &str) -> bool {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let zeros = is_number && text.len() > 1 && text.starts_with('0');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !text.is_empty() && !zeros && text.bytes().all(plain)
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(text.to_owned());
        // What follows a plus says how it was built, and does not count.
        let counts = text.split('+').next().unwrap_or_default();
        let (numbers, suffix) = match counts.split_once('-') {
            Some((numbers, suffix)) => (numbers, Some(suffix)),
            None => (counts, None),
        };
        let numbers: Vec<_> = numbers.split('.').collect();
        let [major, minor, patch] = numbers[..] else {
            return Err(invalid());
        };
        if !suffix.is_none_or(|suffix| suffix.split('.').all(Part::is_valid)) {
            return Err(invalid());
        }
        let number = |digits: &str| match Part::is_valid(digits) {
            true => digits.parse().map_err(|_| invalid()),
            false => Err(invalid()),
        };
        Ok(Self {
            major: number(major)?,
            minor: number(minor)?,
            patch: number(patch)?,
            suffix: suffix.map(str::to_owned),
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

/// The text is not three numbers, parted by two dots, and perhaps a dash and a suffix.
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
    fn a_suffix_comes_before_none_and_numbers_count_as_numbers() {
        let ascending = [
            "0.0.0",
            "1.6.0",
            "1.9.12",
            "1.10.0-9",
            "1.10.0-10",
            "1.10.0-dev",
            "1.10.0-dev.2",
            "1.10.0-dev.10",
            "1.10.0-dev-2",
            "1.10.0",
            "1.11.0-dev",
            "1.11.0",
            "2.0.0",
        ];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("1.11.0"), Version::OWN);
        assert!(version(Version::APP_DATA_FLOOR) <= Version::APP_DATA);
    }

    #[test]
    fn how_it_was_built_does_not_count() {
        assert_eq!(version("1.11.0-dev+b649d1a"), version("1.11.0-dev"));
        assert_eq!(version("1.11.0+b649d1a"), version("1.11.0"));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "1",
            "1.10",
            "1.10.0.1",
            "v1.2.3",
            "1.x.3",
            "1.2.-3",
            "+1.2.3",
            "1.02.3",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3-01",
            "1.2.3-ä",
            "18446744073709551616.0.0",
        ] {
            assert_eq!(
                text.parse::<Version>(),
                Err(InvalidVersion(text.to_owned())),
                "{text}"
            );
        }
    }
}

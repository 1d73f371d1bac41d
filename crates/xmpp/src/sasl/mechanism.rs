//! The mechanisms and the order in which they are offered.

use std::fmt;

use super::{Hash, HtBinding, ScramMechanism};

/// A mechanism that this server speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mechanism {
    /// The certificate says who it is (XEP-0178).
    External,
    /// A token of an earlier login (XEP-0484).
    Ht(HtBinding),
    /// Name and password as they are, inside TLS only (RFC 4616).
    Plain,
    /// Challenge and response (RFC 5802).
    Scram(ScramMechanism),
}

impl Mechanism {
    /// The mechanisms with a password, strongest first.
    pub const WITH_PASSWORD: [Self; 7] = [
        Self::scram(Hash::Sha512, true),
        Self::scram(Hash::Sha256, true),
        Self::scram(Hash::Sha512, false),
        Self::scram(Hash::Sha256, false),
        Self::scram(Hash::Sha1, true),
        Self::scram(Hash::Sha1, false),
        Self::Plain,
    ];

    const fn scram(hash: Hash, plus: bool) -> Self {
        Self::Scram(ScramMechanism { hash, plus })
    }

    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::External => "EXTERNAL",
            Self::Ht(binding) => binding.mechanism_name(),
            Self::Plain => "PLAIN",
            Self::Scram(scram) => scram.name(),
        }
    }

    /// The mechanism of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::WITH_PASSWORD
            .into_iter()
            .chain([Self::External])
            .chain(HtBinding::ALL.map(Self::Ht))
            .find(|mechanism| mechanism.name() == name)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Mechanism;

    #[test]
    fn a_name_finds_its_mechanism() {
        for mechanism in Mechanism::WITH_PASSWORD {
            assert_eq!(Mechanism::from_name(mechanism.name()), Some(mechanism));
        }
        for name in [
            "EXTERNAL",
            "HT-SHA-256-NONE",
            "HT-SHA-256-EXPR",
            "SCRAM-SHA-512-PLUS",
        ] {
            assert_eq!(Mechanism::from_name(name).unwrap().to_string(), name);
        }
        assert_eq!(Mechanism::from_name("DIGEST-MD5"), None);
    }
}

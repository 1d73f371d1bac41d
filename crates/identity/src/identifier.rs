//! Who can be a member of an inbox: wallets, passkeys and installations.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

use folkmoot_wire::{InstallationKey, proto::xmtp::identity::associations as proto};

use crate::DecodeError;

/// An account that can open an inbox and recover it.
///
/// `Display` gives the text that inbox ids and signature texts contain: the address as it is
/// stored, or the lower-case hex digits of the passkey.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Identifier {
    /// An Ethereum address. Signers are always `0x` and 40 lower-case hex digits; what an
    /// update carries is kept as it was spelled, and equals only that spelling.
    Ethereum(String),
    /// A passkey.
    Passkey(PasskeyIdentifier),
}

/// A passkey (WebAuthn credential on P-256). Two are equal when their keys have equal bytes; a
/// compressed key and its uncompressed form are different identifiers.
#[derive(Clone, Debug)]
pub struct PasskeyIdentifier {
    /// The public key as it was supplied, in a SEC1 form: 33 or 65 bytes when valid.
    pub key: Vec<u8>,
    /// The origin for which the passkey was made, if known. Not part of the identity.
    pub relying_party: Option<String>,
}

/// A member of an inbox: an identifier or an installation.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MemberIdentifier {
    /// An Ethereum address, spelled as in [`Identifier::Ethereum`].
    Ethereum(String),
    /// One app on one device.
    Installation(InstallationKey),
    /// A passkey.
    Passkey(PasskeyIdentifier),
}

/// What a member is. `Display` gives the word that error texts contain.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MemberKind {
    /// A wallet: a key pair or a contract.
    Ethereum,
    /// One app on one device.
    Installation,
    /// A WebAuthn credential.
    Passkey,
}

impl Identifier {
    /// The identifier of an address that a person typed or a wallet reported: `0x` and 40 hex
    /// digits in any letter case, which become lower case.
    ///
    /// # Errors
    ///
    /// [`InvalidAddress`] for any other text.
    ///
    /// ```
    /// # use folkmoot_identity::Identifier;
    /// let account = Identifier::ethereum("0x00000000000000000000000000000000000000aA")?;
    /// assert_eq!(account.to_string(), "0x00000000000000000000000000000000000000aa");
    /// # Ok::<(), folkmoot_identity::InvalidAddress>(())
    /// ```
    pub fn ethereum(address: &str) -> Result<Self, InvalidAddress> {
        check_address(address)?;
        Ok(Self::Ethereum(address.to_ascii_lowercase()))
    }

    /// The identifier of a passkey whose public key is given in hex digits of any letter case.
    ///
    /// # Errors
    ///
    /// [`InvalidPasskey`] when the text is not pairs of hex digits. Whether they are a point on
    /// the curve shows when it signs.
    pub fn passkey(key: &str, relying_party: Option<String>) -> Result<Self, InvalidPasskey> {
        let key = hex::decode(key).map_err(|_| InvalidPasskey)?;
        Ok(Self::Passkey(PasskeyIdentifier { key, relying_party }))
    }

    pub(crate) fn from_proto(
        text: String,
        kind: proto::IdentifierKind,
        relying_party: Option<String>,
    ) -> Result<Self, InvalidPasskey> {
        match kind {
            proto::IdentifierKind::Unspecified | proto::IdentifierKind::Ethereum => {
                Ok(Self::Ethereum(text))
            }
            proto::IdentifierKind::Passkey => Self::passkey(&text, relying_party),
        }
    }

    pub(crate) const fn proto_kind(&self) -> proto::IdentifierKind {
        match self {
            Self::Ethereum(_) => proto::IdentifierKind::Ethereum,
            Self::Passkey(_) => proto::IdentifierKind::Passkey,
        }
    }

    pub(crate) fn relying_party(&self) -> Option<String> {
        match self {
            Self::Ethereum(_) => None,
            Self::Passkey(passkey) => passkey.relying_party.clone(),
        }
    }

    /// Whether `member` is this identifier.
    #[must_use]
    pub fn is(&self, member: &MemberIdentifier) -> bool {
        match (self, member) {
            (Self::Ethereum(address), MemberIdentifier::Ethereum(other)) => address == other,
            (Self::Passkey(passkey), MemberIdentifier::Passkey(other)) => passkey == other,
            _ => false,
        }
    }
}

impl MemberIdentifier {
    /// What the member is.
    #[must_use]
    pub const fn kind(&self) -> MemberKind {
        match self {
            Self::Ethereum(_) => MemberKind::Ethereum,
            Self::Installation(_) => MemberKind::Installation,
            Self::Passkey(_) => MemberKind::Passkey,
        }
    }

    /// The identifier, unless the member is an installation.
    #[must_use]
    pub fn identifier(&self) -> Option<Identifier> {
        match self {
            Self::Ethereum(address) => Some(Identifier::Ethereum(address.clone())),
            Self::Installation(_) => None,
            Self::Passkey(passkey) => Some(Identifier::Passkey(passkey.clone())),
        }
    }

    /// The message that updates, states and diffs carry.
    #[must_use]
    pub fn to_proto(&self) -> proto::MemberIdentifier {
        use proto::member_identifier::Kind;
        let kind = match self {
            Self::Ethereum(address) => Kind::EthereumAddress(address.clone()),
            Self::Installation(key) => Kind::InstallationPublicKey(key.as_bytes().to_vec().into()),
            Self::Passkey(passkey) => Kind::Passkey(proto::Passkey {
                key: passkey.key.clone().into(),
                relying_party: passkey.relying_party.clone(),
            }),
        };
        proto::MemberIdentifier { kind: Some(kind) }
    }

    /// Reads the message form. `field` is its path, for the error text.
    pub(crate) fn from_proto(
        member: Option<proto::MemberIdentifier>,
        field: &str,
    ) -> Result<Self, DecodeError> {
        use proto::member_identifier::Kind;
        match member.and_then(|member| member.kind) {
            Some(Kind::EthereumAddress(address)) => Ok(Self::Ethereum(address)),
            Some(Kind::InstallationPublicKey(key)) => InstallationKey::try_from(&key[..])
                .map(Self::Installation)
                .map_err(|_| DecodeError::InstallationKeyLength {
                    field: field.to_owned(),
                    length: key.len(),
                }),
            Some(Kind::Passkey(passkey)) => Ok(Self::Passkey(PasskeyIdentifier {
                key: passkey.key.into(),
                relying_party: passkey.relying_party,
            })),
            None => Err(DecodeError::missing(field)),
        }
    }
}

impl From<Identifier> for MemberIdentifier {
    fn from(identifier: Identifier) -> Self {
        match identifier {
            Identifier::Ethereum(address) => Self::Ethereum(address),
            Identifier::Passkey(passkey) => Self::Passkey(passkey),
        }
    }
}

impl From<InstallationKey> for MemberIdentifier {
    fn from(key: InstallationKey) -> Self {
        Self::Installation(key)
    }
}

impl PartialEq for PasskeyIdentifier {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for PasskeyIdentifier {}

impl Hash for PasskeyIdentifier {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

impl Ord for PasskeyIdentifier {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for PasskeyIdentifier {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ethereum(address) => formatter.write_str(address),
            Self::Passkey(passkey) => write!(formatter, "{passkey}"),
        }
    }
}

impl fmt::Display for PasskeyIdentifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(&self.key))
    }
}

impl fmt::Display for MemberIdentifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ethereum(address) => formatter.write_str(address),
            Self::Installation(key) => write!(formatter, "{key}"),
            Self::Passkey(passkey) => write!(formatter, "{passkey}"),
        }
    }
}

impl fmt::Display for MemberKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ethereum => "ethereum",
            Self::Installation => "installation",
            Self::Passkey => "passkey",
        })
    }
}

/// Checks that `text` is `0x` and 40 hex digits of any letter case.
pub(crate) fn check_address(text: &str) -> Result<(), InvalidAddress> {
    let digits = text.strip_prefix("0x").ok_or(InvalidAddress)?;
    if digits.len() == 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err(InvalidAddress)
    }
}

/// The text is not an Ethereum address. Other programs look for this sentence.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("Invalid account address: Must be 42 hex characters, starting with '0x'.")]
pub struct InvalidAddress;

/// The text is not a passkey's public key in hex digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a passkey is the hex digits of its public key")]
pub struct InvalidPasskey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_a_person_typed_becomes_lower_case() {
        let upper = "0x19E7E376E7C213B7E7e7e46cc70A5dd086DAff2A";
        let account = Identifier::ethereum(upper).unwrap();
        assert_eq!(account.to_string(), upper.to_ascii_lowercase());
        for bad in [
            "",
            "0x",
            "0x12",
            &upper[2..],
            &format!("{upper} "),
            &upper.replace("0x", "0X"),
        ] {
            assert_eq!(Identifier::ethereum(bad), Err(InvalidAddress), "{bad}");
        }
    }

    #[test]
    fn passkeys_are_equal_whatever_their_relying_party() {
        let here = Identifier::passkey("02AB", Some("https://here.example".to_owned())).unwrap();
        let there = Identifier::passkey("02ab", None).unwrap();
        assert_eq!(here, there);
        assert_eq!(here.to_string(), "02ab");
        assert_eq!(Identifier::passkey("02a", None), Err(InvalidPasskey));
    }
}

//! Ids of people, their apps, their conversations and what they say there.

use std::{fmt, str::FromStr};

/// The name under which a person takes part in conversations: 32 bytes, written as 64
/// lower-case hex digits. Parsing takes only that spelling, so equal ids have equal text.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InboxId([u8; 32]);

impl InboxId {
    /// The id with these raw bytes, as topics carry it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for InboxId {
    type Err = InvalidInboxId;

    fn from_str(text: &str) -> Result<Self, InvalidInboxId> {
        // A group's context names all its members: reading it is mostly this.
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| InvalidInboxId)?;
        let mut bytes = [0; 32];
        let mut wrong = 0;
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| LOWER_HEX[usize::from(digit)]);
            *byte = high << 4 | low & 0xf;
            wrong |= (high | low) & NO_DIGIT;
        }
        match wrong {
            0 => Ok(Self(bytes)),
            _ => Err(InvalidInboxId),
        }
    }
}

/// The value of each byte as a lower-case hex digit, or [`NO_DIGIT`].
const LOWER_HEX: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let digits = b"0123456789abcdef";
    let mut value = 0;
    while value < 16 {
        values[digits[value] as usize] = value as u8;
        value += 1;
    }
    values
};
const NO_DIGIT: u8 = 0x80;

impl TryFrom<&[u8]> for InboxId {
    type Error = InvalidInboxId;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidInboxId> {
        bytes.try_into().map(Self).map_err(|_| InvalidInboxId)
    }
}

impl fmt::Display for InboxId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for InboxId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "InboxId({self})")
    }
}

/// The text is not 64 lower-case hex digits, or the bytes are not 32.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an inbox id is 64 lower-case hex digits")]
pub struct InvalidInboxId;

/// One app on one device: its Ed25519 public key, which is also its id.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InstallationKey([u8; 32]);

impl InstallationKey {
    /// The key with these bytes. Whether they are a point on the curve is not checked.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for InstallationKey {
    type Error = InvalidInstallationKey;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidInstallationKey> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| InvalidInstallationKey(bytes.len()))
    }
}

impl fmt::Display for InstallationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for InstallationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "InstallationKey({self})")
    }
}

/// The bytes are not 32; the field says how many they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an installation key has 32 bytes, not {0}")]
pub struct InvalidInstallationKey(pub usize);

/// A conversation: its MLS group id, at least one byte. XMTP's own have 16. The text form is
/// lower-case hex.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupId(Vec<u8>);

impl GroupId {
    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for GroupId {
    type Error = InvalidGroupId;

    fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidGroupId> {
        if bytes.is_empty() || bytes.len() > MAX_GROUP_ID_BYTES {
            return Err(InvalidGroupId);
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<&[u8]> for GroupId {
    type Error = InvalidGroupId;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidGroupId> {
        bytes.to_vec().try_into()
    }
}

impl FromStr for GroupId {
    type Err = InvalidGroupId;

    fn from_str(text: &str) -> Result<Self, InvalidGroupId> {
        hex::decode(text).map_err(|_| InvalidGroupId)?.try_into()
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GroupId({self})")
    }
}

/// The bytes or hex digits are no group id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a conversation id is hex digits, of 1 to {MAX_GROUP_ID_BYTES} bytes")]
pub struct InvalidGroupId;

/// A message: the hash of its conversation, its sender's idempotency key and its content. The
/// text form is 64 lower-case hex digits; parsing takes upper case too, as official clients do.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId([u8; 32]);

impl MessageId {
    /// The id with these raw bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for MessageId {
    type Error = InvalidMessageId;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidMessageId> {
        bytes.try_into().map(Self).map_err(|_| InvalidMessageId)
    }
}

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, InvalidMessageId> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidMessageId)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MessageId({self})")
    }
}

/// The text is not 64 hex digits, or the bytes are not 32.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a message id is 64 hex digits")]
pub struct InvalidMessageId;

/// Longest group id, as one length byte of a topic counts it.
const MAX_GROUP_ID_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_id_has_one_spelling() {
        let text = "1b814a0b4a7d3871d695ac17439012c3809f3bdcb4d4ea8726a5b3a8df569893";
        let id: InboxId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert!(text.to_uppercase().parse::<InboxId>().is_err());
        assert!(text[..63].parse::<InboxId>().is_err());
        assert!(format!("{text}0").parse::<InboxId>().is_err());
    }

    #[test]
    fn an_installation_key_has_32_bytes() {
        assert_eq!(
            InstallationKey::try_from(&[7; 31][..]),
            Err(InvalidInstallationKey(31))
        );
        assert_eq!(
            InstallationKey::try_from(&[7; 32][..]).unwrap().as_bytes(),
            &[7; 32]
        );
    }

    #[test]
    fn a_conversation_id_is_hex_of_at_least_one_byte() {
        let id: GroupId = "4fbbaa46de9b6afcc13a9caa35c1b156".parse().unwrap();
        assert_eq!(id.as_bytes().len(), 16);
        assert_eq!(id.to_string(), "4fbbaa46de9b6afcc13a9caa35c1b156");
        assert_eq!("".parse::<GroupId>(), Err(InvalidGroupId));
        assert_eq!("4fb".parse::<GroupId>(), Err(InvalidGroupId));
        assert_eq!(GroupId::try_from(vec![0; 256]), Err(InvalidGroupId));
    }

    #[test]
    fn a_message_id_has_32_bytes() {
        let text = "c59b7a892305e23cc5eefda72010a777d084869ca6617e1b22f82ca47d4c4969";
        let id: MessageId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        assert_eq!(text[1..].parse::<MessageId>(), Err(InvalidMessageId));
    }
}

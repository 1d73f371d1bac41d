//! Keys with which a push server recognises a person's own messages, and nothing else.
//!
//! All installations of an inbox share one [`PushRootKey`]. For each group and each span of thirty
//! days it yields a [`PushKey`]. Senders put [`PushKey::sender_hmac`] beside each message; a
//! subscriber hands the keys of three spans to the push server, which stays silent about messages
//! that one of them reproduces.

use std::{fmt, time::Duration};

use folkmoot_wire::GroupId;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The secret of an inbox from which the keys of all its groups are made: 42 random bytes.
#[derive(Clone, Eq, PartialEq)]
pub struct PushRootKey(Zeroizing<[u8; PUSH_KEY_BYTES]>);

impl PushRootKey {
    /// The root key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; PUSH_KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new root key.
    #[must_use]
    pub fn generate(entropy: &mut dyn rand::CryptoRng) -> Self {
        let mut key = Self::from_bytes([0; PUSH_KEY_BYTES]);
        entropy.fill_bytes(&mut *key.0);
        key
    }

    /// The bytes, which must stay as secret as the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PUSH_KEY_BYTES] {
        &self.0
    }

    /// The key of `group` in `epoch`, which [`push_epoch`] counts.
    #[must_use]
    pub fn key(&self, group: &GroupId, epoch: i64) -> PushKey {
        let secret = Zeroizing::new([&self.0[..], group.as_bytes()].concat());
        let info = [group.as_bytes(), &epoch.to_le_bytes()].concat();
        let mut key = PushKey(Zeroizing::new([0; PUSH_KEY_BYTES]));
        Hkdf::<Sha256>::new(Some(SALT), &secret)
            .expand(&info, &mut *key.0)
            .expect("42 bytes are less than 255 hashes");
        key
    }

    /// The keys of `group` that a push server needs at the time `now`, counted from the Unix epoch:
    /// those of the span before, of this one, and of the next, each with its number.
    #[must_use]
    pub fn keys_around(&self, group: &GroupId, now: Duration) -> [(i64, PushKey); 3] {
        let epoch = push_epoch(now);
        [epoch - 1, epoch, epoch + 1].map(|epoch| (epoch, self.key(group, epoch)))
    }
}

impl TryFrom<&[u8]> for PushRootKey {
    type Error = InvalidPushKey;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidPushKey> {
        let key = bytes.try_into().map_err(|_| InvalidPushKey(bytes.len()))?;
        Ok(Self::from_bytes(key))
    }
}

impl fmt::Debug for PushRootKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PushRootKey(42 bytes)")
    }
}

/// The key of one group in one span of thirty days.
#[derive(Clone, Eq, PartialEq)]
pub struct PushKey(Zeroizing<[u8; PUSH_KEY_BYTES]>);

impl PushKey {
    /// The bytes, as push servers take them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PUSH_KEY_BYTES] {
        &self.0
    }

    /// What the sender of `message` puts beside it; `message` is the MLS message as it travels.
    #[must_use]
    pub fn sender_hmac(&self, message: &[u8]) -> [u8; 32] {
        self.mac(message).finalize().into_bytes().into()
    }

    /// Whether a message with this `sender_hmac` was sent by an owner of the key.
    #[must_use]
    pub fn is_own(&self, message: &[u8], sender_hmac: &[u8]) -> bool {
        self.mac(message).verify_slice(sender_hmac).is_ok()
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0[..])
            .expect("HMAC takes keys of any length")
            .chain_update(message)
    }
}

impl fmt::Debug for PushKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PushKey(42 bytes)")
    }
}

/// The number of the span of thirty days in which `now` lies; `now` counts from the Unix epoch.
#[must_use]
pub fn push_epoch(now: Duration) -> i64 {
    i64::try_from(now.as_secs() / EPOCH_SECONDS).unwrap_or(i64::MAX - 1)
}

/// The bytes are not 42; the field says how many they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a push key has 42 bytes, not {0}")]
pub struct InvalidPushKey(pub usize);

/// The length of root keys and of the keys made from them.
pub const PUSH_KEY_BYTES: usize = 42;

const SALT: &[u8] = b"libXMTP HKDF salt!";

const EPOCH_SECONDS: u64 = 30 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};
    use serde_json::Value;

    use super::*;

    fn check(root: &str, group: &str, epoch: i64, expected: &str) {
        let root = PushRootKey::try_from(&hex::decode(root).unwrap()[..]).unwrap();
        let key = root.key(&group.parse().unwrap(), epoch);
        assert_eq!(hex::encode(key.as_bytes()), expected, "epoch {epoch}");
    }

    #[test]
    fn keys_are_those_of_the_official_client() {
        let vectors: Value =
            serde_json::from_str(include_str!("../tests/vectors/content.json")).unwrap();
        let hmac = &vectors["hmac"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let root = text(&hmac["root_key_hex"]);
        let mut current = None;
        for one in hmac["keys"].as_array().unwrap() {
            let epoch = text(&one["epoch"]).parse().unwrap();
            check(&root, &text(&one["group_id"]), epoch, &text(&one["key"]));
            if one["epoch"] == hmac["sender_hmac_example"]["key_epoch"] {
                let root = PushRootKey::try_from(&hex::decode(&root).unwrap()[..]).unwrap();
                current = Some(root.key(&text(&one["group_id"]).parse().unwrap(), epoch));
            }
        }
        let example = &hmac["sender_hmac_example"];
        let message = hex::decode(text(&example["message_hex"])).unwrap();
        let mac = current.unwrap().sender_hmac(&message);
        assert_eq!(hex::encode(mac), text(&example["sender_hmac"]));

        let root =
            "f59779137e8c3327949ea4c628ba7cad1cd70def745a7a41ec462d953a8dcce17239da68fe280a7a5739";
        let group = "4fbbaa46de9b6afcc13a9caa35c1b156";
        check(
            root,
            group,
            691,
            "eafb1bde4cdd362b2bd3efc668ad2c7ee789df7117f4ac986903c7bed31ca68a2a6bdb5a2bd4df8971bc",
        );
        check(
            root,
            group,
            692,
            "026f42382ac45f6940533e69e307c9d9b15cca2dd0044ee2a356a8cff781367caf601eb79db0c9a955ba",
        );
        check(
            root,
            group,
            693,
            "0b782a7f77b3701c410cc24c4fcae31dc0bf4c72ecbcf9dd9206c62023f8f91753284b4f688c05a062fc",
        );
    }

    #[test]
    fn a_push_server_knows_the_owner_across_the_turn_of_a_span() {
        let root = PushRootKey::generate(&mut StdRng::seed_from_u64(1));
        let group = vec![5; 16].try_into().unwrap();
        let handed_out = root.keys_around(&group, Duration::from_secs(1_795_000_000));
        assert_eq!(
            handed_out.each_ref().map(|(epoch, _)| *epoch),
            [691, 692, 693]
        );
        let later = root.key(&group, 693);
        let mac = later.sender_hmac(b"sealed");
        assert!(
            handed_out
                .iter()
                .any(|(_, key)| key.is_own(b"sealed", &mac))
        );
        assert!(!handed_out.iter().any(|(_, key)| key.is_own(b"other", &mac)));
        assert!(!handed_out.iter().any(|(_, key)| key.is_own(b"sealed", &[])));
    }

    #[test]
    fn keys_are_not_printed() {
        let root = PushRootKey::from_bytes([0x5a; 42]);
        assert_eq!(format!("{root:?}"), "PushRootKey(42 bytes)");
        assert_eq!(PushRootKey::try_from(&[0; 41][..]), Err(InvalidPushKey(41)));
    }
}

//! What the installations of one inbox tell each other in their sync group (XIP-64).
//!
//! [`DeviceSyncContent`] is a content like any other, of the type
//! `xmtp.org/application/x-protobuf:1.0`. Consent merges by [`ConsentRecord::merge`], the root key
//! for push by [`HmacKeyUpdate::merge`].

use std::time::Duration;

use folkmoot_wire::proto::xmtp::device_sync as proto;
use prost::Message as _;

use crate::{
    ArchiveKey, ConsentRecord, PushRootKey,
    archive::{ArchiveMetadata, ArchiveOptions},
    content::{Codec, ContentTypeId, DecodeError, EncodeError, Parts},
};

/// What one installation tells the others of its inbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeviceSyncContent {
    /// A new installation asks for what was said before it came.
    Request(HistoryRequest),
    /// Somebody will answer. Nobody sends or heeds it today.
    Acknowledge {
        /// Which request.
        request_id: String,
    },
    /// An installation has put its history on a server.
    Reply(HistoryReply),
    /// Preferences that changed, in order. Those that are not understood are left out.
    PreferenceUpdates(Vec<PreferenceUpdate>),
}

/// Asks the other installations for history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryRequest {
    /// Names the request in the replies: five letters and digits, drawn at random.
    pub pin: String,
    /// The history server that the asking installation would like. Whether to use it is for the
    /// answering one: a stranger who holds one installation must not choose where history goes.
    pub server_url: String,
    /// What is asked for; a request without it is ignored.
    pub options: Option<ArchiveOptions>,
}

/// Says where history lies, and how to open it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryReply {
    /// The pin of the request.
    pub request_id: String,
    /// Where the archive lies. The same caution as with [`HistoryRequest::server_url`] applies.
    pub url: String,
    /// The key of the archive; `None` when it is of a kind that nobody knows.
    pub key: Option<ArchiveKey>,
    /// What the archive says about itself.
    pub metadata: Option<ArchiveMetadata>,
    /// 0 today. Replies of another kind come from clients of 2024 and are ignored.
    pub kind: i32,
}

impl HistoryReply {
    /// Whether the installation that sent the requests with these pins takes this reply unasked.
    #[must_use]
    pub fn answers<'a>(&self, mut pins: impl Iterator<Item = &'a str>) -> bool {
        self.kind == 0 && self.key.is_some() && pins.any(|pin| pin == self.request_id)
    }
}

/// A preference that changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PreferenceUpdate {
    /// A decision about a conversation or a person.
    Consent(ConsentRecord),
    /// A new root key for push.
    Hmac(HmacKeyUpdate),
}

/// The root key for push, and since when it is in use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HmacKeyUpdate {
    /// The key.
    pub key: PushRootKey,
    /// Since when, in nanoseconds since the Unix epoch.
    pub cycled_at_ns: i64,
}

impl HmacKeyUpdate {
    /// What to store when another installation says `self` while `stored` is here; `None` when
    /// nothing changes. The later key wins; of two of the same moment, the one that is told last.
    #[must_use]
    pub fn merge(self, stored: Option<&Self>) -> Option<Self> {
        match stored {
            Some(stored) if stored.cycled_at_ns > self.cycled_at_ns => None,
            Some(stored) if *stored == self => None,
            _ => Some(self),
        }
    }
}

/// Draws the pin of a [`HistoryRequest`].
#[must_use]
pub fn history_pin(entropy: &mut dyn rand::CryptoRng) -> String {
    let mut pin = String::with_capacity(PIN_LETTERS);
    let mut byte = [0];
    while pin.len() < PIN_LETTERS {
        entropy.fill_bytes(&mut byte);
        // 248 is 4 times 62: without the rest, each letter is as likely as the others.
        if byte[0] < 248 {
            pin.push(char::from(ALPHANUMERIC[usize::from(byte[0] % 62)]));
        }
    }
    pin
}

impl Codec for DeviceSyncContent {
    const TYPE: ContentTypeId = ContentTypeId::new("xmtp.org", "application/x-protobuf", 1, 0);
    const SHOULD_PUSH: bool = false;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        use proto::device_sync_content::Content;
        let content = match self {
            Self::Request(request) => Content::Request(proto::DeviceSyncRequest {
                pin: request.pin.clone(),
                server_url: request.server_url.clone(),
                deprecated_kind: 0,
                options: request.options.as_ref().map(ArchiveOptions::to_proto),
            }),
            Self::Acknowledge { request_id } => {
                Content::Acknowledge(proto::DeviceSyncAcknowledge {
                    request_id: request_id.clone(),
                })
            }
            Self::Reply(reply) => Content::Reply(proto::DeviceSyncReply {
                request_id: reply.request_id.clone(),
                url: reply.url.clone(),
                encryption_key: reply.key.as_ref().map(key_to_proto),
                timestamp_ns: 0,
                kind: reply.kind,
                metadata: reply.metadata.as_ref().map(ArchiveMetadata::to_proto),
            }),
            Self::PreferenceUpdates(updates) => {
                Content::PreferenceUpdates(proto::PreferenceUpdates {
                    updates: updates.iter().map(update_to_proto).collect(),
                })
            }
        };
        let message = proto::DeviceSyncContent {
            content: Some(content),
        };
        Ok(Parts::of(Self::TYPE).content(message.encode_to_vec()))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        use proto::device_sync_content::Content;
        let message = proto::DeviceSyncContent::decode(parts.content.clone())
            .map_err(|_| DecodeError::Protobuf("DeviceSyncContent"))?;
        Ok(
            match message.content.ok_or(DecodeError::Missing("content"))? {
                Content::Request(request) => Self::Request(HistoryRequest {
                    pin: request.pin,
                    server_url: request.server_url,
                    options: request.options.as_ref().map(ArchiveOptions::from_proto),
                }),
                Content::Acknowledge(acknowledge) => Self::Acknowledge {
                    request_id: acknowledge.request_id,
                },
                Content::Reply(reply) => Self::Reply(HistoryReply {
                    request_id: reply.request_id,
                    url: reply.url,
                    key: key_from_proto(reply.encryption_key)?,
                    metadata: reply.metadata.as_ref().map(ArchiveMetadata::from_proto),
                    kind: reply.kind,
                }),
                Content::PreferenceUpdates(updates) => Self::PreferenceUpdates(
                    updates
                        .updates
                        .iter()
                        .filter_map(update_from_proto)
                        .collect(),
                ),
            },
        )
    }
}

fn key_to_proto(key: &ArchiveKey) -> proto::DeviceSyncKeyType {
    let bytes = key.as_bytes().to_vec().into();
    proto::DeviceSyncKeyType {
        key: Some(proto::device_sync_key_type::Key::Aes256Gcm(bytes)),
    }
}

fn key_from_proto(
    key: Option<proto::DeviceSyncKeyType>,
) -> Result<Option<ArchiveKey>, DecodeError> {
    let Some(proto::device_sync_key_type::Key::Aes256Gcm(bytes)) = key.and_then(|key| key.key)
    else {
        return Ok(None);
    };
    let key = ArchiveKey::try_from(&bytes[..]).map_err(|_| DecodeError::Field {
        field: "encryption_key.aes_256_gcm",
        expected: "32 bytes",
    })?;
    Ok(Some(key))
}

fn update_to_proto(update: &PreferenceUpdate) -> proto::PreferenceUpdate {
    use proto::preference_update::Update;
    let update = match update {
        PreferenceUpdate::Consent(record) => Update::Consent(record.to_proto()),
        PreferenceUpdate::Hmac(update) => Update::Hmac(proto::HmacKeyUpdate {
            key: update.key.as_bytes().to_vec().into(),
            cycled_at_ns: update.cycled_at_ns,
        }),
    };
    proto::PreferenceUpdate {
        update: Some(update),
    }
}

fn update_from_proto(update: &proto::PreferenceUpdate) -> Option<PreferenceUpdate> {
    use proto::preference_update::Update;
    match update.update.as_ref()? {
        Update::Consent(save) => {
            let record = ConsentRecord::from_proto(save).ok()?;
            Some(PreferenceUpdate::Consent(record))
        }
        Update::Hmac(hmac) => Some(PreferenceUpdate::Hmac(HmacKeyUpdate {
            key: PushRootKey::try_from(&hmac.key[..]).ok()?,
            cycled_at_ns: hmac.cycled_at_ns,
        })),
    }
}

const PIN_LETTERS: usize = 5;

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// How often a message in the sync group is tried before it is given up.
pub const SYNC_ATTEMPTS: u32 = 3;

/// How often sync groups are looked at when nothing happens.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::{ConsentEntity, ConsentState, archive::ArchiveSelection, content::Content};

    fn hmac(byte: u8, cycled_at_ns: i64) -> HmacKeyUpdate {
        HmacKeyUpdate {
            key: PushRootKey::from_bytes([byte; 42]),
            cycled_at_ns,
        }
    }

    #[test]
    fn what_one_installation_tells_another_hears() {
        let options = ArchiveOptions {
            elements: vec![ArchiveSelection::Messages, ArchiveSelection::Consent],
            start_ns: Some(5),
            end_ns: None,
            exclude_disappearing_messages: true,
        };
        let consent = ConsentRecord {
            entity: ConsentEntity::Conversation(vec![9; 16].try_into().unwrap()),
            state: ConsentState::Denied,
            consented_at_ns: 77,
        };
        let pin = history_pin(&mut StdRng::seed_from_u64(4));
        assert_eq!(pin.len(), 5);
        let reply = HistoryReply {
            request_id: pin.clone(),
            url: "http://localhost:5558/files/1".to_owned(),
            key: Some(ArchiveKey::from_bytes([3; 32])),
            metadata: Some(ArchiveMetadata {
                elements: vec![ArchiveSelection::Messages],
                exported_at_ns: 8,
                start_ns: None,
                end_ns: Some(9),
            }),
            kind: 0,
        };
        assert!(reply.answers(["other", &pin].into_iter()));
        assert!(!reply.answers(["other"].into_iter()));
        for told in [
            DeviceSyncContent::Request(HistoryRequest {
                pin,
                server_url: "http://localhost:5558".to_owned(),
                options: Some(options),
            }),
            DeviceSyncContent::Acknowledge {
                request_id: "abcde".to_owned(),
            },
            DeviceSyncContent::Reply(reply),
            DeviceSyncContent::PreferenceUpdates(vec![
                PreferenceUpdate::Consent(consent),
                PreferenceUpdate::Hmac(hmac(1, 2)),
            ]),
        ] {
            let heard = Content::decode(&told.encode().unwrap());
            assert_eq!(heard, Content::DeviceSync(told));
        }
    }

    #[test]
    fn updates_that_are_not_understood_are_left_out() {
        let short = proto::PreferenceUpdate {
            update: Some(proto::preference_update::Update::Hmac(
                proto::HmacKeyUpdate {
                    key: Bytes::from_static(&[1; 41]),
                    cycled_at_ns: 1,
                },
            )),
        };
        let good = update_to_proto(&PreferenceUpdate::Hmac(hmac(1, 1)));
        let message = proto::DeviceSyncContent {
            content: Some(proto::device_sync_content::Content::PreferenceUpdates(
                proto::PreferenceUpdates {
                    updates: vec![short, proto::PreferenceUpdate::default(), good],
                },
            )),
        };
        let parts = Parts::of(DeviceSyncContent::TYPE).content(message.encode_to_vec());
        let heard = DeviceSyncContent::from_parts(&parts);
        let one = vec![PreferenceUpdate::Hmac(hmac(1, 1))];
        assert_eq!(heard, Ok(DeviceSyncContent::PreferenceUpdates(one)));
    }

    #[test]
    fn an_older_root_key_does_not_come_back() {
        let stored = hmac(1, 10);
        assert_eq!(hmac(2, 9).merge(Some(&stored)), None);
        assert_eq!(hmac(1, 10).merge(Some(&stored)), None);
        assert_eq!(hmac(2, 10).merge(Some(&stored)), Some(hmac(2, 10)));
        assert_eq!(hmac(2, 11).merge(Some(&stored)), Some(hmac(2, 11)));
        assert_eq!(hmac(2, -1).merge(None), Some(hmac(2, -1)));
    }
}

//! What is inside an originator's envelope.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use folkmoot_wire::{
    GroupId, InboxId, InstallationKey, Topic, TopicKind,
    proto::xmtp::{
        mls::api::v1 as mls,
        xmtpv4::envelopes::{
            ClientEnvelope, OriginatorEnvelope, PayerEnvelope, UnsignedOriginatorEnvelope,
            client_envelope::Payload,
        },
    },
};
use prost::Message;

use crate::network::{
    Cursor, GroupEnvelope, IdentityEntry, Welcome, WelcomeContent, WelcomeEnvelope,
    v3::{Wrong, is_commit},
};

/// An envelope without its wrappings. Their signatures are the network's own affair: what is inside
/// proves itself, or is refused by whoever reads it.
#[derive(Debug)]
pub(in crate::network) struct Opened {
    pub(super) originator: u32,
    pub(super) sequence: u64,
    /// Unix time in nanoseconds.
    pub(super) created_ns: u64,
    /// Bytes of the whole envelope.
    pub(super) bytes: usize,
    /// `None` when it cannot be read: it has a place in the log all the same.
    inside: Option<Inside>,
}

/// What a client put together.
#[derive(Debug)]
struct Inside {
    topic: Topic,
    depends_on: Cursor,
    /// `None` when it is missing or of a kind that is not known here.
    payload: Option<Payload>,
}

impl Inside {
    fn read(payer_envelope: Bytes) -> Result<Self, Wrong> {
        let paid = PayerEnvelope::decode(payer_envelope)
            .map_err(|cause| Wrong::new("payer_envelope_bytes", cause))?;
        let inner = ClientEnvelope::decode(paid.unsigned_client_envelope)
            .map_err(|cause| Wrong::new("unsigned_client_envelope", cause))?;
        let aad = inner
            .aad
            .ok_or_else(|| Wrong::new("aad", "it is missing"))?;
        Ok(Self {
            topic: Topic::parse(aad.target_topic)
                .map_err(|cause| Wrong::new("target_topic", cause))?,
            depends_on: aad.depends_on.map(Into::into).unwrap_or_default(),
            payload: inner.payload,
        })
    }
}

impl Opened {
    /// Takes off the wrappings. Only the outermost, which says where the envelope stands, must be
    /// readable.
    pub(in crate::network) fn open(envelope: OriginatorEnvelope) -> Result<Self, Wrong> {
        let bytes = envelope.unsigned_originator_envelope.len();
        let numbered = UnsignedOriginatorEnvelope::decode(envelope.unsigned_originator_envelope)
            .map_err(|cause| Wrong::new("unsigned_originator_envelope", cause))?;
        let (originator, sequence) = (numbered.originator_node_id, numbered.originator_sequence_id);
        let inside = Inside::read(numbered.payer_envelope_bytes);
        let inside = inside.inspect_err(|wrong| {
            let Wrong { field, cause } = wrong;
            tracing::debug!(
                originator,
                sequence,
                field,
                cause,
                "an envelope cannot be read"
            );
        });
        Ok(Self {
            originator,
            sequence,
            created_ns: u64::try_from(numbered.originator_ns).unwrap_or(0),
            bytes,
            inside: inside.ok(),
        })
    }

    /// Whether it holds a group message.
    pub(super) const fn is_group_message(&self) -> bool {
        matches!(
            &self.inside,
            Some(Inside {
                payload: Some(Payload::GroupMessage(_)),
                ..
            })
        )
    }

    /// The group message. What is none of `group`, whose log it is in, has no content: readers pass
    /// it like any other that they cannot read.
    pub(super) fn group_envelope_of(self, group: &GroupId) -> GroupEnvelope {
        let empty = GroupEnvelope {
            group_id: group.clone(),
            originator: self.originator,
            sequence: self.sequence,
            created_ns: self.created_ns,
            is_commit: false,
            data: Bytes::new(),
            sender_hmac: Bytes::new(),
            should_push: false,
            depends_on: Cursor::new(),
        };
        let envelope = self.group_envelope();
        envelope
            .filter(|envelope| envelope.group_id == *group)
            .unwrap_or(empty)
    }

    /// The group message, if it is one.
    pub(in crate::network) fn group_envelope(self) -> Option<GroupEnvelope> {
        let inside = self.inside?;
        let Some(Payload::GroupMessage(message)) = inside.payload else {
            return None;
        };
        let mls::group_message_input::Version::V1(message) = message.version?;
        if inside.topic.kind() != TopicKind::GroupMessages {
            return None;
        }
        Some(GroupEnvelope {
            group_id: GroupId::try_from(inside.topic.identifier()).ok()?,
            originator: self.originator,
            sequence: self.sequence,
            created_ns: self.created_ns,
            is_commit: is_commit(&message.data).unwrap_or(false),
            data: message.data,
            sender_hmac: message.sender_hmac,
            should_push: message.should_push,
            depends_on: inside.depends_on,
        })
    }

    /// The welcome. What is none to `destination`, whose log it is in, has no content: nobody can
    /// open it.
    pub(super) fn welcome_envelope_to(self, destination: &InstallationKey) -> WelcomeEnvelope {
        let empty = WelcomeEnvelope {
            originator: self.originator,
            sequence: self.sequence,
            created_ns: self.created_ns,
            welcome: Welcome {
                destination: *destination,
                content: WelcomeContent::Welcome {
                    data: Bytes::new(),
                    hpke_public_key: Bytes::new(),
                    wrapper_algorithm: 0,
                    metadata: Bytes::new(),
                },
            },
        };
        let envelope = self.welcome_envelope();
        envelope
            .filter(|envelope| envelope.welcome.destination == *destination)
            .unwrap_or(empty)
    }

    /// The welcome, if it is one.
    pub(in crate::network) fn welcome_envelope(self) -> Option<WelcomeEnvelope> {
        use mls::welcome_message_input::Version;
        let inside = self.inside?;
        let Some(Payload::WelcomeMessage(message)) = inside.payload else {
            return None;
        };
        if inside.topic.kind() != TopicKind::WelcomeMessages {
            return None;
        }
        let content = match message.version? {
            Version::V1(one) => WelcomeContent::Welcome {
                data: one.data,
                hpke_public_key: one.hpke_public_key,
                wrapper_algorithm: one.wrapper_algorithm,
                metadata: one.welcome_metadata,
            },
            Version::WelcomePointer(one) => WelcomeContent::Pointer {
                data: one.welcome_pointer,
                hpke_public_key: one.hpke_public_key,
                wrapper_algorithm: one.wrapper_algorithm,
            },
        };
        Some(WelcomeEnvelope {
            originator: self.originator,
            sequence: self.sequence,
            created_ns: self.created_ns,
            welcome: Welcome {
                destination: InstallationKey::try_from(inside.topic.identifier()).ok()?,
                content,
            },
        })
    }

    /// The identity update and its inbox, if it stands in the log of one. What is none there has no
    /// content, so that the log is seen to be broken.
    pub(super) fn identity_entry(self) -> Option<(InboxId, IdentityEntry)> {
        let inside = self.inside?;
        if inside.topic.kind() != TopicKind::IdentityUpdates {
            return None;
        }
        let entry = IdentityEntry {
            sequence: self.sequence,
            created_ns: self.created_ns,
            update: match inside.payload {
                Some(Payload::IdentityUpdate(update)) => update,
                _ => Bytes::new(),
            },
        };
        Some((InboxId::try_from(inside.topic.identifier()).ok()?, entry))
    }

    /// The key package, if it is one.
    pub(super) fn key_package(self) -> Option<Bytes> {
        let Some(Payload::UploadKeyPackage(upload)) = self.inside?.payload else {
            return None;
        };
        let package = upload.key_package?.key_package_tls_serialized;
        Some(package).filter(|bytes| !bytes.is_empty())
    }
}

/// Sorts messages of one group: each originator's keep their order, none comes before what it
/// depends on, and otherwise the earlier comes first. Dependencies that are not here hold nobody up.
pub(super) fn in_causal_order(envelopes: Vec<GroupEnvelope>, seen: &Cursor) -> Vec<GroupEnvelope> {
    let count = envelopes.len();
    let mut here = Cursor::new();
    let mut queues: BTreeMap<u32, VecDeque<GroupEnvelope>> = BTreeMap::new();
    for one in envelopes {
        here.advance(one.originator, one.sequence);
        queues.entry(one.originator).or_default().push_back(one);
    }
    let mut seen = seen.clone();
    let mut sorted = Vec::with_capacity(count);
    while sorted.len() < count {
        let is_ready = |one: &GroupEnvelope| {
            one.depends_on.iter().all(|(originator, sequence)| {
                sequence <= seen.last_seen(originator) || sequence > here.last_seen(originator)
            })
        };
        let heads = queues.iter();
        let heads = heads.filter_map(|(id, queue)| Some((id, queue.front()?)));
        let heads: Vec<_> = heads
            .map(|(id, head)| (!is_ready(head), head.created_ns, *id))
            .collect();
        // In a circle of dependencies nobody is ready; the earliest goes first then.
        let Some((_, _, originator)) = heads.into_iter().min() else {
            break;
        };
        if let Some(next) = queues.get_mut(&originator).and_then(VecDeque::pop_front) {
            seen.advance(next.originator, next.sequence);
            sorted.push(next);
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use folkmoot_wire::proto::xmtp::xmtpv4::envelopes::AuthenticatedData;

    use super::*;

    fn message(originator: u32, sequence: u64, time: u64, after: &[(u32, u64)]) -> GroupEnvelope {
        GroupEnvelope {
            group_id: GroupId::try_from(vec![1; 16]).unwrap(),
            originator,
            sequence,
            created_ns: time,
            data: Bytes::new(),
            sender_hmac: Bytes::new(),
            should_push: false,
            is_commit: originator == 0,
            depends_on: after.iter().copied().collect(),
        }
    }

    fn wrapped(payer_envelope: Vec<u8>) -> OriginatorEnvelope {
        let numbered = UnsignedOriginatorEnvelope {
            originator_node_id: 100,
            originator_sequence_id: 7,
            payer_envelope_bytes: payer_envelope.into(),
            ..Default::default()
        };
        OriginatorEnvelope {
            unsigned_originator_envelope: numbered.encode_to_vec().into(),
            ..Default::default()
        }
    }

    #[test]
    fn what_cannot_be_read_keeps_its_place_in_the_log() {
        let group = GroupId::try_from(vec![1; 16]).unwrap();
        let nobody = InboxId::from_bytes([2; 32]);
        let to = InstallationKey::from_bytes([3; 32]);
        let open = |bytes: &[u8]| Opened::open(wrapped(bytes.to_vec())).unwrap();
        let junk = || open(b"junk");
        let read = junk().group_envelope_of(&group);
        assert_eq!((read.originator, read.sequence), (100, 7));
        assert!(read.data.is_empty() && read.group_id == group);
        assert_eq!(junk().welcome_envelope_to(&to).sequence, 7);
        assert!(junk().identity_entry().is_none() && junk().key_package().is_none());

        // A payload of a kind that is not known here, in the log of an inbox.
        let inner = ClientEnvelope {
            aad: Some(AuthenticatedData {
                target_topic: Topic::identity(&nobody).as_bytes().clone(),
                depends_on: None,
            }),
            payload: None,
        };
        let paid = PayerEnvelope {
            unsigned_client_envelope: inner.encode_to_vec().into(),
            ..Default::default()
        };
        let (inbox, entry) = open(&paid.encode_to_vec()).identity_entry().unwrap();
        assert_eq!((inbox, entry.sequence), (nobody, 7));
        assert!(entry.update.is_empty());
        let bad = OriginatorEnvelope {
            unsigned_originator_envelope: Bytes::from_static(b"junk"),
            ..Default::default()
        };
        assert!(Opened::open(bad).is_err());
    }

    fn order(envelopes: Vec<GroupEnvelope>, seen: &[(u32, u64)]) -> Vec<(u32, u64)> {
        let seen = seen.iter().copied().collect();
        let sorted = in_causal_order(envelopes, &seen);
        sorted
            .iter()
            .map(|one| (one.originator, one.sequence))
            .collect()
    }

    #[test]
    fn messages_stand_between_the_commits_around_them() {
        let envelopes = vec![
            message(0, 1, 10, &[]),
            message(0, 5, 50, &[]),
            message(100, 3, 30, &[(0, 1)]),
            message(100, 6, 40, &[(0, 5)]),
        ];
        assert_eq!(
            order(envelopes, &[]),
            [(0, 1), (100, 3), (0, 5), (100, 6)],
            "the last one has an early clock, but depends on the second commit"
        );
    }

    #[test]
    fn what_was_seen_or_never_comes_holds_nobody_up() {
        let envelopes = vec![
            message(100, 3, 30, &[(0, 1)]),
            message(100, 4, 40, &[(0, 9)]),
            message(200, 4, 20, &[(100, 4)]),
        ];
        assert_eq!(order(envelopes, &[(0, 1)]), [(100, 3), (100, 4), (200, 4)]);
    }

    #[test]
    fn circles_end() {
        let envelopes = vec![
            message(100, 1, 30, &[(200, 1)]),
            message(200, 1, 20, &[(100, 1)]),
        ];
        assert_eq!(order(envelopes, &[]), [(200, 1), (100, 1)]);
    }
}

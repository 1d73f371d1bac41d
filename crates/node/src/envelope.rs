//! Envelopes in the two spellings: what the log holds, as v3 and as d14n clients read it.
//!
//! The log keeps what was published, byte for byte. A v3 reader of a d14n envelope gets its
//! parts; a d14n reader of a v3 message gets a client envelope that is made here, always the
//! same for the same message, so that its signature can be made at any time.

use bytes::Bytes;
use folkmoot_store::{Envelope, Form};
use folkmoot_wire::{
    COMMIT_ORIGINATOR, IDENTITY_ORIGINATOR, TopicKind, VectorClock,
    proto::xmtp::{
        mls::api::v1::{
            GroupMessage, GroupMessageInput, KeyPackageUpload, UploadKeyPackageRequest,
            WelcomeMessage, WelcomeMessageInput, WelcomeWrapperAlgorithm, group_message,
            group_message_input, welcome_message, welcome_message_input,
        },
        xmtpv4::envelopes::{
            AuthenticatedData, ClientEnvelope, PayerEnvelope, client_envelope::Payload,
        },
    },
};
use prost::Message;

use crate::NodeError;

/// A group message as v3 clients read it.
pub(crate) fn group_message(envelope: &Envelope) -> Result<GroupMessage, NodeError> {
    let (data, sender_hmac) = match envelope.form {
        Form::V3 => (envelope.payload.clone(), envelope.sender_hmac.clone()),
        Form::Client | Form::Payer => match client_payload(envelope)? {
            Payload::GroupMessage(GroupMessageInput {
                version: Some(group_message_input::Version::V1(message)),
            }) => (message.data, message.sender_hmac),
            _ => return Err(NodeError::Stored(envelope.id)),
        },
    };
    Ok(GroupMessage {
        version: Some(group_message::Version::V1(group_message::V1 {
            id: envelope.id,
            created_ns: envelope.time_ns,
            group_id: group_id(envelope),
            data,
            sender_hmac,
            should_push: envelope.should_push,
            is_commit: envelope.is_commit,
        })),
    })
}

/// What v3 clients learn of a group message without its content.
pub(crate) fn group_message_metadata(envelope: &Envelope) -> GroupMessage {
    GroupMessage {
        version: Some(group_message::Version::V1(group_message::V1 {
            id: envelope.id,
            created_ns: envelope.time_ns,
            group_id: group_id(envelope),
            is_commit: envelope.is_commit,
            ..group_message::V1::default()
        })),
    }
}

/// A welcome, or a pointer to one, as v3 clients read it.
pub(crate) fn welcome_message(envelope: &Envelope) -> Result<WelcomeMessage, NodeError> {
    let input = match envelope.form {
        Form::V3 => WelcomeMessageInput::decode(envelope.payload.clone())
            .map_err(|_| NodeError::Stored(envelope.id))?,
        Form::Client | Form::Payer => match client_payload(envelope)? {
            Payload::WelcomeMessage(input) => input,
            _ => return Err(NodeError::Stored(envelope.id)),
        },
    };
    let version = match input.version {
        Some(welcome_message_input::Version::V1(welcome)) => {
            welcome_message::Version::V1(welcome_message::V1 {
                id: envelope.id,
                created_ns: envelope.time_ns,
                installation_key: welcome.installation_key,
                data: welcome.data,
                hpke_public_key: welcome.hpke_public_key,
                wrapper_algorithm: known_algorithm(welcome.wrapper_algorithm) as i32,
                welcome_metadata: welcome.welcome_metadata,
            })
        }
        Some(welcome_message_input::Version::WelcomePointer(pointer)) => {
            welcome_message::Version::WelcomePointer(welcome_message::WelcomePointer {
                id: envelope.id,
                created_ns: envelope.time_ns,
                installation_key: pointer.installation_key,
                welcome_pointer: pointer.welcome_pointer,
                hpke_public_key: pointer.hpke_public_key,
                wrapper_algorithm: pointer.wrapper_algorithm,
            })
        }
        None => return Err(NodeError::Stored(envelope.id)),
    };
    Ok(WelcomeMessage {
        version: Some(version),
    })
}

/// The encoded identity update that an envelope of an identity topic carries.
pub(crate) fn identity_update(envelope: &Envelope) -> Result<Bytes, NodeError> {
    match envelope.form {
        Form::V3 => Ok(envelope.payload.clone()),
        Form::Client | Form::Payer => match client_payload(envelope)? {
            Payload::IdentityUpdate(update) => Ok(update),
            _ => Err(NodeError::Stored(envelope.id)),
        },
    }
}

/// The TLS-encoded key package that an envelope of a key package topic carries.
pub(crate) fn key_package(envelope: &Envelope) -> Result<Bytes, NodeError> {
    match envelope.form {
        Form::V3 => Ok(envelope.payload.clone()),
        Form::Client | Form::Payer => match client_payload(envelope)? {
            Payload::UploadKeyPackage(UploadKeyPackageRequest {
                key_package: Some(package),
                ..
            }) => Ok(package.key_package_tls_serialized),
            _ => Err(NodeError::Stored(envelope.id)),
        },
    }
}

/// The encoded `ClientEnvelope`: as it was published, or made from a v3 message.
pub(crate) fn client_envelope(envelope: &Envelope) -> Result<Bytes, NodeError> {
    match envelope.form {
        Form::Client => Ok(envelope.payload.clone()),
        Form::Payer => payer_envelope(envelope).map(|payer| payer.unsigned_client_envelope),
        Form::V3 => wrap(envelope).map(|wrapped| wrapped.encode_to_vec().into()),
    }
}

/// The `PayerEnvelope` that an envelope in payer form was published in.
pub(crate) fn payer_envelope(envelope: &Envelope) -> Result<PayerEnvelope, NodeError> {
    PayerEnvelope::decode(envelope.payload.clone()).map_err(|_| NodeError::Stored(envelope.id))
}

/// Whether the d14n network would find this envelope on the chain rather than with a node.
pub(crate) const fn is_of_chain(originator: u32) -> bool {
    originator == COMMIT_ORIGINATOR || originator == IDENTITY_ORIGINATOR
}

fn client_payload(envelope: &Envelope) -> Result<Payload, NodeError> {
    ClientEnvelope::decode(client_envelope(envelope)?)
        .ok()
        .and_then(|client| client.payload)
        .ok_or(NodeError::Stored(envelope.id))
}

fn wrap(envelope: &Envelope) -> Result<ClientEnvelope, NodeError> {
    let payload = match envelope.topic.kind() {
        TopicKind::GroupMessages => Payload::GroupMessage(GroupMessageInput {
            version: Some(group_message_input::Version::V1(group_message_input::V1 {
                data: envelope.payload.clone(),
                sender_hmac: envelope.sender_hmac.clone(),
                should_push: envelope.should_push,
            })),
        }),
        TopicKind::WelcomeMessages => Payload::WelcomeMessage(
            WelcomeMessageInput::decode(envelope.payload.clone())
                .map_err(|_| NodeError::Stored(envelope.id))?,
        ),
        TopicKind::IdentityUpdates => Payload::IdentityUpdate(envelope.payload.clone()),
        TopicKind::KeyPackages => Payload::UploadKeyPackage(UploadKeyPackageRequest {
            key_package: Some(KeyPackageUpload {
                key_package_tls_serialized: envelope.payload.clone(),
            }),
            is_inbox_id_credential: true,
        }),
        TopicKind::PayerReports | TopicKind::PayerReportAttestations => {
            return Err(NodeError::Stored(envelope.id));
        }
    };
    // A v3 sender had read every commit before it sealed its message, so the message depends
    // on the newest one; clients hold it back until they have that commit.
    let depends_on = (envelope.topic.kind() == TopicKind::GroupMessages
        && envelope.previous_commit > 0)
        .then(|| VectorClock::from_iter([(COMMIT_ORIGINATOR, envelope.previous_commit)]));
    Ok(ClientEnvelope {
        aad: Some(AuthenticatedData {
            target_topic: envelope.topic.as_bytes().clone(),
            depends_on: depends_on.as_ref().map(Into::into),
        }),
        payload: Some(payload),
    })
}

fn group_id(envelope: &Envelope) -> Bytes {
    envelope.topic.as_bytes().slice(1..)
}

/// Clients take an algorithm that they do not know for Curve25519; say so outright.
fn known_algorithm(algorithm: i32) -> WelcomeWrapperAlgorithm {
    match WelcomeWrapperAlgorithm::try_from(algorithm) {
        Ok(WelcomeWrapperAlgorithm::Unspecified) | Err(_) => WelcomeWrapperAlgorithm::Curve25519,
        Ok(known) => known,
    }
}

#[cfg(test)]
mod tests {
    use folkmoot_wire::Topic;

    use super::*;

    fn v3(kind: TopicKind, payload: Bytes) -> Envelope {
        Envelope {
            id: 40960,
            originator: 100,
            sequence: 40960,
            topic: Topic::new(kind, &[9; 16]).unwrap(),
            time_ns: 7,
            form: Form::V3,
            payload,
            sender_hmac: Bytes::from_static(b"hmac"),
            should_push: true,
            is_commit: false,
            previous_commit: 8192,
        }
    }

    fn as_client(envelope: &Envelope) -> Envelope {
        Envelope {
            form: Form::Client,
            payload: client_envelope(envelope).unwrap(),
            sender_hmac: Bytes::new(),
            ..envelope.clone()
        }
    }

    #[test]
    fn both_forms_of_a_group_message_read_the_same_in_v3() {
        let envelope = v3(TopicKind::GroupMessages, Bytes::from_static(b"mls"));
        let read = group_message(&envelope).unwrap();
        assert_eq!(read, group_message(&as_client(&envelope)).unwrap());
        let Some(group_message::Version::V1(message)) = read.version else {
            panic!("the version is set");
        };
        assert_eq!(message.data, "mls");
        assert_eq!(message.sender_hmac, "hmac");
    }

    #[test]
    fn a_wrapped_group_message_depends_on_the_newest_commit() {
        let envelope = v3(TopicKind::GroupMessages, Bytes::from_static(b"mls"));
        let client = ClientEnvelope::decode(client_envelope(&envelope).unwrap()).unwrap();
        let aad = client.aad.unwrap();
        assert_eq!(aad.target_topic, envelope.topic.as_bytes());
        assert_eq!(aad.depends_on.unwrap().node_id_to_sequence_id[&0], 8192);
    }

    #[test]
    fn identity_updates_and_key_packages_survive_wrapping() {
        let update = v3(TopicKind::IdentityUpdates, Bytes::from_static(b"\x10\x07"));
        assert_eq!(
            identity_update(&as_client(&update)).unwrap(),
            update.payload
        );
        let package = v3(TopicKind::KeyPackages, Bytes::from_static(b"tls"));
        assert_eq!(key_package(&as_client(&package)).unwrap(), package.payload);
    }

    #[test]
    fn an_unknown_welcome_algorithm_reads_as_curve25519() {
        let input = WelcomeMessageInput {
            version: Some(welcome_message_input::Version::V1(
                welcome_message_input::V1 {
                    wrapper_algorithm: 77,
                    ..welcome_message_input::V1::default()
                },
            )),
        };
        let envelope = v3(TopicKind::WelcomeMessages, input.encode_to_vec().into());
        let Some(welcome_message::Version::V1(welcome)) =
            welcome_message(&envelope).unwrap().version
        else {
            panic!("the version is set");
        };
        assert_eq!(
            welcome.wrapper_algorithm(),
            WelcomeWrapperAlgorithm::Curve25519
        );
    }
}

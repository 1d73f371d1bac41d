//! The d14n services, under their old and new names.

use bytes::Bytes;
use folkmoot_testkit::{
    Person,
    mls::{commits, input, says, welcomes},
};
use folkmoot_wire::proto::xmtp::{
    identity::associations::RecoverableEcdsaSignature,
    mls::api::v1::{GroupMessageInput, KeyPackageUpload, UploadKeyPackageRequest},
    xmtpv4::{
        envelopes::{
            AuthenticatedData, ClientEnvelope, Cursor, PayerEnvelope, PayerReport,
            PayerReportAttestation, client_envelope::Payload,
        },
        message_api::{
            EnvelopesQuery, GetInboxIdsRequest, GetNewestEnvelopeRequest,
            PublishPayerEnvelopesRequest, QueryEnvelopesRequest, SubscribeAllEnvelopesRequest,
            SubscribeEnvelopesRequest, SubscribeOriginatorsRequest, SubscribeTopicsRequest,
            get_inbox_ids_request, subscribe_originators_request::OriginatorFilter,
            subscribe_topics_request::TopicFilter,
        },
        metadata_api::{GetPayerInfoRequest, GetSyncCursorRequest, GetVersionRequest},
        payer_api::{GetNodesRequest, PublishClientEnvelopesRequest},
    },
};
use k256::ecdsa::SigningKey;
use prost::Message;
use sha3::{Digest, Keccak256};
use tonic::Code;

use crate::{
    harness::{Case, Method, bad},
    identity::broken_updates,
    mls::{GROUP, broken_group_messages, broken_key_packages, broken_welcomes},
};

const KEY: [u8; 32] = [0xee; 32];

fn topic(kind: u8, identifier: &[u8]) -> Bytes {
    [&[kind], identifier].concat().into()
}

fn cursor(seen: &[(u32, u64)]) -> Option<Cursor> {
    Some(Cursor {
        node_id_to_sequence_id: seen.iter().copied().collect(),
    })
}

fn envelope(target_topic: Bytes, payload: Payload) -> ClientEnvelope {
    ClientEnvelope {
        aad: Some(AuthenticatedData {
            target_topic,
            depends_on: None,
        }),
        payload: Some(payload),
    }
}

fn message(input: GroupMessageInput) -> ClientEnvelope {
    envelope(topic(0, &GROUP), Payload::GroupMessage(input))
}

fn depending_on(seen: &[(u32, u64)]) -> ClientEnvelope {
    let mut envelope = message(says(&GROUP, "x"));
    envelope.aad.as_mut().unwrap().depends_on = cursor(seen);
    envelope
}

fn uploads(package: impl Into<Bytes>) -> Payload {
    let upload = KeyPackageUpload {
        key_package_tls_serialized: package.into(),
    };
    Payload::UploadKeyPackage(UploadKeyPackageRequest {
        key_package: Some(upload),
        is_inbox_id_credential: true,
    })
}

/// Broken client envelopes, and what is said of each.
fn broken_envelopes() -> Vec<(String, ClientEnvelope, String)> {
    let person = Person::new(1);
    let other = Person::new(2);
    let inbox = topic(2, person.inbox.as_bytes());
    let clock: Vec<_> = (0..101).map(|originator| (originator, 1)).collect();
    let sound = || message(says(&GROUP, "x"));
    let to = |topic: Bytes| ClientEnvelope {
        aad: Some(AuthenticatedData {
            target_topic: topic,
            depends_on: None,
        }),
        ..sound()
    };
    let registration = || Payload::IdentityUpdate(person.registration());
    let cases = [
        (
            "no data around it",
            ClientEnvelope {
                aad: None,
                ..sound()
            },
            "aad: is missing",
        ),
        (
            "no payload",
            ClientEnvelope {
                payload: None,
                ..sound()
            },
            "payload: is missing",
        ),
        (
            "no topic",
            to(Bytes::new()),
            "aad.target_topic: a topic has 2 to 128 bytes, not 0",
        ),
        (
            "a topic of 129 bytes",
            to(topic(0, &[7; 128])),
            "aad.target_topic: a topic has 2 to 128 bytes, not 129",
        ),
        (
            "kind 9",
            to(topic(9, &GROUP)),
            "aad.target_topic: topic kind 9 is unknown",
        ),
        (
            "another kind's topic",
            to(topic(1, &GROUP)),
            "aad.target_topic: is of kind 1; the payload is group_message",
        ),
        (
            "another group's topic",
            to(topic(0, &[9; 16])),
            "aad.target_topic: is not the topic of the payload",
        ),
        (
            "a message without version",
            message(GroupMessageInput { version: None }),
            "group_message.v1: is missing",
        ),
        (
            "a group of 17 bytes for a commit",
            envelope(
                topic(0, &[7; 17]),
                Payload::GroupMessage(commits(&[7; 17], 1, "c")),
            ),
            "aad.target_topic: has an identifier of 17 bytes; here it has 16",
        ),
        (
            "a dependency on a node",
            depending_on(&[(100, 1)]),
            "aad.depends_on: names node 100",
        ),
        (
            "a dependency on what is not here",
            depending_on(&[(0, 4096)]),
            "aad.depends_on: names sequence 4096 of originator 0",
        ),
        (
            "a dependency of 101 entries",
            depending_on(&clock),
            "aad.depends_on: has 101 entries; the most is 100",
        ),
        (
            "a dependency out of range",
            depending_on(&[(0, u64::MAX)]),
            "aad.depends_on: has",
        ),
        (
            "a welcome on another topic",
            envelope(
                topic(1, &[9; 32]),
                Payload::WelcomeMessage(welcomes(&KEY, "x")),
            ),
            "aad.target_topic: is not the topic of the payload",
        ),
        (
            "no key package",
            envelope(
                topic(3, &KEY),
                Payload::UploadKeyPackage(UploadKeyPackageRequest::default()),
            ),
            "upload_key_package.key_package: is missing",
        ),
        (
            "somebody else's key package",
            envelope(topic(3, &KEY), uploads(person.key_package())),
            "aad.target_topic: is not the topic of the payload",
        ),
        (
            "a short inbox topic",
            envelope(topic(2, &KEY[1..]), registration()),
            "aad.target_topic: has an identifier of 31 bytes; here it has 32",
        ),
        (
            "another inbox's topic",
            envelope(topic(2, other.inbox.as_bytes()), registration()),
            "aad.target_topic: is not the topic of inbox",
        ),
        (
            "a revocation of nothing",
            envelope(inbox, Payload::IdentityUpdate(person.revocation())),
            "XID not yet created",
        ),
        (
            "a payer report",
            envelope(
                topic(4, &[1; 4]),
                Payload::PayerReport(PayerReport::default()),
            ),
            "payload: is a payer report",
        ),
        (
            "an attestation",
            envelope(
                topic(5, &[1; 4]),
                Payload::PayerReportAttestation(PayerReportAttestation::default()),
            ),
            "payload: is a payer report or its attestation",
        ),
    ];
    let own =
        |(name, envelope, says): (&str, _, &str)| (name.to_owned(), envelope, says.to_owned());
    let mut all: Vec<_> = cases.map(own).into();
    all.extend(broken_group_messages().into_iter().map(|(name, data, _)| {
        (
            format!("a message: {name}"),
            message(input(data)),
            "group_message.v1.data".to_owned(),
        )
    }));
    all.extend(broken_welcomes().into_iter().map(|(name, input, says)| {
        let envelope = envelope(topic(1, &KEY), Payload::WelcomeMessage(input));
        (
            format!("a welcome: {name}"),
            envelope,
            format!("welcome_message.{says}"),
        )
    }));
    all.extend(
        broken_key_packages()
            .into_iter()
            .map(|(name, package, says)| {
                let envelope = envelope(topic(3, &KEY), uploads(package));
                (format!("a key package: {name}"), envelope, says.to_owned())
            }),
    );
    all
}

fn publishes(envelopes: &[ClientEnvelope]) -> PublishClientEnvelopesRequest {
    PublishClientEnvelopesRequest {
        envelopes: envelopes
            .iter()
            .map(|it| it.encode_to_vec().into())
            .collect(),
    }
}

pub(crate) fn publish_client_envelopes() -> Method {
    let person = Person::new(1);
    let inbox = topic(2, person.inbox.as_bytes());
    let mut cases: Vec<_> = broken_envelopes()
        .into_iter()
        .map(|(name, envelope, says)| {
            bad(&name, publishes(&[envelope]), "envelopes[0].").also(&says)
        })
        .collect();
    cases.extend(broken_updates().into_iter().map(|(name, update, _)| {
        let envelope = envelope(inbox.clone(), Payload::IdentityUpdate(update.into()));
        let name = format!("an update: {name}");
        bad(&name, publishes(&[envelope]), "envelopes[0].")
    }));
    let noise = PublishClientEnvelopesRequest {
        envelopes: vec![Bytes::from_static(&[0xff; 9])],
    };
    let registration = envelope(inbox, Payload::IdentityUpdate(person.registration()));
    let sound = message(says(&GROUP, "at noon"));
    let broken = message(input(b"x".to_vec()));
    cases.extend([
        bad(
            "no protobuf inside",
            noise,
            "envelopes[0]: not a protobuf message of its type",
        ),
        bad(
            "1001 envelopes",
            publishes(&vec![sound.clone(); 1001]),
            "envelopes: has 1001 entries; the most is 1000",
        ),
        bad(
            "a bad second one",
            publishes(&[sound.clone(), broken.clone()]),
            "envelopes[1].group_message.v1.data",
        ),
        bad(
            "a registration beside a bad one",
            publishes(&[registration, broken]),
            "envelopes[1].group_message.v1.data",
        ),
    ]);
    Method::new(
        "/xmtp.xmtpv4.payer_api.PayerApi/PublishClientEnvelopes",
        "PublishClientEnvelopesRequest.envelopes",
        publishes(&[sound]),
        cases,
    )
}

pub(crate) fn gateway_publish_client_envelopes() -> Method {
    publish_client_envelopes().at("/xmtp.xmtpv4.gateway_api.GatewayApi/PublishClientEnvelopes")
}

pub(crate) fn get_nodes() -> Method {
    Method::without_fields(
        "/xmtp.xmtpv4.payer_api.PayerApi/GetNodes",
        GetNodesRequest {},
    )
}

pub(crate) fn gateway_get_nodes() -> Method {
    get_nodes().at("/xmtp.xmtpv4.gateway_api.GatewayApi/GetNodes")
}

/// Signs as the payer of this number, for the node 100.
fn paid_by(payer: u8, envelope: &ClientEnvelope) -> PayerEnvelope {
    let unsigned = envelope.encode_to_vec();
    let digest = Keccak256::new()
        .chain_update(b"target|")
        .chain_update(100_u32.to_be_bytes())
        .chain_update(b"payer|")
        .chain_update(&unsigned)
        .finalize();
    let key = SigningKey::from_slice(&[payer; 32]).unwrap();
    let (signature, recovery) = key.sign_prehash_recoverable(&digest).unwrap();
    let bytes = [&signature.to_bytes()[..], &[recovery.to_byte()]].concat();
    PayerEnvelope {
        unsigned_client_envelope: unsigned.into(),
        payer_signature: Some(RecoverableEcdsaSignature {
            bytes: bytes.into(),
        }),
        target_originator: 100,
        message_retention_days: 30,
    }
}

pub(crate) fn publish_payer_envelopes() -> Method {
    let request = |envelopes: &[PayerEnvelope]| PublishPayerEnvelopesRequest {
        payer_envelopes: envelopes
            .iter()
            .map(|it| it.encode_to_vec().into())
            .collect(),
    };
    let sound = paid_by(1, &message(says(&GROUP, "at noon")));
    let with = |edit: fn(&mut PayerEnvelope)| {
        let mut envelope = sound.clone();
        edit(&mut envelope);
        request(&[envelope])
    };
    let signature = |bytes: &'static [u8]| {
        let payer_signature = Some(RecoverableEcdsaSignature {
            bytes: Bytes::from_static(bytes),
        });
        request(&[PayerEnvelope {
            payer_signature,
            ..sound.clone()
        }])
    };
    let person = Person::new(1);
    let registration = envelope(
        topic(2, person.inbox.as_bytes()),
        Payload::IdentityUpdate(person.registration()),
    );
    let noise = PublishPayerEnvelopesRequest {
        payer_envelopes: vec![Bytes::from_static(&[0xff; 9])],
    };
    let mut cases: Vec<_> = broken_envelopes()
        .into_iter()
        .filter(|(_, _, says)| !says.contains("XID"))
        .map(|(name, envelope, says)| bad(&name, request(&[paid_by(1, &envelope)]), &says))
        .collect();
    let field = |name: &str| format!("payer_envelopes[0].{name}");
    cases.extend([
        bad("no envelopes", request(&[]), "payer_envelopes: is empty"),
        bad(
            "1001 envelopes",
            request(&vec![sound.clone(); 1001]),
            "payer_envelopes: has 1001 entries; the most is 1000",
        ),
        bad(
            "no protobuf inside",
            noise,
            "payer_envelopes[0]: not a protobuf message of its type",
        ),
        bad(
            "nothing inside",
            request(&[PayerEnvelope::default()]),
            &field("target_originator: is 0; this node is 100"),
        ),
        bad(
            "another node",
            with(|it| it.target_originator = 200),
            &field("target_originator: is 200; this node is 100"),
        ),
        bad(
            "kept for no day",
            with(|it| it.message_retention_days = 0),
            &field("message_retention_days: is 0"),
        ),
        bad(
            "kept for a day",
            with(|it| it.message_retention_days = 1),
            &field("message_retention_days: is 1"),
        ),
        bad(
            "kept for 366 days",
            with(|it| it.message_retention_days = 366),
            &field("message_retention_days: is 366; it is 2 to 365"),
        ),
        bad(
            "no signature",
            with(|it| it.payer_signature = None),
            &field("payer_signature: is missing, or names no payer"),
        ),
        bad(
            "an empty signature",
            signature(&[]),
            &field("payer_signature"),
        ),
        bad(
            "64 bytes of signature",
            signature(&[1; 64]),
            &field("payer_signature"),
        ),
        bad(
            "66 bytes of signature",
            signature(&[1; 66]),
            &field("payer_signature"),
        ),
        bad(
            "a signature of zeros",
            signature(&[0; 65]),
            &field("payer_signature"),
        ),
        bad(
            "a signature of ones",
            signature(&[0xff; 65]),
            &field("payer_signature"),
        ),
        bad(
            "no client envelope",
            with(|it| it.unsigned_client_envelope.clear()),
            "payer_envelopes[0]",
        ),
        bad(
            "a commit",
            request(&[paid_by(1, &message(commits(&GROUP, 1, "c")))]),
            &field("unsigned_client_envelope: is a commit"),
        ),
        bad(
            "an identity update",
            request(&[paid_by(1, &registration)]),
            &field("unsigned_client_envelope: is a commit, a proposal or an identity update"),
        ),
        bad(
            "two payers",
            request(&[sound.clone(), paid_by(2, &message(says(&GROUP, "y")))]),
            "payer_envelopes[1].payer_signature: is of another payer",
        ),
        bad(
            "a bad second one",
            request(&[sound.clone(), PayerEnvelope::default()]),
            "payer_envelopes[1].target_originator",
        ),
    ]);
    Method::new(
        "/xmtp.xmtpv4.message_api.PublishApi/PublishPayerEnvelopes",
        "PublishPayerEnvelopesRequest.payer_envelopes",
        request(std::slice::from_ref(&sound)),
        cases,
    )
}

pub(crate) fn replication_publish_payer_envelopes() -> Method {
    publish_payer_envelopes().at("/xmtp.xmtpv4.message_api.ReplicationApi/PublishPayerEnvelopes")
}

fn query(topics: &[&[u8]], originators: &[u32], seen: &[(u32, u64)]) -> EnvelopesQuery {
    EnvelopesQuery {
        topics: topics
            .iter()
            .map(|topic| Bytes::copy_from_slice(topic))
            .collect(),
        originator_node_ids: originators.to_vec(),
        last_seen: cursor(seen),
    }
}

/// Broken queries, and what is said of each.
fn broken_queries() -> Vec<(&'static str, EnvelopesQuery, &'static str)> {
    let group = &topic(0, &GROUP)[..];
    let clock: Vec<_> = (0..101).map(|originator| (originator, 1)).collect();
    vec![
        (
            "topics and originators",
            query(&[group], &[100], &[]),
            "query: has topics and originator_node_ids; use one of them",
        ),
        (
            "an empty topic",
            query(&[b""], &[], &[]),
            "query.topics[0]: a topic has 2 to 128 bytes, not 0",
        ),
        (
            "a topic of 129 bytes",
            query(&[&[0; 129]], &[], &[]),
            "query.topics[0]: a topic has 2 to 128 bytes, not 129",
        ),
        (
            "kind 6",
            query(&[&[6; 17]], &[], &[]),
            "query.topics[0]: topic kind 6 is unknown",
        ),
        (
            "a bad second topic",
            query(&[group, b"x"], &[], &[]),
            "query.topics[1]",
        ),
        (
            "10 001 topics",
            query(&vec![group; 10_001], &[], &[]),
            "query.topics: has 10001 entries; the most is 10000",
        ),
        (
            "10 001 originators",
            query(&[], &vec![100; 10_001], &[]),
            "query.originator_node_ids: has 10001 entries",
        ),
        (
            "an originator of 32 bits",
            query(&[], &[u32::MAX], &[]),
            "query.originator_node_ids: names 4294967295, which no node has",
        ),
        (
            "a clock of 101 entries",
            query(&[group], &[], &clock),
            "query.last_seen: has 101 entries; the most is 100",
        ),
        (
            "a clock out of range",
            query(&[group], &[], &[(100, u64::MAX)]),
            "query.last_seen: has 18446744073709551615 for originator 100, which is out of range",
        ),
        (
            "a clock of nobody",
            query(&[group], &[], &[(u32::MAX, 1)]),
            "query.last_seen",
        ),
    ]
}

pub(crate) fn query_envelopes() -> Method {
    let request = |query: EnvelopesQuery| QueryEnvelopesRequest {
        query: Some(query),
        limit: 0,
    };
    let cases = broken_queries();
    Method::new(
        "/xmtp.xmtpv4.message_api.QueryApi/QueryEnvelopes",
        "QueryEnvelopesRequest.query",
        request(query(&[&topic(0, &GROUP)], &[], &[])),
        cases
            .into_iter()
            .map(|(name, query, says)| bad(name, request(query), says))
            .collect(),
    )
}

pub(crate) fn replication_query_envelopes() -> Method {
    query_envelopes().at("/xmtp.xmtpv4.message_api.ReplicationApi/QueryEnvelopes")
}

pub(crate) fn get_newest_envelope() -> Method {
    let request = |topics: &[&[u8]]| GetNewestEnvelopeRequest {
        topics: topics
            .iter()
            .map(|topic| Bytes::copy_from_slice(topic))
            .collect(),
    };
    let group = &topic(0, &GROUP)[..];
    Method::new(
        "/xmtp.xmtpv4.message_api.QueryApi/GetNewestEnvelope",
        "GetNewestEnvelopeRequest.topics",
        request(&[group]),
        vec![
            bad(
                "an empty topic",
                request(&[b""]),
                "topics[0]: a topic has 2 to 128 bytes, not 0",
            ),
            bad(
                "a topic of 129 bytes",
                request(&[&[0; 129]]),
                "topics[0]: a topic has 2 to 128 bytes, not 129",
            ),
            bad(
                "kind 255",
                request(&[&[255; 17]]),
                "topics[0]: topic kind 255 is unknown",
            ),
            bad("a bad second topic", request(&[group, b"x"]), "topics[1]"),
            bad(
                "10 001 topics",
                request(&vec![group; 10_001]),
                "topics: has 10001 entries; the most is 10000",
            ),
        ],
    )
}

pub(crate) fn replication_get_newest_envelope() -> Method {
    get_newest_envelope().at("/xmtp.xmtpv4.message_api.ReplicationApi/GetNewestEnvelope")
}

pub(crate) fn get_inbox_ids() -> Method {
    let request = |asked: &[(&str, i32)]| GetInboxIdsRequest {
        requests: asked
            .iter()
            .map(|(identifier, kind)| get_inbox_ids_request::Request {
                identifier: (*identifier).to_owned(),
                identifier_kind: *kind,
            })
            .collect(),
    };
    Method::new(
        "/xmtp.xmtpv4.message_api.QueryApi/GetInboxIds",
        "GetInboxIdsRequest.requests",
        request(&[("0x12", 1)]),
        vec![
            bad(
                "no identifier",
                request(&[("", 1)]),
                "requests[0].identifier: has 0 bytes",
            ),
            bad(
                "1025 bytes",
                request(&[(&"a".repeat(1025), 1)]),
                "requests[0].identifier: has 1025 bytes",
            ),
            bad(
                "kind 3",
                request(&[("0x12", 3)]),
                "requests[0].identifier_kind: 3 is unknown",
            ),
            bad(
                "1001 identifiers",
                request(&vec![("0x12", 1); 1001]),
                "requests: has 1001 entries; the most is 1000",
            ),
        ],
    )
}

pub(crate) fn replication_get_inbox_ids() -> Method {
    get_inbox_ids().at("/xmtp.xmtpv4.message_api.ReplicationApi/GetInboxIds")
}

pub(crate) fn subscribe_envelopes() -> Method {
    let request = |query: EnvelopesQuery| SubscribeEnvelopesRequest { query: Some(query) };
    let mut cases: Vec<_> = broken_queries()
        .into_iter()
        .map(|(name, query, says)| bad(name, request(query), says))
        .collect();
    let nothing = "query: names neither topics nor originator_node_ids";
    cases.extend([
        bad(
            "no query",
            SubscribeEnvelopesRequest { query: None },
            nothing,
        ),
        bad("an empty query", request(query(&[], &[], &[])), nothing),
    ]);
    Method::new(
        "/xmtp.xmtpv4.message_api.ReplicationApi/SubscribeEnvelopes",
        "SubscribeEnvelopesRequest.query",
        request(query(&[&topic(0, &GROUP)], &[], &[])),
        cases,
    )
}

pub(crate) fn subscribe_topics() -> Method {
    let filter = |topic: &[u8], seen: &[(u32, u64)]| TopicFilter {
        topic: Bytes::copy_from_slice(topic),
        last_seen: cursor(seen),
    };
    let request = |filters: Vec<TopicFilter>| SubscribeTopicsRequest { filters };
    let group = &topic(0, &GROUP)[..];
    let clock: Vec<_> = (0..101).map(|originator| (originator, 1)).collect();
    Method::new(
        "/xmtp.xmtpv4.message_api.QueryApi/SubscribeTopics",
        "SubscribeTopicsRequest.filters",
        request(vec![filter(group, &[])]),
        vec![
            bad("no filters", request(vec![]), "filters: is empty"),
            bad(
                "10 001 filters",
                request(vec![filter(group, &[]); 10_001]),
                "filters: has 10001 entries; the most is 10000",
            ),
            bad(
                "an empty topic",
                request(vec![filter(b"", &[])]),
                "filters[0].topic: a topic has 2 to 128 bytes, not 0",
            ),
            bad(
                "a topic of 129 bytes",
                request(vec![filter(&[0; 129], &[])]),
                "filters[0].topic: a topic has",
            ),
            bad(
                "kind 6",
                request(vec![filter(&[6; 17], &[])]),
                "filters[0].topic: topic kind 6 is unknown",
            ),
            bad(
                "a clock of 101 entries",
                request(vec![filter(group, &clock)]),
                "filters[0].last_seen: has 101 entries",
            ),
            bad(
                "a clock out of range",
                request(vec![filter(group, &[(100, u64::MAX)])]),
                "filters[0].last_seen",
            ),
            bad(
                "a bad second filter",
                request(vec![filter(group, &[]), filter(b"", &[])]),
                "filters[1].topic",
            ),
        ],
    )
}

pub(crate) fn replication_subscribe_topics() -> Method {
    subscribe_topics().at("/xmtp.xmtpv4.message_api.ReplicationApi/SubscribeTopics")
}

pub(crate) fn subscribe_originators() -> Method {
    let filter = |originators: &[u32], last_seen| SubscribeOriginatorsRequest {
        filter: Some(OriginatorFilter {
            originator_node_ids: originators.to_vec(),
            last_seen,
        }),
    };
    let clock: Vec<_> = (0..101).map(|originator| (originator, 1)).collect();
    Method::new(
        "/xmtp.xmtpv4.message_api.ReplicationApi/SubscribeOriginators",
        "SubscribeOriginatorsRequest.filter",
        filter(&[100], cursor(&[])),
        vec![
            bad(
                "no filter",
                SubscribeOriginatorsRequest { filter: None },
                "filter: is missing",
            ),
            bad(
                "no originators",
                filter(&[], cursor(&[])),
                "filter.originator_node_ids: is empty",
            ),
            bad(
                "no cursor",
                filter(&[100], None),
                "filter.last_seen: is missing",
            ),
            bad(
                "an originator of 32 bits",
                filter(&[u32::MAX], cursor(&[])),
                "filter.originator_node_ids: names 4294967295",
            ),
            bad(
                "10 001 originators",
                filter(&vec![100; 10_001], cursor(&[])),
                "filter.originator_node_ids: has 10001 entries",
            ),
            bad(
                "a clock of 101 entries",
                filter(&[100], cursor(&clock)),
                "filter.last_seen: has 101 entries",
            ),
            bad(
                "a clock out of range",
                filter(&[100], cursor(&[(100, u64::MAX)])),
                "filter.last_seen",
            ),
        ],
    )
}

pub(crate) fn subscribe_all_envelopes() -> Method {
    Method::without_fields(
        "/xmtp.xmtpv4.message_api.NotificationApi/SubscribeAllEnvelopes",
        SubscribeAllEnvelopesRequest {},
    )
}

pub(crate) fn get_payer_info() -> Method {
    let request = |payers: &[&str]| GetPayerInfoRequest {
        payer_addresses: payers.iter().map(|payer| (*payer).to_owned()).collect(),
        granularity: 1,
    };
    Method::new(
        "/xmtp.xmtpv4.metadata_api.MetadataApi/GetPayerInfo",
        "GetPayerInfoRequest.payer_addresses",
        request(&["0x12"]),
        vec![
            bad("no payers", request(&[]), "payer_addresses: is empty"),
            bad(
                "1001 payers",
                request(&vec!["0x12"; 1001]),
                "payer_addresses: has 1001 entries; the most is 1000",
            ),
            bad(
                "an unknown payer",
                request(&["0x12"]),
                "payer \"0x12\" is unknown",
            )
            .with(Code::NotFound),
            bad(
                "a payer of 1 MiB",
                request(&[&"a".repeat(1 << 20)]),
                "is unknown",
            )
            .with(Code::NotFound),
            Case::new(
                "no UTF-8",
                Code::InvalidArgument,
                vec![0x0a, 1, 0xff],
                "payer_addresses",
            ),
        ],
    )
    .refusing_all()
}

pub(crate) fn get_version() -> Method {
    Method::without_fields(
        "/xmtp.xmtpv4.metadata_api.MetadataApi/GetVersion",
        GetVersionRequest {},
    )
}

pub(crate) fn get_sync_cursor() -> Method {
    Method::without_fields(
        "/xmtp.xmtpv4.metadata_api.MetadataApi/GetSyncCursor",
        GetSyncCursorRequest {},
    )
}

pub(crate) fn subscribe_sync_cursor() -> Method {
    Method::without_fields(
        "/xmtp.xmtpv4.metadata_api.MetadataApi/SubscribeSyncCursor",
        GetSyncCursorRequest {},
    )
}

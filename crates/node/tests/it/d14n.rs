//! The d14n services, in the order in which official clients call them, over SQLite; and what
//! they share with v3.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use folkmoot_identity::UpdateBuilder;
use folkmoot_node::{Backlog, NodeConfig, NodeKey};
use folkmoot_store::{Durability, SqliteOptions, SqliteStore};
use folkmoot_testkit::{
    Person, TestNode,
    mls::{commits, says, welcomes},
};
use folkmoot_wire::proto::xmtp::{
    identity::{
        api::v1::{
            GetIdentityUpdatesRequest, PublishIdentityUpdateRequest, get_identity_updates_request,
            identity_api_client::IdentityApiClient,
        },
        associations::{IdentifierKind, RecoverableEcdsaSignature},
    },
    mls::api::v1::{
        FetchKeyPackagesRequest, GroupMessageInput, KeyPackageUpload, QueryGroupMessagesRequest,
        QueryWelcomeMessagesRequest, SendGroupMessagesRequest, UploadKeyPackageRequest,
        group_message, mls_api_client::MlsApiClient, welcome_message,
    },
    xmtpv4::{
        envelopes::{
            AuthenticatedData, ClientEnvelope, Cursor, OriginatorEnvelope, PayerEnvelope,
            UnsignedOriginatorEnvelope, client_envelope::Payload, originator_envelope::Proof,
        },
        gateway_api::{self, gateway_api_client::GatewayApiClient},
        message_api::{
            EnvelopesQuery, GetInboxIdsRequest, GetNewestEnvelopeRequest,
            PublishPayerEnvelopesRequest, QueryEnvelopesRequest, SubscribeAllEnvelopesRequest,
            SubscribeEnvelopesRequest, SubscribeEnvelopesResponse, SubscribeOriginatorsRequest,
            SubscribeTopicsRequest, SubscribeTopicsResponse, get_inbox_ids_request,
            notification_api_client::NotificationApiClient,
            publish_api_client::PublishApiClient,
            query_api_client::QueryApiClient,
            replication_api_client::ReplicationApiClient,
            subscribe_originators_request::OriginatorFilter,
            subscribe_originators_response,
            subscribe_topics_request::TopicFilter,
            subscribe_topics_response::{Response as Answer, SubscriptionStatus},
        },
        metadata_api::{
            GetPayerInfoRequest, GetSyncCursorRequest, GetVersionRequest,
            metadata_api_client::MetadataApiClient,
        },
        payer_api::{
            GetNodesRequest, PublishClientEnvelopesRequest, payer_api_client::PayerApiClient,
        },
    },
};
use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use prost::Message;
use sha3::{Digest, Keccak256};
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming, transport::Channel};

const PICNIC: [u8; 16] = [0xa1; 16];
const DEADLINE: Duration = Duration::from_secs(10);
const NODE: u32 = 100;

/// A node over SQLite, and clients of both generations.
struct World {
    node: TestNode,
    payer: PayerApiClient<Channel>,
    replication: ReplicationApiClient<Channel>,
    mls: MlsApiClient<Channel>,
    identity: IdentityApiClient<Channel>,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        Self::with(NodeConfig::default(), Backlog::default()).await
    }

    async fn with(config: NodeConfig, backlog: Backlog) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log.sqlite");
        let node = TestNode::over(config, backlog, |on_commit| {
            let options = SqliteOptions {
                durability: Durability::Off,
                ..SqliteOptions::default()
            };
            Arc::new(SqliteStore::open(path, options, on_commit).unwrap())
        })
        .await;
        let channel = node.channel().await;
        Self {
            payer: PayerApiClient::new(channel.clone()),
            replication: ReplicationApiClient::new(channel.clone()),
            mls: MlsApiClient::new(channel.clone()),
            identity: IdentityApiClient::new(channel),
            node,
            _folder: folder,
        }
    }

    async fn publishes(
        &mut self,
        envelopes: impl IntoIterator<Item = Bytes>,
    ) -> Result<Vec<OriginatorEnvelope>, Status> {
        let envelopes = envelopes.into_iter().collect();
        let request = PublishClientEnvelopesRequest { envelopes };
        let answer = self.payer.publish_client_envelopes(request).await?;
        Ok(answer.into_inner().originator_envelopes)
    }

    /// Publishes group messages through v3.
    async fn sends(&mut self, messages: impl IntoIterator<Item = GroupMessageInput>) {
        let messages = messages.into_iter().collect();
        let request = SendGroupMessagesRequest { messages };
        self.mls.send_group_messages(request).await.unwrap();
    }

    async fn queries(
        &mut self,
        query: EnvelopesQuery,
        limit: u32,
    ) -> Result<Vec<OriginatorEnvelope>, Status> {
        let query = Some(query);
        let request = QueryEnvelopesRequest { query, limit };
        let answer = self.replication.query_envelopes(request).await?;
        Ok(answer.into_inner().envelopes)
    }

    /// What v3 clients read of the picnic group: ids and data.
    async fn reads_v3(&mut self) -> Vec<(u64, Bytes)> {
        let request = QueryGroupMessagesRequest {
            group_id: PICNIC.to_vec().into(),
            paging_info: None,
        };
        let page = self.mls.query_group_messages(request).await.unwrap();
        let mut messages: Vec<_> = page
            .into_inner()
            .messages
            .into_iter()
            .map(|message| match message.version {
                Some(group_message::Version::V1(message)) => (message.id, message.data),
                None => panic!("the version is set"),
            })
            .collect();
        messages.reverse();
        messages
    }

    async fn follows(&mut self, query: EnvelopesQuery) -> Streaming<SubscribeEnvelopesResponse> {
        let request = SubscribeEnvelopesRequest { query: Some(query) };
        let opened = timeout(DEADLINE, self.replication.subscribe_envelopes(request)).await;
        opened.expect("headers come at once").unwrap().into_inner()
    }
}

fn on(topics: impl IntoIterator<Item = Bytes>, seen: &[(u32, u64)]) -> EnvelopesQuery {
    EnvelopesQuery {
        topics: topics.into_iter().collect(),
        originator_node_ids: Vec::new(),
        last_seen: Some(cursor(seen)),
    }
}

fn of(originators: &[u32], last_seen: Option<Cursor>) -> EnvelopesQuery {
    EnvelopesQuery {
        topics: Vec::new(),
        originator_node_ids: originators.to_vec(),
        last_seen,
    }
}

fn cursor(seen: &[(u32, u64)]) -> Cursor {
    Cursor {
        node_id_to_sequence_id: seen.iter().copied().collect(),
    }
}

fn topic(kind: u8, identifier: &[u8]) -> Bytes {
    [&[kind], identifier].concat().into()
}

fn picnic() -> Bytes {
    topic(0, &PICNIC)
}

fn client_envelope(topic: Bytes, payload: Payload) -> Bytes {
    depending(topic, &[], payload)
}

fn depending(topic: Bytes, depends_on: &[(u32, u64)], payload: Payload) -> Bytes {
    let envelope = ClientEnvelope {
        aad: Some(AuthenticatedData {
            target_topic: topic,
            depends_on: Some(cursor(depends_on)),
        }),
        payload: Some(payload),
    };
    // Unknown fields must survive, so every test envelope has one: number 99, varint 1.
    [&envelope.encode_to_vec()[..], &[0x98, 0x06, 0x01]]
        .concat()
        .into()
}

fn message(text: &str) -> Bytes {
    client_envelope(picnic(), Payload::GroupMessage(says(&PICNIC, text)))
}

fn commit(text: &str) -> Bytes {
    client_envelope(picnic(), Payload::GroupMessage(commits(&PICNIC, 1, text)))
}

fn registration(person: &Person) -> Bytes {
    let topic = topic(2, person.inbox.as_bytes());
    client_envelope(topic, Payload::IdentityUpdate(person.registration()))
}

fn revocation(person: &Person) -> Bytes {
    let topic = topic(2, person.inbox.as_bytes());
    client_envelope(topic, Payload::IdentityUpdate(person.revocation()))
}

fn key_package(person: &Person) -> Bytes {
    let topic = topic(3, person.installation.key().as_bytes());
    let upload = UploadKeyPackageRequest {
        key_package: Some(KeyPackageUpload {
            key_package_tls_serialized: person.key_package(),
        }),
        is_inbox_id_credential: true,
    };
    client_envelope(topic, Payload::UploadKeyPackage(upload))
}

fn unsigned(envelope: &OriginatorEnvelope) -> UnsignedOriginatorEnvelope {
    UnsignedOriginatorEnvelope::decode(envelope.unsigned_originator_envelope.clone()).unwrap()
}

fn payer_envelope(envelope: &OriginatorEnvelope) -> PayerEnvelope {
    PayerEnvelope::decode(unsigned(envelope).payer_envelope_bytes).unwrap()
}

/// The client envelope inside, byte for byte.
fn client(envelope: &OriginatorEnvelope) -> Bytes {
    payer_envelope(envelope).unsigned_client_envelope
}

/// Originator and sequence.
fn place(envelope: &OriginatorEnvelope) -> (u32, u64) {
    let unsigned = unsigned(envelope);
    (unsigned.originator_node_id, unsigned.originator_sequence_id)
}

fn places(envelopes: &[OriginatorEnvelope]) -> Vec<(u32, u64)> {
    envelopes.iter().map(place).collect()
}

/// The address that made a signature over `parts`.
fn signer(parts: &[&[u8]], signature: &[u8]) -> [u8; 20] {
    let digest = Keccak256::digest(parts.concat());
    let recovery = RecoveryId::from_byte(signature[64]).unwrap();
    let signature = Signature::from_slice(&signature[..64]).unwrap();
    let key = VerifyingKey::recover_from_prehash(&digest, &signature, recovery).unwrap();
    let point = key.to_encoded_point(false);
    Keccak256::digest(&point.as_bytes()[1..])[12..]
        .try_into()
        .unwrap()
}

async fn frame<T>(stream: &mut Streaming<T>) -> T {
    let frame = timeout(DEADLINE, stream.message()).await;
    frame.expect("a frame comes").unwrap().unwrap()
}

/// The next envelopes, sign of life frames skipped.
async fn envelopes(stream: &mut Streaming<SubscribeEnvelopesResponse>) -> Vec<OriginatorEnvelope> {
    loop {
        let envelopes = frame(stream).await.envelopes;
        if !envelopes.is_empty() {
            return envelopes;
        }
    }
}

#[tokio::test]
async fn a_new_person_registers_as_the_official_clients_do() {
    let mut world = World::new().await;
    let person = Person::new(1);

    let nodes = world.payer.get_nodes(GetNodesRequest {}).await.unwrap();
    assert_eq!(nodes.into_inner().nodes[&NODE], world.node.url);
    let asked = GetInboxIdsRequest {
        requests: vec![get_inbox_ids_request::Request {
            identifier: person.wallet.address(),
            identifier_kind: IdentifierKind::Ethereum as i32,
        }],
    };
    let found = world.replication.get_inbox_ids(asked.clone()).await;
    assert_eq!(found.unwrap().into_inner().responses[0].inbox_id, None);

    let inbox = topic(2, person.inbox.as_bytes());
    let log = on([inbox], &[(1, 0)]);
    assert!(world.queries(log.clone(), 0).await.unwrap().is_empty());
    let package = key_package(&person);
    let published = world.publishes([package.clone()]).await.unwrap();
    assert_eq!(place(&published[0]).0, NODE);
    assert_eq!(client(&published[0]), package, "byte for byte");
    let update = registration(&person);
    let published = world.publishes([update.clone()]).await.unwrap();
    let (originator, sequence) = place(&published[0]);
    assert_eq!(originator, 1);
    let read = world.queries(log.clone(), 0).await.unwrap();
    assert_eq!(read, published, "visible when the publish returned");
    assert_eq!(client(&read[0]), update);
    let seen = EnvelopesQuery {
        last_seen: Some(cursor(&[(1, sequence)])),
        ..log
    };
    assert!(world.queries(seen, 0).await.unwrap().is_empty());
    let found = world.replication.get_inbox_ids(asked).await.unwrap();
    let inbox = found.into_inner().responses.remove(0).inbox_id;
    assert_eq!(inbox, Some(person.inbox.to_string()));

    let published = world.publishes([commit("first")]).await.unwrap();
    assert_eq!(place(&published[0]).0, 0);
    let read = world.queries(on([picnic()], &[]), 100).await.unwrap();
    assert_eq!(read, published);
}

#[tokio::test]
async fn both_generations_read_one_log_with_the_same_numbers() {
    let mut world = World::new().await;
    world.sends([commits(&PICNIC, 0, "from v3")]).await;
    let commit = world.reads_v3().await[0].0;
    let text = depending(
        picnic(),
        &[(0, commit)],
        Payload::GroupMessage(says(&PICNIC, "from d14n")),
    );
    world.publishes([text.clone()]).await.unwrap();
    world.sends([says(&PICNIC, "from v3")]).await;

    let v3: Vec<u64> = world.reads_v3().await.iter().map(|read| read.0).collect();
    assert_eq!(v3.len(), 3);
    let d14n = world.queries(on([picnic()], &[]), 0).await.unwrap();
    assert_eq!(
        places(&d14n),
        [(0, v3[0]), (NODE, v3[1]), (NODE, v3[2])],
        "commits first, then the node's own"
    );
    assert_eq!(client(&d14n[1]), text, "byte for byte");
    let wrapped = ClientEnvelope::decode(client(&d14n[2])).unwrap();
    let aad = wrapped.aad.unwrap();
    assert_eq!(aad.target_topic, picnic());
    assert_eq!(aad.depends_on, Some(cursor(&[(0, commit)])));
    let messages = [says(&PICNIC, "from d14n"), says(&PICNIC, "from v3")];
    let data = world.reads_v3().await.into_iter().skip(1);
    for ((_, data), message) in data.zip(messages) {
        let Some(folkmoot_wire::proto::xmtp::mls::api::v1::group_message_input::Version::V1(sent)) =
            message.version
        else {
            panic!("the version is set");
        };
        assert_eq!(data, sent.data);
    }
}

#[tokio::test]
async fn identities_and_key_packages_cross_generations() {
    let mut world = World::new().await;
    let person = Person::new(5);
    world
        .publishes([registration(&person), key_package(&person)])
        .await
        .unwrap();
    let request = GetIdentityUpdatesRequest {
        requests: vec![get_identity_updates_request::Request {
            inbox_id: person.inbox.to_string(),
            sequence_id: 0,
        }],
    };
    let updates = world.identity.get_identity_updates(request).await.unwrap();
    assert_eq!(updates.into_inner().responses[0].updates.len(), 1);
    let request = FetchKeyPackagesRequest {
        installation_keys: vec![person.installation.key().as_bytes().to_vec().into()],
    };
    let fetched = world.mls.fetch_key_packages(request).await.unwrap();
    let package = &fetched.into_inner().key_packages[0].key_package_tls_serialized;
    assert!(!package.is_empty());

    let identity_update = person.revocation();
    let request = PublishIdentityUpdateRequest {
        identity_update: identity_update.clone(),
    };
    world
        .identity
        .publish_identity_update(request)
        .await
        .unwrap();
    let inbox = topic(2, person.inbox.as_bytes());
    let log = world.queries(on([inbox], &[]), 0).await.unwrap();
    let revocation = ClientEnvelope::decode(client(&log[1])).unwrap();
    assert_eq!(
        revocation.payload,
        Some(Payload::IdentityUpdate(identity_update))
    );
}

#[tokio::test]
async fn a_message_that_comes_through_both_doors_is_stored_once() {
    let mut world = World::new().await;
    world.sends([says(&PICNIC, "at noon")]).await;
    let first = world.reads_v3().await.remove(0);
    let twice = [
        message("at noon"),
        message("at the lake"),
        message("at the lake"),
    ];
    let published = world.publishes(twice).await.unwrap();
    assert_eq!(place(&published[0]), (NODE, first.0), "as v3 stored it");
    assert_eq!(published[1], published[2]);
    world.sends([says(&PICNIC, "at the lake")]).await;
    assert_eq!(world.reads_v3().await.len(), 2);
    let read = world.queries(on([picnic()], &[]), 0).await.unwrap();
    assert_eq!(read, published[..2]);
}

#[tokio::test]
async fn the_node_signs_what_it_originates_once() {
    let mut world = World::new().await;
    let address = NodeKey::from_bytes(&[7; 32]).unwrap().address();
    world
        .sends([commits(&PICNIC, 0, "new epoch"), says(&PICNIC, "at noon")])
        .await;
    world.publishes([message("at the lake")]).await.unwrap();
    let read = world.queries(on([picnic()], &[]), 0).await.unwrap();
    assert_eq!(read.len(), 3);
    for envelope in &read {
        let Some(Proof::OriginatorSignature(signature)) = &envelope.proof else {
            panic!("the node signed");
        };
        let bytes = &envelope.unsigned_originator_envelope;
        let originator = signer(&[b"originator|", bytes], &signature.bytes);
        assert_eq!(originator, address);
        let payer = payer_envelope(envelope);
        match place(envelope).0 {
            0 => assert_eq!(payer.payer_signature, None, "the chain has no payer"),
            originator => {
                assert_eq!(payer.target_originator, originator);
                let target = originator.to_be_bytes();
                let client = payer.unsigned_client_envelope;
                let signature = payer.payer_signature.unwrap().bytes;
                let payer = signer(&[b"target|", &target, b"payer|", &client], &signature);
                assert_eq!(payer, address);
            }
        }
    }
    let again = world.queries(on([picnic()], &[]), 0).await.unwrap();
    assert_eq!(again, read, "the same signatures");
}

#[tokio::test]
async fn queries_follow_the_documented_rules() {
    let mut world = World::new().await;
    let texts: Vec<_> = (0..5).map(|number| message(&number.to_string())).collect();
    world.publishes(texts).await.unwrap();
    world.publishes([commit("later")]).await.unwrap();
    let all = world
        .queries(on([picnic(), picnic()], &[]), 0)
        .await
        .unwrap();
    assert_eq!(all.len(), 6, "a topic given twice counts once");
    assert_eq!(place(&all[0]).0, 0, "by originator, then by sequence");
    assert!(places(&all).is_sorted());
    let page = world.queries(on([picnic()], &[]), 2).await.unwrap();
    assert_eq!(page, all[..2]);
    let seen = [place(&all[0]), place(&all[3])];
    let rest = world.queries(on([picnic()], &seen), 0).await.unwrap();
    assert_eq!(rest, all[4..]);
    let own = world.queries(of(&[NODE], None), 0).await.unwrap();
    assert_eq!(own, all[1..]);
    let nothing = EnvelopesQuery::default();
    assert!(world.queries(nothing, 0).await.unwrap().is_empty());
    let both = EnvelopesQuery {
        originator_node_ids: vec![NODE],
        ..on([picnic()], &[])
    };
    let refused = world.queries(both, 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let kindless = on([Bytes::from_static(b"\x07ab")], &[]);
    let refused = world.queries(kindless, 0).await.unwrap_err();
    assert!(
        refused.message().starts_with("query.topics[0]"),
        "{refused}"
    );
}

#[tokio::test]
async fn newest_envelopes_are_answered_by_position() {
    let mut world = World::new().await;
    let published = world
        .publishes([message("old"), message("new")])
        .await
        .unwrap();
    let request = GetNewestEnvelopeRequest {
        topics: vec![topic(0, &[9; 16]), picnic(), picnic()],
    };
    let newest = world.replication.get_newest_envelope(request.clone()).await;
    let results = newest.unwrap().into_inner().results;
    let results: Vec<_> = results
        .into_iter()
        .map(|one| one.originator_envelope)
        .collect();
    let new = Some(published[1].clone());
    assert_eq!(results, [None, new.clone(), new]);
    let mut query = QueryApiClient::new(world.node.channel().await);
    let newer_name = query.get_newest_envelope(request).await.unwrap();
    assert_eq!(newer_name.into_inner().results.len(), 3);
}

#[tokio::test]
async fn a_topic_stream_says_where_it_stands() {
    let config = NodeConfig {
        keepalive: Duration::from_millis(300),
        ..NodeConfig::default()
    };
    let mut world = World::with(config, Backlog::default()).await;
    let history = world
        .publishes([message("at noon"), commit("new epoch")])
        .await
        .unwrap();
    let request = SubscribeTopicsRequest {
        filters: vec![
            TopicFilter {
                topic: picnic(),
                last_seen: None,
            },
            TopicFilter {
                topic: picnic(),
                last_seen: Some(cursor(&[(0, 1 << 40), (NODE, 1 << 40)])),
            },
        ],
    };
    let opened = world.replication.subscribe_topics(request).await;
    let mut stream = opened.unwrap().into_inner();
    let status = |frame: SubscribeTopicsResponse| match frame.response {
        Some(Answer::StatusUpdate(update)) => update.status(),
        other => panic!("a status is expected, not {other:?}"),
    };
    assert_eq!(
        status(frame(&mut stream).await),
        SubscriptionStatus::Started
    );
    let mut heard = Vec::new();
    loop {
        match frame(&mut stream).await.response {
            Some(Answer::Envelopes(frame)) => heard.extend(frame.envelopes),
            Some(Answer::StatusUpdate(update)) => {
                assert_eq!(update.status(), SubscriptionStatus::CatchupComplete);
                break;
            }
            None => panic!("every frame has a response"),
        }
    }
    assert_eq!(heard, history, "the first of two filters counts");
    assert_eq!(
        status(frame(&mut stream).await),
        SubscriptionStatus::Waiting
    );
    let live = world.publishes([message("at the lake")]).await.unwrap();
    let heard = loop {
        if let Some(Answer::Envelopes(frame)) = frame(&mut stream).await.response {
            break frame.envelopes;
        }
    };
    assert_eq!(heard, live);
}

#[tokio::test]
async fn an_envelope_stream_without_cursor_is_live_only() {
    let mut world = World::new().await;
    let history = world.publishes([message("before")]).await.unwrap();
    let no_cursor = EnvelopesQuery {
        last_seen: None,
        ..on([picnic()], &[])
    };
    let mut live_only = world.follows(no_cursor).await;
    let mut from_start = world.follows(on([picnic()], &[])).await;
    let mut originator = world.follows(of(&[NODE], None)).await;
    for stream in [&mut live_only, &mut from_start, &mut originator] {
        assert!(
            frame(stream).await.envelopes.is_empty(),
            "the first is empty"
        );
    }
    assert_eq!(envelopes(&mut from_start).await, history);
    let live = world
        .publishes([commit("a commit"), message("after")])
        .await
        .unwrap();
    assert_eq!(envelopes(&mut live_only).await, live);
    assert_eq!(envelopes(&mut from_start).await, live);
    assert_eq!(envelopes(&mut originator).await, live[1..]);
    let request = SubscribeEnvelopesRequest {
        query: Some(EnvelopesQuery::default()),
    };
    let refused = world.replication.subscribe_envelopes(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn another_node_replicates_without_a_seam() {
    let mut world = World::new().await;
    let before = (0..300).map(|number| message(&format!("before {number}")));
    world.publishes(before).await.unwrap();
    let request = SubscribeOriginatorsRequest {
        filter: Some(OriginatorFilter {
            originator_node_ids: vec![NODE, 0],
            last_seen: Some(cursor(&[])),
        }),
    };
    let opened = world.replication.subscribe_originators(request).await;
    let mut stream = opened.unwrap().into_inner();
    assert_eq!(
        frame(&mut stream).await.response,
        None,
        "the first is empty"
    );
    let mut payer = world.payer.clone();
    let publishing = tokio::spawn(async move {
        for number in 0..100 {
            let text = format!("meanwhile {number}");
            let envelopes = vec![message(&text), commit(&text)];
            let request = PublishClientEnvelopesRequest { envelopes };
            payer.publish_client_envelopes(request).await.unwrap();
        }
    });
    let mut heard = Vec::new();
    while heard.len() < 500 {
        if let Some(subscribe_originators_response::Response::Envelopes(frame)) =
            frame(&mut stream).await.response
        {
            heard.extend(places(&frame.envelopes));
        }
    }
    publishing.await.unwrap();
    for originator in [0, NODE] {
        let own = heard.iter().filter(|place| place.0 == originator);
        assert!(own.is_sorted_by(|earlier, later| earlier < later));
    }
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), 500, "no gap, no repetition");

    let request = SubscribeOriginatorsRequest { filter: None };
    let refused = world.replication.subscribe_originators(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_push_feed_carries_everything_from_now_on_and_v3_reads_the_welcome() {
    let mut world = World::new().await;
    world.publishes([message("before")]).await.unwrap();
    let mut push = NotificationApiClient::new(world.node.channel().await);
    let feed = push.subscribe_all_envelopes(SubscribeAllEnvelopesRequest {});
    let mut feed = feed.await.unwrap().into_inner();
    assert!(frame(&mut feed).await.envelopes.is_empty());
    let welcome = client_envelope(
        topic(1, &[0xee; 32]),
        Payload::WelcomeMessage(welcomes(&[0xee; 32], "come in")),
    );
    let published = world.publishes([welcome, message("after")]).await.unwrap();
    assert_eq!(envelopes(&mut feed).await, published);
    let request = QueryWelcomeMessagesRequest {
        installation_key: vec![0xee; 32].into(),
        paging_info: None,
    };
    let page = world.mls.query_welcome_messages(request).await.unwrap();
    let welcomes = page.into_inner().messages;
    let Some(welcome_message::Version::V1(welcome)) = &welcomes[0].version else {
        panic!("v3 clients read the welcome too");
    };
    assert_eq!((NODE, welcome.id), place(&published[0]));
    assert_eq!(welcome.data, "come in");
}

#[tokio::test]
async fn streams_end_cleanly_when_the_node_goes() {
    let mut world = World::new().await;
    let mut stream = world.follows(on([picnic()], &[])).await;
    frame(&mut stream).await;
    world.node.node.close_streams();
    let ended = timeout(DEADLINE, stream.message()).await.unwrap();
    assert_eq!(ended.unwrap(), None);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_cut_with_aborted() {
    let backlog = Backlog {
        envelopes: 3,
        bytes: 1 << 20,
    };
    let mut world = World::with(NodeConfig::default(), backlog).await;
    let mut stream = world.follows(on([picnic()], &[])).await;
    frame(&mut stream).await;
    world.publishes([message("first")]).await.unwrap();
    assert_eq!(envelopes(&mut stream).await.len(), 1);
    let burst = (0..10).map(|number| message(&number.to_string()));
    world.publishes(burst).await.unwrap();
    let cut = loop {
        match timeout(DEADLINE, stream.message()).await.unwrap() {
            Ok(frame) => assert!(frame.is_some(), "the end has a status"),
            Err(status) => break status,
        }
    };
    assert_eq!(cut.code(), Code::Aborted);
    assert_eq!(
        world.reads_v3().await.len(),
        11,
        "everything can be read again"
    );
}

#[tokio::test]
async fn a_broken_client_envelope_is_refused_by_field_and_nothing_is_stored() {
    let mut world = World::new().await;
    let person = Person::new(8);
    let other = Person::new(9);
    let text = || Payload::GroupMessage(says(&PICNIC, "text"));
    let bare = |aad: Option<AuthenticatedData>, payload: Option<Payload>| -> Bytes {
        ClientEnvelope { aad, payload }.encode_to_vec().into()
    };
    let aad = |target_topic: Bytes| {
        Some(AuthenticatedData {
            target_topic,
            depends_on: None,
        })
    };
    let mut cut = says(&PICNIC, "text");
    if let Some(folkmoot_wire::proto::xmtp::mls::api::v1::group_message_input::Version::V1(v1)) =
        &mut cut.version
    {
        v1.data.truncate(20);
    }
    let short_group = [5; 8];
    let long_clock: Vec<_> = (0..101).map(|originator| (originator, 1)).collect();
    let cases: Vec<(&str, Bytes)> = vec![
        ("", Bytes::from_static(b"\xff\xff")),
        (".aad", bare(None, Some(text()))),
        (".aad.target_topic", bare(aad(Bytes::new()), Some(text()))),
        (
            ".aad.target_topic",
            client_envelope(topic(9, &PICNIC), text()),
        ),
        (
            ".aad.target_topic",
            client_envelope(topic(1, &PICNIC), text()),
        ),
        (
            ".aad.target_topic",
            client_envelope(topic(0, &[2; 16]), text()),
        ),
        (".payload", bare(aad(picnic()), None)),
        (
            ".group_message.v1.data",
            client_envelope(picnic(), Payload::GroupMessage(cut)),
        ),
        (
            ".aad.target_topic",
            client_envelope(
                topic(0, &short_group),
                Payload::GroupMessage(commits(&short_group, 1, "short")),
            ),
        ),
        (
            ".aad.target_topic",
            client_envelope(
                topic(1, &[1; 32]),
                Payload::WelcomeMessage(welcomes(&[2; 32], "elsewhere")),
            ),
        ),
        (
            ".upload_key_package.key_package",
            client_envelope(
                topic(3, &[1; 32]),
                Payload::UploadKeyPackage(UploadKeyPackageRequest::default()),
            ),
        ),
        (
            ".aad.target_topic",
            client_envelope(
                topic(2, other.inbox.as_bytes()),
                Payload::IdentityUpdate(person.registration()),
            ),
        ),
        (
            ".identity_update",
            client_envelope(
                topic(2, person.inbox.as_bytes()),
                Payload::IdentityUpdate(Bytes::from_static(b"\xff")),
            ),
        ),
        (
            ".payload",
            client_envelope(
                topic(4, &[100, 0, 0, 0]),
                Payload::PayerReport(Default::default()),
            ),
        ),
        (
            ".payload",
            client_envelope(
                topic(5, &[100, 0, 0, 0]),
                Payload::PayerReportAttestation(Default::default()),
            ),
        ),
        (".aad.depends_on", depending(picnic(), &[(NODE, 1)], text())),
        (
            ".aad.depends_on",
            depending(picnic(), &[(0, 1 << 30)], text()),
        ),
        (
            ".aad.depends_on",
            depending(picnic(), &[(0, u64::MAX)], text()),
        ),
        (".aad.depends_on", depending(picnic(), &long_clock, text())),
    ];
    for (field, envelope) in cases {
        let refused = world.publishes([message("sound"), envelope]).await;
        let refused = refused.expect_err(field);
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        let named = refused.message().split(": ").next().unwrap_or_default();
        assert_eq!(named, format!("envelopes[1]{field}"), "{refused}");
    }
    let stored = world.queries(of(&[0, 1, NODE], None), 0).await.unwrap();
    assert!(stored.is_empty());
    let many = (0..1001).map(|_| message("again"));
    let refused = world.publishes(many).await.unwrap_err();
    assert!(
        refused.message().starts_with("envelopes: has 1001"),
        "{refused}"
    );
}

/// A payer with a key of its own.
struct Payer(SigningKey);

impl Payer {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    fn pays(&self, client: Bytes, target: u32, days: u32) -> Bytes {
        let parts: [&[u8]; 4] = [b"target|", &target.to_be_bytes(), b"payer|", &client];
        let digest = Keccak256::digest(parts.concat());
        let (signature, recovery) = self.0.sign_prehash_recoverable(&digest).unwrap();
        let bytes = [&signature.to_bytes()[..], &[recovery.to_byte()]].concat();
        let envelope = PayerEnvelope {
            unsigned_client_envelope: client,
            payer_signature: Some(RecoverableEcdsaSignature {
                bytes: bytes.into(),
            }),
            target_originator: target,
            message_retention_days: days,
        };
        envelope.encode_to_vec().into()
    }
}

#[tokio::test]
async fn identity_updates_of_one_request_build_on_each_other() {
    let mut world = World::new().await;
    let [alice, bob] = [41, 42].map(Person::new);
    let request = [
        registration(&alice),
        message("between"),
        revocation(&alice),
        registration(&bob),
    ];
    let published = world.publishes(request.clone()).await.unwrap();
    let clients: Vec<_> = published.iter().map(client).collect();
    assert_eq!(clients, request, "answered in the order of the request");
    let places = places(&published);
    let originators: Vec<_> = places.iter().map(|place| place.0).collect();
    assert_eq!(originators, [1, NODE, 1, 1]);
    assert!(places.is_sorted_by_key(|place| place.1));
    let inbox = topic(2, alice.inbox.as_bytes());
    let read = world.queries(on([inbox], &[]), 0).await.unwrap();
    assert_eq!(read, [published[0].clone(), published[2].clone()]);
}

#[tokio::test]
async fn of_identity_updates_in_one_request_all_are_stored_or_none() {
    let mut world = World::new().await;
    let [alice, bob] = [43, 44].map(Person::new);
    let inboxes = [&alice, &bob].map(|person| topic(2, person.inbox.as_bytes()));
    let good = [
        registration(&alice),
        message("beside"),
        registration(&bob),
        revocation(&alice),
    ];
    for (bad, says) in [
        (registration(&alice), "Multiple create"),
        (revocation(&Person::new(45)), "XID not yet created"),
    ] {
        let request = good.clone().into_iter().chain([bad]);
        let refused = world.publishes(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let place = "envelopes[4].identity_update: ";
        assert!(refused.message().starts_with(place), "{refused}");
        assert!(refused.message().contains(says), "{refused}");
        let topics = inboxes.iter().cloned().chain([picnic()]);
        let read = world.queries(on(topics, &[]), 0).await.unwrap();
        assert!(read.is_empty(), "nothing of a refused request is stored");
    }
    world.publishes(good).await.unwrap();
}

#[tokio::test]
async fn requests_that_meet_at_an_inbox_all_find_their_place() {
    const REQUESTS: u32 = 8;
    let mut world = World::new().await;
    let alice = Person::new(46);
    world.publishes([registration(&alice)]).await.unwrap();
    let requests = (0..REQUESTS).map(|number| {
        let mut payer = world.payer.clone();
        let other = Person::new(50 + number);
        let update = UpdateBuilder::new(alice.inbox, 1)
            .add(other.installation.key(), alice.identifier())
            .sign(&alice.wallet)
            .sign(&other.installation);
        let update = update.finish().unwrap().encode().into();
        let inbox = topic(2, alice.inbox.as_bytes());
        let addition = client_envelope(inbox, Payload::IdentityUpdate(update));
        let envelopes = vec![registration(&other), addition];
        tokio::spawn(async move {
            let request = PublishClientEnvelopesRequest { envelopes };
            payer.publish_client_envelopes(request).await.unwrap();
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap();
    }
    let inbox = topic(2, alice.inbox.as_bytes());
    let read = world.queries(on([inbox], &[]), 0).await.unwrap();
    assert_eq!(read.len(), 1 + REQUESTS as usize);
}

#[tokio::test]
async fn the_gateway_takes_no_commit_that_a_chain_would_not_take() {
    let mut world = World::new().await;
    let large = "x".repeat(200_000);
    let refused = world.publishes([commit(&large)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let place = "envelopes[0].payload: makes an envelope of";
    assert!(refused.message().starts_with(place), "{refused}");
    assert!(refused.message().ends_with("at most 200000"), "{refused}");
    world.publishes([message(&large)]).await.unwrap();
    world.sends([commits(&PICNIC, 1, &large)]).await;
    assert_eq!(world.reads_v3().await.len(), 2);
}

#[tokio::test]
async fn payer_envelopes_are_kept_as_they_were_signed() {
    let mut world = World::new().await;
    let payer = Payer::new(3);
    let envelope = payer.pays(message("paid"), NODE, 60);
    let request = PublishPayerEnvelopesRequest {
        payer_envelopes: vec![envelope.clone()],
    };
    let mut publish = PublishApiClient::new(world.node.channel().await);
    let published = publish.publish_payer_envelopes(request).await.unwrap();
    let published = published.into_inner().originator_envelopes;
    assert_eq!(unsigned(&published[0]).payer_envelope_bytes, envelope);
    let read = world.queries(on([picnic()], &[]), 0).await.unwrap();
    assert_eq!(read, published);
    assert_eq!(world.reads_v3().await.len(), 1);
}

#[tokio::test]
async fn payer_envelopes_that_break_a_rule_are_refused_as_a_whole() {
    let mut world = World::new().await;
    let payer = Payer::new(3);
    let unsigned: Bytes = PayerEnvelope {
        unsigned_client_envelope: message("unsigned"),
        payer_signature: None,
        target_originator: NODE,
        message_retention_days: 60,
    }
    .encode_to_vec()
    .into();
    let cases = [
        ("", Bytes::from_static(b"\xff")),
        (".target_originator", payer.pays(message("a"), 200, 60)),
        (".message_retention_days", payer.pays(message("a"), NODE, 1)),
        (
            ".message_retention_days",
            payer.pays(message("a"), NODE, 366),
        ),
        (".payer_signature", unsigned),
        (
            ".payer_signature",
            Payer::new(4).pays(message("a"), NODE, 60),
        ),
        (
            ".unsigned_client_envelope",
            payer.pays(commit("a"), NODE, 60),
        ),
        (
            ".unsigned_client_envelope",
            payer.pays(registration(&Person::new(1)), NODE, 60),
        ),
        (
            ".unsigned_client_envelope.aad",
            payer.pays(Bytes::new(), NODE, 60),
        ),
    ];
    for (field, envelope) in cases {
        let sound = payer.pays(message("sound"), NODE, u32::MAX);
        let request = PublishPayerEnvelopesRequest {
            payer_envelopes: vec![sound, envelope],
        };
        let refused = world.replication.publish_payer_envelopes(request).await;
        let refused = refused.expect_err(field);
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        let named = refused.message().split(": ").next().unwrap_or_default();
        assert_eq!(named, format!("payer_envelopes[1]{field}"), "{refused}");
    }
    let nothing = PublishPayerEnvelopesRequest {
        payer_envelopes: Vec::new(),
    };
    let refused = world.replication.publish_payer_envelopes(nothing).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    let stored = world.queries(of(&[0, 1, NODE], None), 0).await.unwrap();
    assert!(stored.is_empty());
}

#[tokio::test]
async fn the_gateway_answers_under_its_newer_name_too() {
    let world = World::new().await;
    let mut gateway = GatewayApiClient::new(world.node.channel().await);
    let nodes = gateway.get_nodes(gateway_api::GetNodesRequest {}).await;
    assert_eq!(nodes.unwrap().into_inner().nodes.len(), 1);
    let request = gateway_api::PublishClientEnvelopesRequest {
        envelopes: vec![message("hello")],
    };
    let published = gateway.publish_client_envelopes(request).await.unwrap();
    assert_eq!(published.into_inner().originator_envelopes.len(), 1);
}

#[tokio::test]
async fn operators_read_how_far_the_node_is() {
    let mut world = World::new().await;
    let mut metadata = MetadataApiClient::new(world.node.channel().await);
    let watch = metadata
        .subscribe_sync_cursor(GetSyncCursorRequest {})
        .await;
    let mut watch = watch.unwrap().into_inner();
    assert_eq!(frame(&mut watch).await.latest_sync, Some(cursor(&[])));

    let person = Person::new(1);
    let texts = (0..20).map(|number| message(&number.to_string()));
    let texts: Vec<_> = texts.chain([commit("new epoch")]).collect();
    let published = world.publishes(texts).await.unwrap();
    let identity = world.publishes([registration(&person)]).await.unwrap();
    let newest = [
        place(&published[19]),
        place(&published[20]),
        place(&identity[0]),
    ];
    let newest = Some(cursor(&newest));
    let asked = metadata.get_sync_cursor(GetSyncCursorRequest {}).await;
    assert_eq!(asked.unwrap().into_inner().latest_sync, newest);
    while frame(&mut watch).await.latest_sync != newest {}

    let version = metadata.get_version(GetVersionRequest {}).await.unwrap();
    assert_eq!(version.into_inner().version, env!("CARGO_PKG_VERSION"));
    let nobody = metadata
        .get_payer_info(GetPayerInfoRequest::default())
        .await;
    assert_eq!(nobody.unwrap_err().code(), Code::InvalidArgument);
    let somebody = GetPayerInfoRequest {
        payer_addresses: vec![format!("0x{}", "ab".repeat(20))],
        granularity: 1,
    };
    let somebody = metadata.get_payer_info(somebody).await;
    assert_eq!(somebody.unwrap_err().code(), Code::NotFound);
}

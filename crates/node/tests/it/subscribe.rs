//! The bidirectional `Subscribe` of both generations over real gRPC. Its rules are tested in
//! the engine; this is about what surrounds it.

use std::time::Duration;

use folkmoot_node::{Backlog, NodeConfig};
use folkmoot_testkit::{
    TestNode,
    mls::{says, welcomes},
};
use folkmoot_wire::proto::xmtp::{
    mls::api::v1::{
        self as mls, SendGroupMessagesRequest, SendWelcomeMessagesRequest, SubscribeRequest,
        SubscribeResponse, group_message,
        mls_api_client::MlsApiClient,
        subscribe_request::{
            self,
            v1::{Mutate, Request, mutate::Subscription},
        },
        subscribe_response::{self, v1::Response},
        welcome_message,
    },
    xmtpv4::{
        envelopes::Cursor,
        message_api::{self as d14n, query_api_client::QueryApiClient},
    },
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};

const PICNIC: [u8; 16] = [0xa1; 16];
const ALICE: [u8; 32] = [0xee; 32];
const DEADLINE: Duration = Duration::from_secs(10);

/// One stream of a v3 client.
struct Wire {
    requests: Option<mpsc::Sender<SubscribeRequest>>,
    answers: Streaming<SubscribeResponse>,
    mls: MlsApiClient<Channel>,
}

impl Wire {
    async fn of(node: &TestNode) -> Self {
        let mut mls = MlsApiClient::new(node.channel().await);
        let (requests, received) = mpsc::channel(16);
        let opened = timeout(DEADLINE, mls.subscribe(ReceiverStream::new(received))).await;
        let answers = opened.expect("headers come at once").unwrap().into_inner();
        Self {
            requests: Some(requests),
            answers,
            mls,
        }
    }

    async fn says(&self, request: Request) {
        let request = SubscribeRequest {
            version: Some(subscribe_request::Version::V1(subscribe_request::V1 {
                request: Some(request),
            })),
        };
        let requests = self.requests.as_ref().unwrap();
        requests.send(request).await.unwrap();
    }

    async fn adds(&self, mutate_id: u64, topics: &[Vec<u8>]) {
        let adds = topics.iter().map(|topic| Subscription {
            topic: topic.clone().into(),
            id_cursor: 0,
        });
        let mutate = Mutate {
            adds: adds.collect(),
            mutate_id,
            ..Mutate::default()
        };
        self.says(Request::Mutate(mutate)).await;
    }

    async fn publishes(&mut self, texts: &[&str]) {
        let messages = texts.iter().map(|text| says(&PICNIC, text)).collect();
        let request = SendGroupMessagesRequest { messages };
        self.mls.send_group_messages(request).await.unwrap();
    }

    async fn next(&mut self) -> Result<Option<Response>, Status> {
        let answer = timeout(DEADLINE, self.answers.message()).await;
        Ok(answer.expect("an answer comes")?.map(|answer| {
            let Some(subscribe_response::Version::V1(answer)) = answer.version else {
                panic!("the version is set");
            };
            answer.response.unwrap()
        }))
    }

    async fn answer(&mut self) -> Response {
        self.next().await.unwrap().expect("the stream goes on")
    }

    /// The next frame of messages: its stamp, and the ids of group messages and welcomes.
    async fn messages(&mut self) -> (u64, Vec<u64>, Vec<u64>) {
        match self.answer().await {
            Response::Messages(frame) => {
                let groups = frame.group_messages.into_iter();
                let groups = groups.map(|one| match one.version {
                    Some(group_message::Version::V1(message)) => message.id,
                    None => panic!("the version is set"),
                });
                let welcomes = frame.welcome_messages.into_iter();
                let welcomes = welcomes.map(|one| match one.version {
                    Some(welcome_message::Version::V1(welcome)) => welcome.id,
                    _ => panic!("only welcomes were sent"),
                });
                (frame.mutate_id, groups.collect(), welcomes.collect())
            }
            other => panic!("messages are expected, not {other:?}"),
        }
    }

    async fn ends(&mut self) -> Status {
        loop {
            match self.next().await {
                Ok(answer) => assert!(answer.is_some(), "the end has a status"),
                Err(status) => return status,
            }
        }
    }
}

fn group() -> Vec<u8> {
    [&[0][..], &PICNIC].concat()
}

fn started(keepalive: Duration) -> Response {
    Response::Started(subscribe_response::v1::Started {
        keepalive_interval_ms: u32::try_from(keepalive.as_millis()).unwrap(),
        capabilities: Vec::new(),
    })
}

fn live(topics: &[Vec<u8>]) -> Response {
    Response::TopicsLive(subscribe_response::v1::TopicsLive {
        topics: topics.iter().map(|topic| topic.clone().into()).collect(),
    })
}

fn complete(mutate_id: u64) -> Response {
    Response::CatchupComplete(subscribe_response::v1::CatchupComplete { mutate_id })
}

async fn restless(keepalive: Duration) -> TestNode {
    let config = NodeConfig {
        keepalive,
        ..NodeConfig::default()
    };
    TestNode::with(config, Backlog::default()).await
}

#[tokio::test]
async fn a_stream_starts_before_the_client_says_anything() {
    let node = TestNode::start().await;
    let mut wire = Wire::of(&node).await;
    assert_eq!(wire.answer().await, started(Duration::from_secs(30)));
}

#[tokio::test]
async fn groups_and_welcomes_share_a_stream_from_history_to_live() {
    let node = TestNode::start().await;
    let mut wire = Wire::of(&node).await;
    wire.answer().await;
    wire.publishes(&["one", "two"]).await;
    let request = SendWelcomeMessagesRequest {
        messages: vec![welcomes(&ALICE, "come in")],
    };
    wire.mls.send_welcome_messages(request).await.unwrap();
    let topics = [group(), [&[1][..], &ALICE].concat()];
    wire.adds(1, &topics).await;
    let (stamp, groups, welcomes) = wire.messages().await;
    assert_eq!((stamp, groups.len(), welcomes.len()), (1, 2, 1));
    assert_eq!(wire.answer().await, live(&topics));
    assert_eq!(wire.answer().await, complete(1));
    wire.publishes(&["three"]).await;
    let (stamp, later, _) = wire.messages().await;
    assert_eq!(stamp, 0);
    assert!(later[0] > groups[1]);
}

#[tokio::test]
async fn a_stream_joins_history_and_live_messages_without_a_seam() {
    let node = TestNode::start().await;
    let mut wire = Wire::of(&node).await;
    wire.answer().await;
    for number in 0..100 {
        wire.publishes(&[&format!("before {number}")]).await;
    }
    let mut mls = wire.mls.clone();
    let publishing = tokio::spawn(async move {
        for number in 0..400 {
            let messages = vec![says(&PICNIC, &format!("meanwhile {number}"))];
            let request = SendGroupMessagesRequest { messages };
            mls.send_group_messages(request).await.unwrap();
        }
    });
    wire.adds(7, &[group()]).await;
    let mut heard = Vec::new();
    let mut is_live = false;
    while heard.len() < 500 {
        match wire.answer().await {
            Response::Messages(frame) => {
                assert_eq!(frame.mutate_id, if is_live { 0 } else { 7 });
                heard.extend(
                    frame
                        .group_messages
                        .into_iter()
                        .map(|one| match one.version {
                            Some(group_message::Version::V1(message)) => message.id,
                            None => panic!("the version is set"),
                        }),
                );
            }
            Response::CatchupComplete(_) => is_live = true,
            _ => {}
        }
    }
    publishing.await.unwrap();
    assert!(heard.is_sorted_by(|earlier, later| earlier < later));
}

#[tokio::test]
async fn a_half_close_after_a_history_only_mutate_ends_with_ok() {
    let node = TestNode::start().await;
    let mut wire = Wire::of(&node).await;
    wire.answer().await;
    wire.publishes(&["one"]).await;
    let mutate = Mutate {
        adds: vec![Subscription {
            topic: group().into(),
            id_cursor: 0,
        }],
        history_only: true,
        mutate_id: 1,
        ..Mutate::default()
    };
    wire.says(Request::Mutate(mutate)).await;
    wire.requests = None;
    assert_eq!(wire.messages().await.1.len(), 1);
    while let Some(answer) = wire.next().await.unwrap() {
        assert!(answer == live(&[group()]) || answer == complete(1));
    }
}

#[tokio::test]
async fn pings_go_both_ways_and_silence_ends_the_stream() {
    let keepalive = Duration::from_millis(200);
    let node = restless(keepalive).await;
    let mut wire = Wire::of(&node).await;
    assert_eq!(wire.answer().await, started(keepalive));
    wire.says(Request::Ping(mls::Ping { nonce: 5 })).await;
    assert_eq!(wire.answer().await, Response::Pong(mls::Pong { nonce: 5 }));
    let Response::Ping(ping) = wire.answer().await else {
        panic!("the node pings after a silence");
    };
    wire.says(Request::Pong(mls::Pong { nonce: ping.nonce }))
        .await;
    assert!(matches!(wire.answer().await, Response::Ping(_)));
    assert_eq!(wire.ends().await.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn requests_that_break_the_protocol_end_the_stream_with_the_field() {
    let node = TestNode::start().await;
    let mut wire = Wire::of(&node).await;
    wire.adds(1, &[group(), vec![2; 33]]).await;
    let ended = wire.ends().await;
    assert_eq!(ended.code(), Code::InvalidArgument);
    assert!(
        ended
            .message()
            .starts_with("v1.mutate.adds[1].topic: is of kind 2"),
        "{ended}"
    );

    let mut wire = Wire::of(&node).await;
    let versionless = SubscribeRequest { version: None };
    let requests = wire.requests.as_ref().unwrap();
    requests.send(versionless).await.unwrap();
    let ended = wire.ends().await;
    assert_eq!(ended.code(), Code::InvalidArgument);
    assert!(ended.message().starts_with("version"), "{ended}");
}

#[tokio::test]
async fn a_request_of_an_unknown_kind_is_ignored() {
    let node = TestNode::start().await;
    let mut wire = Wire::of(&node).await;
    wire.answer().await;
    let unknown = SubscribeRequest {
        version: Some(subscribe_request::Version::V1(subscribe_request::V1 {
            request: None,
        })),
    };
    wire.requests.as_ref().unwrap().send(unknown).await.unwrap();
    wire.adds(1, &[group()]).await;
    assert_eq!(wire.answer().await, live(&[group()]));
}

#[tokio::test]
async fn streams_end_with_unavailable_when_the_node_goes() {
    let node = TestNode::start().await;
    let mut wire = Wire::of(&node).await;
    wire.answer().await;
    node.node.close_streams();
    assert_eq!(wire.ends().await.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_cut_with_aborted() {
    let backlog = Backlog {
        envelopes: 3,
        bytes: 1 << 20,
    };
    let node = TestNode::with(NodeConfig::default(), backlog).await;
    let mut wire = Wire::of(&node).await;
    wire.adds(1, &[group()]).await;
    while wire.answer().await != complete(1) {}
    let burst: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let burst: Vec<&str> = burst.iter().map(String::as_str).collect();
    wire.publishes(&burst).await;
    assert_eq!(wire.ends().await.code(), Code::Aborted);
}

#[tokio::test]
async fn the_d14n_stream_carries_signed_envelopes_of_every_kind() {
    use d14n::{
        subscribe_request::v1::{Mutate, Request, mutate::Subscription},
        subscribe_response::v1::Response,
    };

    let node = TestNode::start().await;
    let mut writer = Wire::of(&node).await;
    writer.publishes(&["one", "two"]).await;
    let mut query = QueryApiClient::new(node.channel().await);
    let (requests, received) = mpsc::channel(16);
    let opened = query.subscribe(ReceiverStream::new(received)).await;
    let mut answers = opened.unwrap().into_inner();
    let says = |request: Request| d14n::SubscribeRequest {
        version: Some(d14n::subscribe_request::Version::V1(
            d14n::subscribe_request::V1 {
                request: Some(request),
            },
        )),
    };
    let subscription = |topic: Vec<u8>, last_seen| Subscription {
        topic: topic.into(),
        last_seen,
    };
    let mutate = Mutate {
        adds: vec![
            subscription(group(), Some(Cursor::default())),
            subscription(vec![3; 33], None),
        ],
        mutate_id: 4,
        ..Mutate::default()
    };
    requests.send(says(Request::Mutate(mutate))).await.unwrap();
    let mut next = async || {
        let answer = timeout(DEADLINE, answers.message()).await.unwrap();
        let version = answer.map(|answer| answer.unwrap().version);
        match version {
            Ok(Some(d14n::subscribe_response::Version::V1(answer))) => Ok(answer.response.unwrap()),
            Ok(None) => panic!("the version is set"),
            Err(status) => Err(status),
        }
    };
    assert!(matches!(next().await, Ok(Response::Started(_))));
    let Ok(Response::Envelopes(frame)) = next().await else {
        panic!("history comes first");
    };
    assert_eq!((frame.envelopes.len(), frame.mutate_id), (2, 4));
    assert!(frame.envelopes.iter().all(|one| one.proof.is_some()));
    assert!(matches!(next().await, Ok(Response::TopicsLive(_))));
    assert!(matches!(next().await, Ok(Response::CatchupComplete(_))));
    writer.publishes(&["three"]).await;
    let Ok(Response::Envelopes(frame)) = next().await else {
        panic!("a live frame is next");
    };
    assert_eq!((frame.envelopes.len(), frame.mutate_id), (1, 0));

    let impossible = Cursor {
        node_id_to_sequence_id: [(0, u64::MAX)].into(),
    };
    let mutate = Mutate {
        adds: vec![subscription(vec![1; 33], Some(impossible))],
        mutate_id: 5,
        ..Mutate::default()
    };
    requests.send(says(Request::Mutate(mutate))).await.unwrap();
    let ended = next().await.unwrap_err();
    assert_eq!(ended.code(), Code::InvalidArgument);
    assert!(
        ended.message().starts_with("v1.mutate.adds[0].last_seen"),
        "{ended}"
    );
}

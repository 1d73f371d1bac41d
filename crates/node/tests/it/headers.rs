//! Official clients wait for the headers of a stream before they do anything else, so every
//! stream must open at once, also when there is nothing to say (node API section 1.4).

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use folkmoot_node::EdgeConfig;
use folkmoot_testkit::TestNode;
use futures::StreamExt;
use http::Version;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use prost_reflect::{DescriptorPool, DynamicMessage, prost::Message};
use tokio::{net::TcpListener, time::timeout};

/// Every method that streams, with a request in JSON to which there is nothing to answer yet.
const STREAMS: &[(&str, &str)] = &[
    (
        "xmtp.message_api.v1.MessageApi/Subscribe",
        r#"{"contentTopics": ["*"]}"#,
    ),
    ("xmtp.message_api.v1.MessageApi/SubscribeAll", "{}"),
    ("xmtp.mls.api.v1.MlsApi/Subscribe", "{}"),
    ("xmtp.mls.api.v1.MlsApi/SubscribeGroupMessages", "{}"),
    (
        "xmtp.mls.api.v1.MlsApi/SubscribeWelcomeMessages",
        r#"{"filters": [{"installationKey": "oaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaE="}]}"#,
    ),
    (
        "xmtp.xmtpv4.message_api.NotificationApi/SubscribeAllEnvelopes",
        "{}",
    ),
    ("xmtp.xmtpv4.message_api.QueryApi/Subscribe", "{}"),
    (
        "xmtp.xmtpv4.message_api.QueryApi/SubscribeTopics",
        r#"{"filters": [{"topic": "AKGhoaGhoaGhoaGhoaGhoaE="}]}"#,
    ),
    (
        "xmtp.xmtpv4.message_api.ReplicationApi/SubscribeEnvelopes",
        r#"{"query": {"topics": ["AKGhoaGhoaGhoaGhoaGhoaE="], "lastSeen": {}}}"#,
    ),
    (
        "xmtp.xmtpv4.message_api.ReplicationApi/SubscribeOriginators",
        r#"{"filter": {"originatorNodeIds": [100], "lastSeen": {}}}"#,
    ),
    (
        "xmtp.xmtpv4.message_api.ReplicationApi/SubscribeTopics",
        r#"{"filters": [{"topic": "AKGhoaGhoaGhoaGhoaGhoaE="}]}"#,
    ),
    (
        "xmtp.xmtpv4.metadata_api.MetadataApi/SubscribeSyncCursor",
        "{}",
    ),
];

type RequestBody = UnsyncBoxBody<Bytes, Infallible>;

/// `message` as a frame; a client that streams says nothing and stays.
fn body(pool: &DescriptorPool, path: &str, message: &str) -> (RequestBody, bool) {
    let (service, method) = path.split_once('/').expect("a service and a method");
    let service = pool.get_service_by_name(service).expect("a service");
    let method = service
        .methods()
        .find(|one| one.name() == method)
        .expect("a method");
    assert!(method.is_server_streaming(), "{path}");
    if method.is_client_streaming() {
        let silence = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        return (StreamBody::new(silence).boxed_unsync(), true);
    }
    let mut json = serde_json::Deserializer::from_str(message);
    let message = DynamicMessage::deserialize(method.input(), &mut json)
        .expect("a message of the method's type")
        .encode_to_vec();
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    let frame = futures::stream::iter([Ok(Frame::data(Bytes::from(frame)))]);
    (StreamBody::new(frame.boxed()).boxed_unsync(), false)
}

#[tokio::test]
async fn every_idle_stream_opens_at_once_over_grpc_and_grpc_web() {
    let test = TestNode::start().await;
    let router = test.node.edge(EdgeConfig::default()).router();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let pool = DescriptorPool::decode(folkmoot_wire::DESCRIPTORS).unwrap();
    let streaming = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    let streaming = streaming
        .filter(|method| method.is_server_streaming())
        .count();
    assert_eq!(
        STREAMS.len(),
        streaming,
        "a streaming method is missing in the table"
    );

    let mut open = Vec::new();
    for version in [Version::HTTP_2, Version::HTTP_11] {
        let is_web = version == Version::HTTP_11;
        let client = Client::builder(TokioExecutor::new())
            .http2_only(!is_web)
            .build_http::<RequestBody>();
        for (path, message) in STREAMS {
            let (body, streams) = body(&pool, path, message);
            if streams && is_web {
                // gRPC-Web has no streaming clients.
                continue;
            }
            let kind = if is_web {
                "application/grpc-web+proto"
            } else {
                "application/grpc"
            };
            let request = http::Request::post(format!("http://{address}/{path}"))
                .header("content-type", kind)
                .header("accept", kind)
                .body(body)
                .unwrap();
            let response = timeout(Duration::from_secs(1), client.request(request))
                .await
                .unwrap_or_else(|_| panic!("{path} over {version:?} kept its headers back"))
                .unwrap();
            let status = response.headers().get("grpc-status");
            assert!(
                status.is_none(),
                "{path} over {version:?}: {:?}",
                response.headers()
            );
            open.push(response);
        }
    }
}

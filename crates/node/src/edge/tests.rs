//! The edge over real connections, before a service made for the purpose.

use std::{net::SocketAddr, path::Path, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_store::{Pruned, Retention, Stats, StoreError};
use folkmoot_wire::proto::xmtp::message_api::v1::{
    Envelope, PublishRequest, PublishResponse, SubscribeAllRequest, SubscribeRequest,
    message_api_client::MessageApiClient,
    message_api_server::{MessageApi, MessageApiServer},
};
use futures::{StreamExt, stream::BoxStream};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{io::AsyncWriteExt, net::TcpListener, time::timeout};
use tonic::{codec::CompressionEncoding, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::*;
use crate::{LimitsConfig, page::PageAddress};

const PUBLISH: &str = "/xmtp.message_api.v1.MessageApi/Publish";
const SUBSCRIBE: &str = "/xmtp.message_api.v1.MessageApi/Subscribe";
const SOON: Duration = Duration::from_secs(1);

/// Publishes of nothing hang, `Subscribe` says nothing, `SubscribeAll` says one thing and fails.
struct Push;

#[async_trait]
impl MessageApi for Push {
    async fn publish(
        &self,
        request: tonic::Request<PublishRequest>,
    ) -> Result<tonic::Response<PublishResponse>, Status> {
        let bytes: usize = request
            .get_ref()
            .envelopes
            .iter()
            .map(|e| e.message.len())
            .sum();
        if bytes == 0 {
            std::future::pending::<()>().await;
        }
        Ok(tonic::Response::new(PublishResponse {}))
    }

    type SubscribeStream = BoxStream<'static, Result<Envelope, Status>>;

    async fn subscribe(
        &self,
        _: tonic::Request<SubscribeRequest>,
    ) -> Result<tonic::Response<Self::SubscribeStream>, Status> {
        Ok(tonic::Response::new(futures::stream::pending().boxed()))
    }

    type SubscribeAllStream = BoxStream<'static, Result<Envelope, Status>>;

    async fn subscribe_all(
        &self,
        _: tonic::Request<SubscribeAllRequest>,
    ) -> Result<tonic::Response<Self::SubscribeAllStream>, Status> {
        let items = [Ok(envelope(3)), Err(Status::aborted("that was all"))];
        Ok(tonic::Response::new(futures::stream::iter(items).boxed()))
    }
}

fn envelope(bytes: usize) -> Envelope {
    Envelope {
        content_topic: "/topic".to_owned(),
        timestamp_ns: u64::MAX,
        message: Bytes::from(vec![1; bytes]),
    }
}

/// A store that is well until told otherwise.
#[derive(Default)]
struct Upkeep {
    is_broken: AtomicBool,
}

#[async_trait]
impl Maintenance for Upkeep {
    async fn prune(&self, _: Retention, _: u64) -> Result<Pruned, StoreError> {
        Err(StoreError::Closed)
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        Ok(Stats {
            envelopes: 5,
            ..Stats::default()
        })
    }

    async fn check(&self) -> Result<(), StoreError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(StoreError::DiskFull);
        }
        Ok(())
    }

    async fn reset(&self) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn copy_to(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn replace_with(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

struct Server {
    address: SocketAddr,
    edge: Edge,
    upkeep: Arc<Upkeep>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The gRPC status and message, from headers or trailers.
    fn grpc(&self) -> (Code, String) {
        let status = Status::from_header_map(&self.headers)
            .or_else(|| Status::from_header_map(&self.trailers))
            .unwrap();
        (status.code(), status.message().to_owned())
    }
}

impl Server {
    async fn start() -> Self {
        Self::start_with(LimitsConfig::default()).await
    }

    async fn start_with(limits: LimitsConfig) -> Self {
        let upkeep = Arc::new(Upkeep::default());
        let push = MessageApiServer::new(Push)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(26_214_400);
        let edge = Edge::new(
            Routes::new(push),
            Arc::clone(&upkeep) as Arc<dyn Maintenance>,
            26_214_400,
            EdgeConfig { limits },
        );
        let page = PageConfig {
            note: "all of it is gone when the program ends".to_owned(),
            addresses: vec![PageAddress {
                name: "v3".to_owned(),
                url: "http://localhost:5556".to_owned(),
                setting: "apiUrl".to_owned(),
            }],
        };
        let router = edge.router().merge(edge.json()).merge(edge.page(page));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                tokio::spawn(async move {
                    auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(socket), service)
                        .await
                });
            }
        });
        Self {
            address,
            edge,
            upkeep,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(self.url("")).unwrap();
        endpoint.connect().await.unwrap()
    }

    async fn push(&self) -> MessageApiClient<Channel> {
        MessageApiClient::new(self.channel().await)
    }

    /// Sends a request, and waits for its headers only.
    async fn open(
        &self,
        version: Version,
        request: http::request::Builder,
        path: &str,
        body: &[u8],
    ) -> http::Response<Incoming> {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build_http();
        let request = request
            .uri(self.url(path))
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        client.request(request).await.unwrap()
    }

    async fn send(
        &self,
        version: Version,
        request: http::request::Builder,
        path: &str,
        body: &[u8],
    ) -> Answer {
        let (parts, body) = self.open(version, request, path, body).await.into_parts();
        let body = body.collect().await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            trailers: body.trailers().cloned().unwrap_or_default(),
            body: body.to_bytes(),
        }
    }

    async fn grpc(&self, path: &str, body: &[u8]) -> Answer {
        self.send(Version::HTTP_2, grpc_request(), path, body).await
    }

    async fn web(&self, path: &str, body: &[u8]) -> Answer {
        self.send(Version::HTTP_11, web_request(), path, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Version::HTTP_11, http::Request::get("/"), path, b"")
            .await
    }

    async fn post_json(&self, path: &str, body: &str) -> Answer {
        self.send(
            Version::HTTP_11,
            http::Request::post("/"),
            path,
            body.as_bytes(),
        )
        .await
    }
}

fn grpc_request() -> http::request::Builder {
    http::Request::post("/").header("content-type", "application/grpc")
}

fn web_request() -> http::request::Builder {
    http::Request::post("/")
        .header("content-type", "application/grpc-web+proto")
        .header("accept", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
}

/// A frame with the message of [`envelope`] inside a [`PublishRequest`].
fn publish_frame(bytes: usize) -> Vec<u8> {
    let message = prost::Message::encode_to_vec(&PublishRequest {
        envelopes: vec![envelope(bytes)],
    });
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

#[tokio::test]
async fn a_call_passes_over_grpc_and_grpc_web() {
    let server = Server::start().await;
    let mut client = server.push().await;
    let request = PublishRequest {
        envelopes: vec![envelope(10)],
    };
    client.publish(request.clone()).await.unwrap();
    let mut gzip = client.send_compressed(CompressionEncoding::Gzip);
    gzip.publish(request).await.unwrap();

    let answer = server.web(PUBLISH, &publish_frame(10)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/grpc-web+proto");
    assert!(answer.text().contains("grpc-status:0"), "{}", answer.text());
    let recent = server.edge.observer().recent();
    assert_eq!(recent[0].door, Door::GrpcWeb);
    assert!(
        recent.iter().all(|call| call.status == Some("OK")),
        "{recent:?}"
    );
}

#[tokio::test]
async fn the_headers_of_an_idle_stream_arrive_at_once() {
    let server = Server::start().await;
    let mut client = server.push().await;
    let stream = client.subscribe(SubscribeRequest::default());
    let stream = timeout(SOON, stream).await.unwrap().unwrap();
    let empty = [0, 0, 0, 0, 0];
    let open = server.open(Version::HTTP_11, web_request(), SUBSCRIBE, &empty);
    let web = timeout(SOON, open).await.unwrap();
    assert_eq!(web.status(), StatusCode::OK);
    assert_eq!(server.edge.observer().counters().open_streams, 2);
    drop((stream, web));
    let closed = async {
        while server.edge.observer().counters().open_streams > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, closed).await.unwrap();
    assert_eq!(server.edge.observer().recent()[0].status, Some("CANCELLED"));
}

#[tokio::test]
async fn a_page_may_call_after_asking() {
    let server = Server::start().await;
    let ask = http::Request::options("/")
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-auth");
    let answer = server.send(Version::HTTP_11, ask, PUBLISH, b"").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let granted = answer.headers["access-control-allow-headers"]
        .to_str()
        .unwrap();
    assert!(
        granted.contains("x-grpc-web") && granted.contains("x-auth"),
        "{granted}"
    );
    let call = web_request().header("origin", "https://app.example");
    let answer = server.send(Version::HTTP_11, call, "/x.Y/Z", &[0; 5]).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(answer.grpc().0, Code::Unimplemented);
}

#[tokio::test]
async fn unknown_methods_are_unimplemented_and_noted() {
    let server = Server::start().await;
    let answer = server
        .grpc("/xmtp.mls.api.v9.MlsApi/Foretell", &[0; 5])
        .await;
    let (code, message) = answer.grpc();
    assert_eq!(code, Code::Unimplemented);
    assert!(
        message.contains("/xmtp.mls.api.v9.MlsApi/Foretell"),
        "{message}"
    );
    // In the descriptors, but not among the services of this server.
    let answer = server
        .grpc("/xmtp.mls.api.v1.MlsApi/Subscribe", &[0; 5])
        .await;
    assert_eq!(answer.grpc().0, Code::Unimplemented);
    let unknown = server.edge.observer().unknown();
    assert_eq!(unknown["/xmtp.mls.api.v9.MlsApi/Foretell"], 1);
}

#[tokio::test]
async fn bad_frames_get_a_status_that_says_what_is_wrong() {
    let server = Server::start().await;
    let cases: [(&[u8], Code, &str); 9] = [
        (&[], Code::InvalidArgument, "takes one message"),
        (&[0, 0, 0], Code::InvalidArgument, "after 3 of the 5 bytes"),
        (
            &[0, 0, 0, 0, 9, 1],
            Code::InvalidArgument,
            "after 1 of the 9 bytes",
        ),
        (
            &[0, 255, 255, 255, 255],
            Code::ResourceExhausted,
            "limit is 26214400 bytes",
        ),
        (&[1, 0, 0, 0, 0], Code::InvalidArgument, "grpc-encoding"),
        (&[2, 0, 0, 0, 0], Code::InvalidArgument, "flag is 2"),
        (
            &[0, 0, 0, 0, 3, 0x0a, 1, 0xff],
            Code::InvalidArgument,
            "PublishRequest.envelopes",
        ),
        (
            &[0, 0, 0, 0, 2, 0x0a, 9],
            Code::InvalidArgument,
            "PublishRequest.envelopes",
        ),
        (
            &[0, 0, 0, 0, 5, 0x0a, 3, 0x0a, 1, 0xff],
            Code::InvalidArgument,
            "Envelope.content_topic",
        ),
    ];
    for (body, code, words) in cases {
        let (found, message) = server.grpc(PUBLISH, body).await.grpc();
        assert_eq!(found, code, "{body:?}: {message}");
        assert!(message.contains(words), "{body:?}: {message}");
        let web = server.web(PUBLISH, body).await;
        assert_eq!(web.grpc(), (found, message), "{body:?} over gRPC-Web");
    }
    let recent = server.edge.observer().recent();
    assert!(
        recent.iter().all(|call| call.status != Some("INTERNAL")),
        "{recent:?}"
    );
}

#[tokio::test]
async fn bad_compression_is_the_senders_fault() {
    let server = Server::start().await;
    let gzip = || grpc_request().header("grpc-encoding", "gzip");
    let body = [1, 0, 0, 0, 3, 1, 2, 3];
    let answer = server.send(Version::HTTP_2, gzip(), PUBLISH, &body).await;
    assert_eq!(
        answer.grpc().0,
        Code::InvalidArgument,
        "{:?}",
        answer.grpc()
    );
    let other = grpc_request().header("grpc-encoding", "zstd");
    let answer = server.send(Version::HTTP_2, other, PUBLISH, &body).await;
    assert_eq!(answer.grpc().0, Code::Unimplemented);
}

#[tokio::test]
async fn other_protocols_get_an_answer_that_they_understand() {
    let server = Server::start().await;
    let post = |kind: &str| http::Request::post("/").header("content-type", kind);
    for kind in [
        "application/connect+proto",
        "application/connect+json",
        "application/json",
    ] {
        let answer = server
            .send(Version::HTTP_11, post(kind), PUBLISH, b"{}")
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{kind}");
        assert_eq!(answer.json()["code"], "failed_precondition", "{kind}");
    }
    let answer = server
        .send(
            Version::HTTP_2,
            post("application/grpc+json"),
            PUBLISH,
            b"{}",
        )
        .await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(answer.grpc().0, Code::InvalidArgument);
    let answer = server
        .send(Version::HTTP_11, post("Application/gRPC"), PUBLISH, b"")
        .await;
    assert_eq!(answer.status, StatusCode::UPGRADE_REQUIRED);
    let answer = server.get(PUBLISH).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(answer.text().contains("gRPC method"), "{}", answer.text());
    let get = http::Request::get("/").header("content-type", "application/grpc-web");
    let answer = server.send(Version::HTTP_11, get, PUBLISH, b"").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(server.get("/nowhere").await.status, StatusCode::NOT_FOUND);
    let charset = post("application/grpc-web+proto; charset=utf-8");
    let answer = server
        .send(Version::HTTP_11, charset, PUBLISH, &publish_frame(1))
        .await;
    assert!(answer.text().contains("grpc-status:0"), "{}", answer.text());
}

#[tokio::test]
async fn the_text_form_of_grpc_web_is_base64() {
    let server = Server::start().await;
    let text = || {
        http::Request::post("/")
            .header("content-type", "application/grpc-web-text")
            .header("accept", "application/grpc-web-text")
    };
    // A frame with a `PublishRequest` whose one envelope has the message `abc`.
    let body = b"AAAAAAcKBRoDYWJj";
    let answer = server.send(Version::HTTP_11, text(), PUBLISH, body).await;
    assert_eq!(answer.status, StatusCode::OK);
    // The frame of an empty message; the trailers are a piece of base64 of their own.
    assert!(answer.text().starts_with("AAAAAAA="), "{}", answer.text());
    let answer = server
        .send(Version::HTTP_11, text(), PUBLISH, b"%%%%")
        .await;
    assert_eq!(answer.grpc().0, Code::InvalidArgument);
}

#[tokio::test]
async fn health_and_readiness_follow_the_store_and_the_drain() {
    let server = Server::start().await;
    let mut health = HealthClient::new(server.channel().await);
    let mut status = async |service: &str| {
        let service = service.to_owned();
        let answer = health.check(HealthCheckRequest { service }).await;
        answer.map(|answer| answer.into_inner().status)
    };
    assert_eq!(status("").await.unwrap(), 1);
    assert_eq!(status("xmtp.mls.api.v1.MlsApi").await.unwrap(), 1);
    assert_eq!(status("nobody").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    server.upkeep.is_broken.store(true, Ordering::Relaxed);
    let unready = server.get("/readyz").await;
    assert_eq!(unready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        unready.text().contains("disk is full"),
        "{}",
        unready.text()
    );
    server.upkeep.is_broken.store(false, Ordering::Relaxed);
    server.edge.drain().await;
    assert_eq!(status("").await.unwrap(), 2);
    assert_eq!(status("xmtp.mls.api.v1.MlsApi").await.unwrap(), 2);
    assert_eq!(
        server.get("/readyz").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(server.get("/healthz").await.text(), "alive\n");
}

#[tokio::test]
async fn reflection_names_the_services() {
    let server = Server::start().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client
        .server_reflection_info(futures::stream::iter([ask]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("not a list: {answer:?}");
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for name in ["xmtp.mls.api.v1.MlsApi", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_call() {
    let server = Server::start().await;
    let hanging = publish_frame(0);
    let short = grpc_request().header("grpc-timeout", "20m");
    let answer = timeout(SOON, server.send(Version::HTTP_2, short, PUBLISH, &hanging));
    assert_eq!(answer.await.unwrap().grpc().0, Code::DeadlineExceeded);
    for wrong in ["", "m", "1", "123456789S", "1x", "+1S"] {
        let call = grpc_request().header("grpc-timeout", wrong);
        let (code, message) = server
            .send(Version::HTTP_2, call, PUBLISH, &hanging)
            .await
            .grpc();
        assert_eq!(code, Code::InvalidArgument, "{wrong:?}");
        assert!(message.contains("grpc-timeout"), "{message}");
    }
}

#[tokio::test]
async fn the_largest_message_passes_and_one_byte_more_does_not() {
    let server = Server::start().await;
    let overhead = publish_frame(20_000_000).len() - 20_000_000 - 5;
    let most = 26_214_400 - overhead;
    let largest = server.grpc(PUBLISH, &publish_frame(most)).await;
    assert_eq!(largest.grpc().0, Code::Ok);
    let more = server.grpc(PUBLISH, &publish_frame(most + 1)).await;
    assert_eq!(more.grpc().0, Code::ResourceExhausted);
}

#[tokio::test]
async fn one_client_at_its_limits_does_not_slow_another() {
    let rate = crate::Rate {
        per_minute: 1,
        burst: 3,
    };
    let limits = LimitsConfig {
        rates: Some(crate::Rates {
            calls: rate,
            publishes: rate,
        }),
        ..LimitsConfig::default()
    };
    let edge = Server::start_with(limits).await.edge;
    let call = async |client: &str| {
        let mut request = grpc_request()
            .uri(PUBLISH)
            .body(Body::new(Full::new(Bytes::from(publish_frame(1)))))
            .unwrap();
        let client = client.parse().unwrap();
        request.extensions_mut().insert(ClientAddr(client));
        let started = Instant::now();
        let Ok(response) = edge.clone().oneshot(request).await;
        let code = Status::from_header_map(response.headers()).map(|status| status.code());
        (code, started.elapsed())
    };
    let busy: Vec<_> = futures::future::join_all((0..50).map(|_| call("192.0.2.1"))).await;
    let refused = busy
        .iter()
        .filter(|(code, _)| *code == Some(Code::ResourceExhausted));
    assert_eq!(refused.count(), 47);
    for number in 2..40 {
        let (code, took) = call(&format!("192.0.2.{number}")).await;
        assert_eq!(code, None, "client {number}");
        assert!(took < SOON);
    }
}

#[tokio::test]
async fn half_sent_requests_are_bounded_and_do_not_stop_others() {
    let limits = LimitsConfig {
        address_bytes: 26 << 20,
        ..LimitsConfig::default()
    };
    let server = Server::start_with(limits).await;
    // A browser's request of 25 MiB that stops one byte before its end.
    let frame = publish_frame(26_000_000);
    let mut stuck = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let head = format!(
        "POST {PUBLISH} HTTP/1.1\r\nhost: h\r\ncontent-type: application/grpc-web+proto\r\n\
         content-length: {}\r\n\r\n",
        frame.len()
    );
    stuck.write_all(head.as_bytes()).await.unwrap();
    stuck.write_all(&frame[..frame.len() - 1]).await.unwrap();
    let refused = async {
        loop {
            let answer = server.web(PUBLISH, &publish_frame(2_000_000)).await;
            if answer.headers.contains_key("grpc-status") {
                break answer.grpc();
            }
        }
    };
    let (code, message) = timeout(Duration::from_secs(20), refused).await.unwrap();
    assert_eq!(code, Code::ResourceExhausted);
    assert!(message.contains("at a time"), "{message}");
    let small = server.web(PUBLISH, &publish_frame(1000)).await;
    assert!(small.text().contains("grpc-status:0"), "{}", small.text());
    drop(stuck);
    let freed = async {
        while server
            .web(PUBLISH, &publish_frame(2_000_000))
            .await
            .headers
            .contains_key("grpc-status")
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), freed).await.unwrap();
}

#[tokio::test]
async fn answers_that_nobody_takes_are_bounded() {
    let limits = Limits::new(LimitsConfig {
        address_bytes: 50 << 20,
        ..LimitsConfig::default()
    });
    let answer = || {
        let held = Arc::new(limits.hold(std::net::Ipv4Addr::LOCALHOST.into()));
        let body = Body::new(Full::new(Bytes::from(vec![0; 20 << 20])));
        WholeAnswer::take(body, held)
    };
    let waiting = (answer().await.unwrap(), answer().await.unwrap());
    let refused = answer().await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(waiting);
    let taken = answer().await.unwrap().collect().await.unwrap();
    assert_eq!(taken.to_bytes().len(), 20 << 20);
}

#[tokio::test]
async fn the_mirror_takes_json_and_protobuf() {
    let server = Server::start().await;
    let body = r#"{"envelopes":[{"contentTopic":"t","timestampNs":"7","message":"AQI="}]}"#;
    let answer = server.post_json("/message/v1/publish", body).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (StatusCode::OK, "{}")
    );
    assert_eq!(server.edge.observer().recent()[0].door, Door::Json);
    assert_eq!(server.edge.observer().recent()[0].status, Some("OK"));
    let protobuf = http::Request::post("/").header("content-type", "application/x-protobuf");
    let answer = server
        .send(
            Version::HTTP_11,
            protobuf,
            "/message/v1/publish",
            &publish_frame(9)[5..],
        )
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "application/x-protobuf");
}

#[tokio::test]
async fn the_mirror_streams_lines_and_ends_with_the_error() {
    let server = Server::start().await;
    let answer = server.post_json("/message/v1/subscribe-all", "{}").await;
    let text = answer.text();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0]["result"]["message"], "AQEB");
    assert_eq!(lines[0]["result"]["timestampNs"], u64::MAX.to_string());
    assert_eq!(lines[1]["error"]["code"], 10);
    assert_eq!(lines[1]["error"]["message"], "that was all");
    let open = server.open(
        Version::HTTP_11,
        http::Request::post("/"),
        "/message/v1/subscribe",
        b"",
    );
    assert_eq!(timeout(SOON, open).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_mirror_refuses_with_the_status_that_belongs_to_the_cause() {
    let server = Server::start().await;
    let cases = [
        ("/message/v1/publish", "{", 400, "PublishRequest in JSON"),
        ("/message/v1/publish", r#"{"envelope":[]}"#, 400, "envelope"),
        (
            "/message/v1/publish",
            r#"{"envelopes":[{"message":"?"}]}"#,
            400,
            "base64",
        ),
        ("/message/v1/publish", "{} {}", 400, "trailing"),
        ("/message/v1/query", "{}", 501, "closed"),
        ("/mls/v1/send-group-messages", "{}", 501, "does not serve"),
    ];
    for (path, body, status, words) in cases {
        let answer = server.post_json(path, body).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{path} {body}: {}",
            answer.text()
        );
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(words), "{path} {body}: {message}");
    }
    for query in ["x=1", "group_ids=!", "include_content=maybe"] {
        let answer = server
            .get(&format!("/mls/v1/get-newest-group-message?{query}"))
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        let name = query.split('=').next().unwrap();
        assert!(answer.text().contains(name), "{}", answer.text());
    }
    let served_elsewhere =
        "/mls/v1/get-newest-group-message?group_ids=AQ-_&groupIds=AQ&include_content=true";
    assert_eq!(
        server.get(served_elsewhere).await.status,
        StatusCode::NOT_IMPLEMENTED
    );
}

#[tokio::test]
async fn the_page_and_its_numbers_are_served() {
    let server = Server::start().await;
    server.grpc("/x.Y/Z", &[0; 5]).await;
    server.grpc(PUBLISH, &publish_frame(4)).await;
    let page = server.get("/").await;
    assert!(
        page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.headers.contains_key("content-security-policy"));
    let status = server.get("/api/status").await.json();
    assert_eq!(status["store"]["envelopes"], 5);
    assert_eq!(status["calls"], 1);
    assert_eq!(status["recent"][0]["method"], PUBLISH);
    assert_eq!(status["recent"][0]["status"], "OK");
    assert_eq!(status["unknown"][0]["path"], "/x.Y/Z");
    assert_eq!(status["addresses"][0]["setting"], "apiUrl");
}

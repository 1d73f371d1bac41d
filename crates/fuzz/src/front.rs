//! Everything that a node reads from its ports, through a whole node in memory.

use std::time::Duration;

use axum::{Router, body::Body};
use bytes::Bytes;
use folkmoot_node::EdgeConfig;
use folkmoot_testkit::TestNode;
use futures::stream;
use http::{Request, StatusCode, Version, request};
use http_body_util::BodyExt;
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use tonic::{Code, Status};
use tower::ServiceExt;

/// Service and method, in an order that never changes: seeds name methods by their place here.
pub const METHODS: &[&str] = &[
    "xmtp.mls.api.v1.MlsApi/SendGroupMessages",
    "xmtp.mls.api.v1.MlsApi/SendWelcomeMessages",
    "xmtp.mls.api.v1.MlsApi/RegisterInstallation",
    "xmtp.mls.api.v1.MlsApi/UploadKeyPackage",
    "xmtp.mls.api.v1.MlsApi/FetchKeyPackages",
    "xmtp.mls.api.v1.MlsApi/RevokeInstallation",
    "xmtp.mls.api.v1.MlsApi/GetIdentityUpdates",
    "xmtp.mls.api.v1.MlsApi/QueryGroupMessages",
    "xmtp.mls.api.v1.MlsApi/QueryWelcomeMessages",
    "xmtp.mls.api.v1.MlsApi/SubscribeGroupMessages",
    "xmtp.mls.api.v1.MlsApi/SubscribeWelcomeMessages",
    "xmtp.mls.api.v1.MlsApi/BatchPublishCommitLog",
    "xmtp.mls.api.v1.MlsApi/BatchQueryCommitLog",
    "xmtp.mls.api.v1.MlsApi/GetNewestGroupMessage",
    "xmtp.mls.api.v1.MlsApi/Subscribe",
    "xmtp.identity.api.v1.IdentityApi/PublishIdentityUpdate",
    "xmtp.identity.api.v1.IdentityApi/GetIdentityUpdates",
    "xmtp.identity.api.v1.IdentityApi/GetInboxIds",
    "xmtp.identity.api.v1.IdentityApi/VerifySmartContractWalletSignatures",
    "xmtp.mls_validation.v1.ValidationApi/ValidateGroupMessages",
    "xmtp.mls_validation.v1.ValidationApi/GetAssociationState",
    "xmtp.mls_validation.v1.ValidationApi/ValidateInboxIdKeyPackages",
    "xmtp.mls_validation.v1.ValidationApi/VerifySmartContractWalletSignatures",
    "xmtp.message_api.v1.MessageApi/Publish",
    "xmtp.message_api.v1.MessageApi/Subscribe",
    "xmtp.message_api.v1.MessageApi/SubscribeAll",
    "xmtp.migration.api.v1.D14nMigrationApi/FetchD14nCutover",
    "xmtp.xmtpv4.payer_api.PayerApi/PublishClientEnvelopes",
    "xmtp.xmtpv4.payer_api.PayerApi/GetNodes",
    "xmtp.xmtpv4.gateway_api.GatewayApi/PublishClientEnvelopes",
    "xmtp.xmtpv4.gateway_api.GatewayApi/GetNodes",
    "xmtp.xmtpv4.message_api.ReplicationApi/SubscribeEnvelopes",
    "xmtp.xmtpv4.message_api.ReplicationApi/SubscribeTopics",
    "xmtp.xmtpv4.message_api.ReplicationApi/SubscribeOriginators",
    "xmtp.xmtpv4.message_api.ReplicationApi/QueryEnvelopes",
    "xmtp.xmtpv4.message_api.ReplicationApi/PublishPayerEnvelopes",
    "xmtp.xmtpv4.message_api.ReplicationApi/GetInboxIds",
    "xmtp.xmtpv4.message_api.ReplicationApi/GetNewestEnvelope",
    "xmtp.xmtpv4.message_api.QueryApi/SubscribeTopics",
    "xmtp.xmtpv4.message_api.QueryApi/Subscribe",
    "xmtp.xmtpv4.message_api.QueryApi/QueryEnvelopes",
    "xmtp.xmtpv4.message_api.QueryApi/GetInboxIds",
    "xmtp.xmtpv4.message_api.QueryApi/GetNewestEnvelope",
    "xmtp.xmtpv4.message_api.PublishApi/PublishPayerEnvelopes",
    "xmtp.xmtpv4.message_api.NotificationApi/SubscribeAllEnvelopes",
    "xmtp.xmtpv4.metadata_api.MetadataApi/GetSyncCursor",
    "xmtp.xmtpv4.metadata_api.MetadataApi/SubscribeSyncCursor",
    "xmtp.xmtpv4.metadata_api.MetadataApi/GetVersion",
    "xmtp.xmtpv4.metadata_api.MetadataApi/GetPayerInfo",
];

/// Paths of the JSON mirror, in an order that never changes.
const JSON_PATHS: &[&str] = &[
    "/mls/v1/send-group-messages",
    "/mls/v1/send-welcome-messages",
    "/mls/v1/upload-key-package",
    "/mls/v1/fetch-key-packages",
    "/mls/v1/query-group-messages",
    "/mls/v1/query-welcome-messages",
    "/mls/v1/subscribe-group-messages",
    "/mls/v1/batch-publish-commit-log",
    "/mls/v1/batch-query-commit-log",
    "/identity/v1/publish-identity-update",
    "/identity/v1/get-identity-updates",
    "/identity/v1/get-inbox-ids",
    "/identity/v1/verify-smart-contract-wallet-signatures",
    "/message/v1/subscribe",
    "/message/v1/publish",
];

const CONTENT_TYPES: [&str; 6] = [
    "application/grpc",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc+proto",
    "application/grpc+json",
    "application/connect+proto",
];

thread_local! {
    static FRONT: Front = Front::new();
}

/// The node of one thread.
struct Front {
    runtime: Runtime,
    node: TestNode,
    router: Router,
}

/// What comes back, as far as anybody waits for it.
struct Answer {
    status: StatusCode,
    /// `None` if a stream is still open.
    grpc: Option<Status>,
}

/// A message to a method: the first byte names the method, the rest is the message. To a method
/// that takes many messages, the rest is messages, each after its length in two bytes.
pub fn grpc_request(data: &[u8]) {
    let Some((method, message)) = super::first(data) else {
        return;
    };
    let method = METHODS[method % METHODS.len()];
    let body = if method.ends_with("/Subscribe") && !method.contains("MessageApi") {
        frames(message)
    } else {
        frame(message)
    };
    with_node(async |front| {
        let request = grpc(method, CONTENT_TYPES[0]).body(Body::from(body));
        let answer = front.answer(request.expect("a request")).await;
        assert_eq!(answer.status, StatusCode::OK, "gRPC has its own statuses");
        answer.grpc.is_some_and(|status| status.code() != Code::Ok)
    });
}

/// Bytes as the body of a call: a byte for the method, one for content type and encoding, one for
/// where the bytes are cut, then the body.
pub fn grpc_body(data: &[u8]) {
    let &[method, form, cut, ref body @ ..] = data else {
        return;
    };
    let method = METHODS[usize::from(method) % METHODS.len()];
    let content_type = CONTENT_TYPES[usize::from(form) % CONTENT_TYPES.len()];
    let mut request = grpc(method, content_type);
    if form & 0x40 != 0 {
        request = request.header("grpc-encoding", "gzip");
    }
    if form & 0x80 != 0 {
        request = request.version(Version::HTTP_11);
    }
    let pieces: Vec<_> = body
        .chunks(usize::from(cut).max(1))
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    with_node(async |front| {
        let request = request.body(Body::from_stream(stream::iter(pieces)));
        let answer = front.answer(request.expect("a request")).await;
        !answer.status.is_success() || answer.grpc.is_some_and(|status| status.code() != Code::Ok)
    });
}

/// A request to the JSON mirror: the first byte names the path, the rest is the body; past the
/// paths, the rest is the query of the one path that is read with `GET`.
pub fn json_request(data: &[u8]) {
    let Some((path, body)) = super::first(data) else {
        return;
    };
    let request = match JSON_PATHS.get(path % (JSON_PATHS.len() + 1)) {
        Some(path) => Request::post(*path).body(Body::from(body.to_vec())),
        None => {
            let path = [b"/mls/v1/get-newest-group-message?", body].concat();
            Request::get(path.as_slice()).body(Body::empty())
        }
    };
    let Ok(request) = request else {
        return;
    };
    with_node(async |front| {
        let answer = front.answer(request).await;
        !answer.status.is_success()
    });
}

/// Runs a call that says whether it was refused; a call that was refused stores nothing.
fn with_node(call: impl AsyncFnOnce(&Front) -> bool) {
    FRONT.with(|front| {
        front.runtime.block_on(async {
            let store = front.node.node.store();
            let was_refused = call(front).await;
            let stored = store.stats().await.expect("memory works").envelopes;
            assert!(!was_refused || stored == 0, "nothing refused is stored");
            if stored > 0 {
                front.node.node.reset().await.expect("memory works");
            }
        });
    });
}

impl Front {
    fn new() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime of one thread");
        let node = runtime.block_on(TestNode::start());
        let edge = node.node.edge(EdgeConfig::default());
        Self {
            runtime,
            node,
            router: edge.router().merge(edge.json()),
        }
    }

    /// Calls the node and reads what is there of the answer; the clock jumps over waiting.
    async fn answer(&self, request: Request<Body>) -> Answer {
        let Ok(answer) = self.router.clone().oneshot(request).await;
        let (head, mut body) = answer.into_parts();
        let mut grpc = Status::from_header_map(&head.headers);
        while let Ok(Some(frame)) = timeout(Duration::from_secs(1), body.frame()).await {
            let Ok(frame) = frame else {
                break;
            };
            let trailers = frame.trailers_ref();
            grpc = grpc.or_else(|| trailers.and_then(Status::from_header_map));
        }
        if let Some(status) = &grpc {
            let is_ours = matches!(
                status.code(),
                Code::Internal | Code::Unknown | Code::DataLoss
            );
            assert!(!is_ours, "the sender's fault, not ours: {status}");
            assert!(status.code() == Code::Ok || !status.message().is_empty());
        }
        assert!(!is_failure(head.status), "{}", head.status);
        Answer {
            status: head.status,
            grpc,
        }
    }
}

/// Whether a server says that it is at fault. What is not offered is no fault.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
        && status != StatusCode::NOT_IMPLEMENTED
        && status != StatusCode::SERVICE_UNAVAILABLE
}

fn grpc(method: &str, content_type: &str) -> request::Builder {
    Request::post(format!("/{method}"))
        .version(Version::HTTP_2)
        .header("content-type", content_type)
        .header("te", "trailers")
}

/// A message with flag and length before it.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("inputs are small");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

fn frames(mut messages: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some((length, rest)) = messages.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (message, rest) = rest.split_at(length);
        body.extend(frame(message));
        messages = rest;
    }
    body
}

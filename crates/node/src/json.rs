//! The HTTP/JSON mirror of the v3 services, for people and scripts.
//!
//! A request is turned into the gRPC call of the same meaning, with the descriptors as the only
//! knowledge of messages, and goes through the same limits, checks and handlers. Bodies are
//! proto3 JSON, or protobuf under `application/x-protobuf`; a client that sends protobuf gets
//! protobuf. The messages of a stream are JSON lines `{"result": {..}}`; a stream that fails
//! ends with `{"error": {..}}`.
//!
//! Source: node API section 1.6.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json, Router,
    body::Body as HttpBody,
    extract::{Query, Request},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full};
use prost::Message;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, SerializeOptions, Value,
};
use serde_json::json;
use tonic::{Code, Status, body::Body};
use tower::{Service, ServiceExt};

use crate::{ClientAddr, limits::Limits, methods::Method, observe::Door};

/// Paths of the mirror and the methods behind them, all `POST`.
const MIRRORED: &[(&str, &str)] = &[
    (
        "/identity/v1/get-identity-updates",
        "/xmtp.identity.api.v1.IdentityApi/GetIdentityUpdates",
    ),
    (
        "/identity/v1/get-inbox-ids",
        "/xmtp.identity.api.v1.IdentityApi/GetInboxIds",
    ),
    (
        "/identity/v1/publish-identity-update",
        "/xmtp.identity.api.v1.IdentityApi/PublishIdentityUpdate",
    ),
    (
        "/identity/v1/verify-smart-contract-wallet-signatures",
        "/xmtp.identity.api.v1.IdentityApi/VerifySmartContractWalletSignatures",
    ),
    (
        "/message/v1/publish",
        "/xmtp.message_api.v1.MessageApi/Publish",
    ),
    (
        "/message/v1/subscribe",
        "/xmtp.message_api.v1.MessageApi/Subscribe",
    ),
    (
        "/message/v1/subscribe-all",
        "/xmtp.message_api.v1.MessageApi/SubscribeAll",
    ),
    (
        "/mls/v1/batch-publish-commit-log",
        "/xmtp.mls.api.v1.MlsApi/BatchPublishCommitLog",
    ),
    (
        "/mls/v1/batch-query-commit-log",
        "/xmtp.mls.api.v1.MlsApi/BatchQueryCommitLog",
    ),
    (
        "/mls/v1/fetch-key-packages",
        "/xmtp.mls.api.v1.MlsApi/FetchKeyPackages",
    ),
    (
        "/mls/v1/get-identity-updates",
        "/xmtp.mls.api.v1.MlsApi/GetIdentityUpdates",
    ),
    (
        "/mls/v1/query-group-messages",
        "/xmtp.mls.api.v1.MlsApi/QueryGroupMessages",
    ),
    (
        "/mls/v1/query-welcome-messages",
        "/xmtp.mls.api.v1.MlsApi/QueryWelcomeMessages",
    ),
    (
        "/mls/v1/register-installation",
        "/xmtp.mls.api.v1.MlsApi/RegisterInstallation",
    ),
    (
        "/mls/v1/revoke-installation",
        "/xmtp.mls.api.v1.MlsApi/RevokeInstallation",
    ),
    (
        "/mls/v1/send-group-messages",
        "/xmtp.mls.api.v1.MlsApi/SendGroupMessages",
    ),
    (
        "/mls/v1/send-welcome-messages",
        "/xmtp.mls.api.v1.MlsApi/SendWelcomeMessages",
    ),
    (
        "/mls/v1/subscribe-group-messages",
        "/xmtp.mls.api.v1.MlsApi/SubscribeGroupMessages",
    ),
    (
        "/mls/v1/subscribe-welcome-messages",
        "/xmtp.mls.api.v1.MlsApi/SubscribeWelcomeMessages",
    ),
    (
        "/mls/v1/upload-key-package",
        "/xmtp.mls.api.v1.MlsApi/UploadKeyPackage",
    ),
    (
        "/mls/v2/payer/fetch-d14n-cutover",
        "/xmtp.migration.api.v1.D14nMigrationApi/FetchD14nCutover",
    ),
];
/// The one path that is read with `GET`, and its method.
const NEWEST: (&str, &str) = (
    "/mls/v1/get-newest-group-message",
    "/xmtp.mls.api.v1.MlsApi/GetNewestGroupMessage",
);
/// Calls of the version 2 network, which is gone.
const CLOSED: [&str; 2] = ["/message/v1/batch-query", "/message/v1/query"];
/// Headers that go on to the service.
const FORWARDED: [&str; 3] = ["x-app-version", "x-client-version", "x-libxmtp-version"];

const PROTOBUF: &str = "application/x-protobuf";
/// Flag and length before a message.
const FRAME_HEADER: usize = 5;

/// Base64 with or without padding.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// What the mirror stands before.
#[derive(Clone)]
struct Mirror<S> {
    grpc: S,
    limits: Arc<Limits>,
    max_message_bytes: usize,
}

/// How the body of an answer is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Json,
    Protobuf,
}

/// The mirror of the service `grpc`, which is called in this process.
pub(crate) fn router<S>(grpc: S, limits: Arc<Limits>, max_message_bytes: usize) -> Router
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let mirror = Mirror {
        grpc,
        limits,
        max_message_bytes,
    };
    let mut router = Router::new();
    for (path, method) in MIRRORED {
        let (mirror, method) = (mirror.clone(), known(method));
        router = router.route(path, post(move |request| mirror.posted(method, request)));
    }
    let (path, method) = (NEWEST.0, known(NEWEST.1));
    router = router.route(
        path,
        get(move |query, request| mirror.asked(method, query, request)),
    );
    for path in CLOSED {
        router = router.route(path, post(closed));
    }
    router
}

fn known(path: &str) -> &'static Method {
    Method::at(path).expect("the table names methods that exist")
}

async fn closed() -> Response {
    refusal(&Status::unimplemented(
        "the version 2 network is closed; use /mls/v1 and /identity/v1",
    ))
}

impl<S> Mirror<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone,
{
    async fn posted(self, method: &'static Method, request: Request) -> Response {
        let sent = Form::of(request.headers(), header::CONTENT_TYPE);
        let wanted = match Form::of(request.headers(), header::ACCEPT) {
            Form::Protobuf => Form::Protobuf,
            Form::Json => sent,
        };
        let (head, origin) = head(method, &request);
        let message = match self.read(request).await {
            Ok(body) if sent == Form::Protobuf => Ok(body),
            Ok(body) => from_json(&method.input, &body),
            Err(status) => Err(status),
        };
        match message {
            Ok(message) => self.call(method, head, origin, message, wanted).await,
            Err(status) => refusal(&status),
        }
    }

    async fn asked(
        self,
        method: &'static Method,
        Query(query): Query<Vec<(String, String)>>,
        request: Request,
    ) -> Response {
        let wanted = Form::of(request.headers(), header::ACCEPT);
        let (head, origin) = head(method, &request);
        match from_query(&method.input, &query) {
            Ok(message) => self.call(method, head, origin, message, wanted).await,
            Err(status) => refusal(&status),
        }
    }

    /// The body, which counts as bytes in flight until it is here and turned over.
    async fn read(&self, request: Request) -> Result<Bytes, Status> {
        // JSON spells bytes in base64.
        let most = self.max_message_bytes / 3 * 4 + (64 << 10);
        let held = self.limits.hold(ClientAddr::of(&request));
        let patience = self.limits.config().patience;
        let mut body = request.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = tokio::time::timeout(patience, body.frame())
            .await
            .map_err(|_| Status::deadline_exceeded("the request body stopped half-way"))?
        {
            let frame = frame
                .map_err(|cause| Status::invalid_argument(format!("request body: {cause}")))?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > most {
                    return Err(Status::resource_exhausted(format!(
                        "request body: more than {most} bytes"
                    )));
                }
                held.grow(data.len())?;
                bytes.put_slice(data);
            }
        }
        Ok(bytes.freeze())
    }

    async fn call(
        self,
        method: &'static Method,
        mut head: http::request::Builder,
        origin: Option<ClientAddr>,
        message: Bytes,
        wanted: Form,
    ) -> Response {
        if let Some(extensions) = head.extensions_mut() {
            extensions.insert(Door::Json);
            if let Some(origin) = origin {
                extensions.insert(origin);
            }
        }
        let Ok(length) = u32::try_from(message.len()) else {
            return refusal(&Status::resource_exhausted("request body: more than 4 GiB"));
        };
        let mut frame = BytesMut::with_capacity(FRAME_HEADER + message.len());
        frame.put_u8(0);
        frame.put_u32(length);
        frame.put_slice(&message);
        let request = head
            .body(Body::new(Full::new(frame.freeze())))
            .expect("the method's path is a URI");
        let Ok(response) = self.grpc.oneshot(request).await;
        if let Some(status) = Status::from_header_map(response.headers())
            && status.code() != Code::Ok
        {
            return refusal(&status);
        }
        let mut messages = messages(response.into_body());
        if method.server_streams {
            return lines(method.output.clone(), messages);
        }
        let message = match messages.next().await {
            Some(Ok(message)) => message,
            Some(Err(status)) => return refusal(&status),
            None => return refusal(&Status::internal("the service gave no answer")),
        };
        // The status comes after the message.
        match messages.next().await {
            Some(Err(status)) => refusal(&status),
            Some(Ok(_)) | None => whole(&method.output, message, wanted),
        }
    }
}

impl Form {
    fn of(headers: &HeaderMap, name: header::HeaderName) -> Self {
        let is_protobuf = headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.trim().starts_with(PROTOBUF));
        if is_protobuf {
            Self::Protobuf
        } else {
            Self::Json
        }
    }
}

/// The gRPC request without its message, and who sent it.
fn head(
    method: &'static Method,
    request: &Request,
) -> (http::request::Builder, Option<ClientAddr>) {
    let mut head = http::Request::builder()
        .method(http::Method::POST)
        .version(http::Version::HTTP_2)
        .uri(method.path.as_str())
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers");
    for name in FORWARDED {
        if let Some(value) = request.headers().get(name) {
            head = head.header(name, value);
        }
    }
    (head, request.extensions().get().copied())
}

/// The protobuf form of a JSON message. No body at all is an empty message.
fn from_json(descriptor: &MessageDescriptor, body: &[u8]) -> Result<Bytes, Status> {
    if body.trim_ascii().is_empty() {
        return Ok(Bytes::new());
    }
    let refuse = |cause: serde_json::Error| {
        Status::invalid_argument(format!(
            "request body: not a {} in JSON: {cause}",
            descriptor.name()
        ))
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    let options = DeserializeOptions::new();
    let message = DynamicMessage::deserialize_with_options(descriptor.clone(), &mut json, &options)
        .map_err(refuse)?;
    json.end().map_err(refuse)?;
    Ok(message.encode_to_vec().into())
}

/// The protobuf form of a message whose fields stand in a query; lists repeat their name.
fn from_query(descriptor: &MessageDescriptor, query: &[(String, String)]) -> Result<Bytes, Status> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, text) in query {
        let refuse = |expected: &str| Status::invalid_argument(format!("{name}: {expected}"));
        let field = descriptor
            .get_field_by_name(name)
            .or_else(|| descriptor.get_field_by_json_name(name))
            .ok_or_else(|| refuse("there is no such parameter"))?;
        let value = match field.kind() {
            Kind::Bytes => Value::Bytes(base64(text).ok_or_else(|| refuse("expected base64"))?),
            Kind::Bool => Value::Bool(text.parse().map_err(|_| refuse("expected true or false"))?),
            _ => return Err(refuse("cannot be given in a query")),
        };
        match message.get_field_mut(&field) {
            Value::List(list) => list.push(value),
            single => *single = value,
        }
    }
    Ok(message.encode_to_vec().into())
}

/// Base64 in either alphabet, with padding or without. A plus sign that nobody escaped has
/// become a space by the time it is here.
fn base64(text: &str) -> Option<Bytes> {
    let text = text.replace(['-', ' '], "+").replace('_', "/");
    let engine = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    engine.decode(text).ok().map(Bytes::from)
}

/// The messages in the body of a gRPC answer, ended by an error unless its status is OK.
fn messages(body: Body) -> BoxStream<'static, Result<Bytes, Status>> {
    let reading = Reading {
        body,
        buffer: BytesMut::new(),
        is_over: false,
    };
    stream::unfold(reading, |mut reading| async {
        let message = reading.next().await?;
        Some((message, reading))
    })
    .boxed()
}

struct Reading {
    body: Body,
    buffer: BytesMut,
    is_over: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Bytes, Status>> {
        while !self.is_over {
            if let Some(message) = self.take_message() {
                return Some(Ok(message));
            }
            let failed = match self.body.frame().await {
                None => {
                    self.is_over = true;
                    None
                }
                Some(Err(status)) => Some(status),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.put_slice(data);
                    }
                    frame
                        .trailers_ref()
                        .and_then(Status::from_header_map)
                        .filter(|status| status.code() != Code::Ok)
                }
            };
            if let Some(status) = failed {
                self.is_over = true;
                return Some(Err(status));
            }
        }
        None
    }

    fn take_message(&mut self) -> Option<Bytes> {
        let length = self.buffer.get(1..FRAME_HEADER)?.try_into().ok()?;
        let length = u32::from_be_bytes(length) as usize;
        if self.buffer.len() < FRAME_HEADER + length {
            return None;
        }
        self.buffer.advance(FRAME_HEADER);
        Some(self.buffer.split_to(length).freeze())
    }
}

/// The answer to a unary call.
fn whole(descriptor: &MessageDescriptor, message: Bytes, wanted: Form) -> Response {
    if wanted == Form::Protobuf {
        let protobuf = HeaderValue::from_static(PROTOBUF);
        return ([(header::CONTENT_TYPE, protobuf)], message).into_response();
    }
    match to_json(descriptor, message) {
        Ok(json) => Json(json).into_response(),
        Err(status) => refusal(&status),
    }
}

/// The answer to a call whose answer is a stream.
fn lines(
    descriptor: MessageDescriptor,
    messages: BoxStream<'static, Result<Bytes, Status>>,
) -> Response {
    let lines = messages.map(move |message| {
        let line = match message.and_then(|message| to_json(&descriptor, message)) {
            Ok(result) => json!({ "result": result }),
            Err(status) => json!({ "error": error(&status) }),
        };
        Ok::<_, Infallible>(format!("{line}\n"))
    });
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], HttpBody::from_stream(lines)).into_response()
}

fn to_json(descriptor: &MessageDescriptor, message: Bytes) -> Result<serde_json::Value, Status> {
    let options = SerializeOptions::new().skip_default_fields(false);
    DynamicMessage::decode(descriptor.clone(), message)
        .ok()
        .and_then(|message| {
            message
                .serialize_with_options(serde_json::value::Serializer, &options)
                .ok()
        })
        .ok_or_else(|| Status::internal("the answer cannot be written as JSON"))
}

fn refusal(status: &Status) -> Response {
    (http_status(status.code()), Json(error(status))).into_response()
}

fn error(status: &Status) -> serde_json::Value {
    json!({ "code": status.code() as i32, "message": status.message(), "details": [] })
}

/// The HTTP status for a gRPC one, as gateways between the two have it.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        // "Client closed request"; not in the list of registered statuses.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

//! The edge of a node: everything between an HTTP request and the handler of a method.
//!
//! A request passes, from the outside in: cross-origin rules, the choice of protocol (gRPC,
//! gRPC-Web, or a plain answer to what is neither), observation, limits, the check of its
//! frames, its deadline, and the service. Nothing here collects a body, and an answer's
//! headers leave as soon as the handler has returned, before any message exists: clients wait
//! for them (node API section 1.4).

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use folkmoot_store::Maintenance;
use folkmoot_wire::DESCRIPTORS;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Method as HttpMethod, StatusCode, Version, header};
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::json;
use tonic::{Code, Status, body::Body, service::Routes};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt};
use tracing::Instrument;

use crate::{
    ClientAddr, Node,
    cors::cors,
    framing::{CheckedFrames, Rules},
    json,
    limits::{Cost, Held, Limits, LimitsConfig},
    methods::{self, Method},
    observe::{Call, Door, Observer},
    page::{self, PageConfig},
};

/// What tonic's decoder says of requests that are the sender's fault, under `INTERNAL`.
const SENDERS_FAULT: [&str; 2] = ["failed to decode Protobuf message", "Error decompressing"];

/// How a node meets the outside.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EdgeConfig {
    /// Limits per client address.
    pub limits: LimitsConfig,
}

/// The services of a node as HTTP. Cheap to clone; all clones are the same edge.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<Shared>,
    routes: Router,
}

struct Shared {
    observer: Arc<Observer>,
    limits: Arc<Limits>,
    health: HealthReporter,
    upkeep: Arc<dyn Maintenance>,
    is_draining: AtomicBool,
    max_message_bytes: usize,
}

impl Node {
    /// The node's services as HTTP.
    #[must_use]
    pub fn edge(&self, config: EdgeConfig) -> Edge {
        let store = Arc::clone(self.store());
        Edge::new(
            self.grpc(),
            store,
            self.inner.config.max_message_bytes,
            config,
        )
    }

    /// Everything that an XMTP port answers: [`Edge::router`] of a new edge.
    pub fn router(&self, config: EdgeConfig) -> Router {
        self.edge(config).router()
    }
}

impl Edge {
    fn new(
        services: Routes,
        upkeep: Arc<dyn Maintenance>,
        max_message_bytes: usize,
        config: EdgeConfig,
    ) -> Self {
        let health = HealthReporter::new();
        let shared = Shared {
            observer: Observer::new(),
            limits: Limits::new(config.limits),
            health: health.clone(),
            upkeep,
            is_draining: AtomicBool::new(false),
            max_message_bytes,
        };
        let routes = with_reflection(services)
            .add_service(HealthServer::new(HealthService::from_health_reporter(
                health,
            )))
            .into_axum_router()
            .fallback(not_served);
        let edge = Self {
            shared: Arc::new(shared),
            routes,
        };
        edge.set_health(ServingStatus::Serving)
            .now_or_never()
            .expect("nobody else can use the reporter yet");
        edge
    }

    /// What every XMTP port answers: all services over gRPC and gRPC-Web, health, reflection,
    /// `/healthz` and `/readyz`. What is none of that gets an answer that says so.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .fallback(choose_protocol)
            .with_state(self.clone())
            .layer(middleware::from_fn(cors))
    }

    /// The HTTP/JSON mirror of the v3 services. To be merged into [`Edge::router`].
    pub fn json(&self) -> Router {
        json::router(self.clone(), self.limits(), self.shared.max_message_bytes)
            .layer(middleware::from_fn(cors))
    }

    /// The page that shows a person what the node does. To be merged into [`Edge::router`].
    pub fn page(&self, config: PageConfig) -> Router {
        page::router(self.observer(), Arc::clone(&self.shared.upkeep), config)
    }

    /// What is observed of the calls through this edge.
    #[must_use]
    pub fn observer(&self) -> Arc<Observer> {
        Arc::clone(&self.shared.observer)
    }

    /// The limits that hold at this edge.
    #[must_use]
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.shared.limits)
    }

    /// Says `NOT_SERVING` from now on, and not ready, so that load goes elsewhere. Calls are
    /// still answered.
    pub async fn drain(&self) {
        self.shared.is_draining.store(true, Ordering::Relaxed);
        self.set_health(ServingStatus::NotServing).await;
    }

    async fn set_health(&self, status: ServingStatus) {
        let health = &self.shared.health;
        health.set_service_status("", status).await;
        for service in methods::services() {
            health.set_service_status(service, status).await;
        }
    }

    /// Answers a gRPC call, with a status whatever happens.
    async fn answer(mut self, request: http::Request<Body>) -> http::Response<Body> {
        let observer = &self.shared.observer;
        let path = request.uri().path();
        let Some(method) = Method::at(path) else {
            observer.asked_for_unknown(path);
            return Status::unimplemented(format!("this node has no method {path}")).into_http();
        };
        let door = request
            .extensions()
            .get::<Door>()
            .copied()
            .unwrap_or_default();
        let mut call = observer.begin(method, door, request.headers());
        let span = call.span();
        let response = self
            .admit(method, request, &mut call)
            .instrument(span)
            .await
            .unwrap_or_else(Status::into_http);
        call.observe_response(blame_the_sender(response))
    }

    async fn admit(
        &mut self,
        method: &'static Method,
        request: http::Request<Body>,
        call: &mut Call,
    ) -> Result<http::Response<Body>, Status> {
        let limits = &self.shared.limits;
        let client = ClientAddr::of(&request);
        // What is published is counted when it is read.
        let cost = if method.publishes {
            Cost::Publish(0)
        } else {
            Cost::Call
        };
        limits.check(client, cost)?;
        if method.is_stream() {
            call.keep(limits.open_stream(client, method.carries)?);
        }
        let deadline = deadline(request.headers())?;
        if deadline == Some(Duration::ZERO) {
            // Nobody waits any more: begin nothing.
            return Err(passed());
        }
        let rules = Rules {
            method,
            client,
            limits: Arc::clone(limits),
            max_message_bytes: self.shared.max_message_bytes,
            names_encoding: Rules::names_encoding(request.headers()),
        };
        let held = Arc::new(limits.hold(client));
        let request = request.map(|body| {
            let body = call.observe_request(body);
            Body::new(CheckedFrames::new(body, rules, Arc::clone(&held)))
        });
        let answered = Service::call(&mut self.routes, request);
        let Ok(response) = match deadline {
            None => answered.await,
            Some(deadline) => tokio::time::timeout(deadline, answered)
                .await
                .map_err(|_| passed())?,
        };
        // What the request occupied is free again; what the answer occupies is not.
        held.release();
        let response = response.map(Body::new);
        if method.is_stream() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let body = WholeAnswer::take(body, held).await?;
        Ok(http::Response::from_parts(head, Body::new(body)))
    }
}

/// The body of a unary answer, which occupies memory until the client has taken it.
struct WholeAnswer {
    first: Option<Frame<Bytes>>,
    rest: Body,
    _held: Arc<Held>,
}

impl WholeAnswer {
    /// Asks for the first frame, since tonic encodes the message then, and counts its bytes.
    async fn take(mut rest: Body, held: Arc<Held>) -> Result<Self, Status> {
        let first = rest.frame().await.transpose()?;
        if let Some(message) = first.as_ref().and_then(Frame::data_ref) {
            held.grow(message.len())?;
        }
        Ok(Self {
            first,
            rest,
            _held: held,
        })
    }
}

impl http_body::Body for WholeAnswer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.first.take() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}

/// All gRPC calls, from the observation inwards.
impl Service<http::Request<Body>> for Edge {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.clone().answer(request).map(Ok).boxed()
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Edge").finish_non_exhaustive()
    }
}

fn with_reflection(services: Routes) -> Routes {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let sound = "the compiler of the descriptors checked them";
    services
        .add_service(reflection().build_v1().expect(sound))
        .add_service(reflection().build_v1alpha().expect(sound))
}

/// Answers for a method that exists, but not on this node.
async fn not_served(request: Request) -> Response {
    let path = request.uri().path();
    let status = Status::unimplemented(format!("this node does not serve {path}"));
    status.into_http::<Body>().into_response()
}

async fn ready(State(edge): State<Edge>) -> (StatusCode, String) {
    if edge.shared.is_draining.load(Ordering::Relaxed) {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "shutting down\n".to_owned(),
        );
    }
    match edge.shared.upkeep.check().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(cause) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {cause}\n"),
        ),
    }
}

/// Looks at the content type, and hands the request to whoever speaks that.
async fn choose_protocol(State(mut edge): State<Edge>, mut request: Request) -> Response {
    let media_type = media_type(request.headers());
    let is_method = Method::at(request.uri().path()).is_some();
    match media_type.as_str() {
        "application/grpc" | "application/grpc+proto" => {
            if request.version() < Version::HTTP_2 {
                return (
                    StatusCode::UPGRADE_REQUIRED,
                    "gRPC needs HTTP/2; over HTTP/1.1 this port speaks gRPC-Web\n",
                )
                    .into_response();
            }
            if request.method() != HttpMethod::POST {
                return only_post();
            }
            let Ok(response) = edge.call(request.map(Body::new)).await;
            response.into_response()
        }
        "application/grpc-web"
        | "application/grpc-web+proto"
        | "application/grpc-web-text"
        | "application/grpc-web-text+proto" => {
            if request.method() != HttpMethod::POST {
                return only_post();
            }
            // Without the parameters that some clients add, which tonic-web does not expect.
            if let Ok(media_type) = HeaderValue::try_from(media_type) {
                request
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, media_type);
            }
            request.extensions_mut().insert(Door::GrpcWeb);
            let Ok(response) = GrpcWebLayer::new().layer(edge).oneshot(request).await;
            response.into_response()
        }
        other if other.starts_with("application/grpc") => {
            let status = Status::invalid_argument(format!(
                "content type {other}: this node takes application/grpc and \
                 application/grpc-web, both with protobuf messages"
            ));
            let mut response = status.into_http::<Body>();
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            response.into_response()
        }
        other if other.starts_with("application/connect+") => refuse_connect(),
        "application/proto" | "application/json" if is_method => refuse_connect(),
        _ if is_method => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "this is a gRPC method: call it over HTTP/2 with content-type application/grpc, \
             or with application/grpc-web+proto\n",
        )
            .into_response(),
        _ => (
            StatusCode::NOT_FOUND,
            "nothing has this path. This port speaks gRPC and gRPC-Web to XMTP clients; \
             GET /healthz says whether it lives\n",
        )
            .into_response(),
    }
}

/// The content type without its parameters, in lower case; empty if there is none.
fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase())
        .unwrap_or_default()
}

fn only_post() -> Response {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        [(header::ALLOW, "POST")],
        "gRPC calls are POST requests\n",
    )
        .into_response()
}

/// What a client of the Connect protocol gets, in the form in which it expects errors.
fn refuse_connect() -> Response {
    let error = json!({
        "code": "failed_precondition",
        "message": "this node speaks gRPC and gRPC-Web, not the Connect protocol",
    });
    (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
}

/// How long the client waits for the answer, from the header `grpc-timeout`: at most eight
/// digits and a unit. For a stream, the answer is there with its headers.
fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(parse_timeout)
        .map(Some)
        .ok_or_else(|| {
            Status::invalid_argument(
                "header grpc-timeout: expected at most 8 digits and one of H, M, S, m, u, n",
            )
        })
}

fn passed() -> Status {
    Status::deadline_exceeded("the deadline of the call has passed")
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// Turns tonic's `INTERNAL` for undecodable requests into `INVALID_ARGUMENT`.
fn blame_the_sender(mut response: http::Response<Body>) -> http::Response<Body> {
    let is_internal = response
        .headers()
        .get(Status::GRPC_STATUS)
        .is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::Internal);
    if is_internal
        && let Some(status) = Status::from_header_map(response.headers())
        && SENDERS_FAULT
            .iter()
            .any(|words| status.message().starts_with(words))
    {
        let code = HeaderValue::from(Code::InvalidArgument as i32);
        response.headers_mut().insert(Status::GRPC_STATUS, code);
    }
    response
}

#[cfg(test)]
mod tests;

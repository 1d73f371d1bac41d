//! What a node notices about its calls: one span each, metrics, and what the status page shows.
//!
//! Never contents, keys or whole ids: a call is its method, its sizes, its time and its status.
//! Only methods that exist become metric labels, so that nobody can make up new series.
//!
//! Metrics (through the `metrics` facade; nothing is kept when no recorder is installed):
//! `folkmoot_rpc_calls_total` by method and status, `folkmoot_rpc_seconds` by method (for a
//! stream: until its headers), `folkmoot_rpc_received_bytes_total`,
//! `folkmoot_rpc_sent_bytes_total`, `folkmoot_open_streams`, `folkmoot_open_connections`.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use serde::Serialize;
use tonic::{Code, Status, body::Body};
use tracing::{Span, field::Empty};

use crate::{limits::OpenStream, methods::Method};

/// Calls that the status page shows.
const RECENT: usize = 200;
/// Paths of unknown methods that are remembered.
const UNKNOWN: usize = 100;
/// Most characters kept of what a client sends as its version or as a path.
const LONGEST_TEXT: usize = 120;

/// Counts calls. One per node, behind an `Arc`.
#[derive(Debug)]
pub struct Observer {
    started: Instant,
    calls: AtomicU64,
    failed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    streams: AtomicI64,
    connections: AtomicI64,
    recent: Mutex<Recent>,
    unknown: Mutex<BTreeMap<String, u64>>,
}

#[derive(Debug, Default)]
struct Recent {
    /// The number of the first call in `calls`.
    first: u64,
    calls: VecDeque<RecentCall>,
}

/// One of the last calls.
#[derive(Clone, Debug, Serialize)]
pub struct RecentCall {
    /// When it began, in Unix milliseconds.
    pub at_ms: u64,
    /// `/package.Service/Method`.
    pub method: &'static str,
    /// By which way it came.
    pub door: Door,
    /// Whether it is a stream.
    pub stream: bool,
    /// The name of its gRPC status; `None` while it is under way.
    pub status: Option<&'static str>,
    /// How long it took, in microseconds; for a stream, how long it was open.
    pub micros: u64,
    /// The client's `x-libxmtp-version`.
    pub libxmtp: Option<String>,
    /// The client's `x-app-version`.
    pub app: Option<String>,
}

/// By which way a call came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub enum Door {
    /// gRPC over HTTP/2.
    #[default]
    #[serde(rename = "gRPC")]
    Grpc,
    /// gRPC-Web.
    #[serde(rename = "gRPC-Web")]
    GrpcWeb,
    /// The HTTP/JSON mirror.
    #[serde(rename = "JSON")]
    Json,
}

impl Door {
    const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::Json => "json",
        }
    }
}

/// Counters at a moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counters {
    /// Milliseconds since the node started.
    pub uptime_ms: u64,
    /// Calls begun.
    pub calls: u64,
    /// Calls that ended with another status than OK or CANCELLED.
    pub failed: u64,
    /// Bytes of request bodies.
    pub received_bytes: u64,
    /// Bytes of response bodies.
    pub sent_bytes: u64,
    /// Streams that are open.
    pub open_streams: i64,
    /// Connections that are open, if the accept loop counts them.
    pub open_connections: i64,
}

impl Observer {
    /// Nothing observed yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            calls: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            streams: AtomicI64::new(0),
            connections: AtomicI64::new(0),
            recent: Mutex::default(),
            unknown: Mutex::default(),
        })
    }

    /// Counts a connection as open, for as long as the result lives. For the accept loop.
    #[must_use]
    pub fn open_connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        gauge!("folkmoot_open_connections").increment(1.0);
        OpenConnection(Arc::clone(self))
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            uptime_ms: millis(self.started.elapsed()),
            calls: self.calls.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            received_bytes: self.received.load(Ordering::Relaxed),
            sent_bytes: self.sent.load(Ordering::Relaxed),
            open_streams: self.streams.load(Ordering::Relaxed),
            open_connections: self.connections.load(Ordering::Relaxed),
        }
    }

    /// The last calls, newest first.
    #[must_use]
    pub fn recent(&self) -> Vec<RecentCall> {
        self.recent.lock().calls.iter().rev().cloned().collect()
    }

    /// Paths that look like gRPC methods, that clients asked for and that do not exist, with
    /// the number of times. At most 100 different ones are remembered.
    #[must_use]
    pub fn unknown(&self) -> BTreeMap<String, u64> {
        self.unknown.lock().clone()
    }

    /// Remembers that somebody asked for a method that does not exist.
    pub(crate) fn asked_for_unknown(&self, path: &str) {
        let path = printable(path);
        tracing::debug!(%path, "a client asked for a method that does not exist");
        counter!("folkmoot_rpc_unknown_total").increment(1);
        let mut unknown = self.unknown.lock();
        if unknown.len() < UNKNOWN || unknown.contains_key(&path) {
            *unknown.entry(path).or_default() += 1;
        }
    }

    /// Begins to observe a call. [`Call::span`] is the span in which to run it.
    pub(crate) fn begin(
        self: &Arc<Self>,
        method: &'static Method,
        door: Door,
        headers: &HeaderMap,
    ) -> Call {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if method.is_stream() {
            self.streams.fetch_add(1, Ordering::Relaxed);
            gauge!("folkmoot_open_streams").increment(1.0);
        }
        let version = |name| {
            let value = headers.get(name)?;
            value.to_str().ok().map(printable)
        };
        let number = self.recent.lock().push(RecentCall {
            at_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, millis),
            method: &method.path,
            door,
            stream: method.is_stream(),
            status: None,
            micros: 0,
            libxmtp: version("x-libxmtp-version"),
            app: version("x-app-version"),
        });
        Call {
            observer: Arc::clone(self),
            method,
            number,
            started: Instant::now(),
            answered: None,
            received: Arc::new(AtomicU64::new(0)),
            sent: 0,
            status: None,
            open: None,
            span: tracing::info_span!(
                "rpc",
                method = &*method.path,
                door = door.name(),
                status = Empty,
                ms = Empty,
                received = Empty,
                sent = Empty,
            ),
        }
    }
}

impl Recent {
    fn push(&mut self, call: RecentCall) -> u64 {
        if self.calls.len() == RECENT {
            self.calls.pop_front();
            self.first += 1;
        }
        self.calls.push_back(call);
        self.first + self.calls.len() as u64 - 1
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut RecentCall> {
        let at = number.checked_sub(self.first)?;
        self.calls.get_mut(usize::try_from(at).ok()?)
    }
}

/// A connection that counts as open.
#[derive(Debug)]
pub struct OpenConnection(Arc<Observer>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        gauge!("folkmoot_open_connections").decrement(1.0);
    }
}

/// A call under observation. It ends when this is dropped; without a status by then, the client
/// went away.
#[derive(Debug)]
pub(crate) struct Call {
    observer: Arc<Observer>,
    method: &'static Method,
    number: u64,
    started: Instant,
    /// When the headers of the answer were there.
    answered: Option<Duration>,
    received: Arc<AtomicU64>,
    sent: u64,
    status: Option<Code>,
    /// What counts the call as an open stream, if it is one.
    open: Option<OpenStream>,
    span: Span,
}

impl Call {
    /// The span of the call.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Keeps `open` until the call has ended.
    pub(crate) fn keep(&mut self, open: OpenStream) {
        self.open = Some(open);
    }

    /// Counts the bytes of the request while they are read.
    pub(crate) fn observe_request(&self, body: Body) -> Body {
        Body::new(CountedRequest {
            body,
            received: Arc::clone(&self.received),
        })
    }

    /// Goes on observing until the answer has been sent.
    pub(crate) fn observe_response(mut self, response: Response<Body>) -> Response<Body> {
        self.answered = Some(self.started.elapsed());
        self.status = status_of(response.headers());
        response.map(|body| Body::new(ObservedResponse { body, call: self }))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let status = self.status.unwrap_or(Code::Cancelled);
        let received = self.received.load(Ordering::Relaxed);
        let name = status_name(status);

        let observer = &self.observer;
        observer.received.fetch_add(received, Ordering::Relaxed);
        observer.sent.fetch_add(self.sent, Ordering::Relaxed);
        if !matches!(status, Code::Ok | Code::Cancelled) {
            observer.failed.fetch_add(1, Ordering::Relaxed);
        }
        if self.method.is_stream() {
            observer.streams.fetch_sub(1, Ordering::Relaxed);
            gauge!("folkmoot_open_streams").decrement(1.0);
        }
        if let Some(call) = observer.recent.lock().get_mut(self.number) {
            call.status = Some(name);
            call.micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        }

        let method = &*self.method.path;
        let time = if self.method.is_stream() {
            self.answered.unwrap_or(elapsed)
        } else {
            elapsed
        };
        counter!("folkmoot_rpc_calls_total", "method" => method, "status" => name).increment(1);
        histogram!("folkmoot_rpc_seconds", "method" => method).record(time);
        counter!("folkmoot_rpc_received_bytes_total").increment(received);
        counter!("folkmoot_rpc_sent_bytes_total").increment(self.sent);

        // Only that one line says how a call ended.
        if tracing::enabled!(tracing::Level::DEBUG) {
            self.span.record("status", name);
            self.span.record("ms", elapsed.as_secs_f64() * 1000.0);
            self.span.record("received", received);
            self.span.record("sent", self.sent);
            self.span.in_scope(|| tracing::debug!("call ended"));
        }
    }
}

struct CountedRequest {
    body: Body,
    received: Arc<AtomicU64>,
}

impl http_body::Body for CountedRequest {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.received
                .fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct ObservedResponse {
    body: Body,
    call: Call,
}

impl http_body::Body for ObservedResponse {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let observed = &mut *self;
        let body = Pin::new(&mut observed.body);
        let polled = observed.call.span.in_scope(|| body.poll_frame(context));
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    observed.call.sent += data.len() as u64;
                } else if let Some(trailers) = frame.trailers_ref() {
                    observed.call.status = status_of(trailers);
                }
            }
            Poll::Ready(Some(Err(status))) => observed.call.status = Some(status.code()),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The status that headers or trailers carry.
fn status_of(headers: &HeaderMap) -> Option<Code> {
    let value = headers.get(Status::GRPC_STATUS)?;
    Some(Code::from_bytes(value.as_bytes()))
}

/// The name of a status as the gRPC documents spell it.
pub(crate) const fn status_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn printable(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST_TEXT)
        .collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    const CHECK: &str = "/grpc.health.v1.Health/Check";
    const WATCH: &str = "/grpc.health.v1.Health/Watch";

    fn begin(observer: &Arc<Observer>, path: &str) -> Call {
        let mut headers = HeaderMap::new();
        headers.insert("x-libxmtp-version", "1.10.0".parse().unwrap());
        observer.begin(Method::at(path).unwrap(), Door::Grpc, &headers)
    }

    fn answer(frames: Vec<Frame<Bytes>>) -> Response<Body> {
        let frames = futures::stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
        Response::new(Body::new(StreamBody::new(frames)))
    }

    fn trailers(status: &'static str) -> Frame<Bytes> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        Frame::trailers(trailers)
    }

    #[tokio::test]
    async fn a_status_is_taken_from_the_end_of_a_stream() {
        let observer = Observer::new();
        let call = begin(&observer, WATCH);
        assert_eq!(observer.counters().open_streams, 1);
        assert_eq!(observer.recent()[0].status, None);
        let data = Frame::data(Bytes::from_static(b"seven b"));
        let response = call.observe_response(answer(vec![data, trailers("14")]));
        response.into_body().collect().await.unwrap();
        let counters = observer.counters();
        assert_eq!((counters.open_streams, counters.sent_bytes), (0, 7));
        assert_eq!((counters.calls, counters.failed), (1, 1));
        let recent = observer.recent();
        assert_eq!(recent[0].status, Some("UNAVAILABLE"));
        assert_eq!(recent[0].libxmtp.as_deref(), Some("1.10.0"));
    }

    #[tokio::test]
    async fn a_status_in_the_headers_counts() {
        let observer = Observer::new();
        let status: Response<Body> = Status::not_found("nothing").into_http();
        drop(begin(&observer, CHECK).observe_response(status));
        assert_eq!(observer.recent()[0].status, Some("NOT_FOUND"));
    }

    #[tokio::test]
    async fn a_call_that_nobody_waited_for_is_cancelled() {
        let observer = Observer::new();
        drop(begin(&observer, CHECK));
        assert_eq!(observer.recent()[0].status, Some("CANCELLED"));
        assert_eq!(observer.counters().failed, 0);
    }

    #[tokio::test]
    async fn only_the_last_calls_are_kept_newest_first() {
        let observer = Observer::new();
        let first = begin(&observer, CHECK);
        for _ in 0..RECENT {
            drop(begin(&observer, WATCH));
        }
        drop(first);
        let recent = observer.recent();
        assert_eq!(recent.len(), RECENT);
        assert!(recent.iter().all(|call| call.method == WATCH));
        assert!(recent.iter().all(|call| call.status == Some("CANCELLED")));
    }

    #[test]
    fn unknown_methods_are_counted_in_a_bounded_table() {
        let observer = Observer::new();
        for number in 0..UNKNOWN + 10 {
            observer.asked_for_unknown(&format!("/x.Y/Z{number}"));
        }
        observer.asked_for_unknown("/x.Y/Z0");
        assert_eq!(observer.unknown().len(), UNKNOWN);
        assert_eq!(observer.unknown()["/x.Y/Z0"], 2);
    }

    #[test]
    fn connections_count_while_they_live() {
        let observer = Observer::new();
        let connection = observer.open_connection();
        assert_eq!(observer.counters().open_connections, 1);
        drop(connection);
        assert_eq!(observer.counters().open_connections, 0);
    }
}

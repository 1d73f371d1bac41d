//! The accept loop: one port serves everything.
//!
//! The first byte tells TLS (0x16) from cleartext. Inside, HTTP/2 is known by its preface or by
//! ALPN, and everything else is HTTP/1.1. A trusted proxy may put a line before it. Each request carries its client's address as a
//! [`ClientAddr`] and a [`Connection`], by which a layer can cut the connection.
//!
//! Connections are counted, in all and per address, so that nobody can take all of them. A
//! [`Listeners`] drains: it stops accepting, lets open calls end until a deadline, then cuts.

mod forwarded;
mod gate;
mod io;
mod proxy_line;
mod tls;

pub use forwarded::Proxies;
pub use gate::Gate;
pub use tls::{Certificate, TlsError, TlsSetup};

use std::{
    future::{Future as _, poll_fn},
    io::{Error, ErrorKind},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{Router, body::Body};
use folkmoot_node::{ClientAddr, Observer};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use self::{gate::Place, io::Watched};

/// Largest HTTP/2 window for one stream: a whole message of 25 MiB fits without a pause.
const STREAM_WINDOW: u32 = 4 << 20;
/// HTTP/2 window for a connection.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Largest HTTP/2 frame taken.
const FRAME: u32 = 64 << 10;
/// Most bytes of HTTP/2 headers in one request.
const HEADERS: u32 = 32 << 10;
/// The shortest that a client says when it wants something, in bytes: the HTTP/2 preface.
const PREFACE: u64 = 24;
/// The first byte of a TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// Pause after `accept` failed for want of resources.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// How connections are treated.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    /// Most connections at a time.
    pub max_connections: usize,
    /// Most connections at a time from one address (for IPv6, one /64 network). Trusted proxies
    /// are exempt.
    pub max_connections_per_address: usize,
    /// Most HTTP/2 streams at a time on one connection.
    pub max_streams_per_connection: u32,
    /// How long a client may take for a TLS handshake, and for the head of a request; also how
    /// long an idle HTTP/1.1 connection stays open.
    pub header_timeout: Duration,
    /// How often an HTTP/2 client is pinged.
    pub ping_interval: Duration,
    /// How long it may take for the answer to a ping.
    pub ping_timeout: Duration,
    /// Whose `Forwarded` and `X-Forwarded-For` headers, and whose PROXY lines, are believed.
    pub proxies: Proxies,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            max_connections: 20_000,
            max_connections_per_address: 1_000,
            max_streams_per_connection: 10_000,
            header_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(5 * 60),
            ping_timeout: Duration::from_secs(20),
            proxies: Proxies::default(),
        }
    }
}

/// The connection that a request came on, as a request extension.
#[derive(Clone, Debug)]
pub struct Connection {
    cut: CancellationToken,
}

impl Connection {
    /// Cuts the connection at once, without an answer to what is open on it.
    pub fn cut(&self) {
        self.cut.cancel();
    }
}

/// All doors of a program, and the connections that came through them.
#[derive(Clone, Debug)]
pub struct Listeners {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: ListenConfig,
    gate: Arc<Gate>,
    tls: Option<TlsSetup>,
    observer: Arc<Observer>,
    tasks: TaskTracker,
    /// Nothing new is accepted; what is open may end.
    closing: CancellationToken,
    /// Everything ends now.
    cut: CancellationToken,
}

impl Listeners {
    /// Doors without anything behind them yet, whose connections `observer` counts. Without `tls`,
    /// a TLS client is hung up on.
    #[must_use]
    pub fn new(config: ListenConfig, tls: Option<TlsSetup>, observer: Arc<Observer>) -> Self {
        let gate = Gate::new(config.max_connections, config.max_connections_per_address);
        Self {
            shared: Arc::new(Shared {
                config,
                gate,
                tls,
                observer,
                tasks: TaskTracker::new(),
                closing: CancellationToken::new(),
                cut: CancellationToken::new(),
            }),
        }
    }

    /// Serves `router` to everybody who connects to `listener`, in a task of its own.
    pub fn serve(&self, listener: TcpListener, router: Router) {
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            let closing = shared.closing.clone();
            closing
                .run_until_cancelled(accept(&shared, &listener, &router))
                .await;
        });
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.gate.open()
    }

    /// Stops accepting, and tells each client not to begin anything new on its connection.
    pub fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
    }

    /// [Closes](Self::close), waits until all connections have ended or `patience` is over,
    /// then cuts the rest. Returns how many were cut.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.close();
        if timeout(patience, self.shared.tasks.wait()).await.is_ok() {
            return 0;
        }
        let left = self.connections();
        self.shared.cut.cancel();
        self.shared.tasks.wait().await;
        left
    }
}

/// Opens `address` for listening.
///
/// # Errors
///
/// What the system says; [`ErrorKind::AddrInUse`] when somebody else has the port.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(shared: &Arc<Shared>, listener: &TcpListener, router: &Router) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(cause) if is_of_one_connection(&cause) => continue,
            Err(cause) => {
                tracing::error!(%cause, "no connection can be accepted; trying again");
                sleep(AFTER_FAILED_ACCEPT).await;
                continue;
            }
        };
        let peer = peer.ip().to_canonical();
        let exempt = shared.config.proxies.trusts(peer);
        let Some(place) = shared.gate.enter(peer, exempt) else {
            tracing::debug!(%peer, "too many connections; one was refused");
            continue;
        };
        let shared = Arc::clone(shared);
        let router = router.clone();
        let tracker = shared.tasks.clone();
        tracker.spawn(async move {
            let _counted = shared.observer.open_connection();
            let cut = shared.cut.child_token();
            let handled = converse(&shared, stream, peer, router, cut.clone());
            if let Some(Err(cause)) = cut.run_until_cancelled(handled).await {
                tracing::debug!(%cause, "a connection ended badly");
            }
            drop::<Place>(place);
        });
    }
}

/// Whether an error of `accept` is about the one connection, not about the listener.
fn is_of_one_connection(cause: &Error) -> bool {
    matches!(
        cause.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One connection, from its first byte to its end.
async fn converse(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    mut peer: IpAddr,
    router: Router,
    cut: CancellationToken,
) -> Result<(), Cause> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    let begun = timeout(shared.config.header_timeout, stream.peek(&mut first));
    let count = tokio::select! {
        begun = begun => begun.map_err(|_| "it said nothing")??,
        () = shared.closing.cancelled() => return Ok(()),
    };
    if count == 0 {
        return Ok(());
    }
    if shared.config.proxies.trusts(peer) {
        let line = timeout(shared.config.header_timeout, proxy_line::take(&mut stream)).await;
        if let Some(client) = line.map_err(|_| "its proxy's first line took too long")?? {
            peer = client;
            stream.peek(&mut first).await?;
        }
    }
    if first[0] != TLS_HANDSHAKE {
        return http(shared, stream, peer, router, cut).await;
    }
    let Some(tls) = &shared.tls else {
        return Err("it speaks TLS, and no certificate is configured".into());
    };
    let handshake = tls.acceptor().accept(stream);
    let stream = timeout(shared.config.header_timeout, handshake)
        .await
        .map_err(|_| "its TLS handshake took too long")??;
    http(shared, stream, peer, router, cut).await
}

/// HTTP of either version, over TLS or not.
async fn http<S>(
    shared: &Arc<Shared>,
    stream: S,
    peer: IpAddr,
    router: Router,
    cut: CancellationToken,
) -> Result<(), Cause>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let config = &shared.config;
    let (stream, watch) = Watched::new(stream);
    let proxies = config.proxies.clone();
    let connection = Connection { cut };
    let service = service_fn(move |mut request: Request<Incoming>| {
        let client = proxies.client(peer, request.headers());
        request.extensions_mut().insert(ClientAddr(client));
        request.extensions_mut().insert(connection.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(config.ping_interval)
        .keep_alive_timeout(config.ping_timeout)
        .max_concurrent_streams(config.max_streams_per_connection)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADERS);
    let conversation = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut conversation = std::pin::pin!(conversation);
    let mut others_had_their_turn = false;
    let silence = sleep(config.header_timeout);
    let mut silence = std::pin::pin!(silence);
    let mut is_silent = true;
    let mut is_open = true;
    loop {
        tokio::select! {
            ended = poll_fn(|context| {
                // What wakes a connection is often one of many streams that have something for
                // it now. Behind the tasks that are ready already, one write carries it all.
                others_had_their_turn = !others_had_their_turn;
                if others_had_their_turn {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                watch.gather();
                let polled = conversation.as_mut().poll(context);
                watch.release(context)?;
                polled
            }) => return ended,
            () = shared.closing.cancelled(), if is_open => {
                is_open = false;
                conversation.as_mut().graceful_shutdown();
            }
            () = silence.as_mut(), if is_silent => {
                is_silent = false;
                if watch.seen() < PREFACE {
                    return Err("it began nothing".into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

use std::{future::pending, time::Instant};

use axum::{extract::Extension, routing::get};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use rustls::{ClientConfig, RootCertStore};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
};
use tokio_rustls::TlsConnector;

use super::*;

const SOON: Duration = Duration::from_secs(10);

struct Server {
    listeners: Listeners,
    address: SocketAddr,
    /// Set when a call to `/slow` has begun.
    begun: Arc<Notify>,
    /// Lets calls to `/slow` end.
    go: Arc<Notify>,
}

impl Server {
    fn start(config: ListenConfig, tls: Option<TlsSetup>) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            move || async move {
                begun.notify_one();
                go.notified().await;
                "at last"
            }
        };
        let never = {
            let begun = Arc::clone(&begun);
            move || async move {
                begun.notify_one();
                pending::<()>().await;
            }
        };
        let who = |Extension(client): Extension<ClientAddr>| async move { client.0.to_string() };
        let router = Router::new()
            .route("/who", get(who))
            .route("/slow", get(slow))
            .route("/never", get(never))
            .route(
                "/cut",
                get(|Extension(connection): Extension<Connection>| async move {
                    connection.cut();
                    pending::<()>().await;
                }),
            );
        let listeners = Listeners::new(config, tls, Observer::new());
        listeners.serve(listener, router);
        Self {
            listeners,
            address,
            begun,
            go,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://here{path}"))
        .header("host", "here")
        .body(Empty::new())
        .unwrap()
}

async fn by_http1<S>(stream: S, path: &str) -> hyper::Result<String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    text(sender.send_request(request(path)).await?).await
}

async fn by_http2<S>(stream: S, path: &str) -> hyper::Result<String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    text(sender.send_request(request(path)).await?).await
}

async fn text(response: hyper::Response<Incoming>) -> hyper::Result<String> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// Waits until the other side hangs up.
async fn hung_up(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset is as good as an end.
    drop(timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap());
}

#[tokio::test]
async fn one_port_serves_both_versions_of_http_with_and_without_tls() {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = Certificate::self_signed(&names).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.chain[0].clone()).unwrap();
    let setup = TlsSetup::new(certificate).unwrap();
    let server = Server::start(ListenConfig::default(), Some(setup));
    let secure = async |protocol: &[u8]| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TlsConnector::from(Arc::new(config))
            .connect("localhost".try_into().unwrap(), server.connect().await)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        stream
    };
    let here = "127.0.0.1";
    assert_eq!(
        by_http1(server.connect().await, "/who").await.unwrap(),
        here
    );
    assert_eq!(
        by_http2(server.connect().await, "/who").await.unwrap(),
        here
    );
    assert_eq!(
        by_http1(secure(b"http/1.1").await, "/who").await.unwrap(),
        here
    );
    assert_eq!(by_http2(secure(b"h2").await, "/who").await.unwrap(), here);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_hung_up_on() {
    let config = ListenConfig {
        header_timeout: Duration::from_millis(50),
        ..ListenConfig::default()
    };
    let server = Server::start(config, None);
    hung_up(server.connect().await).await;
    let mut stream = server.connect().await;
    stream.write_all(b"PRI * HT").await.unwrap();
    hung_up(stream).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: here\r\nand-th")
        .await
        .unwrap();
    hung_up(stream).await;
}

/// Official clients ping every 10 to 45 seconds while nothing happens, for hours. Here a
/// millisecond stands for a second.
#[tokio::test]
async fn an_idle_client_that_pings_is_kept() {
    const SECOND: Duration = Duration::from_millis(1);
    let config = ListenConfig {
        header_timeout: 30 * SECOND,
        ping_interval: 300 * SECOND,
        ..ListenConfig::default()
    };
    let server = Server::start(config, None);
    let (stream, watch) = Watched::new(server.connect().await);
    let mut client = http2::Builder::new(TokioExecutor::new());
    client
        .timer(TokioTimer::new())
        .keep_alive_interval(10 * SECOND)
        // What is answered late was not answered.
        .keep_alive_timeout(SOON)
        .keep_alive_while_idle(true);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.unwrap();
    let mut connection = Box::pin(connection);
    let ended = timeout(1000 * SECOND, connection.as_mut()).await;
    assert!(ended.is_err(), "{ended:?}");
    // An answer to a ping has 17 bytes.
    assert!(watch.seen() > 10 * 17, "{} bytes came", watch.seen());
    tokio::spawn(connection);
    let response = sender.send_request(request("/who")).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "127.0.0.1");
}

#[tokio::test]
async fn a_trusted_proxy_names_its_client_in_a_line_of_its_own() {
    let config = ListenConfig {
        proxies: Proxies::new(vec!["127.0.0.1".parse().unwrap()]),
        ..ListenConfig::default()
    };
    let server = Server::start(config, None);
    let line = b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 443\r\n";
    let mut stream = server.connect().await;
    stream.write_all(line).await.unwrap();
    assert_eq!(by_http1(stream, "/who").await.unwrap(), "192.0.2.9");
    let mut stream = server.connect().await;
    for byte in line {
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(by_http2(stream, "/who").await.unwrap(), "192.0.2.9");
    // HTTP/2 begins with `PRI `, which is not `PROXY `.
    assert_eq!(
        by_http2(server.connect().await, "/who").await.unwrap(),
        "127.0.0.1"
    );
    let mut stream = server.connect().await;
    stream.write_all(b"PROXY TCP4 me\r\n").await.unwrap();
    hung_up(stream).await;

    let server = Server::start(ListenConfig::default(), None);
    let mut stream = server.connect().await;
    stream.write_all(line).await.unwrap();
    let told = by_http1(stream, "/who").await.unwrap_or_default();
    assert_ne!(told, "192.0.2.9", "a stranger is not believed");
}

#[tokio::test]
async fn tls_without_a_certificate_is_hung_up_on() {
    let server = Server::start(ListenConfig::default(), None);
    let mut stream = server.connect().await;
    stream.write_all(&[TLS_HANDSHAKE, 3, 1]).await.unwrap();
    hung_up(stream).await;
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let config = ListenConfig {
        max_connections_per_address: 1,
        ..ListenConfig::default()
    };
    let server = Server::start(config, None);
    let first = server.connect().await;
    let call = tokio::spawn(by_http1(first, "/slow"));
    server.begun.notified().await;
    hung_up(server.connect().await).await;
    server.go.notify_one();
    assert_eq!(call.await.unwrap().unwrap(), "at last");
    let open = async {
        while by_http1(server.connect().await, "/who").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, open).await.unwrap();
}

#[tokio::test]
async fn draining_lets_calls_end_and_takes_no_new_ones() {
    let server = Server::start(ListenConfig::default(), None);
    let silent = server.connect().await;
    let (one, other) = (server.connect().await, server.connect().await);
    let calls = [
        tokio::spawn(by_http1(one, "/slow")),
        tokio::spawn(by_http2(other, "/slow")),
    ];
    for _ in &calls {
        server.begun.notified().await;
    }
    server.listeners.close();
    hung_up(silent).await;
    let refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, refused).await.unwrap();
    server.go.notify_waiters();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "at last");
    }
    assert_eq!(server.listeners.drain(SOON).await, 0);
}

#[tokio::test]
async fn draining_cuts_what_does_not_end() {
    let server = Server::start(ListenConfig::default(), None);
    let call = tokio::spawn(by_http2(server.connect().await, "/never"));
    server.begun.notified().await;
    let began = Instant::now();
    assert_eq!(server.listeners.drain(Duration::from_millis(50)).await, 1);
    assert!(began.elapsed() < SOON);
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn a_layer_may_cut_a_connection() {
    let server = Server::start(ListenConfig::default(), None);
    assert!(by_http1(server.connect().await, "/cut").await.is_err());
    assert!(by_http2(server.connect().await, "/cut").await.is_err());
}

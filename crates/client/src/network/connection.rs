//! Connections to nodes and gateways, and how a call is made over one.

use std::{
    error::Error as _,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tonic::{
    Code, ConnectError, Request, Response, Status,
    metadata::{AsciiMetadataValue, MetadataKey},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::{CertificateTrouble, NetworkError, NetworkOptions, OnWaiting, counts::Counts};

/// Largest message in either direction, in bytes: the network's own limit.
pub(super) const MOST_BYTES: usize = 25 << 20;
/// How long a call may take, reading the answer included.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the first answer may take, from a node of which nothing was ever heard.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// When whoever waits for a first answer is told so: after the time that a TCP connection has, and
/// within the half second in which people expect to hear something.
const NOTICE_AFTER: Duration = Duration::from_millis(460);
/// When a call that may be repeated is repeated, after the failure before.
const REPEATS: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(800),
];
/// Silence after which a connection is probed, and how long its answer may take.
const PROBE_AFTER: Duration = Duration::from_secs(20);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a peer may send before we have read it: of one stream, and of the connection.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// The version of the official library whose behaviour this one has. Servers turn away old ones.
const COMPATIBLE_WITH: &str = "1.10.0";

/// What the generated clients are made over.
pub(super) type Service = InterceptedService<Channel, Headers>;

/// One connection, made when it is first used and again whenever it broke. Clones of its service
/// share it.
pub(super) struct Connection {
    address: String,
    endpoint: Endpoint,
    headers: Headers,
    ca_certificate: Option<Vec<u8>>,
    /// Made with the first call: reading the system's certificates takes longer than many a command
    /// that needs no network.
    service: OnceLock<Result<Service, String>>,
    /// Whether a call ever got an answer.
    reached: AtomicBool,
    /// How long an answer may take, where that was said.
    answer_timeout: Option<Duration>,
    /// Whom to tell that a first answer lets us wait.
    on_waiting: Option<OnWaiting>,
    /// Whether they were told.
    told: AtomicBool,
    counts: Arc<Counts>,
}

/// What every request says about us.
#[derive(Clone)]
pub(super) struct Headers {
    app_version: AsciiMetadataValue,
    authorization: Option<AsciiMetadataValue>,
}

/// Whether a call has the same effect when it is made twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Repeat {
    Safe,
    Never,
}

impl Connection {
    /// A connection to `url`, not made yet. Credentials go along if `authorized`.
    pub(super) fn new(
        url: &str,
        options: &NetworkOptions,
        authorized: bool,
        counts: &Arc<Counts>,
    ) -> Result<Self, NetworkError> {
        let wrong = |cause: String| NetworkError::Address {
            url: url.to_owned(),
            cause,
        };
        let text = |what: &str, text: &str| {
            let parsed: Result<AsciiMetadataValue, _> = text.parse();
            parsed.map_err(|_| wrong(format!("{what} has characters that no header may have")))
        };
        let authorization = options.authorization.as_deref().filter(|_| authorized);
        let headers = Headers {
            app_version: text("the app's version", &options.app_version)?,
            authorization: authorization
                .map(|value| text("the credential", value))
                .transpose()?,
        };
        Ok(Self {
            address: url.to_owned(),
            endpoint: endpoint(url, options).map_err(wrong)?,
            headers,
            ca_certificate: options.ca_certificate.clone(),
            service: OnceLock::new(),
            reached: AtomicBool::new(false),
            answer_timeout: options.answer_timeout,
            on_waiting: options.on_waiting.clone(),
            told: AtomicBool::new(false),
            counts: Arc::clone(counts),
        })
    }

    /// The URL.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What to make generated clients over. Must be called within a runtime.
    pub(super) fn service(&self) -> Result<Service, NetworkError> {
        let service = self.service.get_or_init(|| {
            let endpoint = encrypted(&self.endpoint, self.ca_certificate.as_deref())?;
            let channel = endpoint.connect_lazy();
            Ok(InterceptedService::new(channel, self.headers.clone()))
        });
        service.clone().map_err(|cause| NetworkError::Address {
            url: self.address.clone(),
            cause,
        })
    }

    /// Makes a call: `attempt` as often as needed, with a limit in time.
    ///
    /// A first attempt that finds nobody is not repeated, so that a person hears at once.
    pub(super) async fn call<T, F>(
        &self,
        call: &'static str,
        repeat: Repeat,
        mut attempt: impl FnMut(Service) -> F,
    ) -> Result<T, NetworkError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let service = self.service()?;
        let mut pauses = REPEATS.iter();
        loop {
            let limit = self.limit();
            let began = Instant::now();
            let answer = tokio::time::timeout(limit, self.noticed(attempt(service.clone()))).await;
            let ms = began.elapsed().as_millis();
            let error = match answer {
                Ok(Ok(answer)) => {
                    tracing::debug!(call, address = %self.address, ms, "answered");
                    self.counts.note(call, true);
                    return Ok(answer.into_inner());
                }
                Ok(Err(status)) => self.error(call, &status),
                Err(_) => NetworkError::TimedOut {
                    call,
                    address: self.address.clone(),
                    after: limit,
                },
            };
            tracing::debug!(call, address = %self.address, ms, %error, "failed");
            self.counts.note(call, false);
            let again = repeat == Repeat::Safe
                && !error.is_too_large()
                && match error {
                    NetworkError::Interrupted { .. } | NetworkError::Limited { .. } => true,
                    NetworkError::Unreachable { .. } => self.reached.load(Ordering::Relaxed),
                    _ => false,
                };
            match pauses.next().filter(|_| again) {
                Some(pause) => {
                    tracing::debug!(call, "again in {pause:?}");
                    tokio::time::sleep(jittered(*pause)).await;
                }
                None => return Err(error),
            }
        }
    }

    /// The same as [`Connection::noticed`] for a stream, which is counted when it is opened.
    pub(super) async fn opened<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let answer = self.noticed(answer).await;
        self.counts.note(call, answer.is_ok());
        answer
    }

    /// How long an answer may take now.
    fn limit(&self) -> Duration {
        let usual = match self.reached.load(Ordering::Relaxed) {
            true => CALL_TIMEOUT,
            false => FIRST_ANSWER_TIMEOUT,
        };
        self.answer_timeout.unwrap_or(usual)
    }

    /// Waits for `answer`. As long as none ever came from there, whoever asked to be told hears
    /// within half a second that we are still waiting, once.
    async fn noticed<T>(
        &self,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let mut answer = pin!(answer);
        let first = match self.reached.load(Ordering::Relaxed) {
            true => None,
            false => tokio::time::timeout(NOTICE_AFTER, &mut answer).await.ok(),
        };
        let answer = match first {
            Some(answer) => answer,
            None => {
                self.tell();
                answer.await
            }
        };
        // Whoever refuses is there as well.
        if answer
            .as_ref()
            .err()
            .is_none_or(|status| !could_not_connect(status))
        {
            self.reached.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// Says that we are still waiting, unless that was said or somebody answered before.
    fn tell(&self) {
        if let Some(on_waiting) = &self.on_waiting
            && !self.reached.load(Ordering::Relaxed)
            && !self.told.swap(true, Ordering::Relaxed)
        {
            on_waiting.tell(&self.address, self.limit());
        }
    }

    /// A status in words of ours.
    pub(super) fn error(&self, call: &'static str, status: &Status) -> NetworkError {
        let address = self.address.clone();
        if let Some(trouble) = untrusted(status) {
            return NetworkError::Certificate { address, trouble };
        }
        let cause = words(status);
        match status.code() {
            Code::Unavailable if could_not_connect(status) => {
                NetworkError::Unreachable { address, cause }
            }
            Code::Unimplemented => NetworkError::Unsupported { call, address },
            Code::ResourceExhausted => NetworkError::Limited { call, cause },
            Code::DeadlineExceeded => NetworkError::TimedOut {
                call,
                address,
                after: self.limit(),
            },
            Code::Unauthenticated | Code::PermissionDenied => NetworkError::Denied {
                call,
                address,
                cause,
            },
            Code::Aborted
            | Code::Cancelled
            | Code::DataLoss
            | Code::Internal
            | Code::Unavailable
            | Code::Unknown => NetworkError::Interrupted {
                call,
                address,
                cause,
            },
            _ => NetworkError::Refused { call, cause },
        }
    }
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("x-app-version", self.app_version.clone());
        metadata.insert(
            "x-libxmtp-version",
            AsciiMetadataValue::from_static(COMPATIBLE_WITH),
        );
        if let Some(authorization) = &self.authorization {
            metadata.insert(
                MetadataKey::from_static("authorization"),
                authorization.clone(),
            );
        }
        Ok(request)
    }
}

/// A span of up to a quarter more, so that many clients do not come back together.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + rand::random::<f64>() / 4.0)
}

fn endpoint(url: &str, options: &NetworkOptions) -> Result<Endpoint, String> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|cause| chain(&cause))?;
    if !matches!(endpoint.uri().scheme_str(), Some("http" | "https")) {
        return Err("it begins with neither http:// nor https://".into());
    }
    let endpoint = endpoint
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .user_agent(concat!("folkmoot/", env!("CARGO_PKG_VERSION")))
        .map_err(|cause| chain(&cause))?;
    Ok(endpoint
        .http2_keep_alive_interval(PROBE_AFTER)
        .keep_alive_timeout(PROBE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES))
}

/// With TLS if the URL asks for it: the system's authorities, Mozilla's, and the given one.
fn encrypted(endpoint: &Endpoint, authority: Option<&[u8]>) -> Result<Endpoint, String> {
    if endpoint.uri().scheme_str() != Some("https") {
        return Ok(endpoint.clone());
    }
    let tls = ClientTlsConfig::new().with_enabled_roots();
    let tls = match authority {
        Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
        None => tls,
    };
    let endpoint = endpoint.clone().tls_config(tls);
    endpoint.map_err(|cause| chain(&cause))
}

/// Whether nobody was there, as opposed to somebody who said no.
fn could_not_connect(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// What is wrong with the peer's certificate, if that is why nothing came.
fn untrusted(status: &Status) -> Option<CertificateTrouble> {
    let mut source = status.source();
    while let Some(error) = source {
        // An error of input and output does not name what it holds among its sources.
        let held = error.downcast_ref::<std::io::Error>();
        let held = held.and_then(std::io::Error::get_ref);
        let tls = match held {
            Some(held) => held.downcast_ref::<rustls::Error>(),
            None => error.downcast_ref::<rustls::Error>(),
        };
        if let Some(trouble) = tls.and_then(CertificateTrouble::of) {
            return Some(trouble);
        }
        source = error.source();
    }
    None
}

/// What the peer said, or what the system said.
pub(super) fn words(status: &Status) -> String {
    if could_not_connect(status)
        && let Some(source) = status.source()
    {
        let mut deepest = source;
        while let Some(next) = deepest.source() {
            deepest = next;
        }
        return deepest.to_string();
    }
    match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    }
}

/// An error with its causes, since tonic's own texts leave them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

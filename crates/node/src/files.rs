//! History files: a device uploads an encrypted archive, another one of the same person
//! fetches it. The two calls are those of the official file server.
//!
//! A file's id is 32 random bytes, so nobody finds a file without having been told. Files are
//! plain files of one directory, named by their id; what is still being uploaded has a name that
//! no id has, and disappears with the request.
//!
//! - `POST /upload`: the body, of known length or chunked, is streamed to disk. The answer is
//!   the bare id, as text.
//! - `GET` and `HEAD /files/{id}`: the same bytes.
//!
//! Source: node API section 4.5.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, BodyDataStream},
    extract::{DefaultBodyLimit, Path as PathOf, Request, State},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::StreamExt;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use tokio::{
    fs::{self, File},
    io::{AsyncWriteExt, BufWriter},
    time::timeout,
};
use tokio_util::io::ReaderStream;

use crate::{ClientAddr, cors::cors};

/// What files begin with while they are uploaded.
const PARTIAL: &str = "partial-";
/// Bytes collected before they are written.
const WRITE_AT_ONCE: usize = 256 << 10;
/// Bytes read at once.
const READ_AT_ONCE: usize = 64 << 10;

/// Limits of a [`History`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryConfig {
    /// Largest file taken, in bytes. Default: 512 MiB.
    pub max_file_bytes: u64,
    /// Most bytes that all files take together. Default: 16 GiB.
    pub max_total_bytes: u64,
    /// For how long a file is kept. Default: 14 days.
    pub keep: Duration,
    /// Most uploads at a time from one address. Default: 4.
    pub uploads_per_address: usize,
    /// Silence after which an upload is given up. Default: 60 s.
    pub patience: Duration,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            max_file_bytes: 512 << 20,
            max_total_bytes: 16 << 30,
            keep: Duration::from_secs(14 * 24 * 60 * 60),
            uploads_per_address: 4,
            patience: Duration::from_secs(60),
        }
    }
}

/// What a round of sweeping removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// Files.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// The history files in one directory. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct History {
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    directory: PathBuf,
    config: HistoryConfig,
    /// Bytes of finished files and of those being uploaded.
    used: AtomicU64,
    uploads: Mutex<HashMap<IpAddr, usize>>,
    /// Uploads ever begun, for the names of partial files.
    begun: AtomicU64,
}

impl History {
    /// Opens `directory`, which is made if it is missing, and removes what uploads left behind
    /// that a crash cut short. Only one process may use a directory.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn open(directory: impl Into<PathBuf>, config: HistoryConfig) -> io::Result<Self> {
        let directory = directory.into();
        std::fs::create_dir_all(&directory)?;
        let mut used = 0;
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(PARTIAL) {
                std::fs::remove_file(entry.path())?;
            } else if is_id(&name) {
                used += entry.metadata()?.len();
            }
        }
        Ok(Self {
            shelf: Arc::new(Shelf {
                directory,
                config,
                used: AtomicU64::new(used),
                uploads: Mutex::default(),
                begun: AtomicU64::new(0),
            }),
        })
    }

    /// `POST /upload` and `GET /files/{id}`, open to pages of every origin.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/upload", post(upload))
            .route("/files/{id}", get(download))
            .layer(DefaultBodyLimit::disable())
            .layer(middleware::from_fn(cors))
            .with_state(Arc::clone(&self.shelf))
    }

    /// Bytes that all files take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shelf.used.load(Ordering::Relaxed)
    }

    /// Removes the files that are too old at `now`. To be called now and then, say hourly; until
    /// then such files are on disk, but no longer served.
    ///
    /// # Errors
    ///
    /// What the file system says; what was removed before stays removed.
    pub async fn sweep(&self, now: SystemTime) -> io::Result<Swept> {
        let mut swept = Swept::default();
        let mut entries = fs::read_dir(&self.shelf.directory).await?;
        while let Some(entry) = entries.next_entry().await? {
            if !is_id(&entry.file_name().to_string_lossy()) {
                continue;
            }
            let metadata = entry.metadata().await?;
            if self.shelf.is_expired(&metadata, now) {
                fs::remove_file(entry.path()).await?;
                self.shelf.used.fetch_sub(metadata.len(), Ordering::Relaxed);
                swept.files += 1;
                swept.bytes += metadata.len();
            }
        }
        Ok(swept)
    }
}

/// Why a file is not taken or not given. The text is for the person whose app asked.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the upload has no bytes; send the archive as the request's body")]
    Empty,
    #[error("the upload is larger than {most} bytes, which is the most that this server takes")]
    TooLarge { most: u64 },
    #[error("the upload stopped: {0}")]
    Broken(axum::Error),
    #[error("no bytes of the upload came for {0} seconds; send it again")]
    Stalled(u64),
    #[error("{0} uploads from your address are under way; wait for one to finish")]
    TooMany(usize),
    #[error("the server has no space for more history files; try again later or tell its operator")]
    NoSpace,
    #[error("there is no such file; it may have expired, so send the history once more")]
    NotFound,
    #[error("the server could not access its files; try again later")]
    Disk(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Disk(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Empty | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Stalled(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Disk(cause) => {
                tracing::error!(%cause, "history files cannot be accessed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (status, self.to_string()).into_response()
    }
}

async fn upload(State(shelf): State<Arc<Shelf>>, request: Request) -> Result<Response, Refusal> {
    let _turn = Turn::take(&shelf, ClientAddr::of(&request))?;
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    shelf.check_room(announced)?;
    let mut partial = Partial::create(&shelf).await?;
    partial
        .receive(request.into_body().into_data_stream())
        .await?;
    let id = partial.finish().await?;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, plain)], id).into_response())
}

async fn download(
    State(shelf): State<Arc<Shelf>>,
    PathOf(id): PathOf<String>,
) -> Result<Response, Refusal> {
    if !is_id(&id) {
        return Err(Refusal::NotFound);
    }
    let file = match File::open(shelf.directory.join(&id)).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Refusal::NotFound),
        opened => opened?,
    };
    let metadata = file.metadata().await?;
    if shelf.is_expired(&metadata, SystemTime::now()) {
        return Err(Refusal::NotFound);
    }
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (header::CONTENT_LENGTH, HeaderValue::from(metadata.len())),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-transform"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    let body = Body::from_stream(ReaderStream::with_capacity(file, READ_AT_ONCE));
    Ok((headers, body).into_response())
}

impl Shelf {
    fn is_expired(&self, metadata: &std::fs::Metadata, now: SystemTime) -> bool {
        metadata.modified().is_ok_and(|finished| {
            now.duration_since(finished)
                .is_ok_and(|age| age > self.config.keep)
        })
    }

    /// Whether a file of `bytes` has a chance.
    fn check_room(&self, bytes: u64) -> Result<(), Refusal> {
        if bytes > self.config.max_file_bytes {
            return Err(Refusal::TooLarge {
                most: self.config.max_file_bytes,
            });
        }
        let used = self.used.load(Ordering::Relaxed);
        if used.saturating_add(bytes) > self.config.max_total_bytes {
            return Err(Refusal::NoSpace);
        }
        Ok(())
    }
}

/// One of the uploads that an address may have under way.
struct Turn {
    shelf: Arc<Shelf>,
    client: IpAddr,
}

impl Turn {
    fn take(shelf: &Arc<Shelf>, client: IpAddr) -> Result<Self, Refusal> {
        let mut uploads = shelf.uploads.lock();
        let under_way = uploads.entry(client).or_default();
        if *under_way >= shelf.config.uploads_per_address {
            return Err(Refusal::TooMany(*under_way));
        }
        *under_way += 1;
        drop(uploads);
        Ok(Self {
            shelf: Arc::clone(shelf),
            client,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut uploads = self.shelf.uploads.lock();
        if let Some(under_way) = uploads.get_mut(&self.client) {
            *under_way -= 1;
            if *under_way == 0 {
                uploads.remove(&self.client);
            }
        }
    }
}

/// A file that is being uploaded. Dropped before it is finished, it leaves nothing behind.
struct Partial {
    shelf: Arc<Shelf>,
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    is_finished: bool,
}

impl Partial {
    async fn create(shelf: &Arc<Shelf>) -> Result<Self, Refusal> {
        let number = shelf.begun.fetch_add(1, Ordering::Relaxed);
        let path = shelf.directory.join(format!("{PARTIAL}{number}"));
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .await?;
        Ok(Self {
            shelf: Arc::clone(shelf),
            path,
            file: BufWriter::with_capacity(WRITE_AT_ONCE, file),
            bytes: 0,
            is_finished: false,
        })
    }

    async fn receive(&mut self, mut chunks: BodyDataStream) -> Result<(), Refusal> {
        let patience = self.shelf.config.patience;
        while let Some(chunk) = timeout(patience, chunks.next())
            .await
            .map_err(|_| Refusal::Stalled(patience.as_secs()))?
        {
            let chunk = chunk.map_err(Refusal::Broken)?;
            let length = chunk.len() as u64;
            if self.bytes + length > self.shelf.config.max_file_bytes {
                return Err(Refusal::TooLarge {
                    most: self.shelf.config.max_file_bytes,
                });
            }
            self.bytes += length;
            let used = self.shelf.used.fetch_add(length, Ordering::Relaxed);
            if used + length > self.shelf.config.max_total_bytes {
                return Err(Refusal::NoSpace);
            }
            self.file.write_all(&chunk).await?;
        }
        if self.bytes == 0 {
            return Err(Refusal::Empty);
        }
        Ok(())
    }

    /// Makes the file durable and gives it its id.
    async fn finish(mut self) -> Result<String, Refusal> {
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        let id = hex::encode(rand::random::<[u8; 32]>());
        fs::rename(&self.path, self.shelf.directory.join(&id)).await?;
        self.is_finished = true;
        sync_directory(&self.shelf.directory).await?;
        Ok(id)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_finished {
            self.shelf.used.fetch_sub(self.bytes, Ordering::Relaxed);
            if let Err(cause) = std::fs::remove_file(&self.path) {
                tracing::warn!(%cause, "a cancelled upload could not be removed");
            }
        }
    }
}

/// Makes the names in a directory durable.
async fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory).await?.sync_all().await?;
    }
    Ok(())
}

fn is_id(name: &str) -> bool {
    name.len() == 64
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, net::SocketAddr};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full, StreamBody};
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};
    use tempfile::TempDir;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    struct Server {
        address: SocketAddr,
        history: History,
        directory: TempDir,
    }

    impl Server {
        async fn start(config: HistoryConfig) -> Self {
            let directory = TempDir::new().unwrap();
            let history = History::open(directory.path(), config).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = history.router();
            tokio::spawn(async move { axum::serve(listener, router).await });
            Self {
                address,
                history,
                directory,
            }
        }

        async fn send(
            &self,
            method: &str,
            path: &str,
            body: Body,
        ) -> (http::response::Parts, Bytes) {
            let client = Client::builder(TokioExecutor::new()).build_http();
            let request = http::Request::builder()
                .method(method)
                .uri(format!("http://{}{path}", self.address))
                .body(body)
                .unwrap();
            let (parts, body) = client.request(request).await.unwrap().into_parts();
            (parts, body.collect().await.unwrap().to_bytes())
        }

        async fn upload(&self, bytes: impl Into<Bytes>) -> (StatusCode, String) {
            let (parts, body) = self
                .send("POST", "/upload", Body::new(Full::new(bytes.into())))
                .await;
            (parts.status, String::from_utf8(body.to_vec()).unwrap())
        }

        fn on_disk(&self) -> usize {
            std::fs::read_dir(self.directory.path()).unwrap().count()
        }
    }

    /// Waits until `condition` holds; fails after five seconds.
    async fn until(condition: impl Fn() -> bool) {
        timeout(Duration::from_secs(5), async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("it should have come true in five seconds");
    }

    #[tokio::test]
    async fn what_was_uploaded_can_be_fetched_by_its_id() {
        let server = Server::start(HistoryConfig::default()).await;
        let archive = vec![7; 300_000];
        let (status, id) = server.upload(archive.clone()).await;
        assert_eq!(status, StatusCode::OK);
        assert!(is_id(&id), "{id:?}");
        let (parts, body) = server
            .send("GET", &format!("/files/{id}"), Body::empty())
            .await;
        assert_eq!(parts.headers["content-length"], "300000");
        assert_eq!(body, archive);
        let (parts, body) = server
            .send("HEAD", &format!("/files/{id}"), Body::empty())
            .await;
        assert_eq!(parts.headers["content-length"], "300000");
        assert!(body.is_empty());
        assert_eq!(server.history.bytes(), 300_000);
    }

    #[tokio::test]
    async fn a_chunked_upload_is_taken() {
        let server = Server::start(HistoryConfig::default()).await;
        let chunks = futures::stream::iter([&b"one "[..], b"two ", b"three"])
            .map(|chunk| Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(chunk))));
        let (parts, id) = server
            .send("POST", "/upload", Body::new(StreamBody::new(chunks)))
            .await;
        assert_eq!(parts.status, StatusCode::OK);
        let id = String::from_utf8(id.to_vec()).unwrap();
        let (_, body) = server
            .send("GET", &format!("/files/{id}"), Body::empty())
            .await;
        assert_eq!(body, "one two three");
    }

    #[tokio::test]
    async fn nothing_is_found_without_the_exact_id() {
        let server = Server::start(HistoryConfig::default()).await;
        let (_, id) = server.upload("archive").await;
        let upper = id.to_uppercase();
        let other = hex::encode([0; 32]);
        for wrong in [
            &upper,
            &other,
            "x",
            "..%2f..%2fetc%2fpasswd",
            &id[..63],
            &format!("{id}0"),
        ] {
            let (parts, _) = server
                .send("GET", &format!("/files/{wrong}"), Body::empty())
                .await;
            assert_eq!(parts.status, StatusCode::NOT_FOUND, "{wrong}");
        }
    }

    #[tokio::test]
    async fn uploads_over_a_limit_are_refused_and_leave_nothing() {
        let config = HistoryConfig {
            max_file_bytes: 1000,
            max_total_bytes: 1500,
            ..HistoryConfig::default()
        };
        let server = Server::start(config).await;
        let (status, text) = server.upload(vec![0; 1001]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(text.contains("1000 bytes"), "{text}");
        let chunk = || Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(&[0; 600])));
        let chunks = futures::stream::iter([chunk(), chunk()]);
        let (parts, _) = server
            .send("POST", "/upload", Body::new(StreamBody::new(chunks)))
            .await;
        assert_eq!(parts.status, StatusCode::PAYLOAD_TOO_LARGE);
        let (status, _) = server.upload("").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(server.upload(vec![0; 1000]).await.0, StatusCode::OK);
        let (status, text) = server.upload(vec![0; 501]).await;
        assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
        assert!(text.contains("no space"), "{text}");
        assert_eq!(server.on_disk(), 1);
        assert_eq!(server.history.bytes(), 1000);
    }

    #[tokio::test]
    async fn a_cancelled_upload_leaves_nothing_and_frees_its_turn() {
        let config = HistoryConfig {
            uploads_per_address: 1,
            ..HistoryConfig::default()
        };
        let server = Server::start(config).await;
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        connection
            .write_all(b"POST /upload HTTP/1.1\r\nhost: h\r\ncontent-length: 9000\r\n\r\nsome")
            .await
            .unwrap();
        until(|| server.history.bytes() == 4).await;
        let (status, _) = server.upload("archive").await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        drop(connection);
        until(|| server.on_disk() == 0).await;
        assert_eq!(server.history.bytes(), 0);
        until(|| server.history.shelf.uploads.lock().is_empty()).await;
        assert_eq!(server.upload("archive").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_stalled_upload_is_given_up() {
        let config = HistoryConfig {
            patience: Duration::from_millis(50),
            ..HistoryConfig::default()
        };
        let server = Server::start(config).await;
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        connection
            .write_all(b"POST /upload HTTP/1.1\r\nhost: h\r\ncontent-length: 9000\r\n\r\nsome")
            .await
            .unwrap();
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
        assert_eq!(server.on_disk(), 0);
    }

    #[tokio::test]
    async fn old_files_are_swept_and_not_served_before_that() {
        let config = HistoryConfig {
            keep: Duration::from_secs(60),
            ..HistoryConfig::default()
        };
        let server = Server::start(config).await;
        let (_, old) = server.upload("old").await;
        let (_, new) = server.upload("new").await;
        let file = std::fs::File::options()
            .write(true)
            .open(server.directory.path().join(&old))
            .unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(61))
            .unwrap();
        let (parts, _) = server
            .send("GET", &format!("/files/{old}"), Body::empty())
            .await;
        assert_eq!(parts.status, StatusCode::NOT_FOUND);
        let swept = server.history.sweep(SystemTime::now()).await.unwrap();
        assert_eq!(swept, Swept { files: 1, bytes: 3 });
        let (parts, _) = server
            .send("GET", &format!("/files/{new}"), Body::empty())
            .await;
        assert_eq!(parts.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn opening_again_counts_what_is_there_and_clears_what_a_crash_left() {
        let server = Server::start(HistoryConfig::default()).await;
        server.upload("archive").await;
        std::fs::write(server.directory.path().join("partial-0"), "half").unwrap();
        let again = History::open(server.directory.path(), HistoryConfig::default()).unwrap();
        assert_eq!(again.bytes(), 7);
        assert_eq!(server.on_disk(), 1);
    }

    #[tokio::test]
    async fn pages_of_every_origin_may_upload() {
        let server = Server::start(HistoryConfig::default()).await;
        let (parts, _) = server.send("OPTIONS", "/upload", Body::empty()).await;
        assert_eq!(parts.status, StatusCode::NO_CONTENT);
        assert_eq!(parts.headers["access-control-allow-origin"], "*");
    }
}

//! History files: uploads, and the paths of downloads.

use std::time::{Duration, SystemTime};

use axum::{Router, body::Body};
use bytes::Bytes;
use folkmoot_node::files::{History, HistoryConfig};
use futures::stream;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

thread_local! {
    static SHELF: Shelf = Shelf::new();
}

/// The files of one thread.
struct Shelf {
    runtime: Runtime,
    history: History,
    router: Router,
    _directory: TempDir,
}

/// Files of a few bytes at most, so that the limit is within reach.
const CONFIG: HistoryConfig = HistoryConfig {
    max_file_bytes: 512,
    max_total_bytes: 1024,
    keep: Duration::from_secs(60),
    uploads_per_address: 1,
    patience: Duration::from_secs(1),
};

/// The first byte chooses: an upload in pieces as long as the next byte says, with or without a
/// content length; or a request with the rest as its path.
pub fn history(data: &[u8]) {
    let Some((choice, rest)) = super::first(data) else {
        return;
    };
    SHELF.with(|shelf| {
        shelf.runtime.block_on(async {
            match choice % 4 {
                0 => shelf.upload(rest, false).await,
                1 => shelf.upload(rest, true).await,
                2 => shelf.ask(&[b"/files/", rest].concat()).await,
                _ => shelf.ask(rest).await,
            }
        });
    });
}

impl Shelf {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let history = History::open(directory.path(), CONFIG).expect("an empty directory opens");
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        Self {
            runtime: runtime.expect("a runtime of one thread"),
            router: history.router(),
            history,
            _directory: directory,
        }
    }

    /// Uploads the bytes, and fetches them again if they were taken.
    async fn upload(&self, data: &[u8], says_length: bool) {
        let Some((piece, archive)) = super::first(data) else {
            return;
        };
        let pieces: Vec<_> = archive
            .chunks(piece.max(1))
            .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
            .collect();
        let mut request = Request::post("/upload");
        if says_length {
            request = request.header("content-length", piece);
        }
        let request = request.body(Body::from_stream(stream::iter(pieces)));
        let (status, id) = self.answer(request.expect("a request")).await;
        if !status.is_success() {
            assert!(!id.is_empty(), "a refusal has words");
            assert_eq!(self.history.bytes(), 0, "nothing refused is kept");
            return;
        }
        assert!(!archive.is_empty() && archive.len() as u64 <= CONFIG.max_file_bytes);
        let id = str::from_utf8(&id).expect("an id is text");
        let request = Request::get(format!("/files/{id}")).body(Body::empty());
        let (status, bytes) = self.answer(request.expect("an id fits a path")).await;
        assert_eq!((status, bytes.as_ref()), (StatusCode::OK, archive));
        let later = SystemTime::now() + 2 * CONFIG.keep;
        let swept = self.history.sweep(later).await.expect("the disk works");
        assert_eq!(swept.files, 1);
    }

    /// Asks for a path, which names no file since none is kept.
    async fn ask(&self, path: &[u8]) {
        for method in [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS] {
            let request = Request::builder().method(method.clone()).uri(path);
            let Ok(request) = request.body(Body::empty()) else {
                return;
            };
            let (status, _) = self.answer(request).await;
            assert!(
                status.is_client_error() || method == Method::OPTIONS,
                "{status}"
            );
        }
    }

    async fn answer(&self, request: Request<Body>) -> (StatusCode, Bytes) {
        let Ok(answer) = self.router.clone().oneshot(request).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("the disk works");
        assert!(!head.status.is_server_error() || head.status == StatusCode::INSUFFICIENT_STORAGE);
        (head.status, body.to_bytes())
    }
}

//! The server through which a person's devices hand each other their history.
//!
//! It sees encrypted archives and nothing else: `POST /upload` takes one and answers with its id,
//! `GET /files/{id}` gives it back. Addresses that come in messages are used only when they are on
//! the server that this client is set to: whoever holds one installation must not be able to send
//! the others anywhere.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::StreamExt as _;
use reqwest::{Body, redirect};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// A history server.
#[derive(Clone, Debug)]
pub(crate) struct HistoryServer {
    /// Without a slash at the end.
    url: String,
    http: reqwest::Client,
}

/// Why history could not be handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// No server is known.
    #[error("no history server is known for this network")]
    NoServer,
    /// The address is on another server than ours.
    #[error("the address {0} is not on our history server")]
    ForeignServer(String),
    /// The server could not be reached, or broke off.
    #[error("the history server {url} cannot be used: {cause}")]
    Http {
        /// The server.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// The server refused.
    #[error("the history server {url} answered with status {status}")]
    Status {
        /// The server.
        url: String,
        /// An HTTP status.
        status: u16,
    },
    /// The server gave no id for what was uploaded.
    #[error("the history server {0} gave no id for the upload")]
    NoId(String),
    /// Device sync is switched off for this client, or no other installation is known.
    #[error("no other installation of this inbox is known")]
    NoSyncGroup,
    /// No archive was offered under this pin, or none at all.
    #[error("no other installation has offered its history{0}")]
    NotOffered(String),
    /// What was offered cannot be opened by this program.
    #[error("the history that was offered is of an unknown kind")]
    UnknownKind,
}

impl HistoryServer {
    pub(crate) fn new(url: &str) -> Result<Self, HistoryError> {
        let url = normal(url);
        // Does nothing where the program has chosen one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .user_agent(concat!("folkmoot/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|cause| HistoryError::Http {
                url: url.clone(),
                cause: cause.to_string(),
            })?;
        Ok(Self { url, http })
    }

    /// As requests name it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether a request may be answered through this server: it names it, or it names none, as
    /// those of libxmtp up to 1.9 do.
    pub(crate) fn may_answer(&self, asked: &str) -> bool {
        asked.is_empty() || normal(asked) == self.url
    }

    /// Uploads what the other end of the body writes. Returns the address of the file.
    pub(crate) async fn upload(&self, body: UploadBody) -> Result<String, HistoryError> {
        let sent = self
            .http
            .post(format!("{}/upload", self.url))
            .body(Body::wrap_stream(ReceiverStream::new(body.0)))
            .send()
            .await;
        let answer = self.accept(sent)?;
        let mut id = String::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|cause| self.failed(&cause))?;
            id.push_str(&String::from_utf8_lossy(&piece));
            if id.len() > MOST_ID_BYTES {
                return Err(HistoryError::NoId(self.url.clone()));
            }
        }
        let id = id.trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if id.is_empty() || id.starts_with('.') || !id.bytes().all(plain) {
            return Err(HistoryError::NoId(self.url.clone()));
        }
        Ok(format!("{}/files/{id}", self.url))
    }

    /// Fetches a file of this server. What comes can be read while it comes.
    pub(crate) async fn download(&self, url: &str) -> Result<DownloadReader, HistoryError> {
        let id = url.strip_prefix(&self.url);
        let id = id.and_then(|path| path.strip_prefix("/files/"));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !id.is_some_and(|id| !id.is_empty() && id.bytes().all(plain)) {
            return Err(HistoryError::ForeignServer(url.chars().take(200).collect()));
        }
        let answer = self.accept(self.http.get(url).send().await)?;
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        tokio::spawn(async move {
            let mut pieces = answer.bytes_stream();
            let mut bytes = 0;
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|_| io::Error::other("the history server broke off"));
                bytes += piece.as_ref().map_or(0, Bytes::len);
                let last = piece.is_err() || bytes > MOST_BYTES;
                if sender.send(piece).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(DownloadReader {
            pieces: receiver,
            current: Bytes::new(),
        })
    }

    fn accept(
        &self,
        answer: Result<reqwest::Response, reqwest::Error>,
    ) -> Result<reqwest::Response, HistoryError> {
        let answer = answer.map_err(|cause| self.failed(&cause))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(HistoryError::Status {
            url: self.url.clone(),
            status: answer.status().as_u16(),
        })
    }

    fn failed(&self, error: &reqwest::Error) -> HistoryError {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        HistoryError::Http {
            url: self.url.clone(),
            cause: cause.to_string(),
        }
    }
}

impl HistoryError {
    /// What a person can do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::NoServer => "name one with history_url",
            Self::ForeignServer(_) => "have both installations use the same history server",
            Self::Http { .. } | Self::Status { .. } => {
                "check the history server's address, or try again later"
            }
            Self::NoId(_) => "use another history server",
            Self::NoSyncGroup => "register another installation of this inbox first",
            Self::NotOffered(_) => "ask for it, and wait until another installation is awake",
            Self::UnknownKind => "use a newer program",
        }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Http { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

/// What an upload consists of.
#[derive(Debug)]
pub(crate) struct UploadBody(mpsc::Receiver<io::Result<Bytes>>);

/// Takes what is to be uploaded. Dropping it without [`UploadWriter::finish`] breaks the upload off.
#[derive(Debug)]
pub(crate) struct UploadWriter {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    current: BytesMut,
    finished: bool,
}

/// Two ends of an upload. The writer must not be used in async code: it blocks.
pub(crate) fn upload() -> (UploadWriter, UploadBody) {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let writer = UploadWriter {
        pieces: sender,
        current: BytesMut::new(),
        finished: false,
    };
    (writer, UploadBody(receiver))
}

impl UploadWriter {
    fn send(&mut self) -> io::Result<()> {
        let piece = self.current.split().freeze();
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload was broken off");
        self.pieces.blocking_send(Ok(piece)).map_err(gone)
    }
}

impl Write for UploadWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.current.extend_from_slice(bytes);
        if self.current.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// An archive is flushed once, at its end.
    fn flush(&mut self) -> io::Result<()> {
        if !self.current.is_empty() {
            self.send()?;
        }
        self.finished = true;
        Ok(())
    }
}

impl Drop for UploadWriter {
    fn drop(&mut self) {
        if !self.finished {
            // Half an archive must not look like a whole one.
            let cause = io::Error::other("the archive could not be made");
            let _ = self.pieces.try_send(Err(cause));
        }
    }
}

/// A file that is being downloaded. It must not be read in async code: it blocks.
#[derive(Debug)]
pub(crate) struct DownloadReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for DownloadReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let count = self.current.len().min(to.len());
        self.current.copy_to_slice(&mut to[..count]);
        Ok(count)
    }
}

fn normal(url: &str) -> String {
    // Both are this machine, and official clients write either.
    url.trim_end_matches('/')
        .replace("://localhost", "://127.0.0.1")
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
const PIECE_BYTES: usize = 64 << 10;
const PIECES_WAITING: usize = 4;
const MOST_ID_BYTES: usize = 200;
/// An archive of a whole life is smaller.
const MOST_BYTES: usize = 16 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_through_our_server_or_not_at_all() {
        let server = HistoryServer::new("http://127.0.0.1:9/").unwrap();
        for (asked, answered) in [
            ("http://localhost:9", true),
            ("", true),
            ("http://localhost:91", false),
            ("/", false),
        ] {
            assert_eq!(server.may_answer(asked), answered, "{asked:?}");
        }
    }

    #[tokio::test]
    async fn addresses_of_other_servers_are_not_asked() {
        let server = HistoryServer::new("http://127.0.0.1:9/").unwrap();
        for url in [
            "http://evil.example/files/1",
            "http://127.0.0.1:9.evil.example/files/1",
            "http://127.0.0.1:9@evil.example/files/1",
            "http://127.0.0.1:9/files/",
            "http://127.0.0.1:9/files/../admin",
            "http://127.0.0.1:9/files/1?x",
        ] {
            let refused = server.download(url).await.unwrap_err();
            assert!(
                matches!(refused, HistoryError::ForeignServer(_)),
                "{url}: {refused}"
            );
        }
    }
}

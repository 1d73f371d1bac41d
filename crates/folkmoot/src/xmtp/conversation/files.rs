//! Files: inside a message, or encrypted on some web server.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use clap::Args;
use folkmoot_conversation::{
    EncryptedAttachment, SecretBytes, attachment_limit,
    content::{Attachment, Content, MAX_ENCODED_BYTES, MultiRemoteAttachment, RemoteAttachment},
    open_attachment,
};
use folkmoot_wire::MessageId;
use reqwest::{Body, Client as Http, StatusCode, header::CONTENT_LENGTH, redirect};
use serde::Deserialize;
use tokio::{sync::Notify, time::timeout};

use super::{
    super::{
        output::Output,
        run::{AsClient, Me},
        settings::SecretText,
        value::{Value, is_commanding, object, visible},
        which::Which,
        who,
    },
    send::{How, sent},
};
use crate::failure::{Exit, Failure};

/// The arguments of `send-attachment`.
#[derive(Args, Debug)]
pub(crate) struct SendAttachment {
    #[command(flatten)]
    which: Which,
    /// The file
    file: PathBuf,
    /// What is in it, such as image/png [default: by the file's name]
    #[arg(long, value_name = "TYPE")]
    mime_type: Option<String>,
    /// Send only where the encrypted file lies; it is uploaded first
    #[arg(long, requires = "upload_provider")]
    remote: bool,
    /// Where to upload: the file is posted to URL, whose answer is its address or its name below URL/files
    #[arg(long, value_name = "URL")]
    upload_provider: Option<String>,
    /// What the server at --upload-provider wants to hear (Authorization: Bearer)
    #[arg(long, value_name = "TOKEN", requires = "upload_provider")]
    upload_provider_token: Option<SecretText>,
    /// Send nothing: write the encrypted file, and print what opens it, for send-remote-attachment
    #[arg(long, conflicts_with = "remote")]
    encrypt: bool,
    /// Where --encrypt writes [default: the file's name and .encrypted]
    #[arg(long, value_name = "PATH", requires = "encrypt")]
    encrypted_output: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

impl AsClient for SendAttachment {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let attachment = read_file(&self.file, self.mime_type.clone())?;
        let (name, mime) = (attachment.filename.clone(), attachment.mime_type.clone());
        let size = attachment.data.len();
        if self.encrypt {
            let sealed = EncryptedAttachment::seal(&attachment, &mut rand::rng())?;
            let path = match &self.encrypted_output {
                Some(path) => path.clone(),
                None => with_suffix(&self.file, ".encrypted"),
            };
            write_new(&path, &sealed.payload)?;
            let opening = sealed.at("");
            out.result(object! {
                "encryptedFile" => path.display().to_string(),
                "filename" => name,
                "mimeType" => mime,
                "contentDigest" => opening.content_digest,
                "secret" => BASE64_STANDARD.encode(opening.secret.as_bytes()),
                "salt" => BASE64_STANDARD.encode(&opening.salt),
                "nonce" => BASE64_STANDARD.encode(&opening.nonce),
                "contentLength" => sealed.payload.len(),
            })?;
            return Ok(());
        }
        let conversation = self.which.find(&me.client).await?;
        let described = |id, kind: &'static str| {
            sent(id, &conversation)
                .with("filename", name.clone())
                .with("mimeType", mime.clone())
                .with("size", size)
                .with("type", kind)
        };
        let provider = self.upload_provider.as_deref().filter(|_| self.remote);
        let told = match provider {
            Some(provider) => {
                let sealed = EncryptedAttachment::seal(&attachment, &mut rand::rng())?;
                let token = self.upload_provider_token.as_ref().map(SecretText::reveal);
                let url = upload(provider, token, sealed.payload.clone(), |_| {}).await?;
                let content = Content::RemoteAttachment(sealed.at(url.as_str()));
                let id = self.how.send(&conversation, &content, out).await?;
                described(id, "remote").with("url", url)
            }
            None => {
                if size > LARGEST_INLINE {
                    eprintln!("{}", too_large_inside(&self.file, size));
                }
                let content = Content::Attachment(attachment);
                let id = self.how.send(&conversation, &content, out).await?;
                described(id, "inline")
            }
        };
        out.result(told.with("optimistic", self.how.optimistic))?;
        Ok(())
    }
}

/// Official apps keep files inside messages below this, in bytes.
const LARGEST_INLINE: usize = 1_000_000;

fn too_large_inside(file: &Path, bytes: usize) -> String {
    format!(
        "{} has {}.{} MB: apps keep files inside a message below 1 MB, and a network may refuse it\n\
         \x20 try: --remote --upload-provider URL, which sends where it lies",
        visible(&file.display().to_string()),
        bytes / 1_000_000,
        bytes / 100_000 % 10,
    )
}

/// The arguments of `send-remote-attachment`.
#[derive(Args, Debug)]
pub(crate) struct SendRemoteAttachment {
    #[command(flatten)]
    which: Which,
    /// Where the encrypted file lies
    url: String,
    /// SHA-256 of the encrypted file, in hex digits
    #[arg(long, value_name = "HEX")]
    content_digest: String,
    /// What opens it, in base64
    #[arg(long, value_name = "BASE64", value_parser = base64)]
    secret: Bytes,
    /// What opens it, in base64
    #[arg(long, value_name = "BASE64", value_parser = base64)]
    salt: Bytes,
    /// What opens it, in base64
    #[arg(long, value_name = "BASE64", value_parser = base64)]
    nonce: Bytes,
    /// How it is fetched
    #[arg(long, default_value = "https")]
    scheme: String,
    /// Length of the encrypted file in bytes
    #[arg(long, value_name = "BYTES")]
    content_length: Option<u32>,
    /// The file's name
    #[arg(long, value_name = "NAME")]
    filename: Option<String>,
    #[command(flatten)]
    how: How,
}

impl AsClient for SendRemoteAttachment {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let remote = RemoteAttachment {
            url: self.url.clone(),
            content_digest: self.content_digest,
            secret: SecretBytes::from(self.secret.to_vec()),
            salt: self.salt.to_vec(),
            nonce: self.nonce.to_vec(),
            scheme: with_slashes(&self.scheme),
            content_length: self.content_length,
            filename: self.filename.clone(),
        };
        let content = Content::RemoteAttachment(remote);
        let id = self.how.send(&conversation, &content, out).await?;
        out.result(
            sent(id, &conversation)
                .with("url", self.url)
                .with("filename", self.filename)
                .with("optimistic", self.how.optimistic),
        )?;
        Ok(())
    }
}

/// The arguments of `send-multi-remote-attachment`.
#[derive(Args, Debug)]
pub(crate) struct SendMultiRemoteAttachment {
    #[command(flatten)]
    which: Which,
    /// JSON array of objects with url and the fields that `send-attachment --encrypt` prints; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    how: How,
}

/// Where an encrypted file lies, and what opens it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Opening {
    url: String,
    content_digest: String,
    secret: String,
    salt: String,
    nonce: String,
    #[serde(default)]
    scheme: Option<String>,
    #[serde(default)]
    content_length: Option<u32>,
    #[serde(default)]
    filename: Option<String>,
}

impl AsClient for SendMultiRemoteAttachment {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let openings: Vec<Opening> = read_json(&self.file)?;
        let attachments = openings.into_iter().map(Opening::remote);
        let attachments = attachments.collect::<anyhow::Result<Vec<_>>>()?;
        if attachments.is_empty() {
            return Err(
                Failure::new(Exit::Usage, "the list of files is empty", "one or more").into(),
            );
        }
        let count = attachments.len();
        let conversation = self.which.find(&me.client).await?;
        let content = Content::MultiRemoteAttachment(MultiRemoteAttachment { attachments });
        let id = self.how.send(&conversation, &content, out).await?;
        out.result(
            sent(id, &conversation)
                .with("count", count)
                .with("optimistic", self.how.optimistic),
        )?;
        Ok(())
    }
}

impl Opening {
    /// The content that says so.
    ///
    /// # Errors
    ///
    /// [`Failure`] for what is not in base64.
    pub(crate) fn remote(self) -> anyhow::Result<RemoteAttachment> {
        let bytes = |what: &str, text: &str| {
            base64(text).map_err(|cause| {
                Failure::new(
                    Exit::Usage,
                    format!("{what} of {}: {cause}", self.url),
                    "as `send-attachment --encrypt` prints it",
                )
            })
        };
        Ok(RemoteAttachment {
            secret: SecretBytes::from(bytes("secret", &self.secret)?.to_vec()),
            salt: bytes("salt", &self.salt)?.to_vec(),
            nonce: bytes("nonce", &self.nonce)?.to_vec(),
            scheme: with_slashes(self.scheme.as_deref().unwrap_or("https")),
            content_length: self.content_length,
            filename: self.filename.clone(),
            content_digest: self.content_digest.clone(),
            url: self.url,
        })
    }
}

/// The arguments of `download-attachment`.
#[derive(Args, Debug)]
pub(crate) struct DownloadAttachment {
    #[command(flatten)]
    which: Which,
    /// The message
    #[arg(value_parser = who::message_id)]
    message_id: MessageId,
    /// Where to write [default: the name that the sender gave, in this directory]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Which one of several files, from 0
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    index: usize,
    /// Write the encrypted file as it is
    #[arg(long)]
    raw: bool,
    /// Fetch messages first
    #[arg(long)]
    sync: bool,
    /// Fetch it over plain HTTP too: for servers on this machine
    #[arg(long)]
    allow_http: bool,
}

impl AsClient for DownloadAttachment {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        if self.sync {
            self.which.find(&me.client).await?.sync().await?;
        }
        let message = me.client.conversations().message(&self.message_id).await?;
        let content = match message.content {
            Content::Reply(reply) => reply.content(),
            content => content,
        };
        let remote = match content {
            Content::Attachment(attachment) => {
                let path = self.save(attachment.filename.as_deref(), &attachment.data)?;
                out.result(told("inline", &path, &attachment))?;
                return Ok(());
            }
            Content::RemoteAttachment(remote) => remote,
            Content::MultiRemoteAttachment(multi) => {
                let count = multi.attachments.len();
                let found = multi.attachments.into_iter().nth(self.index);
                found.ok_or_else(|| {
                    Failure::new(
                        Exit::NotFound,
                        format!("the message has {count} files"),
                        "--index with a number below that",
                    )
                })?
            }
            _ => {
                return Err(Failure::new(
                    Exit::NotFound,
                    "the message has no file",
                    "a message whose content type is an attachment",
                )
                .into());
            }
        };
        let payload = download(&remote, self.allow_http, |_| {}).await?;
        if self.raw {
            let path = self.save(remote.filename.as_deref(), &payload)?;
            out.result(object! {
                "success" => true,
                "type" => "remote-raw",
                "outputPath" => path.display().to_string(),
                "url" => remote.url,
                "size" => payload.len(),
            })?;
            return Ok(());
        }
        let mut attachment = open_attachment(&remote, &payload)?;
        attachment.filename = attachment.filename.or(remote.filename);
        let path = self.save(attachment.filename.as_deref(), &attachment.data)?;
        out.result(told("remote", &path, &attachment).with("url", remote.url))?;
        Ok(())
    }
}

impl DownloadAttachment {
    fn save(&self, name: Option<&str>, bytes: &[u8]) -> anyhow::Result<PathBuf> {
        let path = match &self.output {
            Some(path) => path.clone(),
            None => PathBuf::from(plain_name(name).unwrap_or_else(|| self.message_id.to_string())),
        };
        write_new(&path, bytes)?;
        Ok(path)
    }
}

fn told(kind: &'static str, path: &Path, attachment: &Attachment) -> Value {
    object! {
        "success" => true,
        "type" => kind,
        "outputPath" => path.display().to_string(),
        "filename" => attachment.filename.clone(),
        "mimeType" => attachment.mime_type.as_str(),
        "size" => attachment.data.len(),
    }
}

/// A file as an attachment.
pub(crate) fn read_file(path: &Path, mime: Option<String>) -> anyhow::Result<Attachment> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(Attachment {
        filename: name.map(str::to_owned),
        mime_type: mime.unwrap_or_else(|| mime_type(path).to_owned()),
        data: read_limited(path)?.into(),
    })
}

/// The bytes of a file, or of standard input for `-`, but never more than a message can have.
pub(super) fn read_limited(path: &Path) -> anyhow::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_ENCODED_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().take(limit + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    if let Err(cause) = read {
        let exit = match cause.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        let what = format!("{} cannot be read", path.display());
        return Err(Failure::new(exit, what, "another file")
            .because(cause)
            .into());
    }
    if bytes.len() > MAX_ENCODED_BYTES {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "{} has more than {} MiB",
                path.display(),
                MAX_ENCODED_BYTES >> 20
            ),
            "a smaller file",
        )
        .into());
    }
    Ok(bytes)
}

/// A JSON file, or standard input for `-`.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = read_limited(path)?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        Failure::new(
            Exit::Usage,
            format!("{} is not the JSON that is wanted", path.display()),
            "--help tells what it has",
        )
        .because(cause)
        .into()
    })
}

/// Writes a file that was not there before.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = opened.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            Exit::Refused,
            format!("{} exists already", path.display()),
            "another name, with --output",
        ),
        _ => Failure::new(
            Exit::Failed,
            format!("{} cannot be written", path.display()),
            "another place, with --output",
        )
        .because(cause),
    })?;
    let written = file.write_all(bytes);
    if written.is_err() {
        // Half a file is none, and would stand in the way of the next attempt.
        drop(fs::remove_file(path));
    }
    written.with_context(|| format!("write {}", path.display()))
}

/// The name that a sender gave, if it is a plain name: no path, nothing hidden.
pub(crate) fn plain_name(name: Option<&str>) -> Option<String> {
    let name = name?;
    let last = name.rsplit(['/', '\\']).next()?.trim();
    let plain = last
        .chars()
        .filter(|letter| !is_commanding(*letter))
        .collect::<String>();
    // Hidden files, and what other programs take for a flag.
    let plain = plain.trim_start_matches(['.', '-', ' ']).to_owned();
    (!plain.is_empty()).then_some(plain)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn with_slashes(scheme: &str) -> String {
    match scheme.strip_suffix("://") {
        Some(_) => scheme.to_owned(),
        None => format!("{scheme}://"),
    }
}

/// Reads base64, for clap. (It takes a `Vec` for a list of values.)
fn base64(text: &str) -> Result<Bytes, String> {
    BASE64_STANDARD
        .decode(text)
        .map(Bytes::from)
        .map_err(|_| "this is not base64".to_owned())
}

/// What is in a file, by the ending of its name.
pub(crate) fn mime_type(path: &Path) -> &'static str {
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending.unwrap_or_default().to_ascii_lowercase().as_str() {
        "avif" => "image/avif",
        "csv" => "text/csv",
        "gif" => "image/gif",
        "gz" => "application/gzip",
        "htm" | "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "json" => "application/json",
        "md" => "text/markdown",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "ogg" => "audio/ogg",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain",
        "wav" => "audio/wav",
        "webm" => "video/webm",
        "webp" => "image/webp",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

/// Posts `payload`, and says where it lies then. `gone` hears of each piece how many bytes it has.
pub(crate) async fn upload(
    url: &str,
    token: Option<&str>,
    payload: Bytes,
    gone: impl Fn(usize) + Send + Sync + 'static,
) -> anyhow::Result<String> {
    let failed = |cause: reqwest::Error| {
        Failure::new(
            Exit::Network,
            format!("the file could not be uploaded to {url}"),
            "--upload-provider with another address",
        )
        .because(cause.without_url())
    };
    let length = payload.len();
    let moved = Arc::new(Notify::new());
    let pieces = {
        let moved = Arc::clone(&moved);
        let pieces = (0..length).step_by(PIECE).map(move |from| {
            let piece = payload.slice(from..length.min(from + PIECE));
            gone(piece.len());
            moved.notify_one();
            Ok::<_, io::Error>(piece)
        });
        futures::stream::iter(pieces)
    };
    let mut request = http(None)?
        .post(url)
        .header(CONTENT_LENGTH, length)
        .body(Body::wrap_stream(pieces));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    // However long it takes: something has to move.
    let mut answer = pin!(request.send());
    let response = loop {
        tokio::select! {
            response = &mut answer => break response.map_err(failed)?,
            moved = timeout(PATIENCE, moved.notified()) => {
                if moved.is_err() {
                    return Err(Failure::new(
                        Exit::Network,
                        format!("{url} has taken nothing for {} seconds", PATIENCE.as_secs()),
                        "again later, or --upload-provider with another address",
                    )
                    .into());
                }
            }
        }
    };
    let response = response.error_for_status().map_err(failed)?;
    let answer = read_body(response, MOST_ANSWER, |_| {})
        .await
        .map_err(|cause| cause.told(url))?;
    let answer = String::from_utf8_lossy(&answer);
    let answer = answer.trim().trim_matches('"');
    if answer.starts_with("https://") || answer.starts_with("http://") {
        return Ok(answer.to_owned());
    }
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if answer.is_empty() || !answer.chars().all(is_name) {
        return Err(Failure::new(
            Exit::Failed,
            format!("{url} does not say where the file lies"),
            "a server that answers with an address or a name",
        )
        .into());
    }
    let base = url.strip_suffix("/upload").unwrap_or(url);
    Ok(format!("{}/files/{answer}", base.trim_end_matches('/')))
}

/// Fetches the encrypted file of a message. Redirects are not followed: they could lead anywhere.
/// `come` hears of each piece how many bytes it has.
pub(crate) async fn download(
    remote: &RemoteAttachment,
    allow_http: bool,
    come: impl Fn(usize),
) -> anyhow::Result<Vec<u8>> {
    let url = match remote.check_url() {
        Ok(url) => url,
        Err(_) if allow_http && remote.url.starts_with("http://") => &remote.url,
        Err(cause) => {
            return Err(Failure::new(
                Exit::Refused,
                format!("{} is not fetched: {cause}", visible(&remote.url)),
                "ask the sender for another one",
            )
            .into());
        }
    };
    let failed = |cause: reqwest::Error| {
        let exit = match cause.status() {
            Some(StatusCode::NOT_FOUND | StatusCode::GONE) => Exit::NotFound,
            _ => Exit::Network,
        };
        let what = format!("the file could not be fetched from {url}");
        Failure::new(exit, what, "ask the sender to send it again").because(cause.without_url())
    };
    let response = http(Some(PATIENCE))?
        .get(url)
        .send()
        .await
        .map_err(failed)?;
    let response = response.error_for_status().map_err(failed)?;
    if !response.status().is_success() {
        return Err(Failure::new(
            Exit::Refused,
            format!("{url} answers with status {}", response.status().as_u16()),
            "ask the sender to send it again",
        )
        .into());
    }
    let limit = attachment_limit(remote);
    read_body(response, limit, come)
        .await
        .map_err(|cause| cause.told(url).into())
}

/// Why the body of an answer was not read.
enum BodyError {
    TooLong(usize),
    Broken(reqwest::Error),
}

impl BodyError {
    fn told(self, url: &str) -> Failure {
        match self {
            Self::TooLong(limit) => Failure::new(
                Exit::Refused,
                format!("{url} sends more than the {limit} bytes that were announced"),
                "ask the sender to send it again",
            ),
            Self::Broken(cause) => {
                let what = format!("the connection to {url} broke");
                Failure::new(Exit::Network, what, "again").because(cause.without_url())
            }
        }
    }
}

async fn read_body(
    mut response: reqwest::Response,
    limit: usize,
    come: impl Fn(usize),
) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLong(limit));
        }
        come(chunk.len());
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// `patience`: how long a server may say nothing, its first word included.
fn http(patience: Option<Duration>) -> anyhow::Result<Http> {
    // It fails when the program did it before.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut http = Http::builder();
    if let Some(patience) = patience {
        http = http.read_timeout(patience);
    }
    http.redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .user_agent(concat!("folkmoot/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("prepare HTTP")
}

/// How long nothing has to come or go until a server is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// A file is sent in pieces of so many bytes.
const PIECE: usize = 32 << 10;
/// The longest answer of an upload server, in bytes.
const MOST_ANSWER: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_cannot_choose_where_a_file_goes() {
        let name = |name| plain_name(Some(name));
        assert_eq!(name("picnic.png").as_deref(), Some("picnic.png"));
        assert_eq!(
            name("../../.ssh/authorized_keys").as_deref(),
            Some("authorized_keys")
        );
        assert_eq!(name("C:\\win\\a.dll").as_deref(), Some("a.dll"));
        assert_eq!(name(".bashrc").as_deref(), Some("bashrc"));
        assert_eq!(name("-rf").as_deref(), Some("rf"));
        assert_eq!(name("\u{202e}gnp.exe").as_deref(), Some("gnp.exe"));
        for nothing in ["", "..", "/", "a/", "\u{0}"] {
            assert_eq!(name(nothing), None, "{nothing:?}");
        }
        assert_eq!(plain_name(None), None);
    }

    #[test]
    fn the_ending_tells_what_is_inside() {
        assert_eq!(mime_type(Path::new("a/b.PNG")), "image/png");
        assert_eq!(mime_type(Path::new("b")), "application/octet-stream");
    }
}

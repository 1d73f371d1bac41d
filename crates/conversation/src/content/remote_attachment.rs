//! `xmtp.org/remoteStaticAttachment:1.0` (XIP-17). How the file is encrypted stands in
//! [`crate::attachment`].

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};
use crate::SecretBytes;

/// A file that lies encrypted on some web server, and how to open it.
///
/// All of it comes from the sender. [`RemoteAttachment::check_url`] says whether the file may be
/// fetched at all; where the name leads to and how much comes from there is for the fetching client to
/// bound.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteAttachment {
    /// Where the encrypted file lies.
    pub url: String,
    /// The SHA-256 of the encrypted file, as hex digits.
    pub content_digest: String,
    /// 32 bytes, from which the key is made.
    pub secret: SecretBytes,
    /// 32 bytes, with which the key is made.
    pub salt: Vec<u8>,
    /// 12 bytes, with which the file was encrypted.
    pub nonce: Vec<u8>,
    /// `https://`
    pub scheme: String,
    /// The length of the encrypted file in bytes.
    pub content_length: Option<u32>,
    /// The file's name. Never a path to write to.
    pub filename: Option<String>,
}

impl RemoteAttachment {
    /// Whether the file may be fetched: over HTTPS, from a host that has a name.
    ///
    /// # Errors
    ///
    /// [`InsecureUrl`] for every other address.
    pub fn check_url(&self) -> Result<&str, InsecureUrl> {
        let plain = self.url.bytes().all(|byte| byte.is_ascii_graphic());
        let host = self.url.strip_prefix("https://").ok_or(InsecureUrl)?;
        let host = host.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        if !plain || host.is_empty() || host.contains('@') {
            return Err(InsecureUrl);
        }
        Ok(&self.url)
    }
}

impl Codec for RemoteAttachment {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("remoteStaticAttachment", 1);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let mut parts = Parts::of(Self::TYPE)
            .parameter(CONTENT_DIGEST, &self.content_digest)
            .parameter(SECRET, hex::encode(&self.secret))
            .parameter(SALT, hex::encode(&self.salt))
            .parameter(NONCE, hex::encode(&self.nonce))
            .parameter(SCHEME, &self.scheme)
            .content(self.url.as_bytes().to_vec());
        if let Some(length) = self.content_length {
            parts = parts.parameter(CONTENT_LENGTH, length.to_string());
        }
        if let Some(filename) = &self.filename {
            parts = parts.parameter(FILENAME, filename);
        }
        Ok(parts)
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        let text = |name| parts.get(name).unwrap_or_default().to_owned();
        let length = parts.get(CONTENT_LENGTH).map(|text| {
            text.parse().map_err(|_| DecodeError::Field {
                field: "parameter contentLength",
                expected: "a number below 2^32",
            })
        });
        Ok(Self {
            url: parts.utf8()?.to_owned(),
            content_digest: text(CONTENT_DIGEST),
            secret: unhex(parts, SECRET, "parameter secret")?.into(),
            salt: unhex(parts, SALT, "parameter salt")?,
            nonce: unhex(parts, NONCE, "parameter nonce")?,
            scheme: text(SCHEME),
            content_length: length.transpose()?,
            filename: parts.get(FILENAME).map(str::to_owned),
        })
    }

    fn fallback(&self) -> Option<String> {
        let what = self.filename.as_deref().unwrap_or("this content");
        Some(format!(
            "Can't display {what}. This app doesn't support remote attachments."
        ))
    }
}

fn unhex(parts: &Parts, name: &str, field: &'static str) -> Result<Vec<u8>, DecodeError> {
    hex::decode(parts.get(name).unwrap_or_default()).map_err(|_| DecodeError::Field {
        field,
        expected: "hex digits",
    })
}

/// The address is not one that a client may fetch from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the attachment's address is not https:// and a host name")]
pub struct InsecureUrl;

const CONTENT_DIGEST: &str = "contentDigest";
const CONTENT_LENGTH: &str = "contentLength";
const FILENAME: &str = "filename";
const NONCE: &str = "nonce";
const SALT: &str = "salt";
const SCHEME: &str = "scheme";
const SECRET: &str = "secret";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_addresses_without_tricks_are_fetched() {
        let mut file = RemoteAttachment {
            url: "https://files.example.org/a?b#c".to_owned(),
            content_digest: String::new(),
            secret: Vec::new().into(),
            salt: Vec::new(),
            nonce: Vec::new(),
            scheme: "https://".to_owned(),
            content_length: None,
            filename: None,
        };
        assert!(file.check_url().is_ok());
        for url in [
            "",
            "http://files.example.org/a",
            "file:///etc/passwd",
            "https://",
            "https:///a",
            "https://files.example.org@evil.example/",
            "https://files.example.org/a b",
            "https://files.example.org/\r\nx: y",
        ] {
            url.clone_into(&mut file.url);
            assert_eq!(file.check_url(), Err(InsecureUrl), "{url}");
        }
    }
}

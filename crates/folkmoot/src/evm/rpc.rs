//! JSON-RPC over HTTP to one EVM endpoint.

use std::{error::Error, fmt, str::FromStr, time::Duration};

use reqwest::{Client, Response, Url, redirect};
use serde::Deserialize;
use serde_json::{Value, json};

/// The address of an EVM endpoint. It often holds an access key, in the user part, the path or
/// the query; text made from this type therefore ends after the port.
#[derive(Clone, Eq, PartialEq)]
pub struct EndpointUrl(Url);

impl FromStr for EndpointUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let url = Url::parse(text).map_err(|_| InvalidUrl)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidUrl);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        write!(formatter, "{}://{host}", self.0.scheme())?;
        match self.0.port() {
            Some(port) => write!(formatter, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EndpointUrl({self})")
    }
}

/// The text is no `http` or `https` URL. It is not repeated here: it may hold an access key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an EVM endpoint is an http or https URL")]
pub struct InvalidUrl;

/// Why a call to an endpoint has no result.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RpcError {
    /// No answer came in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The endpoint could not be reached, or the connection broke.
    #[error("not reachable: {0}")]
    Transport(String),
    /// The endpoint answered with an HTTP error.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The answer has more bytes than an answer of this kind can need.
    #[error("the answer is longer than {MAX_REPLY} bytes")]
    TooLong,
    /// The endpoint understood the call and refused it.
    #[error("refused with code {code}: {message}")]
    Refused {
        /// The JSON-RPC error code.
        code: i64,
        /// The endpoint's words, shortened.
        message: String,
    },
    /// The answer is not what the method returns.
    #[error("{method} returned something else than {expected}")]
    Unexpected {
        /// The method called.
        method: &'static str,
        /// What it returns when all is well.
        expected: &'static str,
    },
}

/// A client of one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Rpc {
    client: Client,
    url: EndpointUrl,
    timeout: Duration,
}

#[derive(Deserialize)]
struct Reply {
    result: Option<Value>,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

impl Rpc {
    pub(super) const fn new(client: Client, url: EndpointUrl, timeout: Duration) -> Self {
        Self {
            client,
            url,
            timeout,
        }
    }

    pub(super) const fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Calls `method`, whose result is bytes.
    pub(super) async fn bytes(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Vec<u8>, RpcError> {
        let result = self.call(method, params).await?;
        result
            .as_str()
            .and_then(|text| text.strip_prefix("0x"))
            .and_then(|digits| hex::decode(digits).ok())
            .ok_or(RpcError::Unexpected {
                method,
                expected: "bytes",
            })
    }

    /// Calls `method`, whose result is a number of at most 64 bits.
    pub(super) async fn number(&self, method: &'static str) -> Result<u64, RpcError> {
        let result = self.call(method, json!([])).await?;
        result
            .as_str()
            .and_then(|text| text.strip_prefix("0x"))
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or(RpcError::Unexpected {
                method,
                expected: "a number",
            })
    }

    async fn call(&self, method: &'static str, params: Value) -> Result<Value, RpcError> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self
            .client
            .post(self.url.0.clone())
            .timeout(self.timeout)
            .json(&request)
            .send()
            .await
            .map_err(|cause| self.failure(&cause))?;
        let status = response.status();
        let body = self.body(response).await?;
        // Endpoints send their reasons with error statuses too.
        let reply = serde_json::from_slice::<Reply>(&body).ok();
        match reply {
            Some(Reply {
                error: Some(ReplyError { code, message }),
                ..
            }) => Err(RpcError::Refused {
                code,
                message: shortened(&message),
            }),
            _ if !status.is_success() => Err(RpcError::Status(status.as_u16())),
            Some(Reply {
                result: Some(result),
                ..
            }) => Ok(result),
            _ => Err(RpcError::Unexpected {
                method,
                expected: "a JSON-RPC reply",
            }),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, RpcError> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|cause| self.failure(&cause))?
        {
            if body.len() + chunk.len() > MAX_REPLY {
                return Err(RpcError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The innermost cause says most, and unlike the others never holds the URL.
    fn failure(&self, error: &reqwest::Error) -> RpcError {
        if error.is_timeout() {
            return RpcError::Timeout(self.timeout);
        }
        let mut cause: Option<&dyn Error> = error.source();
        while let Some(inner) = cause.and_then(Error::source) {
            cause = Some(inner);
        }
        RpcError::Transport(cause.map_or_else(
            || "the connection failed".to_owned(),
            |cause| shortened(&cause.to_string()),
        ))
    }
}

/// The HTTP client that all endpoints share. It follows no redirect, which would carry the
/// access key to somebody else.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .redirect(redirect::Policy::none())
        .user_agent(concat!("folkmoot/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// The start of a foreign text, on one line.
fn shortened(text: &str) -> String {
    text.chars()
        .take(MAX_FOREIGN_TEXT)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// The longest answer that is read, in bytes.
const MAX_REPLY: usize = 1 << 20;

/// The longest foreign text that is repeated, in letters.
const MAX_FOREIGN_TEXT: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_prints_without_its_keys() {
        let url: EndpointUrl = "https://user:secret@chain.example:8443/v3/key?token=t"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "https://chain.example:8443");
        assert_eq!(
            format!("{url:?}"),
            "EndpointUrl(https://chain.example:8443)"
        );
    }

    #[test]
    fn an_endpoint_is_reached_over_http() {
        for text in [
            "",
            "chain.example",
            "ftp://chain.example",
            "ws://127.0.0.1:1",
            "http://",
        ] {
            assert_eq!(text.parse::<EndpointUrl>(), Err(InvalidUrl), "{text}");
        }
    }

    #[test]
    fn foreign_text_is_one_short_line() {
        assert_eq!(shortened("a\nb"), "a b");
        assert_eq!(shortened(&"x".repeat(1000)).len(), 200);
    }
}

//! Why a network did not do what it was asked.

use std::time::Duration;

/// Why a call failed. `call` is the method of the service, such as `MlsApi/SendGroupMessages`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NetworkError {
    /// The URL cannot be used.
    #[error("`{url}` is no address of a network: {cause}")]
    Address {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The answer breaks the protocol.
    #[error("{call}: the node's answer has a bad {field}: {cause}")]
    Answer {
        /// What was asked.
        call: &'static str,
        /// Where in the answer.
        field: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// The node's certificate does not prove that it is who we look for.
    #[error("the certificate of {address} is not accepted: {trouble}")]
    Certificate {
        /// Where we looked.
        address: String,
        /// What is wrong with it.
        trouble: CertificateTrouble,
    },
    /// The node does not accept who we are: a credential is missing, wrong or over.
    #[error("{call} at {address}: we are not let in: {cause}")]
    Denied {
        /// What was asked.
        call: &'static str,
        /// Whom.
        address: String,
        /// The node's words.
        cause: String,
    },
    /// The connection broke, or the node had a fault of its own.
    #[error("{call} at {address}: {cause}")]
    Interrupted {
        /// What was asked.
        call: &'static str,
        /// Whom.
        address: String,
        /// What happened.
        cause: String,
    },
    /// The node takes no more from us for now.
    #[error("{call}: the node is busy or limits us: {cause}")]
    Limited {
        /// What was asked.
        call: &'static str,
        /// The node's words.
        cause: String,
    },
    /// The node refused, and would again.
    #[error("{call} was refused: {cause}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// The node's words.
        cause: String,
    },
    /// No answer in time.
    #[error("{call} at {address} was not answered within {} s", after.as_secs_f64())]
    TimedOut {
        /// What was asked.
        call: &'static str,
        /// Whom.
        address: String,
        /// How long we waited.
        after: Duration,
    },
    /// Nobody listens there, or the way is blocked.
    #[error("no node answers at {address}: {cause}")]
    Unreachable {
        /// Where we looked.
        address: String,
        /// What the system says.
        cause: String,
    },
    /// The network has no such service.
    #[error("{call} is not offered at {address}")]
    Unsupported {
        /// What was asked.
        call: &'static str,
        /// Whom.
        address: String,
    },
}

/// What is wrong with a node's certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateTrouble {
    /// Its time is over, by this machine's clock.
    #[error("it has expired")]
    Expired,
    /// Its time has not begun, by this machine's clock.
    #[error("it is not valid yet")]
    NotYetValid,
    /// It is for other names than the one in the address.
    #[error("it is for another name")]
    OtherName,
    /// No authority that is trusted here signed it.
    #[error("no authority that is trusted here signed it")]
    UnknownAuthority,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl CertificateTrouble {
    /// What TLS says.
    pub(super) fn of(error: &rustls::Error) -> Option<Self> {
        use rustls::CertificateError as Wrong;
        let rustls::Error::InvalidCertificate(wrong) = error else {
            return None;
        };
        Some(match wrong {
            Wrong::Expired | Wrong::ExpiredContext { .. } => Self::Expired,
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => Self::NotYetValid,
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => Self::OtherName,
            // Also one of the same name that is not the same.
            Wrong::UnknownIssuer | Wrong::BadSignature => Self::UnknownAuthority,
            other => Self::Other(other.to_string()),
        })
    }

    const fn remedy(&self) -> &'static str {
        match self {
            Self::Expired => "whoever runs the node renews it; or set this machine's clock",
            Self::NotYetValid => "set this machine's clock",
            Self::OtherName => "use the name in the address that the certificate is for",
            Self::UnknownAuthority => {
                "where the network is yours: SSL_CERT_FILE=FILE names the certificate of its authority"
            }
            Self::Other(_) => "ask whoever runs the node",
        }
    }
}

impl NetworkError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Limited { .. } => !self.is_too_large(),
            // With another credential, or when a clock is right again.
            Self::Certificate { .. }
            | Self::Denied { .. }
            | Self::Interrupted { .. }
            | Self::TimedOut { .. }
            | Self::Unreachable { .. } => true,
            Self::Address { .. }
            | Self::Answer { .. }
            | Self::Refused { .. }
            | Self::Unsupported { .. } => false,
        }
    }

    /// Whether the network will never take what it was given, and it must not stand in the way of
    /// anything else.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { .. }) || self.is_too_large()
    }

    /// Whether a question, or the answer to it, has more bytes than the network allows, so that a
    /// smaller one may be answered. There is no status for it: servers and we ourselves say it in
    /// words.
    pub(super) fn is_too_large(&self) -> bool {
        let (Self::Limited { cause, .. } | Self::Refused { cause, .. }) = self else {
            return false;
        };
        let words = ["ask for fewer", "larger than max", "length too large"];
        words.iter().any(|words| cause.contains(words))
    }

    /// What a person can do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Address { .. } => {
                Some("give a URL such as http://127.0.0.1:5556 or https://node.example.org".into())
            }
            Self::Certificate { trouble, .. } => Some(trouble.remedy().into()),
            Self::Unreachable { address, .. } if is_here(address) => {
                Some("start a node there, for instance with `folkmoot dev`".into())
            }
            Self::Unreachable { .. } => Some("check the address and the connection".into()),
            Self::TimedOut { .. } => Some(
                "check that this is the address of a node and that the node is well; over a slow \
                 link, allow more time"
                    .into(),
            ),
            Self::Limited { .. } if self.is_too_large() => {
                Some("send less at once, for instance a file with --remote".into())
            }
            Self::Limited { .. } => Some("try again in a minute".into()),
            Self::Denied { .. } => {
                Some("check the credential for this network, and the clock".into())
            }
            _ => None,
        }
    }
}

/// Whether a URL names this machine.
fn is_here(url: &str) -> bool {
    ["//localhost", "//127.", "//[::1]"]
        .iter()
        .any(|host| url.contains(host))
}

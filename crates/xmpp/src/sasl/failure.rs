//! Why an authentication failed (RFC 6120 §6.5).

/// The defined conditions. What is told to a stranger never says whether an account exists.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The client gave up.
    #[error("the client aborted the authentication")]
    Aborted,
    /// The account is switched off.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The token or the password is too old.
    #[error("the credentials have expired")]
    CredentialsExpired,
    /// The mechanism needs TLS.
    #[error("the mechanism needs an encrypted stream")]
    EncryptionRequired,
    /// Broken base64.
    #[error("the data is not base64")]
    IncorrectEncoding,
    /// The client asked to act as somebody else.
    #[error("the authorization identity is not the account's")]
    InvalidAuthzid,
    /// A mechanism that was not offered.
    #[error("the mechanism is not offered")]
    InvalidMechanism,
    /// Data that the mechanism does not allow.
    #[error("the data breaks the rules of the mechanism")]
    MalformedRequest,
    /// Stronger mechanisms only.
    #[error("the mechanism is too weak for this account")]
    MechanismTooWeak,
    /// Wrong name, password, token or binding.
    #[error("name or password is wrong")]
    NotAuthorized,
    /// A fault of this server, for now.
    #[error("the server cannot check this now")]
    TemporaryAuthFailure,
}

impl Failure {
    /// The element's name in `urn:ietf:params:xml:ns:xmpp-sasl`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::AccountDisabled => "account-disabled",
            Self::CredentialsExpired => "credentials-expired",
            Self::EncryptionRequired => "encryption-required",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
            Self::MechanismTooWeak => "mechanism-too-weak",
            Self::NotAuthorized => "not-authorized",
            Self::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}

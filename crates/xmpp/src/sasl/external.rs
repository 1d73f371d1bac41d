//! EXTERNAL: TLS has shown who it is (RFC 4422 appendix A, XEP-0178).

use super::Failure;

/// What a client or a server sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct External {
    /// Whom the peer wants to be, if it says; otherwise the stream's `from` does.
    pub authzid: Option<String>,
}

impl External {
    /// Reads the authorization identity.
    ///
    /// # Errors
    ///
    /// [`Failure::MalformedRequest`] unless it is UTF-8 without NUL.
    pub fn read(message: &[u8]) -> Result<Self, Failure> {
        match str::from_utf8(message) {
            Ok(text) if !text.contains('\0') => Ok(Self {
                authzid: (!text.is_empty()).then(|| text.to_owned()),
            }),
            _ => Err(Failure::MalformedRequest),
        }
    }
}

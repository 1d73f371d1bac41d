//! HT-SHA-256: a token of an earlier login, bound to this connection (XEP-0484).

use subtle::ConstantTimeEq as _;

use super::{BindingType, ChannelBindings, Failure, Hash, account_name};

/// What a token mechanism binds to; its name ends in it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum HtBinding {
    /// `ENDP`: the server's certificate.
    ServerEndPoint,
    /// `EXPR`: an exported key of TLS 1.3.
    Exporter,
    /// `NONE`: nothing.
    None,
}

impl HtBinding {
    /// All, in the order in which they are offered. `UNIQ` is not there: TLS 1.3 has no tls-unique.
    pub const ALL: [Self; 3] = [Self::Exporter, Self::ServerEndPoint, Self::None];

    /// The mechanism's registered name.
    #[must_use]
    pub fn mechanism_name(self) -> &'static str {
        match self {
            Self::ServerEndPoint => "HT-SHA-256-ENDP",
            Self::Exporter => "HT-SHA-256-EXPR",
            Self::None => "HT-SHA-256-NONE",
        }
    }

    /// What a connection gives for it; `None` when it has no such binding.
    #[must_use]
    pub fn data(self, bindings: &ChannelBindings) -> Option<&[u8]> {
        match self {
            Self::ServerEndPoint => bindings.data(BindingType::ServerEndPoint),
            Self::Exporter => bindings.data(BindingType::Exporter),
            Self::None => Some(&[]),
        }
    }
}

/// The one message that a client sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HtInitial {
    /// The account's name, normalised.
    pub name: String,
    proof: Vec<u8>,
}

impl HtInitial {
    /// Reads `authcid NUL HMAC(token, "Initiator" cb-data)`.
    ///
    /// # Errors
    ///
    /// [`Failure::MalformedRequest`] for another form.
    pub fn read(message: &[u8]) -> Result<Self, Failure> {
        let end = message
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(Failure::MalformedRequest)?;
        let name = str::from_utf8(&message[..end]).map_err(|_| Failure::MalformedRequest)?;
        let proof = message[end + 1..].to_vec();
        if proof.len() != 32 {
            return Err(Failure::MalformedRequest);
        }
        Ok(Self {
            name: account_name(name)?,
            proof,
        })
    }

    /// Whether the client knows `token`, in time that does not depend on how nearly it does:
    /// the server's own proof if so.
    #[must_use]
    pub fn verify(&self, token: &[u8], binding: &[u8]) -> Option<Vec<u8>> {
        let expected = Hash::Sha256.hmac(token, &[b"Initiator", binding]);
        let knows: bool = expected.ct_eq(&self.proof).into();
        knows.then(|| Hash::Sha256.hmac(token, &[b"Responder", binding]))
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Hash, HtInitial};

    #[test]
    fn who_knows_the_token_is_let_in() {
        let proof = |token: &[u8], binding: &[u8]| {
            let mut message = b"Alice\0".to_vec();
            message.extend(Hash::Sha256.hmac(token, &[b"Initiator", binding]));
            message
        };
        let initial = HtInitial::read(&proof(b"secret", b"cb")).unwrap();
        assert_eq!(initial.name, "alice");
        let answer = Hash::Sha256.hmac(b"secret", &[b"Respondercb"]);
        assert_eq!(initial.verify(b"secret", b"cb"), Some(answer));
        assert_eq!(initial.verify(b"Secret", b"cb"), None);
        assert_eq!(initial.verify(b"secret", b""), None);
        for wrong in [&b"alice"[..], b"alice\0short", b"\0", b""] {
            assert_eq!(HtInitial::read(wrong), Err(Failure::MalformedRequest));
        }
    }
}

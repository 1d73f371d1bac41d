//! Passwords as they are stored: verifiers, one for each hash.

use folkmoot_store::xmpp::{Secret, Verifier as Stored, VerifierHash};
use folkmoot_xmpp::{
    c2s,
    sasl::{Hash, HtBinding, Mechanism, Verifier},
};

/// A password that cannot be one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a password is not empty and has no control characters")]
pub struct InvalidPassword;

/// What to store for a password: a verifier for each mechanism. Takes some tens of milliseconds of one core.
///
/// # Errors
///
/// [`InvalidPassword`].
pub fn verifiers(password: &str) -> Result<Vec<Stored>, InvalidPassword> {
    Hash::ALL
        .into_iter()
        .map(|hash| {
            let salt = rand::random::<[u8; 16]>().to_vec();
            let made = Verifier::of_password(hash, password, salt, Verifier::ITERATIONS);
            made.map(stored).map_err(|_| InvalidPassword)
        })
        .collect()
}

fn stored(verifier: Verifier) -> Stored {
    Stored {
        hash: match verifier.hash {
            Hash::Sha1 => VerifierHash::Sha1,
            Hash::Sha256 => VerifierHash::Sha256,
            Hash::Sha512 => VerifierHash::Sha512,
        },
        salt: Secret(verifier.salt),
        iterations: verifier.iterations,
        stored_key: Secret(verifier.stored_key),
        server_key: Secret(verifier.server_key),
    }
}

/// A verifier as it was stored.
pub(crate) fn restored(verifier: Stored) -> Verifier {
    Verifier {
        hash: match verifier.hash {
            VerifierHash::Sha1 => Hash::Sha1,
            VerifierHash::Sha256 => Hash::Sha256,
            VerifierHash::Sha512 => Hash::Sha512,
        },
        salt: verifier.salt.0,
        iterations: verifier.iterations,
        stored_key: verifier.stored_key.0,
        server_key: verifier.server_key.0,
    }
}

/// A token as it was stored; `None` for one of a mechanism that is no longer spoken.
pub(crate) fn token(stored: folkmoot_store::xmpp::FastToken) -> Option<c2s::Token> {
    let Some(Mechanism::Ht(mechanism)) = Mechanism::from_name(&stored.mechanism) else {
        return None;
    };
    Some(c2s::Token {
        secret: String::from_utf8(stored.token.0).ok()?,
        mechanism,
        expires: folkmoot_xmpp::moment::Moment(stored.expires),
        count: (stored.count > 0).then_some(stored.count),
    })
}

/// A token to be stored.
pub(crate) fn fresh_token(
    secret: &str,
    mechanism: HtBinding,
    issued: i64,
    expires: i64,
) -> folkmoot_store::xmpp::FastToken {
    folkmoot_store::xmpp::FastToken {
        mechanism: mechanism.mechanism_name().to_owned(),
        token: Secret(secret.as_bytes().to_vec()),
        issued,
        expires,
        count: 0,
    }
}

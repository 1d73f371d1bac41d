//! SCRAM: challenge and response (RFC 5802, RFC 7677), with channel binding and the hash that
//! shows a downgrade (XEP-0474).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::Hmac;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use super::{BindingType, ChannelBindings, Failure, Mechanism, account_name};

/// The hash of a mechanism.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Hash {
    /// SHA-1, for old clients.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// The HMAC of the parts under `key`.
    #[must_use]
    pub fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        fn of<M: hmac::Mac + hmac::digest::KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
            let mut mac = <M as hmac::digest::KeyInit>::new_from_slice(key)
                .expect("HMAC takes keys of every length");
            for part in parts {
                mac.update(part);
            }
            mac.finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha1 => of::<Hmac<Sha1>>(key, parts),
            Self::Sha256 => of::<Hmac<Sha256>>(key, parts),
            Self::Sha512 => of::<Hmac<Sha512>>(key, parts),
        }
    }

    /// The hash of `data`.
    #[must_use]
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha1 => {
                pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password, salt, iterations).to_vec()
            }
            Self::Sha256 => {
                pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec()
            }
            Self::Sha512 => {
                pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec()
            }
        }
    }

    /// The name under which it is stored and exported.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }
}

/// A SCRAM mechanism.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScramMechanism {
    /// Its hash.
    pub hash: Hash,
    /// Whether the exchange is bound to its TLS connection.
    pub plus: bool,
}

impl ScramMechanism {
    /// The registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.hash, self.plus) {
            (Hash::Sha1, false) => "SCRAM-SHA-1",
            (Hash::Sha1, true) => "SCRAM-SHA-1-PLUS",
            (Hash::Sha256, false) => "SCRAM-SHA-256",
            (Hash::Sha256, true) => "SCRAM-SHA-256-PLUS",
            (Hash::Sha512, false) => "SCRAM-SHA-512",
            (Hash::Sha512, true) => "SCRAM-SHA-512-PLUS",
        }
    }
}

/// What a server keeps instead of a password (RFC 5802 §3).
#[derive(Clone, Eq, PartialEq)]
pub struct Verifier {
    /// Of which mechanism.
    pub hash: Hash,
    /// Mixed into the password.
    pub salt: Vec<u8>,
    /// How often it was hashed.
    pub iterations: u32,
    /// Proves that a client knows the password.
    pub stored_key: Vec<u8>,
    /// Proves to the client that the server knows this verifier.
    pub server_key: Vec<u8>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// Iterations for new passwords (RFC 7677 §4 asks for 4096 at least).
    pub const ITERATIONS: u32 = 10_000;

    /// The verifier of a password. Costs `iterations` hashes: milliseconds.
    ///
    /// # Errors
    ///
    /// [`Failure::MalformedRequest`] for a password that SASLprep (RFC 4013) refuses, such as one with control
    /// characters, or that is empty after it.
    pub fn of_password(
        hash: Hash,
        password: &str,
        salt: Vec<u8>,
        iterations: u32,
    ) -> Result<Self, Failure> {
        let prepared = stringprep::saslprep(password).map_err(|_| Failure::MalformedRequest)?;
        if prepared.is_empty() {
            return Err(Failure::MalformedRequest);
        }
        let salted = hash.salted(prepared.as_bytes(), &salt, iterations);
        let client_key = hash.hmac(&salted, &[b"Client Key"]);
        Ok(Self {
            hash,
            stored_key: hash.digest(&client_key),
            server_key: hash.hmac(&salted, &[b"Server Key"]),
            salt,
            iterations,
        })
    }

    /// What an account that does not exist is asked with, so that nobody learns that: the same
    /// salt each time, derived from a secret of the server, and keys that no password has.
    #[must_use]
    pub fn decoy(hash: Hash, secret: &[u8], name: &str) -> Self {
        let part = |label: &[u8]| hash.hmac(secret, &[label, b"\0", name.as_bytes()]);
        let mut salt = part(b"salt");
        salt.truncate(16);
        Self {
            hash,
            salt,
            iterations: Self::ITERATIONS,
            stored_key: part(b"stored"),
            server_key: part(b"server"),
        }
    }

    /// Whether `password` is the one, in time that does not depend on how nearly it is.
    #[must_use]
    pub fn accepts(&self, password: &str) -> bool {
        let Ok(other) = Self::of_password(self.hash, password, self.salt.clone(), self.iterations)
        else {
            return false;
        };
        self.stored_key.ct_eq(&other.stored_key).into()
    }
}

/// The first message of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientFirst {
    mechanism: ScramMechanism,
    /// The account's name, normalised.
    pub name: String,
    /// Whom the client wants to act as, if it says.
    pub authzid: Option<String>,
    gs2_header: String,
    binding: Option<Vec<u8>>,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// Reads it. `plus_offered` is whether a `-PLUS` mechanism was among those offered.
    ///
    /// # Errors
    ///
    /// [`Failure::MalformedRequest`] for another form; [`Failure::NotAuthorized`] when the client believes that
    /// no binding was offered although it was, or names one that this connection has not.
    pub fn read(
        message: &[u8],
        mechanism: ScramMechanism,
        bindings: &ChannelBindings,
        plus_offered: bool,
    ) -> Result<Self, Failure> {
        let malformed = Failure::MalformedRequest;
        let text = str::from_utf8(message).map_err(|_| malformed)?;
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        let gs2_header = format!("{flag},{authzid},");
        let binding = match (flag, flag.strip_prefix("p="), mechanism.plus) {
            ("n", _, false) => None,
            // Somebody took the offer away on its path.
            ("y", _, false) if plus_offered => return Err(Failure::NotAuthorized),
            ("y", _, false) => None,
            (_, Some(name), true) => {
                let data = BindingType::from_name(name).and_then(|kind| bindings.data(kind));
                Some(data.ok_or(Failure::NotAuthorized)?.to_vec())
            }
            _ => return Err(malformed),
        };
        let authzid = match authzid {
            "" => None,
            written => Some(unescape(written.strip_prefix("a=").ok_or(malformed)?)?),
        };
        // A mandatory extension would stand here as `m=`; there is none.
        let mut attributes = bare.split(',');
        let name = attributes.next().and_then(|part| part.strip_prefix("n="));
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r="));
        let (Some(name), Some(nonce)) = (name, nonce) else {
            return Err(malformed);
        };
        if nonce.is_empty()
            || nonce.len() > 512
            || !nonce.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(malformed);
        }
        let name = unescape(name)?;
        let prepared = stringprep::saslprep(&name).map_err(|_| malformed)?;
        Ok(Self {
            mechanism,
            name: account_name(&prepared)?,
            authzid,
            gs2_header,
            binding,
            bare: bare.to_owned(),
            nonce: nonce.to_owned(),
        })
    }

    /// The server's first message, and what to check the client's answer with. `nonce` is random, printable and has
    /// no comma; `downgrade` is [`downgrade_hash`] of what was offered.
    ///
    /// # Errors
    ///
    /// [`Failure::TemporaryAuthFailure`] when `verifier` is of another hash.
    pub fn challenge(
        self,
        verifier: Verifier,
        nonce: &str,
        downgrade: Option<&str>,
    ) -> Result<ScramChallenge, Failure> {
        if verifier.hash != self.mechanism.hash {
            return Err(Failure::TemporaryAuthFailure);
        }
        let nonce = format!("{}{nonce}", self.nonce);
        let mut server_first = format!(
            "r={nonce},s={},i={}",
            STANDARD.encode(&verifier.salt),
            verifier.iterations
        );
        if let Some(hash) = downgrade {
            server_first.push_str(",h=");
            server_first.push_str(hash);
        }
        Ok(ScramChallenge {
            first: self,
            verifier,
            nonce,
            server_first,
        })
    }
}

/// A challenge that a client has to answer.
#[derive(Clone, Debug)]
pub struct ScramChallenge {
    first: ClientFirst,
    verifier: Verifier,
    nonce: String,
    server_first: String,
}

impl ScramChallenge {
    /// The bytes to send.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.server_first.as_bytes()
    }

    /// Whose password it asks for.
    #[must_use]
    pub fn client_first(&self) -> &ClientFirst {
        &self.first
    }

    /// Checks the client's answer; the server's last message when it is right.
    ///
    /// # Errors
    ///
    /// [`Failure::MalformedRequest`] for another form, [`Failure::NotAuthorized`] for a wrong nonce, binding or proof.
    pub fn verify(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let malformed = Failure::MalformedRequest;
        let text = str::from_utf8(message).map_err(|_| malformed)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(malformed)?;
        let proof = STANDARD.decode(proof).map_err(|_| malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|part| part.strip_prefix("c="));
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r="));
        let (Some(binding), Some(nonce)) = (binding, nonce) else {
            return Err(malformed);
        };
        let binding = STANDARD.decode(binding).map_err(|_| malformed)?;
        let mut expected = self.first.gs2_header.as_bytes().to_vec();
        expected.extend_from_slice(self.first.binding.as_deref().unwrap_or_default());
        let hash = self.verifier.hash;
        let text = format!("{},{},{without_proof}", self.first.bare, self.server_first);
        let signature = hash.hmac(&self.verifier.stored_key, &[text.as_bytes()]);
        let client_key: Vec<u8> = proof
            .iter()
            .zip(&signature)
            .map(|(proof, signature)| proof ^ signature)
            .collect();
        let right = binding.ct_eq(&expected)
            & nonce.as_bytes().ct_eq(self.nonce.as_bytes())
            & proof.len().ct_eq(&signature.len())
            & hash.digest(&client_key).ct_eq(&self.verifier.stored_key);
        if !bool::from(right) {
            return Err(Failure::NotAuthorized);
        }
        let signature = hash.hmac(&self.verifier.server_key, &[text.as_bytes()]);
        Ok(format!("v={}", STANDARD.encode(signature)).into_bytes())
    }
}

/// The hash over what was offered, by which a client notices that somebody took away a mechanism
/// or a binding (XEP-0474), in base64.
#[must_use]
pub fn downgrade_hash(hash: Hash, offered: &[Mechanism], bindings: &ChannelBindings) -> String {
    let mut names: Vec<&str> = offered.iter().map(|mechanism| mechanism.name()).collect();
    names.sort_unstable();
    let mut text = names.join("\u{1e}");
    let mut types: Vec<&str> = bindings.types().map(BindingType::name).collect();
    if !types.is_empty() {
        types.sort_unstable();
        text.push('\u{1f}');
        text.push_str(&types.join("\u{1e}"));
    }
    STANDARD.encode(hash.digest(text.as_bytes()))
}

/// Resolves `=2C` and `=3D` (RFC 5802 §5.1).
fn unescape(written: &str) -> Result<String, Failure> {
    let mut parts = written.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match part.split_at_checked(2) {
            Some(("2C", rest)) => (',', rest),
            Some(("3D", rest)) => ('=', rest),
            _ => return Err(Failure::MalformedRequest),
        };
        name.push(character);
        name.push_str(rest);
    }
    Ok(name)
}

#[cfg(test)]
mod tests;

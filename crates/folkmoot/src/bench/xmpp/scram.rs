//! SCRAM from the client's side (RFC 5802, RFC 7677), so that the load can log in anywhere.
//!
//! Salted passwords are kept, so that a thousand logins cost the machine one derivation and not a
//! thousand: what is measured is the server.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context as _, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac as _};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// Salted passwords by password, salt and number of iterations.
#[derive(Clone, Debug, Default)]
pub(super) struct Derived(Arc<Mutex<HashMap<Recipe, [u8; 32]>>>);

type Recipe = (String, Vec<u8>, u32);

/// One login with SCRAM-SHA-256, without channel binding.
#[derive(Debug)]
pub(super) struct Scram<'a> {
    user: &'a str,
    password: &'a str,
    nonce: String,
}

/// The client's last message, and what the server has to prove in turn.
#[derive(Debug)]
pub(super) struct Proof {
    /// Base64, ready to be sent.
    pub(super) message: String,
    signature: [u8; 32],
}

impl<'a> Scram<'a> {
    pub(super) const NAME: &'static str = "SCRAM-SHA-256";

    /// `nonce` is printable and was never used before.
    pub(super) const fn new(user: &'a str, password: &'a str, nonce: String) -> Self {
        Self {
            user,
            password,
            nonce,
        }
    }

    /// The first message, in base64.
    pub(super) fn first(&self) -> String {
        BASE64_STANDARD.encode(format!("n,,{}", self.bare()))
    }

    /// Answers the server's first message, which comes in base64.
    pub(super) fn prove(&self, challenge: &str, derived: &Derived) -> anyhow::Result<Proof> {
        let challenge = BASE64_STANDARD.decode(challenge.trim())?;
        let challenge = String::from_utf8(challenge)?;
        let field = |name: &str| {
            challenge
                .split(',')
                .find_map(|field| field.strip_prefix(name))
                .with_context(|| format!("the challenge has no {name}"))
        };
        let (nonce, salt, rounds) = (field("r=")?, field("s=")?, field("i=")?);
        ensure!(
            nonce.starts_with(&self.nonce),
            "the challenge is not for this login"
        );
        let salt = BASE64_STANDARD.decode(salt)?;
        let rounds = rounds.parse().context("number of iterations")?;
        let salted = derived.get(self.password, salt, rounds)?;
        let client_key = mac(&salted, b"Client Key");
        let stored_key: [u8; 32] = Sha256::digest(client_key).into();
        let last = format!("c=biws,r={nonce}");
        let transcript = format!("{},{challenge},{last}", self.bare());
        let mut proof = mac(&stored_key, transcript.as_bytes());
        for (byte, key) in proof.iter_mut().zip(client_key) {
            *byte ^= key;
        }
        let message = format!("{last},p={}", BASE64_STANDARD.encode(proof));
        let server_key = mac(&salted, b"Server Key");
        Ok(Proof {
            message: BASE64_STANDARD.encode(message),
            signature: mac(&server_key, transcript.as_bytes()),
        })
    }

    fn bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }
}

impl Proof {
    /// Checks what came with the server's success, in base64.
    pub(super) fn check(&self, success: &str) -> anyhow::Result<()> {
        let success = BASE64_STANDARD.decode(success.trim())?;
        let expected = format!("v={}", BASE64_STANDARD.encode(self.signature));
        ensure!(
            success == expected.as_bytes(),
            "the server did not prove that it knows the password"
        );
        Ok(())
    }
}

impl Derived {
    fn get(&self, password: &str, salt: Vec<u8>, rounds: u32) -> anyhow::Result<[u8; 32]> {
        ensure!(
            (1..=100_000).contains(&rounds),
            "{rounds} iterations are too many"
        );
        let recipe = (password.to_owned(), salt, rounds);
        if let Some(known) = self.0.lock().get(&recipe) {
            return Ok(*known);
        }
        let mut block = mac(
            password.as_bytes(),
            &[&recipe.1[..], &[0, 0, 0, 1]].concat(),
        );
        let mut salted = block;
        for _ in 1..rounds {
            block = mac(password.as_bytes(), &block);
            for (byte, next) in salted.iter_mut().zip(block) {
                *byte ^= next;
            }
        }
        self.0.lock().insert(recipe, salted);
        Ok(salted)
    }
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    Hmac::<Sha256>::new_from_slice(key)
        .expect("HMAC takes keys of any length")
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_standard_comes_out() {
        let scram = Scram::new("user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned());
        assert_eq!(
            BASE64_STANDARD.decode(scram.first()).unwrap(),
            b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
        );
        let challenge = BASE64_STANDARD.encode(
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        );
        let proof = scram.prove(&challenge, &Derived::default()).unwrap();
        assert_eq!(
            BASE64_STANDARD.decode(&proof.message).unwrap(),
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
              p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let success = BASE64_STANDARD.encode("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        proof.check(&success).unwrap();
        assert!(proof.check(&BASE64_STANDARD.encode("v=6rri")).is_err());
    }
}

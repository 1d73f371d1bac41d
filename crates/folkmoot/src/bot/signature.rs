//! How a web server knows that a request comes from this program: HMAC-SHA-256 with a shared secret.

use std::{fmt, fs, io, path::Path};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::failure::{Exit, Failure};

/// The shortest secret, in bytes.
const SHORTEST: usize = 16;
/// The longest, in bytes.
const LONGEST: usize = 4096;

/// The secret that this program and the web server share. It never prints.
#[derive(Clone)]
pub(super) struct Secret(Vec<u8>);

impl Secret {
    /// Reads it from a file; white space around it does not count.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when there is no file, or not a secret in it.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(path).map_err(|cause| {
            let exit = match cause.kind() {
                io::ErrorKind::NotFound => Exit::NotFound,
                _ => Exit::Failed,
            };
            let what = format!("the secret in {} cannot be read", path.display());
            Failure::new(exit, what, ADVICE).because(cause)
        })?;
        let secret = bytes.trim_ascii();
        if !(SHORTEST..=LONGEST).contains(&secret.len()) {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "the secret in {} has {} bytes, and {SHORTEST} to {LONGEST} are wanted",
                    path.display(),
                    secret.len()
                ),
                ADVICE,
            ));
        }
        Ok(Self(secret.to_vec()))
    }

    /// What the header says: `sha256=` and the HMAC, in hex digits, of the time, a full stop and
    /// the body.
    pub(super) fn sign(&self, unix_seconds: u64, body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        let mac = mac
            .chain_update(unix_seconds.to_string())
            .chain_update(b".")
            .chain_update(body);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({} bytes)", self.0.len())
    }
}

const ADVICE: &str = "a file made by `openssl rand -hex 32`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_tools_compute() {
        // printf '1700000000.{"events":[]}' | openssl dgst -sha256 -hmac "$(printf '0%.0s' {1..32})"
        let secret = Secret(b"00000000000000000000000000000000".to_vec());
        assert_eq!(
            secret.sign(1_700_000_000, br#"{"events":[]}"#),
            "sha256=79a2c780474b0612c085397f9bac1b13b8bdf8f16a0fe4645cd512f9254779a2"
        );
        assert_eq!(format!("{secret:?}"), "Secret(32 bytes)");
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        let place = tempfile::TempDir::new().unwrap();
        let path = place.path().join("secret");
        let failure = Secret::read(&path).unwrap_err();
        assert_eq!(failure.exit(), Exit::NotFound);
        fs::write(&path, "  hunter2\n").unwrap();
        let failure = Secret::read(&path).unwrap_err();
        assert!(
            failure
                .to_string()
                .ends_with("has 7 bytes, and 16 to 4096 are wanted")
        );
        fs::write(&path, " 0123456789abcdef\n").unwrap();
        assert_eq!(Secret::read(&path).unwrap().0, b"0123456789abcdef");
    }
}

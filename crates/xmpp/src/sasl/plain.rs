//! PLAIN: name and password (RFC 4616), for streams inside TLS.

use std::fmt;

use super::{Failure, account_name};

/// What a client sent.
pub struct Plain {
    /// Whom the client wants to act as, if it says.
    pub authzid: Option<String>,
    /// The account's name, normalised.
    pub name: String,
    /// The password, as typed.
    pub password: String,
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Plain {
    /// Reads `[authzid] NUL authcid NUL password`.
    ///
    /// # Errors
    ///
    /// [`Failure::MalformedRequest`] for another form, text that is not UTF-8, an empty name or
    /// password.
    pub fn read(message: &[u8]) -> Result<Self, Failure> {
        let text = str::from_utf8(message).map_err(|_| Failure::MalformedRequest)?;
        let parts: Vec<&str> = text.split('\0').collect();
        let [authzid, name, password] = parts[..] else {
            return Err(Failure::MalformedRequest);
        };
        if password.is_empty() {
            return Err(Failure::MalformedRequest);
        }
        Ok(Self {
            authzid: (!authzid.is_empty()).then(|| authzid.to_owned()),
            name: account_name(name)?,
            password: password.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Plain;
    use crate::sasl::Failure;

    #[test]
    fn name_and_password_are_read() {
        let plain = Plain::read(b"\0Tim\0tanstaaftanstaaf").unwrap();
        assert_eq!((plain.name.as_str(), plain.authzid), ("tim", None));
        assert_eq!(plain.password, "tanstaaftanstaaf");
        let plain = Plain::read(b"ursel\0kurt\0xipj3plmq").unwrap();
        assert_eq!(plain.authzid.as_deref(), Some("ursel"));
        assert!(!format!("{plain:?}").contains("xipj"));
    }

    #[test]
    fn other_forms_are_refused() {
        for message in [
            &b""[..],
            b"tim",
            b"\0tim",
            b"\0tim\0",
            b"\0\0pw",
            b"\0a\0b\0c",
            b"\0a@b\0c",
            b"\0\xff\0c",
        ] {
            assert_eq!(
                Plain::read(message).unwrap_err(),
                Failure::MalformedRequest,
                "{message:?}"
            );
        }
    }
}

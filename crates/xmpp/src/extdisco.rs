//! Services outside of XMPP, such as those that help calls through firewalls (XEP-0215).

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    moment::Moment,
    sasl::Hash,
    stanza::{Condition, StanzaError},
    xml::{Element, Markup},
};

/// The protocol.
pub const NS: &str = "urn:xmpp:extdisco:2";
/// Its first version, which some clients still ask with.
pub const NS1: &str = "urn:xmpp:extdisco:1";

/// A service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct External {
    /// What it is: `stun`, `turn`, `stuns` or `turns`.
    pub kind: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `udp` or `tcp`.
    pub transport: String,
    /// With what one may use it.
    pub credentials: Option<Credentials>,
}

/// A user name and password for a time.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// Until when.
    pub expires: Moment,
}

impl std::fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} until {})", self.username, self.expires)
    }
}

impl Credentials {
    /// For a relay that shares `secret` with this server: the name is the end of its validity in seconds since 1970 with
    /// the user behind it, the password is Base64 of HMAC-SHA-1 of the name.
    ///
    /// ```
    /// # use folkmoot_xmpp::{extdisco::Credentials, moment::Moment};
    /// let credentials = Credentials::of_secret(b"north", "ann", Moment(1_000_000), 3600);
    /// assert_eq!(credentials.username, "3601:ann");
    /// ```
    #[must_use]
    pub fn of_secret(secret: &[u8], user: &str, now: Moment, seconds: u32) -> Self {
        let end = now.0.div_euclid(1_000_000).saturating_add(seconds.into());
        let username = if user.is_empty() {
            end.to_string()
        } else {
            format!("{end}:{user}")
        };
        Self {
            password: STANDARD.encode(Hash::Sha1.hmac(secret, &[username.as_bytes()])),
            username,
            expires: Moment(end.saturating_mul(1_000_000)),
        }
    }
}

/// What a client asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// The credentials of one service.
    Credentials {
        /// What it is.
        kind: String,
        /// Its host.
        host: String,
        /// Its port, if several are meant otherwise.
        port: Option<u16>,
    },
    /// All services, or those of one kind.
    Services {
        /// The kind.
        kind: Option<String>,
    },
}

impl Request {
    /// Reads the payload of an IQ of type get, of either version.
    ///
    /// # Errors
    ///
    /// `bad-request` for credentials of a service that is not named.
    pub fn read(payload: &Element) -> Result<Self, StanzaError> {
        let namespace = payload.name.namespace.as_str();
        match payload.name.local.as_str() {
            "services" => Ok(Self::Services {
                kind: payload.attribute("type").map(str::to_owned),
            }),
            "credentials" => {
                let named = || {
                    let service = payload.open_child(namespace, "service")?;
                    Some(Self::Credentials {
                        kind: service.attribute("type")?.to_owned(),
                        host: service.attribute("host")?.to_owned(),
                        port: service.attribute("port").and_then(|port| port.parse().ok()),
                    })
                };
                named().ok_or_else(|| {
                    StanzaError::new(Condition::BadRequest).text("no service is named")
                })
            }
            _ => Err(Condition::BadRequest.into()),
        }
    }

    /// The payload of the answer, in the version of the question.
    ///
    /// # Errors
    ///
    /// `item-not-found` for the credentials of a service that is not there or needs none.
    pub fn answer(&self, namespace: &str, services: &[External]) -> Result<Vec<u8>, StanzaError> {
        let mut out = Markup::default();
        match self {
            Self::Services { kind } => {
                out.open("services").attribute("xmlns", namespace);
                out.maybe("type", kind.as_deref());
                let wanted = services.iter();
                let wanted =
                    wanted.filter(|service| kind.as_ref().is_none_or(|kind| *kind == service.kind));
                wanted.for_each(|service| service.write(&mut out));
                out.close("services");
            }
            Self::Credentials { kind, host, port } => {
                out.open("credentials").attribute("xmlns", namespace);
                let mut wanted = services
                    .iter()
                    .filter(|one| {
                        one.credentials.is_some() && one.kind == *kind && one.host == *host
                    })
                    .filter(|one| port.is_none_or(|port| port == one.port))
                    .peekable();
                if wanted.peek().is_none() {
                    return Err(StanzaError::new(Condition::ItemNotFound)
                        .text("there are no credentials for that service"));
                }
                wanted.for_each(|service| service.write(&mut out));
                out.close("credentials");
            }
        }
        Ok(out.into_bytes())
    }
}

impl External {
    fn write(&self, out: &mut Markup) {
        out.open("service")
            .attribute("type", &self.kind)
            .attribute("host", &self.host)
            .attribute("port", &self.port.to_string())
            .attribute("transport", &self.transport);
        if let Some(credentials) = &self.credentials {
            out.attribute("restricted", "1")
                .attribute("username", &credentials.username)
                .attribute("password", &credentials.password)
                .attribute("expires", &credentials.expires.to_string());
        }
        out.end();
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, External, NS, NS1, Request};
    use crate::{
        moment::Moment,
        xml::{Element, Limits},
    };

    fn services() -> [External; 2] {
        let service = |kind: &str, credentials| External {
            kind: kind.into(),
            host: "calls.a".into(),
            port: 3478,
            transport: "udp".into(),
            credentials,
        };
        let credentials = Credentials {
            username: "u".into(),
            password: "p".into(),
            expires: Moment(0),
        };
        [service("stun", None), service("turn", Some(credentials))]
    }

    fn ask(xml: &str) -> Result<String, String> {
        let payload = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
        let request = Request::read(&payload).map_err(|error| error.to_string())?;
        let answer = request.answer(payload.name.namespace.as_str(), &services());
        answer
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn services_are_listed() {
        let all = ask(&format!("<services xmlns='{NS}'/>")).unwrap();
        assert!(all.contains("type='stun' host='calls.a' port='3478' transport='udp'/>"));
        assert!(all.contains("restricted='1' username='u' password='p' expires='1970"));
        let some = ask(&format!("<services xmlns='{NS1}' type='stun'/>")).unwrap();
        assert!(!some.contains("turn") && some.contains(NS1));
    }

    #[test]
    fn credentials_are_those_of_one_service() {
        let one = ask(&format!(
            "<credentials xmlns='{NS}'><service type='turn' host='calls.a'/></credentials>"
        ));
        assert!(one.unwrap().contains("username='u'"));
        let none = ask(&format!(
            "<credentials xmlns='{NS}'><service type='stun' host='calls.a'/></credentials>"
        ));
        assert!(none.unwrap_err().starts_with("item-not-found"));
        assert!(ask(&format!("<credentials xmlns='{NS}'/>")).is_err());
    }

    #[test]
    fn a_shared_secret_makes_credentials_that_end() {
        let credentials = Credentials::of_secret(b"secret", "", Moment(0), 86_400);
        assert_eq!(credentials.username, "86400");
        assert_eq!(credentials.expires, Moment(86_400_000_000));
        assert_eq!(credentials.password.len(), 28);
        assert!(!format!("{credentials:?}").contains(&credentials.password));
    }
}

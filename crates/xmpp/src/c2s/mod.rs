//! A client's way in: from a connection to a session (RFC 6120 §4 to §7).
//!
//! [`Login`] is the state machine of one connection. Its shell feeds it what [`crate::xml::Reader`]
//! cuts out of the stream, sends what [`Login::take_output`] holds after every call, and does what
//! [`Next`] says: one thing at a time, and nothing is read meanwhile. It knows STARTTLS, SASL
//! (RFC 6120 §6), SASL2 (XEP-0388) with Bind 2 (XEP-0386), resumption (XEP-0198) and tokens
//! (XEP-0484), and the older binding with its session. Stanzas begin where it ends.

mod authenticate;
mod exchange;
mod features;
mod open;
#[cfg(test)]
mod tests;

pub use open::{
    Bind, Bound, Enable, Open, Opened, Resume, Resumed, TokenIssued, TokenUse, TokenWish,
};

use std::{mem, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jid::{BareJid, DomainPart, Jid};

use self::exchange::{Exchange, Profile as SaslProfile};
use crate::{
    moment::Moment,
    sasl::{ChannelBindings, HtBinding, Mechanism, Verifier},
    stanza::{Condition, Stanza},
    stream::{Header, Profile, StreamCondition, StreamError},
    xml::{Element, Event, Limits},
};

/// The namespace of STARTTLS.
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// The namespace of SASL, and of its failures in SASL2.
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// The namespace of SASL2.
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// The namespace of binding a resource (RFC 6120 §7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// The namespace of Bind 2.
pub const BIND2: &str = "urn:xmpp:bind:0";
/// The namespace of tokens.
pub const FAST: &str = "urn:xmpp:fast:0";

/// How often a client may try to log in on one connection.
const ATTEMPTS: u8 = 5;

/// On which terms clients are let in. One for all connections of a listener.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The domains served.
    pub domains: Vec<DomainPart>,
    /// Whether STARTTLS can be had.
    pub starttls: bool,
    /// Whether a client may log in without TLS: tests on loopback.
    pub plaintext: bool,
    /// Whether SASL2 is offered, inside TLS.
    pub sasl2: bool,
    /// Whether tokens are given out (XEP-0484).
    pub tokens: bool,
    /// What a session may cost; told to clients (XEP-0478).
    pub limits: Limits,
    /// Seconds of silence after which a stream may end; told to clients.
    pub idle_seconds: Option<u32>,
    /// Features of a session, as XML: what is offered after login beside binding and stream management.
    pub features: Vec<u8>,
    /// From which decoys and resources are derived: secret, and always the same.
    pub secret: [u8; 32],
}

/// What the machine takes from outside, so that it has neither clock nor dice.
pub struct Environment<'a> {
    /// Now.
    pub now: Moment,
    /// Fills bytes that nobody can guess.
    pub random: &'a mut dyn FnMut(&mut [u8]),
}

impl Environment<'_> {
    fn token(&mut self) -> String {
        let mut bytes = [0; 18];
        (self.random)(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// What an account may prove itself with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// At most one for each hash.
    pub verifiers: Vec<Verifier>,
    /// Nobody gets in.
    pub disabled: bool,
}

/// A token that one client of an account was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    /// Its text, as the client was told it.
    pub secret: String,
    /// The mechanism that it was given out for.
    pub mechanism: HtBinding,
    /// Its end.
    pub expires: Moment,
    /// The highest count that a client gave with it.
    pub count: Option<u32>,
}

/// The tokens of one client, newest first.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// At most two: the one given out last, and the one in use before it.
    pub tokens: Vec<Token>,
    /// Nobody gets in.
    pub disabled: bool,
}

/// What the shell does next.
#[derive(Debug)]
pub enum Next {
    /// Read on with the same reader, under [`Login::limits`].
    Read,
    /// Forget what was read beyond, do the TLS handshake, call [`Login::secured`], and read with a new reader.
    StartTls,
    /// Read with a new reader: another stream begins.
    Restart,
    /// Look up the account of that localpart and domain and call [`Login::found`].
    Find(BareJid),
    /// Call [`Verifier::accepts`], which takes milliseconds, and then [`Login::checked`].
    Check(Box<(Verifier, String)>),
    /// Look up the tokens of an account's client and call [`Login::tokens_found`].
    FindTokens {
        /// The account.
        account: BareJid,
        /// The client's id of itself.
        client: String,
    },
    /// Open or resume a session and call [`Login::opened`].
    Open(Box<Open>),
    /// The session stands; stanzas follow.
    Session,
    /// Close the connection.
    End,
}

/// One connection until its session stands.
#[derive(Debug)]
pub struct Login {
    terms: Arc<Terms>,
    out: Vec<u8>,
    /// Whether a header was answered on this stream.
    answered: bool,
    security: Security,
    stage: Stage,
    attempts: u8,
    /// The domain that the client came for.
    domain: Option<DomainPart>,
    /// Whom the stream's `from` names.
    from: Option<BareJid>,
}

#[derive(Clone, Debug)]
enum Security {
    Plain,
    Tls(ChannelBindings),
}

#[derive(Debug, Default)]
enum Stage {
    /// A stream's start tag is due; with an account after SASL.
    Header(Option<BareJid>),
    /// A stranger may begin TLS or authenticate.
    Stranger,
    /// The TLS handshake is under way.
    Handshake,
    /// An authentication is under way.
    Exchange(Box<Exchange>),
    /// Who it is is known: a resource is to be bound, or a session resumed.
    Known(BareJid),
    /// The shell opens a session: with the request's id, or for SASL2.
    Opening(Opening),
    /// The session stands, or the stream is over.
    #[default]
    Over,
}

#[derive(Debug)]
enum Opening {
    Bind {
        account: BareJid,
        id: String,
    },
    Resume {
        account: BareJid,
        previous: String,
    },
    Sasl2 {
        account: BareJid,
        previous: Option<String>,
        additional: Option<Vec<u8>>,
    },
}

impl Login {
    /// A connection without TLS.
    #[must_use]
    pub fn new(terms: Arc<Terms>) -> Self {
        Self {
            terms,
            out: Vec::new(),
            answered: false,
            security: Security::Plain,
            stage: Stage::Header(None),
            attempts: 0,
            domain: None,
            from: None,
        }
    }

    /// A connection that began with TLS (XEP-0368).
    #[must_use]
    pub fn over_tls(terms: Arc<Terms>, bindings: ChannelBindings) -> Self {
        Self {
            security: Security::Tls(bindings),
            ..Self::new(terms)
        }
    }

    /// The bytes to send now.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.out)
    }

    /// What the peer may cost at this point.
    #[must_use]
    pub fn limits(&self) -> Limits {
        match self.stage {
            Stage::Header(Some(_)) | Stage::Known(_) | Stage::Opening(_) | Stage::Over => {
                self.terms.limits
            }
            _ => Limits::STRANGER,
        }
    }

    /// The domain that the client came for, as soon as it said so.
    #[must_use]
    pub fn domain(&self) -> Option<&DomainPart> {
        self.domain.as_ref()
    }

    /// Takes in what the reader cut.
    pub fn handle(&mut self, event: Event, environment: &mut Environment<'_>) -> Next {
        match event {
            Event::Close => self.close(),
            open @ Event::Open { .. } => match mem::take(&mut self.stage) {
                Stage::Header(account) => self.header(&open, account, environment),
                _ => self.fail(StreamCondition::BadFormat, environment),
            },
            Event::Element(element) => self.element(&element, environment),
        }
    }

    /// Ends the stream with an error, such as one of the reader's.
    pub fn fail(
        &mut self,
        error: impl Into<StreamError>,
        environment: &mut Environment<'_>,
    ) -> Next {
        if !self.answered {
            self.answer(environment);
        }
        error.into().write(&mut self.out);
        self.close()
    }

    /// The TLS handshake that [`Next::StartTls`] asked for is done.
    pub fn secured(&mut self, bindings: ChannelBindings) -> Next {
        debug_assert!(
            matches!(self.stage, Stage::Handshake),
            "asked for by StartTls"
        );
        self.security = Security::Tls(bindings);
        self.stage = Stage::Header(None);
        self.answered = false;
        Next::Restart
    }

    fn close(&mut self) -> Next {
        if self.answered {
            self.out.extend_from_slice(b"</stream:stream>");
        }
        self.stage = Stage::Over;
        Next::End
    }

    fn answer(&mut self, environment: &mut Environment<'_>) {
        let domain = self.domain.as_ref().or_else(|| self.terms.domains.first());
        let header = Header {
            to: self.from.as_ref().map(ToString::to_string),
            from: domain.map(|domain| domain.as_str().to_owned()),
            id: Some(environment.token()),
            has_version: true,
            lang: Some("en".to_owned()),
        };
        header.write(Profile::Client, &mut self.out);
        self.answered = true;
    }

    /// Checks a start tag in the order of RFC 6120 §4.9.3: namespace, `to`, `from`.
    fn header(
        &mut self,
        event: &Event,
        account: Option<BareJid>,
        environment: &mut Environment<'_>,
    ) -> Next {
        self.answered = false;
        let header = match event.header(Profile::Client) {
            Ok(header) => header,
            Err(error) => return self.fail(error, environment),
        };
        let domain = header.to.as_deref().and_then(|to| {
            let to = Jid::new(to).ok().filter(|to| to.node().is_none())?;
            let mut served = self.terms.domains.iter();
            served
                .find(|domain| domain.as_str() == to.as_str())
                .cloned()
        });
        let Some(domain) = domain else {
            return self.fail(StreamCondition::HostUnknown, environment);
        };
        if self.domain.as_ref().is_some_and(|before| *before != domain) {
            let error = StreamError::from(StreamCondition::HostUnknown);
            return self.fail(
                error.text("the stream began for another domain"),
                environment,
            );
        }
        self.domain = Some(domain);
        if header.from.is_some() {
            match header.sender() {
                Some(from) => self.from = Some(from.to_bare()),
                None => return self.fail(StreamCondition::InvalidFrom, environment),
            }
        }
        self.answer(environment);
        if !header.has_version {
            return self.fail(StreamCondition::UnsupportedVersion, environment);
        }
        match account {
            None => {
                self.write_stranger_features();
                self.stage = Stage::Stranger;
            }
            Some(account) => {
                self.write_known_features(true);
                self.stage = Stage::Known(account);
            }
        }
        Next::Read
    }

    fn element(&mut self, element: &Element, environment: &mut Environment<'_>) -> Next {
        match mem::take(&mut self.stage) {
            Stage::Stranger if element.name.is(TLS, "starttls") => self.starttls(),
            Stage::Stranger => self.begin_exchange(element, environment),
            Stage::Exchange(exchange) => self.continue_exchange(*exchange, element, environment),
            Stage::Known(account) => self.known(account, element, environment),
            Stage::Header(_) | Stage::Handshake | Stage::Opening(_) | Stage::Over => {
                self.fail(StreamCondition::BadFormat, environment)
            }
        }
    }

    fn starttls(&mut self) -> Next {
        if matches!(self.security, Security::Tls(_)) || !self.terms.starttls {
            self.out.extend_from_slice(b"<failure xmlns='");
            self.out.extend_from_slice(TLS.as_bytes());
            self.out.extend_from_slice(b"'/>");
            return self.close();
        }
        self.out.extend_from_slice(b"<proceed xmlns='");
        self.out.extend_from_slice(TLS.as_bytes());
        self.out.extend_from_slice(b"'/>");
        self.stage = Stage::Handshake;
        Next::StartTls
    }

    /// The mechanisms with a password that are offered now.
    fn mechanisms(&self) -> Vec<Mechanism> {
        let bindings = match &self.security {
            Security::Plain if !self.terms.plaintext => return Vec::new(),
            Security::Plain => None,
            Security::Tls(bindings) => Some(bindings),
        };
        let is_offered = |mechanism: &Mechanism| match mechanism {
            Mechanism::Scram(scram) if scram.plus => bindings.is_some_and(ChannelBindings::any),
            Mechanism::Scram(_) => true,
            Mechanism::Plain => bindings.is_some(),
            Mechanism::External | Mechanism::Ht(_) => false,
        };
        Mechanism::WITH_PASSWORD
            .into_iter()
            .filter(is_offered)
            .collect()
    }

    /// The mechanisms with a token that are offered now.
    fn token_mechanisms(&self) -> Vec<HtBinding> {
        match &self.security {
            Security::Tls(bindings) if self.terms.tokens => HtBinding::ALL
                .into_iter()
                .filter(|binding| binding.data(bindings).is_some())
                .collect(),
            _ => Vec::new(),
        }
    }

    fn bindings(&self) -> ChannelBindings {
        match &self.security {
            Security::Plain => ChannelBindings::default(),
            Security::Tls(bindings) => bindings.clone(),
        }
    }

    fn offers_sasl2(&self) -> bool {
        self.terms.sasl2 && matches!(self.security, Security::Tls(_))
    }

    /// The account of a name that was logged in with.
    fn account(&self, name: &str) -> Option<BareJid> {
        let domain = self.domain.as_ref()?;
        BareJid::new(&format!("{name}@{domain}")).ok()
    }

    /// A client that is known binds a resource or resumes.
    fn known(
        &mut self,
        account: BareJid,
        element: &Element,
        environment: &mut Environment<'_>,
    ) -> Next {
        if let Some(resume) = crate::sm::Request::read(element) {
            return match resume {
                Ok(crate::sm::Request::Resume { previous, handled }) => {
                    let open = Open {
                        resume: Some(Resume {
                            previous: previous.clone(),
                            handled,
                        }),
                        ..Open::new(account.clone())
                    };
                    self.stage = Stage::Opening(Opening::Resume { account, previous });
                    Next::Open(Box::new(open))
                }
                Ok(_) => {
                    let failed = crate::sm::failed(Condition::UnexpectedRequest, None);
                    self.out.extend_from_slice(&failed);
                    self.stage = Stage::Known(account);
                    Next::Read
                }
                Err(condition) => {
                    self.out
                        .extend_from_slice(&crate::sm::failed(condition, None));
                    self.stage = Stage::Known(account);
                    Next::Read
                }
            };
        }
        let wish = Stanza::read(element.clone())
            .ok()
            .and_then(|iq| open::BindWish::read(&iq));
        match wish {
            Some(open::BindWish {
                id,
                resource: Ok(resource),
            }) => {
                let resource = resource.unwrap_or_else(|| environment.token());
                let open = Open {
                    bind: Some(Bind::new(resource)),
                    ..Open::new(account.clone())
                };
                self.stage = Stage::Opening(Opening::Bind { account, id });
                Next::Open(Box::new(open))
            }
            Some(open::BindWish {
                id,
                resource: Err(()),
            }) => {
                open::write_refusal(&id, Condition::BadRequest, &mut self.out);
                self.stage = Stage::Known(account);
                Next::Read
            }
            None => self.fail(StreamCondition::NotAuthorized, environment),
        }
    }

    /// What a profile offers, which is what the hash of XEP-0474 covers.
    fn offered(&self, profile: SaslProfile) -> Vec<Mechanism> {
        let mut offered = self.mechanisms();
        if profile == SaslProfile::Sasl2 && !self.offers_sasl2() {
            offered.clear();
        }
        offered
    }
}

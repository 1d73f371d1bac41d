//! One authentication, from the client's first message to success or failure (RFC 6120 §6.4, XEP-0388).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jid::BareJid;

use super::{
    ATTEMPTS, Credentials, Environment, Login, Next, Opening, SASL, SASL2, Stage, Tokens,
    authenticate::Wishes, open::TokenUse,
};
use crate::{
    sasl::{
        ClientFirst, Failure, HtBinding, HtInitial, Mechanism, Plain, ScramChallenge,
        ScramMechanism, Verifier, downgrade_hash,
    },
    stream::{StreamCondition, StreamError},
    xml::{Element, Markup},
};

/// In whose elements the exchange is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Profile {
    Sasl1,
    Sasl2,
}

impl Profile {
    fn namespace(self) -> &'static str {
        match self {
            Self::Sasl1 => SASL,
            Self::Sasl2 => SASL2,
        }
    }
}

/// An authentication under way.
#[derive(Debug)]
pub(super) struct Exchange {
    profile: Profile,
    mechanism: Mechanism,
    /// What a client of SASL2 asked for beside.
    wishes: Option<Wishes>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// The client's first message is due.
    First,
    /// The account of a SCRAM exchange is looked up.
    Scram {
        first: ClientFirst,
        account: BareJid,
    },
    /// A challenge waits for its answer.
    Challenged {
        challenge: ScramChallenge,
        account: BareJid,
        disabled: bool,
    },
    /// The account of a password is looked up.
    Plain { password: String, account: BareJid },
    /// A password is checked.
    Checking {
        account: BareJid,
        disabled: bool,
        exists: bool,
    },
    /// The tokens of a client are looked up.
    Token {
        initial: HtInitial,
        binding: HtBinding,
        account: BareJid,
        client: String,
    },
}

impl Login {
    /// A stranger's element: it authenticates, or it is refused.
    pub(super) fn begin_exchange(
        &mut self,
        element: &Element,
        environment: &mut Environment<'_>,
    ) -> Next {
        let profile = if element.name.is(SASL, "auth") {
            Profile::Sasl1
        } else if element.name.is(SASL2, "authenticate") && self.offers_sasl2() {
            Profile::Sasl2
        } else {
            return self.fail(StreamCondition::NotAuthorized, environment);
        };
        let wishes = match profile {
            Profile::Sasl1 => None,
            Profile::Sasl2 => match Wishes::read(element) {
                Ok(wishes) => Some(wishes),
                Err(failure) => return self.refuse(profile, failure, environment),
            },
        };
        let written = element
            .attribute("mechanism")
            .and_then(Mechanism::from_name);
        let is_offered = |mechanism: &Mechanism| match mechanism {
            Mechanism::Ht(binding) => {
                profile == Profile::Sasl2 && self.token_mechanisms().contains(binding)
            }
            other => self.offered(profile).contains(other),
        };
        let Some(mechanism) = written.filter(is_offered) else {
            let nothing = self.offered(profile).is_empty();
            let failure = if nothing {
                Failure::EncryptionRequired
            } else {
                Failure::InvalidMechanism
            };
            return self.refuse(profile, failure, environment);
        };
        let exchange = Exchange {
            profile,
            mechanism,
            wishes,
            step: Step::First,
        };
        let message = match profile {
            Profile::Sasl1 => data(element, true),
            Profile::Sasl2 => match element.child(SASL2, "initial-response") {
                Some(child) => element
                    .open(child)
                    .map_err(|_| Failure::MalformedRequest)
                    .and_then(|response| {
                        data(&response, true).map(|data| data.or(Some(Vec::new())))
                    }),
                None => Ok(None),
            },
        };
        match message {
            Ok(Some(message)) => self.first(exchange, &message, environment),
            Ok(None) => {
                self.write_data("challenge", profile, None);
                self.stage = Stage::Exchange(Box::new(exchange));
                Next::Read
            }
            Err(failure) => self.refuse(profile, failure, environment),
        }
    }

    /// The client's next element of an authentication under way.
    pub(super) fn continue_exchange(
        &mut self,
        exchange: Exchange,
        element: &Element,
        environment: &mut Environment<'_>,
    ) -> Next {
        let profile = exchange.profile;
        if element.name.is(profile.namespace(), "abort") {
            return self.refuse(profile, Failure::Aborted, environment);
        }
        if !element.name.is(profile.namespace(), "response") {
            return self.fail(StreamCondition::NotAuthorized, environment);
        }
        let message = match data(element, false) {
            Ok(message) => message.unwrap_or_default(),
            Err(failure) => return self.refuse(profile, failure, environment),
        };
        match exchange.step {
            Step::First => self.first(exchange, &message, environment),
            Step::Challenged {
                ref challenge,
                ref account,
                disabled,
            } => match challenge.verify(&message) {
                Ok(_) if disabled => self.refuse(profile, Failure::AccountDisabled, environment),
                Ok(last) => {
                    let account = account.clone();
                    self.proven(exchange, account, Some(last), None, environment)
                }
                Err(failure) => self.refuse(profile, failure, environment),
            },
            _ => self.fail(StreamCondition::BadFormat, environment),
        }
    }

    fn first(
        &mut self,
        mut exchange: Exchange,
        message: &[u8],
        environment: &mut Environment<'_>,
    ) -> Next {
        let profile = exchange.profile;
        let step = match exchange.mechanism {
            Mechanism::Scram(mechanism) => self.first_scram(profile, mechanism, message),
            Mechanism::Plain => self.first_plain(profile, message),
            Mechanism::Ht(binding) => self.first_token(&exchange, binding, message),
            Mechanism::External => Err(Failure::InvalidMechanism),
        };
        match step {
            Ok((step, next)) => {
                exchange.step = step;
                self.stage = Stage::Exchange(Box::new(exchange));
                next
            }
            Err(failure) => self.refuse(profile, failure, environment),
        }
    }

    fn first_scram(
        &self,
        profile: Profile,
        mechanism: ScramMechanism,
        message: &[u8],
    ) -> Result<(Step, Next), Failure> {
        let bindings = self.bindings();
        let plus_offered = bindings.any();
        let first = ClientFirst::read(message, mechanism, &bindings, plus_offered)?;
        let account = self.acting(profile, &first.name, first.authzid.as_deref())?;
        let next = Next::Find(account.clone());
        Ok((Step::Scram { first, account }, next))
    }

    fn first_plain(&self, profile: Profile, message: &[u8]) -> Result<(Step, Next), Failure> {
        let plain = Plain::read(message)?;
        let account = self.acting(profile, &plain.name, plain.authzid.as_deref())?;
        let next = Next::Find(account.clone());
        Ok((
            Step::Plain {
                password: plain.password,
                account,
            },
            next,
        ))
    }

    fn first_token(
        &self,
        exchange: &Exchange,
        binding: HtBinding,
        message: &[u8],
    ) -> Result<(Step, Next), Failure> {
        let initial = HtInitial::read(message)?;
        let account = self.acting(exchange.profile, &initial.name, None)?;
        let client = exchange
            .wishes
            .as_ref()
            .and_then(|wishes| wishes.client.clone());
        // A token belongs to one client of an account, which has to say which it is.
        let client = client.ok_or(Failure::MalformedRequest)?;
        let next = Next::FindTokens {
            account: account.clone(),
            client: client.clone(),
        };
        Ok((
            Step::Token {
                initial,
                binding,
                account,
                client,
            },
            next,
        ))
    }

    /// The account that a name acts as: its own, and that of the stream's `from` if it said one.
    fn acting(
        &self,
        profile: Profile,
        name: &str,
        authzid: Option<&str>,
    ) -> Result<BareJid, Failure> {
        let account = self.account(name).ok_or(Failure::MalformedRequest)?;
        if let Some(authzid) = authzid {
            let other = BareJid::new(authzid).map_err(|_| Failure::InvalidAuthzid)?;
            if other != account {
                return Err(Failure::InvalidAuthzid);
            }
        }
        let from = self.from.as_ref().filter(|_| profile == Profile::Sasl2);
        if from.is_some_and(|from| *from != account) {
            return Err(Failure::InvalidAuthzid);
        }
        Ok(account)
    }

    /// The account that [`Next::Find`] asked for, or that there is none.
    pub fn found(
        &mut self,
        credentials: Option<Credentials>,
        environment: &mut Environment<'_>,
    ) -> Next {
        let Stage::Exchange(mut exchange) = std::mem::take(&mut self.stage) else {
            return self.fail(StreamCondition::InternalServerError, environment);
        };
        let exists = credentials.is_some();
        let (verifiers, disabled) =
            credentials.map_or_else(Default::default, |known| (known.verifiers, known.disabled));
        let (step, next) = match exchange.step {
            Step::Scram { first, account } => {
                let Mechanism::Scram(ScramMechanism { hash, .. }) = exchange.mechanism else {
                    return self.fail(StreamCondition::InternalServerError, environment);
                };
                let verifier = verifiers.into_iter().find(|verifier| verifier.hash == hash);
                let verifier = verifier
                    .unwrap_or_else(|| Verifier::decoy(hash, &self.terms.secret, account.as_str()));
                let offered = self.offered(exchange.profile);
                let downgrade = downgrade_hash(hash, &offered, &self.bindings());
                let nonce = environment.token();
                let challenge = match first.challenge(verifier, &nonce, Some(&downgrade)) {
                    Ok(challenge) => challenge,
                    Err(failure) => return self.refuse(exchange.profile, failure, environment),
                };
                self.write_data("challenge", exchange.profile, Some(challenge.message()));
                (
                    Step::Challenged {
                        challenge,
                        account,
                        disabled,
                    },
                    Next::Read,
                )
            }
            Step::Plain { password, account } => {
                // The strongest verifier there is; a decoy takes as long.
                let verifier = verifiers.into_iter().max_by_key(|verifier| verifier.hash);
                let hash = crate::sasl::Hash::Sha512;
                let verifier = verifier
                    .unwrap_or_else(|| Verifier::decoy(hash, &self.terms.secret, account.as_str()));
                let next = Next::Check(Box::new((verifier, password)));
                (
                    Step::Checking {
                        account,
                        disabled,
                        exists,
                    },
                    next,
                )
            }
            _ => return self.fail(StreamCondition::InternalServerError, environment),
        };
        exchange.step = step;
        self.stage = Stage::Exchange(exchange);
        next
    }

    /// Whether the password that [`Next::Check`] asked about is right.
    pub fn checked(&mut self, right: bool, environment: &mut Environment<'_>) -> Next {
        let Stage::Exchange(exchange) = std::mem::take(&mut self.stage) else {
            return self.fail(StreamCondition::InternalServerError, environment);
        };
        let Step::Checking {
            ref account,
            disabled,
            exists,
        } = exchange.step
        else {
            return self.fail(StreamCondition::InternalServerError, environment);
        };
        let account = account.clone();
        match (right && exists, disabled) {
            (false, _) => self.refuse(exchange.profile, Failure::NotAuthorized, environment),
            (true, true) => self.refuse(exchange.profile, Failure::AccountDisabled, environment),
            (true, false) => self.proven(*exchange, account, None, None, environment),
        }
    }

    /// The tokens that [`Next::FindTokens`] asked for.
    pub fn tokens_found(&mut self, known: &Tokens, environment: &mut Environment<'_>) -> Next {
        let Stage::Exchange(exchange) = std::mem::take(&mut self.stage) else {
            return self.fail(StreamCondition::InternalServerError, environment);
        };
        let Step::Token {
            ref initial,
            binding,
            ref account,
            ref client,
        } = exchange.step
        else {
            return self.fail(StreamCondition::InternalServerError, environment);
        };
        let profile = exchange.profile;
        let bindings = self.bindings();
        let data = binding.data(&bindings).unwrap_or_default();
        let mut matching = known
            .tokens
            .iter()
            .filter(|token| token.mechanism == binding);
        let found = matching.find_map(|token| {
            let proof = initial.verify(token.secret.as_bytes(), data)?;
            Some((token, proof))
        });
        let Some((token, proof)) = found else {
            return self.refuse(profile, Failure::NotAuthorized, environment);
        };
        if known.disabled {
            return self.refuse(profile, Failure::AccountDisabled, environment);
        }
        if token.expires <= environment.now {
            return self.refuse(profile, Failure::CredentialsExpired, environment);
        }
        let count = exchange.wishes.as_ref().and_then(|wishes| wishes.count);
        if count.is_some_and(|count| token.count.is_some_and(|before| count <= before)) {
            return self.refuse(profile, Failure::NotAuthorized, environment);
        }
        let used = TokenUse {
            secret: token.secret.clone(),
            client: client.clone(),
            count,
        };
        let account = account.clone();
        self.proven(
            exchange_without_step(*exchange),
            account,
            Some(proof),
            Some(used),
            environment,
        )
    }

    /// Nobody could look that up: a fault of this server.
    pub fn unavailable(&mut self, environment: &mut Environment<'_>) -> Next {
        match std::mem::take(&mut self.stage) {
            Stage::Exchange(exchange) => {
                self.refuse(exchange.profile, Failure::TemporaryAuthFailure, environment)
            }
            _ => self.fail(StreamCondition::InternalServerError, environment),
        }
    }

    fn proven(
        &mut self,
        exchange: Exchange,
        account: BareJid,
        additional: Option<Vec<u8>>,
        used: Option<TokenUse>,
        environment: &mut Environment<'_>,
    ) -> Next {
        match exchange.wishes {
            None => {
                self.write_data("success", Profile::Sasl1, additional.as_deref());
                self.stage = Stage::Header(Some(account));
                Next::Restart
            }
            Some(wishes) => {
                let offered = self.token_mechanisms();
                let open = wishes.open(&account, &offered, used, &self.terms.secret, environment);
                let previous = open.resume.as_ref().map(|resume| resume.previous.clone());
                self.stage = Stage::Opening(Opening::Sasl2 {
                    account,
                    previous,
                    additional,
                });
                Next::Open(Box::new(open))
            }
        }
    }

    /// A failure; the client may try again, but not forever.
    fn refuse(
        &mut self,
        profile: Profile,
        failure: Failure,
        environment: &mut Environment<'_>,
    ) -> Next {
        let mut out = Markup::default();
        out.open("failure").attribute("xmlns", profile.namespace());
        out.open(failure.name());
        if profile == Profile::Sasl2 {
            out.attribute("xmlns", SASL);
        }
        out.end();
        out.open("text").text(&failure.to_string()).close("text");
        out.close("failure");
        self.out.extend_from_slice(&out.into_bytes());
        self.attempts += 1;
        if self.attempts >= ATTEMPTS {
            let error = StreamError::from(StreamCondition::PolicyViolation);
            return self.fail(error.text("too many attempts to log in"), environment);
        }
        self.stage = Stage::Stranger;
        Next::Read
    }

    fn write_data(&mut self, name: &str, profile: Profile, data: Option<&[u8]>) {
        let mut out = Markup::default();
        out.open(name).attribute("xmlns", profile.namespace());
        match data {
            Some(data) => out.text(&STANDARD.encode(data)).close(name),
            None => out.end(),
        };
        self.out.extend_from_slice(&out.into_bytes());
    }
}

/// The rest of an exchange whose last step was taken.
fn exchange_without_step(exchange: Exchange) -> Exchange {
    Exchange {
        step: Step::First,
        ..exchange
    }
}

/// The bytes in base64 that an element has as its text; `=` stands for none in a first message, where an empty text
/// is no message at all.
fn data(element: &Element, first: bool) -> Result<Option<Vec<u8>>, Failure> {
    let text = element.text().map_err(|_| Failure::MalformedRequest)?;
    match text.trim() {
        "" => Ok(None),
        "=" if first => Ok(Some(Vec::new())),
        text => STANDARD
            .decode(text)
            .map(Some)
            .map_err(|_| Failure::IncorrectEncoding),
    }
}

//! Transcripts: what a client writes, what it reads, and what the shell was asked.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jid::{DomainPart, FullJid};

use super::{
    Bound, Credentials, Environment, Login, Next, Open, Opened, Resumed, Terms, Token, TokenIssued,
    Tokens,
};
use crate::{
    moment::Moment,
    sasl::{ChannelBindings, Hash, HtBinding, Mechanism, Verifier, downgrade_hash},
    stanza::Condition,
    xml::{Limits, Reader},
};

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='a.example'>";
const FROM: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='a.example' from='me@a.example'>";
const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
const SASL2: &str = "xmlns='urn:xmpp:sasl:2'";

/// A client with the shell of its server.
struct Peer {
    login: Login,
    reader: Reader,
    /// What the server knows of `me`.
    account: Credentials,
    tokens: Tokens,
    opened: Opened,
    asked: Option<Open>,
    /// How it went on.
    state: &'static str,
}

fn terms() -> Terms {
    Terms {
        domains: vec![DomainPart::new("a.example").unwrap().into_owned()],
        starttls: true,
        plaintext: false,
        sasl2: true,
        tokens: true,
        limits: Limits::CLIENT,
        idle_seconds: Some(600),
        features: b"<ver xmlns='urn:xmpp:features:rosterver'/>".to_vec(),
        secret: [7; 32],
    }
}

fn bindings() -> ChannelBindings {
    ChannelBindings {
        exporter: Some([9; 32]),
        server_end_point: Some(vec![8; 32]),
    }
}

impl Peer {
    fn of(login: Login) -> Self {
        let verifier = |hash| Verifier::of_password(hash, "secret", b"salt".to_vec(), 4).unwrap();
        Self {
            login,
            reader: Reader::new(Limits::STRANGER),
            account: Credentials {
                verifiers: Hash::ALL.map(verifier).to_vec(),
                disabled: false,
            },
            tokens: Tokens::default(),
            opened: Opened {
                bound: Some(Ok(Bound {
                    address: FullJid::new("me@a.example/here").unwrap(),
                    managed: None,
                    archive: None,
                })),
                ..Opened::default()
            },
            asked: None,
            state: "reads",
        }
    }

    fn plain() -> Self {
        Self::of(Login::new(Arc::new(terms())))
    }

    fn secure() -> Self {
        Self::of(Login::over_tls(Arc::new(terms()), bindings()))
    }

    /// Writes `text`; what comes back.
    fn say(&mut self, text: &str) -> String {
        self.reader.push(text.as_bytes());
        let mut dice = 0_u8;
        let mut random = |bytes: &mut [u8]| {
            dice += 1;
            bytes.fill(dice);
        };
        let mut environment = Environment {
            now: Moment(1_000_000),
            random: &mut random,
        };
        while self.state == "reads" {
            let next = match self.reader.next() {
                Ok(Some(event)) => self.login.handle(event, &mut environment),
                Ok(None) => break,
                Err(error) => self.login.fail(error, &mut environment),
            };
            self.follow(next, &mut environment);
        }
        String::from_utf8(self.login.take_output()).unwrap()
    }

    fn follow(&mut self, mut next: Next, environment: &mut Environment<'_>) {
        loop {
            next = match next {
                Next::Read => {
                    self.reader.set_limits(self.login.limits());
                    return;
                }
                Next::Restart => {
                    self.reader = Reader::new(self.login.limits());
                    return;
                }
                Next::StartTls => self.login.secured(bindings()),
                Next::Find(account) => {
                    let known = (account.as_str() == "me@a.example").then(|| self.account.clone());
                    self.login.found(known, environment)
                }
                Next::Check(check) => {
                    let (verifier, password) = *check;
                    self.login.checked(verifier.accepts(&password), environment)
                }
                Next::FindTokens { account, client } => {
                    assert_eq!((account.as_str(), client.as_str()), ("me@a.example", "c1"));
                    let tokens = self.tokens.clone();
                    self.login.tokens_found(&tokens, environment)
                }
                Next::Open(open) => {
                    self.asked = Some(*open);
                    let opened = self.opened.clone();
                    self.login.opened(&opened, environment)
                }
                Next::Session => {
                    self.state = "session";
                    return;
                }
                Next::End => {
                    self.state = "ended";
                    return;
                }
            };
        }
    }
}

/// What a SCRAM client answers to a challenge, and what the server must say at the end.
fn scram_answer(
    hash: Hash,
    gs2: &str,
    binding: &[u8],
    bare: &str,
    challenge: &str,
    password: &str,
) -> (String, String) {
    let challenge = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
    let part = |name: &str| {
        let mut parts = challenge.split(',');
        parts
            .find_map(|part| part.strip_prefix(name))
            .unwrap()
            .to_owned()
    };
    let salt = STANDARD.decode(part("s=")).unwrap();
    let iterations = part("i=").parse().unwrap();
    let mut bound = gs2.as_bytes().to_vec();
    bound.extend_from_slice(binding);
    let without_proof = format!("c={},r={}", STANDARD.encode(bound), part("r="));
    let text = format!("{bare},{challenge},{without_proof}");
    let verifier = Verifier::of_password(hash, password, salt.clone(), iterations).unwrap();
    let client_key = client_key(hash, password, &salt, iterations);
    let signature = hash.hmac(&verifier.stored_key, &[text.as_bytes()]);
    let proof: Vec<u8> = client_key
        .iter()
        .zip(&signature)
        .map(|(key, sign)| key ^ sign)
        .collect();
    let answer = format!("{without_proof},p={}", STANDARD.encode(proof));
    let last = format!(
        "v={}",
        STANDARD.encode(hash.hmac(&verifier.server_key, &[text.as_bytes()]))
    );
    (STANDARD.encode(answer), STANDARD.encode(last))
}

/// PBKDF2 and the client key, written out.
fn client_key(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut round = hash.hmac(password.as_bytes(), &[salt, &1_u32.to_be_bytes()]);
    let mut salted = round.clone();
    for _ in 1..iterations {
        round = hash.hmac(password.as_bytes(), &[&round]);
        salted
            .iter_mut()
            .zip(&round)
            .for_each(|(all, one)| *all ^= one);
    }
    hash.hmac(&salted, &[b"Client Key"])
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text
        .find(start)
        .unwrap_or_else(|| panic!("{start} in {text}"))
        + start.len();
    &text[from..from + text[from..].find(end).unwrap()]
}

#[test]
fn a_stranger_without_tls_is_offered_tls_alone() {
    let mut peer = Peer::plain();
    let features = peer.say(HEADER);
    assert!(features.starts_with("<?xml version='1.0'?><stream:stream xmlns='jabber:client'"));
    assert!(
        features
            .contains("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>")
    );
    assert!(!features.contains("mechanism"));
    let refused = peer.say(&format!(
        "<auth {SASL} mechanism='PLAIN'>AG1lAHNlY3JldA==</auth>"
    ));
    assert!(refused.contains("<encryption-required/>"), "{refused}");
    let proceed = peer.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(
        proceed,
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    );
    let features = peer.say(HEADER);
    assert!(!features.contains("starttls"), "{features}");
    assert!(features.contains("<mechanism>SCRAM-SHA-256-PLUS</mechanism>"));
    assert!(features.contains("<channel-binding type='tls-exporter'/>"));
    assert!(features.contains("<max-bytes>10000</max-bytes>"));
    let again = peer.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(again.starts_with("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"));
    assert_eq!(peer.state, "ended");
}

#[test]
fn every_mechanism_lets_in_and_binds() {
    for name in [
        "SCRAM-SHA-1",
        "SCRAM-SHA-256",
        "SCRAM-SHA-512",
        "SCRAM-SHA-256-PLUS",
        "PLAIN",
    ] {
        let mut peer = Peer::secure();
        peer.say(HEADER);
        let done = match Mechanism::from_name(name).unwrap() {
            Mechanism::Scram(scram) => {
                let (gs2, binding) = match scram.plus {
                    true => ("p=tls-exporter,,", &[9_u8; 32][..]),
                    false => ("n,,", &[][..]),
                };
                let bare = "n=me,r=abc";
                let first = STANDARD.encode(format!("{gs2}{bare}"));
                let challenge =
                    peer.say(&format!("<auth {SASL} mechanism='{name}'>{first}</auth>"));
                let challenge = between(&challenge, "sasl'>", "<");
                let (answer, last) =
                    scram_answer(scram.hash, gs2, binding, bare, challenge, "secret");
                let done = peer.say(&format!("<response {SASL}>{answer}</response>"));
                assert!(done.contains(&last), "{name}: {done}");
                done
            }
            _ => {
                let plain = STANDARD.encode("\0me\0secret");
                peer.say(&format!("<auth {SASL} mechanism='PLAIN'>{plain}</auth>"))
            }
        };
        assert!(
            done.starts_with(&format!("<success {SASL}")),
            "{name}: {done}"
        );
        let features = peer.say(HEADER);
        assert!(
            features.contains("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"),
            "{features}"
        );
        assert!(features.contains("<sm xmlns='urn:xmpp:sm:3'/>"));
        assert!(features.contains("<ver xmlns='urn:xmpp:features:rosterver'/>"));
        assert!(features.contains("<max-bytes>262144</max-bytes><idle-seconds>600</idle-seconds>"));
        let bound = peer.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>here</resource></bind></iq>");
        assert!(bound.contains("<jid>me@a.example/here</jid>"), "{bound}");
        assert_eq!(peer.state, "session");
        assert_eq!(peer.asked.unwrap().bind.unwrap().resource, "here");
    }
}

#[test]
fn a_name_nobody_has_is_asked_like_any_other() {
    let first = |name: &str, peer: &mut Peer| {
        let first = STANDARD.encode(format!("n,,n={name},r=abc"));
        let text = peer.say(&format!(
            "<auth {SASL} mechanism='SCRAM-SHA-256'>{first}</auth>"
        ));
        String::from_utf8(STANDARD.decode(between(&text, "sasl'>", "<")).unwrap()).unwrap()
    };
    let salt = |challenge: &str| between(challenge, ",s=", ",").to_owned();
    let salts: Vec<String> = ["nobody", "nobody", "somebody"]
        .map(|name| {
            let mut peer = Peer::secure();
            peer.say(HEADER);
            let challenge = first(name, &mut peer);
            let answer = STANDARD.encode(format!(
                "c=biws,{},p={}",
                challenge.split(',').next().unwrap(),
                STANDARD.encode([0; 32])
            ));
            let refused = peer.say(&format!("<response {SASL}>{answer}</response>"));
            assert!(refused.contains("<not-authorized/>"), "{refused}");
            salt(&challenge)
        })
        .to_vec();
    assert_eq!(salts[0], salts[1]);
    assert_ne!(salts[0], salts[2]);
    let mut peer = Peer::secure();
    peer.say(HEADER);
    let plain = STANDARD.encode("\0nobody\0secret");
    let refused = peer.say(&format!("<auth {SASL} mechanism='PLAIN'>{plain}</auth>"));
    assert!(refused.contains("<not-authorized/>"));
}

#[test]
fn what_was_offered_is_hashed_into_the_challenge() {
    let mut peer = Peer::secure();
    peer.say(HEADER);
    let first = STANDARD.encode("n,,n=me,r=abc");
    let text = peer.say(&format!(
        "<auth {SASL} mechanism='SCRAM-SHA-1'>{first}</auth>"
    ));
    let challenge =
        String::from_utf8(STANDARD.decode(between(&text, "sasl'>", "<")).unwrap()).unwrap();
    let expected = downgrade_hash(Hash::Sha1, &Mechanism::WITH_PASSWORD, &bindings());
    assert!(
        challenge.ends_with(&format!(",h={expected}")),
        "{challenge}"
    );
}

#[test]
fn who_believes_that_no_binding_was_offered_is_refused() {
    let mut peer = Peer::secure();
    peer.say(HEADER);
    let first = STANDARD.encode("y,,n=me,r=abc");
    let refused = peer.say(&format!(
        "<auth {SASL} mechanism='SCRAM-SHA-256'>{first}</auth>"
    ));
    assert!(refused.contains("<not-authorized/>"), "{refused}");
}

#[test]
fn failures_name_their_cause_and_come_to_an_end() {
    let mut peer = Peer::secure();
    peer.say(HEADER);
    let act = STANDARD.encode("you@a.example\0me\0secret");
    for (text, condition) in [
        (
            format!("<auth {SASL} mechanism='DIGEST-MD5'/>"),
            "invalid-mechanism",
        ),
        (
            format!("<auth {SASL} mechanism='PLAIN'>!</auth>"),
            "incorrect-encoding",
        ),
        (
            format!("<auth {SASL} mechanism='PLAIN'>{act}</auth>"),
            "invalid-authzid",
        ),
        (
            format!("<auth {SASL} mechanism='PLAIN'/><abort {SASL}/>"),
            "aborted",
        ),
    ] {
        let refused = peer.say(&text);
        assert!(refused.contains(&format!("<{condition}/>")), "{refused}");
        assert_eq!(peer.state, "reads");
    }
    let last = peer.say(&format!("<auth {SASL} mechanism='PLAIN'>=</auth>"));
    assert!(
        last.contains("<malformed-request/>") && last.contains("<policy-violation "),
        "{last}"
    );
    assert!(last.ends_with("</stream:stream>"));
    assert_eq!(peer.state, "ended");
}

#[test]
fn a_disabled_account_is_told_only_to_who_knows_its_password() {
    for (password, condition) in [("secret", "account-disabled"), ("wrong", "not-authorized")] {
        let mut peer = Peer::secure();
        peer.account.disabled = true;
        peer.say(HEADER);
        let plain = STANDARD.encode(format!("\0me\0{password}"));
        let refused = peer.say(&format!("<auth {SASL} mechanism='PLAIN'>{plain}</auth>"));
        assert!(refused.contains(&format!("<{condition}/>")), "{refused}");
    }
}

#[test]
fn headers_are_checked_in_order() {
    for (header, condition) in [
        (
            HEADER
                .replace("jabber:client", "jabber:server")
                .replace("a.example", "b"),
            "invalid-namespace",
        ),
        (
            HEADER.replace("to='a.example'", "to='b.example' from='@'"),
            "host-unknown",
        ),
        (HEADER.replace("to='a.example'", ""), "host-unknown"),
        (
            HEADER.replace("to='a.example'", "to='a.example' from='@'"),
            "invalid-from",
        ),
        (HEADER.replace("version='1.0'", ""), "unsupported-version"),
        ("<!DOCTYPE x>".to_owned(), "restricted-xml"),
        ("<stream:stream>".to_owned(), "not-well-formed"),
    ] {
        let mut peer = Peer::plain();
        let answer = peer.say(&header);
        assert!(
            answer.contains(&format!("<{condition} ")),
            "{header}: {answer}"
        );
        assert!(
            answer.starts_with("<?xml version='1.0'?><stream:stream "),
            "{answer}"
        );
        assert!(answer.ends_with("</stream:stream>"), "{answer}");
        assert_eq!(peer.state, "ended");
    }
}

#[test]
fn nothing_is_done_for_who_is_not_known() {
    let message = "<message to='you@a.example'><body>hi</body></message>";
    let mut peer = Peer::secure();
    peer.say(HEADER);
    assert!(peer.say(message).contains("<not-authorized "));
    let mut peer = Peer::secure();
    peer.say(HEADER);
    peer.say(&format!(
        "<auth {SASL} mechanism='PLAIN'>{}</auth>",
        STANDARD.encode("\0me\0secret")
    ));
    peer.say(HEADER);
    assert!(
        peer.say(message).contains("<not-authorized "),
        "a resource is bound first"
    );
    let mut peer = Peer::secure();
    peer.say(HEADER);
    let long = format!("<auth {SASL} mechanism='PLAIN'>{}", "A".repeat(10_000));
    assert!(peer.say(&long).contains("<policy-violation "));
}

#[test]
fn one_round_trip_of_sasl2_does_everything() {
    let mut peer = Peer::secure();
    let features = peer.say(FROM);
    assert!(features.contains(
        "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-512-PLUS</mechanism>"
    ));
    assert!(
        features
            .contains("<bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:carbons:2'/>")
    );
    assert!(
        features.contains("<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism>")
    );
    peer.opened = Opened {
        bound: Some(Ok(Bound {
            address: FullJid::new("me@a.example/app/x").unwrap(),
            managed: Some(crate::sm::enabled(Some(("s1", 300)))),
            archive: Some(crate::mam::metadata(None)),
        })),
        token: Some(TokenIssued {
            secret: "t1".into(),
            expires: Moment(0),
        }),
        resumed: None,
    };
    let plain = STANDARD.encode("\0me\0secret");
    let done = peer.say(&format!(
        "<authenticate {SASL2} mechanism='PLAIN'><initial-response>{plain}</initial-response>\
         <user-agent id='c1'><software>app</software></user-agent>\
         <request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>\
         <bind xmlns='urn:xmpp:bind:0'><tag>app</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/>\
         <enable xmlns='urn:xmpp:carbons:2'/><inactive xmlns='urn:xmpp:csi:0'/></bind></authenticate>"
    ));
    assert_eq!(peer.state, "session");
    assert!(done.starts_with(
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>me@a.example/app/x</authorization-identifier>\
         <bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'/><enabled xmlns='urn:xmpp:sm:3' id='s1' resume='true' max='300'/></bound>\
         <token xmlns='urn:xmpp:fast:0' token='t1' expiry='1970-01-01T00:00:00.000000Z'/></success><stream:features>"
    ), "{done}");
    assert!(!done.contains("xmpp-bind"));
    let asked = peer.asked.unwrap();
    assert_eq!(asked.client.as_deref(), Some("c1"));
    assert_eq!(asked.token.issue, Some(HtBinding::Exporter));
    let bind = asked.bind.unwrap();
    assert!(bind.bind2 && bind.carbons && bind.inactive && bind.enable.unwrap().resume);
    assert!(
        bind.resource.starts_with("app/") && !bind.resource.contains("c1"),
        "{}",
        bind.resource
    );
}

#[test]
fn a_session_is_resumed_or_another_is_bound() {
    let ask = |peer: &mut Peer| {
        peer.say(FROM);
        let plain = STANDARD.encode("\0me\0secret");
        peer.say(&format!(
            "<authenticate {SASL2} mechanism='PLAIN'><initial-response>{plain}</initial-response>\
             <resume xmlns='urn:xmpp:sm:3' previd='s1' h='4'/><bind xmlns='urn:xmpp:bind:0'/></authenticate>"
        ))
    };
    let mut peer = Peer::secure();
    let address = FullJid::new("me@a.example/old").unwrap();
    peer.opened = Opened {
        resumed: Some(Resumed::Yes {
            address,
            handled: 3,
        }),
        ..Opened::default()
    };
    let done = ask(&mut peer);
    assert!(done.contains("/old</authorization-identifier><resumed xmlns='urn:xmpp:sm:3' previd='s1' h='3'/></success>"), "{done}");
    assert_eq!(peer.state, "session");
    let mut peer = Peer::secure();
    peer.opened.resumed = Some(Resumed::No { handled: Some(2) });
    let done = ask(&mut peer);
    assert!(
        done.contains("<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found "),
        "{done}"
    );
    assert!(
        done.contains("<bound xmlns='urn:xmpp:bind:0'></bound></success>"),
        "{done}"
    );
    assert_eq!(peer.state, "session");
}

#[test]
fn resuming_that_fails_after_the_older_login_leaves_binding() {
    let mut peer = Peer::secure();
    peer.say(HEADER);
    peer.say(&format!(
        "<auth {SASL} mechanism='PLAIN'>{}</auth>",
        STANDARD.encode("\0me\0secret")
    ));
    peer.say(HEADER);
    assert!(
        peer.say("<enable xmlns='urn:xmpp:sm:3'/>")
            .contains("<unexpected-request ")
    );
    peer.opened.resumed = Some(Resumed::No { handled: None });
    let failed = peer.say("<resume xmlns='urn:xmpp:sm:3' previd='s1' h='4'/>");
    assert!(
        failed.contains("<failed xmlns='urn:xmpp:sm:3'><item-not-found "),
        "{failed}"
    );
    peer.opened.bound = Some(Err(Condition::ResourceConstraint));
    let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    assert!(peer.say(bind).contains("<resource-constraint "));
    peer.opened.bound = Peer::plain().opened.bound;
    assert!(peer.say(bind).contains("<jid>"));
    assert_eq!(peer.state, "session");
}

#[test]
fn a_token_lets_its_client_in_until_its_end() {
    let token = |expires: i64, count: Option<u32>| Token {
        secret: "t1".into(),
        mechanism: HtBinding::Exporter,
        expires: Moment(expires),
        count,
    };
    for (known, count, outcome) in [
        (token(2_000_000, None), 1, "<success"),
        (token(2_000_000, Some(1)), 2, "<success"),
        (token(2_000_000, Some(1)), 1, "<not-authorized"),
        (token(1_000_000, None), 1, "<credentials-expired"),
    ] {
        let mut peer = Peer::secure();
        peer.tokens.tokens = vec![known];
        peer.say(FROM);
        let mut message = b"me\0".to_vec();
        message.extend(Hash::Sha256.hmac(b"t1", &[b"Initiator", &[9; 32]]));
        let done = peer.say(&format!(
            "<authenticate {SASL2} mechanism='HT-SHA-256-EXPR'><initial-response>{}</initial-response>\
             <user-agent id='c1'/><fast xmlns='urn:xmpp:fast:0' count='{count}'/>\
             <bind xmlns='urn:xmpp:bind:0'/></authenticate>",
            STANDARD.encode(message)
        ));
        assert!(done.contains(outcome), "{done}");
        if outcome == "<success" {
            let proof = Hash::Sha256.hmac(b"t1", &[b"Responder", &[9; 32]]);
            assert!(done.contains(&STANDARD.encode(proof)), "{done}");
            let used = peer.asked.unwrap().token.used.unwrap();
            assert_eq!((used.client.as_str(), used.count), ("c1", Some(count)));
        }
    }
}

#[test]
fn who_comes_as_somebody_else_is_refused() {
    let mut peer = Peer::secure();
    peer.say(&FROM.replace("me@", "you@"));
    let plain = STANDARD.encode("\0me\0secret");
    let refused = peer.say(&format!(
        "<authenticate {SASL2} mechanism='PLAIN'><initial-response>{plain}</initial-response></authenticate>"
    ));
    assert!(
        refused.contains("<invalid-authzid xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
        "{refused}"
    );
}

#[test]
fn without_tls_names_are_proven_only_where_the_terms_say_so() {
    let mut peer = Peer::of(Login::new(Arc::new(Terms {
        plaintext: true,
        ..terms()
    })));
    let features = peer.say(HEADER);
    assert!(features.contains("<mechanism>SCRAM-SHA-256</mechanism>"));
    for absent in ["PLAIN", "PLUS", "urn:xmpp:sasl:2", "sasl-cb", "<required/>"] {
        assert!(!features.contains(absent), "{absent} in {features}");
    }
}

#[test]
fn a_stream_that_its_client_closes_is_closed() {
    let mut peer = Peer::secure();
    peer.say(HEADER);
    assert_eq!(peer.say("</stream:stream>"), "</stream:stream>");
    assert_eq!(peer.state, "ended");
}

//! Servers that prove a domain by calling it back (XEP-0220, XEP-0185).
//!
//! Three roles, each of them here: who wants to send shows a key ([`key`]); who receives has it checked and takes stanzas only
//! for proven pairs of domains ([`Inbound`]); who speaks for the domain says whether the key is its own ([`Message::judge`]).

use std::collections::BTreeMap;

use jid::Jid;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{
    ns,
    sasl::Hash,
    stanza::{Condition, StanzaError},
    stream::{StreamCondition, StreamError},
    xml::{Element, Markup},
};

/// The protocol; its elements have the prefix `db` that stream headers between servers declare.
pub const NS: &str = "jabber:server:dialback";
/// The stream feature.
pub const FEATURE: &str = "urn:xmpp:features:dialback";

/// Pairs of domains on one stream.
const PAIRS: usize = 100;

/// The key by which `from` proves itself to `to` on the stream that `to` named `stream`.
///
/// ```
/// # use folkmoot_xmpp::dialback::key;
/// assert_eq!(
///     key("s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F"),
///     "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3",
/// );
/// ```
#[must_use]
pub fn key(secret: &str, to: &str, from: &str, stream: &str) -> String {
    let secret = hex(&Sha256::digest(secret));
    let parts = [
        to.as_bytes(),
        b" ",
        from.as_bytes(),
        b" ",
        stream.as_bytes(),
    ];
    hex(&Hash::Sha256.hmac(secret.as_bytes(), &parts))
}

/// What is asked or answered.
#[derive(Clone, Debug)]
pub enum Content {
    /// Not known: something failed that is nobody's lie.
    Error(StanzaError),
    /// The key is not its own.
    Invalid,
    /// This key: is it right?
    Key(String),
    /// The key is its own.
    Valid,
}

/// A `db:result` or a `db:verify`.
#[derive(Clone, Debug)]
pub struct Message {
    /// Whether a third server is asked about the key, and which stream it is for. Otherwise the two servers of a stream talk
    /// about themselves.
    pub stream: Option<String>,
    /// The domain that speaks.
    pub from: String,
    /// The domain that is spoken to.
    pub to: String,
    /// What it says.
    pub content: Content,
}

impl Message {
    /// Reads an element of a stream between servers; `None` when it is not about dialback.
    ///
    /// # Errors
    ///
    /// `improper-addressing` when a domain is missing or none, `bad-format` for a type that does not exist.
    #[must_use]
    pub fn read(element: &Element) -> Option<Result<Self, StreamError>> {
        let stream = match element.name.local.as_str() {
            "result" => None,
            "verify" => Some(element.attribute("id").unwrap_or_default().to_owned()),
            _ => return None,
        };
        (element.name.namespace.as_str() == NS).then(|| Self::read_as(element, stream))
    }

    fn read_as(element: &Element, stream: Option<String>) -> Result<Self, StreamError> {
        let domain = |name: &str| {
            let jid = element.attribute(name).and_then(|text| Jid::new(text).ok());
            let domain = jid.filter(|jid| jid.node().is_none() && jid.is_bare());
            domain.map(|domain| domain.to_string()).ok_or_else(|| {
                let text = format!("\"{name}\" of a dialback element is no domain");
                StreamError::from(StreamCondition::ImproperAddressing).text(text)
            })
        };
        let content = match element.attribute("type") {
            None => Content::Key(element.text().unwrap_or_default().trim().to_owned()),
            Some("valid") => Content::Valid,
            Some("invalid") => Content::Invalid,
            Some("error") => {
                let errors = [ns::SERVER, NS, ns::CLIENT];
                let error = errors
                    .into_iter()
                    .find_map(|namespace| element.open_child(namespace, "error"));
                Content::Error(error.map_or_else(
                    || Condition::UndefinedCondition.into(),
                    |error| StanzaError::read(&error),
                ))
            }
            Some(_) => return Err(StreamCondition::BadFormat.into()),
        };
        Ok(Self {
            stream,
            from: domain("from")?,
            to: domain("to")?,
            content,
        })
    }

    /// Writes it into a stream between servers.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        let name = if self.stream.is_some() {
            "db:verify"
        } else {
            "db:result"
        };
        let mut out = Markup::default();
        out.open(name)
            .attribute("from", &self.from)
            .attribute("to", &self.to)
            .maybe("id", self.stream.as_deref());
        match &self.content {
            Content::Key(key) => {
                out.text(key).close(name);
            }
            Content::Valid => {
                out.attribute("type", "valid").end();
            }
            Content::Invalid => {
                out.attribute("type", "invalid").end();
            }
            Content::Error(error) => {
                let mut bytes = Vec::new();
                error.element().write(ns::CLIENT, &mut bytes);
                out.attribute("type", "error").raw(&bytes).close(name);
            }
        }
        out.into_bytes()
    }

    /// The same in the other direction.
    #[must_use]
    pub fn answer(&self, content: Content) -> Self {
        Self {
            stream: self.stream.clone(),
            from: self.to.clone(),
            to: self.from.clone(),
            content,
        }
    }

    /// What the server of the domain `to` says of a key that somebody showed in its name. It needs nothing but its secret.
    /// `is_served` says whether that domain is here at all.
    #[must_use]
    pub fn judge(&self, secret: &str, is_served: bool) -> Self {
        let Content::Key(shown) = &self.content else {
            return self.answer(Content::Invalid);
        };
        if !is_served {
            return self.answer(Content::Error(Condition::ItemNotFound.into()));
        }
        // The asker is whom the key was shown to.
        let own = key(
            secret,
            &self.from,
            &self.to,
            self.stream.as_deref().unwrap_or_default(),
        );
        let is_own: bool = own.as_bytes().ct_eq(shown.as_bytes()).into();
        self.answer(if is_own {
            Content::Valid
        } else {
            Content::Invalid
        })
    }
}

/// What to do about a key that was shown.
#[derive(Clone, Debug)]
pub enum Next {
    /// Answer this on the same stream.
    Answer(Message),
    /// Ask the server of its `to`, on another connection than this one.
    Verify(Message),
}

/// A stream on which another server wants to send: which pairs of domains it has proven.
#[derive(Debug)]
pub struct Inbound {
    /// The id that this side gave to the stream.
    stream: String,
    /// By sender and receiver: whether proven, or only asked about.
    pairs: BTreeMap<(String, String), bool>,
}

impl Inbound {
    /// A stream of that id, on which nothing is proven.
    #[must_use]
    pub fn new(stream: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            pairs: BTreeMap::new(),
        }
    }

    /// A pair that is proven otherwise, such as by a certificate.
    pub fn trust(&mut self, from: &str, to: &str) {
        self.pairs.insert((from.to_owned(), to.to_owned()), true);
    }

    /// The other server showed a key. `is_served` says whether its `to` is a domain here.
    pub fn shown(&mut self, message: &Message, is_served: bool) -> Next {
        let refused =
            |condition: Condition| Next::Answer(message.answer(Content::Error(condition.into())));
        let Content::Key(key) = &message.content else {
            return refused(Condition::BadRequest);
        };
        if !is_served {
            return refused(Condition::ItemNotFound);
        }
        let pair = (message.from.clone(), message.to.clone());
        if self.pairs.get(&pair) == Some(&true) {
            return Next::Answer(message.answer(Content::Valid));
        }
        if self.pairs.len() >= PAIRS && !self.pairs.contains_key(&pair) {
            return refused(Condition::ResourceConstraint);
        }
        self.pairs.insert(pair, false);
        Next::Verify(Message {
            stream: Some(self.stream.clone()),
            from: message.to.clone(),
            to: message.from.clone(),
            content: Content::Key(key.clone()),
        })
    }

    /// The server of the sender's domain answered, or could not be asked (`content` is an error then). What to tell on the
    /// stream; `None` when nobody asked. After [`Content::Invalid`] the stream ends.
    pub fn verified(&mut self, from: &str, to: &str, content: Content) -> Option<Message> {
        let pair = (from.to_owned(), to.to_owned());
        if self.pairs.get(&pair) != Some(&false) {
            return None;
        }
        if matches!(content, Content::Valid) {
            self.pairs.insert(pair, true);
        } else {
            self.pairs.remove(&pair);
        }
        Some(Message {
            stream: None,
            from: to.to_owned(),
            to: from.to_owned(),
            content,
        })
    }

    /// Whether a stanza may come by this stream.
    ///
    /// # Errors
    ///
    /// `improper-addressing` when an address is missing, `invalid-from` for a pair that is not proven.
    pub fn check(&self, from: Option<&Jid>, to: Option<&Jid>) -> Result<(), StreamError> {
        let (Some(from), Some(to)) = (from, to) else {
            return Err(StreamError::from(StreamCondition::ImproperAddressing)
                .text("a stanza between servers has a sender and a receiver"));
        };
        let pair = (from.domain().to_string(), to.domain().to_string());
        if self.pairs.get(&pair) == Some(&true) {
            return Ok(());
        }
        let text = format!("{} has not proven itself to {} here", pair.0, pair.1);
        Err(StreamError::from(StreamCondition::InvalidFrom).text(text))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use jid::Jid;

    use super::{Content, Inbound, Message, NS, Next, key};
    use crate::{
        ns,
        stanza::Condition,
        xml::{Element, Limits},
    };

    fn read(written: &[u8]) -> Message {
        let mut element = format!("<r xmlns='{}' xmlns:db='{NS}'>", ns::SERVER).into_bytes();
        element.extend_from_slice(written);
        element.extend_from_slice(b"</r>");
        let around = Element::parse(&element, Limits::SERVER).unwrap();
        let inner = around.open(&around.children()[0]).unwrap();
        Message::read(&inner).unwrap().unwrap()
    }

    fn result(from: &str, to: &str, content: Content) -> Message {
        Message {
            stream: None,
            from: from.into(),
            to: to.into(),
            content,
        }
    }

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    #[test]
    fn a_domain_proves_itself_by_being_called_back() {
        let mut stream = Inbound::new("D6");
        let shown = key("secret", "to.example", "from.example", "D6");
        let message = read(&result("from.example", "to.example", Content::Key(shown)).written());
        let check = |stream: &Inbound, from: &str| {
            stream
                .check(Some(&jid(from)), Some(&jid("x@to.example")))
                .is_ok()
        };
        assert!(!check(&stream, "a@from.example"));
        let Next::Verify(question) = stream.shown(&message, true) else {
            panic!("it has to be verified");
        };
        assert!(!check(&stream, "a@from.example"));
        let question = read(&question.written());
        assert_eq!(
            (question.from.as_str(), question.to.as_str()),
            ("to.example", "from.example")
        );
        let verdict = read(&question.judge("secret", true).written());
        assert!(matches!(verdict.content, Content::Valid));
        let answer = stream
            .verified("from.example", "to.example", verdict.content)
            .unwrap();
        assert_eq!(
            answer.written(),
            b"<db:result from='to.example' to='from.example' type='valid'/>"
        );
        assert!(check(&stream, "a@from.example"));
        assert!(!check(&stream, "a@other.example"));
        assert!(!check(&stream, "a@sub.from.example"));
        assert!(stream.check(None, Some(&jid("x@to.example"))).is_err());
        // Whoever is not asked is not believed.
        assert!(
            stream
                .verified("other.example", "to.example", Content::Valid)
                .is_none()
        );
        assert!(matches!(stream.shown(&message, true), Next::Answer(_)));
    }

    #[test]
    fn a_wrong_key_proves_nothing() {
        let mut stream = Inbound::new("D6");
        for wrong in [
            key("other", "to.example", "from.example", "D6"),
            key("secret", "to.example", "from.example", "D7"),
            key("secret", "from.example", "to.example", "D6"),
            String::new(),
        ] {
            let message = result("from.example", "to.example", Content::Key(wrong));
            let Next::Verify(question) = stream.shown(&message, true) else {
                panic!("it has to be verified");
            };
            let verdict = question.judge("secret", true);
            assert!(matches!(verdict.content, Content::Invalid));
            let _ = stream.verified("from.example", "to.example", verdict.content);
            assert!(
                stream
                    .check(Some(&jid("from.example")), Some(&jid("to.example")))
                    .is_err()
            );
        }
    }

    #[test]
    fn a_domain_that_is_not_here_is_an_error_and_no_lie() {
        let message = result("from.example", "nowhere.example", Content::Key("k".into()));
        let Next::Answer(answer) = Inbound::new("D6").shown(&message, false) else {
            panic!("nobody is asked");
        };
        let answer = read(&answer.written());
        let Content::Error(error) = answer.content else {
            panic!("{answer:?}");
        };
        assert_eq!(error.condition, Condition::ItemNotFound);
        assert!(matches!(
            message.judge("secret", false).content,
            Content::Error(_)
        ));
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for attributes in [
            "",
            "from='a@b' to='c'",
            "from='a' to='b/c'",
            "from='a' to='b' type='x'",
        ] {
            let xml = format!("<db:result xmlns:db='{NS}' {attributes}>k</db:result>");
            let element = Element::parse(xml.as_bytes(), Limits::SERVER).unwrap();
            assert!(Message::read(&element).unwrap().is_err(), "{attributes}");
        }
    }

    #[test]
    fn pairs_have_an_end() {
        let mut stream = Inbound::new("D6");
        let asked = (0..200).filter(|number| {
            let from = format!("a{number}.example");
            let message = result(&from, "to.example", Content::Key("k".into()));
            matches!(stream.shown(&message, true), Next::Verify(_))
        });
        assert_eq!(asked.count(), 100);
        stream.trust("b.example", "to.example");
        assert!(
            stream
                .check(Some(&jid("b.example")), Some(&jid("to.example")))
                .is_ok()
        );
    }
}

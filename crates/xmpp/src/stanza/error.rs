//! Stanza errors (RFC 6120 §8.3).

use std::fmt;

use jid::Jid;

use crate::{
    ns,
    xml::{Element, Limits, Markup},
};

/// What the sender may do about an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorType {
    /// Prove who you are, then ask again.
    Auth,
    /// Do not ask again.
    Cancel,
    /// Go on: this was a warning.
    Continue,
    /// Change what you sent.
    Modify,
    /// Ask again later.
    Wait,
}

impl ErrorType {
    /// The attribute's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident;)+) => {
        /// The defined conditions (RFC 6120 §8.3.3), each with the type it has unless one says
        /// otherwise.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Condition { $($(#[$doc])* $name,)+ }

        impl Condition {
            /// The element's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The condition of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Some(match name { $($text => Self::$name,)+ _ => return None })
            }

            /// What the sender may do about it, unless the error says otherwise.
            #[must_use]
            pub fn usual_type(self) -> ErrorType {
                match self { $(Self::$name => ErrorType::$kind,)+ }
            }
        }
    };
}

conditions! {
    /// The stanza breaks the rules of its payload.
    BadRequest = "bad-request", Modify;
    /// Something of that name exists.
    Conflict = "conflict", Cancel;
    /// Known, and not built.
    FeatureNotImplemented = "feature-not-implemented", Cancel;
    /// The sender may not.
    Forbidden = "forbidden", Auth;
    /// Once here, at another address now, if at all.
    Gone = "gone", Cancel;
    /// A fault of this server.
    InternalServerError = "internal-server-error", Cancel;
    /// Nothing of that name exists.
    ItemNotFound = "item-not-found", Cancel;
    /// An address that breaks the rules of addresses.
    JidMalformed = "jid-malformed", Modify;
    /// Understood, and against a rule of the receiver.
    NotAcceptable = "not-acceptable", Modify;
    /// Nobody may.
    NotAllowed = "not-allowed", Cancel;
    /// The sender must prove who it is.
    NotAuthorized = "not-authorized", Auth;
    /// Against a policy of this service.
    PolicyViolation = "policy-violation", Modify;
    /// The receiver is away for now.
    RecipientUnavailable = "recipient-unavailable", Wait;
    /// At another address for now.
    Redirect = "redirect", Modify;
    /// Who wants in must register first.
    RegistrationRequired = "registration-required", Auth;
    /// No server answers for that domain.
    RemoteServerNotFound = "remote-server-not-found", Cancel;
    /// The other server did not answer in time.
    RemoteServerTimeout = "remote-server-timeout", Wait;
    /// Too busy, or too much of something.
    ResourceConstraint = "resource-constraint", Wait;
    /// Nobody here does that.
    ServiceUnavailable = "service-unavailable", Cancel;
    /// Only subscribers may.
    SubscriptionRequired = "subscription-required", Auth;
    /// Said by an element of the application.
    UndefinedCondition = "undefined-condition", Cancel;
    /// Not now: something must come before it.
    UnexpectedRequest = "unexpected-request", Wait;
}

/// Why a stanza was not carried out.
///
/// ```
/// # use folkmoot_xmpp::stanza::{Condition, StanzaError};
/// let error = StanzaError::new(Condition::ItemNotFound).text("no such room");
/// assert_eq!(error.to_string(), "item-not-found: no such room");
/// ```
#[derive(Clone, Debug, thiserror::Error)]
pub struct StanzaError {
    /// What is wrong.
    pub condition: Condition,
    /// What the sender may do.
    pub kind: ErrorType,
    /// Who says so, if not the address that the stanza was for.
    pub by: Option<Jid>,
    /// A sentence for people.
    pub text: Option<String>,
    /// An element of the application that says more.
    pub detail: Option<Box<Element>>,
    /// Where to turn instead, a URI: the content of `gone` and `redirect`.
    pub instead: Option<String>,
}

impl fmt::Display for StanzaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.condition.name())?;
        match &self.text {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self::new(condition)
    }
}

impl StanzaError {
    /// An error of that condition, with the type that it usually has.
    #[must_use]
    pub fn new(condition: Condition) -> Self {
        Self {
            condition,
            kind: condition.usual_type(),
            by: None,
            text: None,
            detail: None,
            instead: None,
        }
    }

    /// The same error with a sentence for people.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The same error of another type.
    #[must_use]
    pub fn of_type(mut self, kind: ErrorType) -> Self {
        self.kind = kind;
        self
    }

    /// The same error with an element of the application.
    #[must_use]
    pub fn detail(mut self, detail: Element) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }

    /// The same error with an empty element of the application.
    #[must_use]
    pub fn detail_named(self, namespace: &str, name: &str) -> Self {
        let mut markup = Markup::default();
        markup.open(name).attribute("xmlns", namespace).end();
        match Element::parse(&markup.into_bytes(), Limits::CLIENT) {
            Ok(element) => self.detail(element),
            Err(_) => self,
        }
    }

    /// The `error` element.
    #[must_use]
    pub fn element(&self) -> Element {
        let mut out = Markup::default();
        out.open("error");
        out.attribute("type", self.kind.name());
        out.maybe("by", self.by.as_ref().map(Jid::as_str));
        out.open(self.condition.name())
            .attribute("xmlns", ns::STANZA_ERRORS);
        match &self.instead {
            Some(uri) => out.text(uri).close(self.condition.name()),
            None => out.end(),
        };
        if let Some(text) = &self.text {
            out.open("text").attribute("xmlns", ns::STANZA_ERRORS);
            out.text(text).close("text");
        }
        if let Some(detail) = &self.detail {
            let mut bytes = Vec::new();
            detail.write(ns::CLIENT, &mut bytes);
            out.raw(&bytes);
        }
        out.close("error");
        out.into_element(ns::CLIENT)
    }

    /// Reads an `error` element. Unknown conditions count as undefined ones, a missing type as
    /// the usual one.
    #[must_use]
    pub fn read(element: &Element) -> Self {
        let condition = element
            .children()
            .iter()
            .filter(|child| child.name.namespace.as_str() == ns::STANZA_ERRORS)
            .find_map(|child| Condition::from_name(&child.name.local))
            .unwrap_or(Condition::UndefinedCondition);
        let mut error = Self::new(condition);
        error.kind = match element.attribute("type") {
            Some("auth") => ErrorType::Auth,
            Some("cancel") => ErrorType::Cancel,
            Some("continue") => ErrorType::Continue,
            Some("modify") => ErrorType::Modify,
            Some("wait") => ErrorType::Wait,
            _ => error.kind,
        };
        error.by = element.attribute("by").and_then(|by| Jid::new(by).ok());
        let open = |name: &str| {
            element
                .child(ns::STANZA_ERRORS, name)
                .and_then(|child| element.open(child).ok())
        };
        error.text = open("text").and_then(|text| text.text().ok());
        error.instead = open(condition.name())
            .and_then(|instead| instead.text().ok())
            .filter(|uri| !uri.is_empty());
        error.detail = element
            .children()
            .iter()
            .find(|child| child.name.namespace.as_str() != ns::STANZA_ERRORS)
            .and_then(|child| element.open(child).ok())
            .map(Box::new);
        error
    }
}

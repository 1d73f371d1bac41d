//! Sessions: what the shell is asked to open, and how the client hears of it (RFC 6120 §7, XEP-0386).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jid::{BareJid, FullJid, ResourcePart};

use super::{BIND, BIND2, Environment, FAST, Login, Next, Opening, SASL2, Stage};
use crate::{
    moment::Moment,
    sasl::HtBinding,
    sm,
    stanza::{Condition, IqType, Stanza, StanzaError, Type},
    stream::{StreamCondition, StreamError},
    xml::Markup,
};

/// A session to be opened or resumed, in this order: the token's part, then resumption, and binding unless it succeeded.
/// All of it before another stanza reaches the account's new session.
#[derive(Clone, Debug)]
pub struct Open {
    /// Whose.
    pub account: BareJid,
    /// The client's id of itself. Older sessions of the same one end.
    pub client: Option<String>,
    /// What the client wants with tokens.
    pub token: TokenWish,
    /// A session to go on with.
    pub resume: Option<Resume>,
    /// A resource to bind.
    pub bind: Option<Bind>,
}

impl Open {
    pub(super) fn new(account: BareJid) -> Self {
        Self {
            account,
            client: None,
            token: TokenWish::default(),
            resume: None,
            bind: None,
        }
    }
}

/// A session to go on with (XEP-0198 §5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resume {
    /// The id that it was enabled with.
    pub previous: String,
    /// How many stanzas the client handled.
    pub handled: u32,
}

/// A resource to bind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bind {
    /// Its name.
    pub resource: String,
    /// Whether this is Bind 2: archives replace what is kept for offline accounts.
    pub bind2: bool,
    /// Stream management to enable.
    pub enable: Option<Enable>,
    /// Copies of messages to enable (XEP-0280).
    pub carbons: bool,
    /// Whether nobody looks at the client yet (XEP-0352).
    pub inactive: bool,
}

impl Bind {
    pub(super) fn new(resource: String) -> Self {
        Self {
            resource,
            bind2: false,
            enable: None,
            carbons: false,
            inactive: false,
        }
    }
}

/// Stream management to enable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Enable {
    /// Whether the session shall survive a cut.
    pub resume: bool,
    /// The longest time it shall be kept, in seconds, if the client says.
    pub max_seconds: Option<u32>,
}

/// What becomes of a client's tokens.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TokenWish {
    /// The one that it came with: all others of this client that are older end.
    pub used: Option<TokenUse>,
    /// It wants to have none any more, except the one that it asks for.
    pub invalidate: bool,
    /// It asks for one.
    pub issue: Option<HtBinding>,
}

/// A token that let its client in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenUse {
    /// Its text.
    pub secret: String,
    /// Whose it is.
    pub client: String,
    /// The client's count, to be kept with it.
    pub count: Option<u32>,
}

/// What the shell did.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// How resuming went, if it was asked for.
    pub resumed: Option<Resumed>,
    /// How binding went, if it was asked for and the session was not resumed.
    pub bound: Option<Result<Bound, Condition>>,
    /// A token for next time.
    pub token: Option<TokenIssued>,
}

/// How resuming went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resumed {
    /// It goes on; so many of the client's stanzas were handled. What it missed follows after this.
    Yes {
        /// The session's address.
        address: FullJid,
        /// The count, wrapped.
        handled: u32,
    },
    /// There is no such session, or not any more: then so many stanzas were handled.
    No {
        /// The count, wrapped, if the session is known.
        handled: Option<u32>,
    },
}

/// A resource that was bound.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The session's address.
    pub address: FullJid,
    /// `<enabled/>` or `<failed/>` of stream management, as XML, if it was asked for.
    pub managed: Option<Vec<u8>>,
    /// `<metadata/>` of the account's archive, as XML, if it has one.
    pub archive: Option<Vec<u8>>,
}

/// A token given out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenIssued {
    /// Its text.
    pub secret: String,
    /// Its end.
    pub expires: Moment,
}

impl Login {
    /// What [`Next::Open`] asked for was done.
    pub fn opened(&mut self, opened: &Opened, environment: &mut Environment<'_>) -> Next {
        let Stage::Opening(opening) = std::mem::take(&mut self.stage) else {
            return self.fail(StreamCondition::InternalServerError, environment);
        };
        match opening {
            Opening::Bind { account, id } => match &opened.bound {
                Some(Ok(bound)) => {
                    write_bound(&id, &bound.address, &mut self.out);
                    Next::Session
                }
                Some(Err(condition)) => {
                    write_refusal(&id, *condition, &mut self.out);
                    self.stage = Stage::Known(account);
                    Next::Read
                }
                None => self.fail(StreamCondition::InternalServerError, environment),
            },
            Opening::Resume { account, previous } => match opened.resumed {
                Some(Resumed::Yes { handled, .. }) => {
                    self.out.extend_from_slice(&sm::resumed(&previous, handled));
                    Next::Session
                }
                Some(Resumed::No { handled }) => {
                    self.out
                        .extend_from_slice(&sm::failed(Condition::ItemNotFound, handled));
                    self.stage = Stage::Known(account);
                    Next::Read
                }
                None => self.fail(StreamCondition::InternalServerError, environment),
            },
            Opening::Sasl2 {
                account,
                previous,
                additional,
            } => self.opened_by_sasl2(
                account,
                previous.as_deref(),
                additional.as_deref(),
                opened,
                environment,
            ),
        }
    }

    fn opened_by_sasl2(
        &mut self,
        account: BareJid,
        previous: Option<&str>,
        additional: Option<&[u8]>,
        opened: &Opened,
        environment: &mut Environment<'_>,
    ) -> Next {
        let mut out = Markup::default();
        out.open("success").attribute("xmlns", SASL2);
        if let Some(data) = additional {
            out.open("additional-data")
                .text(&STANDARD.encode(data))
                .close("additional-data");
        }
        let mut address = None;
        let mut inline = Markup::default();
        match (&opened.resumed, previous) {
            (
                Some(Resumed::Yes {
                    address: resumed,
                    handled,
                }),
                Some(previous),
            ) => {
                address = Some(resumed);
                inline.raw(&sm::resumed(previous, *handled));
            }
            (Some(Resumed::No { handled }), _) => {
                inline.raw(&sm::failed(Condition::ItemNotFound, *handled));
            }
            _ => {}
        }
        match &opened.bound {
            Some(Ok(bound)) => {
                address = Some(&bound.address);
                inline.open("bound").attribute("xmlns", BIND2);
                inline.raw(bound.archive.as_deref().unwrap_or_default());
                inline.raw(bound.managed.as_deref().unwrap_or_default());
                inline.close("bound");
            }
            Some(Err(_)) => {
                let error = StreamError::from(StreamCondition::ResourceConstraint);
                return self.fail(error.text("too many sessions of this account"), environment);
            }
            None => {}
        }
        if let Some(token) = &opened.token {
            inline.open("token").attribute("xmlns", FAST);
            inline.attribute("token", &token.secret);
            inline.attribute("expiry", &token.expires.to_string()).end();
        }
        let identity = address.map_or_else(|| account.to_string(), ToString::to_string);
        out.open("authorization-identifier")
            .text(&identity)
            .close("authorization-identifier");
        out.raw(&inline.into_bytes()).close("success");
        self.out.extend_from_slice(&out.into_bytes());
        let stands = address.is_some();
        self.write_known_features(!stands);
        if stands {
            return Next::Session;
        }
        self.stage = Stage::Known(account);
        Next::Read
    }
}

/// A client asks to bind (RFC 6120 §7.6).
pub(super) struct BindWish {
    pub(super) id: String,
    /// The resource it wants, if it says; an error for one that cannot be.
    pub(super) resource: Result<Option<String>, ()>,
}

impl BindWish {
    pub(super) fn read(iq: &Stanza) -> Option<Self> {
        if iq.kind != Type::Iq(IqType::Set) {
            return None;
        }
        let bind = iq.open(iq.child(BIND, "bind")?).ok()?;
        let wanted = bind
            .child(BIND, "resource")
            .and_then(|resource| bind.open(resource).ok()?.text().ok())
            .filter(|resource| !resource.is_empty());
        let resource = match wanted {
            None => Ok(None),
            Some(wanted) => match ResourcePart::new(&wanted) {
                Ok(resource) => Ok(Some(resource.as_str().to_owned())),
                Err(_) => Err(()),
            },
        };
        Some(Self {
            id: iq.id.clone()?,
            resource,
        })
    }
}

fn write_bound(id: &str, address: &FullJid, out: &mut Vec<u8>) {
    let mut markup = Markup::default();
    markup
        .open("iq")
        .attribute("id", id)
        .attribute("type", "result");
    markup.open("bind").attribute("xmlns", BIND);
    markup.open("jid").text(address.as_str()).close("jid");
    markup.close("bind").close("iq");
    out.extend_from_slice(&markup.into_bytes());
}

pub(super) fn write_refusal(id: &str, condition: Condition, out: &mut Vec<u8>) {
    let error = Stanza::new(IqType::Error)
        .id(id)
        .with(&StanzaError::new(condition).element());
    error.write(out);
}

//! What a client of SASL2 asks for beside being let in (XEP-0388 §2.6, XEP-0386, XEP-0484).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jid::{BareJid, ResourcePart};

use super::{
    BIND2, Environment, FAST, SASL2,
    open::{Bind, Enable, Open, Resume, TokenUse, TokenWish},
};
use crate::{
    sasl::{Failure, Hash, HtBinding, Mechanism},
    sm,
    xml::Element,
};

const CARBONS: &str = "urn:xmpp:carbons:2";

/// Longest id that a client may give itself, and longest tag, in bytes.
const NAME_BYTES: usize = 255;

/// The requests in an `authenticate`, read and not yet acted on.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// What the client calls itself, always the same.
    pub(super) client: Option<String>,
    /// The client's count of uses of a token.
    pub(super) count: Option<u32>,
    invalidate: bool,
    token: Option<HtBinding>,
    resume: Option<Resume>,
    bind: Option<Bind2>,
}

#[derive(Debug)]
struct Bind2 {
    tag: Option<String>,
    enable: Option<Enable>,
    carbons: bool,
    inactive: bool,
}

impl Wishes {
    /// Reads the children of `authenticate`. What nobody knows is ignored, as XEP-0388 says.
    pub(super) fn read(authenticate: &Element) -> Result<Self, Failure> {
        let malformed = Failure::MalformedRequest;
        let open = |namespace: &str, local: &str| {
            let child = authenticate.child(namespace, local)?;
            authenticate.open(child).ok()
        };
        let mut wishes = Self::default();
        if let Some(agent) = open(SASL2, "user-agent") {
            wishes.client = agent.attribute("id").map(str::to_owned);
            if wishes
                .client
                .as_ref()
                .is_some_and(|id| id.is_empty() || id.len() > NAME_BYTES)
            {
                return Err(malformed);
            }
        }
        if let Some(fast) = open(FAST, "fast") {
            wishes.invalidate = matches!(fast.attribute("invalidate"), Some("true" | "1"));
            wishes.count = fast
                .attribute("count")
                .map(|count| count.parse().map_err(|_| malformed))
                .transpose()?;
        }
        if let Some(request) = open(FAST, "request-token") {
            let mechanism = request
                .attribute("mechanism")
                .and_then(Mechanism::from_name);
            wishes.token = match mechanism {
                Some(Mechanism::Ht(binding)) => Some(binding),
                _ => None,
            };
        }
        if let Some(resume) = open(sm::NS, "resume") {
            if let Some(Ok(sm::Request::Resume { previous, handled })) = sm::Request::read(&resume)
            {
                wishes.resume = Some(Resume { previous, handled });
            } else {
                return Err(malformed);
            }
        }
        if let Some(bind) = open(BIND2, "bind") {
            wishes.bind = Some(Bind2::read(&bind)?);
        }
        Ok(wishes)
    }

    /// What the shell has to do for an account that proved itself.
    pub(super) fn open(
        self,
        account: &BareJid,
        offered: &[HtBinding],
        used: Option<TokenUse>,
        secret: &[u8; 32],
        environment: &mut Environment<'_>,
    ) -> Open {
        let token = TokenWish {
            used,
            invalidate: self.invalidate,
            // Nobody could find the token again of a client without an id.
            issue: self
                .token
                .filter(|wanted| offered.contains(wanted) && self.client.is_some()),
        };
        let bind = self.bind.map(|bind| Bind {
            enable: bind.enable,
            carbons: bind.carbons,
            inactive: bind.inactive,
            bind2: true,
            resource: resource(
                account,
                self.client.as_deref(),
                bind.tag.as_deref(),
                secret,
                environment,
            ),
        });
        Open {
            client: self.client,
            resume: self.resume,
            bind,
            token,
            ..Open::new(account.clone())
        }
    }
}

impl Bind2 {
    fn read(bind: &Element) -> Result<Self, Failure> {
        let open = |namespace: &str, local: &str| {
            let child = bind.child(namespace, local)?;
            bind.open(child).ok()
        };
        let tag = open(BIND2, "tag").and_then(|tag| tag.text().ok());
        let tag = tag.filter(|tag| !tag.is_empty());
        if tag
            .as_ref()
            .is_some_and(|tag| tag.len() > NAME_BYTES || ResourcePart::new(tag).is_err())
        {
            return Err(Failure::MalformedRequest);
        }
        let enable = open(sm::NS, "enable").and_then(|enable| match sm::Request::read(&enable) {
            Some(Ok(sm::Request::Enable {
                resume,
                max_seconds,
            })) => Some(Enable {
                resume,
                max_seconds,
            }),
            _ => None,
        });
        Ok(Self {
            tag,
            enable,
            carbons: bind.child(CARBONS, "enable").is_some(),
            inactive: bind.child("urn:xmpp:csi:0", "inactive").is_some(),
        })
    }
}

/// `<tag>/<id>`: the same each time for the same client, which cannot be told from it (XEP-0386 §3.3).
fn resource(
    account: &BareJid,
    client: Option<&str>,
    tag: Option<&str>,
    secret: &[u8; 32],
    environment: &mut Environment<'_>,
) -> String {
    let id = match client {
        None => environment.token(),
        Some(client) => {
            let parts: [&[u8]; 6] = [
                b"resource\0",
                account.as_str().as_bytes(),
                b"\0",
                client.as_bytes(),
                b"\0",
                tag.unwrap_or_default().as_bytes(),
            ];
            URL_SAFE_NO_PAD.encode(&Hash::Sha256.hmac(secret, &parts)[..12])
        }
    };
    match tag {
        Some(tag) => format!("{tag}/{id}"),
        None => id,
    }
}

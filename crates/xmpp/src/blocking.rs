//! Whom an account wants to hear nothing of (XEP-0191), and reports of what they did (XEP-0377).

use std::collections::BTreeSet;

use jid::{BareJid, FullJid, Jid};

use crate::{
    stanza::{Condition, IqType, Kind, MessageType, Stanza, StanzaError, Type},
    xml::{Element, Markup},
};

/// The protocol.
pub const NS: &str = "urn:xmpp:blocking";
/// Says why a stanza to somebody who is blocked was refused.
pub const ERRORS: &str = "urn:xmpp:blocking:errors";
/// Reports.
pub const REPORTING: &str = "urn:xmpp:reporting:1";

/// Addresses that one account may block.
const LIMIT: usize = 10_000;
/// Characters of a report's text.
const TEXT: usize = 2000;

/// What a client asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// Block these.
    Block(Vec<Blocked>),
    /// The list. Who asked is told of changes from then on.
    List,
    /// Unblock these; all of them if none is named.
    Unblock(Vec<Jid>),
}

/// Somebody to block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blocked {
    /// Whom: an account, one of its resources, a domain, or a resource of a domain.
    pub jid: Jid,
    /// What they did, if the user says so.
    pub report: Option<Report>,
}

/// What somebody did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// What kind of thing.
    pub reason: Reason,
    /// A sentence of the user.
    pub text: Option<String>,
    /// The messages it is about: the id and who gave it.
    pub stanza_ids: Vec<(String, Jid)>,
    /// The user agrees that the server from which it came is told.
    pub to_origin: bool,
    /// The user agrees that others are told.
    pub to_third_parties: bool,
}

/// What kind of thing is reported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// Harassment, threats and their like.
    Abuse,
    /// Unwanted advertising.
    Spam,
    /// Another URI.
    Other(String),
}

impl Request {
    /// Reads the payload of an IQ.
    ///
    /// # Errors
    ///
    /// `bad-request` for a block of nobody, items without an address and reports without a reason;
    /// `jid-malformed`; `resource-constraint` for too many at once.
    pub fn read(kind: IqType, payload: &Element) -> Result<Self, StanzaError> {
        let items = || -> Vec<Element> { payload.open_children(NS, "item").collect() };
        match (kind, payload.name.local.as_str()) {
            (IqType::Get, "blocklist") => Ok(Self::List),
            (IqType::Set, "block") => {
                let items = items();
                if items.is_empty() {
                    return Err(refused(Condition::BadRequest, "nobody is named to block"));
                }
                let blocked = items.iter().map(|item| {
                    let report = item.open_child(REPORTING, "report");
                    Ok(Blocked {
                        jid: address(item)?,
                        report: report.map(|report| Report::read(&report)).transpose()?,
                    })
                });
                Ok(Self::Block(blocked.collect::<Result<_, StanzaError>>()?))
            }
            (IqType::Set, "unblock") => {
                let all: Result<_, StanzaError> = items().iter().map(address).collect();
                Ok(Self::Unblock(all?))
            }
            _ => Err(Condition::BadRequest.into()),
        }
    }
}

impl Report {
    fn read(report: &Element) -> Result<Self, StanzaError> {
        let reason = match report.attribute("reason") {
            Some("urn:xmpp:reporting:abuse") => Reason::Abuse,
            Some("urn:xmpp:reporting:spam") => Reason::Spam,
            Some(other) if !other.is_empty() => Reason::Other(other.to_owned()),
            _ => return Err(refused(Condition::BadRequest, "a report has no reason")),
        };
        let text = report.text_of(REPORTING, "text");
        let ids = report.open_children("urn:xmpp:sid:0", "stanza-id");
        Ok(Self {
            reason,
            text: text.map(|text| text.chars().take(TEXT).collect()),
            stanza_ids: ids
                .filter_map(|id| {
                    let by = Jid::new(id.attribute("by")?).ok()?;
                    Some((id.attribute("id")?.to_owned(), by))
                })
                .collect(),
            to_origin: report.child(REPORTING, "report-origin").is_some(),
            to_third_parties: report.child(REPORTING, "third-party").is_some(),
        })
    }
}

/// Whom an account blocks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Blocklist(BTreeSet<Jid>);

/// What becomes of a stanza between the account and somebody it blocks.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Nothing: nobody is told.
    Drop,
    /// This answer.
    Refuse(StanzaError),
}

impl Blocklist {
    /// The list that was stored.
    #[must_use]
    pub fn restored(blocked: impl IntoIterator<Item = Jid>) -> Self {
        Self(blocked.into_iter().collect())
    }

    /// The addresses in it.
    pub fn iter(&self) -> impl Iterator<Item = &Jid> {
        self.0.iter()
    }

    /// Whether nobody is blocked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is blocked: itself, its account, the resource at its domain, or its domain.
    #[must_use]
    pub fn blocks(&self, who: &Jid) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let domain = BareJid::from_parts(None, who.domain());
        let at_domain = who
            .resource()
            .map(|resource| Jid::from(domain.with_resource(resource)));
        self.0.contains(who)
            || self.0.contains(&Jid::from(who.to_bare()))
            || at_domain.is_some_and(|jid| self.0.contains(&jid))
            || self.0.contains(&Jid::from(domain))
    }

    /// Blocks more; which of them are new. The account itself and its server are never blocked.
    ///
    /// # Errors
    ///
    /// `not-allowed` for the account or its server, `resource-constraint` when the list is full. Nothing changed then.
    pub fn block(&mut self, account: &BareJid, more: &[Jid]) -> Result<Vec<Jid>, StanzaError> {
        let domain = Jid::from(BareJid::from_parts(None, account.domain()));
        if more
            .iter()
            .any(|jid| jid.to_bare() == *account || *jid == domain)
        {
            let text = "neither the account itself nor its server can be blocked";
            return Err(refused(Condition::NotAllowed, text));
        }
        let new: BTreeSet<&Jid> = more.iter().filter(|jid| !self.0.contains(jid)).collect();
        if self.0.len() + new.len() > LIMIT {
            let text = format!("at most {LIMIT} addresses can be blocked");
            return Err(StanzaError::new(Condition::ResourceConstraint).text(text));
        }
        let new: Vec<Jid> = new.into_iter().cloned().collect();
        self.0.extend(new.iter().cloned());
        Ok(new)
    }

    /// Unblocks these, or everybody if none is named; which of them were blocked.
    pub fn unblock(&mut self, fewer: &[Jid]) -> Vec<Jid> {
        if fewer.is_empty() {
            return std::mem::take(&mut self.0).into_iter().collect();
        }
        let removed = fewer.iter().filter(|jid| self.0.remove(*jid));
        removed.cloned().collect()
    }

    /// What becomes of a stanza that came for the account; `None` if its sender is not blocked (§3.3).
    #[must_use]
    pub fn on_inbound(&self, stanza: &Stanza) -> Option<Verdict> {
        let from = stanza.from.as_ref()?;
        if !self.blocks(from) {
            return None;
        }
        Some(match stanza.kind {
            Type::Presence(_) | Type::Message(MessageType::Error | MessageType::Groupchat) => {
                Verdict::Drop
            }
            Type::Iq(kind) if !kind.is_request() => Verdict::Drop,
            Type::Message(_) | Type::Iq(_) => Verdict::Refuse(Condition::ServiceUnavailable.into()),
        })
    }

    /// What becomes of a stanza that the account sends; `None` if its receiver is not blocked. Answers to what was
    /// asked before, and word of being gone, still go out.
    #[must_use]
    pub fn on_outbound(&self, stanza: &Stanza) -> Option<Verdict> {
        let to = stanza.to.as_ref()?;
        if !self.blocks(to) {
            return None;
        }
        if stanza.kind() == Kind::Presence && stanza.kind.name() == Some("unavailable") {
            return None;
        }
        if matches!(stanza.kind, Type::Iq(kind) if !kind.is_request()) {
            return Some(Verdict::Drop);
        }
        let error = StanzaError::new(Condition::NotAcceptable)
            .of_type(crate::stanza::ErrorType::Cancel)
            .text("you have blocked this address: unblock it first")
            .detail_named(ERRORS, "blocked");
        Some(Verdict::Refuse(error))
    }

    /// The payload that lists them.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        listed("blocklist", self.iter())
    }
}

/// Tells a client that asked for the list of a change: `block` or `unblock`, of everybody if none is named.
#[must_use]
pub fn push(to: &FullJid, id: &str, request: &Request) -> Stanza {
    let payload = match request {
        Request::Block(blocked) => listed("block", blocked.iter().map(|blocked| &blocked.jid)),
        Request::Unblock(unblocked) => listed("unblock", unblocked.iter()),
        Request::List => listed("blocklist", std::iter::empty()),
    };
    Stanza::new(IqType::Set)
        .from(to.to_bare())
        .to(to.clone())
        .id(id)
        .with_all(&payload)
}

fn listed<'a>(name: &str, items: impl Iterator<Item = &'a Jid>) -> Vec<u8> {
    let mut out = Markup::default();
    out.open(name).attribute("xmlns", NS);
    let mut items = items.peekable();
    if items.peek().is_none() {
        out.end();
        return out.into_bytes();
    }
    for jid in items {
        out.open("item").attribute("jid", jid.as_str()).end();
    }
    out.close(name);
    out.into_bytes()
}

fn address(item: &Element) -> Result<Jid, StanzaError> {
    let jid = item.attribute("jid");
    let jid = jid.ok_or_else(|| refused(Condition::BadRequest, "an item has no address"))?;
    Jid::new(jid).map_err(|_| refused(Condition::JidMalformed, "an address is none"))
}

fn refused(condition: Condition, text: &str) -> StanzaError {
    StanzaError::new(condition).text(text)
}

#[cfg(test)]
mod tests {
    use jid::{BareJid, FullJid, Jid};

    use super::{Blocked, Blocklist, NS, Reason, Request, Verdict, push};
    use crate::{
        stanza::{IqType, MessageType, PresenceType, Stanza, Type},
        xml::{Element, Limits},
    };

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    fn list(all: &[&str]) -> Blocklist {
        Blocklist::restored(all.iter().map(|one| jid(one)))
    }

    fn read(kind: IqType, name: &str, items: &str) -> Result<Request, String> {
        let xml = format!("<{name} xmlns='{NS}'>{items}</{name}>");
        let payload = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
        Request::read(kind, &payload).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_is_blocked_in_four_ways() {
        for (entry, blocked) in [
            ("b@b/x", true),
            ("b@b", true),
            ("b/x", true),
            ("b", true),
            ("b@b/y", false),
            ("c@b", false),
            ("b/y", false),
            ("a.b", false),
        ] {
            assert_eq!(list(&[entry]).blocks(&jid("b@b/x")), blocked, "{entry}");
        }
        assert!(!list(&["b@b/x"]).blocks(&jid("b@b")));
    }

    #[test]
    fn who_is_blocked_reaches_nobody() {
        let list = list(&["b@b"]);
        let verdict = |kind: Type| {
            let stanza = Stanza::new(kind).from(jid("b@b/x")).to(jid("me@a")).id("1");
            match list.on_inbound(&stanza) {
                None => "pass".to_owned(),
                Some(Verdict::Drop) => "drop".to_owned(),
                Some(Verdict::Refuse(error)) => error.to_string(),
            }
        };
        assert_eq!(verdict(MessageType::Chat.into()), "service-unavailable");
        assert_eq!(verdict(IqType::Get.into()), "service-unavailable");
        assert_eq!(verdict(IqType::Result.into()), "drop");
        assert_eq!(verdict(PresenceType::Subscribe.into()), "drop");
        assert_eq!(verdict(PresenceType::Probe.into()), "drop");
        let other = Stanza::new(MessageType::Chat).from(jid("c@b"));
        assert!(list.on_inbound(&other).is_none());
    }

    #[test]
    fn nothing_is_sent_to_who_is_blocked() {
        let list = list(&["b@b"]);
        let message = Stanza::new(MessageType::Chat).to(jid("b@b/x"));
        let Some(Verdict::Refuse(error)) = list.on_outbound(&message) else {
            panic!("it was let through");
        };
        assert!(error.to_string().starts_with("not-acceptable"));
        assert!(error.detail.unwrap().name.is(super::ERRORS, "blocked"));
        let gone = Stanza::new(PresenceType::Unavailable).to(jid("b@b"));
        assert!(list.on_outbound(&gone).is_none());
    }

    #[test]
    fn a_block_names_somebody() {
        assert!(
            read(IqType::Set, "block", "")
                .unwrap_err()
                .starts_with("bad-request")
        );
        assert!(read(IqType::Set, "block", "<item/>").is_err());
        assert!(
            read(IqType::Set, "block", "<item jid='@'/>")
                .unwrap_err()
                .starts_with("jid-malformed")
        );
        assert_eq!(
            read(IqType::Set, "unblock", ""),
            Ok(Request::Unblock(Vec::new()))
        );
        assert_eq!(read(IqType::Get, "blocklist", ""), Ok(Request::List));
        assert!(read(IqType::Get, "block", "<item jid='b@b'/>").is_err());
    }

    #[test]
    fn a_report_is_read() {
        let request = read(
            IqType::Set,
            "block",
            "<item jid='b@b'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='me@a' id='7'/><text>ads</text><report-origin/></report></item>",
        );
        let Ok(Request::Block(blocked)) = request else {
            panic!("{request:?}");
        };
        let report = blocked[0].report.clone().unwrap();
        assert_eq!(report.reason, Reason::Spam);
        assert_eq!(report.stanza_ids, [("7".to_owned(), jid("me@a"))]);
        assert!(report.to_origin && !report.to_third_parties);
        let without = "<item jid='b@b'><report xmlns='urn:xmpp:reporting:1'/></item>";
        assert!(read(IqType::Set, "block", without).is_err());
    }

    #[test]
    fn the_account_itself_stays() {
        let account = BareJid::new("me@a").unwrap();
        let mut list = Blocklist::default();
        assert!(list.block(&account, &[jid("me@a/x")]).is_err());
        assert!(list.block(&account, &[jid("b@b"), jid("a")]).is_err());
        assert!(list.is_empty());
        let new = list.block(&account, &[jid("b@b"), jid("c@a")]).unwrap();
        assert_eq!(new.len(), 2);
        assert!(list.block(&account, &[jid("b@b")]).unwrap().is_empty());
        assert_eq!(list.unblock(&[jid("b@b"), jid("d@d")]), [jid("b@b")]);
        assert_eq!(list.unblock(&[]), [jid("c@a")]);
        assert!(list.is_empty());
    }

    #[test]
    fn clients_that_asked_are_told() {
        let to = FullJid::new("me@a/x").unwrap();
        let written = |request: &Request| {
            let mut out = Vec::new();
            push(&to, "p", request).write(&mut out);
            String::from_utf8(out).unwrap()
        };
        let block = Request::Block(vec![Blocked {
            jid: jid("b@b"),
            report: None,
        }]);
        assert_eq!(
            written(&block),
            "<iq from='me@a' to='me@a/x' id='p' type='set'><block xmlns='urn:xmpp:blocking'>\
             <item jid='b@b'/></block></iq>"
        );
        assert!(
            written(&Request::Unblock(Vec::new())).contains("<unblock xmlns='urn:xmpp:blocking'/>")
        );
        assert_eq!(
            list(&["b@b"]).payload(),
            b"<blocklist xmlns='urn:xmpp:blocking'><item jid='b@b'/></blocklist>"
        );
    }
}

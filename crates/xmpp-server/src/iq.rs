//! Requests: who answers which (RFC 6120 §8.2.3, RFC 6121 §8).
//!
//! The server answers for itself and for accounts; only what is for a full address reaches a client.

use std::sync::Arc;

use folkmoot_xmpp::{
    blocking::{self, Verdict},
    carbons, disco as discovery, entity_time, last, mam, ping, private as private_xml,
    roster as rosters,
    stanza::{Condition, IqType, Stanza, StanzaError, Type},
    vcard as cards, version,
    xml::Element,
};
use jid::Jid;

use crate::{
    account::Account,
    archive, blocking as block, disco, info, private, rooms, roster,
    router::{Place, Router, failed},
    session::Session,
    vcard,
};

/// The namespace of sessions of the older kind.
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// The namespace of binding.
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// An IQ of a client; what it is answered.
pub(crate) async fn from_client(session: &Session, stanza: Stanza) -> Vec<Stanza> {
    let Type::Iq(kind) = stanza.kind else {
        return Vec::new();
    };
    let own = &session.account.address;
    let to = stanza.to.clone().unwrap_or_else(|| own.clone().into());
    let is_own = to == *own;
    if is_own {
        if !kind.is_request() {
            // The answer to a push or a ping.
            return Vec::new();
        }
        return answered(&stanza, own_account(session, &stanza, kind).await);
    }
    let router = &session.router;
    let is_here = router.serves(to.domain()) || rooms::is_service(router, to.domain().as_str());
    if kind.is_request() && !is_here {
        return Router::unreachable(&stanza).into_iter().collect();
    }
    let verdict = session.account.state().blocklist.on_outbound(&stanza);
    match verdict {
        Some(Verdict::Drop) => return Vec::new(),
        Some(Verdict::Refuse(error)) => return stanza.error(&error).into_iter().collect(),
        None => {}
    }
    route(&session.router, stanza, &to)
        .await
        .into_iter()
        .collect()
}

/// An IQ goes to its `to`; the answer, if the server gives it.
pub(crate) async fn route(router: &Router, stanza: Stanza, to: &Jid) -> Option<Stanza> {
    let Type::Iq(kind) = stanza.kind else {
        return None;
    };
    let place = match router.place(to).await {
        Ok(place) => place,
        Err(cause) => return stanza.error(&failed(&cause)),
    };
    let refused = || stanza.error(&Condition::ServiceUnavailable.into());
    match place {
        Place::Remote => Router::unreachable(&stanza),
        Place::Rooms => {
            rooms::handle(router, stanza).await;
            None
        }
        Place::Server if !kind.is_request() => None,
        Place::Server => one(&stanza, server(router, &stanza, kind)),
        Place::Account(None) => refused(),
        Place::Account(Some(account)) => {
            let verdict = account.state().blocklist.on_inbound(&stanza);
            match verdict {
                Some(Verdict::Drop) => return None,
                Some(Verdict::Refuse(error)) => return stanza.error(&error),
                None => {}
            }
            let Some(resource) = to.resource() else {
                if !kind.is_request() {
                    return None;
                }
                return one(
                    &stanza,
                    other_account(router, &account, &stanza, kind).await,
                );
            };
            let session = account.state().session(resource.as_str()).cloned();
            match session {
                Some(session) => {
                    session.deliver(stanza);
                    None
                }
                None => refused(),
            }
        }
    }
}

/// What a client asks of its own account.
async fn own_account(
    session: &Session,
    iq: &Stanza,
    kind: IqType,
) -> Result<Vec<Stanza>, StanzaError> {
    let payload = payload(iq)?;
    let (namespace, name) = (payload.name.namespace.as_str(), payload.name.local.as_str());
    let reply = |payload: Vec<u8>| Ok(vec![iq.result().with_all(&payload)]);
    match (namespace, name) {
        (rosters::NS, "query") => roster::handle(session, iq, kind, &payload).await,
        (blocking::NS, _) => block::handle(session, iq, kind, &payload).await,
        (carbons::NS, _) => {
            let wish = carbons::Request::read(kind, &payload).ok_or(Condition::BadRequest)?;
            let on = wish == carbons::Request::Enable;
            session
                .handle
                .carbons
                .store(on, std::sync::atomic::Ordering::Relaxed);
            Ok(vec![iq.result()])
        }
        (mam::NS, _) => archive::handle(session, iq, kind, &payload).await,
        (private_xml::NS, "query") => private::handle(session, iq, kind, &payload).await,
        (cards::NS, "vCard") => vcard::handle(session, iq, kind, &payload).await,
        (discovery::INFO, "query") => reply(disco::of_account(&payload)?),
        (discovery::ITEMS, "query") => {
            reply(discovery::items(payload.attribute("node"), &[], None))
        }
        (last::NS, "query") => {
            let router = &session.router;
            let asker = session.account.address.clone();
            reply(info::last_of_account(router, &session.account, &asker).await?)
        }
        (SESSION, "session") => Ok(vec![iq.result()]),
        (BIND, "bind") => Err(StanzaError::new(Condition::NotAllowed)
            .text("a stream has one resource, and it is bound")),
        _ => general(kind, &payload).and_then(reply),
    }
}

/// What somebody asks of an account that is not theirs.
async fn other_account(
    router: &Router,
    account: &Arc<Account>,
    iq: &Stanza,
    kind: IqType,
) -> Result<Vec<u8>, StanzaError> {
    let payload = payload(iq)?;
    let asker = iq
        .from
        .as_ref()
        .map(Jid::to_bare)
        .ok_or(Condition::BadRequest)?;
    match (
        payload.name.namespace.as_str(),
        payload.name.local.as_str(),
        kind,
    ) {
        (cards::NS, "vCard", IqType::Get) => vcard::read(router, &account.address).await,
        (last::NS, "query", IqType::Get) => info::last_of_account(router, account, &asker).await,
        (discovery::INFO, "query", IqType::Get) => {
            let sees = asker == account.address || account.state().roster.subscription(&asker).from;
            match sees {
                true => disco::of_account(&payload),
                // Exactly what is said of an account that does not exist.
                false => Err(Condition::ServiceUnavailable.into()),
            }
        }
        _ => Err(Condition::ServiceUnavailable.into()),
    }
}

/// What somebody asks of the server.
fn server(router: &Router, iq: &Stanza, kind: IqType) -> Result<Vec<u8>, StanzaError> {
    let payload = payload(iq)?;
    match (payload.name.namespace.as_str(), payload.name.local.as_str()) {
        (discovery::INFO, "query") if kind == IqType::Get => disco::of_server(&payload),
        (discovery::ITEMS, "query") if kind == IqType::Get => {
            Ok(disco::items_of_server(&payload, iq.to.as_ref()))
        }
        (last::NS, "query") if kind == IqType::Get => Ok(info::uptime(router)),
        (SESSION, "session") => Ok(Vec::new()),
        _ => general(kind, &payload),
    }
}

/// What everybody is answered, whomever they ask.
fn general(kind: IqType, payload: &Element) -> Result<Vec<u8>, StanzaError> {
    if ping::is_ping(kind, payload) {
        return Ok(Vec::new());
    }
    match (payload.name.namespace.as_str(), kind) {
        (entity_time::NS, IqType::Get) => Ok(info::time()),
        (version::NS, IqType::Get) => Ok(info::version()),
        (ping::NS | entity_time::NS | version::NS, _) => {
            Err(Condition::FeatureNotImplemented.into())
        }
        _ => Err(Condition::ServiceUnavailable.into()),
    }
}

fn payload(iq: &Stanza) -> Result<Element, StanzaError> {
    let child = iq.payload().ok_or(Condition::BadRequest)?;
    iq.open(child).map_err(|_| Condition::BadRequest.into())
}

fn answered(iq: &Stanza, done: Result<Vec<Stanza>, StanzaError>) -> Vec<Stanza> {
    match done {
        Ok(answers) => answers,
        Err(error) => iq.error(&error).into_iter().collect(),
    }
}

fn one(iq: &Stanza, done: Result<Vec<u8>, StanzaError>) -> Option<Stanza> {
    match done {
        Ok(payload) => Some(iq.result().with_all(&payload)),
        Err(error) => iq.error(&error),
    }
}

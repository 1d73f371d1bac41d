//! Messages: archived on both sides, then delivered and copied (RFC 6121 §5 and §8.5, XEP-0280, XEP-0313).

use std::sync::Arc;

use folkmoot_store::xmpp::{ArchiveId, NewEntry, StanzaKind};
use folkmoot_xmpp::{
    blocking::Verdict,
    carbons::{self, Side},
    delivery::{self, Delivery},
    hints::{Traits, message_type},
    moment::Moment,
    offline::with_delay,
    stanza::{Condition, MessageType, Stanza, StanzaError},
};
use jid::{BareJid, Jid};

use crate::{
    account::Account,
    handle::Handle,
    offline, rooms,
    router::{Place, Router, archive_id, failed, now},
    session::Session,
};

/// The namespace of stanza ids.
const STANZA_ID: &str = "urn:xmpp:sid:0";

/// A message of a client; the answer, if it is refused.
pub(crate) async fn from_client(session: &Session, mut stanza: Stanza) -> Option<Stanza> {
    let router = &session.router;
    let own = &session.account.address;
    let to = stanza.to.get_or_insert_with(|| own.clone().into()).clone();
    let verdict = session.account.state().blocklist.on_outbound(&stanza);
    match verdict {
        Some(Verdict::Drop) => return None,
        Some(Verdict::Refuse(error)) => return stanza.error(&error),
        None => {}
    }
    let place = match router.place(&to).await {
        Ok(place) => place,
        Err(cause) => return stanza.error(&failed(&cause)),
    };
    let receiver = match place {
        Place::Account(Some(receiver)) => receiver,
        Place::Account(None) => return stanza.error(&Condition::ServiceUnavailable.into()),
        Place::Server => return to_server(&stanza),
        Place::Rooms => {
            copy_sent(session, &stanza, None);
            rooms::handle(router, stanza).await;
            return None;
        }
        Place::Remote => return Router::unreachable(&stanza),
    };
    if let Some(answer) = blocked(&receiver, &stanza) {
        return answer;
    }
    let stanza = without_ids_by(stanza, own);
    let traits = Traits::of(&stanza);
    let kind = message_type(&stanza);
    let to_myself = receiver.address == *own;
    let mut sent_id = None;
    let mut received_id = None;
    if kind != MessageType::Groupchat && traits.is_archived(kind) {
        let at = now();
        let mut entries = Vec::with_capacity(2);
        let stanza = without_ids_by(stanza.clone(), &receiver.address);
        if !to_myself {
            sent_id = Some(archive_id());
            entries.extend(sent_id.map(|id| entry(own, id, to.clone(), &stanza, at)));
        }
        received_id = Some(archive_id());
        let with = if to_myself {
            own.clone().into()
        } else {
            session.handle.address.clone().into()
        };
        entries.extend(received_id.map(|id| entry(&receiver.address, id, with, &stanza, at)));
        if let Err(cause) = router.store.append_to_archives(entries).await {
            return stanza.error(&failed(&cause));
        }
    }
    if !to_myself {
        copy_sent(session, &stanza, sent_id);
    }
    let sender = to_myself.then_some(session.handle.number);
    deliver(router, &receiver, stanza, received_id, sender).await
}

/// Copies what a client wrote for the others of its account.
fn copy_sent(session: &Session, stanza: &Stanza, id: Option<ArchiveId>) {
    if !carbons::is_copied(stanza, Side::Sent, false) {
        return;
    }
    let copied = with_id(stanza.clone(), &session.account.address, id);
    let state = session.account.state();
    for other in &state.sessions {
        if other.number != session.handle.number && Handle::is(&other.carbons) {
            other.deliver(carbons::copy(&copied, Side::Sent, &other.address));
        }
    }
}

/// A message of this server's own; the answer, if somebody is to be told that it failed.
pub(crate) async fn route(router: &Router, stanza: Stanza, to: &Jid) -> Option<Stanza> {
    if rooms::is_service(router, to.domain().as_str()) {
        rooms::handle(router, stanza).await;
        return None;
    }
    let Ok(Place::Account(Some(receiver))) = router.place(to).await else {
        return None;
    };
    if let Some(answer) = blocked(&receiver, &stanza) {
        return answer;
    }
    let stanza = without_ids_by(stanza, &receiver.address);
    let traits = Traits::of(&stanza);
    let kind = message_type(&stanza);
    let mut id = None;
    if kind != MessageType::Groupchat && traits.is_archived(kind) {
        id = Some(archive_id());
        let with = stanza.from.clone().unwrap_or_else(|| to.clone());
        let entries = id.map(|id| entry(&receiver.address, id, with, &stanza, now()));
        let entries = entries.into_iter().collect();
        if let Err(cause) = router.store.append_to_archives(entries).await {
            return stanza.error(&failed(&cause));
        }
    }
    deliver(router, &receiver, stanza, id, None).await
}

/// Hands a message to the resources that get it, and copies to the others; the answer, if it is refused. `sender` is
/// the session that wrote it to its own account.
async fn deliver(
    router: &Router,
    receiver: &Arc<Account>,
    stanza: Stanza,
    id: Option<ArchiveId>,
    sender: Option<u64>,
) -> Option<Stanza> {
    let delivered = with_id(
        without_ids_by(stanza.clone(), &receiver.address),
        &receiver.address,
        id,
    );
    let resource = stanza
        .to
        .as_ref()
        .and_then(|to| to.resource())
        .map(|resource| resource.as_str());
    let decision = {
        let state = receiver.state();
        let decision = delivery::decide(stanza.kind, resource, &state.targets());
        let got: &[usize] = match &decision {
            Delivery::To(places) => places,
            _ => &[],
        };
        for place in got {
            state.sessions[*place].deliver(delivered.clone());
        }
        let may_copy = matches!(decision, Delivery::To(_) | Delivery::Store);
        if may_copy && carbons::is_copied(&delivered, Side::Received, false) {
            let wants: Vec<bool> = state
                .sessions
                .iter()
                .map(|session| Handle::is(&session.carbons) && Some(session.number) != sender)
                .collect();
            for place in carbons::receivers(&wants, |place| got.contains(&place)) {
                let other = &state.sessions[place];
                other.deliver(carbons::copy(&delivered, Side::Received, &other.address));
            }
        }
        decision
    };
    match decision {
        Delivery::Store => match offline::keep(router, receiver, &delivered, now()).await {
            Ok(()) => None,
            // Its archive has it.
            Err(_) if id.is_some() => None,
            Err(error) => stanza.error(&error),
        },
        Delivery::Refuse => stanza.error(&Condition::ServiceUnavailable.into()),
        Delivery::To(_) | Delivery::Account | Delivery::Roster | Delivery::Drop => None,
    }
}

/// A message that its session did not get before it ended goes to the account's others, or waits.
pub(crate) async fn undelivered(
    router: &Router,
    account: &Arc<Account>,
    stanza: Stanza,
    at: Moment,
) {
    let kind = message_type(&stanza);
    let traits = Traits::of(&stanza);
    if traits.copy || !matches!(kind, MessageType::Chat | MessageType::Normal) {
        return;
    }
    let to_account = stanza.to.as_ref().is_none_or(|to| to.resource().is_none());
    let domain = Jid::from(BareJid::from_parts(None, account.address.domain()));
    let stanza = with_delay(stanza, at, &domain);
    {
        let state = account.state();
        let takers: Vec<&Arc<Handle>> = state
            .sessions
            .iter()
            .zip(state.targets())
            .filter(|(_, target)| target.takes_account_messages())
            .map(|(session, _)| session)
            .collect();
        for taker in &takers {
            // What was for all of them they have got, and so have those with copies.
            if !to_account && !Handle::is(&taker.carbons) {
                taker.deliver(stanza.clone());
            }
        }
        if !takers.is_empty() {
            return;
        }
    }
    if let Err(error) = offline::keep(router, account, &stanza, at).await {
        tracing::debug!(%error, "a message that nobody got could not be kept");
    }
}

/// What becomes of a message of somebody whom its receiver blocks: the answer to it, if any.
fn blocked(receiver: &Account, stanza: &Stanza) -> Option<Option<Stanza>> {
    match receiver.state().blocklist.on_inbound(stanza)? {
        Verdict::Drop => Some(None),
        Verdict::Refuse(error) => Some(stanza.error(&error)),
    }
}

/// Nobody reads messages to the server.
fn to_server(stanza: &Stanza) -> Option<Stanza> {
    let error = StanzaError::new(Condition::ServiceUnavailable);
    stanza.error(&error.text("nobody reads messages to the server itself"))
}

fn entry(owner: &BareJid, id: ArchiveId, with: Jid, stanza: &Stanza, at: Moment) -> NewEntry {
    let mut bytes = Vec::new();
    stanza.write(&mut bytes);
    let origin = stanza
        .child(STANZA_ID, "origin-id")
        .and_then(|child| stanza.open(child).ok());
    NewEntry {
        owner: owner.clone(),
        id,
        with,
        kind: StanzaKind::Direct,
        stanza: bytes.into(),
        at: at.0,
        origin_id: origin.and_then(|origin| origin.attribute("id").map(str::to_owned)),
    }
}

/// Takes ids away that somebody else gave in this account's name (XEP-0359 §6).
fn without_ids_by(stanza: Stanza, account: &BareJid) -> Stanza {
    if !stanza.has(STANZA_ID, "stanza-id") {
        return stanza;
    }
    let own = account.as_str().to_owned();
    let source = stanza.clone();
    stanza.without(|child| {
        child.name.is(STANZA_ID, "stanza-id")
            && source.open(child).is_ok_and(|id| {
                let by = id.attribute("by").and_then(|by| Jid::new(by).ok());
                by.is_some_and(|by| by.to_bare().as_str() == own)
            })
    })
}

/// The same message with the id that the account's archive gave it.
fn with_id(stanza: Stanza, account: &BareJid, id: Option<ArchiveId>) -> Stanza {
    let Some(id) = id else {
        return stanza;
    };
    let mut out = folkmoot_xmpp::xml::Markup::default();
    out.open("stanza-id").attribute("xmlns", STANZA_ID);
    out.attribute("by", account.as_str());
    out.attribute("id", &id.to_string()).end();
    stanza.with_all(&out.into_bytes())
}

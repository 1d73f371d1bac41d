//! Presence and subscriptions (RFC 6121 §3 and §4).

use std::{collections::HashSet, sync::Arc};

use folkmoot_store::xmpp::LastActivity;
use folkmoot_xmpp::{
    blocking::Verdict,
    ns,
    presence::{Effects, Output},
    roster::Changed,
    stanza::{PresenceType, Stanza},
};
use jid::{BareJid, Jid};

use crate::{
    account::{Account, State},
    handle::Handle,
    offline, rooms, roster,
    router::{Place, Router, failed, now},
    session::Session,
};

/// A presence of a client; what it is answered.
pub(crate) async fn from_client(
    session: &Session,
    stanza: Stanza,
    kind: PresenceType,
) -> Vec<Stanza> {
    let (router, account) = (&session.router, &session.account);
    match kind {
        PresenceType::Available | PresenceType::Unavailable => {
            let from = &session.handle.address;
            let done = {
                let mut guard = account.state();
                let State {
                    presences, roster, ..
                } = &mut *guard;
                presences.handle(from, &stanza, kind, roster)
            };
            match done {
                Ok(effects) => changed(session, effects).await,
                Err(error) => stanza.error(&error).into_iter().collect(),
            }
        }
        PresenceType::Error => {
            router.route(stanza).await;
            Vec::new()
        }
        // Servers probe.
        PresenceType::Probe => Vec::new(),
        _ => subscription_from_client(session, stanza, kind).await,
    }
}

/// A client's presence changed.
async fn changed(session: &Session, effects: Effects) -> Vec<Stanza> {
    let (router, account) = (&session.router, &session.account);
    let Effects {
        outputs,
        came,
        takes_messages,
        ..
    } = effects;
    perform(router, account, outputs).await;
    let mut shown = Vec::new();
    if came {
        shown.extend(account.state().roster.pending_requests());
    }
    if takes_messages {
        offline::hand_out(router, account, &session.handle).await;
    }
    shown
}

/// Sends what the account's presence led to, except to those whom it blocks.
pub(crate) async fn perform(router: &Router, account: &Account, outputs: Vec<Output>) {
    for output in outputs {
        match output {
            Output::Send(stanza) => send(router, account, stanza).await,
            Output::SendToAll(stanza, receivers) => {
                for to in receivers {
                    send(router, account, stanza.clone().to(to)).await;
                }
            }
        }
    }
}

async fn send(router: &Router, account: &Account, stanza: Stanza) {
    if account.state().blocklist.on_outbound(&stanza).is_none() {
        Box::pin(router.route(stanza)).await;
    }
}

/// Sessions lose their place to another one.
pub(crate) fn withdraw(state: &mut State, ended: &[Arc<Handle>]) -> Vec<Output> {
    let mut outputs = Vec::new();
    for old in ended {
        state.remove(old.number);
        let State {
            presences, roster, ..
        } = state;
        for output in presences.disconnected(&old.address, roster).outputs {
            outputs.push(match output {
                // Its place is another one's now, who does not care.
                Output::SendToAll(stanza, mut receivers) => {
                    receivers.retain(|to| *to != old.address);
                    Output::SendToAll(stanza, receivers)
                }
                Output::Send(stanza) => Output::Send(stanza),
            });
        }
    }
    outputs
}

/// A session is over: whoever saw its client hears that it is gone.
pub(crate) async fn gone(session: &Session) {
    let (router, account) = (&session.router, &session.account);
    let (outputs, status) = {
        let mut state = account.state();
        if !state.remove(session.handle.number) {
            return;
        }
        let resource = session.handle.address.resource().as_str();
        let status = state
            .presences
            .presence(resource)
            .and_then(|presence| presence.text_of(ns::CLIENT, "status"));
        let State {
            presences,
            roster,
            sessions,
            ..
        } = &mut *state;
        let outputs = presences
            .disconnected(&session.handle.address, roster)
            .outputs;
        (
            outputs,
            sessions.is_empty().then(|| status.unwrap_or_default()),
        )
    };
    perform(router, account, outputs).await;
    if let Some(status) = status {
        let activity = LastActivity {
            at: now().0,
            status,
        };
        if let Err(cause) = router
            .store
            .set_last_activity(&account.address, activity)
            .await
        {
            tracing::debug!(%cause, "the time of going offline could not be stored");
        }
    }
}

/// A presence goes to its `to`.
pub(crate) async fn route(router: &Router, stanza: Stanza, kind: PresenceType, to: &Jid) {
    let bare = to.to_bare();
    if rooms::is_service(router, to.domain().as_str()) {
        return Box::pin(rooms::handle(router, stanza)).await;
    }
    if !router.serves(to.domain()) {
        if let Some(bounce) = Router::unreachable(&stanza) {
            router.hand_back(&bounce);
        }
        return;
    }
    if to.node().is_none() {
        return;
    }
    if kind.is_about_subscription() {
        match router.place(to).await {
            Ok(Place::Account(Some(account))) => hear(router, &account, stanza, kind).await,
            Ok(_) => {}
            Err(cause) => {
                if let Some(error) = stanza.error(&failed(&cause)) {
                    router.hand_back(&error);
                }
            }
        }
        return;
    }
    // Whoever is not in memory has nobody who could see it, nor anything to show.
    let Some(account) = router.present(&bare) else {
        return;
    };
    let answers = {
        let state = account.state();
        if state.blocklist.on_inbound(&stanza).is_some() {
            return;
        }
        if kind == PresenceType::Probe {
            let Some(from) = &stanza.from else {
                return;
            };
            let resource = to.resource().map(|resource| resource.as_str());
            state.presences.answer_probe(from, resource, &state.roster)
        } else {
            show(&state, &stanza, to);
            Vec::new()
        }
    };
    for answer in answers {
        send(router, &account, answer).await;
    }
}

/// Shows a presence to the resource that it is for, or to all that are available.
fn show(state: &State, stanza: &Stanza, to: &Jid) {
    match to.resource() {
        Some(resource) => {
            if let Some(session) = state.session(resource.as_str()) {
                session.deliver(stanza.clone());
            }
        }
        None => {
            let available: HashSet<&str> =
                state.presences.available().map(|(name, _)| name).collect();
            for session in &state.sessions {
                if available.contains(session.address.resource().as_str()) {
                    session.deliver(stanza.clone());
                }
            }
        }
    }
}

/// A subscription stanza of a client (RFC 6121 §3).
async fn subscription_from_client(
    session: &Session,
    stanza: Stanza,
    kind: PresenceType,
) -> Vec<Stanza> {
    let (router, account) = (&session.router, &session.account);
    let Some(contact) = stanza.to.as_ref().map(Jid::to_bare) else {
        return Vec::new();
    };
    if contact == account.address {
        return Vec::new();
    }
    let stanza = stanza.from(account.address.clone()).to(contact.clone());
    let verdict = account.state().blocklist.on_outbound(&stanza);
    match verdict {
        None => {}
        Some(Verdict::Drop) => return Vec::new(),
        Some(Verdict::Refuse(error)) => {
            let answer = stanza.error(&error);
            let answer = answer.map(|answer| answer.to(session.handle.address.clone()));
            return answer.into_iter().collect();
        }
    }
    let sent = {
        let _changing = account.changing.lock().await;
        let mut roster = account.state().roster.clone();
        let sent = roster.sends(&contact, kind);
        if let Err(error) = keep(router, account, roster, sent.changed.as_ref()).await {
            return stanza.error(&error).into_iter().collect();
        }
        sent
    };
    let contact = Jid::from(contact);
    if sent.now_hidden {
        let hidden = account.state().presences.withdraw(&contact);
        perform(
            router,
            account,
            hidden.into_iter().map(Output::Send).collect(),
        )
        .await;
    }
    if sent.route {
        router.route(stanza).await;
    }
    if sent.now_visible {
        let shown = account.state().presences.introduce(&contact);
        perform(
            router,
            account,
            shown.into_iter().map(Output::Send).collect(),
        )
        .await;
    }
    Vec::new()
}

/// A subscription stanza for an account.
async fn hear(router: &Router, account: &Arc<Account>, stanza: Stanza, kind: PresenceType) {
    let Some(contact) = stanza.from.as_ref().map(Jid::to_bare) else {
        return;
    };
    if account.state().blocklist.on_inbound(&stanza).is_some() {
        return;
    }
    let heard = {
        let _changing = account.changing.lock().await;
        let mut roster = account.state().roster.clone();
        let heard = roster.hears(&contact, &stanza, kind, router.options.contacts);
        if let Err(error) = keep(router, account, roster, heard.changed.as_ref()).await {
            if let Some(error) = stanza.error(&error) {
                router.hand_back(&error);
            }
            return;
        }
        heard
    };
    if heard.deliver {
        let state = account.state();
        let available: HashSet<&str> = state.presences.available().map(|(name, _)| name).collect();
        for session in &state.sessions {
            let is_available = available.contains(session.address.resource().as_str());
            if is_available || (kind != PresenceType::Subscribe && Handle::is(&session.interested))
            {
                session.deliver(stanza.clone());
            }
        }
    }
    let contact = Jid::from(contact);
    if heard.now_hidden {
        let hidden = account.state().presences.withdraw(&contact);
        perform(
            router,
            account,
            hidden.into_iter().map(Output::Send).collect(),
        )
        .await;
    }
    if heard.auto_reply {
        let agreed = Stanza::new(PresenceType::Subscribed)
            .from(account.address.clone())
            .to(contact.clone());
        Box::pin(router.route(agreed)).await;
    }
    if heard.now_visible {
        let shown = account.state().presences.introduce(&contact);
        perform(
            router,
            account,
            shown.into_iter().map(Output::Send).collect(),
        )
        .await;
    }
}

/// Stores what changed in a roster, then makes it the account's and tells its clients.
async fn keep(
    router: &Router,
    account: &Account,
    roster: folkmoot_xmpp::roster::Roster,
    changed: Option<&Changed>,
) -> Result<(), folkmoot_xmpp::stanza::StanzaError> {
    match changed {
        None => Ok(()),
        Some(changed) => roster::keep(router, account, roster, changed, None).await,
    }
}

/// Ends what a removed contact saw of the account, and tells it.
pub(crate) async fn part(
    router: &Router,
    account: &Account,
    contact: &BareJid,
    removed: &folkmoot_xmpp::roster::Removed,
) {
    let contact = Jid::from(contact.clone());
    if removed.now_hidden {
        let hidden = account.state().presences.withdraw(&contact);
        perform(
            router,
            account,
            hidden.into_iter().map(Output::Send).collect(),
        )
        .await;
    }
    for kind in &removed.tell {
        let told = Stanza::new(*kind)
            .from(account.address.clone())
            .to(contact.clone());
        router.route(told).await;
    }
}

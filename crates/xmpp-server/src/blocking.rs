//! Whom accounts block (XEP-0191).

use std::sync::atomic::Ordering;

use folkmoot_store::xmpp::Stored;
use folkmoot_xmpp::{
    blocking::{self, Request},
    presence::Output,
    stanza::{Condition, IqType, Stanza, StanzaError},
    xml::Element,
};
use jid::Jid;

use crate::{
    account::State,
    handle::Handle,
    presence,
    router::{failed, fresh_id},
    session::Session,
};

/// Answers a client, and tells the others.
///
/// # Errors
///
/// What is wrong with the request; then nothing changed.
pub(crate) async fn handle(
    session: &Session,
    iq: &Stanza,
    kind: IqType,
    payload: &Element,
) -> Result<Vec<Stanza>, StanzaError> {
    let (router, account) = (&session.router, &session.account);
    let request = Request::read(kind, payload)?;
    let _changing = account.changing.lock().await;
    match &request {
        Request::List => {
            session.handle.blocklist.store(true, Ordering::Relaxed);
            let listed = account.state().blocklist.payload();
            Ok(vec![iq.result().with_all(&listed)])
        }
        Request::Block(blocked) => {
            let addresses: Vec<Jid> = blocked.iter().map(|blocked| blocked.jid.clone()).collect();
            let mut list = account.state().blocklist.clone();
            let new = list.block(&account.address, &addresses)?;
            let limit = router.options.blocked;
            let stored = router
                .store
                .block(&account.address, new.clone(), limit)
                .await;
            if stored.map_err(|cause| failed(&cause))? == Stored::Full {
                return Err(StanzaError::new(Condition::ResourceConstraint)
                    .text(format!("at most {limit} addresses can be blocked")));
            }
            // Who is blocked sees the account go.
            let gone: Vec<Stanza> = {
                let state = account.state();
                seers(&state, &new)
                    .iter()
                    .flat_map(|seer| state.presences.withdraw(seer))
                    .collect()
            };
            presence::perform(
                router,
                account,
                gone.into_iter().map(Output::Send).collect(),
            )
            .await;
            account.state().blocklist = list;
            tell(session, iq, &request);
            Ok(Vec::new())
        }
        Request::Unblock(unblocked) => {
            let removed = if unblocked.is_empty() {
                router.store.unblock_all(&account.address).await
            } else {
                let done = router
                    .store
                    .unblock(&account.address, unblocked.clone())
                    .await;
                done.map(|()| unblocked.clone())
            };
            let removed = removed.map_err(|cause| failed(&cause))?;
            account.state().blocklist.unblock(unblocked);
            tell(session, iq, &request);
            let back: Vec<Stanza> = {
                let state = account.state();
                seers(&state, &removed)
                    .iter()
                    .flat_map(|seer| state.presences.introduce(seer))
                    .collect()
            };
            presence::perform(
                router,
                account,
                back.into_iter().map(Output::Send).collect(),
            )
            .await;
            Ok(Vec::new())
        }
    }
}

/// The answer, then word to every client that asked for the list.
fn tell(session: &Session, iq: &Stanza, request: &Request) {
    session.handle.deliver(iq.result());
    let state = session.account.state();
    for other in state
        .sessions
        .iter()
        .filter(|other| Handle::is(&other.blocklist))
    {
        other.deliver(blocking::push(&other.address, &fresh_id(), request));
    }
}

/// The contacts among `addresses` that see the account's presence: a whole domain stands for its contacts.
fn seers(state: &State, addresses: &[Jid]) -> Vec<Jid> {
    let named = blocking::Blocklist::restored(addresses.iter().cloned());
    let subscribers = state.roster.subscribers();
    subscribers
        .filter(|contact| named.blocks(contact))
        .cloned()
        .collect()
}

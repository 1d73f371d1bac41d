//! What clients ask of their rosters, and what they are told of them (RFC 6121 §2).

use std::sync::atomic::Ordering;

use folkmoot_store::xmpp::RosterChange;
use folkmoot_xmpp::{
    roster::{self, Answer, Changed, Request, Roster},
    stanza::{IqType, Stanza, StanzaError},
    xml::Element,
};

use crate::{
    account::Account,
    accounts,
    handle::Handle,
    presence,
    router::{Router, failed, fresh_id},
    session::Session,
};

/// Answers a client; the pushes follow the answer.
///
/// # Errors
///
/// Why nothing changed.
pub(crate) async fn handle(
    session: &Session,
    iq: &Stanza,
    kind: IqType,
    query: &Element,
) -> Result<Vec<Stanza>, StanzaError> {
    let (router, account) = (&session.router, &session.account);
    match Request::read(kind, query, &account.address)? {
        Request::Get { version } => get(session, iq, version.as_deref()).await,
        Request::Set(change) => {
            let _changing = account.changing.lock().await;
            let mut roster = account.state().roster.clone();
            let changed = roster.set(change, router.options.contacts)?;
            keep(
                router,
                account,
                roster,
                &changed,
                Some((&session.handle, iq.result())),
            )
            .await?;
            Ok(Vec::new())
        }
        Request::Remove(contact) => {
            let removed = {
                let _changing = account.changing.lock().await;
                let mut roster = account.state().roster.clone();
                let removed = roster.remove(&contact)?;
                let done = router
                    .store
                    .remove_roster_item(&account.address, &contact)
                    .await;
                let version = done.map_err(|cause| failed(&cause))?;
                roster.version = version.unwrap_or(roster.version);
                let version = roster.version;
                let mut state = account.state();
                state.roster = roster;
                session.handle.deliver(iq.result());
                for other in state
                    .sessions
                    .iter()
                    .filter(|other| Handle::is(&other.interested))
                {
                    let version = Handle::is(&other.versions).then_some(version);
                    let push = roster::push_removal(&other.address, &fresh_id(), &contact, version);
                    other.deliver(push);
                }
                removed
            };
            presence::part(router, account, &contact.to_bare(), &removed).await;
            Ok(Vec::new())
        }
    }
}

async fn get(
    session: &Session,
    iq: &Stanza,
    version: Option<&str>,
) -> Result<Vec<Stanza>, StanzaError> {
    let (router, account) = (&session.router, &session.account);
    // No change comes between what is read and the wish to be told of the next one.
    let _changing = account.changing.lock().await;
    session.handle.interested.store(true, Ordering::Relaxed);
    session
        .handle
        .versions
        .store(version.is_some(), Ordering::Relaxed);
    let answer = Answer::to(version, account.state().roster.version);
    let since = match answer {
        Answer::Since(since) => {
            let changes = router.store.roster_changes(&account.address, since).await;
            changes.map_err(|cause| failed(&cause))?
        }
        Answer::Unchanged => return Ok(vec![iq.result()]),
        Answer::Whole { .. } => None,
    };
    let Some(changes) = since else {
        let versioned = !matches!(answer, Answer::Whole { versioned: false });
        let payload = account.state().roster.payload(versioned);
        return Ok(vec![iq.result().with_all(&payload)]);
    };
    let to = &session.handle.address;
    let pushes = changes.into_iter().map(|(version, change)| match change {
        RosterChange::Put(item) => {
            let item = accounts::item(item);
            match item.is_shown() {
                true => roster::push(to, &fresh_id(), &item, Some(version)),
                false => roster::push_removal(to, &fresh_id(), &item.jid, Some(version)),
            }
        }
        RosterChange::Removed(jid) => roster::push_removal(to, &fresh_id(), &jid, Some(version)),
    });
    Ok(std::iter::once(iq.result()).chain(pushes).collect())
}

/// Stores a contact, makes `roster` the account's, answers who asked, and tells the clients that asked for the roster.
///
/// # Errors
///
/// When the store failed: nothing changed.
pub(crate) async fn keep(
    router: &Router,
    account: &Account,
    mut roster: Roster,
    changed: &Changed,
    first: Option<(&Handle, Stanza)>,
) -> Result<(), StanzaError> {
    let store = &router.store;
    let version = if changed.is_gone {
        store
            .remove_roster_item(&account.address, &changed.item.jid)
            .await
    } else {
        let item = accounts::stored(&changed.item);
        store
            .put_roster_item(&account.address, item)
            .await
            .map(Some)
    };
    let version = version.map_err(|cause| failed(&cause))?;
    roster.version = version.unwrap_or(roster.version);
    let version = roster.version;
    let mut state = account.state();
    state.roster = roster;
    if let Some((asker, answer)) = first {
        asker.deliver(answer);
    }
    if !changed.push {
        return Ok(());
    }
    for session in state
        .sessions
        .iter()
        .filter(|session| Handle::is(&session.interested))
    {
        let version = Handle::is(&session.versions).then_some(version);
        let push = roster::push(&session.address, &fresh_id(), &changed.item, version);
        session.deliver(push);
    }
    Ok(())
}

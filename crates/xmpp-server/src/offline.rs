//! Messages that wait for an account that is not there (XEP-0160).

use std::sync::Arc;

use folkmoot_store::xmpp::Stored;
use folkmoot_xmpp::{
    hints::{Traits, message_type},
    moment::Moment,
    offline,
    stanza::{Stanza, StanzaError},
};
use jid::{BareJid, Jid};

use crate::{
    account::Account,
    handle::Handle,
    router::{Router, failed},
};

/// Lets a message wait, unless it is of a kind that nobody waits for.
///
/// # Errors
///
/// What its sender is told: too much waits already, or the store failed.
pub(crate) async fn keep(
    router: &Router,
    account: &Arc<Account>,
    stanza: &Stanza,
    at: Moment,
) -> Result<(), StanzaError> {
    if !Traits::of(stanza).is_kept_offline(message_type(stanza)) {
        return Ok(());
    }
    let bytes = offline::kept(stanza);
    let limit = router.options.offline;
    let stored = router
        .store
        .push_offline(&account.address, bytes.into(), at.0, limit)
        .await;
    match stored {
        Ok(Stored::Yes) => {}
        Ok(Stored::Full) => return Err(offline::full()),
        Err(cause) => return Err(failed(&cause)),
    }
    // Somebody may have come while it was stored.
    let came = {
        let state = account.state();
        let targets = state.targets();
        let place = targets
            .iter()
            .position(|target| target.takes_account_messages());
        place.map(|place| Arc::clone(&state.sessions[place]))
    };
    if let Some(session) = came {
        hand_out(router, account, &session).await;
    }
    Ok(())
}

/// Hands everything that waits to a session that came.
pub(crate) async fn hand_out(router: &Router, account: &Account, session: &Handle) {
    if Handle::is(&session.archive) {
        return;
    }
    let waiting = match router.store.take_offline(&account.address).await {
        Ok(waiting) => waiting,
        Err(cause) => {
            tracing::error!(%cause, "messages that wait cannot be read");
            return;
        }
    };
    let domain = Jid::from(BareJid::from_parts(None, account.address.domain()));
    for waited in waiting {
        match offline::delayed(&waited.stanza, Moment(waited.at), &domain) {
            Ok(stanza) => session.deliver(stanza),
            Err(cause) => tracing::error!(%cause, "a message that waits cannot be read"),
        }
    }
}

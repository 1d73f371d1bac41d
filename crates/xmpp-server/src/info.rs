//! What the server says of itself: version, time, how long it runs; and when an account was last here.

use folkmoot_xmpp::{
    entity_time, last,
    moment::Moment,
    stanza::{Condition, StanzaError},
    version,
};
use jid::BareJid;

use crate::{
    account::Account,
    router::{Router, failed, now},
};

/// The program's name and version (XEP-0092).
pub(crate) fn version() -> Vec<u8> {
    version::payload("Folkmoot", env!("CARGO_PKG_VERSION"), None)
}

/// The time (XEP-0202).
pub(crate) fn time() -> Vec<u8> {
    entity_time::payload(now())
}

/// How long the server runs (XEP-0012).
pub(crate) fn uptime(router: &Router) -> Vec<u8> {
    let now = now();
    let seconds = i64::try_from(router.started.elapsed().as_secs()).unwrap_or(0);
    last::payload(now.plus_seconds(-seconds), now, None)
}

/// When an account was last here.
///
/// # Errors
///
/// `forbidden` for who may not know; `item-not-found` for an account that was never here.
pub(crate) async fn last_of_account(
    router: &Router,
    account: &Account,
    asker: &BareJid,
) -> Result<Vec<u8>, StanzaError> {
    last::may_ask(asker, &account.address, &account.state().roster)?;
    let now = now();
    if account.state().presences.available().next().is_some() {
        return Ok(last::payload(now, now, None));
    }
    let activity = router.store.last_activity(&account.address).await;
    match activity.map_err(|cause| failed(&cause))? {
        Some(activity) => Ok(last::payload(
            Moment(activity.at),
            now,
            Some(&activity.status),
        )),
        None => Err(StanzaError::new(Condition::ItemNotFound).text("the account was never here")),
    }
}

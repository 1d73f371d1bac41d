//! Accounts out of the store.

use std::sync::Weak;

use folkmoot_store::{StoreError, xmpp::RosterItem};
use folkmoot_xmpp::{
    blocking::Blocklist,
    roster::{Item, Roster},
    subscription::Subscription,
};
use jid::BareJid;

use crate::{account::Account, router::Router};

/// Reads an account with its roster and its blocklist; `None` if there is none of that address.
pub(crate) async fn load(
    router: &Router,
    address: &BareJid,
    myself: Weak<Router>,
) -> Result<Option<Account>, StoreError> {
    if router.store.account(address).await?.is_none() {
        return Ok(None);
    }
    let stored = router.store.roster(address).await?;
    let roster = Roster::restored(stored.version, stored.items.into_iter().map(item));
    let blocklist = Blocklist::restored(router.store.blocklist(address).await?);
    Ok(Some(Account::new(
        address.clone(),
        roster,
        blocklist,
        myself,
    )))
}

/// A contact as it was stored. An item without a name was never put there by its user.
pub(crate) fn item(stored: RosterItem) -> Item {
    Item {
        listed: stored.name.is_some(),
        name: stored.name.unwrap_or_default(),
        groups: stored.groups,
        subscription: Subscription {
            to: stored.to,
            from: stored.from,
            pending_out: stored.pending_out,
            pending_in: stored.pending_in,
            approved: stored.approved,
        },
        request: stored.request,
        jid: stored.jid,
    }
}

/// A contact to be stored.
pub(crate) fn stored(item: &Item) -> RosterItem {
    RosterItem {
        jid: item.jid.clone(),
        name: item.listed.then(|| item.name.clone()),
        groups: item.groups.clone(),
        to: item.subscription.to,
        from: item.subscription.from,
        pending_out: item.subscription.pending_out,
        pending_in: item.subscription.pending_in,
        approved: item.subscription.approved,
        request: item.request.clone(),
    }
}

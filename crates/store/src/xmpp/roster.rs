//! Contact lists with versions (RFC 6121 §2).

use async_trait::async_trait;
use bytes::Bytes;
use jid::{BareJid, Jid};

use crate::StoreError;

/// A contact, or somebody who asked to be one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RosterItem {
    /// The contact's address.
    pub jid: Jid,
    /// What the account calls it.
    pub name: Option<String>,
    /// The groups it is in, in the order given.
    pub groups: Vec<String>,
    /// The account sees the contact's presence.
    pub to: bool,
    /// The contact sees the account's presence.
    pub from: bool,
    /// The account asked and has no answer.
    pub pending_out: bool,
    /// The contact asked and has no answer.
    pub pending_in: bool,
    /// A request of the contact will be approved when it comes.
    pub approved: bool,
    /// The whole stanza with which the contact asked, to be delivered again.
    pub request: Option<Bytes>,
}

impl RosterItem {
    /// An item without name, groups and subscription.
    #[must_use]
    pub fn new(jid: impl Into<Jid>) -> Self {
        Self {
            jid: jid.into(),
            name: None,
            groups: Vec::new(),
            to: false,
            from: false,
            pending_out: false,
            pending_in: false,
            approved: false,
            request: None,
        }
    }
}

/// A whole contact list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StoredRoster {
    /// Grows with each change; never returns to an old value, not even when the account is deleted and made again.
    pub version: u64,
    /// In the order of the addresses.
    pub items: Vec<RosterItem>,
}

/// What became of one contact since a version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RosterChange {
    /// It is there, in this form.
    Put(RosterItem),
    /// It is not there any more.
    Removed(Jid),
}

/// The contact lists of all accounts.
#[async_trait]
pub trait Roster: Send + Sync {
    /// The contact list of an account; empty with version 0 where nothing was ever put.
    async fn roster(&self, account: &BareJid) -> Result<StoredRoster, StoreError>;

    /// One contact of an account.
    async fn roster_item(
        &self,
        account: &BareJid,
        contact: &Jid,
    ) -> Result<Option<RosterItem>, StoreError>;

    /// Adds a contact or replaces the one of that address. Answers the list's new version.
    async fn put_roster_item(&self, account: &BareJid, item: RosterItem)
    -> Result<u64, StoreError>;

    /// Removes a contact. Answers the list's new version, or `None` if there was no such contact.
    async fn remove_roster_item(
        &self,
        account: &BareJid,
        contact: &Jid,
    ) -> Result<Option<u64>, StoreError>;

    /// What changed after version `since`, the oldest change first, each contact once and with the version of its last
    /// change. `None` if the store cannot tell: it remembers the last 200 removals only, and no version that
    /// the list never had.
    async fn roster_changes(
        &self,
        account: &BareJid,
        since: u64,
    ) -> Result<Option<Vec<(u64, RosterChange)>>, StoreError>;
}

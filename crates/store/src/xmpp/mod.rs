//! What an XMPP server keeps.
//!
//! One trait for each concern, in a file of its own; [`XmppStore`] is all of them behind one pointer. The store knows
//! addresses, ids and order, and takes stanzas, forms and settings as bytes: it knows no rule of XMPP.
//!
//! Promises of all concerns: when a call that changes something returns, the change is durable and every later read
//! sees it; a call that fails changed nothing; each call is one transaction, and calls that wait at the same time share
//! one commit without sharing their errors. Times are microseconds since 1970 in UTC, given by the caller. Addresses
//! are compared as they are spelled: the caller normalises them.

mod accounts;
mod archive;
mod archive_prefs;
mod blocklist;
mod database;
mod housekeeping;
mod invites;
mod offline;
mod private_xml;
mod pubsub;
mod push;
mod rooms;
mod roster;
mod secret;
mod tokens;
mod uploads;
mod vcards;

pub use accounts::{
    AccountRecord, Accounts, Created, LastActivity, NewAccount, Verifier, VerifierHash,
};
pub use archive::{
    Archive, ArchiveEnd, ArchiveFilter, ArchiveId, ArchivePage, ArchivePlace, ArchiveQuery,
    ArchivedStanza, InvalidArchiveId, NewEntry, PageAnswer, StanzaKind,
};
pub use archive_prefs::{ArchiveDefault, ArchivePreferences, ArchivePrefs};
pub use blocklist::Blocklist;
pub use database::{XmppDatabase, XmppFileOptions};
pub use housekeeping::{Housekeeping, XmppStats};
pub use invites::{Invite, InviteKind, Invites};
pub use offline::{Offline, OfflineStanza};
pub use private_xml::PrivateXml;
pub use pubsub::{
    ItemsAnswer, ItemsPage, ItemsPlace, NodeAffiliation, NodeRecord, NodeSubscription, PubSub,
    PubSubItem, SubscriptionState,
};
pub use push::{PushRegistration, PushRegistrations};
pub use rooms::{RoomAffiliation, RoomMember, RoomRecord, RoomSettings, RoomSubject, Rooms};
pub use roster::{Roster, RosterChange, RosterItem, StoredRoster};
pub use secret::{Secret, Secrets};
pub use tokens::{FastToken, TokenSlot, Tokens};
pub use uploads::{Reserved, Upload, UploadState, Uploads};
pub use vcards::VCards;

/// Everything an XMPP server keeps, behind one pointer: `Arc<dyn XmppStore>`.
pub trait XmppStore:
    Accounts
    + Archive
    + ArchivePreferences
    + Blocklist
    + Housekeeping
    + Invites
    + Offline
    + PrivateXml
    + PubSub
    + PushRegistrations
    + Rooms
    + Roster
    + Secrets
    + Tokens
    + Uploads
    + VCards
{
}

impl<T> XmppStore for T where
    T: Accounts
        + Archive
        + ArchivePreferences
        + Blocklist
        + Housekeeping
        + Invites
        + Offline
        + PrivateXml
        + PubSub
        + PushRegistrations
        + Rooms
        + Roster
        + Secrets
        + Tokens
        + Uploads
        + VCards
{
}

/// Whether something found a place in a list of limited length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Stored {
    /// It is stored.
    Yes,
    /// The list is full, and nothing changed.
    Full,
}

//! What an account wants archived (XEP-0441).

use async_trait::async_trait;
use jid::{BareJid, Jid};

use crate::StoreError;

/// What holds for addresses that no list names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum ArchiveDefault {
    /// Messages are archived.
    #[default]
    Always = 0,
    /// They are not.
    Never = 1,
    /// They are with contacts.
    Roster = 2,
}

/// The preferences of an account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ArchivePrefs {
    /// For everybody else.
    pub default: ArchiveDefault,
    /// With these, always; in the order of the addresses.
    pub always: Vec<Jid>,
    /// With these, never; in the order of the addresses.
    pub never: Vec<Jid>,
}

/// The preferences of all accounts.
#[async_trait]
pub trait ArchivePreferences: Send + Sync {
    /// What the account prefers, if it said so.
    async fn archive_prefs(&self, account: &BareJid) -> Result<Option<ArchivePrefs>, StoreError>;

    /// Replaces what the account prefers.
    async fn set_archive_prefs(
        &self,
        account: &BareJid,
        prefs: ArchivePrefs,
    ) -> Result<(), StoreError>;
}

//! Who has an account, and what proves it (RFC 5802 §3, XEP-0077).

use async_trait::async_trait;
use jid::BareJid;

use super::Secret;
use crate::StoreError;

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum VerifierHash {
    /// SCRAM-SHA-1.
    Sha1 = 1,
    /// SCRAM-SHA-256.
    Sha256 = 2,
    /// SCRAM-SHA-512.
    Sha512 = 3,
}

/// What is kept instead of a password. There is no way to store a password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verifier {
    /// Of which mechanism.
    pub hash: VerifierHash,
    /// Mixed into the password.
    pub salt: Secret,
    /// How often the password was hashed.
    pub iterations: u32,
    /// Proves that a client knows the password.
    pub stored_key: Secret,
    /// Proves to the client that the server knows this verifier.
    pub server_key: Secret,
}

/// An account that is to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its address.
    pub account: BareJid,
    /// At most one for each hash; the last one counts. None: nobody can log in with a password.
    pub verifiers: Vec<Verifier>,
    /// The time now.
    pub now: i64,
    /// The invite that pays for it: used up by this call, if the account is made.
    pub invite: Option<String>,
}

/// What became of a [`NewAccount`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Created {
    /// The account is there now.
    Created,
    /// The address has an account, or another invite that is still good reserves it.
    Taken,
    /// The invite is unknown, used up, makes no accounts, or is for another address. Whether it has expired does not
    /// matter here: that counts when the client names it, before it registers (XEP-0445).
    NoInvite,
}

/// An account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountRecord {
    /// At most one for each hash, in the order of [`VerifierHash`].
    pub verifiers: Vec<Verifier>,
    /// Nobody can log in for now.
    pub disabled: bool,
    /// When it was made.
    pub created: i64,
}

/// When an account was last seen, and with which words (XEP-0012).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LastActivity {
    /// When it went offline.
    pub at: i64,
    /// The status of its last presence; may be empty.
    pub status: String,
}

/// The accounts of all domains.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Makes an account.
    async fn create_account(&self, account: NewAccount) -> Result<Created, StoreError>;

    /// The account of that address.
    async fn account(&self, account: &BareJid) -> Result<Option<AccountRecord>, StoreError>;

    /// Replaces all verifiers and forgets all tokens: the password was changed. Says whether there is such an account.
    async fn set_verifiers(
        &self,
        account: &BareJid,
        verifiers: Vec<Verifier>,
    ) -> Result<bool, StoreError>;

    /// Adds a verifier of the same password for another hash, or replaces the one of that hash (XEP-0480). Says
    /// whether there is such an account.
    async fn add_verifier(&self, account: &BareJid, verifier: Verifier)
    -> Result<bool, StoreError>;

    /// Disables an account, which also forgets its tokens, or enables it again. Says whether there is such an account.
    async fn set_disabled(&self, account: &BareJid, disabled: bool) -> Result<bool, StoreError>;

    /// Deletes an account and everything of it in all concerns: verifiers, roster, blocklist, private XML, vCard,
    /// archive and its preferences, offline stanzas, PubSub nodes at its address, subscriptions and affiliations at
    /// other nodes, memberships of rooms, tokens, push registrations, invites. Bans stay, or they would end with a
    /// new account of that name. Its uploads expire at once: their files go with the next
    /// [`expired_uploads`](super::Uploads::expired_uploads). Says whether there was such an account.
    async fn delete_account(&self, account: &BareJid) -> Result<bool, StoreError>;

    /// The accounts of a domain in the order of their local parts, after the local part `after`, at most `limit`.
    async fn accounts(
        &self,
        domain: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BareJid>, StoreError>;

    /// How many accounts a domain has.
    async fn count_accounts(&self, domain: &str) -> Result<u64, StoreError>;

    /// When the account was last seen, if it was and still exists.
    async fn last_activity(&self, account: &BareJid) -> Result<Option<LastActivity>, StoreError>;

    /// Keeps when the account was last seen. Does nothing without such an account.
    async fn set_last_activity(
        &self,
        account: &BareJid,
        activity: LastActivity,
    ) -> Result<(), StoreError>;
}

//! Tokens with which clients log in again without a password (XEP-0484).
//!
//! Each client of an account has two slots: a token is issued into the new one, and becomes the current one when the
//! client used it.

use async_trait::async_trait;
use jid::BareJid;

use super::Secret;
use crate::StoreError;

/// Where a token is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum TokenSlot {
    /// In use.
    Current = 1,
    /// Issued, not used yet.
    New = 2,
}

/// A token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FastToken {
    /// The mechanism it is bound to, such as `HT-SHA-256-NONE`.
    pub mechanism: String,
    /// The token itself: it is the key of a MAC, so that no hash of it would do.
    pub token: Secret,
    /// When it was issued.
    pub issued: i64,
    /// Until when it can be used.
    pub expires: i64,
    /// The highest count that the client has used it with.
    pub count: u32,
}

/// The tokens of all accounts. A client is the id of a user agent.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// The tokens of a client, the new one last.
    async fn tokens(
        &self,
        account: &BareJid,
        client: &str,
    ) -> Result<Vec<(TokenSlot, FastToken)>, StoreError>;

    /// Issues a token into the new slot, instead of one that was there. An account has at most `limit` clients with
    /// tokens; one more, and those of the client whose tokens are the oldest go.
    async fn issue_token(
        &self,
        account: &BareJid,
        client: &str,
        token: FastToken,
        limit: usize,
    ) -> Result<(), StoreError>;

    /// Makes the new token the current one, which ends the one that was. Says whether there was a new one.
    async fn promote_token(&self, account: &BareJid, client: &str) -> Result<bool, StoreError>;

    /// Keeps the count of a use. `false` if it is not greater than the one before, or there is no such token: the use
    /// is a replay then.
    async fn count_token(
        &self,
        account: &BareJid,
        client: &str,
        slot: TokenSlot,
        count: u32,
    ) -> Result<bool, StoreError>;

    /// Ends the tokens of one client, or of all.
    async fn remove_tokens(
        &self,
        account: &BareJid,
        client: Option<&str>,
    ) -> Result<(), StoreError>;

    /// The clients that have tokens, each with the time of its newest, in the order of their names.
    async fn clients_with_tokens(
        &self,
        account: &BareJid,
    ) -> Result<Vec<(String, i64)>, StoreError>;

    /// Removes tokens of all accounts that expired before `now`. Answers how many.
    async fn expire_tokens(&self, now: i64) -> Result<u64, StoreError>;
}

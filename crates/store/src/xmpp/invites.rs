//! Invites to make an account or to become a contact (XEP-0379, XEP-0401, XEP-0445).

use async_trait::async_trait;
use jid::BareJid;

use crate::StoreError;

/// What an invite is good for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum InviteKind {
    /// To make an account. Whoever made the invite, if it was an account, becomes a contact.
    Account = 1,
    /// To become a contact of the account that made it; makes no account.
    Contact = 2,
    /// Both: to become a contact, with an account made for it if need be.
    ContactOrAccount = 3,
}

/// An invite.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invite {
    /// Its secret name.
    pub token: String,
    /// What it is good for.
    pub kind: InviteKind,
    /// The account that made it; `None` for the operator.
    pub inviter: Option<BareJid>,
    /// The only address that may be made with it, which it reserves.
    pub account: Option<BareJid>,
    /// When it was made.
    pub created: i64,
    /// Until when it is good.
    pub expires: i64,
    /// How often it can still be used.
    pub uses: u32,
}

/// The invites of all domains.
#[async_trait]
pub trait Invites: Send + Sync {
    /// Keeps a new invite. Its token must be new.
    async fn put_invite(&self, invite: Invite) -> Result<(), StoreError>;

    /// The invite of that token, if it is good at `now`: not expired, not used up.
    async fn invite(&self, token: &str, now: i64) -> Result<Option<Invite>, StoreError>;

    /// Uses an invite once, if it is good at `now`; answers it as it was before. Making an account uses it by
    /// [`create_account`](super::Accounts::create_account) instead.
    async fn use_invite(&self, token: &str, now: i64) -> Result<Option<Invite>, StoreError>;

    /// The invites that an account made, or with `None` those of everybody, newest first, at most `limit`.
    async fn invites(
        &self,
        inviter: Option<&BareJid>,
        limit: usize,
    ) -> Result<Vec<Invite>, StoreError>;

    /// Withdraws an invite. Says whether there was one.
    async fn remove_invite(&self, token: &str) -> Result<bool, StoreError>;

    /// Removes invites that expired before `now` or are used up. Answers how many.
    async fn expire_invites(&self, now: i64) -> Result<u64, StoreError>;
}

//! Who belongs to which inbox: the part of the network that says so, cached and verified.
//!
//! [`Directory`] looks up inboxes and replays their logs; whatever it answers was verified here,
//! by the rules that all clients share ([`Rules::Libxmtp`]). `accounts` changes an inbox,
//! `registration` brings a new installation into one,
//! `relink` puts one in the place of another.
//!
//! [`Rules::Libxmtp`]: folkmoot_identity::Rules::Libxmtp

pub(crate) mod accounts;
mod directory;
mod error;
mod log;
pub(crate) mod me;
pub(crate) mod registration;
pub(crate) mod relink;
mod state;

pub use accounts::{Reassign, Revocation, revoke_installations};
pub use directory::Directory;
pub use error::IdentityError;
pub use state::InboxState;

/// Installations of an inbox, at most: what clients keep to.
pub const INSTALLATION_LIMIT: usize = 10;
/// Updates in an inbox's log, at most: what nodes keep to.
pub const UPDATE_LIMIT: usize = 256;

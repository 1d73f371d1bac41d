//! What can go wrong with inboxes and who belongs to them.

use folkmoot_identity::{AssociationError, DecodeError, Identifier, InvalidAddress};
use folkmoot_wire::{InboxId, InstallationKey};

use super::{INSTALLATION_LIMIT, UPDATE_LIMIT};

/// Why something about an inbox could not be done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The text that names an account is none.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// The change does not fit the inbox as it is.
    #[error("the change does not fit the inbox: {0}")]
    Association(#[from] AssociationError),
    /// A log that the network has is none: nobody can read it.
    #[error("the log of inbox {inbox} is invalid from update {sequence} on: {cause}")]
    BrokenLog {
        /// Whose log.
        inbox: InboxId,
        /// The first update that does not fit.
        sequence: u64,
        /// Why.
        cause: String,
    },
    /// Without its last account nobody could change the inbox any more, nor add an installation.
    #[error("{0} is the last account of its inbox, which nobody could use any more without it")]
    LastAccount(Identifier),
    /// The account belongs to an inbox already; linking it to another one would move it.
    #[error("{identifier} belongs to inbox {inbox} already")]
    Linked {
        /// The account.
        identifier: Identifier,
        /// Its inbox.
        inbox: InboxId,
    },
    /// No further change fits into the inbox's log.
    #[error("the log of inbox {0} is full: it has {UPDATE_LIMIT} updates")]
    LogFull(InboxId),
    /// The account that would have to sign is another one.
    #[error("{signer} cannot sign for this: it takes {needed}, the inbox's recovery account")]
    NotRecovery {
        /// Who was asked.
        signer: Identifier,
        /// Who may.
        needed: Identifier,
    },
    /// The database has no identity.
    #[error("this database has no registered identity; create the client with a signer")]
    NotRegistered,
    /// Accounts that have no inbox, so that nobody can write to them.
    #[error("not on this network: {}", names(.0))]
    NotOnNetwork(Vec<Identifier>),
    /// The network took an update and does not show it.
    #[error("the network took the change of inbox {0} but does not show it")]
    NotVisible(InboxId),
    /// The database or the account is another inbox's.
    #[error("{what} belongs to inbox {found}, not to {wanted}")]
    OtherInbox {
        /// The database, or the account.
        what: String,
        /// Its inbox.
        found: InboxId,
        /// The inbox that was expected.
        wanted: InboxId,
    },
    /// This installation may no longer speak for its inbox: it neither sends nor receives.
    #[error("this installation ({0}) was revoked: it neither sends nor receives any more")]
    Revoked(InstallationKey),
    /// The database was made by another account.
    #[error("this database belongs to inbox {inbox}, of which {signer} is no member")]
    Stranger {
        /// The database's inbox.
        inbox: InboxId,
        /// Who would sign.
        signer: Identifier,
    },
    /// The inbox has as many installations as clients make.
    #[error(
        "inbox {inbox} has {installations} of {INSTALLATION_LIMIT} installations, so there is no \
         room for a new one"
    )]
    TooManyInstallations {
        /// Whose.
        inbox: InboxId,
        /// How many there are.
        installations: usize,
    },
    /// The network cannot give the log of this inbox; those of others it can.
    #[error("the log of inbox {inbox} cannot be fetched: {cause}")]
    Unavailable {
        /// Whose log.
        inbox: InboxId,
        /// What the network says.
        cause: String,
    },
    /// The network knows no such inbox.
    #[error("inbox {0} does not exist on this network")]
    UnknownInbox(InboxId),
    /// A chain could not be asked about a contract wallet's signature.
    #[error("nobody could ask the contract wallet: {0}")]
    Verifier(String),
}

impl IdentityError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Association(error) => error.is_retryable(),
            Self::NotVisible(_) | Self::Unavailable { .. } | Self::Verifier(_) => true,
            _ => false,
        }
    }

    /// What a person can do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Linked { .. } => "say that the account shall move, if that is meant".into(),
            Self::LastAccount(_) => "link another account first".into(),
            Self::NotRecovery { needed, .. } => format!("have {needed} sign"),
            Self::TooManyInstallations { .. } => {
                "revoke installations that are not used any more".into()
            }
            Self::Revoked(_) => {
                "link this device again, which keeps its history: `folkmoot xmtp client relink`"
                    .into()
            }
            Self::NotOnNetwork(_) => {
                "they have to register first; or look at the network: they may be on another".into()
            }
            Self::UnknownInbox(_) => "another id, or another network".into(),
            Self::OtherInbox { .. } | Self::Stranger { .. } => "use another database".into(),
            _ => return None,
        })
    }
}

fn names(identifiers: &[Identifier]) -> String {
    let names: Vec<_> = identifiers.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Why an update of a log does not fit.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Association(#[from] AssociationError),
}

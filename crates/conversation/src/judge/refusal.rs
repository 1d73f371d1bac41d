use folkmoot_wire::{InboxId, InstallationKey};

use crate::{
    app_data::{AppDataError, BootstrapError},
    context::{AttributeTooLong, ContextError},
    membership::{DiffError, NeededState},
    version::InvalidVersion,
};

/// Why a commit is not merged. Everybody who follows the rules refuses it for good: the epoch stays,
/// and so does the next cursor's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The group context before the commit cannot be read.
    #[error("before the commit: {0}")]
    OldContext(ContextError),
    /// The group context after the commit could not be read.
    #[error("after the commit: {0}")]
    NewContext(ContextError),
    /// A value is longer than its attribute allows.
    #[error(transparent)]
    TooLong(#[from] AttributeTooLong),
    /// A proposal does not come from a member.
    #[error("a proposal comes from somebody who is no member")]
    ProposerNotMember,
    /// The commit and its proposals do not all come from one installation.
    #[error("the commit has several actors")]
    MultipleActors,
    /// There is neither a proposal nor an update path, so nobody to have made the commit.
    #[error("the commit names nobody who made it")]
    NoActor,
    /// A pre-shared key would come in.
    #[error("pre-shared keys are not supported")]
    PreSharedKey,
    /// The place in an inbox's log would move back.
    #[error("the sequence id of inbox {inbox_id} goes down from {old} to {new}")]
    SequenceIdDecreased {
        /// The inbox.
        inbox_id: InboxId,
        /// Where it is.
        old: u64,
        /// Where it would be.
        new: u64,
    },
    /// An inbox has no update with the sequence id that the membership names.
    #[error("inbox {} has no update with the sequence id {}", .0.inbox_id, .0.sequence_id)]
    MissingIdentityUpdate(NeededState),
    /// The log of an inbox is not valid up to there.
    #[error("the log of inbox {} is invalid up to the sequence id {}", .0.inbox_id, .0.sequence_id)]
    InvalidIdentityLog(NeededState),
    /// Installations are added that do not follow from the change of the membership.
    #[error("{} installations are added that do not belong to a new member", .0.len())]
    UnexpectedlyAdded(Vec<InstallationKey>),
    /// The installations that are removed are not those that follow from the membership.
    #[error("{} installations too many are removed, and {} too few", .extra.len(), .kept.len())]
    UnexpectedlyRemoved {
        /// Removed, though they should stay.
        extra: Vec<InstallationKey>,
        /// Kept, though they should go.
        kept: Vec<InstallationKey>,
    },
    /// Who commits, or proposes a new leaf, is no member after the commit.
    #[error("inbox {0} acts, but is no member after the commit")]
    NotMember(InboxId),
    /// Who commits, or proposes a new leaf, is no installation of its inbox.
    #[error("{installation} is no installation of inbox {inbox_id}")]
    NotAnInstallation {
        /// The inbox that the credential names.
        inbox_id: InboxId,
        /// The key of the leaf.
        installation: InstallationKey,
    },
    /// The actor may not do this.
    #[error("inbox {actor} may not {action}")]
    NotPermitted {
        /// Who tried.
        actor: InboxId,
        /// What.
        action: Action,
    },
    /// A change of a component of the AppData dictionary is refused.
    #[error(transparent)]
    AppData(#[from] AppDataError),
    /// The commit that converts the group to a dictionary is refused.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// An inbox comes or goes, and nobody proposed it.
    #[error("nobody proposed that inbox {0} comes or goes")]
    NoProposer(InboxId),
    /// The group asks for a version that cannot be read.
    #[error(transparent)]
    Version(#[from] InvalidVersion),
}

/// What a permission is needed for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Action {
    /// Adding an inbox.
    #[error("add inbox {0}")]
    AddMember(InboxId),
    /// Removing an inbox.
    #[error("remove inbox {0}")]
    RemoveMember(InboxId),
    /// Removing a super admin: nobody may.
    #[error("remove the super admin {0}")]
    RemoveSuperAdminMember(InboxId),
    /// Changing an attribute.
    #[error("change {0}")]
    UpdateMetadata(String),
    /// Making somebody admin.
    #[error("make admins")]
    AddAdmin,
    /// Taking that away.
    #[error("unmake admins")]
    RemoveAdmin,
    /// Making somebody super admin.
    #[error("make super admins")]
    AddSuperAdmin,
    /// Taking that away.
    #[error("unmake super admins")]
    RemoveSuperAdmin,
    /// Taking that from the last one: nobody may.
    #[error("unmake the last super admin")]
    RemoveLastSuperAdmin,
    /// Changing permissions.
    #[error("change permissions")]
    UpdatePermissions,
}

impl Refusal {
    /// Turns an error of the diff into a refusal, or into the state that nobody has looked up yet.
    pub(crate) fn from_diff(error: DiffError) -> Result<Self, NeededState> {
        Ok(match error {
            DiffError::SequenceIdDecreased { inbox_id, old, new } => {
                Self::SequenceIdDecreased { inbox_id, old, new }
            }
            DiffError::MissingIdentityUpdate(needed) => Self::MissingIdentityUpdate(needed),
            DiffError::InvalidIdentityLog(needed) => Self::InvalidIdentityLog(needed),
            DiffError::NotGiven(needed) => return Err(needed),
        })
    }
}

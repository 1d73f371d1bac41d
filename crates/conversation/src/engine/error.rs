//! What can go wrong in a group, by what the caller can do about it.

use folkmoot_wire::{InstallationKey, InvalidGroupId};

use super::{installation::InvalidLeaf, rows::RowError};
use crate::{ContentType, FramingError};

/// Why stored rows are no group.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// There are no rows, or essential ones are missing.
    #[error("the stored group is incomplete")]
    Incomplete,
    /// The rows are those of another group.
    #[error("the stored group has another id")]
    OtherGroup,
    /// A row was damaged, or written by a newer version of the program.
    #[error("the stored group is unreadable: {0}")]
    Unreadable(String),
}

impl From<RowError> for LoadError {
    fn from(cause: RowError) -> Self {
        Self::Unreadable(cause.to_string())
    }
}

/// Why a group was not created.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CreateError {
    /// The extensions are malformed, or may not stand in a group context.
    #[error("the group's extensions are unusable: {0}")]
    Context(String),
    /// openmls refuses for a reason of its own.
    #[error("refused by openmls: {0}")]
    Refused(String),
}

/// Why a text was not sealed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealError {
    /// We are no member any more.
    #[error("this installation is no longer in the group")]
    Inactive,
    /// openmls refuses for a reason of its own.
    #[error("refused by openmls: {0}")]
    Refused(String),
}

/// Why a commit was not made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommitError {
    /// We are no member any more.
    #[error("this installation is no longer in the group")]
    Inactive,
    /// The lifetime of a key package to add is over, or has not begun, by the machine's clock.
    #[error("the key package of installation {0} is not valid now")]
    KeyPackageLifetime(InstallationKey),
    /// A key package to add names a key for welcomes that cannot be used.
    #[error("the key package of installation {0} names an unusable key for welcomes")]
    Wrapper(InstallationKey),
    /// The group has no such member.
    #[error("leaf {0}, which is to be removed, is empty")]
    UnknownLeaf(u32),
    /// A commit cannot remove the member who makes it.
    #[error("a member cannot remove itself")]
    RemovesItself,
    /// The extensions are malformed, or may not stand in a group context, or a member does not
    /// understand one that they require.
    #[error("the group's new extensions are unusable: {0}")]
    Context(String),
    /// openmls refuses for a reason of its own: an installation is added twice, say, or lacks
    /// what the group requires.
    #[error("refused by openmls: {0}")]
    Refused(String),
}

/// Why a received group message has no effect. The group is as it was before.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProcessError {
    /// The bytes are no group message, or one that XMTP does not use.
    #[error(transparent)]
    Malformed(#[from] FramingError),
    /// The message is not encrypted. Groups of XMTP take nothing else, so nobody joins them by a
    /// commit of their own, for one.
    #[error("the message is not encrypted")]
    Public,
    /// The message belongs to another group.
    #[error("the message belongs to another group")]
    OtherGroup,
    /// We are no member any more.
    #[error("this installation is no longer in the group")]
    Inactive,
    /// The message is of an epoch that is over: a commit that lost the race, or an application
    /// message of an epoch whose keys are gone or that we were not part of.
    #[error("the message is of epoch {epoch}, and the group is in {current}")]
    PastEpoch {
        /// The message's epoch.
        epoch: u64,
        /// The group's epoch.
        current: u64,
        /// What the message is for.
        content: ContentType,
    },
    /// The message is of an epoch that the group has not reached: a commit is missing, or it
    /// was refused here and taken by others.
    #[error("the message is of epoch {epoch}, and the group is still in {current}")]
    FutureEpoch {
        /// The message's epoch.
        epoch: u64,
        /// The group's epoch.
        current: u64,
        /// What the message is for.
        content: ContentType,
    },
    /// The key of the message was used already, or is out of reach because its sender made five or
    /// more messages after it before the newest that was read.
    #[error("the message was read before, or came too late after newer ones")]
    SecretGone,
    /// The message claims to be more than a thousand messages ahead of its sender's last.
    #[error("the message is too far ahead of its sender's last one")]
    TooFarAhead,
    /// The message does not decrypt: it was changed, or made with the keys of another history.
    #[error("the message does not decrypt")]
    Undecryptable,
    /// The sender has no leaf in the epoch of the message, or is no member at all.
    #[error("the sender is not a member")]
    NotMember,
    /// A leaf, existing or new, does not say who sits in it.
    #[error(transparent)]
    Leaf(#[from] InvalidLeaf),
    /// The commit adds a key package whose lifetime is over by the machine's clock. Official
    /// clients take such a commit, openmls does not: this group can be followed no further, and
    /// the installation must be added again.
    #[error(
        "the commit adds a key package that ended at {not_after}, and now is {now} (Unix seconds); \
         this installation must be added to the group again"
    )]
    ExpiredKeyPackage {
        /// End of the key package's lifetime, in seconds since the Unix epoch.
        not_after: u64,
        /// The time of the check, in the same unit.
        now: u64,
    },
    /// The commit adds a key package whose lifetime has not begun by the machine's clock. The
    /// same message can be processed later.
    #[error(
        "the commit adds a key package that begins at {not_before}, and now is {now} (Unix seconds)"
    )]
    EarlyKeyPackage {
        /// Begin of the key package's lifetime, in seconds since the Unix epoch.
        not_before: u64,
        /// The time of the check, in the same unit.
        now: u64,
    },
    /// The commit takes in a proposal that was not met: it is missing before the commit.
    #[error("the commit takes in a proposal that is not known here")]
    MissingProposal,
    /// More proposals wait for a commit than anybody can need.
    #[error("{0} proposals wait already; no more are kept")]
    TooManyProposals(usize),
    /// The message is against the rules of MLS.
    #[error("the message is against the rules of MLS: {0}")]
    Invalid(String),
}

/// Why a staged commit cannot be taken up again, or merged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StagedError {
    /// The bytes were not written by `StagedCommit::to_bytes`, or by a newer version.
    #[error("the stored commit is unreadable")]
    Unreadable,
    /// It belongs to another group.
    #[error("the commit belongs to another group")]
    OtherGroup,
    /// The group is not in the epoch in which the commit was made.
    #[error("the commit is of epoch {epoch}, and the group is in {current}")]
    Epoch {
        /// The commit's epoch.
        epoch: u64,
        /// The group's epoch.
        current: u64,
    },
    /// A leaf, existing or new, does not say who sits in it.
    #[error(transparent)]
    Leaf(#[from] InvalidLeaf),
    /// openmls fails in applying the commit.
    #[error("openmls could not merge the commit: {0}")]
    Merge(String),
}

/// Why a welcome does not lead into a group.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JoinError {
    /// The bytes are no welcome.
    #[error("the bytes are no MLS welcome: {0}")]
    Malformed(String),
    /// The welcome is for another key package than the one given.
    #[error("the welcome is not for this key package")]
    OtherKeyPackage,
    /// The stored key package is unreadable.
    #[error("the stored key package is unreadable")]
    KeyPackage,
    /// Joining would take a pre-shared key, which XMTP does not have.
    #[error("the welcome wants a pre-shared key")]
    PreSharedKey,
    /// The group id is longer than ids are.
    #[error(transparent)]
    GroupId(#[from] InvalidGroupId),
    /// A leaf does not say who sits in it.
    #[error(transparent)]
    Leaf(#[from] InvalidLeaf),
    /// The group that the welcome describes is against the rules of MLS.
    #[error("the welcome is against the rules of MLS: {0}")]
    Invalid(String),
}

//! Why something could not be done in a conversation.

use folkmoot_conversation::{
    app_data::{AppDataError, BootstrapError},
    context::{AttributeTooLong, ContextError},
    deletion::DeletionError,
    judge::Refusal,
    leave::LeaveError,
    membership::PlanError,
};
use folkmoot_wire::{GroupId, InboxId, InstallationKey, MessageId};

/// Why something could not be done in a conversation.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversationError {
    /// A value is longer than its attribute allows.
    #[error(transparent)]
    AttributeTooLong(#[from] AttributeTooLong),
    /// The group context is not one of XMTP.
    #[error("the group's context: {0}")]
    Context(ContextError),
    /// Others changed the group again and again before our change came through. It stays queued,
    /// and the next sync tries again.
    #[error("others changed the group each time before this change came through")]
    Crowded,
    /// A message cannot be deleted.
    #[error(transparent)]
    Deletion(#[from] DeletionError),
    /// A commit adds a key package whose lifetime begins later by our clock; it is taken then.
    #[error(
        "commit {sequence} adds a key package that is valid from {not_before}, and now is {now} \
         (Unix seconds)"
    )]
    ClockBehind {
        /// The sequence id of the commit.
        sequence: u64,
        /// When the key package begins, in seconds of Unix time.
        not_before: u64,
        /// What this machine's clock says, in the same unit.
        now: u64,
    },
    /// The group cannot live in an AppData dictionary.
    #[error("the group cannot take the newer form: {0}")]
    Conversion(BootstrapError),
    /// A change of what the group's dictionary holds cannot be made.
    #[error("the change cannot be made in a group of the newer form: {0}")]
    AppData(AppDataError),
    /// This client does not announce that it understands AppData dictionaries.
    #[error("this client was not told to be in groups of the newer form (libxmtp 1.11)")]
    AppDataOff,
    /// These people have no installation that announces to understand AppData dictionaries, so
    /// MLS lets nobody add them to a group that lives in one, nor convert a group with them.
    #[error(
        "a group of the newer form needs members with libxmtp 1.11 or later; older programs use: {}",
        names(.0)
    )]
    NoAppData(Vec<InboxId>),
    /// Only a message's author may change it.
    #[error("message {0} is somebody else's")]
    NotAuthor(MessageId),
    /// An edit says the same kind of thing as the message: others would not show it otherwise.
    #[error("message {0} has another type of content, which an edit cannot change")]
    OtherType(MessageId),
    /// It does not work in a DM.
    #[error("this is not possible in a dm")]
    Dm,
    /// A DM needs another person.
    #[error("a dm with oneself is not possible")]
    DmWithSelf,
    /// The MLS engine refuses.
    #[error("the group's engine: {0}")]
    Engine(String),
    /// This installation's history of commits is not the group's.
    #[error(
        "this installation has parted from the group at commit {0}; it must be added again before \
         it can take part"
    )]
    Forked(u64),
    /// Bytes that are no envelope of a node.
    #[error("these bytes are no envelope: {field}: {cause}")]
    Envelope {
        /// Where in them.
        field: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// The identity logs that a commit refers to could not be fetched.
    #[error("identity logs that a change depends on could not be fetched")]
    IdentitiesUnknown,
    /// We were removed, or know the conversation from an archive only.
    #[error("this installation is no longer in the conversation")]
    Inactive,
    /// The work was cut off, by a fault of this program or its end.
    #[error("the work was interrupted")]
    Interrupted,
    /// We cannot leave.
    #[error(transparent)]
    Leave(#[from] LeaveError),
    /// An expired key package in a commit stops this installation for good (`mls.md` 18).
    #[error(
        "this installation cannot follow the group past commit {0}, which adds a key package that \
         has expired since"
    )]
    LockedOut(u64),
    /// There is no such message here.
    #[error("message {0} is not known here")]
    MessageNotFound(MessageId),
    /// This installation was linked anew, and nobody has added it to the conversation yet.
    #[error("this installation is new and waits until somebody adds it to the conversation")]
    NotAdded,
    /// There is no such conversation here.
    #[error("conversation {0} is not known here")]
    NotFound(GroupId),
    /// An inbox that is not a member.
    #[error("inbox {0} is not a member")]
    NotMember(InboxId),
    /// An envelope of another conversation.
    #[error("the envelope is of conversation {0}")]
    OtherConversation(GroupId),
    /// A welcome to somebody else.
    #[error("the welcome is for installation {0}")]
    OtherInstallation(InstallationKey),
    /// Something came that fits no commit that was met here.
    #[error(
        "this installation seems to have parted from the group: envelope {0} fits nothing that it \
         has seen"
    )]
    Parted(u64),
    /// The group asks for a newer program.
    #[error("the group needs version {0} or newer")]
    Paused(String),
    /// Members cannot be changed so.
    #[error(transparent)]
    Plan(PlanError),
    /// An installation cannot take itself out of a group and put itself in again.
    #[error("this installation cannot add itself again")]
    ReaddSelf,
    /// The rules of the group do not allow it.
    #[error("not allowed: {0}")]
    Refused(Refusal),
}

impl ConversationError {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::ClockBehind { .. } | Self::Crowded | Self::IdentitiesUnknown | Self::Interrupted
        )
    }

    /// What a person can do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Parted(_) => {
                "if others cannot read what you write, ask a super admin to add this installation \
                 again"
                    .into()
            }
            Self::LockedOut(_) => {
                "a super admin's client adds this installation again when it hears of it; where \
                 nobody does, link this device again: `folkmoot xmtp client relink`"
                    .into()
            }
            Self::NotAdded => {
                "the next message of any other member does it; what was said before is readable"
                    .into()
            }
            Self::Forked(_) => {
                "ask to be added again (`folkmoot xmtp conversation request-readd`), start a dm \
                 anew, or link this device again: `folkmoot xmtp client relink`"
                    .into()
            }
            Self::Paused(version) => format!("use a program that understands version {version}"),
            Self::ClockBehind { .. } => "set this machine's clock, then sync again".into(),
            Self::Crowded => "try again".into(),
            Self::AttributeTooLong(_) => "a shorter one".into(),
            Self::DmWithSelf => "name somebody else; a group may have no other member".into(),
            Self::MessageNotFound(_) => {
                "`folkmoot xmtp conversation messages ID --sync` shows what there is".into()
            }
            Self::NotMember(_) => {
                "`folkmoot xmtp conversation members ID --sync` shows who there is".into()
            }
            Self::ReaddSelf => {
                "ask the super admins: `folkmoot xmtp conversation request-readd`".into()
            }
            Self::Envelope { .. } => {
                "hand over the bytes of the notification as the node wrote them".into()
            }
            Self::OtherConversation(_) => "hand it to that conversation".into(),
            Self::AppDataOff => "build it with `app_data_groups`, or say \
                                 XMTP_APP_DATA_GROUPS=true on the command line"
                .into(),
            Self::NoAppData(_) => {
                "leave them out, make the group in the older form, or wait until they have a newer \
                 program"
                    .into()
            }
            Self::Leave(LeaveError::SuperAdmin) => "give the role to somebody else first".into(),
            _ => return None,
        })
    }
}

fn names(inboxes: &[InboxId]) -> String {
    let names: Vec<_> = inboxes.iter().map(ToString::to_string).collect();
    names.join(", ")
}

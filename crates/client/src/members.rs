//! Who is in a conversation.

use folkmoot_conversation::{
    ConsentState,
    context::{Context, ConversationKind},
};
use folkmoot_identity::Identifier;
use folkmoot_wire::{InboxId, InstallationKey};

/// A member of a conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// The inbox.
    pub inbox_id: InboxId,
    /// Its accounts, as far as its identity log is known here.
    pub identifiers: Vec<Identifier>,
    /// Its installations, likewise.
    pub installations: Vec<InstallationKey>,
    /// Why its identity log cannot be read, if so: then nobody can see which accounts and
    /// installations are its own, and news of them are not taken into account.
    pub trouble: Option<String>,
    /// What it may do.
    pub role: MemberRole,
    /// What we think of it.
    pub consent: ConsentState,
}

/// What a member may do beyond what everybody may.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MemberRole {
    /// Nothing.
    Member,
    /// What the permissions give to admins.
    Admin,
    /// Everything that a member can do.
    SuperAdmin,
}

impl MemberRole {
    /// The role of a member. In a DM nobody has one.
    pub(crate) fn of(context: &Context, inbox_id: InboxId) -> Self {
        if context.metadata.kind == ConversationKind::Dm {
            Self::Member
        } else if context.mutable.is_super_admin(inbox_id) {
            Self::SuperAdmin
        } else if context.mutable.is_admin(inbox_id) {
            Self::Admin
        } else {
            Self::Member
        }
    }
}

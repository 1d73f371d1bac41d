//! DMs: what makes several of them one conversation, which of them is shown, and which may be
//! joined.
//!
//! Both people may make a DM at the same time, so a pair can have more than one group. They are
//! one conversation: its messages are those of all groups, and it is written to in one of them.

use std::fmt;

use folkmoot_wire::{GroupId, InboxId};

use crate::{
    context::{ContextError, ConversationKind, GroupMetadata, MutableMetadata},
    facts::ContextExtensions,
    permissions::PolicySet,
};

/// What all DMs of two people have in common: `dm:` and both inbox ids in ascending order, with a
/// colon between. It is never sent.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DmId(String);

impl DmId {
    /// The id for two people, in any order.
    #[must_use]
    pub fn of(one: InboxId, two: InboxId) -> Self {
        Self::new(&one.to_string(), &two.to_string())
    }

    pub(crate) fn new(one: &str, two: &str) -> Self {
        let mut pair = [one.to_lowercase(), two.to_lowercase()];
        pair.sort();
        Self(format!("dm:{}:{}", pair[0], pair[1]))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DmId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One of the groups that together are a DM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DmCopy {
    /// The group.
    pub group_id: GroupId,
    /// When its newest message was sent, in nanoseconds of Unix time; `None` without messages.
    pub last_message_ns: Option<i64>,
}

/// The group that stands for the DM: it is listed, and new messages go there. All who see the same
/// messages choose the same. `None` without groups.
#[must_use]
pub fn shown_dm<'a>(copies: impl IntoIterator<Item = &'a DmCopy>) -> Option<&'a DmCopy> {
    copies
        .into_iter()
        .max_by_key(|copy| (copy.last_message_ns.unwrap_or(0), &copy.group_id))
}

/// Why a DM that somebody invites us to is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DmError {
    /// The group context cannot be read.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The conversation is of another kind.
    #[error("the conversation is no dm")]
    NotDm,
    /// The two people are not named.
    #[error("the dm does not name its two members")]
    NoMembers,
    /// Another installation of ours made it, for other people.
    #[error("the dm comes from our own inbox, but we are not one of its members")]
    NotOurs,
    /// The two people are not the inviter and we.
    #[error("the members of the dm are not its sender and we")]
    OtherMembers,
    /// A DM has no admins.
    #[error("the dm has admins")]
    HasAdmins,
    /// None of the policies about members and roles is that of a DM.
    #[error("the permissions are not those of a dm")]
    Permissions,
}

/// Checks a DM that `sender` adds `me` to. Of a DM from our own inbox, only the names of the two
/// people are looked at.
///
/// # Errors
///
/// [`DmError`]. Permissions are wrong only when all five policies that are not about metadata
/// differ from those of a DM, for official clients look at it so.
pub fn check_dm(context: &ContextExtensions, sender: InboxId, me: InboxId) -> Result<(), DmError> {
    check_parts(
        context.metadata()?,
        || context.mutable_metadata(),
        || context.permissions(),
        sender,
        me,
    )
}

/// Likewise, wherever the context's parts come from. Each is read when it is needed only.
pub(crate) fn check_parts(
    metadata: GroupMetadata,
    mutable: impl FnOnce() -> Result<MutableMetadata, ContextError>,
    permissions: impl FnOnce() -> Result<PolicySet, ContextError>,
    sender: InboxId,
    me: InboxId,
) -> Result<(), DmError> {
    if metadata.kind != ConversationKind::Dm {
        return Err(DmError::NotDm);
    }
    let members = metadata.dm_members.ok_or(DmError::NoMembers)?;
    if sender == me {
        let ours = members.contains(me);
        return if ours { Ok(()) } else { Err(DmError::NotOurs) };
    }
    let pair = [&members.one, &members.two];
    let (sender, me) = (&sender.to_string(), &me.to_string());
    if pair != [sender, me] && pair != [me, sender] {
        return Err(DmError::OtherMembers);
    }
    let mutable = mutable()?;
    if !mutable.admins.is_empty() || !mutable.super_admins.is_empty() {
        return Err(DmError::HasAdmins);
    }
    let (policies, expected) = (permissions()?, PolicySet::dm());
    if policies.add_member != expected.add_member
        && policies.remove_member != expected.remove_member
        && policies.add_admin != expected.add_admin
        && policies.remove_admin != expected.remove_admin
        && policies.update_permissions != expected.update_permissions
    {
        return Err(DmError::Permissions);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        context::{AdminChange, NewConversation},
        permissions::{Policy, Trusted, Who},
        world::{SECRET, inbox},
    };

    #[test]
    fn a_pair_has_one_id_in_either_order() {
        let [one, two] = [
            "0ca47e6ae6d8139cd51133ed7413eb641ed566218ddd7dd60311226cd973bdfa",
            "d7c81d9b31c4e144796b2ecbf6c8a4b605d552beec2bde58152efb5995254739",
        ];
        let expected = format!("dm:{one}:{two}");
        let [one, two] = [one, two].map(|text| text.parse().unwrap());
        assert_eq!(DmId::of(one, two).as_str(), expected);
        assert_eq!(DmId::of(two, one).to_string(), expected);
    }

    #[test]
    fn the_copy_with_the_newest_message_is_shown_and_the_greater_id_decides_a_tie() {
        let copy = |id: u8, last_message_ns| DmCopy {
            group_id: GroupId::try_from(&[id; 16][..]).unwrap(),
            last_message_ns,
        };
        let copies = [copy(1, Some(5)), copy(2, None), copy(0, Some(5))];
        assert_eq!(shown_dm(&copies), Some(&copies[0]));
        let silent = [copy(1, None), copy(2, Some(0))];
        assert_eq!(shown_dm(&silent), Some(&silent[1]));
        assert_eq!(shown_dm(&[]), None);
    }

    #[test]
    fn a_dm_is_between_its_sender_and_us() {
        let (alice, bob, carol) = (inbox(1), inbox(2), inbox(3));
        let dm = NewConversation::dm(alice, bob, SECRET).extensions();
        assert_eq!(check_dm(&dm, alice, bob), Ok(()));
        assert_eq!(check_dm(&dm, bob, alice), Ok(()));
        assert_eq!(check_dm(&dm, carol, bob), Err(DmError::OtherMembers));
        assert_eq!(check_dm(&dm, alice, carol), Err(DmError::OtherMembers));
        assert_eq!(check_dm(&dm, alice, alice), Ok(()));
        assert_eq!(check_dm(&dm, carol, carol), Err(DmError::NotOurs));
        let group = NewConversation::group(alice, PolicySet::dm(), SECRET).extensions();
        assert_eq!(check_dm(&group, alice, bob), Err(DmError::NotDm));
    }

    #[test]
    fn a_dm_has_no_admins_and_its_permissions_may_differ_but_not_in_all_five() {
        let (alice, bob) = (inbox(1), inbox(2));
        let dm = NewConversation::dm(alice, bob, SECRET).extensions();
        let mut metadata = dm.mutable_metadata().unwrap();
        metadata.change_admins(AdminChange::AddSuperAdmin, alice);
        let ruled = dm.with_mutable_metadata(&metadata);
        assert_eq!(check_dm(&ruled, alice, bob), Err(DmError::HasAdmins));
        assert_eq!(
            check_dm(&ruled, bob, bob),
            Ok(()),
            "nobody looks at our own"
        );

        let mut policies = PolicySet::dm();
        policies.add_member = Policy::Base(Who::Everyone);
        policies.remove_member = Policy::Base(Who::Everyone);
        policies.add_admin = Policy::Base(Trusted::Admins);
        policies.remove_admin = Policy::Base(Trusted::Admins);
        assert_eq!(
            check_dm(&dm.with_permissions(&policies), alice, bob),
            Ok(())
        );
        policies.update_permissions = Policy::Base(Trusted::Admins);
        let open = dm.with_permissions(&policies);
        assert_eq!(check_dm(&open, alice, bob), Err(DmError::Permissions));
    }
}

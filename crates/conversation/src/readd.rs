//! The way back into a group for an installation that lost its state.
//!
//! It asks the super admins (in a DM, the other person) by a one-shot group; one of them removes it
//! and adds it again in one commit (`membership::plan_readd`). Before that, the group's minimum
//! version is raised so far that everybody understands such a commit.

use std::collections::BTreeSet;

use folkmoot_wire::{GroupId, InboxId, InstallationKey};

use crate::{
    context::{Attribute, Context, ConversationKind, OneshotMessage, ReaddRequest},
    facts::Leaf,
    version::{InvalidVersion, Version},
};

/// The request to be added again to a group, and who is to get it. `latest_commit_sequence_id` is
/// that of the newest commit that we know of.
#[must_use]
pub fn request(
    group_id: &GroupId,
    latest_commit_sequence_id: u64,
    context: &Context,
    me: InboxId,
) -> (OneshotMessage, BTreeSet<InboxId>) {
    let request = ReaddRequest {
        group_id: group_id.as_bytes().to_vec().into(),
        latest_commit_sequence_id,
    };
    let recipients = match (context.metadata.kind, &context.metadata.dm_members) {
        (ConversationKind::Dm, Some(members)) => members.other_than(me).into_iter().collect(),
        _ => {
            let super_admins = context.mutable.super_admins.iter();
            super_admins
                .filter_map(|inbox_id| inbox_id.parse().ok())
                .collect()
        }
    };
    (OneshotMessage::Readd(request), recipients)
}

/// Whether a request is worth keeping: the conversation is wanted, and who asks is in its tree.
#[must_use]
pub fn is_acceptable(is_allowed: bool, members: &[Leaf], sender: InstallationKey) -> bool {
    is_allowed && members.iter().any(|leaf| leaf.installation == sender)
}

/// Whether `me` can answer requests: that takes a super admin.
#[must_use]
pub fn can_answer(context: &Context, me: InboxId) -> bool {
    context.mutable.is_super_admin(me)
}

/// The version to which the group must be raised first; `None` when it asks for that much
/// already.
///
/// # Errors
///
/// [`InvalidVersion`] when the group asks for a version that cannot be read.
pub fn version_to_set_first(context: &Context) -> Result<Option<Version>, InvalidVersion> {
    let current = match context.mutable.get(Attribute::MinimumVersion) {
        Some(version) => version.parse()?,
        None => Version::new(0, 0, 0),
    };
    Ok((Version::READD > current).then_some(Version::READD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        context::NewConversation,
        permissions::PolicySet,
        world::{SECRET, inbox},
    };

    #[test]
    fn super_admins_are_asked_and_in_a_dm_the_other() {
        let group_id = GroupId::try_from(&[7; 16][..]).unwrap();
        let (alice, bob) = (inbox(1), inbox(2));
        let read = |new: NewConversation| Context::read(&new.extensions()).unwrap();
        let group = read(NewConversation::group(
            alice,
            PolicySet::all_members(),
            SECRET,
        ));
        let (message, recipients) = request(&group_id, 42, &group, bob);
        assert_eq!(recipients, BTreeSet::from([alice]));
        let OneshotMessage::Readd(asked) = message else {
            panic!("another message");
        };
        assert_eq!(asked.group_id(), Some(group_id.clone()));
        assert!(can_answer(&group, alice) && !can_answer(&group, bob));
        let dm = read(NewConversation::dm(alice, bob, SECRET));
        assert_eq!(request(&group_id, 42, &dm, alice).1, BTreeSet::from([bob]));
        assert_eq!(request(&group_id, 42, &dm, bob).1, BTreeSet::from([alice]));
    }

    #[test]
    fn requests_of_members_of_wanted_conversations_are_kept() {
        let key = InstallationKey::from_bytes([1; 32]);
        let leaf = Leaf {
            index: 0,
            inbox_id: inbox(1),
            installation: key,
        };
        assert!(is_acceptable(true, &[leaf], key));
        assert!(!is_acceptable(false, &[leaf], key));
        assert!(!is_acceptable(true, &[], key));
    }

    #[test]
    fn the_group_is_raised_to_the_version_that_knows_readds() {
        let new = NewConversation::group(inbox(1), PolicySet::all_members(), SECRET);
        let mut context = Context::read(&new.extensions()).unwrap();
        assert_eq!(version_to_set_first(&context), Ok(Some(Version::READD)));
        let mut with = |version: &str| {
            context
                .mutable
                .set(Attribute::MinimumVersion, version)
                .unwrap();
            version_to_set_first(&context)
        };
        assert_eq!(with("1.5.9"), Ok(Some(Version::READD)));
        assert_eq!(with("1.6.0"), Ok(None));
        assert!(with("soon").is_err());
    }
}

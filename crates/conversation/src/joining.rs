//! Whether a group that somebody invites us to may be joined.
//!
//! A welcome is believed only if the tree holds exactly the installations that follow from
//! the members' identity logs, less those that the group notes as failed. Then it depends on the
//! kind: a DM must be ours (`dm`), a one-shot group only delivers its message.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::{InboxId, InstallationKey};

use crate::{
    app_data::Dictionary,
    context::{
        ContextError, ConversationKind, DisappearingSettings, GroupMembership, OneshotMessage,
        Parts,
    },
    dm::{DmError, DmId, check_parts},
    facts::{Leaf, WelcomeFacts},
    membership::{DiffError, InboxStates, MAX_MEMBERS, NeededState, can_exist, exact},
    version::Version,
};

/// Inboxes of a group that are looked up, at most: far more than a group is allowed.
const MOST_INBOXES: usize = 4 * MAX_MEMBERS;

/// Bytes of a group's extensions, at most: 250 members with long names need a thirtieth.
const MOST_CONTEXT_BYTES: usize = 1 << 20;

/// What becomes of a welcome.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Admission {
    /// Join the group.
    Join(Joined),
    /// Take the message and throw the group away.
    Oneshot {
        /// Who sent it.
        sender: Leaf,
        /// The message; `None` when there is none after all.
        message: Option<OneshotMessage>,
    },
    /// Skip the welcome for good.
    Refuse(JoinRefusal),
    /// Nothing can be said before these states were looked up.
    Ask(Vec<NeededState>),
}

/// What is known about a group when it is joined.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Joined {
    /// The kind of conversation; never one-shot.
    pub kind: ConversationKind,
    /// What all copies of a DM have in common.
    pub dm_id: Option<DmId>,
    /// Who added us.
    pub added_by: Leaf,
    /// Whether our own inbox made the group: then it is wanted.
    pub is_own: bool,
    /// How long messages stay.
    pub disappearing: Option<DisappearingSettings>,
    /// The version that a group asks for and we do not understand: it stands still from the start.
    pub paused_for: Option<Version>,
}

/// Why a group is not joined.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JoinRefusal {
    /// The welcome wants a pre-shared key.
    #[error("pre-shared keys are not supported")]
    PreSharedKey,
    /// The group context cannot be read.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// More bytes than any group needs to say what it is. They would be read again and again.
    #[error("the group's context has {0} bytes; at most {MOST_CONTEXT_BYTES} are taken")]
    TooLarge(usize),
    /// More inboxes than any group has. Each would have to be looked up.
    #[error("the group claims {0} members; at most {MOST_INBOXES} are looked up")]
    TooManyMembers(usize),
    /// An inbox has no update with the sequence id that the membership names.
    #[error("inbox {} has no update with the sequence id {}", .0.inbox_id, .0.sequence_id)]
    MissingIdentityUpdate(NeededState),
    /// The log of an inbox is not valid up to there.
    #[error("the log of inbox {} is invalid up to the sequence id {}", .0.inbox_id, .0.sequence_id)]
    InvalidIdentityLog(NeededState),
    /// Somebody is in the tree who is no member.
    #[error("inbox {0} is in the tree, but no member")]
    NotMember(InboxId),
    /// A leaf is no installation of its inbox, or is in the tree twice.
    #[error("{installation} is no installation of inbox {inbox_id}, or is in the tree twice")]
    NotAnInstallation {
        /// The inbox that the credential names.
        inbox_id: InboxId,
        /// The key of the leaf.
        installation: InstallationKey,
    },
    /// An installation of a member is neither in the tree nor noted as failed.
    #[error("installation {installation} of inbox {inbox_id} is missing")]
    MissingInstallation {
        /// The member.
        inbox_id: InboxId,
        /// The installation.
        installation: InstallationKey,
    },
    /// The DM is not one that we may be in.
    #[error(transparent)]
    Dm(#[from] DmError),
}

/// The states of inboxes that the verdict on a welcome depends on: all members'.
#[must_use]
pub fn needed_to_join(welcome: &WelcomeFacts) -> Vec<NeededState> {
    let membership = match welcome.context.membership() {
        Err(ContextError::Missing(_)) => welcome.context.parts().membership(),
        membership => membership,
    };
    membership
        .ok()
        .filter(|membership| membership.members.len() <= MOST_INBOXES)
        .map(|membership| places(&membership).collect())
        .unwrap_or_default()
}

/// Judges a welcome for the inbox `me`, which understands groups up to `own`.
///
/// Whether the group is known already, at this epoch or a later one, is for the caller to see
/// before it joins.
#[must_use]
pub fn admit(
    welcome: &WelcomeFacts,
    me: InboxId,
    states: &InboxStates,
    own: &Version,
) -> Admission {
    examine(welcome, me, states, own).unwrap_or_else(|stop| match stop {
        Stop::Refuse(refusal) => Admission::Refuse(refusal),
        Stop::Ask => Admission::Ask(states.missing(needed_to_join(welcome))),
    })
}

enum Stop {
    Refuse(JoinRefusal),
    Ask,
}

impl<Refusal: Into<JoinRefusal>> From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal.into())
    }
}

fn examine(
    welcome: &WelcomeFacts,
    me: InboxId,
    states: &InboxStates,
    own: &Version,
) -> Result<Admission, Stop> {
    if welcome.wants_psk {
        return Err(JoinRefusal::PreSharedKey.into());
    }
    let bytes = welcome.context.0.values().map(|one| one.len()).sum();
    if bytes > MOST_CONTEXT_BYTES {
        return Err(JoinRefusal::TooLarge(bytes).into());
    }
    let dictionary = match Dictionary::of(&welcome.context) {
        Ok(Some(dictionary)) if dictionary.is_migrated() && *own >= Version::APP_DATA => {
            Some(dictionary)
        }
        _ => None,
    };
    let context = Parts::new(&welcome.context, dictionary);
    let membership = context.membership()?;
    if membership.members.len() > MOST_INBOXES {
        return Err(JoinRefusal::TooManyMembers(membership.members.len()).into());
    }
    check_tree(welcome, &membership, states)?;
    let metadata = context.metadata()?;
    if metadata.kind == ConversationKind::Oneshot {
        return Ok(Admission::Oneshot {
            sender: welcome.sender,
            message: metadata.oneshot,
        });
    }
    if metadata.kind == ConversationKind::Dm {
        check_parts(
            metadata.clone(),
            || context.mutable_metadata(),
            || context.permissions(),
            welcome.sender.inbox_id,
            me,
        )?;
    }
    // Attributes that cannot be read do not keep anybody out; commits will be refused.
    let mutable = context.mutable_metadata().ok();
    let minimum = mutable
        .as_ref()
        .and_then(|mutable| mutable.minimum_version());
    Ok(Admission::Join(Joined {
        kind: metadata.kind,
        dm_id: metadata.dm_members.as_ref().map(|members| members.dm_id()),
        added_by: welcome.sender,
        is_own: metadata.creator == me.to_string(),
        disappearing: mutable.as_ref().and_then(|mutable| mutable.disappearing()),
        paused_for: minimum
            .filter(|minimum| metadata.kind == ConversationKind::Group && minimum > own),
    }))
}

/// Compares the tree with the installations that the members have.
fn check_tree(
    welcome: &WelcomeFacts,
    membership: &GroupMembership,
    states: &InboxStates,
) -> Result<(), Stop> {
    let mut absent = BTreeMap::<InboxId, BTreeSet<InstallationKey>>::new();
    for (inbox_id, sequence_id) in &membership.members {
        let needed = NeededState {
            inbox_id: *inbox_id,
            sequence_id: *sequence_id,
        };
        let installations = exact(&needed, states).map_err(|error| match error {
            DiffError::NotGiven(_) => Stop::Ask,
            DiffError::InvalidIdentityLog(needed) => JoinRefusal::InvalidIdentityLog(needed).into(),
            DiffError::MissingIdentityUpdate(_) | DiffError::SequenceIdDecreased { .. } => {
                JoinRefusal::MissingIdentityUpdate(needed).into()
            }
        })?;
        absent.insert(*inbox_id, installations.clone());
    }
    for leaf in &welcome.members {
        let Leaf {
            inbox_id,
            installation,
            ..
        } = *leaf;
        let absent = absent
            .get_mut(&inbox_id)
            .ok_or(JoinRefusal::NotMember(inbox_id))?;
        if !absent.remove(&installation) {
            return Err(JoinRefusal::NotAnInstallation {
                inbox_id,
                installation,
            }
            .into());
        }
    }
    for (inbox_id, installations) in absent {
        for installation in installations {
            if !membership.has_failed(installation) {
                return Err(JoinRefusal::MissingInstallation {
                    inbox_id,
                    installation,
                }
                .into());
            }
        }
    }
    Ok(())
}

fn places(membership: &GroupMembership) -> impl Iterator<Item = NeededState> {
    membership
        .members
        .iter()
        .filter(|(_, sequence_id)| can_exist(**sequence_id))
        .map(|(inbox_id, sequence_id)| NeededState {
            inbox_id: *inbox_id,
            sequence_id: *sequence_id,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        context::{NewConversation, ReaddRequest},
        permissions::PolicySet,
        world::{Group, SECRET, World, inbox},
    };

    fn verdict(world: &World, welcome: &WelcomeFacts, me: InboxId) -> Admission {
        let states = world.states(needed_to_join(welcome));
        admit(welcome, me, &states, &Version::OWN)
    }

    fn joined(world: &World, welcome: &WelcomeFacts, me: InboxId) -> Joined {
        match verdict(world, welcome, me) {
            Admission::Join(joined) => joined,
            other => panic!("not joined: {other:?}"),
        }
    }

    #[test]
    fn a_group_is_joined_when_its_tree_is_what_the_logs_say() {
        let (world, people) = World::of::<3>();
        let [alice, bob, _] = people;
        let group = Group::of(&world, &people, PolicySet::all_members());
        let welcome = group.welcome(group.leaf(alice));
        let expected = Joined {
            kind: ConversationKind::Group,
            dm_id: None,
            added_by: group.leaf(alice),
            is_own: false,
            disappearing: None,
            paused_for: None,
        };
        assert_eq!(joined(&world, &welcome, bob), expected);
        assert!(joined(&world, &welcome, alice).is_own);
        let nothing_known = admit(&welcome, bob, &InboxStates::new(), &Version::OWN);
        assert_eq!(nothing_known, Admission::Ask(needed_to_join(&welcome)));
    }

    #[test]
    fn a_tree_with_too_many_or_too_few_is_refused() {
        let (mut world, people) = World::of::<3>();
        let [alice, bob, carol] = people;
        let tablet = world.install(bob);
        let group = Group::of(&world, &people[..2], PolicySet::all_members());
        let good = group.welcome(group.leaf(alice));
        let refused = |welcome: &WelcomeFacts| match verdict(&world, welcome, bob) {
            Admission::Refuse(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        };
        joined(&world, &good, bob);

        let mut too_few = good.clone();
        too_few.members.retain(|leaf| leaf.installation != tablet);
        let missing = JoinRefusal::MissingInstallation {
            inbox_id: bob,
            installation: tablet,
        };
        assert_eq!(refused(&too_few), missing);
        let mut membership = group.membership();
        membership.add_failed([tablet]);
        too_few.context = too_few.context.with_membership(&membership);
        joined(&world, &too_few, bob);

        let mut stranger = good.clone();
        stranger.members[0].installation = InstallationKey::from_bytes([0xee; 32]);
        assert!(matches!(
            refused(&stranger),
            JoinRefusal::NotAnInstallation { .. }
        ));
        let mut twice = good.clone();
        twice.members.push(good.members[0]);
        assert!(matches!(
            refused(&twice),
            JoinRefusal::NotAnInstallation { .. }
        ));
        let mut outsider = good.clone();
        outsider.members[0].inbox_id = carol;
        assert_eq!(refused(&outsider), JoinRefusal::NotMember(carol));

        let mut membership = group.membership();
        membership.members.insert(bob, world.latest(bob) + 1);
        let mut ahead = good.clone();
        ahead.context = ahead.context.with_membership(&membership);
        assert!(matches!(
            refused(&ahead),
            JoinRefusal::MissingIdentityUpdate(_)
        ));
        let mut psk = good;
        psk.wants_psk = true;
        assert_eq!(refused(&psk), JoinRefusal::PreSharedKey);
    }

    #[test]
    fn a_group_of_more_than_can_be_is_refused_before_anybody_is_looked_up() {
        let (world, people) = World::of::<2>();
        let mut group = Group::of(&world, &people, PolicySet::all_members());
        let mut membership = group.membership();
        for number in 0..=MOST_INBOXES as u64 {
            let mut id = [0xcc; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            membership.members.insert(InboxId::from_bytes(id), 1);
        }
        group.context = group.context.with_membership(&membership);
        let welcome = group.welcome(group.leaf(people[0]));
        assert_eq!(needed_to_join(&welcome), []);
        let refused = JoinRefusal::TooManyMembers(membership.members.len());
        let verdict = verdict(&world, &welcome, people[1]);
        assert_eq!(verdict, Admission::Refuse(refused));
    }

    #[test]
    fn a_one_shot_group_only_delivers_its_message() {
        let (world, people) = World::of::<2>();
        let [alice, bob] = people;
        let message = OneshotMessage::Readd(ReaddRequest {
            group_id: vec![7; 16].into(),
            latest_commit_sequence_id: 42,
        });
        let new = NewConversation::oneshot(alice, message.clone(), SECRET);
        let group = Group::made(&world, &new, &people);
        let sender = group.leaf(alice);
        let expected = Admission::Oneshot {
            sender,
            message: Some(message),
        };
        assert_eq!(verdict(&world, &group.welcome(sender), bob), expected);
    }

    #[test]
    fn a_dm_is_joined_under_its_id_and_only_if_it_is_ours() {
        let (world, people) = World::of::<2>();
        let [alice, bob] = people;
        let group = Group::made(&world, &NewConversation::dm(alice, bob, SECRET), &people);
        let welcome = group.welcome(group.leaf(alice));
        let dm_id = Some(DmId::of(alice, bob));
        assert_eq!(joined(&world, &welcome, bob).dm_id, dm_id);
        let refusal = verdict(&world, &welcome, inbox(9));
        let expected = JoinRefusal::Dm(DmError::OtherMembers);
        assert_eq!(refusal, Admission::Refuse(expected));
    }

    #[test]
    fn a_group_that_asks_for_more_is_joined_and_stands_still() {
        let (world, people) = World::of::<2>();
        let [alice, bob] = people;
        let mut group = Group::of(&world, &people, PolicySet::all_members());
        let mut metadata = group.metadata();
        metadata
            .set(crate::context::Attribute::MinimumVersion, "1.12.0")
            .unwrap();
        group.context = group.context.with_mutable_metadata(&metadata);
        let joined = joined(&world, &group.welcome(group.leaf(alice)), bob);
        assert_eq!(joined.paused_for, "1.12.0".parse().ok());
    }
}

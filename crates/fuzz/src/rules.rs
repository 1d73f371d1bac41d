//! Contexts of groups that members change: what they say, and whether a commit is in order.

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_conversation::{
    CommitFacts, ContextExtensions, Leaf, ProposalFact, ProposalKind, WelcomeFacts,
    app_data::{self, AppDataWriter},
    context::{Context, NewConversation},
    joining::{Admission, admit, needed_to_join},
    judge::{Verdict, judge, needed_states},
    membership::{InboxStates, NeededState},
    permissions::PolicySet,
    version::Version,
};
use folkmoot_wire::{GroupId, InboxId, InstallationKey};

/// Contexts before and after a commit, and changes of components in it. The input is a list of parts,
/// each with a slot in one byte and its length in two: the slot's low bits choose the extension
/// that the part is the data of (or a change, whose first two bytes are the component), its
/// highest bit the context after the commit instead of that before.
pub fn group_context(data: &[u8]) {
    let commit = commit(data);
    for context in [&commit.old, &commit.new] {
        match Context::read(context) {
            Ok(read) => rewrite(context, &read),
            Err(cause) => assert!(!cause.to_string().is_empty()),
        }
    }
    let changes = commit.proposals.iter().filter_map(|proposal| {
        let ProposalKind::AppDataUpdate { component, update } = &proposal.kind else {
            return None;
        };
        Some((*component, update.as_deref()))
    });
    if let Err(cause) = app_data::outcome(&commit.old, changes) {
        assert!(!cause.to_string().is_empty());
    }
    let welcome = WelcomeFacts {
        group_id: commit.group_id.clone(),
        epoch: commit.epoch,
        sender: ALICE,
        context: commit.old.clone(),
        members: commit.members.clone(),
        wants_psk: false,
    };
    for own in [Version::new(1, 10, 0), Version::OWN] {
        match judge(&commit, &states(needed_states(&commit)), &own) {
            Verdict::Accept(summary) => assert_eq!(summary.actor.inbox_id, ALICE.inbox_id),
            Verdict::Refuse(cause) => assert!(!cause.to_string().is_empty()),
            Verdict::Pause(version) => assert!(version > own),
            Verdict::Ask(needed) => panic!("{needed:?} was answered"),
        }
        match admit(
            &welcome,
            ALICE.inbox_id,
            &states(needed_to_join(&welcome)),
            &own,
        ) {
            Admission::Join(_) | Admission::Oneshot { .. } => {}
            Admission::Refuse(cause) => assert!(!cause.to_string().is_empty()),
            Admission::Ask(needed) => panic!("{needed:?} was answered"),
        }
    }
}

/// What a dictionary says can be written into it again.
fn rewrite(context: &ContextExtensions, read: &Context) {
    let Ok(writer) = AppDataWriter::new(context) else {
        return;
    };
    let attributes = &read.mutable.attributes;
    for (key, value) in attributes {
        if let Err(cause) = writer.clone().set_by_key(key, Some(value)) {
            assert!(!cause.to_string().is_empty());
        }
    }
    if let Err(cause) = writer.clone().set_permissions(&read.permissions) {
        assert!(!cause.to_string().is_empty());
    }
    if let Err(cause) = writer.set_membership(&read.membership, &BTreeMap::new()) {
        assert!(!cause.to_string().is_empty());
    }
}

/// Slots of the input.
const EXTENSIONS: [u16; 6] = [0xf000, 0xff00, 0xff01, 0xff02, 0x0006, 0x0003];

const ALICE: Leaf = Leaf {
    index: 0,
    inbox_id: InboxId::from_bytes([1; 32]),
    installation: InstallationKey::from_bytes([1; 32]),
};

fn commit(mut data: &[u8]) -> CommitFacts {
    let policies = PolicySet::all_members();
    let good = NewConversation::group(ALICE.inbox_id, policies, [9; 32]).extensions();
    let (mut old, mut new) = (good.clone(), good);
    let mut kinds = vec![ProposalKind::GroupContextExtensions];
    while let [slot, low, high, rest @ ..] = data {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (part, rest) = rest.split_at(length);
        data = rest;
        let context = if *slot < 0x80 { &mut old } else { &mut new };
        match EXTENSIONS.get(usize::from(slot & 7)) {
            Some(number) => set(context, *number, part),
            None => kinds.extend(change(part)),
        }
    }
    CommitFacts {
        group_id: GroupId::try_from(&[7; 16][..]).expect("not empty"),
        epoch: 1,
        committer: Some(ALICE),
        path_leaf: Some(ALICE),
        proposals: kinds
            .into_iter()
            .map(|kind| ProposalFact {
                proposer: Some(ALICE),
                kind,
            })
            .collect(),
        old,
        new,
        members: vec![ALICE],
    }
}

fn set(context: &mut ContextExtensions, number: u16, data: &[u8]) {
    if data.is_empty() {
        context.0.remove(&number);
    } else {
        context.0.insert(number, Bytes::copy_from_slice(data));
    }
}

fn change(part: &[u8]) -> Option<ProposalKind> {
    let [high, low, update @ ..] = part else {
        return None;
    };
    Some(ProposalKind::AppDataUpdate {
        component: u16::from_be_bytes([*high, *low]),
        update: (!update.is_empty()).then(|| Bytes::copy_from_slice(update)),
    })
}

/// Everybody has Alice's installation, from the first update on.
fn states(needed: Vec<NeededState>) -> InboxStates {
    let mut states = InboxStates::new();
    for needed in needed {
        states.insert_installations(needed, needed.sequence_id, [ALICE.installation]);
    }
    states
}

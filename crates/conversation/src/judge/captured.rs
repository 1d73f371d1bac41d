//! Commits of official clients, judged.

use std::collections::BTreeSet;

use folkmoot_wire::proto::xmtp::mls::api::v1::{WelcomeMessageInput, welcome_message_input};
use serde::Deserialize;

use super::{CommitKind, Verdict, judge, needed_states};
use crate::{
    Incoming, KeyPackageSecrets, Opened, StagedJoin,
    context::{Attribute, Context, ConversationKind},
    dm::DmId,
    engine::testing::delivered,
    facts::Leaf,
    joining::{Admission, Joined, admit, needed_to_join},
    membership::{InboxStates, NeededState},
    message_id,
    permissions::Preset,
    transcript,
    version::Version,
};

#[derive(Deserialize)]
struct Vectors {
    joiner: Joiner,
    dm_welcome_v1_for_joiner: Welcome,
    group_welcome_v1_for_joiner: Welcome,
    group_group_messages_in_order: Vec<GroupMessage>,
    group_stored_messages_at_creator: Vec<StoredMessage>,
    dm_stored_messages: Sides,
}

#[derive(Deserialize)]
struct Joiner {
    inbox_id: String,
    key_package: String,
    init_private_key: String,
    leaf_encryption_private_key: String,
    xwing_private_seed: String,
}

#[derive(Deserialize)]
struct Welcome {
    installation_key: String,
    data: String,
    hpke_public_key: String,
    wrapper_algorithm: i32,
    welcome_metadata: String,
}

#[derive(Deserialize)]
struct GroupMessage {
    data: String,
}

#[derive(Deserialize)]
struct Sides {
    b: Vec<StoredMessage>,
}

#[derive(Deserialize)]
struct StoredMessage {
    id: String,
    content: String,
    sent_at_ns: i64,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/mls.json")).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

impl Joiner {
    fn stage(&self, welcome: &Welcome) -> StagedJoin {
        let secrets = KeyPackageSecrets::from_parts(
            &bytes(&self.key_package),
            &bytes(&self.init_private_key),
            &bytes(&self.leaf_encryption_private_key),
            bytes(&self.xwing_private_seed).try_into().unwrap(),
        );
        let message = delivered(&WelcomeMessageInput {
            version: Some(welcome_message_input::Version::V1(
                welcome_message_input::V1 {
                    installation_key: bytes(&welcome.installation_key).into(),
                    data: bytes(&welcome.data).into(),
                    hpke_public_key: bytes(&welcome.hpke_public_key).into(),
                    wrapper_algorithm: welcome.wrapper_algorithm,
                    welcome_metadata: bytes(&welcome.welcome_metadata).into(),
                },
            )),
        });
        let Opened::Welcome(opened) = Opened::open(&message, &secrets).unwrap() else {
            panic!("a welcome, not a pointer");
        };
        StagedJoin::stage(&opened, &secrets).unwrap()
    }
}

/// States in which everybody has just the installations in the tree.
fn states(needed: Vec<NeededState>, members: &[Leaf]) -> InboxStates {
    let mut states = InboxStates::new();
    for needed in needed {
        let leaves = members
            .iter()
            .filter(|leaf| leaf.inbox_id == needed.inbox_id);
        let keys = leaves.map(|leaf| leaf.installation);
        states.insert_installations(needed, needed.sequence_id, keys);
    }
    states
}

fn join(vectors: &Vectors, staged: &StagedJoin) -> Joined {
    let facts = staged.facts();
    let states = states(needed_to_join(facts), &facts.members);
    let me = vectors.joiner.inbox_id.parse().unwrap();
    match admit(facts, me, &states, &Version::OWN) {
        Admission::Join(joined) => joined,
        other => panic!("not joined: {other:?}"),
    }
}

#[test]
fn the_commits_of_an_official_group_are_accepted_and_written_down_alike() {
    let vectors = vectors();
    let staged = vectors.joiner.stage(&vectors.group_welcome_v1_for_joiner);
    let joined = join(&vectors, &staged);
    assert_eq!((joined.kind, joined.dm_id), (ConversationKind::Group, None));
    let mut group = staged.finish().unwrap();
    let context = Context::read(&group.context()).unwrap();
    assert_eq!(context.permissions.preset(), Some(Preset::AllMembers));
    assert_eq!(context.membership.members.len(), 3);
    assert!(context.mutable.is_super_admin(joined.added_by.inbox_id));
    assert!(context.mutable.commit_log_signer().is_some());

    let mut asked_to_leave = BTreeSet::new();
    let mut kinds = Vec::new();
    for message in &vectors.group_group_messages_in_order {
        let commit = match group.process(&bytes(&message.data)) {
            Ok(Incoming::Commit(commit)) => commit,
            Ok(Incoming::Application { sender, .. }) => {
                // The last who speaks asks to leave.
                asked_to_leave = BTreeSet::from([sender.inbox_id]);
                continue;
            }
            _ => continue,
        };
        let facts = commit.facts();
        let states = states(needed_states(facts), &facts.members);
        let Verdict::Accept(summary) = judge(facts, &states, &Version::OWN) else {
            panic!("the official client accepted it");
        };
        kinds.push(summary.kind());
        if let Some(entry) = transcript::of_commit(&summary, &asked_to_leave) {
            let content = transcript::encode(&entry);
            let stored = vectors.group_stored_messages_at_creator.iter();
            let stored = stored
                .filter(|message| message.content == hex::encode(&content))
                .find(|message| {
                    let key = transcript::commit_key(message.sent_at_ns);
                    message_id(group.id(), &key, &content).to_string() == message.id
                });
            assert!(stored.is_some(), "{entry:?}");
        }
        group.merge(*commit).unwrap();
    }
    let expected = [
        CommitKind::Metadata,
        CommitKind::KeyUpdate,
        CommitKind::Membership,
    ];
    assert_eq!(kinds, expected);
    let context = Context::read(&group.context()).unwrap();
    assert_eq!(context.membership.members.len(), 2);
    assert_ne!(context.mutable.get(Attribute::GroupName), Some(""));
}

#[test]
fn an_official_dm_is_joined_under_its_id() {
    let vectors = vectors();
    let staged = vectors.joiner.stage(&vectors.dm_welcome_v1_for_joiner);
    let joined = join(&vectors, &staged);
    let me = vectors.joiner.inbox_id.parse().unwrap();
    let sender = joined.added_by.inbox_id;
    assert_eq!(joined.dm_id, Some(DmId::of(me, sender)));
    assert!(!joined.is_own);
    let group = staged.finish().unwrap();
    let context = Context::read(&group.context()).unwrap();
    assert_eq!(context.permissions.preset(), Some(Preset::Dm));

    let content = transcript::encode(&transcript::of_welcome(sender, me));
    let stored = &vectors.dm_stored_messages.b[0];
    assert_eq!(hex::encode(&content), stored.content);
    let key = transcript::welcome_key(stored.sent_at_ns);
    let id = message_id(group.id(), &key, &content);
    assert_eq!(id.to_string(), stored.id);
}

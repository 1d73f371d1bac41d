//! The engine of groups, driven by arbitrary sequences of what members and networks do.
//!
//! Three members say and change things, and what they send reaches each of them in any order, more
//! than once, damaged, or not at all; they forget what they did not store. Whatever happens, nobody
//! panics, an error leaves no trace, nobody reads what was not said, and who merged the same commits
//! is in the same epoch.

use std::{collections::BTreeMap, sync::LazyLock, time::SystemTime};

use folkmoot_conversation::{
    CommitPlan, Group, Incoming, Installation, KeyPackageIn, NewKeyPackage, Opened, StagedJoin,
    context::NewConversation, permissions::PolicySet,
};
use folkmoot_identity::InstallationSecret;
use folkmoot_wire::{GroupId, InboxId};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::groups::delivered;

/// A group as it is stored.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A group of three in its first epoch: what each member has stored.
static BEGINNING: LazyLock<[Rows; 3]> = LazyLock::new(|| {
    let mut entropy = StdRng::from_seed([3; 32]);
    let now = SystemTime::now();
    let context = NewConversation::group(inbox(0), PolicySet::all_members(), [9; 32]);
    let context = context.extensions();
    let mut founder = Group::create(&installation(0), &group_id(), &context, now, &mut entropy)
        .expect("three people may have a group");
    let invited: Vec<NewKeyPackage> = [1, 2]
        .map(|member| NewKeyPackage::make(&installation(member), now, &mut entropy))
        .into();
    let adds = invited.iter().map(|made| {
        let package = KeyPackageIn::decode(&made.bytes).and_then(|package| package.verify(now));
        package.expect("we make good key packages")
    });
    let plan = CommitPlan {
        adds: adds.collect(),
        ..CommitPlan::default()
    };
    let commit = founder
        .commit(&installation(0), plan, &mut entropy)
        .expect("people can be added");
    founder.merge_own(&commit.staged).expect("it is ours");
    let sealed = commit
        .welcome
        .expect("people were added")
        .seal(1, &mut entropy);
    let mut joined = sealed.iter().zip(&invited).map(|(welcome, made)| {
        let Ok(Opened::Welcome(welcome)) = Opened::open(&delivered(welcome), &made.secrets) else {
            panic!("two are welcomed without a pointer");
        };
        let join = StagedJoin::stage(&welcome, &made.secrets).expect("the welcome is ours");
        join.finish().expect("the welcome is good")
    });
    let (one, two) = (joined.next(), joined.next());
    let groups = [founder, one.expect("two joined"), two.expect("two joined")];
    groups.map(|mut group| {
        let mut rows = Rows::new();
        keep(&mut group, &mut rows);
        rows
    })
});

/// Something that a member sent, and after which commits.
struct Sent {
    by: usize,
    after: Vec<usize>,
    bytes: Vec<u8>,
    what: What,
}

enum What {
    Text(Vec<u8>),
    /// What its maker keeps to merge it.
    Commit(Vec<u8>),
}

struct Member {
    me: Installation,
    group: Group,
    stored: Rows,
    /// The commits that were merged, by their places in what was sent.
    merged: Vec<usize>,
    merged_and_stored: Vec<usize>,
}

impl Member {
    fn store(&mut self) {
        keep(&mut self.group, &mut self.stored);
        self.merged_and_stored = self.merged.clone();
    }

    /// Applies a commit by its place.
    fn note(&mut self, commit: usize) {
        self.merged.push(commit);
        self.store();
    }
}

/// Runs a sequence: three bytes for each step, which are what, who, and which.
pub fn engine(data: &[u8]) {
    let mut entropy = StdRng::from_seed([5; 32]);
    let mut members: Vec<Member> = BEGINNING
        .iter()
        .enumerate()
        .map(|(member, rows)| Member {
            me: installation(member),
            group: Group::load(&group_id(), rows.clone()).expect("it was stored whole"),
            stored: rows.clone(),
            merged: Vec::new(),
            merged_and_stored: Vec::new(),
        })
        .collect();
    let mut sent = Vec::new();
    for step in data.chunks_exact(3).take(MOST_STEPS) {
        let (who, which) = (usize::from(step[1] % 3), usize::from(step[2]));
        match step[0] % 8 {
            0 => say(&mut members[who], who, which, &mut sent, &mut entropy),
            1..4 => change(
                &mut members[who],
                who,
                (step[0] % 8, step[2]),
                &mut sent,
                &mut entropy,
            ),
            4 => {
                // The program ends without having stored what it did last.
                let member = &mut members[who];
                member.group =
                    Group::load(&group_id(), member.stored.clone()).expect("it was stored whole");
                member.merged = member.merged_and_stored.clone();
            }
            kind => {
                let place = which % sent.len().max(1);
                if let Some(message) = sent.get(place) {
                    let damage = (kind == 5).then_some(step[1] | 1);
                    deliver(&mut members, who, place, message, damage);
                }
            }
        }
        same_history_same_epoch(&members);
    }
}

fn say(member: &mut Member, by: usize, which: usize, sent: &mut Vec<Sent>, entropy: &mut StdRng) {
    let text = format!("{by} says {which} as number {}", sent.len()).into_bytes();
    match member.group.seal(&member.me, &text, entropy) {
        Ok(bytes) => {
            sent.push(Sent {
                by,
                after: member.merged.clone(),
                bytes,
                what: What::Text(text),
            });
            member.store();
        }
        Err(cause) => assert!(!member.group.is_active(), "{cause}"),
    }
}

fn change(
    member: &mut Member,
    by: usize,
    (kind, which): (u8, u8),
    sent: &mut Vec<Sent>,
    entropy: &mut StdRng,
) {
    let mut plan = CommitPlan::default();
    match kind {
        1 => {}
        2 => {
            let context = member.group.context();
            let mut mutable = context.mutable_metadata().expect("it is one of ours");
            let key = "group_name".to_owned();
            mutable.attributes.insert(key, format!("name {which}"));
            plan.context = Some(context.with_mutable_metadata(&mutable));
        }
        _ => plan.removes = vec![u32::from(which % 4)],
    }
    let possible = member.group.is_active()
        && plan.removes.iter().all(|leaf| {
            let leaves = member.group.members();
            let own = member.group.own_leaf();
            leaves.iter().any(|one| one.index == *leaf) && own.is_some_and(|own| own.index != *leaf)
        });
    match member.group.commit(&member.me, plan, entropy) {
        Ok(commit) => {
            sent.push(Sent {
                by,
                after: member.merged.clone(),
                bytes: commit.message,
                what: What::Commit(commit.staged.to_vec()),
            });
            member.store();
        }
        Err(cause) => assert!(!possible, "{cause}"),
    }
}

/// A message reaches a member, perhaps with a byte changed.
fn deliver(members: &mut [Member], who: usize, place: usize, message: &Sent, damage: Option<u8>) {
    let author = members[message.by].me.key();
    let member = &mut members[who];
    let same = member.merged == message.after && member.group.is_active();
    let mut bytes = message.bytes.clone();
    if let Some(damage) = damage {
        let last = bytes.len() - 1;
        bytes[last - usize::from(damage) % (last / 2)] ^= damage;
    }
    if let (What::Commit(staged), None) = (&message.what, damage)
        && message.by == who
    {
        let merged = member.group.merge_own(staged);
        assert_eq!(merged.is_ok(), same, "{merged:?}");
        if merged.is_ok() {
            member.note(place);
        }
        return;
    }
    let epoch = member.group.epoch();
    match member.group.process(&bytes) {
        Ok(Incoming::Application {
            sender, plaintext, ..
        }) => {
            assert!(damage.is_none(), "what was changed does not decrypt");
            let What::Text(text) = &message.what else {
                panic!("a commit is no text");
            };
            assert_eq!(&plaintext, text);
            assert_eq!(sender.installation, author);
            assert!(member.merged.starts_with(&message.after));
            member.store();
        }
        Ok(Incoming::Commit(commit)) => {
            assert!(damage.is_none() && same, "only what fits is staged");
            member.group.merge(*commit).expect("what fits is merged");
            member.note(place);
        }
        Ok(Incoming::Own { .. }) => assert_eq!(message.by, who),
        Ok(other) => panic!("nobody sent such a thing: {other:?}"),
        Err(cause) => {
            let genuine = damage.is_none() && matches!(message.what, What::Commit(_));
            assert!(!(genuine && same), "a commit that fits is taken: {cause}");
            assert_eq!(member.group.epoch(), epoch);
        }
    }
}

fn same_history_same_epoch(members: &[Member]) {
    for (at, one) in members.iter().enumerate() {
        for other in &members[at + 1..] {
            if one.group.is_active() && other.group.is_active() {
                assert_eq!(
                    one.merged == other.merged,
                    one.group.epoch_authenticator() == other.group.epoch_authenticator(),
                );
            }
        }
    }
}

fn keep(group: &mut Group, rows: &mut Rows) {
    for change in group.take_changes() {
        match change.value {
            Some(value) => rows.insert(change.key, value.to_vec()),
            None => rows.remove(&change.key),
        };
    }
}

fn inbox(member: usize) -> InboxId {
    InboxId::from_bytes([seed(member); 32])
}

fn installation(member: usize) -> Installation {
    let secret = InstallationSecret::from_seed(&[seed(member); 32]);
    Installation::new(inbox(member), secret)
}

fn seed(member: usize) -> u8 {
    u8::try_from(member).expect("there are three") + 0x21
}

fn group_id() -> GroupId {
    GroupId::try_from(&[0x6d; 16][..]).expect("16 bytes are an id")
}

/// So that one input does not take seconds.
const MOST_STEPS: usize = 60;

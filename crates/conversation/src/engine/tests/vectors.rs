//! Groups of the official client, joined and followed.

use prost::Message as _;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use folkmoot_wire::proto::xmtp::mls::{
    api::v1::{WelcomeMessage, WelcomeMessageInput, welcome_message, welcome_message_input},
    message_contents::{PlaintextEnvelope, plaintext_envelope::Content},
};

use crate::{
    ContentType, Group, Incoming, KeyPackageSecrets, Opened, OpenedWelcome, ProcessError,
    StagedJoin, engine::testing::delivered, wrapped_to,
};

#[derive(Deserialize)]
struct Vectors {
    joiner: Joiner,
    dm_welcome_v1_for_joiner: Welcome,
    dm_welcome_plaintext: String,
    dm_group_messages_in_order: Vec<GroupMessage>,
    dm_stored_messages: Sides<StoredMessage>,
    dm_local_commit_log: Sides<LogEntry>,
    group_welcome_v1_for_joiner: Welcome,
    group_welcome_plaintext: String,
    group_group_messages_in_order: Vec<GroupMessage>,
    group_stored_messages_at_creator: Vec<StoredMessage>,
    group_local_commit_log_at_creator: Vec<LogEntry>,
    welcome_pointer_batch: Vec<Envelope>,
    welcome_pointer_recipient_xwing_seeds: Vec<String>,
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
#[serde(rename_all = "snake_case")]
enum Envelope {
    V1(Welcome),
    WelcomePointer {
        installation_key: String,
        welcome_pointer: String,
        hpke_public_key: String,
        wrapper_algorithm: i32,
    },
}

#[derive(Deserialize)]
struct GroupMessage {
    data: String,
}

#[derive(Deserialize)]
struct Sides<T> {
    a: Vec<T>,
    b: Vec<T>,
}

#[derive(Deserialize)]
struct StoredMessage {
    id: String,
    content: String,
    sender_inbox_id: String,
}

#[derive(Deserialize)]
struct LogEntry {
    applied_epoch_number: u64,
    applied_epoch_authenticator: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../tests/vectors/mls.json")).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

impl Joiner {
    fn secrets(&self) -> KeyPackageSecrets {
        self.secrets_with(&self.xwing_private_seed)
    }

    fn secrets_with(&self, seed: &str) -> KeyPackageSecrets {
        KeyPackageSecrets::from_parts(
            &bytes(&self.key_package),
            &bytes(&self.init_private_key),
            &bytes(&self.leaf_encryption_private_key),
            bytes(seed).try_into().unwrap(),
        )
    }
}

impl Welcome {
    fn message(&self) -> WelcomeMessage {
        delivered(&WelcomeMessageInput {
            version: Some(welcome_message_input::Version::V1(
                welcome_message_input::V1 {
                    installation_key: bytes(&self.installation_key).into(),
                    data: bytes(&self.data).into(),
                    hpke_public_key: bytes(&self.hpke_public_key).into(),
                    wrapper_algorithm: self.wrapper_algorithm,
                    welcome_metadata: bytes(&self.welcome_metadata).into(),
                },
            )),
        })
    }
}

fn open(welcome: &Welcome, secrets: &KeyPackageSecrets) -> OpenedWelcome {
    let message = welcome.message();
    assert_eq!(wrapped_to(&message), Some(secrets.wrapper_key()));
    match Opened::open(&message, secrets).unwrap() {
        Opened::Welcome(opened) => opened,
        other => panic!("{other:?}"),
    }
}

/// The id that the official client gave to a message.
fn message_id(group: &Group, plaintext: &[u8]) -> (String, String) {
    let envelope = PlaintextEnvelope::decode(plaintext).unwrap();
    let Some(Content::V1(v1)) = envelope.content else {
        panic!("no V1");
    };
    let mut hash = Sha256::new();
    hash.update(group.id().as_bytes());
    hash.update(b"\t");
    hash.update(v1.idempotency_key);
    hash.update(b"\t");
    hash.update(&v1.content);
    (hex::encode(hash.finalize()), hex::encode(v1.content))
}

fn check_epoch(group: &Group, log: &[LogEntry]) {
    let entry = log
        .iter()
        .find(|entry| entry.applied_epoch_number == group.epoch())
        .unwrap();
    assert_eq!(
        hex::encode(group.epoch_authenticator()),
        entry.applied_epoch_authenticator
    );
}

fn check_stored(group: &Group, sender: &crate::Leaf, plaintext: &[u8], stored: &[StoredMessage]) {
    let (id, content) = message_id(group, plaintext);
    let found = stored.iter().find(|message| message.id == id).unwrap();
    assert_eq!(content, found.content);
    assert_eq!(sender.inbox_id.to_string(), found.sender_inbox_id);
}

#[test]
fn an_official_group_is_joined_and_followed() {
    let vectors = vectors();
    let secrets = vectors.joiner.secrets();
    let opened = open(&vectors.group_welcome_v1_for_joiner, &secrets);
    assert_eq!(opened.message, bytes(&vectors.group_welcome_plaintext));
    assert_eq!(opened.message_cursor(), 4);

    let staged = StagedJoin::stage(&opened, &secrets).unwrap();
    let facts = staged.facts();
    assert_eq!((facts.epoch, facts.members.len()), (1, 3));
    assert!(!facts.wants_psk);
    let creator = &vectors.group_stored_messages_at_creator[0].sender_inbox_id;
    assert_eq!(&facts.sender.inbox_id.to_string(), creator);
    let types: Vec<_> = facts.context.0.keys().copied().collect();
    assert_eq!(types, [0x0003, 0xf000, 0xff00, 0xff01, 0xff02]);
    // The immutable metadata has one more length inside.
    assert_eq!(facts.context.0[&0xf000][..4], [0x40, 0x44, 0x08, 0x01]);

    let mut group = staged.finish().unwrap();
    let own = group.own_leaf().unwrap();
    assert_eq!(own.inbox_id.to_string(), vectors.joiner.inbox_id);
    check_epoch(&group, &vectors.group_local_commit_log_at_creator);

    let (mut texts, mut commits) = (0, 0);
    for message in &vectors.group_group_messages_in_order {
        match group.process(&bytes(&message.data)) {
            Err(ProcessError::PastEpoch {
                epoch: 0,
                current: 1,
                content: ContentType::Commit,
            }) => {}
            Ok(Incoming::Application {
                sender, plaintext, ..
            }) => {
                let stored = &vectors.group_stored_messages_at_creator;
                check_stored(&group, &sender, &plaintext, stored);
                texts += 1;
            }
            Ok(Incoming::Commit(commit)) => {
                assert_eq!(commit.facts().path_leaf, commit.facts().committer);
                group.merge(*commit).unwrap();
                check_epoch(&group, &vectors.group_local_commit_log_at_creator);
                commits += 1;
            }
            other => panic!("{other:?}"),
        }
        // As after a restart.
        let rows = group.all_rows();
        group = Group::load(&group.id().clone(), rows).unwrap();
    }
    assert_eq!((texts, commits, group.epoch()), (2, 3, 4));
    assert_eq!(group.members().len(), 2);
}

#[test]
fn an_official_dm_is_joined_and_read() {
    let vectors = vectors();
    let secrets = vectors.joiner.secrets();
    let opened = open(&vectors.dm_welcome_v1_for_joiner, &secrets);
    assert_eq!(opened.message, bytes(&vectors.dm_welcome_plaintext));
    assert_eq!(opened.message_cursor(), 1);
    let mut group = StagedJoin::stage(&opened, &secrets)
        .unwrap()
        .finish()
        .unwrap();
    check_epoch(&group, &vectors.dm_local_commit_log.b);
    check_epoch(&group, &vectors.dm_local_commit_log.a);

    let messages = &vectors.dm_group_messages_in_order;
    let mut results = messages.iter().map(|message| {
        let result = group.process(&bytes(&message.data));
        (result, group.epoch())
    });
    assert!(matches!(
        results.next().unwrap().0,
        Err(ProcessError::PastEpoch { epoch: 0, .. })
    ));
    let Ok(Incoming::Application {
        sender, plaintext, ..
    }) = results.next().unwrap().0
    else {
        panic!("a text follows");
    };
    // The joiner's own key update, whose secrets were lost with its maker; it ends our part.
    assert!(matches!(
        results.next().unwrap().0,
        Ok(Incoming::Own {
            epoch: 1,
            content: ContentType::Commit
        })
    ));
    assert!(matches!(
        results.next().unwrap().0,
        Err(ProcessError::FutureEpoch {
            epoch: 2,
            current: 1,
            ..
        })
    ));
    drop(results);
    check_stored(&group, &sender, &plaintext, &vectors.dm_stored_messages.b);
    check_stored(&group, &sender, &plaintext, &vectors.dm_stored_messages.a);
}

#[test]
fn official_pointers_lead_to_one_welcome() {
    let vectors = vectors();
    let Envelope::V1(pointee) = &vectors.welcome_pointer_batch[0] else {
        panic!("the pointee comes first");
    };
    let mut opened = Vec::new();
    for envelope in &vectors.welcome_pointer_batch[1..] {
        let Envelope::WelcomePointer {
            installation_key,
            welcome_pointer,
            hpke_public_key,
            wrapper_algorithm,
        } = envelope
        else {
            panic!("pointers follow");
        };
        let message = WelcomeMessage {
            version: Some(welcome_message::Version::WelcomePointer(
                welcome_message::WelcomePointer {
                    id: 1,
                    created_ns: 1,
                    installation_key: bytes(installation_key).into(),
                    welcome_pointer: bytes(welcome_pointer).into(),
                    hpke_public_key: bytes(hpke_public_key).into(),
                    wrapper_algorithm: *wrapper_algorithm,
                },
            )),
        };
        let secrets = vectors
            .welcome_pointer_recipient_xwing_seeds
            .iter()
            .map(|seed| vectors.joiner.secrets_with(seed))
            .find(|secrets| wrapped_to(&message) == Some(secrets.wrapper_key()))
            .unwrap();
        let Opened::Pointer(pointer) = Opened::open(&message, &secrets).unwrap() else {
            panic!("a pointer");
        };
        assert_eq!(pointer.destination().to_string(), pointee.installation_key);
        opened.push(pointer.open(&pointee.message()).unwrap());
    }
    assert_eq!(opened.len(), 4);
    assert!(opened.iter().all(|welcome| welcome == &opened[0]));
    assert_eq!(opened[0].message[..4], [0, 1, 0, 3]);
    assert!(opened[0].message_cursor() > 0);
}

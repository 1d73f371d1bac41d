//! What the engine of groups reads: messages for a stored group, and welcomes.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use folkmoot_conversation::{
    Group, Incoming, Installation, Invitation, KeyPackageIn, NewKeyPackage, Opened,
    PreparedWelcome, StagedJoin,
};
use folkmoot_identity::InstallationSecret;
use folkmoot_wire::{
    InboxId,
    proto::xmtp::mls::api::v1::{
        WelcomeMessage, WelcomeMessageInput, welcome_message, welcome_message_input,
    },
};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value as Json;

use crate::parsers::WHEN_SEEDS_ARE_VALID;

/// A group as it was stored, with the commit of the vector as a genuine message for it.
static STORED: LazyLock<Stored> = LazyLock::new(|| {
    let text = include_str!("../../conversation/tests/vectors/expired.json");
    let vector: Json = serde_json::from_str(text).expect("the vector is JSON");
    let bytes = |text: &Json| {
        let text = text.as_str().expect("the vector has texts here");
        hex::decode(text).expect("the vector has hex here")
    };
    let rows = vector["rows"].as_array().into_iter().flatten();
    Stored {
        id: bytes(&vector["group_id"]),
        rows: rows.map(|row| (bytes(&row[0]), bytes(&row[1]))).collect(),
        commit: bytes(&vector["commit"]),
    }
});

struct Stored {
    id: Vec<u8>,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    commit: Vec<u8>,
}

impl Stored {
    fn load(&self) -> Group {
        let id = self.id.clone().try_into().expect("the vector has an id");
        Group::load(&id, self.rows.clone()).expect("the vector is a group")
    }
}

/// Messages for a group. The first byte says whether the rest is a message, the ciphertext of one
/// in the group's epoch, or what changes in a genuine one: places and what is added there.
pub fn group(data: &[u8]) {
    let Some((kind, rest)) = crate::first(data) else {
        return;
    };
    let mut message = match kind % 3 {
        0 => rest.to_vec(),
        1 => [&STORED.commit[..40], rest].concat(),
        _ => STORED.commit.clone(),
    };
    if kind % 3 == 2 {
        for change in rest.chunks_exact(3) {
            let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
            let length = message.len();
            message[place % length] ^= change[2];
        }
    }
    let mut group = STORED.load();
    let epoch = group.epoch();
    match group.process(&message) {
        Ok(Incoming::Commit(commit)) => {
            let again = group
                .staged(&commit.to_bytes())
                .expect("what was stored is read");
            assert_eq!(again.facts(), commit.facts());
        }
        Ok(_) => {}
        Err(cause) => {
            assert!(!cause.to_string().is_empty());
            assert_eq!(group.take_changes(), [], "an error leaves no trace");
        }
    }
    assert_eq!(group.epoch(), epoch, "nothing is merged unasked");
}

/// A key package of ours that is the same in each run.
static KEY_PACKAGE: LazyLock<(NewKeyPackage, Invitation)> = LazyLock::new(|| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(WHEN_SEEDS_ARE_VALID);
    let secret = InstallationSecret::from_seed(&[7; 32]);
    let me = Installation::new(InboxId::from_bytes([7; 32]), secret);
    let made = NewKeyPackage::make(&me, now, &mut StdRng::from_seed([7; 32]));
    let verified = KeyPackageIn::decode(&made.bytes).and_then(|package| package.verify(now));
    let verified = verified.expect("we make good key packages");
    let invitation = Invitation::to(&verified).expect("we make good key packages");
    (made, invitation)
});

/// Welcomes. The first byte says whether the rest is an envelope of the one or the other kind, or
/// what lies in an envelope that is properly sealed for us.
pub fn welcome(data: &[u8]) {
    let Some((kind, rest)) = crate::first(data) else {
        return;
    };
    let (made, invitation) = &*KEY_PACKAGE;
    let envelope = match kind % 4 {
        kind @ (0 | 1) => WelcomeMessage {
            version: Some(welcome_message::Version::V1(welcome_message::V1 {
                data: rest.to_vec().into(),
                wrapper_algorithm: if kind == 0 { 1 } else { 2 },
                ..Default::default()
            })),
        },
        2 => WelcomeMessage {
            version: Some(welcome_message::Version::WelcomePointer(
                welcome_message::WelcomePointer {
                    welcome_pointer: rest.to_vec().into(),
                    wrapper_algorithm: 2,
                    ..Default::default()
                },
            )),
        },
        _ => {
            let welcome = PreparedWelcome::new(rest.to_vec(), vec![invitation.clone()]);
            let stored = PreparedWelcome::from_bytes(&welcome.to_bytes());
            assert_eq!(stored.as_ref(), Ok(&welcome), "what was stored is read");
            let sealed = welcome.seal(1, &mut StdRng::from_seed([1; 32]));
            delivered(&sealed[0])
        }
    };
    match Opened::open(&envelope, &made.secrets) {
        Ok(Opened::Welcome(opened)) => {
            if let Err(cause) = StagedJoin::stage(&opened, &made.secrets) {
                assert!(!cause.to_string().is_empty());
            }
        }
        Ok(Opened::Pointer(pointer)) => assert!(pointer.open(&envelope).is_err()),
        Err(cause) => {
            assert!(kind % 4 != 3, "what is sealed for us opens: {cause}");
            assert!(!cause.to_string().is_empty());
        }
    }
}

/// What a node makes of a sealed welcome.
pub(crate) fn delivered(input: &WelcomeMessageInput) -> WelcomeMessage {
    let Some(welcome_message_input::Version::V1(input)) = input.version.clone() else {
        return WelcomeMessage::default();
    };
    WelcomeMessage {
        version: Some(welcome_message::Version::V1(welcome_message::V1 {
            data: input.data,
            wrapper_algorithm: input.wrapper_algorithm,
            welcome_metadata: input.welcome_metadata,
            ..Default::default()
        })),
    }
}

use proptest::prelude::*;

use super::*;
use crate::{
    JoinError,
    engine::testing::{CURSOR, Person, addressee, delivered},
};

fn prepared(n: u8) -> (PreparedWelcome, Vec<KeyPackageSecrets>, Person) {
    let mut alice = Person::new(1).founds();
    let (packages, secrets): (Vec<_>, Vec<_>) = (0..n)
        .map(|number| Person::new(number + 2).key_package())
        .unzip();
    let commit = alice.commits(crate::CommitPlan {
        adds: packages,
        ..crate::CommitPlan::default()
    });
    (commit.welcome.unwrap(), secrets, alice.person)
}

#[test]
fn two_installations_get_the_welcome_each_and_three_a_pointer() {
    for (invited, envelopes, pointers) in [(1, 1, 0), (2, 2, 0), (3, 4, 3), (5, 6, 5)] {
        let (welcome, secrets, mut alice) = prepared(invited);
        let sealed = welcome.seal(CURSOR, &mut alice.entropy);
        assert_eq!(sealed.len(), envelopes);
        let delivered: Vec<_> = sealed.iter().map(delivered).collect();
        let mut found = 0;
        for envelope in &delivered {
            let Some(secrets) = secrets
                .iter()
                .find(|secrets| wrapped_to(envelope) == Some(secrets.wrapper_key()))
            else {
                continue;
            };
            let opened = match Opened::open(envelope, secrets).unwrap() {
                Opened::Welcome(opened) => opened,
                Opened::Pointer(pointer) => {
                    found += 1;
                    let destination = pointer.destination();
                    assert_eq!(addressee(&delivered[0]), destination.as_bytes());
                    pointer.open(&delivered[0]).unwrap()
                }
            };
            assert_eq!(opened.message_cursor(), CURSOR);
            assert_eq!(opened.message, welcome.message);
            let staged = StagedJoin::stage(&opened, secrets).unwrap();
            assert_eq!(staged.facts().members.len(), usize::from(invited) + 1);
        }
        assert_eq!(found, pointers);
    }
}

#[test]
fn without_x_wing_the_welcome_is_wrapped_to_the_init_key() {
    let (mut package, secrets) = Person::new(2).key_package();
    package.wrapper = None;
    let invitation = Invitation::to(&package).unwrap();
    let welcome = PreparedWelcome::new(b"welcome".to_vec(), vec![invitation; 3]);
    let sealed = welcome.seal(CURSOR, &mut Person::new(1).entropy);
    // The enum of pointers has no number for X25519.
    assert_eq!(sealed.len(), 3);
    let envelope = delivered(&sealed[0]);
    assert_eq!(wrapped_to(&envelope), Some(secrets.init_key()));
    let Opened::Welcome(opened) = Opened::open(&envelope, &secrets).unwrap() else {
        panic!("no pointer");
    };
    assert_eq!(opened.message, b"welcome");
}

#[test]
fn an_unusable_wrapper_key_is_found_before_the_commit() {
    let (package, _) = Person::new(2).key_package();
    let wrapper = |algorithm, pub_key: &[u8]| {
        let wrapper = WelcomeWrapperEncryption {
            pub_key: pub_key.to_vec().into(),
            algorithm,
        };
        let mut package = package.clone();
        package.wrapper = Some(wrapper.encode_to_vec());
        Invitation::to(&package)
    };
    assert!(wrapper(1, &[9; 32]).is_ok());
    assert_eq!(wrapper(1, &[9; 31]), Err(WelcomeError::Wrapper));
    assert_eq!(wrapper(2, &[9; 32]), Err(WelcomeError::Wrapper));
    assert_eq!(wrapper(3, &[9; 32]), Err(WelcomeError::Algorithm(3)));
    // What official clients do with a number that they do not know.
    assert!(wrapper(99, &[9; 32]).is_ok());
}

#[test]
fn a_welcome_for_another_key_package_is_refused() {
    let (welcome, secrets, mut alice) = prepared(2);
    let sealed = welcome.seal(CURSOR, &mut alice.entropy);
    let (_, stranger) = Person::new(9).key_package();
    let envelope = delivered(&sealed[0]);
    assert!(matches!(
        Opened::open(&envelope, &stranger),
        Err(WelcomeError::Hpke(_))
    ));
    let Opened::Welcome(opened) = Opened::open(&envelope, &secrets[0]).unwrap() else {
        panic!("no pointer");
    };
    assert_eq!(
        StagedJoin::stage(&opened, &stranger).err(),
        Some(JoinError::OtherKeyPackage)
    );
}

#[test]
fn a_prepared_welcome_is_stored_and_read_back() {
    let (welcome, ..) = prepared(2);
    let bytes = welcome.to_bytes();
    assert_eq!(PreparedWelcome::from_bytes(&bytes), Ok(welcome));
    assert_eq!(
        PreparedWelcome::from_bytes(&bytes[1..]),
        Err(WelcomeError::Stored)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_envelope_opens_or_is_refused(
        data in proptest::collection::vec(any::<u8>(), 0..1300),
        metadata in proptest::collection::vec(any::<u8>(), 0..40),
        algorithm in -1..5_i32,
        pointer in any::<bool>(),
        flip in any::<prop::sample::Index>(),
    ) {
        let (welcome, secrets, mut alice) = prepared(3);
        let version = if pointer {
            welcome_message::Version::WelcomePointer(welcome_message::WelcomePointer {
                welcome_pointer: data.into(),
                wrapper_algorithm: algorithm,
                ..Default::default()
            })
        } else {
            welcome_message::Version::V1(welcome_message::V1 {
                data: data.into(),
                welcome_metadata: metadata.into(),
                wrapper_algorithm: algorithm,
                ..Default::default()
            })
        };
        let noise = WelcomeMessage { version: Some(version) };
        prop_assert!(Opened::open(&noise, &secrets[0]).is_err());

        // A changed MLS welcome is refused too, whatever changed.
        let mut changed = OpenedWelcome {
            message: welcome.message.clone(),
            message_cursor: 0,
        };
        let at = flip.index(changed.message.len());
        changed.message[at] ^= 0x40;
        let joined = StagedJoin::stage(&changed, &secrets[0]).and_then(StagedJoin::finish);
        // The secrets sealed for the others are none of our business.
        let _ = joined;
        let _ = welcome.seal(CURSOR, &mut alice.entropy);
    }
}

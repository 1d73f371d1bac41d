use std::time::Duration;

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{KeyPackageIn, engine::Generation};
use folkmoot_identity::InstallationSecret;
use folkmoot_wire::InboxId;

fn me() -> Installation {
    Installation::new(
        InboxId::from_bytes([0xab; 32]),
        InstallationSecret::from_seed(&[7; 32]),
    )
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

fn make() -> NewKeyPackage {
    NewKeyPackage::make(&me(), now(), &mut StdRng::from_seed([1; 32]))
}

#[test]
fn a_key_package_has_the_form_of_an_official_one() {
    let made = make();
    assert_eq!(made.bytes.len(), 1659);
    assert_eq!(made.not_after, 1_795_000_000 + 7_257_600);

    let verified = KeyPackageIn::decode(&made.bytes)
        .unwrap()
        .verify(now())
        .unwrap();
    assert_eq!(verified.inbox_id, me().inbox_id());
    assert_eq!(verified.installation_key, me().key());
    assert_eq!(verified.not_before, 1_795_000_000 - 3_600);

    // The capabilities, and the beginnings of the extensions in their order.
    let text = hex::encode(&made.bytes);
    assert!(text.contains("02000102000310000a0001ff02ff00ff01ff03ff04f000020007020001"));
    assert!(text.contains("000a00ff04030a0103ff0344c50ac009"));
}

#[test]
fn an_official_key_package_has_the_same_bytes_around_its_keys() {
    #[derive(Deserialize)]
    struct Vectors {
        key_packages: Vec<Vector>,
    }
    #[derive(Deserialize)]
    struct Vector {
        tls: String,
    }
    let vectors = include_str!("../../../tests/vectors/key_packages.json");
    let vectors: Vectors = serde_json::from_str(vectors).unwrap();
    let official = hex::decode(&vectors.key_packages[0].tls).unwrap();
    let ours = make().bytes;
    assert_eq!(ours.len(), official.len());

    // Between the keys: from the credential's length to the lifetime, and then from the leaf's
    // extensions to the wrapper key.
    let credential = 4 + 3 * 33;
    let identity = credential + 6..credential + 6 + 64;
    let lifetime = identity.end + 29 + 1..identity.end + 29 + 1 + 16;
    assert_eq!(ours[..5], official[..5]);
    assert_eq!(
        ours[credential..identity.start],
        official[credential..identity.start]
    );
    assert_eq!(
        ours[identity.end..lifetime.start],
        official[identity.end..lifetime.start]
    );
    let application_id = lifetime.end..lifetime.end + 2 + 2 + 2 + 2;
    assert_eq!(ours[application_id.clone()], official[application_id]);
}

#[test]
fn the_same_entropy_makes_the_same_key_package() {
    assert_eq!(make().bytes, make().bytes);
    let other = NewKeyPackage::make(&me(), now(), &mut StdRng::from_seed([2; 32]));
    assert_ne!(make().bytes, other.bytes);
}

#[test]
fn stored_secrets_are_read_back() {
    let secrets = make().secrets;
    let bytes = secrets.to_bytes();
    assert_eq!(KeyPackageSecrets::from_bytes(&bytes), Ok(secrets));
    assert_eq!(
        KeyPackageSecrets::from_bytes(&bytes[1..]),
        Err(InvalidKeyPackageSecrets)
    );
}

#[test]
fn secrets_do_not_print() {
    let made = make();
    let printed = format!("{made:?}");
    let seed = format!("{:?}", made.secrets.wrapper_seed().as_slice());
    assert!(
        !printed.contains(seed.trim_matches(['[', ']'])),
        "{printed}"
    );
}

#[test]
fn the_newer_generation_announces_the_dictionary() {
    let me = me().announcing(Generation::AppData);
    let made = NewKeyPackage::make(&me, now(), &mut StdRng::from_seed([1; 32]));
    let text = hex::encode(&made.bytes);
    assert!(text.contains("02000102000312000a0001ff02ff00ff01ff03ff04f00000060400070008020001"));
}

use std::io::Cursor;

use aes_gcm::aead::Aead;
use proptest::{collection::vec, prelude::*};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value;

use super::{element::Decoded, *};
use crate::{
    ConsentEntity, ConsentRecord, ConsentState,
    content::{Content, EncodedContent},
    message_id,
};

fn key() -> ArchiveKey {
    ArchiveKey::from_bytes([7; 32])
}

fn message(number: u8) -> ArchivedMessage {
    let group_id = vec![1; 16].try_into().unwrap();
    let content = Content::text(format!("number {number}")).encode().unwrap();
    ArchivedMessage {
        id: message_id(&group_id, "1", content.as_bytes()),
        group_id,
        content: content.as_bytes().clone(),
        sent_at_ns: i64::from(number),
        kind: MessageKind::Application,
        sender_installation_id: vec![3; 32].into(),
        sender: folkmoot_wire::InboxId::from_bytes([4; 32]),
        delivery_status: DeliveryStatus::Published,
        reference_id: None,
        sequence_id: Some(9),
        originator_id: Some(10),
    }
}

fn conversation() -> ArchivedConversation {
    ArchivedConversation {
        id: vec![1; 16].try_into().unwrap(),
        created_at_ns: 1,
        membership_state: MembershipState::Allowed,
        installations_last_checked_ns: 2,
        added_by: String::new(),
        welcome_id: None,
        rotated_at_ns: 3,
        kind: ConversationKind::Dm,
        dm_id: Some("dm:a:b".to_owned()),
        last_message_ns: Some(4),
        disappear_from_ns: None,
        disappear_in_ns: Some(5),
        creator: "a".to_owned(),
        attributes: [("group_name".to_owned(), "picnic".to_owned())].into(),
        admins: vec![],
        super_admins: vec!["a".to_owned()],
        paused_for_version: None,
    }
}

fn elements() -> Vec<Element> {
    let consent = ConsentRecord {
        entity: ConsentEntity::Conversation(vec![1; 16].try_into().unwrap()),
        state: ConsentState::Denied,
        consented_at_ns: 6,
    };
    let mut elements = vec![Element::Conversation(conversation())];
    elements.extend((0..50).map(|number| Element::Message(message(number))));
    elements.push(Element::Consent(consent));
    elements
}

fn archive(elements: &[Element]) -> Vec<u8> {
    let metadata = ArchiveOptions::everything().metadata(100);
    let entropy = &mut StdRng::seed_from_u64(3);
    let mut writer = ArchiveWriter::create(Vec::new(), &key(), &metadata, entropy).unwrap();
    for element in elements {
        writer.write(element).unwrap();
    }
    writer.finish().unwrap()
}

fn read(archive: &[u8]) -> Result<Vec<Element>, ArchiveError> {
    ArchiveReader::open(archive, &key())?.collect()
}

/// An archive whose elements are these bytes, under these nonces.
fn forged(elements: &[(u128, &[u8])]) -> Vec<u8> {
    let mut file = vec![0, 0];
    file.extend([0; NONCE_BYTES]);
    let mut stream = Vec::new();
    for (nonce, plaintext) in elements {
        let sealed = key()
            .cipher()
            .encrypt(&Nonces(*nonce).current(), *plaintext);
        let sealed = sealed.unwrap();
        stream.extend(u32::try_from(sealed.len()).unwrap().to_le_bytes());
        stream.extend(sealed);
    }
    file.extend(zstd::encode_all(&stream[..], 0).unwrap());
    file
}

#[test]
fn archives_of_the_official_client_are_read() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../tests/vectors/content.json")).unwrap();
    let mut counts = Vec::new();
    for recorded in vectors["archives"].as_array().unwrap() {
        let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
        let file = bytes(&recorded["file_hex"]);
        let key = ArchiveKey::try_from(&bytes(&recorded["key_hex"])[..]).unwrap();
        let reader = ArchiveReader::open(&file[..], &key).unwrap();
        let mut expected = recorded["elements_hex"]
            .as_array()
            .unwrap()
            .iter()
            .map(bytes);
        let metadata = expected.next().unwrap();
        assert_eq!(reader.metadata().to_bytes(), metadata);
        let elements: Vec<_> = reader.map(Result::unwrap).collect();
        counts.push(elements.len());
        for (element, expected) in elements.iter().zip(expected) {
            let Decoded::Element(recorded) = Decoded::from_bytes(expected.into()).unwrap() else {
                panic!("an element");
            };
            assert_eq!(*element, recorded);
            if let Element::Message(message) = element {
                assert!(EncodedContent::decode(message.content.clone()).is_ok());
            }
        }
    }
    assert_eq!(counts, [27, 3]);
}

#[test]
fn messages_of_the_official_client_are_written_byte_for_byte() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../tests/vectors/content.json")).unwrap();
    for recorded in vectors["archives"][0]["elements_hex"].as_array().unwrap() {
        let bytes = hex::decode(recorded.as_str().unwrap()).unwrap();
        match Decoded::from_bytes(bytes.clone().into()).unwrap() {
            Decoded::Element(element @ (Element::Message(_) | Element::Consent(_))) => {
                assert_eq!(hex::encode(element.to_bytes()), hex::encode(bytes));
            }
            Decoded::Element(Element::Conversation(mut group)) => {
                let signer = group.attributes.remove("_commit_log_signer");
                assert!(signer.is_some());
                let written = Element::Conversation(group.clone()).to_bytes();
                let Decoded::Element(again) = Decoded::from_bytes(written.into()).unwrap() else {
                    panic!("an element");
                };
                assert_eq!(again, Element::Conversation(group));
            }
            _ => {}
        }
    }
}

#[test]
fn what_was_put_into_an_archive_comes_out_in_order() {
    let elements = elements();
    let file = archive(&elements);
    let reader = ArchiveReader::open(&file[..], &key()).unwrap();
    assert_eq!(reader.metadata().exported_at_ns, 100);
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), elements);
}

#[test]
fn secrets_of_a_group_are_not_archived() {
    let mut group = conversation();
    group
        .attributes
        .insert("_commit_log_signer".to_owned(), "secret".to_owned());
    let written = Element::Conversation(group).to_bytes();
    assert!(!written.windows(6).any(|window| window == b"secret"));
}

#[test]
fn another_key_is_told_from_a_damaged_file() {
    let file = archive(&elements());
    let other = ArchiveKey::from_bytes([8; 32]);
    let refused = ArchiveReader::open(&file[..], &other).unwrap_err();
    assert!(matches!(refused, ArchiveError::WrongKey), "{refused}");
    let refused = ArchiveReader::open(&file[..9], &key()).unwrap_err();
    assert!(
        matches!(refused, ArchiveError::CutShort("header")),
        "{refused}"
    );
    let mut newer = file;
    newer[0] = 1;
    let refused = ArchiveReader::open(&newer[..], &key()).unwrap_err();
    assert!(matches!(refused, ArchiveError::Version(1)), "{refused}");
    let text = b"nobody:x:1:1:a list of users, say";
    let refused = ArchiveReader::open(&text[..], &key()).unwrap_err();
    assert!(matches!(refused, ArchiveError::NotAnArchive), "{refused}");
}

#[test]
fn an_archive_that_was_cut_short_is_never_taken_for_a_whole_one() {
    let file = archive(&elements());
    for length in (0..file.len()).step_by(7) {
        assert!(
            read(&file[..length]).is_err(),
            "{length} of {} bytes",
            file.len()
        );
    }
    read(&file).unwrap();
}

#[test]
fn a_nonce_that_an_old_writer_used_twice_is_forgiven_once() {
    let metadata = ArchiveMetadata::default().to_bytes();
    let one = Element::Message(message(1)).to_bytes();
    let forgiven = forged(&[(0, &metadata), (1, &one), (1, &one), (2, &one)]);
    assert_eq!(read(&forgiven).unwrap().len(), 3);
    let twice = forged(&[(0, &metadata), (1, &one), (1, &one), (1, &one)]);
    let refused = read(&twice).unwrap_err();
    assert!(matches!(refused, ArchiveError::Damaged(3)), "{refused}");
}

#[test]
fn nonces_wrap_at_ninety_six_bits() {
    let mut nonces = Nonces::from_bytes([0xff; NONCE_BYTES]);
    nonces.advance();
    assert_eq!(nonces.current()[..], [0; NONCE_BYTES]);
    nonces.step_back();
    assert_eq!(nonces.current()[..], [0xff; NONCE_BYTES]);
    nonces = Nonces::from_bytes([0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    nonces.advance();
    assert_eq!(nonces.current()[..], [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn a_broken_element_costs_only_itself() {
    use folkmoot_wire::proto::xmtp::device_sync as proto;
    use prost::Message as _;

    let save = |kind| proto::BackupElement {
        element: Some(proto::backup_element::Element::GroupMessage(
            proto::GroupMessageSave {
                kind,
                ..proto::GroupMessageSave::default()
            },
        )),
    };
    let metadata = ArchiveMetadata::default().to_bytes();
    let good = Element::Message(message(1)).to_bytes();
    let file = forged(&[
        (0, &metadata),
        (1, &save(0).encode_to_vec()),
        (2, b"\xff"),
        (3, b""),
        (4, &good),
    ]);
    let mut reader = ArchiveReader::open(&file[..], &key()).unwrap();
    let cause = reader.next().unwrap().unwrap_err();
    assert!(cause.is_skippable());
    assert_eq!(
        cause.to_string(),
        "element 1 of the archive: kind has the unknown value 0"
    );
    assert!(reader.next().unwrap().unwrap_err().is_skippable());
    assert_eq!(
        reader.next().unwrap().unwrap(),
        Element::Message(message(1))
    );
    assert!(reader.next().is_none());
    let without = forged(&[(0, &good)]);
    let refused = read(&without).unwrap_err();
    assert!(matches!(refused, ArchiveError::NoMetadata), "{refused}");
}

#[test]
fn an_element_that_promises_gigabytes_is_not_waited_for() {
    let mut file = vec![0; 2 + NONCE_BYTES];
    file.extend(zstd::encode_all(&[0xff; 64][..], 0).unwrap());
    let refused = read(&file).unwrap_err();
    assert!(
        matches!(refused, ArchiveError::TooLarge { index: 0, .. }),
        "{refused}"
    );
    let huge = Element::Message(ArchivedMessage {
        content: vec![0; MAX_ELEMENT_BYTES as usize].into(),
        ..message(1)
    });
    let metadata = ArchiveMetadata::default();
    let entropy = &mut StdRng::seed_from_u64(3);
    let mut writer =
        ArchiveWriter::create(Cursor::new(vec![]), &key(), &metadata, entropy).unwrap();
    let refused = writer.write(&huge).unwrap_err();
    assert!(
        matches!(refused, ArchiveError::TooLarge { index: 1, .. }),
        "{refused}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_an_archive_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        let header = [&[0; 2 + NONCE_BYTES][..], &bytes].concat();
        let _ = read(&bytes);
        let _ = read(&header);
        let mut packed = vec![0; 2 + NONCE_BYTES];
        packed.extend(zstd::encode_all(&bytes[..], 0).unwrap());
        prop_assert!(read(&packed).is_err());
    }

    #[test]
    fn any_element_is_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(Decoded::Element(element)) = Decoded::from_bytes(bytes.into()) {
            let written = element.to_bytes();
            let again = Decoded::from_bytes(written.into());
            prop_assert!(matches!(again, Ok(Decoded::Element(_))));
        }
    }

    #[test]
    fn one_changed_byte_is_noticed(at in 14_usize..600, change in 1_u8..) {
        let whole = elements();
        let mut file = archive(&whole);
        let at = at % file.len();
        file[at] ^= change;
        // A change in the compressed part may be without effect; what comes out is what went in.
        if let Ok(read) = read(&file) {
            prop_assert_eq!(read, whole);
        }
    }
}

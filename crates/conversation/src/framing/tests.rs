use openmls::prelude::{self as mls, Ciphersuite};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use proptest::prelude::*;
use serde::Deserialize;
use tls_codec::Serialize as _;

use super::*;

#[derive(Deserialize)]
struct Vector {
    data: String,
    epoch: u64,
    content_type: u8,
}

fn vectors() -> Vec<(Vec<u8>, Vector)> {
    let file = include_str!("../../tests/vectors/group_messages.json");
    let vectors: Vec<Vector> = serde_json::from_str(file).unwrap();
    vectors
        .into_iter()
        .map(|vector| (hex::decode(&vector.data).unwrap(), vector))
        .collect()
}

/// `bytes` behind a length in its shortest form.
fn opaque(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let mut out = match length {
        0..64 => vec![length as u8],
        64..16384 => (length as u16 | 0x4000).to_be_bytes().to_vec(),
        _ => (length as u32 | 0x8000_0000).to_be_bytes().to_vec(),
    };
    out.extend_from_slice(bytes);
    out
}

fn private(group_id: &[u8], epoch: u64, content_type: u8, opaques: [&[u8]; 3]) -> Vec<u8> {
    let mut out = vec![0, 1, 0, 2];
    out.extend(opaque(group_id));
    out.extend(epoch.to_be_bytes());
    out.push(content_type);
    out.extend(opaques.into_iter().flat_map(opaque));
    out
}

/// A public message of group `g` in epoch 1 by `sender`, without authenticated data.
fn public(sender: &[u8], content: &[u8], tags: usize) -> Vec<u8> {
    let mut out = vec![0, 1, 0, 1, 1, b'g'];
    out.extend(1u64.to_be_bytes());
    out.extend(sender);
    out.push(0);
    out.extend(content);
    out.extend(opaque(&[7; 64]));
    for _ in 0..tags {
        out.extend(opaque(&[8; 32]));
    }
    out
}

fn layout_error(bytes: &[u8]) -> LayoutError {
    match GroupMessageHeader::parse(bytes) {
        Err(FramingError::Layout(cause)) => cause,
        other => panic!("not a layout error: {other:?}"),
    }
}

const MEMBER: [u8; 5] = [1, 0, 0, 0, 3];
const REMOVE: [u8; 7] = [2, 0, 3, 0, 0, 0, 9];

#[test]
fn messages_of_the_official_client_say_their_group_epoch_and_content() {
    for (bytes, vector) in vectors() {
        let header = GroupMessageHeader::parse(&bytes).unwrap();
        assert_eq!(header.group_id, bytes[5..21]);
        assert_eq!(header.epoch, vector.epoch);
        let is_commit = vector.content_type == 3;
        assert_eq!(header.content.is_commit_or_proposal(), is_commit);
        assert_eq!(header.content == ContentType::Commit, is_commit);
    }
}

#[test]
fn no_part_of_a_message_is_a_message() {
    for (bytes, _) in vectors() {
        for end in 0..bytes.len() {
            let cause = layout_error(&bytes[..end]);
            assert!(matches!(cause, LayoutError::CutShort { .. }), "{cause}");
        }
    }
}

#[test]
fn bytes_after_a_message_are_refused() {
    let mut bytes = private(b"g", 1, 1, [b"", b"s", b"c"]);
    let end = bytes.len();
    bytes.extend([0, 0]);
    assert_eq!(
        layout_error(&bytes),
        LayoutError::Trailing {
            offset: end,
            count: 2
        }
    );
}

#[test]
fn an_error_names_the_field_and_the_offset() {
    let good = private(b"g", 1, 1, [b"", b"s", b"c"]);
    let cause = layout_error(&good[..good.len() - 1]);
    assert_eq!(cause.to_string(), "ciphertext at byte 18 is cut short");

    let unknown = private(b"g", 1, 4, [b"", b"s", b"c"]);
    assert_eq!(
        layout_error(&unknown).to_string(),
        "content_type at byte 14 has the unknown value 4"
    );
}

#[test]
fn a_group_id_is_not_empty() {
    assert_eq!(
        GroupMessageHeader::parse(&private(b"", 1, 1, [b"", b"", b""])),
        Err(FramingError::EmptyGroupId)
    );
}

#[test]
fn a_long_length_of_a_short_group_id_is_refused() {
    let bytes = [
        0, 1, 0, 2, 0x40, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0,
    ];
    assert_eq!(
        layout_error(&bytes),
        LayoutError::LongLength {
            field: "group_id",
            offset: 4
        }
    );
}

#[test]
fn other_versions_and_kinds_of_message_are_refused_by_name() {
    assert_eq!(
        GroupMessageHeader::parse(&[0, 2, 0, 2]),
        Err(FramingError::Version(2))
    );
    let welcome = GroupMessageHeader::parse(&[0, 1, 0, 3]).unwrap_err();
    assert_eq!(
        welcome.to_string(),
        "wire_format at byte 2 is 3 (a welcome); groups exchange public (1) and private (2) messages"
    );
    for other in [0, 4, 5, 6, 0xff] {
        assert_eq!(
            GroupMessageHeader::parse(&[0, 1, 0, other]),
            Err(FramingError::WireFormat(other.into()))
        );
    }
}

#[test]
fn a_public_proposal_is_read_to_its_last_byte() {
    let by_member = public(&MEMBER, &REMOVE, 1);
    let header = GroupMessageHeader::parse(&by_member).unwrap();
    assert_eq!(header.group_id, b"g");
    assert_eq!(header.epoch, 1);
    assert_eq!(header.content, ContentType::Proposal);

    // Only members tag their membership.
    let external = public(&[2, 0, 0, 0, 0], &REMOVE, 0);
    assert!(GroupMessageHeader::parse(&external).is_ok());
    let tagged = public(&[2, 0, 0, 0, 0], &REMOVE, 1);
    assert!(matches!(
        layout_error(&tagged),
        LayoutError::Trailing { count: 33, .. }
    ));
    let untagged = public(&MEMBER, &REMOVE, 0);
    assert!(matches!(
        layout_error(&untagged),
        LayoutError::CutShort {
            field: "membership_tag",
            ..
        }
    ));
}

#[test]
fn each_kind_of_public_proposal_is_read() {
    let proposals: [&[u8]; 8] = [
        &[0, 4, 1, 1, 9, 0],
        &[0, 4, 2, 1, 1, b'h', 0, 0, 0, 0, 0, 0, 0, 5, 1, 9],
        &[0, 5, 1, b'h', 0, 1, 0, 3, 3, 0, 10, 0],
        &[0, 6, 2, 1, 2],
        &[0, 7, 5, 0xff, 0, 2, 1, 2],
        &[0, 8, 0x80, 1, 1, 1, 5],
        &[0, 9, 0x80, 1, 0],
        &[0, 10],
    ];
    for proposal in proposals {
        let content = [&[2], proposal].concat();
        let bytes = public(&MEMBER, &content, 1);
        assert!(GroupMessageHeader::parse(&bytes).is_ok(), "{proposal:?}");
    }
    let unknown = public(&MEMBER, &[2, 0xf0, 1], 1);
    assert!(matches!(
        layout_error(&unknown),
        LayoutError::UnknownValue {
            field: "proposal_type",
            value: 0xf001,
            ..
        }
    ));
}

#[test]
fn a_public_commit_is_read_to_its_last_byte() {
    // By reference, then by value; no path.
    let content = [3, 10, 2, 1, 0xaa, 1, 0, 3, 0, 0, 0, 9, 0];
    let bytes = public(&MEMBER, &content, 2);
    let header = GroupMessageHeader::parse(&bytes).unwrap();
    assert_eq!(header.content, ContentType::Commit);
    assert!(GroupMessageHeader::parse(&public(&MEMBER, &content, 1)).is_err());
}

/// openmls as the other side: adds and key updates in the clear, with a path each.
#[test]
fn public_messages_of_openmls_are_read() {
    let provider = OpenMlsRustCrypto::default();
    let suite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
    let signer = SignatureKeyPair::new(suite.signature_algorithm()).unwrap();
    let joiner = SignatureKeyPair::new(suite.signature_algorithm()).unwrap();
    let credential = |signer: &SignatureKeyPair| mls::CredentialWithKey {
        credential: mls::BasicCredential::new(vec![1]).into(),
        signature_key: signer.public().into(),
    };
    let package = mls::KeyPackage::builder()
        .build(suite, &provider, &joiner, credential(&joiner))
        .unwrap();
    let mut group = mls::MlsGroup::builder()
        .ciphersuite(suite)
        .with_wire_format_policy(mls::PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .build(&provider, &signer, credential(&signer))
        .unwrap();
    let (proposal, _) = group
        .propose_add_member(&provider, &signer, package.key_package())
        .unwrap();
    let (commit, _, _) = group
        .commit_to_pending_proposals(&provider, &signer)
        .unwrap();
    group.merge_pending_commit(&provider).unwrap();
    let update = group
        .self_update(&provider, &signer, mls::LeafNodeParameters::default())
        .unwrap()
        .into_commit();
    let expected = [
        (proposal, 0, ContentType::Proposal),
        (commit, 0, ContentType::Commit),
        (update, 1, ContentType::Commit),
    ];
    for (message, epoch, content) in expected {
        let bytes = message.tls_serialize_detached().unwrap();
        assert_eq!(bytes[3], 1, "a public message");
        let header = GroupMessageHeader::parse(&bytes).unwrap();
        assert_eq!(header.group_id, group.group_id().as_slice());
        assert_eq!(header.epoch, epoch);
        assert_eq!(header.content, content);
        assert!(matches!(
            layout_error(&bytes[..bytes.len() - 1]),
            LayoutError::CutShort { .. }
        ));
    }
}

#[test]
fn a_public_application_message_is_refused() {
    assert_eq!(
        GroupMessageHeader::parse(&public(&MEMBER, &[1, 1, b'x'], 1)),
        Err(FramingError::PublicApplication { offset: 20 })
    );
}

fn some_bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in some_bytes(300)) {
        let _ = GroupMessageHeader::parse(&bytes);
    }

    /// Random bytes seldom get past the first four; these do.
    #[test]
    fn any_bytes_behind_a_good_start_are_a_message_or_an_error(
        public in any::<bool>(),
        content_type in 1u8..=3,
        rest in some_bytes(300),
    ) {
        let start = if public {
            public_start(content_type)
        } else {
            vec![0, 1, 0, 2, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 1, content_type]
        };
        let _ = GroupMessageHeader::parse(&[start, rest].concat());
    }

    #[test]
    fn what_was_built_is_what_is_read(
        group_id in proptest::collection::vec(any::<u8>(), 1..100),
        epoch in any::<u64>(),
        content_type in 1u8..=3,
        parts in (some_bytes(80), some_bytes(80), some_bytes(20_000)),
    ) {
        let bytes = private(&group_id, epoch, content_type, [&parts.0, &parts.1, &parts.2]);
        let header = GroupMessageHeader::parse(&bytes).unwrap();
        prop_assert_eq!(header.group_id, group_id);
        prop_assert_eq!(header.epoch, epoch);
        let content = [ContentType::Application, ContentType::Proposal, ContentType::Commit];
        prop_assert_eq!(header.content, content[usize::from(content_type) - 1]);
    }
}

fn public_start(content_type: u8) -> Vec<u8> {
    let mut out = vec![0, 1, 0, 1, 1, b'g', 0, 0, 0, 0, 0, 0, 0, 1];
    out.extend(MEMBER);
    out.extend([0, content_type]);
    out
}

use proptest::prelude::*;

use super::*;
use crate::world::{SECRET, inbox};

const DM_PERMISSIONS: &str = "0ad1010a020802120208021a280a226d696e696d756d5f737570706f727465645f70726f746f636f6c5f76657273696f6e120208011a1c0a1667726f75705f696d6167655f75726c5f737175617265120208011a0e0a086170705f64617461120208011a100a0a67726f75705f6e616d65120208011a1f0a196d6573736167655f6469736170706561725f66726f6d5f6e73120208011a1d0a176d6573736167655f6469736170706561725f696e5f6e73120208011a110a0b6465736372697074696f6e12020801220208012a02080132020801";
const DEFAULT_PERMISSIONS: &str = "0ad1010a020801120208031a1d0a176d6573736167655f6469736170706561725f696e5f6e73120208031a110a0b6465736372697074696f6e120208011a1f0a196d6573736167655f6469736170706561725f66726f6d5f6e73120208031a280a226d696e696d756d5f737570706f727465645f70726f746f636f6c5f76657273696f6e120208041a100a0a67726f75705f6e616d65120208011a1c0a1667726f75705f696d6167655f75726c5f737175617265120208011a0e0a086170705f6461746112020801220208032a02080332020803";

#[test]
fn permissions_of_an_official_client_are_the_presets() {
    for (hex, expected) in [
        (DM_PERMISSIONS, PolicySet::dm()),
        (DEFAULT_PERMISSIONS, PolicySet::all_members()),
    ] {
        let data = hex::decode(hex).unwrap();
        assert_eq!(data.len(), 212);
        assert_eq!(PolicySet::decode(&data), Ok(expected.clone()));
        // The order of the map is free; its length is not.
        assert_eq!(expected.encode().len(), 212);
    }
}

#[test]
fn a_group_is_made_with_the_bytes_of_an_official_client() {
    let alice = inbox(0xaa);
    let extensions = NewConversation::group(alice, PolicySet::all_members(), SECRET).extensions();
    let metadata = extensions.data(0xf000).unwrap();
    assert_eq!(hex::encode(&metadata[..6]), "404408011a40");
    assert_eq!(metadata.len(), 2 + 68);
    assert!(metadata.ends_with(alice.to_string().as_bytes()));
    let required = "0cff01ff00ff02f000000a0001020007020001";
    assert_eq!(hex::encode(extensions.data(3).unwrap()), required);

    let context = Context::read(&extensions).unwrap();
    assert_eq!(context.metadata.kind, ConversationKind::Group);
    assert_eq!(context.membership, GroupMembership::of_creator(alice));
    assert_eq!(
        context.permissions.preset(),
        Some(crate::permissions::Preset::AllMembers)
    );
    assert!(context.mutable.is_super_admin(alice) && !context.mutable.is_admin(alice));
    let keys: Vec<_> = context.mutable.attributes.keys().collect();
    assert_eq!(
        keys,
        [
            "_commit_log_signer",
            "app_data",
            "description",
            "group_image_url_square",
            "group_name"
        ]
    );
    assert_eq!(context.mutable.commit_log_signer(), Some(SECRET));
}

#[test]
fn a_dm_is_made_with_the_bytes_of_an_official_client() {
    let (alice, bob) = (inbox(0xaa), inbox(0xbb));
    let extensions = NewConversation::dm(alice, bob, SECRET).extensions();
    let metadata = extensions.data(0xf000).unwrap();
    let [alice_hex, bob_hex] = [alice, bob].map(|inbox| hex::encode(inbox.to_string()));
    assert_eq!(
        hex::encode(metadata),
        format!("40cf08021a40{alice_hex}2288010a420a40{alice_hex}12420a40{bob_hex}")
    );
    let mutable = extensions.data(0xff00).unwrap();
    assert!(
        mutable.ends_with(&[0x12, 0, 0x1a, 0]),
        "both lists are there, empty"
    );

    let context = Context::read(&extensions).unwrap();
    assert_eq!(
        context.metadata.dm_members,
        Some(DmMembers::new(alice, bob))
    );
    assert_eq!(context.mutable.get(Attribute::AppData), None);
    assert_eq!(context.permissions, PolicySet::dm());
}

#[test]
fn sync_and_one_shot_groups_are_groups_of_another_kind() {
    let request = ReaddRequest {
        group_id: Bytes::from_static(&[1; 16]),
        latest_commit_sequence_id: 300,
    };
    let message = OneshotMessage::Readd(request);
    let oneshot = NewConversation::oneshot(inbox(1), message.clone(), SECRET).extensions();
    let metadata = oneshot.metadata().unwrap();
    assert_eq!(metadata.kind, ConversationKind::Oneshot);
    assert_eq!(metadata.oneshot, Some(message));
    let sync = NewConversation::sync(inbox(1), SECRET).extensions();
    assert_eq!(sync.metadata().unwrap().kind, ConversationKind::Sync);
    assert_eq!(sync.permissions().unwrap(), PolicySet::all_members());
}

#[test]
fn what_libxmtp_cannot_read_is_an_error_here() {
    let kind = |number: u8| GroupMetadata::decode(&[2, 8, number]).map(|metadata| metadata.kind);
    assert_eq!(kind(1), Ok(ConversationKind::Group));
    assert_eq!(kind(4), Ok(ConversationKind::Oneshot));
    for number in [0, 5] {
        let invalid = Extension::Metadata.invalid_field("conversation_type");
        assert_eq!(kind(number), Err(invalid));
    }
    // A DM that names one person; bytes after the vector; a vector that is cut short.
    let one_member = [6, 8, 2, 0x22, 2, 0x0a, 0];
    let missing = Extension::Metadata.missing_field("dm_members.dm_member_two");
    assert_eq!(GroupMetadata::decode(&one_member), Err(missing));
    for bytes in [&[2, 8, 1, 0][..], &[3, 8, 1], &[]] {
        let refused = GroupMetadata::decode(bytes);
        assert!(matches!(refused, Err(ContextError::Malformed { .. })));
    }

    let no_list = Extension::MutableMetadata.missing_field("super_admin_list");
    assert_eq!(MutableMetadata::decode(&[0x12, 0]), Err(no_list));
    assert_eq!(
        MutableMetadata::decode(&[0x1a, 0, 0x12, 0]),
        Ok(MutableMetadata::default())
    );

    assert_eq!(GroupMembership::decode(&[]), Ok(GroupMembership::default()));
    let not_an_id = Extension::Membership.invalid_field("members");
    assert_eq!(GroupMembership::decode(&[0x0a, 2, 0x10, 1]), Err(not_an_id));
}

#[test]
fn what_is_no_installation_key_is_kept_among_the_failed() {
    let mut membership = GroupMembership::decode(&[0x12, 1, 7]).unwrap();
    membership.add_failed([folkmoot_wire::InstallationKey::from_bytes([8; 32])]);
    assert_eq!(membership.failed_installations.len(), 2);
    assert_eq!(membership.failed().len(), 1);
    assert_eq!(
        GroupMembership::decode(&membership.encode()),
        Ok(membership)
    );
}

#[test]
fn messages_disappear_when_both_settings_are_above_zero() {
    let mut metadata = MutableMetadata::default();
    assert_eq!(metadata.disappearing(), None);
    let settings = DisappearingSettings {
        from_ns: 5,
        in_ns: 1000,
    };
    metadata.set_disappearing(settings);
    assert_eq!(metadata.disappearing(), Some(settings));
    assert_eq!(settings.expiry_ns(7), Some(1007));
    assert_eq!(settings.expiry_ns(i64::MAX), Some(i64::MAX));
    for (from_ns, in_ns) in [(0, 0), (0, 5), (5, 0), (-5, 5), (5, -5)] {
        assert_eq!(DisappearingSettings { from_ns, in_ns }.expiry_ns(7), None);
    }
    metadata.set(Attribute::DisappearInNs, "a while").unwrap();
    assert_eq!(metadata.disappearing(), None);
}

#[test]
fn a_name_has_at_most_a_hundred_bytes() {
    let mut metadata = MutableMetadata::default();
    metadata.set(Attribute::GroupName, "x".repeat(100)).unwrap();
    let long = metadata.set(Attribute::GroupName, "x".repeat(101));
    let expected = AttributeTooLong {
        attribute: Attribute::GroupName,
        length: 101,
        limit: 100,
    };
    assert_eq!(long, Err(expected));
    assert_eq!(
        expected.to_string(),
        "group_name has 101 bytes; at most 100 are allowed"
    );
    assert_eq!(metadata.get(Attribute::GroupName).map(str::len), Some(100));
}

#[test]
fn roles_are_given_once_and_taken_altogether() {
    let mut metadata = MutableMetadata::default();
    let bob = inbox(2);
    metadata.change_admins(AdminChange::AddAdmin, bob);
    metadata.change_admins(AdminChange::AddAdmin, bob);
    assert_eq!(metadata.admins, [bob.to_string()]);
    metadata.change_admins(AdminChange::RemoveAdmin, bob);
    metadata.change_admins(AdminChange::RemoveSuperAdmin, bob);
    assert_eq!(metadata, MutableMetadata::default());
}

proptest! {
    /// Whatever can be read is written so that it reads the same.
    #[test]
    fn any_bytes_are_an_extension_or_an_error(data in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(read) = GroupMetadata::decode(&data) {
            prop_assert_eq!(GroupMetadata::decode(&read.encode()), Ok(read));
        }
        if let Ok(read) = MutableMetadata::decode(&data) {
            prop_assert_eq!(MutableMetadata::decode(&read.encode()), Ok(read));
        }
        if let Ok(read) = GroupMembership::decode(&data) {
            prop_assert_eq!(GroupMembership::decode(&read.encode()), Ok(read));
        }
        if let Ok(read) = PolicySet::decode(&data) {
            prop_assert_eq!(PolicySet::decode(&read.encode()), Ok(read));
        }
    }
}

//! Malformed updates are refused with the name of the field.

use folkmoot_identity::{DecodeError, Identifier, IdentityUpdate, Signer};
use folkmoot_wire::proto::xmtp::identity::associations::{
    AddAssociation, ChangeRecoveryAddress, CreateInbox, IdentifierKind, IdentityAction,
    IdentityUpdate as Message, LegacyDelegatedSignature, MemberIdentifier,
    RecoverableEcdsaSignature, RecoverableEd25519Signature, RevokeAssociation, Signature,
    SmartContractWalletSignature, identity_action::Kind, member_identifier::Kind as Member,
    signature::Signature as SignatureKind,
};
use prost::Message as _;

use crate::cast::{Inbox, app, contract, passkey, wallet};

/// What a complete action needs, to leave out one thing at a time.
fn signature() -> Option<Signature> {
    signed(SignatureKind::Erc191(RecoverableEcdsaSignature {
        bytes: vec![1; 65].into(),
    }))
}

fn signed(kind: SignatureKind) -> Option<Signature> {
    Some(Signature {
        signature: Some(kind),
    })
}

fn member(kind: Member) -> Option<MemberIdentifier> {
    Some(MemberIdentifier { kind: Some(kind) })
}

fn revoke_signed(kind: SignatureKind) -> Kind {
    Kind::Revoke(RevokeAssociation {
        member_to_revoke: member(Member::EthereumAddress("0x12".to_owned())),
        recovery_identifier_signature: signed(kind),
    })
}

fn error(kind: Option<Kind>) -> DecodeError {
    let good = IdentityAction {
        kind: Some(Kind::CreateInbox(CreateInbox {
            initial_identifier_signature: signature(),
            ..Default::default()
        })),
    };
    let message = Message {
        actions: vec![good, IdentityAction { kind }],
        ..Default::default()
    };
    IdentityUpdate::decode(&message.encode_to_vec()).unwrap_err()
}

#[test]
fn what_is_missing_is_named() {
    let revoked = || member(Member::EthereumAddress("0x12".to_owned()));
    let cases = [
        (None, "actions[1]"),
        (
            Some(Kind::CreateInbox(CreateInbox::default())),
            "actions[1].create_inbox.initial_identifier_signature",
        ),
        (
            Some(Kind::Add(AddAssociation {
                existing_member_signature: signature(),
                new_member_signature: signature(),
                ..Default::default()
            })),
            "actions[1].add.new_member_identifier",
        ),
        (
            Some(Kind::Add(AddAssociation {
                new_member_identifier: Some(MemberIdentifier { kind: None }),
                existing_member_signature: signature(),
                new_member_signature: signature(),
                relying_party: None,
            })),
            "actions[1].add.new_member_identifier",
        ),
        (
            Some(Kind::Add(AddAssociation {
                new_member_identifier: revoked(),
                new_member_signature: signature(),
                ..Default::default()
            })),
            "actions[1].add.existing_member_signature",
        ),
        (
            Some(Kind::Add(AddAssociation {
                new_member_identifier: revoked(),
                existing_member_signature: signature(),
                new_member_signature: Some(Signature { signature: None }),
                relying_party: None,
            })),
            "actions[1].add.new_member_signature",
        ),
        (
            Some(Kind::Revoke(RevokeAssociation {
                member_to_revoke: None,
                recovery_identifier_signature: signature(),
            })),
            "actions[1].revoke.member_to_revoke",
        ),
        (
            Some(Kind::Revoke(RevokeAssociation {
                member_to_revoke: revoked(),
                recovery_identifier_signature: None,
            })),
            "actions[1].revoke.recovery_identifier_signature",
        ),
        (
            Some(Kind::ChangeRecoveryAddress(ChangeRecoveryAddress::default())),
            "actions[1].change_recovery_address.existing_recovery_identifier_signature",
        ),
        (
            Some(revoke_signed(SignatureKind::DelegatedErc191(
                LegacyDelegatedSignature::default(),
            ))),
            "actions[1].revoke.recovery_identifier_signature.delegated_erc_191.signature",
        ),
        (
            Some(revoke_signed(SignatureKind::DelegatedErc191(
                LegacyDelegatedSignature {
                    delegated_key: None,
                    signature: Some(RecoverableEcdsaSignature::default()),
                },
            ))),
            "actions[1].revoke.recovery_identifier_signature.delegated_erc_191.delegated_key",
        ),
    ];
    for (action, field) in cases {
        let missing = DecodeError::Missing {
            field: field.to_owned(),
        };
        let error = error(action);
        assert_eq!(error, missing);
        assert!(error.to_string().contains("Deserialization error"));
    }
}

#[test]
fn an_installation_s_key_must_be_one() {
    let signed_with = |key: Vec<u8>| {
        let signature = RecoverableEd25519Signature {
            bytes: vec![1; 64].into(),
            public_key: key.into(),
        };
        error(Some(revoke_signed(SignatureKind::InstallationKey(
            signature,
        ))))
    };
    let field = "actions[1].revoke.recovery_identifier_signature.installation_key.public_key";
    let field = || field.to_owned();
    for length in [0, 31, 33] {
        let wrong = DecodeError::InstallationKeyLength {
            field: field(),
            length,
        };
        assert_eq!(signed_with(vec![1; length]), wrong);
    }
    // y = 2 is on no point of the curve.
    let mut no_point = vec![0; 32];
    no_point[0] = 2;
    assert_eq!(
        signed_with(no_point),
        DecodeError::InstallationKey { field: field() }
    );
    let add = Kind::Add(AddAssociation {
        new_member_identifier: member(Member::InstallationPublicKey(vec![1; 31].into())),
        existing_member_signature: signature(),
        new_member_signature: signature(),
        relying_party: None,
    });
    let text = error(Some(add)).to_string();
    assert!(text.contains("add.new_member_identifier is an installation key of 31 bytes"));
}

#[test]
fn a_contract_s_account_must_be_spelled_as_caip_10_says() {
    for account_id in [
        "",
        "eip155:1",
        "eip155:1:0x12:0x12",
        "EIP155:1:0x12",
        "eip155:1:0x1 2",
    ] {
        let signature = SmartContractWalletSignature {
            account_id: account_id.to_owned(),
            ..Default::default()
        };
        let error = error(Some(revoke_signed(SignatureKind::Erc6492(signature))));
        assert!(
            matches!(&error, DecodeError::AccountId { field } if field.ends_with("erc_6492.account_id")),
            "{account_id}: {error}"
        );
    }
}

#[test]
fn a_passkey_is_spelled_in_hex() {
    let change = Kind::ChangeRecoveryAddress(ChangeRecoveryAddress {
        new_recovery_identifier: "not hex".to_owned(),
        existing_recovery_identifier_signature: signature(),
        new_recovery_identifier_kind: IdentifierKind::Passkey.into(),
        relying_party: None,
    });
    let field = "actions[1].change_recovery_address.new_recovery_identifier".to_owned();
    assert_eq!(error(Some(change)), DecodeError::Passkey { field });
}

#[test]
fn bytes_of_another_kind_are_refused_with_the_decoder_s_words() {
    let update = UPDATE_WITH_INVALID_TEXT;
    let error = IdentityUpdate::decode(update).unwrap_err();
    assert!(matches!(error, DecodeError::Protobuf(_)));
    assert!(error.to_string().contains("inbox_id"), "{error}");
}

/// Field 3, two bytes that are no UTF-8.
const UPDATE_WITH_INVALID_TEXT: &[u8] = &[0x1a, 2, 0xff, 0xff];

#[test]
fn every_kind_of_signature_and_action_is_written_as_it_is_read() {
    let (owner, key, vault, phone) = (wallet(1), passkey(2), contract(10), app(3));
    let mut inbox = Inbox::of(&owner);
    let update = inbox
        .update()
        .create_inbox(owner.identifier(), 5)
        .add(key.member(), phone.key())
        .add(phone.key(), owner.identifier())
        .revoke(key.member(), vault.identifier())
        .change_recovery(key.identifier(), vault.identifier())
        .unwrap()
        .sign(&owner)
        .sign(&key)
        .sign(&vault)
        .sign(&phone)
        .finish()
        .unwrap();
    assert_eq!(update.action_count(), 5);
    assert_eq!(update.client_timestamp_ns(), inbox.now_ns);
    let read = IdentityUpdate::decode(&update.encode()).unwrap();
    assert_eq!(read, update);
    assert_eq!(read.encode(), update.encode());
}

#[test]
fn a_known_relying_party_is_written_where_libxmtp_writes_it() {
    let site = || Some("https://app.example".to_owned());
    let Identifier::Passkey(mut passkey) = passkey(2).identifier() else {
        panic!("a passkey")
    };
    passkey.relying_party = site();
    let identifier = Identifier::Passkey(passkey);
    let mut inbox = Inbox::of(&wallet(1));
    let update = inbox
        .update()
        .create_inbox(identifier.clone(), 0)
        .add(identifier.clone(), wallet(1).member())
        .change_recovery(identifier.clone(), identifier.clone())
        .unwrap();
    let signature = wallet(1).sign("whatever");
    let update = update
        .signature(identifier.into(), signature)
        .sign(&wallet(1))
        .finish()
        .unwrap();
    let message = update.to_proto();
    for action in message.actions {
        match action.kind.unwrap() {
            Kind::CreateInbox(create) => assert_eq!(create.relying_party, site()),
            Kind::Add(add) => {
                assert_eq!(add.relying_party, site());
                let Some(Member::Passkey(passkey)) = add.new_member_identifier.unwrap().kind else {
                    panic!("a passkey")
                };
                assert_eq!(passkey.relying_party, site());
            }
            Kind::ChangeRecoveryAddress(change) => assert_eq!(change.relying_party, site()),
            Kind::Revoke(revoke) => panic!("{revoke:?}"),
        }
    }
}

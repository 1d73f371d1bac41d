//! `IdentityApi`.

use bytes::Bytes;
use folkmoot_testkit::Person;
use folkmoot_wire::proto::xmtp::identity::{
    api::v1::{
        GetIdentityUpdatesRequest, GetInboxIdsRequest, PublishIdentityUpdateRequest,
        VerifySmartContractWalletSignatureRequestSignature as Question,
        VerifySmartContractWalletSignaturesRequest, get_identity_updates_request,
        get_inbox_ids_request,
    },
    associations::{
        AddAssociation, CreateInbox, IdentityAction, IdentityUpdate, LegacyDelegatedSignature,
        MemberIdentifier, RecoverableEcdsaSignature, RecoverableEd25519Signature,
        RecoverablePasskeySignature, Signature, SmartContractWalletSignature,
        identity_action::Kind, member_identifier, signature::Signature as Form,
    },
};
use prost::Message;
use tonic::Code;

use crate::harness::{Case, Method, bad};

const PUBLISH: &str = "/xmtp.identity.api.v1.IdentityApi/PublishIdentityUpdate";
const ADDRESS: &str = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a";

pub(crate) fn publishes(update: impl Into<Bytes>) -> PublishIdentityUpdateRequest {
    PublishIdentityUpdateRequest {
        identity_update: update.into(),
    }
}

/// A registration with something changed in it.
fn registration(edit: impl FnOnce(&mut IdentityUpdate)) -> Vec<u8> {
    let mut update = IdentityUpdate::decode(Person::new(1).registration()).unwrap();
    edit(&mut update);
    update.encode_to_vec()
}

/// A registration with something changed in its first action.
fn create(edit: impl FnOnce(&mut CreateInbox)) -> Vec<u8> {
    registration(|update| match &mut update.actions[0].kind {
        Some(Kind::CreateInbox(create)) => edit(create),
        _ => panic!("a registration begins with CreateInbox"),
    })
}

/// A registration with something changed in its second action.
fn add(edit: impl FnOnce(&mut AddAssociation)) -> Vec<u8> {
    registration(|update| match &mut update.actions[1].kind {
        Some(Kind::Add(add)) => edit(add),
        _ => panic!("a registration goes on with AddAssociation"),
    })
}

fn signed(form: Form) -> Option<Signature> {
    Some(Signature {
        signature: Some(form),
    })
}

fn wallet(bytes: &[u8]) -> Option<Signature> {
    signed(Form::Erc191(RecoverableEcdsaSignature {
        bytes: Bytes::copy_from_slice(bytes),
    }))
}

fn contract(account: &str) -> Option<Signature> {
    signed(Form::Erc6492(SmartContractWalletSignature {
        account_id: account.to_owned(),
        block_number: 1,
        signature: Bytes::from_static(&[7; 65]),
    }))
}

fn member(kind: member_identifier::Kind) -> Option<MemberIdentifier> {
    Some(MemberIdentifier { kind: Some(kind) })
}

fn key(bytes: &[u8]) -> Option<MemberIdentifier> {
    member(member_identifier::Kind::InstallationPublicKey(
        Bytes::copy_from_slice(bytes),
    ))
}

/// Broken identity updates, and what is said of each.
pub(crate) fn broken_updates() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let other = Person::new(2);
    let empty_action = IdentityAction { kind: None };
    let installation_signature = |bytes: &[u8]| {
        signed(Form::InstallationKey(RecoverableEd25519Signature {
            bytes: Bytes::copy_from_slice(bytes),
            public_key: Bytes::copy_from_slice(Person::new(1).installation.key().as_bytes()),
        }))
    };
    vec![
        (
            "no protobuf",
            vec![0xff; 9],
            "identity_update: Deserialization error",
        ),
        (
            "no inbox",
            registration(|it| it.inbox_id.clear()),
            "identity_update.inbox_id",
        ),
        (
            "half an inbox id",
            registration(|it| it.inbox_id.truncate(32)),
            "identity_update.inbox_id",
        ),
        (
            "an inbox id in capitals",
            registration(|it| it.inbox_id.make_ascii_uppercase()),
            "identity_update.inbox_id",
        ),
        (
            "an inbox id with 0x",
            registration(|it| it.inbox_id.insert_str(0, "0x")),
            "identity_update.inbox_id",
        ),
        (
            "an inbox id of 1 MiB",
            registration(|it| it.inbox_id = "a".repeat(1 << 20)),
            "identity_update.inbox_id",
        ),
        (
            "somebody else's inbox",
            registration(|it| it.inbox_id = other.inbox.to_string()),
            "identity update refused",
        ),
        (
            "no actions",
            registration(|it| it.actions.clear()),
            "XID not yet created",
        ),
        (
            "1001 actions",
            registration(|it| it.actions = vec![it.actions[0].clone(); 1001]),
            "identity_update.actions: has 1001 entries; the most is 1000",
        ),
        (
            "an action of no kind",
            registration(|it| it.actions.push(empty_action)),
            "identity_update: Deserialization error: actions[2]",
        ),
        (
            "no creation",
            registration(|it| it.actions = it.actions.split_off(1)),
            "identity update refused",
        ),
        (
            "creation twice",
            registration(|it| it.actions.insert(0, it.actions[0].clone())),
            "identity update refused",
        ),
        (
            "another time",
            registration(|it| it.client_timestamp_ns += 5_000_000_000),
            "identity update refused",
        ),
        (
            "no address",
            create(|it| it.initial_identifier.clear()),
            "identity update refused",
        ),
        (
            "half an address",
            create(|it| it.initial_identifier.truncate(20)),
            "identity update refused",
        ),
        (
            "an address of 1 MiB",
            create(|it| it.initial_identifier = "0x".repeat(1 << 19)),
            "identity_update: has 1048954 bytes; the most is 92160",
        ),
        (
            "another nonce",
            create(|it| it.nonce = 7),
            "identity update refused",
        ),
        (
            "a passkey that is an address",
            create(|it| it.initial_identifier_kind = 2),
            "initial_identifier",
        ),
        (
            "no signature of the creator",
            create(|it| it.initial_identifier_signature = None),
            "actions[0].create_inbox.initial_identifier_signature",
        ),
        (
            "a signature of no kind",
            create(|it| it.initial_identifier_signature = Some(Signature { signature: None })),
            "actions[0].create_inbox.initial_identifier_signature",
        ),
        (
            "an empty wallet signature",
            create(|it| it.initial_identifier_signature = wallet(&[])),
            "actions[0].create_inbox.initial_identifier_signature: Signature validation failed: erc_191 has 0 bytes",
        ),
        (
            "64 bytes of wallet signature",
            create(|it| it.initial_identifier_signature = wallet(&[7; 64])),
            "actions[0].create_inbox.initial_identifier_signature: Signature validation failed: erc_191 has 64 bytes",
        ),
        (
            "66 bytes of wallet signature",
            create(|it| it.initial_identifier_signature = wallet(&[7; 66])),
            "actions[0].create_inbox.initial_identifier_signature: Signature validation failed: erc_191 has 66 bytes",
        ),
        (
            "a wallet signature of zeros",
            create(|it| it.initial_identifier_signature = wallet(&[0; 65])),
            "actions[0].create_inbox.initial_identifier_signature: Signature validation failed: erc_191 is not",
        ),
        (
            "a wallet signature of ones",
            create(|it| it.initial_identifier_signature = wallet(&[0xff; 65])),
            "actions[0].create_inbox.initial_identifier_signature: Signature validation failed: erc_191 is not",
        ),
        (
            "somebody else's signature",
            create(|it| it.initial_identifier_signature = wallet(&other.wallet.sign_text("yes"))),
            "identity update refused",
        ),
        (
            "no member",
            add(|it| it.new_member_identifier = None),
            "actions[1].add.new_member_identifier",
        ),
        (
            "a member of no kind",
            add(|it| it.new_member_identifier = Some(MemberIdentifier { kind: None })),
            "actions[1].add.new_member_identifier",
        ),
        (
            "an installation of 31 bytes",
            add(|it| it.new_member_identifier = key(&[7; 31])),
            "actions[1].add.new_member_identifier",
        ),
        (
            "an installation of 33 bytes",
            add(|it| it.new_member_identifier = key(&[7; 33])),
            "actions[1].add.new_member_identifier",
        ),
        (
            "an installation of no bytes",
            add(|it| it.new_member_identifier = key(&[])),
            "actions[1].add.new_member_identifier",
        ),
        (
            "another installation",
            add(|it| it.new_member_identifier = key(other.installation.key().as_bytes())),
            "identity update refused",
        ),
        (
            "no signature of the member",
            add(|it| it.new_member_signature = None),
            "actions[1].add.new_member_signature",
        ),
        (
            "63 bytes of installation signature",
            add(|it| it.new_member_signature = installation_signature(&[7; 63])),
            "actions[1].add.new_member_signature: Signature validation failed: installation_key.bytes has 63 bytes, not 64",
        ),
        (
            "zeros as installation signature",
            add(|it| it.new_member_signature = installation_signature(&[0; 64])),
            "actions[1].add.new_member_signature: Signature validation failed: ed25519",
        ),
        (
            "no signature of the wallet",
            add(|it| it.existing_member_signature = None),
            "actions[1].add.existing_member_signature",
        ),
        (
            "no account of a contract",
            add(|it| it.existing_member_signature = contract("")),
            "account_id",
        ),
        (
            "a contract beyond Ethereum",
            add(|it| it.existing_member_signature = contract("solana:1:abc")),
            "account_id",
        ),
        (
            "a contract on chain x",
            add(|it| it.existing_member_signature = contract(&format!("eip155:x:{ADDRESS}"))),
            "account_id",
        ),
        (
            "a contract at half an address",
            add(|it| it.existing_member_signature = contract("eip155:1:0x12")),
            "account_id",
        ),
        (
            "21 questions to contract wallets",
            registration(|it| {
                let Some(Kind::Add(add)) = it.actions[1].kind.clone() else {
                    panic!("a registration goes on with AddAssociation")
                };
                it.actions.extend((1..22).map(|chain| IdentityAction {
                    kind: Some(Kind::Add(AddAssociation {
                        existing_member_signature: contract(&format!("eip155:{chain}:{ADDRESS}")),
                        ..add.clone()
                    })),
                }));
            }),
            "actions: would have contract wallets asked 21 times; the most is 20",
        ),
        (
            "an empty passkey signature",
            add(|it| {
                it.existing_member_signature =
                    signed(Form::Passkey(RecoverablePasskeySignature::default()))
            }),
            "actions[1].add.existing_member_signature: Signature validation failed: client_data is invalid",
        ),
        (
            "a legacy signature without key",
            add(|it| {
                it.existing_member_signature =
                    signed(Form::DelegatedErc191(LegacyDelegatedSignature::default()))
            }),
            "delegated",
        ),
    ]
}

pub(crate) fn publish_identity_update() -> Method {
    let known = Person::new(3);
    let registered = known.registration();
    let mut cases: Vec<_> = broken_updates()
        .into_iter()
        .map(|(name, update, says)| bad(name, publishes(update), says))
        .collect();
    let asked = add(|it| it.existing_member_signature = contract(&format!("eip155:1:{ADDRESS}")));
    let large = registration(|it| it.inbox_id = "a".repeat((25 << 20) - (32 << 10)));
    cases.extend([
        bad(
            "nothing",
            publishes(vec![]),
            "identity_update: is missing or empty",
        ),
        bad(
            "a contract that nobody can ask",
            publishes(asked),
            "actions[1].add.existing_member_signature: contract signature not checked",
        )
        .with(Code::Unavailable),
        bad(
            "a revocation before the registration",
            publishes(Person::new(4).revocation()),
            "XID not yet created",
        ),
        bad(
            "a registration that was there already",
            publishes(registered.clone()),
            "identity update refused",
        ),
        bad(
            "an oversized update",
            publishes(large),
            "identity_update: has",
        ),
    ]);
    Method::new(
        PUBLISH,
        "PublishIdentityUpdateRequest.identity_update",
        publishes(known.revocation()),
        cases,
    )
    .after(PUBLISH, publishes(registered))
}

pub(crate) fn get_identity_updates() -> Method {
    let request = |inboxes: &[&str]| GetIdentityUpdatesRequest {
        requests: inboxes
            .iter()
            .map(|inbox| get_identity_updates_request::Request {
                inbox_id: (*inbox).to_owned(),
                sequence_id: 0,
            })
            .collect(),
    };
    let inbox = Person::new(1).inbox.to_string();
    Method::new(
        "/xmtp.identity.api.v1.IdentityApi/GetIdentityUpdates",
        "GetIdentityUpdatesRequest.requests",
        request(&[&inbox]),
        vec![
            bad("no inbox id", request(&[""]), "requests[0].inbox_id"),
            bad(
                "half an inbox id",
                request(&[&inbox[..32]]),
                "requests[0].inbox_id",
            ),
            bad(
                "an inbox id in capitals",
                request(&[&inbox.to_uppercase()]),
                "requests[0].inbox_id",
            ),
            bad("an address", request(&[ADDRESS]), "requests[0].inbox_id"),
            bad(
                "an inbox id of 1 MiB",
                request(&[&"f".repeat(1 << 20)]),
                "requests[0].inbox_id",
            ),
            bad(
                "a bad second one",
                request(&[&inbox, "x"]),
                "requests[1].inbox_id",
            ),
            bad(
                "10 001 inboxes",
                request(&vec![&inbox[..]; 10_001]),
                "requests: has 10001 entries; the most is 10000",
            ),
            Case::new(
                "no UTF-8",
                Code::InvalidArgument,
                vec![0x0a, 3, 0x0a, 1, 0xff],
                "inbox_id",
            ),
        ],
    )
}

pub(crate) fn get_inbox_ids() -> Method {
    let request = |asked: &[(&str, i32)]| GetInboxIdsRequest {
        requests: asked
            .iter()
            .map(|(identifier, kind)| get_inbox_ids_request::Request {
                identifier: (*identifier).to_owned(),
                identifier_kind: *kind,
            })
            .collect(),
    };
    Method::new(
        "/xmtp.identity.api.v1.IdentityApi/GetInboxIds",
        "GetInboxIdsRequest.requests",
        request(&[(ADDRESS, 1)]),
        vec![
            bad(
                "no identifier",
                request(&[("", 1)]),
                "requests[0].identifier: has 0 bytes",
            ),
            bad(
                "1025 bytes",
                request(&[(&"a".repeat(1025), 1)]),
                "requests[0].identifier: has 1025 bytes; it has 1 to 1024",
            ),
            bad(
                "kind 3",
                request(&[(ADDRESS, 3)]),
                "requests[0].identifier_kind: 3 is unknown",
            ),
            bad(
                "kind -1",
                request(&[(ADDRESS, -1)]),
                "requests[0].identifier_kind: -1 is unknown",
            ),
            bad(
                "a bad second one",
                request(&[(ADDRESS, 1), ("", 1)]),
                "requests[1].identifier",
            ),
            bad(
                "10 001 identifiers",
                request(&vec![(ADDRESS, 1); 10_001]),
                "requests: has 10001 entries; the most is 10000",
            ),
            Case::new(
                "no UTF-8",
                Code::InvalidArgument,
                vec![0x0a, 3, 0x0a, 1, 0xff],
                "identifier",
            ),
        ],
    )
}

/// Each question is answered for itself, so a bad one does not fail the call.
pub(crate) fn verify_smart_contract_wallet_signatures() -> Method {
    let question = |account: &str, hash: &[u8]| Question {
        account_id: account.to_owned(),
        block_number: None,
        signature: Bytes::from_static(&[7; 65]),
        hash: Bytes::copy_from_slice(hash),
    };
    let request =
        |signatures: Vec<Question>| VerifySmartContractWalletSignaturesRequest { signatures };
    let one = |account: &str| request(vec![question(account, &[1; 32])]);
    let sound = format!("eip155:1:{ADDRESS}");
    let answered = |name: &str, request, says: &str| bad(name, request, says).with(Code::Ok);
    Method::new(
        "/xmtp.identity.api.v1.IdentityApi/VerifySmartContractWalletSignatures",
        "VerifySmartContractWalletSignaturesRequest.signatures",
        request(vec![]),
        vec![
            answered(
                "no account",
                one(""),
                "account_id \"\": not a CAIP-10 account id",
            ),
            answered("an address alone", one(ADDRESS), "not a CAIP-10 account id"),
            answered(
                "four parts",
                one(&format!("{sound}:1")),
                "not a CAIP-10 account id",
            ),
            answered(
                "another kind of chain",
                one("solana:1:abc"),
                "Chain ID is not prefixed with eip155:",
            ),
            answered(
                "a chain with a name",
                one(&format!("eip155:main:{ADDRESS}")),
                "Chain ID is not a valid u64",
            ),
            answered(
                "a chain of 65 bits",
                one(&format!("eip155:18446744073709551616:{ADDRESS}")),
                "Chain ID is not a valid u64",
            ),
            answered(
                "half an address",
                one("eip155:1:0x1234"),
                "the address is not `0x` and 40 hex digits",
            ),
            answered(
                "an account of 1 MiB",
                one(&"a".repeat(1 << 20)),
                "not a CAIP-10 account id",
            ),
            answered(
                "no hash",
                request(vec![question(&sound, b"")]),
                "the hash has 0 bytes, not 32",
            ),
            answered(
                "a hash of 33 bytes",
                request(vec![question(&sound, &[1; 33])]),
                "the hash has 33 bytes, not 32",
            ),
            bad(
                "101 questions",
                request(vec![question(&sound, &[1; 32]); 101]),
                "signatures: has 101 entries; the most is 100",
            ),
        ],
    )
}

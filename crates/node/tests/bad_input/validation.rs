//! `ValidationApi`: messages, key packages and signatures are judged one by one, so bad ones are
//! answered and do not fail the call.

use bytes::Bytes;
use folkmoot_testkit::{
    Person,
    mls::{Content, private_message},
};
use folkmoot_wire::proto::xmtp::{
    identity::associations::IdentityUpdate,
    mls_validation::v1::{
        GetAssociationStateRequest, ValidateGroupMessagesRequest,
        ValidateInboxIdKeyPackagesRequest, validate_group_messages_request::GroupMessage,
        validate_inbox_id_key_packages_request::KeyPackage,
    },
};
use prost::Message;
use tonic::Code;

use crate::{
    harness::{Method, bad},
    identity,
    mls::{GROUP, broken_group_messages, broken_key_packages},
};

pub(crate) fn validate_group_messages() -> Method {
    let request = |messages: Vec<Vec<u8>>| ValidateGroupMessagesRequest {
        group_messages: messages
            .into_iter()
            .map(|message| GroupMessage {
                group_message_bytes_tls_serialized: message.into(),
            })
            .collect(),
    };
    let sound = private_message(&GROUP, 1, Content::Commit, b"x");
    // How long a group id may be is the node's affair, not MLS's.
    let broken = broken_group_messages()
        .into_iter()
        .filter(|(_, _, says)| !says.contains("topic"));
    let mut cases: Vec<_> = broken
        .map(|(name, message, says)| bad(name, request(vec![message]), says).with(Code::Ok))
        .collect();
    let many = request(vec![sound.clone(); 1001]);
    cases.push(bad(
        "1001 messages",
        many,
        "group_messages: has 1001 entries; the most is 1000",
    ));
    Method::new(
        "/xmtp.mls_validation.v1.ValidationApi/ValidateGroupMessages",
        "ValidateGroupMessagesRequest.group_messages",
        request(vec![sound]),
        cases,
    )
}

pub(crate) fn get_association_state() -> Method {
    let decoded = |update: Bytes| IdentityUpdate::decode(update).unwrap();
    let registration = decoded(Person::new(1).registration());
    let other = decoded(Person::new(2).registration());
    let revocation = decoded(Person::new(1).revocation());
    let request = |old: &[IdentityUpdate], new: &[IdentityUpdate]| GetAssociationStateRequest {
        old_updates: old.to_vec(),
        new_updates: new.to_vec(),
    };
    let many = vec![registration.clone(); 257];
    let mut no_kind = registration.clone();
    no_kind.actions[0].kind = None;
    let no_kind = [registration.clone(), no_kind];
    let one = std::slice::from_ref(&registration);
    Method::new(
        "/xmtp.mls_validation.v1.ValidationApi/GetAssociationState",
        "GetAssociationStateRequest.old_updates",
        request(&[], one),
        vec![
            bad(
                "nothing",
                request(&[], &[]),
                "new_updates: is empty, and so is old_updates",
            ),
            bad(
                "257 old updates",
                request(&many, &[]),
                "old_updates: has 257 entries; the most is 256",
            ),
            bad(
                "257 new updates",
                request(&[], &many),
                "new_updates: has 257 entries; the most is 256",
            ),
            bad(
                "an action of no kind",
                request(&[], &no_kind),
                "new_updates[1]: Deserialization error: actions[0]",
            ),
            bad(
                "an old action of no kind",
                request(&no_kind, &[]),
                "old_updates[1]: Deserialization error: actions[0]",
            ),
            bad(
                "a revocation of nothing",
                request(&[], &[revocation]),
                "XID not yet created",
            ),
            bad(
                "a registration twice",
                request(one, one),
                "new_updates[0]: identity update refused",
            ),
            bad(
                "two inboxes",
                request(one, &[other]),
                "identity update refused",
            ),
        ],
    )
}

pub(crate) fn validate_inbox_id_key_packages() -> Method {
    let request = |packages: Vec<Vec<u8>>| ValidateInboxIdKeyPackagesRequest {
        key_packages: packages
            .into_iter()
            .map(|package| KeyPackage {
                key_package_bytes_tls_serialized: package.into(),
                is_inbox_id_credential: true,
            })
            .collect(),
    };
    let sound = Person::new(1).key_package().to_vec();
    let mut cases: Vec<_> = broken_key_packages()
        .into_iter()
        .map(|(name, package, says)| bad(name, request(vec![package]), says).with(Code::Ok))
        .collect();
    let many = request(vec![vec![]; 1001]);
    cases.push(bad(
        "1001 key packages",
        many,
        "key_packages: has 1001 entries; the most is 1000",
    ));
    Method::new(
        "/xmtp.mls_validation.v1.ValidationApi/ValidateInboxIdKeyPackages",
        "ValidateInboxIdKeyPackagesRequest.key_packages",
        request(vec![sound]),
        cases,
    )
}

pub(crate) fn verify_smart_contract_wallet_signatures() -> Method {
    identity::verify_smart_contract_wallet_signatures()
        .at("/xmtp.mls_validation.v1.ValidationApi/VerifySmartContractWalletSignatures")
}

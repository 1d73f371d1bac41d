//! Decoders that need nothing but bytes.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use folkmoot_conversation::{GroupMessageHeader, KeyPackageIn};
use folkmoot_identity::{AssociationState, ContractVerdicts, IdentityUpdate, Rules};
use folkmoot_wire::Topic;

/// A moment at which the seeds' key packages are valid: seconds since the Unix epoch.
pub(crate) const WHEN_SEEDS_ARE_VALID: u64 = 1_795_300_000;

/// Topics: the whole input.
pub fn topic(data: &[u8]) {
    if let Ok(topic) = Topic::parse(Bytes::copy_from_slice(data)) {
        assert_eq!(topic.as_bytes(), data);
        assert_eq!(Topic::new(topic.kind(), topic.identifier()), Ok(topic));
    }
}

/// Framing of MLS group messages: the whole input.
pub fn group_message(data: &[u8]) {
    match GroupMessageHeader::parse(data) {
        Ok(header) => {
            assert!(!header.group_id.is_empty());
            assert!(
                data.windows(header.group_id.len())
                    .any(|it| it == header.group_id)
            );
            let longer = [data, &[0]].concat();
            assert!(
                GroupMessageHeader::parse(&longer).is_err(),
                "bytes after the end"
            );
        }
        Err(cause) => assert!(!cause.to_string().is_empty()),
    }
}

/// Key packages: the whole input.
pub fn key_package(data: &[u8]) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(WHEN_SEEDS_ARE_VALID);
    match KeyPackageIn::decode(data).and_then(|package| package.verify(now)) {
        Ok(package) => assert!(package.not_before < package.not_after),
        Err(cause) => assert!(!cause.to_string().is_empty()),
    }
}

/// Identity updates: decoded, verified with contracts that say yes to everything, and applied to
/// no state and to the state that they make. The whole input.
pub fn identity_update(data: &[u8]) {
    let Ok(update) = IdentityUpdate::decode(data) else {
        return;
    };
    let again = IdentityUpdate::decode(&update.encode()).expect("what was encoded decodes");
    assert_eq!(again.signature_text(), update.signature_text());
    let verdicts: ContractVerdicts = update
        .contract_checks()
        .into_iter()
        .map(|check| (check, Ok(true)))
        .collect();
    let Ok(verified) = update.verify(&verdicts) else {
        return;
    };
    for rules in [Rules::Libxmtp, Rules::Node] {
        let Ok(state) = AssociationState::apply(None, &verified, rules) else {
            continue;
        };
        let copy = AssociationState::from_proto(state.to_proto());
        assert_eq!(copy.expect("a state decodes").members(), state.members());
        assert!(
            rules == Rules::Libxmtp
                || AssociationState::apply(Some(&state), &verified, rules).is_err(),
            "an update is good for once"
        );
    }
}

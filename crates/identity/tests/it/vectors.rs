//! Every case of `tests/vectors/identity.json` gets the verdict of the official library.

use folkmoot_identity::{
    AssociationState, ContractVerdicts, Identifier, IdentityUpdate, InstallationSecret,
    MemberIdentifier, Rules, UpdateBuilder, WalletSecret, derive_inbox_id, replay,
    verify_public_signature,
};
use folkmoot_wire::InstallationKey;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const VECTORS: &str = include_str!("../vectors/identity.json");

/// The official library takes these; they are why nodes have rules of their own.
const REPLAYS_IN_ANOTHER_SPELLING: [&str; 2] =
    ["passkey_replay_malleated_s", "v_replay_only_wallets"];

pub(crate) fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(value, name)).unwrap()
}

fn bytes_32(value: &Value, name: &str) -> [u8; 32] {
    bytes(value, name).try_into().unwrap()
}

/// The updates of a chain, as bytes.
pub(crate) fn updates(chain: &Value) -> Vec<Vec<u8>> {
    list(chain, "updates")
        .iter()
        .map(|update| bytes(update, "identity_update_hex"))
        .collect()
}

/// Replays a chain as a reader of its log does. Contracts say what the vectors' README says.
fn replay_chain(chain: &Value, rules: Rules) -> Result<AssociationState, String> {
    let valid = text(chain, "name") != "scw_invalid";
    let mut verified = Vec::new();
    for update in updates(chain) {
        let update = IdentityUpdate::decode(&update).map_err(|error| error.to_string())?;
        let checks = update.contract_checks().into_iter();
        let verdicts: ContractVerdicts = checks.map(|check| (check, Ok(valid))).collect();
        verified.push(update.verify(&verdicts).map_err(|error| {
            assert!(!error.is_retryable(), "{error}");
            error.to_string()
        })?);
    }
    let state = replay(&verified, rules).map_err(|error| error.to_string())?;
    Ok(state.unwrap())
}

fn assert_same_state(state: &AssociationState, expected: &Value, name: &str) {
    let recovery = state.recovery_identifier();
    assert_eq!(recovery.to_string(), text(expected, "recovery"), "{name}");
    let kind = match recovery {
        Identifier::Ethereum(_) => "ethereum",
        Identifier::Passkey(_) => "passkey",
    };
    assert_eq!(kind, text(expected, "recovery_kind"), "{name}");

    let mut identifiers = Vec::new();
    let mut installations = Vec::new();
    for member in state.members() {
        match &member.identifier {
            MemberIdentifier::Installation(key) => {
                let time = member.client_timestamp_ns.unwrap();
                installations.push((key.to_string(), time.to_string()));
            }
            identifier => {
                identifiers.push((identifier.kind().to_string(), identifier.to_string()));
            }
        }
    }
    let pairs = |name: &str, first: &str, second: &str| {
        let pair = |it| (text(it, first).to_owned(), text(it, second).to_owned());
        list(expected, name).iter().map(pair).collect::<Vec<_>>()
    };
    let mut expected_identifiers = pairs("identifiers", "kind", "identifier");
    let mut expected_installations = pairs("installations", "id", "client_timestamp_ns");
    for list in [
        &mut identifiers,
        &mut installations,
        &mut expected_identifiers,
        &mut expected_installations,
    ] {
        list.sort();
    }
    assert_eq!(identifiers, expected_identifiers, "{name}");
    assert_eq!(installations, expected_installations, "{name}");
    assert_eq!(state.installations().count(), installations.len(), "{name}");
}

/// The library's error without the layers that the SDK puts around it.
fn bare(error: &str) -> &str {
    let layers = [
        "[ClientError::Association] Association error: ",
        "[ClientError::SignatureValidation] signature validation error: ",
    ];
    layers
        .iter()
        .find_map(|layer| error.strip_prefix(layer))
        .unwrap_or("Deserialization error")
}

#[test]
fn every_chain_has_the_official_verdict_and_state() {
    let vectors = vectors();
    let chains = list(&vectors, "chains");
    assert_eq!(chains.len(), 68);
    for chain in chains {
        let name = text(chain, "name");
        let expected = &chain["sdk_result"];
        match replay_chain(chain, Rules::Libxmtp) {
            Ok(state) => {
                assert_eq!(expected["ok"], true, "{name}: {expected}");
                assert_eq!(
                    state.inbox_id().to_string(),
                    text(chain, "inbox_id"),
                    "{name}"
                );
                assert_same_state(&state, expected, name);
            }
            Err(error) => {
                assert_eq!(expected["ok"], false, "{name}: {error}");
                let official = bare(text(expected, "error"));
                assert!(error.contains(official), "{name}: {error} lacks {official}");
            }
        }
    }
}

#[test]
fn a_node_refuses_two_replays_more_and_nothing_else() {
    let vectors = vectors();
    for chain in list(&vectors, "chains") {
        let name = text(chain, "name");
        let official = replay_chain(chain, Rules::Libxmtp);
        let node = replay_chain(chain, Rules::Node);
        if REPLAYS_IN_ANOTHER_SPELLING.contains(&name) {
            assert!(official.is_ok(), "{name}");
            assert_eq!(node, Err("Replay detected".to_owned()), "{name}");
        } else {
            assert_eq!(node, official, "{name}");
        }
    }
}

#[test]
fn every_signature_text_is_rebuilt() {
    let vectors = vectors();
    let mut texts = 0;
    for chain in list(&vectors, "chains") {
        // There the signers signed another text than the update's: that is the case.
        if text(chain, "name") == "text_other_second" {
            continue;
        }
        for update in list(chain, "updates") {
            let bytes = bytes(update, "identity_update_hex");
            if let Ok(decoded) = IdentityUpdate::decode(&bytes) {
                assert_eq!(decoded.signature_text(), text(update, "signature_text"));
                texts += 1;
            }
        }
    }
    assert!(texts > 100, "{texts}");
}

#[test]
fn the_texts_that_the_sdk_shows_to_wallets_are_ours_too() {
    let vectors = vectors();
    let made_by_sdk = &vectors["sdk_signature_texts"];
    let keys = &vectors["keys"];
    let wallet = |name| Identifier::ethereum(text(&keys["wallets"][name], "address")).unwrap();
    let app =
        |name| InstallationKey::from_bytes(bytes_32(&keys["installations"][name], "public_key"));
    let passkey = text(&keys["passkeys"]["P1"], "public_key_compressed");
    let passkey = || Identifier::passkey(passkey, None).unwrap();
    let own_app = InstallationKey::from_bytes(bytes_32(made_by_sdk, "installation_public_key"));
    let (inbox, owner) = (text(made_by_sdk, "inbox_id").parse().unwrap(), wallet("W1"));

    let texts = list(made_by_sdk, "texts");
    assert_eq!(texts.len(), 8);
    for case in texts {
        let expected = text(case, "text");
        let time = expected
            .lines()
            .nth(3)
            .unwrap()
            .strip_prefix("Current time: ");
        let time = OffsetDateTime::parse(time.unwrap(), &Rfc3339).unwrap();
        let seconds = u64::try_from(time.unix_timestamp()).unwrap();
        let update = UpdateBuilder::new(inbox, seconds * 1_000_000_000 + 987_654_321);
        let update = match text(case, "name") {
            "create" => update
                .create_inbox(owner.clone(), 0)
                .add(own_app, owner.clone()),
            "add_eth" => update.add(wallet("W2"), own_app),
            "add_passkey" => update.add(passkey(), own_app),
            "revoke_eth" => update.revoke(wallet("W2"), owner.clone()),
            "revoke_passkey" => update.revoke(passkey(), owner.clone()),
            "revoke_installations" => update
                .revoke(app("I2"), owner.clone())
                .revoke(app("I3"), owner.clone()),
            "change_recovery" => update.change_recovery(wallet("W3"), owner.clone()).unwrap(),
            "change_recovery_passkey" => update.change_recovery(passkey(), owner.clone()).unwrap(),
            unknown => panic!("{unknown}"),
        };
        assert_eq!(update.signature_text(), expected);
    }
}

#[test]
fn inbox_ids_follow_from_accounts() {
    let vectors = vectors();
    let cases = list(&vectors, "inbox_ids");
    assert_eq!(cases.len(), 14);
    for case in cases {
        let identifier = text(case, "identifier");
        let nonce = text(case, "nonce").parse().unwrap();
        let id = match text(case, "kind") {
            "passkey" => derive_inbox_id(&Identifier::passkey(identifier, None).unwrap(), nonce),
            _ => Identifier::ethereum(identifier)
                .and_then(|account| derive_inbox_id(&account, nonce)),
        };
        match case.get("inbox_id") {
            Some(expected) => assert_eq!(id.unwrap().to_string(), expected.as_str().unwrap()),
            None => assert!(id.is_err(), "{identifier}"),
        }
    }
}

#[test]
fn an_installation_signs_texts_of_apps_as_the_sdk_does() {
    let vectors = vectors();
    let case = &vectors["installation_public_context_signature"];
    let installation = InstallationSecret::from_seed(&bytes_32(case, "seed"));
    let (said, signature) = (text(case, "text"), bytes(case, "signature"));
    assert_eq!(installation.key().to_string(), text(case, "public_key"));
    assert_eq!(installation.sign_public(said).to_vec(), signature);

    let key = installation.key();
    assert_eq!(verify_public_signature(&key, said, &signature), Ok(()));
    assert!(verify_public_signature(&key, "other", &signature).is_err());
    assert!(verify_public_signature(&key, said, &signature[1..]).is_err());
}

#[test]
fn our_registration_is_byte_for_byte_the_recorded_one() {
    let vectors = vectors();
    let keys = &vectors["keys"];
    let wallet = bytes_32(&keys["wallets"]["W1"], "private_key");
    let wallet = WalletSecret::from_bytes(&wallet).unwrap();
    let seed = bytes_32(&keys["installations"]["I1"], "ed25519_seed");
    let installation = InstallationSecret::from_seed(&seed);
    assert_eq!(wallet.address(), text(&keys["wallets"]["W1"], "address"));

    let chains = list(&vectors, "chains");
    let recorded = chains
        .iter()
        .find(|chain| chain["name"] == "create_eoa_add_installation")
        .unwrap();
    let update = UpdateBuilder::register(&wallet, 0, &installation, 1_700_000_000_123_456_789);
    assert_eq!(
        hex::encode(update.encode()),
        hex::encode(&updates(recorded)[0])
    );
}

#[test]
fn the_registration_that_the_sdk_made_is_valid() {
    let vectors = vectors();
    let update = IdentityUpdate::decode(&bytes(&vectors, "sdk_registration_update_hex")).unwrap();
    let verified = update.verify(&ContractVerdicts::new()).unwrap();
    let state = AssociationState::apply(None, &verified, Rules::Node).unwrap();
    assert_eq!(state.installations().count(), 1);
}

#[test]
fn contracts_are_asked_what_the_sdk_asks() {
    use folkmoot_identity::ContractCheck;
    use folkmoot_wire::proto::xmtp::identity::api::v1 as api;
    use prost::Message;

    type Request = api::VerifySmartContractWalletSignatureRequestSignature;
    let vectors = vectors();
    let mut asked = 0;
    for chain in list(&vectors, "chains") {
        let Some(requests) = chain.get("scw_verify_requests_hex") else {
            continue;
        };
        let mut ours = Vec::new();
        for update in updates(chain) {
            ours.extend(IdentityUpdate::decode(&update).unwrap().contract_checks());
        }
        let mut theirs = Vec::new();
        for request in requests.as_array().unwrap() {
            let request = hex::decode(request.as_str().unwrap()).unwrap();
            let request = Request::decode(&request[..]).unwrap();
            // They ask before they look at the chain; we do not ask in vain.
            if let Ok(check) = ContractCheck::parse(
                &request.account_id,
                &request.hash,
                &request.signature,
                request.block_number,
            ) && !theirs.contains(&check)
            {
                theirs.push(check);
            }
        }
        assert_eq!(ours, theirs, "{}", text(chain, "name"));
        asked += ours.len();
    }
    assert!(asked >= 5, "{asked}");
}

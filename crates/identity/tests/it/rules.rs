//! The rules of the association state, one at a time.

use folkmoot_identity::{
    AssociationError, AssociationState, ContractVerdicts, IdentityUpdate, MemberIdentifier,
    MemberKind, Rules, Signature, SignatureError, SignatureKind, Signer, UpdateBuilder,
};
use folkmoot_wire::proto::xmtp::identity::associations as proto;

use crate::cast::{Inbox, app, contract, passkey, wallet, yes};

#[test]
fn everybody_adds_everybody_but_apps_add_no_apps() {
    let (owner, key, phone) = (wallet(1), passkey(2), app(3));
    let mut inbox = Inbox::of(&owner);
    let update = inbox
        .update()
        .add(key.member(), owner.member())
        .add(phone.key(), owner.member());
    inbox
        .takes(update.sign(&owner).sign(&key).sign(&phone))
        .unwrap();

    let (new_wallet, new_key, new_phone) = (wallet(4), passkey(5), app(6));
    let newcomers: [&dyn Signer; 3] = [&new_wallet, &new_key, &new_phone];
    let members: [&dyn Signer; 3] = [&owner, &key, &phone];
    for member in members {
        for newcomer in newcomers {
            let mut update = inbox.update().add(newcomer.member(), member.member());
            for signer in [member, newcomer] {
                let signature = signer.sign(&update.signature_text());
                update = update.signature(signer.member(), signature);
            }
            let taken = inbox.would_take(&update.finish().unwrap(), Rules::Libxmtp);
            let app = MemberKind::Installation;
            if (member.member().kind(), newcomer.member().kind()) == (app, app) {
                let refused = AssociationError::MemberNotAllowed {
                    existing: app,
                    new: app,
                };
                assert_eq!(taken, Err(refused));
            } else {
                assert!(taken.unwrap().is_member(&newcomer.member()));
            }
        }
    }
}

#[test]
fn a_member_says_who_added_it_and_when() {
    let (owner, phone) = (wallet(1), app(2));
    let mut inbox = Inbox::of(&owner);
    let update = inbox.update().add(phone.key(), owner.identifier());
    inbox.takes(update.sign(&owner).sign(&phone)).unwrap();

    let members = inbox.state().members();
    let [app, creator] = &members[..] else {
        panic!("{members:?}")
    };
    assert_eq!(app.identifier, phone.member());
    assert_eq!(app.added_by, Some(owner.member()));
    assert_eq!(app.client_timestamp_ns, Some(inbox.now_ns));
    assert_eq!(creator.identifier, owner.member());
    assert_eq!(
        (creator.client_timestamp_ns, &creator.added_by),
        (None, &None)
    );
}

#[test]
fn a_revoked_member_takes_its_apps_along_but_no_more() {
    let (owner, friend, phone, tablet) = (wallet(1), wallet(2), app(3), app(4));
    let mut inbox = Inbox::of(&owner);
    let update = inbox
        .update()
        .add(phone.key(), owner.identifier())
        .add(friend.identifier(), phone.key())
        .add(tablet.key(), friend.identifier());
    let update = update.sign(&owner).sign(&phone).sign(&friend).sign(&tablet);
    inbox.takes(update).unwrap();

    let update = inbox
        .update()
        .revoke(owner.identifier(), owner.identifier());
    inbox.takes(update.sign(&owner)).unwrap();
    assert!(!inbox.has(owner.identifier()));
    assert!(!inbox.has(phone.key()));
    assert!(inbox.has(friend.identifier()));
    assert!(inbox.has(tablet.key()));
}

#[test]
fn only_the_recovery_identifier_revokes_and_hands_on_recovery() {
    let (owner, friend, phone) = (wallet(1), wallet(2), app(3));
    let mut inbox = Inbox::of(&owner);
    let update = inbox
        .update()
        .add(friend.identifier(), owner.identifier())
        .add(phone.key(), owner.identifier());
    inbox
        .takes(update.sign(&owner).sign(&friend).sign(&phone))
        .unwrap();

    let missing = Err(AssociationError::MissingExistingMember);
    let revoke = |inbox: &mut Inbox, by| inbox.update().revoke(phone.key(), by);
    let update = revoke(&mut inbox, friend.identifier()).sign(&friend);
    assert_eq!(inbox.takes(update), missing);
    let update = revoke(&mut inbox, owner.identifier());
    let by_the_app = phone.sign(&update.signature_text());
    let update = update.signature(owner.member(), by_the_app);
    assert_eq!(inbox.takes(update), missing);

    let update = inbox.update();
    let update = update
        .change_recovery(friend.identifier(), owner.identifier())
        .unwrap();
    inbox.takes(update.sign(&owner)).unwrap();
    assert_eq!(*inbox.state().recovery_identifier(), friend.identifier());
    let update = revoke(&mut inbox, owner.identifier()).sign(&owner);
    assert_eq!(inbox.takes(update), missing);
    let update = revoke(&mut inbox, friend.identifier()).sign(&friend);
    inbox.takes(update).unwrap();
    assert!(!inbox.has(phone.key()));
}

#[test]
fn an_empty_inbox_is_brought_back_by_its_recovery_identifier() {
    let (owner, phone) = (wallet(1), app(2));
    let mut inbox = Inbox::of(&owner);
    let update = inbox
        .update()
        .revoke(owner.identifier(), owner.identifier());
    inbox.takes(update.sign(&owner)).unwrap();
    assert_eq!(inbox.state().members(), Vec::<&_>::new());
    let update = inbox.update().add(phone.key(), owner.identifier());
    inbox.takes(update.sign(&owner).sign(&phone)).unwrap();
    assert!(inbox.has(phone.key()));
}

#[test]
fn an_update_takes_effect_as_a_whole_or_not_at_all() {
    let (owner, friend, stranger) = (wallet(1), wallet(2), wallet(3));
    let mut inbox = Inbox::of(&owner);
    let before = inbox.state.clone();
    let update = inbox
        .update()
        .add(friend.identifier(), owner.identifier())
        .revoke(owner.identifier(), stranger.identifier());
    let update = update.sign(&owner).sign(&friend).sign(&stranger);
    assert_eq!(
        inbox.takes(update),
        Err(AssociationError::MissingExistingMember)
    );
    assert_eq!(inbox.state, before);
}

#[test]
fn an_update_of_another_inbox_is_refused() {
    let (owner, phone) = (wallet(1), app(2));
    let mut other = Inbox::of(&wallet(9));
    let inbox = Inbox::of(&owner);
    let update = other.update().add(phone.key(), owner.identifier());
    let update = update.sign(&owner).sign(&phone).finish().unwrap();
    let taken = inbox.would_take(&update, Rules::Libxmtp);
    assert_eq!(taken, Err(AssociationError::WrongInboxId));
}

#[test]
fn a_contract_wallet_stays_on_its_chain() {
    let (here, elsewhere, phone) = (contract(8453), contract(1), app(3));
    let mut inbox = Inbox::of(&here);
    assert_eq!(
        inbox.state().member(&here.member()).unwrap().chain_id,
        Some(8453)
    );
    let add = |inbox: &mut Inbox| inbox.update().add(phone.key(), here.identifier());
    let update = add(&mut inbox).sign(&elsewhere).sign(&phone);
    let wrong = AssociationError::ChainIdMismatch {
        added: 8453,
        signing: 1,
    };
    assert_eq!(inbox.takes(update), Err(wrong));
    let update = add(&mut inbox).sign(&here).sign(&phone);
    inbox.takes(update).unwrap();

    // Who is no member has no chain to stay on.
    let update = inbox.update().revoke(here.identifier(), here.identifier());
    inbox.takes(update.sign(&here)).unwrap();
    let update = add(&mut inbox).sign(&elsewhere).sign(&phone);
    inbox.takes(update).unwrap();
}

#[test]
fn a_key_cannot_sign_as_a_contract_later() {
    let owner = wallet(1);
    let mut inbox = Inbox::of(&owner);
    let update = inbox.update().revoke(app(2).key(), owner.identifier());
    let account = format!("eip155:10:{}", owner.address());
    let signature = Signature::contract(&account, 1, &b"yes"[..]).unwrap();
    let update = update.signature(owner.member(), signature);
    let wrong = AssociationError::ChainIdMismatch {
        added: 0,
        signing: 10,
    };
    assert_eq!(inbox.takes(update), Err(wrong));
}

#[test]
fn each_question_to_a_contract_is_put_once() {
    let (owner, phone) = (contract(8453), app(2));
    let mut inbox = Inbox::of(&owner);
    let update = inbox
        .update()
        .add(phone.key(), owner.identifier())
        .revoke(app(5).key(), owner.identifier());
    let update = update.sign(&owner).sign(&phone).finish().unwrap();
    let checks = update.contract_checks();
    assert_eq!(checks.len(), 1);
    assert_eq!((checks[0].chain_id, checks[0].block), (8453, Some(17)));
    assert_eq!(checks[0].address, [0xc0; 20]);
    assert!(checks[0].signature.starts_with(b"signed: XMTP"));
}

#[test]
fn only_an_unanswered_question_may_be_tried_again() {
    let owner = contract(8453);
    let mut inbox = Inbox::of(&owner);
    let update = inbox.update().revoke(app(2).key(), owner.identifier());
    let update = update.sign(&owner).finish().unwrap();
    let [check] = <[_; 1]>::try_from(update.contract_checks()).unwrap();

    let mut verdicts = ContractVerdicts::new();
    let error = update.verify(&verdicts).unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(error.code(), "SignatureError::VerifierError");
    assert!(error.to_string().contains("verifier not present"));
    let path = "actions[0].revoke.recovery_identifier_signature: ";
    assert!(error.to_string().starts_with(path), "{error}");
    assert!(!error.to_string().contains("Signature validation failed"));

    verdicts.insert(check.clone(), Err("the endpoint timed out".to_owned()));
    let error = update.verify(&verdicts).unwrap_err();
    assert!(error.is_retryable());
    assert!(error.to_string().contains("the endpoint timed out"));

    verdicts.insert(check, Ok(false));
    let error = update.verify(&verdicts).unwrap_err();
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("Signature validation failed"));
}

#[test]
fn a_signature_must_be_of_its_member_s_kind() {
    let (owner, phone) = (wallet(1), app(2));
    let mut inbox = Inbox::of(&owner);
    // The passkey's key bytes and origin say nothing about who is an installation or a wallet.
    let update = inbox.update().add(phone.key(), owner.identifier());
    let by_passkey = passkey(3).sign(&update.signature_text());
    let update = update.sign(&owner).signature(phone.member(), by_passkey);
    assert_eq!(
        inbox.takes(update),
        Err(AssociationError::NewMemberIdSignatureMismatch)
    );
    let error = AssociationError::SignatureNotAllowed {
        role: MemberKind::Ethereum,
        kind: SignatureKind::LegacyDelegated,
    };
    assert_eq!(
        error.to_string(),
        "Signature not allowed for role \"ethereum\" \"legacy-delegated\""
    );
}

#[test]
fn a_passkey_s_old_signature_in_another_spelling_passes_libxmtp_but_no_node() {
    let (mut owner, phone) = (passkey(1), app(2));
    let mut inbox = Inbox::of(&owner);
    let update = inbox.update().revoke(phone.key(), owner.identifier());
    inbox.takes(update.clone().sign(&owner)).unwrap();
    owner.twin = true;
    let again = update.sign(&owner).finish().unwrap();
    assert!(inbox.would_take(&again, Rules::Libxmtp).is_ok());
    let refused = inbox.would_take(&again, Rules::Node);
    assert_eq!(refused, Err(AssociationError::Replay));
}

#[test]
fn what_a_node_remembers_survives_a_stored_state() {
    let owner = wallet(1);
    let mut inbox = Inbox::of(&owner);
    let update = inbox.update().revoke(app(2).key(), owner.identifier());
    inbox.takes(update.clone().sign(&owner)).unwrap();
    let mut bytes = owner.sign_text(&update.signature_text());
    bytes[64] -= 27;
    let again = update.signature(owner.member(), Signature::erc_191(bytes.to_vec()));
    let again = again.finish().unwrap();

    let stored = inbox.state().to_proto();
    inbox.state = Some(AssociationState::from_proto(stored).unwrap());
    assert!(inbox.would_take(&again, Rules::Libxmtp).is_ok());
    let refused = inbox.would_take(&again, Rules::Node);
    assert_eq!(refused, Err(AssociationError::Replay));
}

#[test]
fn a_wallet_s_signature_through_the_contract_path_is_recognised_too() {
    let (owner, phone) = (wallet(1), app(2));
    let mut inbox = Inbox::of(&owner);
    // Without a membership no chain rule stands in the way.
    let update = inbox
        .update()
        .revoke(phone.key(), owner.identifier())
        .revoke(owner.identifier(), owner.identifier());
    inbox.takes(update.clone().sign(&owner)).unwrap();
    let mut bytes = owner.sign_text(&update.signature_text());
    bytes[64] -= 27;
    let account = format!("eip155:1:{}", owner.address());
    let signature = Signature::contract(&account, 1, bytes.to_vec()).unwrap();
    let again = update
        .signature(owner.member(), signature)
        .finish()
        .unwrap();
    let refused = inbox.would_take(&again, Rules::Node);
    assert_eq!(refused, Err(AssociationError::Replay));
}

#[test]
fn revoking_a_key_that_cannot_exist_is_for_readers_only() {
    use proto::{identity_action::Kind, member_identifier::Kind as Member};

    let owner = wallet(1);
    let mut inbox = Inbox::of(&owner);
    let update = inbox.update().revoke(app(2).key(), owner.identifier());
    let mut update = update.sign(&owner).finish().unwrap().to_proto();
    let Some(Kind::Revoke(revoke)) = &mut update.actions[0].kind else {
        panic!("{update:?}")
    };
    let short = Some(Member::InstallationPublicKey(vec![0xab; 5].into()));
    revoke.member_to_revoke = Some(proto::MemberIdentifier { kind: short });
    let text = IdentityUpdate::from_proto(update.clone())
        .unwrap()
        .signature_text();
    assert!(text.contains("Revoke messaging access from app\n  (ID: ababababab)"));
    let Some(Kind::Revoke(revoke)) = &mut update.actions[0].kind else {
        panic!("{update:?}")
    };
    let signature = proto::RecoverableEcdsaSignature {
        bytes: owner.sign_text(&text).to_vec().into(),
    };
    revoke.recovery_identifier_signature = Some(proto::Signature {
        signature: Some(proto::signature::Signature::Erc191(signature)),
    });
    let update = IdentityUpdate::from_proto(update).unwrap();
    assert_eq!(IdentityUpdate::decode(&update.encode()), Ok(update.clone()));

    let after = inbox.would_take(&update, Rules::Libxmtp).unwrap();
    assert_eq!(after.members(), inbox.state().members());
    let refused = inbox.would_take(&update, Rules::Node);
    assert_eq!(refused, Err(AssociationError::ImpossibleMember(5)));
}

#[test]
fn a_passkey_joins_for_the_site_that_it_signed_for() {
    let (owner, key) = (wallet(1), passkey(2));
    let mut inbox = Inbox::of(&owner);
    let update = inbox.update().add(key.member(), owner.identifier());
    inbox.takes(update.sign(&owner).sign(&key)).unwrap();
    let member = inbox.state().member(&key.member()).unwrap();
    let MemberIdentifier::Passkey(passkey) = &member.identifier else {
        panic!("{member:?}")
    };
    assert_eq!(
        passkey.relying_party.as_deref(),
        Some("https://app.example")
    );
}

#[test]
fn the_diff_names_who_came_and_who_went() {
    let (owner, friend, phone) = (wallet(1), wallet(2), app(3));
    let mut inbox = Inbox::of(&owner);
    let first = inbox.state().clone();
    let all = AssociationState::diff(None, &first);
    assert_eq!(
        (all.new_members, all.removed_members),
        (vec![owner.member()], vec![])
    );

    let update = inbox
        .update()
        .add(friend.identifier(), owner.identifier())
        .revoke(owner.identifier(), owner.identifier())
        .add(phone.key(), friend.identifier());
    inbox
        .takes(update.sign(&owner).sign(&friend).sign(&phone))
        .unwrap();
    let diff = AssociationState::diff(Some(&first), inbox.state());
    assert_eq!(diff.new_members, [friend.member(), phone.member()]);
    assert_eq!(diff.removed_members, [owner.member()]);
    let message = diff.to_proto();
    assert_eq!(
        (message.new_members.len(), message.removed_members.len()),
        (2, 1)
    );

    // Added anew: neither came nor went.
    let before = inbox.state().clone();
    let update = inbox.update().add(phone.key(), owner.identifier());
    inbox.takes(update.sign(&owner).sign(&phone)).unwrap();
    let diff = AssociationState::diff(Some(&before), inbox.state());
    assert_eq!(diff, Default::default());
}

#[test]
fn a_wrong_signature_fails_before_any_rule_is_looked_at() {
    let (owner, phone) = (wallet(1), app(2));
    let mut inbox = Inbox::of(&owner);
    let update = inbox
        .update()
        .add(phone.key(), owner.identifier())
        .sign(&owner);
    let wrong = phone.sign("another text");
    let update = update.signature(phone.member(), wrong).finish().unwrap();
    let error = update.verify(&yes(&update)).unwrap_err();
    let expected = AssociationError::Signature {
        field: "actions[0].add.new_member_signature".to_owned(),
        cause: SignatureError::Ed25519,
    };
    assert_eq!(error, expected);
}

#[test]
fn what_is_signed_through_an_unknown_kind_of_chain_is_refused_without_asking() {
    let owner = contract(1);
    let mut inbox = Inbox::of(&owner);
    for (account, cause) in [
        (
            format!("solana:1:{}", owner.address),
            "not prefixed with eip155:",
        ),
        (format!("eip155:x1:{}", owner.address), "not a valid u64"),
        ("eip155:1:0x12".to_owned(), "40 hex digits"),
    ] {
        let update: UpdateBuilder = inbox.update().revoke(app(2).key(), owner.identifier());
        let signature = Signature::contract(&account, 1, &b"sig"[..]).unwrap();
        let update = update
            .signature(owner.member(), signature)
            .finish()
            .unwrap();
        assert_eq!(update.contract_checks(), []);
        let error = update.verify(&ContractVerdicts::new()).unwrap_err();
        assert!(error.to_string().contains(cause), "{error}");
        assert!(!error.is_retryable());
    }
}

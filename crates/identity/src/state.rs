//! The state of an inbox, and the rules by which updates change it (XIP-46).
//!
//! [`AssociationState::apply`] is one step of a log and [`replay`] the whole of it. The order
//! of the checks decides which of several errors is reported, and follows libxmtp.

use std::collections::{BTreeMap, BTreeSet};

use folkmoot_wire::{InboxId, InstallationKey, proto::xmtp::identity::associations as proto};

use crate::{
    AssociationError, DecodeError, Identifier, MemberIdentifier, MemberKind, SignatureKind,
    VerifiedUpdate,
    action::{Action, RevokedMember},
    derive_inbox_id,
    signature::{VerifiedSignature, replay_form},
};

/// Which updates are taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rules {
    /// Exactly those that libxmtp 1.10 to 1.12 takes. For whoever reads a log that others read
    /// too, since members of a group must agree on the state.
    Libxmtp,
    /// Those that should enter a log. Also refuses old signatures in another spelling (another V of
    /// a wallet's, the other half of S of a passkey's) and the revocation of an installation
    /// whose key cannot be one.
    Node,
}

/// Who belongs to an inbox, after some prefix of its log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AssociationState {
    inbox_id: InboxId,
    members: BTreeMap<MemberIdentifier, Member>,
    recovery: Identifier,
    /// Replay bytes of all signatures, as libxmtp keeps them.
    seen: BTreeSet<Vec<u8>>,
    /// [`replay_form`] of each of them.
    seen_forms: BTreeSet<Vec<u8>>,
}

/// A member of an inbox.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Who it is.
    pub identifier: MemberIdentifier,
    /// The member or recovery identifier that vouched for it; `None` for who opened the inbox.
    pub added_by: Option<MemberIdentifier>,
    /// The time that the adding update claims, in nanoseconds of Unix time; `None` for who
    /// opened the inbox.
    pub client_timestamp_ns: Option<u64>,
    /// The chain on which its contract was asked; `None` for everybody but contract wallets.
    pub chain_id: Option<u64>,
}

/// Who came and who went between two states. Members that were added anew are in neither list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StateDiff {
    /// Members of the new state only.
    pub new_members: Vec<MemberIdentifier>,
    /// Members of the old state only.
    pub removed_members: Vec<MemberIdentifier>,
}

/// The state after a log that starts at its beginning; `None` for an empty log.
///
/// # Errors
///
/// The first [`AssociationError`]: one update that does not fit makes the whole log invalid.
pub fn replay<'a>(
    updates: impl IntoIterator<Item = &'a VerifiedUpdate>,
    rules: Rules,
) -> Result<Option<AssociationState>, AssociationError> {
    updates.into_iter().try_fold(None, |state, update| {
        AssociationState::apply(state.as_ref(), update, rules).map(Some)
    })
}

impl AssociationState {
    /// The state after `update`, whose actions take effect together, in order, or not at all.
    /// `state` is `None` for the first update of an inbox.
    ///
    /// # Errors
    ///
    /// [`AssociationError`], by the rule that the update breaks.
    pub fn apply(
        state: Option<&Self>,
        update: &VerifiedUpdate,
        rules: Rules,
    ) -> Result<Self, AssociationError> {
        let mut next = state.cloned();
        for action in &update.actions {
            act(&mut next, action, update.client_timestamp_ns, rules)?;
        }
        let mut next = next.ok_or(AssociationError::NotCreated)?;
        if next.inbox_id.to_string() != update.inbox_id {
            return Err(AssociationError::WrongInboxId);
        }
        for signature in update.actions.iter().flat_map(Action::signatures) {
            next.remember(signature.replay_bytes.clone());
        }
        Ok(next)
    }

    /// What changed from `old` to `new`. Without an old state all members are new.
    #[must_use]
    pub fn diff(old: Option<&Self>, new: &Self) -> StateDiff {
        let Some(old) = old else {
            return StateDiff {
                new_members: new.members.keys().cloned().collect(),
                removed_members: Vec::new(),
            };
        };
        let only_in = |some: &Self, others: &Self| {
            let members = some.members.keys();
            members
                .filter(|member| !others.members.contains_key(member))
                .cloned()
                .collect()
        };
        StateDiff {
            new_members: only_in(new, old),
            removed_members: only_in(old, new),
        }
    }

    /// The inbox.
    #[must_use]
    pub const fn inbox_id(&self) -> InboxId {
        self.inbox_id
    }

    /// Everybody who belongs to the inbox, by the time of joining; who opened it comes last,
    /// as its time is not recorded.
    #[must_use]
    pub fn members(&self) -> Vec<&Member> {
        let mut members: Vec<_> = self.members.values().collect();
        members.sort_by_key(|member| member.client_timestamp_ns.map_or((1, 0), |time| (0, time)));
        members
    }

    /// What is known about a member.
    #[must_use]
    pub fn member(&self, member: &MemberIdentifier) -> Option<&Member> {
        self.members.get(member)
    }

    /// Whether somebody belongs to the inbox.
    #[must_use]
    pub fn is_member(&self, member: &MemberIdentifier) -> bool {
        self.members.contains_key(member)
    }

    /// The installations that may speak for the inbox, in the order of their keys.
    pub fn installations(&self) -> impl Iterator<Item = InstallationKey> {
        self.members.keys().filter_map(|member| match member {
            MemberIdentifier::Installation(key) => Some(*key),
            _ => None,
        })
    }

    /// The account that can revoke members and add new ones. It need not be a member.
    #[must_use]
    pub const fn recovery_identifier(&self) -> &Identifier {
        &self.recovery
    }

    /// The message form, as the validation service answers it. Members and signatures are in
    /// ascending order.
    #[must_use]
    pub fn to_proto(&self) -> proto::AssociationState {
        let members = self.members.iter().map(|(key, member)| proto::MemberMap {
            key: Some(key.to_proto()),
            value: Some(proto::Member {
                identifier: Some(member.identifier.to_proto()),
                added_by_entity: member.added_by.as_ref().map(MemberIdentifier::to_proto),
                client_timestamp_ns: member.client_timestamp_ns,
                added_on_chain_id: member.chain_id,
            }),
        });
        proto::AssociationState {
            inbox_id: self.inbox_id.to_string(),
            members: members.collect(),
            recovery_identifier: self.recovery.to_string(),
            seen_signatures: self.seen.iter().cloned().map(Into::into).collect(),
            recovery_identifier_kind: self.recovery.proto_kind().into(),
            relying_party: self.recovery.relying_party(),
        }
    }

    /// Reads the message form: a state that the caller computed and kept. It cannot be told
    /// from one that somebody made up.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], with the path of the field.
    pub fn from_proto(state: proto::AssociationState) -> Result<Self, DecodeError> {
        let kind = state.recovery_identifier_kind();
        let recovery = state.recovery_identifier;
        let members = state.members.into_iter().enumerate();
        let mut read = Self {
            inbox_id: state.inbox_id.parse().map_err(|_| DecodeError::InboxId {
                field: "inbox_id".to_owned(),
            })?,
            members: members
                .map(|(index, entry)| decode_member(entry, &format!("members[{index}]")))
                .collect::<Result<_, _>>()?,
            recovery: Identifier::from_proto(recovery, kind, state.relying_party).map_err(
                |_| DecodeError::Passkey {
                    field: "recovery_identifier".to_owned(),
                },
            )?,
            seen: BTreeSet::new(),
            seen_forms: BTreeSet::new(),
        };
        for bytes in state.seen_signatures {
            read.remember(bytes.into());
        }
        Ok(read)
    }

    fn remember(&mut self, replay_bytes: Vec<u8>) {
        self.seen_forms.insert(replay_form(&replay_bytes));
        self.seen.insert(replay_bytes);
    }

    fn check_replay(
        &self,
        signature: &VerifiedSignature,
        rules: Rules,
    ) -> Result<(), AssociationError> {
        let bytes = &signature.replay_bytes;
        let seen = match rules {
            Rules::Libxmtp => self.seen.contains(bytes),
            Rules::Node => self.seen_forms.contains(&replay_form(bytes)),
        };
        if seen {
            Err(AssociationError::Replay)
        } else {
            Ok(())
        }
    }

    /// A wallet keeps the chain on which it joined: an account that is a key cannot later sign as
    /// a contract, nor a contract of one chain as that of another.
    fn check_chain(&self, signature: &VerifiedSignature) -> Result<(), AssociationError> {
        match self.members.get(&signature.signer) {
            Some(member) if member.chain_id != signature.chain_id => {
                Err(AssociationError::ChainIdMismatch {
                    added: member.chain_id.unwrap_or(0),
                    signing: signature.chain_id.unwrap_or(0),
                })
            }
            _ => Ok(()),
        }
    }

    fn create(
        identifier: &Identifier,
        nonce: u64,
        signature: &VerifiedSignature,
    ) -> Result<Self, AssociationError> {
        if !identifier.is(&signature.signer) {
            return Err(AssociationError::MissingExistingMember);
        }
        let creator = MemberIdentifier::from(identifier.clone());
        check_role(creator.kind(), signature.kind)?;
        if is_legacy(signature) && nonce != 0 {
            return Err(AssociationError::LegacySignatureReuse);
        }
        let member = Member {
            identifier: creator.clone(),
            added_by: None,
            client_timestamp_ns: None,
            chain_id: signature.chain_id,
        };
        Ok(Self {
            inbox_id: derive_inbox_id(identifier, nonce)?,
            members: BTreeMap::from([(creator, member)]),
            recovery: identifier.clone(),
            seen: BTreeSet::new(),
            seen_forms: BTreeSet::new(),
        })
    }

    fn add(
        &mut self,
        member: &MemberIdentifier,
        existing: &VerifiedSignature,
        new: &VerifiedSignature,
        client_timestamp_ns: u64,
        rules: Rules,
    ) -> Result<(), AssociationError> {
        self.check_replay(existing, rules)?;
        self.check_replay(new, rules)?;
        if new.signer != *member {
            return Err(AssociationError::NewMemberIdSignatureMismatch);
        }
        if new.signer == existing.signer {
            return Err(AssociationError::AddSelf);
        }
        if let Some(identifier) = existing.signer.identifier()
            && (is_legacy(existing) || is_legacy(new))
            && derive_inbox_id(&identifier, 0)? != self.inbox_id
        {
            return Err(AssociationError::LegacySignatureReuse);
        }
        check_role(member.kind(), new.kind)?;
        self.check_chain(existing)?;
        let added_by = self.who_adds(existing)?;
        check_role(added_by.kind(), existing.kind)?;
        if (added_by.kind(), member.kind()) == (MemberKind::Installation, MemberKind::Installation)
        {
            return Err(AssociationError::MemberNotAllowed {
                existing: added_by.kind(),
                new: member.kind(),
            });
        }
        let joined = Member {
            // Not `member`: a passkey's signature says for whom it was made.
            identifier: new.signer.clone(),
            added_by: Some(added_by),
            client_timestamp_ns: Some(client_timestamp_ns),
            chain_id: new.chain_id,
        };
        self.members.insert(new.signer.clone(), joined);
        Ok(())
    }

    /// The member that `existing` speaks for, or the recovery identifier, which needs no
    /// membership but its own signature.
    fn who_adds(&self, existing: &VerifiedSignature) -> Result<MemberIdentifier, AssociationError> {
        if let Some(member) = self.members.get(&existing.signer) {
            return Ok(member.identifier.clone());
        }
        if !self.recovery.is(&existing.signer) {
            return Err(AssociationError::MissingExistingMember);
        }
        if is_legacy(existing) {
            return Err(AssociationError::LegacySignatureReuse);
        }
        Ok(self.recovery.clone().into())
    }

    /// Checks that the recovery identifier signed, and itself.
    fn check_recovery(
        &self,
        signature: &VerifiedSignature,
        rules: Rules,
    ) -> Result<(), AssociationError> {
        self.check_replay(signature, rules)?;
        self.check_chain(signature)?;
        if is_legacy(signature) {
            return Err(AssociationError::SignatureNotAllowed {
                role: MemberKind::Ethereum,
                kind: signature.kind,
            });
        }
        if self.recovery.is(&signature.signer) {
            Ok(())
        } else {
            Err(AssociationError::MissingExistingMember)
        }
    }

    /// Removes a member and the installations that it added, but nobody whom those added.
    /// Removing who is no member does the second half.
    fn revoke(&mut self, revoked: &MemberIdentifier) {
        self.members.retain(|member, details| {
            let child = member.kind() == MemberKind::Installation
                && details.added_by.as_ref() == Some(revoked);
            member != revoked && !child
        });
    }
}

impl StateDiff {
    /// The message form, as the validation service answers it.
    #[must_use]
    pub fn to_proto(&self) -> proto::AssociationStateDiff {
        let list =
            |members: &[MemberIdentifier]| members.iter().map(MemberIdentifier::to_proto).collect();
        proto::AssociationStateDiff {
            new_members: list(&self.new_members),
            removed_members: list(&self.removed_members),
        }
    }
}

fn act(
    state: &mut Option<AssociationState>,
    action: &Action<VerifiedSignature>,
    client_timestamp_ns: u64,
    rules: Rules,
) -> Result<(), AssociationError> {
    if let Action::CreateInbox {
        identifier,
        nonce,
        signature,
    } = action
    {
        if state.is_some() {
            return Err(AssociationError::MultipleCreate);
        }
        *state = Some(AssociationState::create(identifier, *nonce, signature)?);
        return Ok(());
    }
    let state = state.as_mut().ok_or(AssociationError::NotCreated)?;
    match action {
        Action::CreateInbox { .. } => {}
        Action::Add {
            member,
            existing,
            new,
        } => state.add(member, existing, new, client_timestamp_ns, rules)?,
        Action::Revoke { member, recovery } => {
            state.check_recovery(recovery, rules)?;
            match (member, rules) {
                (RevokedMember::Member(member), _) => state.revoke(member),
                (RevokedMember::Impossible(_), Rules::Libxmtp) => {}
                (RevokedMember::Impossible(key), Rules::Node) => {
                    return Err(AssociationError::ImpossibleMember(key.len()));
                }
            }
        }
        Action::ChangeRecovery {
            identifier,
            recovery,
        } => {
            state.check_recovery(recovery, rules)?;
            state.recovery = identifier.clone();
        }
    }
    Ok(())
}

/// Checks that a kind of member can sign in this way.
const fn check_role(role: MemberKind, kind: SignatureKind) -> Result<(), AssociationError> {
    use SignatureKind::{Erc191, Erc1271, InstallationKey, LegacyDelegated, P256};
    match (role, kind) {
        (MemberKind::Ethereum, Erc191 | Erc1271 | LegacyDelegated)
        | (MemberKind::Installation, InstallationKey)
        | (MemberKind::Passkey, P256) => Ok(()),
        _ => Err(AssociationError::SignatureNotAllowed { role, kind }),
    }
}

fn is_legacy(signature: &VerifiedSignature) -> bool {
    signature.kind == SignatureKind::LegacyDelegated
}

fn decode_member(
    entry: proto::MemberMap,
    path: &str,
) -> Result<(MemberIdentifier, Member), DecodeError> {
    let key = MemberIdentifier::from_proto(entry.key, &format!("{path}.key"))?;
    let value = entry
        .value
        .ok_or_else(|| DecodeError::missing(format!("{path}.value")))?;
    let added_by = value.added_by_entity.map(|member| {
        MemberIdentifier::from_proto(Some(member), &format!("{path}.value.added_by_entity"))
    });
    let member = Member {
        identifier: MemberIdentifier::from_proto(
            value.identifier,
            &format!("{path}.value.identifier"),
        )?,
        added_by: added_by.transpose()?,
        client_timestamp_ns: value.client_timestamp_ns,
        chain_id: value.added_on_chain_id,
    };
    Ok((key, member))
}

/// Rules about combinations that few signers can bring about; the others are in `tests/`.
#[cfg(test)]
mod tests {
    use SignatureKind::{Erc191, LegacyDelegated, P256};

    use super::*;

    const ALICE: &str = "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const BOB: &str = "0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn account(address: &str) -> Identifier {
        Identifier::Ethereum(address.to_owned())
    }

    fn signed(address: &str, kind: SignatureKind, replay_bytes: &str) -> VerifiedSignature {
        VerifiedSignature {
            signer: account(address).into(),
            kind,
            replay_bytes: replay_bytes.into(),
            chain_id: None,
        }
    }

    fn create(kind: SignatureKind, nonce: u64) -> Action<VerifiedSignature> {
        Action::CreateInbox {
            identifier: account(ALICE),
            nonce,
            signature: signed(ALICE, kind, "created"),
        }
    }

    fn add_bob(existing: VerifiedSignature, new: VerifiedSignature) -> Action<VerifiedSignature> {
        Action::Add {
            member: account(BOB).into(),
            existing,
            new,
        }
    }

    /// The state after these actions, each in an update of its own, in an inbox of Alice.
    fn after(
        nonce: u64,
        actions: Vec<Action<VerifiedSignature>>,
    ) -> Result<AssociationState, AssociationError> {
        let inbox_id = derive_inbox_id(&account(ALICE), nonce).unwrap();
        let update = |action| VerifiedUpdate {
            inbox_id: inbox_id.to_string(),
            client_timestamp_ns: 0,
            actions: vec![action],
        };
        let updates: Vec<_> = actions.into_iter().map(update).collect();
        replay(&updates, Rules::Libxmtp).map(|state| state.expect("there are updates"))
    }

    #[test]
    fn a_v2_key_opens_the_first_inbox_of_its_wallet_only() {
        assert!(after(0, vec![create(LegacyDelegated, 0)]).is_ok());
        let refused = after(1, vec![create(LegacyDelegated, 1)]);
        assert_eq!(refused, Err(AssociationError::LegacySignatureReuse));
    }

    #[test]
    fn a_v2_key_adds_and_joins_in_the_first_inbox_of_its_wallet_only() {
        for (existing, new) in [(LegacyDelegated, Erc191), (Erc191, LegacyDelegated)] {
            let add = add_bob(signed(ALICE, existing, "1"), signed(BOB, new, "2"));
            assert!(after(0, vec![create(Erc191, 0), add.clone()]).is_ok());
            let refused = after(1, vec![create(Erc191, 1), add]);
            assert_eq!(refused, Err(AssociationError::LegacySignatureReuse));
        }
    }

    #[test]
    fn a_v2_key_does_not_stand_in_for_a_recovery_identifier() {
        let leave = Action::Revoke {
            member: RevokedMember::Member(account(ALICE).into()),
            recovery: signed(ALICE, Erc191, "left"),
        };
        let add = |kind| add_bob(signed(ALICE, kind, "1"), signed(BOB, Erc191, "2"));
        let history = |kind| vec![create(Erc191, 0), leave.clone(), add(kind)];
        assert!(after(0, history(Erc191)).is_ok());
        let refused = after(0, history(LegacyDelegated));
        assert_eq!(refused, Err(AssociationError::LegacySignatureReuse));
    }

    #[test]
    fn a_v2_key_neither_revokes_nor_changes_recovery() {
        let revoke = Action::Revoke {
            member: RevokedMember::Member(account(ALICE).into()),
            recovery: signed(ALICE, LegacyDelegated, "1"),
        };
        let change = Action::ChangeRecovery {
            identifier: account(BOB),
            recovery: signed(ALICE, LegacyDelegated, "1"),
        };
        for action in [revoke, change] {
            let refused = AssociationError::SignatureNotAllowed {
                role: MemberKind::Ethereum,
                kind: LegacyDelegated,
            };
            assert_eq!(after(0, vec![create(Erc191, 0), action]), Err(refused));
        }
    }

    #[test]
    fn each_of_two_signatures_is_looked_up_among_the_seen() {
        for (existing, new) in [("created", "fresh"), ("fresh", "created")] {
            let add = add_bob(signed(ALICE, Erc191, existing), signed(BOB, Erc191, new));
            let refused = after(0, vec![create(Erc191, 0), add]);
            assert_eq!(refused, Err(AssociationError::Replay));
        }
    }

    #[test]
    fn a_signature_of_the_wrong_kind_speaks_for_nobody() {
        let refused = AssociationError::SignatureNotAllowed {
            role: MemberKind::Ethereum,
            kind: P256,
        };
        assert_eq!(after(0, vec![create(P256, 0)]), Err(refused.clone()));
        for (existing, new) in [(P256, Erc191), (Erc191, P256)] {
            let add = add_bob(signed(ALICE, existing, "1"), signed(BOB, new, "2"));
            let history = vec![create(Erc191, 0), add];
            assert_eq!(after(0, history), Err(refused.clone()));
        }
    }
}

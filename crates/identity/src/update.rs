//! Identity updates: decoded, then verified.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use folkmoot_wire::{InboxId, InvalidInboxId, proto::xmtp::identity::associations as proto};
use prost::Message;

use crate::{
    AssociationError, ContractCheck, ContractVerdicts, DecodeError, Identifier, MemberIdentifier,
    Signature,
    action::{Action, RevokedMember},
    signature::{SignedText, VerifiedSignature},
    text::signature_text,
};

/// The most actions that a node should take in one update. The protocol has no such number, but
/// every action costs one or two signature checks; official clients write a handful at a time.
pub const NODE_ACTION_LIMIT: usize = 1000;

/// One step of an inbox's log: decoded, and nothing more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityUpdate {
    pub(crate) inbox_id: String,
    pub(crate) client_timestamp_ns: u64,
    pub(crate) actions: Vec<Action<Signature>>,
}

/// An update all of whose signatures hold. Whether it fits its inbox is the question of
/// [`AssociationState::apply`](crate::AssociationState::apply).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedUpdate {
    pub(crate) inbox_id: String,
    pub(crate) client_timestamp_ns: u64,
    pub(crate) actions: Vec<Action<VerifiedSignature>>,
}

impl IdentityUpdate {
    /// Reads the message `xmtp.identity.associations.IdentityUpdate`. Identifiers are kept as
    /// they are spelled, since signatures cover the spelling.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the bytes are something else, and when an action, a member or a
    /// signature is absent or of an unknown kind, an installation's signing key is not one, or
    /// a contract's account is not spelled as CAIP-10 says. Nobody can read a log that holds such an
    /// update, so a node must not take it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let update = proto::IdentityUpdate::decode(Bytes::copy_from_slice(bytes))
            .map_err(|cause| DecodeError::Protobuf(cause.to_string()))?;
        Self::from_proto(update)
    }

    /// The same as [`IdentityUpdate::decode`], from the generated message.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], with the path of the field.
    pub fn from_proto(update: proto::IdentityUpdate) -> Result<Self, DecodeError> {
        let actions = update.actions.into_iter().enumerate();
        Ok(Self {
            inbox_id: update.inbox_id,
            client_timestamp_ns: update.client_timestamp_ns,
            actions: actions
                .map(|(index, action)| decode_action(action, &format!("actions[{index}]")))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The message form, with what libxmtp sets: kinds always, relying parties where known.
    #[must_use]
    pub fn to_proto(&self) -> proto::IdentityUpdate {
        proto::IdentityUpdate {
            actions: self.actions.iter().map(encode_action).collect(),
            client_timestamp_ns: self.client_timestamp_ns,
            inbox_id: self.inbox_id.clone(),
        }
    }

    /// The bytes to publish.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_proto().encode_to_vec()
    }

    /// The inbox that the update names, as it is spelled.
    #[must_use]
    pub fn inbox_id(&self) -> &str {
        &self.inbox_id
    }

    /// When the client says it made the update: Unix time in nanoseconds. Nothing checks it.
    #[must_use]
    pub const fn client_timestamp_ns(&self) -> u64 {
        self.client_timestamp_ns
    }

    /// How many actions there are; see [`NODE_ACTION_LIMIT`].
    #[must_use]
    pub fn action_count(&self) -> usize {
        self.actions.len()
    }

    /// The text that all signatures of the update are over.
    #[must_use]
    pub fn signature_text(&self) -> String {
        signature_text(&self.inbox_id, self.client_timestamp_ns, &self.actions)
    }

    /// What contract wallets have to be asked before [`IdentityUpdate::verify`], each question
    /// once, in the order of the signatures. Empty for most updates.
    #[must_use]
    pub fn contract_checks(&self) -> Vec<ContractCheck> {
        let text = SignedText::new(self.signature_text());
        let mut seen = HashSet::new();
        self.signatures()
            .filter_map(|signature| signature.contract_check(&text))
            .filter(|check| seen.insert(check.clone()))
            .collect()
    }

    /// Verifies every signature.
    ///
    /// # Errors
    ///
    /// [`AssociationError::Signature`] for the first signature that does not hold. It
    /// [is retryable](AssociationError::is_retryable) when `verdicts` lacks an answer.
    pub fn verify(&self, verdicts: &ContractVerdicts) -> Result<VerifiedUpdate, AssociationError> {
        let text = SignedText::new(self.signature_text());
        // One signature often stands in several actions; it is checked once.
        let mut known = HashMap::new();
        let mut verify = |at: usize, field: &str, signature| {
            if let Some(verified) = known.get(signature) {
                return Ok(VerifiedSignature::clone(verified));
            }
            let verified = Signature::verify(signature, &text, verdicts).map_err(|cause| {
                AssociationError::Signature {
                    field: format!("actions[{at}].{field}"),
                    cause,
                }
            })?;
            known.insert(signature, verified.clone());
            Ok(verified)
        };
        let actions = self.actions.iter().enumerate();
        Ok(VerifiedUpdate {
            inbox_id: self.inbox_id.clone(),
            client_timestamp_ns: self.client_timestamp_ns,
            actions: actions
                .map(|(at, action)| action.try_map(|field, signature| verify(at, field, signature)))
                .collect::<Result<_, AssociationError>>()?,
        })
    }

    fn signatures(&self) -> impl Iterator<Item = &Signature> {
        self.actions.iter().flat_map(Action::signatures)
    }
}

impl VerifiedUpdate {
    /// The inbox that the update names.
    ///
    /// # Errors
    ///
    /// [`InvalidInboxId`] when it names none. Such an update fits no inbox.
    pub fn inbox_id(&self) -> Result<InboxId, InvalidInboxId> {
        self.inbox_id.parse()
    }
}

fn decode_action(
    action: proto::IdentityAction,
    path: &str,
) -> Result<Action<Signature>, DecodeError> {
    use proto::identity_action::Kind;
    match action.kind {
        Some(Kind::CreateInbox(create)) => {
            let path = format!("{path}.create_inbox");
            let kind = create.initial_identifier_kind();
            Ok(Action::CreateInbox {
                identifier: decode_identifier(
                    create.initial_identifier,
                    kind,
                    create.relying_party,
                    || format!("{path}.initial_identifier"),
                )?,
                nonce: create.nonce,
                signature: Signature::from_proto(
                    create.initial_identifier_signature,
                    &format!("{path}.initial_identifier_signature"),
                )?,
            })
        }
        Some(Kind::Add(add)) => {
            let path = format!("{path}.add");
            Ok(Action::Add {
                member: MemberIdentifier::from_proto(
                    add.new_member_identifier,
                    &format!("{path}.new_member_identifier"),
                )?,
                existing: Signature::from_proto(
                    add.existing_member_signature,
                    &format!("{path}.existing_member_signature"),
                )?,
                new: Signature::from_proto(
                    add.new_member_signature,
                    &format!("{path}.new_member_signature"),
                )?,
            })
        }
        Some(Kind::Revoke(revoke)) => {
            let path = format!("{path}.revoke");
            Ok(Action::Revoke {
                member: decode_revoked(
                    revoke.member_to_revoke,
                    &format!("{path}.member_to_revoke"),
                )?,
                recovery: Signature::from_proto(
                    revoke.recovery_identifier_signature,
                    &format!("{path}.recovery_identifier_signature"),
                )?,
            })
        }
        Some(Kind::ChangeRecoveryAddress(change)) => {
            let path = format!("{path}.change_recovery_address");
            let kind = change.new_recovery_identifier_kind();
            Ok(Action::ChangeRecovery {
                identifier: decode_identifier(
                    change.new_recovery_identifier,
                    kind,
                    change.relying_party,
                    || format!("{path}.new_recovery_identifier"),
                )?,
                recovery: Signature::from_proto(
                    change.existing_recovery_identifier_signature,
                    &format!("{path}.existing_recovery_identifier_signature"),
                )?,
            })
        }
        None => Err(DecodeError::missing(path)),
    }
}

fn decode_identifier(
    text: String,
    kind: proto::IdentifierKind,
    relying_party: Option<String>,
    field: impl FnOnce() -> String,
) -> Result<Identifier, DecodeError> {
    Identifier::from_proto(text, kind, relying_party)
        .map_err(|_| DecodeError::Passkey { field: field() })
}

fn decode_revoked(
    member: Option<proto::MemberIdentifier>,
    field: &str,
) -> Result<RevokedMember, DecodeError> {
    use proto::member_identifier::Kind;
    match member {
        Some(proto::MemberIdentifier {
            kind: Some(Kind::InstallationPublicKey(key)),
        }) if key.len() != 32 => Ok(RevokedMember::Impossible(key.into())),
        member => MemberIdentifier::from_proto(member, field).map(RevokedMember::Member),
    }
}

fn encode_action(action: &Action<Signature>) -> proto::IdentityAction {
    use proto::identity_action::Kind;
    let kind = match action {
        Action::CreateInbox {
            identifier,
            nonce,
            signature,
        } => Kind::CreateInbox(proto::CreateInbox {
            initial_identifier: identifier.to_string(),
            nonce: *nonce,
            initial_identifier_signature: Some(signature.to_proto()),
            initial_identifier_kind: identifier.proto_kind().into(),
            relying_party: identifier.relying_party(),
        }),
        Action::Add {
            member,
            existing,
            new,
        } => Kind::Add(proto::AddAssociation {
            new_member_identifier: Some(member.to_proto()),
            existing_member_signature: Some(existing.to_proto()),
            new_member_signature: Some(new.to_proto()),
            relying_party: member
                .identifier()
                .and_then(|identifier| identifier.relying_party()),
        }),
        Action::Revoke { member, recovery } => Kind::Revoke(proto::RevokeAssociation {
            member_to_revoke: Some(encode_revoked(member)),
            recovery_identifier_signature: Some(recovery.to_proto()),
        }),
        Action::ChangeRecovery {
            identifier,
            recovery,
        } => Kind::ChangeRecoveryAddress(proto::ChangeRecoveryAddress {
            new_recovery_identifier: identifier.to_string(),
            existing_recovery_identifier_signature: Some(recovery.to_proto()),
            new_recovery_identifier_kind: identifier.proto_kind().into(),
            relying_party: identifier.relying_party(),
        }),
    };
    proto::IdentityAction { kind: Some(kind) }
}

fn encode_revoked(member: &RevokedMember) -> proto::MemberIdentifier {
    use proto::member_identifier::Kind;
    match member {
        RevokedMember::Member(member) => member.to_proto(),
        RevokedMember::Impossible(key) => proto::MemberIdentifier {
            kind: Some(Kind::InstallationPublicKey(key.clone().into())),
        },
    }
}

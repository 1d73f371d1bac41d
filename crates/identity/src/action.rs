//! The four actions of an update, at each stage of their signatures.

use std::fmt;

use crate::{Identifier, MemberIdentifier};

/// One change to an inbox. `S` is what stands for a signature: who has to sign (while an update
/// is written), what came over the network, or a signature that was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action<S> {
    /// Opens the inbox.
    CreateInbox {
        identifier: Identifier,
        nonce: u64,
        signature: S,
    },
    /// Makes somebody a member; both a member and the new member sign.
    Add {
        member: MemberIdentifier,
        existing: S,
        new: S,
    },
    /// Ends a membership.
    Revoke { member: RevokedMember, recovery: S },
    /// Hands the inbox's recovery to another account.
    ChangeRecovery { identifier: Identifier, recovery: S },
}

/// Whose membership ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum RevokedMember {
    Member(MemberIdentifier),
    /// An installation key of a length other than 32 bytes. Nobody can be a member under it,
    /// but libxmtp takes such an update and so must its readers.
    Impossible(Vec<u8>),
}

impl<S> Action<S> {
    /// The action's signatures, in the order of their fields.
    pub(crate) fn signatures(&self) -> impl Iterator<Item = &S> {
        let (first, second) = match self {
            Self::CreateInbox { signature, .. } => (signature, None),
            Self::Add { existing, new, .. } => (existing, Some(new)),
            Self::Revoke { recovery, .. } | Self::ChangeRecovery { recovery, .. } => {
                (recovery, None)
            }
        };
        std::iter::once(first).chain(second)
    }

    /// The same action with each signature replaced. `stage` hears which field of the message
    /// form has the signature.
    pub(crate) fn try_map<'a, T, E>(
        &'a self,
        mut stage: impl FnMut(&'static str, &'a S) -> Result<T, E>,
    ) -> Result<Action<T>, E> {
        Ok(match self {
            Self::CreateInbox {
                identifier,
                nonce,
                signature,
            } => Action::CreateInbox {
                identifier: identifier.clone(),
                nonce: *nonce,
                signature: stage("create_inbox.initial_identifier_signature", signature)?,
            },
            Self::Add {
                member,
                existing,
                new,
            } => Action::Add {
                member: member.clone(),
                existing: stage("add.existing_member_signature", existing)?,
                new: stage("add.new_member_signature", new)?,
            },
            Self::Revoke { member, recovery } => Action::Revoke {
                member: member.clone(),
                recovery: stage("revoke.recovery_identifier_signature", recovery)?,
            },
            Self::ChangeRecovery {
                identifier,
                recovery,
            } => Action::ChangeRecovery {
                identifier: identifier.clone(),
                recovery: stage(
                    "change_recovery_address.existing_recovery_identifier_signature",
                    recovery,
                )?,
            },
        })
    }
}

impl fmt::Display for RevokedMember {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(member) => write!(formatter, "{member}"),
            Self::Impossible(key) => formatter.write_str(&hex::encode(key)),
        }
    }
}

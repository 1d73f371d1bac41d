//! Why an update is refused.
//!
//! Other implementations recognise final refusals by parts of these sentences (xmtpd matches
//! them to decide that trying again is pointless), so those parts are spelled as they expect:
//! with capitals, unlike our other errors. What may be tried again has none of them.

use crate::{InvalidAddress, MemberKind, SignatureError, SignatureKind};

/// Why an update does not fit its inbox.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AssociationError {
    /// Somebody tried to make themselves a member.
    #[error("Error creating association tried to add self")]
    AddSelf,
    /// The signer belongs to the inbox through another chain, or through none (0).
    #[error("Wrong chain id. Initially added with {added} but now signing from {signing}")]
    ChainIdMismatch {
        /// The chain of the wallet when it became a member.
        added: u64,
        /// The chain of this signature.
        signing: u64,
    },
    /// The key to revoke cannot be an installation's. Only [`Rules::Node`](crate::Rules::Node)
    /// refuses this.
    #[error("Deserialization error: member_to_revoke is an installation key of {0} bytes, not 32")]
    ImpossibleMember(usize),
    /// An address that has to give an inbox id is none.
    #[error(transparent)]
    InvalidAccountAddress(#[from] InvalidAddress),
    /// A key of XMTP v2 signed in an inbox that is not the first one of its wallet.
    #[error("Legacy key is only allowed to be associated using a legacy signature with nonce 0")]
    LegacySignatureReuse,
    /// One kind of member may not add the other.
    #[error("Member of kind {existing} not allowed to add {new}")]
    MemberNotAllowed {
        /// Who adds.
        existing: MemberKind,
        /// Who would be added.
        new: MemberKind,
    },
    /// The signer is neither a member nor the recovery identifier, whichever is needed.
    #[error("Missing existing member")]
    MissingExistingMember,
    /// The inbox exists already.
    #[error("Multiple create operations detected")]
    MultipleCreate,
    /// The new member is not who signed as new member.
    #[error("The new member identifier does not match the signer")]
    NewMemberIdSignatureMismatch,
    /// The inbox does not exist.
    #[error("XID not yet created")]
    NotCreated,
    /// A signature of an earlier update came back.
    #[error("Replay detected")]
    Replay,
    /// A signature does not hold, or nobody could say whether it does.
    #[error("{field}: {cause}")]
    Signature {
        /// Where in the update, such as `actions[1].add.new_member_signature`.
        field: String,
        /// Why it does not hold.
        cause: SignatureError,
    },
    /// This kind of signature does not speak for this kind of member here.
    #[error("Signature not allowed for role \"{role}\" \"{kind}\"")]
    SignatureNotAllowed {
        /// Who would be spoken for.
        role: MemberKind,
        /// How it was signed.
        kind: SignatureKind,
    },
    /// The update names another inbox than the one it leads to.
    #[error("Wrong inbox_id specified on association")]
    WrongInboxId,
}

impl AssociationError {
    /// Whether the same update may be accepted later. True only when a contract wallet could
    /// not be asked.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Signature {
                cause: SignatureError::Verifier(_),
                ..
            }
        )
    }

    /// The label that the validation service sends as `error-code` beside its status.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AddSelf => "AssociationError::Generic",
            Self::ChainIdMismatch { .. } => "AssociationError::ChainIdMismatch",
            Self::ImpossibleMember(_) => "AssociationError::Deserialization",
            Self::InvalidAccountAddress(_) => "AssociationError::InvalidAccountAddress",
            Self::LegacySignatureReuse => "AssociationError::LegacySignatureReuse",
            Self::MemberNotAllowed { .. } => "AssociationError::MemberNotAllowed",
            Self::MissingExistingMember => "AssociationError::MissingExistingMember",
            Self::MultipleCreate => "AssociationError::MultipleCreate",
            Self::NewMemberIdSignatureMismatch => "AssociationError::NewMemberIdSignatureMismatch",
            Self::NotCreated => "AssociationError::NotCreated",
            Self::Replay => "AssociationError::Replay",
            Self::Signature { cause, .. } => cause.code(),
            Self::SignatureNotAllowed { .. } => "AssociationError::SignatureNotAllowed",
            Self::WrongInboxId => "AssociationError::WrongInboxId",
        }
    }
}

/// Why bytes are not an update (or, in [`AssociationState::from_proto`], not a state).
/// Fields are given as paths from the message, such as `actions[1].add.new_member_signature`.
///
/// [`AssociationState::from_proto`]: crate::AssociationState::from_proto
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The account of a contract wallet is not spelled as CAIP-10 says.
    #[error("Deserialization error: {field} is not a CAIP-10 account id")]
    AccountId {
        /// Where.
        field: String,
    },
    /// An inbox id is not 64 lower-case hex digits. Only states have this error: in an update
    /// it shows when the update is applied.
    #[error("Deserialization error: {field} is not 64 lower-case hex digits")]
    InboxId {
        /// Where.
        field: String,
    },
    /// An installation's key is not a point on the curve.
    #[error("Deserialization error: {field} is not an Ed25519 public key")]
    InstallationKey {
        /// Where.
        field: String,
    },
    /// An installation's key has the wrong length.
    #[error("Deserialization error: {field} is an installation key of {length} bytes, not 32")]
    InstallationKeyLength {
        /// Where.
        field: String,
        /// How many bytes it has.
        length: usize,
    },
    /// A field that has to be there is not, or holds a kind that we do not know.
    #[error("Deserialization error: {field} is missing or of an unknown kind")]
    Missing {
        /// Where.
        field: String,
    },
    /// A passkey is not spelled in hex digits.
    #[error("Deserialization error: {field} is not the hex digits of a passkey")]
    Passkey {
        /// Where.
        field: String,
    },
    /// Not a protobuf message of this type; the text is the decoder's and names the field.
    #[error("Deserialization error: {0}")]
    Protobuf(String),
}

impl DecodeError {
    pub(crate) fn missing(field: impl Into<String>) -> Self {
        Self::Missing {
            field: field.into(),
        }
    }

    /// The label that the validation service sends as `error-code` beside its status.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "ConversionError::Missing",
            Self::InstallationKeyLength { .. } => "ConversionError::InvalidLength",
            Self::InstallationKey { .. } | Self::Passkey { .. } => {
                "ConversionError::InvalidPublicKey"
            }
            Self::AccountId { .. } | Self::InboxId { .. } => "ConversionError::InvalidValue",
            Self::Protobuf(_) => "ConversionError::Decode",
        }
    }
}

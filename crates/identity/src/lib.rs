#![doc = include_str!("../README.md")]

mod action;
mod builder;
mod error;
mod identifier;
mod inbox_id;
mod sign;
mod signature;
mod state;
mod text;
mod update;

pub use builder::{MissingSignature, UpdateBuilder};
pub use error::{AssociationError, DecodeError};
pub use identifier::{
    Identifier, InvalidAddress, InvalidPasskey, MemberIdentifier, MemberKind, PasskeyIdentifier,
};
pub use inbox_id::derive_inbox_id;
pub use sign::{InstallationSecret, InvalidSecret, Signer, WalletSecret};
pub use signature::{
    AccountIdError, ContractCheck, ContractVerdicts, Signature, SignatureError, SignatureKind,
    verify_public_signature,
};
pub use state::{AssociationState, Member, Rules, StateDiff, replay};
pub use update::{IdentityUpdate, NODE_ACTION_LIMIT, VerifiedUpdate};

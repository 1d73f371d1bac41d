#![doc = include_str!("../README.md")]

pub mod app_data;
pub mod archive;
mod attachment;
pub mod commit_log;
mod consent;
pub mod content;
pub mod context;
pub mod deletion;
pub mod device_sync;
pub mod dm;
mod engine;
mod envelope;
mod facts;
mod framing;
mod hpke;
pub mod joining;
pub mod judge;
mod key_package;
mod layout;
pub mod leave;
pub mod membership;
mod message_id;
pub mod permissions;
mod push_keys;
pub mod readd;
mod secret;
mod structs;
pub mod transcript;
pub mod version;
mod welcome;
#[cfg(test)]
mod world;

pub use archive::{ArchiveError, ArchiveKey, InvalidArchiveKey};
pub use attachment::{AttachmentError, EncryptedAttachment, attachment_limit, open_attachment};
pub use consent::{ConsentEntity, ConsentRecord, ConsentState, InvalidConsent};
pub use engine::{
    AppDataChange, Change, CommitError, CommitPlan, CreateError, Generation, Group, Incoming,
    Installation, InvalidLeaf, JoinError, LoadError, PAST_EPOCHS, PreparedCommit, ProcessError,
    ReceivedProposal, SealError, StagedCommit, StagedError, UnresolvedCommit,
};
pub use envelope::{EnvelopeError, PlaintextEnvelope};
pub use facts::{CommitFacts, ContextExtensions, Leaf, ProposalFact, ProposalKind, WelcomeFacts};
pub use framing::{ContentType, FramingError, GroupMessageHeader};
pub use key_package::{
    InvalidKeyPackageSecrets, KeyPackage, KeyPackageError, KeyPackageIn, KeyPackageSecrets,
    NewKeyPackage,
};
pub use layout::LayoutError;
pub use message_id::{message_id, transcript_message_id};
pub use push_keys::{InvalidPushKey, PUSH_KEY_BYTES, PushKey, PushRootKey, push_epoch};
pub use secret::SecretBytes;
pub use welcome::{
    Invitation, Opened, OpenedWelcome, PreparedWelcome, StagedJoin, WelcomeError, WelcomePointer,
    wrapped_to,
};

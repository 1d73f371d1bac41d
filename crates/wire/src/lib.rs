#![doc = include_str!("../README.md")]

pub mod codec;
pub mod proto;

mod clock;
mod ids;
mod topic;

pub use clock::{COMMIT_ORIGINATOR, IDENTITY_ORIGINATOR, VectorClock};
pub use ids::{
    GroupId, InboxId, InstallationKey, InvalidGroupId, InvalidInboxId, InvalidInstallationKey,
    InvalidMessageId, MessageId,
};
pub use topic::{InvalidTopic, Topic, TopicKind};

/// The `FileDescriptorSet` of everything in `proto/`, encoded, as the files spell it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

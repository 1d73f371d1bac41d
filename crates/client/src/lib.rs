#![doc = include_str!("../README.md")]

pub mod db;
pub mod identity;
pub mod network;

mod archive;
mod by_identifier;
mod client;
mod clock;
mod consent;
mod conversation;
mod conversations;
mod device_sync;
mod disappearing;
mod error;
mod key_packages;
mod members;
mod message;
mod preferences;
mod push;
mod rights;
mod search;
mod signer;
mod stream;

pub use archive::{ImportSummary, archive_metadata};
pub use client::{Background, Client, ClientBuilder, ClientOptions, DeviceSync, Lookup};
pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use conversation::{
    CommitLogEntry, Conversation, ConversationError, ConversationState, Heard, MembershipState,
    Place, SendOptions, Sent, Standing, changes::Change, live::LiveState,
};
pub use conversations::{Conversations, GroupOptions, ListOptions, ListOrder, SyncSummary};
pub use device_sync::{AvailableArchive, DeviceSyncSummary, HistoryError};
pub use error::Error;
pub use folkmoot_conversation::Generation;
pub use key_packages::{KeyPackageStatus, Unusable, UsableKeyPackage};
pub use members::{Member, MemberRole};
pub use message::{
    Deletion, DeliveryStatus, EnrichedMessage, Message, MessageKind, MessageQuery, Order, SortBy,
};
pub use preferences::Preferences;
pub use push::PushTopic;
pub use search::SearchOptions;
pub use signer::{
    Assertion, Authenticator, ContractWallet, Passkey, SignWith, Signed, Signer, SignerError,
};
pub use stream::{
    ChangeStream, ConsentStream, ConversationStream, DeletionStream, KnownConversations,
    MessageStream, StreamOptions,
};

// What the calls above take and give, so that one dependency is enough.
pub use folkmoot_conversation::{
    ArchiveKey, ConsentEntity, ConsentRecord, ConsentState, PushKey,
    archive::{ArchiveMetadata, ArchiveOptions, ArchiveSelection},
    content,
    context::{AdminChange, Attribute, ConversationKind, DisappearingSettings},
    permissions,
};
pub use folkmoot_identity::{Identifier, InvalidAddress, WalletSecret};
pub use folkmoot_wire::{GroupId, InboxId, InstallationKey, MessageId};

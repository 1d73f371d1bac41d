//! Whoever stands between a client and its network.

use std::{ops::Deref, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_client::network::{
    CommitLogEntry, ContractAnswer, Cursor, GroupEnvelope, IdentityLog, Network, NetworkError,
    Newest, OutgoingCommitLogEntry, OutgoingMessage, Page, Subscription, Topics, Welcome,
    WelcomeEnvelope,
};
use folkmoot_identity::{ContractCheck, Identifier};
use folkmoot_wire::{GroupId, InboxId, InstallationKey};

/// Declares [`Meddler`] with what it does when nobody says otherwise, and [`Meddled`], which is a
/// network by it: both from one list of calls.
macro_rules! meddler {
    ($($call:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)+) => {
        /// Does something else with some of a client's questions and publications. What it says
        /// nothing about goes through to the network behind it.
        #[async_trait]
        pub trait Meddler: Send + Sync + 'static {
            /// The network behind it.
            fn behind(&self) -> &dyn Network;

            /// [`Network::max_commit_bytes`].
            fn max_commit_bytes(&self) -> Option<usize> {
                self.behind().max_commit_bytes()
            }

            /// [`Network::subscribe`].
            fn subscribe(&self, topics: Topics) -> Subscription {
                self.behind().subscribe(topics)
            }

            $(
                #[doc = concat!("[`Network::", stringify!($call), "`].")]
                async fn $call(&self, $($argument: $kind),*) -> Result<$answer, NetworkError> {
                    self.behind().$call($($argument),*).await
                }
            )+
        }

        #[async_trait]
        impl<M: Meddler> Network for Meddled<M> {
            fn address(&self) -> &str {
                self.0.behind().address()
            }

            fn max_commit_bytes(&self) -> Option<usize> {
                self.0.max_commit_bytes()
            }

            fn subscribe(&self, topics: Topics) -> Subscription {
                self.0.subscribe(topics)
            }

            $(
                async fn $call(&self, $($argument: $kind),*) -> Result<$answer, NetworkError> {
                    self.0.$call($($argument),*).await
                }
            )+
        }
    };
}

meddler! {
    inbox_ids(identifiers: &[Identifier]) -> Vec<Option<InboxId>>;
    identity_updates(wanted: &[(InboxId, u64)]) -> Vec<IdentityLog>;
    publish_identity_update(inbox: &InboxId, update: Bytes) -> ();
    verify_contract_signatures(checks: &[ContractCheck]) -> Vec<ContractAnswer>;
    upload_key_package(installation: &InstallationKey, key_package: Bytes) -> ();
    key_packages(installations: &[InstallationKey]) -> Vec<Option<Bytes>>;
    publish_group_messages(messages: Vec<OutgoingMessage>) -> ();
    group_messages(group: &GroupId, after: &Cursor, limit: usize) -> Page<GroupEnvelope>;
    newest_group_messages(groups: &[GroupId]) -> Vec<Option<Newest>>;
    publish_welcomes(welcomes: Vec<Welcome>) -> ();
    welcomes(to: &InstallationKey, after: &Cursor, limit: usize) -> Page<WelcomeEnvelope>;
    publish_commit_log(entries: Vec<OutgoingCommitLogEntry>) -> ();
    commit_log(wanted: &[(GroupId, u64)], limit: usize) -> Vec<Vec<CommitLogEntry>>;
}

/// The network that a client sees when somebody meddles.
#[derive(Debug)]
pub struct Meddled<M>(M);

impl<M: Meddler> Meddled<M> {
    /// A network with `meddler` before it. Through it, one speaks to the meddler as well.
    pub fn by(meddler: M) -> Arc<Self> {
        Arc::new(Self(meddler))
    }
}

impl<M> Deref for Meddled<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0
    }
}

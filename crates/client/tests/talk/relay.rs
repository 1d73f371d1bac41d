//! A network that stands between a client and its node, and can be told to fail.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_client::network::{
    Cursor, Event, GroupEnvelope, IdentityLog, Network, NetworkError, Newest, OutgoingMessage,
    Page, Subscription, Topics, Welcome, WelcomeEnvelope,
};
use folkmoot_testkit::{Meddled, Meddler};
use folkmoot_wire::{GroupId, InboxId, InstallationKey};
use parking_lot::Mutex;

/// Hands everything on to the node, unless a test says otherwise.
pub(crate) struct Relay {
    node: Arc<dyn Network>,
    /// Group messages that were held back, while they are.
    held: Mutex<Option<Vec<OutgoingMessage>>>,
    fault: Arc<Mutex<Fault>>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Fault {
    #[default]
    Nothing,
    /// Nothing that is asked or sent arrives.
    Cut,
    /// Group messages arrive, and whoever sends them does not hear of it.
    AnswersLost,
    /// Commits of groups are not shown yet.
    NoCommits,
    /// Welcomes do not arrive.
    NoWelcomes,
    /// The identity log of this inbox cannot be fetched.
    Blind(InboxId),
    /// There are no welcomes but those to this installation.
    PointeesAbsent(InstallationKey),
    /// What is read has numbers that are too large by so much.
    Inflated(u64),
    /// The next identity update arrives; then nothing is heard any more.
    CutAfterUpdate,
    /// Group messages beyond this many bytes are refused, and those sent together with them.
    Limit(usize),
    /// The same by a gateway or a proxy, which call it exhausted.
    GatewayLimit(usize),
    /// Whoever asks is not let in.
    Denied,
}

impl Relay {
    pub(crate) fn to(node: Arc<dyn Network>) -> Arc<Meddled<Self>> {
        Meddled::by(Self {
            node,
            held: Mutex::default(),
            fault: Arc::default(),
        })
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock() = fault;
    }

    fn check(&self) -> Result<(), NetworkError> {
        match *self.fault.lock() {
            Fault::Cut => Err(lost()),
            _ => Ok(()),
        }
    }

    /// From now on keeps group messages for itself; whoever sends them does not know.
    pub(crate) fn hold(&self) {
        self.held.lock().get_or_insert_default();
    }

    /// Hands on what was held back, and all that comes.
    pub(crate) async fn release(&self) {
        let held = self.held.lock().take().unwrap_or_default();
        self.node.publish_group_messages(held).await.unwrap();
    }
}

/// The connection broke, for all that the client knows.
fn lost() -> NetworkError {
    NetworkError::Interrupted {
        call: "a call",
        address: "http://relay".into(),
        cause: "the test says so".into(),
    }
}

#[async_trait]
impl Meddler for Relay {
    fn behind(&self) -> &dyn Network {
        &*self.node
    }

    fn max_commit_bytes(&self) -> Option<usize> {
        match *self.fault.lock() {
            Fault::Limit(most) => Some(most),
            _ => self.node.max_commit_bytes(),
        }
    }

    async fn identity_updates(
        &self,
        wanted: &[(InboxId, u64)],
    ) -> Result<Vec<IdentityLog>, NetworkError> {
        self.check()?;
        match *self.fault.lock() {
            Fault::Blind(whom) if wanted.iter().any(|(inbox, _)| *inbox == whom) => {
                return Err(lost());
            }
            _ => {}
        }
        self.node.identity_updates(wanted).await
    }

    async fn publish_identity_update(
        &self,
        inbox: &InboxId,
        update: Bytes,
    ) -> Result<(), NetworkError> {
        self.check()?;
        self.node.publish_identity_update(inbox, update).await?;
        let mut fault = self.fault.lock();
        if *fault == Fault::CutAfterUpdate {
            *fault = Fault::Cut;
            return Err(lost());
        }
        Ok(())
    }

    async fn key_packages(
        &self,
        installations: &[InstallationKey],
    ) -> Result<Vec<Option<Bytes>>, NetworkError> {
        self.check()?;
        self.node.key_packages(installations).await
    }

    async fn publish_group_messages(
        &self,
        messages: Vec<OutgoingMessage>,
    ) -> Result<(), NetworkError> {
        if let Some(held) = self.held.lock().as_mut() {
            held.extend(messages);
            return Err(lost());
        }
        let fault = *self.fault.lock();
        let is_beyond = |most| messages.iter().any(|message| message.data.len() > most);
        let call = "a call";
        match fault {
            Fault::Limit(most) if is_beyond(most) => {
                let cause = "too large".into();
                return Err(NetworkError::Refused { call, cause });
            }
            Fault::GatewayLimit(most) if is_beyond(most) => {
                let cause = format!("received message larger than max (99999 vs. {most})");
                return Err(NetworkError::Limited { call, cause });
            }
            Fault::Denied => {
                return Err(NetworkError::Denied {
                    call,
                    address: "http://relay".into(),
                    cause: "the token is over".into(),
                });
            }
            _ => {}
        }
        self.check()?;
        self.node.publish_group_messages(messages).await?;
        match fault {
            Fault::AnswersLost => Err(lost()),
            _ => Ok(()),
        }
    }

    async fn group_messages(
        &self,
        group: &GroupId,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<GroupEnvelope>, NetworkError> {
        self.check()?;
        let mut page = self.node.group_messages(group, after, limit).await?;
        match *self.fault.lock() {
            Fault::NoCommits => page.envelopes.retain(|one| !one.is_commit),
            Fault::Inflated(by) => {
                for one in &mut page.envelopes {
                    one.sequence += by;
                }
            }
            _ => {}
        }
        Ok(page)
    }

    async fn newest_group_messages(
        &self,
        groups: &[GroupId],
    ) -> Result<Vec<Option<Newest>>, NetworkError> {
        self.check()?;
        self.node.newest_group_messages(groups).await
    }

    async fn publish_welcomes(&self, welcomes: Vec<Welcome>) -> Result<(), NetworkError> {
        self.check()?;
        if *self.fault.lock() == Fault::NoWelcomes {
            return Err(lost());
        }
        self.node.publish_welcomes(welcomes).await
    }

    async fn welcomes(
        &self,
        to: &InstallationKey,
        after: &Cursor,
        limit: usize,
    ) -> Result<Page<WelcomeEnvelope>, NetworkError> {
        self.check()?;
        if let Fault::PointeesAbsent(whom) = *self.fault.lock()
            && *to != whom
        {
            return Ok(Page {
                envelopes: Vec::new(),
                more: false,
            });
        }
        let mut page = self.node.welcomes(to, after, limit).await?;
        if let Fault::Inflated(by) = *self.fault.lock() {
            for one in &mut page.envelopes {
                one.sequence += by;
            }
        }
        Ok(page)
    }

    fn subscribe(&self, topics: Topics) -> Subscription {
        let fault = Arc::clone(&self.fault);
        self.node.subscribe(topics).changed(move |mut event| {
            if let (Event::Groups(envelopes), Fault::Inflated(by)) = (&mut event, *fault.lock()) {
                for one in envelopes {
                    one.sequence += by;
                }
            }
            Some(event)
        })
    }
}

//! What a person's installations tell each other: consent, push keys, history (XIP-64).
//!
//! They share a group that nobody sees. Each installation reads it whenever something comes, and
//! every twenty seconds; what it cannot do at once it tries three times. A person with one
//! installation has no such group: the second one makes it.

mod history;
mod store;

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use folkmoot_conversation::{
    ArchiveKey,
    archive::{ArchiveMetadata, ArchiveOptions},
    content::{Content, DeviceSyncContent},
    context::NewConversation,
    device_sync::{HistoryReply, HistoryRequest, PreferenceUpdate, SYNC_INTERVAL, history_pin},
};
use folkmoot_wire::{GroupId, InstallationKey, MessageId};
use futures::{StreamExt as _, future::BoxFuture};
use tokio::{sync::broadcast, task::JoinSet, time::Instant};

pub use history::HistoryError;

use self::{history::HistoryServer, store::Reach};
use crate::{
    Client, Error,
    archive::ImportSummary,
    conversation::{Conversation, changes::Change, core::Core, intent::Wish, rows},
    identity::Directory,
    push::PushKeys,
};

/// What a look at the other installations brought.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeviceSyncSummary {
    /// Messages of other installations, and our own, that were worked off.
    pub messages: usize,
    /// Messages that will be tried again, or were given up.
    pub failed: usize,
    /// Changes of ours that were told.
    pub told: usize,
}

/// History that another installation offers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AvailableArchive {
    /// By what [`Client::process_sync_archive`] finds it.
    pub pin: String,
    /// The installation that offers it.
    pub sent_by: InstallationKey,
    /// When it was offered: Unix time in nanoseconds.
    pub sent_ns: u64,
    /// What it says about itself.
    pub metadata: Option<ArchiveMetadata>,
}

impl Client {
    /// Brings this installation up to date with the person's others, and tells them what is new
    /// here. The background work does this by itself.
    ///
    /// # Errors
    ///
    /// What the network or the database says.
    pub async fn sync_devices(&self) -> Result<DeviceSyncSummary, Error> {
        let (mut summary, transfers) = self.0.devices.pass(Ask::Network).await?;
        for done in futures::future::join_all(transfers).await {
            summary.messages += usize::from(done);
            summary.failed += usize::from(!done);
        }
        Ok(summary)
    }

    /// Asks the other installations for their history. What the first of them offers is taken in
    /// as soon as it comes. Returns the request's pin.
    ///
    /// # Errors
    ///
    /// [`HistoryError::NoServer`], [`HistoryError::NoSyncGroup`]; what the network or the database
    /// says.
    pub async fn send_sync_request(&self, options: ArchiveOptions) -> Result<String, Error> {
        self.0.devices.server()?;
        self.0.devices.meet().await?;
        self.0.devices.request(options).await
    }

    /// Offers this installation's history to the others, under a pin that they choose it by.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]; what the network or the database says.
    pub async fn send_sync_archive(&self, options: ArchiveOptions, pin: &str) -> Result<(), Error> {
        self.0.devices.server()?;
        self.0.devices.meet().await?;
        self.0.devices.offer(options, pin).await
    }

    /// What other installations offered after `since_ns` (Unix time in nanoseconds), the newest
    /// first.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn available_archives(&self, since_ns: u64) -> Result<Vec<AvailableArchive>, Error> {
        let offers = self.0.devices.offers(since_ns).await?.into_iter();
        Ok(offers.map(|(archive, _)| archive).collect())
    }

    /// Takes in the history that was offered under `pin`, or what was offered last.
    ///
    /// # Errors
    ///
    /// [`HistoryError::NotOffered`], or what server, archive or database say.
    pub async fn process_sync_archive(&self, pin: Option<&str>) -> Result<ImportSummary, Error> {
        let offers = self.0.devices.offers(0).await?;
        let wanted = |archive: &AvailableArchive| pin.is_none_or(|pin| archive.pin == pin);
        let found = offers.into_iter().find(|(archive, _)| wanted(archive));
        let Some((_, reply)) = found else {
            let under = pin.map(|pin| format!(" under {pin}")).unwrap_or_default();
            return Err(HistoryError::NotOffered(under).into());
        };
        self.0.devices.accept(&reply).await
    }
}

/// The part of a client that talks to the person's other installations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Devices(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    directory: Directory,
    push_keys: PushKeys,
    history_url: Option<String>,
    /// One look at a time.
    turn: tokio::sync::Mutex<()>,
    /// Messages whose history is being handed over at the moment, beside the looks.
    at_work: parking_lot::Mutex<HashSet<MessageId>>,
}

/// History that is being handed over. It does nothing unless it is polled.
type Transfer = BoxFuture<'static, bool>;

/// A message that nobody else takes up meanwhile.
struct AtWork {
    devices: Devices,
    id: MessageId,
}

impl AtWork {
    fn begin(devices: &Devices, id: MessageId) -> Option<Self> {
        let devices = devices.clone();
        let new = devices.0.at_work.lock().insert(id);
        new.then_some(Self { devices, id })
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.devices.0.at_work.lock().remove(&self.id);
    }
}

/// Whether the network is asked, or only what came by itself is worked off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ask {
    Network,
    Nobody,
}

impl Devices {
    pub(crate) fn new(
        core: Arc<Core>,
        directory: Directory,
        push_keys: PushKeys,
        history_url: Option<String>,
    ) -> Self {
        Self(Arc::new(Inner {
            core,
            directory,
            push_keys,
            history_url,
            turn: tokio::sync::Mutex::default(),
            at_work: parking_lot::Mutex::default(),
        }))
    }

    /// Works as long as the client lives. To be spawned once.
    pub(crate) fn worker(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let changes = self.0.core.changes.listen();
        let messages = self.0.core.changes.messages();
        work(Arc::downgrade(&self.0), changes, messages)
    }

    /// Looks at the sync groups, works off what is new in them, tells what is new here. History is
    /// handed over beside it, since that may take minutes: each transfer says whether it came
    /// through.
    async fn pass(&self, ask: Ask) -> Result<(DeviceSyncSummary, Vec<Transfer>), Error> {
        let _turn = self.0.turn.lock().await;
        let core = &self.0.core;
        if ask == Ask::Network {
            core.sync_welcomes().await?;
            for group in core.db.read(store::sync_groups).await? {
                let synced = core.run(&group, |state, core| Box::pin(state.sync(core)));
                if let Err(cause) = synced.await {
                    // An old group that is lost must not keep us from the others.
                    tracing::warn!(%group, %cause, "a group of our own devices cannot be read");
                }
            }
            self.ensure_group().await?;
        }
        let mut summary = DeviceSyncSummary::default();
        for group in core.db.read(store::unseen_groups).await? {
            self.welcome_installation(&group).await?;
        }
        let mut transfers: Vec<Transfer> = Vec::new();
        for message in core.db.read(store::unprocessed).await? {
            let id = message.id;
            let content = Content::from_bytes(message.content);
            let Content::DeviceSync(told) = content else {
                core.db
                    .write(move |db| store::processed(db, &id, true))
                    .await?;
                continue;
            };
            let own = message.installation == core.me.key();
            let history = matches!(
                told,
                DeviceSyncContent::Request(_) | DeviceSyncContent::Reply(_)
            );
            if history && !own {
                if let Some(at_work) = AtWork::begin(self, id) {
                    transfers.push(Box::pin(async move {
                        let done = at_work.devices.work_off(id, told, own).await;
                        done.unwrap_or(false)
                    }));
                }
                continue;
            }
            let done = self.work_off(id, told, own).await?;
            summary.messages += usize::from(done);
            summary.failed += usize::from(!done);
        }
        summary.told = self.tell_consents().await?;
        if summary.messages > 0 {
            core.changes.tell(Change::Preferences);
        }
        Ok((summary, transfers))
    }

    /// Makes sure of the group of our installations, if there are others: a new installation may
    /// speak before it was looked for.
    async fn meet(&self) -> Result<(), Error> {
        if self.0.core.db.read(store::primary_group).await?.is_none() {
            // What is to be handed over waits for the next look.
            drop(self.pass(Ask::Network).await?);
        }
        Ok(())
    }

    /// Works off one message and notes it. `false`: it will be tried again.
    async fn work_off(
        &self,
        id: MessageId,
        told: DeviceSyncContent,
        own: bool,
    ) -> Result<bool, Error> {
        let worked = self.process(told, own).await;
        let done = worked.is_ok();
        if let Err(cause) = &worked {
            tracing::warn!(message = %id, %cause, "a message of our own devices failed");
        }
        let note = self
            .0
            .core
            .db
            .write(move |db| store::processed(db, &id, done));
        note.await?;
        Ok(done)
    }

    /// Makes the group of our installations if there are others and there is no group.
    async fn ensure_group(&self) -> Result<Option<GroupId>, Error> {
        let core = &self.0.core;
        if let Some(primary) = core.db.read(store::primary_group).await? {
            return Ok(Some(primary));
        }
        let me = core.me.inbox_id();
        let states = self.0.directory.refresh(&[me]).await?;
        let state = states.into_iter().next().flatten();
        if state.is_none_or(|state| state.installations().len() < 2) {
            return Ok(None);
        }
        let everybody = Wish::Membership {
            add: Vec::new(),
            remove: Vec::new(),
        };
        let new = NewConversation::sync(me, rand::random());
        let id = core.create(&new, Some(everybody)).await?;
        core.run(&id, |state, core| Box::pin(state.sync(core)))
            .await?;
        Ok(Some(id))
    }

    /// A sync group that is new here, whoever made it: an installation has come. The conversations
    /// are told of it, and push keys that it may not have seen end.
    async fn welcome_installation(&self, group: &GroupId) -> Result<(), Error> {
        let core = &self.0.core;
        let now_ns = core.now_ns();
        let since_ns = now_ns.saturating_sub(RECONCILED_NS);
        let recent = core
            .db
            .read(move |db| store::recent_conversations(db, since_ns))
            .await?;
        futures::stream::iter(recent)
            .for_each_concurrent(AT_ONCE, |id| async move {
                let refresh = core.run(&id, |state, core| Box::pin(state.refresh_members(core)));
                if let Err(cause) = refresh.await {
                    tracing::debug!(group = %id, %cause, "our new device is added later");
                }
            })
            .await;
        let update = self.0.push_keys.cycle(&core.db, now_ns).await?;
        core.changes.tell(self.push_keys_changed());
        self.tell(vec![PreferenceUpdate::Hmac(update)]).await?;
        let seen = group.clone();
        core.db.write(move |db| store::mark_seen(db, &seen)).await?;
        Ok(())
    }

    /// Installations were taken their rights away: the key for push that they know ends.
    pub(crate) async fn after_revocation(&self) {
        let core = &self.0.core;
        let replaced = async {
            let update = self.0.push_keys.cycle(&core.db, core.now_ns()).await?;
            core.changes.tell(self.push_keys_changed());
            self.tell(vec![PreferenceUpdate::Hmac(update)]).await
        };
        if let Err(cause) = replaced.await {
            tracing::warn!(%cause, "a revoked installation still knows our key for push");
        }
    }

    async fn process(&self, told: DeviceSyncContent, own: bool) -> Result<(), Error> {
        let core = &self.0.core;
        match told {
            // The group's order counts, for our own words too.
            DeviceSyncContent::PreferenceUpdates(updates) => self.take(updates).await,
            DeviceSyncContent::Request(request) if !own => self.answer(request).await,
            DeviceSyncContent::Reply(reply) if !own => {
                let pins = core.db.read(store::open_requests).await?;
                if !reply.answers(pins.iter().map(String::as_str)) {
                    return Ok(());
                }
                self.accept(&reply).await?;
                let pin = reply.request_id;
                core.db.write(move |db| store::answered(db, &pin)).await?;
                Ok(())
            }
            DeviceSyncContent::Request(_)
            | DeviceSyncContent::Reply(_)
            | DeviceSyncContent::Acknowledge { .. } => Ok(()),
        }
    }

    async fn take(&self, updates: Vec<PreferenceUpdate>) -> Result<(), Error> {
        let core = &self.0.core;
        let mut consents = Vec::new();
        for update in updates {
            match update {
                PreferenceUpdate::Consent(record) => consents.push(record),
                PreferenceUpdate::Hmac(update) => {
                    if self.0.push_keys.take(&core.db, update).await? {
                        core.changes.tell(self.push_keys_changed());
                    }
                }
            }
        }
        let changed = core
            .db
            .write(move |db| store::merge_consents(db, consents))
            .await?;
        for consent in changed {
            core.changes.tell(Change::Consent(consent));
        }
        Ok(())
    }

    fn push_keys_changed(&self) -> Change {
        Change::PushKeys(self.0.push_keys.current().key)
    }

    /// Offers our history to an installation that asks for it.
    async fn answer(&self, request: HistoryRequest) -> Result<(), Error> {
        let Some(options) = request.options else {
            return Ok(());
        };
        match self.server() {
            Ok(server) if server.may_answer(&request.server_url) => {
                self.offer(options, &request.pin).await
            }
            Ok(_) => {
                tracing::warn!("history was asked for through a server that is not ours: refused");
                Ok(())
            }
            Err(HistoryError::NoServer) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    async fn request(&self, options: ArchiveOptions) -> Result<String, Error> {
        let server = self.server()?;
        let core = &self.0.core;
        let pin = history_pin(&mut rand::rng());
        let (kept, now_ns) = (pin.clone(), core.now_ns());
        core.db
            .write(move |db| store::requested(db, &kept, now_ns))
            .await?;
        self.send(DeviceSyncContent::Request(HistoryRequest {
            pin: pin.clone(),
            server_url: server.url().to_owned(),
            options: Some(options),
        }))
        .await?;
        Ok(pin)
    }

    async fn offer(&self, options: ArchiveOptions, pin: &str) -> Result<(), Error> {
        let server = self.server()?;
        let key = ArchiveKey::generate(&mut rand::rng());
        let (writer, body) = history::upload();
        let export = self.0.core.export(writer, key.clone(), options);
        let (metadata, uploaded) = tokio::join!(export, server.upload(body));
        let url = uploaded?;
        self.send(DeviceSyncContent::Reply(HistoryReply {
            request_id: pin.to_owned(),
            url,
            key: Some(key),
            metadata: Some(metadata?),
            kind: 0,
        }))
        .await
    }

    /// Takes in what was offered.
    async fn accept(&self, reply: &HistoryReply) -> Result<ImportSummary, Error> {
        let key = reply.key.clone().ok_or(HistoryError::UnknownKind)?;
        let archive = self.server()?.download(&reply.url).await?;
        self.0.core.import(archive, key).await
    }

    async fn offers(&self, since_ns: u64) -> Result<Vec<(AvailableArchive, HistoryReply)>, Error> {
        let core = &self.0.core;
        let me = core.me.key();
        let messages = core
            .db
            .read(move |db| store::sync_messages(db, since_ns))
            .await?;
        let offers = messages
            .into_iter()
            .filter(|message| message.installation != me);
        Ok(offers
            .filter_map(|message| match Content::from_bytes(message.content) {
                Content::DeviceSync(DeviceSyncContent::Reply(reply)) if reply.kind == 0 => {
                    let archive = AvailableArchive {
                        pin: reply.request_id.clone(),
                        sent_by: message.installation,
                        sent_ns: message.sent_ns,
                        metadata: reply.metadata.clone(),
                    };
                    Some((archive, reply))
                }
                _ => None,
            })
            .collect())
    }

    /// Tells the others of consents that changed here. Returns how many.
    async fn tell_consents(&self) -> Result<usize, Error> {
        let core = &self.0.core;
        let untold = core.db.read(|db| match store::primary_group(db)? {
            Some(_) => store::untold(db),
            // They are kept until there is somebody to tell.
            None => Ok(Vec::new()),
        });
        let untold = untold.await?;
        if untold.is_empty() {
            return Ok(0);
        }
        let updates: Vec<_> = untold
            .iter()
            .filter(|(_, reach)| *reach == Reach::Everywhere)
            .map(|(consent, _)| PreferenceUpdate::Consent(consent.clone()))
            .collect();
        let count = updates.len();
        for updates in updates.chunks(UPDATES_AT_ONCE) {
            self.tell(updates.to_vec()).await?;
        }
        let told: Vec<_> = untold.into_iter().map(|(consent, _)| consent).collect();
        core.db.write(move |db| store::told(db, &told)).await?;
        Ok(count)
    }

    /// Tells the others, if there are any.
    async fn tell(&self, updates: Vec<PreferenceUpdate>) -> Result<(), Error> {
        match self
            .send(DeviceSyncContent::PreferenceUpdates(updates))
            .await
        {
            Err(Error::History(HistoryError::NoSyncGroup)) => Ok(()),
            sent => sent,
        }
    }

    async fn send(&self, content: DeviceSyncContent) -> Result<(), Error> {
        let core = &self.0.core;
        let row = core
            .db
            .read(|db| match store::primary_group(db)? {
                Some(id) => Ok(rows::conversation(db, &id)?),
                None => Ok(None),
            })
            .await?;
        let row = row.ok_or(HistoryError::NoSyncGroup)?;
        let group = Conversation::new(Arc::clone(core), row);
        group.send(&Content::DeviceSync(content)).await?;
        Ok(())
    }

    fn server(&self) -> Result<HistoryServer, HistoryError> {
        let url = self
            .0
            .history_url
            .as_deref()
            .ok_or(HistoryError::NoServer)?;
        HistoryServer::new(url)
    }
}

async fn work(
    weak: Weak<Inner>,
    mut changes: broadcast::Receiver<Change>,
    mut messages: tokio::sync::watch::Receiver<()>,
) {
    let mut ask = Ask::Network;
    let mut next = Instant::now() + FIRST_LOOK;
    // They end with this task.
    let mut transfers = JoinSet::new();
    loop {
        let wake = tokio::select! {
            () = tokio::time::sleep_until(next) => Some(Ask::Network),
            told = messages.changed() => told.is_ok().then_some(Ask::Nobody),
            change = changes.recv() => match change {
                Ok(Change::Consent(_) | Change::ConversationAdded(_))
                | Err(broadcast::error::RecvError::Lagged(_)) => Some(Ask::Nobody),
                Ok(_) => continue,
                Err(broadcast::error::RecvError::Closed) => None,
            },
        };
        match wake {
            Some(Ask::Network) => ask = Ask::Network,
            Some(Ask::Nobody) => {}
            None => return,
        }
        // What changes together is told together.
        tokio::time::sleep(SETTLE).await;
        let Some(inner) = weak.upgrade() else { return };
        let passed = Devices(inner).pass(ask).await;
        while transfers.try_join_next().is_some() {}
        match passed {
            Ok((_, more)) => {
                for transfer in more {
                    transfers.spawn(transfer);
                }
            }
            Err(cause) => tracing::debug!(%cause, "our other devices are asked again later"),
        }
        if ask == Ask::Network {
            next = Instant::now() + SYNC_INTERVAL;
        }
        ask = Ask::Nobody;
    }
}

/// How long conversations may have been silent for a new installation to be added at once.
const RECONCILED_NS: u64 = 90 * 24 * 3600 * 1_000_000_000;
const AT_ONCE: usize = 4;
const UPDATES_AT_ONCE: usize = 100;
const FIRST_LOOK: Duration = Duration::from_millis(500);
const SETTLE: Duration = Duration::from_millis(100);

//! The client, and how it comes into being.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use folkmoot_conversation::{Generation, version::Version};
use folkmoot_identity::{Identifier, SignatureError, verify_public_signature};
use folkmoot_wire::{InboxId, InstallationKey};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::{
    Error,
    clock::{SharedClock, SystemClock},
    conversation,
    conversations::Conversations,
    db::{Database, DatabaseKey, DatabaseOptions},
    device_sync::Devices,
    disappearing,
    identity::{
        Directory, IdentityError, InboxState, Reassign, Revocation, accounts,
        me::Me,
        registration::{self, Plan},
        relink,
    },
    key_packages::{KeyPackageStatus, KeyPackages},
    network::{CallCount, Environment, Network, NetworkAddress, NetworkOptions},
    push::PushKeys,
    rights,
    signer::Signer,
};

/// How often the client looks whether something of its own is due.
const TICK: Duration = Duration::from_secs(5);
/// The same while what is due fails again and again.
const LONGEST_TICK: Duration = Duration::from_secs(300);

/// One installation of one inbox, on one network. Cheap to clone; the last clone that goes ends the
/// background work and closes the database.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Core>);

/// What all parts of a client share.
pub(crate) struct Core {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) database: Database,
    pub(crate) clock: SharedClock,
    pub(crate) directory: Directory,
    pub(crate) key_packages: KeyPackages,
    pub(crate) me: Me,
    pub(crate) push_keys: PushKeys,
    pub(crate) conversations: Arc<conversation::core::Core>,
    pub(crate) devices: Devices,
    pub(crate) options: ClientOptions,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// What a client was made with, apart from network and database.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientOptions {
    /// Whether the person's devices tell each other about consent and hand over history. Default:
    /// on.
    pub device_sync: DeviceSync,
    /// The server through which devices hand over history; `None` for the network's own, if it
    /// has a name.
    pub history_url: Option<String>,
    /// Whether the client looks after itself: renews key packages, retries what failed. Default:
    /// on. Off for commands that run for a moment.
    pub background: Background,
}

/// Whether the person's devices talk to each other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DeviceSync {
    /// They do.
    #[default]
    On,
    /// They do not.
    Off,
}

/// Whether a client works while nobody calls it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Background {
    /// It does.
    #[default]
    On,
    /// It does not.
    Off,
}

/// Makes a [`Client`].
#[must_use = "a builder does nothing until `create` or `open`"]
pub struct ClientBuilder {
    network: NetworkOptions,
    /// Replaces what `network` says.
    custom_network: Option<Arc<dyn Network>>,
    database: DatabaseOptions,
    clock: SharedClock,
    version: Version,
    plan: Plan,
    options: ClientOptions,
}

impl Client {
    /// A builder with the usual settings: the node on this machine, a database in memory.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            network: NetworkOptions::new(Environment::Local),
            custom_network: None,
            database: DatabaseOptions::in_memory(),
            clock: Arc::new(SystemClock),
            version: Version::EXTENSIONS,
            plan: Plan {
                nonce: DEFAULT_NONCE,
                inbox: None,
                generation: Generation::Extensions,
            },
            options: ClientOptions {
                device_sync: DeviceSync::On,
                history_url: None,
                background: Background::On,
            },
        }
    }

    /// Its conversations.
    #[must_use]
    pub fn conversations(&self) -> Conversations {
        Conversations::new(Arc::clone(&self.0.conversations))
    }

    /// The inbox that the client speaks for.
    #[must_use]
    pub fn inbox_id(&self) -> InboxId {
        self.0.me.inbox_id()
    }

    /// The installation: this client's public key, which is its id.
    #[must_use]
    pub fn installation_key(&self) -> InstallationKey {
        self.0.me.key()
    }

    /// The account that registered this installation.
    #[must_use]
    pub fn identifier(&self) -> &Identifier {
        &self.0.me.identifier
    }

    /// What the client was made with.
    #[must_use]
    pub fn options(&self) -> &ClientOptions {
        &self.0.options
    }

    /// The database, for backups.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Arc<dyn Network> {
        &self.0.network
    }

    /// Looks up other people.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// The inbox to which an account belongs now.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn inbox_id_of(&self, identifier: &Identifier) -> Result<Option<InboxId>, Error> {
        self.0.directory.inbox_id(identifier).await
    }

    /// Whether each account can be written to.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn can_message(&self, identifiers: &[Identifier]) -> Result<Vec<bool>, Error> {
        self.0.directory.can_message(identifiers).await
    }

    /// Our own inbox: its accounts, its installations, its budgets.
    ///
    /// # Errors
    ///
    /// What the network says, if it is asked.
    pub async fn inbox_state(&self, lookup: Lookup) -> Result<InboxState, Error> {
        let inbox = self.inbox_id();
        let states = self.inbox_states(&[inbox], lookup).await?;
        let state = states.into_iter().next().flatten();
        Ok(state.ok_or(IdentityError::UnknownInbox(inbox))?)
    }

    /// The states of inboxes, in their order; `None` for those that do not exist or, from the
    /// cache, are not known.
    ///
    /// # Errors
    ///
    /// What the network says, if it is asked.
    pub async fn inbox_states(
        &self,
        inboxes: &[InboxId],
        lookup: Lookup,
    ) -> Result<Vec<Option<InboxState>>, Error> {
        match lookup {
            Lookup::Network => self.0.directory.refresh(inboxes).await,
            Lookup::Cached => self.0.directory.cached(inboxes).await,
        }
    }

    /// Links another account to our inbox; this installation vouches for it.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Linked`] when the account has an inbox, unless it may move; what the
    /// network or the signer says.
    pub async fn add_account(
        &self,
        account: &dyn Signer,
        reassign: Reassign,
    ) -> Result<InboxState, Error> {
        let (directory, me) = (&self.0.directory, &self.0.me);
        accounts::add(directory, me.inbox_id(), &me.secret, account, reassign).await
    }

    /// Unlinks an account from our inbox, and with it the installations that it added. One that is
    /// linked no more is passed over.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotRecovery`] unless `recovery` is the inbox's recovery account;
    /// [`IdentityError::LastAccount`]; what the network or the signer says.
    pub async fn remove_account(
        &self,
        identifier: &Identifier,
        recovery: &dyn Signer,
    ) -> Result<InboxState, Error> {
        let whom = Revocation::Account(identifier.clone());
        let revoked = accounts::revoke(&self.0.directory, self.inbox_id(), whom, recovery);
        let state = revoked.await?;
        // Installations that the account added went with it.
        self.0.devices.after_revocation().await;
        Ok(state)
    }

    /// Hands the recovery of our inbox to another account.
    ///
    /// # Errors
    ///
    /// As [`Client::remove_account`], and an address that nobody can sign for.
    pub async fn change_recovery(
        &self,
        new: Identifier,
        current: &dyn Signer,
    ) -> Result<InboxState, Error> {
        accounts::change_recovery(&self.0.directory, self.inbox_id(), new, current).await
    }

    /// Takes their rights away from installations of our inbox. Those that are none any more are
    /// passed over.
    ///
    /// # Errors
    ///
    /// As [`Client::remove_account`].
    pub async fn revoke_installations(
        &self,
        installations: Vec<InstallationKey>,
        recovery: &dyn Signer,
    ) -> Result<InboxState, Error> {
        let whom = Revocation::Installations(installations);
        let revoked = accounts::revoke(&self.0.directory, self.inbox_id(), whom, recovery);
        let state = revoked.await?;
        self.0.devices.after_revocation().await;
        Ok(state)
    }

    /// Takes their rights away from all installations of our inbox but this one.
    ///
    /// # Errors
    ///
    /// As [`Client::remove_account`].
    pub async fn revoke_all_other_installations(
        &self,
        recovery: &dyn Signer,
    ) -> Result<InboxState, Error> {
        let whom = Revocation::AllInstallationsBut(self.installation_key());
        let revoked = accounts::revoke(&self.0.directory, self.inbox_id(), whom, recovery);
        let state = revoked.await?;
        self.0.devices.after_revocation().await;
        Ok(state)
    }

    /// Links this device again: a new installation takes the place of this one, in the same
    /// database. For an installation that lost conversations (an expired key package in a commit,
    /// a fork) and cannot be added to them again, and for one that was revoked. `recovery`, the
    /// inbox's recovery account, signs once: for the new installation and against this one. If this
    /// one was revoked before, any account of the inbox will do.
    ///
    /// What was said stays readable. Conversations are
    /// [`AwaitsAdding`](crate::ConversationState::AwaitsAdding) until another member's client adds
    /// the new installation, which it does with its next message; a DM can be written to at once.
    /// This client and its clones are of no use afterwards. After an error the same call goes on
    /// where it stopped, and nothing that the network has taken is signed twice.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotRecovery`], [`IdentityError::TooManyInstallations`],
    /// [`IdentityError::LogFull`]; what the network, the database or the signer says.
    pub async fn relink(&self, recovery: &dyn Signer) -> Result<Self, Error> {
        let Core {
            database,
            directory,
            me,
            ..
        } = &*self.0;
        self.0.conversations.require_in_office()?;
        // What can be read and sent with the old keys is, as far as possible.
        if let Err(cause) = self.conversations().sync_all(&[]).await {
            tracing::debug!(%cause, "not everything was read before the device is linked again");
        }
        let successor = relink::announce(directory, database, me, recovery).await?;
        self.retire().await;
        let me = successor.take_over(database).await?;
        let core = &self.0.conversations;
        let parts = Parts {
            network: Arc::clone(&self.0.network),
            database: database.clone(),
            clock: Arc::clone(&self.0.clock),
            directory: directory.clone(),
            version: core.version.clone(),
            history_url: self.0.devices.history_url().map(str::to_owned),
            options: self.0.options.clone(),
        };
        parts.client(me).await
    }

    /// Ends whatever this client does: from now on it changes nothing.
    async fn retire(&self) {
        let core = &self.0.conversations;
        core.retire();
        self.0.end_tasks().await;
        for slot in core.slots.recent() {
            // Whoever is at work ends first; whoever comes later is refused.
            let mut state = slot.lock().await;
            state.unload();
            state.finish();
        }
    }

    /// Whether this installation has lost its rights, as far as is known here. Syncs and sends find
    /// it out, and the background work does.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        *self.0.conversations.revoked.borrow()
    }

    /// Waits until this installation is known to have lost its rights: nothing more will come to it.
    /// Cancel safe.
    pub async fn revoked(&self) -> IdentityError {
        self.0.conversations.lost_rights().await;
        IdentityError::Revoked(self.installation_key())
    }

    /// Asks the network whether this installation still has its rights.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Revoked`] when it has not; what the network says.
    pub async fn check_rights(&self) -> Result<(), Error> {
        self.0.conversations.check_rights(0).await
    }

    /// Signs a text of the app's with this installation's key. Identity updates are signed in
    /// another context, so no such signature passes for one.
    #[must_use]
    pub fn sign_with_installation_key(&self, text: &str) -> [u8; 64] {
        self.0.me.secret.sign_public(text)
    }

    /// Checks a signature that an installation made with
    /// [`Client::sign_with_installation_key`].
    ///
    /// # Errors
    ///
    /// [`SignatureError`] when it did not.
    pub fn verify_signed_with_installation_key(
        installation: &InstallationKey,
        text: &str,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        verify_public_signature(installation, text, signature)
    }

    /// Whether installations can be added to conversations now, and until when.
    ///
    /// # Errors
    ///
    /// What the network says.
    pub async fn key_package_statuses(
        &self,
        installations: &[InstallationKey],
    ) -> Result<Vec<KeyPackageStatus>, Error> {
        self.0.directory.key_package_statuses(installations).await
    }

    /// How often each method of the network was called by this client
    /// ([`Network::clear_calls`] begins anew).
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, CallCount> {
        self.0.network.calls()
    }

    /// Replaces our key package if it is due, or if it announces another form of groups than this
    /// client follows ([`ClientBuilder::app_data_groups`]), and forgets secrets whose time is over.
    /// The background work does this by itself. Says whether it was replaced.
    ///
    /// # Errors
    ///
    /// What the network or the database says.
    pub async fn renew_key_package_if_due(&self) -> Result<bool, Error> {
        self.0.key_packages.catch_up().await?;
        run_due(&self.0.key_packages, &self.0.conversations).await
    }

    /// Whether making this client registered a new installation: how many its inbox has now, and
    /// how many it may have.
    #[must_use]
    pub fn registered_now(&self) -> Option<(usize, usize)> {
        self.0.me.registered_now
    }

    /// Makes sure that what was sent could still be read when it arrived, ends the background work
    /// and waits for it. The database closes with the last handle.
    pub async fn close(self) {
        if let Err(cause) = self.0.conversations.settle().await {
            tracing::debug!(%cause, "what was sent last is looked after at the next start");
        }
        self.0.end_tasks().await;
    }
}

/// Where an answer may come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lookup {
    /// From the network.
    Network,
    /// From the database, as far as it goes.
    Cached,
}

impl ClientBuilder {
    /// Uses the node at `url`.
    pub fn node(self, url: impl Into<String>) -> Self {
        self.address(NetworkAddress::Node(url.into()))
    }

    /// Uses the d14n network behind the gateway at `url`.
    pub fn gateway(self, url: impl Into<String>) -> Self {
        self.address(NetworkAddress::Gateway(url.into()))
    }

    /// Uses a network with a name.
    pub fn environment(self, environment: Environment) -> Self {
        self.address(environment.into())
    }

    /// Uses this network.
    pub fn address(mut self, address: NetworkAddress) -> Self {
        self.network.address = address;
        self
    }

    /// Uses these settings for the network.
    pub fn network(mut self, options: NetworkOptions) -> Self {
        self.network = options;
        self
    }

    /// Uses something else as the network.
    pub fn custom_network(mut self, network: Arc<dyn Network>) -> Self {
        self.custom_network = Some(network);
        self
    }

    /// What the app calls its version.
    pub fn app_version(mut self, version: impl Into<String>) -> Self {
        self.network.app_version = version.into();
        self
    }

    /// Keeps everything in this file.
    pub fn database(self, path: impl Into<PathBuf>, key: DatabaseKey) -> Self {
        self.database_options(DatabaseOptions::file(path, key))
    }

    /// Keeps everything as these options say.
    pub fn database_options(mut self, options: DatabaseOptions) -> Self {
        self.database = options;
        self
    }

    /// The number of the inbox that the account opens if it has none. Default: 1, as official
    /// clients.
    pub const fn nonce(mut self, nonce: u64) -> Self {
        self.plan.nonce = nonce;
        self
    }

    /// Refuses to be anything but an installation of this inbox.
    pub const fn inbox_id(mut self, inbox: InboxId) -> Self {
        self.plan.inbox = Some(inbox);
        self
    }

    /// Whether the person's devices talk to each other.
    pub const fn device_sync(mut self, device_sync: DeviceSync) -> Self {
        self.options.device_sync = device_sync;
        self
    }

    /// The server through which devices hand over history.
    pub fn history_url(mut self, url: impl Into<String>) -> Self {
        self.options.history_url = Some(url.into());
        self
    }

    /// Whether the client works while nobody calls it.
    pub const fn background(mut self, background: Background) -> Self {
        self.options.background = background;
        self
    }

    /// Tells the time: for tests.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Understands groups up to this version only; those that ask for more stand still. Default:
    /// 1.10.0. From 1.11.0 on it announces in key packages that it understands AppData dictionaries,
    /// as [`ClientBuilder::app_data_groups`] says.
    pub fn protocol_version(mut self, version: Version) -> Self {
        self.plan.generation = if version >= Version::APP_DATA {
            Generation::AppData
        } else {
            Generation::Extensions
        };
        self.version = version;
        self
    }

    /// Announces that it understands groups that live in an AppData dictionary (libxmtp 1.11 and
    /// later): such groups can be made, others can add us to theirs, and super admins can convert
    /// groups that we are in. Not the default, since the official clients of today announce the
    /// same and then cannot show such a group's permissions.
    pub fn app_data_groups(self) -> Self {
        self.protocol_version(Version::OWN)
    }

    /// The client of the database's identity; if it has none yet, registers a new installation, for
    /// which `signer` signs once.
    ///
    /// # Errors
    ///
    /// [`IdentityError`], or what database, network or signer say.
    pub async fn create(self, signer: &dyn Signer) -> Result<Client, Error> {
        let (network, database) = self.parts().await?;
        let directory = Directory::new(
            Arc::clone(&network),
            database.clone(),
            Arc::clone(&self.clock),
        );
        let me = registration::identify(&directory, &database, signer, self.plan).await?;
        self.finish(network, database, directory, me).await
    }

    /// The client of the database's identity. Asks the network nothing, and registers nothing: what
    /// official clients call disabling automatic registration.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotRegistered`] when the database has no identity, or what the database
    /// says.
    pub async fn open(self) -> Result<Client, Error> {
        let (network, database) = self.parts().await?;
        let me = registration::recall(&database, self.plan).await?;
        let directory = Directory::new(
            Arc::clone(&network),
            database.clone(),
            Arc::clone(&self.clock),
        );
        self.finish(network, database, directory, me).await
    }

    async fn parts(&self) -> Result<(Arc<dyn Network>, Database), Error> {
        let network = match &self.custom_network {
            Some(network) => Arc::clone(network),
            None => self.network.network()?,
        };
        let options = self.database.clone();
        let database = match options.key {
            // Stretching a passphrase takes a while, on purpose.
            DatabaseKey::Passphrase(_) if options.path.is_some() => {
                let opening = tokio::task::spawn_blocking(move || Database::open(&options));
                opening.await.map_err(|_| crate::db::DbError::Closed)??
            }
            _ => Database::open(&options)?,
        };
        Ok((network, database))
    }

    async fn finish(
        self,
        network: Arc<dyn Network>,
        database: Database,
        directory: Directory,
        me: Me,
    ) -> Result<Client, Error> {
        let history_url = self.options.history_url.clone().or_else(|| {
            let mut known = Environment::ALL.into_iter();
            let named = known.find(|one| self.network.address == (*one).into())?;
            Some(named.history_url().to_owned())
        });
        let parts = Parts {
            network,
            database,
            clock: self.clock,
            directory,
            version: self.version,
            history_url,
            options: self.options,
        };
        parts.client(me).await
    }
}

/// What a client is made of, besides whom it speaks for.
struct Parts {
    network: Arc<dyn Network>,
    database: Database,
    clock: SharedClock,
    directory: Directory,
    version: Version,
    history_url: Option<String>,
    options: ClientOptions,
}

impl Parts {
    /// The client that speaks for `me`.
    async fn client(self, me: Me) -> Result<Client, Error> {
        let push_keys = PushKeys::load(&self.database, self.clock.now_ns()).await?;
        let conversations = Arc::new(conversation::core::Core::new(
            self.database.clone(),
            Arc::clone(&self.network),
            me.installation.clone(),
            Arc::clone(&self.clock),
            self.directory.clone(),
            push_keys.clone(),
            self.version,
        ));
        // What is known of old: nobody is asked.
        match conversations.require_rights().await {
            Err(cause) if !cause.is_revoked() => return Err(cause),
            _ => {}
        }
        let devices = Devices::new(
            Arc::clone(&conversations),
            self.directory.clone(),
            push_keys.clone(),
            self.history_url,
        );
        let key_packages = KeyPackages::new(
            Arc::clone(&self.network),
            self.database.clone(),
            Arc::clone(&self.clock),
            me.installation.clone(),
        );
        if me.installation.generation() == Generation::AppData {
            key_packages.catch_up().await?;
        }
        let core = Arc::new(Core {
            network: self.network,
            database: self.database,
            clock: self.clock,
            directory: self.directory,
            key_packages,
            me,
            push_keys,
            conversations,
            devices,
            options: self.options,
            tasks: Mutex::default(),
        });
        // Programs that run for a moment have no background, and show no more than others.
        core.conversations.remove_expired().await?;
        if core.options.background == Background::On {
            core.spawn(look_after_key_packages(Arc::downgrade(&core)));
            core.spawn(disappearing::watch(Arc::downgrade(&core.conversations)));
            core.spawn(conversation::retry::watch(Arc::downgrade(
                &core.conversations,
            )));
            core.spawn(conversation::fork::watch(Arc::downgrade(
                &core.conversations,
            )));
            core.spawn(rights::watch(Arc::downgrade(&core.conversations)));
            if core.options.device_sync == DeviceSync::On {
                core.spawn(core.devices.worker());
            }
        }
        Ok(Client(core))
    }
}

impl Core {
    /// Runs `task` until the client goes. It must hold the client weakly.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().push(tokio::spawn(task));
    }

    /// Ends the background work and waits for it.
    async fn end_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.abort();
            // Whether it ended or was ended is the same here.
            let _ = task.await;
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Client")
            .field("inbox_id", &self.inbox_id())
            .field("installation", &self.installation_key())
            .finish_non_exhaustive()
    }
}

/// Replaces the key package if it is due, and forgets secrets whose time is over: after reading the
/// welcomes, of which one may be sealed to them.
async fn run_due(
    key_packages: &KeyPackages,
    conversations: &Arc<conversation::core::Core>,
) -> Result<bool, Error> {
    let renewed = key_packages.run_due().await?;
    if key_packages.has_over().await? {
        let read_ns = conversations.now_ns();
        conversations.sync_welcomes().await?;
        key_packages.forget(read_ns).await?;
    }
    Ok(renewed)
}

async fn look_after_key_packages(core: Weak<Core>) {
    let mut pause = TICK;
    if let Some(key_packages) = core.upgrade().map(|core| core.key_packages.clone())
        && let Err(error) = key_packages.catch_up().await
    {
        tracing::warn!(%error, "the present key package could not be looked at");
    }
    loop {
        tokio::time::sleep(pause).await;
        // The client itself must not live on because of this.
        let parts = core.upgrade().map(|core| {
            let conversations = Arc::clone(&core.conversations);
            (core.key_packages.clone(), conversations)
        });
        let Some((key_packages, conversations)) = parts else {
            return;
        };
        pause = match run_due(&key_packages, &conversations).await {
            Ok(_) => TICK,
            Err(error) => {
                tracing::warn!(%error, "the key package could not be renewed; it will be tried again");
                (pause * 2).min(LONGEST_TICK)
            }
        };
    }
}

/// What official clients use.
const DEFAULT_NONCE: u64 = 1;

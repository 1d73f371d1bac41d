//! The client, and how it comes into being.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use folkmoot_conversation::version::Version;
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
    },
    key_packages::{self, KeyPackageStatus, KeyPackages},
    network::{Environment, Network, NetworkAddress, NetworkOptions},
    push::PushKeys,
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
            version: Version::OWN,
            plan: Plan {
                nonce: DEFAULT_NONCE,
                inbox: None,
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

    /// Unlinks an account from our inbox, and with it the installations that it added.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NotRecovery`] unless `recovery` is the inbox's recovery account; what the
    /// network or the signer says.
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
        let now_ns = self.0.clock.now_ns();
        key_packages::statuses(&*self.0.network, installations, now_ns).await
    }

    /// Replaces our key package if it is due, and forgets secrets whose time is over. The
    /// background work does this by itself. Says whether it was replaced.
    ///
    /// # Errors
    ///
    /// What the network or the database says.
    pub async fn renew_key_package_if_due(&self) -> Result<bool, Error> {
        self.0.key_packages.run_due().await
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
        let tasks = std::mem::take(&mut *self.0.tasks.lock());
        for task in tasks {
            task.abort();
            // Whether it ended or was ended is the same here.
            let _ = task.await;
        }
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

    /// Understands groups up to this version only; those that ask for more stand still. For tests.
    pub fn protocol_version(mut self, version: Version) -> Self {
        self.version = version;
        self
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

    /// The client of the database's identity. Asks the network nothing.
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
        let push_keys = PushKeys::load(&database, self.clock.now_ns()).await?;
        let conversations = Arc::new(conversation::core::Core::new(
            database.clone(),
            Arc::clone(&network),
            me.installation.clone(),
            Arc::clone(&self.clock),
            directory.clone(),
            push_keys.clone(),
            self.version,
        ));
        let history_url = self.options.history_url.clone().or_else(|| {
            let mut known = Environment::ALL.into_iter();
            let named = known.find(|one| self.network.address == (*one).into())?;
            Some(named.history_url().to_owned())
        });
        let devices = Devices::new(
            Arc::clone(&conversations),
            directory.clone(),
            push_keys.clone(),
            history_url,
        );
        let key_packages = KeyPackages::new(
            Arc::clone(&network),
            database.clone(),
            Arc::clone(&self.clock),
            me.installation.clone(),
        );
        let core = Arc::new(Core {
            network,
            database,
            clock: self.clock,
            directory,
            key_packages,
            me,
            push_keys,
            conversations,
            devices,
            options: self.options,
            tasks: Mutex::default(),
        });
        if core.options.background == Background::On {
            core.spawn(look_after_key_packages(Arc::downgrade(&core)));
            core.spawn(disappearing::watch(Arc::downgrade(&core.conversations)));
            core.spawn(conversation::retry::watch(Arc::downgrade(
                &core.conversations,
            )));
            core.spawn(conversation::fork::watch(Arc::downgrade(
                &core.conversations,
            )));
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

async fn look_after_key_packages(core: Weak<Core>) {
    let mut pause = TICK;
    loop {
        tokio::time::sleep(pause).await;
        // The client itself must not live on because of this.
        let Some(key_packages) = core.upgrade().map(|core| core.key_packages.clone()) else {
            return;
        };
        pause = match key_packages.run_due().await {
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

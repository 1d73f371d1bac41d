//! What all commands of `folkmoot xmtp` share: from flags to a client, and from its errors to an
//! exit code.

use std::io::{IsTerminal as _, Write};

use clap::Args;
use folkmoot_client::{
    Background, Client, ClientBuilder, ConversationError, DeviceSync, Error, HistoryError,
    SignerError,
    db::{DatabaseKey, DbError},
    identity::{Directory, IdentityError},
    network::{
        Environment as Known, Network, NetworkAddress, NetworkError, NetworkOptions, OnWaiting,
    },
};
use std::{sync::Arc, time::Duration};
use tracing::Level;
use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use super::{
    output::Output,
    settings::{ClientArgs, ClientSettings, Environment, NetworkArgs, NetworkSettings, Place},
    turns::{Waiting, Who},
    wallet::Wallet,
};
use crate::{
    failure::{Exit, Failure},
    log,
    named::Named,
};

/// Writes an enum of commands, and what runs each of them.
macro_rules! commands {
    (
        $(#[$doc:meta])*
        pub(crate) enum $name:ident {
            $($(#[$about:meta])* $command:ident($arguments:ty),)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, clap::Subcommand)]
        pub(crate) enum $name {
            $($(#[$about])* $command($arguments),)+
        }

        impl $name {
            /// Does what was asked, and writes to `out`.
            pub(crate) async fn run(
                self,
                out: &mut (dyn ::std::io::Write + Send),
            ) -> anyhow::Result<()> {
                match self {
                    $(Self::$command(command) => command.run(out).await,)+
                }
            }
        }
    };
}
pub(crate) use commands;

/// A command that acts as somebody.
pub(crate) trait AsClient: Args {
    /// Whether it goes on until somebody ends it, so that the client looks after itself meanwhile.
    const STAYS: bool = false;
    /// Whether it fills the screen, so that nothing else may be written there.
    const FILLS_SCREEN: bool = false;

    /// Does it, and writes to `out`.
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()>;
}

/// A command that asks the network without being anybody.
pub(crate) trait OnNetwork: Args {
    /// Does it, and writes to `out`.
    async fn run(self, network: &Reached, out: &mut Output<'_>) -> anyhow::Result<()>;
}

/// A command with the flags of those that act as somebody.
#[derive(Args, Debug)]
pub(crate) struct As<T: Args> {
    #[command(flatten)]
    own: Named<T>,
    #[command(flatten)]
    common: Named<ClientArgs>,
}

/// A command with the flags of those that only ask the network.
#[derive(Args, Debug)]
pub(crate) struct On<T: Args> {
    #[command(flatten)]
    own: Named<T>,
    #[command(flatten)]
    common: Named<NetworkArgs>,
}

/// Whoever a command acts as.
pub(crate) struct Me {
    /// The client.
    pub(crate) client: Client,
    /// What it was made from.
    pub(crate) settings: ClientSettings,
}

/// A network, and what it takes to ask it.
pub(crate) struct Reached {
    /// The network.
    pub(crate) network: Arc<dyn Network>,
    /// Where variables come from, and the rest.
    pub(crate) settings: NetworkSettings,
}

impl<T: AsClient> As<T> {
    /// Opens the client, runs the command, and closes it.
    pub(crate) async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let mut settings = self.common.0.settle()?;
        settings.network.fills_screen = T::FILLS_SCREEN;
        let mut output = Output::new(out, settings.network.form.clone());
        let me = Me {
            client: settings.open(T::STAYS).await?,
            settings,
        };
        let done = self.own.0.run(&me, &mut output).await;
        if !T::STAYS
            && let Err(cause) = me.client.renew_key_package_if_due().await
        {
            // Whoever only ever runs short commands can be added all the same.
            tracing::debug!(%cause, "the key package could not be renewed");
        }
        me.client.close().await;
        done
    }
}

impl<T: OnNetwork> On<T> {
    /// Runs the command.
    pub(crate) async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let settings = self.common.0.settle()?;
        let mut output = Output::new(out, settings.form.clone());
        let network = settings.options().network()?;
        if settings.verbose {
            eprintln!("network  {}", network.address());
        }
        self.own
            .0
            .run(&Reached { network, settings }, &mut output)
            .await
    }
}

impl Reached {
    /// Looks up people; nothing is remembered.
    ///
    /// # Errors
    ///
    /// What the database in memory says.
    pub(crate) fn directory(&self) -> anyhow::Result<Directory> {
        let database = folkmoot_client::db::Database::open(
            &folkmoot_client::db::DatabaseOptions::in_memory(),
        )?;
        let clock = Arc::new(folkmoot_client::SystemClock);
        Ok(Directory::new(Arc::clone(&self.network), database, clock))
    }
}

impl NetworkSettings {
    /// How the client library reaches the network. A node that lets us wait is told of on standard
    /// error, unless the command fills the screen.
    pub(crate) fn options(&self) -> NetworkOptions {
        let mut options = NetworkOptions::new(self.place.address());
        if let Some(timeout) = self.timeout {
            options.connect_timeout = timeout;
            options.answer_timeout = Some(timeout);
        }
        if !self.fills_screen {
            options.on_waiting = Some(OnWaiting::new(|address, limit| {
                eprintln!("{}", waiting(address, limit));
            }));
        }
        options
    }
}

/// What is said after half a second without an answer: what happens, and what to do.
fn waiting(address: &str, limit: Duration) -> String {
    format!(
        "still waiting for {address}, which does not answer; giving up after {} s\n\
         \x20 try: check that a node is at this address and well; over a slow link, --network-timeout",
        limit.as_secs_f64()
    )
}

impl ClientSettings {
    /// The client of these settings; registers an installation if the database has none yet.
    ///
    /// # Errors
    ///
    /// A [`Failure`] when a key is missing; what the client says.
    pub(crate) async fn open(&self, stays: bool) -> anyhow::Result<Client> {
        self.start_log();
        let who = if stays { Who::Stays } else { Who::Passes };
        let client = self.client(who).await?;
        if let Some((installations, most)) = client.registered_now()
            && installations > 1
        {
            eprintln!(
                "this is installation {installations} of {most} of inbox {}: {} is new",
                client.inbox_id(),
                self.database.display()
            );
        }
        if self.network.verbose {
            say_who(self, &client);
        }
        Ok(client)
    }

    /// The same client once more, for a stream that closed it to let others in between: waits until
    /// they have gone.
    ///
    /// # Errors
    ///
    /// As of [`ClientSettings::open`].
    pub(crate) async fn open_again(&self) -> anyhow::Result<Client> {
        self.client(Who::Returns).await
    }

    /// Opens the client as soon as no other process has the database.
    async fn client(&self, who: Who) -> anyhow::Result<Client> {
        let mut waiting = Waiting::new(&self.database, who, self.db_wait);
        loop {
            let builder = self.builder(who)?;
            let opened = match &self.wallet {
                Some(wallet) => builder.create(wallet).await,
                None if self.database.exists() => builder.open().await,
                None => return Err(self.missing("wallet key", "XMTP_WALLET_KEY").into()),
            };
            match opened {
                Ok(client) => return Ok(client),
                Err(cause) if waiting.a_little(&cause).await => {}
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    fn builder(&self, who: Who) -> anyhow::Result<ClientBuilder> {
        let key = self.database_key()?;
        self.make_directory()?;
        let mut network = self.network.options();
        network.app_version = self.app_version.clone();
        let mut builder = Client::builder()
            .network(network)
            .database(&self.database, DatabaseKey::Raw(key))
            .device_sync(match self.device_sync {
                true => DeviceSync::On,
                false => DeviceSync::Off,
            })
            .background(match who {
                Who::Stays | Who::Returns => Background::On,
                Who::Passes => Background::Off,
            });
        if self.app_data_groups {
            builder = builder.app_data_groups();
        }
        if let Some(url) = &self.history_url {
            builder = builder.history_url(url);
        }
        Ok(builder)
    }

    /// What opens the database.
    ///
    /// # Errors
    ///
    /// [`Failure`] when nobody gave it.
    pub(crate) fn database_key(&self) -> Result<[u8; 32], Failure> {
        let missing = || self.missing("database key", "XMTP_DB_ENCRYPTION_KEY");
        self.database_key.ok_or_else(missing)
    }

    /// Makes the directory of the database, for its owner only.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn make_directory(&self) -> anyhow::Result<()> {
        match self.database.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => {
                super::init::make_private_directory(directory)
            }
            _ => Ok(()),
        }
    }

    /// The key that signs for the account.
    ///
    /// # Errors
    ///
    /// [`Failure`] when nobody gave it.
    pub(crate) fn signer(&self) -> Result<&Wallet, Failure> {
        let wallet = self.wallet.as_ref();
        wallet.ok_or_else(|| self.missing("wallet key", "XMTP_WALLET_KEY"))
    }

    fn missing(&self, what: &str, variable: &str) -> Failure {
        let read = match &self.network.variables.path {
            Some(path) => format!("{} does not set it", path.display()),
            None => "no file with variables was found".to_owned(),
        };
        Failure::new(
            Exit::Usage,
            format!("no {what} was given; {read}"),
            format!("`folkmoot xmtp init` makes keys and a file with them; or set {variable}"),
        )
    }

    /// Starts logging to standard error as the official program's flags say; `--log` of our own
    /// counts before.
    fn start_log(&self) {
        let Some(level) = self.log_level else {
            if !self.network.fills_screen {
                show_warnings();
            }
            return;
        };
        let filter = tracing_subscriber::EnvFilter::new(level.filter());
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(log::in_colour())
            .with_writer(std::io::stderr);
        // It fails when --log has started it already.
        drop(match self.structured_logging {
            true => log.json().try_init(),
            false => log.try_init(),
        });
    }
}

impl Place {
    /// Where the client library finds the network.
    pub(crate) fn address(&self) -> NetworkAddress {
        match self {
            Self::Named(Environment::Local) => Known::Local.into(),
            Self::Named(Environment::Dev) => Known::Dev.into(),
            Self::Named(Environment::Production) => Known::Production.into(),
            Self::Node(url) => NetworkAddress::Node(url.clone()),
            Self::Gateway(url) => NetworkAddress::Gateway(url.clone()),
        }
    }

    /// The server through which devices hand over history, where the network's name tells it.
    pub(super) fn history_url(&self) -> Option<&'static str> {
        Some(match self {
            Self::Named(Environment::Local) => Known::Local.history_url(),
            Self::Named(Environment::Dev) => Known::Dev.history_url(),
            Self::Named(Environment::Production) => Known::Production.history_url(),
            Self::Node(_) | Self::Gateway(_) => return None,
        })
    }
}

/// Shows what the client passes over, and why, on standard error. Whoever wants to see more, or
/// nothing, says what to log.
fn show_warnings() {
    let told = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let told = told.with_filter(Targets::new().with_target("folkmoot_client", Level::WARN));
    // It fails when --log has started it already.
    drop(tracing_subscriber::registry().with(told).try_init());
}

fn say_who(settings: &ClientSettings, client: &Client) {
    let variables = &settings.network.variables;
    if let Some(path) = &variables.path {
        eprintln!("variables     {}", path.display());
        for line in &variables.passed_over {
            eprintln!("              line {line} is no assignment, and was passed over");
        }
    }
    eprintln!("network       {}", client.network().address());
    eprintln!("database      {}", settings.database.display());
    eprintln!("address       {}", client.identifier());
    eprintln!("inbox         {}", client.inbox_id());
    eprintln!("installation  {}", client.installation_key());
}

/// Gives an error of the client library its exit code and its remedy. Others stay as they are.
pub(crate) fn explained(error: anyhow::Error) -> anyhow::Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => match error.downcast::<NetworkError>() {
            Ok(error) => error.into(),
            Err(other) => return other,
        },
    };
    let exit = exit_code(&error);
    let remedy = remedy(&error).or_else(|| error.remedy());
    match remedy {
        Some(remedy) => Failure::new(exit, error.to_string(), remedy).into(),
        None => Failure::new(exit, error.to_string(), fallback_remedy(exit)).into(),
    }
}

/// What to do about errors for which this program has flags or commands.
fn remedy(error: &Error) -> Option<String> {
    Some(match error {
        Error::Shared(error) => return remedy(error),
        Error::Database(DbError::InUse { process, .. }) => {
            let that = process.map_or_else(
                || "the other command".to_owned(),
                |process| format!("process {process}"),
            );
            format!("end {that}, or wait longer with --db-wait SECONDS")
        }
        Error::Database(DbError::Damaged(_) | DbError::Corrupt { .. }) => {
            "move the file away, then put a copy back with `folkmoot xmtp database restore FILE`, \
             or get history from another installation with `folkmoot xmtp device-sync request`"
                .into()
        }
        Error::Identity(IdentityError::TooManyInstallations { inbox, .. }) => format!(
            "`folkmoot xmtp inbox-states {inbox}` lists them, `folkmoot xmtp revoke-installations \
             {inbox} -i INSTALLATION_ID` revokes one, and needs no database"
        ),
        Error::History(HistoryError::NoServer) => {
            "--history-url URL or XMTP_HISTORY_URL; `folkmoot dev` prints its own".into()
        }
        Error::History(HistoryError::ForeignServer(_)) => {
            "the same --history-url for both installations".into()
        }
        Error::History(HistoryError::NoSyncGroup) => {
            "any command with the same account and another --db-path, here or on another device, \
             makes an installation"
                .into()
        }
        Error::History(HistoryError::NotOffered(_)) => {
            "`folkmoot xmtp device-sync request`, then `folkmoot xmtp device-sync sync` on the \
             other installation"
                .into()
        }
        _ => return None,
    })
}

fn fallback_remedy(exit: Exit) -> &'static str {
    match exit {
        Exit::Failed => "`--log-level debug` shows more",
        Exit::Usage => "--help",
        Exit::Network => "again in a while; `--log-level debug` shows more",
        Exit::NotFound => "`folkmoot xmtp conversations list --sync` shows what there is",
        Exit::Refused => "somebody who may",
    }
}

fn exit_code(error: &Error) -> Exit {
    match error {
        Error::Network(error) => match error {
            NetworkError::Address { .. } => Exit::Usage,
            NetworkError::Refused { .. } => Exit::Refused,
            _ => Exit::Network,
        },
        Error::Database(
            DbError::InUse { .. } | DbError::WrongKey(_) | DbError::NotEncrypted(_),
        ) => Exit::Refused,
        Error::Identity(error) => match error {
            IdentityError::Address(_) => Exit::Usage,
            IdentityError::NotOnNetwork(_)
            | IdentityError::NotRegistered
            | IdentityError::UnknownInbox(_) => Exit::NotFound,
            IdentityError::Linked { .. }
            | IdentityError::LastAccount(_)
            | IdentityError::LogFull(_)
            | IdentityError::NotRecovery { .. }
            | IdentityError::OtherInbox { .. }
            | IdentityError::Revoked(_)
            | IdentityError::Stranger { .. }
            | IdentityError::TooManyInstallations { .. } => Exit::Refused,
            _ => Exit::Failed,
        },
        Error::Conversation(error) => match error {
            ConversationError::NotFound(_)
            | ConversationError::MessageNotFound(_)
            | ConversationError::NotMember(_) => Exit::NotFound,
            ConversationError::AttributeTooLong(_)
            | ConversationError::DmWithSelf
            | ConversationError::Envelope { .. }
            | ConversationError::ReaddSelf => Exit::Usage,
            ConversationError::AppDataOff
            | ConversationError::Conversion(_)
            | ConversationError::Deletion(_)
            | ConversationError::Dm
            | ConversationError::Forked(_)
            | ConversationError::Inactive
            | ConversationError::Leave(_)
            | ConversationError::LockedOut(_)
            | ConversationError::NotAdded
            | ConversationError::NoAppData(_)
            | ConversationError::NotAuthor(_)
            | ConversationError::Paused(_)
            | ConversationError::Refused(_) => Exit::Refused,
            _ => Exit::Failed,
        },
        Error::History(HistoryError::NotOffered(_)) => Exit::NotFound,
        Error::Content(_) => Exit::Usage,
        Error::Shared(error) => exit_code(error),
        Error::Signer(SignerError::Declined) => Exit::Refused,
        _ => Exit::Failed,
    }
}

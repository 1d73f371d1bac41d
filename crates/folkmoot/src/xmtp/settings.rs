//! What every command of `folkmoot xmtp` takes, and what follows from it: network, keys, database.

use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use folkmoot_client::db::{DatabaseKey, Keyring, KeyringError};
use folkmoot_identity::WalletSecret;

use super::{
    output::Form,
    variables::{self, Variables},
    wallet::Wallet,
};
use crate::failure::{Exit, Failure};

/// Flags of commands that ask the network only.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Common flags")]
pub(crate) struct NetworkArgs {
    /// File with variables, instead of ./.env or ~/.xmtp/.env
    #[arg(long, value_name = "PATH")]
    env_file: Option<PathBuf>,
    /// Network by its name [XMTP_ENV; default: production]
    #[arg(long, value_name = "NAME")]
    env: Option<Environment>,
    /// Network by the URL of a node, such as http://127.0.0.1:5556 [XMTP_NODE_URL]
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// Decentralised network by the URL of its gateway [XMTP_GATEWAY_HOST]
    #[arg(long, value_name = "URL", conflicts_with = "node")]
    gateway_host: Option<String>,
    /// Print JSON [XMTP_JSON_OUTPUT=true]
    #[arg(long)]
    json: bool,
    /// Print only these fields, such as id,content.reference
    #[arg(long, value_name = "PATHS", value_delimiter = ',')]
    fields: Vec<String>,
    /// Wait so long for a connection and for each answer [XMTP_NETWORK_TIMEOUT; default: 0.45 for a connection, 20 for the first answer, 60 for the others]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    network_timeout: Option<Duration>,
    /// Say on standard error who asks whom [XMTP_VERBOSE=true]
    #[arg(long)]
    verbose: bool,
}

/// Flags of commands that act as somebody.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Common flags")]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Private key of the account: 64 hex digits [XMTP_WALLET_KEY]
    #[arg(long, value_name = "KEY")]
    wallet_key: Option<SecretText>,
    /// The account, if its key is not at hand: 0xADDRESS, contract:CHAIN:0xADDRESS or passkey:PUBLIC_KEY[@ORIGIN] [XMTP_WALLET]
    #[arg(long, value_name = "ACCOUNT")]
    wallet: Option<String>,
    /// Command that gets a text and prints the account's signature in hex digits, or a passkey's as JSON [XMTP_SIGN_WITH]
    #[arg(long, value_name = "COMMAND")]
    sign_with: Option<String>,
    /// Key of the database: 64 hex digits, or keyring:NAME for one in the system's keyring [XMTP_DB_ENCRYPTION_KEY]
    #[arg(long, value_name = "KEY")]
    db_encryption_key: Option<SecretText>,
    /// Database [XMTP_DB_PATH; default: a file for each network in ~/.xmtp/folkmoot]
    #[arg(long, value_name = "PATH")]
    db_path: Option<PathBuf>,
    /// How long to wait while another command has the database [XMTP_DB_WAIT; default: 5]
    #[arg(long, value_name = "SECONDS")]
    db_wait: Option<u64>,
    /// Server through which the account's installations hand over history [XMTP_HISTORY_URL; default: that of a network with a name]
    #[arg(long, value_name = "URL")]
    history_url: Option<String>,
    /// What to log [XMTP_LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// Log as JSON [XMTP_STRUCTURED_LOGGING=true]
    #[arg(long)]
    structured_logging: bool,
    /// Exchange nothing with the account's other installations [XMTP_DISABLE_DEVICE_SYNC=true]
    #[arg(long)]
    disable_device_sync: bool,
    /// What servers are told about this program [XMTP_APP_VERSION]
    #[arg(long, value_name = "VERSION")]
    app_version: Option<String>,
}

/// A key as it was typed. It never prints.
#[derive(Clone)]
pub(crate) struct SecretText(String);

impl SecretText {
    /// The text.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretText({} bytes)", self.0.len())
    }
}

/// A network with a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Environment {
    /// A node on this machine, as `folkmoot dev` starts it
    Local,
    /// The public network for trying things out
    Dev,
    /// The public network
    Production,
}

/// What to log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogLevel {
    /// Nothing
    Off,
    /// What failed
    Error,
    /// What is worth a look
    Warn,
    /// What happens
    Info,
    /// One line for each request
    Debug,
    /// Everything
    Trace,
}

impl LogLevel {
    /// What is logged. What the libraries below say of each frame is for the finest level only.
    pub(crate) fn filter(self) -> String {
        const BELOW: [&str; 7] = [
            "h2",
            "hyper",
            "hyper_util",
            "reqwest",
            "rustls",
            "tonic",
            "tower",
        ];
        let mut filter = self.to_string();
        if let Self::Info | Self::Debug = self {
            for library in BELOW {
                filter.push_str(&format!(",{library}=warn"));
            }
        }
        filter
    }
}

/// Where a network is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// A network with a name.
    Named(Environment),
    /// A node, by its URL.
    Node(String),
    /// A gateway, by its URL.
    Gateway(String),
}

/// What the flags and variables of a command that asks the network come to.
#[derive(Clone, Debug)]
pub(crate) struct NetworkSettings {
    /// Where the network is.
    pub(crate) place: Place,
    /// How to print.
    pub(crate) form: Form,
    /// How long a connection and each answer may take, where that was said.
    pub(crate) timeout: Option<Duration>,
    /// Whether the command fills the screen, so that nothing else may be written there.
    pub(crate) fills_screen: bool,
    /// Whether to say who asks whom.
    pub(crate) verbose: bool,
    /// Where variables come from.
    pub(crate) variables: Variables,
}

/// What the flags and variables of a command that acts as somebody come to.
#[derive(Clone)]
pub(crate) struct ClientSettings {
    /// Network and output.
    pub(crate) network: NetworkSettings,
    /// Who signs, if known.
    pub(crate) wallet: Option<Wallet>,
    /// What opens the database, if known.
    pub(crate) database_key: Option<[u8; 32]>,
    /// The database.
    pub(crate) database: PathBuf,
    /// How long to wait while one and the same other process has it.
    pub(crate) db_wait: Duration,
    /// The server through which installations hand over history, if one is known.
    pub(crate) history_url: Option<String>,
    /// Whether to exchange preferences and history with other installations.
    pub(crate) device_sync: bool,
    /// Whether to be in groups of libxmtp 1.11 that live in an AppData dictionary.
    pub(crate) app_data_groups: bool,
    /// What servers are told.
    pub(crate) app_version: String,
    /// What to log, and whether as JSON.
    pub(crate) log_level: Option<LogLevel>,
    /// Whether to log as JSON.
    pub(crate) structured_logging: bool,
}

impl NetworkArgs {
    /// Reads the variables and settles what counts.
    ///
    /// # Errors
    ///
    /// A [`Failure`] that names the flag or variable that is wrong.
    pub(crate) fn settle(&self) -> anyhow::Result<NetworkSettings> {
        self.settle_with(Variables::load(self.env_file.as_deref())?)
    }

    fn settle_with(&self, variables: Variables) -> anyhow::Result<NetworkSettings> {
        Ok(NetworkSettings {
            place: self.place(&variables)?,
            form: Form {
                json: self.json || variables.is_true("XMTP_JSON_OUTPUT"),
                fields: self.fields.clone(),
            },
            timeout: match (self.network_timeout, variables.get("XMTP_NETWORK_TIMEOUT")) {
                (Some(timeout), _) => Some(timeout),
                (None, Some(text)) => Some(seconds(text).map_err(|cause| {
                    Failure::new(
                        Exit::Usage,
                        format!("XMTP_NETWORK_TIMEOUT={text}: {cause}"),
                        "XMTP_NETWORK_TIMEOUT=60",
                    )
                })?),
                (None, None) => None,
            },
            fills_screen: false,
            verbose: self.verbose || variables.is_true("XMTP_VERBOSE"),
            variables,
        })
    }

    /// A flag counts before any variable, and an address before a name, except that `--env` turns
    /// the variable with a node's address off.
    fn place(&self, variables: &Variables) -> anyhow::Result<Place> {
        if let Some(url) = &self.node {
            return Ok(Place::Node(url.clone()));
        }
        if let Some(url) = &self.gateway_host {
            return Ok(Place::Gateway(url.clone()));
        }
        // `folkmoot dev -- COMMAND` tells COMMAND where its network is.
        for name in ["XMTP_NODE_URL", "FOLKMOOT_V3_URL"] {
            if self.env.is_none()
                && let Some(url) = variables.get(name)
            {
                return Ok(Place::Node(url.to_owned()));
            }
        }
        if let Some(url) = variables.get("XMTP_GATEWAY_HOST") {
            return Ok(Place::Gateway(url.to_owned()));
        }
        let named = match (self.env, variables.get("XMTP_ENV")) {
            (Some(named), _) => named,
            (None, Some(name)) => choice("XMTP_ENV", name)?,
            (None, None) => Environment::Production,
        };
        Ok(Place::Named(named))
    }
}

/// A time of up to an hour in seconds, such as `60` or `2.5`.
fn seconds(text: &str) -> Result<Duration, String> {
    let longest = 3600.0;
    let number = text.parse().ok();
    let fits = number.filter(|number| (0.05..=longest).contains(number));
    let time = fits.map(Duration::from_secs_f64);
    time.ok_or_else(|| format!("it takes seconds from 0.05 to {longest}"))
}

impl ClientArgs {
    /// Whether the flag for JSON is there, whatever the variables say.
    pub(crate) const fn is_json(&self) -> bool {
        self.network.json
    }

    /// Reads the variables and settles what counts.
    ///
    /// # Errors
    ///
    /// A [`Failure`] that names the flag or variable that is wrong.
    pub(crate) fn settle(&self) -> anyhow::Result<ClientSettings> {
        self.settle_with(Variables::load(self.network.env_file.as_deref())?)
    }

    fn settle_with(&self, variables: Variables) -> anyhow::Result<ClientSettings> {
        let network = self.network.settle_with(variables)?;
        let variables = &network.variables;
        let secret = |flag: &Option<SecretText>, name| {
            let variable = || variables.get(name).map(|text| SecretText(text.to_owned()));
            flag.clone().or_else(variable)
        };
        let key = secret(&self.wallet_key, "XMTP_WALLET_KEY")
            .map(|text| wallet_key("--wallet-key or XMTP_WALLET_KEY", text.reveal()))
            .transpose()?;
        let account = self
            .wallet
            .as_deref()
            .or_else(|| variables.get("XMTP_WALLET"));
        let sign_with = self.sign_with.as_deref();
        let sign_with = match sign_with {
            Some(command) => Some(command),
            None => variables.command("XMTP_SIGN_WITH")?,
        };
        let wallet = Wallet::new(account, sign_with, key)?;
        let database_key = secret(&self.db_encryption_key, "XMTP_DB_ENCRYPTION_KEY")
            .map(|text| database_key(text.reveal()))
            .transpose()?;
        let database = match (&self.db_path, variables.get("XMTP_DB_PATH")) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => path.into(),
            (None, None) => variables::home()?
                .join("folkmoot")
                .join(network.place.file_name()),
        };
        let db_wait = match (self.db_wait, variables.get("XMTP_DB_WAIT")) {
            (Some(seconds), _) => seconds,
            (None, Some(text)) => whole_seconds("XMTP_DB_WAIT", text)?,
            (None, None) => DB_WAIT_SECONDS,
        };
        let history_url = self
            .history_url
            .as_deref()
            .or_else(|| variables.get("XMTP_HISTORY_URL"))
            .or_else(|| network.place.history_url())
            .or_else(|| {
                // `folkmoot dev -- COMMAND` tells COMMAND of its own network.
                let node = Place::Node(variables.get("FOLKMOOT_V3_URL")?.to_owned());
                let history = variables.get("FOLKMOOT_HISTORY_URL")?;
                (network.place == node).then_some(history)
            })
            .map(str::to_owned);
        let log_level = match (self.log_level, variables.get("XMTP_LOG_LEVEL")) {
            (Some(level), _) => Some(level),
            (None, Some(name)) => Some(choice("XMTP_LOG_LEVEL", name)?),
            (None, None) => None,
        };
        let device_sync =
            !self.disable_device_sync && !variables.is_true("XMTP_DISABLE_DEVICE_SYNC");
        let structured_logging =
            self.structured_logging || variables.is_true("XMTP_STRUCTURED_LOGGING");
        let version = || variables.get("XMTP_APP_VERSION").map(str::to_owned);
        let app_version = self.app_version.clone().or_else(version);
        Ok(ClientSettings {
            wallet,
            database_key,
            database,
            db_wait: Duration::from_secs(db_wait),
            history_url,
            device_sync,
            app_data_groups: variables.is_true("XMTP_APP_DATA_GROUPS"),
            app_version: app_version
                .unwrap_or_else(|| concat!("folkmoot/", env!("CARGO_PKG_VERSION")).to_owned()),
            log_level,
            structured_logging,
            network,
        })
    }
}

impl Place {
    /// The name of a database file for this network.
    fn file_name(&self) -> String {
        let name = match self {
            Self::Named(environment) => environment.to_string(),
            Self::Node(url) | Self::Gateway(url) => {
                let host = url.split_once("://").map_or(&**url, |(_, host)| host);
                let plain = |character: char| match character {
                    'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => character,
                    _ => '-',
                };
                host.trim_end_matches('/').chars().map(plain).collect()
            }
        };
        format!("{name}.db")
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Local => "local",
            Self::Dev => "dev",
            Self::Production => "production",
        })
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        })
    }
}

/// The key of an account, from 64 hex digits with or without `0x`. `what` names its source.
pub(crate) fn wallet_key(what: &str, text: &str) -> Result<WalletSecret, Failure> {
    let secret = key_bytes(text).and_then(|bytes| WalletSecret::from_bytes(&bytes).ok());
    secret.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("{what} is no private key"),
            "64 hex digits; `folkmoot xmtp init` makes one",
        )
    })
}

/// The key of a database: itself, or where in the system's keyring it is.
fn database_key(text: &str) -> Result<[u8; 32], Failure> {
    let wrong = || {
        Failure::new(
            Exit::Usage,
            "the database's key is neither 64 hex digits nor keyring:NAME",
            "--db-encryption-key or XMTP_DB_ENCRYPTION_KEY as `folkmoot xmtp init` makes it",
        )
    };
    let Some(name) = text.trim().strip_prefix("keyring:") else {
        return key_bytes(text).ok_or_else(wrong);
    };
    match Keyring::new(name).and_then(|keyring| keyring.key()) {
        Ok(Some(DatabaseKey::Raw(key))) => Ok(key),
        Ok(_) => Err(Failure::new(
            Exit::NotFound,
            format!("the keyring has no key called {name:?}"),
            format!("`folkmoot xmtp init --keyring {name}` makes one"),
        )),
        Err(error) => Err(keyring_failure(&error)),
    }
}

/// What a keyring said, with its exit code.
pub(crate) fn keyring_failure(error: &KeyringError) -> Failure {
    let exit = match error {
        KeyringError::Name(_) => Exit::Usage,
        KeyringError::NoTool { .. } | KeyringError::NotAKey(_) => Exit::Failed,
        KeyringError::Refused(_) => Exit::Refused,
    };
    Failure::new(exit, error.to_string(), error.remedy())
}

/// 32 bytes, from 64 hex digits with or without `0x`.
pub(crate) fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    hex::decode(digits).ok()?.try_into().ok()
}

fn whole_seconds(variable: &str, text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("{variable} is {text:?}"),
            "a number of seconds, such as 5",
        )
    })
}

/// How long a command waits for another one.
const DB_WAIT_SECONDS: u64 = 5;

fn choice<T: ValueEnum>(variable: &str, name: &str) -> Result<T, Failure> {
    T::from_str(name, false).map_err(|_| {
        let names = T::value_variants()
            .iter()
            .filter_map(|variant| Some(variant.to_possible_value()?.get_name().to_owned()));
        Failure::new(
            Exit::Usage,
            format!("{variable} is {name:?}"),
            format!("one of {}", names.collect::<Vec<_>>().join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use folkmoot_client::Signer as _;

    use super::*;

    #[test]
    fn each_network_has_a_database_of_its_own() {
        let name = |place: Place| place.file_name();
        assert_eq!(name(Place::Named(Environment::Dev)), "dev.db");
        assert_eq!(
            name(Place::Node("http://127.0.0.1:5556/".into())),
            "127.0.0.1-5556.db"
        );
        assert_eq!(
            name(Place::Gateway("https://[::1]:5052".into())),
            "---1--5052.db"
        );
    }

    #[test]
    fn a_key_may_begin_with_0x() {
        let digits = "11".repeat(32);
        assert_eq!(key_bytes(&digits), Some([0x11; 32]));
        assert_eq!(key_bytes(&format!("0x{digits}\n")), Some([0x11; 32]));
        assert_eq!(key_bytes("0x11"), None);
    }

    /// What the variables, one `NAME=VALUE` each, and the flags come to.
    fn settled(variables: &[&str], flags: &[&str]) -> ClientSettings {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: ClientArgs,
        }
        let pairs = variables.iter().map(|one| one.split_once('=').unwrap());
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let line = ["test"].iter().chain(flags);
        let line = <Line as clap::Parser>::try_parse_from(line).unwrap();
        line.args
            .settle_with(Variables::of(pairs.collect()))
            .unwrap()
    }

    #[test]
    fn every_variable_stands_in_for_a_flag_which_counts_before_it() {
        let (ones, twos) = ("11".repeat(32), "22".repeat(32));
        let address = |byte| WalletSecret::from_bytes(&[byte; 32]).unwrap().identifier();
        let wallet = |settings: ClientSettings| settings.wallet.unwrap().identifier();
        let one = format!("XMTP_WALLET_KEY={ones}");
        assert_eq!(wallet(settled(&[&one], &[])), address(0x11));
        let flags = ["--wallet-key", &twos];
        assert_eq!(wallet(settled(&[&one], &flags)), address(0x22));
        let key = |settings: ClientSettings| settings.database_key.map(|key| key[0]);
        let one = format!("XMTP_DB_ENCRYPTION_KEY={ones}");
        assert_eq!(key(settled(&[&one], &[])), Some(0x11));
        assert_eq!(
            key(settled(&[&one], &["--db-encryption-key", &twos])),
            Some(0x22)
        );
        let path = |settings: ClientSettings| settings.database.display().to_string();
        assert_eq!(path(settled(&["XMTP_DB_PATH=a.db"], &[])), "a.db");
        assert_eq!(
            path(settled(&["XMTP_DB_PATH=a.db"], &["--db-path", "b.db"])),
            "b.db"
        );
        let level = |settings: ClientSettings| settings.log_level;
        assert_eq!(
            level(settled(&["XMTP_LOG_LEVEL=warn"], &[])),
            Some(LogLevel::Warn)
        );
        let flags = ["--log-level", "trace"];
        assert_eq!(
            level(settled(&["XMTP_LOG_LEVEL=warn"], &flags)),
            Some(LogLevel::Trace)
        );
        let version = |settings: ClientSettings| settings.app_version;
        assert_eq!(version(settled(&["XMTP_APP_VERSION=a/1"], &[])), "a/1");
        let flags = ["--app-version", "b/2"];
        assert_eq!(version(settled(&["XMTP_APP_VERSION=a/1"], &flags)), "b/2");
        let wait = |settings: ClientSettings| settings.db_wait.as_secs();
        assert_eq!(wait(settled(&[], &[])), 5);
        assert_eq!(wait(settled(&["XMTP_DB_WAIT=7"], &[])), 7);
        assert_eq!(wait(settled(&["XMTP_DB_WAIT=7"], &["--db-wait", "0"])), 0);

        type Is = fn(&ClientSettings) -> bool;
        let switches: [(&str, &str, Is); 4] = [
            ("XMTP_STRUCTURED_LOGGING", "--structured-logging", |all| {
                all.structured_logging
            }),
            ("XMTP_DISABLE_DEVICE_SYNC", "--disable-device-sync", |all| {
                !all.device_sync
            }),
            ("XMTP_JSON_OUTPUT", "--json", |all| all.network.form.json),
            ("XMTP_VERBOSE", "--verbose", |all| all.network.verbose),
        ];
        for (variable, flag, is) in switches {
            assert!(
                is(&settled(&[&format!("{variable}=true")], &[])),
                "{variable}"
            );
            assert!(is(&settled(&[], &[flag])), "{flag}");
            assert!(
                !is(&settled(&[&format!("{variable}=false")], &[])),
                "{variable}"
            );
        }
    }

    #[test]
    fn the_network_is_the_flags_then_an_address_then_a_name() {
        let place = |variables: &[&str], flags: &[&str]| settled(variables, flags).network.place;
        let named = |name| Place::Named(name);
        assert_eq!(place(&[], &[]), named(Environment::Production));
        assert_eq!(place(&["XMTP_ENV=dev"], &[]), named(Environment::Dev));
        assert_eq!(
            place(&["XMTP_ENV=dev"], &["--env", "local"]),
            named(Environment::Local)
        );
        let gateway = ["XMTP_ENV=dev", "XMTP_GATEWAY_HOST=https://g"];
        assert_eq!(place(&gateway, &[]), Place::Gateway("https://g".into()));
        let node = ["XMTP_GATEWAY_HOST=https://g", "XMTP_NODE_URL=http://n"];
        assert_eq!(place(&node, &[]), Place::Node("http://n".into()));
        assert_eq!(
            place(&node, &["--gateway-host", "https://h"]),
            Place::Gateway("https://h".into())
        );
        assert_eq!(
            place(&node, &["--node", "http://m"]),
            Place::Node("http://m".into())
        );
        assert_eq!(
            place(&["XMTP_NODE_URL=http://n"], &["--env", "dev"]),
            named(Environment::Dev)
        );
    }

    #[test]
    fn history_goes_through_the_server_that_was_named_or_that_of_the_network() {
        let url = |variables: &[&str], flags: &[&str]| settled(variables, flags).history_url;
        let is = |url: &str| Some(url.to_owned());
        let node = ["XMTP_NODE_URL=http://n"];
        assert_eq!(url(&node, &[]), None);
        assert_eq!(url(&node, &["--history-url", "http://h"]), is("http://h"));
        let variable = ["XMTP_NODE_URL=http://n", "XMTP_HISTORY_URL=http://v"];
        assert_eq!(url(&variable, &[]), is("http://v"));
        let flags = ["--history-url", "http://h"];
        assert_eq!(url(&variable, &flags), is("http://h"));
        // What `folkmoot dev -- COMMAND` says is meant for its own network only.
        let dev = ["FOLKMOOT_V3_URL=http://n", "FOLKMOOT_HISTORY_URL=http://d"];
        assert_eq!(url(&dev, &[]), is("http://d"));
        assert_eq!(url(&dev, &["--node", "http://m"]), None);
        assert_ne!(url(&dev, &["--env", "dev"]), is("http://d"));
    }

    #[test]
    fn an_address_counts_before_a_name() {
        let variables = Variables::default();
        let args = NetworkArgs {
            env: Some(Environment::Dev),
            node: Some("http://node".into()),
            ..NetworkArgs::default()
        };
        assert_eq!(
            args.place(&variables).unwrap(),
            Place::Node("http://node".into())
        );
        let nothing = NetworkArgs::default();
        assert_eq!(
            nothing.place(&variables).unwrap(),
            Place::Named(Environment::Production)
        );
    }
}

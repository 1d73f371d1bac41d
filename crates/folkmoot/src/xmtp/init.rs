//! `folkmoot xmtp init`: new keys, in a file that only this user reads.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use folkmoot_client::db::Keyring;
use folkmoot_identity::WalletSecret;

use super::{
    settings::{self, Environment},
    variables,
};
use crate::failure::{Exit, Failure};

/// The flags of the command.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// Print the keys instead of writing a file
    #[arg(long)]
    stdout: bool,
    /// The file to write [default: ~/.xmtp/.env]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// The network that the file names
    #[arg(long, value_name = "NAME", default_value = "dev")]
    env: Environment,
    /// The network that the file names, by the URL of a node
    #[arg(long, value_name = "URL", conflicts_with = "env")]
    node: Option<String>,
    /// Keep the database's key in the system's keyring, under this name
    #[arg(long, value_name = "NAME")]
    keyring: Option<String>,
    /// Replace the file if there is one
    #[arg(short, long)]
    force: bool,
}

impl Init {
    /// Makes the keys.
    ///
    /// # Errors
    ///
    /// When the file exists and is not to be replaced, or cannot be written.
    pub(crate) fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let network = match &self.node {
            Some(url) => format!("XMTP_NODE_URL={url}"),
            None => format!("XMTP_ENV={}", self.env),
        };
        let database_key = match &self.keyring {
            None => hex::encode(rand::random::<[u8; 32]>()),
            Some(name) => {
                let kept = Keyring::new(name.as_str()).and_then(|keyring| keyring.key_or_new());
                kept.map_err(|error| settings::keyring_failure(&error))?;
                format!("keyring:{name}")
            }
        };
        let text = format!(
            "XMTP_WALLET_KEY=0x{}\nXMTP_DB_ENCRYPTION_KEY={database_key}\n{network}\n",
            hex::encode(new_wallet().to_bytes()),
        );
        if self.stdout {
            write!(out, "{text}")?;
            return Ok(out.flush()?);
        }
        let path = match self.output {
            Some(path) => path,
            None => variables::home()?.join(".env"),
        };
        if let Some(directory) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
            make_private_directory(directory)?;
        }
        write_private(&path, &text, self.force)?;
        writeln!(out, "Configuration written to {}", path.display())?;
        Ok(out.flush()?)
    }
}

/// A new account.
fn new_wallet() -> WalletSecret {
    loop {
        // All but one in 2^127 of random numbers are keys.
        if let Ok(secret) = WalletSecret::from_bytes(&rand::random()) {
            return secret;
        }
    }
}

/// Makes a directory that only this user enters, unless it is there.
pub(crate) fn make_private_directory(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("make {}", path.display()))
}

/// Writes a file that only this user reads, from one moment to the next: nobody ever sees half of
/// it. A file that is there is replaced only if that is meant.
pub(crate) fn write_private(path: &Path, text: &str, replace: bool) -> anyhow::Result<()> {
    let taken = || {
        Failure::new(
            Exit::Refused,
            format!("{} exists already", path.display()),
            "--force replaces it; the keys in it would be lost",
        )
    };
    if !replace && path.exists() {
        return Err(taken().into());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:08x}", rand::random::<u32>()));
    let partial = PathBuf::from(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| match replace {
            true => fs::rename(&partial, path),
            // Fails when somebody made the file meanwhile.
            false => fs::hard_link(&partial, path).and_then(|()| fs::remove_file(&partial)),
        });
    if written.is_err() {
        drop(fs::remove_file(&partial));
    }
    match written {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Err(taken().into()),
        other => other.with_context(|| format!("write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_this_user_reads_the_keys_and_nobody_loses_them_by_accident() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("deep/.env");
        let init = |force| Init {
            stdout: false,
            output: Some(path.clone()),
            env: Environment::Dev,
            node: None,
            keyring: None,
            force,
        };
        init(false).run(&mut Vec::new()).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        assert!(first.ends_with("\nXMTP_ENV=dev\n"));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let refused = init(false).run(&mut Vec::new()).unwrap_err();
        assert_eq!(refused.downcast::<Failure>().unwrap().exit(), Exit::Refused);
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        init(true).run(&mut Vec::new()).unwrap();
        assert_ne!(fs::read_to_string(&path).unwrap(), first);
        assert_eq!(fs::read_dir(place.path().join("deep")).unwrap().count(), 1);
    }
}

//! `folkmoot xmtp database`: copies of the client's database.

use std::{io::Write, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use folkmoot_client::{
    Error,
    db::{Contents, Database, DatabaseKey},
};

use super::{
    output::Output,
    run::commands,
    settings::{ClientArgs, ClientSettings},
    value::object,
};
use crate::failure::{Exit, Failure};

commands! {
    /// The commands about the database.
    pub(crate) enum DatabaseCommand {
        /// Write a copy to a file, with the same key
        ///
        /// The copy is read from end to end before it counts. It never replaces a file.
        #[command(after_help = "Example: folkmoot xmtp database backup copy.db")]
        Backup(Backup),
        /// Put a copy in the place of a database that is gone, or only check it
        ///
        /// Put an old copy back only when nothing newer is left, and never use one copy in two
        /// places: the network has moved on, and others may not understand what is said twice.
        #[command(after_help = "Example: folkmoot xmtp database restore copy.db --verify")]
        Restore(Restore),
    }
}

/// The arguments of `backup`.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The file to write; it must not be there yet
    file: PathBuf,
    #[command(flatten)]
    common: ClientArgs,
}

impl Backup {
    pub(crate) async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let mut settings = self.common.settle()?;
        if !settings.database.exists() {
            return Err(Failure::new(
                Exit::NotFound,
                format!("there is no database at {}", settings.database.display()),
                "--db-path; the first command of a new installation makes one",
            )
            .into());
        }
        // Nothing is to be registered for a copy's sake.
        settings.wallet = None;
        let client = settings.open(false).await?;
        let copied = client.database().backup(&self.file).await;
        client.close().await;
        let contents = copied.map_err(Error::from)?;
        told(&settings, &self.file, &contents, out)
    }
}

/// The arguments of `restore`.
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The file that a backup wrote
    file: PathBuf,
    /// Only read it from end to end, and change nothing
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    common: ClientArgs,
}

impl Restore {
    pub(crate) async fn run(self, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
        let settings = self.common.settle()?;
        let key = DatabaseKey::Raw(settings.database_key()?);
        let (from, to, verify) = (self.file.clone(), settings.database.clone(), self.verify);
        if !verify {
            settings.make_directory()?;
        }
        let restored = tokio::task::spawn_blocking(move || match verify {
            true => Database::verify(&from, &key),
            false => Database::restore(&from, &to, &key),
        });
        let restored = restored.await.context("read the copy")?;
        let contents = restored.map_err(Error::from)?;
        told(&settings, &self.file, &contents, out)
    }
}

/// Says what is in a copy.
fn told(
    settings: &ClientSettings,
    file: &std::path::Path,
    contents: &Contents,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let rows = |table: &str| {
        let found = contents.tables.iter().find(|(name, _)| name == table);
        found.map_or(0, |(_, rows)| usize::try_from(*rows).unwrap_or(usize::MAX))
    };
    let mut output = Output::new(out, settings.network.form.clone());
    output.result(object! {
        "success" => true,
        "file" => file.display().to_string(),
        "database" => settings.database.display().to_string(),
        "bytes" => usize::try_from(contents.bytes).unwrap_or(usize::MAX),
        "conversations" => rows("conversation"),
        "messages" => rows("message"),
    })?;
    Ok(())
}

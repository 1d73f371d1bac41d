//! `folkmoot backup` and `folkmoot restore`.
//!
//! A backup is one file with everything that the database holds, and beside it `FILE.key` with
//! the node's key. Both backends write and read the same form, so restoring is also the way from
//! one to the other. History files are not in it: they are gone after some days anyway.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use folkmoot_store::{PostgresStore, SqliteStore, Stats};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::{
    data_dir::DataDir,
    failure::{Exit, Failure},
    serve::{self, ConfigArgs},
};

/// Write a copy of everything to a file, while the server runs
///
/// Beside FILE, the node's key goes to FILE.key; keep it as safe as the server itself. The copy
/// is read from end to end before it gets its name.
#[derive(Debug, Args)]
pub(crate) struct BackupCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Print a JSON object with `file`, `envelopes`, `topics`, `newestId` and `bytes`
    #[arg(long)]
    json: bool,
}

/// Put back what `folkmoot backup` wrote, or only check it
///
/// The server must not run meanwhile, except with --verify. The database can be another kind
/// than the one that the backup came from.
#[derive(Debug, Args)]
pub(crate) struct RestoreCommand {
    #[command(flatten)]
    config: ConfigArgs,
    /// The file that a backup wrote
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Only read the file from end to end, and change nothing
    #[arg(long)]
    verify: bool,
    /// Put it in place of what is there
    #[arg(long, conflicts_with = "verify")]
    replace: bool,
    /// Print a JSON object with `file`, `envelopes`, `topics`, `newestId` and `bytes`
    #[arg(long)]
    json: bool,
}

impl BackupCommand {
    /// Writes the backup, and what is in it to `out`.
    ///
    /// # Errors
    ///
    /// When the file exists, the database cannot be read, or the copy is no good.
    pub(crate) async fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let config = self.config.load()?;
        if self.to.exists() {
            return Err(Failure::new(
                Exit::Refused,
                format!("{} exists already", self.to.display()),
                "another name; a backup never replaces another",
            )
            .into());
        }
        let partial = beside(&self.to, ".partial");
        let stats = copy(
            config.store.postgres_url.as_str(),
            &config.store.data_directory,
            &partial,
        )
        .await;
        let stats = match stats {
            Ok(stats) => stats,
            Err(error) => {
                // What is there of the copy is of no use, and may be in the way of the next one.
                drop(fs::remove_file(&partial));
                return Err(error);
            }
        };
        let key = DataDir::node_key_file(&config.store.data_directory);
        if key.exists() {
            let kept = beside(&self.to, ".key");
            private_file(&kept)
                .and_then(|mut file| file.write_all(&fs::read(&key)?))
                .with_context(|| format!("write {}", kept.display()))?;
        }
        File::open(&partial)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&partial, &self.to))
            .with_context(|| format!("write {}", self.to.display()))?;
        tell(out, &self.to, stats, self.json, "written and verified")
    }
}

impl RestoreCommand {
    /// Puts the backup back, or checks it, and writes what is in it to `out`.
    ///
    /// # Errors
    ///
    /// When the backup is no good, the server runs, or there is data already.
    pub(crate) async fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        if !self.from.exists() {
            return Err(Failure::new(
                Exit::NotFound,
                format!("there is no {}", self.from.display()),
                "the file that `folkmoot backup --to FILE` wrote",
            )
            .into());
        }
        let from = self.from.clone();
        let stats = spawn_blocking(move || SqliteStore::verify_copy(&from))
            .await?
            .map_err(|cause| {
                Failure::new(
                    Exit::Failed,
                    format!("{} is no good as a backup", self.from.display()),
                    "an earlier backup",
                )
                .because(cause)
            })?;
        if self.verify {
            return tell(out, &self.from, stats, self.json, "good");
        }
        let config = self.config.load()?;
        let data = DataDir::open(&config.store.data_directory)?;
        let (store, _) = serve::database(&config, &data).open(config.node.id).await?;
        if store.stats().await?.envelopes > 0 && !self.replace {
            return Err(Failure::new(
                Exit::Refused,
                "there is data already",
                "--replace puts the backup in its place; `folkmoot backup` keeps it first",
            )
            .into());
        }
        store
            .replace_with(&self.from)
            .await
            .context("put back the backup")?;
        store.close().await.context("close the database")?;
        let key = beside(&self.from, ".key");
        if key.exists() {
            data.set_node_key(&fs::read_to_string(&key)?)
                .with_context(|| format!("put back {}", key.display()))?;
        }
        tell(out, &self.from, stats, self.json, "put back")
    }
}

/// Writes a copy of the database to the new file `to`.
async fn copy(postgres_url: &str, directory: &Path, to: &Path) -> anyhow::Result<Stats> {
    drop(private_file(to).with_context(|| format!("write {}", to.display()))?);
    if !postgres_url.is_empty() {
        let copied = PostgresStore::copy_database(postgres_url, to).await;
        return copied.context("copy the database");
    }
    let from = DataDir::database_file(directory);
    if !from.exists() {
        return Err(Failure::new(
            Exit::NotFound,
            format!("there is no database in {}", directory.display()),
            "data_directory in [store], or --config with another file",
        )
        .into());
    }
    let to = to.to_owned();
    let copied = spawn_blocking(move || SqliteStore::copy_file(&from, &to)).await?;
    copied.context("copy the database")
}

/// A new file that only this user reads.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn tell(
    out: &mut impl Write,
    file: &Path,
    stats: Stats,
    json: bool,
    what: &str,
) -> anyhow::Result<()> {
    if json {
        let object = json!({
            "file": file,
            "envelopes": stats.envelopes,
            "topics": stats.topics,
            "newestId": stats.newest_id,
            "bytes": stats.bytes_on_disk,
        });
        writeln!(out, "{object:#}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{} {what}: {} envelopes in {} topics, {} bytes",
        file.display(),
        stats.envelopes,
        stats.topics,
        stats.bytes_on_disk
    )?;
    Ok(())
}

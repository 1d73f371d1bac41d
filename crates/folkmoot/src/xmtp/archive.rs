//! `folkmoot xmtp archive`: everything in one encrypted file, in the official format.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use folkmoot_client::archive_metadata;
use folkmoot_conversation::archive::{
    ArchiveKey, ArchiveMetadata, ArchiveOptions, ArchiveSelection,
};

use super::{
    device_sync,
    output::Output,
    run::{As, AsClient, Me, commands},
    settings::{self, SecretText},
    value::{Value, object},
};
use crate::failure::{Exit, Failure};

commands! {
    /// The commands about archives.
    pub(crate) enum ArchiveCommand {
        /// Write conversations and consent to a file
        #[command(after_help = "Example: folkmoot xmtp archive create everything.archive")]
        Create(As<Create>),
        /// Take a file in
        #[command(after_help = "Example: folkmoot xmtp archive import everything.archive --key KEY")]
        Import(As<Import>),
        /// Show what is in a file
        #[command(after_help = "Example: folkmoot xmtp archive metadata everything.archive --key KEY")]
        Metadata(As<Metadata>),
    }
}

/// What opens an archive.
#[derive(Args, Clone, Debug)]
struct Key {
    /// The archive's key: 64 hex digits
    #[arg(long, value_name = "KEY")]
    key: Option<SecretText>,
}

impl Key {
    fn parse(text: &str) -> Result<ArchiveKey, Failure> {
        let bytes = settings::key_bytes(text).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "the archive's key is not 64 hex digits",
                "--key",
            )
        })?;
        Ok(ArchiveKey::from_bytes(bytes))
    }

    fn needed(&self) -> Result<ArchiveKey, Failure> {
        let text = self.key.as_ref().map(SecretText::reveal).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "nobody says what opens the archive",
                "--key as `folkmoot xmtp archive create` printed it",
            )
        })?;
        Self::parse(text)
    }
}

/// The arguments of `create`.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// The file to write
    file: PathBuf,
    #[command(flatten)]
    key: Key,
    /// Only this; can be repeated
    #[arg(long, value_name = "WHAT")]
    element: Vec<Selection>,
    /// Nothing before this time, in nanoseconds of Unix time
    #[arg(long, value_name = "NS")]
    start: Option<i64>,
    /// Nothing after this time, in nanoseconds of Unix time
    #[arg(long, value_name = "NS")]
    end: Option<i64>,
    /// No messages that disappear
    #[arg(long)]
    exclude_disappearing: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Selection {
    /// Conversations and what was said in them
    Messages,
    /// What we think of people and conversations
    Consent,
}

impl AsClient for Create {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        if self.file.exists() {
            return Err(Failure::new(
                Exit::Refused,
                format!("{} exists already", self.file.display()),
                "another name",
            )
            .into());
        }
        let key = match &self.key.key {
            Some(text) => Key::parse(text.reveal())?,
            None => ArchiveKey::generate(&mut rand::rng()),
        };
        let digits = hex::encode(key.as_bytes());
        let mut options = ArchiveOptions::everything();
        options.start_ns = self.start;
        options.end_ns = self.end;
        options.exclude_disappearing_messages = self.exclude_disappearing;
        if !self.element.is_empty() {
            let chosen = self.element.iter().map(|selection| match selection {
                Selection::Messages => ArchiveSelection::Messages,
                Selection::Consent => ArchiveSelection::Consent,
            });
            options.elements = chosen.collect();
        }
        let metadata = me
            .client
            .create_archive_file(&self.file, key, options)
            .await?;
        out.result(
            object! { "success" => true, "file" => self.file.display().to_string() }
                .with("key", digits)
                .with("metadata", shown(&metadata)),
        )?;
        Ok(())
    }
}

/// The arguments of `import`.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    key: Key,
}

impl AsClient for Import {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let key = self.key.needed()?;
        drop(open(&self.file)?);
        let summary = me.client.import_archive_file(&self.file, key).await?;
        out.result(device_sync::imported(summary))?;
        Ok(())
    }
}

/// The arguments of `metadata`.
#[derive(Args, Debug)]
pub(crate) struct Metadata {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    key: Key,
}

impl AsClient for Metadata {
    async fn run(self, _: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let key = self.key.needed()?;
        let file = open(&self.file)?;
        let metadata = archive_metadata(BufReader::new(file), &key)?;
        out.result(shown(&metadata))?;
        Ok(())
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|cause| {
        let what = format!("{} cannot be read", path.display());
        Failure::new(Exit::NotFound, what, "another file").because(cause)
    })
}

/// What an archive says about itself.
pub(super) fn shown(metadata: &ArchiveMetadata) -> Value {
    let elements = metadata.elements.iter().map(|element| match element {
        ArchiveSelection::Messages => "Messages",
        ArchiveSelection::Consent => "Consent",
    });
    object! {
        "backupVersion" => 0_u32,
        "elements" => Value::list(elements),
        "exportedAtNs" => Value::wide(metadata.exported_at_ns),
        "startNs" => metadata.start_ns.map(Value::wide),
        "endNs" => metadata.end_ns.map(Value::wide),
    }
}

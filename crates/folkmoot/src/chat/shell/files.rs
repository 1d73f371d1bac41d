//! Files: sent inside of a message when they are small, else over an upload server; saved.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use folkmoot_client::{Client, SendOptions};
use folkmoot_conversation::{
    EncryptedAttachment,
    content::{Attachment, Content, RemoteAttachment},
    open_attachment,
};
use folkmoot_wire::{GroupId, MessageId};

use super::{
    super::{event::Event, text::size},
    act::Hands,
    transfers::Progress,
    watch::Touched,
};
use crate::{
    failure::{Exit, Failure},
    xmtp::conversation::files::{download, read_file, upload, write_new},
};

/// The largest file that travels inside of a message, in bytes. Official apps do the same.
const MOST_INLINE: usize = 1_000_000;

/// Where large files are uploaded.
#[derive(Clone)]
pub(super) struct Provider {
    /// The address to which they are posted.
    pub(super) url: String,
    /// What that server wants to hear.
    pub(super) token: Option<String>,
}

impl Hands {
    /// Sends a file, beside whatever else is said: a large one may take its time.
    pub(super) fn send_file(self: &Arc<Self>, id: GroupId, path: PathBuf) {
        let hands = Arc::clone(self);
        let name = last_name(&path);
        self.transfers.begin(&name, true, |progress| async move {
            match content(&path, hands.provider.as_ref(), &progress).await {
                // From here on it is a message like others, and goes its way.
                Ok(content) => {
                    tokio::spawn(async move {
                        if let Err(error) = hands.send_content(&id, content).await {
                            hands.tell(Event::Begun);
                            hands.tell_failure(error);
                        }
                    });
                }
                Err(error) => {
                    hands.tell(Event::Begun);
                    hands.tell_failure(error);
                }
            }
        });
    }

    async fn send_content(&self, id: &GroupId, content: Content) -> anyhow::Result<()> {
        let conversation = self.get(id).await?;
        let options = SendOptions::default();
        let message = conversation.send_optimistic(&content, options).await?;
        self.touch(Touched::One(conversation.id().clone()));
        self.publish(&conversation, message).await;
        Ok(())
    }

    /// Saves the files of a message.
    pub(super) fn save(self: &Arc<Self>, message: MessageId, names: Vec<String>, path: PathBuf) {
        let hands = Arc::clone(self);
        let name = last_name(&path);
        self.transfers.begin(&name, false, |progress| async move {
            let saved = save(&hands.client, message, &names, &path, &progress);
            hands
                .answer(async {
                    let path = saved.await?;
                    Ok(Some(format!("saved: {}", path.display())))
                })
                .await;
        });
    }
}

/// What a path calls a file.
fn last_name(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.map_or_else(|| "files".to_owned(), |name| name.into_owned())
}

/// A file as something that can be said; a large one lies on the provider's server then.
async fn content(
    path: &Path,
    provider: Option<&Provider>,
    progress: &Progress,
) -> anyhow::Result<Content> {
    let path = home(path);
    let read = tokio::task::spawn_blocking(move || read_file(&path, None));
    let attachment = read.await??;
    match (attachment.data.len(), provider) {
        (..=MOST_INLINE, _) => Ok(Content::Attachment(attachment)),
        (_, Some(provider)) => {
            let sealed = EncryptedAttachment::seal(&attachment, &mut rand::rng())?;
            progress.of(u64::try_from(sealed.payload.len())?);
            let token = provider.token.as_deref();
            let gone = progress.clone();
            let url = upload(&provider.url, token, sealed.payload.clone(), move |bytes| {
                gone.add(bytes);
            });
            Ok(Content::RemoteAttachment(sealed.at(&*url.await?)))
        }
        (bytes, None) => {
            let bytes = size(u64::try_from(bytes).unwrap_or(u64::MAX));
            Err(Failure::new(
                Exit::Refused,
                format!("the file has {bytes}; a message takes 1 MB"),
                "start chat with --upload-provider URL",
            )
            .into())
        }
    }
}

/// Writes the files of a message to the disk: one as `path`, several into the folder `path` under
/// these names. Returns where.
async fn save(
    client: &Client,
    message: MessageId,
    names: &[String],
    path: &Path,
    progress: &Progress,
) -> anyhow::Result<PathBuf> {
    let message = client.conversations().message(&message).await?;
    let content = match message.content {
        Content::Reply(reply) => reply.content(),
        content => content,
    };
    let mut path = home(path);
    if names.len() == 1 && path.is_dir() {
        // A folder is meant, in which the file keeps its name.
        path.extend(names);
    }
    let remote = match content {
        Content::Attachment(attachment) => {
            write(path.clone(), attachment).await?;
            return Ok(path);
        }
        Content::RemoteAttachment(remote) => vec![remote],
        Content::MultiRemoteAttachment(multi) => multi.attachments,
        _ => {
            let what = "the message has no file";
            return Err(Failure::new(Exit::NotFound, what, "another message").into());
        }
    };
    let length = |remote: &RemoteAttachment| remote.content_length.map_or(0, u64::from);
    progress.of(remote.iter().map(length).sum());
    for (remote, name) in remote.iter().zip(names) {
        let path = match names.len() {
            1 => path.clone(),
            _ => path.join(name),
        };
        let come = |bytes| progress.add(bytes);
        let payload = download(remote, false, come).await?;
        write(path, open_attachment(remote, &payload)?).await?;
    }
    Ok(path)
}

async fn write(path: PathBuf, attachment: Attachment) -> anyhow::Result<()> {
    let shown = path.display().to_string();
    let written = tokio::task::spawn_blocking(move || write_new(&path, &attachment.data));
    written.await?.map_err(|error| {
        // That one speaks of an option of other commands.
        let exists = |cause: &(dyn std::error::Error + 'static)| {
            let cause = cause.downcast_ref::<Failure>();
            cause.is_some_and(|failure| failure.exit() == Exit::Refused)
        };
        match error.chain().any(exists) {
            true => Failure::new(
                Exit::Refused,
                format!("{shown} exists already"),
                "save it under another name",
            )
            .into(),
            false => error,
        }
    })
}

/// The path with the home directory in place of `~`.
fn home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

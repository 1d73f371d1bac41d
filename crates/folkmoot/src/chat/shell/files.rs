//! Files: sent inside of a message when they are small, else over an upload server; saved.

use std::path::{Path, PathBuf};

use folkmoot_client::{Client, Conversation, SendOptions};
use folkmoot_conversation::{
    EncryptedAttachment,
    content::{Attachment, Content},
    open_attachment,
};
use folkmoot_wire::MessageId;

use super::super::text::size;
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

/// Stores a message with a file, to be sent.
pub(super) async fn send(
    conversation: &Conversation,
    path: &Path,
    provider: Option<&Provider>,
) -> anyhow::Result<MessageId> {
    let path = home(path);
    let read = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || read_file(&path, None))
    };
    let attachment = read.await??;
    let content = match (attachment.data.len(), provider) {
        (..=MOST_INLINE, _) => Content::Attachment(attachment),
        (_, Some(provider)) => {
            let sealed = EncryptedAttachment::seal(&attachment, &mut rand::rng())?;
            let token = provider.token.as_deref();
            let url = upload(&provider.url, token, sealed.payload.clone()).await?;
            Content::RemoteAttachment(sealed.at(url.as_str()))
        }
        (bytes, None) => {
            let bytes = size(u64::try_from(bytes).unwrap_or(u64::MAX));
            return Err(Failure::new(
                Exit::Refused,
                format!("the file has {bytes}; a message takes 1 MB"),
                "start chat with --upload-provider URL",
            )
            .into());
        }
    };
    Ok(conversation
        .send_optimistic(&content, SendOptions::default())
        .await?)
}

/// Writes the files of a message to the disk: one as `path`, several into the folder `path` under
/// these names. Returns where.
pub(super) async fn save(
    client: &Client,
    message: MessageId,
    names: &[String],
    path: &Path,
) -> anyhow::Result<PathBuf> {
    let message = client.conversations().message(&message).await?;
    let content = match message.content {
        Content::Reply(reply) => reply.content(),
        content => content,
    };
    let path = home(path);
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
    for (remote, name) in remote.iter().zip(names) {
        let path = match names.len() {
            1 => path.clone(),
            _ => path.join(name),
        };
        let payload = download(remote, false).await?;
        write(path, open_attachment(remote, &payload)?).await?;
    }
    Ok(path)
}

async fn write(path: PathBuf, attachment: Attachment) -> anyhow::Result<()> {
    let written = tokio::task::spawn_blocking(move || write_new(&path, &attachment.data));
    written.await?
}

/// The path with the home directory in place of `~`.
fn home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

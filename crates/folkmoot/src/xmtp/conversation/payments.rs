//! Transactions: telling of one, and asking for one.

use std::path::PathBuf;

use clap::Args;
use folkmoot_conversation::content::{Codec, Parts, TransactionReference, WalletSendCalls};

use super::{
    super::{
        output::Output,
        run::{AsClient, Me},
        which::Which,
    },
    actions::require_understood,
    files::read_limited,
    send::{How, sent},
};

/// A content in a file, in the JSON form in which it travels.
#[derive(Args, Debug)]
struct InFile {
    #[command(flatten)]
    which: Which,
    /// JSON object in the form of the content type; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    how: How,
}

impl InFile {
    async fn send<T: Codec>(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let parts = Parts::of(T::TYPE).content(read_limited(&self.file)?);
        let content = require_understood(&parts.seal()?)?;
        let conversation = self.which.find(&me.client).await?;
        let id = self.how.send(&conversation, &content, out).await?;
        out.result(
            sent(id, &conversation)
                .with("contentType", T::TYPE.to_string())
                .with("optimistic", self.how.optimistic),
        )?;
        Ok(())
    }
}

/// The arguments of `send-transaction-reference`.
#[derive(Args, Debug)]
pub(crate) struct SendTransactionReference {
    #[command(flatten)]
    content: InFile,
}

impl AsClient for SendTransactionReference {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        self.content.send::<TransactionReference>(me, out).await
    }
}

/// The arguments of `send-wallet-send-calls`.
#[derive(Args, Debug)]
pub(crate) struct SendWalletSendCalls {
    #[command(flatten)]
    content: InFile,
}

impl AsClient for SendWalletSendCalls {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        self.content.send::<WalletSendCalls>(me, out).await
    }
}

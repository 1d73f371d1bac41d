//! `folkmoot xmtp device-sync`: what our own installations tell each other.

use clap::Args;
use folkmoot_client::{Clock as _, ImportSummary, SystemClock};
use folkmoot_conversation::archive::ArchiveOptions;

use super::{
    archive,
    output::Output,
    run::{As, AsClient, Me, commands},
    shapes,
    value::{Value, object},
};

commands! {
    /// The commands about our other installations.
    pub(crate) enum DeviceSyncCommand {
        /// Fetch what our other installations said, and tell them what is new here
        #[command(after_help = "Example: folkmoot xmtp device-sync sync")]
        Sync(As<Sync>),
        /// Ask our other installations for their history
        #[command(after_help = "Example: folkmoot xmtp device-sync request")]
        Request(As<Request>),
        /// Offer our history to our other installations
        #[command(after_help = "Example: folkmoot xmtp device-sync offer")]
        Offer(As<Offer>),
        /// List the histories that were offered
        #[command(after_help = "Example: folkmoot xmtp device-sync list")]
        List(As<List>),
        /// Take a history in that was offered
        #[command(after_help = "Example: folkmoot xmtp device-sync accept")]
        Accept(As<Accept>),
    }
}

/// The arguments of `sync`.
#[derive(Args, Debug)]
pub(crate) struct Sync {}

impl AsClient for Sync {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let summary = me.client.sync_devices().await?;
        out.result(object! {
            "success" => true,
            "messages" => summary.messages,
            "failed" => summary.failed,
            "told" => summary.told,
        })?;
        Ok(())
    }
}

/// The arguments of `request`.
#[derive(Args, Debug)]
pub(crate) struct Request {}

impl AsClient for Request {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let pin = me
            .client
            .send_sync_request(ArchiveOptions::everything())
            .await?;
        out.result(object! { "success" => true, "pin" => pin })?;
        Ok(())
    }
}

/// The arguments of `offer`.
#[derive(Args, Debug)]
pub(crate) struct Offer {
    /// By what it is found [default: a random one]
    pin: Option<String>,
}

impl AsClient for Offer {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let random = || hex::encode(rand::random::<[u8; 4]>());
        let pin = self.pin.unwrap_or_else(random);
        let options = ArchiveOptions::everything();
        me.client.send_sync_archive(options, &pin).await?;
        out.result(object! { "success" => true, "pin" => pin })?;
        Ok(())
    }
}

/// The arguments of `list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Offered within so many days
    #[arg(long, value_name = "NUMBER", default_value_t = 30)]
    days: u64,
}

impl AsClient for List {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        const DAY_NS: u64 = 24 * 60 * 60 * 1_000_000_000;
        me.client.sync_devices().await?;
        let since_ns = SystemClock
            .now_ns()
            .saturating_sub(self.days.saturating_mul(DAY_NS));
        let archives = me.client.available_archives(since_ns).await?;
        out.result(Value::list(archives.iter().map(|archive| {
            object! {
                "pin" => archive.pin.as_str(),
                "sentByInstallation" => archive.sent_by.to_string(),
                "sentAt" => shapes::iso(archive.sent_ns),
                "metadata" => archive.metadata.as_ref().map(archive::shown),
            }
        })))?;
        Ok(())
    }
}

/// The arguments of `accept`.
#[derive(Args, Debug)]
pub(crate) struct Accept {
    /// By what it was offered [default: the newest]
    pin: Option<String>,
}

impl AsClient for Accept {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        me.client.sync_devices().await?;
        let summary = me.client.process_sync_archive(self.pin.as_deref()).await?;
        out.result(imported(summary))?;
        Ok(())
    }
}

/// What an archive brought.
pub(super) fn imported(summary: ImportSummary) -> Value {
    object! {
        "success" => true,
        "conversations" => summary.conversations,
        "messages" => summary.messages,
        "consents" => summary.consents,
        "skipped" => summary.skipped,
        "reasons" => summary.reasons,
    }
}

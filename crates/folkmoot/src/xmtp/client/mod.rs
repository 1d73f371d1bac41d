//! `folkmoot xmtp client`: our own identity and installations.

mod accounts;
mod installations;
mod signatures;

use clap::Args;
use folkmoot_client::DeviceSync;

use super::{
    output::Output,
    run::{As, AsClient, Me, commands},
    settings::Place,
    value::object,
};

commands! {
    /// The commands about ourselves.
    pub(crate) enum ClientCommand {
        /// Show who we are
        #[command(after_help = "Example: folkmoot xmtp client info --fields properties.inboxId")]
        Info(As<Info>),
        /// Look up the inbox of an account
        #[command(after_help = "Example: folkmoot xmtp client inbox-id -i 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
        InboxId(As<accounts::InboxIdOf>),
        /// Sign a text with this installation's key
        #[command(after_help = "Example: folkmoot xmtp client sign 'It was me'")]
        Sign(As<signatures::Sign>),
        /// Check a signature of this installation
        #[command(after_help = "Example: folkmoot xmtp client verify-signature 'It was me' -s SIGNATURE")]
        VerifySignature(As<signatures::VerifySignature>),
        /// Link another account to our inbox
        #[command(after_help = "Example: folkmoot xmtp client add-account --new-wallet-key KEY")]
        AddAccount(As<accounts::AddAccount>),
        /// Unlink an account from our inbox
        #[command(after_help = "Example: folkmoot xmtp client remove-account -i 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
        RemoveAccount(As<accounts::RemoveAccount>),
        /// Hand the recovery of our inbox to another account
        #[command(after_help = "Example: folkmoot xmtp client change-recovery-identifier -i 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
        ChangeRecoveryIdentifier(As<accounts::ChangeRecoveryIdentifier>),
        /// Show whether installations can be added to conversations
        #[command(after_help = "Example: folkmoot xmtp client key-package-status -i INSTALLATION_ID")]
        KeyPackageStatus(As<installations::KeyPackageStatus>),
        /// Take the rights of installations of our inbox away
        #[command(after_help = "Example: folkmoot xmtp client revoke-installations -i INSTALLATION_ID")]
        RevokeInstallations(As<installations::RevokeInstallations>),
        /// Link this device again: a new installation takes its place, and the history stays
        ///
        /// For a device that was revoked, or lost groups for good. The wallet signs once.
        #[command(after_help = "Example: folkmoot xmtp client relink")]
        Relink(As<installations::Relink>),
        /// Take the rights of all our other installations away
        #[command(after_help = "Example: folkmoot xmtp client revoke-all-other-installations")]
        RevokeAllOtherInstallations(As<installations::RevokeAllOtherInstallations>),
    }
}

/// The arguments of `info`.
#[derive(Args, Debug)]
pub(crate) struct Info {}

impl AsClient for Info {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let Me { client, settings } = me;
        let (named, gateway) = match &settings.network.place {
            Place::Named(name) => (Some(name.to_string()), None),
            Place::Gateway(url) => (None, Some(url.clone())),
            Place::Node(_) => (None, None),
        };
        let properties = object! {
            "address" => client.identifier().to_string(),
            "inboxId" => client.inbox_id().to_string(),
            "installationId" => client.installation_key().to_string(),
            "isRegistered" => !client.is_revoked(),
            "appVersion" => settings.app_version.as_str(),
            "libxmtpVersion" => concat!("folkmoot ", env!("CARGO_PKG_VERSION")),
        };
        let sync = client.options().device_sync;
        let options = object! {
            "env" => named,
            "apiUrl" => client.network().address(),
            "historySyncUrl" => client.options().history_url.clone(),
            "gatewayHost" => gateway,
            "dbPath" => settings.database.display().to_string(),
            "loggingLevel" => settings.log_level.map(|level| level.to_string()),
            "structuredLogging" => settings.structured_logging.then_some(true),
            "disableDeviceSync" => (sync == DeviceSync::Off).then_some(true),
            "appVersion" => settings.app_version.as_str(),
        };
        out.result(object! { "properties" => properties, "options" => options })?;
        Ok(())
    }
}

/// The list of installations that a flag names.
#[derive(Args, Clone, Debug)]
pub(crate) struct Installations {
    /// Installations, with spaces or commas between
    #[arg(short, long, required = true, value_name = "ID", num_args = 1.., value_delimiter = ',', value_parser = super::who::installation)]
    pub(crate) installation_ids: Vec<folkmoot_wire::InstallationKey>,
}

impl Installations {
    /// As text.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.installation_ids
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

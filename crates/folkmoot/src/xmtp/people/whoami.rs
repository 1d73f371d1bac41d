//! `folkmoot whoami`.

use clap::Args;

use super::super::{
    output::Output,
    run::{AsClient, Me},
    value::object,
};

/// The arguments of `whoami`.
#[derive(Args, Debug)]
pub(crate) struct WhoAmI {}

impl AsClient for WhoAmI {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        out.result(object! {
            "revoked" => me.client.is_revoked().then_some(true),
            "address" => me.client.identifier().to_string(),
            "inboxId" => me.client.inbox_id().to_string(),
            "installationId" => me.client.installation_key().to_string(),
            "network" => me.client.network().address(),
            "database" => me.settings.database.display().to_string(),
        })?;
        Ok(())
    }
}

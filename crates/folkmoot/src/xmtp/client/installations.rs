//! The installations of our inbox.

use clap::Args;
use folkmoot_client::{ConversationState, ListOptions, Lookup};

use super::{
    super::{
        ask::{of_inbox, revoking},
        confirm::Confirmation,
        output::Output,
        run::{AsClient, Me},
        value::{Value, object},
    },
    Installations,
};

/// The arguments of `key-package-status`.
#[derive(Args, Debug)]
pub(crate) struct KeyPackageStatus {
    #[command(flatten)]
    which: Installations,
}

impl AsClient for KeyPackageStatus {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let ids = &self.which.installation_ids;
        let statuses = me.client.key_package_statuses(ids).await?;
        let statuses = statuses.into_iter().map(|status| {
            let found = match status.package {
                Ok(usable) => object! {
                    "lifetime" => object! {
                        "notBefore" => Value::wide(usable.not_before),
                        "notAfter" => Value::wide(usable.not_after),
                    },
                },
                Err(cause) => object! { "validationError" => cause.to_string() },
            };
            (status.installation.to_string().into(), found)
        });
        out.result(object! {
            "installationIds" => self.which.texts(),
            "statuses" => Value::Object(statuses.collect()),
        })?;
        Ok(())
    }
}

/// The arguments of `relink`.
#[derive(Args, Debug)]
pub(crate) struct Relink {
    #[command(flatten)]
    confirmation: Confirmation,
}

impl AsClient for Relink {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let signer = me.settings.signer()?;
        self.confirmation.ask(
            "A new installation takes this device's place. What was said stays readable here. Each \
             group can be written to again once somebody else in it has said something; DMs can at \
             once.",
        )?;
        let old = me.client.installation_key();
        let new = me.client.relink(signer).await?;
        let list = new.conversations().list(&ListOptions::default()).await?;
        let waiting = list
            .iter()
            .filter(|one| one.state() == ConversationState::AwaitsAdding);
        out.result(object! {
            "success" => true,
            "installationId" => new.installation_key().to_string(),
            "revokedInstallationId" => old.to_string(),
            "inboxId" => new.inbox_id().to_string(),
            "waitingConversations" => waiting.count(),
            "message" => "This device is linked again. Conversations wait for the next message of \
                          somebody else; DMs can be written to at once.",
        })?;
        new.close().await;
        Ok(())
    }
}

/// The arguments of `revoke-installations`.
#[derive(Args, Debug)]
pub(crate) struct RevokeInstallations {
    #[command(flatten)]
    which: Installations,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl AsClient for RevokeInstallations {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let signer = me.settings.signer()?;
        let state = me.client.inbox_state(Lookup::Network).await?;
        let ids = of_inbox(&state, &self.which.installation_ids)?;
        let count = ids.len();
        self.confirmation.ask(&revoking(count))?;
        let revoked = Value::list(ids.iter().map(ToString::to_string));
        me.client.revoke_installations(ids, signer).await?;
        out.result(object! {
            "success" => true,
            "revokedInstallations" => revoked,
            "count" => count,
            "inboxId" => me.client.inbox_id().to_string(),
            "message" => "Installations successfully revoked",
        })?;
        Ok(())
    }
}

/// The arguments of `revoke-all-other-installations`.
#[derive(Args, Debug)]
pub(crate) struct RevokeAllOtherInstallations {
    #[command(flatten)]
    confirmation: Confirmation,
}

impl AsClient for RevokeAllOtherInstallations {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let signer = me.settings.signer()?;
        self.confirmation.ask(
            "All your other installations neither send nor receive from now on. This one alone \
             remains.",
        )?;
        me.client.revoke_all_other_installations(signer).await?;
        out.result(object! {
            "success" => true,
            "currentInstallationId" => me.client.installation_key().to_string(),
            "inboxId" => me.client.inbox_id().to_string(),
            "message" =>
                "All other installations have been revoked. Only this installation remains authorized.",
        })?;
        Ok(())
    }
}

//! The accounts of our inbox.

use clap::Args;
use folkmoot_client::identity::Reassign;

use super::super::{
    confirm::Confirmation,
    output::Output,
    run::{AsClient, Me},
    settings::{self, SecretText},
    value::{Value, object},
    who::IdentifierKind,
};

/// An account, by its text and kind.
#[derive(Args, Clone, Debug)]
pub(crate) struct Account {
    /// The account: an address, or the name of a contact
    #[arg(short, long, value_name = "IDENTIFIER")]
    identifier: String,
    /// What kind of account it is
    #[arg(short, long, value_name = "KIND", default_value_t)]
    kind: IdentifierKind,
}

/// The arguments of `inbox-id`.
#[derive(Args, Debug)]
pub(crate) struct InboxIdOf {
    #[command(flatten)]
    account: Account,
}

impl AsClient for InboxIdOf {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let identifier = self.account.kind.identifier(&self.account.identifier)?;
        let inbox = me.client.inbox_id_of(&identifier).await?;
        out.result(object! {
            "identifier" => self.account.identifier.as_str(),
            "kind" => self.account.kind.to_string(),
            "inboxId" => inbox.map_or(Value::Null, |inbox| inbox.to_string().into()),
            "found" => inbox.is_some(),
        })?;
        Ok(())
    }
}

/// The arguments of `add-account`.
#[derive(Args, Debug)]
pub(crate) struct AddAccount {
    /// Private key of the account that is to be linked
    #[arg(long, value_name = "KEY")]
    new_wallet_key: SecretText,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl AsClient for AddAccount {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let wallet = settings::wallet_key("--new-wallet-key", self.new_wallet_key.reveal())?;
        self.confirmation.ask(
            "Whoever has this account can then read and write as you. If it belongs to another \
             inbox, it leaves that one.",
        )?;
        me.client.add_account(&wallet, Reassign::Allow).await?;
        out.result(object! {
            "success" => true,
            "newAddress" => wallet.identifier().to_string(),
            "inboxId" => me.client.inbox_id().to_string(),
            "message" => "Account successfully added to inbox",
        })?;
        Ok(())
    }
}

/// The arguments of `remove-account`.
#[derive(Args, Debug)]
pub(crate) struct RemoveAccount {
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl AsClient for RemoveAccount {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let identifier = self.account.kind.identifier(&self.account.identifier)?;
        let signer = me.settings.signer()?;
        self.confirmation.ask(
            "This cannot be undone. The account, and every installation that it added, loses this \
             inbox with all its conversations.",
        )?;
        me.client.remove_account(&identifier, signer).await?;
        out.result(object! {
            "success" => true,
            "removedIdentifier" => self.account.identifier.as_str(),
            "kind" => self.account.kind.to_string(),
            "inboxId" => me.client.inbox_id().to_string(),
            "message" => "Account successfully removed from inbox",
        })?;
        Ok(())
    }
}

/// The arguments of `change-recovery-identifier`.
#[derive(Args, Debug)]
pub(crate) struct ChangeRecoveryIdentifier {
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl AsClient for ChangeRecoveryIdentifier {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let identifier = self.account.kind.identifier(&self.account.identifier)?;
        let signer = me.settings.signer()?;
        self.confirmation.ask(
            "From now on only the new account can revoke installations and accounts. Without it \
             and without an installation this inbox is lost for ever.",
        )?;
        me.client.change_recovery(identifier, signer).await?;
        out.result(object! {
            "success" => true,
            "newRecoveryIdentifier" => self.account.identifier.as_str(),
            "kind" => self.account.kind.to_string(),
            "inboxId" => me.client.inbox_id().to_string(),
            "message" => "Recovery identifier successfully changed",
        })?;
        Ok(())
    }
}

//! The accounts of our inbox.

use anyhow::Context as _;
use clap::Args;
use folkmoot_client::{Lookup, Signer as _, identity::Reassign};

use super::super::{
    confirm::Confirmation,
    output::Output,
    run::{AsClient, Me},
    settings::{self, SecretText},
    value::{Value, object},
    wallet::Wallet,
    who::IdentifierKind,
};
use crate::failure::{Exit, Failure};

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
    #[arg(long, value_name = "KEY", required_unless_present = "new_wallet")]
    new_wallet_key: Option<SecretText>,
    /// The account that is to be linked, in a form of --wallet
    #[arg(long, value_name = "ACCOUNT")]
    new_wallet: Option<String>,
    /// Command that signs for it, as --sign-with
    #[arg(long, value_name = "COMMAND", requires = "new_wallet")]
    sign_new_with: Option<String>,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl AsClient for AddAccount {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let key = self.new_wallet_key.as_ref().map(SecretText::reveal);
        let key = key.map(|text| settings::wallet_key("--new-wallet-key", text));
        let (account, command) = (self.new_wallet.as_deref(), self.sign_new_with.as_deref());
        let wallet = Wallet::new(account, command, key.transpose()?)?;
        let wallet = wallet.context("an account is named")?;
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
        let state = me.client.inbox_state(Lookup::Network).await?;
        let installations = state.installations_added_by(&identifier);
        let own = installations.contains(&me.client.installation_key());
        let ours = match own {
            true => " THIS DEVICE IS ONE OF THEM: `folkmoot xmtp client relink` brings it back.",
            false => "",
        };
        self.confirmation.ask(&format!(
            "This cannot be undone. The account loses this inbox with all its conversations, and \
             so does every installation that it added: {}.{ours}",
            installations.len(),
        ))?;
        me.client.remove_account(&identifier, signer).await?;
        if !state.identifiers().contains(&identifier) {
            let inbox = state.inbox_id;
            return Err(Failure::new(
                Exit::NotFound,
                format!("inbox {inbox} has no account {identifier}, or not any more"),
                format!("`folkmoot xmtp inbox-states {inbox}` shows which it has"),
            )
            .into());
        }
        out.result(object! {
            "success" => true,
            "removedIdentifier" => self.account.identifier.as_str(),
            "kind" => self.account.kind.to_string(),
            "inboxId" => me.client.inbox_id().to_string(),
            "removedInstallations" =>
                Value::list(installations.iter().map(ToString::to_string)),
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

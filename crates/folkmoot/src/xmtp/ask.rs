//! The commands that ask the network without being anybody: who can be reached, who belongs to
//! whom; and taking rights away from installations when every device is lost.

use clap::Args;
use folkmoot_client::identity::{self, InboxState};
use folkmoot_identity::Identifier;
use folkmoot_wire::{InboxId, InstallationKey};

use super::{
    confirm::Confirmation,
    output::Output,
    run::{OnNetwork, Reached},
    settings::{self, SecretText},
    shapes,
    value::{Value, object},
    who::{self, IdentifierKind},
};
use crate::failure::{Exit, Failure};

/// The arguments of `can-message`.
#[derive(Args, Debug)]
pub(crate) struct CanMessage {
    /// Accounts: addresses, or names of contacts
    #[arg(required = true, value_name = "ADDRESS")]
    identifiers: Vec<String>,
    /// What kind of accounts they are
    #[arg(long, value_name = "KIND", default_value_t)]
    identifier_kind: IdentifierKind,
}

impl OnNetwork for CanMessage {
    async fn run(self, network: &Reached, out: &mut Output<'_>) -> anyhow::Result<()> {
        let identifiers = self
            .identifiers
            .iter()
            .map(|text| self.identifier_kind.identifier(text))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let reachable = network.directory()?.can_message(&identifiers).await?;
        let rows = self.identifiers.iter().zip(reachable);
        out.result(Value::list(rows.map(|(identifier, reachable)| {
            object! { "identifier" => identifier.as_str(), "reachable" => reachable }
        })))?;
        Ok(())
    }
}

/// The arguments of `address-authorized`.
#[derive(Args, Debug)]
pub(crate) struct AddressAuthorized {
    /// The inbox
    #[arg(value_parser = who::inbox_id)]
    inbox_id: InboxId,
    /// The address, or the name of a contact
    address: String,
}

impl OnNetwork for AddressAuthorized {
    async fn run(self, network: &Reached, out: &mut Output<'_>) -> anyhow::Result<()> {
        let account = who::account(&self.address)?;
        let state = state(network, self.inbox_id).await?;
        out.result(object! {
            "inboxId" => self.inbox_id.to_string(),
            "address" => self.address.as_str(),
            "isAuthorized" => state.identifiers().contains(&account),
        })?;
        Ok(())
    }
}

/// The arguments of `installation-authorized`.
#[derive(Args, Debug)]
pub(crate) struct InstallationAuthorized {
    /// The inbox
    #[arg(value_parser = who::inbox_id)]
    inbox_id: InboxId,
    /// The installation: 64 hex digits
    #[arg(value_parser = who::installation)]
    installation_id: InstallationKey,
}

impl OnNetwork for InstallationAuthorized {
    async fn run(self, network: &Reached, out: &mut Output<'_>) -> anyhow::Result<()> {
        let state = state(network, self.inbox_id).await?;
        out.result(object! {
            "inboxId" => self.inbox_id.to_string(),
            "installationId" => self.installation_id.to_string(),
            "isAuthorized" => state.installations().contains(&self.installation_id),
        })?;
        Ok(())
    }
}

/// The arguments of `inbox-states`.
#[derive(Args, Debug)]
pub(crate) struct InboxStates {
    /// The inboxes
    #[arg(required = true, value_name = "INBOX_ID", value_parser = who::inbox_id)]
    inbox_ids: Vec<InboxId>,
}

impl OnNetwork for InboxStates {
    async fn run(self, network: &Reached, out: &mut Output<'_>) -> anyhow::Result<()> {
        let found = network.directory()?.refresh(&self.inbox_ids).await?;
        let states = known(&self.inbox_ids, found)?;
        if out.is_json() {
            out.result(Value::list(states.iter().map(shapes::inbox_state)))?;
            return Ok(());
        }
        for (number, state) in states.iter().enumerate() {
            if number > 0 {
                out.text("")?;
            }
            out.text(&for_people(state))?;
        }
        Ok(())
    }
}

/// The arguments of `revoke-installations`.
#[derive(Args, Debug)]
pub(crate) struct RevokeInstallations {
    /// The inbox
    #[arg(value_parser = who::inbox_id)]
    inbox_id: InboxId,
    /// Private key of the inbox's recovery account [XMTP_WALLET_KEY]
    #[arg(long, value_name = "KEY")]
    wallet_key: Option<SecretText>,
    /// Installations, with spaces or commas between
    #[arg(short, long, required = true, value_name = "ID", num_args = 1.., value_delimiter = ',', value_parser = who::installation)]
    installation_ids: Vec<InstallationKey>,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl OnNetwork for RevokeInstallations {
    async fn run(self, network: &Reached, out: &mut Output<'_>) -> anyhow::Result<()> {
        let variable = network.settings.variables.get("XMTP_WALLET_KEY");
        let key = self
            .wallet_key
            .as_ref()
            .map(SecretText::reveal)
            .or(variable)
            .ok_or_else(|| {
                Failure::new(
                    Exit::Usage,
                    "nobody is there to sign",
                    "--wallet-key or XMTP_WALLET_KEY: the key of the recovery account",
                )
            })?;
        let wallet = settings::wallet_key("the wallet key", key)?;
        let ids = of_inbox(
            &state(network, self.inbox_id).await?,
            &self.installation_ids,
        )?;
        let count = ids.len();
        self.confirmation.ask(&revoking(count))?;
        identity::revoke_installations(
            std::sync::Arc::clone(&network.network),
            self.inbox_id,
            ids.clone(),
            &wallet,
        )
        .await?;
        out.result(object! {
            "success" => true,
            "inboxId" => self.inbox_id.to_string(),
            "revokedInstallations" => Value::list(ids.iter().map(ToString::to_string)),
            "count" => count,
            "message" => "Installations successfully revoked",
        })?;
        Ok(())
    }
}

/// Those of these installations that are the inbox's: it must have one of them at least.
pub(crate) fn of_inbox(
    state: &InboxState,
    installations: &[InstallationKey],
) -> anyhow::Result<Vec<InstallationKey>> {
    let there = state.installations();
    let ids = installations.iter().copied();
    let ids: Vec<_> = ids.filter(|id| there.contains(id)).collect();
    if ids.is_empty() {
        let inbox = state.inbox_id;
        return Err(Failure::new(
            Exit::NotFound,
            format!("inbox {inbox} has no such installation, or not any more"),
            format!("`folkmoot xmtp inbox-states {inbox}` shows which it has"),
        )
        .into());
    }
    Ok(ids)
}

/// What is asked before installations lose their rights.
pub(crate) fn revoking(count: usize) -> String {
    format!(
        "Revoking {count} installation(s) cannot be undone. From now on they neither send nor \
         receive."
    )
}

async fn state(network: &Reached, inbox: InboxId) -> anyhow::Result<InboxState> {
    let found = network.directory()?.refresh(&[inbox]).await?;
    Ok(known(&[inbox], found)?.remove(0))
}

/// The states of inboxes, all of which must exist.
pub(crate) fn known(
    inboxes: &[InboxId],
    states: Vec<Option<InboxState>>,
) -> anyhow::Result<Vec<InboxState>> {
    let pairs = states.into_iter().zip(inboxes);
    pairs
        .map(|(state, inbox)| {
            Ok(state.ok_or_else(|| {
                Failure::new(
                    Exit::NotFound,
                    format!("inbox {inbox} does not exist on this network"),
                    "another id, or --env or --node with another network",
                )
            })?)
        })
        .collect()
}

fn for_people(state: &InboxState) -> String {
    let kind = |identifier: &Identifier| match identifier {
        Identifier::Ethereum(_) => "Ethereum",
        Identifier::Passkey(_) => "Passkey",
    };
    let named = |identifier: &Identifier| format!("{identifier} ({})", kind(identifier));
    let installations = state.installations();
    let (updates, most) = state.update_budget();
    let mut lines = vec![
        format!("Inbox ID: {}", state.inbox_id),
        String::new(),
        format!(
            "Recovery Identifier: {}",
            named(state.recovery_identifier())
        ),
        format!("Updates: {updates} of {most}"),
        String::new(),
        format!("Installations ({})", installations.len()),
    ];
    if !installations.is_empty() {
        lines.push(format!("{:<64}  Created", "ID"));
    }
    for key in installations {
        let since = state
            .installation(key)
            .and_then(|one| one.client_timestamp_ns)
            .map_or_else(|| "unknown".to_owned(), shapes::iso);
        lines.push(format!("{key}  {since}"));
    }
    let identifiers = state.identifiers();
    lines.push(String::new());
    lines.push(format!("Identifiers ({})", identifiers.len()));
    lines.extend(identifiers.iter().map(named));
    lines.join("\n")
}

//! `folkmoot doctor --client`: what may be wrong with keys, network, database and conversations.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

use folkmoot_client::{
    Client, ConversationState, ListOptions, Lookup, Signer as _, UsableKeyPackage, db::DbError,
};

use super::{
    run,
    settings::{ClientArgs, ClientSettings},
};
use crate::{
    doctor::{Finding, State},
    failure::Failure,
};

/// Looks at everything that a client needs. Nothing is registered or sent.
pub(crate) async fn examine(common: &ClientArgs) -> Vec<Finding> {
    let settings = match common.settle() {
        Ok(settings) => settings,
        Err(error) => return vec![Finding::failed("settings", &error, "look at the variables")],
    };
    let mut findings = vec![keys(&settings)];
    findings.push(network(&settings).await);
    let is_reachable = findings
        .iter()
        .all(|finding| finding.state != State::Failed);
    let (finding, client) = database(&settings).await;
    findings.push(finding);
    let Some(client) = client else {
        return findings;
    };
    if let Err(error) = client.database().check().await {
        let error = folkmoot_client::Error::from(error).into();
        findings.push(failed("database", error, "restore a backup"));
    }
    if is_reachable {
        findings.extend(identity(&client).await);
        findings.push(key_package(&client).await);
    }
    findings.extend(conversations(&client).await);
    client.close().await;
    findings
}

/// The file with the keys.
fn keys(settings: &ClientSettings) -> Finding {
    const CHECK: &str = "keys";
    let place = match &settings.network.variables.path {
        Some(path) => {
            if let Some(mode) = open_to_others(path) {
                let text = format!("{} has mode {mode:o}: others may read it", path.display());
                let remedy = format!("chmod 600 {}", path.display());
                return Finding::bad(CHECK, State::Warning, text, remedy);
            }
            path.display().to_string()
        }
        None => "variables of the surroundings".to_owned(),
    };
    match (&settings.wallet, &settings.database_key) {
        (Some(wallet), Some(_)) => Finding::ok(CHECK, format!("{place}: {}", wallet.identifier())),
        (None, Some(_)) => Finding::bad(
            CHECK,
            State::Warning,
            format!("{place}: no wallet key, so nobody can sign"),
            "XMTP_WALLET_KEY, if accounts or installations are to be changed",
        ),
        (_, None) => Finding::bad(
            CHECK,
            State::Failed,
            format!("{place}: no key for the database"),
            "`folkmoot xmtp init` makes one; or set XMTP_DB_ENCRYPTION_KEY",
        ),
    }
}

/// The mode of a file that others may read.
fn open_to_others(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

async fn network(settings: &ClientSettings) -> Finding {
    const CHECK: &str = "network";
    let options = settings.network.options();
    let began = Instant::now();
    let answered = async {
        let network = options.network()?;
        network.inbox_ids(&[]).await?;
        // An empty question may be answered without asking.
        let nobody = folkmoot_identity::Identifier::ethereum(NOBODY)?;
        network.inbox_ids(&[nobody]).await?;
        anyhow::Ok(network.address().to_owned())
    };
    match answered.await {
        Ok(address) => {
            let ms = began.elapsed().as_millis();
            Finding::ok(CHECK, format!("{address} answers within {ms} ms"))
        }
        Err(error) => failed(CHECK, error, "--env or --node with another network"),
    }
}

/// An address that nobody has a key for.
const NOBODY: &str = "0x0000000000000000000000000000000000000000";

fn failed(check: &'static str, error: anyhow::Error, otherwise: &str) -> Finding {
    Finding::failed(check, &run::explained(error), otherwise)
}

async fn database(settings: &ClientSettings) -> (Finding, Option<Client>) {
    const CHECK: &str = "database";
    let path = settings.database.display();
    if !settings.database.exists() {
        let text = format!("{path} is not there yet; the first command makes it");
        return (Finding::ok(CHECK, text), None);
    }
    let mut settings = settings.clone();
    // Without a signer nothing is registered.
    settings.wallet = None;
    match settings.open(false).await {
        Ok(client) => match open_to_others(&settings.database) {
            None => (Finding::ok(CHECK, format!("{path} opens")), Some(client)),
            Some(mode) => {
                let text = format!("{path} has mode {mode:o}");
                let remedy = format!("chmod 600 {path}");
                let finding = Finding::bad(CHECK, State::Warning, text, remedy);
                (finding, Some(client))
            }
        },
        Err(error) => {
            let in_use = error
                .downcast_ref::<folkmoot_client::Error>()
                .is_some_and(|error| {
                    matches!(
                        error,
                        folkmoot_client::Error::Database(DbError::InUse { .. })
                    )
                });
            let finding = match in_use {
                true => Finding::ok(CHECK, format!("{path} is in use by another command")),
                false => failed(CHECK, error, "the right key, or another --db-path"),
            };
            (finding, None)
        }
    }
}

async fn identity(client: &Client) -> Vec<Finding> {
    const CHECK: &str = "identity";
    let state = match client.inbox_state(Lookup::Network).await {
        Ok(state) => state,
        Err(error) => return vec![failed(CHECK, error.into(), "look at the network")],
    };
    let mut findings = Vec::new();
    if state.installations().contains(&client.installation_key()) {
        findings.push(Finding::ok(CHECK, format!("inbox {}", state.inbox_id)));
    } else {
        findings.push(Finding::bad(
            CHECK,
            State::Failed,
            "this installation was revoked: nobody hears it any more",
            "`folkmoot xmtp client relink`: a new installation in its place, with this history",
        ));
    }
    for (what, (used, most)) in [
        ("installations", state.installation_budget()),
        ("updates", state.update_budget()),
    ] {
        let text = format!("{used} of {most} {what}");
        findings.push(if used + most / 10 < most {
            Finding::ok("budget", text)
        } else {
            let remedy = match what {
                "installations" => "`folkmoot xmtp client revoke-installations`",
                _ => "change the inbox no more than needed: each change counts, for ever",
            };
            Finding::bad("budget", State::Warning, text, remedy)
        });
    }
    findings
}

async fn key_package(client: &Client) -> Finding {
    const CHECK: &str = "key package";
    let key = client.installation_key();
    let status = match client.key_package_statuses(&[key]).await {
        Ok(mut statuses) => statuses.pop().map(|status| status.package),
        Err(error) => return failed(CHECK, error.into(), "look at the network"),
    };
    match status {
        Some(Ok(UsableKeyPackage { not_after, .. })) => {
            let until = super::shapes::iso(not_after.saturating_mul(1_000_000_000));
            Finding::ok(CHECK, format!("others can add us until {until}"))
        }
        Some(Err(cause)) => Finding::bad(
            CHECK,
            State::Failed,
            format!("others cannot add us: {cause}"),
            "`folkmoot tail` for a minute: a client that runs renews it",
        ),
        None => Finding::failed(
            CHECK,
            &Failure::new(
                crate::failure::Exit::Failed,
                "the network says nothing",
                "again",
            )
            .into(),
            "",
        ),
    }
}

async fn conversations(client: &Client) -> Vec<Finding> {
    const CHECK: &str = "conversations";
    let list = client.conversations().list(&ListOptions::default()).await;
    let list = match list {
        Ok(list) => list,
        Err(error) => return vec![failed(CHECK, error.into(), "restore a backup")],
    };
    let count = list.len();
    let mut findings = Vec::new();
    for conversation in list {
        let state = match conversation.state() {
            ConversationState::Active | ConversationState::Inactive => continue,
            ConversationState::Paused(_) | ConversationState::AwaitsAdding => State::Warning,
            _ => State::Failed,
        };
        let id = conversation.id();
        let trouble = conversation.trouble().unwrap_or_default();
        let remedy = match conversation.state() {
            ConversationState::NeedsRelink(_) | ConversationState::Forked(_) => {
                format!("`folkmoot group explain {id}`; `folkmoot xmtp client relink`")
            }
            _ => format!("`folkmoot group explain {id}`"),
        };
        findings.push(Finding::bad(
            CHECK,
            state,
            format!("{id}: {trouble}"),
            remedy,
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{count}, all in order")));
    }
    findings
}

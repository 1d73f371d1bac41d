//! `folkmoot dev accounts`: ready-made people.
//!
//! Their keys follow from a fixed text and a number, so everybody has the same ones, on every
//! network: they are worth nothing, and that is what makes them handy.

use std::{
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use clap::Args;
use folkmoot_identity::{UpdateBuilder, WalletSecret, derive_inbox_id};
use folkmoot_wire::proto::xmtp::identity::{
    api::v1::{
        GetInboxIdsRequest, PublishIdentityUpdateRequest, get_inbox_ids_request,
        identity_api_client::IdentityApiClient,
    },
    associations::IdentifierKind,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use super::Door;
use crate::failure::{Exit, Failure};

/// What the keys are made from, followed by a number in decimal, from 0.
const SEED: &str = "folkmoot development account ";
/// Most accounts at a time.
const MOST: u32 = 10_000;

/// Print ready-made people who are registered on a running network
///
/// Their keys are the same on every network, and known to everybody: never use them for more
/// than a test. An SDK that signs with such a key goes on as that person.
#[derive(Debug, Args)]
pub struct AccountsCommand {
    /// How many
    #[arg(value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    count: u32,
    /// Print a JSON array of objects with `privateKey`, `address` and `inboxId`
    #[arg(long)]
    json: bool,
    /// The network, if it is not the one on the usual port
    #[arg(long, value_name = "URL", env = "FOLKMOOT_V3_URL")]
    node: Option<String>,
}

/// A person of a development network.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Account {
    private_key: String,
    address: String,
    inbox_id: String,
}

impl AccountsCommand {
    /// Registers the people who are not there yet, and writes all to `out`.
    ///
    /// # Errors
    ///
    /// When the network cannot be reached, or refuses.
    pub async fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let url = self
            .node
            .unwrap_or_else(|| format!("http://localhost:{}", Door::V3.port()));
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|_| {
            Failure::new(
                Exit::Usage,
                format!("{url:?} is not a URL"),
                "--node http://localhost:5556",
            )
        })?;
        let channel = endpoint
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(20))
            .connect()
            .await
            .map_err(|cause| {
                Failure::new(
                    Exit::Network,
                    format!("no network answers at {url}"),
                    "start one with `folkmoot dev`, or name yours with --node",
                )
                .because(cause)
            })?;
        let mut network = IdentityApiClient::new(channel);
        let mut accounts = Vec::new();
        for number in 0..self.count {
            accounts.push(register(&mut network, number).await?);
        }
        if self.json {
            let list: Vec<_> = accounts
                .iter()
                .map(|account| {
                    json!({
                        "privateKey": account.private_key,
                        "address": account.address,
                        "inboxId": account.inbox_id,
                    })
                })
                .collect();
            writeln!(out, "{:#}", serde_json::Value::Array(list))?;
            return Ok(());
        }
        for (number, account) in accounts.iter().enumerate() {
            writeln!(out, "account {number}")?;
            writeln!(out, "  private key  {}", account.private_key)?;
            writeln!(out, "  address      {}", account.address)?;
            writeln!(out, "  inbox id     {}", account.inbox_id)?;
        }
        Ok(())
    }
}

async fn register(
    network: &mut IdentityApiClient<Channel>,
    number: u32,
) -> anyhow::Result<Account> {
    let wallet = wallet(number);
    let address = wallet.address();
    let private_key = format!("0x{}", hex::encode(wallet.to_bytes()));
    let question = GetInboxIdsRequest {
        requests: vec![get_inbox_ids_request::Request {
            identifier: address.clone(),
            identifier_kind: IdentifierKind::Ethereum.into(),
        }],
    };
    let answer = network.get_inbox_ids(question).await.map_err(refused)?;
    let known = answer
        .into_inner()
        .responses
        .into_iter()
        .find_map(|response| response.inbox_id);
    if let Some(inbox_id) = known {
        return Ok(Account {
            private_key,
            address,
            inbox_id,
        });
    }
    let identifier = wallet.identifier();
    let inbox = derive_inbox_id(&identifier, 0).expect("a wallet's address is one");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let now_ns = u64::try_from(now.as_nanos()).context("the clock is after 2500")?;
    let update = UpdateBuilder::new(inbox, now_ns)
        .create_inbox(identifier, 0)
        .sign(&wallet)
        .finish()
        .context("the wallet signed")?;
    let request = PublishIdentityUpdateRequest {
        identity_update: update.encode().into(),
    };
    network
        .publish_identity_update(request)
        .await
        .map_err(refused)?;
    Ok(Account {
        private_key,
        address,
        inbox_id: inbox.to_string(),
    })
}

fn wallet(number: u32) -> WalletSecret {
    let secret = Sha256::digest(format!("{SEED}{number}"));
    WalletSecret::from_bytes(&secret.into()).expect("all but one in 2^127 of digests are keys")
}

fn refused(status: Status) -> Failure {
    let text = format!("the network refused: {}", status.message());
    Failure::new(
        Exit::Refused,
        text,
        "look at its page or its log for the reason",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_the_same_everywhere() {
        assert_eq!(wallet(0).address(), wallet(0).address());
        assert_ne!(wallet(0).address(), wallet(1).address());
        insta::assert_snapshot!(wallet(0).address());
    }
}

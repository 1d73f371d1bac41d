//! Says something to somebody on a network.
//!
//! ```sh
//! folkmoot dev &                       # a network; `folkmoot dev accounts 1` gives it a person
//! cargo run --example send -- http://127.0.0.1:5556 0xADDRESS "See you at noon"
//! ```

use std::env;

use anyhow::Context as _;
use folkmoot_client::{Client, Identifier, WalletSecret, db::DatabaseKey};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().context(what);
    let node = next("the URL of a node comes first")?;
    let address = next("then an address")?;
    let text = next("then what to say")?;

    // Both keys are what makes you you: keep them, and the next run is the same person.
    let wallet = WalletSecret::from_bytes(&rand::random())?;
    let database = env::temp_dir().join(format!("{}.db", wallet.address()));
    let client = Client::builder()
        .node(node)
        .database(database, DatabaseKey::Raw(rand::random()))
        .create(&wallet)
        .await?;
    let inbox = client.inbox_id();
    eprintln!(
        "sent {} from inbox {inbox}",
        say(&client, &address, text).await?
    );
    client.close().await;
    Ok(())
}

/// Sends `text` to whoever has `address`, and says under which id.
pub(crate) async fn say(client: &Client, address: &str, text: String) -> anyhow::Result<String> {
    let peer = client
        .inbox_id_of(&Identifier::ethereum(address)?)
        .await?
        .with_context(|| format!("{address} is not on this network"))?;
    let dm = client.conversations().new_dm(peer).await?;
    Ok(dm.send_text(text).await?.to_string())
}

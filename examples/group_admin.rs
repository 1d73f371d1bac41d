//! Makes a group and looks after it: members, roles, rules, name.
//!
//! ```sh
//! folkmoot dev &
//! folkmoot dev accounts 2               # two people: take their addresses
//! cargo run --example group_admin -- http://127.0.0.1:5556 0xONE 0xTWO
//! ```

use std::env;

use anyhow::Context as _;
use folkmoot_client::{
    AdminChange, Attribute, Client, Conversation, GroupOptions, Identifier, InboxId, WalletSecret,
    permissions::{PolicyKind, Who},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let node = arguments.next().context("the URL of a node comes first")?;
    let addresses = [
        arguments.next().context("then an address")?,
        arguments.next().context("then another address")?,
    ];
    let wallet = WalletSecret::from_bytes(&rand::random())?;
    let client = Client::builder().node(node).create(&wallet).await?;
    let accounts = addresses.map(|address| Identifier::ethereum(&address));
    let [one, two] = accounts;
    let [one, two] = [
        client.inbox_id_of(&one?).await?,
        client.inbox_id_of(&two?).await?,
    ];
    let (one, two) = one.zip(two).context("one of them is not on this network")?;
    let group = administer(&client, one, two).await?;
    for member in group.members().await? {
        eprintln!("{:?}  {}", member.role, member.inbox_id);
    }
    client.close().await;
    Ok(())
}

/// Founds a group with `deputy` and `guest`; at the end the deputy is admin and the guest is gone.
pub(crate) async fn administer(
    client: &Client,
    deputy: InboxId,
    guest: InboxId,
) -> anyhow::Result<Conversation> {
    let options = GroupOptions {
        name: Some("Picnic".to_owned()),
        description: Some("By the lake".to_owned()),
        ..GroupOptions::default()
    };
    let mut group = client.conversations().new_group([deputy], options).await?;
    // Every change is a commit that the network orders: when it returns, all members see it.
    group.add_members([guest]).await?;
    group.set_name("Picnic on Sunday").await?;
    group.change_admins(AdminChange::AddAdmin, deputy).await?;

    // From now on admins decide who comes and what the group is called.
    group
        .set_permission(PolicyKind::AddMember, Who::Admins)
        .await?;
    let naming = PolicyKind::UpdateMetadata(Attribute::GroupName);
    group.set_permission(naming, Who::Admins).await?;
    group.send_text("The lake is closed: to the hill!").await?;
    group.remove_members([guest]).await?;
    Ok(group)
}

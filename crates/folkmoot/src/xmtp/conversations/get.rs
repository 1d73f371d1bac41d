//! `folkmoot xmtp conversations get`, `get-dm` and `get-message`.

use clap::Args;
use folkmoot_client::Conversation;
use folkmoot_conversation::context::ConversationKind;
use folkmoot_wire::MessageId;

use super::super::{
    follow,
    output::Output,
    run::{AsClient, Me},
    shapes::{self, MemberShape, Shape},
    value::{Value, object},
    which::Which,
    who,
};
use crate::failure::{Exit, Failure};

/// The arguments of `get`.
#[derive(Args, Debug)]
pub(crate) struct Get {
    #[command(flatten)]
    which: Which,
}

impl AsClient for Get {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let members = conversation.members().await?;
        let found = object! {
            "id" => conversation.id().to_string(),
            "type" => shapes::kind(conversation.kind()),
            "createdAt" => shapes::iso(conversation.created_ns()),
            "createdAtNs" => Value::wide(conversation.created_ns()),
            "consentState" => shapes::consent(conversation.consent().await?),
            "isActive" => conversation.is_active(),
            "addedByInboxId" => conversation.added_by().to_string(),
            "creatorInboxId" => conversation.creator().to_string(),
            "memberCount" => members.len(),
            "members" => shapes::members(&members, MemberShape::Full),
        };
        let found = match conversation.kind() {
            ConversationKind::Dm => found.with("peerInboxId", shapes::peer(&conversation)),
            _ => {
                let ids = |inboxes: Vec<folkmoot_wire::InboxId>| {
                    Value::list(inboxes.iter().map(ToString::to_string))
                };
                found
                    .with("name", conversation.name())
                    .with("description", conversation.description())
                    .with("imageUrl", conversation.image_url())
                    .with("admins", ids(conversation.admins()))
                    .with("superAdmins", ids(conversation.super_admins()))
                    .with(
                        "permissions",
                        shapes::permissions(&conversation.permissions()?),
                    )
            }
        };
        // Ours: why it does not go on, when it does not.
        out.result(found.with("trouble", conversation.trouble()))?;
        Ok(())
    }
}

/// The arguments of `get-dm`.
#[derive(Args, Debug)]
pub(crate) struct GetDm {
    /// Address, inbox id or contact
    address_or_inbox_id: String,
}

impl AsClient for GetDm {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let peer = who::inbox(&me.client, &self.address_or_inbox_id).await?;
        let dm = me.client.conversations().dm(peer).await?.ok_or_else(|| {
            Failure::new(
                Exit::NotFound,
                format!("no DM with {}", self.address_or_inbox_id),
                "`folkmoot xmtp conversations create-dm` makes one",
            )
        })?;
        let members = shapes::members(&dm.members().await?, MemberShape::Full);
        let found = described(&dm)
            .await?
            .with("addedByInboxId", dm.added_by().to_string())
            .with("creatorInboxId", dm.creator().to_string())
            .with("members", members);
        out.result(found)?;
        Ok(())
    }
}

/// What is shown of a DM, up to where commands differ.
pub(super) async fn described(dm: &Conversation) -> anyhow::Result<Value> {
    Ok(object! {
        "id" => dm.id().to_string(),
        "peerInboxId" => shapes::peer(dm),
        "createdAt" => shapes::iso(dm.created_ns()),
        "consentState" => shapes::consent(dm.consent().await?),
        "isActive" => dm.is_active(),
    })
}

/// The arguments of `get-message`.
#[derive(Args, Debug)]
pub(crate) struct GetMessage {
    /// The message
    #[arg(value_parser = who::message_id)]
    id: MessageId,
}

impl AsClient for GetMessage {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let message = follow::with_all(&me.client, &self.id).await?;
        out.result(shapes::message(&message, Shape::Alone))?;
        Ok(())
    }
}

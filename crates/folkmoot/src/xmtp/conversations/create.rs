//! `folkmoot xmtp conversations create-dm` and `create-group`.

use clap::{Args, ValueEnum};
use folkmoot_client::{ConversationError, Error, Generation, GroupOptions};
use folkmoot_conversation::permissions::PolicySet;

use super::{
    super::{
        output::Output,
        run::{AsClient, Me},
        shapes::{self, MemberShape},
        value::object,
        who::{self, IdentifierKind},
    },
    get,
};
use crate::failure::{Exit, Failure};

/// The arguments of `create-dm`.
#[derive(Args, Debug)]
pub(crate) struct CreateDm {
    /// The account: an address, or the name of a contact
    identifier: String,
    /// What kind of account it is
    #[arg(long, value_name = "KIND", default_value_t)]
    identifier_kind: IdentifierKind,
}

impl AsClient for CreateDm {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let peer = self.identifier_kind.identifier(&self.identifier)?;
        let peer = who::inboxes(&me.client, &[peer]).await?[0];
        let dm = me.client.conversations().new_dm(peer).await?;
        let members = shapes::members(&dm.members().await?, MemberShape::Short);
        let made = get::described(&dm)
            .await?
            .with("creatorInboxId", dm.creator().to_string())
            .with("members", members);
        out.result(made)?;
        Ok(())
    }
}

/// The arguments of `create-group`.
#[derive(Args, Debug)]
pub(crate) struct CreateGroup {
    /// Members: addresses, or names of contacts
    #[arg(required = true, value_name = "ADDRESS")]
    identifiers: Vec<String>,
    /// The group's name
    #[arg(long)]
    name: Option<String>,
    /// What it is about
    #[arg(long)]
    description: Option<String>,
    /// Where its picture is
    #[arg(long, value_name = "URL")]
    image_url: Option<String>,
    /// Who may do what
    #[arg(long, value_name = "PRESET", default_value = "all-members")]
    permissions: Permissions,
    /// Keep its settings in an AppData dictionary: for members with libxmtp 1.11 or newer only [needs XMTP_APP_DATA_GROUPS=true]
    #[arg(long)]
    dictionary: bool,
}

/// Who may do what in a new group.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Permissions {
    /// Everybody adds people and changes the name
    AllMembers,
    /// Admins do
    AdminOnly,
}

impl AsClient for CreateGroup {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let accounts = who::accounts(&self.identifiers)?;
        let members = who::inboxes(&me.client, &accounts).await?;
        let options = GroupOptions {
            name: self.name,
            description: self.description,
            image_url: self.image_url,
            permissions: Some(match self.permissions {
                Permissions::AllMembers => PolicySet::all_members(),
                Permissions::AdminOnly => PolicySet::admins_only(),
            }),
            generation: match self.dictionary {
                true => Generation::AppData,
                false => Generation::Extensions,
            },
            ..GroupOptions::default()
        };
        let group = me.client.conversations();
        let group = group.new_group(members.iter().copied(), options).await;
        let group = group.map_err(|cause| {
            let Error::Conversation(ConversationError::NoAppData(unable)) = &cause else {
                return anyhow::Error::from(cause);
            };
            // By the names that were given.
            let named = self.identifiers.iter().zip(&members);
            let named = named.filter(|(_, inbox)| unable.contains(inbox));
            let names: Vec<_> = named.map(|(name, _)| name.as_str()).collect();
            Failure::new(
                Exit::Refused,
                format!(
                    "older programs, which cannot be in such a group, use: {}",
                    names.join(", ")
                ),
                "leave them out, or make the group without --dictionary",
            )
            .into()
        })?;
        let members = group.members().await?;
        out.result(object! {
            "id" => group.id().to_string(),
            "name" => group.name(),
            "description" => group.description(),
            "imageUrl" => group.image_url(),
            "createdAt" => shapes::iso(group.created_ns()),
            "memberCount" => members.len(),
            "members" => shapes::members(&members, MemberShape::Short),
        })?;
        Ok(())
    }
}

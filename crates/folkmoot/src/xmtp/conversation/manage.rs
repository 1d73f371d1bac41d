//! Changing a conversation: members, roles, attributes, rules, consent.

use clap::{Args, ValueEnum};
use folkmoot_client::{Conversation, Generation};
use folkmoot_conversation::{
    context::{AdminChange, Attribute},
    permissions::{PolicyKind, Who},
};
use folkmoot_wire::{InboxId, InstallationKey};

use super::super::{
    confirm::Confirmation,
    conversations::Consent,
    output::Output,
    run::{AsClient, Me},
    shapes,
    value::{Value, object},
    which::{self, Which},
    who,
};
use crate::failure::{Exit, Failure};

/// The arguments of `add-members`.
#[derive(Args, Debug)]
pub(crate) struct AddMembers {
    #[command(flatten)]
    which: Which,
    /// Members: addresses, or names of contacts
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
}

impl AsClient for AddMembers {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let mut group = which::group(self.which.find(&me.client).await?)?;
        let accounts = who::accounts(&self.addresses)?;
        let inboxes = who::inboxes(&me.client, &accounts).await?;
        group.add_members(inboxes).await?;
        out.result(object! {
            "success" => true,
            "conversationId" => group.id().to_string(),
            "addedMembers" => Value::list(&self.addresses),
            "count" => self.addresses.len(),
        })?;
        Ok(())
    }
}

/// The arguments of `remove-members`.
#[derive(Args, Debug)]
pub(crate) struct RemoveMembers {
    #[command(flatten)]
    which: Which,
    /// Members: addresses, or names of contacts
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
}

impl AsClient for RemoveMembers {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let mut group = which::group(self.which.find(&me.client).await?)?;
        let accounts = who::accounts(&self.addresses)?;
        let inboxes = who::inboxes(&me.client, &accounts).await?;
        group.remove_members(inboxes).await?;
        out.result(object! {
            "success" => true,
            "conversationId" => group.id().to_string(),
            "removedMembers" => Value::list(&self.addresses),
            "count" => self.addresses.len(),
        })?;
        Ok(())
    }
}

/// A member of a group.
#[derive(Args, Clone, Debug)]
struct MemberOf {
    #[command(flatten)]
    which: Which,
    /// The member: an inbox id, an address, or the name of a contact
    inbox_id: String,
}

impl MemberOf {
    async fn change(
        self,
        me: &Me,
        change: AdminChange,
        out: &mut Output<'_>,
    ) -> anyhow::Result<()> {
        let mut group = which::group(self.which.find(&me.client).await?)?;
        let inbox = who::inbox(&me.client, &self.inbox_id).await?;
        if !group.member_inboxes().contains(&inbox) {
            return Err(not_a_member(inbox, &group).into());
        }
        group.change_admins(change, inbox).await?;
        let message = match change {
            AdminChange::AddAdmin => "Member promoted to admin",
            AdminChange::RemoveAdmin => "Admin demoted to member",
            AdminChange::AddSuperAdmin => "Member promoted to super admin",
            AdminChange::RemoveSuperAdmin => "Super admin demoted to member",
        };
        out.result(object! {
            "success" => true,
            "conversationId" => group.id().to_string(),
            "inboxId" => inbox.to_string(),
            "message" => message,
        })?;
        Ok(())
    }
}

fn not_a_member(inbox: InboxId, group: &Conversation) -> Failure {
    Failure::new(
        Exit::NotFound,
        format!("inbox {inbox} is no member"),
        format!("`folkmoot xmtp conversation members {}`", group.id()),
    )
}

/// The arguments of `add-admin`.
#[derive(Args, Debug)]
pub(crate) struct AddAdmin {
    #[command(flatten)]
    member: MemberOf,
}

impl AsClient for AddAdmin {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        self.member.change(me, AdminChange::AddAdmin, out).await
    }
}

/// The arguments of `remove-admin`.
#[derive(Args, Debug)]
pub(crate) struct RemoveAdmin {
    #[command(flatten)]
    member: MemberOf,
}

impl AsClient for RemoveAdmin {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        self.member.change(me, AdminChange::RemoveAdmin, out).await
    }
}

/// The arguments of `add-super-admin`.
#[derive(Args, Debug)]
pub(crate) struct AddSuperAdmin {
    #[command(flatten)]
    member: MemberOf,
}

impl AsClient for AddSuperAdmin {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        self.member
            .change(me, AdminChange::AddSuperAdmin, out)
            .await
    }
}

/// The arguments of `remove-super-admin`.
#[derive(Args, Debug)]
pub(crate) struct RemoveSuperAdmin {
    #[command(flatten)]
    member: MemberOf,
}

impl AsClient for RemoveSuperAdmin {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        self.member
            .change(me, AdminChange::RemoveSuperAdmin, out)
            .await
    }
}

/// Sets an attribute, and says so under `key`.
async fn set(
    which: &Which,
    attribute: Attribute,
    key: &'static str,
    value: String,
    me: &Me,
    out: &mut Output<'_>,
) -> anyhow::Result<()> {
    let mut group = which::group(which.find(&me.client).await?)?;
    group.set_attribute(attribute, value.as_str()).await?;
    let done = object! { "success" => true, "conversationId" => group.id().to_string() };
    out.result(done.with(key, value))?;
    Ok(())
}

/// The arguments of `update-name`.
#[derive(Args, Debug)]
pub(crate) struct UpdateName {
    #[command(flatten)]
    which: Which,
    /// The new name
    #[arg(allow_hyphen_values = true)]
    name: String,
}

impl AsClient for UpdateName {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        set(
            &self.which,
            Attribute::GroupName,
            "name",
            self.name,
            me,
            out,
        )
        .await
    }
}

/// The arguments of `update-description`.
#[derive(Args, Debug)]
pub(crate) struct UpdateDescription {
    #[command(flatten)]
    which: Which,
    /// The new description
    #[arg(allow_hyphen_values = true)]
    description: String,
}

impl AsClient for UpdateDescription {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let text = self.description;
        set(
            &self.which,
            Attribute::Description,
            "description",
            text,
            me,
            out,
        )
        .await
    }
}

/// The arguments of `update-image-url`.
#[derive(Args, Debug)]
pub(crate) struct UpdateImageUrl {
    #[command(flatten)]
    which: Which,
    /// Where the picture is
    image_url: String,
}

impl AsClient for UpdateImageUrl {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let url = self.image_url;
        set(&self.which, Attribute::ImageUrl, "imageUrl", url, me, out).await
    }
}

/// The arguments of `app-data`.
#[derive(Args, Debug)]
pub(crate) struct AppData {
    #[command(flatten)]
    which: Which,
    /// What to keep there from now on
    #[arg(long, value_name = "TEXT")]
    set: Option<String>,
}

impl AsClient for AppData {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        if let Some(text) = self.set {
            return set(&self.which, Attribute::AppData, "appData", text, me, out).await;
        }
        let group = which::group(self.which.find(&me.client).await?)?;
        out.result(object! {
            "conversationId" => group.id().to_string(),
            "appData" => group.app_data(),
        })?;
        Ok(())
    }
}

/// The arguments of `update-permission`.
#[derive(Args, Debug)]
pub(crate) struct UpdatePermission {
    #[command(flatten)]
    which: Which,
    /// What is to be allowed
    #[arg(long = "type", value_name = "TYPE")]
    action: Action,
    /// To whom
    #[arg(long, value_name = "POLICY")]
    policy: PolicyName,
    /// Which attribute, with --type update-metadata
    #[arg(
        long,
        value_name = "FIELD",
        required_if_eq("action", "update-metadata")
    )]
    metadata_field: Option<MetadataField>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Action {
    AddMember,
    RemoveMember,
    AddAdmin,
    RemoveAdmin,
    UpdateMetadata,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum PolicyName {
    /// Everybody
    Allow,
    /// Nobody
    Deny,
    /// Admins and super admins
    Admin,
    /// Super admins
    SuperAdmin,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum MetadataField {
    AppData,
    GroupDescription,
    GroupName,
    GroupImageUrl,
    /// When messages disappear (ours: the official program has no name for it)
    MessageDisappearing,
}

/// The name of a value, as it is typed.
fn name(value: impl ValueEnum) -> String {
    let possible = value.to_possible_value();
    possible.map_or_else(String::new, |one| one.get_name().to_owned())
}

impl AsClient for UpdatePermission {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let mut group = which::group(self.which.find(&me.client).await?)?;
        let attribute = match self.metadata_field {
            Some(MetadataField::AppData) => Attribute::AppData,
            Some(MetadataField::GroupDescription) => Attribute::Description,
            Some(MetadataField::GroupImageUrl) => Attribute::ImageUrl,
            Some(MetadataField::MessageDisappearing) => Attribute::DisappearInNs,
            Some(MetadataField::GroupName) | None => Attribute::GroupName,
        };
        let kind = match self.action {
            Action::AddMember => PolicyKind::AddMember,
            Action::RemoveMember => PolicyKind::RemoveMember,
            Action::AddAdmin => PolicyKind::AddAdmin,
            Action::RemoveAdmin => PolicyKind::RemoveAdmin,
            Action::UpdateMetadata => PolicyKind::UpdateMetadata(attribute),
        };
        let who = match self.policy {
            PolicyName::Allow => Who::Everyone,
            PolicyName::Deny => Who::Nobody,
            PolicyName::Admin => Who::Admins,
            PolicyName::SuperAdmin => Who::SuperAdmins,
        };
        group.set_permission(kind, who).await?;
        if kind == PolicyKind::UpdateMetadata(Attribute::DisappearInNs) {
            // Two attributes are one setting.
            let other = PolicyKind::UpdateMetadata(Attribute::DisappearFromNs);
            group.set_permission(other, who).await?;
        }
        let field = self.metadata_field.map(name);
        out.result(object! {
            "success" => true,
            "conversationId" => group.id().to_string(),
            "permissionType" => name(self.action),
            "policy" => name(self.policy),
            "metadataField" => field.map_or(Value::Null, Value::Text),
        })?;
        Ok(())
    }
}

/// The arguments of `convert-metadata`.
#[derive(Args, Debug)]
pub(crate) struct ConvertMetadata {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl AsClient for ConvertMetadata {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let mut group = which::group(self.which.find(&me.client).await?)?;
        if group.generation() == Generation::Extensions {
            self.confirmation.ask(
                "The group lives in an AppData dictionary from now on, and there is no way back. \
                 Programs older than libxmtp 1.11 stand still in it. Official apps of today cannot \
                 show its permissions, and the browser SDK cannot open it.",
            )?;
            group.convert().await?;
        }
        out.result(object! {
            "success" => true,
            "conversationId" => group.id().to_string(),
            "isDictionary" => group.generation() == Generation::AppData,
        })?;
        Ok(())
    }
}

/// The arguments of `update-consent`.
#[derive(Args, Debug)]
pub(crate) struct UpdateConsent {
    #[command(flatten)]
    which: Which,
    /// What we think of it
    #[arg(long, value_name = "STATE")]
    state: Consent,
}

impl AsClient for UpdateConsent {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let state = self.state.into();
        conversation.set_consent(state).await?;
        out.result(object! {
            "success" => true,
            "conversationId" => conversation.id().to_string(),
            "consentState" => shapes::consent_name(state),
        })?;
        Ok(())
    }
}

/// The arguments of `request-removal`.
#[derive(Args, Debug)]
pub(crate) struct RequestRemoval {
    #[command(flatten)]
    which: Which,
}

impl AsClient for RequestRemoval {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let mut group = which::group(self.which.find(&me.client).await?)?;
        group.leave().await?;
        out.result(object! {
            "success" => true,
            "conversationId" => group.id().to_string(),
            "message" => "Removal request submitted",
        })?;
        Ok(())
    }
}

/// The arguments of `readd-installations`.
#[derive(Args, Debug)]
pub(crate) struct ReaddInstallations {
    #[command(flatten)]
    which: Which,
    /// The installations: 64 hex digits each
    #[arg(required = true, value_name = "INSTALLATION_ID", value_parser = who::installation)]
    installations: Vec<InstallationKey>,
}

impl AsClient for ReaddInstallations {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let mut group = self.which.find(&me.client).await?;
        group
            .readd_installations(self.installations.clone())
            .await?;
        out.result(object! {
            "success" => true,
            "conversationId" => group.id().to_string(),
            "installationIds" => Value::list(self.installations.iter().map(ToString::to_string)),
        })?;
        Ok(())
    }
}

/// The arguments of `request-readd`.
#[derive(Args, Debug)]
pub(crate) struct RequestReadd {
    #[command(flatten)]
    which: Which,
}

impl AsClient for RequestReadd {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let group = which::group(self.which.find(&me.client).await?)?;
        group.request_readd().await?;
        out.result(object! {
            "success" => true,
            "conversationId" => group.id().to_string(),
            "installationId" => me.client.installation_key().to_string(),
            "message" => "The super admins were asked to add this installation again",
        })?;
        Ok(())
    }
}

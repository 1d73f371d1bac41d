//! Looking at a conversation: rules, roles, consent, the state of the protocol.

use clap::Args;
use folkmoot_client::{CommitLogEntry, ConversationState};
use folkmoot_wire::InboxId;

use super::super::{
    output::Output,
    run::{AsClient, Me},
    shapes,
    value::{Value, object},
    which::{self, Which},
};

/// The arguments of `permissions`.
#[derive(Args, Debug)]
pub(crate) struct Permissions {
    #[command(flatten)]
    which: Which,
}

impl AsClient for Permissions {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let group = which::group(self.which.find(&me.client).await?)?;
        out.result(object! {
            "conversationId" => group.id().to_string(),
            "permissions" => shapes::permissions(&group.permissions()?),
        })?;
        Ok(())
    }
}

/// The arguments of `consent-state`.
#[derive(Args, Debug)]
pub(crate) struct ConsentState {
    #[command(flatten)]
    which: Which,
}

impl AsClient for ConsentState {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        out.result(object! {
            "conversationId" => conversation.id().to_string(),
            "consentState" => shapes::consent(conversation.consent().await?),
        })?;
        Ok(())
    }
}

fn inboxes(inboxes: &[InboxId]) -> Value {
    Value::list(inboxes.iter().map(ToString::to_string))
}

/// The arguments of `list-admins`.
#[derive(Args, Debug)]
pub(crate) struct ListAdmins {
    #[command(flatten)]
    which: Which,
}

impl AsClient for ListAdmins {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let group = which::group(self.which.find(&me.client).await?)?;
        let admins = group.admins();
        out.result(object! {
            "conversationId" => group.id().to_string(),
            "admins" => inboxes(&admins),
            "count" => admins.len(),
        })?;
        Ok(())
    }
}

/// The arguments of `list-super-admins`.
#[derive(Args, Debug)]
pub(crate) struct ListSuperAdmins {
    #[command(flatten)]
    which: Which,
}

impl AsClient for ListSuperAdmins {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let group = which::group(self.which.find(&me.client).await?)?;
        let super_admins = group.super_admins();
        out.result(object! {
            "conversationId" => group.id().to_string(),
            "superAdmins" => inboxes(&super_admins),
            "count" => super_admins.len(),
        })?;
        Ok(())
    }
}

/// The arguments of `debug-info`.
#[derive(Args, Debug)]
pub(crate) struct DebugInfo {
    #[command(flatten)]
    which: Which,
}

/// An entry of the commit log on a line.
fn line(entry: &CommitLogEntry) -> String {
    let who = entry
        .sender
        .map_or_else(|| "?".to_owned(), |inbox| inbox.to_string());
    format!(
        "commit {} epoch {} result {} by {who}: {}",
        entry.sequence, entry.epoch, entry.result, entry.cause
    )
}

impl AsClient for DebugInfo {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let forked = matches!(conversation.state(), ConversationState::Forked(_));
        let log = conversation.commit_log().await?;
        let log: Vec<_> = log.iter().map(line).collect();
        let cursor = conversation.cursor().await?;
        let cursor = cursor.iter().map(|(originator, sequence)| {
            object! {
                "originatorId" => originator,
                "sequenceId" => Value::exact(sequence),
            }
        });
        out.result(object! {
            "conversationId" => conversation.id().to_string(),
            "debugInfo" => object! {
                "epoch" => Value::wide(conversation.epoch()),
                "maybeForked" => forked,
                "forkDetails" => conversation.trouble().unwrap_or_default(),
                "isCommitLogForked" => forked.then_some(true),
                "localCommitLog" => log.join("\n"),
                "remoteCommitLog" => "",
                "cursor" => Value::list(cursor),
            },
        })?;
        Ok(())
    }
}

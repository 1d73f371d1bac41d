//! Saying something, and taking it back.

use clap::{Args, ValueEnum};
use folkmoot_client::{Conversation, SendOptions, Sent};
use folkmoot_conversation::content::{
    Content, Markdown, Reaction, ReactionAction, ReactionSchema, ReadReceipt, Reply,
};
use folkmoot_wire::MessageId;

use super::super::{
    confirm::Confirmation,
    output::Output,
    run::{AsClient, Me, explained},
    value::{Value, object},
    which::Which,
    who,
};
use crate::failure::{Exit, Failure};

/// How a message is sent.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct How {
    /// Only store it; `publish-messages` sends it
    #[arg(long)]
    pub(crate) optimistic: bool,
    /// A name for what is said: sent again with it, it is said once
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

impl How {
    /// Sends `content`, or stores it.
    pub(crate) async fn send(
        &self,
        conversation: &Conversation,
        content: &Content,
        out: &mut Output<'_>,
    ) -> anyhow::Result<MessageId> {
        let options = SendOptions {
            idempotency_key: self.idempotency_key.clone(),
            ..SendOptions::default()
        };
        match self.optimistic {
            true => Ok(conversation.send_optimistic(content, options).await?),
            false => {
                let sent = conversation.send_or_queue(content, options).await?;
                require_sent(sent, conversation, out)
            }
        }
    }
}

/// The message, if the network has it. One that waits is told, so that nobody sends it again.
///
/// # Errors
///
/// [`Failure`] when it waits.
pub(crate) fn require_sent(
    sent: Sent,
    conversation: &Conversation,
    out: &mut Output<'_>,
) -> anyhow::Result<MessageId> {
    let Sent { id, waits } = sent;
    let Some(cause) = waits else { return Ok(id) };
    if out.is_json() {
        out.result(object! {
            "success" => false,
            "messageId" => id.to_string(),
            "conversationId" => conversation.id().to_string(),
            "queued" => true,
        })?;
    }
    let cause = explained(cause.into());
    let exit = cause
        .downcast_ref::<Failure>()
        .map_or(Exit::Network, Failure::exit);
    Err(Failure::new(
        exit,
        format!("{cause:#}; the message is stored ({id}) and goes out with the next send or sync"),
        format!(
            "`folkmoot xmtp conversation publish-messages {}` later; sent again it would be said twice",
            conversation.id()
        ),
    )
    .into())
}

/// What is told of every message that was sent, before what is special.
pub(crate) fn sent(id: MessageId, conversation: &Conversation) -> Value {
    object! {
        "success" => true,
        "messageId" => id.to_string(),
        "conversationId" => conversation.id().to_string(),
    }
}

/// The arguments of `send-text`.
#[derive(Args, Debug)]
pub(crate) struct SendText {
    #[command(flatten)]
    which: Which,
    /// The text
    #[arg(allow_hyphen_values = true)]
    text: String,
    #[command(flatten)]
    how: How,
}

impl AsClient for SendText {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let content = Content::text(self.text.as_str());
        let id = self.how.send(&conversation, &content, out).await?;
        out.result(
            sent(id, &conversation)
                .with("text", self.text)
                .with("optimistic", self.how.optimistic),
        )?;
        Ok(())
    }
}

/// The arguments of `send-markdown`.
#[derive(Args, Debug)]
pub(crate) struct SendMarkdown {
    #[command(flatten)]
    which: Which,
    /// The text with its mark-up
    #[arg(allow_hyphen_values = true)]
    markdown: String,
    #[command(flatten)]
    how: How,
}

impl AsClient for SendMarkdown {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let content = Content::Markdown(Markdown(self.markdown.clone()));
        let id = self.how.send(&conversation, &content, out).await?;
        out.result(
            sent(id, &conversation)
                .with("markdown", self.markdown)
                .with("optimistic", self.how.optimistic),
        )?;
        Ok(())
    }
}

/// The arguments of `send-reply`.
#[derive(Args, Debug)]
pub(crate) struct SendReply {
    #[command(flatten)]
    which: Which,
    /// The message to answer
    #[arg(value_parser = who::message_id)]
    message_id: MessageId,
    /// The text
    #[arg(allow_hyphen_values = true)]
    text: String,
    /// The text has mark-up
    #[arg(long)]
    markdown: bool,
    #[command(flatten)]
    how: How,
}

impl AsClient for SendReply {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let answered = me.client.conversations().message(&self.message_id).await?;
        let text = match self.markdown {
            true => Content::Markdown(Markdown(self.text.clone())),
            false => Content::text(self.text.as_str()),
        };
        let mut reply = Reply::new(self.message_id, &text)?;
        reply.reference_inbox_id = Some(answered.sender.to_string());
        let content = Content::Reply(reply);
        let id = self.how.send(&conversation, &content, out).await?;
        let told = object! {
            "reference" => self.message_id.to_string(),
            "referenceInboxId" => answered.sender.to_string(),
            "text" => self.text,
        };
        out.result(
            sent(id, &conversation)
                .with("reply", told)
                .with("optimistic", self.how.optimistic),
        )?;
        Ok(())
    }
}

/// The arguments of `send-reaction`.
#[derive(Args, Debug)]
pub(crate) struct SendReaction {
    #[command(flatten)]
    which: Which,
    /// The message
    #[arg(value_parser = who::message_id)]
    message_id: MessageId,
    /// Put it there, or take it away
    action: ReactionVerb,
    /// The emoji
    #[arg(allow_hyphen_values = true)]
    content: String,
    #[command(flatten)]
    how: How,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum ReactionVerb {
    Add,
    Remove,
}

impl AsClient for SendReaction {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let target = me.client.conversations().message(&self.message_id).await?;
        let (action, verb) = match self.action {
            ReactionVerb::Add => (ReactionAction::Added, "add"),
            ReactionVerb::Remove => (ReactionAction::Removed, "remove"),
        };
        let reaction = Reaction {
            reference: self.message_id.to_string(),
            reference_inbox_id: Some(target.sender.to_string()),
            action,
            content: self.content.clone(),
            schema: ReactionSchema::Unicode,
        };
        let content = Content::Reaction(reaction);
        let id = self.how.send(&conversation, &content, out).await?;
        let told = object! {
            "reference" => self.message_id.to_string(),
            "content" => self.content,
            "action" => verb,
        };
        out.result(
            sent(id, &conversation)
                .with("optimistic", self.how.optimistic)
                .with("reaction", told),
        )?;
        Ok(())
    }
}

/// The arguments of `send-read-receipt`.
#[derive(Args, Debug)]
pub(crate) struct SendReadReceipt {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    how: How,
}

impl AsClient for SendReadReceipt {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let content = Content::ReadReceipt(ReadReceipt);
        let id = self.how.send(&conversation, &content, out).await?;
        out.result(sent(id, &conversation).with("optimistic", self.how.optimistic))?;
        Ok(())
    }
}

/// The arguments of `edit-message`.
#[derive(Args, Debug)]
pub(crate) struct EditMessage {
    #[command(flatten)]
    which: Which,
    /// The message
    #[arg(value_parser = who::message_id)]
    message_id: MessageId,
    /// The new text
    #[arg(allow_hyphen_values = true)]
    text: String,
}

impl AsClient for EditMessage {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let target = me.client.conversations().message(&self.message_id).await?;
        let content = match target.content {
            Content::Markdown(_) => Content::Markdown(Markdown(self.text.clone())),
            _ => Content::text(self.text.as_str()),
        };
        let id = conversation
            .edit_message(&self.message_id, &content)
            .await?;
        out.result(
            sent(id, &conversation)
                .with("edited", self.message_id.to_string())
                .with("text", self.text),
        )?;
        Ok(())
    }
}

/// The arguments of `delete-message`.
#[derive(Args, Debug)]
pub(crate) struct DeleteMessage {
    #[command(flatten)]
    which: Which,
    /// The message
    #[arg(value_parser = who::message_id)]
    message_id: MessageId,
    /// Delete it here only; others keep it
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl AsClient for DeleteMessage {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        let told = object! {
            "success" => true,
            "conversationId" => conversation.id().to_string(),
            "deleted" => self.message_id.to_string(),
        };
        if self.local {
            let conversations = me.client.conversations();
            conversations.message(&self.message_id).await?;
            self.confirmation
                .ask("The message disappears from this database for ever.")?;
            conversations
                .delete_message_locally(&self.message_id)
                .await?;
            out.result(told.with("local", true))?;
            return Ok(());
        }
        self.confirmation
            .ask("The message disappears for everybody whose app knows how.")?;
        let id = conversation.delete_message(&self.message_id).await?;
        out.result(told.with("messageId", id.to_string()))?;
        Ok(())
    }
}

/// The arguments of `publish-messages`.
#[derive(Args, Debug)]
pub(crate) struct PublishMessages {
    #[command(flatten)]
    which: Which,
}

impl AsClient for PublishMessages {
    async fn run(self, me: &Me, out: &mut Output<'_>) -> anyhow::Result<()> {
        let conversation = self.which.find(&me.client).await?;
        conversation.publish().await?;
        out.result(object! {
            "success" => true,
            "conversationId" => conversation.id().to_string(),
            "message" => "Messages published successfully",
        })?;
        Ok(())
    }
}

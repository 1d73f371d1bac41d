//! Saying particular things: [`Conversation::send`] with the content made.

use folkmoot_conversation::content::{
    Actions, Attachment, Content, Intent, Markdown, MultiRemoteAttachment, Reaction,
    ReactionAction, RemoteAttachment, Reply, TransactionReference, Typing, WalletSendCalls,
};
use folkmoot_wire::MessageId;

use super::Conversation;
use crate::{Error, message};

impl Conversation {
    /// Sends a text with CommonMark mark-up.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_markdown(&self, text: impl Into<String>) -> Result<MessageId, Error> {
        self.send_content(Markdown(text.into())).await
    }

    /// Puts an emoji to a message, or takes it away again
    /// ([`ReactionAction::Removed`]).
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_reaction(
        &self,
        to: &MessageId,
        emoji: impl Into<String>,
        action: ReactionAction,
    ) -> Result<MessageId, Error> {
        let reference_inbox_id = self.author(to).await?;
        self.send_content(Reaction {
            action,
            reference_inbox_id,
            ..Reaction::emoji(*to, emoji)
        })
        .await
    }

    /// Answers a message with any content, such as [`Content::text`].
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_reply(&self, to: &MessageId, content: &Content) -> Result<MessageId, Error> {
        let reference_inbox_id = self.author(to).await?;
        self.send_content(Reply {
            reference_inbox_id,
            ..Reply::new(*to, content)?
        })
        .await
    }

    /// Sends a small file inside the message. Official apps keep such files below 1 MB.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_attachment(&self, file: Attachment) -> Result<MessageId, Error> {
        self.send_content(file).await
    }

    /// Sends where an encrypted file lies, and how to open it.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_remote_attachment(&self, file: RemoteAttachment) -> Result<MessageId, Error> {
        self.send_content(file).await
    }

    /// The same of several files.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_multi_remote_attachment(
        &self,
        files: MultiRemoteAttachment,
    ) -> Result<MessageId, Error> {
        self.send_content(files).await
    }

    /// Tells of a transaction on a chain.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_transaction_reference(
        &self,
        transaction: TransactionReference,
    ) -> Result<MessageId, Error> {
        self.send_content(transaction).await
    }

    /// Asks that the recipient's wallet make calls (EIP-5792).
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_wallet_send_calls(&self, calls: WalletSendCalls) -> Result<MessageId, Error> {
        self.send_content(calls).await
    }

    /// Gives choices to pick one from.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`], and when the choices break a rule.
    pub async fn send_actions(&self, choices: Actions) -> Result<MessageId, Error> {
        self.send_content(choices).await
    }

    /// Picks one of the choices that somebody gave.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_intent(&self, choice: Intent) -> Result<MessageId, Error> {
        self.send_content(choice).await
    }

    /// Says that the person writes, or has stopped. A draft: official apps may show its fallback as
    /// a message, so send it only where people asked for it.
    ///
    /// # Errors
    ///
    /// As of [`Conversation::send`].
    pub async fn send_typing(&self, typing: Typing) -> Result<MessageId, Error> {
        self.send_content(typing).await
    }

    async fn send_content(&self, content: impl Into<Content>) -> Result<MessageId, Error> {
        self.send(&content.into()).await
    }

    /// Who sent a message, if it is here.
    async fn author(&self, id: &MessageId) -> Result<Option<String>, Error> {
        let wanted = *id;
        let question = move |db: &rusqlite::Connection| Ok(message::message(db, &wanted)?);
        let found = self.core.db.read(question).await?;
        Ok(found.map(|message| message.sender.to_string()))
    }
}

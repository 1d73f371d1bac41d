//! What people and apps say: the contents of application messages.
//!
//! [`EncodedContent`] is a content as it travels and keeps its exact bytes, from which message ids
//! are made. [`Content`] is the same, understood. Each content type is a struct with a file of its
//! own that implements [`Codec`]; apps implement it for types of their own.
//!
//! A type is recognised by its name and major version alone, whoever its authority: so do the
//! official clients, and a message must not look different on the two sides. What is of an unknown
//! type, or is not what its type says, is [`Content::Custom`] and may be shown by its fallback text.
//!
//! Facts: `xmtp.org` and `coinbase.com` types as libxmtp 1.10 to 1.12 writes them; XIP-15, 17, 18,
//! 20, 21, 48, 59, 67, 76, and the drafts XIP-65 and 77.

mod actions;
mod attachment;
mod codec;
mod compression;
mod delete_message;
mod edit_message;
mod encoded;
mod error;
mod group_membership_change;
mod group_updated;
mod intent;
mod kind;
mod leave_request;
mod markdown;
mod multi_remote_attachment;
mod reaction;
mod read_receipt;
mod remote_attachment;
mod reply;
mod text;
mod transaction_reference;
mod type_id;
mod typing;
mod wallet_send_calls;

use bytes::Bytes;

pub use actions::{Action, ActionStyle, Actions};
pub use attachment::Attachment;
pub use codec::Codec;
pub use delete_message::DeleteMessage;
pub use edit_message::EditMessage;
pub use encoded::{Compression, EncodedContent, MAX_ENCODED_BYTES, Parts};
pub use error::{DecodeError, EncodeError};
pub use group_membership_change::{GroupMembershipChange, MembershipChange};
pub use group_updated::{GroupUpdated, MetadataFieldChange};
pub use intent::{Intent, JsonObject};
pub use kind::ContentKind;
pub use leave_request::LeaveRequest;
pub use markdown::Markdown;
pub use multi_remote_attachment::MultiRemoteAttachment;
pub use reaction::{Reaction, ReactionAction, ReactionSchema};
pub use read_receipt::ReadReceipt;
pub use remote_attachment::{InsecureUrl, RemoteAttachment};
pub use reply::Reply;
pub use text::Text;
pub use transaction_reference::{TransactionMetadata, TransactionReference};
pub use type_id::{ContentTypeId, InvalidContentTypeId};
pub use typing::Typing;
pub use wallet_send_calls::{Call, CallMetadata, WalletSendCalls};

pub use crate::device_sync::DeviceSyncContent;

/// Writes the enum and what asks each of its types in turn, so that a new type is one new line.
macro_rules! contents {
    ($($(#[$doc:meta])* $name:ident($of:ty),)+) => {
        /// A content, understood.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Content {
            $($(#[$doc])* $name($of),)+
            /// Something of a type that is not known here, or that is not what its type says. Apps
            /// show its fallback text, if at all.
            Custom(EncodedContent),
            /// Bytes that are no [`EncodedContent`].
            Unreadable(Bytes),
        }

        impl Content {
            /// Understands `encoded`, or says why not.
            ///
            /// # Errors
            ///
            /// [`DecodeError::UnknownType`] and [`DecodeError::NoType`] when the type is not one of
            /// ours, the others when the content is not what its type says.
            pub fn try_decode(encoded: &EncodedContent) -> Result<Self, DecodeError> {
                let id = encoded.content_type().ok_or(DecodeError::NoType)?;
                $(if <$of>::reads(id) {
                    return <$of>::decode(encoded).map(Self::$name);
                })+
                Err(DecodeError::UnknownType(id.clone()))
            }

            /// Puts the content into the form in which it travels. What was received encodes to
            /// an equal content, but not always to the same bytes: keep those.
            ///
            /// # Errors
            ///
            /// [`EncodeError`] when the content breaks a rule of its type, or is too large;
            /// [`Content::Unreadable`] is always refused.
            pub fn encode(&self) -> Result<EncodedContent, EncodeError> {
                match self {
                    $(Self::$name(value) => value.encode(),)+
                    Self::Custom(encoded) => Ok(encoded.clone()),
                    Self::Unreadable(_) => Err(EncodeError::Unreadable),
                }
            }

            /// Whether the type asks for the recipients' phones to be notified. An app that sends
            /// [`Content::Custom`] decides for itself; here that is no.
            #[must_use]
            pub fn should_push(&self) -> bool {
                match self {
                    $(Self::$name(_) => <$of>::SHOULD_PUSH,)+
                    Self::Custom(_) | Self::Unreadable(_) => false,
                }
            }

            /// The text for apps that do not know the type.
            #[must_use]
            pub fn fallback(&self) -> Option<String> {
                match self {
                    $(Self::$name(value) => value.fallback(),)+
                    Self::Custom(encoded) => encoded.fallback().map(str::to_owned),
                    Self::Unreadable(_) => None,
                }
            }
        }

        $(impl From<$of> for Content {
            fn from(value: $of) -> Self {
                Self::$name(value)
            }
        })+
    };
}

contents! {
    /// Plain text.
    Text(Text),
    /// Text with CommonMark mark-up.
    Markdown(Markdown),
    /// An emoji or the like, put to an earlier message or taken away again.
    Reaction(Reaction),
    /// A content that answers an earlier message.
    Reply(Reply),
    /// Everything up to here was read. Apps hide it.
    ReadReceipt(ReadReceipt),
    /// A small file, inside the message.
    Attachment(Attachment),
    /// A file that lies encrypted on some web server.
    RemoteAttachment(RemoteAttachment),
    /// Several such files.
    MultiRemoteAttachment(MultiRemoteAttachment),
    /// A transaction on a chain.
    TransactionReference(TransactionReference),
    /// A request that the recipient's wallet makes calls (EIP-5792).
    WalletSendCalls(WalletSendCalls),
    /// Choices to pick one from.
    Actions(Actions),
    /// The choice that was picked.
    Intent(Intent),
    /// What a commit changed. Each client writes it for itself; it is never sent.
    GroupUpdated(GroupUpdated),
    /// The same, as very old clients wrote it.
    GroupMembershipChange(GroupMembershipChange),
    /// The sender wants to leave the group.
    LeaveRequest(LeaveRequest),
    /// The sender takes an earlier message back.
    DeleteMessage(DeleteMessage),
    /// The sender rewrites an earlier message. A draft: official clients show its fallback text.
    EditMessage(EditMessage),
    /// The sender writes, or stopped. A type of our own: official clients show its fallback text.
    Typing(Typing),
    /// What installations of one inbox tell each other in their sync group.
    DeviceSync(DeviceSyncContent),
}

impl Content {
    /// Plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text(text.into()))
    }

    /// Understands `encoded` as far as possible; what is not understood is [`Content::Custom`].
    ///
    /// ```
    /// use folkmoot_conversation::content::Content;
    ///
    /// let encoded = Content::text("at noon").encode()?;
    /// assert_eq!(Content::decode(&encoded), Content::text("at noon"));
    /// # Ok::<(), folkmoot_conversation::content::EncodeError>(())
    /// ```
    #[must_use]
    pub fn decode(encoded: &EncodedContent) -> Self {
        Self::try_decode(encoded).unwrap_or_else(|_| Self::Custom(encoded.clone()))
    }

    /// Understands the bytes of a message's content as far as possible.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        match EncodedContent::decode(bytes.clone()) {
            Ok(encoded) => Self::decode(&encoded),
            Err(_) => Self::Unreadable(bytes),
        }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

#[cfg(test)]
mod tests;

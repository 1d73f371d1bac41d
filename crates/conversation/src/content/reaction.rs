//! `xmtp.org/reaction:2.0`, and the JSON of `xmtp.org/reaction:1.0`.

use folkmoot_wire::{MessageId, proto::xmtp::mls::message_contents::content_types as proto};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::{Codec, ContentTypeId, DecodeError, EncodeError, EncodedContent, Parts};

/// An emoji or the like, put to an earlier message or taken away again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reaction {
    /// The id of the earlier message, as the sender wrote it.
    pub reference: String,
    /// Who sent the earlier message, as far as the sender says.
    pub reference_inbox_id: Option<String>,
    /// Whether the reaction comes or goes.
    pub action: ReactionAction,
    /// The reaction itself.
    pub content: String,
    /// What `content` is.
    pub schema: ReactionSchema,
}

impl Reaction {
    /// Puts an emoji to the message `to`.
    #[must_use]
    pub fn emoji(to: MessageId, emoji: impl Into<String>) -> Self {
        Self {
            reference: to.to_string(),
            reference_inbox_id: None,
            action: ReactionAction::Added,
            content: emoji.into(),
            schema: ReactionSchema::Unicode,
        }
    }

    /// The earlier message, if the reference is a message id.
    #[must_use]
    pub fn reference_id(&self) -> Option<MessageId> {
        self.reference.parse().ok()
    }

    /// The reaction in the form of version 1, for apps that have not learnt version 2.
    ///
    /// # Errors
    ///
    /// [`EncodeError::TooLarge`] when the reaction does not fit into a message.
    pub fn encode_v1(&self) -> Result<EncodedContent, EncodeError> {
        let json = Version1 {
            action: self.action.word().to_owned(),
            reference: self.reference.clone(),
            reference_inbox_id: self.reference_inbox_id.clone(),
            schema: self.schema.word().to_owned(),
            content: self.content.clone(),
        };
        let mut parts =
            Parts::of(VERSION_1).content(serde_json::to_vec(&json).expect("texts are JSON"));
        parts.fallback = self.fallback();
        parts.seal()
    }
}

impl Codec for Reaction {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("reaction", 2);
    const SHOULD_PUSH: bool = false;

    fn reads(id: &ContentTypeId) -> bool {
        Self::TYPE.matches(id) || VERSION_1.matches(id)
    }

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let message = proto::ReactionV2 {
            reference: self.reference.clone(),
            reference_inbox_id: self.reference_inbox_id.clone().unwrap_or_default(),
            action: self.action as i32,
            content: self.content.clone(),
            schema: self.schema as i32,
        };
        Ok(Parts::of(Self::TYPE).content(message.encode_to_vec()))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        if parts
            .content_type
            .as_ref()
            .is_some_and(|id| VERSION_1.matches(id))
        {
            let json: Version1 = serde_json::from_slice(&parts.content)?;
            return Ok(Self {
                reference: json.reference,
                reference_inbox_id: json.reference_inbox_id,
                action: ReactionAction::from_word(&json.action),
                content: json.content,
                schema: ReactionSchema::from_word(&json.schema),
            });
        }
        let message = proto::ReactionV2::decode(parts.content.clone())
            .map_err(|_| DecodeError::Protobuf("ReactionV2"))?;
        Ok(Self {
            reference_inbox_id: Some(message.reference_inbox_id).filter(|id| !id.is_empty()),
            action: ReactionAction::from_number(message.action),
            schema: ReactionSchema::from_number(message.schema),
            reference: message.reference,
            content: message.content,
        })
    }

    fn fallback(&self) -> Option<String> {
        let content = &self.content;
        Some(match self.action {
            ReactionAction::Removed => format!("Removed \"{content}\" from an earlier message"),
            ReactionAction::Unspecified | ReactionAction::Added => {
                format!("Reacted with \"{content}\" to an earlier message")
            }
        })
    }
}

/// Whether a reaction comes or goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum ReactionAction {
    /// The sender wrote something that nobody knows.
    Unspecified = 0,
    /// It comes.
    Added = 1,
    /// It goes.
    Removed = 2,
}

impl ReactionAction {
    const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Added,
            2 => Self::Removed,
            _ => Self::Unspecified,
        }
    }

    fn from_word(word: &str) -> Self {
        match word {
            "added" => Self::Added,
            "removed" => Self::Removed,
            _ => Self::Unspecified,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }
}

/// What the content of a reaction is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i32)]
pub enum ReactionSchema {
    /// The sender wrote something that nobody knows.
    Unspecified = 0,
    /// An emoji.
    Unicode = 1,
    /// The name of an emoji, as in `:smile:`.
    Shortcode = 2,
    /// Anything, such as the address of a picture.
    Custom = 3,
}

impl ReactionSchema {
    const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Unicode,
            2 => Self::Shortcode,
            3 => Self::Custom,
            _ => Self::Unspecified,
        }
    }

    fn from_word(word: &str) -> Self {
        match word {
            "unicode" => Self::Unicode,
            "shortcode" => Self::Shortcode,
            "custom" => Self::Custom,
            _ => Self::Unspecified,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unknown",
            Self::Unicode => "unicode",
            Self::Shortcode => "shortcode",
            Self::Custom => "custom",
        }
    }
}

/// The JSON of version 1, its keys in the order in which official clients write them.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Version1 {
    action: String,
    reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference_inbox_id: Option<String>,
    schema: String,
    content: String,
}

const VERSION_1: ContentTypeId = ContentTypeId::xmtp("reaction", 1);

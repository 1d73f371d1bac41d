//! `coinbase.com/actions:1.0` (XIP-67)

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// Choices to pick one from. [`Intent`](super::Intent) is the answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Actions {
    /// Names this set of choices in the answer.
    pub id: String,
    /// What is to be chosen.
    pub description: String,
    /// The choices: 1 to 10, with different ids. What was received may break that.
    pub actions: Vec<Action>,
    /// When choosing ends: milliseconds since the Unix epoch, written as RFC 3339.
    #[serde(
        default,
        rename = "expiresAt",
        alias = "expires_at",
        with = "rfc3339",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at_ms: Option<i64>,
}

/// One choice.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Action {
    /// Names the choice in the answer.
    pub id: String,
    /// What the button says.
    pub label: String,
    /// The address of a picture.
    #[serde(
        default,
        rename = "imageUrl",
        alias = "image_url",
        skip_serializing_if = "Option::is_none"
    )]
    pub image_url: Option<String>,
    /// How the button looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<ActionStyle>,
    /// Until when this may be chosen: milliseconds since the Unix epoch, written as RFC 3339.
    #[serde(
        default,
        rename = "expiresAt",
        alias = "expires_at",
        with = "rfc3339",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at_ms: Option<i64>,
}

/// How a button looks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionStyle {
    /// The usual choice.
    Primary,
    /// Another choice.
    Secondary,
    /// A choice to think about twice.
    Danger,
}

impl Codec for Actions {
    const TYPE: ContentTypeId = ContentTypeId::new("coinbase.com", "actions", 1, 0);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        match self.actions.len() {
            0 => return Err(EncodeError::NoActions),
            1..=MOST_ACTIONS => {}
            count => return Err(EncodeError::TooManyActions(count)),
        }
        let mut ids = HashSet::new();
        if let Some(at) = self.actions.iter().position(|it| !ids.insert(&it.id)) {
            return Err(EncodeError::DuplicateAction(at + 1));
        }
        let json = serde_json::to_vec(self).map_err(|_| EncodeError::Time("expiresAt"))?;
        Ok(Parts::of(Self::TYPE).content(json))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        Ok(serde_json::from_slice(&parts.content)?)
    }

    fn fallback(&self) -> Option<String> {
        let mut text = format!("{}\n\n", self.description);
        for (at, action) in self.actions.iter().enumerate() {
            text += &format!("[{}] {}\n", at + 1, action.label);
        }
        text += "\nReply with the number to select";
        Some(text)
    }
}

/// Milliseconds since the Unix epoch, as text with exactly three digits behind the second.
mod rfc3339 {
    use super::*;

    pub(super) fn serialize<S: Serializer>(time: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
        let Some(ms) = time else {
            return to.serialize_none();
        };
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(*ms) * NS_PER_MS);
        let moment = moment.ok().filter(|moment| moment.year() >= 0);
        let moment = moment.ok_or_else(|| S::Error::custom("not in the years 0 to 9999"))?;
        to.collect_str(&format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            moment.year(),
            u8::from(moment.month()),
            moment.day(),
            moment.hour(),
            moment.minute(),
            moment.second(),
            moment.millisecond()
        ))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let moment = OffsetDateTime::parse(&text, &Rfc3339)
            .map_err(|_| D::Error::custom("not a time of RFC 3339"))?;
        let ms = moment.unix_timestamp_nanos().div_euclid(NS_PER_MS);
        i64::try_from(ms).map(Some).map_err(D::Error::custom)
    }

    const NS_PER_MS: i128 = 1_000_000;
}

/// More do not fit on a phone, the official clients say.
const MOST_ACTIONS: usize = 10;

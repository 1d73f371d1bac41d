//! `coinbase.com/intent:1.0` (XIP-67)

use std::{collections::BTreeMap, str::FromStr};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// The choice that was picked from [`Actions`](super::Actions).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Intent {
    /// The id of the set of choices.
    pub id: String,
    /// The id of the choice.
    pub action_id: String,
    /// What the app adds: at most 10240 bytes are sent.
    pub metadata: Option<JsonObject>,
}

impl Codec for Intent {
    const TYPE: ContentTypeId = ContentTypeId::new("coinbase.com", "intent", 1, 0);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        let metadata = match &self.metadata {
            Some(JsonObject(text)) if text.len() > MOST_METADATA_BYTES => {
                return Err(EncodeError::MetadataTooLarge(text.len()));
            }
            Some(JsonObject(text)) => {
                Some(RawValue::from_string(text.clone()).expect("it parsed before"))
            }
            None => None,
        };
        let json = Json {
            id: self.id.clone(),
            action_id: self.action_id.clone(),
            metadata,
        };
        let json = serde_json::to_vec(&json).expect("texts and JSON are JSON");
        Ok(Parts::of(Self::TYPE).content(json))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        let json: Json = serde_json::from_slice(&parts.content)?;
        let metadata = json.metadata.map(|raw| raw.get().parse());
        Ok(Self {
            id: json.id,
            action_id: json.action_id,
            metadata: metadata.transpose()?,
        })
    }

    fn fallback(&self) -> Option<String> {
        Some(format!("User selected action: {}", self.action_id))
    }
}

/// The text of a JSON object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JsonObject(String);

impl JsonObject {
    /// The text, as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JsonObject {
    type Err = DecodeError;

    /// Takes any JSON object, and keeps its text.
    fn from_str(text: &str) -> Result<Self, DecodeError> {
        let _: BTreeMap<String, IgnoredAny> = serde_json::from_str(text)?;
        // A raw value has no white space around it.
        Ok(Self(text.trim().to_owned()))
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    id: String,
    #[serde(alias = "action_id")]
    action_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
}

const MOST_METADATA_BYTES: usize = 10_240;

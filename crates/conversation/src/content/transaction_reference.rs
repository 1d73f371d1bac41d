//! `xmtp.org/transactionReference:1.0` (XIP-21)

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// A transaction on a chain. Nothing in it is checked against the chain.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionReference {
    /// The family of chains, `eip155` for Ethereum's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The chain. Some clients write a number.
    #[serde(deserialize_with = "text_or_number")]
    pub network_id: String,
    /// The transaction's hash.
    pub reference: String,
    /// What the transaction is, as far as the sender says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TransactionMetadata>,
}

/// What a transaction is, as far as the sender says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionMetadata {
    /// `transfer`, for example.
    pub transaction_type: String,
    /// The symbol of the currency.
    pub currency: String,
    /// How much, in the currency's smallest unit.
    pub amount: f64,
    /// How many digits of `amount` are behind the point.
    pub decimals: u32,
    /// Who pays.
    pub from_address: String,
    /// Who is paid.
    pub to_address: String,
}

impl Codec for TransactionReference {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("transactionReference", 1);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        if self
            .metadata
            .as_ref()
            .is_some_and(|it| !it.amount.is_finite())
        {
            return Err(EncodeError::NotFinite("metadata.amount"));
        }
        let json = serde_json::to_vec(self).expect("texts and numbers are JSON");
        Ok(Parts::of(Self::TYPE).content(json))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        Ok(serde_json::from_slice(&parts.content)?)
    }

    fn fallback(&self) -> Option<String> {
        Some(if self.reference.is_empty() {
            "Crypto transaction".to_owned()
        } else {
            format!(
                "[Crypto transaction] Use a blockchain explorer to learn more using the \
                 transaction hash: {}",
                self.reference
            )
        })
    }
}

fn text_or_number<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    match Value::deserialize(value)? {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(D::Error::custom("neither text nor number")),
    }
}

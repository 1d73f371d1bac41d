//! `xmtp.org/walletSendCalls:1.0` (XIP-59)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Codec, ContentTypeId, DecodeError, EncodeError, Parts};

/// A request that the recipient's wallet makes calls (EIP-5792). Never carried out without asking
/// the person, and never before the chain was looked at.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WalletSendCalls {
    /// The version of the request's form.
    pub version: String,
    /// The chain's number as `0x` and hex digits.
    pub chain_id: String,
    /// The account that is to make the calls.
    pub from: String,
    /// The calls, in order.
    pub calls: Vec<Call>,
    /// What the wallet is to be able to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<BTreeMap<String, String>>,
}

/// One call. Numbers and bytes are `0x` and hex digits.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Call {
    /// The account or contract that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What is given to the contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// How much is paid, in the chain's smallest unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// How much the call may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gas: Option<String>,
    /// What the call is for, as far as the sender says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<CallMetadata>,
}

/// What a call is for, as far as the sender says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallMetadata {
    /// In words.
    pub description: String,
    /// `transfer`, for example.
    pub transaction_type: String,
    /// Anything else.
    #[serde(flatten)]
    pub other: BTreeMap<String, String>,
}

impl Codec for WalletSendCalls {
    const TYPE: ContentTypeId = ContentTypeId::xmtp("walletSendCalls", 1);
    const SHOULD_PUSH: bool = true;

    fn to_parts(&self) -> Result<Parts, EncodeError> {
        Ok(Parts::of(Self::TYPE).content(self.json()))
    }

    fn from_parts(parts: &Parts) -> Result<Self, DecodeError> {
        Ok(serde_json::from_slice(&parts.content)?)
    }

    fn fallback(&self) -> Option<String> {
        Some(format!("[Transaction request generated]: {}", self.json()))
    }
}

impl WalletSendCalls {
    fn json(&self) -> String {
        serde_json::to_string(self).expect("texts are JSON")
    }
}

//! The five kinds of signature, as they came and as they were verified.
//!
//! All signatures of an update are over the same [`SignedText`], so what verifying needs from
//! the text is computed once, however many signatures there are.

mod contract;
mod ecdsa;
mod installation;
mod legacy;
mod passkey;

use std::{cell::OnceCell, fmt};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use folkmoot_wire::{InstallationKey, proto::xmtp::identity::associations as proto};
use sha2::{Digest, Sha512};

use self::{contract::AccountId, legacy::DelegatedKey, passkey::Assertion};
pub use self::{
    contract::{AccountIdError, ContractCheck, ContractVerdicts},
    installation::verify_public_signature,
};
pub(crate) use self::{
    ecdsa::{address, eip191_hash},
    installation::{PUBLIC_CONTEXT, UPDATE_CONTEXT},
};
use crate::{DecodeError, MemberIdentifier};

/// A signature of an update: well formed, but not verified.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Signature(Form);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Form {
    /// 65 bytes of R, S, V over the EIP-191 hash, if right.
    Erc191(Bytes),
    /// Whatever the contract understands.
    Contract {
        account: AccountId,
        block: u64,
        bytes: Bytes,
    },
    /// Ed25519ph, 64 bytes if right.
    Installation { key: VerifyingKey, bytes: Bytes },
    /// As [`Form::Erc191`], by a key of XMTP v2.
    Delegated { key: DelegatedKey, bytes: Bytes },
    /// WebAuthn.
    Passkey(Assertion),
}

impl Signature {
    /// A wallet's signature (EIP-191): 65 bytes, R, S with S in the lower half, and V, which is 0,
    /// 1, 27 or 28.
    #[must_use]
    pub fn erc_191(bytes: impl Into<Bytes>) -> Self {
        Self(Form::Erc191(bytes.into()))
    }

    /// A contract wallet's signature (ERC-1271, or ERC-6492 before it is deployed).
    /// `account_id` is `eip155:CHAIN:ADDRESS`; the contract is asked at `block`.
    ///
    /// # Errors
    ///
    /// [`AccountIdError`] when `account_id` is not spelled as CAIP-10 says. Chains other than
    /// EVM ones pass here and are refused by [`IdentityUpdate::verify`].
    ///
    /// [`IdentityUpdate::verify`]: crate::IdentityUpdate::verify
    pub fn contract(
        account_id: &str,
        block: u64,
        bytes: impl Into<Bytes>,
    ) -> Result<Self, AccountIdError> {
        Ok(Self(Form::Contract {
            account: account_id.parse()?,
            block,
            bytes: bytes.into(),
        }))
    }

    /// A passkey's signature: the parts of a WebAuthn assertion whose challenge was the whole
    /// signature text. `key` is the SEC1 public key, `signature` is DER.
    #[must_use]
    pub fn passkey(
        key: impl Into<Bytes>,
        signature: impl Into<Bytes>,
        authenticator_data: impl Into<Bytes>,
        client_data_json: impl Into<Bytes>,
    ) -> Self {
        Self(Form::Passkey(Assertion {
            key: key.into(),
            signature: signature.into(),
            authenticator_data: authenticator_data.into(),
            client_data_json: client_data_json.into(),
        }))
    }

    pub(crate) fn installation(key: VerifyingKey, bytes: impl Into<Bytes>) -> Self {
        Self(Form::Installation {
            key,
            bytes: bytes.into(),
        })
    }

    /// Reads the message form. `field` is its path, for error texts.
    pub(crate) fn from_proto(
        signature: Option<proto::Signature>,
        field: &str,
    ) -> Result<Self, DecodeError> {
        use proto::signature::Signature as Kind;
        let missing = || DecodeError::missing(field);
        let kind = signature.and_then(|signature| signature.signature);
        Ok(Self(match kind.ok_or_else(missing)? {
            Kind::Erc191(signature) => Form::Erc191(signature.bytes),
            Kind::Erc6492(signature) => Form::Contract {
                account: signature
                    .account_id
                    .parse()
                    .map_err(|_| DecodeError::AccountId {
                        field: format!("{field}.erc_6492.account_id"),
                    })?,
                block: signature.block_number,
                bytes: signature.signature,
            },
            Kind::InstallationKey(signature) => {
                let field = || format!("{field}.installation_key.public_key");
                let key = InstallationKey::try_from(&signature.public_key[..]).map_err(|_| {
                    DecodeError::InstallationKeyLength {
                        field: field(),
                        length: signature.public_key.len(),
                    }
                })?;
                Form::Installation {
                    key: VerifyingKey::from_bytes(key.as_bytes())
                        .map_err(|_| DecodeError::InstallationKey { field: field() })?,
                    bytes: signature.bytes,
                }
            }
            Kind::DelegatedErc191(signature) => {
                let within =
                    |name| DecodeError::missing(format!("{field}.delegated_erc_191.{name}"));
                let key = signature.delegated_key;
                let bytes = signature.signature;
                Form::Delegated {
                    bytes: bytes.ok_or_else(|| within("signature"))?.bytes,
                    key: key.ok_or_else(|| within("delegated_key"))?.into(),
                }
            }
            Kind::Passkey(signature) => Form::Passkey(Assertion {
                key: signature.public_key,
                signature: signature.signature,
                authenticator_data: signature.authenticator_data,
                client_data_json: signature.client_data_json,
            }),
        }))
    }

    /// The message form.
    pub(crate) fn to_proto(&self) -> proto::Signature {
        use proto::signature::Signature as Kind;
        let kind = match &self.0 {
            Form::Erc191(bytes) => Kind::Erc191(proto::RecoverableEcdsaSignature {
                bytes: bytes.clone(),
            }),
            Form::Contract {
                account,
                block,
                bytes,
            } => Kind::Erc6492(proto::SmartContractWalletSignature {
                account_id: account.to_string(),
                block_number: *block,
                signature: bytes.clone(),
            }),
            Form::Installation { key, bytes } => {
                Kind::InstallationKey(proto::RecoverableEd25519Signature {
                    bytes: bytes.clone(),
                    public_key: key.as_bytes().to_vec().into(),
                })
            }
            Form::Delegated { key, bytes } => {
                Kind::DelegatedErc191(proto::LegacyDelegatedSignature {
                    delegated_key: Some(key.to_proto()),
                    signature: Some(proto::RecoverableEcdsaSignature {
                        bytes: bytes.clone(),
                    }),
                })
            }
            Form::Passkey(assertion) => Kind::Passkey(proto::RecoverablePasskeySignature {
                public_key: assertion.key.clone(),
                signature: assertion.signature.clone(),
                authenticator_data: assertion.authenticator_data.clone(),
                client_data_json: assertion.client_data_json.clone(),
            }),
        };
        proto::Signature {
            signature: Some(kind),
        }
    }

    /// The question that only the contract can answer. `None` for other kinds of signature, and
    /// for accounts of which we know without asking that [`Signature::verify`] refuses them.
    pub(crate) fn contract_check(&self, text: &SignedText) -> Option<ContractCheck> {
        match &self.0 {
            Form::Contract {
                account,
                block,
                bytes,
            } => account.check(text.eip191, bytes, Some(*block)).ok(),
            _ => None,
        }
    }

    /// Finds out who signed `text`.
    pub(crate) fn verify(
        &self,
        text: &SignedText,
        verdicts: &ContractVerdicts,
    ) -> Result<VerifiedSignature, SignatureError> {
        match &self.0 {
            Form::Erc191(bytes) => {
                let recovered = ecdsa::recover(&text.eip191, bytes, "erc_191")?;
                Ok(VerifiedSignature {
                    signer: MemberIdentifier::Ethereum(recovered.address),
                    kind: SignatureKind::Erc191,
                    replay_bytes: recovered.normalized.to_vec(),
                    chain_id: None,
                })
            }
            Form::Contract {
                account,
                block,
                bytes,
            } => {
                let check = account.check(text.eip191, bytes, Some(*block))?;
                verdicts.require(&check)?;
                Ok(VerifiedSignature {
                    signer: MemberIdentifier::Ethereum(account.address()),
                    kind: SignatureKind::Erc1271,
                    replay_bytes: bytes.to_vec(),
                    chain_id: Some(check.chain_id),
                })
            }
            Form::Installation { key, bytes } => {
                installation::verify(key, text.sha512.clone(), UPDATE_CONTEXT, bytes)?;
                let key = InstallationKey::from_bytes(key.to_bytes());
                Ok(VerifiedSignature {
                    signer: MemberIdentifier::Installation(key),
                    kind: SignatureKind::InstallationKey,
                    replay_bytes: bytes.to_vec(),
                    chain_id: None,
                })
            }
            Form::Delegated { key, bytes } => {
                let field = "delegated_erc_191.signature";
                let signer = ecdsa::recover(&text.eip191, bytes, field)?;
                let wallet = key.wallet_that_vouched_for(&signer.address)?;
                Ok(VerifiedSignature {
                    signer: MemberIdentifier::Ethereum(wallet.address),
                    kind: SignatureKind::LegacyDelegated,
                    replay_bytes: wallet.normalized.to_vec(),
                    chain_id: None,
                })
            }
            Form::Passkey(assertion) => {
                let verified = assertion.verify(text.challenge())?;
                Ok(VerifiedSignature {
                    signer: MemberIdentifier::Passkey(verified.passkey),
                    kind: SignatureKind::P256,
                    replay_bytes: verified.r_and_s,
                    chain_id: None,
                })
            }
        }
    }
}

/// A text and what the kinds of signature make of it before they sign.
pub(crate) struct SignedText {
    text: String,
    eip191: [u8; 32],
    sha512: Sha512,
    challenge: OnceCell<String>,
}

impl SignedText {
    pub(crate) fn new(text: String) -> Self {
        Self {
            eip191: eip191_hash(&text),
            sha512: Sha512::new_with_prefix(&text),
            challenge: OnceCell::new(),
            text,
        }
    }

    /// What a passkey has to be challenged with.
    fn challenge(&self) -> &str {
        self.challenge
            .get_or_init(|| BASE64_URL_SAFE_NO_PAD.encode(&self.text))
    }
}

/// A signature that holds. [`Signature::verify`] is the only way to get one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct VerifiedSignature {
    pub(crate) signer: MemberIdentifier,
    pub(crate) kind: SignatureKind,
    /// What the inbox remembers, so that the signature cannot be used again.
    pub(crate) replay_bytes: Vec<u8>,
    /// Contract wallets only: the chain on which the contract was asked.
    pub(crate) chain_id: Option<u64>,
}

/// The form under which a node recognises remembered signature bytes whatever their spelling.
///
/// 65 bytes are R, S, V of secp256k1 with S in the lower half; V is left out, as it has several
/// spellings. 64 bytes are R, S of P-256, or of Ed25519, whose S has one spelling: what P-256's
/// twin of such bytes would be, no signer ever made. Other bytes stand for themselves.
pub(crate) fn replay_form(replay_bytes: &[u8]) -> Vec<u8> {
    match replay_bytes.len() {
        65 => ecdsa::low_s(&replay_bytes[..64]),
        64 => passkey::low_s(replay_bytes),
        _ => replay_bytes.to_vec(),
    }
}

/// How somebody signed. `Display` gives the word that error texts contain.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SignatureKind {
    /// A wallet's key.
    Erc191,
    /// A contract wallet.
    Erc1271,
    /// An installation.
    InstallationKey,
    /// A key of XMTP v2 for its wallet.
    LegacyDelegated,
    /// A passkey.
    P256,
}

impl fmt::Display for SignatureKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Erc191 => "erc-191",
            Self::Erc1271 => "erc-1271",
            Self::InstallationKey => "installation-key",
            Self::LegacyDelegated => "legacy-delegated",
            Self::P256 => "p256",
        })
    }
}

/// Why a signature does not hold. All but [`SignatureError::Verifier`] are final.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignatureError {
    /// The contract wallet's account cannot be asked.
    #[error("Signature validation failed: erc_6492.account_id: {0}")]
    AccountId(#[from] AccountIdError),
    /// The passkey's client data is not JSON with the strings `challenge` and `origin`, or the
    /// challenge is not the signature text.
    #[error("Signature validation failed: client_data is invalid: {0}")]
    ClientData(&'static str),
    /// The contract wallet did not make this signature.
    #[error("Signature validation failed: the contract of {account} does not accept it")]
    Contract {
        /// The account, as CAIP-10 spells it.
        account: String,
    },
    /// The bytes give no secp256k1 signer.
    #[error("Signature validation failed: {field} is not a recoverable secp256k1 signature")]
    Ecdsa {
        /// Where in the signature.
        field: &'static str,
    },
    /// A secp256k1 signature has the wrong length.
    #[error("Signature validation failed: {field} has {length} bytes, expected exactly 65 bytes")]
    EcdsaLength {
        /// Where in the signature.
        field: &'static str,
        /// How many bytes it has.
        length: usize,
    },
    /// The installation did not sign this text.
    #[error(
        "Signature validation failed: ed25519 Signature failed signature error: \
         Verification equation was not satisfied"
    )]
    Ed25519,
    /// An installation's signature has the wrong length.
    #[error("Signature validation failed: installation_key.bytes has {0} bytes, not 64")]
    Ed25519Length(usize),
    /// A key of XMTP v2 is not one.
    #[error("Signature validation failed: delegated_erc_191.delegated_key.{0}")]
    LegacyKey(&'static str),
    /// The passkey did not sign this.
    #[error("Signature validation failed: the passkey did not sign this text")]
    Passkey,
    /// The passkey's public key is not a point on P-256 in a SEC1 form.
    #[error(
        "Signature validation failed: passkey.public_key is not a P-256 key: Invalid public key"
    )]
    PasskeyKey,
    /// The passkey's signature is not an ECDSA signature in DER.
    #[error("Signature validation failed: passkey.signature is not DER")]
    PasskeySignature,
    /// Nobody could say whether a contract wallet signed; the text says why. Asking again later
    /// may help.
    #[error("contract signature not checked: {0}")]
    Verifier(String),
}

impl SignatureError {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::AccountId(AccountIdError::ChainId) => "AccountIdError::InvalidChainId",
            Self::AccountId(AccountIdError::Namespace) => "AccountIdError::MissingEip155Prefix",
            Self::AccountId(AccountIdError::Address | AccountIdError::Malformed) => {
                "IdentifierValidationError::InvalidAddresses"
            }
            Self::ClientData(_) => "SignatureError::InvalidClientData",
            Self::Contract { .. } | Self::LegacyKey(_) | Self::Passkey | Self::PasskeySignature => {
                "SignatureError::Invalid"
            }
            Self::Ecdsa { .. } | Self::EcdsaLength { .. } => "SignatureError::Signature",
            Self::Ed25519 => "SignatureError::Ed25519Error",
            Self::AccountId(AccountIdError::Hash(_)) | Self::Ed25519Length(_) => {
                "SignatureError::TryFromSliceError"
            }
            Self::PasskeyKey => "SignatureError::InvalidPublicKey",
            Self::Verifier(_) => "SignatureError::VerifierError",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replay_form_forgets_v_and_the_half_of_s() {
        let secret = crate::WalletSecret::from_bytes(&[7; 32]).unwrap();
        let signature = secret.sign_text("once");
        let mut other_v = signature;
        other_v[64] -= 27;
        assert_eq!(replay_form(&signature), replay_form(&other_v));
        assert_eq!(replay_form(&signature), signature[..64]);
        assert_ne!(
            replay_form(&signature),
            replay_form(&secret.sign_text("twice"))
        );
    }

    #[test]
    fn bytes_that_are_no_signature_are_their_own_replay_form() {
        for length in [0, 1, 63, 66, 200] {
            assert_eq!(replay_form(&vec![0xff; length]), vec![0xff; length]);
        }
        assert_eq!(replay_form(&[0xff; 64]), [0xff; 64]);
        assert_eq!(replay_form(&[0xff; 65]), [0xff; 64]);
    }
}

//! Who signs for an account.
//!
//! The client never holds an account's key by itself: it shows a text to a [`Signer`] and gets a
//! [`Signed`] back. [`WalletSecret`] is one; [`SignWith`] asks somebody else, such as a wallet app;
//! [`ContractWallet`] and [`Passkey`] say what kind of signature comes back.

use async_trait::async_trait;
use bytes::Bytes;
use folkmoot_identity::{Identifier, PasskeyIdentifier, WalletSecret};
use futures::future::BoxFuture;

/// Signs for one account.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The account.
    fn identifier(&self) -> Identifier;

    /// Signs a text that a person should see. Called once for each change of an inbox.
    ///
    /// # Errors
    ///
    /// [`SignerError`], in the signer's words.
    async fn sign(&self, text: &str) -> Result<Signed, SignerError>;
}

/// A signature, by how it was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Signed {
    /// An Ethereum key signed (EIP-191): R, S in the lower half, V, 65 bytes.
    Wallet(Bytes),
    /// A contract wallet accepts this (ERC-1271, or ERC-6492 before it is deployed).
    Contract {
        /// The chain that the contract is on.
        chain_id: u64,
        /// The block at which it accepts; `None` for the newest, which is then written down.
        block: Option<u64>,
        /// What the contract understands.
        signature: Bytes,
    },
    /// A passkey signed a challenge that is the whole text.
    Passkey {
        /// The public key, SEC1.
        public_key: Bytes,
        /// DER.
        signature: Bytes,
        /// As the authenticator gave it.
        authenticator_data: Bytes,
        /// As the browser or platform gave it.
        client_data_json: Bytes,
    },
}

/// Why nothing was signed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignerError {
    /// A person said no.
    #[error("the signature was declined")]
    Declined,
    /// The signer could not, or what came back is no signature.
    #[error("the signer failed: {0}")]
    Failed(String),
    /// The signature's kind does not fit the account.
    #[error("the signer of {0} gave a signature of another kind")]
    WrongKind(Identifier),
}

#[async_trait]
impl Signer for WalletSecret {
    fn identifier(&self) -> Identifier {
        self.identifier()
    }

    async fn sign(&self, text: &str) -> Result<Signed, SignerError> {
        let signature = self.sign_text(text);
        Ok(Signed::Wallet(Bytes::copy_from_slice(&signature)))
    }
}

/// What asks somebody for the bytes of a signature over a text.
type Ask = dyn Fn(String) -> BoxFuture<'static, Result<Vec<u8>, SignerError>> + Send + Sync;

/// Asks a closure for the signatures of an Ethereum key.
pub struct SignWith {
    identifier: Identifier,
    ask: Box<Ask>,
}

impl SignWith {
    /// A signer for `identifier` that has `ask` sign (EIP-191, 65 bytes).
    pub fn new<F>(identifier: Identifier, ask: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<u8>, SignerError>> + Send + 'static,
    {
        Self {
            identifier,
            ask: Box::new(move |text| Box::pin(ask(text))),
        }
    }
}

#[async_trait]
impl Signer for SignWith {
    fn identifier(&self) -> Identifier {
        self.identifier.clone()
    }

    async fn sign(&self, text: &str) -> Result<Signed, SignerError> {
        let signature = (self.ask)(text.to_owned()).await?;
        match signature.len() {
            65 => Ok(Signed::Wallet(signature.into())),
            other => Err(SignerError::Failed(format!(
                "a wallet's signature has 65 bytes, not {other}"
            ))),
        }
    }
}

/// Asks a closure for what a contract wallet accepts as a signature.
pub struct ContractWallet {
    identifier: Identifier,
    chain_id: u64,
    block: Option<u64>,
    ask: Box<Ask>,
}

impl ContractWallet {
    /// A signer for the contract `identifier` (an Ethereum address) on the chain `chain_id`, asked
    /// at `block` or, without one, at the newest block of when it signs.
    pub fn new<F>(
        identifier: Identifier,
        chain_id: u64,
        block: Option<u64>,
        ask: impl Fn(String) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<u8>, SignerError>> + Send + 'static,
    {
        Self {
            identifier,
            chain_id,
            block,
            ask: Box::new(move |text| Box::pin(ask(text))),
        }
    }
}

#[async_trait]
impl Signer for ContractWallet {
    fn identifier(&self) -> Identifier {
        self.identifier.clone()
    }

    async fn sign(&self, text: &str) -> Result<Signed, SignerError> {
        let signature = (self.ask)(text.to_owned()).await?;
        Ok(Signed::Contract {
            chain_id: self.chain_id,
            block: self.block,
            signature: signature.into(),
        })
    }
}

/// What a platform's WebAuthn interface gives for a challenge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assertion {
    /// DER.
    pub signature: Vec<u8>,
    /// As it is.
    pub authenticator_data: Vec<u8>,
    /// As it is.
    pub client_data_json: Vec<u8>,
}

/// A platform that can use a passkey.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Has the passkey sign `challenge`, the bytes of the text itself.
    ///
    /// # Errors
    ///
    /// [`SignerError`], in the platform's words.
    async fn assert(&self, challenge: &[u8]) -> Result<Assertion, SignerError>;
}

/// Signs with a passkey that an [`Authenticator`] holds.
pub struct Passkey<A> {
    passkey: PasskeyIdentifier,
    authenticator: A,
}

impl<A: Authenticator> Passkey<A> {
    /// A signer for the passkey with this SEC1 public key, made for `relying_party`.
    pub fn new(
        public_key: impl Into<Vec<u8>>,
        relying_party: Option<String>,
        authenticator: A,
    ) -> Self {
        Self {
            passkey: PasskeyIdentifier {
                key: public_key.into(),
                relying_party,
            },
            authenticator,
        }
    }
}

#[async_trait]
impl<A: Authenticator> Signer for Passkey<A> {
    fn identifier(&self) -> Identifier {
        Identifier::Passkey(self.passkey.clone())
    }

    async fn sign(&self, text: &str) -> Result<Signed, SignerError> {
        let assertion = self.authenticator.assert(text.as_bytes()).await?;
        Ok(Signed::Passkey {
            public_key: self.passkey.key.clone().into(),
            signature: assertion.signature.into(),
            authenticator_data: assertion.authenticator_data.into(),
            client_data_json: assertion.client_data_json.into(),
        })
    }
}

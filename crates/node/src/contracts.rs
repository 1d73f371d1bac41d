//! Questions to contract wallets (ERC-1271, ERC-6492), which somebody with a chain answers.

use async_trait::async_trait;
use folkmoot_identity::ContractCheck;

/// Answers whether a contract wallet made a signature.
#[async_trait]
pub trait ContractVerifier: Send + Sync {
    /// Asks the contract, at the block that `check` names or else at the latest.
    async fn verify(&self, check: &ContractCheck) -> Result<Verdict, VerifierError>;
}

/// What a contract answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Whether the signature is the wallet's.
    pub valid: bool,
    /// The block at which the contract was asked.
    pub block: u64,
}

/// Why there is no answer. Asking again later may help, so callers treat it as temporary.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct VerifierError(pub String);

/// A verifier without any chain: it has no answer to any question.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoContracts;

#[async_trait]
impl ContractVerifier for NoContracts {
    async fn verify(&self, check: &ContractCheck) -> Result<Verdict, VerifierError> {
        Err(VerifierError(format!(
            "no endpoint for chain eip155:{}; the operator can start the node with --evm {}=URL",
            check.chain_id, check.chain_id
        )))
    }
}

//! Signatures of contract wallets: the questions go to an EVM chain over JSON-RPC.
//!
//! [`EvmVerifier`] answers a [`ContractCheck`] with one `eth_call` at one block. The call runs
//! a small program (`probe`) that asks the wallet (ERC-1271), and calls its factory first
//! where the signature says how (ERC-6492). Where there is no contract at all, the address is
//! an ordinary account and its key is recovered here.
//!
//! A verdict belongs to a block and never changes, so verdicts are remembered. Failures are
//! not: the same question may have an answer a moment later.

mod erc6492;
mod probe;
mod recover;
mod rpc;

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, str::FromStr, time::Duration};

use async_trait::async_trait;
use lru::LruCache;
use parking_lot::Mutex;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

use folkmoot_identity::ContractCheck;
use folkmoot_node::{ContractVerifier, Verdict, VerifierError};

use self::{probe::Answer, rpc::Rpc};

pub use self::rpc::{EndpointUrl, InvalidUrl, RpcError};

/// How long an endpoint may take for one answer, unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers whether contract wallets made signatures, with one endpoint per chain.
#[derive(Debug)]
pub struct EvmVerifier {
    endpoints: BTreeMap<u64, Endpoint>,
    verdicts: Mutex<Verdicts>,
}

impl EvmVerifier {
    /// A verifier that asks these endpoints, keyed by the chain's EIP-155 number. Without
    /// any, each question gets [`EvmError::NoProvider`].
    ///
    /// Each call to an endpoint may take `timeout`; a question needs up to three.
    ///
    /// # Errors
    ///
    /// [`EvmSetupError`] when HTTPS cannot be set up, for instance because the machine has no
    /// root certificates.
    pub fn new(
        endpoints: BTreeMap<u64, EndpointUrl>,
        timeout: Duration,
    ) -> Result<Self, EvmSetupError> {
        let mut verifier = Self {
            endpoints: BTreeMap::new(),
            verdicts: Mutex::new(Verdicts(LruCache::new(REMEMBERED))),
        };
        if !endpoints.is_empty() {
            // An error says that the program installed a provider already, which is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
            let client = rpc::client().map_err(|cause| EvmSetupError(cause.to_string()))?;
            for (chain, url) in endpoints {
                let rpc = Rpc::new(client.clone(), url, timeout);
                let right_chain = OnceCell::new();
                verifier
                    .endpoints
                    .insert(chain, Endpoint { rpc, right_chain });
            }
        }
        Ok(verifier)
    }

    /// Asks the wallet at the block that `check` names, or else at the newest one.
    ///
    /// # Errors
    ///
    /// [`EvmError`] when there is no verdict; asking again later may help.
    pub async fn verify(&self, check: &ContractCheck) -> Result<Verdict, EvmError> {
        let chain = check.chain_id;
        let endpoint = self
            .endpoints
            .get(&chain)
            .ok_or(EvmError::NoProvider { chain })?;
        let answer = self.ask(endpoint, check).await;
        if let Err(cause) = &answer {
            tracing::warn!(chain, endpoint = %endpoint.rpc.url(), %cause, "no verdict on a contract signature");
        }
        answer
    }

    async fn ask(&self, endpoint: &Endpoint, check: &ContractCheck) -> Result<Verdict, EvmError> {
        let chain = check.chain_id;
        let failed = |cause| EvmError::Rpc { chain, cause };
        endpoint.check_chain(chain).await?;
        let block = match check.block {
            Some(block) => block,
            None => endpoint
                .rpc
                .number("eth_blockNumber")
                .await
                .map_err(failed)?,
        };
        let key = verdict_key(check, block);
        let known = self.verdicts.lock().0.get(&key).copied();
        let valid = match known {
            Some(valid) => valid,
            None => {
                let valid = endpoint.is_valid(check, block).await?;
                self.verdicts.lock().0.put(key, valid);
                valid
            }
        };
        Ok(Verdict { valid, block })
    }
}

#[async_trait]
impl ContractVerifier for EvmVerifier {
    async fn verify(&self, check: &ContractCheck) -> Result<Verdict, VerifierError> {
        Self::verify(self, check)
            .await
            .map_err(|cause| VerifierError(cause.to_string()))
    }
}

/// Why there is no verdict. Each cause may pass, or the operator may remove it, so the same
/// question can have an answer later.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EvmError {
    /// Nobody to ask about this chain.
    #[error("no EVM endpoint for chain eip155:{chain}; start with --evm {chain}=URL")]
    NoProvider {
        /// The chain's EIP-155 number.
        chain: u64,
    },
    /// The endpoint serves another chain than it was given for.
    #[error("the EVM endpoint for chain eip155:{chain} serves chain eip155:{found}")]
    WrongChain {
        /// The chain asked about.
        chain: u64,
        /// The chain that the endpoint serves.
        found: u64,
    },
    /// The endpoint did not answer as it should.
    #[error("the EVM endpoint for chain eip155:{chain}: {cause}")]
    Rpc {
        /// The chain's EIP-155 number.
        chain: u64,
        /// What went wrong.
        cause: RpcError,
    },
}

/// HTTPS cannot be set up.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot set up HTTPS for EVM endpoints: {0}")]
pub struct EvmSetupError(String);

/// What the flag `--evm` says: `off`, or `CHAIN=URL`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EvmOption {
    /// No chain is asked; this takes back what stands before it.
    Off,
    /// Where to ask about a chain.
    Endpoint {
        /// The chain's EIP-155 number.
        chain: u64,
        /// Its JSON-RPC endpoint.
        url: EndpointUrl,
    },
}

impl EvmOption {
    /// What a list of options comes to; of two endpoints for one chain the later one counts.
    pub fn endpoints(options: impl IntoIterator<Item = Self>) -> BTreeMap<u64, EndpointUrl> {
        let mut endpoints = BTreeMap::new();
        for option in options {
            match option {
                Self::Off => endpoints.clear(),
                Self::Endpoint { chain, url } => drop(endpoints.insert(chain, url)),
            }
        }
        endpoints
    }
}

impl FromStr for EvmOption {
    type Err = InvalidEvmOption;

    fn from_str(text: &str) -> Result<Self, InvalidEvmOption> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let (chain, url) = text.split_once('=').ok_or(InvalidEvmOption)?;
        let chain = chain.strip_prefix("eip155:").unwrap_or(chain);
        Ok(Self::Endpoint {
            chain: chain.parse().map_err(|_| InvalidEvmOption)?,
            url: url.parse().map_err(|_| InvalidEvmOption)?,
        })
    }
}

/// The text is neither `off` nor a chain and its endpoint. It is not repeated here: it may
/// hold an access key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected `off` or CHAIN=URL, such as 1=https://ethereum.example")]
pub struct InvalidEvmOption;

/// One chain's endpoint.
#[derive(Debug)]
struct Endpoint {
    rpc: Rpc,
    /// Set once the endpoint has said that it serves the chain it was given for.
    right_chain: OnceCell<()>,
}

/// The program that puts a question to a chain. `None` where no verifier can call the signature
/// valid: it ends as ERC-6492 says but is not wrapped like that, or it is so long that the
/// program would run on no chain.
#[must_use]
pub fn program(check: &ContractCheck) -> Option<Vec<u8>> {
    let signature = erc6492::unwrap(&check.signature).ok()?;
    probe::program(&check.address, &check.hash, &signature)
}

impl Endpoint {
    async fn check_chain(&self, chain: u64) -> Result<(), EvmError> {
        let ask = async || {
            let found = self.rpc.number("eth_chainId").await;
            match found.map_err(|cause| EvmError::Rpc { chain, cause })? {
                found if found == chain => Ok(()),
                found => Err(EvmError::WrongChain { chain, found }),
            }
        };
        self.right_chain.get_or_try_init(ask).await.copied()
    }

    async fn is_valid(&self, check: &ContractCheck, block: u64) -> Result<bool, EvmError> {
        let Some(program) = program(check) else {
            return Ok(false);
        };
        let call = json!({ "data": format!("0x{}", hex::encode(program)) });
        let answer = self
            .rpc
            .bytes("eth_call", json!([call, format!("{block:#x}")]))
            .await
            .and_then(|bytes| {
                Answer::from_bytes(&bytes).ok_or(RpcError::Unexpected {
                    method: "eth_call",
                    expected: "the byte that the program ends with",
                })
            })
            .map_err(|cause| EvmError::Rpc {
                chain: check.chain_id,
                cause,
            })?;
        Ok(match answer {
            Answer::Valid => true,
            Answer::Invalid => false,
            Answer::NoContract => {
                recover::is_signed_by(&check.address, &check.hash, &check.signature)
            }
        })
    }
}

/// Verdicts by [`verdict_key`].
struct Verdicts(LruCache<[u8; 32], bool>);

impl fmt::Debug for Verdicts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Verdicts({})", self.0.len())
    }
}

/// A digest of everything that a verdict depends on. Signatures can be long; this keeps the
/// memory for each verdict the same.
fn verdict_key(check: &ContractCheck, block: u64) -> [u8; 32] {
    // Each part but the last has a fixed length, so no two questions have the same bytes.
    let mut digest = Sha256::new();
    digest.update(check.chain_id.to_be_bytes());
    digest.update(check.address);
    digest.update(check.hash);
    digest.update(block.to_be_bytes());
    digest.update(&check.signature);
    digest.finalize().into()
}

/// How many verdicts are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).expect("10 000 is not 0");

#[cfg(test)]
mod tests;

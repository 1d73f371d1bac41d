//! Who signs: a key of the script's, or a contract that it owns.

use folkmoot_client::{ContractWallet, Signer, SignerError};
use folkmoot_identity::{Identifier, WalletSecret};
use serde::Deserialize;

use crate::{Failure, contents::bytes_of};

/// A contract that the key owns.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Contract {
    /// Its address.
    address: String,
    /// The chain that it is on.
    chain: u64,
    /// Who makes it, if nobody did yet.
    factory: Option<String>,
    /// How that is asked to.
    factory_call: Option<String>,
}

/// The suffix that marks a signature of a contract that is not deployed yet (ERC-6492).
const UNDEPLOYED: [u8; 32] = {
    let mut suffix = [0; 32];
    let mut index = 0;
    while index < 32 {
        suffix[index] = if index % 2 == 0 { 0x64 } else { 0x92 };
        index += 1;
    }
    suffix
};

/// The key itself.
pub(crate) fn key_of(key: &str) -> Result<WalletSecret, Failure> {
    let bytes: [u8; 32] = bytes_of(key)?
        .try_into()
        .map_err(|_| "a wallet's key has 32 bytes")?;
    Ok(WalletSecret::from_bytes(&bytes)?)
}

/// A signer for the key's own account, or for `contract`.
pub(crate) fn signer(key: &str, contract: Option<Contract>) -> Result<Box<dyn Signer>, Failure> {
    let secret = key_of(key)?;
    let Some(contract) = contract else {
        return Ok(Box::new(secret));
    };
    let identifier = Identifier::ethereum(&contract.address.to_lowercase())?;
    let chain = contract.chain;
    Ok(Box::new(ContractWallet::new(
        identifier,
        chain,
        None,
        move |text| {
            let signature = sign(&secret, &contract, &text);
            async move { signature.map_err(|cause| SignerError::Failed(cause.to_string())) }
        },
    )))
}

/// What the contract accepts: the owner's signature, wrapped while the contract is not there.
fn sign(secret: &WalletSecret, contract: &Contract, text: &str) -> Result<Vec<u8>, Failure> {
    let signature = secret.sign_text(text);
    let (Some(factory), Some(call)) = (&contract.factory, &contract.factory_call) else {
        return Ok(signature.to_vec());
    };
    let (factory, call) = (bytes_of(factory)?, bytes_of(call)?);
    // (address, bytes, bytes) by the contract ABI: three words, then the two byte strings, each
    // with its length before and zeros behind.
    let heads = 3 * WORD;
    let mut wrapped = vec![0; WORD - factory.len().min(WORD)];
    wrapped.extend(factory);
    wrapped.extend(word(heads));
    wrapped.extend(word(heads + WORD + padded(call.len())));
    for part in [call.as_slice(), signature.as_slice()] {
        wrapped.extend(word(part.len()));
        wrapped.extend(part);
        wrapped.resize(wrapped.len() + padded(part.len()) - part.len(), 0);
    }
    wrapped.extend(UNDEPLOYED);
    Ok(wrapped)
}

const WORD: usize = 32;

fn word(number: usize) -> [u8; WORD] {
    let mut word = [0; WORD];
    let digits = number.to_be_bytes();
    word[WORD - digits.len()..].copy_from_slice(&digits);
    word
}

const fn padded(length: usize) -> usize {
    length.next_multiple_of(WORD)
}

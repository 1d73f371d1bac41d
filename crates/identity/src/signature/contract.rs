//! Contract wallet signatures (ERC-1271, ERC-6492): a question to a chain, which this crate
//! puts and somebody else answers.

use std::{collections::HashMap, fmt, str::FromStr};

use super::SignatureError;

/// A question: did this contract make `signature` over `hash`?
///
/// To be answered at `block`, with the signature's deployment call if the contract is not there
/// yet (ERC-6492), else with `isValidSignature` (ERC-1271), else as a plain key's signature.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ContractCheck {
    /// The EVM chain (EIP-155).
    pub chain_id: u64,
    /// The contract's address.
    pub address: [u8; 20],
    /// The EIP-191 hash of the signed text.
    pub hash: [u8; 32],
    /// Whatever the contract understands.
    pub signature: Vec<u8>,
    /// The block at which the question is asked; `None` means the newest.
    pub block: Option<u64>,
}

impl ContractCheck {
    /// The question about the account `eip155:CHAIN:ADDRESS` (CAIP-10; letters of the address in
    /// any case).
    ///
    /// # Errors
    ///
    /// [`AccountIdError`] when `account_id` is something else; [`AccountIdError::Hash`] when
    /// `hash` does not have 32 bytes.
    pub fn parse(
        account_id: &str,
        hash: &[u8],
        signature: &[u8],
        block: Option<u64>,
    ) -> Result<Self, AccountIdError> {
        let hash = hash
            .try_into()
            .map_err(|_| AccountIdError::Hash(hash.len()))?;
        account_id
            .parse::<AccountId>()?
            .check(hash, signature, block)
    }
}

/// The account of [`ContractCheck`], as CAIP-10 spells it.
fn account_of(check: &ContractCheck) -> String {
    format!("eip155:{}:0x{}", check.chain_id, hex::encode(check.address))
}

/// Answers to [`ContractCheck`]s. An answer is whether the contract accepts the signature, or
/// why nobody could find out.
#[derive(Clone, Debug, Default)]
pub struct ContractVerdicts(HashMap<ContractCheck, Result<bool, String>>);

impl ContractVerdicts {
    /// No answers. Enough for updates whose [`contract_checks`] are empty.
    ///
    /// [`contract_checks`]: crate::IdentityUpdate::contract_checks
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer. A later answer to the same question replaces the earlier one.
    pub fn insert(&mut self, check: ContractCheck, verdict: Result<bool, String>) {
        self.0.insert(check, verdict);
    }

    /// Succeeds when the contract accepts the signature.
    pub(super) fn require(&self, check: &ContractCheck) -> Result<(), SignatureError> {
        match self.0.get(check) {
            Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(SignatureError::Contract {
                account: account_of(check),
            }),
            Some(Err(why)) => Err(SignatureError::Verifier(why.clone())),
            None => Err(SignatureError::Verifier(format!(
                "verifier not present for {}",
                account_of(check)
            ))),
        }
    }
}

impl FromIterator<(ContractCheck, Result<bool, String>)> for ContractVerdicts {
    fn from_iter<I>(verdicts: I) -> Self
    where
        I: IntoIterator<Item = (ContractCheck, Result<bool, String>)>,
    {
        Self(verdicts.into_iter().collect())
    }
}

/// An account in the spelling of CAIP-10, on any kind of chain.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct AccountId {
    namespace: String,
    reference: String,
    address: String,
}

impl AccountId {
    /// The address under which the account is a member.
    pub(super) fn address(&self) -> String {
        self.address.to_ascii_lowercase()
    }

    /// The question whether the account signed `hash`.
    pub(super) fn check(
        &self,
        hash: [u8; 32],
        signature: &[u8],
        block: Option<u64>,
    ) -> Result<ContractCheck, AccountIdError> {
        if self.namespace != "eip155" {
            return Err(AccountIdError::Namespace);
        }
        let chain_id = self.reference.parse();
        let digits = self.address.strip_prefix("0x").unwrap_or(&self.address);
        let mut address = [0; 20];
        hex::decode_to_slice(digits, &mut address).map_err(|_| AccountIdError::Address)?;
        Ok(ContractCheck {
            chain_id: chain_id.map_err(|_| AccountIdError::ChainId)?,
            address,
            hash,
            signature: signature.to_vec(),
            block,
        })
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, AccountIdError> {
        let mut parts = text.split(':');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(namespace), Some(reference), Some(address), None) = parts else {
            return Err(AccountIdError::Malformed);
        };
        let well_formed = (3..=8).contains(&namespace.len())
            && (1..=32).contains(&reference.len())
            && (1..=128).contains(&address.len())
            && namespace
                .bytes()
                .all(|it| matches!(it, b'-' | b'a'..=b'z' | b'0'..=b'9'))
            && reference
                .bytes()
                .all(|it| matches!(it, b'-' | b'_') || it.is_ascii_alphanumeric())
            && address
                .bytes()
                .all(|it| matches!(it, b'-' | b'.' | b'%') || it.is_ascii_alphanumeric());
        if !well_formed {
            return Err(AccountIdError::Malformed);
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            reference: reference.to_owned(),
            address: address.to_owned(),
        })
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace,
            reference,
            address,
        } = self;
        write!(formatter, "{namespace}:{reference}:{address}")
    }
}

/// Why a contract wallet cannot be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AccountIdError {
    /// The address is not 40 hex digits, with or without `0x`.
    #[error("the address is not `0x` and 40 hex digits")]
    Address,
    /// The chain is not a decimal number of 64 bits.
    #[error("Chain ID is not a valid u64")]
    ChainId,
    /// The hash does not have 32 bytes.
    #[error("the hash has {0} bytes, not 32")]
    Hash(usize),
    /// Not the form of CAIP-10.
    #[error("not a CAIP-10 account id, such as eip155:1:0x followed by 40 hex digits")]
    Malformed,
    /// Not an EVM chain.
    #[error("Chain ID is not prefixed with eip155:")]
    Namespace,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "0xAbAbabababababababababababababababababab";

    #[test]
    fn an_account_id_is_spelled_as_caip_10_says() {
        let parse = |account: &str| ContractCheck::parse(account, &[1; 32], b"sig", Some(5));
        let check = parse(&format!("eip155:8453:{ADDRESS}")).unwrap();
        assert_eq!(check.chain_id, 8453);
        assert_eq!(check.address, [0xab; 20]);
        assert_eq!(check.block, Some(5));
        assert_eq!(
            parse(&format!("foo:1:{ADDRESS}")),
            Err(AccountIdError::Namespace)
        );
        assert_eq!(
            parse(&format!("eip155:x:{ADDRESS}")),
            Err(AccountIdError::ChainId)
        );
        assert_eq!(
            parse(&format!("eip155:18446744073709551616:{ADDRESS}")),
            Err(AccountIdError::ChainId)
        );
        assert_eq!(parse("eip155:1:0x12"), Err(AccountIdError::Address));
        for malformed in [
            "",
            "eip155:1",
            "eip155:1:",
            "eip155::0x12",
            "ei:1:0x12",
            "eip155155:1:0x12",
            "Eip155:1:0x12",
            "eip155:1:0x12:",
            "eip155:+1:0x12",
            "eip155:1: 0x12",
            &format!("eip155:1:{}", "a".repeat(129)),
        ] {
            assert_eq!(
                parse(malformed),
                Err(AccountIdError::Malformed),
                "{malformed}"
            );
        }
        let short = ContractCheck::parse(&format!("eip155:1:{ADDRESS}"), &[1; 31], b"", None);
        assert_eq!(short, Err(AccountIdError::Hash(31)));
    }

    #[test]
    fn an_unanswered_question_can_be_asked_again() {
        let check =
            ContractCheck::parse(&format!("eip155:1:{ADDRESS}"), &[1; 32], b"sig", None).unwrap();
        let mut verdicts = ContractVerdicts::new();
        let error = verdicts.require(&check).unwrap_err();
        assert!(
            error.to_string().contains("verifier not present"),
            "{error}"
        );
        verdicts.insert(check.clone(), Err("the endpoint is down".to_owned()));
        let error = verdicts.require(&check).unwrap_err();
        assert_eq!(
            error,
            SignatureError::Verifier("the endpoint is down".to_owned())
        );
        verdicts.insert(check.clone(), Ok(true));
        assert_eq!(verdicts.require(&check), Ok(()));
    }
}

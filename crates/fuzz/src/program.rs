//! What the program reads: its configuration, and signatures of contract wallets.

use std::path::Path;

use folkmoot::{config::Config, evm};
use folkmoot_identity::ContractCheck;

/// A configuration file; after a zero byte may follow environment variables, each `NAME=VALUE`
/// on a line of its own.
pub fn config(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (file, variables) = text.split_once('\0').unwrap_or((text, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    match Config::parse(file, Path::new("folkmoot.toml"), variables) {
        Ok(config) => {
            let (listen, limits) = (config.listen(), config.limits());
            assert!(listen.is_ok() && limits.is_ok(), "what was checked holds");
            assert!(config.evm_endpoints().is_ok() && config.admin_address().is_ok());
            let _ = (config.node(), config.retention(), config.history());
        }
        Err(cause) => assert!(!cause.to_string().is_empty()),
    }
}

/// Questions to contract wallets: a byte for the length of the account id, the account id, and
/// hash and signature.
pub fn contract_account(data: &[u8]) {
    let Some((length, rest)) = super::first(data) else {
        return;
    };
    let (account, rest) = rest.split_at(length.min(rest.len()));
    let (hash, signature) = rest.split_at(rest.len().min(32));
    let Ok(account) = str::from_utf8(account) else {
        return;
    };
    if let Ok(check) = ContractCheck::parse(account, hash, signature, None) {
        assert_eq!(check.hash, hash);
        let rest = account.strip_prefix("eip155:").expect("an EVM account");
        let (chain, _) = rest.split_once(':').expect("a chain and an address");
        assert_eq!(chain.parse(), Ok(check.chain_id));
        if let Some(program) = evm::program(&check) {
            assert!(program.windows(20).any(|bytes| bytes == check.address));
        }
    }
}

//! What the program reads: its configuration, files of people, lines of bots, and signatures of
//! contract wallets.

use std::path::Path;

use folkmoot::{
    config::Config,
    evm,
    inputs::{self, BotForm},
};
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

/// Lines of a bot: the first byte says in which form.
pub fn bot_line(data: &[u8]) {
    let Some((form, line)) = super::first(data) else {
        return;
    };
    let form = match form % 2 {
        0 => BotForm::Json,
        _ => BotForm::Text,
    };
    match inputs::bot_line(line, form) {
        Ok(None) => assert!(str::from_utf8(line).is_ok_and(|line| line.trim().is_empty())),
        Ok(Some(word)) => assert!(!word.is_empty()),
        Err(cause) => {
            assert!(!cause.is_empty());
            assert!(
                !cause.contains('\n'),
                "what happened is one line: {cause:?}"
            );
        }
    }
}

/// A `.env` file.
pub fn env_file(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (assignments, wrong) = inputs::environment_file(text);
    for (name, _) in &assignments {
        assert!(!name.is_empty() && !name.contains(char::is_whitespace));
    }
    let lines = text.lines().count();
    assert!(wrong.is_sorted() && wrong.iter().all(|line| (1..=lines).contains(line)));
    assert!(assignments.len() + wrong.len() <= lines);
    // A file of plain assignments says the same again.
    let plain = |value: &str| value.chars().all(|one| one.is_ascii_alphanumeric());
    let plain: Vec<_> = assignments
        .into_iter()
        .filter(|(name, value)| plain(name) && name != "export" && plain(value))
        .collect();
    let file: String = plain
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    assert_eq!(inputs::environment_file(&file), (plain, Vec::new()));
}

/// `contacts.toml`.
pub fn contacts(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match inputs::contacts(text) {
        Ok(written) => assert_eq!(inputs::contacts(&written), Ok(written)),
        Err(cause) => assert!(!cause.is_empty()),
    }
}

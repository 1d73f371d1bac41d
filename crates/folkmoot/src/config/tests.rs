use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("folkmoot.toml"), [])
}

fn with(variable: &str, value: &str) -> Result<Config, ConfigError> {
    let variables = [(variable.to_owned(), value.to_owned())];
    Config::parse("", Path::new("folkmoot.toml"), variables)
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn the_shipped_example_spells_out_the_defaults() {
    assert_eq!(toml::from_str(EXAMPLE), Ok(Config::default()));
}

#[test]
fn the_shipped_example_names_every_key_and_says_what_it_means() {
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let lines: Vec<_> = EXAMPLE.lines().collect();
    for (section, keys) in &defaults {
        assert!(
            lines
                .iter()
                .any(|line| line.trim_matches(['[', ']']) == section
                    || line.starts_with(&format!("[{section}."))),
            "[{section}] is missing"
        );
        for key in keys.as_table().unwrap().keys() {
            let place = lines.iter().position(|line| {
                line.starts_with(&format!("{key} = ")) || *line == format!("[{section}.{key}]")
            });
            let place = place.unwrap_or_else(|| panic!("{key} in [{section}] is missing"));
            assert!(
                lines[place - 1].starts_with('#'),
                "{key} in [{section}] is not explained"
            );
        }
    }
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_line() {
    let text = refusal("[node]\nid = 100\nnmae = \"x\"\n");
    assert!(
        text.starts_with("folkmoot.toml, line 3: unknown field `nmae`"),
        "{text}"
    );
    let text = refusal("[listens]\n");
    assert!(
        text.starts_with("folkmoot.toml, line 1: unknown field `listens`"),
        "{text}"
    );
}

#[test]
fn a_variable_overrides_a_key_by_one_rule() {
    assert_eq!(with("FOLKMOOT_NODE__ID", "200").unwrap().node.id, 200);
    let addresses = with("FOLKMOOT_LISTEN__ADDRESSES", "127.0.0.1:1, [::1]:2").unwrap();
    assert_eq!(addresses.listen.addresses.len(), 2);
    assert!(
        !with("FOLKMOOT_LIMITS__ENABLED", "false")
            .unwrap()
            .limits
            .enabled
    );
    let filter = with("FOLKMOOT_LOG__FILTER", "0").unwrap();
    assert_eq!(filter.log.filter, "0");
    let chain = with("FOLKMOOT_EVM__ENDPOINTS__1", "http://127.0.0.1:8545").unwrap();
    assert_eq!(chain.evm_endpoints().unwrap().len(), 1);
    assert_eq!(with("FOLKMOOT_LOG", "debug").unwrap(), Config::default());
    assert_eq!(with("PATH__X", "debug").unwrap(), Config::default());
}

#[test]
fn a_variable_that_overrides_nothing_is_named() {
    let text = with("FOLKMOOT_NODE__NAME", "x").unwrap_err().to_string();
    assert_eq!(
        text,
        "FOLKMOOT_NODE__NAME overrides nothing: there is no name in [node]"
    );
    let text = with("FOLKMOOT_NODES__ID", "x").unwrap_err().to_string();
    assert!(text.contains("FOLKMOOT_NODES__ID"), "{text}");
    let text = with("FOLKMOOT_NODE__ID", "many").unwrap_err().to_string();
    assert_eq!(
        text,
        "the value of FOLKMOOT_NODE__ID does not fit; expected a whole number"
    );
    let text = with("FOLKMOOT_LOG__FORMAT", "loud")
        .unwrap_err()
        .to_string();
    assert!(text.contains("unknown variant `loud`"), "{text}");
}

#[test]
fn values_without_sense_are_refused_with_their_key() {
    for (text, key) in [
        ("[node]\nid = 150", "id in [node]"),
        (
            "[node]\npublic_url = \"chat.example\"",
            "public_url in [node]",
        ),
        ("[listen]\naddresses = []", "addresses in [listen]"),
        ("[listen]\ntls_key = \"key.pem\"", "tls_key in [listen]"),
        (
            "[listen]\ntrusted_proxies = [\"proxy\"]",
            "trusted_proxies in [listen]",
        ),
        (
            "[listen]\nheader_timeout_seconds = 0",
            "header_timeout_seconds in [listen]",
        ),
        ("[limits]\ndenied = [\"10.0.0.1/8\"]", "denied in [limits]"),
        ("[limits]\nin_flight_mib = 1", "in_flight_mib in [limits]"),
        ("[limits]\ncalls_burst = 0", "calls_burst in [limits]"),
        ("[evm.endpoints]\nmain = \"http://x\"", "endpoints in [evm]"),
        ("[admin]\naddress = \"here\"", "address in [admin]"),
    ] {
        let refused = refusal(text);
        assert!(refused.starts_with(key), "{text}: {refused}");
    }
}

#[test]
fn a_secret_url_is_not_repeated() {
    let refused = refusal("[evm.endpoints]\n1 = \"ftp://s3cret\"");
    assert!(!refused.contains("s3cret"), "{refused}");
}

#[test]
fn a_missing_file_is_named() {
    let missing = Config::load(Path::new("/nowhere/folkmoot.toml"), []).unwrap_err();
    assert_eq!(missing.to_string(), "there is no /nowhere/folkmoot.toml");
}

#[test]
fn defaults_become_what_the_crates_below_take() {
    let config = Config::default();
    assert_eq!(config.limits().unwrap(), LimitsConfig::public());
    assert_eq!(config.history(), HistoryConfig::default());
    assert_eq!(config.node().nodes[&100], "http://localhost:5556");
    assert_eq!(config.retention().messages, None);
}

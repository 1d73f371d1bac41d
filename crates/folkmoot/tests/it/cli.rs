use tempfile::TempDir;

use crate::support::{program, run, text};

#[test]
fn help_says_what_the_program_does() {
    for (name, arguments) in [
        ("help", &["--help"][..]),
        ("help_dev", &["dev", "--help"]),
        ("help_accounts", &["dev", "accounts", "--help"]),
        ("help_serve", &["serve", "--help"]),
        ("help_doctor", &["doctor", "--help"]),
        ("help_backup", &["backup", "--help"]),
        ("help_restore", &["restore", "--help"]),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0));
        insta::assert_snapshot!(name, text(&output.stdout));
    }
}

#[test]
fn wrong_usage_exits_with_two() {
    for arguments in [
        &["dance"][..],
        &["dev", "--keep"],
        &["dev", "--port-offset", "many"],
        &["dev", "--port-offset", "1", "--ports", "auto"],
        &["dev", "--faults", "rain=1%"],
        &["dev", "--evm", "mainnet"],
        &["dev", "--port-offset", "65000"],
        &["--log", "folkmoot=loud", "dev"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{arguments:?}");
    }
}

#[test]
fn a_fault_that_does_not_exist_is_answered_with_those_that_do() {
    let output = run(&["dev", "--faults", "rain=1%"]);
    insta::assert_snapshot!(text(&output.stderr));
}

#[test]
fn accounts_without_a_network_say_how_to_start_one() {
    let output = run(&["dev", "accounts", "--node", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(3));
    let told = text(&output.stderr);
    assert!(
        told.starts_with("error: no network answers at http://127.0.0.1:1"),
        "{told}"
    );
    assert!(
        told.ends_with("try: start one with `folkmoot dev`, or name yours with --node\n"),
        "{told}"
    );
}

#[test]
fn serving_without_a_configuration_says_how_to_get_one() {
    let place = TempDir::new().unwrap();
    let output = program()
        .arg("serve")
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    insta::assert_snapshot!(text(&output.stderr));
    let output = program()
        .args(["serve", "--init"])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let written = std::fs::read_to_string(place.path().join("folkmoot.toml")).unwrap();
    assert_eq!(written, folkmoot::config::EXAMPLE);
    let again = program()
        .args(["serve", "--init"])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(5));
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_line() {
    let place = TempDir::new().unwrap();
    std::fs::write(place.path().join("folkmoot.toml"), "[node]\nnmae = 1\n").unwrap();
    let output = program()
        .arg("serve")
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(text(&output.stderr));
}

#[test]
fn the_doctor_looks_at_a_machine_where_nothing_runs() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("folkmoot.toml");
    std::fs::write(
        &file,
        "[listen]\naddresses = [\"127.0.0.1:0\"]\nmax_connections = 1\n\
         [admin]\naddress = \"\"\n[disk]\nalarm_free_mib = 0\nwarn_free_mib = 0\n",
    )
    .unwrap();
    let output = program()
        .args(["doctor", "--json"])
        .current_dir(place.path())
        .output()
        .unwrap();
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{findings:?}");
    let checks: Vec<_> = findings
        .iter()
        .map(|finding| finding["check"].as_str().unwrap())
        .collect();
    assert_eq!(
        checks,
        [
            "clock",
            "configuration",
            "open files",
            "disk",
            "port",
            "database"
        ]
    );
    assert!(
        !place.path().join("folkmoot-data").exists(),
        "it leaves nothing behind"
    );

    std::fs::write(&file, "[node]\nid = 7\n").unwrap();
    let output = program()
        .arg("doctor")
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("FAILED   configuration  id in [node]: 7 is none of"));
}

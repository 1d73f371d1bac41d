//! The bench: its numbers differ from run to run, its checks and its form do not.

use serde_json::Value;

use crate::support::{Running, run, text};

#[test]
fn a_killed_node_keeps_what_it_acknowledged_once() {
    let report = bench(&["--only", "n10"]);
    let lost = &report["results"][0];
    assert_eq!(lost["id"], "N10");
    assert_eq!(lost["metric"], "lost or doubled after 3 kills");
    assert_eq!(lost["value"], 0.0);
    assert_eq!(lost["goal"], 0.0);
    assert_eq!(lost["ok"], true);
    for floor in ["fdatasync_per_s", "echo_per_s"] {
        assert!(report["floor"][floor].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn a_node_at_an_address_is_measured_too() {
    let node = Running::start(&["dev", "--ports", "auto"]);
    let address = node.ready["v3"].as_str().unwrap();
    let report = bench(&["--only", "n5", "--against", address]);
    let metrics: Vec<&Value> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["metric"])
        .collect();
    assert_eq!(metrics, ["GetInboxIds of 1", "FetchKeyPackages of 250"]);
}

#[test]
fn nobody_elses_node_is_killed() {
    let output = run(&[
        "bench",
        "node",
        "--only",
        "n10",
        "--against",
        "http://127.0.0.1:1",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("leave out --against"));
}

/// The report of a quick bench of one round.
fn bench(arguments: &[&str]) -> Value {
    let common = ["bench", "node", "--quick", "--json", "--rounds", "1"];
    let output = run(&[&common, arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

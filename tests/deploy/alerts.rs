//! The alerts, judged by Prometheus's own tool.

use std::collections::BTreeSet;
use std::process::Command;

use keyledger_test_servers::prometheus;
use serde_json::Value;
use tempfile::TempDir;

use super::{file, yaml};
use crate::support::run;

/// Runs promtool; tells what it said, and panics if it found a mistake.
fn promtool(arguments: &[&str]) {
    let output = run(Command::new(prometheus::program("promtool")).args(arguments));
    let told = [&*output.stdout, &*output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}

/// The rules of the file.
fn rules(alerts: &Value) -> Vec<&Value> {
    let groups = alerts["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap()).collect()
}

fn texts<'a>(values: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    values.into_iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[keyledger_bounded::test]
fn prometheus_takes_the_alerts() {
    let path = file("deploy/grafana/alerts.yaml");
    promtool(&["check", "rules", "--lint-fatal", path.to_str().unwrap()]);
}

#[keyledger_bounded::test]
fn each_alert_fires_when_it_should_and_else_does_not() {
    let folder = TempDir::new().unwrap();
    let mut alerts = yaml("deploy/grafana/alerts.yaml");
    let tests = yaml("tests/deploy/alerts.yaml");
    // Otherwise the tests would have to repeat the descriptions.
    for group in alerts["groups"].as_array_mut().unwrap() {
        for rule in group["rules"].as_array_mut().unwrap() {
            rule["annotations"].as_object_mut().unwrap().remove("description").unwrap();
        }
    }
    for (name, content) in [("rules.yaml", &alerts), ("tests.yaml", &tests)] {
        std::fs::write(folder.path().join(name), content.to_string()).unwrap();
    }
    promtool(&["test", "rules", folder.path().join("tests.yaml").to_str().unwrap()]);

    let names = texts(rules(&alerts).iter().map(|rule| &rule["alert"]));
    let cases = tests["tests"].as_array().unwrap().iter();
    let cases = cases.flat_map(|test| test["alert_rule_test"].as_array().unwrap());
    let (fires, quiet): (Vec<&Value>, Vec<&Value>) =
        cases.partition(|case| case["exp_alerts"].is_array());
    assert_eq!(texts(fires.iter().map(|case| &case["alertname"])), names);
    assert_eq!(texts(quiet.iter().map(|case| &case["alertname"])), names);
}

#[keyledger_bounded::test]
fn each_alert_says_how_bad_it_is_and_is_in_the_documents() {
    let documents = std::fs::read_to_string(file("docs/operations.md")).unwrap();
    let alerts = yaml("deploy/grafana/alerts.yaml");
    for rule in rules(&alerts) {
        let name = rule["alert"].as_str().unwrap();
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name} is {severity}");
        for annotation in ["summary", "description"] {
            assert!(rule["annotations"][annotation].is_string(), "{name} has no {annotation}");
        }
        assert!(documents.contains(&format!("| `{name}` | {severity} |")), "{name}");
    }
}

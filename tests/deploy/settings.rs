//! The settings that the chart knows are those of the program.

use std::collections::BTreeSet;

use keyledger::config::{SETTINGS, Secrecy};
use serde_json::{Value, json};

use super::{FILES, Objects, file};

/// Settings that the chart gives by itself.
const SET_BY_THE_CHART: [&str; 4] = [
    "KEYLEDGER_LISTEN",
    "KEYLEDGER_INTERNAL_LISTEN",
    "KEYLEDGER_SHUTDOWN_GRACE",
    "KEYLEDGER_AUDIT_CHECKPOINTS",
];

fn schema() -> Value {
    let text = std::fs::read_to_string(file("deploy/helm/keyledger/values.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn members(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[keyledger_bounded::test]
fn the_chart_takes_every_setting_of_the_program_and_no_other() {
    let schema = &schema()["properties"];
    let open = members(&schema["settings"]["properties"]);
    let secret = &schema["secret"]["properties"];
    let files = members(&secret["files"]["properties"]);
    let values: BTreeSet<String> =
        serde_json::from_value(secret["values"]["items"]["enum"].clone()).unwrap();
    let known: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.env.to_owned()).collect();
    let mut taken = SET_BY_THE_CHART.map(ToOwned::to_owned).into_iter().collect::<BTreeSet<_>>();
    assert!(taken.is_disjoint(&open), "{open:?}");
    taken.extend([&open, &files, &values].into_iter().flatten().cloned());
    assert_eq!(taken, known, "deploy/helm/keyledger/values.schema.json and src/config/table.rs");

    for setting in SETTINGS.iter().filter(|setting| !SET_BY_THE_CHART.contains(&setting.env)) {
        let is_in = |names: &BTreeSet<String>| names.contains(setting.env);
        let fits = match setting.secrecy {
            Secrecy::Open => is_in(&open),
            // A URL without a password is no secret.
            Secrecy::Secret { .. } => {
                is_in(&values) && (setting.env.ends_with("_URL") || !is_in(&open))
            }
            Secrecy::Files => is_in(&files) && !is_in(&open),
        };
        assert!(fits, "{} is in the wrong part of the values", setting.env);
    }
}

#[keyledger_bounded::test]
fn pods_are_given_settings_that_exist_and_no_secret() {
    let is_known = |name: &str| {
        SETTINGS.iter().any(|setting| {
            setting.env == name || setting.file().is_some_and(|(_, file)| file == name)
        })
    };
    for values in FILES {
        let objects = Objects::of(values);
        let variables = objects.container()["env"].as_array().unwrap();
        let names: Vec<_> = variables.iter().map(|it| it["name"].as_str().unwrap()).collect();
        let once: BTreeSet<_> = names.iter().collect();
        assert_eq!(once.len(), names.len(), "{names:?}");
        for name in names.iter().filter(|name| name.starts_with("KEYLEDGER_")) {
            assert!(is_known(name), "{values}: {name}");
        }
        // Every file that a variable names is mounted.
        let volumes = objects.pod()["volumes"].as_array().unwrap();
        let secret = volumes.iter().find(|volume| volume["name"] == "secret").unwrap();
        let items = secret["secret"]["items"].as_array().unwrap();
        let mut mounted: Vec<_> = items.iter().map(|it| it["path"].as_str().unwrap()).collect();
        let environment = objects.environment();
        let paths = environment.iter().flat_map(|(_, value)| value.split(','));
        let mut named: Vec<_> =
            paths.filter_map(|path| path.strip_prefix("/run/secrets/keyledger/")).collect();
        mounted.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, mounted, "{values}");
        assert!(!named.is_empty(), "{values}");
    }
}

#[keyledger_bounded::test]
fn numbers_reach_the_program_as_they_were_written() {
    let more = json!({"settings": {"KEYLEDGER_MAX_KEYS_PER_OWNER": 100_000, "KEYLEDGER_NATS_REPLICAS": 5}});
    let environment = Objects::with("postgres", &more).environment();
    for (name, value) in
        [("KEYLEDGER_MAX_KEYS_PER_OWNER", "100000"), ("KEYLEDGER_NATS_REPLICAS", "5")]
    {
        assert!(environment.contains(&(name.to_owned(), value.to_owned())), "{environment:?}");
    }
}

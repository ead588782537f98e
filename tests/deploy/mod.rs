//! What is in `deploy/`: the Helm chart, the alerts and the dashboard.

mod alerts;
mod chart;
mod monitoring;
mod pods;
mod refusals;
mod settings;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::run;

/// The sets of values that come with the chart.
const FILES: [&str; 3] = ["sqlite", "postgres", "everything"];

/// A file of this repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The answer of a program of Python, with the packages of `target/tools/helm`, in JSON.
fn python(arguments: &[&str]) -> Value {
    let mut command = Command::new(file("target/tools/helm/bin/python"));
    let output = run(command.args(arguments));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A file in YAML.
fn yaml(path: &str) -> Value {
    let convert = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    python(&["-c", convert, file(path).to_str().unwrap()])
}

/// What the chart answers to one of its files of values, with these values on top.
fn answer(values: &str, more: &Value) -> Value {
    answer_to(&file(&format!("deploy/helm/keyledger/ci/{values}-values.yaml")), more)
}

/// The same for any file of values.
fn answer_to(values: &Path, more: &Value) -> Value {
    let (script, chart) = (file("tests/deploy/render.py"), file("deploy/helm/keyledger"));
    let paths = [&script, &chart, values].map(|path| path.to_str().unwrap());
    python(&[&paths[..], &[&more.to_string()]].concat())
}

/// The objects of Kubernetes that the chart renders.
struct Objects(Vec<Value>);

impl Objects {
    /// The objects for one of the chart's files of values.
    fn of(values: &str) -> Self {
        Self::with(values, &json!({}))
    }

    /// The same with these values on top.
    #[track_caller]
    fn with(values: &str, more: &Value) -> Self {
        let answer = answer(values, more);
        let Some(objects) = answer["objects"].as_array() else { panic!("{values}: {answer}") };
        Self(objects.clone())
    }

    /// All objects of a kind.
    fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The only object of a kind.
    #[track_caller]
    fn one(&self, kind: &str) -> &Value {
        let all = self.all(kind);
        assert_eq!(all.len(), 1, "objects of the kind {kind}: {all:?}");
        all[0]
    }

    /// The Deployment or the StatefulSet.
    #[track_caller]
    fn workload(&self) -> &Value {
        let all = [self.all("Deployment"), self.all("StatefulSet")].concat();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]
    }

    /// The specification of the pods.
    #[track_caller]
    fn pod(&self) -> &Value {
        &self.workload()["spec"]["template"]["spec"]
    }

    /// The only container of the pods.
    #[track_caller]
    fn container(&self) -> &Value {
        let containers = self.pod()["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 1, "{containers:?}");
        &containers[0]
    }

    /// The names and values of the container's environment that are there in clear.
    fn environment(&self) -> Vec<(String, String)> {
        let variables = self.container()["env"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        variables
            .filter_map(|variable| Some((text(&variable["name"])?, text(&variable["value"])?)))
            .collect()
    }

    /// The value of one setting.
    #[track_caller]
    fn setting(&self, name: &str) -> String {
        let found = self.environment().into_iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("{name} is not set")).1
    }
}

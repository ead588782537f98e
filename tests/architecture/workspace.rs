//! The workspace as Cargo and the file system show it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::run;

/// Our crates: name, and the folder of its sources.
pub(super) const CRATES: [(&str, &str); 17] = [
    ("keyledger", "src"),
    ("keyledger-audit", "audit/src"),
    ("keyledger-checks", "checks/src"),
    ("keyledger-commands", "commands/src"),
    ("keyledger-domain", "domain/src"),
    ("keyledger-http", "http/src"),
    ("keyledger-identity", "identity/src"),
    ("keyledger-journal", "journal/src"),
    ("keyledger-node", "node/src"),
    ("keyledger-postgres", "postgres/src"),
    ("keyledger-projections", "projections/src"),
    ("keyledger-relay", "relay/src"),
    ("keyledger-sqlite", "sqlite/src"),
    ("keyledger-telemetry", "telemetry/src"),
    ("keyledger-tlog", "tlog/src"),
    ("keyledger-vault", "vault/src"),
    ("keyledger-verifier", "verifier/src"),
];

fn cargo(arguments: &[&str]) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = run(Command::new(env!("CARGO")).args(arguments).current_dir(root));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The normal dependencies that a crate of ours names.
pub(super) fn dependencies(of: &str) -> BTreeSet<String> {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let metadata: Value = serde_json::from_str(&text).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == of).unwrap();
    let all = package["dependencies"].as_array().unwrap();
    let normal = all.iter().filter(|dependency| dependency["kind"].is_null());
    normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

/// Every crate that a crate of ours is built from, with its features.
pub(super) fn tree(of: &str) -> BTreeMap<String, String> {
    let edges = ["-e", "normal", "--prefix", "none", "--format", "{p} [{f}]"];
    let text = cargo(&[&["tree", "--offline", "-p", of][..], &edges].concat());
    let name = |line: &str| Some((line.split(' ').next()?.to_owned(), line.to_owned()));
    text.lines().filter_map(name).collect()
}

/// All source files below a folder of the repository, with their text.
pub(super) fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// The lines of a file that are neither tests nor comments. Tests stand last in a file, or in files
/// of their own.
pub(super) fn code<'a>(path: &Path, text: &'a str) -> Vec<&'a str> {
    let is_test =
        |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs" || part == "testing";
    if path.iter().any(is_test) {
        return Vec::new();
    }
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    lines.filter(|line| !line.trim_start().starts_with("//")).collect()
}

/// Whether code uses a crate: by a path that begins with its name.
pub(super) fn uses(text: &str, krate: &str) -> bool {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
        line.match_indices(&format!("{krate}::")).any(|(at, _)| {
            !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before))
        })
    })
}

#[keyledger_bounded::test]
fn the_rules_see_what_they_are_to_see() {
    assert!(uses("use sqlx::Row;", "sqlx"));
    assert!(uses("    sqlx::query(text)", "sqlx"));
    assert!(!uses("use crate::sqlx::Row;", "sqlx"));
    assert!(!uses("use my_sqlx::Row;", "sqlx"));
    assert!(!uses("// sqlx::query", "sqlx"));
}

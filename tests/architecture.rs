//! The rules of the tree: which crate may use which, and where each technology lives.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The normal dependencies of a crate of ours.
fn dependencies(of: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == of).unwrap();
    let all = package["dependencies"].as_array().unwrap();
    let normal = all.iter().filter(|dependency| dependency["kind"].is_null());
    normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
}

/// All source files below a folder of the repository, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
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

/// Whether code uses a crate: by a path that begins with its name.
fn uses(text: &str, krate: &str) -> bool {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
        line.match_indices(&format!("{krate}::")).any(|(at, _)| {
            !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before))
        })
    })
}

#[test]
fn the_domain_has_no_io_no_async_and_no_crate_of_ours() {
    let allowed = [
        "crc32fast",
        "rand",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "time",
        "uuid",
        "zeroize",
    ];
    assert_eq!(dependencies("keyledger-domain"), allowed);
    for (path, text) in sources("domain/src") {
        for word in ["async fn", ".await", "std::fs", "std::net", "std::env", "::now()"] {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn the_read_side_knows_no_journal_and_no_http() {
    let allowed = [
        "arc-swap",
        "async-trait",
        "aws-lc-rs",
        "base64",
        "crc32fast",
        "futures",
        "hashbrown",
        "keyledger-domain",
        "keyledger-postgres",
        "memchr",
        "serde",
        "serde_json",
        "sha2",
        "sqlx",
        "thiserror",
        "tokio",
        "tracing",
        "uuid",
        "zeroize",
    ];
    for dependency in dependencies("keyledger-projections") {
        assert!(allowed.contains(&&*dependency), "projections uses {dependency}");
    }
}

#[test]
fn each_technology_has_one_place() {
    let places: [(&str, &[&str]); 13] = [
        ("sqlx", &["postgres/", "projections/", "src/journal/"]),
        ("axum", &["src/http/"]),
        ("eventstore", &["src/journal/kurrentdb/"]),
        ("async_nats", &["src/relay/"]),
        ("socket2", &["src/journal/kurrentdb/"]),
        ("keyledger_postgres", &["projections/", "src/journal/"]),
        ("axum_extra", &["src/http/"]),
        ("tower_http", &["src/http/"]),
        ("utoipa", &["src/http/"]),
        ("hyper_util", &["src/http/"]),
        ("jsonwebtoken", &["src/identity/"]),
        ("clap", &["src/cli/", "src/config/"]),
        ("tracing_subscriber", &["src/telemetry.rs", "src/config/"]),
    ];
    let all = ["src", "domain/src", "postgres/src", "projections/src"].map(sources).concat();
    for (krate, folders) in places {
        let mut users = 0;
        for (path, text) in &all {
            let path = path.to_string_lossy().replace('\\', "/");
            if uses(text, krate) {
                users += 1;
                let allowed = folders.iter().any(|folder| path.starts_with(folder));
                assert!(allowed, "{path} uses {krate}");
            }
        }
        assert!(users > 0, "nobody uses {krate}: the rule is out of date");
    }
}

#[test]
fn nothing_holds_both_the_write_side_and_the_read_side() {
    for (path, text) in sources("src") {
        for part in text.split("struct ").skip(1) {
            let fields = part.split_inclusive(['}', ';']).next().unwrap_or_default();
            let writes = ["Commands", "dyn Journal>"].iter().any(|name| fields.contains(name));
            let reads = fields.contains("ReadTables");
            assert!(!(writes && reads), "{}: struct {fields}", path.display());
        }
    }
    for (path, text) in sources("src/commands") {
        assert!(!uses(&text, "keyledger_projections"), "{} reads a projection", path.display());
    }
}

#[test]
fn a_secret_is_exposed_in_one_answer() {
    let exposing: Vec<_> = sources("src")
        .into_iter()
        .flat_map(|(path, text)| {
            let lines: Vec<_> =
                text.lines().filter(|line| line.contains(".expose()")).map(String::from).collect();
            lines.into_iter().map(move |line| format!("{}: {}", path.display(), line.trim()))
        })
        .collect();
    assert_eq!(exposing.len(), 1, "{exposing:?}");
    assert!(exposing[0].starts_with("src/http/keys/create.rs: "), "{exposing:?}");
}

#[test]
fn the_rules_see_what_they_are_to_see() {
    assert!(uses("use sqlx::Row;", "sqlx"));
    assert!(uses("    sqlx::query(text)", "sqlx"));
    assert!(!uses("use crate::sqlx::Row;", "sqlx"));
    assert!(!uses("use my_sqlx::Row;", "sqlx"));
    assert!(!uses("// sqlx::query", "sqlx"));
}

//! Which crate uses which, what each is built from, and how large it is.

use std::collections::BTreeSet;

use super::workspace::{CRATES, code, dependencies, sources, tree};

/// The crates of ours that a crate may use. Cargo refuses cycles; this says which arrows there are.
const ARROWS: [(&str, &[&str]); 17] = [
    ("keyledger-domain", &[]),
    ("keyledger-postgres", &["domain"]),
    ("keyledger-sqlite", &[]),
    ("keyledger-tlog", &["domain"]),
    ("keyledger-verifier", &["domain"]),
    ("keyledger-identity", &["domain"]),
    ("keyledger-telemetry", &["domain"]),
    ("keyledger-checks", &["domain", "postgres"]),
    ("keyledger-journal", &["checks", "domain", "postgres"]),
    ("keyledger-projections", &["checks", "domain", "postgres", "sqlite", "tlog", "verifier"]),
    ("keyledger-vault", &["checks", "domain", "postgres", "sqlite"]),
    ("keyledger-node", &["domain", "journal", "projections", "tlog", "verifier"]),
    ("keyledger-relay", &["checks", "domain", "journal", "node", "projections", "tlog"]),
    ("keyledger-commands", &["domain", "journal"]),
    ("keyledger-audit", &["domain", "journal"]),
    (
        "keyledger-http",
        &[
            "audit",
            "commands",
            "domain",
            "identity",
            "journal",
            "node",
            "projections",
            "telemetry",
            "tlog",
            "verifier",
        ],
    ),
    (
        "keyledger",
        &[
            "audit",
            "checks",
            "commands",
            "domain",
            "http",
            "identity",
            "journal",
            "node",
            "projections",
            "relay",
            "telemetry",
            "tlog",
            "verifier",
        ],
    ),
];

/// What takes part in I/O or runs tasks: crates that rules, log and verifier are built without.
const SERVERS: [&str; 9] =
    ["sqlx", "axum", "async-nats", "eventstore", "hyper", "reqwest", "tonic", "rustls", "mio"];

#[keyledger_bounded::test]
fn the_arrows_between_crates_are_these() {
    assert_eq!(ARROWS.len(), CRATES.len());
    for (krate, allowed) in ARROWS {
        for dependency in dependencies(krate) {
            if let Some(ours) = dependency.strip_prefix("keyledger-") {
                assert!(allowed.contains(&ours), "{krate} uses {dependency}");
            }
        }
    }
}

#[keyledger_bounded::test]
fn the_domain_has_no_io_no_async_and_no_crate_of_ours() {
    let allowed = [
        "base64",
        "crc32fast",
        "hmac",
        "rand",
        "serde",
        "serde_json",
        "sha2",
        "thiserror",
        "time",
        "uuid",
        "zeroize",
    ];
    // What else there is stands behind features that only the root and tests turn on.
    let optional = ["utoipa"];
    for dependency in dependencies("keyledger-domain") {
        let is_known = allowed.contains(&&*dependency) || optional.contains(&&*dependency);
        assert!(is_known, "domain uses {dependency}");
    }
    for (path, text) in sources("domain/src") {
        for word in ["async fn", ".await", "std::fs", "std::net", "std::env", "::now()"] {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

#[keyledger_bounded::test]
fn the_rules_the_log_and_the_verifier_can_be_embedded_anywhere() {
    for krate in ["keyledger-domain", "keyledger-tlog", "keyledger-verifier"] {
        let tree = tree(krate);
        for server in SERVERS {
            assert!(!tree.contains_key(server), "{krate} is built from {server}");
        }
        if let Some(tokio) = tree.get("tokio") {
            for feature in ["rt", "net", "time", "fs", "io-std", "process", "signal"] {
                assert!(!tokio.contains(feature), "{krate}: {tokio}");
            }
        }
    }
    assert!(!tree("keyledger-tlog").contains_key("tokio"));
}

#[keyledger_bounded::test]
fn the_read_side_and_the_journal_do_not_see_each_other() {
    let names = |krate| tree(krate).into_keys().collect::<BTreeSet<_>>();
    assert!(!names("keyledger-journal").contains("keyledger-projections"));
    assert!(!names("keyledger-projections").contains("keyledger-journal"));
}

#[keyledger_bounded::test]
fn no_crate_is_larger_than_a_person_can_know() {
    for (krate, folder) in CRATES {
        let most = if krate == "keyledger" { 7_000 } else { 6_000 };
        let files = sources(folder);
        let lines: usize = files.iter().map(|(path, text)| code(path, text).len()).sum();
        assert!(lines <= most, "{krate} has {lines} lines of code; {most} are allowed");
    }
}

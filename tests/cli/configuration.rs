//! The configuration as users meet it: mistakes, help, and the table in docs/reference.md.

use std::collections::BTreeSet;

use keyledger::config::SETTINGS;
use tempfile::TempDir;

use crate::support::{keyledger, run};

#[keyledger_bounded::test]
fn all_mistakes_are_told_and_nothing_is_started() {
    let folder = TempDir::new().unwrap();
    let output = run(keyledger(folder.path())
        .arg("serve")
        .env("KEYLEDGER_LISTEN", "everywhere")
        .env("KEYLEDGER_SHUTDOWN_GRACE", "10")
        .env("KEYLEDGER_LOG_FORMAT", "pretty")
        .env("KEYLEDGER_JWT_ISUER", "https://id.example.com")
        .env("KEYLEDGER_JWT_AUDIENCE", "")
        .env("KEYLEDGER_JWT_HS256_SECRET", "too short a secret"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "keyledger: the configuration cannot be used:",
            "  KEYLEDGER_JWT_ISUER: there is no such setting; is it KEYLEDGER_JWT_ISSUER?",
            "  KEYLEDGER_LOG_FORMAT: none of auto, human and json",
            "  KEYLEDGER_LISTEN: no address and port, such as 127.0.0.1:8080",
            "  KEYLEDGER_JWT_HS256_SECRET: a shared secret has 32 bytes or more",
            "  KEYLEDGER_JWT_AUDIENCE: must not be empty; leave it out to have no value, or the default",
            "  KEYLEDGER_SHUTDOWN_GRACE: no duration with a unit, such as 10s or 500ms",
        ]
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file was made");
}

#[keyledger_bounded::test]
fn development_refuses_an_open_listener() {
    let folder = TempDir::new().unwrap();
    let output = run(keyledger(folder.path()).args(["serve", "--dev", "--listen=0.0.0.0:0"]));
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("KEYLEDGER_LISTEN must be a loopback address"), "{told}");
}

#[keyledger_bounded::test]
fn the_help_shows_every_setting_and_no_value_of_the_environment() {
    let folder = TempDir::new().unwrap();
    let output = run(keyledger(folder.path())
        .args(["serve", "--help"])
        .env("KEYLEDGER_JWT_HS256_SECRET", "a secret that help must not show"));
    let help = String::from_utf8(output.stdout).unwrap();
    for setting in SETTINGS {
        assert!(help.contains(&format!("--{}", setting.flag)), "{}", setting.flag);
        assert!(help.contains(setting.env), "{}", setting.env);
    }
    assert!(!help.contains("must not show"), "{help}");
}

#[keyledger_bounded::test]
fn the_table_in_the_reference_is_the_table_of_the_program() {
    let reference = include_str!("../../docs/reference.md");
    let rows: Vec<&str> =
        reference.lines().filter(|line| line.starts_with("| `KEYLEDGER_")).collect();
    let expected: Vec<String> = SETTINGS
        .iter()
        .map(|setting| {
            let default = match setting.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            format!("| `{}` | {default} | {} |", setting.env, setting.help)
        })
        .collect();
    assert_eq!(rows, expected);
}

#[keyledger_bounded::test]
fn the_reference_names_the_files_of_all_secrets() {
    let reference = include_str!("../../docs/reference.md");
    let words = reference.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    let names = words.filter(|word| word.starts_with("KEYLEDGER_") && word.ends_with("_FILE"));
    let files = SETTINGS.iter().filter_map(|setting| setting.file()).map(|(_, variable)| variable);
    assert_eq!(names.collect::<BTreeSet<_>>(), files.collect());
}

//! The HTTP suite on all stores that go together: this very program runs it again for each pair.

use std::process::Command;

/// What people do over HTTP.
const SUITE: [&str; 20] = [
    "audit::filters::",
    "audit::following::",
    "audit::paging::",
    "audit::roles::",
    "audit::time_travel::",
    "http::authorization::",
    "http::bad_input::",
    "http::concurrency::",
    "http::history::",
    "http::idempotency::",
    "http::key_list::",
    "http::positions::",
    "cli::rebuild::requests_are_served_all_through_a_rebuild",
    "http::secrecy::",
    "http::sign_in::",
    "http::ui_contract::",
    "verification::answers::",
    "verification::bad_requests::",
    "verification::last_use::the_last_use",
    "verification::revocations::deletions",
];

fn passes_on(stores: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(SUITE)
        .args(["--test-threads", "4"])
        .env("TEST_STORES", stores)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stores}:\n{told}");
    let passed = told.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(passed >= 80, "{stores}: only {passed} tests were run");
}

#[test]
fn the_suite_passes_on_sqlite_with_read_tables_in_postgres() {
    passes_on("sqlite+postgres");
}

#[test]
fn the_suite_passes_on_postgres_with_read_tables_in_sqlite() {
    passes_on("postgres+sqlite");
}

#[test]
fn the_suite_passes_on_postgres() {
    passes_on("postgres+postgres");
}

#[test]
fn the_suite_passes_on_kurrentdb_with_read_tables_in_sqlite() {
    passes_on("kurrentdb+sqlite");
}

#[test]
fn the_suite_passes_on_kurrentdb_with_read_tables_in_postgres() {
    passes_on("kurrentdb+postgres");
}

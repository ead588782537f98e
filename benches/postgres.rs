//! Appends to PostgreSQL, beside pgbench, which inserts rows as large in batches of 64.

use std::process::Command;

use keyledger_projections::ReadTables;
use keyledger_test_servers::postgres::{Postgres, program};

use crate::{ROUNDS, SPAN, appends, appends_and_rows, median};

const TABLE: &str = "
    CREATE SEQUENCE place;
    CREATE TABLE bare (position bigint PRIMARY KEY, stream text NOT NULL, revision bigint NOT NULL,
                       id uuid NOT NULL, type text NOT NULL, data json NOT NULL,
                       metadata json NOT NULL, UNIQUE (stream, revision));";

pub(crate) async fn run() {
    let server = Postgres::start_durable();
    let bare = server.database().await;
    psql(&bare, TABLE);
    let folder = crate::folder();
    let script = folder.path().join("insert.sql");
    let (data, metadata) = ("x".repeat(380), "y".repeat(190));
    let insert = format!(
        "INSERT INTO bare SELECT nextval('place'), 'apikey-' || gen_random_uuid(), 0,
         gen_random_uuid(), 'KeyCreated', '{{\"a\": \"{data}\"}}', '{{\"a\": \"{metadata}\"}}'
         FROM generate_series(1, 64);"
    );
    std::fs::write(&script, insert.replace('\n', " ")).unwrap();
    let journal = keyledger_journal::open(&server.database().await).await.unwrap();
    let tables = ReadTables::open(&server.database().await).await.unwrap();
    let (mut ours, mut theirs, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(64.0 * pgbench(&bare, &script));
        ours.push(appends(&*journal, 64).await.0);
        rows.push(appends_and_rows(journal.clone(), &tables, 64).await);
    }
    let of =
        |ours: &[f64]| median(ours.iter().zip(&theirs).map(|(our, their)| our / their).collect());
    println!("PostgreSQL, 64 callers, median of {ROUNDS} rounds");
    println!("{:>16} {:>16} {:>16} {:>12}", "", "events, /s", "pgbench, /s", "of pgbench");
    let theirs_now = median(theirs.clone());
    println!(
        "{:>16} {:>16.0} {theirs_now:>16.0} {:>12.2}",
        "append",
        median(ours.clone()),
        of(&ours)
    );
    let with_rows = median(rows.clone());
    println!("{:>16} {with_rows:>16.0} {theirs_now:>16.0} {:>12.2}\n", "and in rows", of(&rows));
}

fn psql(url: &str, text: &str) {
    let done = Command::new(program("psql")).args([url, "-qc", text]).status().unwrap();
    assert!(done.success());
}

/// Transactions a second of one client.
fn pgbench(url: &str, script: &std::path::Path) -> f64 {
    let output = Command::new(program("pgbench"))
        .args(["--no-vacuum", "--protocol=prepared", "--client=1"])
        .args(["--time", &SPAN.as_secs().to_string(), "--file"])
        .arg(script)
        .arg(url)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let rate = told.lines().find_map(|line| line.strip_prefix("tps = ")).unwrap();
    rate.split(' ').next().unwrap().parse().unwrap()
}

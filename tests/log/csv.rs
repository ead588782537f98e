//! Exports as CSV, for spreadsheets, without proofs.

use std::collections::HashMap;

use crate::support::log::{Log, work};
use crate::support::{events_of, keyledger, run};

type Row = HashMap<String, String>;

fn rows(log: &Log, file: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(log.path(file)).unwrap();
    let names = reader.headers().unwrap().clone();
    let row = |record: csv::Result<csv::StringRecord>| -> Row {
        let record = record.unwrap();
        names.iter().map(ToOwned::to_owned).zip(record.iter().map(ToOwned::to_owned)).collect()
    };
    reader.records().map(row).collect()
}

fn export(log: &Log, out: &str, more: &[&str]) -> std::process::Output {
    run(keyledger(&log.path(""))
        .args(["audit", "export", "--format", "csv", "--out", out])
        .args(more)
        .env("KEYLEDGER_JOURNAL_URL", &log.journal))
}

async fn a_spreadsheet_has_a_row_for_each_event(log: Log) {
    let service = log.setup().unset("KEYLEDGER_AUDIT_KEY").start().ready().await;
    let mallory = service.user("=mallory");
    let evil = mallory.create("=HYPERLINK(\"http://evil\",\"a,b\")").await;
    work(&service, 3).await;
    let events = events_of(&log.journal).await;
    let told = export(&log, "all.csv", &[]);
    let said = String::from_utf8(told.stdout).unwrap();
    assert!(said.starts_with("Exported 5 events, without proofs"), "{said}");
    let all = rows(&log, "all.csv");
    assert_eq!(all.len(), 5);
    for (row, event) in all.iter().zip(&events) {
        assert_eq!(row["position"], event.position.to_string());
        assert_eq!(row["event_id"], event.id.to_string());
        assert_eq!(row["occurred_at"], event.event.occurred_at().to_string());
        assert_eq!(row["type"], event.event.event_type());
    }
    assert_eq!(all[0]["name"], "'=HYPERLINK(\"http://evil\",\"a,b\")");
    assert_eq!((&*all[0]["user_id"], &*all[0]["actor"]), ("'=mallory", "'=mallory"));
    assert_eq!(all[0]["key_id"], evil);
    let text = std::fs::read_to_string(log.path("all.csv")).unwrap();
    assert!(!text.contains("hash"), "{text}");
    let revoked = all.iter().find(|row| row["type"] == "KeyRevoked").unwrap();

    let ids = |file| rows(&log, file).iter().map(|row| row["event_id"].clone()).collect::<Vec<_>>();
    let of = |wanted: &dyn Fn(&Row) -> bool| -> Vec<String> {
        all.iter().filter(|row| wanted(row)).map(|row| row["event_id"].clone()).collect()
    };
    let since = &revoked["occurred_at"];
    assert!(export(&log, "user.csv", &["--user", "ann"]).status.success());
    assert_eq!(ids("user.csv"), of(&|row| row["user_id"] == "ann"));
    assert!(export(&log, "key.csv", &["--key", &revoked["key_id"]]).status.success());
    assert_eq!(ids("key.csv"), of(&|row| row["key_id"] == revoked["key_id"]));
    assert!(export(&log, "from.csv", &["--from", since]).status.success());
    assert_eq!(ids("from.csv"), of(&|row| row["occurred_at"] >= *since));
    assert!(export(&log, "to.csv", &["--to", since]).status.success());
    assert_eq!(ids("to.csv"), of(&|row| row["occurred_at"] < *since));
    assert_eq!(export(&log, "all.csv", &[]).status.code(), Some(1), "nothing is overwritten");
}

#[keyledger_bounded::test]
async fn a_spreadsheet_needs_no_signing_key_and_holds_no_formulas() {
    a_spreadsheet_has_a_row_for_each_event(Log::on_sqlite()).await;
}

#[keyledger_bounded::test]
async fn a_spreadsheet_of_a_journal_on_postgres_is_the_same() {
    a_spreadsheet_has_a_row_for_each_event(Log::on_postgres()).await;
}

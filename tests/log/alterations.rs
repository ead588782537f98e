//! An alteration of an export, a checkpoint, a proof or the journal is found and named.

use super::tampering::{ALTER_SQLITE, tamper};
use crate::support::log::{Log, example_says, work};

/// Writes a copy of a file in which the first occurrence of a text is replaced.
fn alter(log: &Log, from: &str, to: &str, text: &str, by: &str) {
    let whole = std::fs::read_to_string(log.path(from)).unwrap();
    assert!(whole.contains(text), "{text}");
    std::fs::write(log.path(to), whole.replacen(text, by, 1)).unwrap();
}

async fn every_byte_counts(log: Log, alter_row: &[&'static str]) {
    let service = log.setup().start().ready().await;
    work(&service, 10).await;
    service.stop_well();
    std::fs::write(log.path("kept"), log.checkpoints().last().unwrap()).unwrap();
    assert!(log.export("all", &[]).status.success());
    assert!(log.export("ann", &["--user", "ann"]).status.success());
    assert_eq!(log.verify("all", &["--checkpoint", "kept"]).0, 0);
    for good in ["all", "ann"] {
        let (code, told) = example_says(&log, good, &[]);
        assert_eq!(code, 0, "{told}");
    }

    // The exported file: an event, its leaf hash, the line of its range, the last line.
    alter(&log, "all", "x", "\"name\":\"k5\"", "\"name\":\"k6\"");
    let (code, told) = log.verify("x", &[]);
    assert_eq!(code, 1);
    assert!(told.contains("altered-event: event 5 (apikey-"), "{told}");
    alter(&log, "all", "x", "{\"range\":0,\"hash\":\"", "{\"range\":0,\"hash\":\"AAAA");
    assert!(log.verify("x", &[]).1.contains("unreadable-line"), "{told}");

    // The checkpoint: its size, and its time.
    alter(&log, "all", "x", "\\n11\\n", "\\n12\\n");
    let (_, told) = log.verify("x", &[]);
    assert!(told.contains("bad-signature: the signature of keys.example.com/tests+"), "{told}");
    alter(&log, "kept", "x", "time 2", "time 1");
    let (code, told) = log.verify("all", &["--checkpoint", "x"]);
    assert!(code == 1 && told.contains("unbelieved-checkpoint: x, note 1: bad-sig"), "{told}");

    // A proof.
    let proven = std::fs::read_to_string(log.path("ann")).unwrap();
    let at = proven.find("\"proof\":[\"").unwrap() + "\"proof\":[\"".len();
    let letter = if &proven[at..=at] == "A" { "B" } else { "A" };
    let altered = format!("{}{letter}{}", &proven[..at], &proven[at + 1..]);
    std::fs::write(log.path("x"), altered).unwrap();
    let (code, told) = log.verify("x", &[]);
    assert!(code == 1 && told.contains("wrong-proof: event 0 (apikey-"), "{told}");

    // A row of the journal.
    tamper(&log.journal, alter_row).await;
    assert!(log.export("altered", &[]).status.success());
    let (code, told) = log.verify("altered", &[]);
    assert_eq!(code, 1);
    assert!(told.contains("altered-event: event 3 (apikey-"), "{told}");
    let (code, example) = example_says(&log, "altered", &[]);
    assert!(code == 1 && example.contains("altered-event: event 3 (apikey-"), "{example}");
    assert_eq!(told.matches("altered").count(), 2, "this one and no other: {told}");
}

#[keyledger_bounded::test]
async fn every_byte_counts_on_sqlite() {
    every_byte_counts(Log::on_sqlite(), ALTER_SQLITE).await;
}

#[keyledger_bounded::test]
async fn every_byte_counts_on_postgres() {
    const ALTER: &[&str] = &[
        "DROP TRIGGER events_are_never_changed ON events",
        "UPDATE events SET data = replace(data::text, '\"k3\"', '\"k4\"')::json WHERE position = 4",
    ];
    every_byte_counts(Log::on_postgres(), ALTER).await;
}

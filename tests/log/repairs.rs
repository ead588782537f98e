//! A tree that was damaged or emptied in its database proves nothing and is not signed, until it is
//! built anew from the journal.

use super::tampering::{Backup, Change, change, tamper};
use crate::support::log::{Log, signed, work};
use crate::support::{assert_problem, events_of};

const EMPTY_SQLITE: &[&str] = &[
    "DELETE FROM tree_tile",
    "DELETE FROM tree_event",
    "DELETE FROM tree_checkpoint",
    "UPDATE tree SET position = 0, size = 0, frontier = x''",
];
const EMPTY_POSTGRES: &[&str] = &[
    "TRUNCATE tree_tile, tree_event, tree_checkpoint",
    "UPDATE tree SET position = 0, size = 0, frontier = ''",
];

const ONE_KEY: (&str, &str) = ("\"k3\"", "\"k4\"");

/// Whoever administers the database empties the tree and all that was signed of it, and alters the
/// history. The checkpoint file still tells.
async fn nothing_is_signed_that_does_not_continue_the_file(log: Log, empty: &[&str]) {
    let service = log.setup().start().ready().await;
    work(&service, 10).await;
    signed(&service, 11).await;
    let events = events_of(&log.journal).await;
    service.stop_well();
    let before = log.checkpoints();
    Backup::of(&log).await;
    change(&log, &events, 3, Change::Data(ONE_KEY.0, ONE_KEY.1)).await;
    tamper(&log.read, empty).await;
    let (code, told) = log.rebuild(&["--checkpoint", "data/checkpoints"]);
    assert!(code == 1 && told.contains("rewritten-history: the first "), "{told}");

    let service = log.setup().start().ready().await;
    service.user("ann").create("one more").await;
    service.part_is("tree", "stopped").await;
    let output = service.printed("tree stopped").await;
    let size = crate::support::log::size_of(before.last().unwrap());
    let cause =
        format!("the tree does not continue the last checkpoint, of {size} events, in data/checkp");
    assert!(output.contains(&cause), "{output}");
    assert_problem!(service.stranger().get("/audit/checkpoint").await, 404, "no_checkpoint");
    service.stop_well();
    assert_eq!(log.checkpoints(), before, "nothing more is signed");

    // What was signed is the history, once it is restored.
    change(&log, &events, 3, Change::Data(ONE_KEY.1, ONE_KEY.0)).await;
    let (code, told) = log.rebuild(&["--checkpoint", "data/checkpoints"]);
    assert!(code == 0 && told.contains("The tree is built anew from 12 events"), "{told}");
    let service = log.setup().start().ready().await;
    signed(&service, 12).await;
    service.stop_well();
    assert!(log.export("all", &[]).status.success());
    let (code, told) = log.verify("all", &["--checkpoint", "data/checkpoints"]);
    assert_eq!(code, 0, "{told}");
}

#[keyledger_bounded::test]
async fn nothing_is_signed_that_does_not_continue_the_file_on_sqlite() {
    nothing_is_signed_that_does_not_continue_the_file(Log::on_sqlite(), EMPTY_SQLITE).await;
}

#[keyledger_bounded::test]
async fn nothing_is_signed_that_does_not_continue_the_file_on_postgres() {
    nothing_is_signed_that_does_not_continue_the_file(Log::on_postgres(), EMPTY_POSTGRES).await;
}

#[keyledger_bounded::test]
async fn an_emptied_tree_of_the_same_history_is_built_again_and_signed() {
    let log = Log::on_sqlite();
    let service = log.setup().start().ready().await;
    work(&service, 10).await;
    service.stop_well();
    tamper(&log.read, EMPTY_SQLITE).await;
    let service = log.setup().start().ready().await;
    service.user("ann").create("one more").await;
    signed(&service, 12).await;
    service.part_is("tree", "ready").await;
}

#[keyledger_bounded::test]
async fn a_journal_that_has_lost_what_was_signed_is_not_signed() {
    let log = Log::on_sqlite();
    let events = log.history(10).await;
    Backup::of(&log).await;
    for at in (8..11).rev() {
        change(&log, &events, at, Change::Remove).await;
    }
    for file in ["read.db", "read.db-wal", "read.db-shm"] {
        let _ = std::fs::remove_file(log.path("data").join(file));
    }
    let before = log.checkpoints();
    let service = log.setup().start().ready().await;
    service.part_is("tree", "stopped").await;
    let output = service.printed("tree stopped").await;
    assert!(output.contains("does not continue the last checkpoint, of 11 events"), "{output}");
    service.stop_well();
    assert_eq!(log.checkpoints(), before);
    let (code, told) = log.rebuild(&["--checkpoint", "data/checkpoints"]);
    let why = "shortened-history: the journal has 8 events, but the checkpoint in ";
    assert!(code == 1 && told.contains(why), "{told}");
}

const DAMAGED: &str = "keyledger_damaged_proofs_total";

async fn a_damaged_tile_proves_nothing_until_it_is_repaired(log: Log, damage: &str) {
    let service = log.setup().start().ready().await;
    work(&service, 10).await;
    signed(&service, 11).await;
    let paths = ["inclusion?index=3", "inclusion?index=9&size=10", "consistency?from=3&to=11"];
    let eve = service.auditor("eve");
    for path in paths {
        eve.get(&format!("/audit/proofs/{path}")).await.expect_status(200);
    }
    assert_eq!(service.metric(DAMAGED).await, Some(0));
    tamper(&log.read, &[damage]).await;
    for (number, path) in (1..).zip(paths) {
        let answer = eve.get(&format!("/audit/proofs/{path}")).await;
        assert_problem!(answer, 500, "tree_damaged", "{path}");
        assert_eq!(service.metric(DAMAGED).await, Some(number));
    }
    let output = service.printed("tree_damaged").await;
    assert!(output.contains("the tree is damaged: "), "{output}");
    if log.read.starts_with("postgres") {
        let (code, told) = log.rebuild(&[]);
        assert!(code == 2 && told.contains("a service that runs signs this log"), "{told}");
    }
    service.stop_well();

    let (code, told) = log.rebuild(&[]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("built anew from 11 events"), "{told}");
    let service = log.setup().start().ready().await;
    service.part_is("tree", "ready").await;
    for path in paths {
        let answer = service.auditor("eve").get(&format!("/audit/proofs/{path}")).await;
        answer.expect_status(200);
    }
}

#[keyledger_bounded::test]
async fn a_damaged_tile_proves_nothing_until_it_is_repaired_on_sqlite() {
    let damage = "UPDATE tree_tile SET hashes = randomblob(length(hashes))";
    a_damaged_tile_proves_nothing_until_it_is_repaired(Log::on_sqlite(), damage).await;
}

#[keyledger_bounded::test]
async fn a_damaged_tile_proves_nothing_until_it_is_repaired_on_postgres() {
    let damage = "UPDATE tree_tile SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1)";
    a_damaged_tile_proves_nothing_until_it_is_repaired(Log::on_postgres(), damage).await;
}

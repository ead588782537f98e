//! Signing stops when the tree is not the one that was signed before; requests are still served.

use super::tampering::tamper;
use crate::support::log::{Log, signed, work};

/// A change to the read database, and what the service logs then.
struct Case {
    what: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
    told: &'static str,
    /// Whether a running service finds it. Otherwise it writes over the change, from memory, with the
    /// next events.
    is_found_running: bool,
}

const CASES: [Case; 4] = [
    Case {
        what: "a stored hash",
        sqlite: "UPDATE tree_tile SET hashes = randomblob(length(hashes)) WHERE level = 0",
        postgres: "UPDATE tree_tile SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1)",
        told: "the tree is damaged: its hashes do not lead to its root",
        is_found_running: false,
    },
    Case {
        what: "a root that was signed",
        sqlite: "UPDATE tree_checkpoint SET root = randomblob(32)",
        postgres: "UPDATE tree_checkpoint SET root = set_byte(root, 0, get_byte(root, 0) # 1)",
        told: "the tree does not continue what was signed of it at 11 events",
        is_found_running: true,
    },
    Case {
        what: "what the tree says that it is",
        sqlite: "UPDATE tree SET frontier = randomblob(length(frontier))",
        postgres: "UPDATE tree SET frontier = set_byte(frontier, 0, get_byte(frontier, 0) # 1)",
        told: "the tree is damaged: its hashes do not lead to its root",
        is_found_running: false,
    },
    Case {
        what: "the tree of another journal",
        sqlite: "UPDATE tree SET position = position + 1000000000",
        postgres: "UPDATE tree SET position = position + 1000000000",
        told: ", but the journal ends at ",
        is_found_running: true,
    },
];

/// When the change is made: while the service runs, or before it is started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Running,
    Stopped,
}

async fn the_tree_stops(log: Log, case: &Case, when: When) {
    let statement = if log.read.starts_with("sqlite") { case.sqlite } else { case.postgres };
    let service = log.setup().start().ready().await;
    work(&service, 10).await;
    signed(&service, 11).await;
    let service = match when {
        When::Running => {
            tamper(&log.read, &[statement]).await;
            service
        }
        When::Stopped => {
            service.stop_well();
            tamper(&log.read, &[statement]).await;
            log.setup().start().ready().await
        }
    };
    let before = log.checkpoints();
    service.user("ann").create("one more").await;
    service.part_is("tree", "stopped").await;
    let output = service.printed("tree stopped").await;
    assert!(output.contains(case.told), "{}: {output}", case.what);
    service.stranger().get("/readyz").await.expect_status(200);
    service.user("ann").create("and another").await;
    assert_eq!(service.user("ann").keys().await.len(), 3);
    service.stop_well();
    assert_eq!(log.checkpoints(), before, "{}: nothing more is signed", case.what);
}

#[keyledger_bounded::test]
async fn an_altered_tree_is_not_signed_after_a_start() {
    for case in &CASES {
        the_tree_stops(Log::on_sqlite(), case, When::Stopped).await;
        the_tree_stops(Log::on_postgres(), case, When::Stopped).await;
    }
}

#[keyledger_bounded::test]
async fn an_altered_tree_is_not_signed_while_the_service_runs() {
    for case in CASES.iter().filter(|case| case.is_found_running) {
        the_tree_stops(Log::on_sqlite(), case, When::Running).await;
        the_tree_stops(Log::on_postgres(), case, When::Running).await;
    }
}

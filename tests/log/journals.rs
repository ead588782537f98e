//! Each alteration of a journal is found and named, on each kind of database.

use super::tampering::{Backup, Change, change};
use crate::support::log::{Log, example_says};

/// A change to an event, and how the lines begin that name it then.
struct Case {
    what: &'static str,
    at: usize,
    change: Change,
    found: &'static [&'static str],
}

/// Said where events are missing, so that the tree of the kept checkpoint cannot be built.
const UNCOMPARED: &str = "uncompared-checkpoint: the earlier checkpoint of 11 events";

/// The cases, for the history that [`work`](crate::support::log::work) makes of 10 keys: event 0 creates the first key, events 1
/// to 9 create the others, and event 10 revokes the first.
#[rustfmt::skip]
const FOUND: &[Case] = &[
    Case { what: "a letter of a name", at: 3, change: Change::Data("\"k3\"", "\"k4\""),
        found: &["altered-event: event 3 (apikey-"] },
    Case { what: "a digit of a key's hash", at: 7, change: Change::Data("\"key_hash\":\"", "\"key_hash\":\"0"),
        found: &["unreadable"] },
    Case { what: "whose key it is", at: 2, change: Change::Data("\"user_id\":\"bob\"", "\"user_id\":\"rob\""),
        found: &["altered-event: event 2 (apikey-"] },
    Case { what: "who did it", at: 4, change: Change::Metadata("\"actor\":\"bob\"", "\"actor\":\"bot\""),
        found: &["altered-event: event 4 (apikey-"] },
    Case { what: "its id", at: 5, change: Change::Id,
        found: &["altered-event: event 5 (apikey-"] },
    Case { what: "its type", at: 10, change: Change::Type("KeyDeleted"),
        found: &["altered-event: event 10 (apikey-"] },
    Case { what: "its revision", at: 10, change: Change::Revision,
        found: &["altered-event: event 10 (apikey-", "revision-gap: event 10 of apikey-"] },
    Case { what: "when it was", at: 10, change: Change::Data("\"occurred_at\":\"20", "\"occurred_at\":\"19"),
        found: &["altered-event: event 10 (apikey-", "redated-event: event 10 (apikey-"] },
    Case { what: "a type that there is not", at: 6, change: Change::Type("KeyCreatee"),
        found: &["unreadable"] },
    Case { what: "its stream", at: 6, change: Change::Stream,
        found: &["unreadable"] },
    Case { what: "the first is taken out", at: 0, change: Change::Remove,
        found: &["count-differs: 11 events are announced, 10", "missing-events: event 0 is missing",
            "revision-gap: event 10 of apikey-", UNCOMPARED] },
    Case { what: "one is taken out", at: 6, change: Change::Remove,
        found: &["count-differs: 11 events are announced, 10", "missing-events: event 6 is missing", UNCOMPARED] },
    Case { what: "the last is taken out", at: 10, change: Change::Remove,
        found: &["count-differs: 11 events are announced, 10", "missing-events: event 10 is missing", UNCOMPARED] },
    Case { what: "two change places", at: 2, change: Change::Swap(7),
        found: &["reordered-event: event 2 stands", "reordered-event: event 7 stands"] },
    Case { what: "two neighbours change places", at: 4, change: Change::Swap(5),
        found: &["reordered-event: event 5 stands"] },
    Case { what: "one is added", at: 3, change: Change::Forge,
        found: &["added-event: line 6 is not of the tree: it was added as event 11",
            "count-differs: 11 events are announced, 12"] },
    Case { what: "one is added before the last", at: 9, change: Change::Forge,
        found: &["added-event: line 12 is not of the tree: it was added as event 11",
            "count-differs: 11 events are announced, 12"] },
];

/// What an export and its check say: the findings, in alphabetical order.
fn found(log: &Log) -> Vec<String> {
    let exported = log.export("altered", &[]);
    if !exported.status.success() {
        let told = String::from_utf8(exported.stderr).unwrap();
        return vec![told.trim().to_owned()];
    }
    let (code, told) = log.verify("altered", &["--checkpoint", "kept"]);
    assert_eq!(code, 1, "{told}");
    let mut found: Vec<_> = told.lines().map(ToOwned::to_owned).collect();
    found.sort();
    // The example, which shares no code with the program, finds the same.
    let (_, told) = example_says(log, "altered", &[]);
    for found in found.iter().filter(|found| !found.starts_with("uncompared-checkpoint")) {
        let (code, _) = found.split_once(' ').unwrap();
        assert!(told.contains(code), "{found}: {told}");
    }
    found
}

async fn each_alteration_is_named(log: Log) {
    let events = log.history(10).await;
    std::fs::write(log.path("kept"), log.checkpoints().last().unwrap()).unwrap();
    let backup = Backup::of(&log).await;
    let mut wrong = Vec::new();
    for case in FOUND {
        change(&log, &events, case.at, case.change).await;
        let found = found(&log);
        let position = events[case.at].position;
        let unreadable = format!("keyledger: the event at position {position} cannot be read: ");
        let expected: Vec<_> = case
            .found
            .iter()
            .map(|found| if *found == "unreadable" { &*unreadable } else { found })
            .collect();
        let is_named = found.iter().zip(&expected).all(|(told, begin)| told.starts_with(begin));
        if !is_named || found.len() != expected.len() {
            wrong.push((case.what, found));
        }
        backup.restore(&log).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(log.export("all", &[]).status.success());
    let (code, told) = log.verify("all", &["--checkpoint", "kept"]);
    assert_eq!(code, 0, "as it was: {told}");
}

#[keyledger_bounded::test]
async fn what_is_missing_does_not_spoil_the_proofs_of_other_owners() {
    let log = Log::on_sqlite();
    let events = log.history(10).await;
    Backup::of(&log).await;
    change(&log, &events, 3, Change::Remove).await;
    for (user, count) in [("ann", 2), ("bob", 8)] {
        assert!(log.export(user, &["--user", user]).status.success());
        let (code, told) = log.verify(user, &[]);
        assert!(code == 0 && told.starts_with(&format!("{count} events are as")), "{told}");
    }
}

#[keyledger_bounded::test]
async fn each_alteration_of_the_journal_is_named_on_sqlite() {
    each_alteration_is_named(Log::on_sqlite()).await;
}

#[keyledger_bounded::test]
async fn each_alteration_of_the_journal_is_named_on_postgres() {
    each_alteration_is_named(Log::on_postgres()).await;
}

#[keyledger_bounded::test]
async fn each_alteration_of_the_journal_is_named_on_kurrentdb() {
    each_alteration_is_named(Log::on_kurrentdb()).await;
}

/// An attacker who also has the signing key rewrites history: an earlier checkpoint tells.
async fn a_rewritten_tail_is_found(mut log: Log) {
    let events = log.history(10).await;
    std::fs::write(log.path("kept"), log.checkpoints().last().unwrap()).unwrap();
    Backup::of(&log).await;
    change(&log, &events, 9, Change::Data("\"k9\"", "\"k0\"")).await;
    // The tree is made anew, as if nothing had been signed.
    log.forget_the_tree();
    let service = log.setup().start().ready().await;
    service.user("ann").create("one more").await;
    service.stop_well();
    assert!(log.export("all", &[]).status.success());
    assert_eq!(log.verify("all", &[]).0, 0, "it is signed with the key");
    let (code, told) = log.verify("all", &["--checkpoint", "kept"]);
    assert!(code == 1 && told.contains("rewritten-history: the first 11 events"), "{told}");
    std::fs::write(log.path("last"), log.checkpoints().last().unwrap()).unwrap();
    let (code, told) = log.diff("kept", "last");
    assert!(code == 1 && told.contains("rewritten-history"), "{told}");
}

#[keyledger_bounded::test]
async fn a_rewritten_tail_is_found_on_sqlite() {
    a_rewritten_tail_is_found(Log::on_sqlite()).await;
}

#[keyledger_bounded::test]
async fn a_rewritten_tail_is_found_on_postgres() {
    a_rewritten_tail_is_found(Log::on_postgres()).await;
}

#[keyledger_bounded::test]
async fn a_rewritten_tail_is_found_on_kurrentdb() {
    a_rewritten_tail_is_found(Log::on_kurrentdb()).await;
}
